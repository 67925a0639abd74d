"""Alerts over HTTP, and by the client of a server."""

from __future__ import annotations

import httpx

from holdfast.store.alerts import AlertRow
from tests.api.kit import V1, Served, problem, serving


async def put(served: Served, *rows: AlertRow) -> None:
    """Alerts, as who looks writes them."""
    alerts = served.server.core.store.alerts
    term = await alerts.lead("alerts", b"somebody's id 16", 60_000_000)
    assert term is not None
    assert await alerts.put_alerts("alerts", term, rows, [])


AT = 1_772_346_600_000_000
FIRING = AlertRow(
    "default", "queue too deep", "mails", "firing", "warning", 12.0, "12 runs wait", AT, AT + 60_000_000, None, None
)
PENDING = FIRING._replace(about="orders", state="pending", fired_at=None)
OVER = FIRING._replace(about="old", state="resolved", resolved_at=AT + 120_000_000, told_at=AT + 60_000_000)
THEIRS = FIRING._replace(tenant="acme", about="theirs")


async def test_alerts_are_listed_those_that_fire_first() -> None:
    async with serving() as served:
        await put(served, FIRING, PENDING, OVER, THEIRS)
        http = served.http()
        found = (await http.get(f"{V1}/alerts")).json()
        assert [(one["about"], one["state"]) for one in found["items"]] == [
            ("mails", "firing"), ("orders", "pending"), ("old", "resolved")
        ]  # fmt: skip
        assert found["items"][0] == {
            "rule": "queue too deep", "about": "mails", "state": "firing", "severity": "warning", "value": 12.0,
            "text": "12 runs wait", "since": "2026-03-01T06:30:00Z", "fired_at": "2026-03-01T06:31:00Z",
            "resolved_at": None, "told_at": None,
        }  # fmt: skip
        some = (await http.get(f"{V1}/alerts", params={"state": "resolved", "limit": 1})).json()
        assert [one["about"] for one in some["items"]] == ["old"]
        refused: httpx.Response = await http.get(f"{V1}/alerts", params={"state": "broken"})
        assert problem(refused, 422, "invalid-request")["errors"][0]["parameter"] == "state"
