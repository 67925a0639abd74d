"""Alerts: those that fire first, with since when and what; and what wants somebody on the overview."""

from __future__ import annotations

import pytest

import holdfast as hf
from holdfast.store.alerts import AlertRow
from tests.engine.outbox_kit import settle
from tests.web.browsing import Dashboard, dashboard
from tests.web.publishing_kit import MARKUP, careful, fail

AT = 1_772_346_600_000_000
FIRING = AlertRow(
    "default", "queue too deep", "mails", "firing", "warning", 12_000.0, f"queue mails: 12,000 runs wait {MARKUP}", AT,
    AT + 60_000_000, None, None,
)  # fmt: skip
GRAVE = FIRING._replace(rule="workers lost", about="", severity="critical", text="2 workers are lost", since=AT + 1)
PENDING = FIRING._replace(about="orders", state="pending", fired_at=None, text="queue orders: 10,500 runs wait")
OVER = FIRING._replace(about="old", state="resolved", resolved_at=AT + 120_000_000, text="queue old: 11,000 runs wait")
THEIRS = FIRING._replace(tenant="acme", text="of acme")


async def put(shown: Dashboard, *rows: AlertRow) -> None:
    """Alerts, as who looks writes them."""
    alerts = shown.client.core.store.alerts
    term = await alerts.lead("alerts", b"somebody's id 16", 60_000_000)
    assert term is not None
    assert await alerts.put_alerts("alerts", term, rows, [])


async def test_there_are_none() -> None:
    async with dashboard() as shown:
        seen = await shown.get("/alerts")
        assert "No alert fires." in seen.text
        assert "Alerts are measured by workers" in seen.text


async def test_those_that_fire_come_first_the_gravest_before_the_others() -> None:
    async with dashboard() as shown:
        await put(shown, OVER, PENDING, FIRING, GRAVE, THEIRS)
        seen = await shown.get("/alerts")
        said = ["2 workers are lost", "queue mails: 12,000 runs wait", "queue orders", "queue old"]
        places = [seen.text.index(one) for one in said]
        assert places == sorted(places)
        assert "of acme" not in seen.text
        assert MARKUP in seen.text
        assert MARKUP not in seen.html
        for fact in ("Rule queue too deep", "About mails", "Value 12,000", "Since 2026-03-01 06:30:00", "not yet"):
            assert fact in seen.text, fact


async def test_the_first_page_says_what_wants_somebody_and_leads_to_it() -> None:
    async with dashboard() as shown:
        assert "Alerts firing" not in (await shown.get("/")).text
    async with dashboard() as shown, hf.Worker(shown.client, [careful], drain=0):
        await put(shown, FIRING, GRAVE)
        for id, doubt in (("m/1", True), ("m/2", False)):
            await shown.client.publish("mail", 1, id=id)
            await settle(shown.client, "mail", "dead", "gone", doubt=doubt)
        await shown.client.publish("mail", 1, id="m/3")
        await fail(shown.client, "mail", "later")
        seen = await shown.get("/", fragment="now")
        needs = seen.text[: seen.text.index("Failures")]
        assert needs.index("2 workers are lost") < needs.index("queue mails: 12,000 runs wait")
        assert "2 dead messages not sent, and not tried again by themselves; 1 may have been sent" in needs
        assert "1 unsent message failed, and tried again" in needs
        assert seen.link("Messages dead 2") == seen.link("2 dead messages") == "/outbox?status=dead"
        assert seen.link("Alerts firing 2") == "/alerts"


async def test_dead_messages_are_among_the_dead_letters() -> None:
    async with dashboard() as shown:
        assert "Dead messages" not in (await shown.get("/dead-letters")).text
    async with dashboard() as shown, hf.Worker(shown.client, [careful], drain=0):
        for number in range(12):
            await shown.client.publish("mail", number, id=f"m/{number}")
        await settle(shown.client, "mail", "dead", "550 gone", doubt=True)
        seen = await shown.get("/dead-letters")
        assert "Dead messages 12 , 12 of them may have been sent" in seen.text.replace("12,", "12 ,")
        assert seen.text.count("550 gone") == 10
        assert (await shown.get(seen.link("All of them"))).text.count("550 gone") == 12
        assert "550 gone" not in (await shown.get("/dead-letters?workflow=careful")).text


@pytest.mark.parametrize("path", ["/alerts", "/", "/dead-letters"])
async def test_nobody_sees_anothers(path: str) -> None:
    async with dashboard(auth=True) as shown, hf.Worker(shown.client, [careful], drain=0):
        await put(shown, FIRING)
        await shown.client.publish("mail", 1, id="m/1")
        await settle(shown.client, "mail", "dead", "550 gone")
        ours = await (await shown.somebody("viewer")).get(path)
        theirs = await (await shown.somebody("admin", "acme")).get(path)
        assert "queue mails" in ours.text or "550 gone" in ours.text
        assert "queue mails" not in theirs.text
        assert "550 gone" not in theirs.text
        assert "dead message" not in theirs.text
