"""Guests who talk by themselves."""

from __future__ import annotations

import asyncio

import holdfast as hf

GUESTS: dict[str, tuple[str, ...]] = {
    "ann": ("Hello, it is about Alder Mills", "There are 40 people", "20 seats", "nothing", "yes"),
    "ben": ("It is Birch & Sons, 80 people, and we need 30 seats", "note that Ms Birch signs", "Yes, please"),
    "cem": (
        "I call for Cedar Foods",
        "we have 900 employees",
        "on special terms until 2027-03-31",
        "600 seats",
        "No, sorry: 650 seats",
        "nothing",
        "Please do",
    ),
    "dot": ("We are Dogwood, 12 of us", "8 seats"),
}
"""What each of them says. The last one goes away in the middle."""


async def talk(chats: hf.Conversations, user: str, messages: tuple[str, ...], pause: float = 0.0) -> hf.TurnResult:
    """Have a conversation, and go on with one that was begun: a turn is had once for its id."""
    [first, *others] = messages
    turn = await chats.turn(user, first, turn_id=f"{user}-1")
    for number, message in enumerate(others, 2):
        await asyncio.sleep(pause)
        turn = await chats.turn(user, message, conversation_id=turn.conversation_id, turn_id=f"{user}-{number}")
    return turn
