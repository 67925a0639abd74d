"""A guided dialogue whose last turn hands over, as the tests of turns under faults have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import holdfast as hf
from holdfast.model.dialogues import dialogue_from

DIALOGUE = dialogue_from({
    "conversation": {"id": "renewal"},
    "steps": [
        {"id": "company", "collects": {"company": "text"}},
        {"id": "seats", "collects": {"seats": "integer"}},
        {"id": "confirm", "collects": {"confirmed": "boolean"}, "final": True},
    ],
})  # fmt: skip

ANSWERS: Mapping[str, Any] = {"acme": {"company": "Acme"}, "ten": {"seats": 10}, "yes": {"confirmed": True}}


@hf.workflow
async def renew(company: str) -> str:
    return company


def hand_over(turn: hf.Turn[Any], to: hf.Handover) -> None:
    """What a conversation that is over starts and completes."""
    to.start(renew, turn.state.collected["company"])
    to.complete()
