"""Held runs as work items: each hold gets one, and to complete or reject it decides what becomes of the run."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast.errors import IllegalMove, PayloadError
from holdfast.workqueue.holding import ensure_item
from holdfast.workqueue.queue import WorkQueue
from tests.engine.clock import LONG_LEASE
from tests.engine.helpers import ONCE, until, until_status
from tests.workqueue.item_kit import later, tend
from tests.workqueue.test_asking import looks_often, serving

__all__ = ["looks_often"]

pytestmark = [pytest.mark.usefixtures("park_at_once")]


@hf.workflow
async def asks(due: str = "1d") -> Any:
    return await hf.hold("how many?", type=int, assignee="maria", due=due, escalate_to=["boss"])


@hf.workflow
async def asks_for_anything() -> Any:
    return await hf.hold("look at it", group="team")


@hf.workflow
async def waits() -> str:
    await hf.wait_for_event("never")
    return "gone on"


async def hold_item(queue: WorkQueue, run: str) -> Any:
    """The open item of a held run, once it is there."""
    found: list[Any] = []

    async def there() -> bool:
        views = await queue.list(kind="hold", status=["not_started", "underway", "snoozed"])
        found[:] = [one for one in views if one.run == run]
        return bool(found)

    await until(there)
    assert len(found) == 1
    return found[0]


async def closed(queue: WorkQueue, id: str) -> str | None:
    """Wait until an item is closed; why."""

    async def over() -> bool:
        return (await queue.get(id)).status == "skipped"

    await until(over)
    [*_, last] = await queue.history(id)
    assert (last.move, last.actor) == ("close", "holdfast")
    return last.reason


async def test_a_run_that_is_released_while_it_is_looked_at_gets_no_other_item(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(store_url, asks) as (client, queue):
        run = await client.start(asks)
        await until_status(client, run.id, "held")
        await hold_item(queue, run.id)
        read_open = client.core.store.read_open

        async def late(uid: bytes, limit: int) -> Any:
            monkeypatch.setattr(client.core.store, "read_open", read_open)
            await client.release(run.id, 7)
            assert await run.result(timeout="20s") == 7
            return await read_open(uid, limit)

        monkeypatch.setattr(client.core.store, "read_open", late)
        await ensure_item(client.core, "default", run.id)
        assert len(await queue.list(kind="hold")) == 1


async def test_to_complete_it_releases_the_run_with_its_value(store_url: str) -> None:
    async with serving(store_url, asks) as (client, queue):
        run = await client.start(asks)
        await until_status(client, run.id, "held")
        view = await hold_item(queue, run.id)
        assert (view.assignee, view.run, view.text) == ("maria", run.id, "how many?")
        assert run.id in view.title
        assert view.due_at is not None
        with pytest.raises(PayloadError, match=r"data\.answer"):
            await queue.complete(view.id, {"answer": "many"})
        with pytest.raises(IllegalMove, match="reject it"):
            await queue.skip(view.id, "no")
        assert (await client.get(run.id)).status == "held"
        await queue.complete(view.id, {"answer": 7})
        assert await run.result(timeout="20s") == 7
        await tend(client)
        assert [one.move for one in await queue.history(view.id)] == ["create", "complete"]
        assert len(await queue.list(kind="hold")) == 1


async def test_any_value_or_none_where_the_code_takes_any(store_url: str) -> None:
    async with serving(store_url, asks_for_anything) as (client, queue):
        for data, value in (({"answer": {"x": 1}}, {"x": 1}), ({}, None)):
            run = await client.start(asks_for_anything)
            await until_status(client, run.id, "held")
            view = await hold_item(queue, run.id)
            assert (view.assignee, view.group) == (None, "team")
            await queue.complete(view.id, data)
            assert await run.result(timeout="20s") == value


async def test_to_reject_it_rejects_the_run(store_url: str) -> None:
    async with serving(store_url, asks, waits) as (client, queue):
        run = await client.start(asks)
        view = await hold_item(queue, run.id)
        assert (await queue.reject(view.id, "too many")).status == "skipped"
        with pytest.raises(hf.RunFailed) as failed:
            await run.result(timeout="20s")
        assert isinstance(failed.value.__cause__, hf.Rejected)
        assert "too many" in str(failed.value.__cause__)
        other = await client.start(waits)
        await until_status(client, other.id, "waiting")
        await client.hold(other.id, reason="odd")
        view = await hold_item(queue, other.id)
        await queue.reject(view.id, "it is odd")
        with pytest.raises(hf.RunCancelled):
            await other.result(timeout="20s")


async def test_a_hold_by_an_operator_says_who_and_until_when(store_url: str) -> None:
    async with serving(store_url, waits) as (client, queue):
        run = await client.start(waits)
        await until_status(client, run.id, "waiting")
        for number in range(2):
            await client.hold(run.id, reason="odd", by="eve", assignee="anna", due="2h", escalate_to="boss")
            view = await hold_item(queue, run.id)
            assert (view.assignee, view.text) == ("anna", "held by eve: odd")
            assert view.due_at is not None
            assert view.due_at - view.created_at == timedelta(hours=2)
            with pytest.raises(PayloadError):
                await queue.complete(view.id, {"answer": 1})
            await queue.complete(view.id)
            await until_status(client, run.id, "waiting")
            assert len(await queue.list(kind="hold")) == number + 1
        for wrong in ({"due": "soon"}, {"assignee": ""}, {"assignee": "a", "group": "g"}, {"escalate_to": 5}):
            with pytest.raises(hf.UsageError):
                await client.hold(run.id, **wrong)  # type: ignore[arg-type]


async def test_a_hold_in_the_middle_of_a_step_says_so_too(store_url: str) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @hf.step(retry=ONCE)
    async def busy() -> str:
        begun.set()
        await go.wait()
        return "done"

    @hf.workflow
    async def works() -> str:
        found = await busy()
        await hf.sleep(0)
        return found

    async with serving(store_url, works) as (client, queue):
        run = await client.start(works)
        await begun.wait()
        await client.hold(run.id, reason="odd", assignee="anna")
        go.set()
        await until_status(client, run.id, "held")
        view = await hold_item(queue, run.id)
        assert (view.assignee, view.text) == ("anna", "held: odd")
        await queue.complete(view.id)
        assert await run.result(timeout="20s") == "done"


async def test_who_releases_the_run_elsewhere_closes_the_item(store_url: str) -> None:
    async with serving(store_url, asks) as (client, queue):
        run = await client.start(asks)
        view = await hold_item(queue, run.id)
        await client.release(run.id, 3)
        assert await run.result(timeout="20s") == 3
        assert await closed(queue, view.id) == "its run is not held any more"


async def test_an_overdue_hold_escalates(store_url: str) -> None:
    async with serving(store_url, asks, lease=LONG_LEASE, beat="1d") as (client, queue):
        run = await client.start(asks, "1h")
        view = await hold_item(queue, run.id)
        await later(client, 3_700)

        async def escalated() -> bool:
            return (await queue.get(view.id)).escalated_to == "boss"

        await until(escalated)
        await queue.complete(view.id, {"answer": 1})
        assert await run.result(timeout="20s") == 1


async def test_a_decision_that_did_not_reach_its_run_is_told_again(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(store_url, asks, waits) as (client, queue):
        by_code, by_hand = await client.start(asks), await client.start(waits)
        await until_status(client, by_hand.id, "waiting")
        await client.hold(by_hand.id)
        views = [await hold_item(queue, run.id) for run in (by_code, by_hand)]

        async def dies(*_: Any) -> None:
            raise SystemExit("the process is gone")

        with monkeypatch.context() as patch:
            patch.setattr("holdfast.workqueue.moving.decide", dies)
            for view, data in zip(views, ({"answer": 9}, {}), strict=True):
                with pytest.raises(SystemExit):
                    await queue.complete(view.id, data)
        assert await by_code.result(timeout="20s") == 9
        await until_status(client, by_hand.id, "waiting")
        assert len(await queue.list(kind="hold")) == 2


async def test_a_decision_of_long_ago_still_counts(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hf.connect(store_url, actor="maria") as client:
        queue = hf.work_queue(client)
        run = await client.start(waits)
        await client.hold(run.id, reason="odd")
        await tend(client)
        view = await hold_item(queue, run.id)

        async def dies(*_: Any) -> None:
            raise SystemExit("the process is gone")

        with monkeypatch.context() as patch:
            patch.setattr("holdfast.workqueue.moving.decide", dies)
            with pytest.raises(SystemExit):
                await queue.complete(view.id)
        assert (await client.get(run.id)).status == "held"
        await later(client, 3_600)
        assert (await client.get(run.id)).status == "queued"
        assert len(await queue.list(kind="hold")) == 1


async def test_a_run_that_is_held_by_the_engine_gets_an_item_each_time(store_url: str) -> None:
    names = ["one"]

    @hf.step(name="one", retry=ONCE)
    async def one() -> None:
        pass

    @hf.step(name="two", retry=ONCE)
    async def two() -> None:
        pass

    @hf.workflow
    async def changing() -> str:
        await (one() if names[0] == "one" else two())
        await hf.wait_for_event("go")
        return "done"

    async with serving(store_url, changing) as (client, queue):
        run = await client.start(changing)
        await until_status(client, run.id, "waiting")
        await client.hold(run.id)
        view = await hold_item(queue, run.id)
        names[0] = "two"
        await queue.complete(view.id)

        async def found_out() -> bool:
            found = await client.get(run.id)
            return found.status == "held" and found.error is not None and "nondeterminism" in found.error["message"]

        await until(found_out)
        view = await hold_item(queue, run.id)
        assert "nondeterminism" in view.text
        await client.release(run.id)  # it is held again by the same at once
        await until(found_out)
        names[0] = "one"
        view = await hold_item(queue, run.id)
        await queue.complete(view.id)
        await client.send_event("go")
        assert await run.result(timeout="20s") == "done"
