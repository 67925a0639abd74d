"""What who looks knows of alerts, for whoever exports metrics. See `holdfast.engine.counting`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from weakref import WeakKeyDictionary

from holdfast.engine import counting
from holdfast.engine.counting import Family

Firing = Mapping[tuple[str, str], int]
"""How many alerts fire, by rule and severity."""

_known: WeakKeyDictionary[object, tuple[float, Firing]] = WeakKeyDictionary()


def note(watch: object, at: float | None, firing: Firing) -> None:
    """Somebody has looked, at a time in seconds since 1970; None: it was another's turn."""
    if at is None:
        _known.pop(watch, None)
    else:
        _known[watch] = (at, firing)


def _families() -> Iterator[Family]:
    known = list(_known.values())
    yield Family(
        "holdfast.alert.firing", "gauge", "{alert}", "Alerts that fire, as the process knows that looks for them",
        ("rule", "severity"), [(key, count) for _, firing in known for key, count in firing.items()],
    )  # fmt: skip
    yield Family(
        "holdfast.alert.look", "gauge", "s", "When this process looked last whether something is wrong, since 1970",
        (), [((), max(at for at, _ in known))] if known else [],
    )  # fmt: skip


counting.also(_families)
