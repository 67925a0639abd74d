"""The work queue as a whole: filters, columns, kept filters, pages, many at once, and the load evened out."""

from __future__ import annotations

import pytest

from tests.web.browsing import Dashboard, dashboard
from tests.web.work_kit import MARKUP, as_person, item, obsidian, people, titles, work_of

ALL = ["Late", "Put off", "Done", "Grouped", "Blocked", "Grow them"]


async def some(shown: Dashboard) -> dict[str, str]:
    """An item of each sort; their ids by title."""
    work = work_of(shown)
    await obsidian(work)
    await work.put_definition("grow", {"name": "Grow them", "type": "opportunity", "group": "onboarding"})
    made = {
        "Late": await item(work, "Late", assignee="ada", due="0.001s"),
        "Put off": await item(work, "Put off", assignee="ada", type="risk"),
        "Done": await item(work, "Done", assignee="grace"),
        "Grouped": await item(work, "Grouped", assignee=None, group="onboarding"),
    }
    made["Blocked"] = await item(work, "Blocked", assignee="grace", after=[made["Late"]])
    made["Grow them"] = (await work.create("grow", subject="obsidian")).id
    await work.snooze(made["Put off"], days=5)
    await work.complete(made["Done"])
    return made


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ALL),
        ("assignee=ada", ["Late", "Put off"]),
        ("assignee=nobody", ["Grouped", "Grow them"]),
        ("status=snoozed", ["Put off"]),
        ("status=open", ["Late", "Put off", "Grouped", "Blocked", "Grow them"]),
        ("definition=grow", ["Grow them"]),
        ("type=risk", ["Put off"]),
        ("group=onboarding", ["Grouped", "Grow them"]),
        ("overdue=yes", ["Late"]),
        ("blocked=yes", ["Blocked"]),
        ("q=OBSIDIAN", ["Grow them"]),
        ("q=late", ["Late"]),
        ("subject=obsidian", ["Grow them"]),
        ("what=hold", []),
        ("demo=yes", []),
        ("status=lost&type=none", ALL),
    ],
)
async def test_items_are_found_by_filters(query: str, found: list[str]) -> None:
    async with dashboard() as shown:
        await some(shown)
        seen = await shown.get(f"/work/queue?{query}")
        assert seen.status == 200
        assert sorted(titles(seen, ALL)) == sorted(found)
        assert f"{len(found)} item" in seen.text


@pytest.mark.parametrize("query", ["q=%00", "batch=xyz", "assignee=" + "x" * 600])
async def test_filters_that_cannot_be_are_told(query: str) -> None:
    async with dashboard() as shown:
        seen = await shown.get(f"/work/queue?{query}")
        assert seen.status == 422
        assert "These filters cannot be used" in seen.text


async def test_filters_are_filled_in_kept_by_a_name_and_forgotten() -> None:
    async with dashboard() as shown:
        await some(shown)
        seen = await shown.get("/work/queue")
        found = await shown.browser.send(seen, "Find", assignee="ada", status="open")
        assert sorted(titles(found, ALL)) == ["Late", "Put off"]
        asked = await shown.get(found.link("Keep these filters"))
        kept = await shown.browser.send(asked, "Keep them", name=f"Ada's {MARKUP}")
        assert MARKUP not in kept.html
        back = await shown.get((await shown.get("/work/queue")).link(f"Ada's {MARKUP}"))
        assert sorted(titles(back, ALL)) == ["Late", "Put off"]
        listed = await shown.get("/settings/searches")
        assert listed.has_link(f"Ada's {MARKUP}")
        assert MARKUP not in listed.html
        gone = await shown.browser.send(back, "", {"name": f"Ada's {MARKUP}"}, forget="yes")
        assert not gone.has_link(f"Ada's {MARKUP}")


async def test_columns_are_chosen_and_pages_lead_to_one_another() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        for number in range(60):
            await item(work, f"Item {number:02}")
        seen = await shown.get("/work/columns?column=title&column=type&column=id&column=bad&status=open")
        assert "columns=title%2Ctype%2Cid" in seen.path
        assert "status=open" in seen.path
        assert "60 items" in seen.text
        assert seen.text.count("custom") >= 50
        second = await shown.get(seen.link("Next page"))
        assert second.has_link("First page")
        assert "Item 00" in second.text
        assert "Item 59" not in second.text
        gone = await shown.get("/work/queue?after=nowhere")
        assert "this is the first page" in gone.text


