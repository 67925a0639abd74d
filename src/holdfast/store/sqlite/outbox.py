"""The OutboxStore protocol on SQLite; and what of it one tenant may read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

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
from holdfast.store.sql import statements
from holdfast.store.sqlite import audit, messages, sending
from holdfast.store.sqlite.reads import at_once
from holdfast.store.sqlite.rows import execute_many
from holdfast.store.sqlite.work.reads import Calling

_SQL = statements("holdfast.store.sqlite", "outbox.sql")

_DOUBT = MessageRow._fields.index("doubt")


class OutboxReads:
    """What is read of messages.

    Args:
        read: calls with the connection that reads.
    """

    def __init__(self, read: Calling) -> None:
        self._read = read

    async def message(self, tenant: str, id: str) -> MessageRow | None:
        """See `OutboxStore.message`."""
        row = await self._read(lambda connection: connection.execute(_SQL["message"], (tenant, id)).fetchone())
        return None if row is None else _message(row)

    async def attempts(self, tenant: str, uid: bytes, *, limit: int) -> list[MessageAttempt]:
        """See `OutboxStore.attempts`."""
        asked = uid, tenant, limit
        rows = await self._read(lambda connection: connection.execute(_SQL["attempts"], asked).fetchall())
        return [MessageAttempt._make((*row[:3], bool(row[3]), *row[4:])) for row in rows]

    async def messages(
        self, tenant: str, which: MessageFilter, *, limit: int, before: bytes | None = None
    ) -> list[MessageRow]:
        """See `OutboxStore.messages`."""
        return await self._read(lambda connection: _messages(connection, tenant, which, limit, before))

    async def count_messages(self, tenant: str, which: MessageFilter, *, cap: int) -> int:
        """See `OutboxStore.count_messages`."""
        return await self._read(lambda connection: _count(connection, tenant, which, cap))

    async def publish_settings(self, tenant: str) -> list[PublishSettingRow]:
        """See `OutboxStore.publish_settings`."""
        rows = await self._read(lambda connection: connection.execute(_SQL["settings"], (tenant,)).fetchall())
        return [PublishSettingRow(*row) for row in rows]


class SqliteOutbox(OutboxReads):
    """The outbox in an SQLite file.

    Args:
        read: calls with the connection that reads.
        transaction: calls inside a transaction that writes.
    """

    def __init__(self, read: Calling, transaction: Calling) -> None:
        super().__init__(read)
        self._transaction = transaction

    async def claim(self, asked: ClaimMessages) -> list[ClaimedMessage]:
        """See `OutboxStore.claim`."""
        return await self._transaction(lambda connection: sending.claim(connection, asked))

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """See `OutboxStore.settle`."""
        check_settlements(settlements)
        return await self._transaction(lambda connection: sending.settle(connection, settlements))

    async def hand_back(self, claim_ids: Sequence[bytes]) -> int:
        """See `OutboxStore.hand_back`."""
        return await self._transaction(lambda connection: sending.hand_back(connection, claim_ids))

    async def rescue_messages(self, limit: int) -> tuple[int, int]:
        """See `OutboxStore.rescue_messages`."""
        return await self._transaction(lambda connection: sending.rescue(connection, limit))

    async def next_due(self, channels: Sequence[str]) -> dict[str, int]:
        """See `OutboxStore.next_due`."""

        def next_due(connection: sqlite3.Connection) -> dict[str, int]:
            found = [(channel, connection.execute(_SQL["next_due"], (channel,)).fetchone()[0]) for channel in channels]
            return {channel: due_at for channel, due_at in found if due_at is not None}

        return await self._read(next_due)

    async def uids(self, tenant: str, ids: Sequence[str]) -> list[bytes]:
        """See `OutboxStore.uids`."""

        def uids(connection: sqlite3.Connection) -> list[bytes]:
            found = [connection.execute(_SQL["uid"], (tenant, id)).fetchone() for id in ids]
            return [row[0] for row in found if row is not None]

        return await self._read(uids)

    async def backlog(self, *, cap: int) -> list[Backlog]:
        """See `OutboxStore.backlog`."""
        return await self._read(lambda connection: at_once(connection, lambda: _backlog(connection, cap)))

    async def change_messages(self, asked: ChangeMessages) -> list[str]:
        """See `OutboxStore.change_messages`."""
        check_change(asked)
        return await self._transaction(lambda connection: messages.change_messages(connection, asked))

    async def put_publish_setting(self, row: PublishSettingRow, audit: Audit) -> bool:
        """See `OutboxStore.put_publish_setting`. One that is stored as it is given was stored by an earlier call."""
        check_setting(row)
        return await self._transaction(lambda connection: _put_setting(connection, row, audit))

    async def prune_messages(self, tenant: str | None, before: int, limit: int) -> int:
        """See `OutboxStore.prune_messages`."""

        def prune(connection: sqlite3.Connection) -> int:
            old = connection.execute(_SQL["old"], (tenant, before, limit)).fetchall()
            for name in ("delete_attempts", "delete_messages") if old else ():
                execute_many(connection, name, old, _SQL)
            return len(old)

        return await self._transaction(prune)


class ConfinedSqliteOutbox(ConfinedOutbox, OutboxReads):
    """What one tenant may read of messages.

    Args:
        read: calls with a connection that shows this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Calling, tenant: str) -> None:
        ConfinedOutbox.__init__(self, tenant)
        OutboxReads.__init__(self, read)


