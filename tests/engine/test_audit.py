"""The record of changes: who did what to what, with no secret in it, and nothing where nobody is named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast.store.operations import Batch, Results
from tests.engine.helpers import ONCE, serving, until, until_status

SECRET = "a secret that is nobody's business"


@hf.step(retry=ONCE)
async def fail(text: str) -> None:
    raise ValueError(text)


@hf.workflow
async def waiting(text: str) -> None:
    await hf.wait_for_event("go", key=text)


@hf.workflow
async def failing(text: str) -> None:
    await fail(text)


@hf.workflow
async def gated(text: str) -> Any:
    return await hf.hold("look")


def said(client: hf.Client) -> Callable[[], Awaitable[list[tuple[str, str, dict[str, Any]]]]]:
    """What is recorded since it was asked last, the oldest first; each by the client's actor."""
    seen: set[str] = set()

    async def new() -> list[tuple[str, str, dict[str, Any]]]:
        found = [view for view in await client.audit() if view.id not in seen]
        seen.update(view.id for view in found)
        assert all(view.actor == client.actor for view in found)
        return [(view.action, view.target, view.detail) for view in reversed(found)]

    return new


async def test_each_change_of_a_run_is_recorded(store_url: str) -> None:
    async with serving(store_url, waiting, failing, gated) as plain:
        client = hf.Client(plain.core, "default", actor="ann")
        new = said(client)
        run = await client.start(waiting.options(priority=3, timeout="1h"), SECRET)
        [(action, target, detail)] = await new()
        assert (action, target) == ("run.start", run.id)
        assert detail == {
            "workflow": "waiting", "version": "1", "queue": "default", "priority": 3, "timeout_seconds": 3600.0
        }  # fmt: skip
        await until_status(client, run.id, "waiting")
        await client.hold(run.id, reason="look at it", by="Ann")
        assert await new() == [("run.hold", run.id, {"reason": "look at it", "by": "Ann"})]
        await client.release(run.id)
        assert await new() == [("run.release", run.id, {})]
        await client.send_event("go", SECRET, key=SECRET)
        await until_status(client, run.id, "succeeded")
        assert await new() == [("event.send", "go", {"key": SECRET, "to": "first"})]  # a key is no payload
        fork = await client.fork(run.id, from_step="go", output=SECRET)
        assert await new() == [("run.fork", fork, {"forked_from": run.id, "from_step": "go", "output": "edited"})]

        held = await client.start(gated, SECRET)
        await until_status(client, held.id, "held")
        await client.release(held.id, {"token": SECRET}, by="Ann")
        assert (await new())[1:] == [("run.release", held.id, {"by": "Ann", "value": "given"})]
        held = await client.start(gated, SECRET)
        await until_status(client, held.id, "held")
        await client.reject(held.id, reason="no")
        assert (await new())[1:] == [("run.reject", held.id, {"reason": "no"})]

        failed = await client.start(failing, SECRET)
        await until_status(client, failed.id, "failed")
        await client.retry(failed.id)
        assert (await new())[1:] == [("run.retry", failed.id, {"attempt": 2})]

        stopped = await client.start(waiting.options(delay="1h"), "x")
        await client.cancel(stopped.id, reason="not wanted")
        started, cancelled = await new()
        assert started[2]["due_at"].endswith("+00:00")
        assert cancelled == ("run.cancel", stopped.id, {"reason": "not wanted"})

        job = await client.bulk("cancel", "workflow = 'waiting'", reason="all")
        assert await new() == [
            ("runs.bulk", job.id, {"action": "cancel", "where": "workflow = 'waiting'", "reason": "all"})
        ]
        await job.result(timeout="10s")
        assert await new() == []  # what a job does is recorded as the job
        whole = repr(await client.audit(limit=1000)).replace(f"'key': {SECRET!r}", "")
        assert SECRET not in whole


async def test_each_change_of_what_is_shared_is_recorded(store_url: str) -> None:
    async with hf.connect(store_url, actor="key:0a1b2c3d") as client:
        new = said(client)
        await client.set_queue("gpu", total=4, per_worker=None)
        await client.pause_queue("gpu")
        await client.resume_queue("gpu")
        await client.pause_workflow("waiting")
        await client.resume_workflow("waiting")
        await client.set_retention("7d", workflow="waiting", status="failed")
        await client.set_retention(None)
        assert await new() == [
            ("queue.set", "gpu", {"total": 4, "per_worker": "any"}),
            ("queue.pause", "gpu", {}),
            ("queue.resume", "gpu", {}),
            ("workflow.pause", "waiting", {}),
            ("workflow.resume", "waiting", {}),
            ("retention.set", "waiting", {"status": "failed", "keep_seconds": 604800}),
            ("retention.set", "*", {"keep_seconds": "as by default"}),
        ]
        worker = b"w" * 16
        await client.core.store.register_worker(worker, "host", 7, 1, 10**9)
        assert await client.drain_worker(worker.hex())
        assert not await client.drain_worker("00" * 16)
        assert await new() == [("worker.drain", worker.hex(), {})]


