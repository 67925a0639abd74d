"""The StateStore protocol on SQLite; and what of it one tenant may read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.store.base import Rejected
from holdfast.store.confined import ConfinedConversations
from holdfast.store.conversation_rows import LINE_US, ConversationRow, Exchange, Save, Take, Taken, TurnRow
from holdfast.store.conversations import Claim, ConversationFilter
from holdfast.store.operations import Batch
from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import executing
from holdfast.store.sqlite.work.items import put_items
from holdfast.store.sqlite.work.reads import Calling
from holdfast.store.sqlite.write import write_inside
from holdfast.store.turn_taking import Hold, Waiting, check_saves, check_takes, decide, is_free

_SQL = statements("holdfast.store.sqlite", "conversations.sql")

_LAST = (1 << 63) - 1

_FREED = "wake"


class ConversationReads:
    """What is read of conversations.

    Args:
        read: calls with the connection that reads.
    """

    name = "database"

    def __init__(self, read: Calling) -> None:
        self._read = read

    async def find(self, tenant: str, id: str) -> ConversationRow | None:
        """See `StateStore.find`."""
        return await self._read(lambda connection: _find(connection, tenant, id))

    async def search(
        self, tenant: str, which: ConversationFilter, *, limit: int, before: tuple[int, str] | None = None
    ) -> list[ConversationRow]:
        """See `StateStore.search`."""
        changed_at, id = before or (_LAST, "")
        asked = {"tenant": tenant, "changed_at": changed_at, "id": id, "limit": limit, **which._asdict()}
        return await self._read(
            lambda connection: [ConversationRow(*row) for row in connection.execute(_SQL["search"], asked).fetchall()]
        )

    async def turns(self, tenant: str, id: str, *, after: int = 0, limit: int) -> list[TurnRow]:
        """See `StateStore.turns`."""
        asked = tenant, id, after, limit
        return await self._read(
            lambda connection: [TurnRow(*row) for row in connection.execute(_SQL["turns"], asked).fetchall()]
        )


class SqliteConversations(ConversationReads):
    """Conversations in an SQLite file.

    Args:
        read: calls with the connection that reads.
        transaction: calls inside a transaction that writes.
        passing: the same for who has a conversation, which matters only to processes of this machine while it runs.
    """

    def __init__(self, read: Calling, transaction: Calling, passing: Calling) -> None:
        super().__init__(read)
        self._transaction = transaction
        self._passing = passing

    async def take(self, asked: Sequence[Take]) -> list[Taken]:
        """See `StateStore.take`."""
        check_takes(asked)
        return await self._passing(lambda connection: _take(connection, asked))

    async def is_free(self, asked: Sequence[Claim]) -> list[bool]:
        """See `StateStore.is_free`."""
        return await self._read(lambda connection: _are_free(connection, asked))

    async def renew(self, held: Sequence[Claim], lease_us: int) -> list[bool]:
        """See `StateStore.renew`."""

        def renew(connection: sqlite3.Connection) -> list[bool]:
            return [connection.execute(_SQL["renew"], (*claim, lease_us)).rowcount == 1 for claim in held]

        return await self._passing(renew)

    async def leave(self, claims: Sequence[Claim]) -> None:
        """See `StateStore.leave`."""

        def leave(connection: sqlite3.Connection) -> None:
            connection.executemany(_SQL["leave"], claims)
            connection.executemany(_SQL["leave_line"], claims)
            connection.executemany(_SQL["drop_hold"], [claim[:2] for claim in claims])

        await self._passing(leave)

    async def save(self, saves: Sequence[Save]) -> list[bool]:
        """See `StateStore.save`."""
        check_saves(saves)
        return await self._transaction(lambda connection: _save_all(connection, saves))

    async def settle(self, tenant: str, id: str, handover: bytes) -> None:
        """See `StateStore.settle`."""
        await self._transaction(executing(_SQL["settle"], (tenant, id, handover)))

    async def unsettled(self, limit: int) -> list[ConversationRow]:
        """See `StateStore.unsettled`."""
        return await self._read(
            lambda connection: [
                ConversationRow(*row) for row in connection.execute(_SQL["unsettled"], (limit,)).fetchall()
            ]
        )

    async def forget(self, limit: int) -> int:
        """See `StateStore.forget`."""
        return await self._transaction(lambda connection: _forget(connection, limit))


class ConfinedSqliteConversations(ConfinedConversations, ConversationReads):
    """What one tenant may read of conversations.

    Args:
        read: calls with a connection that shows this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Calling, tenant: str) -> None:
        ConfinedConversations.__init__(self, tenant)
        ConversationReads.__init__(self, read)


