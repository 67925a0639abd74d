"""`hf.ask`: a run asks a person and goes on with the answer, whatever comes between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

import holdfast as hf
from holdfast.errors import AskSkipped, DefinitionNotFound, PayloadError
from holdfast.workqueue.asking import ask
from holdfast.workqueue.queue import WorkQueue, work_queue
from tests.engine.clock import LONG_LEASE, move
from tests.engine.helpers import ONCE, cause, until, until_status
from tests.workqueue.item_kit import later, tend


@dataclass
class Refund:
    approved: bool
    cents: int = 0


class Even(pydantic.BaseModel):
    n: int

    @pydantic.field_validator("n")
    @classmethod
    def even(cls, n: int) -> int:
        if n % 2:
            raise ValueError("give an even number")
        return n


@hf.step(retry=ONCE)
async def note(text: str) -> str:
    return text


@hf.workflow
async def refund(order: str) -> str:
    await note("before")
    answer = await ask(f"Approve the refund of {order}", assignee="maria", form=Refund, due="2d", escalate_to="boss")
    await note("after")
    return f"{type(answer).__name__} {answer.approved} {answer.cents}"


@hf.workflow
async def even() -> int:
    return (await ask("An even number", assignee="maria", form=Even)).n


@hf.workflow
async def anything() -> Any:
    return await ask("Anything", assignee="maria")


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tends items looks without a rest worth waiting for."""
    monkeypatch.setattr("holdfast.workqueue.tending.LOOK_SECONDS", 0.02)


@asynccontextmanager
async def serving(
    url: str, *workflows: hf.Workflow[Any, Any], **options: Any
) -> AsyncIterator[tuple[hf.Client, WorkQueue]]:
    """A client with its work queue, and a worker."""
    options.setdefault("drain", 0)
    async with hf.connect(url, actor="maria") as client, hf.Worker(client, workflows, **options):
        yield client, work_queue(client)


async def asked(queue: WorkQueue, number: int = 1, **filters: Any) -> list[str]:
    """The ids of the open items of kind ask, once there are so many, the newest first."""
    found: list[str] = []

    async def there() -> bool:
        views = await queue.list(kind="ask", status=["not_started", "underway", "snoozed"], **filters)
        found[:] = [one.id for one in views]
        return len(found) == number

    await until(there)
    return found


async def crash(client: hf.Client, worker: hf.Worker) -> None:
    """The worker is gone without a word, and others may have its runs."""
    worker._dispatcher.evict_all()
    await worker.stop()
    await client.core.store.rescue(100)


async def test_the_run_goes_on_at_once_with_the_answer(store_url: str, park_at_once: None) -> None:
    async with serving(store_url, refund) as (client, queue):
        run = await client.start(refund, "o-1")
        [id] = await asked(queue)
        view = await queue.get(id)
        assert (view.title, view.assignee, view.run, view.kind) == (
            "Approve the refund of o-1", "maria", run.id, "ask",
        )  # fmt: skip
        assert view.due_at is not None
        assert view.form is not None
        await until_status(client, run.id, "waiting")
        with pytest.raises(PayloadError, match=r"data\.approved"):
            await queue.complete(id, {"approved": "perhaps"})
        with pytest.raises(PayloadError, match="misses 'approved'"):
            await queue.complete(id)
        assert (await client.get(run.id)).status == "waiting"
        await queue.start(id)
        await queue.save(id, {"cents": 500})
        await queue.complete(id, {"approved": True})
        async with asyncio.timeout(5):
            assert await run.result() == "Refund True 500"
        assert [one.move for one in await queue.history(id)] == ["create", "start", "save", "complete"]
        assert len(await queue.list(kind="ask")) == 1


