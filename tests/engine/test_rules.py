"""The rules of durable code: what is refused, and what is said about it."""

import asyncio
import gc
from typing import Any

import pytest

import holdfast as hf
from tests.engine.helpers import cause, outcome, positions, serving, until_status


@hf.step
async def increment(x: int) -> int:
    return x + 1


@hf.step
async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@hf.workflow
async def leaf() -> int:
    return 1


def test_what_cannot_be_a_workflow_is_refused() -> None:
    def plain() -> None: ...

    async def generator():  # type: ignore[no-untyped-def]
        yield 1

    class Shop:
        def __call__(self) -> None: ...

        async def bound(self) -> None: ...

    for wrong in (plain, generator, Shop, Shop(), lambda: None, 3, None):
        with pytest.raises(hf.UsageError, match="must be an `async def` function"):
            hf.workflow(name="wrong")(wrong)  # type: ignore[arg-type,type-var]
    with pytest.raises(hf.UsageError, match="plain"):
        hf.workflow(plain)  # type: ignore[arg-type,type-var]
    with pytest.raises(hf.UsageError, match="is a method"):
        hf.workflow(Shop().bound)

    with pytest.raises(hf.UsageError, match="is a method"):

        class Other:
            @hf.workflow
            async def order(self) -> None: ...

    with pytest.raises(hf.UsageError, match="is a method"):

        class Another:
            @hf.workflow
            async def order(cls) -> None: ...


@pytest.mark.parametrize("name", ["", "x" * 513, "a\0b", "\ud800", 3, b"bytes"])
def test_a_name_that_no_database_can_hold_is_refused(name: Any) -> None:
    async def fine() -> None: ...

    for options in ({"name": name}, {"version": name}, {"queue": name}):
        with pytest.raises(hf.UsageError, match=r"of (a )?workflow"):
            hf.workflow(**options)(fine)


def test_a_workflow_is_not_called_outside_a_run() -> None:
    with pytest.raises(hf.UsageError, match=r"client.start\(leaf"):
        leaf()  # type: ignore[unused-awaitable]


async def test_a_workflow_is_not_called_in_a_step() -> None:
    @hf.step(retry=hf.Retry(max_attempts=1))
    async def calls() -> int:
        return await leaf()

    @hf.workflow
    async def run() -> None:
        await calls()

    async with serving("memory://", run) as client:
        error = await cause(client, run)
    assert isinstance(error, hf.UsageError)
    assert "called in a step" in str(error)


def test_the_raw_function_of_a_workflow() -> None:
    assert asyncio.run(leaf.fn()) == 1  # type: ignore[arg-type]
    assert leaf.__name__ == "leaf"


async def test_a_sleep_belongs_to_a_run() -> None:
    @hf.step(retry=hf.Retry(max_attempts=1))
    async def sleeps() -> None:
        await hf.sleep(1)

    @hf.workflow
    async def run() -> None:
        await sleeps()

    with pytest.raises(hf.UsageError, match=r"hf.sleep outside a run"):
        await hf.sleep(1)
    async with serving("memory://", run) as client:
        error = await cause(client, run)
    assert isinstance(error, hf.UsageError)
    assert "inside a step" in str(error)


CALLS = {
    "step": lambda: increment(1),
    "sleep": lambda: hf.sleep(0),
    "child": lambda: leaf(),
    "gather": lambda: hf.gather(),
    "map": lambda: hf.map(increment, [1]),
    "now": lambda: hf.now(),
    "uuid": lambda: hf.uuid(),
    "random": lambda: hf.random(),
}


@pytest.mark.parametrize("kind", CALLS)
async def test_a_durable_call_from_an_unknown_task_is_refused_with_advice(kind: str, store_url: str) -> None:
    async def helper() -> None:
        result = CALLS[kind]()
        if asyncio.iscoroutine(result) or kind == "child":
            await result

    @hf.workflow
    async def spawns() -> None:
        await asyncio.create_task(helper())

    async with serving(store_url, spawns, leaf) as client:
        run = await client.start(spawns)
        with pytest.raises(hf.RunFailed) as failed:
            await run.result()
        assert isinstance(failed.value.__cause__, hf.NotDurable)
        assert "hf.gather" in str(failed.value.__cause__)
        assert await client.history(run.id) == []


async def test_a_helper_awaited_in_the_runs_own_task_is_fine(store_url: str) -> None:
    async def helper() -> int:
        return await increment(await increment(1))

    @hf.workflow
    async def awaits() -> int:
        return await helper()

    async with serving(store_url, awaits) as client:
        assert await outcome(client, awaits) == 3


@pytest.mark.parametrize("swallows", [False, True])
@pytest.mark.parametrize("kind", ["step", "sleep", "gather", "map", "wait_for", "cancel"])
async def test_a_durable_call_cancelled_from_outside_fails_the_run(kind: str, swallows: bool) -> None:
    after: list[str] = []

    async def cut() -> None:
        match kind:
            case "wait_for":
                await asyncio.wait_for(nap(60), 0.01)
            case "cancel":
                task = asyncio.ensure_future(nap(60))
                await asyncio.sleep(0.005)
                task.cancel()
                await task
            case _:
                async with asyncio.timeout(0.01):
                    await {
                        "step": lambda: nap(60),
                        "sleep": lambda: hf.sleep(4),
                        "gather": lambda: hf.gather(nap(60), nap(61)),
                        "map": lambda: hf.map(nap, [60, 61, 62], limit=1),
                    }[kind]()

    @hf.workflow
    async def run() -> str:
        if not swallows:
            await cut()
        try:
            await cut()
        except (TimeoutError, asyncio.CancelledError):
            after.append("swallowed")
        return "as if nothing had happened"

    async with serving("memory://", run) as client:
        error = await cause(client, run)
    assert isinstance(error, hf.UsageError)
    assert "timeout=" in str(error)
    assert after == (["swallowed"] if swallows else [])


