"""The verbs of streams. What a run writes to them is written under its lease, with a batch: see `Batch.chunks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from holdfast.model.streams import ChunkKind

PAGE_BYTES = 1024 * 1024
"""A page of chunks is about so large at most."""

CHUNKS_AT_ONCE = 5000
"""So many chunks are deleted in one transaction at most."""


class ChunkRow(NamedTuple):
    """A chunk as it is read; see `NewChunk`."""

    offset: int
    kind: ChunkKind
    data: bytes
    at: int


class ChunkPage(NamedTuple):
    """Some chunks of a stream, in order.

    Attributes:
        status: the stored status of the run when they were read; None where the tenant has no such run.
        chunks: those that follow the one that was asked for, without gaps.
    """

    status: str | None
    chunks: list[ChunkRow]


class StreamRow(NamedTuple):
    """A stream of a run: the offset of the next chunk, and whether there will be none."""

    name: str
    next_offset: int
    ended: bool


class Stretch(NamedTuple):
    """Chunks with offsets one behind the other and all else alike; a reset is one by itself.

    Attributes:
        data: of a reset; empty for the others.
    """

    first: int
    last: int
    kind: ChunkKind
    writer: bytes
    generation: int
    seq: int
    data: bytes


Reading = tuple[bytes, str, int]
"""Somebody who reads: the run, the stream, and the offset of the last chunk that they have."""


class StreamStore(Protocol):
    """What keeps the chunks of streams as long as their runs."""

    async def read_chunks(self, tenant: str, run: bytes, stream: str, after: int, limit: int) -> ChunkPage:
        """The chunks behind an offset: up to ``limit``, and no more than `PAGE_BYTES` but for the first."""

    async def list_streams(self, tenant: str, run: bytes, limit: int) -> list[StreamRow]:
        """The streams of a run, by name."""

    async def tail(self, run: bytes, stream: str) -> list[Stretch]:
        """What a stream consists of, in order of offset: who wrote which of its chunks."""

    async def moved(self, readings: Sequence[Reading]) -> list[int]:
        """Which of these, by their place in the list, have something to read, or a run that is over or gone."""
