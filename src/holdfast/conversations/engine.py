"""`TurnEngine`: what a turn does, and in which order."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from holdfast.conversations import defaults
from holdfast.conversations.calling import Sink, call_model
from holdfast.conversations.definition_files import read_dialogue
from holdfast.conversations.documents import decode_state
from holdfast.conversations.handover import Handover
from holdfast.conversations.turns import Parsed, Query, Reply, Turn
from holdfast.errors import UsageError
from holdfast.model.dialogues import Dialogue
from holdfast.model.duration import Duration, seconds
from holdfast.store.conversation_rows import GONE_US

Model = Callable[[Query], Any]
"""Answers a query: a text, an object, a `Reply`; at once, awaited, or a text piece by piece (an async generator, whose
last piece may be a `Reply`)."""


class TurnTimes(NamedTuple):
    """The times of an engine."""

    ttl_us: int
    keep_us: int
    wait_seconds: float
    budget_seconds: float


@dataclass(frozen=True)
class TurnEngine:
    """What a turn does: load the state, enrich the query, call the model, normalise its answer, parse it, update the
    state, save. Each is a function that may be replaced; the order is the engine's.

    Attributes:
        dialogue: the definition, or the path of its file.
        model: answers queries; a function, or an agent with ``run``.
        data: the type of ``state.data``.
        load: the state of a turn, from what is stored (None for a new conversation).
        enrich: what the model is asked; may be async, as may the others.
        call: asks the model, and gives its text piece by piece to what it is given third; returns its raw answer.
        normalise: a raw answer as a `Reply`.
        parse: what an answer says.
        update: changes ``turn.state``.
        hand_over: says which runs to start and which items to complete when the conversation is over.
        save: looks at what is to be stored, the last chance to refuse it.
        ttl: how long after its last turn a conversation lasts.
        keep: how long after that it is kept to be looked at, with its turns; 7 days at least. A Redis keeps turns until
            the conversation expires.
        turn_wait: how long a turn waits in line for others; 0 not at all.
        turn_budget: how long a turn may take, once it is its turn.
    """

    dialogue: Dialogue | str | Path
    model: Model | Any
    data: Any = dict
    load: Callable[..., Any] | None = None
    enrich: Callable[[Turn[Any]], Any] = defaults.enrich
    call: Callable[[Any, Query, Sink], Any] = call_model
    normalise: Callable[[Any], Any] = defaults.normalise
    parse: Callable[[Reply, Turn[Any]], Any] = defaults.parse
    update: Callable[[Turn[Any], Parsed], Any] = defaults.update
    hand_over: Callable[[Turn[Any], Handover], Any] | None = None
    save: Callable[[Turn[Any], Parsed], Any] | None = None
    ttl: Duration = "24h"
    keep: Duration = "7d"
    turn_wait: Duration = "10s"
    turn_budget: Duration = "60s"

    def __post_init__(self) -> None:
        """Read the definition, and see that the functions and times are such.

        Raises:
            UsageError: one is not.
        """
        if not isinstance(self.dialogue, Dialogue):
            object.__setattr__(self, "dialogue", read_dialogue(self.dialogue))
        if not callable(self.model) and not hasattr(self.model, "run"):
            raise UsageError(f"the model is {self.model!r:.100}; give a function, or an agent that can run")
        for name in ("load", "enrich", "call", "normalise", "parse", "update", "hand_over", "save"):
            given = getattr(self, name)
            if not callable(given) and (given is not None or name not in ("load", "hand_over", "save")):
                raise UsageError(f"{name} is {given!r:.100}; give a function")
        if seconds(self.ttl, what="ttl") <= 0 or seconds(self.turn_budget, what="turn_budget") <= 0:
            raise UsageError("ttl and turn_budget have to be longer than 0")
        seconds(self.turn_wait, what="turn_wait")
        seconds(self.keep, what="keep")
        # A state that cannot be made is told now, not at the first turn.
        decode_state(None, self.data)

    @functools.cached_property
    def times(self) -> TurnTimes:
        """Its times as numbers."""
        return TurnTimes(
            ttl_us=round(seconds(self.ttl) * 1e6),
            keep_us=max(GONE_US, round(seconds(self.keep) * 1e6)),
            wait_seconds=seconds(self.turn_wait),
            budget_seconds=seconds(self.turn_budget),
        )

    @property
    def definition(self) -> Dialogue:
        """The definition."""
        assert isinstance(self.dialogue, Dialogue)
        return self.dialogue
