"""The pages of models, artifacts and phases in a real browser: accessible, narrow, by keyboard, without scripts."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

import holdfast as hf
from holdfast.store.agent_rows import PhaseFileRow
from tests.engine.spending_kit import phase_file
from tests.web.agent_kit import AGENTS, MARKUP, PNG, making, offer, retried
from tests.web.conftest import System, assert_accessible, opened, serving

COMPARED = "/artifact/compare?run=offered&name=draft/output.json&name2=draft/approved.json"

PAGES = (
    "/runs/offered", "/runs/offered?entry=0", "/artifact?run=offered&name=draft/output.json",
    "/artifact?run=pictured&name=plan.png", "/artifact?run=filed&name=plan.txt",
    COMPARED, "/costs", "/costs?model=own:tiny", "/costs?runs=id:offered",
    "/phases", "/phases/letters",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def writing(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> AsyncIterator[System]:
    """Runs that asked models and made artifacts, one of which was changed since."""
    folder: Path = tmp_path_factory.mktemp("writing")
    url = f"sqlite:///{folder}/agents.db"
    async with serving(url, workspaces=(str(folder),)) as found, hf.Worker(url, AGENTS):
        long = {"words": ["word" * 200, *[f"line {number}" for number in range(100)]], "markup": MARKUP}
        await found.start(offer, "ada", id="offered")
        await found.start(making, "plan.png", "image/png", PNG.hex(), id="pictured")
        await found.start(making, "long.json", "application/json", json.dumps(long).encode().hex(), id="long")
        await found.start(making, "plan.txt", "text/plain", b"plan".hex(), str(folder / "plan.txt"), id="filed")
        for id in ("offered", "pictured", "long", "filed"):
            await found.until(id, "succeeded")
        (folder / "plan.txt").write_text("another")
        file = phase_file()
        row = PhaseFileRow("default", file.name, file.version, file.content, found.client.core.now_us())
        await found.client.core.store.agents.keep_phases(row)
        yield found


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_accessible_in_light_and_dark(writing: System, page: Page, path: str) -> None:
    answer = await page.goto(writing.address + path)
    assert answer is not None
    assert answer.status == 200
    await assert_accessible(page)


async def test_no_page_is_wider_than_a_telephone(writing: System, browser: Browser) -> None:
    tab = await opened(browser, viewport={"width": 390, "height": 844})
    long = "/artifact?run=long&name=long.json"
    for path in (*PAGES, long, "/artifact/compare?run=long&name=long.json&run2=offered&name2=draft/output.json"):
        await tab.page.goto(writing.address + path)
        assert await tab.page.evaluate("document.documentElement.scrollWidth") <= 390, path
    await tab.page.goto(writing.address + COMPARED)
    await expect(tab.page.locator("del")).to_be_visible()
    await expect(tab.page.locator(".diff-removed .diff-mark")).to_contain_text("−")
    await tab.context.close()
    assert not tab.errors


async def test_pages_are_reached_and_walked_through_by_keys(writing: System, page: Page) -> None:
    await page.goto(f"{writing.address}/runs")
    await page.keyboard.press("g")
    await page.keyboard.press("p")
    await page.wait_for_url(re.compile("/phases$"))
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile("/phases/letters$"))
    await page.keyboard.press("g")
    await page.keyboard.press("l")
    await page.wait_for_url(re.compile("/costs$"))
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile("/costs.*phase=draft"))
    await expect(page.locator(".narrowed")).to_contain_text("phase draft")


async def test_a_chart_is_drawn(writing: System, page: Page) -> None:
    await page.emulate_media(color_scheme="dark")
    await page.goto(f"{writing.address}/costs")
    drawn = page.locator(".chart .only-dark img")
    await expect(drawn).to_be_visible()
    assert await drawn.evaluate("async one => (await one.decode(), one.naturalWidth)") == 1120


async def test_a_picture_is_seen_and_a_page_of_html_is_only_read(writing: System, page: Page) -> None:
    await page.goto(f"{writing.address}/artifact?run=pictured&name=plan.png")
    picture = page.locator(".picture img")
    assert await picture.evaluate("async one => (await one.decode(), one.naturalWidth)") == 1
    await page.goto(f"{writing.address}/artifact?run=offered&name=draft/prompt.md")
    await expect(page.locator(".artifact-text")).to_contain_text(MARKUP)
    assert await page.locator("main script, main img").count() == 0


async def test_artifacts_are_compared_without_scripts(writing: System, plain: Page) -> None:
    await plain.goto(f"{writing.address}/runs/offered?entry=0")
    await expect(plain.locator("#entry .calls li")).to_have_count(3)
    await plain.locator("#entry").get_by_role("link", name="draft/output.json").click()
    await plain.locator("#other").select_option(label="draft/approved.json, step 1")
    await plain.get_by_role("button", name="Compare", exact=True).click()
    await expect(plain.locator("ins")).to_have_text('  "closing": "Sincerely yours",')
    await plain.get_by_role("link", name="Show all lines").click()
    await expect(plain.locator(".diff tbody tr")).to_have_count(10)


async def test_what_a_run_makes_is_seen_while_it_goes_on(writing: System, page: Page, tmp_path: Path) -> None:
    run_id = await writing.start(retried, "live", str(tmp_path / "there"), id="live")
    await writing.until(run_id, "failed")
    await page.goto(f"{writing.address}/runs/{run_id}")
    made = page.get_by_role("region", name="Artifacts", exact=True).first
    await expect(made).to_contain_text((await writing.client.artifact(run_id, "plan.txt")).artifact.sha256[:12])
    (tmp_path / "there").touch()
    await writing.client.retry(run_id)
    await writing.until(run_id, "succeeded")
    await expect(made).to_contain_text((await writing.client.artifact(run_id, "plan.txt")).artifact.sha256[:12])
