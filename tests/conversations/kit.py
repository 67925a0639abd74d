"""A guided dialogue, models for it, and what has its turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import holdfast as hf
from holdfast.conversations.asked import check_asked
from holdfast.model.dialogues import dialogue_from
from tests.conformance.state_stores import Clock

RENEWAL: Mapping[str, Any] = {
    "conversation": {"id": "renewal", "instructions": "Be brief."},
    "steps": [
        {"id": "company", "ask": "Which company is it about?", "collects": {"company": "text"}},
        {"id": "seats", "collects": {"seats": {"type": "integer", "minimum": 1}}},
        {"id": "note", "collects": {"note": "text"}, "optional": True},
        {"id": "confirm", "collects": {"confirmed": "boolean"}, "complete_when": "collected.confirmed", "final": True},
    ],
}

ANSWERS: Mapping[str, Any] = {
    "acme": {"message": "How many seats?", "extracted": {"company": "Acme"}},
    "ten": {"message": "A note?", "extracted": {"seats": 10}},
    "no note": {"message": "Sure?", "extracted": {}, "passed": ["note"]},
    "yes": {"message": "Done.", "extracted": {"confirmed": True}},
    "all": {
        "message": "Done.",
        "extracted": {"company": "Acme", "seats": 10, "note": "none", "confirmed": True},
    },
}


def dialogue(**conversation: Any) -> hf.Dialogue:
    return dialogue_from({**RENEWAL, "conversation": {**RENEWAL["conversation"], **conversation}})


class Scripted:
    """A model that answers by a script, and says hello to all else.

    Attributes:
        asked: what it was asked.
        inside: how many turns are in it now, by the conversation that the message names behind a colon; most: at once.
        gate: it waits for this before it answers.
    """

    def __init__(self, answers: Mapping[str, Any] = ANSWERS) -> None:
        self.answers = answers
        self.asked: list[hf.Query] = []
        self.gate: asyncio.Event | None = None
        self.arrived = asyncio.Event()

    async def __call__(self, query: hf.Query) -> Any:
        self.asked.append(query)
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.get(query.messages[-1].content, "Hello.")
        if isinstance(answer, Exception):
            raise answer
        return answer


async def spoken(_: hf.Query) -> AsyncIterator[Any]:
    """A model that speaks piece by piece."""
    for piece in ("One, ", "two, ", "three."):
        yield piece
    yield hf.Reply(model="a-model", input_tokens=7, output_tokens=3, cost=0.25)


@dataclass
class Place:
    """A database, a state store, and the clock of that."""

    client: hf.Client
    state_url: str
    clock: Clock

    async def desk(self, *engines: hf.TurnEngine, tenant: str = "default") -> hf.Conversations:
        client = self.client if tenant == self.client.tenant else hf.Client(self.client.core, tenant)
        return await hf.open_conversations(client, engines, state_url=self.state_url)

    async def scripted(self, model: Any = None, **engine: Any) -> tuple[hf.Conversations, Any]:
        model = Scripted() if model is None else model
        return await self.desk(hf.TurnEngine(dialogue(), model, **engine)), model


async def until(condition: Any) -> None:
    """Wait for something that comes."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def asked_id(tenant: str, user: str, turn_id: str) -> str:
    """The id of the conversation that a first turn makes."""
    return check_asked(tenant, 0, user, "hi", None, turn_id, None).conversation_id
