"""`hf.gather` and `hf.map`: branches side by side."""

import asyncio
import gc
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine.context import Scope, place
from tests.engine.helpers import ONCE, cause, outcome, positions, serving


@hf.step
async def increment(x: int) -> int:
    return x + 1


@hf.step
def double(x: int) -> int:
    return 2 * x


@hf.step(retry=ONCE)
async def fail(x: int, after: float = 0) -> int:
    await asyncio.sleep(after)
    raise ValueError(x)


@hf.workflow
async def leaf(x: int) -> int:
    return await increment(x)


@hf.workflow
async def failing_leaf(x: int) -> int:
    return await fail(x)


async def twice(x: int) -> int:
    """A helper coroutine: a branch of several steps."""
    return await double(await increment(x))


async def test_gather_gives_results_in_the_order_of_its_calls(store_url: str) -> None:
    @hf.workflow
    async def fans() -> list[Any]:
        nothing = await hf.gather()
        one, two, three, none, child = await hf.gather(increment(1), double(2), twice(3), hf.sleep(0.001), leaf(4))
        return [list(nothing), one, two, three, none, child, await increment(10)]

    async with serving(store_url, fans) as client:
        run = await client.start(fans)
        assert await run.result() == [[], 2, 4, 8, None, 5, 11]
        assert [where for where, _, _ in positions(await client.history(run.id))] == [
            "1",  # hf.gather allocates its own position, and steps called in its arguments come before it
            "2",
            "3",
            "4",
            "5.2.0",
            "5.2.1",
            "6",
        ]


async def test_map_calls_a_function_for_each_item(store_url: str) -> None:
    @hf.workflow
    async def fans(n: int) -> list[list[int]]:
        return [
            await hf.map(increment, range(n)),
            await hf.map(double, (x for x in range(n)), limit=2),
            await hf.map(leaf, range(n), limit=3),
            await hf.map(twice, range(n)),
            await hf.map(lambda x: increment(-x), range(n)),
            await hf.map(increment, []),
        ]

    async with serving(store_url, fans, concurrency=2) as client:
        run = await client.start(fans, 5)
        assert await run.result() == [
            [1, 2, 3, 4, 5],
            [0, 2, 4, 6, 8],
            [1, 2, 3, 4, 5],
            [2, 4, 6, 8, 10],
            [1, 0, -1, -2, -3],
            [],
        ]
        history = await client.history(run.id)
    assert len(history) == 4 * 5 + 5 + 2  # the child runs have one entry and one that they are all started
    assert len({entry.position for entry in history}) == len(history)
    assert sorted(entry.seq for entry in history) == list(range(1, len(history) + 1))


@pytest.mark.parametrize("limit", [1, 3, None])
async def test_the_limit_of_a_map_holds(limit: int | None) -> None:
    going, most = 0, 0

    @hf.step
    async def busy(x: int) -> int:
        nonlocal going, most
        going += 1
        most = max(most, going)
        await asyncio.sleep(0.002)
        going -= 1
        return x

    @hf.workflow
    async def fans() -> list[int]:
        return await hf.map(busy, range(10), limit=limit)

    assert await hf.execute(fans) == list(range(10))
    assert most == (limit or 10)


async def test_the_limit_of_a_map_holds_for_child_runs(store_url: str) -> None:
    going, most = 0, 0

    @hf.step
    async def busy(x: int) -> int:
        nonlocal going, most
        going += 1
        most = max(most, going)
        await asyncio.sleep(0.002)
        going -= 1
        return x

    @hf.workflow
    async def child(x: int) -> int:
        return await busy(x)

    @hf.workflow
    async def fans() -> list[int]:
        return await hf.map(child, range(8), limit=2)

    async with serving(store_url, fans) as client:
        assert await outcome(client, fans) == list(range(8))
    assert most == 2


async def test_every_branch_ends_and_the_first_error_in_order_is_raised(store_url: str) -> None:
    ended: list[int] = []

    @hf.step(retry=ONCE)
    async def ends(x: int, after: float, bad: bool) -> int:
        await asyncio.sleep(after)
        ended.append(x)
        if bad:
            raise ValueError(x)
        return x

    @hf.workflow
    async def gathers() -> Any:
        return await hf.gather(ends(0, 0.02, False), ends(1, 0.01, True), ends(2, 0, True), ends(3, 0.03, False))

    @hf.workflow
    async def maps() -> Any:
        return await hf.map(lambda x: ends(x, 0.01 * (3 - x), x in (1, 2)), range(4))

    async with serving(store_url, gathers, maps) as client:
        for workflow in (gathers, maps):
            ended.clear()
            run = await client.start(workflow)
            with pytest.raises(hf.RunFailed) as failed:
                await run.result()
            assert repr(failed.value.__cause__) == "ValueError(1)"
            assert sorted(ended) == [0, 1, 2, 3]
            assert sorted(entry.outcome for entry in await client.history(run.id)) == ["error", "error", "ok", "ok"]


