"""What a source gives: its entries in order, each with a key, and the position where reading goes on.

A source keeps nothing that counts. Its position is kept with what was made of the entries, in one commit, so reading
goes on from there whatever crashes; what a source remembers beside it only saves work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

BATCH_BYTES = 8 * 1024 * 1024
"""A reading ends when its entries have so many bytes together, however many were asked for."""


class SourceUnavailable(Exception):
    """A source cannot be read just now: its file is missing, its server is down. It is tried again later.

    Args:
        reason: what is the matter, in words, without any secret.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Found:
    """An entry as it was read.

    Attributes:
        message_id: as the sender gave it; empty where there is none.
        place: where in the source it stands, in words, such as ``orders.jsonl:1204``.
        key: 16 bytes by which the source knows it again.
        content: its bytes; of one that is too large the beginning.
        value: the JSON value that these bytes are, where ``is_value``.
        is_value: whether a run is given the value; else it is given the bytes.
        media_type: of the bytes.
        size: how many bytes it has.
        facts: what a filter can ask of it.
        problem: why no run can be made of it; None where one can.
        handle: what the source itself knows it by, such as a file's name.
    """

    message_id: str
    place: str
    key: bytes
    content: bytes
    value: Any = None
    is_value: bool = False
    media_type: str = "application/octet-stream"
    size: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    handle: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    Attributes:
        entries: in the order of the source.
        position: where reading goes on behind them; as it was where nothing has changed. It may change although there
            are no entries.
        more: whether there may be more right now.
        note: what people should know, such as that a file is gone; empty for nothing.
    """

    entries: list[Found]
    position: bytes
    more: bool
    note: str = ""


class Source(Protocol):
    """What entries come from. One reader calls it, one call at a time."""

    async def read(self, position: bytes, limit: int) -> Reading:
        """What stands behind a position.

        Args:
            position: as an earlier reading gave it, of this process or of another; empty at the beginning.
            limit: how many entries at most.

        Raises:
            SourceUnavailable: none of it can be read just now. What is wrong with one entry is its ``problem``.
        """

    async def wait(self, seconds: float) -> None:
        """Return when something may have come, at the latest after so long."""

    async def taken(self, entries: Sequence[Found]) -> None:
        """Do what is to be done with entries that are taken in, such as marking mail as seen.

        It is called after the commit, and after a crash not at all.

        Raises:
            SourceUnavailable: it cannot be done just now.
        """

    async def close(self) -> None:
        """Let go of what is open."""
