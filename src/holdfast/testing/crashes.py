"""Where the worker crashes: at a call that the test names, or at the n-th place where it could."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from holdfast.errors import UsageError
from holdfast.model.run import Kind

When = Literal["before", "after", "recorded"]

_WORDS = {"before": "before", "after": "after", "recorded": "after the record of"}


@dataclass
class Crash:
    """A crash that a test plans.

    Attributes:
        step: the step's name.
        occurrence: at which of its attempts, from 1, counted from when it was planned.
        when: at which point of it.
        passed: how many came to that point since.
    """

    step: str
    occurrence: int
    when: When
    passed: int = 0

    def __str__(self) -> str:
        return f"crash {_WORDS[self.when]} step {self.step!r}, occurrence {self.occurrence}"


class Crashes:
    """The crashes that are planned, and the points where the worker could have crashed.

    Attributes:
        planned: crashes that have not come yet.
        points: every point that was passed, in words.
        at: crash at the point of this number, from 0; None when there is no such order or it is carried out.
    """

    def __init__(self, at: int | None = None) -> None:
        self.planned: list[Crash] = []
        self.points: list[str] = []
        self.at = at

    def plan(self, step: str, occurrence: int, when: When) -> None:
        """Crash at a point of a step.

        Raises:
            UsageError: an argument is out of range.
        """
        if isinstance(occurrence, bool) or not isinstance(occurrence, int) or occurrence < 1:
            raise UsageError(f"occurrence is {occurrence!r}; give a whole number, 1 or more")
        if when not in get_args(When):
            raise UsageError(f"when is {when!r}; it is one of {', '.join(get_args(When))}")
        self.planned.append(Crash(step, occurrence, when))

    def reached(self, when: When, kind: str, name: str) -> bool:
        """Note that a point is passed; whether the worker crashes there."""
        self.points.append(f"{_WORDS[when]} {kind} {name!r}")
        if self.at == len(self.points) - 1:
            self.at = None
            return True
        due = False
        for crash in [one for one in self.planned if kind == Kind.STEP and (one.step, one.when) == (name, when)]:
            crash.passed += 1
            if crash.passed == crash.occurrence:
                self.planned.remove(crash)
                due = True
        return due
