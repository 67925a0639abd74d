"""What a run's code meets where its replay ends, and values that cannot be opened."""

import asyncio
from dataclasses import replace

import pytest

import holdfast as hf
from holdfast.engine import isolation
from holdfast.engine.histories import History
from holdfast.engine.replaying.files import replay_histories
from holdfast.engine.replaying.reports import RunReplay
from tests.engine.helpers import ONCE

seen: list[object] = []


@hf.step(retry=ONCE)
async def one(n: int) -> int:
    return n


@hf.step(retry=ONCE)
async def two(n: int) -> int:
    return n


@hf.workflow(name="both")
async def both(n: int) -> int:
    return await one(n) + await two(n)


@hf.workflow(name="both")
async def both_after(n: int) -> int:
    try:
        return await one(n)
    finally:
        seen.append(await two(n))


@hf.workflow(name="both")
async def waits_for_ever(n: int) -> int:
    try:
        await asyncio.Event().wait()
    except BaseException as error:
        seen.append(type(error))
        raise
    return n


async def recorded(values: hf.Values | None = None, url: str = "memory://") -> History:
    async with hf.connect(url, values=values) as client, hf.Worker(client, [both], drain=0):
        run = await client.start(both, 1)
        assert await run.result(timeout="30s") == 2
        return await client.export_history(run.id)


async def replayed(code: hf.Workflow[[int], int], history: History, timeout: float = 30) -> RunReplay:
    seen.clear()
    [found] = [one async for one in replay_histories([code], [history], timeout=timeout)]
    return found


async def test_code_gets_nothing_more_once_its_branch_has_ended() -> None:
    history = await recorded()
    first, second = history.entries
    # As if the run was lost while both executed, and the second was quicker.
    open_run = replace(history, run=history.run._replace(status="running", output=None), entries=[second])
    found = await replayed(both_after, open_run)
    assert seen == []
    [reason] = found.reasons
    assert "asks for step 'one' at position 0, where nothing is recorded" in reason
    assert reason.endswith("never for what is: step 'two' at position 1")
    assert first.name == "one"


async def test_code_that_takes_too_long_is_cancelled_before_it_is_closed() -> None:
    found = await replayed(waits_for_ever, await recorded(), timeout=0.1)
    assert found.outcome == "breaks"
    assert seen == [asyncio.CancelledError]


async def test_values_whose_key_is_missing_are_told(disk_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "values", None)
    old, new = ({"k1": b"1" * 32}, "k1"), ({"k2": b"2" * 32}, "k2")
    await recorded(hf.Values(codec=hf.AesGcm(*old)), disk_url)
    for keys, outcome in ((old, "fits"), (new, "breaks")):
        async with hf.connect(disk_url, values=hf.Values(codec=hf.AesGcm(*keys))) as client:
            [found] = [one async for one in client.replay_runs([both])]
            [alone] = [one async for one in replay_histories([both], [await client.export_history(found.run_id)])]
            for one in (found, alone):
                assert one.outcome == outcome, str(one)
                if outcome == "breaks":
                    assert "k1" in one.reasons[0]
            if outcome == "breaks":
                with pytest.raises(hf.UsageError, match="values are stored in a way of their own"):
                    _ = [one async for one in client.replay_runs([both], processes=2)]
