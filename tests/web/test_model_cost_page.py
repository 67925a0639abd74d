"""Model cost: sums of what attempts recorded, by phase, model, workflow and day, to the cent; where figures lead."""

from __future__ import annotations

import asyncio
import re
from datetime import date
from decimal import Decimal

import pytest

import holdfast as hf
from holdfast.web.charts import cost_chart
from holdfast.web.text import money
from tests.web.agent_kit import AGENTS, HAIKU, MARKUP, MINI, OWN, offer, run, spending
from tests.web.browsing import Dashboard, Seen, dashboard

SPENT = (
    ("research", MINI, 1_234_567_891, 0, 3),
    ("research", HAIKU, 5_000_000_000, 2, 1),
    ("draft", MINI, 10_000_000, 2, 2),
    ("draft", OWN, None, 8, 4),
    (MARKUP, HAIKU, 20, 40, 1),
)
"""By run: the phase, the model, what one request costs in nanodollars, how many days ago, how many."""


async def day_of(shown: Dashboard, id: str) -> date:
    """When a run asked models, in UTC."""
    return (await shown.client.model_calls(id))[0].ended_at.date()


async def spend(shown: Dashboard) -> None:
    for number, (phase, model, cost, days_ago, times) in enumerate(SPENT):
        await run(shown, spending, phase, model, cost, days_ago, times, id=f"s{number}")


def row(seen: Seen, heading: str, name: str) -> str:
    """The words of a row of a table."""
    table = seen.html.partition(f'id="{heading}"')[2].partition("</table>")[0]
    for found in table.split("<tr"):
        words = " ".join(re.sub(r"<[^>]*>", " ", found.partition(">")[2]).split())
        if words.startswith(name):
            return words
    raise AssertionError(f"no row {name!r} in {heading}")


async def test_totals_are_what_the_attempts_sum_to_to_the_cent(disk_url: str) -> None:
    async with dashboard(disk_url) as shown, hf.Worker(shown.client, AGENTS):
        await spend(shown)
        await run(shown, offer, "ada", id="o")
        calls = [call for id in ("s0", "s1", "s2", "s3", "o") for call in await shown.client.model_calls(id)]
        total = sum((call.cost for call in calls if call.cost is not None), Decimal(0))
        seen = await shown.get("/costs?span=30d")
        assert seen.status == 200
        assert f"Cost {money(total)} exactly ${total}" in seen.text
        assert f"Model calls {len(calls)} " in seen.text
        assert "Failed calls 1 " in seen.text
        assert "Without a price 5 " in seen.text
        assert f"Tokens in {sum(call.input_tokens for call in calls):,} " in seen.text
        assert f"Tokens out {7 * len(calls)} " in seen.text
        for heading in ("by-phase", "by-model", "by-workflow"):
            assert row(seen, heading, "Together").startswith(f"Together {money(total)} + 5 unpriced 13 1 ")
        assert row(seen, "by-phase", "research") == "research $8.7037 4 0 400 40 28"
        assert row(seen, "by-phase", "draft").startswith("draft $1.5323 + 5 unpriced 9 1 ")
        assert row(seen, "by-model", OWN).startswith(f"{OWN} no price known 5 1 ")
        assert row(seen, "by-workflow", "offer").startswith("offer $1.5123 + 1 unpriced 3 1 ")
        text = seen.text
        assert text.index("research $") < text.index("draft $")  # the dearest first
        day = str(await day_of(shown, "s1"))
        assert row(seen, "by-day", day).startswith(f"{day} $5.02 3 0 ")
        assert MARKUP not in seen.text
        assert row(await shown.get("/costs?span=90d"), "by-phase", MARKUP.replace("<", "&lt;")[:4])
        assert "Model calls 9 " in (await shown.get("/costs?span=7d")).text


async def test_what_has_no_price_is_named() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, AGENTS):
        await spend(shown)
        seen = await shown.get("/costs")
        assert "What 4 of 10 calls cost is not known and not in these sums" in seen.text
        assert f"{OWN} (4)" in seen.text
        one = await shown.get(seen.link(OWN))
        assert "Model calls 4 " in one.text
        assert "What 4 of 4 calls cost is not known" in one.text
        priced = await shown.get(seen.link(MINI))
        assert "is not known" not in priced.text


