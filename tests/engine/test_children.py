"""Child runs: a workflow called in a workflow."""

import asyncio
from typing import Any

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, cause, outcome, positions, serving, until_status


@hf.step
async def increment(x: int) -> int:
    return x + 1


@hf.step(retry=ONCE)
async def fail(text: str) -> None:
    raise ValueError(text)


@hf.workflow
async def leaf(x: int) -> int:
    return await increment(x)


@hf.workflow
async def middle(x: int) -> int:
    return await leaf(x) + await leaf(x)


@hf.workflow
async def top(x: int) -> int:
    return await middle(x) + await leaf(x)


@hf.workflow
async def failing(text: str) -> None:
    await fail(text)


@hf.workflow
async def parent_of_failing(text: str) -> None:
    await failing(text)


@hf.workflow
async def forgiving(text: str) -> list[str]:
    try:
        await failing(text)
    except hf.RunFailed as error:
        return [error.run_id, type(error.__cause__).__name__, str(error.__cause__)]
    return []


@pytest.mark.parametrize("parked", [False, True])
async def test_one_slot_is_enough_for_any_depth(store_url: str, parked: bool, request: pytest.FixtureRequest) -> None:
    if parked:
        request.getfixturevalue("park_at_once")
    async with serving(store_url, top, concurrency=1) as client:
        runs = await client.start_many(top, [(1,), (2,)])
        assert [await run.result(timeout="10s") for run in runs] == [6, 9]
        history = await client.history(runs[0].id)
        assert positions(history) == [("0", "middle", "ok"), ("1", "leaf", "ok")]
        assert [(entry.input, entry.output, entry.kind) for entry in history] == [
            ({"x": 1}, 4, "child"),
            ({"x": 1}, 2, "child"),
        ]
        child = await client.get(f"{runs[0].id}/1.0")
        assert (child.parent, child.workflow, child.status, child.output) == (runs[0].id, "middle", "succeeded", 4)
        assert len(await client.list(workflow="leaf")) == 6


async def test_a_parent_waits_in_the_database_for_a_slow_child(disk_url: str, park_at_once: None) -> None:
    go_on = asyncio.Event()
    entered = 0

    @hf.step
    async def slow() -> int:
        await go_on.wait()
        return 7

    @hf.workflow
    async def child() -> int:
        return await slow()

    @hf.workflow
    async def parent() -> int:
        nonlocal entered
        entered += 1
        return await child()

    async with hf.connect(disk_url) as client, hf.Worker(client, [parent], drain=0) as worker:
        run = await client.start(parent)
        view = await until_status(client, run.id, "waiting")
        assert view.due_at is None
        assert (await until_status(client, f"{run.id}/1.0", "running")).worker == worker.id.hex()
        assert worker.busy == 1
        go_on.set()
        assert await run.result(timeout="10s") == 7
    assert entered == 2


async def test_a_failing_child_fails_its_parent_unless_caught(store_url: str) -> None:
    async with serving(store_url, parent_of_failing, forgiving) as client:
        run = await client.start(forgiving.options(id="f"), "no")
        assert await run.result() == ["f/1.0", "ValueError", "no"]
        error = await cause(client, parent_of_failing.options(id="p"), "never")
        assert isinstance(error, hf.RunFailed)
        assert error.run_id == "p/1.0"
        assert type(error.__cause__) is ValueError
        [entry] = await client.history("p")
        assert entry.outcome == "error"
        assert entry.error is not None
        assert entry.error["message"] == "never"


async def test_a_replayed_parent_sees_its_childs_error_again(store_url: str, park_at_once: None) -> None:
    seen: list[tuple[str, str]] = []

    @hf.workflow
    async def parent() -> None:
        try:
            await failing("no")
        except hf.RunFailed as error:
            seen.append((str(error), repr(error.__cause__)))
        await hf.sleep(0.005)

    async with serving(store_url, parent) as client:
        await outcome(client, parent)
    assert len(seen) == 2
    assert seen[0] == seen[1]


