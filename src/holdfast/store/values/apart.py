"""Keeps the bytes of large values apart, and brings them back.

In the database their parts are written with the batch that has the reference. Elsewhere the order is: a row that says
where they will be, the bytes, the batch with the reference and its use. A process that dies on the way leaves a row
that nobody uses, by which the bytes are found and deleted; nothing has to be listed for that.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256

from holdfast.errors import StoreUnavailable, ValueMissing
from holdfast.model.ids import uuid7
from holdfast.model.references import DATABASE, Reference
from holdfast.model.sealed import unopened
from holdfast.store.base import Store
from holdfast.store.blobs import READ_BYTES, UnusedBlob
from holdfast.store.operations import Batch, Blob
from holdfast.store.values.places import name_of, place_at

IN_THREAD_BYTES = 1024 * 1024
"""The digest of more bytes is computed in a thread."""

AT_ONCE = 8
"""So many are written to, or read from, another place at once."""


class Apart:
    """The bytes of large values.

    Args:
        store: what knows of them, and keeps them unless they are elsewhere.
        where: the place of new ones; see `Reference`.
    """

    def __init__(self, store: Store, where: str) -> None:
        self._store = store
        self._where = where
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def refer(self, data: bytes) -> tuple[Reference, Blob]:
        """A reference to bytes, and the blob that keeps them, which is not written yet."""
        large = len(data) > IN_THREAD_BYTES
        digest = await asyncio.to_thread(_digest, data) if large else _digest(data)
        now = time.time_ns() // 1000
        id = uuid7(now, secrets.token_bytes(10))
        if self._where == DATABASE:
            return Reference(id, len(data), digest, DATABASE), Blob(id, len(data), data, now)
        return Reference(id, len(data), digest, self._where), Blob(id, len(data), None, now, self._where)

    async def put(self, kept: Sequence[tuple[Reference, bytes]], blobs: Sequence[Blob]) -> None:
        """Write bytes to another place than the database, each behind the row that says where it is."""
        await self._store.commit(Batch(blobs=list(blobs)))
        await asyncio.gather(*(self._write(reference, data) for reference, data in kept))

    async def _write(self, reference: Reference, data: bytes) -> None:
        async with self._turn:
            await place_at(reference.where).write(name_of(reference.id), data)

    async def fetch(self, references: Sequence[Reference]) -> dict[bytes, bytes]:
        """The bytes of values, by the ids of their blobs; what stands for it of one that is missing or damaged.

        Raises:
            StoreUnavailable: a place cannot be reached.
        """
        wanted = {reference.id: reference for reference in references}
        inside = [one for one in wanted.values() if one.where == DATABASE]
        found: dict[bytes, bytes | None] = {}
        for portion in _portions(inside):
            found.update(await self._store.blobs.read_blobs([one.id for one in portion]))
        outside = [one for one in wanted.values() if one.where != DATABASE]
        found.update(zip([one.id for one in outside], await asyncio.gather(*map(self._read, outside)), strict=True))
        return {id: await self._checked(reference, found.get(id)) for id, reference in wanted.items()}

    async def _read(self, reference: Reference) -> bytes | None:
        async with self._turn:
            return await place_at(reference.where).read(name_of(reference.id))

    async def _checked(self, reference: Reference, data: bytes | None) -> bytes:
        large = reference.size > IN_THREAD_BYTES
        fault = await asyncio.to_thread(reference.fault, data) if large else reference.fault(data)
        if fault is None:
            assert data is not None
            return data
        return unopened(reference.to_bytes(), ValueMissing("a value", fault))

    async def delete(self, unused: Sequence[UnusedBlob]) -> int:
        """Delete blobs that were seen unused, and still are: the bytes that are elsewhere, then the rows; how many.

        Raises:
            StoreUnavailable: a place cannot be reached; what is in others is deleted.
        """
        trouble: list[StoreUnavailable] = []
        gone: list[bytes] = []
        still = set(await self._store.blobs.still_unused([one.id for one in unused]))
        for one in unused:
            if one.id not in still:
                continue
            try:
                if one.location is not None:
                    await place_at(one.location).delete(name_of(one.id))
                gone.append(one.id)
            except StoreUnavailable as error:
                trouble.append(error)
        deleted = await self._store.blobs.delete_blobs(gone) if gone else 0
        if trouble:
            raise trouble[0]
        return deleted


def _digest(data: bytes) -> bytes:
    return sha256(data).digest()


def _portions(references: Sequence[Reference]) -> Iterator[list[Reference]]:
    """References in portions of about as many bytes as are read at once."""
    portion: list[Reference] = []
    size = 0
    for one in references:
        if portion and size + one.size > READ_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(one)
        size += one.size
    if portion:
        yield portion
