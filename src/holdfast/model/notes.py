"""Notes: what was asked of a run, by whom, and why, as the run's ``control`` keeps it."""

from __future__ import annotations

from typing import Any

import msgspec

ESCALATIONS_AT_MOST = 20
"""So many people may be asked to look at a hold or a work item, one after the other."""


class Note(msgspec.Struct, frozen=True):
    """What was asked of a run.

    Attributes:
        action: cancel, timeout, hold, release or reject.
        reason: why.
        by: who asked.
        value: a release comes with a value for the hold in the run's code.
        terms: of a hold: who is to see to it and until when (see `holdfast.engine.holds`).
    """

    action: str
    reason: str = ""
    by: str = ""
    value: bool = False
    terms: dict[str, Any] | None = None

    @property
    def ends(self) -> bool:
        """Whether the run is to end."""
        return self.action in ("cancel", "timeout", "reject")


def encode_note(note: Note) -> bytes:
    """The stored form: JSON."""
    return msgspec.json.encode(note)


def decode_note(data: bytes) -> Note:
    """What `encode_note` gave."""
    return msgspec.json.decode(data, type=Note)
