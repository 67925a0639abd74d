"""The conversations of a PostgreSQL store: `PostgresConversations` reads and writes, `ConfinedPostgresConversations`
reads one tenant's.

Its writes have connections of their own, so that whoever waits for a conversation's lock holds up no run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from holdfast.store.base import Rejected
from holdfast.store.confined import ConfinedConversations
from holdfast.store.conversation_rows import LINE_US, ConversationRow, Exchange, Save, Take, Taken, TurnRow
from holdfast.store.conversations import Claim, ConversationFilter
from holdfast.store.operations import Batch
from holdfast.store.postgres.claim import Heads
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns
from holdfast.store.postgres.work.items import put_items
from holdfast.store.postgres.write import write
from holdfast.store.postgres.writing import Reading, Writing
from holdfast.store.sql import statements
from holdfast.store.turn_taking import Hold, Waiting, check_saves, check_takes, decide, is_free

_SQL = statements("holdfast.store.postgres", "conversations.sql")

_LAST = (1 << 63) - 1

_NO_TURN = (None,) * len(TurnRow._fields)

T = TypeVar("T")


class ConversationReads:
    """What is read of conversations."""

    name = "database"

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Work in a transaction that reads."""
        raise NotImplementedError

    async def find(self, tenant: str, id: str) -> ConversationRow | None:
        """See `StateStore.find`."""
        row = await self._read(lambda connection: connection.fetchrow(_SQL["find"], tenant, id))
        return None if row is None else ConversationRow(*row)

    async def search(
        self, tenant: str, which: ConversationFilter, *, limit: int, before: tuple[int, str] | None = None
    ) -> list[ConversationRow]:
        """See `StateStore.search`."""
        asked = tenant, *which, *(before or (_LAST, "")), limit
        return [ConversationRow(*row) for row in await self._read(lambda c: c.fetch(_SQL["search"], *asked))]

    async def turns(self, tenant: str, id: str, *, after: int = 0, limit: int) -> list[TurnRow]:
        """See `StateStore.turns`."""
        asked = tenant, id, after, limit
        return [TurnRow(*row) for row in await self._read(lambda c: c.fetch(_SQL["turns"], *asked))]


class PostgresConversations(Writing, ConversationReads):
    """The conversations of all tenants."""

    async def take(self, asked: Sequence[Take]) -> list[Taken]:
        """See `StateStore.take`."""
        check_takes(asked)
        if not asked:
            return []
        found = dict(await self._lone(lambda connection: _take_plain(connection, asked)) or ())
        left = [(n, take) for n, take in enumerate(asked) if n not in found]
        if left:
            others = await self._write(lambda connection: _take(connection, [take for _, take in left]))
            found.update(zip((n for n, _ in left), others, strict=True))
        return [found[n] for n in range(len(asked))]

    async def is_free(self, asked: Sequence[Claim]) -> list[bool]:
        """See `StateStore.is_free`."""
        return await self._read(lambda connection: _are_free(connection, asked)) if asked else []

    async def renew(self, held: Sequence[Claim], lease_us: int) -> list[bool]:
        """See `StateStore.renew`."""

        async def renew(connection: Connection) -> list[bool]:
            await _lock(connection, held)
            rows = await connection.fetch(_SQL["renew"], *columns(held, 3), lease_us)
            kept = {row[0] for row in rows}
            return [n in kept for n in range(len(held))]

        return await self._write(renew) if held else []

    async def leave(self, claims: Sequence[Claim]) -> None:
        """See `StateStore.leave`."""

        async def leave(connection: Connection) -> None:
            await _lock(connection, claims)
            for name in ("leave", "leave_line"):
                await connection.execute(_SQL[name], *columns(claims, 3))
            await connection.execute(_SQL["drop_holds"], *columns(claims, 2))

        if claims:
            await self._write(leave)

    async def save(self, saves: Sequence[Save]) -> list[bool]:
        """See `StateStore.save`."""
        check_saves(saves)
        if not saves:
            return []
        freed = None
        if not any(save.starts or save.changes for save in saves):
            freed = await self._lone(lambda connection: _save_turns(connection, saves))
        if freed is not None and len(freed) == len(saves):
            return [True] * len(saves)
        return await self._write(lambda connection: _save(connection, saves, freed or frozenset()))

    async def settle(self, tenant: str, id: str, handover: bytes) -> None:
        """See `StateStore.settle`."""
        await self._write(lambda connection: connection.execute(_SQL["settle"], tenant, id, handover))

    async def unsettled(self, limit: int) -> list[ConversationRow]:
        """See `StateStore.unsettled`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["unsettled"], limit))
        return [ConversationRow(*row) for row in rows]

    async def forget(self, limit: int) -> int:
        """See `StateStore.forget`."""
        return await self._write(lambda connection: _forget(connection, limit))


class ConfinedPostgresConversations(ConfinedConversations, ConversationReads):
    """What one tenant may read of conversations.

    Args:
        read: works in a transaction that sees this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Reading, tenant: str) -> None:
        super().__init__(tenant)
        self._reading = read

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._reading(work)


async def _lock(connection: Connection, keys: Sequence[Claim | Take]) -> None:
    users = [key.user if isinstance(key, Take) else "" for key in keys]
    await connection.execute(_SQL["lock_holds"], *columns(keys, 2), users)


async def _read_holds(
    connection: Connection, keys: Sequence[Claim | Take]
) -> tuple[dict[int, tuple[Hold, ConversationRow | None]], dict[int, list[Waiting]], int]:
    """Who has the conversations, which they are, and who waits for them, by place in ``keys``; the database's clock."""
    tenants = columns(keys, 2)
    holds, now = {}, 0
    for row in await connection.fetch(_SQL["read_holds"], *tenants):
        now = row[1]
        holds[row[0]] = Hold(*row[2:9]), ConversationRow(*row[10:]) if row[9] else None
    lines: dict[int, list[Waiting]] = defaultdict(list)
    for row in await connection.fetch(_SQL["read_lines"], *tenants):
        lines[row[0]].append(Waiting(row[1], row[2]))
    return holds, lines, now


