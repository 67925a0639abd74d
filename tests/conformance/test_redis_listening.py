"""Who waits for a conversation in a Redis is woken when it is freed elsewhere, also after the connection was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from holdfast.conversations import holding
from holdfast.conversations.holding import Holding
from holdfast.conversations.redis.keys import FREED
from holdfast.conversations.redis.store import RedisState
from tests.conformance.conversation_kit import claim, one, saving, take
from tests.conformance.redis_kit import PATIENCE_SECONDS, freed, heard
from tests.redis_servers import RedisServer

LONG = 100.0


def _store(url: str) -> RedisState:
    return RedisState(url, patience_seconds=PATIENCE_SECONDS)


@pytest.fixture
async def state(redis_url: str) -> AsyncIterator[RedisState]:
    """What another process does."""
    state = _store(redis_url)
    await state.open()
    yield state
    await state.close()


async def _waits(holding: Holding) -> None:
    async with asyncio.timeout(LONG):
        while not holding.waiting:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("way", ["save", "leave"])
async def test_who_waits_is_woken_by_another_process(
    state: RedisState, redis_url: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(holding, "LOOK_SECONDS", LONG)  # Nobody looks for himself.
    store = _store(redis_url)
    waiting = Holding(store)
    await store.listen(waiting.hear)
    asked, following = take(), take()
    taken = await one(state, asked)
    line = asyncio.create_task(waiting.take(following, LONG, LONG))
    await _waits(waiting)
    if way == "save":
        assert await state.save([saving(asked, taken)]) == [True]
    else:
        await state.leave([claim(asked)])
    async with asyncio.timeout(LONG / 2):
        assert (await line).taken.outcome == "yours"
    await store.close()


async def test_a_connection_that_is_cut_is_made_again(state: RedisState, redis_server: RedisServer) -> None:
    async with heard(_store(redis_server.url)) as said, asyncio.timeout(LONG):
        await freed(state)
        assert await said.get() == ("t", "c-1")
        for n in range(3):
            assert int(redis_server.say("CLIENT", "KILL", "TYPE", "pubsub")[1:]) >= 1
            assert await said.get() == ("", "")  # What was said meanwhile is lost.
            await freed(state, f"c-{n}")
            assert await said.get() == ("t", f"c-{n}")


async def test_it_listens_once_the_server_is_there(
    state: RedisState, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    redis_server.stop()
    try:
        said: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        store = _store(redis_server.url)
        await store.listen(lambda *names: said.put_nowait(names))
    finally:
        redis_server.start()
    async with asyncio.timeout(LONG):
        assert await said.get() == ("", "")
        await freed(state)
        assert await said.get() == ("t", "c-1")
    assert [record.message.partition("; ")[2] for record in caplog.records] == [
        "until it is back, those who wait look for themselves"
    ]
    await store.close()


async def test_a_server_that_falls_silent_is_left(
    state: RedisState, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("holdfast.conversations.redis.listening.QUIET_SECONDS", 0.2)
    async with heard(RedisState(redis_server.url)) as said, asyncio.timeout(LONG):
        redis_server.freeze()
        try:
            while not caplog.records:
                await asyncio.sleep(0.01)
        finally:
            redis_server.thaw()
        while (names := await said.get()) == ("", ""):  # Slow as it is, it may seem to fall silent again.
            await freed(state)
        assert names == ("t", "c-1")


async def test_what_others_say_on_the_channel_is_passed_over(state: RedisState, redis_server: RedisServer) -> None:
    async with heard(_store(redis_server.url)) as said, asyncio.timeout(LONG):
        for text in ("", "{", "[1]", '["a"]', '["a", "b", "c"]', "\x00"):
            assert redis_server.say("PUBLISH", FREED, text) == b":1"
        await freed(state)
        assert await said.get() == ("t", "c-1")


async def test_the_line_is_served_at_once_over_two_processes(
    state: RedisState, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "LOOK_SECONDS", LONG)
    stores = [_store(redis_url) for _ in range(2)]
    sides = [Holding(store) for store in stores]
    for side, store in zip(sides, stores, strict=True):
        await store.listen(side.hear)
    first = take()
    taken = await one(state, first)

    async def turn(n: int) -> None:
        line = await sides[n % 2].take(asked := take(turn_id=f"turn-{n}"), LONG, LONG)
        assert await sides[n % 2].save(saving(asked, line.taken))

    turns = [asyncio.create_task(turn(n)) for n in range(4)]
    await _waits(sides[1])
    assert await state.save([saving(first, taken)]) == [True]
    async with asyncio.timeout(LONG / 2):
        await asyncio.gather(*turns)
    assert len(await state.turns("t", "c-1", limit=9)) == 5
    for store in stores:
        await store.close()
