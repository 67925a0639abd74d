"""Holding a run, by a person wherever it stands or by its own code, and letting it go on."""

import asyncio
import threading
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine.execution import Execution
from holdfast.model.notes import Note, encode_note
from holdfast.store.operations import Control
from tests.engine.clock import LONG_LEASE, move
from tests.engine.helpers import ONCE, outcome, positions, serving, until, until_status


@hf.step(retry=ONCE)
async def note(text: str) -> str:
    return text


@hf.workflow
async def quick(x: int) -> int:
    return x


@hf.workflow
async def asks(value: str = "asked") -> object:
    await note("before")
    answer = await hf.hold("look at it")
    await note("after")
    return [value, answer]


@hf.workflow
async def asks_for_a_number() -> int:
    return await hf.hold("how many?", type=int) + 1


async def crash(client: hf.Client, worker: hf.Worker) -> None:
    """The worker is gone without a word, and others may have its runs."""
    worker._dispatcher.evict_all()
    await worker.stop()
    await client.core.store.rescue(100)


async def held(client: hf.Client, run: hf.RunHandle[Any], reason: str | None = None) -> hf.RunView:
    view = await until_status(client, run.id, "held")
    assert view.error is not None
    if reason is not None:
        assert view.error["message"] == reason
    assert (view.finished_at, view.worker, view.asked) == (None, None, None)
    return view


# By a person


