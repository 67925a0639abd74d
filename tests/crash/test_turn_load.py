"""Many clients have random turns at once, twice at times, while models fail and the store is cut off or restarted."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import holdfast as hf
from holdfast.engine.core import Core
from holdfast.model.dialogues import dialogue_from
from holdfast.store.url import make_store
from tests.crash.turn_checks import all_turns, checked
from tests.redis_servers import RedisServer

CHAT = dialogue_from({"conversation": {"id": "chat"}, "steps": [{"id": "all", "collects": {"all": "text"}}]})

SERVERS = 3

CLIENTS, CONVERSATIONS = 200, 50

Trouble = Callable[[asyncio.Event], Awaitable[None]]
"""What befalls the store until it is over."""


def chained(before: str, turn: str, message: str) -> str:
    """A state that tells every order of turns from every other."""
    return hashlib.sha256(f"{before} {turn} {message}".encode()).hexdigest()


def update(turn: hf.Turn[Any], _: hf.Parsed) -> None:
    turn.state.data["chain"] = chained(turn.state.data.get("chain", ""), turn.id, turn.message)


@dataclass
class Load:
    """Clients, conversations, and what was asked and answered.

    Attributes:
        desks: of the servers; ids: the conversations.
        answered: what somebody was given for a turn, by conversation and turn.
        again: turns that the model was asked for although they had been answered.
        errors: what servers said instead of an answer.
        fails: how many of its answers the model fails to give, from 0 to 1.
        gate: the model waits for it before it answers, and says that it was asked.
    """

    desks: list[hf.Conversations]
    ids: list[str] = field(default_factory=list)
    answered: dict[tuple[str, str], hf.TurnResult] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    errors: set[str] = field(default_factory=set)
    fails: float = 0.05
    gate: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def model(self, query: hf.Query) -> str:
        conversation, _, turn = query.messages[-1].content.partition(" ")
        if (conversation, turn) in self.answered:
            self.again.append(turn)
        if self.gate is not None:
            self.asked.set()
            await self.gate.wait()
        await asyncio.sleep(random.random() * 0.02)
        if random.random() < self.fails:
            raise LookupError("the model is out of order")
        return f"You said {turn}."

    async def begin(self, count: int) -> None:
        """So many new conversations."""
        made = await asyncio.gather(*(self.say(None, f"new-{n}") for n in range(count)))
        self.ids = [one.conversation_id for one in made]

    async def client(self, ends: float, number: int) -> None:
        """Say something, again and again; at times to two servers at once."""
        turn = 0
        while time.monotonic() < ends:
            id, turn = random.choice(self.ids), turn + 1
            said = [self.say(id, f"{number}-{turn}") for _ in range(random.choice((1, 1, 1, 2)))]
            await asyncio.gather(*said)
            await asyncio.sleep(random.random() * 0.1)

    async def say(self, id: str | None, turn: str) -> hf.TurnResult:
        """Have a turn, however often it fails before."""
        while True:
            desk = random.choice(self.desks)
            try:
                found = await desk.turn("ann", f"{id or ''} {turn}", turn_id=turn, conversation_id=id)
                break
            except (hf.TurnFailed, hf.TurnLost, hf.StoreUnavailable, hf.ConversationBusy) as error:
                self.errors.add(type(error).__name__)
                await asyncio.sleep(random.random() * 0.1)
        known = self.answered.setdefault((found.conversation_id, turn), found)
        assert (known.number, known.messages) == (found.number, found.messages), "a turn has two answers"
        return found

    async def check(self, state: Any) -> None:
        """See that all is as it was answered."""
        assert self.again == [], "the model was asked again for a turn that had been answered"
        for id in self.ids:
            row, chain = await checked(state, "default", id), ""
            turns = await all_turns(state, "default", id)
            for turn in turns:
                chain = chained(chain, turn.id, turn.message)
            assert json.loads(row.state)["data"] == {"chain": chain}
            answered = {name: found.number for (one, name), found in self.answered.items() if one == id}
            assert {turn.id: turn.number for turn in turns} == answered, "a turn was lost, or was had for nobody"


async def bear(load: Load, trouble: Trouble, seconds: float) -> None:
    """Have many clients at it for so long, and trouble meanwhile; see that every turn is as it should be."""
    await load.begin(CONVERSATIONS)
    over = asyncio.Event()
    troubling = asyncio.ensure_future(trouble(over))
    ends = time.monotonic() + seconds
    asyncio.get_running_loop().call_later(seconds, over.set)
    try:
        await asyncio.gather(*(load.client(ends, number) for number in range(CLIENTS)))
    finally:
        over.set()
        await troubling
    for desk in load.desks:
        while desk._holding._leaving:
            await asyncio.wait(desk._holding._leaving)
    await load.check(load.desks[0]._holding.store)


@asynccontextmanager
async def loading(url: str, state_url: str = "") -> AsyncIterator[Load]:
    """Servers on a database and a state store, each with connections of its own."""
    async with AsyncExitStack() as stack:
        load = Load([])
        engine = hf.TurnEngine(CHAT, load.model, update=update)
        for _ in range(SERVERS):
            core = Core(url, make_store(url))
            core.users = 1
            await core._open(True)
            stack.push_async_callback(core.close)
            load.desks.append(await hf.open_conversations(hf.Client(core, "default"), [engine], state_url=state_url))
        yield load


async def calm(_: asyncio.Event) -> None:
    """No trouble."""


async def passes(over: asyncio.Event, seconds: float) -> bool:
    """Whether so much time passes before it is over."""
    with suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
    return not over.is_set()


@pytest.fixture(params=[pytest.param(2.0, id="short"), pytest.param(120.0, id="long", marks=pytest.mark.verify)])
def seconds(request: pytest.FixtureRequest) -> float:
    found: float = request.param
    return found


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_turns_on_sqlite(sqlite_url: str, seconds: float) -> None:
    async with loading(sqlite_url) as load:
        await bear(load, calm, seconds)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_turns_on_a_postgres_that_cuts_its_connections(postgres_database: str, seconds: float) -> None:
    cuts = 0

    async def cut(over: asyncio.Event) -> None:
        nonlocal cuts
        connection = await asyncpg.connect(postgres_database)
        while True:
            cuts += await connection.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if not await passes(over, 0.5):
                break
        await connection.close()

    async with loading(postgres_database) as load:
        await bear(load, cut, seconds)
    assert cuts > 0


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_turns_on_a_redis_that_is_killed_and_comes_back(redis_program: str, seconds: float) -> None:
    kills = 0
    with tempfile.TemporaryDirectory(prefix="holdfast-redis-") as folder:
        server = RedisServer(redis_program, Path(folder), "--appendonly", "yes", "--appendfsync", "always")
        server.start()

        async def kill(over: asyncio.Event) -> None:
            nonlocal kills
            while True:
                await asyncio.to_thread(server.kill)
                kills += 1
                await asyncio.sleep(random.random() * 0.5)
                await asyncio.to_thread(server.start)
                if not await passes(over, min(4.0, seconds / 3)):
                    break

        try:
            async with loading("memory://", server.url) as load:
                await bear(load, kill, seconds)
            assert kills > 0
            assert "StoreUnavailable" in load.errors
        finally:
            server.stop()


@pytest.mark.slow
async def test_while_redis_is_away_turns_say_so_soon_and_go_on_when_it_is_back(redis_program: str) -> None:
    with tempfile.TemporaryDirectory(prefix="holdfast-redis-") as folder:
        server = RedisServer(redis_program, Path(folder), "--appendonly", "yes")
        server.start()
        try:
            async with loading("memory://", server.url) as load:
                await load.begin(1)
                [id] = load.ids
                load.fails, load.gate = 0.0, asyncio.Event()
                desk, other = load.desks[:2]
                under_way = asyncio.ensure_future(desk.turn("ann", f"{id} a", turn_id="a", conversation_id=id))
                await load.asked.wait()
                server.kill()
                with pytest.raises(hf.StoreUnavailable):
                    await asyncio.wait_for(other.turn("ann", f"{id} b", turn_id="b", conversation_id=id), 20)
                load.gate.set()
                with pytest.raises(hf.StoreUnavailable):
                    await asyncio.wait_for(under_way, 20)
                server.start()
                # Nobody has it: whoever had it gives it back, and does not leave it to the lease, which lasts longer.
                await load.say(id, "c")
                await load.say(id, "a")
                await load.check(desk._holding.store)
        finally:
            server.stop()
