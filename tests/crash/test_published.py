"""The N-th call of the store fails, for every N: each message is published once, with what the run commits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import holdfast as hf
from holdfast.model.payload import codec_of
from holdfast.store.outbox_rows import MessageFilter
from tests.crash.faulty import FAULTS, Fault, Process, World, in_haste

QUICK = hf.Retry(max_attempts=5, initial=0.001, jitter=0.0)


@hf.step(retry=QUICK)
async def second_time(x: int) -> str:
    id = await hf.publish("pages", f"step {x}")
    if hf.current().attempt < 2:
        raise ConnectionError("not yet")
    return id


@hf.step(retry=QUICK)
def plain() -> None:
    _ = hf.publish("pages", "plain", key="k")


@hf.workflow
async def child() -> str:
    return await hf.publish("pages", "child")


@hf.workflow
async def publishes() -> list[str]:
    ids = [await hf.publish("pages", "first", key="k"), await second_time(1)]
    await plain()
    await hf.sleep(0.002)
    ids += await hf.gather(second_time(2), hf.publish("pages", "beside"), child())
    await hf.sleep(0.002)
    return [*ids, await hf.publish("pages", "last", key="k")]


RIGHT = ["beside", "child", "first", "last", "plain", "step 1", "step 2"]


async def published(world: World, run_id: str) -> dict[str, Any]:
    """The bodies of all messages of a run and of its children, by id."""
    outbox, found = world.beside.outbox, {}
    for row in await outbox.messages("default", MessageFilter(), limit=1000):
        if row.run_id.partition("/")[0] == run_id:
            message = await outbox.message("default", row.id)
            assert message is not None
            found[row.id] = codec_of(Any).decode(message.body or b"", "body")
    return found


async def execute(url: str, fault: Fault, at: int) -> int:
    """Run the program with a fault at the N-th call; how many calls there were."""
    calls = 0

    def plan(_: str) -> Fault | None:
        nonlocal calls
        calls += 1
        return fault if calls == at else None

    run_id = f"{fault}-{at}"
    async with World(url, (publishes,), plan) as world:
        starting = asyncio.create_task(world.process.client.start(publishes.options(id=run_id)))
        died = asyncio.create_task(world.process.store.died.wait())
        await asyncio.wait((starting, died), return_when=asyncio.FIRST_COMPLETED)
        if world.process.store.died.is_set():
            await world.replace()
            await world.process.client.start(publishes.options(id=run_id))
        view = await world.outcome(run_id)
        for task in (starting, died):
            task.cancel()
        await asyncio.gather(starting, died, return_exceptions=True)
        assert view.status == "succeeded", view.error
        found = await published(world, run_id)
        assert sorted(found.values()) == RIGHT
        assert [found[id] for id in view.output] == ["first", "step 1", "step 2", "beside", "child", "last"]
    return calls


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    in_haste(monkeypatch)


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_nth_call_fails_for_every_n(fault: Fault) -> None:
    at, calls = 0, 1
    while at < calls:
        at += 1
        calls = await execute("memory://", fault, at)
    assert at > 8


@pytest.mark.verify
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", FAULTS)
async def test_the_nth_call_fails_on_disk(disk_url: str, fault: Fault) -> None:
    at, calls = 0, 1
    while at < calls:
        at += 1
        calls = await execute(disk_url, fault, at)


executions: list[str] = []
go_on: dict[str, asyncio.Event] = {}


async def wait_if_first() -> str:
    """Whoever executes this first waits until it is told to go on."""
    who = "heir" if executions else "zombie"
    executions.append(who)
    if who == "zombie":
        await go_on["zombie"].wait()
    return who


@hf.step(retry=QUICK)
async def slow() -> str:
    return await hf.publish("pages", await wait_if_first())


@hf.workflow
async def in_a_step() -> str:
    return await slow()


@hf.workflow
async def in_the_workflow() -> str:
    return await hf.publish("pages", await wait_if_first())


@pytest.mark.parametrize("workflow", [in_a_step, in_the_workflow], ids=lambda one: one.name)
async def test_a_worker_that_lost_its_lease_publishes_nothing(store_url: str, workflow: hf.Workflow[[], str]) -> None:
    executions.clear()
    go_on["zombie"] = asyncio.Event()
    async with World(store_url, (workflow,)) as world:
        zombie = world.process
        await zombie.client.start(workflow.options(id="z"))
        await world.until(lambda: _reached("zombie"))
        await world.depose()
        view = await world.outcome("z")
        assert await published(world, "z") == {view.output: "heir"}
        go_on["zombie"].set()
        await world.until(lambda: _gone(zombie))
        await zombie.core.committer.drain()
        assert await published(world, "z") == {view.output: "heir"}


async def _reached(who: str) -> bool:
    return who in executions


async def _gone(process: Process) -> bool:
    return not process.worker._dispatcher._executions
