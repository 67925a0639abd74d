"""A model that is a function: it reads what was said by rules, so that everything runs offline."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import holdfast as hf

QUESTIONS = {
    "company": "Which company is it about?",
    "people": "How many people work there?",
    "ends_on": "When does the contract end?",
    "terms": "Is it on standard or on special terms?",
    "seats": "How many seats do you need?",
    "note": "Is there anything else that we should know?",
    "confirmed": "Shall I have it renewed?",
}
LARGE = 250
"""With so many people a company has a contract of its own; see ``renewal.toml``."""


class Assistant:
    """Answers at a pace.

    Args:
        pace_seconds: how long it takes for an answer.
    """

    def __init__(self, pace_seconds: float = 0.0) -> None:
        self.pace_seconds = pace_seconds

    async def __call__(self, query: hf.Query) -> dict[str, Any]:
        await asyncio.sleep(self.pace_seconds)
        said = [message.content for message in query.messages if message.role == "user"]
        known: dict[str, Any] = {}
        new: dict[str, Any] = {}
        for message in said:
            new = heard(message, known)
            known |= new
        missing = next((name for name in QUESTIONS if name not in known and wanted(name, known)), None)
        if missing is None:
            return answered("Thank you, it is on its way.", new)
        answer = QUESTIONS[missing]
        if missing == "confirmed":
            answer = f"{known['seats']} seats for {known['company']}. {answer}"
        return answered(answer, new)


def answered(message: str, new: dict[str, Any]) -> dict[str, Any]:
    """An answer, with what was new in what it answers."""
    passed = [name for name, value in new.items() if value is None]
    return {"message": message, "extracted": {n: v for n, v in new.items() if v is not None}, "passed": passed}


def wanted(name: str, known: dict[str, Any]) -> bool:
    """Whether it matters of such a company."""
    return name not in ("ends_on", "terms") or known.get("people", 0) >= LARGE


def heard(text: str, known: dict[str, Any]) -> dict[str, Any]:
    """What a message says; None for what somebody has nothing to say of."""
    found = {name: value(match[1]) for name, (rule, value) in RULES.items() if (match := re.search(rule, text))}
    if "nothing" in text.lower():
        found["note"] = None
    if "seats" in known and re.match(r"(?i)(yes|please|do)\b", text):
        found["confirmed"] = True
    return found


RULES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "company": (r"(?:\b(?i:for|about|it is|we are)) ([A-Z]\w*(?: (?:[A-Z]\w*|&))*)", str),
    "people": (r"(\d+) (?:people|of us|employees)", int),
    "ends_on": (r"(\d{4}-\d\d-\d\d)", str),
    "terms": (r"\b((?i:standard|special))\b", str.lower),
    "seats": (r"(\d+) seats", int),
    "note": (r"note that (.+)", str),
}
