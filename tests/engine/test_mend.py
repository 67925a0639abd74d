"""Mending: retry from what failed, fork from a step, try a step again aside, begin again as new."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast.agents.recording import Request, record_artifact, record_requests
from tests.engine.helpers import ONCE, outcome, serving, until, until_status


class World:
    """What lies outside: steps call it, and a test breaks it and mends it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.broken: set[str] = set()


world = World()


@pytest.fixture(autouse=True)
def a_new_world() -> None:
    world.calls.clear()
    world.broken.clear()


@hf.step(retry=ONCE)
async def work(name: str, n: int = 0) -> str:
    world.calls.append(name)
    if name in world.broken:
        raise ValueError(f"{name} is broken")
    return f"{name}{n}"


@hf.step(retry=ONCE)
def plain(name: str) -> str:
    world.calls.append(name)
    if name in world.broken:
        raise ValueError(f"{name} is broken")
    return name


@hf.workflow
async def child(name: str) -> str:
    return await work(name)


@hf.workflow
async def three(last: str = "c") -> str:
    a = await work("a")
    b = await child("b")
    return a + b + await work(last) + await work("d")


async def fails(client: hf.Client, run: hf.RunHandle[Any]) -> BaseException:
    with pytest.raises(hf.RunFailed) as failed:
        await run.result("20s")
    assert failed.value.__cause__ is not None
    return failed.value.__cause__


async def again(client: hf.Client, run: hf.RunHandle[Any]) -> Any:
    """Retry a run and give its result."""
    await client.retry(run.id)
    return await (await client.handle(run.id)).result("20s")


def told(history: list[hf.JournalEntry]) -> list[tuple[str, str, int, int, bool]]:
    """What stands in a journal: (name, outcome, generation, seq, in force)."""
    return [(e.name, e.outcome, e.generation, e.seq, e.in_force) for e in history]


# Retry


async def test_it_goes_on_from_the_step_that_failed(store_url: str) -> None:
    world.broken.add("c")
    async with serving(store_url, three, child) as client:
        run = await client.start(three)
        assert str(await fails(client, run)) == "c is broken"
        view = await client.get(run.id)
        assert (view.status, view.attempt) == ("failed", 1)
        world.broken.clear()
        assert await again(client, run) == "a0b0c0d0"
        assert world.calls == ["a", "b", "c", "c", "d"]
        view = await client.get(run.id)
        assert (view.status, view.attempt, view.error) == ("succeeded", 2, None)
        assert await client.list(status="failed") == []
        assert len(await client.list(workflow="child")) == 1
        assert told(await client.history(run.id)) == [
            ("work", "ok", 1, 1, True),
            ("child", "ok", 1, 2, True),
            ("work", "error", 1, 3, False),
            ("work", "ok", 2, 3, True),
            ("work", "ok", 2, 4, True),
        ]


async def test_twice_in_a_row_and_at_another_step(store_url: str) -> None:
    world.broken.update(("c", "d"))
    async with serving(store_url, three, child) as client:
        run = await client.start(three)
        await fails(client, run)
        await client.retry(run.id)
        assert str(await fails(client, run)) == "c is broken"
        world.broken.discard("c")
        await client.retry(run.id)
        assert str(await fails(client, run)) == "d is broken"
        world.broken.clear()
        assert await again(client, run) == "a0b0c0d0"
        assert world.calls == ["a", "b", "c", "c", "c", "d", "d"]
        assert (await client.get(run.id)).attempt == 4
        in_force = [(e.name, e.generation) for e in await client.history(run.id) if e.in_force]
        assert in_force == [("work", 1), ("child", 1), ("work", 3), ("work", 4)]


