"""A run that is cut off while it waits for a slot has one, and not two."""

import asyncio

import pytest

import holdfast as hf
from holdfast.engine import waiting
from tests.engine.helpers import until, until_status

gates: dict[str, asyncio.Event] = {}
entered: set[str] = set()


@hf.step
async def passes(gate: str) -> str:
    entered.add(gate)
    await gates.setdefault(gate, asyncio.Event()).wait()
    return gate


@hf.workflow
async def busy(gate: str) -> str:
    return await passes(gate)


@hf.workflow
async def listens(gate: str) -> None:
    try:
        await hf.wait_for_event("comes")
    finally:
        async with hf.shield():
            await passes(gate)


async def test_a_run_that_is_cancelled_while_it_waits_for_a_slot_takes_one(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", 60.0)  # it stays in memory
    gates.clear()
    entered.clear()
    async with hf.connect(store_url) as client, hf.Worker(client, [busy, listens], concurrency=2, drain=0) as worker:
        dispatcher = worker._dispatcher

        async def reached(gate: str) -> None:
            async def has_entered() -> bool:
                return gate in entered

            await until(has_entered, 30)

        await client.start(listens.options(id="l"), "l")

        async def waits_without_a_slot() -> bool:
            return len(await client.history("l")) == 1 and dispatcher._using == 0

        await until(waits_without_a_slot, 30)
        others = [await client.start(busy, gate) for gate in ("a", "b")]
        for gate in ("a", "b"):
            await reached(gate)
        await client.send_event("comes")

        async def wants_a_slot() -> bool:
            return len(dispatcher._returning) == 1

        await until(wants_a_slot, 30)
        await client.cancel("l")
        await reached("l")
        for run, gate in zip(others, ("a", "b"), strict=True):
            gates[gate].set()
            assert await run.result(timeout=30) == gate
        gates["l"].set()
        await until_status(client, "l", "cancelled")

        async def all_free() -> bool:
            return dispatcher._using == 0 and not dispatcher._returning

        await until(all_free, 10)
