"""The verbs of values that are kept apart. What gives a run such a value writes it with a batch: see `Batch.blobs`.

A blob that no run and no event that is kept uses may be deleted once it is old enough. Who gives a run a value that
another one has adds the use in the transaction that does it; so for a fork, and where an event is delivered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from holdfast.store.operations import Blob

PART_BYTES = 512 * 1024
"""The database keeps a blob in parts of so many bytes."""

WRITE_BYTES = 8 * 1024 * 1024
"""A statement writes about so many bytes at most."""

READ_BYTES = 64 * 1024 * 1024
"""One read of the database brings about so many bytes at most."""


class UnusedBlob(NamedTuple):
    """A blob that nobody uses. ``location``: see `Blob.location`."""

    id: bytes
    location: str | None


class BlobStore(Protocol):
    """What keeps the bytes of large values, or knows where they are."""

    async def read_blobs(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """The bytes of those of them that the database keeps."""

    async def unused_blobs(self, after: bytes, before: bytes, limit: int) -> tuple[list[UnusedBlob], bytes | None]:
        """Look at up to ``limit`` blobs with ids between two; those that nobody uses, and where to go on, or None."""

    async def still_unused(self, ids: Sequence[bytes]) -> list[bytes]:
        """Those of the blobs that are there, and that nobody uses."""

    async def delete_blobs(self, ids: Sequence[bytes]) -> int:
        """Delete those of the blobs that nobody uses; how many."""


def parts_of(blobs: Sequence[Blob]) -> Iterator[list[tuple[bytes, int, memoryview]]]:
    """The rows of the parts of blobs, in portions of about `WRITE_BYTES`."""
    portion: list[tuple[bytes, int, memoryview]] = []
    size = 0
    for blob in blobs:
        if blob.data is None:
            continue
        data = memoryview(blob.data)
        for number, first in enumerate(range(0, len(data), PART_BYTES)):
            part = data[first : first + PART_BYTES]
            portion.append((blob.id, number, part))
            size += len(part)
            if size >= WRITE_BYTES:
                yield portion
                portion, size = [], 0
    if portion:
        yield portion
