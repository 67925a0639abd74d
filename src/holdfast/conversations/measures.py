"""What is counted of turns in one process, for whoever exports metrics. See `holdfast.engine.counting`."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator

from holdfast.engine import counting
from holdfast.engine.counting import Family, Numbers, new_numbers, put, shown

_Key = tuple[str, ...]


class TurnCounts:
    """What is counted of turns.

    Attributes:
        turns: how long they took, with their wait in line, by definition and outcome.
        waits: how long those who waited stood in line, by definition.
        contended: who found a conversation taken, by definition, and whether they had it in the end.
        models: how long models took, by definition and outcome.
    """

    def __init__(self) -> None:
        self.turns: dict[_Key, Numbers] = defaultdict(new_numbers)
        self.waits: dict[_Key, Numbers] = defaultdict(new_numbers)
        self.contended: dict[_Key, int] = defaultdict(int)
        self.models: dict[_Key, Numbers] = defaultdict(new_numbers)

    def families(self) -> Iterator[Family]:
        """Everything that was counted, as metrics."""
        yield Family(
            "holdfast.turn.duration", "histogram", "s", "How long a turn took, with its wait in line",
            ("definition", "outcome"), [(key, shown(numbers)) for key, numbers in list(self.turns.items())],
        )  # fmt: skip
        yield Family(
            "holdfast.turn.wait", "histogram", "s", "How long a turn that found its conversation taken stood in line",
            ("definition",), [(key, shown(numbers)) for key, numbers in list(self.waits.items())],
        )  # fmt: skip
        yield Family(
            "holdfast.turn.contentions", "counter", "{turn}", "Turns that found their conversation taken",
            ("definition", "outcome"), list(self.contended.items()),
        )  # fmt: skip
        yield Family(
            "holdfast.turn.model.duration", "histogram", "s", "How long the model of a turn took",
            ("definition", "outcome"), [(key, shown(numbers)) for key, numbers in list(self.models.items())],
        )  # fmt: skip
        yield Family(
            "holdfast.turn.model.failures", "counter", "{call}", "Calls of a model that failed", ("definition",),
            [((key[0],), shown(numbers).total) for key, numbers in list(self.models.items()) if key[1] == "error"],
        )  # fmt: skip


_counts = TurnCounts()
counting.also(_counts.families)


def count_turn(definition: str, outcome: str, seconds: float) -> None:
    """A turn has ended."""
    if counting.on is not None:
        put(_counts.turns[definition, outcome], int(seconds * 1e6))


def count_line(definition: str, outcome: str, seconds: float) -> None:
    """A turn that found its conversation taken has it, or does not wait any more."""
    if counting.on is not None:
        put(_counts.waits[definition,], int(seconds * 1e6))
        _counts.contended[definition, "had" if outcome in ("yours", "finished") else "refused"] += 1


@contextlib.contextmanager
def model_counted(definition: str) -> Iterator[None]:
    """Count a call of a model."""
    began, outcome = time.monotonic(), "error"
    try:
        yield
        outcome = "ok"
    finally:
        if counting.on is not None:
            put(_counts.models[definition, outcome], int((time.monotonic() - began) * 1e6))