async def test_each_change_of_a_schedule_is_recorded(store_url: str) -> None:
    async with hf.connect(store_url) as plain:
        await plain.core.store.register_workflows([])
        client = hf.Client(plain.core, "default", actor="ann")
        async with hf.Worker(plain, [waiting], drain=0):
            new = said(client)
            await client.schedule("nightly", waiting, input=(SECRET,), cron="0 3 * * *")
            await client.pause_schedule("nightly")
            await client.pause_schedule("nightly")  # it is: nothing is changed
            await client.resume_schedule("nightly")
            run = await client.run_schedule("nightly")
            until_at = datetime.now(UTC)
            since = until_at - timedelta(days=2)
            times = await client.backfill("nightly", since, until_at)
            assert len(times) == 2
            assert await client.delete_schedule("nightly")
            assert not await client.delete_schedule("nightly")
            assert await new() == [
                ("schedule.put", "nightly", {"workflow": "waiting", "cron": "0 3 * * *"}),
                ("schedule.pause", "nightly", {}),
                ("schedule.resume", "nightly", {}),
                ("schedule.run", "nightly", {"run": run}),
                (
                    "schedule.backfill",
                    "nightly",
                    {"since": since.isoformat(), "until": until_at.isoformat(), "times": 2},
                ),
                ("schedule.delete", "nightly", {}),
            ]


async def test_each_change_of_people_keys_and_views_is_recorded(store_url: str) -> None:
    async with hf.connect(store_url, actor="ann") as client:
        new = said(client)
        away = [{"from": "2026-01-01", "until": "2026-01-02"}]
        await client.put_user("bob", email="B@x.org", role="operator", password=SECRET, away=away, manager=None)
        await client.put_user("bob", role="operator")  # they are: nothing is changed
        await client.put_user("bob", password=None, email=None)
        await client.delete_user("bob")
        await client.delete_user("bob")
        made = await client.create_key("deploy", expires="1d")
        await client.revoke_key(made.view.prefix)
        await client.revoke_key("nothing")
        await client.put_view("runs", "mine", "status:failed")
        await client.delete_view("runs", "mine")
        await client.delete_view("runs", "mine")
        await client.record("session.begin", "bob", by="password")
        found = await new()
        assert made.view.expires_at is not None
        assert found == [
            (
                "user.put",
                "bob",
                {"role": "operator", "manager": "none", "away": [["2026-01-01", "2026-01-02"]], "email": "b@x.org",
                 "password": "set"},
            ),
            ("user.put", "bob", {"email": "none", "password": "removed"}),
            ("user.delete", "bob", {}),
            (
                "key.create",
                made.view.prefix,
                {"name": "deploy", "role": "viewer", "expires_at": made.view.expires_at.isoformat()},
            ),
            ("key.revoke", made.view.prefix, {}),
            ("view.put", "runs/mine", {"query": "status:failed"}),
            ("view.delete", "runs/mine", {}),
            ("session.begin", "bob", {"by": "password"}),
        ]  # fmt: skip
        assert made.key not in repr(found)
        assert SECRET not in repr(found)


async def test_what_is_refused_is_not_recorded(store_url: str) -> None:
    async with serving(store_url, waiting) as plain:
        client = hf.Client(plain.core, "default", actor="ann")
        run = await client.start(waiting.options(id="one"), "a")
        await client.put_user("bob", email="b@x.org")
        new = said(client)
        await new()
        again = await client.start(waiting.options(id="one"), "a")
        assert not again.created
        with pytest.raises(hf.RunExists):
            await client.start(waiting.options(id="one"), "b")
        with pytest.raises(hf.NotPossible):
            await client.retry("one")
        with pytest.raises(hf.NotPossible):
            await client.release(run.id)
        for change in (client.cancel, client.hold, client.retry, client.reject):
            with pytest.raises(hf.RunNotFound):
                await change("nothing")
        with pytest.raises(hf.StepNotFound):
            await client.fork("one", from_step="nothing")
        with pytest.raises(hf.RunExists):
            await client.fork("one", id="one")
        with pytest.raises(hf.UserExists):
            await client.put_user("eve", email="b@x.org")
        with pytest.raises(hf.UsageError):
            await client.set_queue("gpu", total=0)
        with pytest.raises(hf.ScheduleNotFound):
            await client.pause_schedule("nothing")
        with pytest.raises(hf.SearchError):
            await client.bulk("cancel", "status ~ 1")
        assert isinstance(await client.bulk("cancel", "status = 'failed'", dry_run=True), hf.BulkPreview)
        await client.send_event("go", key="b", id="once")
        await client.send_event("go", key="b", id="once")
        assert [action for action, _, _ in await new()] == ["event.send"]