async def test_weeks_and_workers_later(store_url: str, park_at_once: None) -> None:
    async with hf.connect(store_url, actor="maria") as client:
        queue = work_queue(client)
        worker = await hf.Worker(client, [refund], drain=0, lease=LONG_LEASE, beat="1d").__aenter__()
        run = await client.start(refund, "o-1")
        [id] = await asked(queue)
        await until_status(client, run.id, "waiting")

        async def nothing_in_memory() -> bool:
            return worker.busy == 0

        await until(nothing_in_memory)
        assert f"waits for somebody to complete work item {id}" in await client.explain(run.id)
        await crash(client, worker)
        await later(client, 30 * 86_400)
        assert (await queue.get(id)).escalated_to == "boss"
        await queue.complete(id, {"approved": False, "cents": 1})
        assert (await client.get(run.id)).status == "queued"
        async with hf.Worker(client, [refund], drain=0, lease=LONG_LEASE, beat="1d"):
            assert await run.result(timeout="20s") == "Refund False 1"
        assert len(await queue.list(kind="ask")) == 1


async def test_a_worker_that_dies_while_it_asks_asks_once(disk_url: str) -> None:
    async with hf.connect(disk_url, actor="maria") as client:
        queue = work_queue(client)
        run = await client.start(refund, "o-1")
        worker = await hf.Worker(client, [refund], drain=0).__aenter__()
        await asked(queue)
        await crash(client, worker)
        [id] = await asked(queue)
        await queue.complete(id, {"approved": True})
        async with hf.Worker(client, [refund], drain=0):
            assert await run.result(timeout="20s") == "Refund True 0"
        assert len(await queue.list(kind="ask")) == 1


async def test_what_only_the_code_can_tell_is_asked_again(store_url: str) -> None:
    async with serving(store_url, even) as (client, queue):
        run = await client.start(even)
        [first] = await asked(queue)
        await queue.complete(first, {"n": 3})
        [second] = await asked(queue)
        view = await queue.get(second)
        assert second != first
        assert "not accepted" in view.text
        assert "even number" in view.text
        assert view.data == {"n": 3}
        await queue.complete(second, {"n": 4})
        assert await run.result(timeout="20s") == 4
        assert [entry.name for entry in await client.history(run.id)] == ["holdfast.item", "holdfast.item"]


async def test_plain_types_schemas_and_anything(store_url: str) -> None:
    @hf.workflow
    async def many() -> list[Any]:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
        return list(
            await hf.gather(
                ask("yes?", form=bool), ask("how many?", form=int), ask("what?", form=schema), ask("say"),
            )
        )  # fmt: skip

    async with serving(store_url, many) as (client, queue):
        run = await client.start(many)
        await asked(queue, 4)
        given = {"yes?": {"answer": True}, "how many?": {"answer": 7}, "what?": {"a": 1}, "say": {"x": [None]}}
        for view in await queue.list(kind="ask"):
            await queue.complete(view.id, given[view.title])
        assert await run.result(timeout="20s") == [True, 7, {"a": 1}, {"x": [None]}]


async def test_a_skip_is_raised_in_the_run_and_a_retry_asks_anew(store_url: str) -> None:
    async with serving(store_url, refund) as (client, queue):
        run = await client.start(refund, "o-1")
        [first] = await asked(queue)
        await queue.skip(first, "not my business")
        with pytest.raises(hf.RunFailed) as failed:
            await run.result(timeout="20s")
        error = failed.value.__cause__
        assert isinstance(error, AskSkipped)
        assert (error.reason, error.by, error.item_id) == ("not my business", "maria", first)
        await client.retry(run.id)
        [second] = await asked(queue)
        assert second != first
        await queue.complete(second, {"approved": True})
        assert await run.result(timeout="20s") == "Refund True 0"
        assert [entry.name for entry in await client.history(run.id) if entry.kind == "step"] == ["note", "note"]


