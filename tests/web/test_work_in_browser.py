"""The work queue in a browser: keys, dialogs, live cards, a run that goes on, a task; accessible, wide and narrow."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio
from playwright.async_api import Page, expect

import holdfast as hf
from holdfast.workqueue.queue import WorkQueue
from tests.web.conftest import System, assert_accessible, serving
from tests.web.work_kit import REFUND, STEPS, obsidian, refunding


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def works() -> AsyncIterator[System]:
    """A work queue on SQLite, with a worker in this process; shared, so that each test has an assignee of its own."""
    with tempfile.TemporaryDirectory(prefix="holdfast-work-") as folder:
        url = f"sqlite:///{folder}/work.db"
        async with hf.Worker(url, [refunding]), serving(url) as found:
            await obsidian(queue_of(found))
            yield found


def queue_of(works: System) -> WorkQueue:
    return WorkQueue(works.client.core, "default", actor="local")


async def mine(works: System, *titles: str, **given: object) -> list[str]:
    """Items of the one who looks, in place of those that other tests left; their ids."""
    work = queue_of(works)
    for one in await work.queue("local", limit=100, include_snoozed=True):
        await work.skip(one.id, "of another test")
    return [(await work.create(title=title, assignee="local", **given)).id for title in titles]  # type: ignore[arg-type]


async def test_the_queue_is_gone_through_by_keys(works: System, page: Page) -> None:
    await mine(works, "First", "Second", "Third")
    await page.goto(f"{works.address}/work")
    cards = page.locator(".item-card")
    await expect(cards).to_have_count(3)
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(page.get_by_role("link", name="Second")).to_be_focused()
    await page.keyboard.press("x")
    await expect(page.get_by_role("checkbox", name="Choose Second")).to_be_checked()
    await expect(page.get_by_label("Act on the ticked items")).to_be_visible()
    await page.keyboard.press("s")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("heading", name="Snooze it")).to_be_visible()
    await assert_accessible(page)
    await dialog.get_by_role("button", name="Tomorrow").click()
    await expect(page.get_by_role("status").filter(has_text="Second is snoozed.")).to_be_visible()
    await expect(cards).to_have_count(2)
    await page.keyboard.press("e")
    await expect(dialog.get_by_role("heading", name="Complete it?")).to_be_visible()
    await dialog.get_by_role("button", name="Complete it").click()
    await expect(page.get_by_role("status").filter(has_text="First is completed.")).to_be_visible()
    await expect(dialog).to_be_hidden()
    await page.wait_for_load_state("load")  # the keys are those of the page that came with it
    await expect(cards).to_have_count(1)
    await page.keyboard.press("?")
    await expect(dialog.get_by_text("snooze, complete the work item")).to_be_visible()


async def test_the_cards_follow_what_others_do_and_what_time_does(works: System, page: Page) -> None:
    [first] = await mine(works, "First", type="risk", subject="obsidian")
    work = queue_of(works)
    await page.goto(f"{works.address}/work")
    cards = page.locator(".item-card")
    await expect(cards).to_have_count(1)
    await page.get_by_role("checkbox", name="Choose First").check()
    second = (await work.create(title="Second", assignee="local")).id
    await expect(cards).to_have_count(2)
    await expect(page.get_by_role("checkbox", name="Choose First")).to_be_checked()
    # One that is put off leaves, and comes back when it is due, at the top.
    await work.snooze(second, until=(await work.get(second)).created_at + timedelta(seconds=4))
    await expect(cards).to_have_count(1)
    await expect(cards.first).to_contain_text("Second")
    await work.skip(first, "no need")
    await expect(cards).to_have_count(1)


async def test_a_skipped_item_never_returns_and_an_escalated_one_keeps_its_assignee(works: System, page: Page) -> None:
    first, second = await mine(works, "First", "Second")
    work = queue_of(works)
    await page.goto(f"{works.address}/work")
    card = page.locator(".item-card").filter(has_text="First")
    await card.get_by_role("link", name="Skip").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("textbox").fill("they left")
    await dialog.get_by_role("button", name="Skip it").click()
    await expect(page.get_by_role("status").filter(has_text="First is skipped.")).to_be_visible()
    await expect(page.locator(".item-card")).to_have_count(1)
    await page.goto(f"{works.address}/work?snoozed=yes")
    await expect(page.locator(".item-card")).to_have_count(1)
    assert (await work.get(first)).skip_reason == "they left"
    await page.locator(".item-card").get_by_role("link", name="Escalate").click()
    await dialog.get_by_label("To").fill("ada")
    await dialog.get_by_role("button", name="Escalate it").click()
    await expect(
        page.get_by_role("status").filter(has_text="is escalated to ada; it stays with local.")
    ).to_be_visible()
    await expect(page.locator(".item-card")).to_contain_text("escalated to ada")
    seen = await work.get(second)
    assert (seen.assignee, seen.escalated_to, seen.status) == ("local", "ada", "not_started")


async def test_a_form_in_a_dialog_says_what_is_wrong_and_a_run_goes_on_at_once(works: System, page: Page) -> None:
    await mine(works)
    run = await works.client.start(refunding, "o-7")
    await page.goto(f"{works.address}/work")
    card = page.locator(".item-card")
    await expect(card).to_contain_text("approve the refund of o-7")
    await card.get_by_role("link", name="Answer").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Amount in EUR").fill("900")
    await dialog.get_by_label("Approved").select_option("yes")
    await dialog.get_by_role("button", name="Send the answer").click()
    await expect(dialog.get_by_text("greater than the maximum of 500")).to_be_visible()
    await dialog.get_by_label("Amount in EUR").fill("90")
    await dialog.get_by_role("button", name="Send the answer").click()
    await expect(page.get_by_role("status").filter(has_text="is completed")).to_be_visible()
    assert await run.result(timeout="10s") == {"approved": "yes", "amount": 90}


async def test_the_demo_and_its_task_full_screen(works: System, page: Page) -> None:
    await mine(works)
    await page.goto(f"{works.address}/work?demo=yes")
    await page.get_by_role("button", name="Begin it").click()
    names = page.locator(".item-title")
    await expect(names).to_have_text(
        ["Complete Strategic Account Plan", "Expansion Opportunity", "Executive Engagement"]
    )
    await page.get_by_role("link", name="Task mode").click()
    for title in ("Complete Strategic Account Plan", "Expansion Opportunity", "Executive Engagement"):
        await expect(page.locator(".task-name")).to_contain_text(title)
        await page.get_by_role("button", name="Complete it").click()
    await expect(page.get_by_role("status").filter(has_text="there is nothing else to do")).to_be_visible()
    await expect(page.get_by_text("The demo is done")).to_be_visible()


async def test_the_pages_are_accessible_wide_and_narrow(works: System, page: Page) -> None:
    work = queue_of(works)
    await mine(works, "Open one", type="risk", subject="obsidian", due="1d", data={"next_steps": ["Call them"]})
    await work.put_definition(
        "review", {"name": "Review", "rule": "signals.usage_score < 50", "steps": STEPS, "form": REFUND}
    )
    made = (await work.create("review", assignee="local", subject="obsidian")).id
    await work.escalate(made, "ada", reason="look")
    await work.save(made, {"usage": {"teams": ["sales"]}, "next_steps": ["Call", {"text": "Mail", "done": True}]})
    looked_at = ("/work", f"/work/{made}", f"/work/{made}/do", "/work/analytics", "/work/definition/edit?id=review")
    for path in looked_at:
        await page.set_viewport_size({"width": 390, "height": 800})
        await page.goto(works.address + path)
        await assert_accessible(page, schemes=("light",))
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
        await page.set_viewport_size({"width": 1440, "height": 900})
        await assert_accessible(page, schemes=("dark",))
    await page.set_viewport_size({"width": 390, "height": 800})
    others = (
        "/work/queue?status=open", "/work/load?plan=yes", "/work/definitions/review?try=yes", "/work/subjects",
        "/work/subjects/obsidian", "/work/settings", f"/work/{made}?do=complete", "/work/new",
    )  # fmt: skip
    for path in others:
        await page.goto(works.address + path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path


async def test_a_next_step_is_ticked_and_the_progress_follows(works: System, page: Page) -> None:
    [made] = await mine(works, "With steps", data={"next_steps": ["Call them"]})
    await page.goto(f"{works.address}/work/{made}")
    await page.get_by_role("button", name="Done: Call them").click()
    await expect(page.get_by_text("1 of 1 done")).to_be_visible()
    await queue_of(works).save(made, {"mood": "good"})
    await expect(page.locator(".happening").first).to_contain_text(re.compile("mood.*good"))