async def test_the_idempotency_key_of_a_step_stays(store_url: str) -> None:
    keys: list[str] = []

    @hf.step(retry=ONCE)
    async def keyed() -> None:
        keys.append(hf.current().idempotency_key)
        if len(keys) == 1:
            raise ValueError("no")

    @hf.workflow
    async def once() -> int:
        await keyed()
        return hf.current().attempt

    async with serving(store_url, once) as client:
        run = await client.start(once)
        await fails(client, run)
        assert await again(client, run) == 2
        fork = await client.fork(run.id)
        await (await client.handle(fork)).result("20s")
    assert keys[0] == keys[1] != keys[2]


async def test_its_own_code_raised(store_url: str) -> None:
    """Nothing is done again: the code that raised is new."""

    @hf.workflow
    async def raises() -> str:
        a = await work("a")
        if "code" in world.broken:
            raise RuntimeError("a mistake")
        return a

    world.broken.add("code")
    async with serving(store_url, raises) as client:
        run = await client.start(raises)
        await fails(client, run)
        await client.retry(run.id)
        await fails(client, run)
        world.broken.clear()
        assert await again(client, run) == "a0"
        assert world.calls == ["a"]


@pytest.mark.parametrize("chained", [True, False])
async def test_its_code_raised_another_error_for_that_of_a_step(store_url: str, chained: bool) -> None:
    @hf.workflow
    async def wraps() -> str:
        a = await work("a")
        try:
            return a + await work("b")
        except ValueError as error:
            if chained:
                raise RuntimeError("order failed") from error
            raise RuntimeError("order failed")  # noqa: B904 - what is tried here

    world.broken.add("b")
    async with serving(store_url, wraps) as client:
        run = await client.start(wraps)
        assert str(await fails(client, run)) == "order failed"
        world.broken.clear()
        assert await again(client, run) == "a0b0"
        assert world.calls == ["a", "b", "b"]


async def test_two_branches_failed(store_url: str) -> None:
    """One retry tries both again, whichever failed first."""

    @hf.step(retry=ONCE)
    async def late(name: str) -> str:
        await asyncio.sleep(0.02)
        return await work(name)

    @hf.workflow
    async def side_by_side() -> list[str]:
        return [await work("first"), *(await hf.gather(late("b"), work("c")))]

    world.broken.update(("b", "c"))
    async with serving(store_url, side_by_side) as client:
        run = await client.start(side_by_side)
        assert str(await fails(client, run)) == "b is broken"
        world.broken.clear()
        assert await again(client, run) == ["first0", "b0", "c0"]
        assert world.calls.count("first") == 1


async def test_a_child_failed(store_url: str) -> None:
    @hf.workflow
    async def parent() -> str:
        return await work("a") + await child("b")

    world.broken.add("b")
    async with serving(store_url, parent, child) as client:
        run = await client.start(parent)
        await fails(client, run)
        world.broken.clear()
        assert await again(client, run) == "a0b0"
        assert sorted(view.status for view in await client.list(workflow="child")) == ["failed", "succeeded"]


async def test_children_of_a_fan_out_failed(store_url: str) -> None:
    @hf.workflow
    async def parent() -> list[str]:
        return [await work("a"), *(await hf.map(child, ["b", "c", "d"]))]

    world.broken.add("c")
    async with serving(store_url, parent, child) as client:
        run = await client.start(parent)
        await fails(client, run)
        world.broken.clear()
        assert await again(client, run) == ["a0", "b0", "c0", "d0"]
        assert world.calls.count("a") == 1


async def test_a_step_that_timed_out(store_url: str) -> None:
    @hf.step(retry=ONCE, timeout=0.02)
    async def slow() -> str:
        world.calls.append("slow")
        await asyncio.sleep(60 if "slow" in world.broken else 0)
        return "in time"

    @hf.workflow
    async def works() -> str:
        return await work("a") + await slow()

    world.broken.add("slow")
    async with serving(store_url, works) as client:
        run = await client.start(works)
        assert isinstance(await fails(client, run), hf.StepTimeout)
        world.broken.clear()
        assert await again(client, run) == "a0in time"
        assert world.calls == ["a", "slow", "slow"]