async def test_a_child_goes_on_with_another_worker_after_its_parent(disk_url: str, park_at_once: None) -> None:
    calls: list[str] = []

    @hf.step
    async def slow() -> int:
        calls.append("slow")
        if len(calls) == 1:
            await asyncio.sleep(60)
        return 7

    @hf.workflow
    async def child() -> int:
        return await slow()

    @hf.workflow
    async def parent() -> int:
        return await child()

    async with hf.connect(disk_url) as client:
        async with hf.Worker(client, [parent], drain=0):
            run = await client.start(parent)
            await until_status(client, run.id, "waiting")
            await until_status(client, f"{run.id}/1.0", "running")
        async with hf.Worker(client, [parent], drain=0):
            assert await run.result(timeout="10s") == 7
        assert len(await client.list()) == 2


async def test_wrong_arguments_of_a_child_fail_the_call_and_store_nothing(store_url: str) -> None:
    @hf.workflow
    async def parent() -> list[str]:
        found = []
        for args in ((), (1, 2), ("text",), (1,)):
            try:
                found.append(str(await leaf(*args)))  # type: ignore[call-arg,arg-type]
            except hf.HoldfastError as error:
                found.append(type(error).__name__)
        return found

    async with serving(store_url, parent) as client:
        run = await client.start(parent)
        assert await run.result() == ["UsageError", "UsageError", "PayloadError", "2"]
        assert len(await client.list()) == 2
        assert positions(await client.history(run.id)) == [("3", "leaf", "ok")]


async def test_a_workflow_that_is_reached_through_a_value_is_served_too(store_url: str) -> None:
    table: dict[str, Any] = {"leaf": leaf}

    def choose(name: str) -> Any:
        return table[name]

    @hf.workflow
    async def parent(name: str) -> int:
        result: int = await choose(name)(1)
        return result

    async with serving(store_url, parent) as client:
        assert await outcome(client, parent, "leaf") == 2


async def test_recursion(store_url: str, park_at_once: None) -> None:
    async with serving(store_url, factorial, concurrency=1) as client:
        assert await outcome(client, factorial, 6) == 720


@hf.workflow
async def factorial(n: int) -> int:
    return 1 if n < 2 else n * await factorial(n - 1)


async def test_children_of_different_tenants_stay_apart(store_url: str) -> None:
    async with (
        serving(store_url, top) as client,
        hf.connect("memory://" if store_url == "memory://" else store_url, tenant="other") as other,
    ):
        run = await client.start(top.options(id="same"), 1)
        assert await run.result() == 6
        assert await other.list() == []


@hf.workflow
async def many_children(count: int) -> int:
    first = await leaf(0)
    rest = await hf.map(leaf, range(1, count))
    return first + sum(rest)


async def test_children_are_listed_in_the_order_of_the_code(store_url: str) -> None:
    async with serving(store_url, many_children) as client:
        run = await client.start(many_children, 12)
        await run.result(timeout="10s")
        found = await client.children(run.id)
        assert [child.input["x"] for child in found] == list(range(12))
        assert {child.parent for child in found} == {run.id}
        assert {child.status for child in found} == {"succeeded"}
        assert await client.children(found[0].id) == []
        paged: list[hf.RunView] = []
        while page := await client.children(run.id, limit=5, after=paged[-1].id if paged else None):
            paged += page
        assert paged == found


async def test_children_of_nobody_are_refused(store_url: str) -> None:
    async with serving(store_url, top) as client:
        run = await client.start(top, 1)
        await run.result(timeout="10s")
        grandchild = (await client.children((await client.children(run.id))[0].id))[0]
        assert grandchild.workflow == "leaf"
        for nothing in ("nothing", run.id + "/"):
            with pytest.raises(hf.RunNotFound):
                await client.children(nothing)
        with pytest.raises(hf.RunNotFound):
            await client.children(run.id, after="nothing")
        with pytest.raises(hf.RunNotFound):
            await hf.Client(client.core, "other").children(run.id)
        for other in (grandchild.id, run.id):
            with pytest.raises(hf.UsageError, match="no child"):
                await client.children(run.id, after=other)
        for limit in (0, 1001, "5", True):
            with pytest.raises(hf.UsageError, match="limit"):
                await client.children(run.id, limit=limit)  # type: ignore[arg-type]
