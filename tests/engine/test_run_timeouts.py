"""Time limits of runs, and events that cancel them, wherever the run stands when they come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine import waiting
from holdfast.engine.core import Core
from holdfast.errors import StoreUnavailable
from holdfast.services import timekeeper, worker
from holdfast.store.url import make_store
from tests.engine.clock import LONG_LEASE, move
from tests.engine.helpers import serving, until, until_status


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timekeeper looks often, and who waits for a child leaves memory at once."""
    monkeypatch.setattr(timekeeper, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "PARK_SECONDS", 0.05)


@hf.workflow
async def other() -> None: ...


@asynccontextmanager
async def working(url: str, *workflows: hf.Workflow[Any, Any]) -> AsyncIterator[hf.Client]:
    """A worker whose lease outlives that the clock is moved."""
    async with serving(url, *workflows, lease=LONG_LEASE) as client:
        yield client


async def until_asked(client: hf.Client, run_id: str, action: str) -> None:
    """Wait until a run is told."""

    async def told() -> bool:
        return (await client.get(run_id)).asked == action

    await until(told)


async def timed_out(client: hf.Client, run_id: str) -> hf.RunView:
    """The run, which fails over its time limit."""
    view = await until_status(client, run_id, "failed")
    assert view.error is not None
    assert view.error["type"] == "holdfast.errors.RunTimeout"
    return view


# Time limits


async def test_while_nobody_serves_it(store_url: str) -> None:
    begun = False

    @hf.workflow(timeout="1h")
    async def job() -> None:
        nonlocal begun
        begun = True

    async with working(store_url, other) as client:
        run = await client.start(job)
        view = await client.get(run.id)
        assert view.deadline_at is not None
        assert (view.deadline_at - view.created_at).total_seconds() == 3600
        await move(client, 3601)
        await until_asked(client, run.id, "timeout")
        assert (await client.get(run.id)).status == "queued"
        async with hf.Worker(client, [job], lease=LONG_LEASE, drain=0):
            view = await timed_out(client, run.id)
            with pytest.raises(hf.RunFailed) as failed:
                await run.result(timeout="5s")
        assert isinstance(failed.value.__cause__, hf.RunTimeout)
        assert not begun, "none of its code is executed any more"


async def test_while_it_waits(store_url: str) -> None:
    cleaned = []

    @hf.workflow(timeout="1h")
    async def job() -> None:
        try:
            await hf.sleep("30d")
        except hf.Cancelled:
            cleaned.append(hf.current().run_id)
            raise

    async with working(store_url, job) as client:
        run = await client.start(job)
        await until_status(client, run.id, "waiting")
        await move(client, 3500)
        await asyncio.sleep(0.1)
        assert (await client.get(run.id)).status == "waiting"
        await move(client, 101)
        await timed_out(client, run.id)
        assert cleaned == [run.id]


async def test_while_it_executes(store_url: str) -> None:
    begun, cut = asyncio.Event(), asyncio.Event()

    @hf.step
    async def takes_long() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cut.set()
            raise

    @hf.workflow
    async def job() -> None:
        await takes_long()

    async with working(store_url, job) as client:
        run = await client.start(job.options(timeout="1h"))
        await begun.wait()
        await move(client, 3601)
        await timed_out(client, run.id)
        assert cut.is_set()


async def test_while_it_is_delayed_the_limit_has_not_begun(store_url: str) -> None:
    @hf.workflow(timeout="1h")
    async def job() -> None:
        await hf.sleep("30d")

    async with working(store_url, job) as client:
        run = await client.start(job.options(delay="2h"))
        await move(client, 3601)
        await asyncio.sleep(0.1)
        assert (await client.get(run.id)).asked is None
        await move(client, 7200)
        await timed_out(client, run.id)


async def test_while_it_is_held(store_url: str) -> None:
    @hf.workflow(timeout="1h")
    async def job() -> None:
        await hf.sleep("30d")

    async with working(store_url, job) as client:
        run = await client.start(job)
        await until_status(client, run.id, "waiting")
        await client.hold(run.id)
        await until_status(client, run.id, "held")
        await move(client, 3601)
        await timed_out(client, run.id)


