"""Cancelling: wherever the run stands, with its children, its cleaning up, and no way round it."""

import asyncio
import threading

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, QUICK, outcome, serving, until, until_status


@hf.step(retry=ONCE)
async def note(text: str) -> str:
    return text


@hf.step(retry=ONCE)
async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@hf.workflow
async def sleeps(seconds: float) -> str:
    await hf.sleep(seconds)
    return "slept"


async def ends_cancelled(client: hf.Client, run: hf.RunHandle[object]) -> hf.RunView:
    with pytest.raises(hf.RunCancelled):
        await run.result(timeout="20s")
    view = await client.get(run.id)
    assert view.status == "cancelled"
    return view


async def test_a_run_that_was_never_executed_ends_at_once(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        ready = await client.start(sleeps, 1)
        delayed = await client.start(sleeps.options(delay=60), 1)
        for run in (ready, delayed):
            await client.cancel(run.id, reason="not wanted", by="maria")
            view = await ends_cancelled(client, run)
            assert view.error is not None
            assert view.error["message"] == f"run {run.id!r} was cancelled by maria: not wanted"
            assert view.finished_at is not None
        async with hf.Worker(client, [sleeps], drain=0):
            assert await outcome(client, sleeps, 0) == "slept"  # and was not executed afterwards
        assert await client.history(ready.id) == []


@pytest.mark.parametrize("parked", [False, True])
async def test_a_sleeping_run_cleans_up(store_url: str, parked: bool) -> None:
    @hf.workflow
    async def cleans() -> str:
        try:
            await hf.sleep(3 if not parked else 600)
        finally:
            async with hf.shield():
                await note("cleaned")
        return "no"

    async with serving(store_url, cleans) as client:
        run = await client.start(cleans)
        await until_status(client, run.id, "waiting" if parked else "running")
        if not parked:
            await asyncio.sleep(0.05)
        await client.cancel(run.id)
        await ends_cancelled(client, run)
        assert [(e.kind, e.name) for e in await client.history(run.id)] == [
            ("sleep", "hf.sleep"), ("cancel", "cancel"), ("step", "note"),
        ]  # fmt: skip


async def test_an_async_step_is_cut_off_a_plain_one_ends(store_url: str) -> None:
    cut: list[str] = []
    going = threading.Event()

    @hf.step(retry=ONCE)
    async def cuts() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cut.append("off")
            raise

    @hf.step(retry=ONCE)
    def ends() -> str:
        going.wait(20)
        return "ended"

    @hf.workflow
    async def runs(plain: bool) -> str:
        await (ends() if plain else cuts())
        await note("next")
        return "no"

    async with serving(store_url, runs) as client:
        run = await client.start(runs, False)
        await until_status(client, run.id, "running")
        await asyncio.sleep(0.05)
        await client.cancel(run.id)
        await ends_cancelled(client, run)
        assert cut == ["off"]
        assert await client.history(run.id) == []
        run = await client.start(runs, True)
        await until_status(client, run.id, "running")
        await asyncio.sleep(0.05)
        await client.cancel(run.id)
        await asyncio.sleep(0.05)
        assert (await client.get(run.id)).asked == "cancel"
        going.set()
        await ends_cancelled(client, run)
        assert [e.output for e in await client.history(run.id)] == ["ended"]


async def test_it_cannot_be_swallowed(store_url: str) -> None:
    tries: list[int] = []

    @hf.workflow
    async def stubborn() -> str:
        for _ in range(5):
            try:
                await hf.sleep(600)
            except BaseException:
                tries.append(1)
        return "I go on"

    async with serving(store_url, stubborn) as client:
        run = await client.start(stubborn)
        await until_status(client, run.id, "waiting")
        await client.cancel(run.id)
        await ends_cancelled(client, run)
        assert len(tries) >= 5


async def test_except_exception_lets_it_pass(store_url: str) -> None:
    @hf.workflow
    async def careless() -> str:
        try:
            await hf.sleep(600)
        except Exception:
            return "swallowed"
        return "no"

    async with serving(store_url, careless) as client:
        run = await client.start(careless)
        await until_status(client, run.id, "waiting")
        await client.cancel(run.id)
        await ends_cancelled(client, run)


async def test_children_are_cancelled_and_waited_for(store_url: str) -> None:
    @hf.workflow
    async def child(n: int) -> int:
        try:
            await hf.sleep(600)
        finally:
            async with hf.shield():
                await note(f"child {n}")
        return n

    @hf.workflow
    async def parent() -> list[int]:
        try:
            return [*(await hf.gather(child(1), child(2))), *(await hf.map(child, [3]))]
        finally:
            async with hf.shield():
                await note("parent")

    async with serving(store_url, parent, child) as client:
        run = await client.start(parent)

        async def both() -> bool:
            return [v.status for v in await client.list(workflow="child")] == ["waiting", "waiting"]

        await until(both)
        await client.cancel(run.id)
        await ends_cancelled(client, run)
        children = await client.list(workflow="child")
        assert [view.status for view in children] == ["cancelled", "cancelled"]
        parent_view = await client.get(run.id)
        assert parent_view.finished_at is not None
        for view in children:
            assert view.finished_at is not None
            assert view.finished_at <= parent_view.finished_at


@pytest.mark.parametrize("fan_out", [False, True])
async def test_a_parent_that_left_memory_meanwhile_ends_cancelled(
    store_url: str, fan_out: bool, park_at_once: None
) -> None:
    @hf.workflow
    async def child(n: int) -> int:
        try:
            await hf.sleep(600)
        finally:
            async with hf.shield():
                await nap(0.1)
        return n

    @hf.workflow
    async def parent() -> list[int]:
        return await hf.map(child, [1]) if fan_out else [await child(1)]

    async with serving(store_url, parent, child) as client:
        run = await client.start(parent)

        async def begun() -> bool:
            return [v.status for v in await client.list(workflow="child")] == ["waiting"]

        await until(begun)
        await client.cancel(run.id)
        await ends_cancelled(client, run)
        assert [view.status for view in await client.list(workflow="child")] == ["cancelled"]


async def test_the_children_of_a_fan_out_are_cancelled(store_url: str) -> None:
    @hf.workflow
    async def parent() -> list[str]:
        return await hf.map(sleeps, [600.0] * 30, limit=10)

    async with serving(store_url, parent, sleeps) as client:
        run = await client.start(parent)
        await until_status(client, run.id, "waiting")
        await client.cancel(run.id)
        await ends_cancelled(client, run)
        assert {view.status for view in await client.list(workflow="sleeps")} == {"cancelled"}


async def test_a_shield_ends_with_its_time(store_url: str) -> None:
    @hf.workflow
    async def slow() -> str:
        try:
            await hf.sleep(600)
        finally:
            async with hf.shield(timeout=0.1):
                await nap(60)
        return "no"

    async with serving(store_url, slow) as client:
        run = await client.start(slow)
        await until_status(client, run.id, "waiting")
        await client.cancel(run.id)
        await ends_cancelled(client, run)
        assert [e.name for e in await client.history(run.id)] == ["hf.sleep", "cancel"]


async def test_a_crash_while_it_cleans_up(store_url: str) -> None:
    """Replay raises the cancellation where it was raised before."""
    seen: list[str] = []

    @hf.workflow
    async def cleans() -> None:
        try:
            await hf.sleep(600)
            seen.append("went on")
        finally:
            async with hf.shield():
                await note("one")
                await hf.sleep(0.2)
                await note("two")

    async with hf.connect(store_url) as client:
        async with hf.Worker(client, [cleans], drain=0):
            run = await client.start(cleans)
            await until_status(client, run.id, "waiting")
            await client.cancel(run.id)

            async def begun() -> bool:
                return len(await client.history(run.id)) >= 3

            await until(begun)
        async with hf.Worker(client, [cleans], drain=0):
            await ends_cancelled(client, run)
        assert seen == []
        assert [e.name for e in await client.history(run.id)] == ["hf.sleep", "cancel", "note", "hf.sleep", "note"]


async def test_between_attempts(store_url: str) -> None:
    @hf.step(retry=hf.Retry(max_attempts=10, initial=60, jitter=0))
    async def fails() -> None:
        raise ValueError("no")

    @hf.workflow
    async def tries() -> None:
        await fails()

    async with serving(store_url, tries) as client:
        run = await client.start(tries)
        await until_status(client, run.id, "waiting")
        await client.cancel(run.id)
        await ends_cancelled(client, run)


async def test_a_held_run_ends_cancelled_though_its_code_has_nothing_left_to_do(store_url: str) -> None:
    @hf.workflow
    async def nearly() -> str:
        await nap(0.1)
        return "done"

    async with serving(store_url, nearly) as client:
        run = await client.start(nearly)
        await until_status(client, run.id, "running")
        await client.hold(run.id)
        await until_status(client, run.id, "held")
        await client.cancel(run.id)
        await ends_cancelled(client, run)


async def test_cancelled_twice_and_too_late(store_url: str) -> None:
    async with serving(store_url, sleeps) as client:
        run = await client.start(sleeps, 600)
        await until_status(client, run.id, "waiting")
        await client.cancel(run.id)
        await ends_cancelled(client, run)
        with pytest.raises(hf.NotPossible, match="has ended: it is cancelled"):
            await client.cancel(run.id)
        with pytest.raises(hf.RunNotFound):
            await client.cancel("nobody")
        with pytest.raises(hf.RunNotFound):
            await hf.Client(client.core, "other").cancel(run.id)


async def test_a_parent_sees_that_its_child_was_cancelled(store_url: str) -> None:
    @hf.workflow
    async def parent() -> str:
        try:
            return await sleeps(600)
        except hf.RunCancelled as cancelled:
            return f"child: {cancelled}"

    async with serving(store_url, parent, sleeps) as client:
        run = await client.start(parent)

        async def begun() -> bool:
            return [v.status for v in await client.list(workflow="sleeps")] == ["waiting"]

        await until(begun)
        [child] = await client.list(workflow="sleeps")
        await client.cancel(child.id)
        assert (await run.result(timeout="20s")).startswith("child: run ")


async def test_retrying_steps_of_a_held_run_stop(store_url: str) -> None:
    tried: list[int] = []

    @hf.step(retry=QUICK)
    async def fails() -> None:
        tried.append(1)
        await asyncio.sleep(0.05)
        raise ValueError("no")

    @hf.workflow
    async def tries() -> None:
        await fails()

    async with serving(store_url, tries) as client:
        run = await client.start(tries)
        await until_status(client, run.id, "running")
        await client.hold(run.id)
        await until_status(client, run.id, "held")
        assert len(tried) <= 1
        await client.release(run.id)
        with pytest.raises(hf.RunFailed):
            await run.result(timeout="20s")
        assert len(tried) == 3
