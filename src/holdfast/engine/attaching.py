"""What an attempt of a step records beside its result: committed with what becomes of the attempt, or not at all."""

from __future__ import annotations

from holdfast.engine.context import StepFrame, place


def attempt() -> StepFrame | None:
    """The attempt that the calling code is part of; None in a workflow's own code and outside a run."""
    here = place.get()
    return here if isinstance(here, StepFrame) else None


def attach(frame: StepFrame, kind: str, row: object) -> None:
    """Have a row committed with the result of an attempt, or with its failure.

    It is written under the lease of the run: of an attempt whose worker has lost the run, nothing is.

    Args:
        frame: the attempt, which is still under way.
        kind: the field of a `Batch` that it belongs to.
        row: the operation. The database must be able to store it: a text without NUL.
    """
    if frame.attached is None:
        frame.attached = []
    frame.attached.append((kind, row))