async def test_a_skip_can_be_caught(store_url: str) -> None:
    @hf.workflow
    async def careful() -> str:
        try:
            await ask("Really?", assignee="maria")
        except AskSkipped as skipped:
            return f"skipped: {skipped.reason}"
        return "answered"

    async with serving(store_url, careful) as (client, queue):
        run = await client.start(careful)
        [id] = await asked(queue)
        await queue.skip(id, "no time")
        assert await run.result(timeout="20s") == "skipped: no time"


async def test_a_cancelled_run_closes_its_item(store_url: str) -> None:
    async with serving(store_url, refund) as (client, queue):
        run = await client.start(refund, "o-1")
        [id] = await asked(queue)
        await until_status(client, run.id, "waiting")
        await client.cancel(run.id)
        with pytest.raises(hf.RunCancelled):
            await run.result(timeout="20s")

        async def closed() -> bool:
            return (await queue.get(id)).status == "skipped"

        await until(closed)
        [*_, last] = await queue.history(id)
        assert (last.move, last.actor, last.reason) == ("close", "holdfast", "its run was cancelled")
        await client.retry(run.id)
        [again] = await asked(queue)
        assert again != id
        await queue.complete(again, {"approved": True})
        assert await run.result(timeout="20s") == "Refund True 0"


@pytest.mark.parametrize("tended", [True, False])
async def test_a_retry_of_a_run_that_failed_beside_its_question(store_url: str, tended: bool) -> None:
    """It waits for the item that is still open, and asks anew if that was closed."""
    fails, go = True, asyncio.Event()

    @hf.step(retry=ONCE)
    async def shaky() -> str:
        await go.wait()
        if fails:
            raise ValueError("not yet")
        return "done"

    @hf.workflow
    async def beside() -> list[Any]:
        return list(await asyncio.gather(ask("Really?", assignee="maria", form=bool), shaky()))

    async with serving(store_url, beside) as (client, queue):
        run = await client.start(beside)
        [first] = await asked(queue)
        await asyncio.sleep(0.05)
        go.set()
        with pytest.raises(hf.RunFailed):
            await run.result(timeout="20s")
        if tended:
            await tend(client)
            closed = await queue.get(first)
            assert (closed.status, closed.skip_reason) == ("skipped", "its run has ended")
        fails = False
        await client.retry(run.id)
        await until_status(client, run.id, "waiting")
        [second] = await asked(queue)
        assert (second == first) != tended
        await queue.complete(second, {"answer": True})
        assert await run.result(timeout="20s") == [True, "done"]


async def test_a_step_that_fails_first_leaves_no_question(store_url: str) -> None:
    @hf.step(retry=ONCE)
    async def breaks() -> None:
        raise ValueError("at once")

    @hf.workflow
    async def races() -> Any:
        return await hf.first(ask("Really?", assignee="maria", form=bool), breaks())

    async with serving(store_url, races) as (client, queue):
        assert isinstance(await cause(client, races), ValueError)
        await tend(client)
        assert await asked(queue, 0) == []


async def test_what_loses_against_another_call_is_closed(store_url: str) -> None:
    @hf.workflow
    async def patient() -> Any:
        return (await hf.first(ask("Really?", assignee="maria", form=bool), hf.sleep(0.3))).index

    async with serving(store_url, patient) as (client, queue):
        run = await client.start(patient)
        [id] = await asked(queue)
        assert await run.result(timeout="20s") == 1
        view = await queue.get(id)
        assert (view.status, view.skip_reason) == ("skipped", f"it lost against another call of {run.id}")


async def test_a_fork_asks_for_itself(store_url: str) -> None:
    async with serving(store_url, refund) as (client, queue):
        run = await client.start(refund, "o-1")
        [first] = await asked(queue)
        await queue.complete(first, {"approved": True})
        assert await run.result(timeout="20s") == "Refund True 0"
        fork = await client.fork(run.id, from_step="holdfast.item")
        [second] = await asked(queue)
        await queue.complete(second, {"approved": False})
        assert await (await client.handle(fork, refund)).result(timeout="20s") == "Refund False 0"
        after = await client.fork(run.id, from_step="note", occurrence=2)
        assert await (await client.handle(after, refund)).result(timeout="20s") == "Refund True 0"
        assert await asked(queue, 0) == []


