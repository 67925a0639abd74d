"""Dependencies: what waits is hidden, comes back with a later due date, and never waits for itself."""

from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast.errors import IllegalMove, ItemNotFound, RunNotFound, UsageError
from holdfast.workqueue import links
from holdfast.workqueue.queue import work_queue
from tests.engine.clock import move
from tests.engine.helpers import serving, until, until_status
from tests.workqueue.item_kit import tend, working


@hf.workflow
async def short(n: int) -> int:
    return n


@hf.workflow
async def asks(n: int) -> Any:
    return await hf.ask("approve", assignee="maria")


async def test_what_waits_is_hidden_until_all_has_ended(store_url: str) -> None:
    async with working(store_url) as (client, work):
        a, b, c = [await work.create(title=title, assignee="maria", due="2d") for title in "abc"]
        await work.depend(c.id, on=a.id)
        view = await work.depend(c.id, on=b.id)
        assert [(one.on_item, one.done_at) for one in view.waits_for] == [(a.id, None), (b.id, None)]
        assert [one.item for one in (await work.links(a.id)).waited_for_by] == [c.id]
        waiting = await work.get(c.id)
        assert (waiting.blocked, waiting.status) == (True, "not_started")
        assert {one.id for one in await work.queue()} == {a.id, b.id}
        with pytest.raises(IllegalMove, match="waits for others"):
            await work.start(c.id)
        await move(client, 3600)
        await work.complete(a.id)
        await tend(client)
        assert (await work.get(c.id)).blocked
        await work.skip(b.id, "needless")
        await tend(client)
        free = await work.get(c.id)
        assert not free.blocked
        assert free.due_at is not None
        assert c.due_at is not None
        assert timedelta(hours=1) <= free.due_at - c.due_at < timedelta(hours=1, minutes=1)
        assert [one.id for one in await work.queue()] == [c.id]
        assert [one.move for one in await work.history(c.id)] == ["create", "block", "unblock"]
        assert all(one.done_at for one in (await work.links(c.id)).waits_for)
        assert [one.detail for one in await client.audit(action="item.depend")] == [{"on": b.id}, {"on": a.id}]


async def test_it_waits_no_more(store_url: str) -> None:
    async with working(store_url) as (_, work):
        a, b = [await work.create(title=title, assignee="maria") for title in "ab"]
        await work.depend(b.id, on=a.id)
        await work.depend(b.id, on=a.id)
        view = await work.undepend(b.id, on=a.id)
        assert (view.waits_for, view.waited_for_by) == ([], [])
        assert not (await work.get(b.id)).blocked
        assert (await work.undepend(b.id, on=a.id)).waits_for == []


async def test_what_has_ended_is_not_waited_for(store_url: str) -> None:
    async with working(store_url) as (_, work):
        a, b = [await work.create(title=title, assignee="maria") for title in "ab"]
        await work.complete(a.id)
        [link] = (await work.depend(b.id, on=a.id)).waits_for
        assert link.done_at is not None
        assert not (await work.get(b.id)).blocked
        with pytest.raises(IllegalMove, match="has ended"):
            await work.depend(a.id, on=b.id)


async def test_a_circle_is_refused(store_url: str) -> None:
    async with working(store_url) as (_, work):
        a, b, c, d = [await work.create(title=title, assignee="maria") for title in "abcd"]
        with pytest.raises(UsageError, match="cannot wait for itself"):
            await work.depend(a.id, on=a.id)
        await work.depend(b.id, on=a.id)
        await work.depend(c.id, on=b.id)
        await work.depend(d.id, on=c.id)
        for one, on in ((a, b), (a, d), (b, d)):
            with pytest.raises(UsageError, match="neither would ever end"):
                await work.depend(one.id, on=on.id)
        assert not (await work.get(a.id)).blocked
        assert (await work.links(a.id)).waits_for == []
        await work.depend(d.id, on=a.id)


async def test_a_circle_that_another_closes_meanwhile_is_refused(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(store_url) as (client, work):
        a, b = [await work.create(title=title, assignee="maria") for title in "ab"]
        store = client.core.store.work
        put = store.put_links
        first = True

        async def other_first(rows: Any) -> None:
            nonlocal first
            if first:
                first = False
                await work_queue(client).depend(b.id, on=a.id)
            await put(rows)

        monkeypatch.setattr(store, "put_links", other_first)
        with pytest.raises(UsageError, match="neither would ever end"):
            await work.depend(a.id, on=b.id)
        assert (await work.links(a.id)).waits_for == []
        assert not (await work.get(a.id)).blocked
        assert (await work.get(b.id)).blocked


@pytest.mark.slow
async def test_an_item_waits_for_a_run(store_url: str) -> None:
    async with hf.connect(store_url, actor="maria") as client:
        work = work_queue(client)
        run = await client.start(short, 1)
        item = await work.create(title="after it", assignee="maria")
        [link] = (await work.depend(item.id, on_run=run.id)).waits_for
        assert (link.on_run, link.on_item, link.done_at) == (run.id, None, None)
        assert await work.queue() == []
        async with hf.Worker(client, [short], drain=0):
            await run.result("20s")

            async def free() -> bool:
                return not (await work.get(item.id)).blocked

            await until(free)
        assert [one.id for one in await work.queue()] == [item.id]
        later = await work.create(title="later", assignee="maria")
        assert (await work.depend(later.id, on_run=run.id)).waits_for[0].done_at is not None


async def test_a_circle_through_a_run_that_asks(store_url: str) -> None:
    async with serving(store_url, asks) as client:
        work = work_queue(client)
        run = await client.start(asks, 1)
        await until_status(client, run.id, "waiting")
        [asked] = await work.list(kind="ask")
        with pytest.raises(UsageError, match="the run waits for it"):
            await work.depend(asked.id, on_run=run.id)
        other = await work.create(title="other", assignee="maria")
        await work.depend(asked.id, on=other.id)
        with pytest.raises(UsageError, match="the run waits for it"):
            await work.depend(other.id, on_run=run.id)
        await work.undepend(asked.id, on=other.id)
        await work.depend(other.id, on_run=run.id)
        with pytest.raises(UsageError, match="neither would ever end"):
            await work.depend(asked.id, on=other.id)


async def test_what_is_not_there(store_url: str) -> None:
    async with working(store_url) as (_, work):
        a = await work.create(title="a", assignee="maria")
        with pytest.raises(ItemNotFound):
            await work.depend("nobody", on=a.id)
        with pytest.raises(ItemNotFound):
            await work.depend(a.id, on="nobody")
        with pytest.raises(RunNotFound):
            await work.depend(a.id, on_run="nobody")
        with pytest.raises(ItemNotFound):
            await work.links("nobody")
        for given in ({}, {"on": "x", "on_run": "y"}):
            with pytest.raises(UsageError, match="give one of on="):
                await work.depend(a.id, **given)


async def test_there_is_an_end_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "LINKS_AT_MOST", 2)
    async with working("memory://") as (_, work):
        a, b, c, d = [await work.create(title=title, assignee="maria") for title in "abcd"]
        await work.depend(a.id, on=b.id)
        await work.depend(a.id, on=c.id)
        with pytest.raises(UsageError, match="at most 2"):
            await work.depend(a.id, on=d.id)
