"""Crashes on demand: what is recorded is not done again, what is not is; and the outcome is the same everywhere."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast.testing import Environment


@hf.step
async def charge(order_id: str) -> str:
    return f"receipt of {order_id}"


@hf.step
def post(order_id: str) -> str:
    return f"parcel of {order_id}"


@hf.workflow
async def part(number: int) -> int:
    await hf.sleep("1h")
    return number * 10


@hf.workflow
async def checkout(order_id: str) -> dict[str, Any]:
    receipt = await charge(order_id)
    await hf.sleep("1d")
    parcel = await post(order_id)
    return {"receipt": receipt, "parcel": parcel, "at": hf.now().isoformat()}


@pytest.mark.parametrize(("when", "executed"), [("before", 1), ("after", 2), ("recorded", 1)])
@pytest.mark.parametrize("step", [charge, post], ids=["async", "plain"])
async def test_only_what_is_not_recorded_is_done_again(step: Any, when: Any, executed: int) -> None:
    async with Environment([checkout]) as env:
        env.crash(step, when=when)
        run = await env.start(checkout, "o-1")
        assert (await run.result())["receipt"] == "receipt of o-1"
        assert len(env.calls(step)) == executed
        assert [entry.outcome for entry in await env.client.history(run.id)] == ["ok"] * 4
        other = post if step is charge else charge
        assert len(env.calls(other)) == 1


async def test_a_crash_takes_every_run_of_the_worker_with_it() -> None:
    started: list[str] = []

    @hf.step
    async def slow(order_id: str) -> str:
        started.append(order_id)
        while len(started) < 2:
            await asyncio.sleep(0.001)
        return order_id

    @hf.workflow
    async def working(order_id: str) -> str:
        result = await slow(order_id)
        return f"{result} {await charge(order_id)}"

    async with Environment([working]) as env:
        env.crash(slow, 2, "before")
        one = await env.start(working, "o-1")
        two = await env.start(working, "o-2")
        assert await one.result() == "o-1 receipt of o-1"
        assert await two.result() == "o-2 receipt of o-2"
        assert sorted(started) == ["o-1", "o-1", "o-2"]
        assert (await env.client.get(one.id)).worker is None


async def test_crashes_are_counted_from_when_they_are_planned() -> None:
    async with Environment([checkout]) as env:
        await env.run(checkout, "o-1")
        env.crash("charge", 2, "after")
        await env.run(checkout, "o-2")
        assert len(env.calls(charge)) == 2
        await env.run(checkout, "o-3")
        assert [one["order_id"] for one in env.calls(charge)] == ["o-1", "o-2", "o-3", "o-3"]


async def test_a_run_that_keeps_losing_its_worker_is_held() -> None:
    async with Environment([checkout]) as env:
        for occurrence in range(1, 6):
            env.crash(charge, occurrence, "after")
        run = await env.start(checkout, "o-1")
        await env.settle()
        view = await env.client.get(run.id)
        assert (view.status, len(env.calls(charge))) == (hf.Status.HELD, 5)
        await env.client.release(run.id)
        assert (await run.result())["receipt"] == "receipt of o-1"


async def test_a_crash_that_never_comes_fails_the_test() -> None:
    async def leave(error: Exception | None) -> None:
        async with Environment([checkout]) as env:
            env.crash(charge, 2, "recorded")
            await env.run(checkout, "o-1")
            if error is not None:
                raise error

    with pytest.raises(AssertionError, match="never came: crash after the record of step 'charge', occurrence 2"):
        await leave(None)
    with pytest.raises(ZeroDivisionError):
        await leave(ZeroDivisionError())


async def test_what_cannot_be_is_refused() -> None:
    async with Environment([checkout]) as env:
        with pytest.raises(hf.UsageError, match="occurrence is 0"):
            env.crash(charge, 0)
        with pytest.raises(hf.UsageError, match="one of before, after, recorded"):
            env.crash(charge, when="during")  # type: ignore[arg-type]


async def test_a_run_ends_the_same_wherever_its_worker_crashes() -> None:
    async with Environment([checkout]) as env:
        kept = await env.start(checkout, "o-0")
        # Two steps with three points each, and the record of the sleep.
        assert await env.crash_everywhere(checkout, "o-1") == 7
        assert await kept.result() == {
            "receipt": "receipt of o-0", "parcel": "parcel of o-0", "at": "2026-01-02T00:00:00+00:00"
        }  # fmt: skip
        assert len(await env.client.list()) == 1
        assert len(env.calls(charge)) == 1


async def test_runs_that_are_about_to_begin_when_the_worker_crashes_begin_again() -> None:
    @hf.workflow
    async def parcels(number: int) -> list[int]:
        await hf.sleep("1d")
        await charge(str(number))
        await hf.sleep("1d")
        return [number]

    @hf.workflow
    async def parent() -> list[list[int]]:
        return await hf.map(parcels, range(3))

    async with Environment([parent], concurrency=3) as env:
        # The children wake together: the first is at its step before the others have had their first turn.
        assert await env.crash_everywhere(parent) == 17
        assert await env.run(parent) == [[0], [1], [2]]


@pytest.mark.slow
async def test_everything_at_once_ends_the_same_wherever_its_worker_crashes() -> None:
    @hf.step(retry=hf.Retry(max_attempts=2, initial=600.0))
    async def flaky(order_id: str) -> str:
        if hf.current().attempt == 1:
            raise ConnectionError
        return "at last"

    @hf.workflow
    async def everything(order_id: str) -> list[Any]:
        begun = hf.now()
        seen: list[Any] = list(await hf.gather(charge(order_id), post(order_id), part(1)))
        seen.append(await hf.map(part, [2, 3, 4]))
        seen.append(await flaky(order_id))
        await hf.set_attributes(order=order_id)
        seen.append(await hf.wait_for_event("shipped", key=order_id, timeout="7d"))
        chosen = await hf.first(hf.sleep("2d"), hf.wait_for_event("returned", key=order_id), part(9))
        seen.append([chosen.index, chosen.value])
        await hf.send_event("done", key=order_id)
        seen.append(await hf.wait_for_event("done", key=order_id))
        seen.append((hf.now() - begun).total_seconds())
        return seen

    async with Environment([everything]) as env:
        env.at("3d", lambda: env.client.send_event("shipped", {"by": "sea"}, key="o-1"))
        env.at("4d", lambda: env.client.send_event("returned", "broken", key="o-1"))
        assert await env.crash_everywhere(everything, "o-1") > 20
        assert await env.run(everything, "o-1") == [
            "receipt of o-1", "parcel of o-1", 10, [20, 30, 40], "at last", {"by": "sea"}, [2, 90], None,
            timedelta(days=3, hours=1).total_seconds(),
        ]  # fmt: skip


async def test_a_workflow_that_a_crash_changes_is_found() -> None:
    executions: Counter[str] = Counter()

    @hf.workflow
    async def forgetful(order_id: str) -> str:
        executions[hf.current().idempotency_key] += 1
        first = executions[hf.current().idempotency_key] == 1
        receipt = await charge(order_id)
        return receipt if first else "something else"

    async with Environment([forgetful]) as env:
        with pytest.raises(
            AssertionError, match="before step 'charge' the run succeeded with 'something else', and without one"
        ):
            await env.crash_everywhere(forgetful, "o-1")


async def test_a_run_that_fails_has_to_fail_the_same_and_says_so() -> None:
    async with Environment([checkout], fakes={post: hf.Fatal("no more parcels")}) as env:
        with pytest.raises(hf.RunFailed) as failed:
            await env.crash_everywhere(checkout, "o-1")
        assert repr(failed.value.__cause__) == "Fatal('no more parcels')"
    tries: Counter[str] = Counter()

    async def fails_once(order_id: str) -> str:
        tries[hf.current().idempotency_key] += 1
        if tries[hf.current().idempotency_key] == 1:
            raise hf.Fatal("no more parcels")
        return "found one"

    async with Environment([checkout], fakes={post: fails_once}) as env:
        with pytest.raises(AssertionError, match="after a crash after step 'post'"):
            await env.crash_everywhere(checkout, "o-1")
