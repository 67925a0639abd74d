"""Artifacts in an object storage, by its URL: S3, Google Cloud Storage, Azure, or the memory of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from holdfast.agents.artifacts.names import OURS
from holdfast.errors import ArtifactNotFound, UsageError, WorkspaceError

SCHEMES = ("s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "memory")


class Objects:
    """An object storage with artifacts.

    Args:
        url: such as ``s3://bucket/folder``. Its credentials come from the environment, as its provider's own tools
            take them.

    Raises:
        UsageError: the URL is none of these, or has credentials in it; obstore is not installed.
        WorkspaceError: something about it is missing in the environment.
    """

    path = None

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise UsageError(
                f"the URL of the workspace {parts.scheme}://… has a user, a query or a fragment in it; leave them out: "
                "credentials come from the environment, such as AWS_ACCESS_KEY_ID"
            )
        if parts.scheme not in SCHEMES:
            known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
            raise UsageError(f"the workspace is {url!r}; give a folder, file:///…, or one of {known}")
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError:
            raise UsageError('object storage is reached through obstore: pip install "holdfast[objects]"') from None
        self.location = url
        # The storage's own errors, and what it raises for names it cannot store.
        self._errors: tuple[type[Exception], ...] = (BaseError, OSError, ValueError)
        with self._telling("it cannot be opened"):
            self._store: Any = from_url(url)

    def at(self, inside: str, name: str) -> str:
        """Where an artifact is."""
        return "/".join((self.location.removesuffix("/"), *filter(None, (inside, name))))

    async def write(self, inside: str, name: str, data: bytes) -> None:
        """Write an object, whole or not at all.

        Args:
            inside: the folder in the workspace that the name is in; none for the workspace itself.

        Raises:
            WorkspaceError: it cannot be written; says why.
        """
        with self._telling(f"{name!r} cannot be written"):
            await self._store.put_async(_path(inside, name), data)

    async def read(self, inside: str, name: str) -> bytes:
        """The bytes of an object.

        Raises:
            ArtifactNotFound: there is none of this name.
            WorkspaceError: it cannot be read; says why.
        """
        try:
            with self._telling(f"{name!r} cannot be read"):
                found = await self._store.get_async(_path(inside, name))
                return bytes(await found.bytes_async())
        except FileNotFoundError:
            message = f"the workspace {self.location} has no artifact {name!r}"
            raise ArtifactNotFound(message, location=self.location, name=name) from None

    async def names(self, inside: str) -> list[str]:
        """The objects in a folder of it and in the folders within, without the workspace's own."""
        cut = len(inside) + 1 if inside else 0
        with self._telling("it cannot be listed"):
            pages = self._store.list(prefix=inside or None)
            names = [one["path"][cut:] async for page in pages for one in page]
        return [name for name in names if not name.rpartition("/")[2].startswith(OURS)]

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except self._errors as error:
            # Behind the first lines it prints what its library looks like inside.
            said = str(error).split("\n\n")[0]
            raise WorkspaceError(f"the workspace {self.location}: {what}: {said}", location=self.location) from None


def _path(inside: str, name: str) -> str:
    return f"{inside}/{name}" if inside else name