async def test_attempts_are_counted_anew(store_url: str) -> None:
    tries: list[int] = []

    @hf.step(retry=hf.Retry(max_attempts=2, initial=0.001))
    async def flaky() -> str:
        tries.append(hf.current().attempt)
        if len(tries) < 4:
            raise ValueError("no")
        return "yes"

    @hf.workflow
    async def works() -> str:
        return await flaky()

    async with serving(store_url, works) as client:
        run = await client.start(works)
        await fails(client, run)
        assert await again(client, run) == "yes"
        assert tries == [1, 2, 1, 2]
        entries = await client.history(run.id)
        assert [(e.generation, e.attempts, len(e.failed_attempts)) for e in entries] == [(1, 2, 1), (2, 2, 1)]


async def test_what_is_not_retried(store_url: str, park_at_once: None) -> None:
    @hf.workflow
    async def waits() -> object:
        return await hf.wait_for_event("go")

    async with serving(store_url, waits) as client:
        run = await client.start(waits)
        await until_status(client, run.id, "waiting")
        with pytest.raises(hf.NotPossible, match="is waiting; only a failed or cancelled run"):
            await client.retry(run.id)
        await client.hold(run.id)
        with pytest.raises(hf.NotPossible, match="is held"):
            await client.retry(run.id)
        await client.release(run.id)
        await client.send_event("go", 1)
        assert await run.result("20s") == 1
        with pytest.raises(hf.NotPossible, match="is succeeded"):
            await client.retry(run.id)
        with pytest.raises(hf.RunNotFound):
            await client.retry("nobody")


async def test_two_retries_at_once_are_one(store_url: str) -> None:
    world.broken.add("a")
    async with serving(store_url, child) as client:
        run = await client.start(child, "a")
        await fails(client, run)
        world.broken.clear()
        found = await asyncio.gather(*(client.retry(run.id) for _ in range(5)), return_exceptions=True)
        assert all(one is None or isinstance(one, hf.NotPossible) for one in found)
        assert await (await client.handle(run.id)).result("20s") == "a0"
        assert (await client.get(run.id)).attempt == 2


# Retry of a cancelled run


@pytest.mark.parametrize("where", ["step", "plain step", "sleep", "event", "child", "fan-out", "hold", "branches"])
async def test_a_cancelled_run_goes_on_where_it_was_cut_off(store_url: str, where: str) -> None:
    """What its cleaning up recorded is not in force, and it waits again for what it waited for."""
    begun = asyncio.Event()

    @hf.step(retry=ONCE)
    async def blocks() -> str:
        begun.set()
        world.calls.append("blocks")
        if "blocks" in world.broken:
            await asyncio.sleep(60)
        return "blocks"

    @hf.step(retry=ONCE)
    def blocks_a_thread() -> str:
        begun.set()
        world.calls.append("blocks")
        while "thread" in world.broken:
            pass
        return "blocks"

    @hf.workflow
    async def waits() -> object:
        return await hf.wait_for_event("go", key="child")

    @hf.workflow
    async def item(_: int) -> object:
        return await waits()

    async def told_to() -> object:
        return await hf.wait_for_event("go")

    @hf.workflow
    async def works() -> object:
        found: object = await work("before")
        try:
            if where == "step":
                found = await blocks()
            elif where == "plain step":
                found = await blocks_a_thread()
            elif where == "sleep":
                await hf.sleep(timedelta(hours=1) if "sleep" in world.broken else 0)
            elif where == "event":
                found = await told_to()
            elif where == "child":
                found = await waits()
            elif where == "fan-out":
                [found] = await hf.map(item, [1])
            elif where == "hold":
                found = await hf.hold()
            else:
                found, *_ = await hf.gather(told_to(), waits(), hf.sleep(0.01))
            await work("next")
        except BaseException:
            async with hf.shield():
                await work("cleaned")
                await plain("cleaned")
            raise
        return [found, await work("after")]

    async with serving(store_url, works, waits, item) as client:
        world.broken.update(("blocks", "thread", "sleep"))
        run = await client.start(works)
        if "step" in where:
            await begun.wait()
        elif where == "hold":
            await until_status(client, run.id, "held")
        else:

            async def waiting() -> bool:
                open_ones = [view for view in await client.list(limit=50) if view.finished_at is None]
                return all(view.status == "waiting" for view in open_ones) and len(open_ones) == {
                    "sleep": 1, "event": 1, "child": 2, "fan-out": 3, "branches": 2,
                }[where]  # fmt: skip

            await until(waiting)
        await client.cancel(run.id)
        world.broken.discard("thread")
        with pytest.raises(hf.RunCancelled):
            await run.result("20s")
        world.broken.clear()
        if where == "sleep":  # it is slept to its end
            await client.retry(run.id)
            await until_status(client, run.id, "waiting")
            assert world.calls == ["before", "cleaned", "cleaned"]
            return
        await client.retry(run.id)
        retried = await client.handle(run.id)
        if where == "hold":
            await until_status(client, run.id, "held")
            await client.release(run.id, "go")
        await client.send_event("go", "go")
        await client.send_event("go", "go", key="child")
        assert await retried.result("10s") == ["blocks" if "step" in where else "go", "after0"]
        assert world.calls.count("before") == 1
        assert world.calls.count("cleaned") == 2