def _now(connection: sqlite3.Connection) -> int:
    return int(connection.execute(_SQL["now"]).fetchone()[0])


def _find(connection: sqlite3.Connection, tenant: str, id: str) -> ConversationRow | None:
    row = connection.execute(_SQL["find"], (tenant, id)).fetchone()
    return None if row is None else ConversationRow(*row)


def _hold(connection: sqlite3.Connection, key: tuple[str, str]) -> Hold | None:
    row = connection.execute(_SQL["hold"], key).fetchone()
    return None if row is None else Hold(*row)


def _line(connection: sqlite3.Connection, key: tuple[str, str]) -> list[Waiting]:
    return [Waiting(*row) for row in connection.execute(_SQL["line"], key).fetchall()]


def _take(connection: sqlite3.Connection, asked: Sequence[Take]) -> list[Taken]:
    now, found = _now(connection), []
    for take in asked:
        key = take.tenant, take.id
        seen = connection.execute(_SQL["look"], (*key, take.turn_id)).fetchone()
        hold = None if seen[3] is None else Hold(*seen[2:9])
        row = None if seen[9] is None else ConversationRow(*seen[9:])
        line = _line(connection, key) if seen[0] else []
        turn = None
        if seen[1] and take.turn_id and row is not None:
            turn = TurnRow(*connection.execute(_SQL["turn"], (*key, take.turn_id)).fetchone())
        taken, act = decide(take, hold, row, turn, line, now)
        if act == "take":
            if take.recent and row is not None:
                said = connection.execute(_SQL["recent"], (*key, take.recent)).fetchall()
                taken = taken._replace(recent=[Exchange(*one) for one in reversed(said)])
            if line:
                connection.execute(_SQL["leave_line"], (*key, take.ticket))
            connection.execute(
                _SQL["take"],
                (*key, take.user, taken.token, take.ticket, take.turn_id, take.fingerprint, now, taken.until),
            )
        elif act == "line":
            connection.execute(_SQL["clear_line"], (*key, now, take.ticket))
            place = (*key, take.ticket, now + LINE_US)
            if not connection.execute(_SQL["stay_in_line"], place).rowcount:
                connection.execute(_SQL["join_line"], place)
        found.append(taken)
    return found


def _are_free(connection: sqlite3.Connection, asked: Sequence[Claim]) -> list[bool]:
    now = _now(connection)
    return [
        is_free(ticket, _hold(connection, (tenant, id)), _line(connection, (tenant, id)), now)
        for tenant, id, ticket in asked
    ]


def _save_all(connection: sqlite3.Connection, saves: Sequence[Save]) -> list[bool]:
    now = _now(connection)
    return [_save(connection, save, now) for save in saves]


def _save(connection: sqlite3.Connection, save: Save, now: int) -> bool:
    row, turn = save.row, save.turn
    key = row.tenant, row.id
    if not connection.execute(_SQL["free"], (*key, save.token, now)).rowcount:
        stored = None if turn is None else connection.execute(_SQL["turn"], (*key, turn.id)).fetchone()
        return stored is not None and TurnRow(*stored)._replace(at=0) == turn._replace(at=0)  # type: ignore[union-attr]
    row = row._replace(changed_at=now, expires_at=now + save.ttl_us, ended_at=None if row.status == "open" else now)
    if row.revision == 1:
        row = row._replace(created_at=now)
    if not connection.execute(_SQL["insert" if row.revision == 1 else "update"], row).rowcount:
        raise Rejected(f"conversation {row.id!r} is not at revision {row.revision - 1}")
    if turn is not None:
        connection.execute(_SQL["insert_turn"], turn._replace(at=now))
    if save.starts:
        write_inside(connection, Batch(starts=list(save.starts)))
    if save.changes and any(outcome != "done" for outcome in put_items(connection, save.changes)):
        raise Rejected(f"conversation {row.id!r} is handed over to a work item that has changed")
    return True


def _forget(connection: sqlite3.Connection, limit: int) -> int:
    now = _now(connection)
    found = connection.execute(_SQL["gone"], (now, limit)).fetchall()
    for name in ("delete_turns", "delete_conversation"):
        connection.executemany(_SQL[name], found)
    connection.executemany(_SQL["delete_hold"], [(*key, now) for key in found])
    return len(found)
