"""Why a start made no run of its own at once, in words: made of what is kept of it."""

from __future__ import annotations

from functools import lru_cache

from holdfast.model.payload import MAX_PAYLOAD_BYTES
from holdfast.model.run import instant

NO_ROOM = "no room"
"""As the mode of a batch: the one before it would have become larger than an input may be."""

_SECOND = 1_000_000
_UNITS = ((86_400 * _SECOND, "d"), (3600 * _SECOND, "h"), (60 * _SECOND, "min"))


def reason_of(
    way: str, rule: str, mode: str, key: str, run_id: str, most: int | None, span_us: int | None, due_at: int | None
) -> str:
    """The reason.

    Args:
        way: what became of the start.
        rule: by which rule.
        mode: of the rule; `NO_ROOM` for a batch that was begun since the one before it would have been too large.
        key: of the rule; empty for the only one.
        run_id: of the run that it was merged into, or because of which it was dropped.
        most: how many runs a limit lets start, or items a batch collects.
        span_us: in which time; how long it has to be quiet, of a debounce.
        due_at: when its run starts, as a limit planned it.
    """
    of = of_key(key)
    if rule == "batch":
        if way == "merged":
            return f"its items went into run {run_id!r}"
        collects = f"it collects up to {most:,} items{of} for {span_text(span_us)}"
        if mode == NO_ROOM:
            return f"the batch before it would have had more than {MAX_PAYLOAD_BYTES // 2**20} MiB with it; {collects}"
        return collects
    if rule == "rate_limit":
        runs = f"1 run{of} starts" if most == 1 else f"{most:,} runs{of} start"
        said = f"at most {runs} in {span_text(span_us)}"
        return said if due_at is None else f"{said}: it starts at {_when(due_at)}"
    if rule == "singleton":
        if mode == "cancel":
            return f"another start{of} came in the same moment, after it: run {run_id!r}"
        return f"run {run_id!r}{of} is open"
    if way == "delayed":
        return f"it starts when there were no others{of} for {span_text(span_us)}"
    if mode == "leading":
        return f"run {run_id!r} stands for all{of} until there were none for {span_text(span_us)}"
    return f"its input took the place of that of run {run_id!r}, which had not begun"


def of_key(key: str) -> str:
    """Whose, if there is a key."""
    return f" of {key!r}" if key else ""


@lru_cache(maxsize=1024)
def _when(at: int) -> str:
    return instant(at).isoformat()


@lru_cache(maxsize=1024)
def span_text(microseconds: int | None) -> str:
    """A length of time, exactly, in the largest unit of which it is a whole number: 1 h, 90 s, 250 ms."""
    span = microseconds or 0
    for size, unit in _UNITS:
        if span >= size and span % size == 0:
            return f"{span // size:,} {unit}"
    if span < _SECOND:
        return f"{span / 1000:g} ms"
    return f"{span / _SECOND:,.6f}".rstrip("0").rstrip(".") + " s"
