"""Bulk jobs: one action on every run that a search finds."""

import asyncio
from typing import Any

import pytest

import holdfast as hf
from holdfast.services import bulk
from tests.engine.helpers import ONCE, QUICK, serving, until, until_status

broken: set[int] = set()


@pytest.fixture(autouse=True)
def nothing_is_broken() -> None:
    """Each test begins with steps that work."""
    broken.clear()


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Portions of three runs, and no delay worth waiting for between two attempts of one."""
    monkeypatch.setattr(bulk, "PORTION", 3)
    monkeypatch.setattr(bulk.act, "retry", QUICK)


@hf.workflow
async def sleeps(n: int) -> None:
    await hf.sleep("1h")


@hf.step(retry=ONCE)
async def before(n: int) -> int:
    return n


@hf.step(retry=ONCE)
async def charge(n: int) -> int:
    if n in broken:
        raise ValueError(n)
    return n


@hf.workflow
async def order(n: int) -> int:
    await before(n)
    return await charge(n)


@hf.workflow
async def asks(n: int) -> Any:
    return await hf.hold("is it right?")


async def started(client: hf.Client, workflow: Any, number: int, status: str) -> list[str]:
    """So many runs, when each has the status; their ids, the oldest first."""
    ids = [f"{workflow.name}-{n}" for n in range(number)]
    await client.start_many(workflow, [(n,) for n in range(number)], ids=ids)
    for run_id in ids:
        await until_status(client, run_id, status)
    return ids


async def statuses(client: hf.Client, workflow: str) -> list[str]:
    """The statuses of a workflow's runs, the oldest first."""
    return [str(view.status) for view in reversed(await client.list(workflow=workflow))]


