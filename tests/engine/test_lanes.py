"""Lanes: one at a time for each key, whoever holds, waits, fails, is mended or crashes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, outcome, serving, until, until_status


class Gauge:
    """A step in which runs stand side by side, and what is known of them."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.order: list[str] = []
        gauge = self

        @hf.step(retry=ONCE)
        async def pass_through(key: str, name: str, seconds: float = 0.002) -> str:
            gauge.order.append(name)
            gauge.now[key] = gauge.now.get(key, 0) + 1
            gauge.most[key] = max(gauge.most.get(key, 0), gauge.now[key])
            try:
                await asyncio.sleep(seconds)
            finally:
                gauge.now[key] -= 1
            return name

        self.step = pass_through


@hf.step(retry=ONCE)
async def note(text: str) -> str:
    return text


@hf.workflow(key="key", lane="shared")
async def holds(key: str, name: str = "") -> object:
    """Takes the slot, and gives it up when it is told to."""
    await note("begun")
    return await hf.wait_for_event("go", key=name or key)


@hf.workflow(key="key", lane="shared")
async def passes(key: str, name: str = "") -> str:
    return name


async def crash(client: hf.Client, worker: hf.Worker) -> None:
    """The worker is gone without a word, and others may have its runs."""
    worker._dispatcher.evict_all()
    await worker.stop()
    await client.core.store.rescue(100)


async def holding(client: hf.Client, key: str, workflow: Any = holds, **options: Any) -> hf.RunHandle[Any]:
    """A run that has begun and holds the key's slot."""
    run = await client.start(workflow.options(**options), key)

    async def begun() -> bool:
        return bool(await client.history(run.id))

    await until(begun)
    return run


async def not_started(client: hf.Client, *runs: hf.RunHandle[Any]) -> None:
    """They still stand in line, though a worker had the time to take them."""
    assert await outcome(client, passes, "another key") == ""
    for run in runs:
        view = await client.get(run.id)
        assert (view.status, view.started_at) == ("queued", None)


@asynccontextmanager
async def empty_lanes(client: hf.Client) -> AsyncIterator[None]:
    """When all of its runs have ended a lane is none."""
    yield
    assert await client.core.store.list_lanes(client.tenant, limit=10) == []


async def test_one_at_a_time_for_each_key_over_two_workflows(store_url: str) -> None:
    gauge = Gauge()

    @hf.workflow(key="order_id", lane="order")
    async def one(order_id: str, name: str) -> None:
        await gauge.step(order_id, name)
        await gauge.step(order_id, name)

    @hf.workflow(key="order.id", lane="order", limit=1)
    async def two(order: dict[str, str], name: str) -> None:
        await gauge.step(order["id"], name)
        await hf.sleep(0.002)

    async with serving(store_url, one, two) as client:
        runs: list[hf.RunHandle[Any]] = []
        for n in range(6):
            runs.append(await client.start(one, f"o-{n % 2}", f"one {n}"))
            runs.append(await client.start(two, {"id": f"o-{n % 2}"}, f"two {n}"))
        await asyncio.gather(*(run.result("20s") for run in runs))
        assert gauge.most == {"o-0": 1, "o-1": 1}
        assert (await client.get(runs[1].id)).lane == "order=o-0"


async def test_the_first_in_line_is_next_and_priority_goes_before(store_url: str) -> None:
    gauge = Gauge()

    @hf.workflow(key="key", lane="shared")
    async def ordered(key: str, name: str) -> None:
        await gauge.step(key, name)

    async with serving(store_url, holds, ordered) as client:
        first = await holding(client, "k")
        runs = [
            await client.start(ordered.options(priority=priority), "k", name)
            for name, priority in (("a", 0), ("b", 0), ("urgent", 5), ("c", 0), ("late", -5), ("urgent too", 5))
        ]
        await client.send_event("go", key="k")
        await asyncio.gather(first.result("20s"), *(run.result("20s") for run in runs))
    assert gauge.order == ["urgent", "urgent too", "a", "b", "c", "late"]


