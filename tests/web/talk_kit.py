"""What the tests of conversations' pages begin with: a dialogue of three steps, and a model that answers by rote."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import holdfast as hf
from holdfast.conversations.desk import Conversations
from holdfast.conversations.turns import Query, Reply
from holdfast.model.dialogues import Dialogue, dialogue_from
from tests.web.browsing import Dashboard, dashboard

RENEWAL = {
    "conversation": {"id": "renewal", "name": "Renewal"},
    "steps": [
        {"id": "company", "title": "Company", "collects": {"company": "text"}},
        {"id": "renews", "title": "Date of renewal", "collects": {"renews_on": "date"}},
        {
            "id": "confirm", "title": "Confirmation", "collects": {"confirmed": "boolean"},
            "complete_when": "collected.confirmed", "final": True,
        },
    ],
}  # fmt: skip

ANSWERS: dict[str, dict[str, Any]] = {
    "company": {"message": "When does it renew?", "extracted": {"company": "Obsidian"}},
    "another": {"message": "The other one, then.", "extracted": {"company": "Basalt"}},
    "date": {"message": "Shall I renew it?", "extracted": {"renews_on": "2027-05-01"}},
    "yes": {"message": "It is done.", "extracted": {"confirmed": True}},
}
"""By the word that a message begins with, what is answered; anything else is repeated."""


@hf.workflow
async def renew(company: str) -> str:
    """Renews."""
    return f"renewed {company}"


@dataclass
class Model:
    """Answers by rote.

    Attributes:
        asked: what it was asked, in order.
        gate: it answers only while this is set.
        fails: it raises.
    """

    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    async def __call__(self, query: Query) -> Reply:
        said = query.messages[-1].content
        self.asked.append(said)
        await self.gate.wait()
        if self.fails:
            raise ValueError("the model is out of order")
        word = re.split(r"\W", said)[0]
        answer = ANSWERS.get(word, {"message": f"You said: {said}"})
        return Reply(data=answer, model="rote-1", input_tokens=1200, output_tokens=34, cost=0.0123)


def engine(model: Any, definition: dict[str, Any] | None = None, **options: Any) -> hf.TurnEngine:
    """What turns do: three steps, then a run and the item."""

    def hand_over(turn: Any, to: Any) -> None:
        to.start(renew, turn.state.collected["company"])

    dialogue: Dialogue = dialogue_from(definition or RENEWAL)
    return hf.TurnEngine(dialogue, model, **{"hand_over": hand_over, **options})


def other(model: Any) -> hf.TurnEngine:
    """Another definition: small talk, which never ends."""
    talk = {
        "conversation": {"id": "chat", "name": "Small talk"},
        "steps": [{"id": "mood", "collects": {"mood": "text"}}],
    }
    return engine(model, talk, hand_over=None)


@dataclass
class Talking:
    """A dashboard with conversations.

    Attributes:
        desk: the conversations as somebody's program has them.
    """

    shown: Dashboard
    desk: Conversations
    model: Model

    async def begun(self, *messages: str, user: str = "ann", **given: Any) -> str:
        """A conversation with these turns; its id."""
        first, *others = messages or ("company",)
        result = await self.desk.turn(user, first, **{"definition": "renewal", **given})
        for message in others:
            await self.desk.turn(user, message, conversation_id=result.conversation_id)
        return result.conversation_id


@asynccontextmanager
async def talking(
    url: str = "memory://", *, state_url: str = "", many: bool = False, **config: Any
) -> AsyncIterator[Talking]:
    """A dashboard that serves turns of the dialogue, and with ``many`` of another one."""
    model = Model()
    engines = [engine(model), *([other(model)] if many else [])]
    async with dashboard(url, conversations=engines, state_url=state_url, **config) as shown:
        desk = await hf.open_conversations(shown.client, engines, state_url=state_url)
        yield Talking(shown, desk, model)
