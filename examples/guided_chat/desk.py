"""The dialogue's engine, and the run that it hands over to: `holdfast dev examples.guided_chat.desk`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import holdfast as hf

from .assistant import Assistant

DIALOGUE = Path(__file__).parent / "renewal.toml"

SEATS_TO_ASK = 500
"""From so many on somebody of the accounts has a look."""

assistant = Assistant()


@hf.step
def price(seats: int, terms: str) -> float:
    """In dollars for a year."""
    return round(seats * 48.0 * (0.85 if terms == "special" else 1.0) * (0.9 if seats >= 100 else 1.0), 2)


@hf.step
async def renew_contract(company: str, seats: int, dollars: float) -> str:
    await asyncio.sleep(assistant.pace_seconds)
    return f"{company} has {seats} seats for another year, at {dollars:.2f} dollars"


@hf.workflow(key="company", lane="contract")
async def renewal(company: str, seats: int, terms: str = "standard", note: str = "") -> str:
    """Renew a contract; a large one when a person agrees. Two renewals of a company never overlap."""
    dollars = await price(seats, terms)
    if seats >= SEATS_TO_ASK:
        title = f"Renew {seats} seats of {company}, at {dollars:.2f} dollars?"
        if not await hf.ask(title, form=bool, group="accounts", text=note, due="2d"):
            return f"{company} is not renewed"
    return await renew_contract(company, seats, dollars)


def hand_over(turn: hf.Turn[dict[str, Any]], to: hf.Handover) -> None:
    known = turn.state.collected
    to.start(renewal, known["company"], known["seats"], known.get("terms", "standard"), known.get("note", ""))


engine = hf.TurnEngine(DIALOGUE, assistant, hand_over=hand_over)
