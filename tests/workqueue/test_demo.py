"""The demo: its own sequence, apart from all other work."""

import asyncio

import pytest

import holdfast as hf
from holdfast.errors import UsageError
from holdfast.workqueue.queue import work_queue
from tests.workqueue.item_kit import working

NAMES = ["Complete Strategic Account Plan", "Expansion Opportunity", "Executive Engagement"]


async def test_the_sequence_is_walked_through(store_url: str) -> None:
    async with working(store_url, actor="ines") as (client, work):
        started = await work.demo_initialize("acme")
        assert (len(started.items), started.created) == (3, True)
        again = await work.demo_initialize("acme")
        assert (again.items, again.created) == (started.items, False)
        queue = await work.queue(demo=True)
        assert [one.id for one in queue] == started.items
        assert [(one.title, one.type, one.weight, one.position, one.workflow_id) for one in queue] == [
            (NAMES[0], "strategic", 700, 1, "obsblk-strategic-planning"),
            (NAMES[1], "opportunity", 800, 2, "obsblk-expansion-opportunity"),
            (NAMES[2], "risk", 900, 3, "obsblk-executive-engagement"),
        ]
        assert all(one.demo and one.assignee == "ines" and one.subject == "acme" for one in queue)
        assert await work.queue() == []
        assert await work.list() == []
        assert (await work.get_subject("acme")).demo
        status = await work.demo_status()
        assert (status.total, status.completed, status.current) == (3, 0, None)
        assert status.next is not None
        assert status.next.id == started.items[0]
        for number, id in enumerate(started.items):
            await work.start(id)
            status = await work.demo_status()
            assert status.current is not None
            assert status.current.id == id
            await work.complete(id)
            status = await work.demo_status()
            assert (status.completed, status.current) == (number + 1, None)
        assert status.next is None
        assert (await work.demo_initialize("acme")).items == started.items
        assert await work.queue(demo=True) == []
        assert [one.action for one in await client.audit(action="demo")] == ["demo.initialize"]


async def test_what_is_skipped_is_not_completed(store_url: str) -> None:
    async with working(store_url, actor="ines") as (_, work):
        first, second, _ = (await work.demo_initialize("acme")).items
        await work.skip(first, "shown before")
        await work.snooze(second, days=5)
        status = await work.demo_status()
        assert (status.total, status.completed) == (3, 0)
        assert status.next is not None
        assert status.next.title == NAMES[2]


async def test_each_person_has_their_own(store_url: str) -> None:
    async with working(store_url, actor="ines") as (_, work):
        mine = await work.demo_initialize("acme")
        theirs = await work.demo_initialize("acme", "tomas")
        other = await work.demo_initialize("bravo", "tomas")
        assert len({*mine.items, *theirs.items, *other.items}) == 9
        assert (await work.demo_status("tomas")).total == 6
        assert [one.position for one in await work.queue("tomas", demo=True)] == [1, 1, 2, 2, 3, 3]
        assert await work.demo_reset("tomas") == 6
        assert (await work.demo_status("tomas")).total == 0
        assert (await work.demo_status()).total == 3


async def test_it_is_reset_and_other_work_is_left_alone(store_url: str) -> None:
    async with working(store_url, actor="ines") as (_, work):
        await work.put_subject("acme", name="Acme")
        real = await work.create(title="real", subject="acme", assignee="ines")
        started = await work.demo_initialize("acme")
        assert not (await work.get_subject("acme")).demo
        await work.start(started.items[0])
        assert await work.demo_reset() == 3
        assert await work.demo_reset() == 0
        assert (await work.demo_status()).total == 0
        assert [one.id for one in await work.list(demo=None)] == [real.id]
        with pytest.raises(hf.ItemNotFound):
            await work.get(started.items[0])
        again = await work.demo_initialize("acme")
        assert again.created
        assert (await work.get(again.items[0])).status == "not_started"
        assert len(await work.history(again.items[0])) == 1


async def test_many_begin_at_once(disk_url: str) -> None:
    async with working(disk_url, actor="ines") as (_, work), hf.connect(disk_url) as other:
        both = (work, work_queue(other))
        found = await asyncio.gather(*(both[n % 2].demo_initialize("acme", "ines") for n in range(6)))
        assert len({tuple(one.items) for one in found}) == 1
        assert (await work.demo_status()).total == 3
        assert len(await work.definitions()) == 3


async def test_no_id(store_url: str) -> None:
    async with working(store_url) as (_, work):
        for call in (
            work.demo_initialize(""),
            work.demo_initialize("acme", ""),
            work.demo_status(""),
            work.demo_reset("a\0"),
            work.demo_initialize(5),  # type: ignore[arg-type]
        ):
            with pytest.raises(UsageError):
                await call
        assert await work.definitions() == []