async def test_what_cannot_be_asked_fails_the_same_way_on_replay(store_url: str, park_at_once: None) -> None:
    @hf.workflow
    async def unknown() -> str:
        try:
            await ask("Really?", definition="nothing")
        except DefinitionNotFound:
            await hf.sleep(0.05)
            return "unknown"
        return "known"

    @hf.workflow
    async def wrong() -> None:
        await ask("", assignee="maria")

    async with serving(store_url, unknown, wrong) as (client, queue):
        run = await client.start(unknown)
        assert await run.result(timeout="20s") == "unknown"
        assert isinstance(await cause(client, wrong), hf.UsageError)
        with pytest.raises(hf.UsageError, match="outside a run"):
            await ask("Really?")
        assert await queue.list(kind="ask") == []


async def test_a_definition_brings_its_form(store_url: str) -> None:
    @hf.workflow
    async def by_definition() -> Any:
        return await ask("Approve it", definition="approval", subject="acme")

    async with serving(store_url, by_definition) as (client, queue):
        await queue.put_subject("acme", name="Acme", assignee="anna")
        form = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
        await queue.put_definition("approval", {"name": "Approval", "type": "risk", "form": form, "due": "3d"})
        runs = [await client.start(by_definition) for _ in range(2)]
        found = await asked(queue, 2)
        for id in found:
            view = await queue.get(id)
            assert (view.title, view.type, view.assignee, view.form) == ("Approve it", "risk", "anna", form)
            assert view.due_at is not None
            with pytest.raises(PayloadError):
                await queue.complete(id, {"ok": 5})
            await queue.complete(id, {"ok": True})
        assert [await run.result(timeout="20s") for run in runs] == [{"ok": True}, {"ok": True}]
        assert (await queue.create("approval", subject="acme")).status == "not_started"


@pytest.mark.slow
async def test_a_database_that_is_away_for_a_while(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(store_url, anything) as (client, queue):
        work: Any = client.core.store.work
        put, failures = work.put_items, 2

        async def away(changes: Any) -> Any:
            nonlocal failures
            if failures and changes[0].row.kind == "ask":
                failures -= 1
                # The second time it is done, and told to nobody.
                done = await put(changes) if not failures else None
                raise hf.StoreUnavailable(f"away {done}")
            return await put(changes)

        monkeypatch.setattr(work, "put_items", away)
        monkeypatch.setattr("holdfast.workqueue.asking.REST_SECONDS", 0.01)
        run = await client.start(anything)
        [id] = await asked(queue)
        await queue.complete(id, {"a": 1})
        assert await run.result(timeout="20s") == {"a": 1}
        assert len(await queue.list(kind="ask")) == 1


@pytest.mark.slow
async def test_a_hundred_runs_that_ask_take_no_slot(store_url: str) -> None:
    async with serving(store_url, anything, concurrency=2) as (client, queue):
        runs = await client.start_many(anything, [()] * 100)
        found = await asked(queue, 100, limit=1000)
        await asyncio.gather(*(queue.complete(id, {"id": id}) for id in found))
        answers = await asyncio.gather(*(run.result(timeout="30s") for run in runs))
        assert sorted(one["id"] for one in answers) == sorted(found)


async def test_a_time_limit_of_the_run_closes_the_item(store_url: str) -> None:
    async with serving(store_url, anything, lease=LONG_LEASE, beat="1d") as (client, queue):
        run = await client.start(anything.options(timeout="1h"))
        [id] = await asked(queue)
        await move(client, 3_700)
        with pytest.raises(hf.RunFailed):
            await run.result(timeout="20s")

        async def closed() -> bool:
            return (await queue.get(id)).status == "skipped"

        await until(closed)
