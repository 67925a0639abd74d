"""A run's page in a browser: followed live while its worker is killed, its timeline, its entries, its actions."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from playwright.async_api import Page, expect

from tests.web.conftest import System, assert_accessible, serving
from tests.web.shop import checkout, echo, fan, patient
from tests.web.test_runs_page import fresh

MARKUP = '<script>alert("x")</script><img src=x onerror=alert(1)>'


def at(system: System, run_id: str, more: str = "") -> str:
    return f"{system.address}/runs/{quote(run_id, safe='')}{more}"


async def test_a_run_is_followed_while_its_worker_is_killed(tmp_path: os.PathLike[str], page: Page) -> None:
    url, there = f"sqlite:///{tmp_path}/killed.db", Path(tmp_path) / "there"
    code = (
        "import asyncio, holdfast as hf\n"
        "from tests.web.shop import patient\n"
        f"asyncio.run(hf.Worker({url!r}, [patient], lease='2s', beat='200ms').run())"
    )

    def worker() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", code])

    async with serving(url) as system:
        first = worker()
        try:
            run_id = await system.start(patient, str(there), id=fresh("killed"))
            await page.goto(at(system, run_id))
            status = page.locator(".head .status")
            await expect(status).to_have_text("running", timeout=20_000)
            await expect(page.get_by_text("on the way")).to_be_visible()
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
            second = worker()
            try:
                await expect(page.get_by_text("Workers lost")).to_be_visible(timeout=20_000)
                there.touch()
                await expect(status).to_have_text("succeeded", timeout=30_000)
                await expect(page.get_by_label("Output")).to_contain_text("there")
            finally:
                second.terminate()
                second.wait()
        finally:
            first.kill()


async def test_what_it_waits_for_is_said_and_an_event_lets_it_go_on(system: System, page: Page) -> None:
    run_id = await system.start(checkout, fresh(), 5, "ok", 1, "wait", id=fresh("waits"))
    order = (await system.client.get(run_id)).input["order"]
    await page.goto(at(system, run_id))
    why = page.get_by_role("region", name="Why it is not moving")
    await expect(why).to_contain_text(f"Waits for event shipped (key {order}) until")
    await assert_accessible(page)
    await page.get_by_role("link", name="Send an event").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Name")).to_have_value("shipped")
    await expect(dialog.get_by_label("Key")).to_have_value(order)
    await dialog.get_by_label("Payload").fill("{not json")
    await dialog.get_by_role("button", name="Send it").click()
    await expect(dialog.locator("#payload-error")).to_contain_text("not JSON")
    await dialog.get_by_label("Payload").fill('{"by": "sea"}')
    await dialog.get_by_role("button", name="Send it").click()
    await expect(page.get_by_role("status").filter(has_text="given to 1 waiting run")).to_be_visible()
    await expect(page.locator(".head .status")).to_have_text("succeeded")
    await expect(page.get_by_label("Output")).to_contain_text('"by": "sea"')


async def test_a_held_run_is_released_with_a_value_without_scripts(system: System, plain: Page) -> None:
    run_id = await system.start(checkout, fresh(), 5, "ok", 1, "hold", id=fresh("held"))
    await system.until(run_id, "held")
    await plain.goto(at(system, run_id))
    await expect(plain.get_by_role("region", name="Why it is not moving")).to_contain_text("above the limit")
    await plain.get_by_role("link", name="Release", exact=True).click()
    await plain.get_by_label("Value").fill("{")
    await plain.get_by_role("button", name="Release it").click()
    await expect(plain.locator("#value-error")).to_contain_text("not JSON")
    await expect(plain.get_by_label("Value")).to_have_value("{")
    await plain.get_by_label("Value").fill('{"approved": true}')
    await plain.get_by_role("button", name="Release it").click()
    await expect(plain.get_by_role("status")).to_contain_text("The run is released.")
    view = await system.until(run_id, "succeeded")
    assert view.output["shipped"] == {"approved": True}


async def test_a_held_run_is_rejected_and_a_waiting_one_held_and_cancelled(system: System, plain: Page) -> None:
    held = await system.start(checkout, fresh(), 5, "ok", 1, "hold", id=fresh("reject"))
    await system.until(held, "held")
    await plain.goto(at(system, held))
    await plain.get_by_role("link", name="Reject", exact=True).click()
    await plain.get_by_label("Reason").fill("too dear")
    await plain.get_by_role("button", name="Reject it").click()
    view = await system.until(held, "failed")
    assert view.error is not None
    assert "too dear" in view.error["message"]
    waits = await system.start(checkout, fresh(), 5, "ok", 1, "wait", id=fresh("cancel"))
    await system.until(waits, "waiting")
    await plain.goto(at(system, waits))
    await plain.get_by_role("link", name="Hold", exact=True).click()
    await plain.get_by_role("button", name="Hold it").click()
    await system.until(waits, "held")
    await plain.goto(at(system, waits))
    await plain.get_by_role("link", name="Cancel", exact=True).click()
    await plain.get_by_role("button", name="Cancel the run").click()
    await expect(plain.get_by_role("status")).to_contain_text("is to be cancelled")
    await system.until(waits, "cancelled")


async def test_a_failed_run_shows_its_attempts_and_is_retried(system: System, page: Page) -> None:
    run_id = await system.start(checkout, fresh(), 5, "down", id=fresh("failed"))
    await system.until(run_id, "failed")
    await page.goto(at(system, run_id, "?entry=1"))
    await expect(page.get_by_role("region", name="Error")).to_contain_text("<b>Service Unavailable</b>")
    panel = page.get_by_role("region", name="Entry 1")
    await expect(panel.get_by_role("heading", name="charge")).to_be_visible()
    await expect(panel.locator(".attempts li")).to_have_count(2)
    await expect(panel.locator(".attempts summary").first).to_contain_text("CardDeclined: the bank answers 503")
    await panel.locator(".attempts summary").first.click()
    await expect(panel.locator(".attempts .message").first).to_have_text(
        "the bank answers 503 <b>Service Unavailable</b>"
    )
    # Three attempts and what lies between them.
    bars = page.locator("[data-key^='entry-1-'] rect")
    assert [await bar.get_attribute("class") for bar in await bars.all()] == [
        "b-failed", "b-backoff", "b-failed", "b-backoff", "b-failed",
    ]  # fmt: skip
    await assert_accessible(page)
    await page.get_by_role("link", name="Retry", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Retry it").click()
    await expect(page.get_by_text("goes on from where it failed")).to_be_visible()
    await system.until(run_id, "failed")
    assert (await system.client.get(run_id)).attempt == 2


async def test_a_fork_begins_at_a_step_with_another_input(system: System, page: Page) -> None:
    run_id = await system.start(checkout, fresh(), 5, "declined", id=fresh("fork"))
    await system.until(run_id, "failed")
    await page.goto(at(system, run_id))
    await page.get_by_role("link", name="charge").click()
    await page.get_by_role("link", name="Fork from here").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("From")).to_have_value("1 charge")
    await dialog.get_by_label("Change").select_option("input")
    await expect(dialog.get_by_label("Input, as JSON")).to_have_value(re.compile('"card": "declined"'))
    await dialog.get_by_label("Input, as JSON").fill('{"cards": "ok"}')
    await dialog.get_by_role("button", name="Start the fork").click()
    await expect(dialog.locator("#input-error")).to_contain_text("no argument 'cards'")
    await dialog.get_by_label("Input, as JSON").fill('{"card": "ok"}')
    await dialog.get_by_label("Id of the new run").fill(f"{run_id}-again")
    await dialog.get_by_role("button", name="Start the fork").click()
    await page.wait_for_url(re.compile(f"{run_id}-again"))
    await expect(page.locator(".head .status")).to_have_text("succeeded")
    await expect(page.get_by_role("link", name=run_id, exact=True)).to_be_visible()
    assert (await system.client.get(run_id)).forks == [f"{run_id}-again"]


async def test_an_entry_opens_in_place_and_back_goes_back(system: System, page: Page) -> None:
    run_id = await system.start(fan, 100, id=fresh("place"))
    await system.until(run_id, "succeeded")
    await page.goto(at(system, run_id))
    await page.locator(".tl-fold summary").first.click()
    last = page.get_by_role("link", name="pack").last
    await last.scroll_into_view_if_needed()
    down = await page.evaluate("scrollY")
    assert down > 500
    await last.click()
    panel = page.locator("#entry")
    await expect(panel).to_contain_text('"box": 99')
    await expect(panel).to_be_in_viewport()
    assert await page.evaluate("scrollY") == down
    await expect(page.locator(".tl-fold").first).to_have_attribute("open", "")
    assert "entry=0.99.0" in page.url
    await page.go_back()
    await expect(panel).to_have_count(0)
    assert "entry" not in page.url
    await page.go_forward()
    await expect(panel).to_contain_text('"box": 99')
    await panel.get_by_role("link", name="Close the entry").click()
    await expect(panel).to_have_count(0)


async def test_the_brush_zooms_and_a_form_does_the_same(system: System, page: Page, plain: Page) -> None:
    run_id = await system.start(checkout, fresh(), 5, "flaky", id=fresh("zoom"))
    await system.until(run_id, "succeeded")
    await page.goto(at(system, run_id))
    bars = page.locator(".tl-run .tl-bars")
    await expect(bars).to_be_visible()
    while (box := await bars.bounding_box()) is None:
        await page.wait_for_timeout(50)
    await page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + 5)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 5, steps=4)
    await expect(page.locator("[data-brush]")).to_be_visible()
    await page.mouse.up()
    await page.wait_for_url(re.compile(r"from=[0-9.]+&until=[0-9.]+"))
    await page.get_by_role("link", name="Show all of it").click()
    await expect(page.get_by_role("link", name="Show all of it")).to_have_count(0)
    await plain.goto(at(system, run_id))
    await plain.locator("summary", has_text="Zoom").click()
    await plain.get_by_label("From").fill("0s")
    await plain.get_by_label("Until").fill("1ms")
    await plain.get_by_role("button", name="Zoom").click()
    await expect(plain.get_by_text("Nothing is recorded in this stretch.")).to_be_visible()


async def test_a_wide_fan_out_is_folded_and_paged(system: System, plain: Page) -> None:
    run_id = await system.start(fan, 450, id=fresh("wide"))
    await system.until(run_id, "succeeded")
    await plain.goto(at(system, run_id))
    fold = plain.locator(".tl-fold")
    await expect(fold).not_to_have_attribute("open", "")
    await fold.locator("summary").first.click()
    await expect(fold.get_by_role("link", name="pack")).to_have_count(200)
    await plain.get_by_role("link", name="Further entries").click()
    await plain.get_by_role("link", name="Further entries").click()
    await plain.locator(".tl-fold summary").first.click()
    await expect(plain.get_by_role("link", name="pack")).to_have_count(50)
    await expect(plain.get_by_role("link", name="Further entries")).to_have_count(0)


async def test_markup_is_shown_and_never_run(system: System, page: Page) -> None:
    run_id = MARKUP + "/" + fresh()
    await system.start(echo, {MARKUP: [MARKUP]}, id=run_id, attributes={MARKUP: MARKUP})
    await system.until(run_id, "succeeded")
    alerts: list[str] = []
    page.on("dialog", lambda dialog: alerts.append(dialog.message))
    for address in (at(system, run_id), at(system, run_id, "?entry=" + quote(MARKUP)), at(system, run_id, "?do=fork")):
        answer = await page.goto(address)
        assert answer is not None
        assert answer.status == 200
        await expect(page.get_by_text(run_id).first).to_be_visible()
    await page.goto(f"{system.address}/runs?q=" + quote(f'"{MARKUP.replace(chr(34), chr(34) * 2)}"'))
    await expect(page.get_by_role("link", name=run_id)).to_be_visible()
    assert not alerts
    assert await page.locator("img[src=x]").count() == 0


async def test_ids_that_paths_do_not_hold_have_pages_too(system: System, page: Page) -> None:
    for run_id in (".", "..", "a/b?c#d%2Fe", "100% sure"):
        await system.start(echo, run_id, id=run_id)
        await system.until(run_id, "succeeded")
        await page.goto(f"{system.address}/runs?q=" + quote('"' + run_id + '"'))
        await page.get_by_role("link", name=run_id, exact=True).first.click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text(run_id)
        await page.get_by_role("link", name="Fork", exact=True).click()
        await expect(page.get_by_role("dialog")).to_contain_text(run_id)


async def test_a_lost_stream_is_told_and_found_again(tmp_path: os.PathLike[str], page: Page) -> None:
    url = f"sqlite:///{tmp_path}/lost.db"
    async with serving(url) as system:
        port = int(system.address.rpartition(":")[2])
        await system.start(echo, 1, id="queued")
        await page.goto(at(system, "queued"))
        await expect(page.locator(".head .status")).to_have_text("queued")
    state = page.get_by_text("Not live: trying again")
    await expect(state).to_be_visible()
    async with serving(url, port=port) as system:
        await system.client.cancel("queued")
        await expect(page.locator(".head .status")).to_have_text("cancelled", timeout=20_000)
        await expect(state).to_be_hidden()


async def test_a_long_value_is_cut_and_all_of_it_is_had(system: System, plain: Page) -> None:
    value = ["<b>long</b>"] * 2_000
    run_id = await system.start(echo, value, id=fresh("long"))
    await system.until(run_id, "succeeded")
    await plain.goto(at(system, run_id))
    shown = plain.get_by_label("Input", exact=True)
    assert len(await shown.locator("> pre").inner_text()) < 4_100
    await shown.locator("summary").click()
    assert (await shown.locator("details pre").inner_text()).count("<b>long</b>") == 2_000


async def test_the_page_is_usable_narrow_and_children_lead_on(system: System, page: Page) -> None:
    run_id = await system.start(checkout, fresh(), 5, id=fresh("narrow"))
    await system.until(run_id, "succeeded")
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.goto(at(system, run_id, "?entry=1"))
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await assert_accessible(page, schemes=("dark",))
    await page.get_by_role("region", name="Child runs").get_by_role("link").last.click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("/")
    await page.get_by_role("link", name=run_id, exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(run_id)
