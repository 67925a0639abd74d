"""A run that is dropped while the lease holds goes on: nobody else would ever take it from a worker that lives."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine import dispatcher, waiting
from holdfast.engine.execution import Execution
from holdfast.store.operations import LOST, Batch, Results
from tests.engine.helpers import ONCE, serving, until

pytestmark = pytest.mark.slow

log: list[str] = []


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 0.05)
    log.clear()


@hf.step(retry=ONCE)
async def one(number: int) -> int:
    log.append(f"one {number}")
    return number


@hf.workflow
async def child(number: int) -> int:
    return await one(number)


@hf.workflow
async def everything(left: int) -> int:
    await one(1)
    await hf.set_attributes(left=left)
    await hf.sleep(0.001)
    await hf.send_event("beside", 2, key=hf.current().run_id)
    await hf.wait_for_event("beside", key=hf.current().run_id)
    await child(3)
    await hf.map(child, [4, 5])
    await hf.stream("out").write(left)
    if left:
        hf.continue_as_new(left - 1)
    return left


KINDS = ("starts", "checkpoints", "attributes", "waits", "parks", "settles", "chunks")
"""What a worker may be told is lost."""


def told_lost(client: hf.Client, kind: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the first commit with such an operation of a run not be made, and its answer be that all of it is lost."""
    store, told = client.core.store, list[int]()
    commit = store.commit

    def of_a_run(batch: Batch) -> list[Any]:
        rows = getattr(batch, kind)
        return [row for row in rows if row.parent_epoch is not None] if kind == "starts" else rows

    async def commit_or_not(batch: Batch) -> Results:
        if told or not of_a_run(batch):
            return await commit(batch)
        told.append(1)
        fenced: dict[str, list[Any]] = {name: [] for name in KINDS}
        fenced["starts"] = [row for row in batch.starts if row.parent_epoch is None]
        results = await commit(replace(batch, **fenced))
        found = iter(results.starts)
        for name in KINDS:
            setattr(results, name, [LOST] * len(getattr(batch, name)))
        results.starts = [next(found) if row.parent_epoch is None else LOST for row in batch.starts]
        return results

    monkeypatch.setattr(store, "commit", commit_or_not)
    return told


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_called_lost_while_the_lease_holds_goes_on(
    kind: str, disk_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(disk_url, everything, child) as client:
        told = told_lost(client, kind, monkeypatch)
        run = await client.start(everything, 1)
        assert await run.result(timeout="60s") == 0
        assert told


async def test_a_run_that_is_called_lost_when_it_begins_again_goes_on(
    disk_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(disk_url, everything, child) as client:
        store, told = client.core.store, list[int]()
        really = store.continue_as_new

        async def lost_once(order: Any) -> bool:
            told.append(1)
            return len(told) > 1 and await really(order)

        monkeypatch.setattr(store, "continue_as_new", lost_once)
        run = await client.start(everything, 1)
        assert await run.result(timeout="60s") == 0
        assert len(told) == 2


def failing_once(really: Callable[..., Any]) -> Callable[..., Any]:
    failed = list[int]()

    def fail(*given: Any) -> Any:
        if not failed:
            failed.append(1)
            raise RuntimeError("nobody thought of this")
        return really(*given)

    return fail


@pytest.mark.parametrize("fresh", [True, False], ids=["a new run", "a run that goes on"])
async def test_a_run_that_cannot_be_begun_is_given_back_and_its_worker_goes_on(
    fresh: bool, disk_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fresh:
        monkeypatch.setattr(Execution, "begin", failing_once(Execution.begin))
    else:
        monkeypatch.setattr(dispatcher, "by_run", failing_once(dispatcher.by_run))
    async with serving(disk_url, everything, child) as client:
        run = await client.start(everything, 0)
        assert await run.result(timeout="60s") == 0


async def test_a_run_is_not_given_back_while_a_thread_of_it_goes_on(
    disk_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, inside, most = threading.Event(), list[int](), list[int]()

    @hf.step(retry=ONCE)
    def threaded() -> int:
        inside.append(1)
        most.append(len(inside))
        go_on.wait(30)
        inside.pop()
        return 7

    @hf.workflow
    async def waits_beside() -> int:
        found, _ = await hf.gather(threaded(), one(1))
        return found

    async with serving(disk_url, waits_beside) as client:
        told = told_lost(client, "checkpoints", monkeypatch)
        run = await client.start(waits_beside)
        await until(lambda: _true(bool(told)))
        doubted = list[bytes]()
        worker = next(iter(client.core._dispatchers))
        again = worker.doubt
        monkeypatch.setattr(worker, "doubt", lambda run, at: (doubted.append(run.uid), again(run, at)))
        await until(lambda: _true(len(doubted) > 1))
        go_on.set()
        assert await run.result(timeout="60s") == 7
        assert max(most) == 1


async def _true(value: bool) -> bool:
    return value