async def test_errors_of_children_and_helpers(store_url: str) -> None:
    async def helper() -> int:
        await increment(1)
        return await fail(3)

    @hf.workflow
    async def fans() -> list[str]:
        found = []
        for call in (hf.gather(leaf(1), failing_leaf(2)), hf.gather(leaf(1), helper()), hf.map(failing_leaf, [4, 5])):
            try:
                await call
            except (hf.RunFailed, ValueError) as error:
                found.append(f"{type(error).__name__} {error.__cause__!r} {error}")
        return found

    async with serving(store_url, fans) as client:
        run = await client.start(fans.options(id="f"))
        first, second, third = await run.result()
    assert first.startswith("RunFailed ValueError(2) run 'f/1.")
    assert second == "ValueError None 3"
    assert third.startswith("RunFailed ValueError(4) run 'f/1.")


async def test_nested_fan_out_and_replay(store_url: str, park_at_once: None) -> None:
    calls: list[int] = []

    @hf.step
    async def note(x: int) -> int:
        calls.append(x)
        return x

    async def branch(x: int) -> int:
        a, b = await hf.gather(note(x), note(x + 1))
        await hf.sleep(0.005)
        return a + b + sum(await hf.map(note, [x + 2, x + 3]))

    @hf.workflow
    async def fans() -> list[int]:
        first, second = await hf.gather(branch(0), hf.gather(branch(10), branch(20)))
        await hf.sleep(0.005)
        return [first, *second]

    async with serving(store_url, fans) as client:
        run = await client.start(fans)
        assert await run.result(timeout="10s") == [6, 46, 86]
        history = await client.history(run.id)
    assert sorted(calls) == [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]
    assert len({entry.position for entry in history}) == len(history) == 12 + 4


async def test_parked_parents_wake_once_for_a_group_of_children(store_url: str, park_at_once: None) -> None:
    entered = 0

    @hf.workflow
    async def fans() -> list[int]:
        nonlocal entered
        entered += 1
        return await hf.map(leaf, range(20))

    async with serving(store_url, fans, concurrency=1) as client:
        assert await outcome(client, fans) == list(range(1, 21))
    assert entered <= 3


async def test_asyncio_gather_of_calls_made_in_the_runs_own_task(store_url: str, park_at_once: None) -> None:
    calls: list[int] = []

    @hf.step
    async def note(x: int) -> int:
        calls.append(x)
        return x

    @hf.workflow
    async def fans() -> list[int]:
        first = await asyncio.gather(note(1), double(2), leaf(3), note(4))
        await hf.sleep(0.005)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(note(x)) for x in (5, 6)]  # type: ignore[arg-type]
        return [*first, *(task.result() for task in tasks)]

    async with serving(store_url, fans) as client:
        run = await client.start(fans)
        assert await run.result() == [1, 4, 4, 4, 5, 6]
        assert [where for where, _, _ in positions(await client.history(run.id))] == ["0", "1", "2", "3", "4", "5", "6"]
    assert calls == [1, 4, 5, 6]


async def test_a_failing_task_group_fails_the_run_with_advice() -> None:
    @hf.step
    async def slow() -> None:
        await asyncio.sleep(60)

    @hf.workflow
    async def groups() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(slow())  # type: ignore[arg-type]
            group.create_task(fail(1))  # type: ignore[arg-type]

    async with serving("memory://", groups) as client:
        error = await cause(client, groups)
    assert isinstance(error, hf.UsageError)
    assert "hf.gather" in str(error)


async def test_what_is_no_call_is_refused() -> None:
    @hf.workflow
    async def wrong(kind: str) -> str:
        try:
            if kind == "gather":
                await hf.gather(increment)  # type: ignore[arg-type]
            elif kind == "limit":
                await hf.map(increment, [1], limit=0)
            else:
                await hf.map(lambda x: x, [1])
        except hf.UsageError as error:
            return str(error)
        return ""

    assert "give it calls" in await hf.execute(wrong, "gather")
    assert "limit is 0" in await hf.execute(wrong, "limit")
    assert "hf.map" in await hf.execute(wrong, "map")
    with pytest.raises(hf.UsageError, match=r"hf.map outside a run"):
        await hf.map(increment, [1])
    with pytest.raises(hf.UsageError, match=r"hf.gather outside a run"):
        await hf.gather()


@pytest.mark.slow
async def test_a_wide_fan_out(store_url: str) -> None:
    @hf.workflow
    async def fans(n: int) -> list[int]:
        return [sum(await hf.map(increment, range(n))), sum(await hf.map(leaf, range(n)))]

    async with serving(store_url, fans) as client:
        assert await outcome(client, fans, 1500) == [sum(range(1, 1501))] * 2


@pytest.mark.parametrize("how", ["gather", "map", "first"])
async def test_calls_of_a_run_that_leaves_before_they_begin_warn_of_nothing(how: str) -> None:
    left, met = asyncio.Event(), asyncio.Event()

    @hf.workflow
    async def parent() -> None:
        if not left.is_set():
            left.set()
            here = place.get()
            assert isinstance(here, Scope)
            here.execution.leave()
        else:
            met.set()
        if how == "gather":
            await hf.gather(double(1), leaf(2))
        elif how == "first":
            await hf.first(double(1), leaf(2))
        else:
            await hf.map(double, [1, 2])

    async with hf.connect("memory://") as client, hf.Worker(client, [parent, leaf]):
        run = await client.start(parent)
        await run.result("30s")
    gc.collect()  # what nobody awaited would warn now, and fail the test
    assert met.is_set()
