"""Places of a rate, for all tenants and processes, by the database's clock, over every store.

An interval is an hour, so that it does not matter how long a test takes.
"""

import asyncio
from typing import Any

import pytest

import holdfast as hf
from holdfast.errors import StoreUnavailable
from holdfast.store.base import Store
from holdfast.store.postgres.connection import Link
from holdfast.store.url import make_store
from tests.conformance.agent_kit import clock_of
from tests.conformance.state_stores import Clock

HOUR = 3600 * 1_000_000
KEY = "model:openai:small"


@pytest.fixture
def clock(store: Store, store_url: str) -> Clock:
    return clock_of(store, store_url)


async def places(store: Store, count: int, burst: int = 1, key: str = KEY) -> list[float]:
    """In how many hours the next places are; 0 is now, and nothing else is before an hour."""
    found = [await store.agents.reserve(key, HOUR, burst) for _ in range(count)]
    assert all(place == 0 or place > HOUR * 0.4 for place in found)
    return [round(2 * place / HOUR) / 2 for place in found]


async def test_each_place_is_an_interval_after_the_one_before(store: Store, clock: Clock) -> None:
    await clock.forward(0)
    assert await places(store, 3) == [0, 1, 2]
    await clock.forward(HOUR)
    assert await places(store, 1) == [2]
    await clock.forward(10 * HOUR)  # a rest does not gather more than a burst
    assert await places(store, 2) == [0, 1]


async def test_a_burst_is_at_once_and_comes_back_by_resting(store: Store, clock: Clock) -> None:
    await clock.forward(0)
    assert await places(store, 5, burst=3) == [0, 0, 0, 1, 2]
    await clock.forward(4 * HOUR)  # two are free again: the places of one and two hours are over
    assert await places(store, 3, burst=3) == [0, 0, 1]
    await clock.forward(50 * HOUR)
    assert await places(store, 4, burst=3) == [0, 0, 0, 1]


async def test_keys_do_not_know_of_each_other(store: Store, clock: Clock) -> None:
    await clock.forward(0)
    assert await places(store, 2) == [0, 1]
    assert await places(store, 2, key="provider:openai") == [0, 1]
    await store.agents.postpone("provider:openai", 5 * HOUR)
    assert await places(store, 1) == [2]
    assert await places(store, 1, key="provider:openai") == [5]


async def test_no_place_is_before_a_pause_ends(store: Store, clock: Clock) -> None:
    await clock.forward(0)
    await store.agents.postpone(KEY, 5 * HOUR)
    assert await places(store, 3) == [5, 6, 7]
    await store.agents.postpone(KEY, 6 * HOUR)  # the next place is later anyway
    assert await places(store, 1) == [8]
    await store.agents.postpone(KEY, 20 * HOUR)
    await store.agents.postpone(KEY, HOUR)  # a shorter one takes nothing back
    assert await places(store, 2) == [20, 21]
    await clock.forward(30 * HOUR)
    assert await places(store, 2) == [0, 1]


async def test_after_a_pause_there_is_one_burst(store: Store, clock: Clock) -> None:
    await clock.forward(0)
    assert await places(store, 1, burst=3) == [0]
    await store.agents.postpone(KEY, 4 * HOUR)
    assert await places(store, 5, burst=3) == [4, 4, 4, 5, 6]


async def test_of_many_processes_no_two_get_the_same_place(disk_url: str) -> None:
    stores = [make_store(disk_url) for _ in range(4)]
    for store in stores:
        await store.open()
    await clock_of(stores[0], disk_url).forward(0)
    taken = await asyncio.gather(*(stores[n % 4].agents.reserve(KEY, HOUR, 2) for n in range(40)))
    assert sorted(round(place / HOUR) for place in taken) == [0, *range(39)]
    await asyncio.gather(*(store.agents.postpone(KEY, HOUR * (100 + n)) for n, store in enumerate(stores)))
    assert round(await stores[1].agents.reserve(KEY, HOUR, 2) / HOUR) == 103
    for store in stores:
        await store.close()


async def test_a_write_whose_connection_is_lost_is_made_again(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lone, lost = Link.lone, 0

    async def cut(self: Link, work: Any) -> Any:
        nonlocal lost
        lost += 1
        raise StoreUnavailable("the connection is gone")

    async with hf.connect(postgres_database) as client:
        agents = client.core.store.agents
        monkeypatch.setattr(Link, "lone", cut)
        assert await agents.reserve("model:one", 60_000_000, 1) == 0
        monkeypatch.setattr(Link, "lone", lone)
        assert lost == 1
        assert await agents.reserve("model:one", 60_000_000, 1) > 0, "the place was taken"
