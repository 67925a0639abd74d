"""Phases in the order in which they can run. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.engine.phasing import PhaseView


def rounds(phases: Sequence[PhaseView]) -> list[list[PhaseView]]:
    """Phases in rounds: each comes behind those that it needs; those of a round need nothing of each other.

    Args:
        phases: of a file that was checked, so that what they need is among them and in no circle.
    """
    found: list[list[PhaseView]] = []
    left, done = list(phases), set[str]()
    while left:
        ready = [one for one in left if done.issuperset(one.needs)]
        if not ready:
            return [*found, left]
        found.append(ready)
        done.update(one.name for one in ready)
        left = [one for one in left if one.name not in done]
    return found
