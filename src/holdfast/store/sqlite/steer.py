"""What a person, a parent or a time limit asks of a run: cancel, hold, release, retry, fork, begin again.

Each verb runs inside the transaction that the caller opened.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from holdfast.model.lanes import Join, Leave
from holdfast.model.notes import decode_note
from holdfast.store.operations import Continue, Control, Controlled, Fork, Retry, Settle, Started
from holdfast.store.sql import statements
from holdfast.store.sqlite import start_rules
from holdfast.store.sqlite.blobs import copy_uses, use_only
from holdfast.store.sqlite.events import watch
from holdfast.store.sqlite.lanes import change_lanes
from holdfast.store.sqlite.rows import execute_many
from holdfast.store.sqlite.write import satisfy_parents, start_runs
from holdfast.store.start_limits import Held, limit_in, with_limit

_SQL = statements("holdfast.store.sqlite", "steer.sql")

_ENDED = ("succeeded", "failed", "cancelled")
_NONE = b"\x01null"
"""The payload of None."""


class _Run(NamedTuple):
    """A run, and who executes it. ``untouched``: never executed, and without a journal."""

    uid: bytes
    tenant: str
    status: str
    generation: int
    control: bytes | None
    untouched: bool
    queue: str
    workflow: str
    version: str
    protocol: int
    rank: int
    due_at: int | None
    deadline_at: int | None
    lane: bytes | None
    parent_uid: bytes | None
    parent_position: bytes | None
    parent_generation: int | None
    parent_group: int | None
    worker: bytes | None

    @property
    def kind(self) -> tuple[str, str, str, int]:
        return self.queue, self.workflow, self.version, self.protocol

    @property
    def ends(self) -> bool:
        """Whether it was told to end."""
        return _ends(self.control)

    @property
    def stops(self) -> bool:
        """Whether it was told to hold."""
        return self.control is not None and decode_note(self.control).action == "hold"


def _ends(note: bytes | None) -> bool:
    return note is not None and decode_note(note).ends


def _find(connection: sqlite3.Connection, run: bytes, tenant: str) -> _Run | None:
    row = connection.execute(_SQL["find_run"], (run, tenant)).fetchone()
    return None if row is None else _Run(*row)


def control(connection: sqlite3.Connection, control: Control) -> Controlled:
    """Ask something of a run; see `Store.control`."""
    run = _find(connection, control.run, control.tenant)
    if run is None:
        return Controlled("missing", "")
    if run.status in _ENDED:
        return Controlled("ended", run.status)
    match control.action:
        case "hold":
            return _hold(connection, control, run)
        case "release" | "reject":
            return _let_go(connection, control, run)
        case "cancel" | "timeout":
            return _cancel(connection, control, run)


def _cancel(connection: sqlite3.Connection, control: Control, run: _Run) -> Controlled:
    """End a run that was never executed; let a worker clean up after any other."""
    if run.deadline_at is not None and control.action == "timeout":
        connection.execute(_SQL["forget_deadline"], (run.deadline_at, run.uid))
    connection.execute(_SQL["forget_fired"], (run.uid,))
    if run.ends and run.status == "open":
        return Controlled("already", run.status)
    if run.worker is not None:
        return _ask(connection, control, run.worker)
    if run.untouched and control.action != "timeout":
        return _end(connection, control, run)
    _take_out(connection, run)
    _open(connection, run, control.note)
    _make_ready(connection, run)
    return Controlled("done", "open", 1)


def _ask(connection: sqlite3.Connection, control: Control, worker: bytes) -> Controlled:
    connection.execute(_SQL["set_control"], (control.note, control.run))
    connection.execute(_SQL["ask"], (control.run,))
    return Controlled("asked", "open", worker=worker)


def _end(connection: sqlite3.Connection, control: Control, run: _Run) -> Controlled:
    output = control.output or b""
    _take_out(connection, run)
    connection.execute(_SQL["end"], (output, control.at, run.uid))
    connection.execute(_SQL["delete_troubled"], (run.tenant, "held", run.uid))
    connection.execute(_SQL["insert_troubled"], (run.tenant, "cancelled", run.uid))
    connection.execute(_SQL["forget_waits"], (run.uid,))
    end = Settle(
        run=run.uid,
        epoch=0,
        status="cancelled",
        output=output,
        started_at=control.at,
        finished_at=control.at,
        parent_uid=run.parent_uid,
        parent_position=run.parent_position,
        parent_generation=run.parent_generation,
        tenant=run.tenant,
        rank=run.rank,
        lane=run.lane,
        group=run.parent_group,
    )
    woken = satisfy_parents(connection, [end])
    if run.lane is not None:
        woken += change_lanes(connection, [], [Leave(run.lane, run.rank, run.uid)], [])
    return Controlled("done", "cancelled", woken)


def _hold(connection: sqlite3.Connection, control: Control, run: _Run) -> Controlled:
    if run.status == "held":
        return Controlled("already", "held")
    if run.ends:
        return Controlled("cancelling", "open")
    if run.worker is not None:
        return _ask(connection, control, run.worker)
    note = with_limit(control.note, _take_out(connection, run))
    connection.execute(_SQL["hold"], (note, control.output, run.uid))
    connection.execute(_SQL["insert_troubled"], (run.tenant, "held", run.uid))
    return Controlled("done", "held")


def _let_go(connection: sqlite3.Connection, control: Control, run: _Run) -> Controlled:
    """Let a held run go on, or take back a hold that nobody saw."""
    reject = control.action == "reject"
    if run.status != "held" and (reject or not run.stops):
        return Controlled("not held", run.status)
    asked_by_code = connection.execute(_SQL["find_holds"], (run.uid,)).fetchone() is not None
    if reject and not asked_by_code:
        return _cancel(connection, control, run)
    if not reject and not asked_by_code and decode_note(control.note).value:
        return Controlled("no value", run.status)
    if run.status != "held":
        connection.execute(_SQL["set_control"], (None, run.uid))
        return Controlled("done", run.status)
    outcome, output = ("error", control.output) if reject else ("ok", control.output or _NONE)
    connection.execute(_SQL["resolve_holds"], (outcome, output, control.at, run.uid))
    _open(connection, run, run.control if run.ends else None)
    limit = limit_in(run.control)
    due_at = run.due_at if run.untouched and run.due_at is not None and run.due_at > control.at else None
    if due_at is not None or limit is not None:
        rate = None if limit is None else start_rules.come_back(connection, limit)
        connection.execute(_SQL["delay"], (run.uid, due_at or control.at, *run.kind, run.rank, run.lane, rate))
        return Controlled("done", "open")
    return Controlled("done", "open", _join(connection, run))


def _open(connection: sqlite3.Connection, run: _Run, note: bytes | None) -> None:
    connection.execute(_SQL["open"], (note, run.uid))
    connection.execute(_SQL["delete_troubled"], (run.tenant, "held", run.uid))


def _take_out(connection: sqlite3.Connection, run: _Run) -> Held | None:
    """Take a run that nobody executes out of where it stands. It keeps a slot of its lane.

    Returns:
        The limit that it was not counted against yet.
    """
    limit = start_rules.leave(connection, run.uid) if run.untouched else None
    connection.execute(_SQL["unpark"], (run.uid,))
    connection.execute(_SQL["unready"], (*run.kind, run.rank, run.uid))
    connection.execute(_SQL["leave_line"], (run.uid,))
    return limit


def _make_ready(connection: sqlite3.Connection, run: _Run) -> None:
    connection.execute(_SQL["make_ready"], (*run.kind, run.rank, run.uid, run.untouched))


def _join(connection: sqlite3.Connection, run: _Run) -> int:
    """Make a run ready, or let it join its lane again: how many became ready."""
    if run.lane is None:
        _make_ready(connection, run)
        return 1
    return change_lanes(connection, [Join(run.lane, run.rank, run.uid, *run.kind, bool(run.untouched))], [], [])


def asked(connection: sqlite3.Connection, worker: bytes) -> list[tuple[bytes, bytes | None]]:
    """The worker's runs that are asked something."""
    return connection.execute(_SQL["asked"], (worker,)).fetchall()


