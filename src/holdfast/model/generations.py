"""Which journal entries are in force: what later generations of a run keep of earlier ones.

A retry opens a generation and cuts: of the entries written before, those with a seq below the cut go
on being replayed; the others stay for people to see. ``cuts`` is a list of (generation, seq), as JSON.
"""

from __future__ import annotations

import msgspec

Cuts = list[tuple[int, int]]

_DECODER = msgspec.json.Decoder(Cuts)


def encode_cuts(cuts: Cuts) -> bytes:
    """The stored form."""
    return msgspec.json.encode(cuts)


def decode_cuts(data: bytes | None) -> Cuts:
    """What `encode_cuts` gave; nothing for a run that was never retried."""
    return [] if data is None else _DECODER.decode(data)


def in_force(generation: int, seq: int, cuts: Cuts) -> bool:
    """Whether an entry is replayed: no later generation's cut is at or below its seq."""
    return all(seq < cut for opened, cut in cuts if opened > generation)


def base_of(cuts: bytes | None) -> int:
    """The generation in which a run last began with nothing: what is derived in later ones is what it was."""
    return max((opened for opened, cut in decode_cuts(cuts) if cut == 0), default=1) if cuts is not None else 1
