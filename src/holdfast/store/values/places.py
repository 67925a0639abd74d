"""Where the bytes of large values are kept beside the database: object storages, by their URLs, and folders."""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import suppress
from functools import cache
from typing import Any, Protocol

from holdfast.errors import StoreUnavailable, UsageError
from holdfast.model.references import DATABASE

SCHEMES = ("s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "memory")
"""Of the URLs of object storages."""


class Place(Protocol):
    """Keeps bytes by name. Each verb is safe to repeat."""

    async def write(self, name: str, data: bytes) -> None:
        """Keep bytes, whole or not at all; they are there when this returns.

        Raises:
            StoreUnavailable: it cannot be written to; says why.
        """

    async def read(self, name: str) -> bytes | None:
        """The bytes of this name; None if there are none.

        Raises:
            StoreUnavailable: it cannot be read; says why.
        """

    async def delete(self, name: str) -> None:
        """Keep them no longer; nothing if there are none.

        Raises:
            StoreUnavailable: it cannot be written to; says why.
        """


def name_of(id: bytes) -> str:
    """Under which name a blob is kept: spread over folders by its last, random bits."""
    return f"{id[-1]:02x}/{id.hex()}"


@cache
def place_at(where: str) -> Place:
    """The place that a reference names; the same object for one.

    Args:
        where: a folder's path, or the URL of an object storage.

    Raises:
        UsageError: obstore is not installed, or does not take the URL.
        StoreUnavailable: something about it is missing in the environment.
    """
    if where == DATABASE:
        raise UsageError("the database keeps these bytes itself")
    return Folder(where) if os.path.isabs(where) else Objects(where)


class Folder:
    """A folder of this machine.

    Args:
        path: it is made when something is written to it.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    async def write(self, name: str, data: bytes) -> None:
        """See `Place.write`. The bytes, and their name, are on the disk."""
        await self._call("written to", _write, os.path.join(self._path, name), data)

    async def read(self, name: str) -> bytes | None:
        """See `Place.read`."""
        found: bytes | None = await self._call("read", _read, os.path.join(self._path, name))
        return found

    async def delete(self, name: str) -> None:
        """See `Place.delete`."""
        await self._call("written to", _delete, os.path.join(self._path, name))

    async def _call(self, verb: str, work: Any, *given: Any) -> Any:
        try:
            return await asyncio.to_thread(work, *given)
        except OSError as error:
            raise StoreUnavailable(f"the folder of large values, {self._path}, cannot be {verb}: {error}") from error


def _write(path: str, data: bytes) -> None:
    folder = os.path.dirname(path)
    new, above = [], folder
    while not os.path.isdir(above):
        above = os.path.dirname(above)
        new.append(above)
    if new:
        os.makedirs(folder, exist_ok=True)
        for one in new:
            _sync(one)
    beside = f"{path}.{secrets.token_hex(4)}.part"
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    _sync(folder)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _delete(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _sync(folder: str) -> None:
    """See that the names in a folder are on the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class Objects:
    """An object storage: S3, Google Cloud Storage, Azure, or the memory of this process.

    Args:
        url: such as ``s3://bucket/folder``. Its credentials come from the environment.
    """

    def __init__(self, url: str) -> None:
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError:
            raise UsageError('object storage is reached through obstore: pip install "holdfast[objects]"') from None
        self._url = url
        self._errors: tuple[type[Exception], ...] = (BaseError, OSError, ValueError)
        try:
            self._store: Any = from_url(url)
        except self._errors as error:
            raise self._trouble("opened", error) from None

    async def write(self, name: str, data: bytes) -> None:
        """See `Place.write`."""
        try:
            await self._store.put_async(name, data)
        except self._errors as error:
            raise self._trouble("written to", error) from None

    async def read(self, name: str) -> bytes | None:
        """See `Place.read`."""
        try:
            found = await self._store.get_async(name)
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except self._errors as error:
            raise self._trouble("read", error) from None

    async def delete(self, name: str) -> None:
        """See `Place.delete`."""
        try:
            await self._store.delete_async(name)
        except FileNotFoundError:
            return
        except self._errors as error:
            raise self._trouble("written to", error) from None

    def _trouble(self, verb: str, error: Exception) -> StoreUnavailable:
        # Behind the first lines it prints what its library looks like inside.
        said = str(error).split("\n\n")[0]
        return StoreUnavailable(f"the storage of large values, {self._url}, cannot be {verb}: {said}")
