"""Model cost of some runs: those that a search line finds, such as an order's, with their child runs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine import run_costs
from holdfast.web.cost_figures import days_around
from tests.web.agent_kit import AGENTS, HAIKU, MINI, run, spend, spending
from tests.web.browsing import Dashboard, dashboard
from tests.web.test_model_cost_page import row

OF_ORDER = "/costs?runs=lane%3A%22order%3Do-1%22"


@hf.workflow(key="order_id", lane="order")
async def selling(order_id: str, phase: str, days_ago: int = 0) -> None:
    """It asks one model, and a child run another."""
    await hf.set_attributes(order=order_id)
    await spend(phase, MINI, 10_000_000, days_ago, 2)
    await spending(phase, HAIKU, 1_000_000_000, days_ago)


WORKFLOWS: list[Any] = [*AGENTS, selling]


async def sell(shown: Dashboard) -> None:
    await run(shown, selling, "o-1", "draft", 2, id="s1")
    await run(shown, selling, "o-2", "draft", id="s2")
    await run(shown, selling, "o-1", "review", id="s3")


async def test_an_order_is_counted_with_its_child_runs_and_links_keep_it(disk_url: str) -> None:
    async with dashboard(disk_url) as shown, hf.Worker(shown.client, WORKFLOWS):
        await sell(shown)
        seen = await shown.get(OF_ORDER)
        assert seen.status == 200
        assert "Cost $2.04 " in seen.text
        assert "Model calls 6 " in seen.text
        assert "2 runs with their child runs" in seen.text
        assert "there are more" not in seen.text
        assert row(seen, "by-workflow", "spending").startswith("spending $2.00 2 ")
        assert row(seen, "by-workflow", "selling").startswith("selling $0.04 4 ")
        assert row(seen, "by-model", "Together").startswith("Together $2.04 6 ")
        assert row(seen, "by-phase", "draft").startswith("draft $1.02 3 ")
        assert 'value="lane:&#34;order=o-1&#34;"' in seen.html
        review = await shown.get(seen.link("review"))
        assert "Cost $1.02 " in review.text
        assert "2 runs with their child runs" in review.text
        mini = await shown.get(review.link(MINI))
        assert "Model calls 2 " in mini.text
        week = await shown.get(mini.link("7 days"))
        assert "Model calls 2 " in week.text
        day = str(datetime.now(UTC).date() - timedelta(days=2))
        assert "Model calls 3 " in (await shown.get(seen.link(day))).text
        found = await shown.get(seen.link("2 runs"))
        assert found.has_link("s1")
        assert not found.has_link("s2")
        every = await shown.get(review.link('runs lane:"order=o-1" show all again'))
        assert "Model calls 3 " in every.text
        assert "with their child runs" not in every.text
        assert "runs=lane" in next(part for part in seen.html.split('"') if "/charts/costs.svg" in part)
        charts = [
            await shown.browser.http.get("/charts/costs.svg", params={"span": "30d", "runs": line})
            for line in ("", 'lane:"order=o-1"', "attr.order:o-1")
        ]
        assert [chart.status_code for chart in charts] == [200, 200, 200]
        assert charts[0].text != charts[1].text == charts[2].text
        other = await shown.get("/costs?runs=attr.order:o-2")
        assert "1 run with its child runs" in other.text
        assert "Cost $1.02 " in other.text
        assert "No model was asked in this time" in (await shown.get("/costs?runs=id:none")).text


async def test_it_is_said_when_there_are_more_runs_than_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_costs, "RUNS_AT_MOST", 1)
    async with dashboard() as shown, hf.Worker(shown.client, WORKFLOWS):
        await sell(shown)
        seen = await shown.get(OF_ORDER)
        assert "1 run with its child runs; there are more, and the newest are counted" in seen.text
        assert "Model calls 3 " in seen.text


async def test_the_page_of_a_run_leads_to_what_its_order_costs() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, WORKFLOWS):
        await sell(shown)
        await run(shown, spending, "draft", MINI, 1, id="alone")
        order = await shown.get((await shown.get("/runs/s1")).link("What o-1 costs"))
        assert "Cost $2.04 " in order.text
        assert "2 runs with their child runs" in order.text
        alone = await shown.get("/runs/alone")
        assert alone.has_link("What spending costs")
        assert not [one for one in alone.links if "lane" in one.href]


def test_the_days_of_an_order_begin_before_its_run_and_are_no_more_than_are_shown() -> None:
    began = date(2026, 3, 31)
    assert days_around(began, date(2026, 4, 2)) == {"since": date(2026, 3, 1), "until": date(2026, 4, 2)}
    far = days_around(began, date(2030, 1, 1))
    assert (far["until"] - far["since"]).days == 365


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lan:o", "cannot be read at lan:o: there is no lan: here"),
        ("status:broken", "there is no status 'broken'"),
        ("lane:", "here a value for lane: is missing"),
        ("x" * 5000, "at most 4,000 are read"),
    ],
)
async def test_a_search_that_cannot_be_read_is_told_and_kept(line: str, words: str) -> None:
    async with dashboard() as shown:
        seen = await shown.get(f"/costs?runs={line}")
        assert seen.status == 422
        assert words in seen.text
        assert f'value="{line}"' in seen.html
        assert seen.has_link("30 days")


async def test_nobody_counts_by_what_is_hidden_or_anothers() -> None:
    async with dashboard(auth=True, redact=("order",)) as shown, hf.Worker(shown.client, WORKFLOWS):
        await sell(shown)
        viewer, operator = await shown.somebody("viewer"), await shown.somebody("operator")
        other = await shown.somebody("viewer", tenant="other")
        assert (await viewer.get("/costs?runs=attr.order:o-1")).status == 403
        assert (await viewer.http.get("/charts/costs.svg?runs=attr.order:o-1")).status_code == 403
        assert "2 runs with" in (await operator.get("/costs?runs=attr.order:o-1")).text
        assert "2 runs with" in (await viewer.get(OF_ORDER)).text
        theirs = await other.get(OF_ORDER)
        assert "0 runs with" in theirs.text
        assert "Model calls 0 " in theirs.text
