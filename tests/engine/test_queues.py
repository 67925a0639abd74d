"""Queues: their limits, pauses, and what is in them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

import holdfast as hf
from holdfast.engine import dispatcher
from tests.engine.helpers import serving, until, until_status


class Gauge:
    """Counts what executes at once, and lets it end when it is opened."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.gate = asyncio.Event()

    async def pass_through(self) -> None:
        """Execute until the gate is open."""
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.gate.wait()
        finally:
            self.now -= 1


gauge: Gauge


@pytest.fixture(autouse=True)
def new_gauge() -> None:
    """A gauge for each test."""
    global gauge
    gauge = Gauge()


@hf.step
async def render(n: int) -> int:
    await gauge.pass_through()
    return n


@hf.workflow(queue="gpu")
async def picture(n: int) -> int:
    return await render(n)


@hf.workflow
async def quick(n: int) -> int:
    return n


@asynccontextmanager
async def limited(url: str, **limits: int) -> AsyncIterator[hf.Client]:
    """A client of a database whose queue gpu is limited."""
    async with hf.connect(url) as client:
        await client.set_queue("gpu", **limits)
        yield client


async def queue(client: hf.Client, name: str) -> hf.QueueView | None:
    """The queue as the client shows it."""
    return next((one for one in await client.queues() if one.name == name), None)


async def test_settings_stay_until_they_are_changed(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        assert await client.queues() == []
        await client.set_queue("gpu", total=4)
        assert await client.queues() == [hf.QueueView("gpu", 4, None, False, 0, 0)]
        await client.set_queue("gpu", per_worker=2)
        await client.pause_queue("gpu")
        await client.set_queue("cpu")
        assert await client.queues() == [
            hf.QueueView("cpu", None, None, False, 0, 0),
            hf.QueueView("gpu", 4, 2, True, 0, 0),
        ]
        await client.set_queue("gpu", total=None)
        await client.resume_queue("gpu")
        assert await queue(client, "gpu") == hf.QueueView("gpu", None, 2, False, 0, 0)


async def test_a_queue_says_since_when_its_first_run_is_due(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        assert await client.queues() == []
        before = datetime.now(UTC)
        first = await client.start(picture.options(queue="gpu"), 1)
        await client.start(picture.options(queue="gpu"), 2)
        await client.start(picture.options(queue="later", delay="1h"), 3)
        found = {view.name: view for view in await client.queues()}
        assert found["gpu"].ready == 2
        assert found["gpu"].oldest_at == (await client.get(first.id)).created_at
        assert found["gpu"].oldest_at >= before - timedelta(seconds=1)
        assert "later" not in found or found["later"].oldest_at is None


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "4", 2**63])
async def test_a_limit_out_of_range_is_refused(limit: object) -> None:
    async with hf.connect("memory://") as client:
        for name in ("total", "per_worker"):
            with pytest.raises(hf.UsageError, match=f"{name} is {limit!r}; give a whole number from 1 to 1000000000"):
                await client.set_queue("gpu", **{name: limit})  # type: ignore[arg-type]
        assert await client.queues() == []


async def test_names_are_checked() -> None:
    async with hf.connect("memory://") as client:
        for change in (client.set_queue, client.pause_queue, client.resume_queue, client.pause_workflow):
            with pytest.raises(hf.UsageError, match="the name of a"):
                await change("")


async def test_a_total_holds_over_all_workers(store_url: str) -> None:
    async with (
        limited(store_url, total=2) as client,
        hf.Worker(client, [picture], drain=0),
        hf.Worker(client, [picture], drain=0),
    ):
        runs = await client.start_many(picture, [(n,) for n in range(6)])

        async def full() -> bool:
            return gauge.now == 2

        await until(full)
        await asyncio.sleep(0.2)
        assert gauge.now == 2
        found = await queue(client, "gpu")
        assert found is not None
        assert (found.ready, found.executing) == (4, 2)
        gauge.gate.set()
        assert sorted([await run.result("20s") for run in runs]) == list(range(6))
        assert gauge.most == 2


async def test_a_limit_of_each_worker(store_url: str) -> None:
    async with limited(store_url, per_worker=1) as client, hf.Worker(client, [picture], drain=0):
        await client.start_many(picture, [(n,) for n in range(3)])

        async def one() -> bool:
            return gauge.now == 1

        await until(one)
        await asyncio.sleep(0.1)
        assert gauge.now == 1
        async with hf.Worker(client, [picture], drain=0):

            async def two() -> bool:
                return gauge.now == 2

            await until(two)
            gauge.gate.set()

            async def done() -> bool:
                return (await client.count("status = 'succeeded'")).runs == 3

            await until(done)
        assert gauge.most == 2


async def test_a_limit_that_is_lifted_lets_the_rest_go_at_once(store_url: str) -> None:
    async with limited(store_url, total=1) as client, hf.Worker(client, [picture], drain=0):
        await client.start_many(picture, [(n,) for n in range(4)])

        async def executing(number: int) -> None:
            async def reached() -> bool:
                return gauge.now == number

            await until(reached)

        await executing(1)
        await client.set_queue("gpu", total=3)
        await executing(3)
        await client.set_queue("gpu", total=None)
        await executing(4)
        gauge.gate.set()