async def test_many_starts_are_one_change_of_a_transaction(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hf.connect(store_url, actor="ann") as client:
        batches: list[Batch] = []
        commit = client.core.store.commit

        async def watched(batch: Batch) -> Results:
            batches.append(batch)
            return await commit(batch)

        monkeypatch.setattr(client.core.store, "commit", watched)
        runs = await client.start_many(waiting, [(f"{n}",) for n in range(1500)])
        assert [(len(batch.starts), len(batch.audits)) for batch in batches] == [(1000, 1), (500, 1)]
        second, first = await client.audit()
        assert (first.target, first.detail["runs"], first.detail["first_run"]) == ("waiting", 1000, runs[0].id)
        assert (second.target, second.detail["runs"], second.detail["last_run"]) == ("waiting", 500, runs[-1].id)
        batches.clear()
        await client.start(waiting, "one")
        assert [(len(batch.starts), len(batch.audits)) for batch in batches] == [(1, 1)]


async def test_nobody_is_recorded_where_no_actor_is_named(store_url: str) -> None:
    async with serving(store_url, waiting) as client:
        run = await client.start(waiting, "a")
        await client.cancel(run.id)
        await client.set_queue("gpu", total=1)
        await client.record("session.begin", "bob")
        assert await client.audit() == []


async def test_what_is_recorded_is_found_in_pages(store_url: str) -> None:
    async with hf.connect(store_url) as plain:
        ann = hf.Client(plain.core, "default", actor="ann")
        bob = hf.Client(plain.core, "default", actor="bob")
        for n in range(3):
            await ann.pause_queue(f"q{n}")
            await bob.put_user(f"u{n}")
        await hf.Client(plain.core, "other", actor="ann").put_user("x")
        whole = await plain.audit()
        assert [view.target for view in whole] == ["u2", "q2", "u1", "q1", "u0", "q0"]
        assert [view.at for view in whole] == sorted((view.at for view in whole), reverse=True)
        assert await plain.audit(limit=2) == whole[:2]
        assert await plain.audit(limit=2, before=whole[1].id) == whole[2:4]
        assert await plain.audit(actor="bob") == whole[::2]
        assert await plain.audit(action="queue") == await plain.audit(action="queue.pause") == whole[1::2]
        assert await plain.audit(target="u1") == [whole[2]]
        assert await plain.audit(actor="bob", action="queue") == []
        for bad in ({"before": "x"}, {"before": "00"}, {"before": 7}, {"limit": 0}, {"actor": ""}, {"target": "\0"}):
            with pytest.raises(hf.UsageError):
                await plain.audit(**bad)  # type: ignore[arg-type]


async def test_any_text_is_a_target_of_what_is_recorded(store_url: str) -> None:
    async with hf.connect(store_url, actor="ann") as client:
        for target in ("a\0b", "\ud800", "x" * 5000, ""):
            await client.record("session.refuse", target)
        assert [view.target for view in await client.audit()] == ["", "x" * 512, "?", "a\ufffdb"]
        with pytest.raises(hf.UsageError, match="action"):
            await client.record("", "x")


async def test_an_actor_is_a_name() -> None:
    for actor in ("", "a\0", 7):
        with pytest.raises(hf.UsageError, match="actor"):
            hf.connect("memory://", actor=actor)  # type: ignore[arg-type]
    with pytest.raises(hf.UsageError, match="key is for"):
        await hf.connect("memory://", key="hf_x")


async def test_kept_searches_are_those_of_who_keeps_them(store_url: str) -> None:
    async with hf.connect(store_url) as plain:
        ann = hf.Client(plain.core, "default", actor="ann")
        await ann.put_view("runs", "b", "status:failed")
        await ann.put_view("runs", "a", "")
        await ann.put_view("queues", "a", "x")
        await ann.put_view("runs", "b", "status:held")
        assert await ann.saved_views("runs") == [
            hf.SavedView("runs", "a", ""), hf.SavedView("runs", "b", "status:held")
        ]  # fmt: skip
        assert await plain.saved_views("runs") == []
        assert await hf.Client(plain.core, "other", actor="ann").saved_views("runs") == []
        assert not await plain.delete_view("runs", "a")
        assert await ann.delete_view("runs", "a")
        assert [view.name for view in await ann.saved_views("runs")] == ["b"]
        for bad in (
            ("", "a", ""),
            ("runs", "", ""),
            *(("runs", "a", bad) for bad in ("x" * 4001, "\0", None, "\ud800")),
        ):
            with pytest.raises(hf.UsageError):
                await ann.put_view(*bad)  # type: ignore[arg-type]


async def test_a_start_that_is_given_up_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database is away, a start and its record wait together, and are given up together."""
    async with hf.connect("memory://", actor="ann") as client:
        commit = client.core.store.commit
        away = True

        async def unsure(batch: Batch) -> Results:
            if away and batch.starts:
                raise hf.StoreUnavailable("away")
            return await commit(batch)

        monkeypatch.setattr(client.core.store, "commit", unsure)
        starting = asyncio.create_task(client.start(waiting, "a"))
        await until(lambda: _is(client.core.committer.trouble is not None))
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        away = False
        await client.start(waiting, "b")
        assert len(await client.audit()) == len(await client.list()) == 1


async def _is(value: bool) -> bool:
    return value
