"""Looking at runs: one, a list with filters and pages, a history, a result."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, serving, until_status


@hf.step(retry=ONCE)
async def check(kind: str) -> str:
    if kind == "bad":
        raise ValueError(kind)
    return kind


@hf.workflow
async def order(kind: str) -> str:
    if kind == "long":
        await hf.sleep("1h")
    return await check(kind)


@hf.workflow
async def quick(n: int) -> int:
    return n


@hf.workflow
async def unserved() -> None: ...


async def test_a_run_shows_what_it_is_and_when(store_url: str) -> None:
    async with serving(store_url, order) as client:
        before = datetime.now(UTC)
        run = await client.start(order.options(id="o-1", priority=2), "good")
        assert await run.result() == "good"
        view = await client.get("o-1")
        assert view == await run.view()
        assert (view.id, view.workflow, view.version, view.status) == ("o-1", "order", "1", "succeeded")
        assert (view.queue, view.priority, view.attempt, view.rescues) == ("default", 2, 1, 0)
        assert (view.input, view.output, view.error, view.attributes) == ({"kind": "good"}, "good", None, {})
        assert (view.parent, view.worker, view.due_at) == (None, None, None)
        assert view.started_at is not None
        assert view.finished_at is not None
        # The database's clock, as far as ours can be compared with it.
        slack = timedelta(milliseconds=50)
        assert before - slack <= view.created_at <= view.started_at <= view.finished_at <= datetime.now(UTC) + slack
        [entry] = await client.history("o-1")
        assert (entry.position, entry.seq, entry.generation, entry.kind, entry.outcome) == ("0", 1, 1, "step", "ok")
        assert entry.finished_at is not None
        assert view.started_at <= entry.started_at <= entry.finished_at <= view.finished_at


async def test_runs_are_listed_newest_first_by_page_and_filter(store_url: str) -> None:
    async with serving(store_url, order, quick) as client:
        for n in range(7):
            await (await client.start(quick.options(id=f"q-{n}"), n)).result()
        for kind in ("good", "bad", "long"):
            await client.start(order.options(id=kind), kind)
        await client.start(unserved.options(id="unserved"))
        await until_status(client, "long", "waiting")
        await until_status(client, "bad", "failed")
        await until_status(client, "good", "succeeded")

        async def ids(**filters: object) -> list[str]:
            return [view.id for view in await client.list(**filters)]  # type: ignore[arg-type]

        everything = ["unserved", "long", "bad", "good", *(f"q-{n}" for n in reversed(range(7)))]
        assert await ids() == everything
        assert await ids(workflow="quick") == [f"q-{n}" for n in reversed(range(7))]
        assert await ids(workflow="quick", limit=2) == ["q-6", "q-5"]
        assert await ids(status="failed") == ["bad"]
        assert await ids(status="waiting") == ["long"]
        assert await ids(status="queued") == ["unserved"]
        assert await ids(status="running") == []
        assert await ids(status="succeeded", workflow="order") == ["good"]
        assert await ids(workflow="nobody's") == []

        pages, last = [], None
        while page := await client.list(limit=3, before=last):
            pages += [view.id for view in page]
            last = page[-1]
        assert pages == everything
        page = await client.list(status="succeeded", limit=4)
        rest = await client.list(status="succeeded", limit=100, before=page[-1])
        assert [view.id for view in (*page, *rest)] == ["good", *(f"q-{n}" for n in reversed(range(7)))]


async def test_pages_stay_whole_while_runs_are_started(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.start_many(quick, [(n,) for n in range(10)], ids=[f"q-{n}" for n in range(10)])
        first = await client.list(limit=5)
        await client.start_many(quick, [(n,) for n in range(5)])
        second = await client.list(limit=5, before=first[-1])
        assert {view.id for view in (*first, *second)} == {f"q-{n}" for n in range(10)}


@pytest.mark.parametrize("limit", [0, 1001, -1, True, 2.0, "5", None])
async def test_a_limit_out_of_range_is_refused(limit: object) -> None:
    async with hf.connect("memory://") as client:
        with pytest.raises(hf.UsageError, match="limit is"):
            await client.list(limit=limit)  # type: ignore[arg-type]


async def test_an_unknown_status_is_refused() -> None:
    async with hf.connect("memory://") as client:
        with pytest.raises(hf.UsageError, match="it is one of queued, running, waiting"):
            await client.list(status="done")


async def test_a_run_that_does_not_exist(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        for look in (client.get, client.history, client.handle):
            with pytest.raises(hf.RunNotFound, match="tenant 'default' has no run 'o-1'") as missing:
                await look("o-1")
            assert missing.value.run_id == "o-1"
        for wrong in ("", "a\0b", "\ud800", 3):
            with pytest.raises(hf.UsageError, match="the id of a run"):
                await client.get(wrong)  # type: ignore[arg-type]


async def test_a_result_that_is_late_leaves_the_run_going(store_url: str) -> None:
    go_on = asyncio.Event()

    @hf.step
    async def slow() -> int:
        await go_on.wait()
        return 7

    @hf.workflow
    async def waits() -> int:
        return await slow()

    async with serving(store_url, waits) as client:
        run = await client.start(waits.options(id="w"))
        for timeout in (0, 0.01, "10ms"):
            with pytest.raises(TimeoutError, match=r"run 'w' has not ended after 0(.01)? s; it goes on"):
                await run.result(timeout=timeout)
        await until_status(client, "w", "running")
        go_on.set()
        assert await run.result(timeout="10s") == 7


async def test_everybody_who_waits_gets_the_result(store_url: str) -> None:
    async with serving(store_url, order) as client:
        run = await client.start(order.options(id="o-1"), "good")
        same = await client.start(order.options(id="o-1"), "good")
        found = await client.handle("o-1", order)
        bare = await client.handle("o-1")
        results = await asyncio.gather(*(one.result("10s") for one in (run, same, found, bare, run, run)))
        assert results == ["good"] * 6


async def test_a_waiter_that_gives_up_does_not_take_the_result_from_others(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        run = await client.start(order, "good")
        patient = asyncio.create_task(run.result("10s"))
        with pytest.raises(TimeoutError):
            await run.result(0.01)
        async with hf.Worker(client, [order], drain=0):
            assert await patient == "good"


async def test_the_result_of_a_run_that_has_ended_is_there_at_once(store_url: str) -> None:
    async with serving(store_url, quick) as client:
        runs = await client.start_many(quick, [(n,) for n in range(20)])
        for run in runs:
            await until_status(client, run.id, "succeeded")
        began = time.monotonic()
        assert [await run.result("10s") for run in runs] == list(range(20))
        assert time.monotonic() - began < 1.5


async def test_the_result_of_a_run_that_another_process_executes(sqlite_url: str) -> None:
    """Two cores on one file know as little of each other as two processes."""
    spelled = sqlite_url.replace("/holdfast.db", "/./holdfast.db")
    async with hf.connect(sqlite_url) as client, serving(spelled, order) as elsewhere:
        assert client.core is not elsewhere.core
        run = await client.start(order, "good")
        assert await run.result("10s") == "good"
        assert (await elsewhere.get(run.id)).status == "succeeded"
        failing = await client.start(order, "bad")
        with pytest.raises(hf.RunFailed):
            await failing.result("10s")
