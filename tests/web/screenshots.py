"""Takes a picture of each page into docs/images, light and dark, wide and narrow: ``make screenshots``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.web.agent_sample import MORE as MORE_AGENTS
from tests.web.agent_sample import PAGES as AGENTS
from tests.web.conftest import ARGUMENTS, CHROMIUM, serving
from tests.web.flow_sample import MORE as MORE_FLOW
from tests.web.flow_sample import PAGES as FLOW
from tests.web.publishing_sample import MORE as MORE_PUBLISHING
from tests.web.publishing_sample import PAGES as PUBLISHING
from tests.web.sample import lively
from tests.web.talk_sample import MORE as MORE_TALK
from tests.web.talk_sample import PAGES as TALK
from tests.web.talk_sample import engines, talk
from tests.web.work_sample import MORE as MORE_WORK
from tests.web.work_sample import PAGES as WORK

IMAGES = Path(__file__).parents[2] / "docs" / "images"

PAGES = {
    "overview": "/",
    "runs": "/runs?q=workflow:checkout",
    "run": "/runs/order-1015?entry=1",
    "run-waiting": "/runs/order-1002-again",
    "workflows": "/workflows",
    "workflow": "/workflows/checkout",
    "queues": "/queues",
    "schedules": "/schedules",
    "workers": "/workers",
    "dead-letters": "/dead-letters",
    "audit": "/audit",
    "settings": "/settings",
    **WORK,
    **TALK,
    **AGENTS,
    **PUBLISHING,
    **FLOW,
}
"""The pages, by the names of their pictures."""

MORE = {
    "run-failed": "/runs/order-1019",
    "run-held": "/runs/refund-1017",
    "run-running": "/runs/feed-acme",
    "run-fork": "/runs/order-1019?do=fork&entry=1",
    "bulk": "/bulk?action=retry&q=status:failed",
    "start": "/start?workflow=checkout",
    "schedule": "/schedules/nightly-report",
    "schedule-rule": "/schedules/payroll",
    "schedule-form": "/schedule/change?name=payroll",
    "people": "/settings/people",
    "keyboard": "/keys",
    "not-found": "/runs/order-9999",
    "sign-in": "/sign-in",
    **MORE_WORK,
    **MORE_TALK,
    **MORE_AGENTS,
    **MORE_PUBLISHING,
    **MORE_FLOW,
}
"""Pages of which pictures are taken when they are named, or all are asked for."""

LOADED = "[...document.images].every((one) => one.complete) && document.documentElement.dataset.scripts !== undefined"

WIDTHS = {"wide": (1440, 900), "narrow": (390, 844)}


async def take(browser: Browser, address: str, path: str, name: str, folder: Path, whole: bool) -> None:
    """Take the pictures of one page."""
    for scheme in ("light", "dark"):
        for width, (across, down) in WIDTHS.items():
            context = await browser.new_context(
                viewport={"width": across, "height": down}, color_scheme=scheme, reduced_motion="reduce",
                timezone_id="Europe/Berlin",
            )  # fmt: skip
            page = await context.new_page()
            page.on("pageerror", lambda error, name=name: print(f"{name}: {error}"))
            answer = await page.goto(address + path)
            for _ in range(50):
                await page.wait_for_timeout(200)
                if await page.evaluate(LOADED):
                    break
            across_all = await page.evaluate("document.documentElement.scrollWidth")
            if across_all > across:
                print(f"{name} is {across_all} wide on {across}")
            if answer is None or answer.status >= 500:
                print(f"{name}: {answer.status if answer else 'no answer'}")
            await page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=whole)
            await context.close()


async def main() -> None:
    """Fill a system, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="names of pages, or all; those of PAGES unless given")
    parser.add_argument("--to", type=Path, default=IMAGES, help="the folder for them")
    parser.add_argument("--whole", action="store_true", help="the whole of each page, not what a screen shows of it")
    asked = parser.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    every = {**PAGES, **MORE}
    names = list(every) if asked.pages == ["all"] else asked.pages or list(PAGES)
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-pictures-"))
        url = await stack.enter_async_context(lively(Path(folder)))
        shop = await stack.enter_async_context(serving(url, conversations=engines()))
        await talk(shop.client)
        closed = await stack.enter_async_context(serving(url, auth=True))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        for name in names:
            system = closed if name == "sign-in" else shop
            await take(browser, system.address, every[name], name, asked.to, asked.whole)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