async def test_cancelled_before_it_began(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        run = await client.start(child, "a")
        await client.cancel(run.id)
        await client.retry(run.id)
        async with hf.Worker(client, [child], drain=0):
            assert await (await client.handle(run.id)).result("20s") == "a0"


async def test_its_cleaning_up_failed(store_url: str) -> None:
    @hf.workflow
    async def works() -> object:
        try:
            return await hf.wait_for_event("go")
        finally:
            if "cleaning" in world.broken:
                async with hf.shield():
                    await work("one")
                    await work("two")

    world.broken.update(("cleaning", "two"))
    async with serving(store_url, works) as client:
        run = await client.start(works)

        async def begun() -> bool:
            return bool(await client.history(run.id))

        await until(begun)
        await client.cancel(run.id)
        with pytest.raises(hf.RunCancelled):
            await run.result("20s")
        world.broken.clear()
        await client.retry(run.id)
        await client.send_event("go", 1)
        assert await (await client.handle(run.id)).result("10s") == 1


# Fork


async def test_from_a_step_with_an_edited_input(store_url: str) -> None:
    async with serving(store_url, three, child) as client:
        run = await client.start(three)
        assert await run.result("20s") == "a0b0c0d0"
        before = await client.history(run.id)
        world.calls.clear()
        fork = await client.fork(run.id, from_step="work", occurrence=2, input={"n": 7}, id="mended")
        assert fork == "mended"
        assert await (await client.handle(fork)).result("20s") == "a0b0c7d0"
        assert world.calls == ["c", "d"]
        assert await client.history(run.id) == before
        old, new = await client.get(run.id), await client.get(fork)
        assert (new.forked_from, old.forks, old.forked_from) == (run.id, [fork], None)
        entries = await client.history(fork)
        assert [(e.name, e.generation, e.input) for e in entries if e.outcome == "ok"][2] == (
            "work", 1, {"name": "c", "n": 7},
        )  # fmt: skip
        with pytest.raises(hf.RunExists, match="mended"):
            await client.fork(run.id, id="mended")


async def test_from_a_step_with_an_edited_output(store_url: str) -> None:
    async with serving(store_url, three, child) as client:
        run = await client.start(three)
        await run.result("20s")
        world.calls.clear()
        fork = await client.fork(run.id, from_step=work, occurrence=2, output="C")
        assert await (await client.handle(fork)).result("20s") == "a0b0Cd0"
        assert world.calls == ["d"]
        with pytest.raises(hf.PayloadError):
            await client.fork(run.id, from_step=work, output=7)
        with pytest.raises(hf.PayloadError):
            await client.fork(run.id, from_step=work, input={"n": "many"})


async def test_from_a_childs_call(store_url: str) -> None:
    async with serving(store_url, three, child) as client:
        run = await client.start(three)
        await run.result("20s")
        world.calls.clear()
        anew = await client.fork(run.id, from_step="child")
        assert await (await client.handle(anew)).result("20s") == "a0b0c0d0"
        assert world.calls == ["b", "c", "d"]
        assert len(await client.list(workflow="child")) == 2
        edited = await client.fork(run.id, from_step="child", output="B")
        assert await (await client.handle(edited)).result("20s") == "a0Bc0d0"
        with pytest.raises(hf.UsageError, match="edit its output instead"):
            await client.fork(run.id, from_step="child", input={"name": "x"})


async def test_from_an_event(store_url: str) -> None:
    @hf.workflow
    async def asks() -> object:
        return [await work("a"), await hf.wait_for_event("go", key="k")]

    async with serving(store_url, asks) as client:
        run = await client.start(asks)
        await client.send_event("go", 1, key="k")
        assert await run.result("20s") == ["a0", 1]
        fork = await client.fork(run.id, from_step="go", output={"n": 2})
        assert await (await client.handle(fork)).result("20s") == ["a0", {"n": 2}]
        waits = await client.fork(run.id, from_step="go")
        await client.send_event("go", 3, key="k")
        assert await (await client.handle(waits)).result("20s") == ["a0", 3]
        assert world.calls == ["a"]


async def test_from_what_comes_after_a_fan_out(store_url: str) -> None:
    @hf.workflow
    async def parent() -> list[str]:
        return [*(await hf.map(child, ["b", "c"])), await work("last")]

    async with serving(store_url, parent, child) as client:
        run = await client.start(parent)
        await run.result("20s")
        world.calls.clear()
        fork = await client.fork(run.id, from_step="work")
        assert await (await client.handle(fork)).result("20s") == ["b0", "c0", "last0"]
        assert world.calls == ["last"]
        anew = await client.fork(run.id, from_step="child")
        assert await (await client.handle(anew)).result("20s") == ["b0", "c0", "last0"]
        with pytest.raises(hf.UsageError, match="fan-out"):
            await client.fork(run.id, from_step="child", output=["B", "C"])
        with pytest.raises(hf.StepNotFound, match="its steps are: child, work"):
            await client.fork(run.id, from_step="started")


async def test_of_a_run_that_goes_on(store_url: str, park_at_once: None) -> None:
    @hf.workflow
    async def waits() -> list[object]:
        return [await work("a"), await work("b"), await hf.wait_for_event("go")]

    async with serving(store_url, waits) as client:
        run = await client.start(waits)
        await until_status(client, run.id, "waiting")
        fork = await client.fork(run.id, from_step=work, occurrence=2, input={"n": 5})
        await until_status(client, fork, "waiting")
        assert (await client.get(run.id)).status == "waiting"
        assert (await client.send_event("go", 1, to="all")).waits == 2
        assert await run.result("20s") == ["a0", "b0", 1]
        assert await (await client.handle(fork)).result("20s") == ["a0", "b5", 1]


async def test_of_a_retried_run_and_of_a_fork(store_url: str) -> None:
    world.broken.add("c")
    async with serving(store_url, three, child) as client:
        run = await client.start(three)
        await fails(client, run)
        failed = await client.fork(run.id, from_step=work, occurrence=2)
        assert str(await fails(client, await client.handle(failed))) == "c is broken"
        world.broken.clear()
        assert await again(client, run) == "a0b0c0d0"
        world.calls.clear()
        fork = await client.fork(run.id, from_step=work, occurrence=3, input={"n": 9})
        assert await (await client.handle(fork)).result("20s") == "a0b0c0d9"
        again_forked = await client.fork(fork, from_step=work, occurrence=3, output="D")
        assert await (await client.handle(again_forked)).result("20s") == "a0b0c0D"
        assert world.calls == ["d"]
        assert await again(client, await client.handle(failed)) == "a0b0c0d0"
        assert sorted((await client.get(run.id)).forks) == sorted([failed, fork])


async def test_it_has_what_the_steps_that_it_takes_over_made_but_did_not_pay_for_it(store_url: str) -> None:
    @hf.step(retry=ONCE)
    async def write(name: str) -> str:
        text = f"{name} {hf.current().run_id}".encode()
        record_artifact(name, "text/plain", len(text), hashlib.sha256(text).digest(), content=text)
        record_requests(name, [Request("own:tiny", "ok", None, 10, 0, 5, 7, 1, 2)])
        return name

    @hf.workflow
    async def writes() -> list[str]:
        return [await write("plan"), await write("draft"), await write("letter")]

    async with serving(store_url, writes) as client:
        await (await client.start(writes.options(id="old"))).result("20s")
        await client.fork("old", from_step=write, occurrence=3, id="new")
        await (await client.handle("new")).result("20s")
        made = {one.name: (one.position, one.sha256) for one in await client.artifacts("old")}
        taken = {one.name: (one.position, one.sha256) for one in await client.artifacts("new")}
        assert list(taken) == ["plan", "draft", "letter"]
        assert (taken["plan"], taken["draft"]) == (made["plan"], made["draft"])
        assert [(await client.artifact("new", name)).content for name in taken] == [
            b"plan old", b"draft old", b"letter new",
        ]  # fmt: skip
        assert [call.phase for call in await client.model_calls("new")] == ["letter"]


async def test_from_the_start_with_another_input(store_url: str) -> None:
    async with serving(store_url, three, child) as client:
        run = await client.start(three, "x")
        await run.result("20s")
        fork = await client.fork(run.id, input={"last": "y"})
        assert await (await client.handle(fork)).result("20s") == "a0b0y0d0"
        assert (await client.get(fork)).input == {"last": "y"}
        assert (await client.get(run.id)).input == {"last": "x"}


async def test_a_fork_keeps_the_terms_of_its_workflow(store_url: str, park_at_once: None) -> None:
    """The time limit counts from the fork on, and the event that cancels the one cancels the other."""

    @hf.workflow(timeout="1h", cancel_on=("stop", "key"))
    async def waits(key: str) -> object:
        return await hf.wait_for_event("go", key=key)

    async with serving(store_url, waits) as client:
        run = await client.start(waits.options(attributes={"who": "maria"}, priority=3), "k")
        await until_status(client, run.id, "waiting")
        fork = await client.fork(run.id)
        view = await client.get(fork)
        assert (view.attributes, view.priority) == ({"who": "maria"}, 3)
        assert view.deadline_at is not None
        await until_status(client, fork, "waiting")
        assert (await client.send_event("stop", key="k")).cancels == 2
        with pytest.raises(hf.RunCancelled):
            await (await client.handle(fork)).result("20s")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"from_step": "nothing"}, hf.StepNotFound, "no step 'nothing'; its steps are: child, work"),
        ({"from_step": "work", "occurrence": 4}, hf.StepNotFound, "3 of step 'work'"),
        ({"from_step": "work", "occurrence": 0}, hf.UsageError, "occurrence is 0"),
        ({"from_step": "work", "occurrence": True}, hf.UsageError, "occurrence is True"),
        ({"from_step": "work", "occurrence": "2"}, hf.UsageError, "occurrence is '2'"),
        ({"from_step": ""}, hf.UsageError, "the name of a step"),
        ({"from_step": 7}, hf.UsageError, "the name of a step"),
        ({"from_step": "work", "input": {"x": 1}}, hf.UsageError, "has no argument 'x'; it has name, n"),
        ({"from_step": "work", "input": {"n": 1}, "output": "x"}, hf.UsageError, "not executed"),
        ({"input": {"x": 1}}, hf.UsageError, "has no argument 'x'; it has last"),
        ({"output": 1}, hf.UsageError, "belong to a step"),
        ({"occurrence": 2}, hf.UsageError, "belong to a step"),
        ({"id": ""}, hf.UsageError, "the id of a run"),
        ({"from_step": "work", "input": {"n": float("nan")}}, hf.PayloadError, "nan"),
        ({"from_step": "work", "input": 7}, hf.UsageError, "by name"),
        ({"input": ["x"]}, hf.UsageError, "by name"),
    ],
)
async def test_what_cannot_be_forked(options: dict[str, Any], error: type[Exception], said: str) -> None:
    async with serving("memory://", three, child) as client:
        run = await client.start(three)
        await run.result("20s")
        with pytest.raises(error, match=said):
            await client.fork(run.id, **options)
        with pytest.raises(hf.RunNotFound):
            await hf.Client(client.core, "other").fork(run.id)
        assert len(await client.list(workflow="three")) == 1


