"""Workers: how many runs at once, what they refuse, and how they leave."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine.core import Core
from tests.engine.helpers import outcome, serving, until, until_status


@hf.step
async def increment(x: int) -> int:
    return x + 1


@hf.workflow
async def quick(x: int) -> int:
    return await increment(x)


@hf.workflow(queue="mail")
async def mail(x: int) -> int:
    return x


def gauge() -> tuple[Any, Callable[[], int]]:
    """A workflow whose runs wait a moment in a step, and the most that did so at once."""
    going, most = 0, 0

    @hf.step
    async def busy() -> None:
        nonlocal going, most
        going += 1
        most = max(most, going)
        await asyncio.sleep(0.003)
        going -= 1

    @hf.workflow
    async def works() -> None:
        await busy()

    return works, lambda: most


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_no_more_runs_execute_at_once_than_allowed(concurrency: int, store_url: str) -> None:
    works, most = gauge()
    async with serving(store_url, works, concurrency=concurrency) as client:
        runs = await client.start_many(works, [()] * 12)
        await asyncio.gather(*(run.result("10s") for run in runs))
    assert most() == concurrency


@pytest.mark.slow
async def test_the_bound_holds_while_runs_give_up_slots_and_take_them_back(store_url: str, park_at_once: None) -> None:
    going, most = 0, 0

    @hf.step
    async def busy() -> int:
        nonlocal going, most
        going += 1
        most = max(most, going)
        await asyncio.sleep(0.002)
        going -= 1
        return 1

    @hf.workflow
    async def child() -> int:
        await hf.sleep(0.005)
        return await busy()

    @hf.workflow
    async def parent() -> int:
        first = await busy()
        results = await hf.gather(child(), child())
        await hf.sleep(0.005)
        return first + sum(results) + await busy()

    async with serving(store_url, parent, concurrency=2) as client:
        runs = await client.start_many(parent, [()] * 10)
        assert await asyncio.gather(*(run.result("20s") for run in runs)) == [4] * 10
    assert most == 2


async def test_a_waiting_run_takes_no_slot(store_url: str) -> None:
    @hf.workflow
    async def sleeps() -> None:
        await hf.sleep("1h")

    async with serving(store_url, sleeps, quick, concurrency=1) as client:
        runs = await client.start_many(sleeps, [()] * 20)
        assert await outcome(client, quick, 1) == 2
        for run in runs:
            await until_status(client, run.id, "waiting")


async def test_plain_steps_share_a_bounded_number_of_threads() -> None:
    lock = threading.Lock()
    going, most = 0, 0

    @hf.step
    def busy() -> None:
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
        time.sleep(0.01)
        with lock:
            going -= 1

    @hf.workflow
    async def works() -> None:
        await hf.gather(*(busy() for _ in range(8)))

    async with serving("memory://", works, threads=3) as client:
        await outcome(client, works)
    assert 1 < most <= 3


def namesake() -> hf.Workflow[Any, Any]:
    @hf.workflow(name="quick")
    async def other() -> None: ...

    return other


async def plain() -> None: ...


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: hf.Worker("memory://", []), "at least one workflow"),
        (lambda: hf.Worker("memory://", [quick, namesake()]), "two workflows are named 'quick'"),
        (lambda: hf.Worker("memory://", [plain]), "decorated with @hf.workflow"),  # type: ignore[list-item]
        (lambda: hf.Worker("memory://", [increment]), "decorated with @hf.workflow"),  # type: ignore[list-item]
        (lambda: hf.Worker("memory://", quick), "workflow"),  # type: ignore[arg-type]
        (lambda: hf.Worker("memory://", [quick], concurrency=0), "concurrency is 0"),
        (lambda: hf.Worker("memory://", [quick], concurrency=True), "concurrency is True"),
        (lambda: hf.Worker("memory://", [quick], concurrency=1.5), "concurrency"),  # type: ignore[arg-type]
        (lambda: hf.Worker("memory://", [quick], threads=0), "threads is 0"),
        (lambda: hf.Worker("memory://", [quick], lease=6, beat=3), "a lease outlasts two"),
        (lambda: hf.Worker("memory://", [quick], lease="soon"), "lease"),
        (lambda: hf.Worker("memory://", [quick], beat=0), "beat"),
        (lambda: hf.Worker("memory://", [quick], drain=-1), "drain"),
        (lambda: hf.Worker("memory://", [quick], queues="mail"), "queues"),
        (lambda: hf.Worker("memory://", [quick], queues=[]), "queue"),
    ],
)
async def test_what_makes_no_worker_is_refused(make: Callable[[], hf.Worker], said: str) -> None:
    with pytest.raises(hf.UsageError, match=said):
        async with make():
            pass
    assert not Core._shared


async def test_the_same_workflow_twice_is_one(store_url: str) -> None:
    async with serving(store_url, quick, quick) as client:
        assert await outcome(client, quick, 1) == 2


async def test_queues(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        in_mail = await client.start(mail, 1)
        moved = await client.start(quick.options(queue="mail"), 2)
        here = await client.start(quick, 3)
        async with hf.Worker(client, [quick, mail], queues=["mail"], drain=0):
            assert [await in_mail.result("5s"), await moved.result("5s")] == [1, 3]
            assert (await here.view()).status == "queued"
        async with hf.Worker(client, [quick, mail], drain=0):
            assert await here.result("5s") == 4


async def test_a_version_that_nobody_serves_waits(store_url: str) -> None:
    @hf.workflow(name="order", version="1")
    async def old() -> str:
        return "old"

    @hf.workflow(name="order", version="2")
    async def new() -> str:
        return "new"

    async with hf.connect(store_url) as client:
        first, second = await client.start(old), await client.start(new)
        async with hf.Worker(client, [new], drain=0):
            assert await second.result("5s") == "new"
            assert (await first.view()).status == "queued"
        async with hf.Worker(client, [old, new], drain=0):
            assert await first.result("5s") == "old"


async def test_a_worker_by_address_and_one_by_client_share_a_core(disk_url: str) -> None:
    works, most = gauge()
    async with (
        hf.connect(disk_url) as client,
        hf.Worker(disk_url, [works], concurrency=1, drain=0) as one,
        hf.Worker(client, [works], concurrency=1, drain=0) as two,
    ):
        assert one._core is two._core is client.core
        assert one.id != two.id
        assert {row.id for row in await client.core.store.list_workers()} == {one.id, two.id}
        runs = await client.start_many(works, [()] * 10)
        await asyncio.gather(*(run.result("10s") for run in runs))
        for run in runs:
            [entry] = await client.history(run.id)
            assert entry.attempts == 1
    assert most() == 2


async def test_a_named_database_in_memory_is_shared() -> None:
    async with hf.Worker("memory://shop", [quick], drain=0), hf.connect("memory://shop") as client:
        assert await outcome(client, quick, 1) == 2
    async with hf.connect("memory://shop") as client:
        assert await client.list() == []


async def test_two_workers_in_two_cores_share_the_runs(sqlite_url: str) -> None:
    calls: list[int] = []

    @hf.step
    async def note(x: int) -> None:
        calls.append(x)
        await asyncio.sleep(0.002)

    @hf.workflow
    async def works(x: int) -> None:
        await note(x)

    spelled = sqlite_url.replace("/holdfast.db", "/./holdfast.db")
    async with (
        hf.connect(sqlite_url) as client,
        hf.Worker(sqlite_url, [works], concurrency=2, drain=0),
        hf.Worker(spelled, [works], concurrency=2, drain=0),
    ):
        runs = await client.start_many(works, [(n,) for n in range(30)])
        await asyncio.gather(*(run.result("10s") for run in runs))
    assert sorted(calls) == list(range(30))


async def test_a_worker_that_stops_lets_short_work_end(store_url: str) -> None:
    begun = asyncio.Event()

    @hf.step
    async def short() -> int:
        begun.set()
        await asyncio.sleep(0.03)
        return 7

    @hf.workflow
    async def works() -> int:
        return await short()

    async with hf.connect(store_url) as client:
        async with hf.Worker(client, [works], drain=5):
            run = await client.start(works)
            await begun.wait()
            left = time.monotonic()
        assert 0.02 < time.monotonic() - left < 2
        assert await run.result("1s") == 7


async def test_a_worker_that_stops_hands_long_work_to_another_at_once(disk_url: str) -> None:
    begun: list[str] = []

    @hf.step
    async def long() -> int:
        begun.append("long")
        if len(begun) == 1:
            await asyncio.sleep(60)
        return 7

    @hf.workflow
    async def works() -> int:
        await increment(1)
        return await long()

    async with hf.connect(disk_url) as client:
        async with hf.Worker(client, [works], drain=0) as first:
            run = await client.start(works)

            async def in_it() -> bool:
                return bool(begun)

            await until(in_it)
            assert (await run.view()).worker == first.id.hex()
        view = await run.view()
        assert (view.status, view.worker, view.rescues) == ("queued", None, 0)
        assert await client.core.store.list_workers() == []
        began = time.monotonic()
        async with hf.Worker(client, [works], drain=0):
            assert await run.result("10s") == 7
        assert time.monotonic() - began < 1
        assert [entry.attempts for entry in await client.history(run.id)] == [1, 1]
    assert begun == ["long", "long"]


async def test_a_plain_step_does_not_execute_twice_at_once_after_a_stop(disk_url: str) -> None:
    """Its thread cannot be stopped: the run is handed over when the thread has ended."""
    log: list[str] = []

    @hf.step
    def long() -> int:
        turn = len(log)
        log.append(f"begin {turn}")
        time.sleep(0.1)
        log.append(f"end {turn}")
        return 7

    @hf.workflow
    async def works() -> int:
        return await long()

    async with hf.connect(disk_url) as client:
        async with hf.Worker(client, [works], drain=0):
            run = await client.start(works)

            async def in_it() -> bool:
                return bool(log)

            await until(in_it)
        async with hf.Worker(client, [works], drain=0):
            assert await run.result("10s") == 7
    assert log[:2] == ["begin 0", "end 0"]


async def test_a_worker_that_stops_leaves_waiting_runs_waiting(disk_url: str) -> None:
    @hf.workflow
    async def sleeps() -> None:
        await hf.sleep("1h")

    async with hf.connect(disk_url) as client:
        async with hf.Worker(client, [sleeps]):
            run = await client.start(sleeps)
            await until_status(client, run.id, "waiting")
        assert (await run.view()).status == "waiting"


@pytest.mark.slow
async def test_a_worker_ends_on_a_signal(sqlite_url: str) -> None:
    async with hf.connect(sqlite_url) as client:
        for number in (signal.SIGTERM, signal.SIGINT):
            worker = hf.Worker(client, [quick], drain=0)
            running = asyncio.create_task(worker.run())
            assert await outcome(client, quick, 1) == 2
            os.kill(os.getpid(), number)
            await asyncio.wait_for(running, 10)
        assert await client.core.store.list_workers() == []


async def test_a_worker_ends_when_its_task_is_cancelled(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        running = asyncio.create_task(hf.Worker(client, [quick], drain=0).run())
        assert await outcome(client, quick, 1) == 2
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await client.core.store.list_workers() == []


async def test_the_same_worker_can_be_started_again(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        worker = hf.Worker(client, [quick], drain=0)
        for n in range(3):
            async with worker:
                assert await outcome(client, quick, n) == n + 1


async def test_a_worker_in_memory_before_it_is_started_has_nothing_in_memory() -> None:
    assert hf.Worker("memory://", [quick]).busy == 0


async def test_a_slow_beat_does_not_put_the_clock_back(disk_url: str) -> None:
    """What is created later would else be older than what was created before, and bulk jobs would pass it over."""
    beats = 0

    class Slow:
        def __init__(self, heart: Any) -> None:
            self._heart = heart

        async def beat(self, *given: Any) -> Any:
            nonlocal beats
            beat = await self._heart.beat(*given)
            await asyncio.sleep(0.3)
            beats += 1
            return beat

        async def close(self) -> None:
            await self._heart.close()

    async with hf.connect(disk_url) as client:
        store, before = client.core.store, client.core.offset_us
        heart = store.heart
        store.heart = lambda: Slow(heart())  # type: ignore[method-assign]
        async with hf.Worker(client, [quick], beat=0.01, drain=0):

            async def beaten() -> bool:
                return beats >= 2

            await until(beaten)
            await asyncio.sleep(0)
            assert abs(client.core.offset_us - before) < 100_000


async def test_a_clock_that_was_moved_is_followed(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        core, hour = client.core, 3_600_000_000
        for moved in (hour, 0, -hour):
            core.compare_clock(1_000, 1_500 + moved, 2_000)
            assert abs(core.offset_us - moved) <= 500
