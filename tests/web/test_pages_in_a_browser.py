"""Starting runs and signing in, the keys and the theme, the viewer's zone: in a browser."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress

from playwright.async_api import Browser, Page, expect
from playwright.async_api import TimeoutError as PlaywrightTimeout

from tests.web.conftest import System, assert_accessible, opened, serving
from tests.web.shop import echo
from tests.web.test_runs_page import fresh


async def test_a_run_is_started_by_a_form_made_from_its_schema(system: System, page: Page) -> None:
    run_id = fresh("started")
    await page.goto(f"{system.address}/runs")
    await page.get_by_role("link", name="Start a run").click()
    await page.get_by_role("link", name="checkout").click()
    await assert_accessible(page)
    await page.get_by_label("order").fill(run_id)
    await page.get_by_label("cents").fill("many")
    await page.get_by_text("Options").click()
    await page.get_by_label("Id").fill(run_id)
    await page.get_by_label("Delay").fill("soon")
    await page.get_by_role("button", name="Start the run").click()
    await expect(page.locator("[id='in.cents-error']")).to_have_text("Give a whole number.")
    await expect(page.locator("#delay-error")).to_contain_text("5m or 1h30m")
    await expect(page.get_by_label("order")).to_have_value(run_id)
    await page.get_by_label("cents").fill("700")
    await page.get_by_label("Delay").fill("")
    await page.get_by_label("Attributes, as JSON").fill('{"by": "a form"}')
    await page.get_by_role("button", name="Start the run").click()
    await page.wait_for_url(re.compile(f"/runs/{run_id}$"))
    await expect(page.locator(".head .status")).to_have_text("succeeded")
    view = await system.client.get(run_id)
    assert view.input == {"order": run_id, "cents": 700, "card": "ok", "boxes": 2, "then": ""}
    assert view.attributes == {"by": "a form"}


async def test_a_run_is_started_by_json_without_scripts(system: System, plain: Page) -> None:
    run_id = fresh("json")
    await plain.goto(f"{system.address}/start?workflow=echo")
    await plain.get_by_role("link", name="JSON").click()
    await plain.get_by_label("Input, as JSON").fill('{"size": "huge"}')
    await plain.get_by_role("button", name="Start the run").click()
    await expect(plain.locator("#input-error")).to_contain_text("size")
    await plain.get_by_label("Input, as JSON").fill('{"value": [1, "<b>"], "loud": true}')
    await plain.locator("summary", has_text="Options").click()
    await plain.get_by_label("Id").fill(run_id)
    await plain.get_by_role("button", name="Start the run").click()
    view = await system.until(run_id, "succeeded")
    assert view.output == {"value": [1, "<b>"], "size": "small", "loud": True}
    await plain.goto(f"{system.address}/start?workflow=echo&as=json")
    await plain.locator("summary", has_text="Options").click()
    await plain.get_by_label("Id").fill(run_id)
    await plain.get_by_role("button", name="Start the run").click()
    await expect(plain.locator("#id-error")).to_contain_text("is taken")


async def test_the_keys_are_told_and_work_and_are_turned_off(system: System, page: Page) -> None:
    await page.goto(f"{system.address}/runs")
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("heading", name="Keyboard")).to_be_visible()
    await assert_accessible(page, schemes=("light",))
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    while not page.url.endswith("/workers"):  # on a slow machine the second key may come too late
        await page.keyboard.press("g")
        await page.keyboard.press("k")
        with suppress(PlaywrightTimeout):
            await page.wait_for_url(re.compile("/workers"), timeout=3000)
    await page.goto(f"{system.address}/keys")
    await page.get_by_role("button", name="Turn the keys off").click()
    await page.get_by_role("button", name="Turn the keys on").wait_for()
    await page.keyboard.press("g")
    await page.keyboard.press("k")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.url.endswith("/keys")


async def test_rows_are_walked_through_by_keys(system: System, page: Page) -> None:
    mark = fresh()
    for number in range(3):
        await system.start(echo, number, id=f"{mark}-{number}", attributes={"mark": mark})
    await page.goto(f"{system.address}/runs?q=attr.mark:{mark}")
    for _ in range(2):
        await page.keyboard.press("j")
    await page.keyboard.press("x")
    await expect(page.get_by_role("checkbox", name=f"Choose {mark}-1")).to_be_checked()
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(f"{mark}-2"))


async def test_the_theme_is_switched_and_remembered(system: System, page: Page) -> None:
    await page.emulate_media(color_scheme="light")
    await page.goto(f"{system.address}/keys")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(ground)
    await page.get_by_role("button", name="Switch between light and dark").click()
    dark = await page.evaluate(ground)
    assert dark != light
    await page.reload()
    assert await page.evaluate(ground) == dark
    await page.get_by_role("button", name="Switch between light and dark").click()
    assert await page.evaluate(ground) == light


async def test_times_are_relative_and_the_zone_is_known_the_next_time(system: System, browser: Browser) -> None:
    run_id = await system.start(echo, 1, id=fresh("zone"))
    view = await system.until(run_id, "succeeded")
    tab = await opened(browser, timezone_id="Asia/Kolkata")
    await tab.page.goto(f"{system.address}/runs/{run_id}")
    created = tab.page.locator("dd time").first
    await expect(created).to_have_text(re.compile("just now|s ago"))
    await tab.page.reload()
    assert "IST (" in (await created.get_attribute("title") or "")
    state = await tab.context.storage_state()
    plain = await opened(browser, java_script_enabled=False, storage_state=state)
    await plain.page.goto(f"{system.address}/runs/{run_id}")
    from zoneinfo import ZoneInfo

    local = view.created_at.astimezone(ZoneInfo("Asia/Kolkata"))
    await expect(plain.page.locator("dd time").first).to_have_text(f"{local:%Y-%m-%d %H:%M:%S}")
    assert not tab.errors
    await tab.context.close()
    await plain.context.close()


async def test_an_id_is_copied_with_a_click(system: System, browser: Browser) -> None:
    run_id = await system.start(echo, 1, id=fresh("copy") + " <b>&")
    tab = await opened(browser, permissions=["clipboard-read", "clipboard-write"])
    await tab.page.goto(f"{system.address}/runs?q=" + '"' + run_id.replace("&", "%26") + '"')
    # It is shown for a moment only, in which a busy machine may not look.
    shown = asyncio.ensure_future(tab.page.wait_for_selector(".copy.done"))
    await tab.page.get_by_role("button", name=f"Copy the id {run_id}").click()
    await shown
    assert await tab.page.evaluate("navigator.clipboard.readText()") == run_id
    await tab.context.close()


async def test_people_sign_in_and_out_without_scripts(tmp_path: os.PathLike[str], plain: Page, page: Page) -> None:
    async with serving(f"sqlite:///{tmp_path}/auth.db", auth=True) as system:
        await system.client.put_user("ada", email="ada@example.com", name="Ada", role="admin", password="correct horse")
        await page.goto(f"{system.address}/runs")
        await assert_accessible(page)
        await plain.goto(f"{system.address}/runs?q=status:failed")
        await plain.get_by_label("E-mail or id").fill("ada@example.com")
        await plain.get_by_label("Password").fill("correct horse")
        await plain.get_by_role("button", name="Sign in", exact=True).click()
        await expect(plain.get_by_role("heading", name="Runs")).to_be_visible()
        assert plain.url.endswith("/runs?q=status:failed")
        await plain.locator("summary[aria-label^=Ada]").click()
        await plain.get_by_role("button", name="Sign out").click()
        await expect(plain.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_pages_of_what_went_wrong_are_accessible(system: System, page: Page) -> None:
    await page.goto(f"{system.address}/runs/{fresh('none')}")
    await expect(page.get_by_role("heading", name="No such run")).to_be_visible()
    await assert_accessible(page)