# A step aside


async def test_a_step_aside(store_url: str) -> None:
    @hf.workflow
    async def works() -> str:
        return await work("a", 1) + await plain("b")

    async with serving(store_url, works) as client:
        run = await client.start(works)
        await run.result("20s")
        before = await client.history(run.id), await client.get(run.id)
        same = await client.replay_step(run.id, work)
        assert (same.input, same.recorded, same.output) == ({"name": "a", "n": 1}, "a1", "a1")
        assert (same.recorded_error, same.error, same.difference) == (None, None, "")
        assert (await client.replay_step(run.id, plain)).output == "b"
        world.broken.add("b")
        broken = await client.replay_step(run.id, plain)
        assert broken.output is None
        assert broken.error is not None
        assert broken.error["message"] == "b is broken"
        assert '-"b"' in broken.difference
        assert "+builtins.ValueError: b is broken" in broken.difference
        assert (await client.history(run.id), await client.get(run.id)) == before


async def test_a_step_aside_that_failed_then_and_differs_now(store_url: str) -> None:
    seen: list[object] = []

    @hf.step(retry=ONCE)
    async def changes() -> dict[str, object]:
        seen.append(hf.current().run_id)
        hf.progress(1)
        if len(seen) == 1:
            raise ValueError("no")
        return {"turn": len(seen)}

    @hf.workflow
    async def works() -> dict[str, object]:
        return await changes()

    async with serving(store_url, works) as client:
        run = await client.start(works)
        await fails(client, run)
        first = await client.replay_step(run.id, changes)
        assert first.recorded_error is not None
        assert (first.recorded, first.output, first.error) == (None, {"turn": 2}, None)
        assert "-builtins.ValueError: no" in first.difference
        await again(client, run)
        second = await client.replay_step(run.id, changes)
        assert (second.recorded, second.output) == ({"turn": 3}, {"turn": 4})
        assert '-  "turn": 3' in second.difference
        assert set(seen) == {run.id}
        for step, said in (("changes", "give it the step itself"), (works, "give it the step itself")):
            with pytest.raises(hf.UsageError, match=said):
                await client.replay_step(run.id, step)  # type: ignore[arg-type]
        with pytest.raises(hf.StepNotFound):
            await client.replay_step(run.id, work)


