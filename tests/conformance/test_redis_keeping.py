"""For how long a Redis keeps what of a conversation, what it tells of it afterwards, and how it is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from holdfast.conversations.redis.index import Entry
from holdfast.conversations.redis.keys import EXPIRY, UNSETTLED, conversation_keys, index_key
from holdfast.conversations.redis.store import RedisState
from holdfast.errors import UsageError
from holdfast.store.base import Rejected
from holdfast.store.conversation_rows import GONE_US
from holdfast.store.conversations import ConversationFilter
from tests.conformance.conversation_kit import DAY, LEASE, SECOND, claim, had, one, saving, take
from tests.conformance.redis_kit import PATIENCE_SECONDS, lifetimes, look

STATE, TURNS, HOLD, LINE, SEEN, GONE = conversation_keys("t", "c-1")

HOUR = 3600 * SECOND


@pytest.fixture
async def state(redis_url: str) -> AsyncIterator[RedisState]:
    """A state store, empty."""
    state = RedisState(redis_url, patience_seconds=PATIENCE_SECONDS)
    await state.open()
    yield state
    await state.close()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Any]:
    """A client beside it."""
    client = look(redis_url)
    yield client
    await client.aclose()


async def _until_gone(client: Redis, *keys: str) -> None:
    async with asyncio.timeout(60):
        while await client.exists(*keys):
            await asyncio.sleep(0.01)


async def test_each_turn_sets_the_expiry_of_all_keys_at_once(state: RedisState, client: Any) -> None:
    for ttl in (HOUR, DAY, 2 * HOUR):
        asked = take()
        taken = await one(state, asked)
        assert await state.save([saving(asked, taken, ttl_us=ttl)]) == [True]
        kept = await lifetimes(client)
        ends = [kept[STATE], kept[TURNS], kept[HOLD], kept[GONE] - GONE_US // 1000]
        assert max(ends) - min(ends) < 1000  # Redis looks at its clock for each key.
        assert ttl // 1000 - 60_000 < kept[STATE] <= ttl // 1000
        found = await state.find("t", "c-1")
        assert found is not None
        assert found.expires_at == found.changed_at + ttl


async def test_every_key_has_an_end_but_those_of_a_handover(state: RedisState, client: Any) -> None:
    asked, waits, leaves = take(), take(), take("c-2")
    taken = await one(state, asked)
    await one(state, waits)
    await one(state, leaves)
    await state.leave([claim(leaves)])
    assert set(await lifetimes(client)) == {HOLD, LINE, SEEN, conversation_keys("t", "c-2")[2]}
    assert -1 not in (await lifetimes(client)).values()
    handed = {"status": "handed_over", "handover": b"do it", "item": "i-1"}
    assert await state.save([saving(asked, taken, row=handed)]) == [True]
    await state._noted()
    assert {key for key, ms in (await lifetimes(client)).items() if ms == -1} == {STATE, TURNS, UNSETTLED}
    await state.settle("t", "c-1", b"do it")
    kept = await lifetimes(client)
    assert -1 not in kept.values()
    assert abs(kept[STATE] - kept[TURNS]) < 1000
    assert UNSETTLED not in kept
    assert {EXPIRY, index_key("t"), index_key("t", "user", "ann"), index_key("t", "item", "i-1")} < set(kept)


async def test_a_handover_outlives_the_conversation_until_it_is_done(state: RedisState, client: Any) -> None:
    asked = take()
    taken = await one(state, asked)
    handed = saving(asked, taken, ttl_us=1000, row={"status": "handed_over", "handover": b"do it"})
    assert await state.save([handed]) == [True]
    state._offset_us += 2 * GONE_US
    await state.forget(9)
    [row] = await state.unsettled(9)
    assert (row.id, row.handover) == ("c-1", b"do it")
    assert len(await state.turns("t", "c-1", limit=9)) == 1
    await state.settle("t", "c-1", b"something else")
    assert len(await state.unsettled(9)) == 1
    for _ in range(2):
        await state.settle("t", "c-1", b"do it")
    assert await state.unsettled(9) == []
    await _until_gone(client, STATE, TURNS)


async def test_a_handover_that_was_noted_but_not_saved_is_not_to_be_done(state: RedisState, client: Any) -> None:
    asked = take()
    taken = await one(state, asked)
    await state.leave([claim(asked)])
    handed = saving(asked, taken, row={"status": "handed_over", "handover": b"do it"})
    assert await state.save([handed]) == [False]
    assert await state.unsettled(9) == []
    assert await client.zcard(UNSETTLED) == 1  # It may be under way.
    state._offset_us += 2 * HOUR
    assert await state.unsettled(9) == []
    assert await client.exists(UNSETTLED) == 0


async def test_what_redis_has_deleted_is_told_from_what_never_was(state: RedisState, client: Any) -> None:
    asked = take()
    taken = await one(state, asked)
    assert await state.save([saving(asked, taken, ttl_us=1000)]) == [True]
    await _until_gone(client, STATE, TURNS)
    assert await state.find("t", "c-1") is None
    assert (await one(state, take())).outcome == "expired"
    assert (await one(state, asked)).outcome == "expired"
    assert (await one(state, take(user="bob"))).outcome == "missing"
    assert (await one(state, take("c-2", make=False))).outcome == "missing"
    state._offset_us += GONE_US
    assert (await one(state, take(make=False))).outcome == "missing"
    fresh = take(user="bob")
    anew = await one(state, fresh)
    assert (anew.outcome, anew.row) == ("yours", None)
    assert anew.token > taken.token
    assert await state.save([saving(fresh, anew)]) == [True]
    found = await state.find("t", "c-1")
    assert found is not None
    assert (found.user, found.turns) == ("bob", 1)


async def test_what_is_left_of_one_that_was_thrown_away_is_not_of_a_new_one(state: RedisState, client: Any) -> None:
    asked, _, _ = await had(state)
    await client.delete(STATE, GONE)
    anew = await one(state, asked)
    assert (anew.outcome, anew.row) == ("yours", None)
    assert await state.save([saving(asked, anew)]) == [True]
    assert [turn.number for turn in await state.turns("t", "c-1", limit=9)] == [1]


async def test_a_turn_in_progress_keeps_the_conversation(state: RedisState, client: Any) -> None:
    asked, following = take(), take()
    taken = await one(state, asked)
    assert await state.save([saving(asked, taken, ttl_us=20 * SECOND)]) == [True]
    taken = await one(state, following)
    kept = await lifetimes(client)
    assert min(kept[STATE], kept[TURNS], kept[HOLD]) > LEASE // 1000
    assert await state.renew([claim(following)], 10 * LEASE) == [True]
    kept = await lifetimes(client)
    assert min(kept[STATE], kept[TURNS], kept[HOLD]) > 9 * LEASE // 1000
    assert await state.save([saving(following, taken, ttl_us=20 * SECOND)]) == [True]
    kept = await lifetimes(client)
    assert max(kept[STATE], kept[TURNS]) <= 20_000


async def test_tokens_do_not_repeat_even_when_all_is_deleted(state: RedisState, client: Any) -> None:
    tokens = []
    for _ in range(5):
        asked = take()
        tokens.append((await one(state, asked)).token)
        await state.leave([claim(asked)])
        await client.flushall()
    for _ in range(5):
        asked = take()
        tokens.append((await one(state, asked)).token)
        await state.leave([claim(asked)])
        state._offset_us -= SECOND  # A clock that was put back.
    assert tokens == sorted(set(tokens))


async def test_indexes_forget_what_is_gone(state: RedisState, client: Any) -> None:
    for n in range(3):
        await had(state, f"c-{n}", user="ann" if n else "bob")
    # One that goes on is not due when its first turn's day is over, and is looked at again later.
    for _ in range(9):
        state._offset_us += DAY - HOUR
        await had(state, "c-2")
    for n in range(2):
        await client.delete(*conversation_keys("t", f"c-{n}"))
    assert await state.forget(1) == 1
    assert await state.forget(9) == 1
    assert await state.forget(9) == 0
    assert await client.zrange(index_key("t"), 0, -1) == [b"c-2"]
    assert await client.zrange(index_key("t", "user", "ann"), 0, -1) == [b"c-2"]
    assert await client.exists(index_key("t", "user", "bob")) == 0


async def test_an_index_that_lags_is_mended_by_who_looks(state: RedisState, client: Any) -> None:
    for n in range(3):
        await had(state, f"c-{n}")
    await client.zadd(index_key("t"), {"c-2": 1, "never-was": 2})
    assert [row.id for row in await state.search("t", ConversationFilter(), limit=9)] == ["c-2", "c-1", "c-0"]
    assert await client.zrange(index_key("t"), 0, -1) == [b"c-0", b"c-1", b"c-2"]
    taken = await one(state, asked := take("c-0"))
    await state.save([saving(asked, taken, row={"item": "i-1"})])
    taken = await one(state, asked := take("c-0"))
    await state.save([saving(asked, taken, row={"item": "i-2"})])
    assert await state.search("t", ConversationFilter(item="i-1"), limit=9) == []
    assert [row.id for row in await state.search("t", ConversationFilter(item="i-2"), limit=9)] == ["c-0"]


async def test_what_was_noted_again_meanwhile_is_not_taken_out(state: RedisState, client: Any) -> None:
    await had(state)
    await state._noted()
    [(member, expires_at)] = await client.zrange(EXPIRY, 0, -1, withscores=True)
    assert await state._indexes._drop(index_key("t"), [Entry(b"c-1", 1)]) == 0
    await client.zadd(EXPIRY, {member: 1})  # What its last turn noted is not there yet.
    assert await state.forget(9) == 0
    assert await client.zrange(EXPIRY, 0, -1, withscores=True) == [(member, expires_at)]
    assert [row.id for row in await state.search("t", ConversationFilter(), limit=9)] == ["c-1"]


async def test_a_note_that_comes_late_moves_nothing_down(state: RedisState, client: Any) -> None:
    await had(state)
    stale = await state.find("t", "c-1")
    assert stale is not None
    state._offset_us += HOUR
    await had(state)
    await state._noted()
    score = await client.zscore(index_key("t"), "c-1")
    assert score > stale.changed_at
    await state._indexes.note([stale])
    assert await client.zscore(index_key("t"), "c-1") == score


async def test_more_conversations_than_are_read_at_a_time_are_found(state: RedisState) -> None:
    asked = [take(f"c-{n:03}", user="bob" if n == 7 else "ann") for n in range(230)]
    taken = await state.take(asked)
    await state.save([saving(*pair) for pair in zip(asked, taken, strict=True)])
    found = await state.search("t", ConversationFilter(), limit=999)
    assert len({row.id for row in found}) == 230
    assert found == sorted(found, key=lambda row: (row.changed_at, row.id), reverse=True)
    pages, last = [], None
    while page := await state.search("t", ConversationFilter(), limit=33, before=last):
        pages += page
        last = page[-1].changed_at, page[-1].id
    assert pages == found
    assert [row.id for row in await state.search("t", ConversationFilter(user="bob"), limit=9)] == ["c-007"]


async def test_runs_and_items_are_not_taken(state: RedisState) -> None:
    asked = take()
    taken = await one(state, asked)
    save = saving(asked, taken)
    something: Any = object()
    for refused in (save._replace(starts=(something,)), save._replace(changes=(something,))):
        with pytest.raises(UsageError, match=r"'c-1': a Redis has no runs .* give a handover"):
            await state.save([refused])
    assert await state.find("t", "c-1") is None
    assert await state.save([save]) == [True]


async def test_what_redis_cannot_hold_is_refused(state: RedisState) -> None:
    for us in (200 * 365 * DAY, 10**30):
        with pytest.raises(Rejected, match="longer than a hundred years"):
            await state.take([take(lease_us=us)])
        with pytest.raises(Rejected, match="longer than a hundred years"):
            await state.renew([], us)
    asked = take()
    save = saving(asked, await one(state, asked))
    assert save.turn is not None
    with pytest.raises(Rejected, match="longer than a hundred years"):
        await state.save([save._replace(ttl_us=200 * 365 * DAY)])
    with pytest.raises(Rejected, match="turn 1 of 'c-1'"):
        await state.save([save._replace(turn=save.turn._replace(input_tokens=10**30))])
    assert await state.save([save]) == [True]
