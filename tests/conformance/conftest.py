"""Fixtures of the tests over every store."""

import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from holdfast.store.base import Store
from holdfast.store.url import make_store
from tests.conformance.kit import register


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
