"""What a person, a parent or a time limit asks of a run: cancel, hold, release, retry, fork, begin again.

Each verb runs inside the transaction that the caller opened, and locks in the order that steer.sql says.
"""

from __future__ import annotations

from typing import NamedTuple

from holdfast.model.lanes import Join, Leave
from holdfast.model.notes import decode_note
from holdfast.model.references import used_blob
from holdfast.store.operations import Batch, Continue, Control, Controlled, Fork, Retry, Settle, Started
from holdfast.store.postgres import start_rules
from holdfast.store.postgres.claim import Heads
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import Key, lock_entries
from holdfast.store.postgres.errors import Again
from holdfast.store.postgres.events import lock_topics, watch
from holdfast.store.postgres.lanes import change_lanes
from holdfast.store.postgres.write import satisfy_parents, write
from holdfast.store.sql import statements
from holdfast.store.start_limits import Held, limit_in, with_limit

_SQL = statements("holdfast.store.postgres", "steer.sql")

_ENDED = ("succeeded", "failed", "cancelled")
_NONE = b"\x01null"
"""The payload of None."""


class _Parent(NamedTuple):
    """The wait that a run's end satisfies; ``position`` None when nothing waits."""

    uid: bytes | None
    position: bytes | None
    generation: int | None
    group: int | None

    @property
    def entries(self) -> list[Key]:
        """The journal entry that waits, if any does."""
        if self.uid is None or self.position is None or self.generation is None:
            return []
        return [(self.uid, self.position[: self.group], self.generation)]


class _Run(NamedTuple):
    """A run under lock. ``untouched``: never executed, and without a journal."""

    uid: bytes
    status: str
    generation: int
    control: bytes | None
    untouched: bool
    tenant: str
    queue: str
    workflow: str
    version: str
    protocol: int
    rank: int
    due_at: int | None
    deadline_at: int | None
    lane: bytes | None

    @property
    def kind(self) -> tuple[str, str, str, int]:
        return self.queue, self.workflow, self.version, self.protocol

    @property
    def ends(self) -> bool:
        """Whether it was told to end."""
        return self.control is not None and decode_note(self.control).ends

    @property
    def stops(self) -> bool:
        """Whether it was told to hold."""
        return self.control is not None and decode_note(self.control).action == "hold"


async def control(connection: Connection, control: Control) -> Controlled:
    """Ask something of a run; see `Store.control`.

    Raises:
        Again: the run is being moved just now.
    """
    rows = await connection.fetch(_SQL["read_run"], control.run, control.tenant)
    if not rows:
        return Controlled("missing", "")
    status, untouched, *columns = rows[0]
    if status in _ENDED:
        return Controlled("ended", status)
    parent = _Parent(*columns)
    if untouched:
        await start_rules.lock_of_run(connection, control.run)
    if untouched and control.action in ("cancel", "reject"):
        # It may end here, which nothing else that is asked does.
        await connection.execute(_SQL["lock_topics"], control.run)
        await lock_entries(connection, parent.entries)
    worker: bytes | None = await connection.fetchval(_SQL["lock_running"], control.run)
    run = await _lock_run(connection, control.run)
    if run.status in _ENDED:
        return Controlled("ended", run.status)
    if control.action == "hold":
        return await _hold(connection, control, run, worker)
    if control.action in ("release", "reject"):
        return await _let_go(connection, control, run, worker, parent)
    return await _cancel(connection, control, run, worker, parent)


async def _lock_run(connection: Connection, run: bytes) -> _Run:
    rows = await connection.fetch(_SQL["lock_run"], run)
    if not rows:
        raise Again("the run was deleted meanwhile")
    return _Run(run, *rows[0])


async def _hold(connection: Connection, control: Control, run: _Run, worker: bytes | None) -> Controlled:
    if run.status == "held":
        return Controlled("already", "held")
    if run.ends:
        return Controlled("cancelling", "open")
    if worker is not None:
        return await _ask(connection, control, worker)
    note = with_limit(control.note, await _take_out(connection, run))
    await connection.execute(_SQL["hold"], run.uid, note, control.output, run.tenant)
    return Controlled("done", "held")


async def _ask(connection: Connection, control: Control, worker: bytes) -> Controlled:
    await connection.execute(_SQL["ask"], control.run, control.note)
    return Controlled("asked", "open", worker=worker)


