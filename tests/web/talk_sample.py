"""Conversations for pictures of their pages: renewals that customers talk through, with an item to go with one."""

from __future__ import annotations

import hashlib
from typing import Any

import holdfast as hf
from holdfast.conversations.turns import Query, Reply
from holdfast.model.dialogues import dialogue_from
from holdfast.workqueue.queue import WorkQueue

RENEWAL = {
    "conversation": {"id": "renewal", "name": "Renewal"},
    "steps": [
        {"id": "company", "title": "Company", "collects": {"company": "text", "seats": "integer"}},
        {"id": "renews", "title": "Date of renewal", "collects": {"renews_on": "date"}},
        {"id": "plan", "title": "Plan", "collects": {"plan": "text"}},
        {"id": "confirm", "title": "Confirmation", "collects": {"confirmed": "boolean"}, "final": True},
    ],
}

SAID: list[tuple[str, str, dict[str, Any]]] = [
    (
        "We are Obsidian Black, and want to renew for 40 seats.",
        "Good to hear! When does your present contract end?", {"company": "Obsidian Black", "seats": 40},
    ),
    (
        "At the end of May. Oh, and make that 45 seats.",
        "45 seats, then. Would you like to stay on the gold plan?", {"renews_on": "2027-05-31", "seats": 45},
    ),
    ("What else is there?", "Platinum has single sign-on and an audit trail, for 4 euros more a seat.", {}),
    ("Platinum then.", "Platinum for 45 seats from 1 June. Shall I renew it so?", {"plan": "platinum"}),
    ("Yes, please.", "It is renewed. You will get the contract by e-mail.", {"confirmed": True}),
]  # fmt: skip
"""What is said, what is answered, and what is read from it."""

ITEM = "renew-obsidian"

SHOWN = hashlib.sha256(b"default\0local\0begin").hexdigest()[:32]
"""The id of the conversation that belongs to the item."""

PAGES = {"conversations": "/conversations", "conversation": f"/conversations/{SHOWN}"}

MORE = {"work-item-talk": f"/work/{ITEM}#chat"}


async def answer(query: Query) -> Reply:
    """What is answered."""
    said = next((one for one in SAID if one[0] == query.messages[-1].content), SAID[2])
    return Reply(
        data={"message": said[1], "extracted": said[2]}, model="mini-3",
        input_tokens=900 + 60 * len(query.messages), output_tokens=len(said[1]), cost=0.0031 + len(said[1]) / 40_000,
    )  # fmt: skip


def engines() -> list[hf.TurnEngine]:
    """What turns do."""
    return [hf.TurnEngine(dialogue_from(RENEWAL), answer)]


async def talk(client: hf.Client) -> None:
    """Have the conversations."""
    desk = await hf.open_conversations(client, engines(), state_url="")
    for user, turns, how in (("hana", 2, None), ("yusuf", 5, None), ("mira", 1, desk.abandon), ("otto", 3, desk.end)):
        begun = await desk.turn(user, SAID[0][0], turn_id="begin")
        for said, *_ in SAID[1:turns]:
            await desk.turn(user, said, conversation_id=begun.conversation_id)
        if how is not None:
            await how(begun.conversation_id)
    await WorkQueue(client.core, "default", actor="ada").create(
        title="Renew Obsidian Black", id=ITEM, assignee="local", type="renewal", due="5d"
    )
    for number, (said, *_) in enumerate(SAID[:4]):
        await desk.turn(
            "local", said, conversation_id=SHOWN if number else None, turn_id=None if number else "begin", item=ITEM
        )
