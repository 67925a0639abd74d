"""Workspaces: where the artifacts of a pipeline lie, as files that a person can read and compare."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from holdfast.agents.artifacts.folders import Folder
from holdfast.agents.artifacts.names import check_name, media_type_of
from holdfast.agents.artifacts.objects import Objects
from holdfast.agents.recording import record_artifact
from holdfast.errors import ArtifactNotFound, PayloadError, UsageError
from holdfast.model.ids import check_id
from holdfast.model.payload import Codec, codec_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ArtifactInfo:
    """A file or blob in a workspace.

    Attributes:
        name: within the workspace.
        size_bytes: of its bytes.
        sha256: of its bytes, in hexadecimal digits.
        media_type: such as ``application/json``.
        location: the path of the file, or the URL of the object.
    """

    name: str
    size_bytes: int
    sha256: str
    media_type: str
    location: str


class Workspace:
    """A folder, or a place in an object storage, with artifacts.

    Args:
        location: the path of a folder, which is made when it is not there, or a URL: ``file:///…``, ``s3://…``,
            ``gs://…``, ``az://…``, and ``memory:///`` for a storage that ends with this object.

    Attributes:
        location: the absolute path of the folder, or the URL.
        path: the folder; None for an object storage.

    Raises:
        UsageError: it is no path and no such URL, has credentials in it, or a library is missing.
        WorkspaceError: something that the storage needs is missing in the environment.
    """

    def __init__(self, location: str | os.PathLike[str]) -> None:
        self._backend: Folder | Objects = _backend(location)
        self._inside = ""
        self._made: list[ArtifactInfo] | None = None

    @property
    def location(self) -> str:
        """The absolute path of the folder, or the URL."""
        return self._backend.at(self._inside, "") if self._inside else self._backend.location

    @property
    def identity(self) -> str:
        """The same for workspaces that are one: a storage in memory is only itself."""
        return f"{self.location}#{id(self._backend)}" if self.location.startswith("memory:") else self.location

    @property
    def folder(self) -> str | None:
        """Which folder of another workspace it is; None if it is whole."""
        return self._inside or None

    @property
    def path(self) -> Path | None:
        """The folder; None for an object storage."""
        return None if self._backend.path is None else self._backend.path / self._inside

    def __repr__(self) -> str:
        return f"Workspace({self.location!r})"

    async def put(self, name: str, value: Any, media_type: str | None = None) -> ArtifactInfo:
        """Write an artifact, whole or not at all; one of the same name is replaced.

        In a step it is recorded with the attempt, so that the run's page shows it.

        Args:
            name: within the workspace, such as ``plan.json`` or ``drafts/1.md``.
            value: bytes or text, as they are; a model of pydantic, a dataclass or plain JSON as indented JSON.
            media_type: as the name's suffix says unless given.

        Raises:
            UsageError: the name leads out of the workspace, or not every system could store it.
            PayloadError: the value is no JSON that comes back as it is.
            WorkspaceError: it cannot be written: the workspace is read-only, full, or no folder.
        """
        check_name(name)
        if media_type is not None:
            check_id(media_type, f"the media type of artifact {name!r}")
        if isinstance(value, bytes):
            data = value
        elif isinstance(value, str):
            try:
                data = value.encode()
            except UnicodeEncodeError as error:
                raise PayloadError(f"artifact {name!r}", f"is no text that can be stored: {error}") from None
        else:
            data = readable(codec_for(value).encode(value, f"artifact {name!r}")[1:])
        await self._write(name, data)
        info = ArtifactInfo(
            name, len(data), hashlib.sha256(data).hexdigest(), media_type or media_type_of(name), self._at(name)
        )
        record_artifact(name, info.media_type, info.size_bytes, bytes.fromhex(info.sha256), location=info.location)
        if self._made is not None:
            self._made.append(info)
        return info

    async def get(self, name: str) -> bytes:
        """The bytes of an artifact.

        Raises:
            UsageError: the name leads out of the workspace.
            ArtifactNotFound: there is none.
            WorkspaceError: it cannot be read, or is a link or a device.
        """
        return await self._read(check_name(name))

    async def load(self, name: str, type: type[T]) -> T:
        """The value of an artifact that is JSON, checked.

        Args:
            name: within the workspace.
            type: what it has to be: a model of pydantic, a dataclass, ``list[int]``, …

        Raises:
            PayloadError: it is no JSON, or does not fit; names the file and the place in it.
            ArtifactNotFound: there is none.
        """
        value: T = codec_of(type).decode_body(await self.get(name), f"{self._at(name)}: value")
        return value

    async def names(self) -> list[str]:
        """The names of all artifacts, sorted. Links are left out."""
        backend = self._backend
        found = await (
            in_thread(backend.names, self._inside) if isinstance(backend, Folder) else backend.names(self._inside)
        )
        return sorted(found)

    async def changed(self, name: str, sha256: str) -> bool:
        """Whether an artifact has other bytes than those of a digest, or is gone.

        Args:
            name: within the workspace.
            sha256: in hexadecimal digits, as in `ArtifactInfo`.
        """
        return await self.digest(name) != sha256

    async def digest(self, name: str) -> str | None:
        """The SHA-256 of an artifact's bytes in hexadecimal digits; None if there is none."""
        try:
            return hashlib.sha256(await self.get(name)).hexdigest()
        except ArtifactNotFound:
            return None

    async def ready(self) -> None:
        """Make sure, as far as can be told before, that artifacts can be written: the folder is made.

        Raises:
            WorkspaceError: they cannot: it is read-only, full, a link, or no folder.
        """
        if isinstance(self._backend, Folder):
            await in_thread(self._backend.ready)

    def within(self, folder: str) -> Workspace:
        """A folder of it as a workspace of its own.

        Raises:
            UsageError: the name leads out of the workspace.
        """
        check_name(folder, "the name of a folder")
        return self._like(f"{self._inside}/{folder}" if self._inside else folder, None)

    def noting(self, made: list[ArtifactInfo]) -> Workspace:
        """The same workspace, which adds to a list what is written through it."""
        return self._like(self._inside, made)

    async def put_ours(self, name: str, data: bytes) -> None:
        """Write a file of the workspace's own, which is no artifact."""
        await self._write(name, data)

    async def get_ours(self, name: str) -> bytes:
        """The bytes of a file of the workspace's own.

        Raises:
            ArtifactNotFound: there is none.
        """
        return await self._read(name)

    def _like(self, inside: str, made: list[ArtifactInfo] | None) -> Workspace:
        other = object.__new__(Workspace)
        other._backend, other._inside, other._made = self._backend, inside, made
        return other

    async def _write(self, name: str, data: bytes) -> None:
        backend, inside = self._backend, self._inside
        if isinstance(backend, Folder):
            await in_thread(backend.write, inside, name, data)
        else:
            await backend.write(inside, name, data)

    async def _read(self, name: str) -> bytes:
        backend, inside = self._backend, self._inside
        if isinstance(backend, Folder):
            return await in_thread(backend.read, inside, name)
        return await backend.read(inside, name)

    def _at(self, name: str) -> str:
        return self._backend.at(self._inside, name)


