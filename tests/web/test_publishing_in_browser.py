"""The pages of publishing in a real browser: accessible, narrow, by keyboard, without scripts, and live."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

import holdfast as hf
from tests.engine.helpers import until
from tests.intake.taking_kit import append, desk, orders, write
from tests.web.conftest import System, assert_accessible, opened, serving
from tests.web.publishing_kit import careful, in_every_state
from tests.web.test_alert_pages import FIRING, GRAVE, OVER, PENDING

PAGES = (
    "/", "/outbox", "/message?id=m/dead", "/dead-letters", "/alerts", "/intake", "/source?name=orders", "/entries",
    "/entry?id=DEAD", "/cut-over?workflow=desk", "/settings/publishing", "/runs/careful-1",
)  # fmt: skip

MORE = (
    "/message?id=m/behind", "/message?id=m/" + "long" * 30, "/outbox/bulk?action=discard&id=m/dead&id=m/off",
    "/message/discard?id=m/dead", "/source/rewind?name=orders", "/entry/retry?id=DEAD", "/cut-over/cut?workflow=desk",
    "/publishing/mode?workflow=desk",
)  # fmt: skip
"""Forms, and pages like others: of the same colours."""

TOO_WIDE = """() => [...document.querySelectorAll(".table")].filter((one) => one.scrollWidth > one.clientWidth + 1)
    .map((one) => `${one.ariaLabel} is ${one.scrollWidth} wide on ${one.clientWidth}`)"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def post(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> AsyncIterator[System]:
    """Messages in every state, a source with entries of every outcome, two paths, and alerts."""
    folder: Path = tmp_path_factory.mktemp("post")
    url = f"sqlite:///{folder}/post.db"
    path = write(folder, when="entry.text != 'spam'")
    async with serving(url) as found, hf.Worker(url, [careful, desk], intake=path):
        client = found.client
        await client.roll_back("desk")
        append(folder, [*orders(1, 2, 3), {"id": "o-4", "text": "spam"}, '{"id": "o-5", ' + "long" * 200])

        async def taken_in() -> bool:
            done = (await client.count(workflow="desk", status="succeeded")).runs
            return done == 3 and [one.dead for one in await client.sources()] == [1]

        await until(taken_in)
        await client.record_outcomes("desk", [
            hf.PathOutcome("o-1", "sent", "About: order 1"), hf.PathOutcome("o-2", "sent", "About: your order 2"),
            hf.PathOutcome("o-8", "failed"),
        ])  # fmt: skip
        await in_every_state(client)
        await client.publish("mail", {"text": "x" * 400}, id="m/" + "long" * 30, delay="1h")
        await (await client.start(careful.options(id="careful-1"), "o-1")).result(timeout="20s")
        alerts = client.core.store.alerts
        term = await alerts.lead("alerts", b"somebody's id 16", 60_000_000)
        assert term is not None
        assert await alerts.put_alerts("alerts", term, [FIRING, GRAVE, PENDING, OVER], [])
        yield found


async def address(post: System, path: str) -> str:
    [dead] = await post.client.entries(outcome="dead")
    return post.address + path.replace("DEAD", dead.id)


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_accessible_in_light_and_dark_and_fits(post: System, page: Page, path: str) -> None:
    answer = await page.goto(await address(post, path))
    assert answer is not None
    assert answer.status == 200
    assert await page.evaluate(TOO_WIDE) == []
    await assert_accessible(page)
    for width in (1024, 390):
        await page.set_viewport_size({"width": width, "height": 844})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert width < 1024 or await page.evaluate(TOO_WIDE) == []


async def test_every_form_is_accessible_and_fits(post: System, page: Page) -> None:
    for path in MORE:
        await page.goto(await address(post, path))
        await assert_accessible(page, ("light",))
        await page.set_viewport_size({"width": 390, "height": 844})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path


async def test_pages_are_reached_and_walked_through_by_keys(post: System, page: Page) -> None:
    await page.goto(f"{post.address}/runs")
    for key, path in (("n", "intake"), ("b", "alerts"), ("x", "outbox")):
        await page.keyboard.press("g")
        await page.keyboard.press(key)
        await page.wait_for_url(re.compile(f"/{path}$"))
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await expect(page.locator("tbody tr").first.locator("input")).to_be_checked()
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"/message\?id="))