async def test_a_child_that_times_out_raises_in_its_parent(store_url: str) -> None:
    @hf.workflow(timeout="1h")
    async def child() -> None:
        await hf.sleep("30d")

    @hf.workflow
    async def parent() -> str:
        try:
            await child()
        except hf.RunFailed as error:
            return type(error.__cause__).__name__
        return "nothing"

    async with working(store_url, parent) as client:
        run = await client.start(parent)
        await until_status(client, run.id, "waiting")
        [found] = [one for one in await client.list() if one.workflow == "child"]
        await until_status(client, found.id, "waiting")
        await move(client, 3601)
        assert await run.result(timeout="10s") == "RunTimeout"


async def test_a_run_in_time_is_left_alone(store_url: str) -> None:
    @hf.workflow(timeout="1h")
    async def job() -> str:
        return "in time"

    async with working(store_url, job) as client:
        run = await client.start(job)
        assert await run.result(timeout="5s") == "in time"
        await move(client, 3601)

        async def forgotten() -> bool:
            return await client.core.store.due_deadlines(10) == []

        await until(forgotten)
        assert (await client.get(run.id)).status == "succeeded"


async def test_the_end_of_the_time_limit_starts_on_failure(store_url: str) -> None:
    told: list[hf.RunFailure] = []

    @hf.workflow
    async def mourns(failure: hf.RunFailure) -> None:
        told.append(failure)

    @hf.workflow(timeout="1h", on_failure=mourns)
    async def job(order: str) -> None:
        await hf.sleep("30d")

    async with working(store_url, job) as client:
        run = await client.start(job, "o-1")
        await until_status(client, run.id, "waiting")
        await move(client, 3601)
        await timed_out(client, run.id)

        async def was_told() -> bool:
            return bool(told)

        await until(was_told)
        assert (told[0].run_id, told[0].input) == (run.id, {"order": "o-1"})
        assert told[0].error["type"] == "holdfast.errors.RunTimeout"


async def test_a_fault_does_not_end_the_timekeeping(
    store_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "BEGIN_AGAIN_SECONDS", 0.0)
    tick, faults = timekeeper.Timekeeper.tick, [RuntimeError("a fault"), StoreUnavailable("away")]

    async def faulty(self: timekeeper.Timekeeper) -> bool:
        if faults:
            raise faults.pop()
        return await tick(self)

    monkeypatch.setattr(timekeeper.Timekeeper, "tick", faulty)
    async with working(store_url, other, ship) as client:
        run = await client.start(ship.options(timeout="1h"), "o-1")
        await until_status(client, run.id, "waiting")
        await move(client, 3601)
        await timed_out(client, run.id)
    assert "the timekeeper failed and begins again" in caplog.messages
    assert not faults


async def test_a_timeout_out_of_range_is_refused() -> None:
    for wrong in (0, -1, "soon"):
        with pytest.raises(hf.UsageError):
            other.options(timeout=wrong)


# Events that cancel


@hf.workflow(cancel_on=("order_cancelled", "order"))
async def ship(order: str) -> str:
    await hf.sleep("30d")
    return "shipped"


async def cancelled(client: hf.Client, run_id: str) -> hf.RunView:
    view = await until_status(client, run_id, "cancelled")
    assert view.error is not None
    assert view.error["type"] == "holdfast.errors.RunCancelled"
    assert "event order_cancelled" in view.error["message"]
    return view


async def test_an_event_cancels_while_nobody_serves_it(store_url: str) -> None:
    async with serving(store_url, other) as client:
        run, another = await client.start(ship, "o-1"), await client.start(ship, "o-2")
        delivery = await client.send_event("order_cancelled", key="o-1")
        assert (delivery.waits, delivery.cancels) == (0, 1)
        view = await cancelled(client, run.id)
        assert view.started_at is None
        assert (await client.get(another.id)).status == "queued"
        with pytest.raises(hf.RunCancelled):
            await run.result(timeout="5s")


async def test_an_event_cancels_while_it_waits(store_url: str) -> None:
    async with serving(store_url, ship) as client:
        run, another = await client.start(ship, "o-1"), await client.start(ship, "o-2")
        for one in (run, another):
            await until_status(client, one.id, "waiting")
        await client.send_event("order_cancelled", key="o-1")
        await cancelled(client, run.id)
        assert (await client.get(another.id)).status == "waiting"


async def test_an_event_cancels_while_it_executes(store_url: str) -> None:
    begun, cleaned = asyncio.Event(), asyncio.Event()

    @hf.step
    async def takes_long() -> None:
        begun.set()
        await asyncio.sleep(60)

    @hf.workflow(cancel_on=("order_cancelled", "order"))
    async def packs(order: str) -> None:
        try:
            await takes_long()
        finally:
            cleaned.set()

    async with serving(store_url, packs) as client:
        run = await client.start(packs, "o-1")
        await begun.wait()
        await client.send_event("order_cancelled", key="o-1")
        await cancelled(client, run.id)
        assert cleaned.is_set()


