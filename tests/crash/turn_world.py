"""Servers of turns that come and go, and clients that repeat a turn until it is answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import holdfast as hf
from holdfast.conversations.tending import ConversationTender
from holdfast.errors import StoreUnavailable
from holdfast.store.conversation_rows import ConversationRow
from holdfast.workqueue.queue import work_queue
from tests.crash.faulty import Fault
from tests.crash.turn_checks import checked
from tests.crash.turn_dialogue import ANSWERS
from tests.crash.turn_faults import Place, Server

T = TypeVar("T")

LEASE_US = 80_000_000
"""No turn here keeps a conversation for so long."""


@dataclass
class World:
    """A place, the servers that come and go on it, and what their model was asked.

    Attributes:
        plan: of the server that is asked first.
        asked: how often the model was asked for a turn.
        answered: the turns whose result somebody was given.
        gate: the model waits for it before it answers; inside: how many turns it works on.
        again: turns that the model was asked for although they had been answered.
    """

    place: Place
    plan: Callable[[str], Fault | None] = lambda _: None
    asked: Counter[str] = field(default_factory=Counter)
    answered: dict[str, hf.TurnResult] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    inside: int = 0
    deaths: int = 0
    servers: list[Server] = field(default_factory=list)
    mourning: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> World:
        self.gate.set()
        self.sound = await self.serve(lambda _: None)
        self.first = await self.serve(self.plan)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self.servers:
            await server.end()

    async def serve(self, plan: Callable[[str], Fault | None]) -> Server:
        """A new server."""
        server = await Server(self, plan).start()
        self.servers.append(server)
        return server

    def hear(self) -> None:
        """A conversation may be free."""
        for server in self.servers:
            server.holding.hear()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that comes."""
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.001)

    async def model(self, query: hf.Query) -> Any:
        """Answer a message that names its turn and says a word."""
        turn, _, word = query.messages[-1].content.partition(" ")
        if turn in self.answered:
            self.again.append(turn)
        self.asked[turn] += 1
        self.inside += 1
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
        finally:
            self.inside -= 1
        return {"message": f"You said {word}.", "extracted": ANSWERS.get(word, {})}

    async def say(self, turn: str, word: str, **given: Any) -> hf.TurnResult:
        """Have a turn: first where calls fail, and with the same id where they do not."""

        async def had(desk: hf.Conversations) -> hf.TurnResult:
            return await desk.turn("ann", f"{turn} {word}", turn_id=turn, **given)

        result = await self.ask(had)
        known = self.answered.setdefault(turn, result)
        assert (known.number, known.messages) == (result.number, result.messages), "a turn has two answers"
        return result

    async def ask(self, work: Callable[[hf.Conversations], Awaitable[T]]) -> T:
        """Ask a server; another once it fails, and after the lease of one that died."""
        while True:
            server = self.first
            task, death = asyncio.ensure_future(work(server.desk)), asyncio.ensure_future(server.died.wait())
            await asyncio.wait([task, death], return_when=asyncio.FIRST_COMPLETED)
            death.cancel()
            if server.died.is_set():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await self.outlive(server)
                continue
            try:
                return await task
            except StoreUnavailable:
                await server.at_rest()
                self.first = self.sound
            except hf.ConversationBusy:
                # Somebody has it who is no turn, and cannot be asked: it is free once the lease ends.
                await self.place.clock.forward(LEASE_US)
                self.hear()

    async def outlive(self, server: Server) -> None:
        """Let the lease of a server that died end."""
        async with self.mourning:
            if server is self.first:
                await asyncio.gather(*server.sent, return_exceptions=True)
                await self.place.clock.forward(LEASE_US)
                self.first = self.sound
                self.deaths += 1
                self.hear()

    async def tended(self) -> None:
        """Have done what is left of handovers."""
        await ConversationTender(self.sound.core, self.place.state).tick()
        assert await self.place.state.unsettled(9) == []

    async def item(self, id: str) -> None:
        """A new work item."""
        await work_queue(self.sound.client).create(title="It", id=id)

    async def check(self, id: str, *ids: str) -> ConversationRow:
        """See that a conversation has these turns and no others, is what they lead to, and is free."""
        for server in self.servers:
            await server.at_rest()
            if server.died.is_set():
                await self.outlive(server)
        row = await checked(self.place.state, "default", id, *ids)
        assert self.again == [], "the model was asked again for a turn that had been answered"
        return row
