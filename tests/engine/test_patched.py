"""`hf.patched`: a run goes the way it began, whatever code executes it later."""

import asyncio
from typing import Any

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, outcome, positions, serving, until, until_status


@hf.step(retry=ONCE)
async def note(text: str) -> str:
    return text


async def test_a_deployment(store_url: str, park_at_once: None) -> None:
    """What was begun by the old code goes the old way, through replays; what begins now goes the new way."""

    @hf.workflow(name="order")
    async def before(key: str) -> list[str]:
        first = await note("charge")
        await hf.wait_for_event("go", key=key)
        return [first, await note("ship")]

    @hf.workflow(name="order")
    async def after(key: str) -> list[str]:
        checked = [await note("check")] if hf.patched("check first") else []
        first = await note("charge")
        await hf.wait_for_event("go", key=key)
        await hf.sleep(0.005)
        return [*checked, first, await note("ship")]

    async with hf.connect(store_url) as client:
        async with hf.Worker(client, [before], drain=0):
            old = await client.start(before, "old")
            await until_status(client, old.id, "waiting")
        async with hf.Worker(client, [after], drain=0):
            new = await client.start(after, "new")
            await until_status(client, new.id, "waiting")
            await client.send_event("go", key="old")
            await client.send_event("go", key="new")
            assert await old.result("20s") == ["charge", "ship"]
            assert await new.result("20s") == ["check", "charge", "ship"]
        assert [e.kind for e in await client.history(old.id) if e.kind == "patch"] == []
        assert [e.name for e in await client.history(new.id) if e.kind == "patch"] == ["check first"]


async def test_a_run_that_has_not_come_so_far_goes_the_new_way(store_url: str, park_at_once: None) -> None:
    @hf.workflow(name="order")
    async def before() -> list[str]:
        await hf.wait_for_event("go")
        return [await note("ship")]

    @hf.workflow(name="order")
    async def after() -> list[str]:
        await hf.wait_for_event("go")
        way = "ship fast" if hf.patched("fast") else "ship"
        await hf.sleep(0.005)
        return [await note(way)]

    async with hf.connect(store_url) as client:
        async with hf.Worker(client, [before], drain=0):
            run = await client.start(before)
            await until_status(client, run.id, "waiting")
        async with hf.Worker(client, [after], drain=0):
            await client.send_event("go")
            assert await run.result("20s") == ["ship fast"]


async def test_a_second_patch_after_the_first(store_url: str, park_at_once: None) -> None:
    """What is recorded of one patch is nothing that lies ahead of another."""
    ways: list[tuple[bool, ...]] = []

    @hf.workflow
    async def twice() -> list[bool]:
        one = hf.patched("one")
        await hf.sleep(0.005)
        two = hf.patched("two")
        await note("a")
        await hf.sleep(0.005)
        three = hf.patched("three")
        ways.append((one, two, three))
        await hf.sleep(0.005)
        return [one, two, three, hf.patched("one")]

    async with serving(store_url, twice) as client:
        run = await client.start(twice)
        assert await run.result("20s") == [True, True, True, True]
        assert set(ways) == {(True, True, True)}
        assert [e.name for e in await client.history(run.id) if e.kind == "patch"] == ["one", "three", "two"]


async def test_in_a_branch_of_a_fan_out(store_url: str, park_at_once: None) -> None:
    @hf.workflow(name="fan")
    async def before() -> list[str]:
        async def branch(n: int) -> str:
            first = await note(f"old {n}")
            await hf.wait_for_event("go", key=n)
            return first

        async def late() -> str:
            await hf.wait_for_event("go", key="late")
            return "late"

        return list(await hf.gather(branch(0), late(), branch(1)))

    @hf.workflow(name="fan")
    async def after() -> list[str]:
        async def branch(n: int) -> str:
            added = await note("new") if hf.patched(f"branch {n}") else ""
            first = await note(f"old {n}")
            await hf.wait_for_event("go", key=n)
            await hf.sleep(0.005)
            return added + first

        async def late() -> str:
            await hf.wait_for_event("go", key="late")
            added = await note("new ") if hf.patched("late") else ""
            await hf.sleep(0.005)
            return f"{added}late"

        return list(await hf.gather(branch(0), late(), branch(1)))

    async with hf.connect(store_url) as client:
        async with hf.Worker(client, [before], drain=0):
            old = await client.start(before)
            await until_status(client, old.id, "waiting")
        async with hf.Worker(client, [after], drain=0):
            for key in (0, 1, "late"):
                await client.send_event("go", key=key)
            assert await old.result("20s") == ["old 0", "new late", "old 1"]
            for key in (0, 1, "late"):
                await client.send_event("go", key=key)
            assert await outcome(client, after) == ["newold 0", "new late", "newold 1"]


async def test_it_is_kept_by_a_retry_and_a_fork(store_url: str) -> None:
    broken = [True]

    @hf.step(retry=ONCE)
    async def fails() -> None:
        if broken:
            raise ValueError("no")

    @hf.workflow
    async def patched() -> list[Any]:
        way = hf.patched("p")
        await note("a")
        await fails()
        return [way, await note("b")]

    async with serving(store_url, patched) as client:
        run = await client.start(patched)
        with pytest.raises(hf.RunFailed):
            await run.result("20s")
        broken.clear()
        await client.retry(run.id)
        assert await (await client.handle(run.id)).result("20s") == [True, "b"]
        fork = await client.fork(run.id, from_step="note", occurrence=2)
        assert await (await client.handle(fork)).result("20s") == [True, "b"]
        assert ("note", "ok") in [(name, said) for _, name, said in positions(await client.history(fork))]


async def test_progress_after_a_patch_is_no_replay(store_url: str, park_at_once: None) -> None:
    @hf.workflow
    async def works() -> None:
        hf.patched("p")
        await hf.sleep(0.005)
        hf.progress(5, 10)
        await hf.wait_for_event("go")

    async with serving(store_url, works) as client:
        run = await client.start(works)

        async def said() -> bool:
            return (await client.get(run.id)).progress is not None

        await until(said, within=5)
        await client.send_event("go")
        await run.result("20s")


@pytest.mark.parametrize("id", ["", "a\0b", "x" * 1000, 7, None])
async def test_what_is_no_patch(id: Any) -> None:
    with pytest.raises(hf.UsageError, match="the id of a patch"):
        hf.patched(id)


async def test_outside_a_workflow_it_is_refused() -> None:
    with pytest.raises(hf.UsageError, match="outside a run"):
        hf.patched("p")

    @hf.step(retry=ONCE)
    async def asks() -> bool:
        return hf.patched("p")

    @hf.workflow
    async def works() -> bool:
        return await asks()

    async with serving("memory://", works) as client:
        with pytest.raises(hf.RunFailed, match="inside a step"):
            await outcome(client, works)
    await asyncio.sleep(0)
