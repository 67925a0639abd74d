"""Fixtures of the tests over every store."""

import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from holdfast.conversations.redis.store import RedisState
from holdfast.store.base import Store
from holdfast.store.conversations import StateStore
from holdfast.store.url import make_store
from tests.conformance.kit import register
from tests.conformance.state_stores import Clock, DatabaseClock, PostgresClock, RedisClock


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store with one worker."""
    store = make_store(store_url)
    await store.open()
    await register(store)
    yield store
    await store.close()


@pytest.fixture
async def looking(store: Store, store_url: str, postgres_url: str) -> AsyncIterator[Store]:
    """The store to look through: on PostgreSQL, that of a user who owns nothing and is no superuser."""
    if not store_url.startswith("postgres"):
        yield store
        return
    name = f"app_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f"CREATE ROLE {name} LOGIN; GRANT holdfast_engine TO {name}")
    parts = urlsplit(store_url)
    theirs = make_store(parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}").geturl())
    await theirs.open()
    yield theirs
    await theirs.close()
    await admin.execute(f"DROP ROLE {name}")
    await admin.close()


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[tuple[StateStore, Clock]]:
    """Each state store, empty, and its clock."""
    if request.param == "redis":
        state = RedisState(request.getfixturevalue("redis_url"), patience_seconds=30)
        await state.open()
        yield state, RedisClock(state)
        await state.close()
        return
    if request.param == "memory":
        url = "memory://"
    else:
        url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_database")
    store: Any = make_store(url)
    await store.open()
    yield store.conversations, PostgresClock(url) if request.param == "postgres" else DatabaseClock(store)
    await store.close()


@pytest.fixture
def state(kept: tuple[StateStore, Clock]) -> StateStore:
    """An empty state store."""
    return kept[0]


@pytest.fixture
def clock(kept: tuple[StateStore, Clock]) -> Clock:
    """The clock of that state store."""
    return kept[1]
