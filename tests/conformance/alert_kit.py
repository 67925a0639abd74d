"""Short ways to make alerts, over any store."""

from typing import Any

from holdfast.store.alerts import AlertRow
from holdfast.store.base import Store

LEASE_US = 60_000_000
ANN, BOB = b"ann's process", b"bob's process"


def alert(rule: str, state: Any = "firing", about: str = "", **changes: Any) -> AlertRow:
    """An alert that was seen at 100, fired at 200 and was resolved at 300, as far as it came."""
    fired_at = None if state == "pending" else 200
    resolved_at = 300 if state == "resolved" else None
    row = AlertRow("t", rule, about, state, "warning", 1.5, f"{rule} is wrong", 100, fired_at, resolved_at, None)
    return row._replace(**changes)


async def leading(store: Store, duty: str = "watching", holder: bytes = ANN) -> int:
    """The term in which somebody has a duty now."""
    term = await store.alerts.lead(duty, holder, LEASE_US)
    assert term is not None
    return term


async def put(store: Store, *rows: AlertRow) -> None:
    """Record alerts."""
    assert await store.alerts.put_alerts("watching", await leading(store), rows, [])
