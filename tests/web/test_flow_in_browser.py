"""The pages of diverted starts and shares in a real browser: accessible, narrow, by keyboard, without scripts, live."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

import holdfast as hf
from tests.web.conftest import System, assert_accessible, opened, serving
from tests.web.test_diversion_pages import SERVED, divert, remind
from tests.web.test_publishing_in_browser import TOO_WIDE
from tests.web.test_shares_page import render

LONG = "long" * 60

PAGES = (
    "/diversions", "/diversion?id=DROPPED", "/diversion?id=MERGED", "/queue/shares?name=gpu", "/workflows/index",
    "/runs/g-0", "/runs/r-1", "/schedules/rule",
)  # fmt: skip

MORE = (
    "/diversions?before=x", "/diversion/start?id=DROPPED", "/diversion?id=LONG", "/queue/limits?name=gpu", "/queues",
    "/schedule/change?name=rule", "/schedules",
)  # fmt: skip
"""Forms, and pages like others: of the same colours."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def flow(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> AsyncIterator[System]:
    """Starts of every kind, one with ids and keys that are long, and shares of a queue."""
    url = f"sqlite:///{tmp_path_factory.mktemp('flow')}/flow.db"
    async with serving(url) as found, hf.Worker(url, SERVED):
        client = found.client
        await divert(client)
        await client.start_many(remind, [(LONG,), (LONG,)], ids=[f"{LONG}0", f"{LONG}1"])
        await client.start_many(render, [("gold",), ("tin",), (LONG,)])
        await client.set_queue("gpu", total=8, per_key=2, weights={"acme": 5, f"default/{LONG}": 3})
        await client.schedule(
            "rule", remind, input=("ada",), rrule="FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0",
            zone="Europe/Berlin", calendar="DE-BE", closed="previous", jitter="5m",
        )  # fmt: skip
        yield found


async def address(flow: System, path: str) -> str:
    for name, asked in (("DROPPED", "r-1"), ("MERGED", "i-1"), ("LONG", f"{LONG}1")):
        if name in path:
            [found] = await flow.client.diversions(id=asked)
            path = path.replace(name, found.id)
    return flow.address + path


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_accessible_in_light_and_dark_and_fits(flow: System, page: Page, path: str) -> None:
    answer = await page.goto(await address(flow, path))
    assert answer is not None
    assert answer.status == (404 if path == "/runs/r-1" else 200)
    assert await page.evaluate(TOO_WIDE) == []
    await assert_accessible(page)
    for width in (1024, 390):
        await page.set_viewport_size({"width": width, "height": 844})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert width < 1024 or await page.evaluate(TOO_WIDE) == []


async def test_every_form_is_accessible_and_fits(flow: System, page: Page) -> None:
    for path in MORE:
        await page.goto(await address(flow, path))
        await assert_accessible(page, ("light",))
        await page.set_viewport_size({"width": 390, "height": 844})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert await page.evaluate(TOO_WIDE) == [], path


async def test_diverted_starts_are_reached_and_walked_through_by_keys(flow: System, page: Page) -> None:
    await page.goto(f"{flow.address}/runs")
    await page.keyboard.press("g")
    await page.keyboard.press("v")
    await page.wait_for_url(re.compile("/diversions$"))
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"/diversion\?id="))


async def test_one_is_found_and_started_after_all_without_scripts(flow: System, plain: Page) -> None:
    await flow.client.start_many(remind, [("plain",), ("plain",)], ids=["p-0", "p-1"])
    await plain.goto(f"{flow.address}/diversions")
    await plain.get_by_role("textbox", name="Key").fill("plain")
    await plain.get_by_role("button", name="Find").click()
    await plain.get_by_role("link", name="p-1").click()
    await plain.get_by_role("link", name="Start it after all").click()
    await plain.get_by_role("button", name="Start it").click()
    await expect(plain.locator(".said-done")).to_have_text("The start that was dropped became this run.")
    await expect(plain.get_by_role("heading", name="p-1")).to_be_visible()


async def test_the_list_and_the_page_of_a_start_are_live(flow: System, page: Page, browser: Browser) -> None:
    await page.goto(f"{flow.address}/diversions?key=lively")
    await expect(page.get_by_text("No diverted start is found")).to_be_visible()
    await flow.client.start_many(remind, [("lively",), ("lively",)], ids=["l-0", "l-1"])
    await page.get_by_role("link", name="l-1").click()
    await expect(page.get_by_role("link", name="Start it after all")).to_be_visible()
    [found] = await flow.client.diversions(id="l-1")
    await flow.client.start_diverted(found.id)
    await expect(page.locator(".standing")).to_contain_text("There is a run of its id now")
    await expect(page.get_by_role("link", name="Start it after all")).to_have_count(0)


async def test_one_is_started_in_a_dialog(flow: System, page: Page) -> None:
    await flow.client.start_many(remind, [("asked",), ("asked",)], ids=["d-0", "d-1"])
    [found] = await flow.client.diversions(id="d-1")
    await page.goto(f"{flow.address}/diversion?id={found.id}")
    await page.get_by_role("link", name="Start it after all").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("past the rules of the workflow")
    await dialog.get_by_role("button", name="Start it").click()
    await page.wait_for_url(re.compile("/runs/d-1$"))


async def test_the_shares_of_a_queue_are_live(flow: System, browser: Browser) -> None:
    tab = await opened(browser)
    await tab.page.goto(f"{flow.address}/queue/shares?name=gpu")
    row = tab.page.get_by_role("row", name=re.compile("gold"))
    await expect(row).to_contain_text("0 of 2")
    await flow.client.start_many(render, [("gold",)] * 41)
    await expect(row).to_contain_text("42")
    await flow.client.set_queue("gpu", per_key=3, weights={"default/gold": 9})
    await expect(row).to_contain_text("of 3")
    await expect(row).to_contain_text("9")
    await tab.context.close()
    assert not tab.errors
