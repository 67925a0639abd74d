"""Notes: what was asked of a run, by whom, and why, as the run's ``control`` keeps it."""

from __future__ import annotations

import msgspec


class Note(msgspec.Struct, frozen=True):
    """What was asked of a run.

    Attributes:
        action: cancel, timeout, hold, release or reject.
        reason: why.
        by: who asked.
        value: a release comes with a value for the hold in the run's code.
    """

    action: str
    reason: str = ""
    by: str = ""
    value: bool = False

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
