"""The pages of runs on each database, without a browser; and what they cost with much behind them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import holdfast as hf
from holdfast.model.payload import codec_of
from holdfast.model.position import encode_number
from holdfast.store.sqlite.rows import executing
from tests.web.browsing import Dashboard, dashboard
from tests.web.shop import WORKFLOWS, checkout, echo


async def until(shown: Dashboard, run_id: str, status: str) -> hf.RunView:
    async with asyncio.timeout(20):
        while (view := await shown.client.get(run_id)).status != status:
            await asyncio.sleep(0.01)
    return view


async def test_a_run_from_its_start_to_its_fork(disk_url: str) -> None:
    async with dashboard(disk_url) as shown, hf.Worker(shown.client, WORKFLOWS):
        form = await shown.get("/start?workflow=checkout")
        begun = await shown.browser.send(
            form, "Start the run", **{"in.order": "o-7", "in.card": "flaky", "in.then": "wait"}
        )
        assert "The run is started." in begun.text
        run_id = begun.path.rpartition("/")[2]
        await until(shown, run_id, "waiting")
        seen = await shown.get(f"/runs/{run_id}?entry=1")
        assert "Waits for event shipped (key o-7) until" in seen.text
        assert "ConnectionError: the bank did not answer (attempt 1)" in seen.text
        assert seen.html.count('class="b-backoff"') == 3  # two of them, and the one of the legend
        await shown.client.start(checkout.options(id="second"), "o-7")
        listed = await shown.get("/runs?q=lane:order=o-7")
        assert "2 runs" in listed.text
        assert (await shown.get("/runs?q=lane:order=*")).text.count("checkout") >= 2
        assert "in lane order=o-7" in (await shown.get("/runs/second")).text
        held = await shown.get(f"/runs/{run_id}?do=event")
        await shown.browser.send(held, "Send it", payload='"now"')
        view = await until(shown, run_id, "succeeded")
        assert view.output["shipped"] == "now"
        fork = await shown.get(f"/runs/{run_id}?do=fork&entry=1")
        forked = await shown.browser.send(fork, "Start the fork", edit="output", output='"free"', id="free")
        assert forked.path == "/runs/free"
        await until(shown, "free", "waiting")
        entry = (await shown.client.history("free"))[1]
        assert (entry.name, entry.output) == ("charge", "free")


async def test_a_bulk_job_over_what_a_line_finds(disk_url: str) -> None:
    async with dashboard(disk_url) as shown, hf.Worker(shown.client, WORKFLOWS):
        for number in range(3):
            await shown.client.start(checkout.options(id=f"f-{number}"), f"f-{number}", 1, "declined")
            await until(shown, f"f-{number}", "failed")
        asked = await shown.get("/bulk?action=fork&q=status:failed")
        assert "Fork 3 runs?" in asked.text
        wrong = await shown.browser.send(asked, "Fork them", step="")
        assert wrong.status == 422
        done = await shown.browser.send(wrong, "Fork them", step="charge")
        assert "The job is started" in done.text
        view = await until(shown, done.path.rpartition("/")[2], "succeeded")
        assert view.output["done"] == 3


async def test_a_page_costs_no_more_with_much_behind_it() -> None:
    """What a page reads is bounded; how long it takes is measured by the benchmark of pages."""
    async with dashboard() as shown:
        await shown.client.start_many(echo, [(number,) for number in range(3_000)])
        seen = await shown.get("/runs")
        assert "1,000+ runs" in seen.text
        assert seen.html.count("data-row") == 50
        assert len(seen.html) < 150_000
        bulk = await shown.get("/bulk?action=cancel")
        assert "Cancel 1,000+ runs?" in bulk.text


@pytest.mark.slow
async def test_a_run_with_a_hundred_thousand_entries_is_usable() -> None:
    async with dashboard() as shown:
        handle = await shown.client.start(echo.options(id="vast"), 1)
        uid = (await shown.client._find(handle.id)).uid
        now = shown.client.core.now_us()
        long = codec_of(Any).encode("<b>" * 70, "a value")
        await shown.client.core.store._write(  # type: ignore[attr-defined]
            executing(
                "INSERT INTO journal (run, position, generation, seq, kind, name, outcome, input, output, attempts,"
                " started_at, finished_at, epoch) VALUES (?, ?, 1, ?, 'step', 'pack', 'ok', ?, ?, 1, ?, ?, 1)",
                *(
                    (uid, b"\0" + encode_number(number) + b"\0", number, long, long, now + number, now + number + 5)
                    for number in range(100_000)
                ),
            )
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        seen = await shown.get("/runs/vast")
        took = loop.time() - began
        assert seen.status == 200
        assert len(seen.html) < 300_000
        assert took < 3
        following = await shown.get(seen.link("Further entries"))
        assert following.html.count("tl-row") >= 200