async def _let_go(
    connection: Connection, control: Control, run: _Run, worker: bytes | None, parent: _Parent
) -> Controlled:
    """Let a held run go on, or take back a hold that nobody saw."""
    reject = control.action == "reject"
    if run.status != "held" and (reject or not run.stops):
        return Controlled("not held", run.status)
    by_code = bool(await connection.fetch(_SQL["find_holds"], run.uid))
    if reject and not by_code:
        return await _cancel(connection, control, run, worker, parent)
    if not reject and not by_code and decode_note(control.note).value:
        return Controlled("no value", run.status)
    if run.status != "held":
        if worker is None:
            await _take_out(connection, run)
            await _make_ready(connection, run)
        await connection.execute(_SQL["set_control"], run.uid, None)
        return Controlled("done", run.status)
    outcome, output = ("error", control.output) if reject else ("ok", control.output or _NONE)
    await connection.execute(_SQL["resolve_holds"], run.uid, outcome, output, control.at)
    await connection.execute(_SQL["open"], run.uid, run.control if run.ends else None, run.tenant)
    limit = limit_in(run.control)
    due_at = run.due_at if run.untouched and run.due_at is not None and run.due_at > control.at else None
    if due_at is not None or limit is not None:
        rate = None if limit is None else await start_rules.come_back(connection, limit)
        await connection.execute(_SQL["delay"], run.uid, due_at or control.at, *run.kind, run.rank, run.lane, rate)
        return Controlled("done", "open")
    return Controlled("done", "open", await _join(connection, run))


async def _cancel(
    connection: Connection, control: Control, run: _Run, worker: bytes | None, parent: _Parent
) -> Controlled:
    """End a run that was never executed; tell any other, so that its worker, or the next one, lets it clean up."""
    if control.action == "timeout" and run.deadline_at is not None:
        await connection.execute(_SQL["forget_deadline"], run.deadline_at, run.uid)
    await connection.execute(_SQL["forget_fired"], run.uid)
    if run.ends and run.status == "open":
        return Controlled("already", "open")
    if worker is not None:
        return await _ask(connection, control, worker)
    ends = run.untouched and control.action != "timeout"
    if ends and parent.uid is not None:
        await connection.execute(_SQL["lock_parked"], [run.uid, parent.uid])
    if run.status == "open":
        await _take_out(connection, run)
    if ends:
        return await _end(connection, control, run, parent)
    await connection.execute(_SQL["open"], run.uid, control.note, run.tenant)
    await _make_ready(connection, run)
    return Controlled("done", "open", 1)


async def _end(connection: Connection, control: Control, run: _Run, parent: _Parent) -> Controlled:
    output = control.output or b""
    await connection.execute(_SQL["end"], run.uid, output, control.at, run.tenant)
    end = Settle(
        run=run.uid,
        epoch=0,
        status="cancelled",
        output=output,
        started_at=control.at,
        finished_at=control.at,
        parent_uid=parent.uid,
        parent_position=parent.position,
        parent_generation=parent.generation,
        tenant=run.tenant,
        rank=run.rank,
        lane=run.lane,
        group=parent.group,
    )
    woken = await satisfy_parents(connection, [end])
    if run.lane is not None:
        woken += await change_lanes(connection, [], [Leave(run.lane, run.rank, run.uid)], [])
    return Controlled("done", "cancelled", woken)


async def _take_out(connection: Connection, run: _Run) -> Held | None:
    """Take an open run that nobody executes out of where it stands. It keeps a slot of its lane.

    Returns:
        The limit that it was not counted against yet.

    Raises:
        Again: it is nowhere, so somebody moved it since it was looked for.
    """
    limit = await start_rules.leave(connection, run.uid) if run.untouched else None
    if await connection.execute(_SQL["unpark"], run.uid) == "DELETE 1":
        return limit
    if run.lane is not None:
        await connection.execute(_SQL["lock_lane"], run.lane)
        if await connection.fetch(_SQL["find_in_line"], run.lane, run.rank, run.uid):
            await change_lanes(connection, [], [Leave(run.lane, run.rank, run.uid)], [])
            return None
    if await connection.execute(_SQL["unready"], *run.kind, run.rank, run.uid) == "DELETE 0":
        raise Again("the run was moved meanwhile")
    return None