async def test_figures_lead_to_what_they_count() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, AGENTS):
        await spend(shown)
        await run(shown, offer, "ada", id="o")
        seen = await shown.get("/costs?span=90d")
        research = await shown.get(seen.link("research"))
        assert "Cost $8.7037 " in research.text
        assert row(research, "by-model", MINI).startswith(f"{MINI} $3.7037 3 ")
        assert row(research, "by-workflow", "spending").startswith("spending $8.7037 4 ")
        both = await shown.get(research.link(HAIKU))
        assert "Cost $5.00 " in both.text
        assert "Model calls 1 " in both.text
        assert (await shown.get(both.link(f"model {HAIKU} show all again"))).text == research.text
        day = str(await day_of(shown, "s1"))
        of_day = await shown.get(seen.link(day))
        assert "Cost $5.02 " in of_day.text
        assert f"{day} to {day}, in UTC" in of_day.text
        markup = await shown.get(seen.link(MARKUP))
        assert "Cost $0.00000002 " in markup.text
        assert MARKUP not in markup.html
        offers = await shown.get(seen.link("offer"))
        runs = await shown.get(offers.link("Runs of offer"))
        assert runs.has_link("o")
        assert not runs.has_link("s0")
        assert "No model was asked in this time" in (await shown.get("/costs?phase=none")).text


async def test_the_chart_has_a_bar_for_each_day_in_both_themes() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, AGENTS):
        await spend(shown)
        seen = await shown.get("/costs?span=7d&phase=research")
        address = next(part for part in seen.html.split('"') if "/charts/costs.svg" in part and "theme=dark" in part)
        drawn = await shown.browser.http.get(address.replace("&amp;", "&").split(" ")[0])
        assert drawn.status_code == 200
        assert drawn.headers["content-type"] == "image/svg+xml"
        assert "<script" not in drawn.text
        assert "style=" not in drawn.text
        assert drawn.text.count("<rect") >= 7
        assert f"{await day_of(shown, 's0'):%d %b}" in drawn.text
        assert "$4.00" in drawn.text
    for costs in ([], [Decimal(0)] * 3, [Decimal("2E-8"), Decimal(0)], [Decimal(123_456)] * 366):
        assert b"<svg" in cost_chart([f"{place}" for place in range(len(costs))], costs, "light", 360)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("since=2026-01-01&until=2026-01-02", 200, "2026-01-01 to 2026-01-02"),
        ("until=2026-01-30", 200, "2026-01-01 to 2026-01-30"),
        ("span=90d", 200, ""),
        ("span=nonsense", 200, ""),
        ("since=soon", 422, "give dates such as 2026-12-01"),
        ("since=2026-01-02&until=2026-01-01", 422, "is after"),
        ("since=2020-01-01&until=2026-01-01", 422, "more than 366 days"),
        ("since=1960-01-01&until=1960-02-01", 422, "from 1970-01-01 on"),
        ("until=0001-01-02", 422, "give dates"),
        ("phase=" + "x" * 600, 200, "No model was asked"),
    ],
)
async def test_days_that_cannot_be_are_told(query: str, status: int, words: str) -> None:
    async with dashboard() as shown:
        seen = await shown.get(f"/costs?{query}")
        assert seen.status == status
        assert words in seen.text
        assert seen.has_link("30 days")


async def test_many_groups_are_shown_as_one() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, AGENTS):
        for number in range(103):
            await shown.client.start(
                spending.options(id=f"{number}"), f"phase {number}", MINI, 10_000_000 * (number + 1)
            )
        async with asyncio.timeout(60):
            while (await shown.client.count(status="succeeded")).runs < 103:
                await asyncio.sleep(0.02)
        seen = await shown.get("/costs")
        assert row(seen, "by-phase", "3 others") == "3 others $0.06 3 0 300 30 21"
        assert row(seen, "by-phase", "Together").startswith("Together $53.56 103 ")


async def test_another_tenants_costs_are_not_counted_and_a_viewer_sees_their_own() -> None:
    async with dashboard(auth=True) as shown, hf.Worker(shown.client, AGENTS):
        await spend(shown)
        viewer, other = await shown.somebody("viewer"), await shown.somebody("viewer", tenant="other")
        seen = await viewer.get("/costs")
        assert "Model calls 10 " in seen.text
        assert seen.has_link("Model cost")
        analytics = await viewer.get("/work/analytics")
        assert (await viewer.get(analytics.link("What models cost"))).text == seen.text
        empty = await other.get("/costs")
        assert "Model calls 0 " in empty.text
        assert "No model was asked in this time" in empty.text