async def test_a_dry_run_says_what_is_found_and_starts_nothing(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.start_many(sleeps, [(n,) for n in range(12)], ids=[f"s-{n}" for n in range(12)])
        found = await client.bulk("cancel", "workflow = 'sleeps'", dry_run=True)
        assert found == hf.BulkPreview(12, False, [f"s-{n}" for n in range(11, 1, -1)])
        assert await client.bulk("cancel", "id = 'nobody'", dry_run=True) == hf.BulkPreview(0, False, [])
        assert await client.count() == hf.Count(12, False)


@pytest.mark.usefixtures("small_portions")
async def test_cancel_goes_by_portions_and_tells_what_was_refused(store_url: str) -> None:
    async with serving(store_url, sleeps, order) as client:
        await started(client, order, 2, "succeeded")
        await started(client, sleeps, 7, "waiting")
        job = await client.bulk("cancel", "workflow in ('order', 'sleeps')", reason="the shop closes", by="maria")
        assert job.created
        assert await job.result("20s") == hf.BulkResult(
            9, 7, 2, {f"order-{n}": f"run 'order-{n}' has ended: it is succeeded" for n in range(2)}
        )
        for n in range(7):
            view = await until_status(client, f"sleeps-{n}", "cancelled")
            assert view.error is not None
            assert "by maria: the shop closes" in view.error["message"]
        view = await job.view()
        assert (view.workflow, view.queue) == ("holdfast.bulk", "holdfast")
        assert view.progress is not None
        assert (view.progress["current"], view.progress["total"]) == (9, 9)
        acts = [entry.output for entry in await client.history(job.id) if entry.name == "act"]
        assert [list(outcomes) for outcomes in acts] == [
            ["sleeps-6", "sleeps-5", "sleeps-4"], ["sleeps-3", "sleeps-2", "sleeps-1"],
            ["sleeps-0", "order-1", "order-0"],
        ]  # fmt: skip
        assert acts[0] == dict.fromkeys(["sleeps-6", "sleeps-5", "sleeps-4"], "done")


async def test_hold_and_release(store_url: str) -> None:
    async with serving(store_url, sleeps, asks) as client:
        await started(client, sleeps, 3, "waiting")
        await started(client, asks, 2, "held")
        held = await (await client.bulk("hold", "workflow in ('sleeps', 'asks')", by="maria")).result("20s")
        assert (held.found, held.done, held.refused) == (5, 5, 0)
        assert await statuses(client, "sleeps") == ["held"] * 3
        released = await (await client.bulk("release", "status = 'held' or id = 'sleeps-0'")).result("20s")
        assert (released.found, released.done, released.refused) == (5, 5, 0)
        for n in range(2):
            await until_status(client, f"asks-{n}", "succeeded")
        for n in range(3):
            await until_status(client, f"sleeps-{n}", "waiting")
        again = await (await client.bulk("release", "workflow = 'sleeps'")).result("20s")
        assert (again.done, again.refused) == (0, 3)
        assert "is not held" in again.refusals["sleeps-0"]


async def test_retry(store_url: str) -> None:
    broken.update(range(4))
    async with serving(store_url, order) as client:
        await started(client, order, 4, "failed")
        broken.clear()
        done = await (await client.bulk("retry", "status = 'failed' and workflow = 'order'")).result("20s")
        assert done == hf.BulkResult(4, 4, 0, {})
        for n in range(4):
            view = await until_status(client, f"order-{n}", "succeeded")
            assert view.attempt == 2


async def test_fork_from_a_step(store_url: str) -> None:
    async with serving(store_url, order, sleeps) as client:
        await started(client, order, 3, "succeeded")
        await started(client, sleeps, 1, "waiting")
        job = await client.bulk("fork", "status in ('succeeded', 'waiting')", from_step=charge)
        done = await job.result("20s")
        assert (done.found, done.done, done.refused) == (4, 3, 1)
        assert "has recorded no step 'charge'" in done.refusals["sleeps-0"]
        for n in range(3):
            [fork] = (await client.get(f"order-{n}")).forks
            view = await until_status(client, fork, "succeeded")
            assert (view.forked_from, view.output) == (f"order-{n}", n)


@pytest.mark.parametrize("action", ["cancel", "hold", "release", "retry", "fork"])
@pytest.mark.usefixtures("small_portions")
async def test_a_portion_that_breaks_off_is_done_again_and_each_run_once(
    store_url: str, action: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow, status = {"cancel": (sleeps, "waiting"), "hold": (sleeps, "waiting"), "release": (asks, "held")}.get(
        action, (order, "failed")
    )
    asked: list[str] = []
    lever = getattr(hf.Client, action)

    async def breaks_off(self: hf.Client, run_id: str, **given: Any) -> Any:
        # It commits, and then the database is gone: the outcome is not known.
        await lever(self, run_id, **given)
        asked.append(run_id)
        if len(asked) == 2:
            raise hf.StoreUnavailable("the database is away")

    broken.update(range(5))
    async with serving(store_url, workflow) as client:
        ids = await started(client, workflow, 5, status)
        broken.clear()
        monkeypatch.setattr(hf.Client, action, breaks_off)
        where = f"workflow = '{workflow.name}' and status = '{status}'"
        job = await client.bulk(action, where, from_step="charge" if action == "fork" else None)
        assert await job.result("20s") == hf.BulkResult(5, 5, 0, {})
        after = {"cancel": "cancelled", "hold": "held", "release": "succeeded", "retry": "succeeded", "fork": "failed"}
        for run_id in ids:
            view = await until_status(client, run_id, after[action])
            assert view.attempt == (2 if action == "retry" else 1)
            assert len(view.forks) == (1 if action == "fork" else 0)


@pytest.mark.usefixtures("small_portions")
async def test_a_run_that_fails_again_is_not_retried_twice(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    retry = hf.Client.retry
    asked: list[str] = []

    async def breaks_off(self: hf.Client, run_id: str) -> None:
        await retry(self, run_id)
        await until_status(self, run_id, "failed")
        asked.append(run_id)
        if len(asked) == 2:
            raise hf.StoreUnavailable("the database is away")

    broken.update(range(3))
    async with serving(store_url, order) as client:
        ids = await started(client, order, 3, "failed")
        monkeypatch.setattr(hf.Client, "retry", breaks_off)
        job = await client.bulk("retry", "workflow = 'order'")
        assert await job.result("20s") == hf.BulkResult(3, 3, 0, {})
        assert [(await client.get(run_id)).attempt for run_id in ids] == [2, 2, 2]


@pytest.mark.usefixtures("small_portions")
async def test_a_job_that_moves_to_another_worker_goes_on(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = asyncio.Event()
    stop = True
    hold = hf.Client.hold

    async def stops(self: hf.Client, run_id: str, **given: Any) -> None:
        if stop and run_id == "sleeps-2":
            reached.set()
            await asyncio.Event().wait()
        await hold(self, run_id, **given)

    monkeypatch.setattr(hf.Client, "hold", stops)
    async with hf.connect(store_url) as client:
        await client.start_many(sleeps, [(n,) for n in range(7)], ids=[f"sleeps-{n}" for n in range(7)])
        async with hf.Worker(client, [order], drain=0):
            job = await client.bulk("hold", "workflow = 'sleeps'")
            await reached.wait()
        stop = False
        assert await statuses(client, "sleeps") == ["queued", "queued", "queued", "held", "held", "held", "held"]
        async with hf.Worker(client, [order], drain=0):
            assert await job.result("20s") == hf.BulkResult(7, 7, 0, {})
        assert await statuses(client, "sleeps") == ["held"] * 7


@pytest.mark.usefixtures("small_portions")
async def test_a_job_can_be_cancelled(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()
    hold = hf.Client.hold

    async def slow(self: hf.Client, run_id: str, **given: Any) -> None:
        if run_id == "sleeps-3":
            reached.set()
            await go_on.wait()
        await hold(self, run_id, **given)

    monkeypatch.setattr(hf.Client, "hold", slow)
    async with hf.connect(store_url) as client, hf.Worker(client, [order], drain=0):
        await client.start_many(sleeps, [(n,) for n in range(9)], ids=[f"sleeps-{n}" for n in range(9)])
        job = await client.bulk("hold", "workflow = 'sleeps'")
        await reached.wait()
        await client.cancel(job.id)
        go_on.set()
        with pytest.raises(hf.RunCancelled):
            await job.result("20s")
        assert (await statuses(client, "sleeps"))[:3] == ["queued"] * 3


@pytest.mark.usefixtures("small_portions")
async def test_runs_that_come_later_and_the_job_itself_are_left_alone(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = hf.Client.hold

    async def and_one_more(self: hf.Client, run_id: str, **given: Any) -> None:
        await hold(self, run_id, **given)
        await self.start(sleeps.options(id=f"{run_id}, again"), 0)

    monkeypatch.setattr(hf.Client, "hold", and_one_more)
    async with hf.connect(store_url) as client, hf.Worker(client, [order], drain=0):
        await client.start_many(sleeps, [(n,) for n in range(4)])
        job = await client.bulk("hold", "created_at < 'now' or priority >= 0")
        assert await job.result("20s") == hf.BulkResult(4, 4, 0, {})
        assert await client.count("workflow = 'sleeps' and status = 'queued'") == hf.Count(4, False)


async def test_a_job_of_an_id_is_started_once(store_url: str) -> None:
    async with hf.connect(store_url) as client, hf.Worker(client, [order], drain=0):
        first = await client.bulk("cancel", "workflow = 'sleeps'", id="clean up")
        second = await client.bulk("cancel", "workflow = 'sleeps'", id="clean up")
        assert (first.created, second.created) == (True, False)
        assert await second.result("20s") == hf.BulkResult(0, 0, 0, {})
        with pytest.raises(hf.RunExists):
            await client.bulk("cancel", "workflow = 'other'", id="clean up")


async def test_a_job_touches_only_its_own_tenant(store_url: str) -> None:
    async with (
        hf.connect(store_url) as client,
        hf.connect(store_url if store_url != "memory://" else "memory://shared", tenant="other") as other,
        hf.Worker(other, [order], drain=0),
    ):
        await client.start(sleeps.options(id="s"), 1)
        await other.start(sleeps.options(id="s"), 1)
        job = await other.bulk("cancel", "workflow = 'sleeps'")
        assert await job.result("20s") == hf.BulkResult(1, 1, 0, {})
        assert (await client.get("s")).status == "queued"


async def test_every_worker_executes_jobs_whatever_its_queues(store_url: str) -> None:
    async with serving(store_url, order, queues=["elsewhere"]) as client:
        job = await client.bulk("cancel", "workflow = 'sleeps'")
        assert await job.result("20s") == hf.BulkResult(0, 0, 0, {})
        # It is no workflow of the program's.
        with pytest.raises(hf.UnknownWorkflow, match="known are: order"):
            await client.start_named("holdfast.bulk", {})


async def test_a_workflow_of_the_same_name_is_refused() -> None:
    @hf.workflow(name="holdfast.bulk")
    async def mine() -> None: ...

    async with hf.connect("memory://") as client:
        with pytest.raises(hf.UsageError, match=r"two workflows are named 'holdfast.bulk'"):
            await hf.Worker(client, [mine]).__aenter__()


async def test_what_does_not_fit_together_is_refused() -> None:
    async with hf.connect("memory://") as client:
        refused: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
            (("delete", "id = 'a'"), {}, "one of cancel, retry, release, fork, hold, and not 'delete'"),
            (("fork", "id = 'a'"), {}, "a bulk fork needs from_step"),
            (("cancel", "id = 'a'"), {"from_step": "charge"}, "no other action takes it"),
            (("cancel", "id is 'a'"), {}, "expected ="),
            (("cancel", None), {}, "the search is None"),
            (("cancel", "id = 'a'"), {"reason": 3}, "reason is 3"),
            (("cancel", "id = 'a'"), {"by": "x" * 1001}, "by is 'xxx"),
            (("fork", "id = 'a'"), {"from_step": ""}, "the name of a step"),
            (("cancel", "id = 'a'"), {"id": ""}, "the id of a run"),
        ]
        for args, kwargs, said in refused:
            with pytest.raises(hf.UsageError, match=said):
                await client.bulk(*args, **kwargs)
        assert await client.count() == hf.Count(0, False)


async def test_refusals_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "REFUSALS", 3)
    async with serving("memory://", order) as client:
        await started(client, order, 5, "succeeded")
        done = await (await client.bulk("retry", "workflow = 'order'")).result("20s")
        assert (done.found, done.done, done.refused, len(done.refusals)) == (5, 0, 5, 3)


async def test_a_job_says_how_far_it_is(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PORTION", 3)
    reached, go_on = asyncio.Event(), asyncio.Event()
    hold = hf.Client.hold

    async def slow(self: hf.Client, run_id: str, **given: Any) -> None:
        if run_id == "sleeps-1":
            reached.set()
            await go_on.wait()
        await hold(self, run_id, **given)

    monkeypatch.setattr(hf.Client, "hold", slow)
    async with hf.connect(store_url) as client, hf.Worker(client, [order], drain=0):
        await client.start_many(sleeps, [(n,) for n in range(8)], ids=[f"sleeps-{n}" for n in range(8)])
        job = await client.bulk("hold", "workflow = 'sleeps'")
        async with asyncio.timeout(60):
            await reached.wait()

        async def told() -> bool:
            progress = (await job.view()).progress
            return progress is not None and (progress["current"], progress["total"]) == (6, 8)

        await until(told)
        go_on.set()
        assert (await job.result("20s")).done == 8
