"""Task mode: one page for each step, kept as it is filled in, then the next item; without scripts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.web.browsing import Dashboard, dashboard
from tests.web.work_kit import MARKUP, REFUND, STEPS, as_person, item, obsidian, people, work_of


async def review(shown: Dashboard, **given: Any) -> str:
    """An item with two steps and a form; gives its id."""
    work = work_of(shown)
    await obsidian(work)
    await work.put_definition("review", {"name": "Review", "type": "risk", "steps": STEPS, "form": REFUND})
    return (await work.create("review", **{"assignee": "local", "subject": "obsidian", **given})).id


async def test_a_task_is_done_page_by_page_and_the_next_item_follows() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        made = await review(shown)
        following = await item(work, "Then this")
        seen = await shown.get((await shown.get("/work")).link("Task mode"))
        assert seen.path == f"/work/{made}/do"
        assert "Step 1 of 4" in seen.text
        assert "Which teams use it most?" in seen.text
        assert "churn risk score 8" in seen.text
        assert "1 more to do" in seen.text
        wrong = await shown.browser.send(seen, "Keep it and go on", **{"in.teams": ""})
        # A list may be empty; what is needed is that it is there.
        assert wrong.path.startswith(f"/work/{made}/do?step=2")
        first = await shown.get(f"/work/{made}/do?step=1")
        second = await shown.browser.send(first, "Keep it and go on", **{"in.teams": "sales\n\n ops \n"})
        assert "Step 2 of 4" in second.text
        assert (await work.get(made)).status == "underway"
        assert (await work.get(made)).data == {"usage": {"teams": ["sales", "ops"]}}
        third = await shown.browser.send(second, "Done, go on")
        assert "Step 3 of 4" in third.text
        refused = await shown.browser.send(third, "Keep it and go on", **{"in.amount": "7"})
        assert refused.status == 422
        assert "Choose one of these." in refused.text
        assert dict(refused.form("Keep it and go on").values)["in.amount"] == "7"
        last = await shown.browser.send(refused, "Keep it and go on", **{"in.approved": "yes"})
        assert "Step 4 of 4" in last.text
        assert "Teams sales ops" in last.text
        done = await shown.browser.send(last, "Complete it, and on to the next")
        assert done.path == f"/work/{following}/do"
        assert "Review is completed. This is next." in done.text
        view = await work.get(made)
        assert view.status == "completed"
        assert view.data == {"usage": {"teams": ["sales", "ops"]}, "call": {}, "amount": 7, "approved": "yes"}
        finished = await shown.browser.send(done, "Complete it")
        assert finished.path == "/work"
        assert "there is nothing else to do" in finished.text


async def test_whoever_leaves_comes_back_to_where_they_were() -> None:
    async with dashboard() as shown:
        made = await review(shown)
        seen = await shown.get(f"/work/{made}/do")
        left = await shown.browser.send(seen, "Keep it and leave", go="leave", **{"in.teams": "sales"})
        assert left.path == f"/work/{made}"
        assert "What you filled in is kept." in left.text
        back = await shown.get(f"/work/{made}/do")
        assert "Step 2 of 4" in back.text
        assert (
            dict((await shown.get(f"/work/{made}/do?step=1")).form("Keep it and go on").values)["in.teams"] == "sales"
        )
        for step in ("0", "5", "x", "-1", "9" * 40):
            assert "Step 2 of 4" in (await shown.get(f"/work/{made}/do?step={step}")).text


async def test_what_a_step_asks_for_is_held_against_its_form_when_it_is_kept() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        form = {
            "type": "object",
            "properties": {"code": {"type": "string", "pattern": "^[A-Z]+$"}, "n": {"type": "integer", "minimum": 3}},
            "required": ["code"],
        }
        await work.put_definition("coded", {"name": "Coded", "steps": [{"id": "one", "title": MARKUP, "form": form}]})
        made = (await work.create("coded", assignee="local")).id
        seen = await shown.get(f"/work/{made}/do")
        assert MARKUP not in seen.html
        wrong = await shown.browser.send(seen, "Keep it and go on", **{"in.code": "abc", "in.n": "2"})
        assert wrong.status == 422
        assert (await work.get(made)).data == {}
        right = await shown.browser.send(wrong, "Keep it and go on", **{"in.code": "ABC", "in.n": ""})
        assert right.status == 200
        assert (await work.get(made)).data == {"one": {"code": "ABC"}}


async def test_two_who_fill_in_the_same_step_lose_nothing() -> None:
    async with dashboard() as shown:
        made = await review(shown)
        seen = await shown.get(f"/work/{made}/do?step=1")
        await work_of(shown, "ada").save(made, {"usage": {"teams": ["ada's"]}})
        refused = await shown.browser.send(seen, "Keep it and go on", **{"in.teams": "mine"})
        assert refused.status == 422
        assert "What you filled in is still here" in refused.text
        assert dict(refused.form("Keep it and go on").values)["in.teams"] == "mine"
        kept = await shown.browser.send(refused, "Keep it and go on")
        assert kept.status == 200
        assert (await work_of(shown).get(made)).data["usage"] == {"teams": ["mine"]}


async def test_what_is_put_off_from_the_task_leads_to_the_next_one() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        made = await review(shown)
        following = await item(work, "Then this")
        seen = await shown.get(f"/work/{made}/do")
        asked = await shown.get(seen.link("Snooze"))
        gone = await shown.browser.send(asked, "Snooze until then", until=_in_ten_days())
        assert gone.path == f"/work/{following}/do"
        assert "is snoozed" in gone.text
        assert (await shown.get("/work/next")).path == f"/work/{following}/do"
        last = await shown.get(f"/work/next?after={following}")
        assert last.path == "/work"
        assert "There is nothing else to do." in last.text


def _in_ten_days() -> str:
    return f"{datetime.now(UTC) + timedelta(days=10):%Y-%m-%d}"


async def test_what_cannot_be_done_says_so_and_a_viewer_has_no_task() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        work = work_of(shown)
        first = await item(work, "First", assignee="grace")
        second = await item(work, "Second", assignee="grace", after=[first])
        grouped = await item(work, "Grouped", assignee=None, group="onboarding")
        grace = await as_person(shown, "grace")
        assert "waits for others" in (await grace.get(f"/work/{second}/do")).text
        claimed = await grace.send(await grace.get(f"/work/{grouped}/do"), "Claim")
        assert claimed.path == f"/work/{grouped}/do"
        await work.complete(first)
        ended = await grace.get(f"/work/{first}/do")
        assert "It is completed" in ended.text
        assert ended.has_link("The next item")
        assert (await (await as_person(shown, "vera")).get(f"/work/{first}/do")).status == 403
