"""Messages as they are claimed, settled, handed back and rescued; inside the caller's transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from holdfast.store.operations import Batch
from holdfast.store.outbox_keeping import Ending, Leaving, ending, lost
from holdfast.store.outbox_rows import ClaimedMessage, ClaimMessages, Settlement
from holdfast.store.postgres.claim import AGAIN_SECONDS, LOWEST, Heads
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns
from holdfast.store.postgres.messages import advance_lines, drop_lines, lock_lines
from holdfast.store.postgres.write import write
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "sending.sql")


class Marks:
    """From when on a claim searches a channel; see sending.sql. Nothing depends on it but speed."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}
        self._searched_at: dict[str, float] = {}

    def since(self, channel: str) -> int:
        """When the last one that was taken was due; now and then from the beginning, for what came later before it."""
        if time.monotonic() - self._searched_at.get(channel, 0.0) >= AGAIN_SECONDS:
            self._searched_at[channel] = time.monotonic()
            return LOWEST
        return self._since.get(channel, LOWEST)

    def took(self, channel: str, last: int) -> None:
        """Messages that were due until then were taken."""
        self._since[channel] = last


async def claim(connection: Connection, asked: ClaimMessages, marks: Marks) -> list[ClaimedMessage]:
    """See `OutboxStore.claim`."""
    if await connection.fetchval(_SQL["begin_claim"], asked.worker) is None:
        return []
    again = await connection.fetch(_SQL["repeat_claim"], asked.claim_id)
    if again:
        return [ClaimedMessage._make(row) for row in again]
    given, since = (asked.worker, asked.claim_id, asked.channel), marks.since(asked.channel)
    rows = await connection.fetch(_SQL["claim"], *given, asked.limit, asked.resend, since)
    if rows:
        marks.took(asked.channel, rows[-1][0])
    if len(rows) < asked.limit and since > LOWEST:
        left = asked.limit - len(rows)
        rows = [*await connection.fetch(_SQL["claim"], *given, left, asked.resend, LOWEST), *rows]
    return [ClaimedMessage._make(tuple(row)[1:]) for row in rows]


async def settle(connection: Connection, settlements: Sequence[Settlement]) -> list[bool]:
    """See `OutboxStore.settle`."""
    keys = columns(settlements, 2)
    places: dict[bytes, tuple[Any, ...]] = {}
    inside: list[Settlement] = []
    for n, *place in await connection.fetch(_SQL["lock_sends"], *keys):
        uid = settlements[n].uid
        if uid not in places:
            places[uid] = tuple(place)
            inside.append(settlements[n])
    if inside:
        starts = [settlement.start for settlement in inside if settlement.start is not None]
        if starts:
            await write(connection, Batch(starts=starts), Heads())
        leaving: list[Leaving] = []
        for one in inside:
            tenant, channel, key = places[one.uid]
            if key is not None and one.outcome in ("sent", "withheld", "review"):
                leaving.append((tenant, channel, key, one.uid))
        await lock_lines(connection, leaving)
        await _end(connection, [ending(settlement) for settlement in inside])
        await advance_lines(connection, leaving)
    if len(inside) == len(settlements):
        return [True] * len(settlements)
    known = {row[0] for row in await connection.fetch(_SQL["was_settled"], *keys)}
    return [n in known for n in range(len(settlements))]


async def settle_late(connection: Connection, sent: Sequence[Settlement]) -> set[bytes]:
    """Record that messages were sent which are dead in doubt; the uids of those that were."""
    found = [tuple(row) for row in await connection.fetch(_SQL["in_doubt"], [one.uid for one in sent])]
    leaving: list[Leaving] = [row for row in found if row[2] is not None]
    await lock_lines(connection, leaving)
    uids = {row[0] for row in await connection.fetch(_SQL["lock_in_doubt"], [row[3] for row in found])}
    await _end(connection, [ending(one) for one in {one.uid: one for one in sent}.values() if one.uid in uids])
    await advance_lines(connection, [row for row in leaving if row[3] in uids])
    await drop_lines(connection, leaving)
    return uids


async def hand_back(connection: Connection, claim_ids: Sequence[bytes]) -> int:
    """See `OutboxStore.hand_back`."""
    uids = [row[0] for row in await connection.fetch(_SQL["lock_claims"], claim_ids)]
    if uids:
        await connection.execute(_SQL["hand_back"], uids)
    return len(uids)


async def rescue(connection: Connection, limit: int) -> tuple[int, int]:
    """See `OutboxStore.rescue_messages`."""
    rows = await connection.fetch(_SQL["lock_lost"], limit)
    await _end(connection, [lost(*row) for row in rows])
    ready = sum(row[1] for row in rows)
    return ready, len(rows) - ready


async def _end(connection: Connection, endings: Sequence[Ending]) -> None:
    """Record what became of messages that were being sent, and queue those again that are to be tried again."""
    if endings:
        await connection.execute(_SQL["end_messages"], endings)