def _message(row: Sequence[Any]) -> MessageRow:
    return MessageRow._make((*row[:_DOUBT], bool(row[_DOUBT]), *row[_DOUBT + 1 :]))


def _asked(tenant: str, which: MessageFilter, limit: int, before: bytes | None) -> dict[str, Any]:
    low, high = between(which, before)
    given = f" {' '.join(which.statuses)} " if which.statuses else ""
    return {**which._asdict(), "tenant": tenant, "statuses": given, "low": low, "high": high, "limit": limit}


def _messages(
    connection: sqlite3.Connection, tenant: str, which: MessageFilter, limit: int, before: bytes | None
) -> list[MessageRow]:
    asked, name = _asked(tenant, which, limit, before), way(which)
    if name != "of_status":
        return [_message(row) for row in connection.execute(_SQL[name], asked).fetchall()]

    def by_status() -> list[Any]:
        each = [asked | {"status": status} for status in statuses(which)]
        return [row for one in each for row in connection.execute(_SQL[name], one).fetchall()]

    rows = at_once(connection, by_status)
    rows.sort(reverse=True)
    return [_message(row) for row in rows[:limit]]


def _count(connection: sqlite3.Connection, tenant: str, which: MessageFilter, cap: int) -> int:
    asked, name = _asked(tenant, which, cap, None), way(which)
    statement = _SQL["count"].replace("/*found*/", _SQL[name])
    if name != "of_status":
        return int(connection.execute(statement, asked).fetchone()[0])

    def by_status() -> int:
        counted = 0
        for status in statuses(which):
            left = {"status": status, "limit": cap - counted}
            counted += int(connection.execute(statement, asked | left).fetchone()[0])
        return counted

    return at_once(connection, by_status)


def _backlog(connection: sqlite3.Connection, cap: int) -> list[Backlog]:
    found, channel = [], ""
    while (channel := connection.execute(_SQL["next_channel"], (channel,)).fetchone()[0]) is not None:
        pending, being_sent, oldest_at = connection.execute(
            _SQL["backlog"], {"channel": channel, "cap": cap}
        ).fetchone()
        found.append(Backlog(channel, min(pending, cap), being_sent, oldest_at))
    return found


def _put_setting(connection: sqlite3.Connection, row: PublishSettingRow, change: Audit) -> bool:
    name = "insert_setting" if row.revision == 1 else "update_setting"
    if not connection.execute(_SQL[name], row).rowcount:
        stored = connection.execute(_SQL["setting"], (row.tenant, row.workflow)).fetchone()
        return stored is not None and PublishSettingRow(*stored) == row
    audit.record(connection, [change])
    return True
