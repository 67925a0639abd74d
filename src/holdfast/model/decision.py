"""What ``hf.first`` decided, as its journal entry keeps it."""

from __future__ import annotations

import msgspec


class Open(msgspec.Struct, frozen=True):
    """A wait or a child run that was under way.

    Attributes:
        position: in hexadecimal.
        generation: of its entry.
        kind: event or child.
        name: the event's or the workflow's.
        key: the event's key; the child's id.
    """

    position: str
    generation: int
    kind: str
    name: str
    key: str


class Decision(msgspec.Struct, frozen=True):
    """Which call was first, and what the others had under way.

    Attributes:
        winner: its number, from 0.
        losing: waits and child runs of the others.
    """

    winner: int
    losing: list[Open]


def encode_decision(decision: Decision) -> bytes:
    """The stored form: JSON."""
    return msgspec.json.encode(decision)


def decode_decision(data: bytes) -> Decision:
    """What `encode_decision` gave."""
    return msgspec.json.decode(data, type=Decision)
