"""Alerts as both clients show them."""

from __future__ import annotations

import uuid

import pytest

import holdfast as hf
from holdfast.store.alerts import AlertRow
from tests.remote.conftest import Place

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT = 1_772_346_600_000_001


async def test_both_show_the_same_alerts(place: Place) -> None:
    tenant = uuid.uuid4().hex
    firing = AlertRow(tenant, "deep", "ü", "firing", "critical", 0.5, "half", AT, AT + 1, None, AT + 2)
    over = firing._replace(about="b", state="resolved", resolved_at=AT + 3)
    async with hf.connect(place.url, tenant=tenant) as local, hf.connect(place.address, tenant=tenant) as remote:
        alerts = local.core.store.alerts
        term = await alerts.lead("alerts", b"somebody's id 16", 60_000_000)
        assert term is not None
        assert await alerts.put_alerts("alerts", term, [firing, over], [])
        assert [one.about for one in await remote.alerts()] == ["ü", "b"]
        assert await remote.alerts() == await local.alerts()
        assert await remote.alerts("resolved", limit=1) == await local.alerts("resolved", limit=1)
        for client in (local, remote):
            with pytest.raises(hf.UsageError, match="state is 'broken'; it is one of pending, firing, resolved"):
                await client.alerts("broken")  # type: ignore[arg-type]
            with pytest.raises(hf.UsageError, match="limit is 1001"):
                await client.alerts(limit=1001)
