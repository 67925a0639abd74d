"""Models that are functions, so that ``phases.toml`` works without a provider: they read the prompts and answer."""

from __future__ import annotations

import re
from typing import Any

import holdfast as hf

from .checking import CLOSING


def register() -> None:
    """Have ``scripted:mail-writer`` and ``scripted:mail-reader`` be models."""
    hf.scripted("mail-writer", answer)
    hf.scripted("mail-reader", answer)


def answer(scene: hf.Scene) -> Any:
    """What a phase gives; its prompt begins with its name."""
    phase = scene.prompt.split("\n", 1)[0]
    return _draft(scene.prompt) if phase == "# Draft" else []


def _draft(prompt: str) -> str:
    customer = re.findall(r"^Customer: (.*)$", prompt, re.MULTILINE)[0]
    noted = re.findall(r"^- (\d{4}-\d{2}-\d{2}), order (\S+): (.+)$", prompt, re.MULTILINE)
    lines = [f"Hello {customer}," if customer else "Hello,"]
    lines.append("Thank you for writing to us. We have read your message, and somebody who knows is looking into it.")
    if noted:
        day, order, text = noted[-1]
        lines.append(f"Of {day} we have noted on order {order}: {text}.")
    return "\n\n".join((*lines, CLOSING))
