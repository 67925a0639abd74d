"""The terms on which a workflow's runs are started: their queue, their lane, their time limit, what cancels them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from holdfast.errors import UsageError
from holdfast.model.keys import KeySpec, check_key, key_in


@dataclass(frozen=True, slots=True)
class Terms:
    """What a workflow says of its runs.

    Attributes:
        queue: where they wait for a worker.
        lane: the lane whose slots they take; None for none.
        key: which lane of that name; None for the only one.
        slots: how many of them may hold the lane at once.
        cancel_on: the event that cancels them; None for none.
        cancel_key: the event's key; None for the event without a key.
        timeout_seconds: how long they may take from when they are due; None for any time.
    """

    queue: str = "default"
    lane: str | None = None
    key: KeySpec | None = None
    slots: int = 1
    cancel_on: str | None = None
    cancel_key: KeySpec | None = None
    timeout_seconds: float | None = None


def key_for(
    spec: KeySpec | None, workflow: str, what: str, given: bytes, args: tuple[Any, ...] | None, kwargs: dict[str, Any]
) -> str:
    """The key of one run; empty without a spec.

    Args:
        spec: where it comes from.
        workflow: the workflow's name, for errors.
        what: "key" or "cancel_on", for errors.
        given: the run's stored input.
        args: its arguments, None when only the stored input is known.
        kwargs: its arguments by name.

    Raises:
        UsageError: there is no key in the input, or it cannot be one.
    """
    place = f"{what} of workflow {workflow!r}"
    if spec is None:
        return ""
    if isinstance(spec, str):
        return key_in(spec, given, place)
    if args is None:
        raise UsageError(f"{place} is a function, whose code is needed: start the run with the workflow itself")
    return check_key(spec(*args, **kwargs), place)
