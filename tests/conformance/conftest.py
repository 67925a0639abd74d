"""Fixtures of the tests over every store."""

from collections.abc import AsyncIterator

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