async def test_settings_that_are_changed_at_once_are_all_kept(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        for n in range(1, 6):
            await client.set_queue("gpu", total=None, per_worker=None)
            await client.resume_queue("gpu")
            await asyncio.gather(
                client.set_queue("gpu", total=n), client.pause_queue("gpu"), client.set_queue("gpu", per_worker=n)
            )
            assert await queue(client, "gpu") == hf.QueueView("gpu", n, n, True, 0, 0)


async def test_a_pause_by_another_process_is_seen_before_the_next_poll(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 60.0)
    async with hf.connect(sqlite_url) as client, hf.Worker(client, [quick]):
        await (await client.start(quick, 0)).result(timeout="30s")
        # Nothing is announced by the store itself: as when another process writes.
        await client.core.store.pause_workflow("quick", True)
        await asyncio.sleep(1)
        run = await client.start(quick, 1)
        await asyncio.sleep(0.2)
        assert (await run.view()).status == hf.Status.QUEUED
        await client.core.store.pause_workflow("quick", False)
        await run.result(timeout="30s")


async def test_a_paused_queue_and_the_others(store_url: str) -> None:
    gauge.gate.set()
    async with hf.connect(store_url) as client:
        await client.pause_queue("gpu")
        stopped = await client.start(picture, 1)
        async with hf.Worker(client, [picture, quick], drain=0):
            assert await (await client.start(quick, 2)).result("30s") == 2
            with pytest.raises(TimeoutError):
                await stopped.result(0.2)
            await client.resume_queue("gpu")
            assert await stopped.result("30s") == 1


async def test_a_paused_workflow_and_the_others(store_url: str) -> None:
    gauge.gate.set()
    async with hf.connect(store_url) as client:
        await client.pause_workflow("quick")
        stopped = await client.start(quick, 1)
        async with hf.Worker(client, [picture, quick], drain=0):
            assert await (await client.start(picture, 2)).result("30s") == 2
            with pytest.raises(TimeoutError):
                await stopped.result(0.2)
            await client.resume_workflow("quick")
            assert await stopped.result("30s") == 1


async def test_what_executes_goes_on_while_its_queue_is_paused(store_url: str) -> None:
    async with serving(store_url, picture) as client:
        run = await client.start(picture.options(id="p"), 1)
        await until_status(client, "p", "running")
        await client.pause_queue("gpu")
        gauge.gate.set()
        assert await run.result("30s") == 1


async def test_stranded_runs_are_those_that_no_living_worker_serves(store_url: str) -> None:
    async with serving(store_url, quick) as client:
        assert await client.stranded() == []
        await client.start_many(picture, [(n,) for n in range(3)])
        await client.start(quick.options(queue="elsewhere"), 1)
        assert sorted(await client.stranded(), key=lambda kind: kind.queue) == [
            hf.Stranded("elsewhere", "quick", "1", 1),
            hf.Stranded("gpu", "picture", "1", 3),
        ]
        async with hf.Worker(client, [picture], drain=0):
            assert await client.stranded() == [hf.Stranded("elsewhere", "quick", "1", 1)]


async def test_lanes_in_use(store_url: str) -> None:
    @hf.workflow(key="order_id", lane="order")
    async def checkout(order_id: str) -> None:
        await hf.wait_for_event("paid", key=order_id)

    @hf.workflow(limit=2)
    async def nightly() -> None:
        await hf.sleep("1h")

    async with hf.connect(store_url) as client:
        assert await client.lanes() == []
        await client.start_many(checkout, [("o-1",), ("o-1",), ("o-1",), ("o-2",)])
        await client.start(nightly)
        lanes = [
            hf.LaneView("nightly", "", 2, 1, 0),
            hf.LaneView("order", "o-1", 1, 1, 2),
            hf.LaneView("order", "o-2", 1, 1, 0),
        ]
        assert await client.lanes() == lanes
        assert await client.lanes(limit=2) == lanes[:2]
        async with hf.connect(store_url, tenant="other") as other:
            assert await other.lanes() == []
        with pytest.raises(hf.UsageError, match="limit is 0"):
            await client.lanes(limit=0)


async def test_workers_with_their_beats(store_url: str) -> None:
    async with serving(store_url, picture) as client:
        [worker] = await client.workers()
        assert worker.alive
        assert worker.running == 0
        slack = timedelta(seconds=20)
        now = datetime.now(UTC)
        assert now - slack < worker.started_at <= worker.beat_at <= now + slack
        assert worker.expires_at > now
        await client.start(picture.options(id="p"), 1)
        view = await until_status(client, "p", "running")
        [worker] = await client.workers()
        assert (worker.id, worker.running) == (view.worker, 1)
        async with hf.Worker(client, [quick], drain=0):
            assert [one.running for one in await client.workers()] == [1, 0]
    async with hf.connect("memory://") as client:
        assert await client.workers() == []