async def test_the_slot_is_kept_across_sleeps_and_waits(store_url: str, park_at_once: None) -> None:
    inside: list[str] = []

    @hf.workflow(key="key")
    async def long(key: str, name: str) -> None:
        inside.append(f"+{name}")
        await hf.sleep(0.01)
        await hf.wait_for_event("go", key=name)
        await passes("elsewhere", name)
        inside.append(f"-{name}")

    async with serving(store_url, long, passes) as client:
        runs = [await client.start(long, "k", str(n)) for n in range(3)]
        for n in range(3):
            await until_status(client, runs[n].id, "waiting")
            await client.send_event("go", key=str(n))
        await asyncio.gather(*(run.result("20s") for run in runs))
    begun = [said for n, said in enumerate(inside) if said not in inside[:n]]  # replays say it again
    assert begun == ["+0", "-0", "+1", "-1", "+2", "-2"]


@pytest.mark.parametrize("limit", [2, 3])
async def test_more_than_one_slot(store_url: str, limit: int) -> None:
    gauge = Gauge()

    @hf.workflow(key="key", limit=limit)
    async def some(key: str, n: int) -> None:
        await gauge.step(key, str(n))

    async with serving(store_url, some) as client:
        runs = await client.start_many(some, [(f"k{n % 2}", n) for n in range(20)])
        await asyncio.gather(*(run.result("20s") for run in runs))
    assert gauge.most == {"k0": limit, "k1": limit}


async def test_a_limit_without_a_key_is_for_all_runs(store_url: str) -> None:
    gauge = Gauge()

    @hf.workflow(limit=2)
    async def some(n: int) -> None:
        await gauge.step("", str(n))

    async with serving(store_url, some) as client:
        runs = await client.start_many(some, [(n,) for n in range(9)])
        await asyncio.gather(*(run.result("20s") for run in runs))
        assert (await client.get(runs[0].id)).lane == "some="
    assert gauge.most == {"": 2}


async def test_a_key_from_a_function_and_numbers_as_texts(store_url: str) -> None:
    @hf.workflow(key=lambda first, last: f"{first}-{last}", lane="shared")
    async def named(first: int, last: str) -> object:
        return await hf.wait_for_event("go", key="named")

    @hf.workflow(key="number", lane="shared")
    async def numbered(number: int) -> int:
        return number

    async with serving(store_url, named, numbered, holds, passes) as client:
        run = await client.start(named, 1, last="a")
        assert (await client.get(run.id)).lane == "shared=1-a"
        five = await holding(client, "5")
        same = await client.start(numbered, 5)
        assert (await client.get(same.id)).lane == "shared=5"
        await not_started(client, same)
        await client.send_event("go", key="5")
        assert await same.result("20s") == 5
        await five.result("20s")
        await client.send_event("go", key="named")
        await run.result("20s")


@pytest.mark.parametrize("parks", [False, True])
async def test_a_descendant_uses_the_slot_of_its_ancestor(
    store_url: str, parks: bool, request: pytest.FixtureRequest
) -> None:
    """At two levels, through a run of another lane, in a fan-out, and for nobody else."""
    if parks:
        request.getfixturevalue("park_at_once")

    @hf.workflow(key="key", lane="shared")
    async def grandchild(key: str, n: int) -> int:
        await hf.sleep(0.005)
        return n

    @hf.workflow(key="other", lane="other")
    async def child(key: str, other: str, n: int) -> int:
        return await grandchild(key, n)

    async def through(n: int) -> int:
        return await child("k", f"other {n}", n)

    @hf.workflow(key="n")
    async def item(n: int) -> int:
        return await passes_on("k", n)

    @hf.workflow(key="key", lane="shared")
    async def passes_on(key: str, n: int) -> int:
        return await grandchild(key, n)

    @hf.workflow(key="key", lane="shared")
    async def parent(key: str) -> list[int]:
        one = await child(key, "x", 1)
        two, three = await hf.gather(passes_on(key, 2), through(3))
        return [one, two, three, *(await hf.map(item, [4, 5])), *(await hf.map(item, [6, 7], limit=1))]

    async with serving(store_url, parent, child, grandchild, item, passes_on) as client, empty_lanes(client):
        assert await outcome(client, parent, "k") == [1, 2, 3, 4, 5, 6, 7]
        lanes = {view.lane for view in await client.list(workflow="grandchild")}
        assert lanes == {None}


