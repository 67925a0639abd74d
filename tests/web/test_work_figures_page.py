"""Analytics: figures of a stretch of time, by definition and by assignee, charts, CSV, and where they lead."""

from __future__ import annotations

import pytest

from tests.web.browsing import Dashboard, dashboard
from tests.web.work_kit import MARKUP, as_person, item, people, titles, work_of


async def history(shown: Dashboard) -> None:
    work = work_of(shown)
    await work.put_definition("plan", {"name": f"Plan {MARKUP}", "type": "strategic"})
    done = [(await work.create("plan", assignee="ada")).id for _ in range(3)]
    for one in done:
        await work.start(one)
        await work.complete(one)
    for reason in ("no budget", "no budget", f"left {MARKUP}"):
        await work.skip(await item(work, "Skipped", assignee="grace"), reason)
    open_one = await item(work, "Open", assignee="grace")
    await work.snooze(open_one, days=2)
    await work.escalate(open_one, "ada")


async def test_figures_say_what_was_done_and_lead_to_it() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        await history(shown)
        ada = await as_person(shown, "ada")
        seen = await ada.get("/work/analytics")
        assert seen.status == 200
        assert "Completion rate 50 %" in seen.text
        assert "Escalations 1" in seen.text
        assert "no budget" in seen.text
        assert seen.text.index("no budget") < seen.text.index(f"left {MARKUP}")
        assert MARKUP not in seen.html
        assert "Time to complete" in seen.text
        found = await ada.get(seen.link("Completed 3"))
        assert "3 items found" in found.text
        assert "3 items found" in (await ada.get(seen.link("Skipped 3"))).text
        assert titles(await ada.get(seen.link("Snoozes 1")), ["Open"]) == ["Open"]
        by = await ada.get("/work/analytics?by=assignee")
        assert by.has_link("Ada Lovelace")
        assert "3 items found" in (await ada.get("/work/queue?status=completed&assignee=ada")).text
        one = await ada.get("/work/analytics?assignee=grace")
        assert "Completed 0" in one.text


async def test_the_chart_is_drawn_and_the_csv_has_the_same() -> None:
    async with dashboard() as shown:
        await history(shown)
        seen = await shown.get("/work/analytics?span=7d")
        address = next(part for part in seen.html.split('"') if "/charts/work.svg" in part and "theme=dark" in part)
        drawn = await shown.browser.http.get(address.replace("&amp;", "&").split(" ")[0])
        assert drawn.status_code == 200
        assert drawn.headers["content-type"] == "image/svg+xml"
        assert "<script" not in drawn.text
        assert "style=" not in drawn.text
        csv = await shown.browser.http.get(seen.link("CSV"))
        assert csv.headers["content-type"].startswith("text/csv")
        assert "plan" in csv.text
        for span in ("30d", "90d", "365d", "nonsense"):
            assert (await shown.get(f"/work/analytics?span={span}")).status == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("since=2026-01-01", 200),
        ("since=2020-01-01&until=2026-01-01", 200),
        ("since=soon", 422),
        ("since=2026-01-02&until=2026-01-01", 422),
        ("since=1800-01-01", 422),
        ("assignee=" + "x" * 600, 422),
        ("by=colour", 200),
    ],
)
async def test_stretches_that_cannot_be_are_told(query: str, status: int) -> None:
    async with dashboard() as shown:
        seen = await shown.get(f"/work/analytics?{query}")
        assert seen.status == status
        assert ("Nothing was done in this time" in seen.text) == (status == 200) or status == 422
