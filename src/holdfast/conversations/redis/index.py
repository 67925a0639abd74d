"""The indexes by which conversations are found: noted after each change, read from the top, mended where they lie.

An index spans conversations, and so is written by a command of its own, after the script that changed the
conversation. When a process dies in between, the index lags: a search does not find the conversation, or finds it where
it was, until its next turn is noted. What an index names is read from the conversation itself each time, and an entry
that points to nothing is taken out. Only a handover is noted beforehand, since there may be no next turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any, NamedTuple

from holdfast.conversations.redis.coding import read_key, read_row, write_key
from holdfast.conversations.redis.keys import EXPIRY, UNSETTLED, conversation_keys, index_key
from holdfast.conversations.redis.scripts import Call
from holdfast.store.conversation_rows import GONE_US, ConversationRow
from holdfast.store.conversations import ConversationFilter

PAGE = 100
"""So many entries are read at a time."""

UNDER_WAY_US = 3600 * 1_000_000
"""A handover that was noted longer ago than this and is not there was not saved."""

Running = Callable[[Sequence[Call]], Awaitable[list[Any]]]


class Entry(NamedTuple):
    """An entry of an index: its member, and what orders it (us)."""

    member: bytes
    score: int


class Indexes:
    """The indexes of a Redis.

    Args:
        run: runs scripts.
    """

    def __init__(self, run: Running) -> None:
        self._run = run

    async def note(self, rows: Sequence[ConversationRow]) -> None:
        """Note conversations that were changed, as they are now."""
        await self._run(_notes(rows))

    async def note_handovers(self, rows: Sequence[ConversationRow]) -> None:
        """Note conversations whose handover is about to be saved."""
        await self._run([Call("note", [UNSETTLED], ["", "", write_key(row.tenant, row.id)]) for row in rows])

    async def drop_handover(self, tenant: str, id: str) -> None:
        """Forget a handover that is done."""
        member = write_key(tenant, id)
        [score] = await self._run([Call("score", [UNSETTLED], [member])])
        if score is not None:
            await self._drop(UNSETTLED, [Entry(member, _score(score))])

    async def search(
        self, tenant: str, which: ConversationFilter, limit: int, before: tuple[int, str] | None
    ) -> list[ConversationRow]:
        """See `StateStore.search`."""
        key = _narrowest(tenant, which)
        found: dict[str, ConversationRow] = {}
        stale: list[Entry] = []
        moved: list[ConversationRow] = []
        for start in count(step=PAGE):
            if len(found) >= limit:
                break
            top = "+inf" if before is None else before[0]
            page = _entries(await self._run([Call("page", [key], [top, start, PAGE])]))
            ids = [entry.member.decode() for entry in page]
            for entry, id, (now, row) in zip(page, ids, await self._read([(tenant, id) for id in ids]), strict=True):
                if row is None or not _belongs(row, which):
                    stale.append(entry)
                    continue
                if row.changed_at > entry.score:
                    moved.append(row)
                if (before is None or (row.changed_at, id) < before) and _fits(row, which, now):
                    found[id] = row
            if len(page) < PAGE:
                break
        await self.note(moved)
        await self._drop(key, stale)
        return sorted(found.values(), key=lambda row: (row.changed_at, row.id), reverse=True)[:limit]

    async def unsettled(self, limit: int) -> list[ConversationRow]:
        """See `StateStore.unsettled`."""
        found: list[ConversationRow] = []
        stale: list[Entry] = []
        for start in count(step=PAGE):
            if len(found) >= limit:
                break
            page = _entries(await self._run([Call("due", [UNSETTLED], ["", start, PAGE])]))
            for entry, (now, row) in zip(page, await self._read([read_key(one.member) for one in page]), strict=True):
                if row is not None and row.handover is not None:
                    found.append(row)
                elif entry.score < now - UNDER_WAY_US:
                    stale.append(entry)
            if len(page) < PAGE:
                break
        await self._drop(UNSETTLED, stale)
        return sorted(found, key=lambda row: row.changed_at)[:limit]

    async def forget(self, limit: int) -> int:
        """Take out of the indexes what has expired long ago; how many conversations."""
        dropped = 0
        for entry in _entries(await self._run([Call("due", [EXPIRY], [GONE_US, 0, limit])])):
            tenant, id, user = read_key(entry.member)
            keys = [index_key(tenant), index_key(tenant, "user", user)]
            # Read before the conversation, so that one that is made meanwhile is found to have been noted again.
            scores = await self._run([Call("score", [key], [id]) for key in keys])
            [(now, row)] = await self._read([(tenant, id)])
            if row is not None and row.user == user:
                until = max(row.expires_at, now)
                await self._run([Call("note", [EXPIRY], [_lasts(until - now), until, entry.member])])
                continue
            if row is None:
                for key, score in zip(keys, scores, strict=True):
                    if score is not None:
                        await self._drop(key, [Entry(id.encode(), _score(score))])
            dropped += await self._drop(EXPIRY, [entry])
        return dropped

    async def _read(self, keys: Sequence[Sequence[str]]) -> list[tuple[int, ConversationRow | None]]:
        replies = await self._run([Call("find", conversation_keys(tenant, id)) for tenant, id in keys])
        return [(now, read_row(flat)) for now, flat in replies]

    async def _drop(self, key: str, entries: Sequence[Entry]) -> int:
        if not entries:
            return 0
        [dropped] = await self._run([Call("drop", [key], [value for entry in entries for value in entry])])
        return int(dropped)


def _notes(rows: Sequence[ConversationRow]) -> list[Call]:
    """The calls that note conversations: many in one index at once."""
    entries: dict[str, list[str | bytes | int]] = defaultdict(list)
    lasts: dict[str, int] = defaultdict(int)
    for row in rows:
        keys = [index_key(row.tenant), index_key(row.tenant, "user", row.user)]
        if row.item is not None:
            keys.append(index_key(row.tenant, "item", row.item))
        for key in keys:
            entries[key] += [row.changed_at, row.id]
        if row.revision == 1:
            # Whoever looks for what has expired notes it again when it has not.
            keys.append(EXPIRY)
            entries[EXPIRY] += [row.expires_at, write_key(row.tenant, row.id, row.user)]
        for key in keys:
            lasts[key] = max(lasts[key], _lasts(row.expires_at - row.changed_at))
    return [
        Call("note", [key], [lasts[key], *listed[start : start + 2 * PAGE]])
        for key, listed in entries.items()
        for start in range(0, len(listed), 2 * PAGE)
    ]


def _lasts(us: int) -> int:
    """How long an index is needed for a conversation that lasts so long, in ms; twice as long as it is remembered."""
    return (max(us, 0) + 2 * GONE_US) // 1000


def _narrowest(tenant: str, which: ConversationFilter) -> str:
    if which.item is not None:
        return index_key(tenant, "item", which.item)
    if which.user is not None:
        return index_key(tenant, "user", which.user)
    return index_key(tenant)


def _belongs(row: ConversationRow, which: ConversationFilter) -> bool:
    """Whether it is in the right index; a user who is asked for beside an item does not matter for that."""
    if which.item is not None:
        return row.item == which.item
    return which.user in (None, row.user)


def _fits(row: ConversationRow, which: ConversationFilter, now: int) -> bool:
    return (
        which.user in (None, row.user)
        and which.status in (None, row.status)
        and which.definition in (None, row.definition)
        and (which.expired or row.expires_at > now)
    )


def _score(said: bytes) -> int:
    return int(float(said))


def _entries(replies: Sequence[Sequence[bytes]]) -> list[Entry]:
    [flat] = replies
    return [Entry(member, _score(score)) for member, score in zip(flat[::2], flat[1::2], strict=True)]