async def test_a_delayed_run_blocks_nobody(store_url: str) -> None:
    async with serving(store_url, holds, passes) as client:
        delayed = await client.start(passes.options(delay="1h"), "k")
        assert await outcome(client, passes, "k", "now") == "now"
        assert (await client.get(delayed.id)).status in ("queued", "waiting")
        soon = await client.start(passes.options(delay=0.2), "k", "soon")
        first = await holding(client, "k")
        await asyncio.sleep(0.4)
        await not_started(client, soon)  # it came due, and stands in line
        await client.send_event("go", key="k")
        await first.result("20s")
        assert await soon.result("20s") == "soon"


async def test_a_run_that_fails_or_is_cancelled_gives_up_its_slot(store_url: str) -> None:
    broken = [True]

    @hf.step(retry=ONCE)
    async def breaks() -> None:
        if broken:
            raise ValueError("no")

    @hf.workflow(key="key", lane="shared")
    async def fails(key: str) -> str:
        await hf.wait_for_event("fail")
        await breaks()
        return "mended"

    async with serving(store_url, fails, holds, passes) as client, empty_lanes(client):
        failing = await client.start(fails, "k")
        cancelled = await client.start(holds, "k")
        in_line = await client.start(passes, "k")
        last = await client.start(passes, "k", "last")
        await client.cancel(in_line.id)  # in line: ended at once, and skipped
        assert (await client.get(in_line.id)).status == "cancelled"
        await client.send_event("fail")
        with pytest.raises(hf.RunFailed):
            await failing.result("20s")

        async def begun() -> bool:
            return bool(await client.history(cancelled.id))

        await until(begun)
        await not_started(client, last)
        await client.cancel(cancelled.id)
        assert await last.result("20s") == "last"
        # Retried, a run gets in line again.
        blocker = await holding(client, "k")
        broken.clear()
        await client.retry(failing.id)
        await outcome(client, passes, "another key")
        assert (await client.get(failing.id)).status == "queued"
        await client.send_event("go", key="k")
        await blocker.result("20s")
        assert await (await client.handle(failing.id)).result("20s") == "mended"


async def test_a_fork_gets_in_line(store_url: str) -> None:
    async with serving(store_url, holds, passes) as client, empty_lanes(client):
        first = await holding(client, "k")

        async def waits() -> bool:
            return any(entry.name == "go" for entry in await client.history(first.id))

        await until(waits)
        fork = await client.fork(first.id, from_step="go", output="forked")
        await not_started(client)
        assert (await client.get(fork)).status == "queued"
        assert (await client.get(fork)).lane == "shared=k"
        await client.send_event("go", "sent", key="k")
        assert await first.result("20s") == "sent"
        assert await (await client.handle(fork)).result("20s") == "forked"


async def test_a_fork_with_another_key_takes_that_keys_slot(store_url: str) -> None:
    async with serving(store_url, holds, passes) as client, empty_lanes(client):
        first = await holding(client, "k")
        other = await holding(client, "k2")
        fork = await client.fork(first.id, input={"key": "k2", "name": "forked"})
        assert (await client.get(fork)).lane == "shared=k2"
        await not_started(client)
        assert (await client.get(fork)).status == "queued"
        await client.send_event("go", key="k2")
        await other.result("20s")
        await until_status(client, fork, "running")
        await client.send_event("go", 3, key="forked")
        assert await (await client.handle(fork)).result("20s") == 3
        await client.send_event("go", key="k")
        await first.result("20s")


async def test_the_fork_of_a_child_takes_a_slot_of_its_own(store_url: str) -> None:
    """The child used its parent's; the fork has no parent."""

    @hf.workflow(key="key", lane="shared")
    async def parent(key: str) -> object:
        return await passes(key, "child")

    async with serving(store_url, parent, holds, passes) as client, empty_lanes(client):
        assert await outcome(client, parent, "k") == "child"
        [child] = await client.list(workflow="passes")
        assert child.lane is None
        first = await holding(client, "k")
        fork = await client.fork(child.id)
        await not_started(client)
        assert (await client.get(fork)).lane == "shared=k"
        assert (await client.get(fork)).status == "queued"
        await client.send_event("go", key="k")
        await first.result("20s")
        assert await (await client.handle(fork)).result("20s") == "child"


