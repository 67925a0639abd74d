"""The outbox of a PostgreSQL store: `PostgresOutbox` reads and writes, `ConfinedPostgresOutbox` reads one tenant's.

Its writes have connections of their own, so that whoever waits for a message's lock holds up no run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from holdfast.store.confined import ConfinedOutbox
from holdfast.store.operations import Audit
from holdfast.store.outbox_keeping import between, check_change, check_setting, check_settlements, statuses, way
from holdfast.store.outbox_rows import (
    Backlog,
    ChangeMessages,
    ClaimedMessage,
    ClaimMessages,
    MessageAttempt,
    MessageFilter,
    MessageRow,
    PublishSettingRow,
    Settlement,
)
from holdfast.store.postgres import audit, messages, sending
from holdfast.store.postgres.address import Address
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.writing import Reading, Repeatedly, Writing
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "outbox.sql")

T = TypeVar("T")


class OutboxReads:
    """What is read of messages."""

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Work in a transaction that reads."""
        raise NotImplementedError

    async def message(self, tenant: str, id: str) -> MessageRow | None:
        """See `OutboxStore.message`."""
        row = await self._read(lambda connection: connection.fetchrow(_SQL["message"], tenant, id))
        return None if row is None else MessageRow(*row)

    async def attempts(self, tenant: str, uid: bytes, *, limit: int) -> list[MessageAttempt]:
        """See `OutboxStore.attempts`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["attempts"], uid, tenant, limit))
        return [MessageAttempt(*row) for row in rows]

    async def messages(
        self, tenant: str, which: MessageFilter, *, limit: int, before: bytes | None = None
    ) -> list[MessageRow]:
        """See `OutboxStore.messages`."""
        asked = _asked(tenant, which, limit, before)
        rows = await self._read(lambda connection: connection.fetch(_SQL[way(which)], *asked))
        return [MessageRow(*row) for row in rows]

    async def count_messages(self, tenant: str, which: MessageFilter, *, cap: int) -> int:
        """See `OutboxStore.count_messages`."""
        statement, asked = _SQL["count"].replace("/*found*/", _SQL[way(which)]), _asked(tenant, which, cap, None)
        return int(await self._read(lambda connection: connection.fetchval(statement, *asked)))

    async def publish_settings(self, tenant: str) -> list[PublishSettingRow]:
        """See `OutboxStore.publish_settings`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["settings"], tenant))
        return [PublishSettingRow(*row) for row in rows]


class PostgresOutbox(Writing, OutboxReads):
    """The outbox of all tenants."""

    def __init__(self, address: Address, read: Reading, repeatedly: Repeatedly) -> None:
        super().__init__(address, read, repeatedly)
        self._marks = sending.Marks()

    async def claim(self, asked: ClaimMessages) -> list[ClaimedMessage]:
        """See `OutboxStore.claim`."""
        return await self._write(lambda connection: sending.claim(connection, asked, self._marks))

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """See `OutboxStore.settle`."""
        check_settlements(settlements)
        if not settlements:
            return []
        stood = await self._write(lambda connection: sending.settle(connection, settlements))
        late = [one for one, stands in zip(settlements, stood, strict=True) if one.outcome == "sent" and not stands]
        if not late:
            return stood
        sent = await self._write(lambda connection: sending.settle_late(connection, late))
        return [stands or one.uid in sent for one, stands in zip(settlements, stood, strict=True)]

    async def hand_back(self, claim_ids: Sequence[bytes]) -> int:
        """See `OutboxStore.hand_back`."""
        return await self._write(lambda connection: sending.hand_back(connection, claim_ids)) if claim_ids else 0

    async def rescue_messages(self, limit: int) -> tuple[int, int]:
        """See `OutboxStore.rescue_messages`."""
        return await self._write(lambda connection: sending.rescue(connection, limit))

    async def next_due(self, channels: Sequence[str]) -> dict[str, int]:
        """See `OutboxStore.next_due`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["next_due"], channels))
        return {row[0]: row[1] for row in rows}

    async def uids(self, tenant: str, ids: Sequence[str]) -> list[bytes]:
        """See `OutboxStore.uids`."""
        return [row[0] for row in await self._read(lambda connection: connection.fetch(_SQL["uids"], tenant, ids))]

    async def backlog(self, *, cap: int) -> list[Backlog]:
        """See `OutboxStore.backlog`."""
        return [Backlog(*row) for row in await self._read(lambda c: c.fetch(_SQL["backlog"], cap))]

    async def change_messages(self, asked: ChangeMessages) -> list[str]:
        """See `OutboxStore.change_messages`."""
        check_change(asked)
        return await self._write(lambda connection: messages.change_messages(connection, asked))

    async def put_publish_setting(self, row: PublishSettingRow, audit: Audit) -> bool:
        """See `OutboxStore.put_publish_setting`. One that is stored as it is given was stored by an earlier call."""
        check_setting(row)
        return await self._write(lambda connection: _put_setting(connection, row, audit))

    async def prune_messages(self, tenant: str | None, before: int, limit: int) -> int:
        """See `OutboxStore.prune_messages`."""
        status = await self._write(lambda connection: connection.execute(_SQL["prune"], tenant, before, limit))
        return int(status.removeprefix("DELETE "))


class ConfinedPostgresOutbox(ConfinedOutbox, OutboxReads):
    """What one tenant may read of messages.

    Args:
        read: works in a transaction that sees this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Reading, tenant: str) -> None:
        super().__init__(tenant)
        self._reading = read

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._reading(work)


def _asked(tenant: str, which: MessageFilter, limit: int, before: bytes | None) -> tuple[Any, ...]:
    low, high = between(which, before)
    found = which.channel, which.workflow, which.run, which.key, which.doubt
    return tenant, low, high, which.since, which.until, statuses(which), *found, limit


async def _put_setting(connection: Connection, row: PublishSettingRow, change: Audit) -> bool:
    name = "insert_setting" if row.revision == 1 else "update_setting"
    if (await connection.execute(_SQL[name], *row)).endswith(" 0"):
        stored = await connection.fetchrow(_SQL["setting"], row.tenant, row.workflow)
        return stored is not None and PublishSettingRow(*stored) == row
    await audit.record(connection, [change])
    return True
