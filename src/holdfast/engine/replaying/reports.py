"""What the replay of a recorded run has shown."""

from __future__ import annotations

from typing import Literal

import msgspec

ReplayOutcome = Literal["fits", "goes on", "breaks"]


class RunReplay(msgspec.Struct, frozen=True, gc=False):
    """A recorded run, replayed by the code as it is now.

    Attributes:
        run_id: the run.
        workflow: its workflow.
        version: the workflow's version that it was started with.
        status: of the run, when it was read.
        outcome: ``"fits"``: it ends as recorded; ``"goes on"``: all that is recorded of an open run was asked for in
            the same way; ``"breaks"``: the code would not take the run as it is.
        at: the position at which the replay came to the end of what is recorded; None if it came to the run's own end.
        entries: how many recorded entries were asked for.
        reasons: why it breaks, each a sentence.
        difference: line by line, of the recorded end and the one now; empty when nothing differs.
        source: the file that the history is from.
    """

    run_id: str
    workflow: str
    version: str
    status: str
    outcome: ReplayOutcome
    at: str | None = None
    entries: int = 0
    reasons: list[str] = []
    difference: str = ""
    source: str | None = None

    def __str__(self) -> str:
        name = f"run {self.run_id} of {self.workflow}" + (f" ({self.source})" if self.source else "")
        said = f"{name} {self.outcome}"
        if self.at is not None and self.outcome == "goes on":
            said += f": the replay reached the end of what is recorded, at position {self.at}"
        lines = [f"  {line}" for text in (*self.reasons, self.difference) for line in text.splitlines()]
        return "\n".join([f"{said}:" if lines else said, *lines])