async def test_a_worker_is_lost_while_its_run_holds_the_slot(store_url: str) -> None:
    async with hf.connect(store_url) as client, empty_lanes(client):
        worker = hf.Worker(client, [holds, passes], drain=0)
        async with worker:
            first = await holding(client, "k")
            second = await client.start(passes, "k", "second")
            await crash(client, worker)
            async with hf.Worker(client, [holds, passes], drain=0):
                await not_started(client, second)
                assert (await client.get(first.id)).rescues == 1
                await client.send_event("go", 7, key="k")
                assert await first.result("20s") == 7
                assert await second.result("20s") == "second"


async def test_two_workers_at_once(disk_url: str) -> None:
    gauge = Gauge()

    @hf.workflow(key="key")
    async def some(key: str, n: int) -> None:
        await gauge.step(key, str(n))
        await hf.sleep(0.001)
        await gauge.step(key, str(n))

    spelled = disk_url.replace("/holdfast.db", "/./holdfast.db")
    async with (
        hf.connect(disk_url) as client,
        hf.Worker(disk_url, [some], drain=0),
        hf.Worker(spelled, [some], drain=0),
        empty_lanes(client),
    ):
        runs = await client.start_many(some, [(f"k{n % 3}", n) for n in range(30)])
        await asyncio.gather(*(run.result("30s") for run in runs))
    assert gauge.most == {"k0": 1, "k1": 1, "k2": 1}


async def test_a_limit_that_is_raised_lets_those_in_line_go(store_url: str) -> None:
    @hf.workflow(name="some", version="1", key="key")
    async def narrow(key: str) -> object:
        await note("begun")
        return await hf.wait_for_event("go", key=key)

    @hf.workflow(name="some", version="2", key="key", limit=3)
    async def wide(key: str) -> object:
        return await hf.wait_for_event("go", key=key)

    async with hf.connect(store_url) as client, hf.Worker(client, [narrow], drain=0):
        first = await holding(client, "k", narrow)
        second = await client.start(narrow, "k")
        await asyncio.sleep(0.05)
        assert (await client.get(second.id)).status == "queued"
        await client.start(wide, "k")  # nobody serves this one, and yet it raises the limit

        async def begun() -> bool:
            return bool(await client.history(second.id))

        await until(begun)
        await client.send_event("go", 1, key="k", to="all")
        assert [await first.result("20s"), await second.result("20s")] == [1, 1]


async def test_a_fan_out_over_a_workflow_with_a_key(store_url: str) -> None:
    gauge = Gauge()

    @hf.workflow(key="n")
    async def keyed(n: int) -> int:
        await gauge.step("all", str(n))
        return n

    @hf.workflow
    async def parent(limit: int | None) -> list[int]:
        return await hf.map(keyed, [1, 2, 3, 1, 2, 3], limit=limit)

    async with serving(store_url, parent, keyed) as client, empty_lanes(client):
        assert await outcome(client, parent, None) == [1, 2, 3, 1, 2, 3]
        assert 1 <= gauge.most["all"] <= 3
        gauge.most.clear()
        assert await outcome(client, parent, 2) == [1, 2, 3, 1, 2, 3]
        assert gauge.most["all"] <= 2


async def test_a_slot_is_for_the_tenant(store_url: str) -> None:
    async with serving(store_url, holds, passes) as client:
        first = await holding(client, "k")
        other = hf.Client(client.core, "other")
        assert await outcome(other, passes, "k", "theirs") == "theirs"
        await client.send_event("go", key="k")
        await first.result("20s")


async def test_an_on_failure_run_may_take_the_slot_of_the_run_that_failed(store_url: str) -> None:
    @hf.workflow(key=lambda failure: failure.input["key"], lane="shared")
    async def handles(failure: hf.RunFailure) -> str:
        return failure.run_id

    @hf.workflow(key="key", lane="shared", on_failure=handles)
    async def fails(key: str) -> None:
        raise ValueError("no")

    async with serving(store_url, fails, handles) as client, empty_lanes(client):
        run = await client.start(fails, "k")
        with pytest.raises(hf.RunFailed):
            await run.result("20s")

        async def handled() -> bool:
            return [view.status for view in await client.list(workflow="handles")] == ["succeeded"]

        await until(handled)