def _backend(location: str | os.PathLike[str]) -> Folder | Objects:
    given = os.fspath(location) if isinstance(location, str | os.PathLike) else location
    if not isinstance(given, str) or not given or "\0" in given:
        raise UsageError(f"the workspace is {location!r}; give the path of a folder, or a URL such as s3://bucket/work")
    if "://" not in given:
        return Folder(Path(os.path.abspath(given)))
    if not given.startswith("file:"):
        return Objects(given)
    parts = urlsplit(given)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not parts.path.startswith("/"):
        raise UsageError(f"the workspace is {given!r}; give file:/// and an absolute path")
    return Folder(Path(os.path.abspath(unquote(parts.path))))


def codec_for(value: object) -> Codec:
    """How a value is stored that nobody annotated: models and dataclasses as what they are, else plain JSON."""
    typed = isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type))
    return codec_of(type(value) if typed else Any)


def readable(body: bytes) -> bytes:
    """JSON as a person reads and compares it: indented, fields in their order, with a newline at the end."""
    return json.dumps(json.loads(body), indent=2, ensure_ascii=False).encode() + b"\n"


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """What a blocking function gives. A caller that is cancelled waits until it has ended: it cannot be stopped."""
    return await to_the_end(asyncio.to_thread(function, *args))


async def to_the_end(work: Awaitable[T]) -> T:
    """What some work gives, which goes on to its end before a cancellation of its caller is raised."""
    future = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if not future.done():
            await asyncio.wait((future,))
        if not future.cancelled():
            future.exception()
        raise
