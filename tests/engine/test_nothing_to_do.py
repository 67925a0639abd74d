"""A run leaves memory when nothing of it can go on, and not while something is just about to."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine import waiting
from holdfast.engine.execution import Execution
from holdfast.errors import StoreUnavailable
from holdfast.model.notes import Note, encode_note
from holdfast.store.operations import Batch, Results
from tests.engine.helpers import ONCE, outcome, serving, until

HOUR = 3600.0


@hf.step(retry=ONCE)
async def one() -> int:
    return 1


@hf.workflow
async def child(number: int) -> int:
    return number


@hf.workflow
async def large() -> str:
    return "x" * 300_000


@hf.workflow
async def sleeps() -> None:
    await hf.sleep(HOUR)


async def gathers(deep: int) -> int:
    """A step, inside so many fan-outs."""
    if deep == 0:
        return await one()
    [found] = await hf.gather(gathers(deep - 1))
    return found


async def sleeps_inside(deep: int) -> int:
    """Something that is parked, inside so many fan-outs: the code comes there again some turns after it has begun."""
    if deep == 0:
        await hf.sleep(0.02)
        return await one()
    [found] = await hf.gather(sleeps_inside(deep - 1))
    return found


async def races_inside(deep: int) -> int:
    if deep == 0:
        return await one()
    return (await hf.first(races_inside(deep - 1), hf.sleep(HOUR))).value or 0


async def maps(deep: int) -> int:
    if deep == 0:
        return await one()
    [found] = await hf.map(lambda _: maps(deep - 1), [0])
    return found


async def children(_: int) -> int:
    return len(await hf.map(child, range(3)))


async def two_children(_: int) -> int:
    return await child(1) + await child(2)


async def a_large_child(_: int) -> int:
    return len(await large()) + await one()


async def sends_much(_: int) -> int:
    await hf.send_event("much", "x" * 300_000)
    return await one()


async def hands_on(many: int) -> int:
    """Branches that wait for each other past the engine: the last goes on some turns after the first."""
    ends = [asyncio.get_running_loop().create_future() for _ in range(many)]

    async def one_of(number: int) -> None:
        await (asyncio.shield(ends[number - 1]) if number else one())
        ends[number].set_result(None)

    await hf.gather(*(one_of(number) for number in range(many)))
    return await one()


async def replays_much(many: int) -> int:
    """Recorded calls that are awaited past the engine: a replay goes through them without an open call."""
    for _ in range(many):
        await asyncio.gather(one(), one())
    await hf.sleep(0.02)
    return await one()


async def with_asyncio(deep: int) -> int:
    """A step, inside so many fan-outs that the engine knows nothing of."""
    call: Awaitable[Any] = one()
    for _ in range(deep):
        call = asyncio.gather(call)
    await call
    return await one()


BRANCHES: dict[str, Any] = {
    branch.__name__: branch
    for branch in (
        gathers,
        sleeps_inside,
        races_inside,
        maps,
        children,
        two_children,
        a_large_child,
        sends_much,
        hands_on,
        replays_much,
        with_asyncio,
    )
}


@hf.workflow
async def beside_a_sleep(branch: str, deep: int) -> list[int]:
    found = await hf.first(hf.sleep(HOUR), BRANCHES[branch](deep))
    return [found.index, await one()]


@hf.workflow
async def beside_an_event(branch: str, deep: int) -> list[int]:
    found = await hf.first(hf.wait_for_event("never"), BRANCHES[branch](deep))
    return [found.index, await one()]


WORKFLOWS = (beside_a_sleep, beside_an_event, child, large, sleeps)

CASES = [
    *(("gathers", deep) for deep in (1, 2, 3, 20)),
    *(("sleeps_inside", deep) for deep in (1, 2, 20)),
    *(("races_inside", deep) for deep in (1, 2, 8)),
    *(("maps", deep) for deep in (1, 2, 8)),
    *((branch, 0) for branch in ("children", "two_children", "a_large_child", "sends_much")),
    *(("hands_on", many) for many in (2, 30)),
    *(("replays_much", many) for many in (1, 30)),
    *(("with_asyncio", deep) for deep in (1, 2, 3, 4)),
]


@pytest.mark.parametrize("workflow", [beside_a_sleep, beside_an_event], ids=["a_sleep", "an_event"])
@pytest.mark.parametrize(("branch", "deep"), CASES)
async def test_a_branch_goes_on_beside_what_waits_long(
    store_url: str, park_at_once: None, workflow: Any, branch: str, deep: int
) -> None:
    async with serving(store_url, *WORKFLOWS) as client:
        assert await outcome(client, workflow, branch, deep) == [1, 1]


async def test_a_release_is_not_overlooked_by_a_run_that_is_about_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Execution] = []
    look = waiting.Waits._look

    def released_at_the_last_turn(self: waiting.Waits) -> None:
        if held and self is held[0].waits and self._quiet == waiting.QUIET_TURNS - 1 and not held[0].open_calls:
            held.pop().heed(None)
        look(self)

    monkeypatch.setattr(waiting.Waits, "_look", released_at_the_last_turn)

    @hf.step(retry=ONCE)
    async def holds() -> None:
        execution = next(iter(client.core.executions.values()))
        execution.heed(encode_note(Note("hold", reason="a moment")))
        held.append(execution)

    async def then() -> int:
        await holds()
        return await one()

    @hf.workflow
    async def beside() -> int:
        return (await hf.first(hf.sleep(HOUR), then())).index

    async with serving("memory://", beside) as client:
        assert await outcome(client, beside) == 1
    assert held == []


@hf.workflow
async def races() -> list[Any]:
    found = await hf.first(hf.wait_for_event("never"), one(), sleeps())
    return [found.index, found.value]


async def test_what_was_first_is_not_forgotten_when_the_lease_is_lost_before_it_is_recorded(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", 0.01)
    async with hf.connect(store_url) as client, hf.Worker(client, [races, sleeps], drain=0) as worker:
        commit, deciding, back = client.core.store.commit, asyncio.Event(), asyncio.Event()

        async def away(batch: Batch) -> Results:
            if (batch.resolves or deciding.is_set()) and not back.is_set():
                deciding.set()
                raise StoreUnavailable("the database is away")
            return await commit(batch)

        monkeypatch.setattr(client.core.store, "commit", away)
        run = await client.start(races)
        await asyncio.wait_for(deciding.wait(), 20)
        await asyncio.sleep(0.1)  # for longer than the run would stay in memory for its waits
        worker._dispatcher.evict_all()
        await asyncio.sleep(0.1)
        back.set()
        await asyncio.sleep(0.1)
        await worker.stop()
        await client.core.store.rescue(100)
        async with hf.Worker(client, [races, sleeps], drain=0):
            assert await run.result(timeout="20s") == [1, 1]


async def test_what_lost_is_told_again_before_a_run_may_leave(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    again = asyncio.Event()

    @hf.step(retry=ONCE)
    async def second() -> int:
        if not again.is_set():
            await asyncio.sleep(60)
        return 2

    async def inner() -> list[int]:
        found = await hf.first(one(), hf.wait_for_event("never"))
        return [found.index, await second()]

    @hf.workflow
    async def beside() -> list[int]:
        return (await hf.first(hf.wait_for_event("never either"), inner())).value

    async with hf.connect(store_url) as client:
        async with hf.Worker(client, [beside], drain=0):
            run = await client.start(beside)

            async def at_the_second() -> bool:
                return any(entry.name == "hf.first" for entry in await client.history(run.id))

            await until(at_the_second)
        again.set()
        monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", 0.0)
        commit = client.core.store.commit

        async def slow(batch: Batch) -> Results:
            if batch.resolves:
                await asyncio.sleep(0.2)
            return await commit(batch)

        monkeypatch.setattr(client.core.store, "commit", slow)
        async with hf.Worker(client, [beside], drain=0):
            assert await run.result(timeout="20s") == [0, 2]
