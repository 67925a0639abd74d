"""My work: what is to be done first and why, and every move by forms alone; who may make which."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.web.browsing import dashboard
from tests.web.work_kit import MARKUP, REFUND, as_person, item, move_clock, obsidian, people, sent, titles, work_of


async def test_nothing_is_to_be_done_yet_and_a_viewer_only_looks() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        for who in ("vera", "grace"):
            seen = await (await as_person(shown, who)).get("/work")
            assert seen.status == 200
            assert "Nothing is to be done" in seen.text
        work = work_of(shown)
        made = await item(work, assignee="vera")
        vera = await as_person(shown, "vera")
        seen = await vera.get("/work")
        assert seen.has_link("Call them")
        assert not seen.has_button("Start")
        assert not seen.has_link("Snooze")
        assert (await vera.get(f"/work/{made}?do=snooze")).status == 403
        for do in ("start", "complete", "snooze", "skip", "escalate", "data", "next"):
            assert (await vera.post(f"/work/{made}?do={do}", {"reason": "x"})).status == 403, do
        assert (await vera.post("/work/bulk?action=skip", {"id": made, "reason": "x"})).status == 403
        assert (await work.get(made)).status == "not_started"


async def test_the_most_important_comes_first_with_why() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        await obsidian(work)
        await item(work, "Small thing", type="custom")
        await item(
            work, f"Keep them {MARKUP}", type="risk", subject="obsidian", due="2d", text=f"Find out why {MARKUP}"
        )
        await item(work, "Grow them", type="opportunity", subject="obsidian")
        seen = await shown.get("/work")
        keep = f"Keep them {MARKUP}"
        assert titles(seen, ["Small thing", keep, "Grow them"]) == [keep, "Grow them", "Small thing"]
        assert "965" in seen.text
        assert "Critical" in seen.text
        # The parts of the sum, the subject, and what is measured of it.
        assert "900" in seen.text
        assert "+25" in seen.text
        assert "+40" in seen.text
        assert seen.has_link("Obsidian Black")
        assert "churn risk score 8" in seen.text
        assert "Due" in seen.text
        assert MARKUP in seen.text
        assert MARKUP not in seen.html


async def test_an_item_is_started_and_laid_down_by_its_buttons() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        made = await item(work)
        seen = await shown.get("/work")
        begun = await shown.browser.send(seen, "Start")
        assert begun.path == "/work"
        assert "Call them is underway." in begun.text
        assert (await work.get(made)).status == "underway"
        # The page that was there before knows an older item.
        again = await shown.browser.send(seen, "Start")
        assert "was changed meanwhile" in again.text
        page = await shown.get(f"/work/{made}")
        await shown.browser.send(page, "Lay down")
        assert (await work.get(made)).status == "not_started"


async def test_an_item_is_completed_with_a_form_and_makes_way_for_the_next() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        made = await item(work, "Approve", type="risk", form=REFUND, data={"note": "as agreed"})
        await item(work, "Then this")
        seen = await shown.get("/work")
        asked = await shown.get(seen.link("Complete"))
        assert dict(asked.form("Complete it").values)["in.note"] == "as agreed"
        wrong = await shown.browser.send(asked, "Complete it", **{"in.amount": "many"})
        assert wrong.status == 422
        assert "Give a whole number." in wrong.text
        assert "Choose one of these." in wrong.text
        over = await shown.browser.send(wrong, "Complete it", **{"in.approved": "yes", "in.amount": "501"})
        assert over.status == 422
        assert "501 is greater than the maximum of 500" in over.text
        assert dict(over.form("Complete it").values)["in.amount"] == "501"
        assert (await work.get(made)).status == "not_started"
        done = await shown.browser.send(over, "Complete it", **{"in.amount": "20", "in.note": ""})
        assert done.path == "/work"
        assert "Approve is completed." in done.text
        assert titles(done, ["Approve", "Then this"]) == ["Then this"]
        # What was emptied is gone.
        assert (await work.get(made)).data == {"approved": "yes", "amount": 20}


async def test_a_snoozed_item_leaves_and_comes_back_at_the_top_when_it_is_due() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        made = await item(work, "Later")
        await item(work, "More important", type="risk")
        seen = await shown.get("/work")
        assert titles(seen, ["Later", "More important"]) == ["More important", "Later"]
        asked = await shown.get(f"/work/{made}?do=snooze&back=/work")
        days = [value for value in asked.html.split('"') if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)]
        tomorrow = min(days)
        gone = await shown.browser.post(f"/work/{made}?do=snooze", {"until": tomorrow, "back": "/work"})
        assert "Later is snoozed. It comes back on" in gone.text
        assert titles(gone, ["Later", "More important"]) == ["More important"]
        assert titles(await shown.get("/work?snoozed=yes"), ["Later"]) == ["Later"]
        await move_clock(shown, days=1.1)
        back = await shown.get("/work")
        assert titles(back, ["Later", "More important"]) == ["Later", "More important"]
        assert "snoozed" in back.text
        await shown.browser.send(back, "Wake")
        assert (await work.get(made)).status == "not_started"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"until": "soon"}, "Give a date such as"),
        ({"until": ""}, "Give a date."),
        ({"until": "2020-01-01"}, "has passed"),
        ({"until": "2999-01-01"}, "a year at most"),
        ({"days": "0"}, "Give 1 to 90"),
        ({"days": "91"}, "Give 1 to 90"),
        ({"event": ""}, "Give the name of an event."),
        ({"event": "a\0b"}, "NUL"),
    ],
)
async def test_what_is_wrong_with_a_snooze_is_told_and_nothing_is_done(fields: dict[str, str], said: str) -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        made = await item(work)
        seen = await shown.browser.post(f"/work/{made}?do=snooze", fields)
        assert seen.status == 422
        assert said in seen.text
        assert (await work.get(made)).status == "not_started"


async def test_an_item_is_snoozed_until_something_happens() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        made = await item(work)
        done = await shown.browser.post(f"/work/{made}?do=snooze", {"event": "contract-signed", "key": "obsidian"})
        assert "It comes back when contract-signed (obsidian) happens, or on" in done.text
        assert (await work.get(made)).snooze_event == ("contract-signed", "obsidian")
        assert "contract-signed" in (await shown.get(f"/work/{made}")).text


async def test_a_skipped_item_needs_a_reason_and_never_returns() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        made = await item(work)
        asked = await shown.get((await shown.get("/work")).link("Skip"))
        for reason in ("", "  ", "x" * 2001):
            wrong = await shown.browser.send(asked, "Skip it", reason=reason)
            assert wrong.status == 422
        done = await shown.browser.send(wrong, "Skip it", reason=f"they left {MARKUP}")
        assert "Call them is skipped." in done.text
        assert titles(done, ["Call them"]) == []
        await move_clock(shown, days=400)
        assert titles(await shown.get("/work?snoozed=yes"), ["Call them"]) == []
        seen = await shown.get(f"/work/{made}")
        assert f"they left {MARKUP}" in seen.text
        assert MARKUP not in seen.html
        assert not seen.has_link("Snooze")


async def test_an_escalated_item_keeps_its_assignee_and_the_manager_is_offered_first() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        work = work_of(shown)
        made = await item(work, assignee="grace")
        grace = await as_person(shown, "grace")
        asked = await grace.get((await grace.get("/work")).link("Escalate"))
        assert dict(asked.form("Escalate it").values)["to"] == ""
        assert asked.text.index("Ada Lovelace (ada), your manager") < asked.text.index("Linus <b>T</b>")
        assert "Vera" not in asked.text  # who only looks
        wrong = await grace.send(asked, "Escalate it", to="")
        assert wrong.status == 422
        done = await grace.send(asked, "Escalate it", to="ada", reason="needs a discount")
        assert "is escalated to ada; it stays with grace." in done.text
        view = await work.get(made)
        assert (view.assignee, view.escalated_to, view.status) == ("grace", "ada", "not_started")
        assert "escalated to Ada Lovelace" in (await grace.get("/work")).text


async def test_who_an_item_is_escalated_to_says_that_they_saw_it() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        work = work_of(shown)
        made = await item(work, assignee="grace", escalate_to=["ada"], acknowledge="1d")
        await work.escalate(made, "ada")
        ada = await as_person(shown, "ada")
        seen = await ada.get(f"/work/{made}")
        assert "escalated to you" in seen.text
        await ada.send(seen, "I have seen it")
        assert (await work.get(made)).acknowledge_by is None


async def test_an_item_of_a_group_is_claimed_and_given_back() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        work = work_of(shown)
        made = await item(work, "Set it up", assignee=None, group="onboarding")
        grace, ada = await as_person(shown, "grace"), await as_person(shown, "ada")
        seen = await grace.get("/work")
        assert "onboarding: nobody has it yet" in seen.text
        assert not seen.has_button("Start")
        assert titles(await ada.get("/work"), ["Set it up"]) == []
        refused = await sent(ada, f"/work/{made}?do=claim", {})
        assert refused.status == 403
        assert "is not in the group" in refused.text
        claimed = await grace.send(seen, "Claim")
        assert "Set it up is yours." in claimed.text
        assert (await work.get(made)).assignee == "grace"
        page = await grace.get(f"/work/{made}")
        back = await grace.send(page, "Give back")
        assert "there for everybody in onboarding" in back.text
        assert (await work.get(made)).assignee is None


async def test_ticked_items_are_moved_together_after_a_question_and_it_is_undone() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        work = work_of(shown)
        ids = [await item(work, f"Item {number}", assignee="grace") for number in range(3)]
        formed = await item(work, "With a form", assignee="grace", form=REFUND)
        grace = await as_person(shown, "grace")
        seen = await grace.get("/work")
        bar = seen.form("Skip")
        asked = await grace.get(f"{bar.action}?action=skip&back=/work&id={ids[0]}&id={ids[1]}")
        assert "Skip 2 items?" in asked.text
        wrong = await grace.send(asked, "Skip them", reason="")
        assert wrong.status == 422
        done = await grace.send(asked, "Skip them", reason="a mistake")
        assert done.path.startswith("/work?batch=")
        assert "2 items are skipped." in done.text
        assert [(await work.get(one)).status for one in ids] == ["skipped", "skipped", "not_started"]
        undone = await grace.send(done, "Undo it")
        assert "2 items are as before." in undone.text
        assert {(await work.get(one)).status for one in ids} == {"not_started"}
        # What cannot be is said beforehand, with why.
        asked = await grace.get(f"/work/bulk?action=complete&back=/work&id={ids[2]}&id={formed}")
        assert "1 of them can be." in asked.text
        assert "With a form" in asked.text
        done = await grace.send(asked, "Complete them")
        assert "1 item is completed. 1 was refused" in done.text
        asked = await grace.get(f"/work/bulk?action=snooze&back=/work&id={ids[0]}")
        done = await grace.send(
            asked, "Snooze them until then", until=f"{datetime.now(UTC) + timedelta(days=5):%Y-%m-%d}"
        )
        assert "1 item is snoozed." in done.text


async def test_nobody_moves_many_items_of_others_but_an_operator() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        work = work_of(shown)
        made = await item(work, "Ada's", assignee="ada")
        grace, ada = await as_person(shown, "grace"), await as_person(shown, "ada")
        assert (await grace.get(f"/work/bulk?action=skip&id={made}")).status == 403
        assert (await grace.get("/work/bulk?action=skip&status=open")).status == 422
        assert (await grace.get(f"/work/bulk?action=assign&id={made}")).status == 403
        assert (await grace.get("/work/bulk?action=burn")).status == 422
        assert "Reassign 1 item?" in (await ada.get(f"/work/bulk?action=assign&id={made}")).text
        looked = await ada.get("/work?assignee=grace")
        assert "of Grace Hopper" in looked.text
        assert not (await grace.get(f"/work/{made}")).has_link("Reassign")


async def test_the_live_part_is_given_alone_and_says_when_it_changes() -> None:
    async with dashboard() as shown:
        await item(work_of(shown), "Mine")
        whole = await shown.get("/work")
        alone = await shown.get("/work", fragment="queue")
        assert "<html" not in alone.html
        assert titles(alone, ["Mine"]) == ["Mine"]
        assert "/work/live?of=queue&amp;assignee=local" in whole.html
        assert (await shown.get("/work/live?of=everything")).status == 422


async def test_the_demo_goes_from_strategic_to_expansion_to_executive_and_begins_anew() -> None:
    sequence = ["Complete Strategic Account Plan", "Expansion Opportunity", "Executive Engagement"]
    async with dashboard() as shown:
        work = work_of(shown)
        await item(work, "A real one")
        seen = await shown.browser.send(await shown.get("/work?demo=yes"), "Begin it")
        assert titles(seen, [*sequence, "A real one"]) == sequence
        assert "0 of 3 completed" in seen.text
        begun = await shown.browser.send(seen, "Start")
        assert f"underway is {sequence[0]}" in begun.text
        first = await shown.get(begun.link("Complete"))
        seen = await shown.browser.send(first, "Complete it")
        assert titles(seen, sequence) == sequence[1:]
        assert "1 of 3 completed" in seen.text
        assert titles(await shown.get("/work"), [*sequence, "A real one"]) == ["A real one"]
        again = await shown.browser.send(seen, "Begin anew")
        assert "The demo has not begun" in again.text


async def test_items_of_another_tenant_are_not_there() -> None:
    async with dashboard(auth=True) as shown:
        made = await item(work_of(shown, tenant="acme"), "Theirs")
        who = await shown.somebody("admin")
        assert (await who.get(f"/work/{made}")).status == 404
        assert (await who.get(f"/work/{made}/do")).status == 404
        assert (await who.post(f"/work/{made}?do=skip", {"reason": "x"})).status == 404
        assert (await work_of(shown, tenant="acme").get(made)).status == "not_started"
        assert "Theirs" not in (await who.get("/work/queue")).text
        assert "Theirs" in (await (await shown.somebody("viewer", "acme")).get("/work/queue")).text
