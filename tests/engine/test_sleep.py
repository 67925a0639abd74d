"""Sleeps and the recorded clock: short ones stay, long ones leave memory, and a replay sees the same."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

import holdfast as hf
from tests.engine.helpers import outcome, positions, serving, until, until_status


async def test_a_short_sleep_stays_in_memory(store_url: str) -> None:
    executions = 0

    @hf.workflow
    async def naps() -> str:
        nonlocal executions
        executions += 1
        await hf.sleep("20ms")
        return "awake"

    async with serving(store_url, naps) as client:
        began = time.monotonic()
        run = await client.start(naps)
        assert await run.result() == "awake"
        assert time.monotonic() - began >= 0.02
        [entry] = await client.history(run.id)
    assert executions == 1
    assert (entry.kind, entry.name, entry.outcome) == ("sleep", "hf.sleep", "ok")
    assert entry.finished_at == entry.started_at + timedelta(milliseconds=20)


async def test_a_long_sleep_leaves_memory_and_is_waited_for(store_url: str) -> None:
    @hf.workflow
    async def sleeps() -> None:
        await hf.sleep("30d")

    async with hf.connect(store_url) as client, hf.Worker(client, [sleeps], concurrency=1, drain=0) as worker:
        before = datetime.now(UTC)
        runs = await client.start_many(sleeps, [()] * 5)
        for run in runs:
            view = await until_status(client, run.id, "waiting")
            assert view.due_at is not None
            assert abs(view.due_at - before - timedelta(days=30)) < timedelta(minutes=1)
            assert view.worker is None

        async def gone() -> bool:
            return worker.busy == 0

        await until(gone)


async def test_a_parked_run_goes_on_when_it_is_due(store_url: str, park_at_once: None) -> None:
    executions = 0

    @hf.workflow
    async def sleeps() -> int:
        nonlocal executions
        executions += 1
        await hf.sleep(0.02)
        await hf.sleep(0.02)
        return executions

    async with serving(store_url, sleeps) as client:
        began = time.monotonic()
        assert await outcome(client, sleeps) == 3
        assert time.monotonic() - began >= 0.04


@pytest.mark.slow
async def test_a_sleep_goes_on_in_another_worker(disk_url: str, park_at_once: None) -> None:
    @hf.workflow
    async def sleeps() -> str:
        before = hf.now()
        await hf.sleep(0.1)
        return str((hf.now() - before).total_seconds())

    async with hf.connect(disk_url) as client:
        async with hf.Worker(client, [sleeps], drain=0):
            run = await client.start(sleeps)
            await until_status(client, run.id, "waiting")
        async with hf.Worker(client, [sleeps], drain=0):
            assert float(await run.result(timeout="5s")) >= 0.1


async def test_sleep_until_an_instant(store_url: str) -> None:
    @hf.workflow
    async def sleeps(at: datetime) -> datetime:
        await hf.sleep_until(at)
        return hf.now()

    async with serving(store_url, sleeps) as client:
        soon = datetime.now(UTC) + timedelta(milliseconds=50)
        assert await outcome(client, sleeps, soon) >= soon
        began = time.monotonic()
        for past in (datetime(1, 1, 2, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), datetime.now(UTC)):
            run = await client.start(sleeps, past)
            await run.result()
            assert (await client.history(run.id))[0].output == past.isoformat()
        assert time.monotonic() - began < 5
        far = await client.start(sleeps, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
        view = await until_status(client, far.id, "waiting")
        assert view.due_at == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("wrong", [-1, "a while", float("nan"), float("inf"), None, True, "", "-1s", 1e300])
async def test_a_sleep_of_no_duration_fails_the_run(wrong: object) -> None:
    @hf.workflow
    async def sleeps() -> str:
        try:
            await hf.sleep(wrong)  # type: ignore[arg-type]
        except hf.UsageError as error:
            return str(error)
        return ""

    assert (await hf.execute(sleeps)).startswith("hf.sleep's duration is ")


async def test_sleep_until_takes_aware_instants_only() -> None:
    @hf.workflow
    async def sleeps(kind: str) -> str:
        wrong = datetime(2030, 1, 1) if kind == "naive" else kind
        try:
            await hf.sleep_until(wrong)  # type: ignore[arg-type]
        except hf.UsageError as error:
            return str(error)
        return ""

    for kind in ("naive", "2030-01-01"):
        assert "give an aware datetime" in await hf.execute(sleeps, kind)


async def test_clock_and_chance_are_the_same_on_replay(store_url: str, park_at_once: None) -> None:
    seen: list[tuple[datetime, uuid.UUID, float]] = []

    @hf.workflow
    async def looks() -> list[str]:
        seen.append((hf.now(), hf.uuid(), hf.random()))
        await hf.sleep(0.01)
        seen.append((hf.now(), hf.uuid(), hf.random()))
        await hf.sleep(0.01)
        return [hf.now().isoformat(), str(hf.uuid()), str(hf.random())]

    async with serving(store_url, looks) as client:
        run = await client.start(looks)
        last = await run.result()
        other = await outcome(client, looks)
        history = await client.history(run.id)
    first, again, second, third, again_second = seen[:5]
    assert first == again == third
    assert second == again_second
    assert first[0] + timedelta(milliseconds=10) <= second[0]
    assert len({first[1], second[1], last[1], other[1]}) == 4
    assert len({first[2], second[2], last[2], other[2]}) == 4
    assert all(0 <= one[2] < 1 for one in seen)
    assert first[1].version == 8
    assert first[0].tzinfo == UTC
    # Neither a UUID nor a random number costs a row.
    assert [kind for _, kind, _ in positions(history)] == ["hf.now", "hf.sleep", "hf.now", "hf.sleep", "hf.now"]


async def test_the_clock_is_committed_before_what_comes_after_it(disk_url: str) -> None:
    seen: list[datetime] = []
    reached = asyncio.Event()

    @hf.step
    async def stop() -> None:
        reached.set()
        await asyncio.sleep(60 if len(seen) == 1 else 0)

    @hf.step
    async def note() -> None: ...

    @hf.workflow
    async def looks() -> None:
        seen.append(hf.now())
        await note()
        await stop()

    async with hf.connect(disk_url) as client:
        async with hf.Worker(client, [looks], drain=0):
            run = await client.start(looks)
            await reached.wait()
        async with hf.Worker(client, [looks], drain=0):
            await run.result(timeout="10s")
    assert len(seen) == 2
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", ["now", "uuid", "random"])
async def test_clock_and_chance_belong_to_runs(name: str) -> None:
    call = getattr(hf, name)

    @hf.step(retry=hf.Retry(max_attempts=1))
    async def looks() -> None:
        call()

    @hf.workflow
    async def steps() -> str:
        try:
            await looks()
        except hf.UsageError as error:
            return str(error)
        return ""

    with pytest.raises(hf.UsageError, match=f"hf.{name}.* outside a run"):
        call()
    assert f"hf.{name}() inside a step" in await hf.execute(steps)
