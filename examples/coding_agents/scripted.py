"""Agents that are functions, so that everything runs offline: the first change is wrong, the second is right."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import holdfast as hf

from .crew import Crew
from .repository import Repository
from .results import Code, File, Patch, Plan, Review, Tested

WRONG = "    return cents - discount_percent\n"
FIRST = "    return cents * (100 - discount_percent) // 100\n"
SECOND = "    return max(0, cents * (100 - discount_percent) // 100)\n"


@dataclass
class Script:
    """What they do.

    Attributes:
        pace_seconds: how long each takes.
        calls: the file that each call is written into, before anything is done.
    """

    repository: Repository
    pace_seconds: float = 0.0
    calls: Path | None = None

    def crew(self) -> Crew:
        """They as a crew."""
        return Crew(self.planner, self.coder, self.reviewer)

    def planner(self, task: str) -> Plan:
        self._called("planner")
        files = [path for path, text in self.repository.files().items() if WRONG in text]
        return Plan(steps=["take the discount as a part of the sum", "run the tests"], files=files)

    def coder(self, plan: Plan, work: hf.Work) -> Code:
        self._called(f"coder {work.round}")
        right = SECOND if work.review is not None else FIRST
        texts = self.repository.files()
        return Code(files=[File(path=path, text=texts[path].replace(WRONG, right)) for path in plan.files])

    def reviewer(self, tests: Tested, work: hf.Work) -> Review:
        self._called(f"reviewer {work.round}")
        patch: Patch = work.results["apply"]
        if tests.passed and patch.diff:
            return Review(accepted=True, remarks=[])
        failed = [line.split()[1] for line in tests.output.splitlines() if line.startswith("FAIL: ")]
        return Review(accepted=False, remarks=[f"mend {one}" for one in failed])

    def _called(self, what: str) -> None:
        if self.calls is not None:
            with self.calls.open("a", encoding="utf-8") as file:
                file.write(f"{what}\n")
        time.sleep(self.pace_seconds)
