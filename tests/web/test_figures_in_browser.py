"""The pages of figures and levers in a real browser: live, through dialogs, in both themes, on a telephone."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

import holdfast as hf
from tests.web.conftest import PATIENCE_MS, System, assert_accessible, opened, serving
from tests.web.shop import WORKFLOWS, checkout, crunch, echo

expect.set_options(timeout=PATIENCE_MS)

PAGES = (
    "/", "/workflows", "/workflows/checkout", "/queues", "/schedules", "/schedules/every%20hour", "/workers",
    "/dead-letters", "/audit", "/settings", "/settings/people", "/settings/retention", "/settings/server",
)  # fmt: skip
FORMS = (
    "/queue/limits?name=default", "/workflow/pause?name=checkout", "/schedule/change?name=every%20hour",
    "/schedule/backfill?name=every%20hour", "/key/new", "/person/new", "/retention/set",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def busy(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> AsyncIterator[System]:
    """A shop where something of everything has happened."""
    url = f"sqlite:///{tmp_path_factory.mktemp('busy')}/shop.db"
    async with serving(url) as found:
        async with hf.Worker(url, WORKFLOWS, concurrency=100):
            for n in range(6):
                await found.start(checkout, f"o-{n}", 500, ["ok", "ok", "declined"][n % 3], id=f"order/{n}")
            await found.start(checkout, "hot", 500, "ok", 2, "wait", id="first")
            await found.start(checkout, "hot", id="second")
            await found.start(echo, 1, id="echo")
            await found.client.schedule("every hour", echo, every="1h", input={"value": 1})
            await found.client.schedule("paused", echo, cron="0 8 * * MON-FRI", zone="Europe/Berlin")
            await found.client.pause_schedule("paused")
            for n in range(6):
                await found.until(f"order/{n}", "succeeded", "failed")
            await found.until("first", "waiting")
            await found.until("echo", "succeeded")
        async with hf.Worker(url, WORKFLOWS, concurrency=100):
            ann = hf.Client(found.client.core, "default", actor="ann")
            await ann.set_queue("default", total=50)
            await ann.set_queue("mail", total=1, per_worker=1)
            await ann.pause_queue("mail")
            await ann.create_key("import", role="operator", expires="90d")
            await ann.put_user("ann", name="Ann", email="ann@example.com", role="admin", groups=["billing"])
            await hf.Client(found.client.core, "default", actor="local").put_view("runs", "broken", "status:failed")
            yield found


@pytest.mark.slow
@pytest.mark.parametrize("path", [*PAGES, *FORMS])
async def test_every_page_is_accessible_in_light_and_dark(busy: System, page: Page, path: str) -> None:
    answer = await page.goto(busy.address + path)
    assert answer is not None
    assert answer.status == 200
    await assert_accessible(page)


async def test_no_page_is_wider_than_a_telephone(busy: System, browser: Browser) -> None:
    tab = await opened(browser, viewport={"width": 390, "height": 844})
    for path in (*PAGES, *FORMS):
        await tab.page.goto(busy.address + path)
        assert await tab.page.evaluate("document.documentElement.scrollWidth") <= 390, path
    await tab.context.close()
    assert not tab.errors


async def test_a_chart_is_drawn_in_the_theme_that_is_seen_and_only_in_that(busy: System, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "ends.svg" in request.url else None)
    await page.emulate_media(color_scheme="dark")
    await page.goto(busy.address + "/")
    drawn = page.locator(".chart .only-dark img")
    await expect(drawn).to_be_visible()
    await expect(page.locator(".chart .only-light img")).to_be_hidden()
    assert await drawn.evaluate("async one => (await one.decode(), one.naturalWidth)") == 1120
    assert asked
    assert all("theme=dark" in one for one in asked)
    await page.get_by_role("button", name="Switch between light and dark").click()
    await expect(page.locator(".chart .only-light img")).to_be_visible()
    await expect(drawn).to_be_hidden()


async def test_the_overview_is_live(busy: System, page: Page) -> None:
    await page.goto(busy.address + "/")
    figure = page.locator("a.figure", has_text="Held")
    value = figure.locator(".figure-value")
    await expect(value).to_have_text("0")
    await busy.client.hold("first", reason="look at it")
    # A busy machine looks seldom: what looking takes, the server rests several times over.
    await expect(value).to_have_text("1", timeout=3 * PATIENCE_MS)
    await busy.client.release("first")
    await expect(value).to_have_text("0", timeout=3 * PATIENCE_MS)


async def test_queues_are_live_and_changed_in_dialogs(busy: System, page: Page) -> None:
    await page.goto(busy.address + "/queues")
    row = page.locator("tr", has_text="mail")
    await expect(row).to_contain_text("paused")
    await row.get_by_role("link", name="Limits").click()
    dialog = page.locator("dialog")
    await dialog.get_by_label("On all workers together").fill("0")
    await dialog.get_by_role("button", name="Set the limits").click()
    await expect(dialog).to_contain_text("Give 1 to")
    await dialog.get_by_label("On all workers together").fill("77")
    await dialog.get_by_role("button", name="Set the limits").click()
    await expect(page.get_by_role("status")).to_contain_text(["The limits of queue mail are changed."])
    await expect(row).to_contain_text("of 77")
    await busy.client.set_queue("mail", total=1)
    await busy.client.resume_queue("mail")
    await expect(row).to_contain_text("of 1")
    await expect(row).not_to_contain_text("paused")
    await row.get_by_role("link", name="Pause").click()
    await dialog.get_by_role("button", name="Pause it").click()
    await expect(row).to_contain_text("paused")


async def test_a_lane_leads_to_its_runs(busy: System, page: Page) -> None:
    await page.goto(busy.address + "/queues")
    await page.get_by_role("link", name="order = hot").click()
    await expect(page.get_by_role("link", name="second", exact=True)).to_be_visible()
    await expect(page.get_by_role("link", name="first", exact=True)).to_be_visible()
    await expect(page.get_by_role("link", name="order/0", exact=True)).to_have_count(0)


async def test_a_failure_leads_to_its_runs_and_one_is_retried_in_a_dialog(busy: System, page: Page) -> None:
    await page.goto(busy.address + "/")
    await page.locator("section", has=page.get_by_role("heading", name="Failures")).get_by_role("link").first.click()
    await expect(page.get_by_role("heading", name="Dead letters")).to_be_visible()
    row = page.locator("tr[data-row]").first
    await row.get_by_role("link", name="Retry").click()
    await page.locator("dialog").get_by_role("button", name="Retry it").click()
    await expect(page.get_by_role("status").first).to_be_attached()


async def test_a_key_is_made_in_a_dialog_and_shown_once(busy: System, page: Page) -> None:
    await page.goto(busy.address + "/settings")
    await page.get_by_role("link", name="Make a key").click()
    dialog = page.locator("dialog")
    await dialog.get_by_label("What it is for").fill("a script")
    await dialog.get_by_role("button", name="Make it").click()
    await expect(dialog.locator(".secret")).to_contain_text("hf_")
    secret = (await dialog.locator(".secret .mono").inner_text()).strip()
    await dialog.get_by_role("link", name="I have it").click()
    await expect(page.locator("table")).to_contain_text("a script")
    assert secret not in await page.content()


async def test_a_schedule_is_paused_and_run_with_scripts(busy: System, page: Page) -> None:
    await page.goto(busy.address + "/schedules/every%20hour")
    await page.get_by_role("link", name="Run now").click()
    await page.locator("dialog").get_by_role("button", name="Run it now").click()
    await expect(page.locator(".said")).to_contain_text("is started")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator(".said")).to_contain_text("is paused")
    await expect(page.locator(".status-paused")).to_be_visible()
    await busy.client.resume_schedule("every hour")
    await expect(page.locator("dl")).not_to_contain_text("none while it is paused")
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await expect(page.locator(".status-paused")).to_be_hidden()


async def test_workers_and_workflows_are_live(busy: System, page: Page) -> None:
    await page.goto(busy.address + "/workers")
    await expect(page.locator("a.figure", has_text="Runs in hand")).to_be_visible()
    run = await busy.start(crunch, 1.5, id="long one")
    await expect(page.locator("a.figure", has_text="Runs in hand").locator(".figure-value")).not_to_have_text("0")
    await busy.until(run, "succeeded")


async def test_all_of_it_works_without_scripts(busy: System, plain: Page) -> None:
    await plain.goto(busy.address + "/queues")
    await plain.get_by_role("link", name="Limit a queue").click()
    await plain.get_by_role("textbox", name="Queue").fill("plain")
    await plain.get_by_label("On all workers together").fill("5")
    await plain.get_by_role("button", name="Set the limits").click()
    await expect(plain.locator(".said")).to_contain_text("The limits of queue plain are changed.")
    await plain.get_by_role("link", name="Overview").click()
    await expect(plain.locator(".chart .only-light img")).to_be_visible()
    await plain.get_by_role("link", name="24 hours").click()
    await expect(plain.get_by_role("heading", name="Runs that ended in the last 24 hours")).to_be_visible()
    await plain.get_by_text("In figures").click()
    await expect(plain.locator(".figures-of table")).to_be_visible()
