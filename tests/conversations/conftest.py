"""Conversations over every state store."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

import holdfast as hf
from holdfast.conversations.states import holding_of
from tests.conformance.state_stores import Clock, DatabaseClock, PostgresClock, RedisClock
from tests.conversations.kit import Place
from tests.engine.conftest import everything_is_closed

__all__ = ["everything_is_closed"]


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """A database and a state store, both empty."""
    state_url = ""
    match request.param:
        case "memory":
            url = "memory://"
        case "sqlite":
            url = request.getfixturevalue("sqlite_url")
        case "postgres":
            url = request.getfixturevalue("postgres_database")
        case _:
            url, state_url = "memory://", request.getfixturevalue("redis_url")
    async with hf.connect(url) as client:
        store: Any = client.core.store
        clock: Clock = PostgresClock(url) if request.param == "postgres" else DatabaseClock(store)
        if state_url:
            state: Any = (await holding_of(client.core, state_url)).store
            clock = RedisClock(state)
        yield Place(client, state_url, clock)


@pytest.fixture
async def memory() -> AsyncIterator[Place]:
    """The same in memory alone, for what has nothing to do with the store."""
    async with hf.connect("memory://") as client:
        yield Place(client, "", DatabaseClock(client.core.store))
