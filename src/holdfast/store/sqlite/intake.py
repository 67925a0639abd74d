"""The IntakeStore protocol on SQLite; and what of it one tenant may read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.store.checks import check_keys, check_texts
from holdfast.store.confined import ConfinedIntake
from holdfast.store.intake_keeping import (
    NEWEST,
    check_settle,
    check_take_in,
    found_by,
    last_outcomes,
    list_name,
)
from holdfast.store.intake_rows import (
    ComparedRow,
    Comparison,
    CriteriaRow,
    EntryFilter,
    EntryRow,
    OutcomeRow,
    SettleEntry,
    SourceRow,
    TakeIn,
    TakenIn,
)
from holdfast.store.operations import Audit
from holdfast.store.sql import statements
from holdfast.store.sqlite import audit as audits
from holdfast.store.sqlite import comparing
from holdfast.store.sqlite.rows import executing
from holdfast.store.sqlite.taking import settle_entry, take_in, was_recorded
from holdfast.store.sqlite.work.reads import Calling

_SQL = statements("holdfast.store.sqlite", "intake.sql")


class IntakeReads:
    """What is read of sources, their entries, and what another path made of them.

    Args:
        read: calls with the connection that reads.
    """

    def __init__(self, read: Calling) -> None:
        self._read = read

    async def sources(self, tenant: str) -> list[SourceRow]:
        """See `IntakeStore.sources`."""
        return await self._read(
            lambda connection: [SourceRow(*row) for row in connection.execute(_SQL["sources"], (tenant,)).fetchall()]
        )

    async def source(self, tenant: str, name: str) -> SourceRow | None:
        """See `IntakeStore.source`."""
        row = await self._read(lambda connection: connection.execute(_SQL["source"], (tenant, name)).fetchone())
        return None if row is None else SourceRow(*row)

    async def entries(
        self, tenant: str, which: EntryFilter, *, limit: int, before: bytes | None = None
    ) -> list[EntryRow]:
        """See `IntakeStore.entries`."""
        statement, asked = _listing(tenant, which, limit, before)
        return await self._read(
            lambda connection: [EntryRow(*row) for row in connection.execute(statement, asked).fetchall()]
        )

    async def count_entries(self, tenant: str, which: EntryFilter, *, cap: int) -> int:
        """See `IntakeStore.count_entries`."""
        statement, asked = _listing(tenant, which, cap, None)
        counting = _SQL["count_entries"].replace("/*entries*/", statement)
        return int(await self._read(lambda connection: connection.execute(counting, asked).fetchone()[0]))

    async def entry(self, tenant: str, uid: bytes) -> EntryRow | None:
        """See `IntakeStore.entry`."""
        row = await self._read(lambda connection: connection.execute(_SQL["entry"], (tenant, uid)).fetchone())
        return None if row is None else EntryRow(*row)

    async def compared(
        self,
        tenant: str,
        workflow: str,
        *,
        since: int,
        until: int,
        which: Comparison | None,
        limit: int,
        before: bytes | None = None,
    ) -> list[tuple[bytes, ComparedRow]]:
        """See `IntakeStore.compared`."""
        return await self._read(
            lambda connection: comparing.compared(connection, tenant, workflow, since, until, which, limit, before)
        )

    async def count_compared(self, tenant: str, workflow: str, *, since: int, until: int) -> dict[Comparison, int]:
        """See `IntakeStore.count_compared`."""
        return await self._read(lambda connection: comparing.count_compared(connection, tenant, workflow, since, until))

    async def criteria(self, tenant: str, workflow: str, *, since: int, until: int, unsent_before: int) -> CriteriaRow:
        """See `IntakeStore.criteria`."""
        return await self._read(
            lambda connection: comparing.criteria(connection, tenant, workflow, since, until, unsent_before)
        )


class SqliteIntake(IntakeReads):
    """Intake in an SQLite file.

    Args:
        read: calls with the connection that reads.
        transaction: calls inside a transaction that writes.
        passing: the same for how sources are doing, which matters only while this machine runs.
    """

    def __init__(self, read: Calling, transaction: Calling, passing: Calling) -> None:
        super().__init__(read)
        self._transaction = transaction
        self._passing = passing

    async def open_source(self, tenant: str, name: str, kind: str, workflow: str) -> SourceRow:
        """See `IntakeStore.open_source`."""
        check_keys(tenant, name, workflow)
        check_texts(kind)

        def open_source(connection: sqlite3.Connection) -> SourceRow:
            connection.execute(_SQL["open_source"], (tenant, name, kind, workflow))
            return SourceRow(*connection.execute(_SQL["source"], (tenant, name)).fetchone())

        return await self._transaction(open_source)

    async def take_in(self, asked: TakeIn) -> TakenIn:
        """See `IntakeStore.take_in`."""
        check_take_in(asked)
        return await self._transaction(lambda connection: take_in(connection, asked))

    async def note_source(self, tenant: str, name: str, state: str, note: str, at: int) -> None:
        """See `IntakeStore.note_source`."""
        check_texts(state, note)
        await self._passing(executing(_SQL["note_source"], (tenant, name, state, note, at)))

    async def rewind(self, tenant: str, name: str, position: bytes, revision: int, audit: Audit) -> bool:
        """See `IntakeStore.rewind`."""

        def rewind(connection: sqlite3.Connection) -> bool:
            if connection.execute(_SQL["rewind"], (tenant, name, position, revision)).rowcount == 0:
                return was_recorded(connection, audit.tenant, audit.uid)
            audits.record(connection, [audit])
            return True

        return await self._transaction(rewind)

    async def settle_entry(self, asked: SettleEntry) -> bool:
        """See `IntakeStore.settle_entry`."""
        check_settle(asked)
        return await self._transaction(lambda connection: settle_entry(connection, asked))

    async def put_outcomes(self, rows: Sequence[OutcomeRow]) -> int:
        """See `IntakeStore.put_outcomes`."""
        last = last_outcomes(rows)
        return await self._transaction(lambda connection: comparing.put_outcomes(connection, last)) if last else 0

    async def prune_entries(self, tenant: str | None, before: int, limit: int) -> int:
        """See `IntakeStore.prune_entries`."""

        def prune(connection: sqlite3.Connection) -> int:
            gone = 0
            for of in ("entries", "outcomes"):
                place = tenant or "", ""
                while gone < limit:
                    following = connection.execute(_SQL[f"{of}_after"], place).fetchone()
                    if following is None or tenant not in (None, following[0]):
                        break
                    place = following
                    gone += connection.execute(_SQL[f"prune_{of}"], (*place, before, limit - gone)).rowcount
            return gone

        return await self._transaction(prune)


class ConfinedSqliteIntake(ConfinedIntake, IntakeReads):
    """What one tenant may read of intake.

    Args:
        read: calls with a connection that shows this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Calling, tenant: str) -> None:
        ConfinedIntake.__init__(self, tenant)
        IntakeReads.__init__(self, read)


def _listing(
    tenant: str, which: EntryFilter, limit: int, before: bytes | None
) -> tuple[str, dict[str, str | int | bytes | None]]:
    """The statement that lists entries, and what it is asked with."""
    name = list_name(which)
    statement = _SQL["entries"].replace("/*and*/", "" if name is None else _SQL[name])
    asked: dict[str, str | int | bytes | None] = {"tenant": tenant, "before": before or NEWEST, "limit": limit}
    asked |= which._asdict()
    if which.message_id is not None:
        asked["message_id"] = found_by(which.message_id)
    return statement, asked
