"""Fixtures of the API's tests. What depends on the store is tested over every store in `test_every_route`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.kit import Served, serving, working


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A server without auth, in memory."""
    async with serving() as made:
        yield made


@pytest.fixture
async def http(served: Served) -> httpx.AsyncClient:
    """A client of it."""
    return served.http()


@pytest.fixture
async def worker(served: Served) -> AsyncIterator[None]:
    """A worker for it."""
    async with working(served):
        yield


@pytest.fixture
async def guarded() -> AsyncIterator[Served]:
    """A server with auth, in memory."""
    async with serving(auth=True) as made:
        yield made
