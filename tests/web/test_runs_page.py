"""The runs' page in a browser: found, followed live, chosen, without scripts too."""

from __future__ import annotations

import re
from uuid import uuid4

from playwright.async_api import Page, expect

from tests.web.conftest import System, assert_accessible
from tests.web.shop import checkout, echo


def fresh(stem: str = "r") -> str:
    return f"{stem}-{uuid4().hex[:8]}"


async def test_runs_are_found_by_a_line_and_by_links_without_scripts(system: System, plain: Page) -> None:
    mark = fresh()
    await system.start(echo, 1, id=f"{mark}-a", attributes={"mark": mark})
    await system.start(checkout, mark, 5, "declined", id=f"{mark}-b", attributes={"mark": mark})
    await system.until(f"{mark}-a", "succeeded")
    await system.until(f"{mark}-b", "failed")
    await plain.goto(f"{system.address}/runs")
    await plain.locator("#q").fill(f"attr.mark:{mark}")
    await plain.get_by_role("button", name="Search", exact=True).click()
    rows = plain.locator("tr[data-row]")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("Fatal: the card of order")
    await plain.get_by_role("link", name="Succeeded").click()
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text(f"{mark}-a")
    await plain.get_by_role("link", name="All", exact=True).click()
    await expect(rows).to_have_count(2)


async def test_a_search_that_cannot_be_read_shows_its_place(system: System, page: Page) -> None:
    answer = await page.goto(f"{system.address}/runs?q=workflow:x status:lost since:1h")
    assert answer is not None
    assert answer.status == 422
    await expect(page.locator("mark")).to_have_text("lost")
    await expect(page.get_by_role("alert")).to_contain_text("there are queued, running", ignore_case=True)
    await assert_accessible(page)


async def test_the_table_follows_what_happens(system: System, page: Page) -> None:
    mark = fresh()
    await page.goto(f"{system.address}/runs?q=attr.mark:{mark}")
    await expect(page.get_by_text("No run is found")).to_be_visible()
    await system.start(checkout, mark, 5, "ok", 1, "hold", id=f"{mark}-live", attributes={"mark": mark})
    row = page.locator("tr[data-row]")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("held")
    await row.get_by_role("checkbox").check()
    await row.get_by_role("link").first.focus()
    await system.client.release(f"{mark}-live", {"by": "a test"})
    await expect(row).to_contain_text("succeeded")
    # What the viewer did to the row outlives its renewal.
    await expect(row.get_by_role("checkbox")).to_be_checked()
    await expect(row.get_by_role("link").first).to_be_focused()


async def test_a_word_is_completed(system: System, page: Page) -> None:
    await page.goto(f"{system.address}/runs")
    line = page.get_by_role("combobox", name="Search")
    await line.press_sequentially("workflow:che")
    await expect(page.get_by_role("option", name="workflow:checkout")).to_be_visible()
    await line.press("Tab")
    await line.press_sequentially("-status:fa")
    await line.press("ArrowDown")
    await line.press("Enter")
    await expect(line).to_have_value("workflow:checkout -status:failed ")
    await line.press("Enter")
    await page.wait_for_url(re.compile("q=workflow"))


async def test_columns_are_chosen_and_searches_kept(system: System, plain: Page) -> None:
    mark = fresh()
    await system.start(echo, {"k": mark}, id=mark, attributes={"mark": mark, "region": "eu"})
    await system.until(mark, "succeeded")
    await plain.goto(f"{system.address}/runs?q=attr.mark:{mark}")
    await plain.locator("summary", has_text="Columns").click()
    await plain.get_by_label("Output").check()
    await plain.get_by_label("region (attribute)").check()
    await plain.get_by_label("About").uncheck()
    await plain.get_by_role("button", name="Show them").click()
    headings = plain.locator("thead th")
    await expect(headings.filter(has_text="Output")).to_have_count(1)
    await expect(headings.filter(has_text="About")).to_have_count(0)
    await expect(plain.locator("tr[data-row]")).to_contain_text('"k"')
    await expect(plain.locator("tr[data-row]")).to_contain_text("eu")
    await plain.locator("summary", has_text="Searches").click()
    await plain.get_by_role("link", name="Keep this search").click()
    await plain.get_by_label("Name").fill(f"mine {mark}")
    await plain.get_by_role("button", name="Keep it").click()
    await expect(plain.get_by_role("status")).to_contain_text("kept")
    await plain.goto(f"{system.address}/runs")
    await plain.locator("summary", has_text="Searches").click()
    await plain.get_by_role("link", name=f"mine {mark}").click()
    await expect(plain.locator("#q")).to_have_value(f"attr.mark:{mark}")
    await plain.locator("summary", has_text="Searches").click()
    await plain.get_by_role("button", name=f"Forget the search mine {mark}").click()
    await expect(plain.get_by_role("link", name=f"mine {mark}")).to_have_count(0)


