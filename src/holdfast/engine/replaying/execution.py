"""An execution that replays: what is recorded is given again, and where nothing is, it stops.

Each durable call at a recorded position returns what stands there. One at a position where nothing stands, or where
the outcome is still awaited, raises `Ended` in its branch of the run; the other branches go on to their own ends, as
they would in a worker. Whatever the code does on its way out is ignored: calls that it numbers after that raise again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from holdfast.engine.context import Scope, place
from holdfast.engine.execution import MARK, Execution
from holdfast.engine.recorded import Recorded
from holdfast.errors import Evicted, PayloadError
from holdfast.model.decision import Open, decode_decision
from holdfast.model.failure import decode_failure, with_seq
from holdfast.model.payload import HEADER
from holdfast.model.position import encode_number, format_position, numbers_of
from holdfast.model.run import Entry, Kind, Outcome, Status
from holdfast.model.sealed import is_unopened, refuse
from holdfast.store.rows import ChildRow
from holdfast.store.values.forms import is_special

if TYPE_CHECKING:
    from holdfast.engine.replaying.shell import Reads, Shell
    from holdfast.engine.step import Step
    from holdfast.engine.workflow import Workflow
    from holdfast.store.operations import ClaimedRun

STEP, SLEEP, NOW, FIRST = map(str, (Kind.STEP, Kind.SLEEP, Kind.NOW, Kind.FIRST))
CHILD, MAP = str(Kind.CHILD), str(Kind.MAP)
PLAIN = HEADER[0]
OK, ERROR = str(Outcome.OK), str(Outcome.ERROR)

REASONS_AT_MOST = 20
"""So many reasons are told of one run."""


class Ended(Evicted):
    """The replay came to the end of what is recorded."""


class ReplayedExecution(Execution):
    """A run that is replayed.

    Args:
        shell: what stands in for a worker.
        run: as it would be claimed.
        workflow: the code.
        recorded: what is recorded of the run, and in force.
        reads: what its code may read, as it was when it was recorded.
        at: when it was recorded, as far as it is: what is due later is not over.
        over: it has ended, so that all that was ever asked for is recorded.

    Attributes:
        rows: the journal as it was read, which looks like entries from the front.
        asked: the recorded positions that were asked for.
        ends: positions at which the replay stopped, with what the code asked for there.
        faults: why the code does not fit.
        firsts: calls of ``hf.first``: the branch they were made in, their position, and which call won, if it is
            recorded.
        scopes: branches of fan-outs in which calls were made.
        trouble: what kept it from reading.
    """

    __slots__ = ("_at", "_behind", "_entries", "_fans", "_last", "_over", "_reads", "_wanted", "asked", "ends",
                 "faults", "firsts", "rows", "scopes", "trouble")  # fmt: skip

    rows: dict[bytes, Any]
    _entries: dict[bytes, Entry] | None

    def __init__(
        self,
        shell: Shell,
        run: ClaimedRun,
        workflow: Workflow[Any, Any],
        recorded: Recorded,
        reads: Reads,
        *,
        at: int,
        over: bool,
    ) -> None:
        super().__init__(shell, run, workflow, recorded)  # type: ignore[arg-type]
        self._reads = reads
        self._at = at
        # The child runs that each branch has asked for last: branches go on in between.
        self._fans: dict[asyncio.Task[Any] | None, tuple[bytes, str]] = {}
        self._last = b""
        self._over = over
        self._behind: list[tuple[bytes, bytes]] = []
        self._wanted: dict[bytes, str] = {}
        self.asked: set[bytes] = set()
        self.ends: dict[bytes, str] = {}
        self.faults: list[str] = []
        self.firsts: list[tuple[bytes, bytes, int | None]] = []
        self.scopes: set[bytes] = set()
        self.trouble: Exception | None = None

    @property
    def journal(self) -> dict[bytes, Entry]:
        """See `Execution.journal`; made when it is asked for, since most runs are replayed from their rows alone."""
        if self._entries is None:
            self._entries = {position: Entry._make(row[:6]) for position, row in self.rows.items()}
        return self._entries

    @journal.setter
    def journal(self, rows: dict[bytes, Any]) -> None:
        self.rows = rows
        self._entries = None

    # Where it stops

    def blame(self, reason: str) -> Ended:
        """The code does not fit, for this reason: its branch goes no further."""
        if len(self.faults) < REASONS_AT_MOST and reason not in self.faults:
            self.faults.append(reason)
        self._close()
        return Ended(reason)

    def _close(self) -> None:
        """What the calling branch numbers from here on is none of the run's."""
        here = place.get()
        if isinstance(here, Scope):
            self._behind.append((here.prefix, here.prefix + encode_number(here.count)))

    def _end(self, position: bytes) -> Ended:
        self.ends[position] = self._wanted.get(position, "")
        self._close()
        return Ended(f"run {self.run.id!r}: the end of what is recorded")

    def _stop(self, position: bytes) -> NoReturn:
        """Something new is asked for: a run that is being cancelled raises that, any other has come to its end."""
        if self.cancelling and (self._over or not self.shielded(position)):
            raise self.cancelled(position)
        raise self._end(position)

    # The journal

    def recorded(self, position: bytes, kind: str, name: str) -> Entry | None:
        """See `Execution.recorded`; what is asked for is noted."""
        for prefix, behind in self._behind:
            if position >= behind and position.startswith(prefix):
                raise Ended(f"run {self.run.id!r}: its replay has ended")
        here = place.get()
        if isinstance(here, Scope) and here.prefix:
            self.scopes.add(here.prefix)
        self._last = position
        entry = self.journal.get(position)
        if entry is None or entry.kind == kind:
            self._wanted[position] = f"{kind} {name!r}"
        if entry is not None:
            self.asked.add(position)
        if self.cancelling and position + MARK in self.journal:
            self.delivered = True
            raise self.cancelled(position)
        if entry is None:
            if kind == NOW:
                self._stop(position)
            if kind == FIRST:
                self.firsts.append((_branch_of(position), position, None))
            return None
        if entry.kind != kind or entry.name != name:
            raise self.blame(
                f"nondeterminism at position {format_position(position)}: {entry.kind} {entry.name!r} is recorded, "
                f"and the code asks for {kind} {name!r}"
            )
        if kind == FIRST:
            winner = decode_decision(entry.output or b"").winner
            self.firsts.append((_branch_of(position), position, winner))
        elif kind in (CHILD, MAP):
            self._fans[asyncio.current_task()] = position, name
        return entry

    def _check_results(self, position: bytes, name: str, outputs: list[bytes | None]) -> None:
        """Results of child runs are looked at before the run's own code, which may catch what it gets for them."""
        workflow = self.dispatcher.workflow_called(name)  # type: ignore[attr-defined]
        try:
            for output in outputs:
                if is_unopened(output):
                    refuse(output or b"", f"what {name!r} gave")
                if is_special(output):
                    continue  # it is fetched first
                workflow.signature.result.decode(output or b"", workflow.signature.result_place)
        except PayloadError as error:
            raise self.unreadable(position, error) from None

    def unreadable(self, position: bytes, error: PayloadError) -> Ended:
        """What is recorded does not fit the annotation that the code has for it now."""
        return self.blame(f"the value recorded at position {format_position(position)} cannot be read: {error}")

    async def record(self, row: tuple[Any, ...]) -> Entry | None:
        """Nothing is recorded: here the replay ends."""
        self._stop(row[1])

    async def read(self, query: Callable[[Any], Awaitable[Any]]) -> Any:
        """Read what was recorded elsewhere; nothing is written through it."""
        try:
            found = await query(self._reads)
        except Exception as error:
            self.trouble = error
            raise Ended(str(error)) from error
        if isinstance(found, list) and found and isinstance(found[0], ChildRow):
            position, name = self._fans[asyncio.current_task()]
            self._check_results(position, name, [row.output for row in found if row.status == Status.SUCCEEDED])
        return found

    async def whole(self, entry: Entry) -> Entry:
        """See `Execution.whole`."""
        if is_special(entry.output):
            [entry] = await self.read(lambda reads: reads.fetched([entry], "output"))
        if entry.kind == CHILD and entry.outcome == OK:
            self._check_results(*self._fans[asyncio.current_task()], [entry.output])
        elif is_unopened(entry.output):
            try:
                refuse(entry.output or b"", f"what {entry.kind} {entry.name!r} gave")
            except PayloadError as error:
                raise self.unreadable(self._last, error) from None
        return entry

    # Before something new

    def may_leave(self) -> None:
        """A child run, or a fan-out of them, has not ended: so far is recorded."""
        self._stop(self._last)

    async def may_go_on(self, position: bytes) -> None:
        """Something new is asked for."""
        self._stop(position)

    async def may_go_on_or_mark(self, position: bytes, entry: Entry | None) -> None:
        """Something new is asked for, or what is recorded has no outcome yet."""
        self._stop(position)

    async def deliver_cancel(self, position: bytes) -> Any:
        """See `Execution.deliver_cancel`; nothing is marked."""
        return self.cancelled(position)

    async def abandon(self, losing: Sequence[Open]) -> None:
        """Nobody is told of what lost."""

    # Calls

    async def step(self, step: Step[Any, Any], position: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Give what the step gave."""
        if not (self.stopped or self._behind) and len(position) == 1 and (row := self.rows.get(position)) is not None:
            output = row[3]
            if row[0] == STEP and row[1] == step.name and row[2] == OK and output and output[0] == PLAIN:
                # As nearly all are: in the run's own branch, before anything ends, and well.
                self.asked.add(position)
                try:
                    return step.signature.result.decode(output, step.signature.result_place)
                except PayloadError as error:
                    raise self.unreadable(position, error) from None
        if self.stopped:
            self.check()
        entry = self.recorded(position, STEP, step.name)
        if entry is None:
            self._stop(position)
        entry = await self.whole(entry)
        if entry.outcome == ERROR:
            raise with_seq(decode_failure(entry.output or b""), entry.seq)
        try:
            return step.signature.result.decode(entry.output or b"", step.signature.result_place)
        except PayloadError as error:
            raise self.unreadable(position, error) from None

    async def sleep(self, position: bytes, seconds: float | None, until_us: int | None) -> None:
        """A sleep that is recorded is over, unless its time has not come in a run that is open."""
        self.check()
        entry = self.recorded(position, SLEEP, "hf.sleep")
        if entry is None or (not self._over and int(entry.output or b"0") > self._at):
            self._stop(position)


def _branch_of(position: bytes) -> bytes:
    """The branch in which a call was numbered, which need not be the one that awaits it."""
    return position[: -len(encode_number(numbers_of(position)[-1]))]
