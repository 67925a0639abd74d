"""Streams of runs: who writes what of them, what a reset withdraws, and what of a stream holds.

A stream is a list of chunks with offsets from 0. Several parts of a run may write to it: the workflow's own code, each
branch of it by itself, and attempts of steps. Chunks stay where they are. What a part wrote that does not hold any
more, as that of an attempt that failed, is withdrawn by a reset behind it, which names offsets of that part alone, so
that what others wrote in between stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

ChunkKind = Literal["data", "reset", "end"]

Range = tuple[int, int]
"""Offsets from the first to the last."""

WORKFLOW, STEP = b"w", b"s"

_RANGES = msgspec.json.Decoder(list[Range])


def encode_ranges(ranges: Sequence[Range]) -> bytes:
    """The offsets that a reset withdraws, as they are stored: JSON without a header, which no codec seals."""
    return msgspec.json.encode(ranges)


def decode_ranges(data: bytes) -> list[Range]:
    """What `encode_ranges` gave."""
    return _RANGES.decode(data)


def workflow_writer(branch: bytes) -> bytes:
    """A branch of the workflow's own code as the writer of chunks."""
    return WORKFLOW + branch


def step_writer(position: bytes) -> bytes:
    """A step as the writer of chunks: the same for each of its attempts."""
    return STEP + position


def step_of(writer: bytes) -> bytes | None:
    """The position of the step that a writer is; None for the workflow's own code."""
    return writer[1:] if writer[:1] == STEP else None


@dataclass(frozen=True, slots=True)
class StreamChunk:
    """A part of a stream.

    Attributes:
        offset: where it stands, from 0, without gaps.
        kind: ``data``, a value; ``reset``, some values from before do not hold any more; ``end``, nothing follows.
        value: the value, plain JSON; of a reset the offsets that it withdraws, as a list of [first, last]; of an end
            None.
        at: when it was written.
    """

    offset: int
    kind: ChunkKind
    value: Any
    at: datetime

    def withdraws(self, offset: int) -> bool:
        """Whether the value at an offset does not hold any more because of this chunk."""
        return self.kind == "reset" and any(first <= offset <= last for first, last in self.value)


@dataclass(frozen=True, slots=True)
class StreamView:
    """A stream of a run.

    Attributes:
        name: within the run.
        next_offset: of the chunk that is written next: so many there are.
        ended: it was closed, so that there will be none.
    """

    name: str
    next_offset: int
    ended: bool


def valid_chunks(chunks: Iterable[StreamChunk]) -> list[StreamChunk]:
    """The chunks of a stream whose values hold: its data without what a reset withdraws, in order.

    Args:
        chunks: in order of offset, from the first that matters on.
    """
    kept: dict[int, StreamChunk] = {}
    for chunk in chunks:
        if chunk.kind == "data":
            kept[chunk.offset] = chunk
        elif chunk.kind == "reset":
            for first, last in chunk.value:
                for offset in range(first, last + 1):
                    kept.pop(offset, None)
    return list(kept.values())


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The same offsets in order, as few ranges as can be."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found


def without(ranges: Sequence[Range], withdrawn: Sequence[Range]) -> list[Range]:
    """What is left of some ranges.

    Args:
        ranges: in order, apart from each other.
        withdrawn: as `merged` gives.
    """
    left: list[Range] = []
    place = 0
    for first, last in ranges:
        while place < len(withdrawn) and withdrawn[place][1] < first:
            place += 1
        at = place
        while at < len(withdrawn) and withdrawn[at][0] <= last:
            if first < withdrawn[at][0]:
                left.append((first, withdrawn[at][0] - 1))
            first = withdrawn[at][1] + 1
            at += 1
        if first <= last:
            left.append((first, last))
    return left