async def _take(connection: Connection, asked: Sequence[Take]) -> list[Taken]:
    await _lock(connection, asked)
    holds, lines, now = await _read_holds(connection, asked)
    named = [(take.tenant, take.id, take.turn_id) for n, take in enumerate(asked) if take.turn_id and holds[n][1]]
    turns = {}
    if named:
        rows = await connection.fetch(_SQL["read_turns"], *columns(named, 3))
        turns = {(row[0], row[1], row[3]): TurnRow(*row) for row in rows}
    found, takes, left, joined, unused = [], [], [], [], []
    for n, take in enumerate(asked):
        hold, row = holds[n]
        taken, act = decide(
            take, hold if hold.token else None, row, turns.get((take.tenant, take.id, take.turn_id)), lines[n], now
        )
        if act == "take":
            if lines[n]:
                left.append((take.tenant, take.id, take.ticket))
            takes.append((
                take.tenant, take.id, take.user, taken.token, take.ticket, take.turn_id, take.fingerprint, now,
                taken.until,
            ))  # fmt: skip
        elif act == "line":
            joined.append((take.tenant, take.id, take.ticket))
        elif not hold.token:
            unused.append((take.tenant, take.id))
        found.append(taken)
    if takes:
        await connection.execute(_SQL["take"], takes)
        found = await _with_recent(connection, asked, found)
    if unused:
        await connection.execute(_SQL["drop_holds"], *columns(unused, 2))
    if left:
        await connection.execute(_SQL["leave_line"], *columns(left, 3))
    if joined:
        await connection.execute(_SQL["clear_line"], *columns(joined, 3), now)
        await connection.execute(_SQL["stay_in_line"], *columns(joined, 3), now + LINE_US)
        await connection.execute(_SQL["join_line"], *columns(joined, 3), now + LINE_US)
    return found


async def _with_recent(connection: Connection, asked: Sequence[Take], found: Sequence[Taken]) -> list[Taken]:
    """The answers, with the last exchanges of the conversations that were taken."""
    said: dict[int, list[Exchange]] = defaultdict(list)
    recent = max(take.recent for take in asked)
    for n, message, response in await connection.fetch(_SQL["recent"], *columns(asked, 2), recent):
        said[n].append(Exchange(message, response))
    return [taken._replace(recent=said[n]) if taken.outcome == "yours" else taken for n, taken in enumerate(found)]


async def _are_free(connection: Connection, asked: Sequence[Claim]) -> list[bool]:
    holds, lines, now = await _read_holds(connection, asked)
    return [is_free(claim.ticket, holds[n][0] if n in holds else None, lines[n], now) for n, claim in enumerate(asked)]


async def _take_plain(connection: Connection, asked: Sequence[Take]) -> list[tuple[int, Taken]]:
    """Take those that can be had without a closer look; their places in what was asked, and the answers."""
    rows = [
        (take.tenant, take.id, take.user, take.ticket, take.turn_id, take.fingerprint, take.lease_us, take.make)
        for take in asked
    ]
    recent = max(take.recent for take in asked)
    found = []
    for n, token, until, row, messages, responses in await connection.fetch(_SQL["take_turns"], rows, recent):
        said = [Exchange(*one) for one in zip(messages or (), responses or (), strict=True)]
        known = None if row is None or row["tenant"] is None else ConversationRow(*row)
        found.append((n, Taken("yours", known, token, until=until, recent=said)))
    return found


async def _save_turns(connection: Connection, saves: Sequence[Save]) -> frozenset[int]:
    """Save those that are held under their tokens; their places in what was asked."""
    rows = [save.row._replace(expires_at=save.ttl_us) for save in saves]
    tokens, turns = [save.token for save in saves], [save.turn or _NO_TURN for save in saves]
    return frozenset(row[0] for row in await connection.fetch(_SQL["save_turns"], rows, tokens, turns))


async def _save(connection: Connection, saves: Sequence[Save], saved: frozenset[int]) -> list[bool]:
    """Save all but some that were saved before."""
    places = [n for n in range(len(saves)) if n not in saved]
    left = [saves[n] for n in places]
    freed = {places[n] for n in await _save_turns(connection, left)}
    for n in sorted(freed):
        save = saves[n]
        if save.starts:
            await write(connection, Batch(starts=list(save.starts)), Heads())
        if save.changes and any(outcome != "done" for outcome in await put_items(connection, save.changes)):
            raise Rejected(f"conversation {save.row.id!r} is handed over to a work item that has changed")
    freed |= saved
    repeated = await _stored(connection, [save.turn for n, save in enumerate(saves) if n not in freed and save.turn])
    return [
        n in freed or (save.turn is not None and save.turn._replace(at=0) in repeated) for n, save in enumerate(saves)
    ]


async def _stored(connection: Connection, turns: Sequence[TurnRow]) -> list[TurnRow]:
    """Those turns that are stored, without the instant."""
    if not turns:
        return []
    asked = columns([(turn.tenant, turn.conversation, turn.id) for turn in turns], 3)
    return [TurnRow(*row)._replace(at=0) for row in await connection.fetch(_SQL["read_turns"], *asked)]


async def _forget(connection: Connection, limit: int) -> int:
    found = [tuple(row) for row in await connection.fetch(_SQL["gone"], limit)]
    if found:
        for name in ("delete_turns", "delete_conversations", "delete_holds"):
            await connection.execute(_SQL[name], *columns(found, 2))
    return len(found)
