"""The StateStore protocol on Redis, 6.2 or later, single or clustered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from holdfast.conversations.redis.address import read_address
from holdfast.conversations.redis.coding import read_row, read_taken, read_turn, write_key, write_save
from holdfast.conversations.redis.index import Indexes
from holdfast.conversations.redis.keys import FREED, conversation_keys
from holdfast.conversations.redis.link import Link
from holdfast.conversations.redis.listening import Listener
from holdfast.conversations.redis.scripts import Call, run
from holdfast.errors import LONGEST_SECONDS, StoreError, UsageError
from holdfast.store.base import Rejected
from holdfast.store.conversation_rows import ConversationRow, Save, Take, Taken, TurnRow
from holdfast.store.conversations import Claim, ConversationFilter
from holdfast.store.turn_taking import check_saves, check_takes

log = logging.getLogger("holdfast.conversations")

NOTE_SECONDS = 0.02
"""So much later what has changed is noted in the indexes, unless somebody searches here before."""

RECENT_AT_MOST = 1000
"""So many turns are given with a conversation."""

_LONGEST_US = int(LONGEST_SECONDS * 1e6)


class RedisState:
    """Conversations in a Redis.

    What is done with a conversation is one script, on keys of one slot, and so happens as a whole or not at all. A call
    about several is not one change: when a part of it fails, the others may have been done. Redis deletes what has
    expired by itself; for seven days more it is known that the conversation was there, and whose it was, but neither
    its state nor its turns. What Redis acknowledges is as safe as its settings make it: ``appendonly yes`` and
    ``maxmemory-policy noeviction`` are for conversations that must not be lost.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``; any server of a cluster.
        patience_seconds: how long to wait for a connection or a reply. No call takes longer than twice that.

    Raises:
        BadURL: the address is none of these.
    """

    name = "redis"

    def __init__(self, url: str, *, patience_seconds: float = 1.0) -> None:
        self._link = Link(read_address(url), patience_seconds)
        self._indexes = Indexes(self._run)
        self._listeners: list[Listener] = []
        self._unnoted: dict[tuple[str, str], ConversationRow] = {}
        self._noting: asyncio.Task[None] | None = None
        self._notes = asyncio.Lock()
        self._offset_us = 0  # What tests put the clock forward by.

    @property
    def is_in_order(self) -> bool:
        """See `Link.is_in_order`."""
        return self._link.is_in_order

    async def open(self) -> None:
        """Connect.

        Raises:
            StoreUnavailable: it cannot be reached.
            StoreError: it is too old, or refuses the user.
        """
        await self._link.open()

    async def close(self) -> None:
        """Stop listening, and close the connections; they are opened again when they are needed."""
        while self._listeners:
            await self._listeners.pop().stop()
        if self._noting is not None:
            self._noting.cancel()
            self._noting = None
        await self._noted()
        await self._link.close()

    async def listen(self, sink: Callable[[str, str], None]) -> None:
        """Call a sink, from now until it is closed, with tenant and id of each conversation that may be free.

        A message may be lost. After the connection was, the sink is called with two empty texts: any may be free.
        """
        listener = Listener(self._link, sink)
        self._listeners.append(listener)
        await listener.start()

    async def take(self, asked: Sequence[Take]) -> list[Taken]:
        """See `StateStore.take`."""
        check_takes(asked)
        for take in asked:
            _check_span(take.lease_us)
        replies = await self._run([
            Call("take", conversation_keys(take.tenant, take.id), [
                take.user, take.ticket, take.turn_id, take.fingerprint, take.lease_us, int(take.waits), int(take.make),
                min(take.recent, RECENT_AT_MOST),
            ])
            for take in asked
        ])  # fmt: skip
        return [read_taken(take.tenant, take.id, reply) for take, reply in zip(asked, replies, strict=True)]

    async def is_free(self, asked: Sequence[Claim]) -> list[bool]:
        """See `StateStore.is_free`."""
        return await self._ask("is_free", asked)

    async def renew(self, held: Sequence[Claim], lease_us: int) -> list[bool]:
        """See `StateStore.renew`."""
        _check_span(lease_us)
        return await self._ask("renew", held, lease_us)

    async def leave(self, claims: Sequence[Claim]) -> None:
        """See `StateStore.leave`."""
        await self._run(
            [
                Call("leave", conversation_keys(tenant, id), [ticket, FREED, write_key(tenant, id)])
                for tenant, id, ticket in claims
            ]
        )

    async def save(self, saves: Sequence[Save]) -> list[bool]:
        """See `StateStore.save`.

        Raises:
            UsageError: it starts runs or changes work items; say what is to be done in the handover.
        """
        check_saves(saves)
        calls = []
        for save in saves:
            if save.starts or save.changes:
                raise UsageError(
                    f"conversation {save.row.id!r}: a Redis has no runs and no work items; give a handover to settle"
                )
            _check_span(save.ttl_us)
            mark, *rest = write_save(save)
            tenant, id = save.row.tenant, save.row.id
            calls.append(
                Call("save", conversation_keys(tenant, id), [
                    save.token, save.ttl_us, save.row.revision, mark, FREED, write_key(tenant, id), *rest,
                ])
            )  # fmt: skip
        await self._indexes.note_handovers([save.row for save in saves if save.row.handover is not None])
        replies = await self._run(calls)
        outcomes = [outcome.decode() for outcome, _, _ in replies]
        changed = [
            save.row._replace(changed_at=changed_at, expires_at=expires_at)
            for save, (_, changed_at, expires_at) in zip(saves, replies, strict=True)
            if changed_at
        ]
        self._note_soon(changed)
        for save, outcome in zip(saves, outcomes, strict=True):
            if outcome == "revision":
                raise Rejected(f"conversation {save.row.id!r} is not at revision {save.row.revision - 1}")
            if outcome == "turn":
                raise Rejected(f"conversation {save.row.id!r} has a turn {save.row.turns}, or one of the same id")
        return [outcome in ("saved", "stored") for outcome in outcomes]

    async def find(self, tenant: str, id: str) -> ConversationRow | None:
        """See `StateStore.find`. One that has expired is not there any more."""
        [(_, flat)] = await self._run([Call("find", conversation_keys(tenant, id))])
        return read_row(flat)

    async def search(
        self, tenant: str, which: ConversationFilter, *, limit: int, before: tuple[int, str] | None = None
    ) -> list[ConversationRow]:
        """See `StateStore.search`. One whose last turn was cut off by a crash may be missing until its next one."""
        await self._noted()
        return await self._indexes.search(tenant, which, limit, before)

    async def turns(self, tenant: str, id: str, *, after: int = 0, limit: int) -> list[TurnRow]:
        """See `StateStore.turns`."""
        [found] = await self._run([Call("turns", conversation_keys(tenant, id), [after, limit])])
        return [read_turn(tenant, id, turn) for turn in found]

    async def settle(self, tenant: str, id: str, handover: bytes) -> None:
        """See `StateStore.settle`."""
        [settled] = await self._run([Call("settle", conversation_keys(tenant, id), [handover])])
        if settled:
            await self._indexes.drop_handover(tenant, id)

    async def unsettled(self, limit: int) -> list[ConversationRow]:
        """See `StateStore.unsettled`."""
        await self._noted()
        return await self._indexes.unsettled(limit)

    async def forget(self, limit: int) -> int:
        """Take what has expired long ago out of the indexes; how many conversations. Redis itself deletes them."""
        await self._noted()
        return await self._indexes.forget(limit)

    async def _run(self, calls: Sequence[Call]) -> list[Any]:
        return await run(self._link, self._offset_us, calls)

    async def _ask(self, script: str, claims: Sequence[Claim], *arguments: int) -> list[bool]:
        replies = await self._run(
            [Call(script, conversation_keys(tenant, id), [ticket, *arguments]) for tenant, id, ticket in claims]
        )
        return [reply == 1 for reply in replies]

    def _note_soon(self, rows: Sequence[ConversationRow]) -> None:
        """Have conversations noted in the indexes: their turns are stored, and nobody who had one waits for that."""
        self._unnoted.update(((row.tenant, row.id), row) for row in rows)
        if self._noting is None and self._unnoted:
            self._noting = asyncio.create_task(self._note(), name="holdfast-conversations-notes")

    async def _note(self) -> None:
        while self._unnoted:
            await asyncio.sleep(NOTE_SECONDS)
            await self._noted()
        self._noting = None

    async def _noted(self) -> None:
        """What this process changed is in the indexes then, if they can be written to."""
        async with self._notes:
            rows, self._unnoted = list(self._unnoted.values()), {}
            if not rows:
                return
            try:
                await self._indexes.note(rows)
            except StoreError as error:
                log.warning("%d conversations may be missing in searches until their next turn: %s", len(rows), error)


def _check_span(us: int) -> None:
    if us > _LONGEST_US:
        raise Rejected(f"{us} µs is longer than a hundred years")
