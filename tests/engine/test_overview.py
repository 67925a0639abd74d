"""The overview: runs by status, failures grouped, lost workers and stranded runs."""

from __future__ import annotations

import pytest

import holdfast as hf
from holdfast.engine import overview
from tests.engine.clock import move
from tests.engine.helpers import ONCE, serving, until_status


class OutOfStock(Exception):
    """There is none left."""


@hf.step(retry=ONCE)
async def fail(kind: str, text: str) -> None:
    raise {"stock": OutOfStock, "value": ValueError}[kind](text)


@hf.workflow
async def buying(kind: str, text: str) -> None:
    await fail(kind, text)


@hf.workflow
async def selling(kind: str, text: str) -> None:
    await fail(kind, text)


@hf.workflow
async def adding(x: int) -> int:
    return x + 1


@hf.workflow
async def waiting(x: int) -> None:
    await hf.wait_for_event("go", key=x)


@hf.workflow
async def gated(x: int) -> None:
    await hf.hold("look")


@hf.workflow(version="9")
async def elsewhere(x: int) -> None:
    """Nobody serves it."""


async def test_runs_are_counted_by_status(store_url: str, park_at_once: None) -> None:
    async with serving(store_url, adding, waiting, gated, buying) as client:
        runs = {
            "succeeded": [await client.start(adding, n) for n in range(3)],
            "waiting": [await client.start(waiting, n) for n in range(2)],
            "held": [await client.start(gated, 1)],
            "failed": [await client.start(buying, "stock", "none") for _ in range(2)],
            "queued": [await client.start(adding.options(delay="1h"), n) for n in range(4)],
            "cancelled": [await client.start(adding.options(delay="1h"), 1)],
        }
        await client.cancel(runs["cancelled"][0].id)
        for status, started in runs.items():
            for run in started:
                await until_status(client, run.id, status)
        await hf.Client(client.core, "other").start(elsewhere, 1)
        found = await client.overview()
        assert found.statuses == {
            "queued": hf.Count(4, False), "running": hf.Count(0, False), "waiting": hf.Count(2, False),
            "held": hf.Count(1, False), "succeeded": hf.Count(3, False), "failed": hf.Count(2, False),
            "cancelled": hf.Count(1, False),
        }  # fmt: skip
        assert list(found.statuses) == list(hf.Status)
        assert found.dead_letters == hf.Count(2, False)
        assert found.lost_workers == 0
        assert found.stranded == [hf.Stranded("default", "elsewhere", "9", 1)]  # of any tenant


async def test_it_counts_no_further_than_it_has_to(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "COUNT_AT_MOST", 3)
    async with hf.connect(store_url) as client:
        await client.start_many(adding, [(n,) for n in range(3)])
        assert (await client.overview()).statuses["queued"] == hf.Count(3, False)
        await client.start(adding, 4)
        assert (await client.overview()).statuses["queued"] == hf.Count(3, True)


async def test_failures_are_grouped_by_workflow_and_error(store_url: str) -> None:
    async with serving(store_url, buying, selling) as client:
        failed = []
        for workflow, kind, text in (
            (buying, "stock", "no shoes"), (buying, "value", "-1"), (selling, "stock", "no hats"),
            (buying, "stock", "no\n  coats\n" + "x" * 1000),
        ):  # fmt: skip
            failed.append(await client.start(workflow, kind, text))
            await until_status(client, failed[-1].id, "failed")
        newest, hats, value = (await client.overview()).failures
        stock = f"{OutOfStock.__module__}.OutOfStock"
        assert (newest.workflow, newest.type, newest.runs, newest.last_run) == ("buying", stock, 2, failed[3].id)
        assert newest.message.startswith("no coats xxx")
        assert len(newest.message) == 300
        assert (hats.workflow, hats.type, hats.message, hats.runs) == ("selling", stock, "no hats", 1)
        assert (value.workflow, value.type, value.message, value.last_run) == (
            "buying", "builtins.ValueError", "-1", failed[1].id
        )  # fmt: skip
        assert newest.last_at == (await client.get(failed[3].id)).finished_at
        assert [group.last_at for group in (newest, hats, value)] == sorted(
            (group.last_at for group in (newest, hats, value) if group.last_at), reverse=True
        )
        assert (await hf.Client(client.core, "other").overview()).failures == []


async def test_only_the_newest_failures_are_read(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "FAILURES_AT_MOST", 2)
    async with serving(store_url, buying) as client:
        for n in range(3):
            await until_status(client, (await client.start(buying, "stock", f"{n}")).id, "failed")
        [group] = (await client.overview()).failures
        assert (group.runs, group.message) == (2, "2")


async def test_a_worker_whose_lease_is_over_is_lost(disk_url: str) -> None:
    async with hf.connect(disk_url) as client:
        await client.core.store.register_worker(b"a" * 16, "host", 1, 1, 10_000_000)
        await client.core.store.register_worker(b"b" * 16, "host", 2, 1, 100_000_000)
        assert (await client.overview()).lost_workers == 0
        await move(client, 20)
        assert (await client.overview()).lost_workers == 1


async def test_an_empty_database_has_nothing_to_tell(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        found = await client.overview()
        assert set(found.statuses.values()) == {hf.Count(0, False)}
        assert (found.failures, found.lost_workers, found.stranded) == ([], 0, [])