# Begin again as new


async def test_its_journal_does_not_grow(store_url: str) -> None:
    @hf.workflow
    async def rolls(n: int, total: int = 0) -> int:
        await work("a", n)
        value = len(await child(f"c{n}")) + await child_of(n)
        if n == 0:
            return total + value
        hf.continue_as_new(n - 1, total=total + value)

    @hf.workflow
    async def child_of(n: int) -> int:
        return n

    async with serving(store_url, rolls, child, child_of) as client:
        run = await client.start(rolls, 12)
        assert await run.result("20s") == sum(range(13)) + sum(len(f"c{n}0") for n in range(13))
        view = await client.get(run.id)
        assert (view.attempt, view.input) == (13, {"n": 0, "total": view.input["total"]})
        entries = await client.history(run.id)
        assert [(e.name, e.generation, e.seq) for e in entries] == [
            ("work", 13, 1), ("child", 13, 2), ("child_of", 13, 3),
        ]  # fmt: skip
        assert len(await client.list(workflow="child", limit=100)) == 13


async def test_begun_again_it_waits_retries_and_holds_its_lane(store_url: str, park_at_once: None) -> None:
    entered: list[str] = []

    @hf.workflow(key="key")
    async def rolls(key: str, name: str, n: int = 0) -> str:
        entered.append(name)
        await hf.sleep(0.01)
        await hf.wait_for_event("go", key=f"{name} {n}")
        await work(f"{name} {n}")
        if n < 2:
            hf.continue_as_new(key, name, n=n + 1)
        return name

    async with serving(store_url, rolls) as client:
        world.broken.add("one 1")
        one = await client.start(rolls, "k", "one")
        two = await client.start(rolls, "k", "two")
        await client.send_event("go", key="one 0")
        await client.send_event("go", key="one 1")
        await fails(client, one)  # which gives the slot to the other
        for n in range(3):
            await client.send_event("go", key=f"two {n}")
        assert await two.result("20s") == "two"
        world.broken.clear()
        await client.retry(one.id)
        await client.send_event("go", key="one 2")
        assert await (await client.handle(one.id)).result("20s") == "one"
        assert entered == sorted(entered[: entered.index("two")]) + entered[entered.index("two") :]
        last_of_two = len(entered) - 1 - entered[::-1].index("two")
        assert "one" not in entered[entered.index("two") : last_of_two]
        assert world.calls == ["one 0", "one 1", "two 0", "two 1", "two 2", "one 1", "one 2"]
        assert await client.core.store.list_lanes(client.tenant, limit=9) == []


