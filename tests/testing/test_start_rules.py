"""Rules for starts in an environment that skips time: hours of a debounce, a batch and a limit take milliseconds."""

from datetime import timedelta

import pytest

import holdfast as hf
from holdfast.errors import StartDropped
from holdfast.model.start_rules import Batch, Debounce, RateLimit
from holdfast.testing import Environment


@hf.workflow(debounce=Debounce("6h", longest="24h", key="doc"))
async def quiet(doc: str, number: int) -> int:
    return number


@hf.workflow(batch=Batch(10, within="12h"))
async def index(docs: list[int]) -> list[int]:
    return docs


@hf.workflow(rate_limit=RateLimit(2, per="1h"))
async def limited(number: int) -> str:
    return hf.now().isoformat()


@hf.workflow(rate_limit=RateLimit(1, per="1h", excess="drop"))
async def dropping(number: int) -> int:
    return number


async def test_a_debounce_of_hours_runs_at_its_instant() -> None:
    async with Environment([quiet]) as env:
        began = env.now
        first = await env.start(quiet, "d", 1)
        await env.skip("5h")
        second = await env.start(quiet, "d", 2)
        assert (second.way, second.id) == ("merged", first.id)
        assert await env.result(first) == await env.result(second) == 2
        assert env.now - began == timedelta(hours=11)


async def test_a_batch_is_run_when_its_time_is_over() -> None:
    async with Environment([index]) as env:
        began = env.now
        runs = [await env.start(index, [number]) for number in range(3)]
        assert await env.result(runs[2]) == [0, 1, 2]
        assert env.now - began == timedelta(hours=12)


async def test_a_limit_lets_runs_through_an_hour_apart() -> None:
    async with Environment([limited, dropping]) as env:
        runs = [await env.start(limited, number) for number in range(5)]
        hours = [(await env.result(run))[11:13] for run in runs]
        assert hours == ["00", "00", "01", "01", "02"]
        assert await env.run(dropping, 1) == 1
        with pytest.raises(StartDropped):
            await env.run(dropping, 2)
