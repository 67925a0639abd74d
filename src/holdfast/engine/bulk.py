"""Bulk jobs: what is asked of one, and what it gives. ``holdfast.services.bulk`` is what executes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from holdfast.engine.step import Step
from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.model.search import parse

BulkAction = Literal["cancel", "retry", "release", "fork", "hold"]
"""What can be done to many runs."""

BULK = "holdfast.bulk"
"""The workflow of bulk jobs, which every worker serves."""

BULK_VERSION = "1"

BULK_QUEUE = "holdfast"
"""The queue of bulk jobs."""

EXAMPLES = 10
"""So many runs are shown by a dry run."""


@dataclass(frozen=True, slots=True)
class BulkPreview:
    """What a bulk job would act on.

    Attributes:
        runs: how many runs are found.
        capped: whether counting stopped there, and there may be more.
        examples: ids of the newest of them, at most ten.
    """

    runs: int
    capped: bool
    examples: list[str]


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What a bulk job did.

    Attributes:
        found: how many runs it found.
        done: to how many it did what was asked.
        refused: how many did not let it, as a run that has ended cannot be cancelled.
        refusals: why, by the run's id; the first 1,000.
    """

    found: int
    done: int
    refused: int
    refusals: dict[str, str]


def bulk_order(
    action: BulkAction, where: str, reason: str, by: str, from_step: str | Step[..., Any] | None, now_us: int
) -> Mapping[str, Any]:
    """The input of a bulk job, checked: its arguments by name, plain JSON.

    Raises:
        SearchError: the search cannot be read.
        UsageError: no such action, or an argument that does not go with it.
    """
    if action not in get_args(BulkAction):
        raise UsageError(f"a bulk action is one of {', '.join(get_args(BulkAction))}, and not {action!r}")
    if (action == "fork") != (from_step is not None):
        raise UsageError("a bulk fork needs from_step, the step to begin with; no other action takes it")
    for what, value in (("reason", reason), ("by", by)):
        if not isinstance(value, str) or len(value) > 1000 or "\0" in value:
            raise UsageError(f"{what} is {value!r}; give a text of at most 1000 characters, without NUL")
    parse(where, now_us)
    name = from_step.name if isinstance(from_step, Step) else from_step
    if name is not None:
        check_id(name, "the name of a step")
    return {"action": action, "where": where, "reason": reason, "by": by, "from_step": name}
