"""`hf.execute`: one run, here and now."""

import asyncio
import threading

import pytest

import holdfast as hf


@hf.step
async def increment(x: int, by: int = 1) -> int:
    return x + by


@hf.step
def double(x: int) -> int:
    return 2 * x


@hf.workflow
async def child(x: int) -> int:
    return await double(x)


@hf.workflow
async def sums(x: int, *, by: int = 1) -> int:
    if x < 0:
        raise ValueError(x)
    await hf.sleep(0.001)
    return sum(await hf.gather(increment(x, by), double(x), child(x)))


def test_in_a_program_of_its_own() -> None:
    before = set(threading.enumerate())
    assert asyncio.run(hf.execute(sums, 1, by=2)) == 7
    ours = [one for one in set(threading.enumerate()) - before if one.name.startswith("holdfast")]
    for thread in ours:  # those of steps have been told to end
        thread.join(10)
    assert [one.name for one in ours if one.is_alive()] == []


async def test_arguments_and_errors() -> None:
    assert await hf.execute(sums, 1) == 6
    assert await hf.execute(sums, x=1, by=0) == 5
    with pytest.raises(hf.RunFailed, match="ValueError: -1") as failed:
        await hf.execute(sums, -1)
    assert type(failed.value.__cause__) is ValueError
    with pytest.raises(hf.UsageError, match="misses 'x'"):
        await hf.execute(sums)  # type: ignore[call-arg]
    with pytest.raises(hf.PayloadError, match="argument 'x'"):
        await hf.execute(sums, "1")  # type: ignore[arg-type]


async def test_options() -> None:
    @hf.workflow
    async def names() -> str:
        return hf.current().run_id

    assert await hf.execute(names.options(id="o-1")) == "o-1"


async def test_several_at_once_are_apart() -> None:
    @hf.workflow
    async def names() -> str:
        return hf.current().run_id

    assert await asyncio.gather(*(hf.execute(names.options(id="same")) for _ in range(10))) == ["same"] * 10


async def test_what_is_no_workflow_is_refused() -> None:
    for wrong in (increment, sums.fn, None):
        with pytest.raises(hf.UsageError, match=r"decorated with @hf\.workflow"):
            await hf.execute(wrong)  # type: ignore[arg-type]


async def test_a_cancelled_call_leaves_nothing_behind() -> None:
    begun = asyncio.Event()

    @hf.step
    async def slow() -> None:
        begun.set()
        await asyncio.sleep(60)

    @hf.workflow
    async def waits() -> None:
        await slow()

    task = asyncio.create_task(hf.execute(waits))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
