"""How values are shown to people: instants in their zone, lengths of time, sizes, JSON."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

SHOWN_CHARACTERS = 4_000
"""So much of a long value is shown at first."""

MOST_CHARACTERS = 400_000
"""So much of a value is shown at most; all of it is had from the API."""

OPENED_BY = (
    "Values are opened by a server that has the key ([values] keys) or a codec endpoint ([serve] codec_endpoint)."
)

_PRETTY = json.JSONEncoder(indent=2, ensure_ascii=False, default=str)
_LINE = json.JSONEncoder(ensure_ascii=False, default=str)


def zone_named(name: str | None) -> tzinfo:
    """The time zone of this name; UTC for one that is not known here, or for none."""
    if not name or len(name) > 60 or not name.isascii():
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def moment(at: datetime, zone: tzinfo) -> str:
    """An instant to the second, in a zone: 2026-12-01 10:00:00."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def exact(at: datetime, zone: tzinfo) -> str:
    """An instant as exactly as it is known, in a zone and in UTC."""
    utc = at.astimezone(UTC)
    said = f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d} UTC"
    local = at.astimezone(zone)
    if local.utcoffset() == utc.utcoffset():
        return said
    return f"{local:%Y-%m-%d %H:%M:%S} {local:%Z} ({said})"


def rfc3339(at: datetime) -> str:
    """An instant for machines, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?: UTC|(?:[.][0-9]{1,6})?[+]00:00)"
)


def with_moments(line: str) -> list[str | datetime]:
    """A line in which instants stand as holdfast writes them, split into its texts and its instants."""
    parts: list[str | datetime] = []
    end = 0
    for found in _MOMENT.finditer(line):
        try:
            at = datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00")
        except ValueError:
            continue
        parts += [line[end : found.start()], at]
        end = found.end()
    return [*parts, line[end:]]


def length(seconds: float) -> str:
    """A length of time in its two largest units: 1.25 s, 3 min 20 s, 2 d 4 h."""
    if seconds < 0:
        return f"−{length(-seconds)}"
    if seconds < 0.0995:
        return f"{seconds * 1000:.{1 if seconds < 0.00995 else 0}f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, lower, below in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {lower}" if rest else "")
    return f"{whole} s"


def offset(seconds: float) -> str:
    """How long after a beginning, on an axis: +0, +1.5 s, +2 min."""
    if abs(seconds) < 1e-9:
        return "0"
    sign, away = ("+" if seconds > 0 else "−"), abs(seconds)
    if away < 1:
        return f"{sign}{away * 1000:.3f}".rstrip("0").rstrip(".") + " ms"
    if away < 60:
        return f"{sign}{away:.3f}".rstrip("0").rstrip(".") + " s"
    return f"{sign}{length(away)}"


def number(value: float) -> str:
    """A number with its thousands apart; a whole one without a point."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.2f}".rstrip("0")
    return f"{int(value):,}"


def money(dollars: Decimal, *, exactly: bool = False) -> str:
    """US dollars, to a hundredth of a cent; exactly where they are less, or where it is asked: $1,234.50, $0.0123."""
    shown = dollars if exactly or dollars < Decimal("0.0001") else dollars.quantize(Decimal("0.0001"))
    whole, _, rest = f"{shown:,f}".partition(".")
    rest = rest.rstrip("0")
    return f"${whole}.{rest.ljust(2 if len(rest) < 3 else 4, '0')}"


def counted(runs: int, capped: bool) -> str:
    """A count that may have stopped at its cap: 1,000+."""
    return f"{runs:,}{'+' if capped else ''}"


def size(many: float) -> str:
    """So many bytes, in the unit that fits."""
    for unit, of_it in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if many >= of_it:
            return f"{many / of_it:.1f} {unit}"
    return f"{int(many)} bytes"


def sealed_note(value: Any) -> str | None:
    """What is said of a value that cannot be opened here, or is kept apart; None for any other."""
    if isinstance(value, dict) and value.keys() == {"kept_apart", "size_bytes", "where"}:
        return f"{value['kept_apart']}, in {value['where']}"
    if not isinstance(value, dict) or value.keys() != {"sealed_by", "size_bytes", "why"}:
        return None
    by = f"sealed by key {value['sealed_by']}" if value["sealed_by"] else "sealed by a codec"
    return f"{by} ({size(value['size_bytes'])})"


def pretty(value: Any) -> str:
    """A value as JSON over many lines; of one that is longer than is ever shown, a little more than is shown."""
    note = sealed_note(value)
    if note is not None:
        return f"{note}\n{value['why']}\n\n{OPENED_BY}" if "why" in value else note
    return _begun(_PRETTY, value, MOST_CHARACTERS)


def _begun(encoder: json.JSONEncoder, value: Any, most: int) -> str:
    """The beginning of a value as JSON: all of it, or a little more than so many characters."""
    pieces, many = [], 0
    for piece in encoder.iterencode(value):
        pieces.append(piece)
        many += len(piece)
        if many > most:
            break
    return "".join(pieces)


def in_line(value: Any, most: int = 120) -> str:
    """A value as JSON in one line, cut to so many characters; a text as it is."""
    value = sealed_note(value) or value
    text = value[: 10 * most] if isinstance(value, str) else _begun(_LINE, value, 10 * most)
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
