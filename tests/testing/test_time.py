"""Time in an environment: it stands still, jumps to what is due next, and everything happens in order."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast.testing import Environment, Stuck, in_turn

START = datetime(2026, 1, 1, tzinfo=UTC)


@hf.workflow
async def subscription(customer: str) -> list[str]:
    """Waits a year and more, in every way there is."""
    seen = [hf.now().isoformat()]
    await hf.sleep("30d")
    seen.append(hf.now().isoformat())
    try:
        await hf.wait_for_event("paid", key=customer, timeout="60d")
    except hf.EventTimeout:
        seen.append(hf.now().isoformat())
    chosen = await hf.first(hf.wait_for_event("cancelled", key=customer), hf.sleep("275d"))
    seen.append(f"{chosen.index} {hf.now().isoformat()}")
    return seen


@hf.workflow
async def nap(seconds: float) -> str:
    await hf.sleep(seconds)
    return hf.now().isoformat()


@hf.workflow
async def listen(key: str, timeout: str | None = None) -> Any:
    return await hf.wait_for_event("news", key=key, timeout=timeout)


async def test_a_year_of_waiting_takes_no_time_and_comes_out_exact() -> None:
    began = time.monotonic()
    async with Environment([subscription]) as env:
        assert env.now == START
        assert await env.run(subscription, "c-1") == [
            "2026-01-01T00:00:00+00:00",
            "2026-01-31T00:00:00+00:00",
            "2026-04-01T00:00:00+00:00",
            "1 2027-01-01T00:00:00+00:00",
        ]
        assert env.now == datetime(2027, 1, 1, tzinfo=UTC)
    assert time.monotonic() - began < 5


async def test_time_stands_while_nobody_waits() -> None:
    async with Environment([nap], start_at=datetime(2030, 5, 1, 12, tzinfo=UTC)) as env:
        run = await env.start(nap, 0.001)
        await asyncio.sleep(0.05)
        assert env.now == datetime(2030, 5, 1, 12, tzinfo=UTC)
        await env.settle()
        assert (await env.client.get(run.id)).status == hf.Status.WAITING
        assert await run.result() == "2030-05-01T12:00:00.001000+00:00"


async def test_pauses_between_attempts_are_skipped_and_not_spread() -> None:
    @hf.step(retry=hf.Retry(max_attempts=5, initial=60.0, factor=10.0, maximum=1e6, jitter=1.0))
    async def fetch() -> str:
        raise AssertionError("the fake stands in for it")

    @hf.workflow
    async def fetching() -> str:
        return await fetch()

    async with Environment([fetching], fakes={fetch: in_turn(OSError(), OSError(), OSError(), "here")}) as env:
        assert await env.run(fetching) == "here"
        assert env.now - START == timedelta(minutes=1 + 10 + 100)
        assert len(env.calls(fetch)) == 4


async def test_a_step_that_works_for_real_is_waited_for() -> None:
    @hf.step
    async def work() -> str:
        await asyncio.sleep(0.05)
        return "async"

    @hf.step
    def work_in_a_thread() -> str:
        time.sleep(0.05)
        return "thread"

    @hf.workflow
    async def working() -> tuple[str, ...]:
        return await hf.gather(work(), work_in_a_thread(), _late())

    async def _late() -> str:
        await hf.sleep("1d")
        return "slept"

    async with Environment([working]) as env:
        run = await env.start(working)
        env.at("1h", lambda: asyncio.sleep(0.02))
        assert await run.result() == ("async", "thread", "slept")
        history = {entry.name: entry for entry in await env.client.history(run.id)}
        assert history["work"].finished_at == history["work_in_a_thread"].finished_at == START
        assert env.now == START + timedelta(days=1)


async def test_skip_stops_at_each_instant_on_the_way() -> None:
    seen: list[tuple[str, timedelta]] = []

    @hf.step
    async def note(what: str) -> None:
        seen.append((what, env.now - START))

    @hf.workflow
    async def daily(name: str, days: int) -> None:
        for _ in range(days):
            await hf.sleep("1d")
            await note(name)

    async with Environment([daily]) as env:
        env.at("36h", lambda: seen.append(("plan", env.now - START)))
        env.at("24h", lambda: seen.append(("after", env.now - START)))
        for name in ("a", "b"):
            await env.start(daily, name, 3)
            await env.settle()
        await env.skip(START + timedelta(days=2))
    day = timedelta(days=1)
    # "b" was started a microsecond after "a", so that the two have an order.
    late = timedelta(microseconds=1)
    assert seen == [("a", day), ("after", day), ("b", day + late), ("plan", 1.5 * day), ("a", 2 * day)]


async def test_skip_moves_time_where_nothing_is_due() -> None:
    async with Environment([nap]) as env:
        await env.skip("5h")
        await env.skip(datetime(2026, 3, 1, tzinfo=UTC))
        assert env.now == datetime(2026, 3, 1, tzinfo=UTC)
        with pytest.raises(hf.UsageError, match="has passed: time stands at 2026-03-01"):
            await env.skip(START)
        with pytest.raises(hf.UsageError, match="aware instant"):
            await env.skip(datetime(2026, 5, 1))


async def test_an_event_that_is_planned_arrives_in_time_or_too_late() -> None:
    async with Environment([listen]) as env:
        env.at("6d", lambda: env.client.send_event("news", "good", key="k"))
        assert await env.run(listen, "k", timeout="7d") == "good"
        env.at("8d", lambda: env.client.send_event("news", "old", key="l"))
        with pytest.raises(hf.RunFailed) as failed:
            await env.run(listen, "l", timeout="7d")
        assert isinstance(failed.value.__cause__, hf.EventTimeout)
        assert env.now == START + timedelta(days=13)


async def test_what_the_plan_raises_is_raised_where_the_test_waits() -> None:
    async with Environment([nap]) as env:
        env.at(5, lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await env.run(nap, 10)
        assert env.now == START + timedelta(seconds=5)


async def test_the_plan_may_not_wait_for_time_to_pass() -> None:
    async with Environment([nap]) as env:
        env.at(5, lambda: env.skip("1d"))
        with pytest.raises(hf.UsageError, match="waits for time to pass, and time waits for it"):
            await env.skip("1d")


async def test_a_plan_may_plan_and_start() -> None:
    async with Environment([nap]) as env:
        runs: list[hf.RunHandle[str]] = []

        async def later() -> None:
            runs.append(await env.start(nap, 60))
            if len(runs) < 3:
                env.at("1h", later)

        env.at("1h", later)
        await env.skip("1d")
        assert [await run.result() for run in runs] == [f"2026-01-01T0{hour}:01:00+00:00" for hour in (1, 2, 3)]


async def test_deadlines_and_events_that_cancel_come_true() -> None:
    @hf.workflow(timeout="2h")
    async def limited() -> None:
        await hf.sleep("1d")

    @hf.workflow(cancel_on=("gone", "key"))
    async def cancellable(key: str) -> None:
        await hf.sleep("1d")

    async with Environment([limited, cancellable]) as env:
        with pytest.raises(hf.RunFailed) as failed:
            await env.run(limited)
        assert isinstance(failed.value.__cause__, hf.RunTimeout)
        assert env.now == START + timedelta(hours=2)
        run = await env.start(cancellable, "k")
        env.at("1h", lambda: env.client.send_event("gone", key="k"))
        with pytest.raises(hf.RunCancelled):
            await run.result()
        assert env.now == START + timedelta(hours=3)


async def test_schedules_start_runs_at_their_times() -> None:
    seen: list[datetime] = []

    @hf.step
    async def report() -> None:
        seen.append(env.now)

    @hf.workflow
    async def nightly() -> None:
        await report()

    async with Environment([nightly], start_at=datetime(2026, 3, 27, tzinfo=UTC)) as env:
        await env.client.schedule("nightly", nightly, cron="30 2 * * *", zone="Europe/Berlin")
        await env.skip("4d")
    # On the 29th the clocks go forward, and there is no half past two.
    assert [at.strftime("%d %H:%M") for at in seen] == ["27 01:30", "28 01:30", "29 01:00", "30 00:30"]


async def test_a_delayed_run_and_one_that_is_held() -> None:
    @hf.workflow
    async def asking() -> str:
        return f"{await hf.hold('may we?')} {hf.now().isoformat()}"

    async with Environment([nap, asking]) as env:
        assert await env.run(nap.options(delay="3d"), 60) == "2026-01-04T00:01:00+00:00"
        run = await env.start(asking)
        env.at("2d", lambda: env.client.release(run.id, "yes"))
        assert await env.result(run) == "yes 2026-01-06T00:01:00+00:00"


async def test_results_are_waited_for_side_by_side() -> None:
    async with Environment([nap]) as env:
        runs = [await env.start(nap, 86_400 * days) for days in (3, 1, 2)]
        results = await asyncio.gather(*(run.result() for run in runs))
        assert [result[:10] for result in results] == ["2026-01-04", "2026-01-02", "2026-01-03"]


async def test_a_timeout_of_a_result_counts_this_time() -> None:
    async with Environment([nap]) as env:
        run = await env.start(nap, 86_400)
        with pytest.raises(TimeoutError, match="has not ended after 3600 s"):
            await run.result(timeout="1h")
        assert env.now == START + timedelta(hours=1)
        handle = await env.client.handle(run.id, nap)
        assert await handle.result(timeout="1d") == "2026-01-02T00:00:00+00:00"


async def test_a_run_that_waits_for_ever_says_for_what() -> None:
    @hf.workflow
    async def parent() -> Any:
        return await listen("o-1")

    async with Environment([listen, parent]) as env:
        run = await env.start(listen, "o-1")
        env.at("5d", lambda: None)
        with pytest.raises(Stuck, match=r"time stands at 2026-01-06(.|\n)*news.*o-1(.|\n)*env\.at") as stuck:
            await run.result()
        assert stuck.value.run_id == run.id
        with pytest.raises(Stuck, match="child"):
            await env.run(parent)
        with pytest.raises(Stuck, match="queue"):
            await env.run(nap.options(queue="elsewhere"), 1)


async def test_a_run_that_goes_on_for_ever_is_given_up_at_the_horizon() -> None:
    @hf.workflow
    async def endless(day: int) -> None:
        await hf.sleep("1d")
        hf.continue_as_new(day + 1)

    async with Environment([endless], horizon="10d") as env:
        run = await env.start(endless, 0)
        with pytest.raises(Stuck):
            await run.result()
        assert env.now == START + timedelta(days=10)
        assert (await env.client.get(run.id)).input == {"day": 10}


async def test_runs_started_one_after_the_other_take_turns_in_their_lane() -> None:
    order: list[int] = []

    @hf.step
    async def serve(number: int) -> None:
        order.append(number)

    @hf.workflow(key="key", limit=1)
    async def laned(key: str, number: int) -> None:
        await hf.sleep("1h")
        await serve(number)

    async with Environment([laned]) as env:
        runs = [await env.start(laned, "k", number) for number in range(8)]
        for run in reversed(runs):
            await run.result()
    assert order == list(range(8))


async def test_few_slots_are_enough_for_many_runs() -> None:
    async with Environment([nap], concurrency=2) as env:
        runs = await env.client.start_many(nap, [(86_400 + n,) for n in range(50)])
        results = [await run.result() for run in runs]
        assert results == sorted(set(results))
        assert env.now == START + timedelta(seconds=86_449)


async def test_waiting_may_be_given_up_and_taken_up_again() -> None:
    @hf.step
    async def work() -> None:
        await asyncio.sleep(0.1)

    @hf.workflow
    async def working() -> None:
        await work()
        await hf.sleep("1d")

    async with Environment([working]) as env:
        run = await env.start(working)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run.result(), 0.02)
        assert env.now == START
        await run.result()
        assert env.now == START + timedelta(days=1)