async def _make_ready(connection: Connection, run: _Run) -> None:
    await connection.execute(_SQL["make_ready"], *run.kind, run.rank, run.uid, run.untouched)


async def _join(connection: Connection, run: _Run) -> int:
    """Make a run ready, or let it join its lane again: how many became ready."""
    if run.lane is None:
        await _make_ready(connection, run)
        return 1
    return await change_lanes(connection, [Join(run.lane, run.rank, run.uid, *run.kind, run.untouched)], [], [])


async def asked(connection: Connection, worker: bytes) -> list[tuple[bytes, bytes | None]]:
    """The worker's runs that are asked something."""
    return [(row[0], row[1]) for row in await connection.fetch(_SQL["asked"], worker)]


async def retry(connection: Connection, retry: Retry) -> bool:
    """Open a run's next generation."""
    rows = await connection.fetch(_SQL["read_run"], retry.run, retry.tenant)
    if not rows:
        return False
    parent = _Parent(*rows[0][2:])
    if retry.watches:
        await lock_topics(connection, retry.watches)
    if parent.group is not None:
        await lock_entries(connection, parent.entries)
    run = await _lock_run(connection, retry.run)
    if run.generation != retry.generation or run.status not in ("failed", "cancelled"):
        return run.generation == retry.generation + 1
    await connection.execute(_SQL["reopen"], run.uid, retry.cuts, retry.rank, run.tenant, retry.deadline_at)
    if run.deadline_at is not None:
        await connection.execute(_SQL["forget_deadline"], run.deadline_at, run.uid)
    if retry.deadline_at is not None:
        await connection.execute(_SQL["insert_deadline"], retry.deadline_at, run.uid, retry.tenant)
    if retry.watches:
        await watch(connection, run.uid, retry.watches, retry.at)
    if parent.group is not None:
        for entry in parent.entries:
            await connection.execute(_SQL["count_again"], *entry)
    await _join(connection, run._replace(rank=retry.rank, untouched=False))
    return True


async def fork(connection: Connection, fork: Fork) -> Started:
    """Start a run with a part of another's journal, and what the attempts of that part made."""
    (started,) = (await write(connection, Batch(starts=[fork.start]), Heads())).starts
    assert isinstance(started, Started), "a fork has no parent whose lease could be lost"
    if started.created:
        await connection.execute(_SQL["insert_edits"], [(*edit, 0) for edit in fork.edits])
        positions, generations = [kept[0] for kept in fork.kept], [kept[1] for kept in fork.kept]
        source = fork.start.forked_from
        await connection.execute(_SQL["copy_entries"], fork.start.uid, source, positions, generations)
    return started


async def continue_as_new(connection: Connection, again: Continue) -> bool:
    """Begin a run again with another input; whether its lease was there, or this was done before."""
    await connection.execute(_SQL["lock_topics"], again.run)
    await connection.execute(_SQL["lock_pending"], again.run)
    leases = await connection.fetch(_SQL["lock_lease"], again.run, again.epoch)
    if not leases:
        return bool(await connection.fetch(_SQL["find_continued"], again.run, again.epoch))
    run = await _lock_run(connection, again.run)
    changes = again.input, again.cuts, again.rank, leases[0][0], used_blob(again.input)
    await connection.execute(_SQL["begin_again"], again.run, again.epoch, *changes)
    if run.lane is not None and again.rank != run.rank:
        await connection.execute(_SQL["lock_lane"], run.lane)
        await connection.execute(_SQL["move_member"], run.lane, run.rank, again.rank, run.uid)
    await _make_ready(connection, run._replace(rank=again.rank, untouched=False))
    return True


async def due_deadlines(connection: Connection, limit: int) -> list[tuple[bytes, str]]:
    """Open runs whose deadline has passed and that have not been told."""
    return [(row[0], row[1]) for row in await connection.fetch(_SQL["due_deadlines"], limit)]


async def fired_watches(connection: Connection, limit: int) -> list[tuple[bytes, str, str]]:
    """Open runs whose cancelling event came and that have not been told."""
    return [(row[0], row[1], row[2]) for row in await connection.fetch(_SQL["fired_watches"], limit)]
