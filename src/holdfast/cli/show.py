"""How values are shown to people: sizes, times, and JSON cut to a width."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from holdfast.cli.output import as_json

_COLOURS = {
    "succeeded": "green",
    "ok": "green",
    "failed": "red",
    "error": "red",
    "held": "yellow",
    "running": "cyan",
    "waiting": "blue",
}


def size(count: int) -> str:
    """Bytes as people read them."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def duration(seconds: float) -> str:
    """A duration as people read it."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours < 48 else f"{hours // 24}d{hours % 24:02}h"


def between(start: datetime | None, end: datetime | None) -> str:
    """How long something took, or has taken so far."""
    if start is None:
        return ""
    return duration(max(0.0, ((end or datetime.now(UTC)) - start).total_seconds()))


def instant(at: datetime | None) -> str | None:
    """An instant in UTC, to the second."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def progress(said: dict[str, Any] | None) -> str:
    """How far a run said it was, as in ``3 of 10, resizing``."""
    if said is None:
        return ""
    counted = _plain(said["current"])
    if said.get("total") is not None:
        counted = f"{counted} of {_plain(said['total'])}"
    return f"{counted}, {said['note']}" if said.get("note") else counted


def _plain(number: float) -> str:
    return f"{number:.0f}" if float(number).is_integer() else f"{number:g}"


def error_line(error: dict[str, Any]) -> str:
    """An error in a line, with its type; of one that cannot be opened here none is known."""
    kind = error["type"].removeprefix("builtins.")
    return f"{kind}: {error['message']}" if kind else str(error["message"])


def short(value: Any, characters: int) -> str:
    """A value as JSON on one line, cut."""
    text = value if isinstance(value, str) and "\n" not in value else as_json(value)
    return text if len(text) <= characters else text[: characters - 1] + "…"


def coloured(word: str) -> Any:
    """A status or an outcome in its colour."""
    from rich.text import Text

    return Text(word, style=_COLOURS.get(word, ""))
