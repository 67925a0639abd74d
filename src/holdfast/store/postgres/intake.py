"""The intake of a PostgreSQL store: `PostgresIntake` reads and writes, `ConfinedPostgresIntake` reads one tenant's.

Its writes have connections of their own, so that whoever waits for a source holds up no run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

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
from holdfast.store.postgres import audit as audits
from holdfast.store.postgres import comparing
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.taking import settle_entry, take_in, was_recorded
from holdfast.store.postgres.writing import Reading, Writing
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "intake.sql")

T = TypeVar("T")


class IntakeReads:
    """What is read of sources, their entries, and what another path made of them."""

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Work in a transaction that reads."""
        raise NotImplementedError

    async def sources(self, tenant: str) -> list[SourceRow]:
        """See `IntakeStore.sources`."""
        return [SourceRow(*row) for row in await self._read(lambda c: c.fetch(_SQL["sources"], tenant))]

    async def source(self, tenant: str, name: str) -> SourceRow | None:
        """See `IntakeStore.source`."""
        row = await self._read(lambda connection: connection.fetchrow(_SQL["source"], tenant, name))
        return None if row is None else SourceRow(*row)

    async def entries(
        self, tenant: str, which: EntryFilter, *, limit: int, before: bytes | None = None
    ) -> list[EntryRow]:
        """See `IntakeStore.entries`."""
        statement, asked = _listing(tenant, which, limit, before)
        return [EntryRow(*row) for row in await self._read(lambda c: c.fetch(statement, *asked))]

    async def count_entries(self, tenant: str, which: EntryFilter, *, cap: int) -> int:
        """See `IntakeStore.count_entries`."""
        statement, asked = _listing(tenant, which, cap, None)
        counting = _SQL["count_entries"].replace("/*entries*/", statement)
        return int(await self._read(lambda connection: connection.fetchval(counting, *asked)))

    async def entry(self, tenant: str, uid: bytes) -> EntryRow | None:
        """See `IntakeStore.entry`."""
        row = await self._read(lambda connection: connection.fetchrow(_SQL["entry"], tenant, uid))
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


class PostgresIntake(Writing, IntakeReads):
    """The intake of all tenants."""

    async def open_source(self, tenant: str, name: str, kind: str, workflow: str) -> SourceRow:
        """See `IntakeStore.open_source`."""
        check_keys(tenant, name, workflow)
        check_texts(kind)

        async def open_source(connection: Connection) -> SourceRow:
            await connection.execute(_SQL["open_source"], tenant, name, kind, workflow)
            ((*row,),) = await connection.fetch(_SQL["source"], tenant, name)
            return SourceRow(*row)

        return await self._write(open_source)

    async def take_in(self, asked: TakeIn) -> TakenIn:
        """See `IntakeStore.take_in`."""
        check_take_in(asked)
        return await self._write(lambda connection: take_in(connection, asked))

    async def note_source(self, tenant: str, name: str, state: str, note: str, at: int) -> None:
        """See `IntakeStore.note_source`."""
        check_texts(state, note)
        await self._write(lambda connection: connection.execute(_SQL["note_source"], tenant, name, state, note, at))

    async def rewind(self, tenant: str, name: str, position: bytes, revision: int, audit: Audit) -> bool:
        """See `IntakeStore.rewind`."""

        async def rewind(connection: Connection) -> bool:
            if await connection.execute(_SQL["rewind"], tenant, name, position, revision) == "UPDATE 0":
                return await was_recorded(connection, audit.tenant, audit.uid)
            await audits.record(connection, [audit])
            return True

        return await self._write(rewind)

    async def settle_entry(self, asked: SettleEntry) -> bool:
        """See `IntakeStore.settle_entry`."""
        check_settle(asked)
        return await self._write(lambda connection: settle_entry(connection, asked))

    async def put_outcomes(self, rows: Sequence[OutcomeRow]) -> int:
        """See `IntakeStore.put_outcomes`."""
        last = last_outcomes(rows)
        return await self._write(lambda connection: comparing.put_outcomes(connection, last)) if last else 0

    async def prune_entries(self, tenant: str | None, before: int, limit: int) -> int:
        """See `IntakeStore.prune_entries`."""

        async def prune(connection: Connection) -> int:
            gone = 0
            for of in ("entries", "outcomes"):
                place = tenant or "", ""
                while gone < limit:
                    following = await connection.fetchrow(_SQL[f"{of}_after"], *place)
                    if following is None or tenant not in (None, following[0]):
                        break
                    place = tuple(following)
                    status = await connection.execute(_SQL[f"prune_{of}"], *place, before, limit - gone)
                    gone += int(status[7:])  # "DELETE n"
            return gone

        return await self._write(prune)


class ConfinedPostgresIntake(ConfinedIntake, IntakeReads):
    """What one tenant may read of intake.

    Args:
        read: works in a transaction that sees this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Reading, tenant: str) -> None:
        super().__init__(tenant)
        self._reading = read

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._reading(work)


def _listing(tenant: str, which: EntryFilter, limit: int, before: bytes | None) -> tuple[str, tuple[Any, ...]]:
    """The statement that lists entries, and what it is asked with."""
    name = list_name(which)
    statement = _SQL["entries"].replace("/*and*/", "" if name is None else _SQL[name])
    message_id = None if which.message_id is None else found_by(which.message_id)
    asked = tenant, before or NEWEST, limit, which.source, which.outcome, message_id, which.run_id
    return statement, (*asked, which.since, which.until)