async def test_pages_of_fifty_lead_to_one_another(system: System, plain: Page) -> None:
    mark = fresh()
    await system.client.start_many(echo.options(attributes={"mark": mark}), [(n,) for n in range(60)])
    await plain.goto(f"{system.address}/runs?q=attr.mark:{mark}")
    await expect(plain.locator("tr[data-row]")).to_have_count(50)
    await expect(plain.get_by_text("60 runs")).to_be_visible()
    await plain.get_by_role("link", name="Next page").click()
    await expect(plain.locator("tr[data-row]")).to_have_count(10)
    await plain.get_by_role("link", name="First page").click()
    await expect(plain.locator("tr[data-row]")).to_have_count(50)


async def test_a_run_is_found_from_every_page_by_its_id(system: System, page: Page) -> None:
    run_id = fresh("jump")
    await system.start(echo, 1, id=run_id)
    await page.goto(f"{system.address}/keys")
    await page.keyboard.press("/")
    await page.keyboard.type(run_id)
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(f"/runs/{run_id}"))


async def test_many_runs_are_cancelled_at_once_after_a_question(system: System, page: Page) -> None:
    mark = fresh()
    for number in range(3):
        await system.start(checkout, f"{mark}-{number}", 5, "ok", 1, "wait", attributes={"mark": mark})
    await page.goto(f"{system.address}/runs?q=attr.mark:{mark} status:waiting")
    await expect(page.locator("tr[data-row]")).to_have_count(3)
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("heading", name="Cancel 3 runs?")).to_be_visible()
    await assert_accessible(page)
    await page.get_by_label("Reason").fill("no longer wanted")
    await page.get_by_role("button", name="Cancel them").click()
    await expect(page.get_by_role("status").filter(has_text="The job is started")).to_be_visible()
    await expect(page.locator(".head .status")).to_have_text("succeeded")
    await expect(page.get_by_label("Output")).to_contain_text('"done": 3')
    found = await system.client.list(where=f"attributes.mark = '{mark}'")
    assert {run.status for run in found} == {"cancelled"}


async def test_ticked_runs_alone_are_acted_on_without_scripts(system: System, plain: Page) -> None:
    mark = fresh()
    for number in range(2):
        await system.start(
            checkout, f"{mark}-{number}", 5, "ok", 1, "wait", id=f"{mark}-{number}", attributes={"mark": mark}
        )
    await plain.goto(f"{system.address}/runs?q=attr.mark:{mark}")
    await plain.get_by_role("checkbox", name=f"Choose {mark}-1").check()
    await plain.get_by_role("button", name="Hold", exact=True).click()
    await expect(plain.get_by_role("heading", name="Hold 1 run?")).to_be_visible()
    await plain.get_by_role("button", name="Hold them").click()
    await system.until(f"{mark}-1", "held")
    assert (await system.client.get(f"{mark}-0")).status != "held"


async def test_the_page_is_accessible_wide_and_narrow(system: System, page: Page) -> None:
    mark = fresh()
    await system.start(echo, "<b>x</b>", id=fresh("<i>"), attributes={"mark": mark, "a": "<u>"})
    await system.start(checkout, mark, 5, "down", attributes={"mark": mark})
    await page.goto(f"{system.address}/runs?q=attr.mark:{mark}")
    await assert_accessible(page)
    await page.set_viewport_size({"width": 390, "height": 800})
    await assert_accessible(page, schemes=("light",))
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
