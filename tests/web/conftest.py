"""Fixtures of the pages' tests: a server with a worker, and a real browser on it, all in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

import holdfast as hf
from holdfast.api.config import ServeConfig
from holdfast.web import create_app
from tests.web.shop import WORKFLOWS

CHROMIUM = os.environ.get("HOLDFAST_CHROMIUM", "/usr/bin/chromium")

ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip

PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests with a browser share its event loop, which goes on as long as they do."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if Path(__file__).parent in item.path.parents and {"browser", "system"} & set(names):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.slow)


class Serving(uvicorn.Server):
    """A server in a loop that is not its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class System:
    """A database, a server of it, and a client.

    Attributes:
        address: of the server.
        url: of the database.
    """

    address: str
    url: str
    client: hf.Client
    app: Any
    server: Serving | None = field(repr=False, default=None)

    async def start(self, workflow: Any, /, *args: Any, **options: Any) -> str:
        """Start a run, with options; gives its id."""
        handle = await self.client.start(workflow.options(**options), *args)
        return str(handle.id)

    async def until(self, run_id: str, *statuses: str) -> hf.RunView:
        """Wait until a run has one of some statuses."""
        async with asyncio.timeout(20):
            while (view := await self.client.get(run_id)).status not in statuses:
                await asyncio.sleep(0.02)
        return view


@contextlib.asynccontextmanager
async def serving(
    url: str, *, port: int | None = None, conversations: Sequence[hf.TurnEngine] = (), **config: Any
) -> AsyncIterator[System]:
    """A server of a database, on a port of its own, and a client of the database."""
    with contextlib.closing(socket.socket(proto=socket.IPPROTO_TCP)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port or 0))
        port = listening.getsockname()[1]
        app = create_app(url, config=ServeConfig(**{"port": port, **config}), conversations=conversations, state_url="")
        server = Serving(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            async with hf.connect(url) as client, asyncio.timeout(20) as starting:
                while not server.started:
                    await asyncio.sleep(0.01)
                starting.reschedule(None)
                yield System(f"http://127.0.0.1:{port}", url, client, app, server)
        finally:
            server.should_exit = True
            await task


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, once for all tests."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}; HOLDFAST_CHROMIUM names another place")
    # Each launch gets a fresh profile of Playwright's own.
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield found
        await found.close()


# Of a module, and not of all: tests of other folders, in the same process, see to it that nothing is left open.
@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system() -> AsyncIterator[System]:
    """A shop on SQLite, with a worker in this process; shared, so that each test uses ids of its own."""
    with tempfile.TemporaryDirectory(prefix="holdfast-web-") as folder:
        url = f"sqlite:///{folder}/shop.db"
        async with hf.Worker(url, WORKFLOWS, concurrency=100), serving(url) as found:
            yield found


class Tab:
    """What went wrong in a page: errors of scripts, and what the policy refused."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._heard)

    def _heard(self, message: ConsoleMessage) -> None:
        # That an answer was a 404 or the like is for the test to see.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)


async def opened(browser: Browser, **options: Any) -> Tab:
    """A tab in a context of its own."""
    context = await browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    context.set_default_timeout(PATIENCE_MS)
    return Tab(context, await context.new_page())


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page with scripts. That no script failed, and nothing broke the policy, is part of each test."""
    tab = await opened(browser)
    yield tab.page
    await tab.context.close()
    assert not tab.errors


@pytest_asyncio.fixture(loop_scope="session")
async def plain(browser: Browser) -> AsyncIterator[Page]:
    """A page without scripts."""
    tab = await opened(browser, java_script_enabled=False)
    yield tab.page
    await tab.context.close()


SERIOUS = ("serious", "critical")


async def assert_accessible(page: Page, schemes: Sequence[Literal["light", "dark"]] = ("light", "dark")) -> None:
    """axe finds nothing serious or critical on the page, in light and in dark."""
    await page.evaluate(Axe().axe_script)
    for number, scheme in enumerate(schemes):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        # In another scheme nothing but colours is another.
        rules = {"resultTypes": ["violations"], **({"runOnly": ["color-contrast"]} if number else {})}
        found = await page.evaluate("rules => axe.run(document, rules).then((found) => found.violations)", rules)
        bad = [
            f"{one['id']}: {one['help']}: {node['html'][:200]} {node['failureSummary']}"
            for one in found
            if one["impact"] in SERIOUS
            for node in one["nodes"][:3]
        ]
        assert not bad, f"{page.url} in {scheme}: " + "\n".join(bad)
