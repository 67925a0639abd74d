"""The dashboard in a browser, with a million runs in the database."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

import holdfast as hf
from benchmarks.cases.pages import fill, order
from tests.web.conftest import serving

RUNS = 1_000_000
FOLLOWED = "followed"


@pytest.mark.verify
@pytest.mark.timeout(1500)
async def test_a_million_runs_are_looked_through(tmp_path: Path, page: Page) -> None:
    url = f"sqlite:///{tmp_path}/many.db"
    async with hf.connect(url) as client:
        await fill(client.core, RUNS)
    async with serving(url) as found:
        await page.goto(found.address)
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        await page.goto(f"{found.address}/runs")
        await expect(page.locator("tbody tr").first).to_be_visible()
        await page.get_by_role("link", name="Next page").first.click()
        await expect(page.locator("tbody tr").first).to_be_visible()
        await page.goto(f"{found.address}/runs?q=status:failed")
        await expect(page.locator("tbody tr .status").first).to_have_text("failed")
        await page.goto(f"{found.address}/runs?q=attr.number:17")
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.goto(f"{found.address}/runs/run-17")
        await expect(page.locator(".head .status")).to_have_text(re.compile("succeeded|failed"))
        # One that is started now is followed live beside all the others.
        run = await found.client.start(order.options(id=FOLLOWED), RUNS)
        await page.goto(f"{found.address}/runs/{FOLLOWED}")
        await expect(page.locator(".head .status")).to_have_text("queued")
        await found.client.cancel(run.id)
        await expect(page.locator(".head .status")).to_have_text("cancelled")