async def test_an_event_cancels_while_it_is_held(store_url: str) -> None:
    async with serving(store_url, ship) as client:
        run = await client.start(ship, "o-1")
        await until_status(client, run.id, "waiting")
        await client.hold(run.id)
        await until_status(client, run.id, "held")
        await client.send_event("order_cancelled", key="o-1")
        await cancelled(client, run.id)


async def test_an_event_cancels_while_it_is_delayed(store_url: str) -> None:
    async with serving(store_url, ship) as client:
        run = await client.start(ship.options(delay="1d"), "o-1")
        await client.send_event("order_cancelled", key="o-1")
        await cancelled(client, run.id)


async def test_an_event_cancels_all_that_it_is_about(store_url: str) -> None:
    async with serving(store_url, ship) as client:
        runs = [await client.start(ship, "o-1") for _ in range(5)]
        assert (await client.send_event("order_cancelled", key="o-1")).cancels == 5
        for run in runs:
            await cancelled(client, run.id)


async def test_an_event_is_heeded_at_once(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timekeeper, "LOOK_SECONDS", 1000.0)
    async with serving(store_url, ship) as client:
        run = await client.start(ship, "o-1")
        await until_status(client, run.id, "waiting")
        await client.send_event("order_cancelled", key="o-1")
        await cancelled(client, run.id)


async def test_an_event_from_another_process_is_heeded_at_once(disk_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timekeeper, "LOOK_SECONDS", 1000.0)
    async with serving(disk_url, ship) as client:
        run = await client.start(ship, "o-1")
        await until_status(client, run.id, "waiting")
        elsewhere = Core(disk_url, make_store(disk_url))
        elsewhere.users = 1
        await elsewhere._open(True)
        try:
            await hf.Client(elsewhere, "default").send_event("order_cancelled", key="o-1")
            await cancelled(client, run.id)
        finally:
            await elsewhere.close()


async def test_an_event_after_the_end_does_nothing(store_url: str) -> None:
    @hf.workflow(cancel_on="closed")
    async def quick() -> str:
        return "done"

    async with serving(store_url, quick) as client:
        run = await client.start(quick)
        await run.result(timeout="5s")
        assert (await client.send_event("closed")).cancels == 0
        assert (await client.get(run.id)).status == "succeeded"


async def test_a_cancelled_run_is_told_once(store_url: str) -> None:
    async with serving(store_url, ship) as client:
        run = await client.start(ship, "o-1")
        await until_status(client, run.id, "waiting")
        await client.send_event("order_cancelled", key="o-1")
        await cancelled(client, run.id)

        async def forgotten() -> bool:
            return await client.core.store.fired_watches(10) == []

        await until(forgotten)


# After a retry


async def test_a_retried_run_has_its_time_limit_again(store_url: str) -> None:
    @hf.workflow(timeout="1h")
    async def job() -> None:
        await hf.sleep("30d")

    async with working(store_url, job) as client:
        run = await client.start(job)
        await until_status(client, run.id, "waiting")
        await move(client, 3601)
        await timed_out(client, run.id)
        await client.retry(run.id)
        view = await until_status(client, run.id, "waiting")
        assert view.deadline_at is not None
        assert view.error is None
        await move(client, 3601)
        await timed_out(client, run.id)


async def test_a_retried_run_is_cancelled_by_its_event_again(store_url: str) -> None:
    @hf.workflow(cancel_on=("gone", "key"))
    async def job(key: str) -> None:
        await hf.sleep("30d")

    async with working(store_url, job) as client:
        run = await client.start(job, "k")
        for _ in range(2):
            await until_status(client, run.id, "waiting")
            assert (await client.send_event("gone", key="k")).cancels == 1
            await until_status(client, run.id, "cancelled")
            await client.retry(run.id)
        await until_status(client, run.id, "waiting")


async def test_a_short_limit_is_kept_while_it_executes(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timekeeper, "LOOK_SECONDS", 60.0)

    @hf.workflow(timeout=0.3)
    async def job() -> None:
        await hf.sleep(5)

    async with working(store_url, job) as client:
        run = await client.start(job)
        async with asyncio.timeout(3):
            await timed_out(client, run.id)