async def test_all_that_is_found_is_moved_after_a_question_and_undone() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        made = await some(shown)
        work = work_of(shown)
        ada = await as_person(shown, "ada")
        seen = await ada.get("/work/queue?assignee=ada&status=open")
        assert "2 items found" in seen.text
        asked = await ada.get("/work/bulk?action=assign&assignee=ada&status=open&back=/work/queue%3Fassignee%3Dada")
        assert "Reassign 2 items?" in asked.text
        assert "Every item that is found by" in asked.text
        done = await ada.send(asked, "Reassign them", to="linus")
        assert "2 items are reassigned." in done.text
        assert done.path.startswith("/work/queue?assignee=ada&batch=")
        assert {(await work.get(made[one])).assignee for one in ("Late", "Put off")} == {"linus"}
        undone = await ada.send(done, "Undo it")
        assert "2 items are as before." in undone.text
        assert {(await work.get(made[one])).assignee for one in ("Late", "Put off")} == {"ada"}
        nothing = await ada.get("/work/bulk?action=skip&status=skipped")
        assert "Skip 0 items?" in nothing.text
        assert not nothing.has_button("Skip them")
        grace = await as_person(shown, "grace")
        assert not (await grace.get("/work/queue")).has_button("Skip")


async def test_what_a_bulk_operation_changed_is_listed_by_it() -> None:
    async with dashboard() as shown:
        made = await some(shown)
        done = await work_of(shown).bulk("escalate", [made["Late"], made["Grouped"]], dry_run=False, to="ada2")
        seen = await shown.get(f"/work/queue?batch={done.id}")
        assert sorted(titles(seen, ALL)) == ["Grouped", "Late"]
        assert "2 of them" in seen.text
        assert (await shown.get(f"/work/{made['Late']}")).has_link("with others")


async def test_the_load_is_shown_planned_and_evened_out() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        work = work_of(shown)
        await shown.client.put_user("grace", capacity=2)
        for number in range(6):
            await item(work, f"Item {number}", assignee="grace")
        ada, vera = await as_person(shown, "ada"), await as_person(shown, "vera")
        seen = await ada.get("/work/load")
        assert "6 of 2" in seen.text
        assert seen.has_link("Grace Hopper")
        planned = await ada.get("/work/load?plan=yes")
        assert "nothing has been done yet" in planned.text
        assert {one.assignee for one in await work.list()} == {"grace"}
        done = await ada.send(planned, "Do it")
        assert "to somebody else" in done.text
        given = [one for one in await work.list() if one.assignee != "grace"]
        assert len(given) >= 4
        await ada.send(done, "Undo it")
        assert {one.assignee for one in await work.list()} == {"grace"}
        assert not (await vera.get("/work/load")).has_button("Plan how to even it out")
        assert (await vera.get("/work/load?plan=yes")).status == 403
        assert (await vera.post("/work/load", {"move": "[]"})).status == 403


async def test_the_live_table_is_given_alone() -> None:
    async with dashboard() as shown:
        await some(shown)
        alone = await shown.get("/work/queue?assignee=ada", fragment="rows")
        assert "<html" not in alone.html
        assert sorted(titles(alone, ALL)) == ["Late", "Put off"]
        assert "/work/live?of=list&amp;assignee=ada" in (await shown.get("/work/queue?assignee=ada")).html


async def test_an_empty_queue_says_where_items_come_from() -> None:
    async with dashboard() as shown:
        assert "No work items yet" in (await shown.get("/work/queue")).text
        assert "No item is found" in (await shown.get("/work/queue?q=x")).text
        assert "Nobody has anything to do" in (await shown.get("/work/load")).text


async def test_the_overview_says_what_is_due_and_leads_there() -> None:
    async with dashboard() as shown:
        await some(shown)
        seen = await shown.get("/")
        late = await shown.get(seen.link("Work items overdue 1"))
        assert titles(late, ALL) == ["Late"]
        assert sorted(titles(await shown.get(seen.link("Nobody has them 2")), ALL)) == ["Grouped", "Grow them"]
        assert "Work items overdue" in (await shown.get("/", fragment="due")).text
    async with dashboard() as shown:
        assert "Work items" not in (await shown.get("/", fragment="due")).text
