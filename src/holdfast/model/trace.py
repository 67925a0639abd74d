"""Traces of runs: ids that every worker derives alike, and the W3C form in which a span is named.

The ids come from the run's uid by a hash and not from its bytes: samplers take the lower half of a trace id as a
uniform number, and a UUID has fixed bits there.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from holdfast.model.publishing import SHADOW

TRACEPARENT = "holdfast.traceparent"
"""Among a run's stored attributes: the span in which it was started. It is not shown, and not searched."""

LENGTH = 55
"""Of a traceparent of version 00, in characters; later versions may be longer."""

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


def trace_id(run_uid: bytes) -> int:
    """The id of a run's trace, whoever executes it."""
    return int.from_bytes(hashlib.blake2b(run_uid, digest_size=16, person=b"holdfast-trace").digest(), "big")


def run_span_id(run_uid: bytes, generation: int) -> int:
    """The id of the span that stands for a generation of a run, from when it was due to its end."""
    given = b"%b|%d" % (run_uid, generation)
    return int.from_bytes(hashlib.blake2b(given, digest_size=8, person=b"holdfast-span").digest(), "big")


def format_traceparent(trace: int, span: int, flags: int) -> str:
    """A span in the form of W3C Trace Context, version 00."""
    return f"00-{trace:032x}-{span:016x}-{flags & 0xFF:02x}"


def parse_traceparent(text: object) -> tuple[int, int, int] | None:
    """(trace id, span id, flags) of a span in that form, of any version but ff; None if it is not."""
    found = _TRACEPARENT.fullmatch(text) if isinstance(text, str) else None
    if found is not None and found[0].startswith("00") and len(found[0]) > LENGTH:
        return None
    return None if found is None else (int(found[1], 16), int(found[2], 16), int(found[3], 16))


def shown(attributes: dict[str, Any]) -> dict[str, Any]:
    """A run's attributes without what the engine keeps among them."""
    return {name: value for name, value in attributes.items() if name not in (TRACEPARENT, SHADOW)}
