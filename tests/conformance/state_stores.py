"""Every state store, each empty, with a clock that a test moves."""

from __future__ import annotations

from typing import Any, Protocol

import asyncpg

from holdfast.conversations.redis.store import RedisState


class Clock(Protocol):
    """The clock of a state store."""

    async def forward(self, us: int) -> None:
        """Let it be so much later."""


class DatabaseClock:
    """Of a database of holdfast's."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._at: int | None = None

    async def forward(self, us: int) -> None:
        """See `Clock.forward`."""
        self._at = (await self._store.now() if self._at is None else self._at) + us
        await self._store.stop_clock(self._at)


class PostgresClock:
    """Of a PostgreSQL database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._us = 0

    async def forward(self, us: int) -> None:
        """See `Clock.forward`."""
        self._us += us
        connection = await asyncpg.connect(self._url)
        await connection.execute(
            "CREATE OR REPLACE FUNCTION holdfast.now_us() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE AS "
            f"$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + {self._us:d} $$"
        )
        await connection.close()


class RedisClock:
    """Of a Redis: what this client adds to it."""

    def __init__(self, state: RedisState) -> None:
        self._state = state

    async def forward(self, us: int) -> None:
        """See `Clock.forward`."""
        self._state._offset_us += us
