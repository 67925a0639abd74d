"""The guided chat: guests tell what they need, turn by turn, and a run renews their contracts."""

from __future__ import annotations

import asyncio
import itertools

from guided_chat.desk import assistant, engine, renewal
from guided_chat.guests import GUESTS, talk

import holdfast as hf

from .stage import Face, Stage


async def work(stage: Stage) -> str:
    """Let guests talk, round after round."""
    assistant.pace_seconds = 0.05 if stage.once else 1.0
    chats = await hf.open_conversations(stage.client, [engine])
    for number in itertools.count(1):
        pause = 0.05 if stage.once else 6.0
        names = {user if number == 1 else f"{user}-{number}": said for user, said in GUESTS.items()}
        turns = await asyncio.gather(*(talk(chats, user, said, pause) for user, said in names.items()))
        if stage.once:
            ended = sum(bool(turn.started) for turn in turns)
            return (
                f"{len(turns)} conversations of {sum(turn.number for turn in turns)} turns, {ended} handed over to runs"
            )
        await stage.pause(60)
    raise AssertionError("it goes on for ever")


ENGINE = engine
FACE = Face(
    name="guided chat",
    title="What did we tell them?",
    text="Conversations that ask for one thing after another: what each turn changed, and the run that came of it.",
    path="/conversations",
    workflows=[renewal],
    work=work,
)
