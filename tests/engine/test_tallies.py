"""What workers count of the runs that end: all of them, by minute and hour, with how long they waited and took."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

import holdfast as hf
from holdfast.engine import isolation
from holdfast.engine.core import Core
from holdfast.model.run import microseconds
from holdfast.services import pruner, tally
from holdfast.store.operations import Claim
from holdfast.store.rows import TallyRow
from tests.engine.clock import move
from tests.engine.helpers import ONCE, outcome, until, until_status

ALLOWED_US = 2_000_000
"""How far what is counted may be from what a run shows on a slow machine; what is looked for is an hour."""

HOUR_US = 3_600_000_000


@hf.step
async def increment(x: int) -> int:
    return x + 1


broken = True


@hf.step(retry=ONCE)
async def fail_at_first() -> None:
    if broken:
        raise ValueError("at first")


@hf.workflow
async def adding(x: int) -> int:
    return await increment(x)


@hf.workflow
async def failing() -> None:
    await fail_at_first()


@hf.workflow
async def parent(x: int) -> int:
    return await adding(x)


@hf.workflow
async def waiting(x: int) -> int:
    await increment(x)
    return await hf.wait_for_event("go", type=int)


@hf.workflow
async def gated() -> None:
    await hf.hold("look")


async def rows(client: hf.Client, span: int = 60) -> list[TallyRow]:
    now = int(time.time())
    return await client.core.store.read_tallies(client.tenant, span, now - 86_400, now + 86_400)


def runs(found: Sequence[TallyRow]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for row in found:
        counts[row.workflow, row.status] = counts.get((row.workflow, row.status), 0) + row.runs
    return counts


async def test_every_end_is_counted_once(store_url: str, park_at_once: None) -> None:
    async with hf.connect(store_url) as client:
        async with hf.Worker(client, [adding, failing, parent, waiting, gated]):
            many = await client.start_many(adding, [(n,) for n in range(50)])
            await asyncio.gather(*(run.result(timeout="10s") for run in many))
            assert await outcome(client, parent, 1) == 2
            bad = await client.start(failing)
            with pytest.raises(hf.RunFailed):
                await bad.result(timeout="10s")
            stopped = await client.start(waiting, 1)
            await until_status(client, stopped.id, "waiting")
            await client.cancel(stopped.id)
            with pytest.raises(hf.RunCancelled):
                await stopped.result(timeout="10s")
            held = await client.start(gated)
            await until_status(client, held.id, "held")
            await hf.Client(client.core, "other").start(adding, 1)
            await until(lambda: _has_ended(hf.Client(client.core, "other")))
        expected = {
            ("adding", "succeeded"): 51,
            ("parent", "succeeded"): 1,
            ("failing", "failed"): 1,
            ("waiting", "cancelled"): 1,
        }
        for span in (60, 3600):
            found = await rows(client, span)
            assert runs(found) == expected
            for row in found:
                assert row.since % span == 0
                assert sum(msgspec.json.decode(row.waits)) == sum(msgspec.json.decode(row.tooks)) == row.runs
            assert {row.process for row in found if row.process} == {found[0].process}
        assert runs(await rows(hf.Client(client.core, "other"))) == {("adding", "succeeded"): 1}


async def _has_ended(client: hf.Client) -> bool:
    return bool(await client.list(status="succeeded"))


async def one_row(client: hf.Client, workflow: str, status: str = "succeeded") -> TallyRow:
    [row] = [row for row in await rows(client, 3600) if (row.workflow, row.status) == (workflow, status)]
    return row


@pytest.mark.parametrize("priority", [0, 1000, -1000])
async def test_a_wait_counts_from_when_the_run_is_due(store_url: str, priority: int) -> None:
    async with hf.connect(store_url) as client:
        run = await client.start(adding.options(delay="1h", priority=priority), 1)
        await move(client, 3600)
        await move(client, 10)
        async with hf.Worker(client, [adding], lease="1000d"):
            await run.result(timeout="10s")
        row = await one_row_later(client)
        view = await client.get(run.id)
        assert view.started_at is not None
        assert view.due_at is not None
        waited = microseconds(view.started_at) - microseconds(view.due_at)
        assert 10_000_000 <= row.waited_us < 10_000_000 + ALLOWED_US
        assert abs(row.waited_us - waited) < ALLOWED_US
        assert row.took_us < ALLOWED_US


async def one_row_later(client: hf.Client) -> TallyRow:
    """The one row of an hour, where the clock was moved."""
    now = await client.core.store.now() // 1_000_000
    [row] = await client.core.store.read_tallies("default", 3600, now - 7200, now + 1)
    return row


async def test_what_waits_out_of_memory_waited_once_and_took_long(store_url: str, park_at_once: None) -> None:
    """The first claim counts, whichever worker made it."""
    async with hf.connect(store_url) as client:
        async with hf.Worker(client, [waiting], lease="1000d"):
            run = await client.start(waiting, 1)
            await until_status(client, run.id, "waiting")
        await move(client, 3600)
        async with hf.Worker(client, [waiting], lease="1000d"):
            await client.send_event("go", 1)
            await run.result(timeout="10s")
        row = await one_row_later(client)
        assert row.waited_us < ALLOWED_US
        assert HOUR_US - ALLOWED_US < row.took_us < HOUR_US + ALLOWED_US


async def test_a_retried_run_waits_and_takes_anew(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hf.connect(store_url) as client:
        async with hf.Worker(client, [failing], lease="1000d"):
            run = await client.start(failing)
            with pytest.raises(hf.RunFailed):
                await run.result(timeout="10s")
            await move(client, 3600)
            monkeypatch.setattr(sys.modules[__name__], "broken", False)
            await client.retry(run.id)
            await until_status(client, run.id, "succeeded")
        found = await one_row_later_of(client, "succeeded")
        assert found.waited_us < ALLOWED_US
        assert found.took_us < ALLOWED_US


async def one_row_later_of(client: hf.Client, status: str) -> TallyRow:
    now = await client.core.store.now() // 1_000_000
    found = await client.core.store.read_tallies("default", 3600, now - 7200, now + 1)
    [row] = [row for row in found if row.status == status]
    return row


async def test_a_fork_is_not_older_than_itself(store_url: str) -> None:
    async with hf.connect(store_url) as client, hf.Worker(client, [waiting], lease="1000d"):
        run = await client.start(waiting, 1)
        await client.send_event("go", 1)
        await run.result(timeout="10s")
        await move(client, 3600)
        fork = await client.fork(run.id, from_step="go", output=2)
        assert await (await client.handle(fork)).result(timeout="10s") == 2
        await client.core.count_ends().put(client.core.now_us())
        now = await client.core.store.now() // 1_000_000
        found = await client.core.store.read_tallies("default", 60, now - 120, now + 1)
        assert sum(row.runs for row in found) == 1
        assert sum(row.waited_us for row in found) < ALLOWED_US
        assert sum(row.took_us for row in found) < ALLOWED_US


async def test_what_could_not_be_stored_is_stored_later(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "PUT_SECONDS", 0.01)
    async with hf.connect(store_url) as client:
        put, tries = client.core.store.put_tallies, 0

        async def unsure(found: Sequence[TallyRow]) -> None:
            nonlocal tries
            tries += 1
            if found and tries % 3 == 1:
                raise hf.StoreUnavailable("away")
            await put(found)
            if found and tries % 3 == 2:
                raise hf.StoreUnavailable("written, and then lost")

        monkeypatch.setattr(client.core.store, "put_tallies", unsure)
        async with hf.Worker(client, [adding]):
            for _ in range(5):
                await outcome(client, adding, 1)
                await asyncio.sleep(0.02)
            await until(lambda: _are(client, 5))
        assert tries > 2
        assert runs(await rows(client)) == {("adding", "succeeded"): 5}


async def _are(client: hf.Client, number: int) -> bool:
    return sum(runs(await rows(client)).values()) == number


async def test_a_worker_that_cannot_store_them_leaves_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(found: Sequence[TallyRow]) -> None:
        raise hf.StoreUnavailable("away")

    async with hf.connect("memory://") as client:
        monkeypatch.setattr(client.core.store, "put_tallies", away)
        async with hf.Worker(client, [adding]):
            await outcome(client, adding, 1)
        assert await rows(client) == []


async def test_what_is_over_is_tidied_up(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruner, "START_WITHIN_SECONDS", 0.0)
    monkeypatch.setattr(pruner, "PORTION", 2)
    monkeypatch.setattr(pruner, "SHORTEST_REST_SECONDS", 0.0)
    async with hf.connect(store_url, actor="ann") as client:
        for n in range(5):
            await client.pause_queue(f"q{n}")
        now = int(time.time())
        begin = now // 60 * 60
        await client.core.store.put_tallies(
            [
                TallyRow("default", 60, begin - n * 60, "w", "failed", b"p" * 16, 1, 1, 1, b"[1]", b"[1]")
                for n in range(5)
            ]
        )
        await move(client, 5 * 86_400)
        await client.pause_queue("new")
        async with hf.Worker(client, [adding], keep_audit="3d", lease="1000d"):
            await until(lambda: _left(client, 1))
        found = await client.core.store.read_tallies("default", 60, 0, now + 10**6)
        assert found == []


async def _left(client: hf.Client, number: int) -> bool:
    tallies = await client.core.store.read_tallies("default", 60, 0, int(time.time()) + 10**6)
    return len(await client.audit()) == number and not tallies


# As a client shows them


def tallied(at: datetime, workflow: str, status: str, count: int, process: bytes = b"p" * 16, **more: Any) -> TallyRow:
    since = int(at.timestamp())
    row = TallyRow("default", 60, since, workflow, status, process, count, 0, 0, b"[]", b"[]")
    return row._replace(**more)


BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


async def test_figures_are_those_of_all_processes(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        minute = timedelta(minutes=1)
        await client.core.store.put_tallies(
            [
                tallied(BEGIN - minute, "a", "failed", 100),
                tallied(BEGIN, "a", "succeeded", 3, waits=b"[0,0,3]", tooks=b"[0,0,0,0,3]"),
                tallied(BEGIN, "a", "succeeded", 1, b"q" * 16, waits=b"[0,0,0,0,0,1]", tooks=b"[1]"),
                tallied(BEGIN + minute, "a", "failed", 2, waits=b"[2]", tooks=b"[2]"),
                tallied(BEGIN + minute, "b", "cancelled", 5, waits=b"[5]", tooks=b"[0,5]"),
                tallied(BEGIN + 2 * minute, "b", "succeeded", 100),
                tallied(BEGIN, "a", "succeeded", 100, span=3600),
                tallied(BEGIN, "a", "succeeded", 100, tenant="other"),
            ]
        )
        found = await client.stats(since=BEGIN + timedelta(seconds=30), until=BEGIN + 2 * minute)
        assert (found.since, found.until, found.step_seconds) == (BEGIN, BEGIN + 2 * minute, 60)
        assert found.points == [
            hf.StatPoint(BEGIN, "a", "succeeded", 4),
            hf.StatPoint(BEGIN + minute, "a", "failed", 2),
            hf.StatPoint(BEGIN + minute, "b", "cancelled", 5),
        ]
        assert list(found.workflows) == ["a", "b"]
        a, b, total = found.workflows["a"], found.workflows["b"], found.total
        assert (a.runs, a.failed, b.runs, b.failed, total.runs, total.failed) == (6, 2, 5, 0, 11, 2)
        assert a.waited_p50_seconds is not None
        assert 4e-6 <= a.waited_p50_seconds < 8e-6
        assert a.waited_p99_seconds is not None
        assert 32e-6 <= a.waited_p99_seconds < 64e-6
        assert b.took_p95_seconds is not None
        assert 2e-6 <= b.took_p95_seconds < 4e-6
        assert total.waited_p50_seconds is not None
        assert total.waited_p50_seconds < 2e-6
        hours = await client.stats(since=BEGIN, until=BEGIN + minute, step="hour")
        assert [point.runs for point in hours.points] == [100]
        assert (await client.stats(since=BEGIN - timedelta(days=30), until=BEGIN, step="hour")).points == []


async def test_where_nothing_ended_nothing_is_known(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        found = await client.stats(since=datetime.now(UTC))
        assert (found.points, found.workflows) == ([], {})
        assert found.total == hf.WorkflowStats(0, 0, None, None, None, None, None, None)


async def test_what_just_ended_is_in_the_figures_until_now(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        async with hf.Worker(client, [adding]):
            await outcome(client, adding, 1)
        for step in ("minute", "hour"):
            found = await client.stats(since=datetime.now(UTC) - timedelta(hours=1), step=step)  # type: ignore[arg-type]
            assert found.total.runs == 1
            assert found.total.took_p99_seconds is not None
            assert 0 < found.total.took_p99_seconds < 10


async def test_what_makes_no_sense_is_refused() -> None:
    async with hf.connect("memory://") as client:
        now = datetime.now(UTC)
        naive = now.replace(tzinfo=None)
        bad: list[dict[str, Any]] = [
            {"since": naive}, {"since": None}, {"since": "now"}, {"since": now, "until": naive},
            {"since": now, "until": now - timedelta(hours=2)}, {"since": now, "step": "day"},
            {"since": now, "step": []}, {"since": now - timedelta(days=2)},
            {"since": now - timedelta(days=500), "step": "hour"},
            {"since": datetime.min.replace(tzinfo=UTC)}, {"since": datetime.max.replace(tzinfo=UTC)},
            {"since": now, "until": datetime.max.replace(tzinfo=UTC)},
        ]  # fmt: skip
        for arguments in bad:
            with pytest.raises(hf.UsageError):
                await client.stats(**arguments)


async def test_what_ends_in_a_child_process_is_counted_there(sqlite_url: str) -> None:
    """What the child does, without a process of its own."""
    async with hf.connect(sqlite_url) as client:
        worker = b"w" * 16
        await client.core.store.register_worker(worker, "host", 1, 1, 10**9)
        await client.start(adding, 1)
        served = (("default", "adding", "1", 1),)
        [claimed] = await client.core.committer.submit("claims", Claim(worker, b"c" * 16, 1, served))
        order = isolation.Order(sqlite_url, __name__, None, sys.path, claimed)
        core = await Core.open(sqlite_url)
        try:
            await isolation._execute(core, order)
        finally:
            await core.close()
        assert runs(await rows(client)) == {("adding", "succeeded"): 1}