async def test_messages_that_are_ticked_are_discarded_without_scripts(post: System, plain: Page) -> None:
    for number in range(2):
        await post.client.publish("ticked", number, id=f"ticked/{number}", delay="1h")
    await plain.goto(f"{post.address}/outbox?channel=ticked")
    for number in range(2):
        await plain.get_by_label(f"Choose ticked/{number}").check()
    await plain.get_by_role("button", name="Discard", exact=True).click()
    await expect(plain.get_by_role("heading", name="Discard 2 messages?")).to_be_visible()
    await plain.get_by_label("Reason").fill("not wanted")
    await plain.get_by_role("button", name="Discard them").click()
    await expect(plain.locator(".said-done")).to_have_text("2 discarded.")
    await expect(plain.locator(".message-discarded")).to_have_count(2)


async def test_a_dead_entry_is_looked_at_and_mended_without_scripts(post: System, plain: Page) -> None:
    await plain.goto(f"{post.address}/intake")
    await plain.get_by_role("row", name=re.compile("orders")).get_by_role("link", name="1", exact=True).last.click()
    await plain.locator("tbody a").first.click()
    await plain.get_by_role("link", name="Take it in after all").click()
    await plain.get_by_role("button", name="Take it in").click()
    await expect(plain.get_by_text("is no JSON that can be read").first).to_be_visible()


async def test_a_message_is_sent_by_a_dialog_and_its_page_is_live(post: System, page: Page) -> None:
    await page.goto(f"{post.address}/message?id=m/doubt")
    await page.get_by_role("link", name="Send again").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("it is received a second time")
    await dialog.get_by_role("button", name="Send it").click()
    await expect(page.locator(".message-pending")).to_be_visible()
    await post.client.discard_message("m/doubt", "they called instead")
    await expect(page.locator(".standing")).to_contain_text("they called instead")


async def test_the_outbox_and_the_alerts_change_as_things_do(post: System, page: Page, browser: Browser) -> None:
    await page.goto(f"{post.address}/outbox?channel=lively")
    await expect(page.get_by_text("No message is found")).to_be_visible()
    before = await page.locator(".figure", has_text="Pending").locator(".figure-value").text_content()
    await post.client.publish("lively", 1, id="lively/1", delay="1h")
    await expect(page.get_by_role("link", name="lively/1")).to_be_visible()
    await expect(page.locator(".figure", has_text="Pending").locator(".figure-value")).not_to_have_text(before or "")
    tab = await opened(browser)
    await tab.page.goto(f"{post.address}/alerts")
    await expect(tab.page.locator(".firing li")).to_have_count(2)
    alerts = post.client.core.store.alerts
    term = await alerts.lead("alerts", b"somebody's id 16", 60_000_000)
    assert term is not None
    over = GRAVE._replace(state="resolved", resolved_at=GRAVE.since + 9)
    assert await alerts.put_alerts("alerts", term, [over], [])
    await expect(tab.page.locator(".firing li")).to_have_count(1)
    await tab.context.close()
    assert not tab.errors


async def test_a_run_that_has_ended_shows_what_becomes_of_its_messages(post: System, page: Page) -> None:
    ended = await post.start(careful, "o-9", id="careful-9")
    await post.until(ended, "succeeded")
    await page.goto(f"{post.address}/runs/{ended}")
    await expect(page.locator("#live-messages .message-pending")).to_have_count(1)
    await post.client.discard_message("looked-at/o-9", "it is too late for it")
    await expect(page.locator("#live-messages .message-discarded")).to_have_count(1)
    await post.client.discard_message("refused/o-9", "and so for this one")
    await expect(page.locator("#live-messages .message-discarded")).to_have_count(2)


async def test_what_differs_is_told_without_colour(post: System, page: Page) -> None:
    await page.goto(f"{post.address}/cut-over?workflow=desk&which=different")
    removed = page.locator(".words del")
    await expect(removed).to_have_text("only the other: your")
    assert "line-through" in await removed.evaluate("one => getComputedStyle(one).textDecorationLine")