async def test_no_durable_call_goes_on_after_a_swallowed_timeout(store_url: str) -> None:
    calls: list[str] = []

    @hf.step
    async def refund() -> None:
        calls.append("refund")

    @hf.workflow
    async def run() -> None:
        try:
            async with asyncio.timeout(0.01):
                await nap(60)
        except TimeoutError:
            await refund()

    async with serving(store_url, run) as client:
        started = await client.start(run)
        with pytest.raises(hf.RunFailed, match="timeout="):
            await started.result()
        assert await client.history(started.id) == []
    assert calls == []


def versions() -> tuple[Any, dict[str, Any]]:
    """The code of a workflow before a change, and after each of several."""

    @hf.step
    async def first() -> int:
        return 1

    @hf.step
    async def second() -> int:
        return 2

    @hf.workflow(name="order")
    async def before() -> int:
        await first()
        await hf.sleep(0.15)
        return await second()

    @hf.workflow(name="order")
    async def other_step() -> int:
        await second()
        return 0

    @hf.workflow(name="order")
    async def other_kind() -> int:
        await first()
        await leaf()
        return 0

    @hf.workflow(name="order")
    async def in_a_branch() -> int:
        await hf.gather(hf.sleep(0), second())
        return 0

    @hf.workflow(name="order")
    async def clock() -> int:
        hf.now()
        return 0

    @hf.workflow(name="order")
    async def swallows() -> int:
        try:
            await second()
        except Exception:
            return 0
        return 0

    changed = {
        "other_step": (other_step, "position 0 the journal has step 'first', the code asks for step 'second'"),
        "other_kind": (other_kind, "position 1 the journal has sleep 'hf.sleep', the code asks for child 'leaf'"),
        "in_a_branch": (in_a_branch, "position 0 the journal has step 'first', the code asks for sleep 'hf.sleep'"),
        "clock": (clock, "position 0 the journal has step 'first', the code asks for now 'hf.now'"),
        "swallows": (swallows, "position 0 the journal has step 'first', the code asks for step 'second'"),
    }
    return before, changed


@pytest.mark.slow
@pytest.mark.parametrize("change", ["other_step", "other_kind", "in_a_branch", "clock", "swallows"])
async def test_changed_code_holds_the_run_and_keeps_its_journal(
    change: str, disk_url: str, park_at_once: None, caplog: pytest.LogCaptureFixture
) -> None:
    before, changed = versions()
    after, said = changed[change]
    async with hf.connect(disk_url) as client:
        async with hf.Worker(client, [before], drain=0):
            run = await client.start(before)
            await until_status(client, run.id, "waiting")
        recorded = await client.history(run.id)
        async with hf.Worker(client, [after], drain=0):
            view = await until_status(client, run.id, "held")
            assert view.error is not None
            assert view.error["message"].startswith(f"nondeterminism: at {said}")
            assert view.error["type"] == "holdfast.errors.NonDeterminism"
            assert view.output is None
            assert view.finished_at is None
            assert await client.history(run.id) == recorded
            assert positions(recorded) == [("0", "first", "ok"), ("1", "hf.sleep", "ok")]
            with pytest.raises(TimeoutError, match="it goes on"):
                await run.result(timeout=0.05)
            assert [one.id for one in await client.list(status="held")] == [run.id]
    gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


async def test_a_different_branch_on_replay_holds_the_run(store_url: str, park_at_once: None) -> None:
    turns: list[int] = []

    @hf.workflow
    async def depends() -> None:
        turns.append(1)
        if len(turns) == 1:
            await increment(1)
        else:
            await nap(0)
        await hf.sleep(0.005)

    async with serving(store_url, depends) as client:
        run = await client.start(depends)
        view = await until_status(client, run.id, "held")
        assert view.error is not None
        assert "has step 'increment', the code asks for step 'nap'" in view.error["message"]
        assert len(await client.history(run.id)) == 2


async def test_cleanup_at_eviction_records_nothing(store_url: str, park_at_once: None) -> None:
    log: list[str] = []

    @hf.step
    async def refund() -> None:
        log.append("refund")

    @hf.workflow
    async def run() -> str:
        try:
            await hf.sleep(0.02)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        except BaseException as error:
            log.append(type(error).__name__)
            raise
        finally:
            log.append("finally")
            await refund()
        return "done"

    async with serving(store_url, run) as client:
        started = await client.start(run)
        assert await started.result() == "done"
        assert positions(await client.history(started.id)) == [("0", "hf.sleep", "ok"), ("1", "refund", "ok")]
    assert log.count("refund") == 1
    assert log.count("finally") == 2
