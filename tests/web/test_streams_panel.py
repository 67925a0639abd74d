"""The streams of a run on its page: the last chunks of each, bounded, and what tells when there are more."""

from __future__ import annotations

import asyncio

from playwright.async_api import Page, expect

import holdfast as hf
from tests.web.browsing import dashboard
from tests.web.conftest import assert_accessible, serving

MARKUP = "<b>bold</b>"

gates: dict[str, asyncio.Event] = {}


@hf.step(retry=hf.Retry(max_attempts=2, initial=0.001))
async def stumbles() -> None:
    out = hf.stream("to/kens")
    await out.write({"said": f"attempt {hf.current().attempt}"})
    if hf.current().attempt == 1:
        raise ConnectionError("once more")


@hf.workflow
async def talk(more: int = 0) -> None:
    await stumbles()
    out = hf.stream("to/kens")
    await out.write(MARKUP)
    await out.close()
    for n in range(more):
        await hf.stream("long").write(f"word {n}")
    if "go" in gates:
        await gates["go"].wait()
        await hf.stream("late").write("at last")


async def test_the_page_of_a_run_shows_its_streams_without_scripts(store_url: str) -> None:
    async with dashboard(store_url) as shown, hf.Worker(shown.client, [talk], drain=0):
        run = await shown.client.start(talk.options(id="r/1"), 100)
        await run.result(timeout="30s")
        seen = await shown.get("/runs/r%2F1")
        panel = seen.html.partition('aria-label="Streams"')[2].partition("</section>")[0]
        assert '<s class="dim">' in panel.partition("withdraws 0")[0], "what is withdrawn is crossed out"
        assert "attempt 2" in panel.partition("withdraws 0")[2]
        assert MARKUP not in panel
        assert "&lt;b&gt;bold&lt;/b&gt;" in panel
        assert "word 99" in panel
        assert "word 69" not in panel
        assert "5 chunks, ended" in panel
        assert "The last 30 are shown" in panel
        assert (await shown.get("/runs/r%2F1")).status == 200
        listed = await shown.get(seen.link("API"))
        assert listed.status == 200


async def test_a_run_without_streams_says_nothing_of_them(store_url: str) -> None:
    async with dashboard(store_url) as shown:
        await shown.client.start(talk.options(id="queued"))
        assert 'aria-label="Streams"' not in (await shown.get("/runs/queued")).html
        assert (await shown.get("/streams/live?run=nobody")).status == 404


async def test_more_of_a_stream_is_shown_as_it_is_written(sqlite_url: str, page: Page) -> None:
    gates["go"] = asyncio.Event()
    try:
        async with serving(sqlite_url) as system, hf.Worker(sqlite_url, [talk], drain=0):
            await system.client.start(talk.options(id="r"))
            await page.goto(f"{system.address}/runs/r")
            panel = page.get_by_role("region", name="Streams")
            await expect(panel).to_contain_text("attempt 2", timeout=30_000)
            await assert_accessible(page)
            await expect(panel).not_to_contain_text("at last")
            gates["go"].set()
            await expect(panel).to_contain_text("at last", timeout=30_000)
    finally:
        del gates["go"]