def retry(connection: sqlite3.Connection, retry: Retry) -> bool:
    """Open a run's next generation; whether it is open, by this or by an earlier call."""
    run = _find(connection, retry.run, retry.tenant)
    if run is None:
        return False
    if run.generation != retry.generation or run.status not in ("failed", "cancelled"):
        return run.generation == retry.generation + 1
    connection.execute(_SQL["reopen"], (retry.cuts, retry.rank, retry.deadline_at, run.uid))
    connection.execute(_SQL["delete_troubled"], (run.tenant, run.status, run.uid))
    if run.deadline_at is not None:
        connection.execute(_SQL["forget_deadline"], (run.deadline_at, run.uid))
    if retry.deadline_at is not None:
        connection.execute(_SQL["insert_deadline"], (retry.deadline_at, run.uid, run.tenant))
    if retry.watches:
        watch(connection, [(run.uid, topic, retry.at) for topic in retry.watches])
    if run.parent_group is not None and run.parent_position is not None:
        fan_out = run.parent_position[: run.parent_group]
        connection.execute(_SQL["count_again"], (run.parent_uid, fan_out, run.parent_generation))
    _join(connection, run._replace(rank=retry.rank, untouched=False))
    return True


def fork(connection: sqlite3.Connection, fork: Fork) -> Started:
    """Start a run with a part of another's journal, and what the attempts of that part made."""
    start = fork.start
    known = connection.execute(_SQL["find_run"], (start.uid, start.tenant)).fetchone() is not None
    (started,), joins, terms = start_runs(connection, [start])
    assert isinstance(started, Started), "a fork has no parent whose lease could be lost"
    if known or not started.created:
        return started
    if fork.edits:
        execute_many(connection, "insert_edits", fork.edits, _SQL)
    if fork.kept:
        entries = [(start.uid, start.forked_from, *entry) for entry in fork.kept]
        execute_many(connection, "copy_artifacts", entries, _SQL)
        execute_many(connection, "copy_entries", entries, _SQL)
        copy_uses(connection, start.uid, start.forked_from)
    if terms:
        change_lanes(connection, joins, [], terms)
    return started


