"""What a phase that is tried again aside gives: the recorded answer, the new one, and how they differ."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class PhaseAnswer:
    """What a phase got of a model, then or now.

    Attributes:
        model: the name that the file has for it; None where that is not known.
        output: plain JSON; None if it gave none.
        failed: how it failed, as `ModelFailed` says it, and ``error`` where it was not asked; None if it did not.
        error: what was wrong, in words.
        requests: how many it took.
        input_tokens: of all prompts, with those from a cache.
        cached_tokens: those of them that came from a provider's cache.
        output_tokens: of all answers.
        cost: in US dollars; None where no price is known.
    """

    model: str | None
    output: Any = None
    failed: str | None = None
    error: str | None = None
    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = Decimal(0)


@dataclass(frozen=True, slots=True)
class PhaseReplay:
    """A phase tried again aside, on its recorded prompt.

    Attributes:
        run, phase: whose.
        position: of the step that recorded the prompt, in the run's journal.
        version: of the file of phases that the run goes by.
        system: the model's instructions, as they were recorded; None for none.
        prompt: likewise the text.
        recorded: what was given then; neither output nor error if nothing is recorded yet.
        now: what was given now.
        same: whether both are the same: the output, or the error.
        difference: line by line, empty when nothing differs.
        words: what was given now, with the words marked that came, ``{+so+}``, and those that went, ``[-so-]``.
    """

    run: str
    phase: str
    position: str
    version: str
    system: str | None
    prompt: str
    recorded: PhaseAnswer
    now: PhaseAnswer
    same: bool
    difference: str
    words: str
