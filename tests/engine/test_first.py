"""`hf.first`: whichever is first, decided once, and the others given up."""

import asyncio
import gc

import pytest

import holdfast as hf
from holdfast.engine.context import Scope, place
from tests.engine.helpers import ONCE, cause, outcome, serving, until, until_status


@hf.step(retry=ONCE)
async def quick(x: int) -> int:
    return x


@hf.step(retry=ONCE)
async def never() -> None:
    await asyncio.sleep(60)


@hf.step(retry=ONCE)
async def breaks() -> None:
    raise ValueError("broken")


@hf.workflow
async def child(seconds: float) -> str:
    await hf.sleep(seconds)
    return "child"


async def test_the_first_step_wins_and_the_other_is_cut_off(store_url: str) -> None:
    cut: list[str] = []

    @hf.step(retry=ONCE)
    async def slow() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cut.append("off")
            raise
        return "slow"

    @hf.workflow
    async def races() -> list[object]:
        index, value = await hf.first(slow(), quick(7))
        return [index, value, await quick(1)]

    async with serving(store_url, races) as client:
        run = await client.start(races)
        assert await run.result(timeout="20s") == [1, 7, 1]
        assert cut == ["off"]
        assert [(e.position, e.name) for e in await client.history(run.id)] == [
            ("1", "quick"), ("2", "hf.first"), ("3", "quick"),
        ]  # fmt: skip


async def test_a_replay_takes_the_same(store_url: str, park_at_once: None) -> None:
    seen: list[int] = []

    @hf.workflow
    async def races() -> list[object]:
        found = await hf.first(hf.sleep(0.01), hf.wait_for_event("go"), child(30))
        seen.append(found.index)
        await hf.sleep(0.01)
        second = await hf.first(hf.wait_for_event("go"), hf.sleep(0.01))
        seen.append(second.index)
        await hf.sleep(0.01)
        return [found.index, second.index]

    async with serving(store_url, races, child) as client:
        run = await client.start(races)
        assert await run.result(timeout="20s") == [0, 1]
        assert set(seen) == {0, 1}
        assert len(seen) >= 4  # it was replayed
        assert (await client.send_event("go")).waits == 0  # the waits that lost were given up

        async def cancelled() -> bool:
            return [view.status for view in await client.list(workflow="child")] == ["cancelled"]

        await until(cancelled)


async def test_an_event_wins(store_url: str, park_at_once: None) -> None:
    @hf.workflow
    async def races() -> list[object]:
        found = await hf.first(hf.sleep(60), hf.wait_for_event("go"))
        return [found.index, found.value]

    async with serving(store_url, races) as client:
        run = await client.start(races)
        await until_status(client, run.id, "waiting")
        await client.send_event("go", "now")
        assert await run.result(timeout="20s") == [1, "now"]


async def test_the_first_that_fails_fails(store_url: str) -> None:
    @hf.workflow
    async def races() -> object:
        return (await hf.first(hf.sleep(60), breaks())).value

    async with serving(store_url, races) as client:
        assert str(await cause(client, races)) == "broken"


async def test_branches_that_are_functions(store_url: str, park_at_once: None) -> None:
    async def two_steps() -> int:
        await hf.sleep(0.01)
        return await quick(await quick(2))

    async def waits() -> object:
        return await hf.gather(hf.wait_for_event("a"), hf.wait_for_event("b"))

    @hf.workflow
    async def races() -> list[object]:
        found = await hf.first(waits(), two_steps())
        await hf.sleep(0.01)
        return [found.index, found.value, await quick(3)]

    async with serving(store_url, races) as client:
        assert await outcome(client, races) == [1, 2, 3]
        assert (await client.send_event("a")).waits == 0
        assert (await client.send_event("b")).waits == 0


async def test_a_first_inside_a_first(store_url: str) -> None:
    async def inner() -> int:
        return (await hf.first(hf.sleep(60), quick(5))).value  # type: ignore[arg-type,return-value]

    @hf.workflow
    async def races() -> list[object]:
        found = await hf.first(never(), inner())
        return [found.index, found.value]

    async with serving(store_url, races) as client:
        assert await outcome(client, races) == [1, 5]


async def test_a_cancelled_run_ends_all_branches(store_url: str) -> None:
    @hf.workflow
    async def races() -> None:
        await hf.first(never(), hf.sleep(600), hf.wait_for_event("go"), child(600))

    async with serving(store_url, races, child) as client:
        run = await client.start(races)

        async def begun() -> bool:
            return bool(await client.list(workflow="child"))

        await until(begun)
        await client.cancel(run.id)
        with pytest.raises(hf.RunCancelled):
            await run.result(timeout="20s")
        assert (await client.send_event("go")).waits == 0


async def test_what_lost_may_call_a_child_while_it_cleans_up() -> None:
    ended = asyncio.Event()

    async def cleans_up() -> None:
        try:
            await hf.sleep(3600)
        finally:
            await child(0)
            ended.set()

    @hf.workflow
    async def races() -> int:
        return (await hf.first(cleans_up(), quick(1))).index

    async with serving("memory://", races, child, concurrency=1) as client:
        assert await outcome(client, races) == 1
        assert ended.is_set()


async def test_a_run_is_held_while_what_lost_cleans_up() -> None:
    cleaning = asyncio.Event()

    @hf.step(retry=ONCE)
    async def slow() -> None:
        cleaning.set()
        await asyncio.sleep(0.2)

    async def cleans_up() -> None:
        try:
            await hf.sleep(3600)
        finally:
            await slow()
            await quick(2)

    @hf.workflow
    async def races() -> int:
        return (await hf.first(cleans_up(), quick(1))).index

    async with serving("memory://", races) as client:
        run = await client.start(races)
        await cleaning.wait()
        await client.hold(run.id, reason="look at it")
        await until_status(client, run.id, "held")
        await client.release(run.id)
        assert await run.result(timeout="20s") == 1


async def test_a_branch_that_cancels_itself_is_told_so() -> None:
    async def cancels_itself() -> None:
        await quick(1)
        raise asyncio.CancelledError

    @hf.workflow
    async def races() -> None:
        await hf.first(cancels_itself(), hf.sleep(0.1))

    async with serving("memory://", races) as client:
        assert "was cancelled from its own code" in str(await cause(client, races))


async def test_what_is_not_a_call_is_refused() -> None:
    with pytest.raises(hf.UsageError, match="was given nothing"):
        hf.first()
    with pytest.raises(hf.UsageError, match="give it calls"):
        hf.first(7)  # type: ignore[type-var]


async def test_calls_of_a_first_that_was_decided_warn_of_nothing_when_the_run_leaves_again() -> None:
    decided, left = asyncio.Event(), asyncio.Event()

    @hf.workflow
    async def inner(x: int) -> int:
        return x

    @hf.workflow
    async def races() -> None:
        nested = hf.first(hf.gather(quick(1), inner(1)), hf.sleep("1h"))
        if decided.is_set() and not left.is_set():
            # What was decided is found again, and the run leaves before the winner's call begins.
            left.set()
            here = place.get()
            assert isinstance(here, Scope)
            here.execution.leave()
        await hf.first(quick(2), nested)
        if not decided.is_set():
            decided.set()
            here = place.get()
            assert isinstance(here, Scope)
            here.execution.leave()
        await hf.first(quick(3), hf.sleep("1h"))

    async with hf.connect("memory://") as client, hf.Worker(client, [races, inner]):
        run = await client.start(races)
        await run.result("30s")
    gc.collect()
    assert left.is_set()