def continue_as_new(connection: sqlite3.Connection, again: Continue) -> bool:
    """Begin a run again with another input; whether its lease was there, or this was done before."""
    lease = connection.execute(_SQL["find_lease"], (again.run, again.epoch)).fetchone()
    if lease is None:
        return connection.execute(_SQL["find_continued"], (again.run, again.epoch)).fetchone() is not None
    tenant, claimed_at = lease
    run = _find(connection, again.run, tenant)
    assert run is not None
    for name in ("delete_running", "delete_journal", "delete_attempts", "delete_artifacts", "stop_waiting"):
        connection.execute(_SQL[name], (run.uid,))
    use_only(connection, run.uid, again.input)
    changes = again.epoch, again.input, again.cuts, again.rank, claimed_at
    connection.execute(_SQL["begin_again"], (*changes, run.uid))
    connection.execute(_SQL["move_member"], (again.rank, run.uid))
    _make_ready(connection, run._replace(rank=again.rank, untouched=False))
    return True


def due_deadlines(connection: sqlite3.Connection, limit: int) -> list[tuple[bytes, str]]:
    """Open runs whose deadline has passed and that have not been told; forgets the deadlines of others."""
    due = []
    for run, tenant, is_open, note, at in connection.execute(_SQL["due_deadlines"], (limit,)).fetchall():
        if is_open and not _ends(note):
            due.append((run, tenant))
        else:
            connection.execute(_SQL["forget_deadline"], (at, run))
    return due


def fired_watches(connection: sqlite3.Connection, limit: int) -> list[tuple[bytes, str, str]]:
    """Open runs whose cancelling event came and that have not been told; forgets the events of others."""
    fired = []
    for run, tenant, is_open, note, name in connection.execute(_SQL["fired_watches"], (limit,)).fetchall():
        if is_open and not _ends(note):
            fired.append((run, tenant, name))
        else:
            connection.execute(_SQL["forget_fired"], (run,))
    return fired


def is_due(connection: sqlite3.Connection) -> bool:
    """Whether some deadline has passed."""
    return connection.execute(_SQL["due_deadlines"], (1,)).fetchone() is not None


def is_fired(connection: sqlite3.Connection) -> bool:
    """Whether some cancelling event has come."""
    return connection.execute(_SQL["fired_watches"], (1,)).fetchone() is not None
