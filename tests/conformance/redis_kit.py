"""Looks into a Redis behind a state store's back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from holdfast.conversations.redis.coding import read_row, read_turn
from holdfast.conversations.redis.keys import conversation_keys
from holdfast.conversations.redis.store import RedisState
from holdfast.store.conversation_rows import ConversationRow, TurnRow
from holdfast.store.turn_taking import Hold, Waiting
from tests.conformance.conversation_kit import claim, one, saving, take

PATIENCE_SECONDS = 30.0
"""Where a test is not about time, a slow machine is not a fault."""


def look(url: str) -> Redis:
    """A client that shows what is there as it is."""
    client: Redis = Redis.from_url(url, protocol=2, socket_timeout=PATIENCE_SECONDS)
    return client


async def lifetimes(client: Redis) -> dict[str, int]:
    """How long Redis keeps each key, in ms; -1 for ever."""
    script = """
        local found = {}
        for _, key in ipairs(redis.call('KEYS', '*')) do
            found[#found + 1] = key
            found[#found + 1] = redis.call('PTTL', key)
        end
        return found
    """
    flat: Any = await client.eval(script, 0)
    return {key.decode(): ms for key, ms in zip(flat[::2], flat[1::2], strict=True)}


def rights_in_docs() -> list[str]:
    """The command that makes a user, as the how-to says it."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "redis.md"
    [found] = [line for line in page.read_text("utf-8").splitlines() if line.startswith("ACL SETUSER ")]
    return found.split()


@asynccontextmanager
async def heard(state: RedisState) -> AsyncIterator[asyncio.Queue[tuple[str, str]]]:
    """What a state store of its own hears, once it hears."""
    said: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    await state.open()
    try:
        await state.listen(lambda tenant, id: said.put_nowait((tenant, id)))
        yield said
    finally:
        await state.close()


async def freed(state: RedisState, id: str = "c-1") -> None:
    """Have a turn for whose end somebody waits."""
    asked, waits = take(id), take(id)
    taken = await one(state, asked)
    assert (await one(state, waits)).outcome == "waits"
    assert await state.save([saving(asked, taken)]) == [True]
    await state.leave([claim(waits)])


class Wire:
    """Stands between a client and a Redis, and loses replies.

    Args:
        server: the path of its socket.
        path: of the socket where the client finds it.

    Attributes:
        loses: so many of the next replies do not come: the connection breaks instead.
    """

    def __init__(self, server: Path, path: Path) -> None:
        self._server = server
        self._path = path
        self.loses = 0

    async def __aenter__(self) -> Wire:
        self._listening = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()

    async def _serve(self, asks: asyncio.StreamReader, hears: asyncio.StreamWriter) -> None:
        replies, commands = await asyncio.open_unix_connection(self._server)
        passing = asyncio.create_task(self._pass(asks, commands))
        try:
            while said := await replies.read(1 << 20):
                if self.loses:
                    self.loses -= 1
                    break
                hears.write(said)
        finally:
            passing.cancel()
            commands.close()
            hears.close()

    async def _pass(self, asks: asyncio.StreamReader, commands: asyncio.StreamWriter) -> None:
        while said := await asks.read(1 << 20):
            commands.write(said)
        commands.write_eof()


class Seen:
    """A conversation as it is stored, whether it has expired or not."""

    def __init__(self, state: RedisState, client: Redis, tenant: str, id: str) -> None:
        self._state = state
        self._client: Any = client
        self._names = tenant, id
        self._keys = conversation_keys(tenant, id)

    async def now(self) -> int:
        """The clock of the state store."""
        seconds, us = await self._client.time()
        return int(seconds) * 1_000_000 + int(us) + self._state._offset_us

    async def hold(self) -> Hold | None:
        """Who has it, or had it last."""
        said = await self._client.hgetall(self._keys[2])
        if not said:
            return None
        return Hold(
            said[b"user"].decode(), int(said[b"token"]), said.get(b"ticket"), said[b"turn_id"].decode(),
            said[b"fingerprint"], int(said[b"since"]), int(said[b"until"]),
        )  # fmt: skip

    async def row(self) -> ConversationRow | None:
        """The conversation."""
        said = await self._client.hgetall(self._keys[0])
        return read_row([piece for pair in said.items() for piece in pair])

    async def turn(self, id: str) -> TurnRow | None:
        """The turn of an id."""
        found = await self._client.hget(self._keys[1], f"i:{id}")
        if found is None:
            return None
        number = found.partition(b":")[0].decode()
        return read_turn(*self._names, await self._client.hget(self._keys[1], f"n:{number}"))

    async def line(self) -> list[Waiting]:
        """Who waits."""
        tickets = await self._client.zrange(self._keys[3], 0, -1)
        seen = await self._client.hgetall(self._keys[4])
        return [Waiting(one, int(seen[one])) for one in tickets]