async def test_a_queued_run(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        run = await client.start(quick, 1)
        await client.hold(run.id, reason="wait for the audit", by="maria")
        view = await held(client, run, "held by maria: wait for the audit")
        assert (view.started_at, view.error and view.error["type"]) == (None, "holdfast.errors.RunHeld")
        assert [one.id for one in await client.list(status="held")] == [run.id]
        async with hf.Worker(client, [quick], drain=0):
            assert await outcome(client, quick, 2) == 2
            await held(client, run)
            await client.release(run.id, by="maria")
            assert await run.result(timeout="20s") == 1
        view = await client.get(run.id)
        assert (view.error, view.output, view.asked) == (None, 1, None)
        assert await client.list(status="held") == []


async def test_a_sleeping_run_sleeps_on(store_url: str, park_at_once: None) -> None:
    """A timer that came while it was held has come."""

    @hf.workflow
    async def sleeps(seconds: float) -> str:
        await hf.sleep(seconds)
        return "slept"

    async with serving(store_url, sleeps, lease=LONG_LEASE, beat="1d") as client:
        over, still = await client.start(sleeps, 60), await client.start(sleeps, 6000)
        for run in (over, still):
            await until_status(client, run.id, "waiting")
            await client.hold(run.id)
            await held(client, run, "held")
        await move(client, 120)
        await asyncio.sleep(0.05)
        assert (await client.get(over.id)).status == "held"
        await client.release(over.id)
        await client.release(still.id)
        assert await over.result(timeout="20s") == "slept"
        view = await until_status(client, still.id, "waiting")
        assert view.due_at is not None
        await move(client, 6000)
        assert await still.result(timeout="20s") == "slept"


@pytest.mark.parametrize("plain", [False, True])
async def test_in_a_step_the_step_ends_and_is_recorded(store_url: str, plain: bool) -> None:
    go, begun = threading.Event(), threading.Event()
    calls: list[str] = []

    @hf.step(retry=ONCE)
    def blocks() -> str:
        calls.append("blocks")
        begun.set()
        go.wait(20)
        return "ended"

    @hf.step(retry=ONCE)
    async def lasts() -> str:
        calls.append("lasts")
        begun.set()
        while not go.is_set():
            await asyncio.sleep(0.002)
        return "ended"

    @hf.workflow
    async def works() -> str:
        first = await (blocks() if plain else lasts())
        return await note(first)

    async def in_it() -> bool:
        return begun.is_set()

    async with serving(store_url, works) as client:
        run = await client.start(works)
        await until(in_it)
        await client.hold(run.id, reason="look")
        await client.hold(run.id, reason="look")
        view = await client.get(run.id)
        assert (view.status, view.asked) == ("running", "hold")
        go.set()
        await held(client, run, "held: look")
        assert [entry.output for entry in await client.history(run.id)] == ["ended"]
        await client.release(run.id)
        assert await run.result(timeout="20s") == "ended"
        assert len(calls) == 1


async def test_between_attempts_the_next_one_waits(store_url: str, park_at_once: None) -> None:
    tried: list[int] = []

    @hf.step(retry=hf.Retry(max_attempts=3, initial=60, jitter=0))
    async def fails_once() -> str:
        tried.append(1)
        if len(tried) == 1:
            raise ValueError("no")
        return "done"

    @hf.workflow
    async def tries() -> str:
        return await fails_once()

    async with serving(store_url, tries, lease=LONG_LEASE, beat="1d") as client:
        run = await client.start(tries)
        await until_status(client, run.id, "waiting")
        await client.hold(run.id)
        await held(client, run)
        await move(client, 90)
        await asyncio.sleep(0.05)
        assert (await client.get(run.id)).status == "held"
        assert len(tried) == 1
        await client.release(run.id)
        assert await run.result(timeout="20s") == "done"
        [entry] = await client.history(run.id)
        assert (entry.attempts, len(entry.failed_attempts)) == (2, 1)


async def test_a_fan_out_with_one_branch_in_a_step(store_url: str) -> None:
    go, begun = asyncio.Event(), asyncio.Event()
    calls: list[str] = []

    @hf.step(retry=ONCE)
    async def lasts() -> str:
        calls.append("lasts")
        begun.set()
        await go.wait()
        return "ended"

    async def two() -> str:
        first = await lasts()
        return first + await note("!")

    async def waits() -> object:
        return await hf.wait_for_event("go")

    @hf.workflow
    async def works() -> object:
        return list(await hf.gather(two(), waits(), hf.sleep(0.01)))

    async with serving(store_url, works) as client:
        run = await client.start(works)
        await begun.wait()
        await client.hold(run.id)
        await asyncio.sleep(0.05)
        assert (await client.get(run.id)).status == "running"
        go.set()
        await held(client, run)
        assert ("1.1.1", "note", "ok") not in positions(await client.history(run.id))
        assert (await client.send_event("go", 5)).waits == 1
        await client.release(run.id)
        assert await run.result(timeout="20s") == ["ended!", 5, None]
        assert calls == ["lasts"]


async def test_while_it_waits_for_a_child(store_url: str) -> None:
    go = asyncio.Event()

    @hf.step(retry=ONCE)
    async def lasts() -> int:
        await go.wait()
        return 7

    @hf.workflow
    async def child() -> int:
        return await lasts()

    @hf.workflow
    async def parent() -> int:
        return await child() + len(await hf.map(child, [])) + sum(await hf.gather(child(), child()))

    async with serving(store_url, parent, child) as client:
        run = await client.start(parent)

        async def begun() -> bool:
            return bool(await client.list(workflow="child"))

        await until(begun)
        await client.hold(run.id)
        await held(client, run)
        go.set()
        [only] = await client.list(workflow="child")
        await until_status(client, only.id, "succeeded")  # a hold is for the run alone
        assert (await client.get(run.id)).status == "held"
        await client.release(run.id)
        assert await run.result(timeout="20s") == 21


async def test_a_hold_that_is_taken_back_before_it_took_effect(store_url: str) -> None:
    """The run goes on, and may be parked and give up its slot as if nothing had been asked."""
    go, begun = asyncio.Event(), asyncio.Event()

    @hf.step(retry=ONCE)
    async def lasts() -> None:
        begun.set()
        await go.wait()

    @hf.workflow
    async def works() -> str:
        await lasts()
        await hf.sleep("1h")
        return "no"

    async with serving(store_url, works, quick, concurrency=1) as client:
        run = await client.start(works)
        await begun.wait()
        await client.hold(run.id)
        await client.release(run.id)
        assert (await client.get(run.id)).asked is None
        go.set()
        await until_status(client, run.id, "waiting")
        assert await outcome(client, quick, 1) == 1


async def test_while_its_code_ends(store_url: str) -> None:
    """Whichever is first: held and then ended, or ended, and never both."""
    go = asyncio.Event()

    @hf.workflow
    async def ends() -> str:
        await note("one")
        await go.wait()
        return "ended"

    async with serving(store_url, ends) as client:
        for turns in range(8):
            go.clear()
            run = await client.start(ends)

            async def recorded(run_id: str = run.id) -> bool:
                return bool(await client.history(run_id))

            await until(recorded)
            asking = asyncio.create_task(client.hold(run.id))
            for _ in range(turns):
                await asyncio.sleep(0)
            go.set()
            try:
                await asking
            except hf.NotPossible:
                pass
            else:
                await asyncio.sleep(0.05)
                if (await client.get(run.id)).finished_at is None:
                    await held(client, run)
                    await client.release(run.id)
            assert await run.result(timeout="20s") == "ended"
            assert (await client.get(run.id)).status == "succeeded"
            assert await client.list(status="held") == []


async def test_a_delayed_start_keeps_its_delay(store_url: str) -> None:
    async with serving(store_url, quick, lease=LONG_LEASE, beat="1d") as client:
        run = await client.start(quick.options(delay="1h"), 1)
        await client.hold(run.id)
        await held(client, run)
        await client.release(run.id)
        view = await client.get(run.id)
        assert view.due_at is not None
        assert view.due_at > view.created_at
        await asyncio.sleep(0.05)
        assert (await client.get(run.id)).started_at is None
        await client.hold(run.id)
        await move(client, 4000)
        await asyncio.sleep(0.05)
        assert (await client.get(run.id)).status == "held"
        await client.release(run.id)
        assert await run.result(timeout="20s") == 1


async def test_what_cannot_be_held_released_or_rejected(store_url: str, park_at_once: None) -> None:
    @hf.workflow
    async def waits() -> object:
        return await hf.wait_for_event("go")

    async with serving(store_url, quick, waits) as client:
        run = await client.start(quick, 1)
        await run.result(timeout="20s")
        for ask in (client.hold, client.release, client.reject):
            with pytest.raises(hf.NotPossible, match="has ended: it is succeeded"):
                await ask(run.id)
            with pytest.raises(hf.RunNotFound):
                await ask("nobody")
            with pytest.raises(hf.RunNotFound):
                await getattr(hf.Client(client.core, "other"), ask.__name__)(run.id)
        waiting = await client.start(waits)
        await until_status(client, waiting.id, "waiting")
        for ask in (client.release, client.reject):
            with pytest.raises(hf.NotPossible, match="is not held: it is waiting"):
                await ask(waiting.id)
        await client.hold(waiting.id)
        await held(client, waiting)
        await client.hold(waiting.id, reason="again")  # does nothing more
        await held(client, waiting, "held")
        with pytest.raises(hf.NotPossible, match="its code asks for no value"):
            await client.release(waiting.id, 7)
        await held(client, waiting, "held")
        await client.release(waiting.id)
        with pytest.raises(hf.NotPossible, match="is not held"):
            await client.release(waiting.id)
        await client.hold(waiting.id)
        await held(client, waiting)
        answers = await asyncio.gather(*(client.release(waiting.id) for _ in range(3)), return_exceptions=True)
        assert answers.count(None) == 1
        refused = [answer for answer in answers if answer is not None]
        assert not [answer for answer in refused if "it is held" in str(answer)]
        for given in ("a\0b", "x" * 1001, 7):
            with pytest.raises(hf.UsageError, match="text of at most 1000"):
                await client.hold(waiting.id, reason=given)  # type: ignore[arg-type]


async def test_a_held_run_is_cancelled(store_url: str, park_at_once: None) -> None:
    seen: list[str] = []

    @hf.workflow
    async def cleans() -> None:
        try:
            await hf.sleep("1h")
        finally:
            async with hf.shield():
                seen.append(await note("cleaned"))

    async with serving(store_url, cleans, quick) as client:
        run = await client.start(cleans)
        await until_status(client, run.id, "waiting")
        await client.hold(run.id)
        await held(client, run)
        await client.cancel(run.id)
        with pytest.raises(hf.RunCancelled):
            await run.result(timeout="20s")
        assert seen == ["cleaned"]
        assert await client.list(status="held") == []
        fresh = await client.start(quick.options(delay=60), 1)
        await client.hold(fresh.id)
        await client.cancel(fresh.id)
        assert (await client.get(fresh.id)).status == "cancelled"
        assert await client.list(status="held") == []


async def test_one_that_is_being_cancelled_is_not_held(store_url: str) -> None:
    go, begun = threading.Event(), threading.Event()

    @hf.step(retry=ONCE)
    def blocks() -> None:
        begun.set()
        go.wait(20)

    @hf.workflow
    async def works() -> None:
        await blocks()
        await note("no")

    async def in_it() -> bool:
        return begun.is_set()

    async with serving(store_url, works) as client:
        run = await client.start(works)
        await until(in_it)
        await client.cancel(run.id)
        with pytest.raises(hf.NotPossible, match="being cancelled"):
            await client.hold(run.id)
        go.set()
        with pytest.raises(hf.RunCancelled):
            await run.result(timeout="20s")


async def test_a_cancellation_while_it_is_being_held_is_not_lost(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process asks for it at the last moment."""
    hold_now = Execution.hold_now

    async def late(self: Execution) -> None:
        order = encode_note(Note("cancel"))
        asked = Control(self.run.uid, self.run.tenant, "cancel", order, b"\x01null", self.core.now_us())
        assert (await self.core.store.control(asked)).outcome == "asked"
        await hold_now(self)

    monkeypatch.setattr(Execution, "hold_now", late)
    async with serving(store_url, asks) as client:
        run = await client.start(asks)
        with pytest.raises(hf.RunCancelled):
            await run.result(timeout="5s")


async def test_it_holds_no_workers_slot_and_its_lane(store_url: str) -> None:
    @hf.workflow(key="order")
    async def keyed(order: str, holds: bool = False) -> str:
        if holds:
            await hf.hold()
        return order

    async with serving(store_url, keyed, quick, concurrency=1) as client:
        first = await client.start(keyed, "o-1", True)
        await held(client, first)
        next_one = await client.start(keyed, "o-1")
        assert await outcome(client, keyed, "o-2") == "o-2"
        assert await outcome(client, quick, 1) == 1
        assert (await client.get(next_one.id)).started_at is None
        await client.release(first.id)
        assert await first.result(timeout="20s") == "o-1"
        assert await next_one.result(timeout="20s") == "o-1"


async def test_in_line_of_a_lane(store_url: str) -> None:
    """Held in line it loses its place; released, it stands in line by its rank."""
    order: list[int] = []

    @hf.workflow(key="order")
    async def keyed(order_id: int, order: str = "o-1") -> None:
        seen.append(order_id)
        if order_id == 0:
            await hf.wait_for_event("go")

    seen = order
    async with serving(store_url, keyed) as client:
        runs = []
        for n in range(4):
            runs.append(await client.start(keyed, n))
            if n == 0:

                async def begun() -> bool:
                    return bool(await client.history(runs[0].id))

                await until(begun)
        await client.hold(runs[1].id)
        await client.hold(runs[2].id)
        await held(client, runs[1])
        await client.release(runs[2].id)
        await client.send_event("go")
        for n in (0, 2, 3):
            await runs[n].result(timeout="20s")
        assert order == [0, 2, 3]
        assert (await client.get(runs[1].id)).status == "held"
        await client.release(runs[1].id)
        await runs[1].result(timeout="20s")
        assert order == [0, 2, 3, 1]


async def test_a_worker_is_lost_before_the_hold_took_effect(store_url: str) -> None:
    go, begun = asyncio.Event(), asyncio.Event()

    @hf.step(retry=ONCE)
    async def lasts() -> str:
        begun.set()
        await go.wait()
        return "ended"

    @hf.workflow
    async def works() -> str:
        return await lasts()

    async with hf.connect(store_url) as client:
        worker = hf.Worker(client, [works], drain=0)
        async with worker:
            run = await client.start(works)
            await begun.wait()
            await client.hold(run.id, reason="look")
            await crash(client, worker)
            async with hf.Worker(client, [works], drain=0):
                await held(client, run, "held: look")
                go.set()
                await client.release(run.id)
                assert await run.result(timeout="20s") == "ended"


# By its own code


async def test_its_code_is_given_the_value(store_url: str) -> None:
    async with serving(store_url, asks) as client:
        run = await client.start(asks)
        await held(client, run, "held: look at it")
        assert [(e.kind, e.outcome, e.input) for e in await client.history(run.id)][1:] == [
            ("hold", "pending", {"reason": "look at it"})
        ]
        await client.release(run.id, {"ok": [1, None]}, by="maria")
        assert await run.result(timeout="20s") == ["asked", {"ok": [1, None]}]
        entries = await client.history(run.id)
        assert [(e.kind, e.outcome, e.output) for e in entries] == [
            ("step", "ok", "before"), ("hold", "ok", {"ok": [1, None]}), ("step", "ok", "after"),
        ]  # fmt: skip
        assert [entry.seq for entry in entries] == [1, 2, 3]


@pytest.mark.parametrize("value", [None, "unset"])
async def test_a_release_without_a_value_gives_none(store_url: str, value: str | None) -> None:
    async with serving(store_url, asks) as client:
        run = await client.start(asks)
        await held(client, run)
        await (client.release(run.id) if value else client.release(run.id, None))
        assert await run.result(timeout="20s") == ["asked", None]


async def test_a_value_of_the_wrong_type_can_be_mended(store_url: str) -> None:
    async with serving(store_url, asks_for_a_number) as client:
        run = await client.start(asks_for_a_number)
        await held(client, run)
        await client.release(run.id, "seven")
        with pytest.raises(hf.RunFailed) as failed:
            await run.result(timeout="20s")
        assert isinstance(failed.value.__cause__, hf.PayloadError)
        assert "the value that came with the release" in str(failed.value.__cause__)
        await client.retry(run.id)
        await held(client, run, "held: how many?")  # it asks again
        await client.release(run.id, 7)
        assert await (await client.handle(run.id)).result(timeout="20s") == 8


async def test_a_value_that_cannot_be_stored_is_refused(store_url: str) -> None:
    async with serving(store_url, asks) as client:
        run = await client.start(asks)
        await held(client, run)
        with pytest.raises(hf.PayloadError, match="the value of a release"):
            await client.release(run.id, float("nan"))
        await held(client, run)


async def test_a_rejection_is_raised_there(store_url: str) -> None:
    @hf.workflow
    async def careful() -> str:
        try:
            await hf.hold("pay?")
        except hf.Rejected as no:
            return str(no)
        return "paid"

    async with serving(store_url, careful, asks) as client:
        run = await client.start(careful)
        await held(client, run)
        await client.reject(run.id, reason="too much", by="maria")
        assert await run.result(timeout="20s") == "rejected by maria: too much"
        run = await client.start(asks)
        await held(client, run)
        await client.reject(run.id)
        with pytest.raises(hf.RunFailed) as failed:
            await run.result(timeout="20s")
        assert isinstance(failed.value.__cause__, hf.Rejected)


async def test_a_rejection_of_a_persons_hold_cancels(store_url: str, park_at_once: None) -> None:
    @hf.workflow
    async def sleeps() -> None:
        await hf.sleep("1h")

    async with serving(store_url, sleeps) as client:
        run = await client.start(sleeps)
        await until_status(client, run.id, "waiting")
        await client.hold(run.id)
        await held(client, run)
        await client.reject(run.id, reason="not wanted", by="maria")
        with pytest.raises(hf.RunCancelled):
            await run.result(timeout="20s")
        view = await client.get(run.id)
        assert view.error is not None
        assert "by maria: not wanted" in view.error["message"]


async def test_in_one_branch_of_a_fan_out(store_url: str) -> None:
    """The others come to the end of what they do; all of it is released at once."""
    go, calls = asyncio.Event(), []

    @hf.step(retry=ONCE)
    async def lasts() -> str:
        calls.append("lasts")
        await go.wait()
        return "ended"

    async def approved(what: str) -> object:
        return await hf.hold(what)

    @hf.workflow
    async def works() -> object:
        return list(await hf.gather(approved("one"), lasts(), approved("two"), hf.wait_for_event("go")))

    async with serving(store_url, works) as client:
        run = await client.start(works)

        async def begun() -> bool:
            return len(await client.history(run.id)) == 3

        await until(begun)
        assert (await client.get(run.id)).status == "running"
        go.set()
        await held(client, run, "held: one; two")
        await client.release(run.id, "yes")
        await until_status(client, run.id, "waiting")
        await client.send_event("go", 1)
        assert await run.result(timeout="20s") == ["yes", "ended", "yes", 1]
        assert calls == ["lasts"]


async def test_twice_in_a_run_and_through_a_crash(store_url: str) -> None:
    @hf.workflow
    async def asks_twice() -> object:
        first = await hf.hold("one")
        second = await hf.hold("two")
        return [first, second, await note("end")]

    async with hf.connect(store_url) as client:
        worker = hf.Worker(client, [asks_twice], drain=0)
        async with worker:
            run = await client.start(asks_twice)
            await held(client, run, "held: one")
            await crash(client, worker)
            await client.release(run.id, 1)
            assert (await client.get(run.id)).status == "queued"
            async with hf.Worker(client, [asks_twice], drain=0):
                await held(client, run, "held: two")
                await client.release(run.id, 2)
                assert await run.result(timeout="20s") == [1, 2, "end"]


async def test_held_by_its_code_and_a_person_both(store_url: str) -> None:
    """One release lets it go on, with the value."""
    async with serving(store_url, asks) as client:
        run = await client.start(asks)
        await held(client, run)
        await client.hold(run.id)
        await client.release(run.id, 5)
        assert await run.result(timeout="20s") == ["asked", 5]


async def test_a_held_child_is_cancelled_with_its_parent(store_url: str) -> None:
    @hf.workflow
    async def parent() -> object:
        return await asks("child")

    async with serving(store_url, parent, asks) as client:
        run = await client.start(parent)

        async def child_held() -> bool:
            return [view.status for view in await client.list(workflow="asks")] == ["held"]

        await until(child_held)
        await client.cancel(run.id)
        with pytest.raises(hf.RunCancelled):
            await run.result(timeout="20s")
        assert [view.status for view in await client.list(workflow="asks")] == ["cancelled"]


@pytest.mark.parametrize("reason", ["x" * 1001, 7, None])
async def test_a_reason_that_is_none_is_refused(reason: Any) -> None:
    with pytest.raises(hf.UsageError, match=r"hf\.hold"):
        await hf.hold(reason)


async def test_outside_a_run_it_is_refused() -> None:
    with pytest.raises(hf.UsageError, match="outside a run"):
        await hf.hold()
