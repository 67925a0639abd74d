"""The reading verbs of the Store protocol on SQLite, over whatever connection their owner reads from."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from holdfast.model.search import And, Compare, Condition
from holdfast.store.rows import (
    AttemptRow,
    AuditRow,
    ChildRow,
    Flow,
    JournalRow,
    KeyRow,
    Kindred,
    LaneRow,
    QueueRow,
    RecordedRows,
    RunOfSteps,
    RunOutcome,
    RunRow,
    SavedViewRow,
    ScheduleRow,
    SessionRow,
    ShareRow,
    Standing,
    TallyRow,
    UserRow,
    WorkerRow,
    WorkflowRow,
)
from holdfast.store.sql import statements
from holdfast.store.sqlite import audit, entry, flow, journal, look, people, recorded, retention, schedules, tallies
from holdfast.store.sqlite.rows import select_many

_READ = statements("holdfast.store.sqlite", "read.sql")

T = TypeVar("T")


def _are(workflow: str | None, status: str | None) -> Condition | None:
    wanted = {"workflow": workflow, "status": status}
    tests = tuple(Compare(field, "=", value) for field, value in wanted.items() if value is not None)
    return And(tests) if len(tests) > 1 else tests[0] if tests else None


class Reads:
    """Reads of what tenants own, and of what all of them share."""

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function with the connection on which what tenants own is read."""
        raise NotImplementedError

    async def _read_shared(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function with a connection on which what no tenant owns is read."""
        raise NotImplementedError

    async def now(self) -> int:
        """See `Store.now`: the machine's clock."""
        row = await self._read_shared(lambda connection: connection.execute(_READ["now"]).fetchone())
        return int(row[0])

    # Runs

    async def load_journals(self, runs: Sequence[bytes]) -> tuple[list[JournalRow], list[AttemptRow]]:
        """See `Store.load_journals`."""
        keys = [(run,) for run in runs]

        def load(connection: sqlite3.Connection) -> tuple[list[JournalRow], list[AttemptRow]]:
            journal = select_many(connection, "journals", keys, _READ)
            attempts = select_many(connection, "attempts", keys, _READ)
            return [JournalRow(*row) for row in journal], [AttemptRow(*row) for row in attempts]

        return await self._read(load)

    async def load_recorded(self, tenant: str, runs: Sequence[bytes], *, without: str | None = None) -> RecordedRows:
        """See `Store.load_recorded`."""
        return await self._read(lambda connection: recorded.load(connection, tenant, runs, without))

    async def load_steps(self, tenant: str, runs: Sequence[bytes], *, without: str | None = None) -> list[RunOfSteps]:
        """See `Store.load_steps`."""
        return await self._read(lambda connection: recorded.steps(connection, tenant, runs, without))

    async def browse_journal(
        self, run: bytes, *, after: bytes, limit: int, since: int | None = None, until: int | None = None
    ) -> tuple[list[JournalRow], list[AttemptRow]]:
        """See `Store.browse_journal`."""
        return await self._read(lambda connection: journal.browse(connection, run, after, limit, since, until))

    async def read_entries(self, run: bytes, positions: Sequence[bytes]) -> tuple[list[JournalRow], list[AttemptRow]]:
        """See `Store.read_entries`."""
        return await self._read(lambda connection: journal.entries(connection, run, positions))

    async def read_open(self, run: bytes, limit: int) -> tuple[list[JournalRow], list[AttemptRow]]:
        """See `Store.read_open`."""
        return await self._read(lambda connection: journal.open_entries(connection, run, limit))

    async def read_waits(self, waits: Sequence[tuple[bytes, bytes, int]]) -> list[JournalRow]:
        """See `Store.read_waits`."""
        rows = await self._read(lambda connection: select_many(connection, "waits", waits, _READ))
        return [JournalRow(*row) for row in rows]

    async def read_outcomes(self, runs: Sequence[bytes]) -> list[RunOutcome]:
        """See `Store.read_outcomes`."""
        keys = [(run,) for run in runs]
        rows = await self._read(lambda connection: select_many(connection, "outcomes", keys, _READ))
        return [RunOutcome(*row) for row in rows]

    async def find_runs(self, tenant: str, ids: Sequence[str]) -> list[RunRow]:
        """See `Store.find_runs`."""
        return await self._read(lambda connection: look.find_runs(connection, tenant, ids))

    async def list_runs(
        self, tenant: str, *, workflow: str | None, status: str | None, limit: int, before: bytes | None
    ) -> list[RunRow]:
        """See `Store.list_runs`."""
        return await self.search_runs(tenant, _are(workflow, status), limit=limit, before=before)

    async def list_uids(
        self, tenant: str, condition: Condition | None, *, limit: int, before: bytes | None
    ) -> list[bytes]:
        """See `Store.list_uids`."""
        return await self._read(lambda connection: recorded.keys(connection, tenant, condition, limit, before))

    async def search_runs(
        self, tenant: str, condition: Condition | None, *, limit: int, before: bytes | None
    ) -> list[RunRow]:
        """See `Store.search_runs`."""
        return await self._read(lambda connection: look.search_runs(connection, tenant, condition, limit, before))

    async def count_runs(self, tenant: str, condition: Condition | None, *, cap: int) -> int:
        """See `Store.count_runs`."""
        return await self._read(lambda connection: look.count_runs(connection, tenant, condition, cap))

    async def children(
        self, parent: bytes, *, open_only: bool, limit: int, after: bytes | None = None
    ) -> list[ChildRow]:
        """See `Store.children`."""
        return await self._read(lambda connection: look.children(connection, parent, open_only, limit, after))

    async def child_outcomes(self, parent: bytes, generation: int, group: bytes) -> list[ChildRow]:
        """See `Store.child_outcomes`."""
        return await self._read(lambda connection: look.child_outcomes(connection, parent, generation, group))

    async def standing(self, run: bytes) -> Standing:
        """See `Store.standing`."""
        return await self._read(lambda connection: at_once(connection, lambda: look.standing(connection, run)))

    async def list_lanes(self, tenant: str, *, limit: int) -> list[LaneRow]:
        """See `Store.list_lanes`."""
        return await self._read(lambda connection: look.list_lanes(connection, tenant, limit))

    # What no tenant owns

    async def list_workflows(self) -> list[WorkflowRow]:
        """See `Store.list_workflows`."""
        rows = await self._read_shared(lambda connection: connection.execute(_READ["workflows"]).fetchall())
        return [WorkflowRow(*row) for row in rows]

    async def list_workers(self) -> list[WorkerRow]:
        """See `Store.list_workers`."""
        rows = await self._read_shared(lambda connection: connection.execute(_READ["workers"]).fetchall())
        return [WorkerRow._make((*row[:-1], bool(row[-1]))) for row in rows]

    async def list_served(self) -> list[tuple[bytes, str, str, str]]:
        """See `Store.list_served`."""
        return await self._read_shared(lambda connection: connection.execute(_READ["served"]).fetchall())

    async def counts(self) -> dict[str, int]:
        """See `Store.counts`."""
        row = await self._read_shared(lambda connection: connection.execute(_READ["counts"]).fetchone())
        return dict(zip(("ready", "running", "parked"), row, strict=True))

    async def flow(self) -> Flow:
        """See `Store.flow`."""
        return await self._read_shared(flow.flow)

    async def list_queues(self) -> list[tuple[QueueRow, int, int, int | None]]:
        """See `Store.list_queues`."""
        return await self._read_shared(lambda connection: at_once(connection, lambda: look.list_queues(connection)))

    async def list_shares(self, queue: str, *, tenant: str | None = None, limit: int) -> list[ShareRow]:
        """See `Store.list_shares`."""
        return await self._read_shared(
            lambda connection: at_once(connection, lambda: look.list_shares(connection, queue, tenant, limit))
        )

    async def stranded(self, cap: int) -> list[Kindred]:
        """See `Store.stranded`."""
        return await self._read_shared(lambda connection: at_once(connection, lambda: look.stranded(connection, cap)))

    async def retention(self) -> list[tuple[str, str, int]]:
        """See `Store.retention`."""
        return await self._read_shared(retention.retention)

    # Schedules

    async def list_schedules(self, tenant: str, name: str | None = None) -> list[ScheduleRow]:
        """See `Store.list_schedules`."""
        return await self._read(lambda connection: schedules.list_schedules(connection, tenant, name))

    async def due_schedules(self, limit: int) -> list[ScheduleRow]:
        """See `Store.due_schedules`."""
        return await self._read(lambda connection: schedules.due_schedules(connection, limit))

    # People and what is kept for them

    async def list_users(self, tenant: str, *, limit: int, after: str | None = None) -> list[UserRow]:
        """See `Store.list_users`."""
        return await self._read(lambda connection: people.list_users(connection, tenant, limit, after))

    async def find_user(self, tenant: str, *, id: str | None = None, email: str | None = None) -> UserRow | None:
        """See `Store.find_user`."""
        return await self._read(lambda connection: people.find_user(connection, tenant, id, email))

    async def find_key(self, prefix: str) -> KeyRow | None:
        """See `Store.find_key`."""
        return await self._read(lambda connection: entry.find_key(connection, prefix))

    async def list_keys(self, tenant: str, *, limit: int, after: str | None = None, search: str = "") -> list[KeyRow]:
        """See `Store.list_keys`."""
        return await self._read(lambda connection: entry.list_keys(connection, tenant, limit, after, search))

    async def find_session(self, digest: bytes) -> SessionRow | None:
        """See `Store.find_session`."""
        return await self._read(lambda connection: entry.find_session(connection, digest))

    async def list_audit(
        self,
        tenant: str,
        *,
        limit: int,
        before: bytes | None = None,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
    ) -> list[AuditRow]:
        """See `Store.list_audit`."""
        asked = limit, before, actor, action, target
        return await self._read(
            lambda connection: at_once(connection, lambda: audit.list_audit(connection, tenant, *asked))
        )

    async def list_views(self, tenant: str, owner: str, page: str) -> list[SavedViewRow]:
        """See `Store.list_views`."""
        return await self._read(lambda connection: people.list_views(connection, tenant, owner, page))

    async def read_tallies(self, tenant: str, span: int, since: int, until: int) -> list[TallyRow]:
        """See `Store.read_tallies`."""
        return await self._read(lambda connection: tallies.read(connection, tenant, span, since, until))


def at_once(connection: sqlite3.Connection, function: Callable[[], T]) -> T:
    """Let all that a function reads be of one moment."""
    connection.execute("BEGIN")
    try:
        return function()
    finally:
        connection.execute("COMMIT")
