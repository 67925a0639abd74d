"""Timeouts: of one attempt of a step, async or in a thread."""

import asyncio
import threading
import time

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, QUICK, cause, outcome, serving, until


async def test_an_async_attempt_is_cancelled_at_its_timeout(store_url: str) -> None:
    ended: list[str] = []

    @hf.step(timeout=0.02, retry=QUICK)
    async def slow() -> str:
        try:
            await asyncio.sleep(0 if hf.current().attempt == 3 else 60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "in time"

    @hf.workflow
    async def waits() -> str:
        return await slow()

    async with serving(store_url, waits) as client:
        run = await client.start(waits)
        assert await run.result(timeout="5s") == "in time"
        [entry] = await client.history(run.id)
    assert ended == ["cancelled", "cancelled"]
    assert [tried.error["type"] for tried in entry.failed_attempts] == ["holdfast.errors.StepTimeout"] * 2


async def test_a_timeout_is_a_step_timeout_and_a_timeout_error() -> None:
    @hf.step(timeout="20ms", retry=ONCE)
    async def slow() -> None:
        await asyncio.sleep(60)

    @hf.workflow
    async def waits() -> None:
        await slow()

    @hf.workflow
    async def catches() -> str:
        try:
            await slow()
        except TimeoutError as error:
            return str(error)
        return ""

    async with serving("memory://", waits, catches) as client:
        error = await cause(client, waits)
        said = await outcome(client, catches)
    assert isinstance(error, hf.StepTimeout)
    assert isinstance(error, TimeoutError)
    assert said == str(error) == "an attempt of step 'slow' took longer than its timeout of 0.02 s"


async def test_a_timeout_error_of_the_step_itself_is_not_the_steps_timeout() -> None:
    @hf.step(timeout=10, retry=ONCE)
    async def inner_timeout() -> None:
        await asyncio.sleep(0)
        raise TimeoutError("mine")

    @hf.step(timeout=10, retry=ONCE)
    async def own_deadline() -> None:
        async with asyncio.timeout(0.005):
            await asyncio.sleep(60)

    @hf.workflow
    async def waits(own: bool) -> None:
        await (own_deadline() if own else inner_timeout())

    async with serving("memory://", waits) as client:
        for own in (False, True):
            error = await cause(client, waits, own)
            assert type(error) is TimeoutError


async def test_a_step_that_ends_without_waiting_is_never_too_late() -> None:
    @hf.step(timeout=0, retry=ONCE)
    async def instant() -> int:
        return 1

    @hf.step(timeout=0.01, retry=ONCE)
    async def blocking() -> int:
        time.sleep(0.03)  # noqa: ASYNC251 - nothing can interrupt it
        return 2

    @hf.workflow
    async def waits() -> list[int]:
        return [await instant(), await blocking()]

    assert await hf.execute(waits) == [1, 2]


async def test_the_next_attempt_of_a_plain_step_waits_for_its_thread(store_url: str) -> None:
    log: list[str] = []

    @hf.step(timeout=0.02, retry=QUICK)
    def slow() -> int:
        attempt = hf.current().attempt
        log.append(f"begin {attempt}")
        if attempt == 1:
            time.sleep(0.06)
        log.append(f"end {attempt}")
        return attempt

    @hf.workflow
    async def waits() -> int:
        return await slow()

    async with serving(store_url, waits) as client:
        assert await outcome(client, waits) == 2
    assert log == ["begin 1", "end 1", "begin 2", "end 2"]


async def test_an_abandoned_attempt_of_a_plain_step_does_not_hold_up_the_next() -> None:
    log: list[str] = []
    go_on = threading.Event()

    @hf.step(timeout=0.02, retry=QUICK, on_timeout="abandon")
    def slow() -> int:
        attempt = hf.current().attempt
        log.append(f"begin {attempt}")
        if attempt == 1:
            assert go_on.wait(10)
            log.append("end 1")
            raise ValueError("nobody hears this")
        return attempt

    @hf.workflow
    async def waits() -> int:
        return await slow()

    async with serving("memory://", waits) as client:
        assert await outcome(client, waits) == 2
        assert log == ["begin 1", "begin 2"]
        go_on.set()

        async def ended() -> bool:
            return log[-1] == "end 1"

        await until(ended)


async def test_a_plain_step_that_is_too_late_has_timed_out_whatever_it_returns() -> None:
    @hf.step(timeout=0.01, retry=ONCE)
    def slow() -> int:
        time.sleep(0.03)
        return 1

    @hf.workflow
    async def waits() -> None:
        await slow()

    async with serving("memory://", waits) as client:
        assert isinstance(await cause(client, waits), hf.StepTimeout)


@pytest.mark.parametrize("wrong", [-1, "soon", "1 fortnight", float("nan"), float("inf"), True, [], 1e20])
def test_a_timeout_that_is_no_duration_is_refused(wrong: object) -> None:
    with pytest.raises(hf.UsageError, match="timeout of step 'slow'"):
        hf.step(timeout=wrong, name="slow")(lambda: 1)  # type: ignore[call-overload]
