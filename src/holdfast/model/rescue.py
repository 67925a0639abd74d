"""What becomes of a run whose worker was lost."""

from __future__ import annotations

from holdfast.errors import CrashedWorker

RESCUES_ISOLATED = 2
"""From so many rescues without a new checkpoint on, a run executes alone in a child process."""

RESCUES_HELD = 5
"""At so many, it is held."""


def next_rescue(rescues: int, known_seq: int, seq: int) -> tuple[int, bool]:
    """Count a rescue.

    Args:
        rescues: rescues since the run's last new checkpoint, so far.
        known_seq: its last checkpoint at the last rescue.
        seq: its last checkpoint now.

    Returns:
        The new count, and whether the run is to be held.
    """
    count = 1 if seq > known_seq else rescues + 1
    return count, count >= RESCUES_HELD


def crash_error(rescues: int) -> CrashedWorker:
    """The reason that such a run is held with."""
    return CrashedWorker(
        f"crashed its worker: lost {rescues} workers in a row without a new checkpoint; "
        "find out what its next step does to its process; what is recorded is kept"
    )
