"""Places of conversations, a state store that fails on demand, and servers of turns that die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

import holdfast as hf
from holdfast.conversations.desk import by_definition
from holdfast.conversations.holding import Holding
from holdfast.conversations.redis.store import RedisState
from holdfast.engine.core import Core
from holdfast.errors import StoreUnavailable
from holdfast.store.url import make_store
from tests.conformance.state_stores import Clock, DatabaseClock, PostgresClock, RedisClock
from tests.crash.faulty import Fault
from tests.crash.turn_dialogue import DIALOGUE, hand_over

if TYPE_CHECKING:
    from tests.crash.turn_world import World

T = TypeVar("T")

CALLS = frozenset(
    ["take", "is_free", "renew", "leave", "save", "settle", "find", "turns", "commit", "find_items", "put_items"]
)
"""The calls by which a turn is had and handed over."""

ROOMS = ("conversations", "work")
"""Parts of a store that are stores themselves."""


@dataclass
class Place:
    """Where conversations are, and runs and items: every server is on it."""

    url: str
    store: Any
    state: Any
    has_runs: bool
    clock: Clock


@asynccontextmanager
async def place_of(request: pytest.FixtureRequest, kind: str) -> AsyncIterator[Place]:
    """An empty place: memory, sqlite, postgres or redis (with runs in memory)."""
    url = {"sqlite": "sqlite_url", "postgres": "postgres_database"}.get(kind, "")
    url = request.getfixturevalue(url) if url else "memory://"
    store: Any = make_store(url)
    await store.open()
    if kind != "redis":
        clock: Clock = PostgresClock(url) if kind == "postgres" else DatabaseClock(store)
        yield Place(url, store, store.conversations, True, clock)
    else:
        state = RedisState(request.getfixturevalue("redis_url"), patience_seconds=30)
        await state.open()
        yield Place(url, store, state, False, RedisClock(state))
        await state.close()
    await store.close()


class Faulty:
    """A store, or a part of one, as a server has it that may fail.

    Args:
        inner: it works.
        server: whose; knows what is to fail.
    """

    def __init__(self, inner: Any, server: Server) -> None:
        self.inner = inner
        self.server = server

    async def open(self, *, migrate: bool = True) -> None:
        """It is open."""

    async def listen(self, sink: Any) -> None:
        """Servers tell one another."""

    def __getattr__(self, name: str) -> Any:
        found, server = getattr(self.inner, name), self.server
        if name in ROOMS:
            return Faulty(found, server)
        if name not in CALLS:
            return found

        async def call(*given: Any, **named: Any) -> Any:
            fault = server.plan(name) if not server.died.is_set() else None
            if fault == "die before":
                server.died.set()
            if server.died.is_set():
                await asyncio.Event().wait()
            if fault == "refuse":
                raise StoreUnavailable("this call was refused")
            # What was sent is done, whatever becomes of who sent it.
            sent = asyncio.ensure_future(_after(server.late.get(name, 0.0), found, *given, **named))
            server.sent.add(sent)
            sent.add_done_callback(server.sent.discard)
            result = await asyncio.shield(sent)
            await asyncio.sleep(server.slow.get(name, 0.0))
            if fault == "die after":
                server.died.set()
            if server.died.is_set():
                await asyncio.Event().wait()
            if fault == "forget":
                raise StoreUnavailable("this call was done, and its answer lost")
            return result

        return call


async def _after(seconds: float, call: Callable[..., Awaitable[T]], *given: Any, **named: Any) -> T:
    await asyncio.sleep(seconds)
    return await call(*given, **named)


class Server:
    """Has turns, as a process of its own does.

    Attributes:
        died: it has, without a word.
        sent: calls that were sent and are not done.
        late, slow: how long calls are under way to the store (s), and their answers from it, by name.
        plan: asked before each call of `CALLS`, with its name, for a fault or None.
    """

    def __init__(self, world: World, plan: Callable[[str], Fault | None]) -> None:
        place = world.place
        self.died = asyncio.Event()
        self.sent: set[asyncio.Future[Any]] = set()
        self.late: dict[str, float] = {}
        self.slow: dict[str, float] = {}
        self.plan = plan
        self.core = Core(place.url, Faulty(place.store, self))
        self.client = hf.Client(self.core, "default")
        state: Any = self.core.store.conversations if place.has_runs else Faulty(place.state, self)
        self.holding = Holding(state, has_runs=place.has_runs)
        self.holding.announce = world.hear
        self.engine = hf.TurnEngine(DIALOGUE, world.model, hand_over=hand_over)
        self.desk = hf.Conversations(self.client, by_definition([self.engine]), self.holding)

    async def start(self) -> Server:
        self.core.users = 1
        await self.core._open(False)
        return self

    async def end(self) -> None:
        """Stop it; what it had not done by now it never does."""
        holding = self.holding
        grouped = [task for one in (holding._take, holding._look, holding._save, holding._leave) for task in one._tasks]
        tasks = [*self.core._tasks, self.core.committer._task, *holding._leaving, *grouped]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def at_rest(self) -> None:
        """Until it has given back what it gives back, or has died."""
        death = asyncio.ensure_future(self.died.wait())
        while self.holding._leaving and not death.done():
            await asyncio.wait([*self.holding._leaving, death], return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
