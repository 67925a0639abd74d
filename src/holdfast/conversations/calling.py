"""Asks the model of a turn."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from holdfast.conversations.turns import Query, Reply
from holdfast.errors import UsageError

Sink = Callable[[str], None]
"""Is given the model's text, piece by piece."""


_FENCE = "```json"


class Spoken:
    """Passes on what a model says to the user, and not the object that it gives with that: see `defaults.parse`.

    Args:
        sink: is given the text that is for the user.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._held = ""
        self._over = False
        self._begun = False

    def __call__(self, piece: str) -> None:
        """Hear a piece of the text."""
        if self._over:
            return
        self._held += piece
        if not self._begun:
            self._held = self._held.lstrip()
            self._begun = bool(self._held)
            self._over = self._held.startswith("{")
        fence = self._held.find(_FENCE)
        self._over = self._over or fence >= 0
        if self._over:
            self._say(self._held[: max(fence, 0)].rstrip())
            return
        # What may be the beginning of the object, and the line before it, is held back until more has come.
        kept = next((n for n in range(len(_FENCE) - 1, 0, -1) if self._held.endswith(_FENCE[:n])), 0)
        ready = self._held[: len(self._held) - kept].rstrip()
        held = self._held[len(ready) :]
        self._say(ready)
        self._held = held

    def end(self) -> None:
        """There is no more of it."""
        if not self._over:
            self._say(self._held.rstrip())
        self._over = True

    def _say(self, text: str) -> None:
        if text:
            self._sink(text)


async def call_model(model: Any, query: Query, sink: Sink) -> Any:
    """Ask a model: a function, plain or async or giving its text piece by piece, or an agent that can run.

    Args:
        sink: is given what is said to the user, piece by piece; a JSON object in the text is not.
    """
    spoken = Spoken(sink)
    answer = await _asked(model, query, spoken)
    spoken.end()
    return answer


async def _asked(model: Any, query: Query, sink: Sink) -> Any:
    if not callable(model):
        from holdfast.conversations.agents import run_agent

        return await run_agent(model, query, sink)
    answer = model(query)
    if not inspect.isasyncgen(answer):
        return await awaited(answer)
    pieces, last = [], None
    async for piece in answer:
        if isinstance(piece, Reply):
            last = piece
            continue
        if not isinstance(piece, str):
            raise UsageError(
                f"the model gave {piece!r:.100} as a piece of its text; give texts, and a Reply at the end"
            )
        pieces.append(piece)
        sink(piece)
    text = "".join(pieces)
    return Reply(text=text) if last is None else replace(last, text=last.text or text)


async def awaited(value: Any) -> Any:
    """What a function gave, or what it promised."""
    return await value if hasattr(value, "__await__") else value
