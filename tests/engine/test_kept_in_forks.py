"""What a fork keeps that had lost, or was cancelled, in the run that it is forked from."""

from typing import Any

import holdfast as hf
from tests.engine.helpers import until_status


@hf.step
async def last(number: int) -> int:
    return number


@hf.workflow
async def sleeps() -> None:
    await hf.sleep(3600)


@hf.workflow
async def races() -> list[Any]:
    found = await hf.first(hf.wait_for_event("never"), last(1), sleeps())
    return [found.index, found.value, await last(2)]


@hf.workflow(cancel_on=("stop", "key"))
async def stops(key: str) -> None:
    await hf.send_event("sleeps", key=key)
    await hf.sleep(3600)


@hf.workflow
async def asks_for_stop(key: str) -> str:
    await hf.wait_for_event("sleeps", key=key)
    await hf.send_event("stop", key=key)
    return key


@hf.workflow
async def loses_a_child() -> list[Any]:
    said = "nothing"
    try:
        await hf.gather(stops("k"), asks_for_stop("k"))
    except hf.RunCancelled as error:
        said = f"cancelled {error.run_id}"
    return [said, await last(3)]


@hf.workflow
async def nests() -> None:
    await stops("n")


@hf.workflow
async def loses_a_grandchild() -> list[Any]:
    said = "nothing"
    try:
        await hf.gather(nests(), asks_for_stop("n"))
    except hf.RunFailed as error:
        said = type(error.__cause__).__name__
    return [said, await last(4)]


async def test_a_fork_goes_on_after_a_race_whose_losers_it_does_not_keep(store_url: str) -> None:
    async with hf.connect(store_url) as client, hf.Worker(client, [races], drain=0):
        run = await client.start(races.options(id="r"))
        assert await run.result(timeout=30) == [1, 1, 2]
        await client.fork("r", from_step=last, occurrence=2, id="f")
        fork: hf.RunHandle[Any] = await client.handle("f")
        assert await fork.result(timeout=30) == [1, 1, 2]
        await until_status(client, "f", "succeeded")


async def test_a_child_that_was_cancelled_is_so_in_a_fork_too(store_url: str) -> None:
    async with hf.connect(store_url) as client, hf.Worker(client, [loses_a_child, asks_for_stop], drain=0):
        run = await client.start(loses_a_child.options(id="r"))
        assert await run.result(timeout=30) == ["cancelled r/1.0", 3]
        await client.fork("r", from_step=last, id="f")
        fork: hf.RunHandle[Any] = await client.handle("f")
        # The child is that of the run that it is forked from.
        assert await fork.result(timeout=30) == ["cancelled r/1.0", 3]


async def test_a_child_that_failed_with_its_own_child_is_so_in_a_fork_too(store_url: str) -> None:
    async with hf.connect(store_url) as client, hf.Worker(client, [loses_a_grandchild, asks_for_stop], drain=0):
        run = await client.start(loses_a_grandchild.options(id="r"))
        assert await run.result(timeout=30) == ["RunCancelled", 4]
        await client.fork("r", from_step=last, id="f")
        fork: hf.RunHandle[Any] = await client.handle("f")
        assert await fork.result(timeout=30) == ["RunCancelled", 4]
