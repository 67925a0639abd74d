"""What the tests of pipelines share: a planner, a coder and a reviewer that count their calls."""

from collections import Counter
from typing import Any

from pydantic import BaseModel

from holdfast.agents.pipelines.agents import Work
from holdfast.model.retry import Retry

ONCE = Retry(max_attempts=1)
QUICK = Retry(max_attempts=3, initial=0.001, jitter=0.0)


class Plan(BaseModel):
    steps: list[str]


class Code(BaseModel):
    text: str


class Review(BaseModel):
    accepted: bool
    note: str


class Crew:
    """Agents; how often each was called; and what is to happen next."""

    def __init__(self, accept_in: int = 1) -> None:
        self.calls: Counter[str] = Counter()
        self.accept_in = accept_in
        self.broken: set[str] = set()

    def _called(self, name: str) -> None:
        self.calls[name] += 1
        if name in self.broken:
            raise ValueError(f"{name} is broken")

    def planner(self, task: str) -> Plan:
        self._called("planner")
        return Plan(steps=[task, "test"])

    async def coder(self, plan: Plan, work: Work) -> Code:
        self._called("coder")
        note = "" if work.review is None else f" after {work.review.note}"
        return Code(text=f"{'+'.join(plan.steps)} in round {work.round}{note}")

    def reviewer(self, code: Code, work: Work) -> Review:
        self._called("reviewer")
        return Review(accepted=work.round >= self.accept_in, note=f"{code.text!r}?")


def accepted(review: Review) -> bool:
    return review.accepted


def double(n: int) -> int:
    return 2 * n


def fails(given: Any) -> None:
    raise ValueError("no luck")
