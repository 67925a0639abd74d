"""Runs are kept for a time after their end, then deleted; what is under a legal hold is kept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import holdfast as hf
from holdfast.engine import waiting
from holdfast.engine.keeping import DEFAULT_SECONDS, periods
from holdfast.services import pruner
from tests.engine.clock import LONG_LEASE, move
from tests.engine.helpers import serving, until, until_status

DAY = 86_400


@hf.workflow
async def fine(number: int = 0) -> int:
    return number


@hf.workflow
async def rare() -> None: ...


@hf.workflow
async def bad() -> None:
    raise ValueError("no")


@hf.workflow
async def sleeps() -> None:
    await hf.sleep("1000d")


@hf.workflow
async def parent() -> None:
    await fine(1)
    await hf.sleep("1000d")


@asynccontextmanager
async def working(url: str) -> AsyncIterator[hf.Client]:
    """A worker that does not prune by itself, and whose lease outlives that the clock is moved."""
    async with serving(url, fine, rare, bad, parent, sleeps, lease=LONG_LEASE) as client:
        yield client


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's own pruner comes too late to count; who waits for a child leaves memory at once."""
    monkeypatch.setattr(pruner, "START_WITHIN_SECONDS", 1e9)
    monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "PARK_SECONDS", 0.05)


async def prune(client: hf.Client, limit: int = 500) -> int:
    """Look through all runs once, as the pruner does: how many were deleted."""
    deleted, after = 0, b""
    keep = periods(await client.core.store.retention())
    while True:
        some, following = await client.core.store.prune(keep, after, limit)
        deleted += some
        if following is None:
            return deleted
        assert following > after
        after = following


async def ended(client: hf.Client, workflow: hf.Workflow[[], object], run_id: str, status: str) -> None:
    await client.start(workflow.options(id=run_id))
    await until_status(client, run_id, status)


async def left(client: hf.Client) -> set[str]:
    return {run.id for run in await client.list(limit=1000)}


async def test_the_defaults(store_url: str) -> None:
    async with working(store_url) as client:
        await ended(client, fine, "fine", "succeeded")
        await ended(client, bad, "bad", "failed")
        await ended(client, sleeps, "stopped", "waiting")
        await ended(client, sleeps, "open", "waiting")
        await client.cancel("stopped")
        await until_status(client, "stopped", "cancelled")
        await move(client, 29 * DAY)
        assert await prune(client) == 0
        await move(client, 2 * DAY)
        assert await prune(client) == 1
        assert await left(client) == {"bad", "stopped", "open"}
        with pytest.raises(hf.RunNotFound):
            await client.history("fine")
        await move(client, 60 * DAY)
        assert await prune(client) == 2
        assert await left(client) == {"open"}
        # What is gone is gone wholly: its id is free again.
        assert (await client.start(fine.options(id="bad"))).created


async def test_the_most_specific_period_counts(store_url: str) -> None:
    async with working(store_url) as client:
        assert [(one.status, one.keep_seconds, one.default) for one in await client.retention()] == [
            ("cancelled", 90 * DAY, True), ("failed", 90 * DAY, True), ("succeeded", 30 * DAY, True),
        ]  # fmt: skip
        await client.set_retention("2d")
        await client.set_retention("4d", status="failed")
        await client.set_retention("6d", workflow="rare")
        await client.set_retention("8d", workflow="rare", status="failed")
        assert [(one.workflow, one.status, one.keep_seconds, one.default) for one in await client.retention()] == [
            ("", "", 2 * DAY, False), ("", "failed", 4 * DAY, False), ("rare", "", 6 * DAY, False),
            ("rare", "failed", 8 * DAY, False),
        ]  # fmt: skip
        await ended(client, fine, "fine", "succeeded")
        await ended(client, bad, "bad", "failed")
        await ended(client, rare, "rare", "succeeded")
        for days, kept in [(1, {"fine", "bad", "rare"}), (3, {"bad", "rare"}), (5, {"rare"}), (7, set())]:
            await move(client, DAY if days == 1 else 2 * DAY)
            await prune(client)
            assert await left(client) == kept, f"after {days} days"
        for workflow, status in [("", ""), ("", "failed"), ("rare", ""), ("rare", "failed")]:
            await client.set_retention(None, workflow=workflow, status=status)
        assert {one.keep_seconds for one in await client.retention()} == set(DEFAULT_SECONDS.values())


async def test_what_is_no_period_is_refused(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        with pytest.raises(hf.UsageError, match="succeeded, failed, cancelled"):
            await client.set_retention("1d", status="running")
        with pytest.raises(hf.UsageError, match="how long runs are kept"):
            await client.set_retention("a while")
        with pytest.raises(hf.UsageError, match="NUL"):
            await client.set_retention("1d", workflow="a\0b")
        assert all(one.default for one in await client.retention())


async def test_a_portion_is_bounded(store_url: str) -> None:
    async with working(store_url) as client:
        runs = await client.start_many(fine, [(number,) for number in range(25)])
        for run in runs:
            await run.result(timeout="10s")
        await move(client, 31 * DAY)
        keep = periods([])
        deleted, after = await client.core.store.prune(keep, b"", 10)
        assert deleted == 10
        assert after is not None
        assert len(await left(client)) == 15
        assert await prune(client, limit=10) == 15


async def test_a_legal_hold_keeps_a_run(store_url: str) -> None:
    async with working(store_url) as client:
        for run_id, attributes in [("kept", {"legal_hold": True}), ("case", {"legal_hold": "case 17"}), ("gone", {})]:
            await client.start(fine.options(id=run_id, attributes=attributes))
            await until_status(client, run_id, "succeeded")
        await move(client, 1000 * DAY)
        assert await prune(client) == 1
        assert await left(client) == {"kept", "case"}


async def test_the_child_of_an_open_parent_is_kept(store_url: str) -> None:
    async with working(store_url) as client:
        run = await client.start(parent.options(id="parent"))
        await until_status(client, run.id, "waiting")

        async def child_ended() -> bool:
            return [one.status for one in await client.list(workflow="fine")] == ["succeeded"]

        await until(child_ended)
        await until_status(client, run.id, "waiting")
        await move(client, 31 * DAY)
        assert await prune(client) == 0
        await client.cancel("parent")
        await until_status(client, "parent", "cancelled")
        assert await prune(client) == 1
        assert await left(client) == {"parent"}


async def test_the_worker_prunes(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruner, "START_WITHIN_SECONDS", 0.0)
    monkeypatch.setattr(pruner, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(pruner, "SHORTEST_REST_SECONDS", 0.0)
    monkeypatch.setattr(pruner, "PORTION", 3)
    async with (
        working(store_url) as client,
        hf.Worker(client, [fine], lease=LONG_LEASE, drain=0),  # several do no harm
    ):
        for run in await client.start_many(fine, [(number,) for number in range(10)]):
            await run.result(timeout="10s")
        await ended(client, bad, "bad", "failed")
        await move(client, 31 * DAY)

        async def only_the_failed() -> bool:
            return await left(client) == {"bad"}

        await until(only_the_failed)