async def test_out_of_a_branch_and_of_a_child(store_url: str) -> None:
    async def turn(n: int) -> str:
        await work("turn", n)
        if n:
            hf.continue_as_new(n - 1)
        return "done"

    @hf.workflow
    async def rolls(n: int) -> list[str]:
        return list(await hf.gather(work("beside", n), turn(n)))

    @hf.workflow
    async def parent() -> list[str]:
        return await rolls(2)

    async with serving(store_url, parent, rolls) as client:
        assert await outcome(client, parent) == ["beside0", "done"]
        assert sorted(world.calls) == ["beside"] * 3 + ["turn"] * 3


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2), {}), ((1,), {"x": 2}), ((), {"x": 1})])
async def test_begun_again_with_wrong_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    @hf.workflow
    async def rolls(n: int) -> int:
        hf.continue_as_new(*args, **kwargs)

    async with serving("memory://", rolls) as client:
        run = await client.start(rolls, 1)
        error = await fails(client, run)
        assert isinstance(error, hf.UsageError)
        assert "rolls()" in str(error)
        with pytest.raises(hf.UsageError, match="outside a run"):
            hf.continue_as_new(1)


async def test_a_cancelled_run_does_not_begin_again(store_url: str) -> None:
    begun = asyncio.Event()

    @hf.workflow
    async def rolls(n: int) -> int:
        begun.set()
        try:
            await hf.sleep("1h")
        finally:
            hf.continue_as_new(n + 1)

    async with serving(store_url, rolls) as client:
        run = await client.start(rolls, 1)
        await until_status(client, run.id, "waiting")
        await client.cancel(run.id)
        with pytest.raises(hf.RunCancelled):
            await run.result("20s")
        assert (await client.get(run.id)).attempt == 1


async def test_a_held_run_begins_again_when_it_is_released(store_url: str) -> None:
    go, begun = asyncio.Event(), asyncio.Event()

    @hf.workflow
    async def rolls(n: int) -> int:
        if n:
            begun.set()
            await go.wait()
            hf.continue_as_new(n - 1)
        return n

    async with serving(store_url, rolls) as client:
        run = await client.start(rolls, 1)
        await begun.wait()
        await client.hold(run.id)
        go.set()
        await until_status(client, run.id, "held")
        await client.release(run.id)
        assert await run.result("20s") == 0
