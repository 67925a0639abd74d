"""The streams of a run as they are written in this process: offsets are handed out here, since a run executes once.

Nothing is read for a first execution. A run that goes on has each stream's tail read when it is first written to, and
one that was retried at its beginning, to withdraw what the entries that are kept did not write.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from holdfast.engine.context import StepFrame
from holdfast.errors import PayloadError
from holdfast.model.generations import base_of, decode_cuts, in_force
from holdfast.model.streams import (
    ChunkKind,
    Range,
    decode_ranges,
    encode_ranges,
    merged,
    step_of,
    step_writer,
    without,
)
from holdfast.store.operations import LOST, NewChunk, Refusal
from holdfast.store.streams import Stretch

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution

log = logging.getLogger("holdfast.run")

CHUNK_BYTES = 1024 * 1024
"""The largest chunk, as it is stored."""

QUEUED_AT_MOST = 256
QUEUED_BYTES = 4 * 1024 * 1024
"""So much of a run is queued before its writers wait."""

RANGES_AT_ONCE = 10_000
"""So many ranges a reset names at most."""

STREAMS_AT_MOST = 10_000


class Written:
    """A stream as it stands.

    Attributes:
        next: the offset of the next chunk.
        ended: the offset of its end; None while it is open.
        own: by writer the offsets that hold, in ranges; what an earlier beginning of the run wrote is nobody's.
        kept: by writer how many there were of them when the run began here.
        attempts: by step the attempt that used it last.
        turn: whoever writes has it, in order.
        known: its tail has been read.
    """

    __slots__ = ("attempts", "ended", "kept", "known", "next", "own", "turn")

    def __init__(self, known: bool) -> None:
        self.next = 0
        self.ended: int | None = None
        self.own: dict[bytes, list[Range]] = {}
        self.kept: dict[bytes, int] = {}
        self.attempts: dict[bytes, StepFrame] = {}
        self.turn = asyncio.Lock()
        self.known = known


class RunStreams:
    """What a run writes to its streams.

    Args:
        execution: of the run.

    Attributes:
        calls: by stream and writer how many calls of a workflow's own code there were.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._streams: dict[str, Written] = {}
        self._queued = 0
        self._queued_bytes = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._pending: set[asyncio.Future[Refusal | None]] = set()
        self._broken = False
        self.calls: defaultdict[tuple[str, bytes], int] = defaultdict(int)

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Written]:
        """The stream, for one writer at a time, in the order in which they ask."""
        written = self._streams.get(name)
        if written is None:
            written = self._streams[name] = Written(known=self._execution.run.fresh)
        async with written.turn:
            if not written.known:
                await self._read(name, written)
            yield written

    async def room(self, size: int) -> None:
        """Wait until a chunk of so many bytes can be queued."""
        while self._queued and (self._queued >= QUEUED_AT_MOST or self._queued_bytes + size > QUEUED_BYTES):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    def add(self, name: str, kind: ChunkKind, writer: bytes, data: bytes) -> None:
        """Queue a chunk of a stream that is known; nothing where one before it could not be written."""
        if self._broken:
            return
        execution, written = self._execution, self._streams[name]
        run, offset = execution.run, written.next
        written.next = offset + 1
        if kind == "end":
            written.ended = offset
        if kind != "reset":
            ranges = written.own.setdefault(writer, [])
            if ranges and ranges[-1][1] == offset - 1:
                ranges[-1] = ranges[-1][0], offset
            else:
                ranges.append((offset, offset))
        chunk = NewChunk(
            run.uid, run.epoch, name, offset, kind, data, execution.core.now_us(), writer, run.generation, execution.seq
        )
        self._queued += 1
        self._queued_bytes += len(data)
        future = execution.committer.submit("chunks", chunk)
        self._pending.add(future)
        future.add_done_callback(functools.partial(self._done, len(data)))

    def end(self, name: str, writer: bytes) -> None:
        """Queue the end of a stream that is known, unless it has one."""
        if self._streams[name].ended is None:
            self.add(name, "end", writer, b"")

    def withdraw(self, name: str, writer: bytes, ranges: Sequence[Range]) -> None:
        """Queue a reset of some chunks; several where it would be too large for one."""
        written = self._streams[name]
        for first in range(0, len(ranges), RANGES_AT_ONCE):
            self.add(name, "reset", writer, encode_ranges(ranges[first : first + RANGES_AT_ONCE]))
        for one, offsets in list(written.own.items()):
            left = without(offsets, ranges)
            if left:
                written.own[one] = left
            else:
                del written.own[one]
        if written.ended is not None and any(first <= written.ended <= last for first, last in ranges):
            written.ended = None

    def _done(self, size: int, future: asyncio.Future[Refusal | None]) -> None:
        self._pending.discard(future)
        self._queued -= 1
        self._queued_bytes -= size
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)
        execution = self._execution
        if future.cancelled():
            return
        if (error := future.exception()) is not None:
            # What is queued behind it is not written either, so that offsets have no gap.
            self._broken = True
            for behind in self._pending:
                behind.cancel()
            if execution.dead:
                return
            if isinstance(error, PayloadError):
                execution.fail(error)
            else:
                log.error("a stream of run %s cannot be written here, giving it back: %s", execution.run.id, error)
                execution.leave()
        elif future.result() == LOST and not execution.dead:
            execution.lost()

    async def _read(self, name: str, written: Written) -> None:
        execution = self._execution
        run, cuts = execution.run, decode_cuts(execution.run.cuts)
        base = base_of(run.cuts)
        stretches = await execution.read(lambda store: store.streams.tail(run.uid, name))
        gone = merged(one for stretch in stretches if stretch.kind == "reset" for one in decode_ranges(stretch.data))
        stale: list[Range] = []
        for stretch in stretches:
            written.next = max(written.next, stretch.last + 1)
            left = without([(stretch.first, stretch.last)], gone)
            if stretch.kind == "reset" or not left:
                continue
            if stretch.kind == "end":
                written.ended = stretch.last
            if stretch.generation >= base:
                written.own.setdefault(stretch.writer, []).extend(left)
                if not self._is_kept(stretch, cuts):
                    stale += left
        written.own = {writer: merged(ranges) for writer, ranges in written.own.items()}
        written.known = True
        if stale:
            if written.ended is not None:
                # It goes on: whoever closed it and is executed again closes it again.
                stale.append((written.ended, written.ended))
            self.withdraw(name, b"", merged(stale))
        written.kept = {
            writer: sum(last - first + 1 for first, last in ranges)
            for writer, ranges in written.own.items()
            if step_of(writer) is None
        }

    def _is_kept(self, stretch: Stretch, cuts: list[tuple[int, int]]) -> bool:
        """Whether what was written goes with entries that are replayed, or may still be gone on with."""
        if stretch.generation == self._execution.run.generation:
            return True
        position = step_of(stretch.writer)
        if position is None:
            return in_force(stretch.generation, stretch.seq, cuts)
        entry = self._execution.journal.get(position)
        return entry is not None and in_force(stretch.generation, entry.seq, cuts)

    async def begin(self) -> None:
        """Read every stream that there is, so that what does not hold any more is withdrawn."""
        run = self._execution.run
        rows = await self._execution.read(
            lambda store: store.streams.list_streams(run.tenant, run.uid, STREAMS_AT_MOST)
        )
        for row in rows:
            async with self.turn(row.name):
                pass


def streams_of(execution: Execution) -> RunStreams:
    """The streams of a run, as long as it is executed here."""
    found: RunStreams | None = execution.companions.get(RunStreams)
    if found is None:
        found = execution.companions[RunStreams] = RunStreams(execution)
    return found


async def begin_again(execution: Execution) -> None:
    """Withdraw from the streams of a run that was retried what the kept entries did not write."""
    if execution.run.generation > base_of(execution.run.cuts):
        await streams_of(execution).begin()


def close_streams(frame: StepFrame) -> None:
    """End the streams that an attempt closed, with its success."""
    streams = streams_of(frame.execution)
    for name in frame.closing:
        streams.end(name, step_writer(frame.position))
