"""Many items at once: looked at beforehand, told one by one, undone; and by a run where there are many."""

import asyncio
from typing import Any

import pytest

import holdfast as hf
from holdfast.errors import HoldfastError, UsageError
from holdfast.workqueue import acting, bulk
from holdfast.workqueue.queue import WorkQueue, work_queue
from holdfast.workqueue.views import ItemsPreview
from tests.engine.clock import move
from tests.engine.helpers import until, until_status
from tests.workqueue.item_kit import working

Outcomes = dict[str, str]


@hf.workflow
async def asks(n: int) -> Any:
    return await hf.ask("approve", assignee="maria")


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Portions of three items, and a run from six on."""
    monkeypatch.setattr(bulk, "PORTION", 3)
    monkeypatch.setattr(acting, "PORTION", 3)
    monkeypatch.setattr(bulk, "AT_ONCE", 5)


async def some(work: WorkQueue, number: int, **given: Any) -> list[str]:
    """The ids of so many new items, the oldest first."""
    return [(await work.create(title=f"item {n}", id=f"i{n}", assignee="maria", **given)).id for n in range(number)]


async def statuses(work: WorkQueue) -> list[str]:
    return [str(one.status) for one in (await work.list(limit=1000))[::-1]]


async def test_a_dry_run_says_what_is_possible_and_does_nothing(store_url: str) -> None:
    async with working(store_url) as (client, work):
        ids = await some(work, 4)
        await work.complete(ids[1])
        found = await work.bulk("snooze", {"assignee": "maria"}, days=3)
        assert isinstance(found, ItemsPreview)
        assert (found.action, found.items, found.possible, found.capped) == ("snooze", 4, 3, False)
        assert list(found.outcomes) == ids[::-1]
        assert found.outcomes["i0"] == "done"
        assert "has ended" in found.outcomes["i1"]
        by_ids = await work.bulk("skip", ["i0", "nobody", "i0"], reason="x")
        assert (by_ids.items, by_ids.possible, by_ids.outcomes["nobody"]) == (2, 1, "there is no item 'nobody'")
        assert await statuses(work) == ["not_started", "completed", "not_started", "not_started"]
        assert await client.audit(action="items") == []


@pytest.mark.parametrize(
    ("action", "given", "status"),
    [
        ("snooze", {"days": 5}, "snoozed"),
        ("snooze", {"until": "2999-01-01"}, None),
        ("skip", {"reason": "not needed"}, "skipped"),
        ("complete", {"data": {"note": "all at once"}}, "completed"),
        ("start", {}, "underway"),
        ("assign", {"to": "tomas"}, "not_started"),
        ("assign", {"to": None}, "not_started"),
        ("escalate", {"to": "boss", "reason": "late"}, "not_started"),
    ],
)
async def test_one_thing_is_done_to_many(
    store_url: str, action: Any, given: dict[str, Any], status: str | None
) -> None:
    async with working(store_url) as (client, work):
        ids = await some(work, 3)
        await work.create(title="other", assignee="tomas")
        if status is None:
            with pytest.raises(UsageError, match="put off for a year"):
                await work.bulk(action, {"assignee": "maria"}, dry_run=False, **given)
            return
        done = await work.bulk(action, {"assignee": "maria"}, dry_run=False, **given)
        assert (done.action, done.items, done.done, done.refused, done.run) == (action, 3, 3, 0, None)
        assert done.outcomes == dict.fromkeys(ids[::-1], "done")
        items = [await work.get(id) for id in ids]
        assert {str(one.status) for one in items} == {status}
        for one in items:
            event = (await work.history(one.id))[-1]
            assert (event.move, event.actor, event.batch) == (action, "maria", done.id)
        if action == "assign":
            assert {one.assignee for one in items} == {given["to"]}
        if action == "complete":
            assert items[0].data == {"note": "all at once"}
        assert {one.id for one in await work.list(batch=done.id)} == set(ids)
        [record] = await client.audit(action=f"items.{action}")
        assert record.target == done.id


async def test_each_is_done_by_itself(store_url: str) -> None:
    form = {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}
    async with working(store_url) as (_, work):
        await some(work, 2)
        await work.create(title="form", id="form", assignee="maria", form=form)
        await work.skip("i1", "no")
        done = await work.bulk("complete", ["i0", "i1", "form", "nobody"], dry_run=False)
        assert (done.items, done.done, done.refused) == (4, 1, 3)
        assert done.outcomes["i0"] == "done"
        assert "it is skipped" in done.outcomes["i1"]
        assert "misses 'x'" in done.outcomes["form"]
        assert done.outcomes["nobody"] == "there is no item 'nobody'"
        again = await work.bulk("wake", [], dry_run=False)
        assert (again.items, again.outcomes) == (0, {})


async def test_somebody_else_is_faster(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with working(store_url) as (client, work):
        await some(work, 3)
        store = client.core.store.work
        put = store.put_items
        meddled: list[str] = []

        async def meddling(changes: Any) -> Any:
            if len(changes) == 3 and not meddled:
                meddled.append("i1")
                await work.save("i1", {"note": "mine"})
            return await put(changes)

        monkeypatch.setattr(store, "put_items", meddling)
        done = await work.bulk("start", {"assignee": "maria"}, dry_run=False)
        assert (done.done, meddled) == (3, ["i1"])
        assert (await work.get("i1")).data == {"note": "mine"}


@pytest.mark.parametrize(
    ("action", "which", "given", "says"),
    [
        ("delete", [], {}, "a bulk operation is one of"),
        ("snooze", [], {}, "give days"),
        ("snooze", [], {"days": 0}, "days is 0"),
        ("snooze", [], {"days": 91}, "from 1 to 90"),
        ("snooze", [], {"days": "soon"}, "days is 'soon'"),
        ("snooze", [], {"days": 1, "until": "2999-01-01"}, "give days"),
        ("snooze", [], {"until": "2000-01-01"}, "has passed"),
        ("skip", [], {}, "say why"),
        ("skip", [], {"reason": "  "}, "say why"),
        ("escalate", [], {}, "give to"),
        ("assign", [], {"to": ""}, "to has 0 characters"),
        ("start", [], {"to": "tomas"}, "to does not go with 'start'"),
        ("complete", [], {"data": [1]}, "data is [1]"),
        ("start", "i1", {}, "which is 'i1'"),
        ("start", [5], {}, "the id of an item"),
        ("start", ["x"] * 10_001, {}, "at most 10,000"),
        ("start", {"colour": "red"}, {}, "'colour' is no filter"),
        ("start", {"asignee": "x"}, {}, "did you mean assignee?"),
        ("start", {"status": "open"}, {}, "status is 'open'"),
    ],
)
async def test_a_bad_order_is_refused(action: Any, which: Any, given: dict[str, Any], says: str) -> None:
    async with working("memory://") as (_, work):
        for dry_run in (True, False):
            with pytest.raises(HoldfastError) as refused:
                await work.bulk(action, which, dry_run=dry_run, **given)
            assert says in str(refused.value)


# Undo


async def test_what_was_done_is_undone(store_url: str) -> None:
    async with working(store_url) as (_, work):
        await work.put_subject("acme")
        await work.put_definition("save", {"name": "Save", "type": "risk", "due": "5d", "sla": {"start": "1d"}})
        await work.create("save", subject="acme", assignee="maria", id="s")
        await some(work, 2)
        await work.start("i0")
        await work.save("i0", {"note": "x"})
        before = {one.id: one for one in await work.list()}
        done = await work.bulk("skip", {"assignee": "maria"}, dry_run=False, reason="oops")
        assert done.done == 3
        undone = await work.undo(done.id)
        assert (undone.action, undone.items, undone.done, undone.refused) == ("undo", 3, 3, 0)
        for one in await work.list():
            was = before[one.id]
            assert (one.status, one.started_at, one.due_at, one.data, one.skip_reason, one.moves) == (
                was.status, was.started_at, was.due_at, was.data, None, was.moves,
            )  # fmt: skip
            assert [event.move for event in await work.history(one.id)][-2:] == ["skip", "undo"]
        # Its place is taken again.
        with pytest.raises(hf.ItemExists):
            await work.create("save", subject="acme")
        # An undoing can be undone.
        again = await work.undo(undone.id)
        assert again.done == 3
        assert await statuses(work) == ["skipped"] * 3
        assert (await work.dry_run("save")).makes == 0


async def test_what_was_changed_since_stays(store_url: str) -> None:
    async with working(store_url) as (_, work):
        await some(work, 3)
        done = await work.bulk("assign", {"assignee": "maria"}, dry_run=False, to="tomas")
        await work.save("i1", {"note": "x"})
        undone = await work.undo(done.id)
        assert (undone.done, undone.refused) == (2, 1)
        assert "was changed by others since" in undone.outcomes["i1"]
        assert [one.assignee for one in (await work.list())[::-1]] == ["maria", "tomas", "maria"]
        again = await work.undo(done.id)
        assert (again.done, again.refused) == (0, 3)


async def test_a_place_that_was_taken_meanwhile(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_subject("acme")
        await work.put_definition("save", {"name": "Save", "cooldown": "1d"})
        await work.create("save", subject="acme", assignee="maria", id="old")
        done = await work.bulk("skip", ["old"], dry_run=False, reason="oops")
        await move(client, 2 * 86_400)
        await work.create("save", subject="acme", assignee="maria", id="new")
        undone = await work.undo(done.id)
        assert (undone.done, undone.refused) == (0, 1)
        assert "is open" in undone.outcomes["old"]
        assert (await work.get("old")).status == "skipped"


async def test_an_operation_that_is_none(store_url: str) -> None:
    async with working(store_url) as (_, work):
        for id in ("00" * 16, "x", "", 5):
            with pytest.raises(UsageError):
                await work.undo(id)  # type: ignore[arg-type]
            with pytest.raises(UsageError):
                await work.bulk_outcome(id)  # type: ignore[arg-type]


@pytest.mark.slow
async def test_an_answer_is_not_undone(store_url: str) -> None:
    async with hf.connect(store_url, actor="maria") as client, hf.Worker(client, [asks], drain=0):
        work = work_queue(client)
        run = await client.start(asks, 1)
        await until_status(client, run.id, "waiting")
        [asked] = await work.list(kind="ask")
        done = await work.bulk("complete", [asked.id], dry_run=False, data={"ok": True})
        assert done.done == 1
        assert await run.result("20s") == {"ok": True}
        undone = await work.undo(done.id)
        assert "its run has been told" in undone.outcomes[asked.id]
        view = await work.bulk_outcome(done.id)
        assert (view.action, view.done) == ("complete", 1)


# By a run


@pytest.mark.slow
@pytest.mark.usefixtures("few_at_once")
async def test_many_are_left_to_a_run(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await some(work, 8)
        await work.complete("i2")
        async with hf.Worker(client, [asks], drain=0):
            started = await work.bulk("assign", {"assignee": "maria"}, dry_run=False, to="tomas", reason="she is away")
            assert started.run is not None
            await until_status(client, started.run, "succeeded")
            done = await work.bulk_outcome(started.id)
            assert (done.id, done.items, done.done, done.refused) == (started.id, 8, 7, 1)
            assert "has ended" in done.outcomes["i2"]
            assert (await work.history("i7"))[-1].actor == "maria"
            undone = await work.undo(started.id)
            assert undone.run is not None
            await until_status(client, undone.run, "succeeded")
            assert (await work.bulk_outcome(undone.id)).done == 7
        assert {one.assignee for one in await work.list()} == {"maria"}


@pytest.mark.slow
@pytest.mark.usefixtures("few_at_once")
async def test_a_portion_that_breaks_off_is_done_again_and_each_item_once(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk.act, "retry", hf.Retry(max_attempts=3, initial=0.001, jitter=0.0))
    change_all = bulk.Bulk._change_all
    asked: list[int] = []

    async def breaks_off(self: Any, rows: Any, changer: Any) -> Any:
        outcomes = await change_all(self, rows, changer)
        asked.append(len(rows))
        if len(asked) == 2:
            raise hf.StoreUnavailable("the database is away")
        return outcomes

    async with working(store_url) as (client, work):
        await some(work, 8)
        monkeypatch.setattr(bulk.Bulk, "_change_all", breaks_off)
        async with hf.Worker(client, [asks], drain=0):
            started = await work.bulk("snooze", {"assignee": "maria"}, dry_run=False, days=4)
            assert started.run is not None
            await until_status(client, started.run, "succeeded")
        assert (await work.bulk_outcome(started.id)).done == 8
        for n in range(8):
            assert [one.move for one in await work.history(f"i{n}")] == ["create", "snooze"]


@pytest.mark.slow
@pytest.mark.usefixtures("few_at_once")
async def test_what_comes_later_is_left_alone(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with working(store_url) as (client, work):
        await some(work, 7)
        started = await work.bulk("snooze", {"assignee": "maria"}, dry_run=False, days=4)
        await asyncio.sleep(0.002)
        await work.create(title="later", id="later", assignee="maria")
        so_far = await work.bulk_outcome(started.id)
        assert (so_far.action, so_far.items, so_far.run) == ("snooze", 0, started.run)
        async with hf.Worker(client, [asks], drain=0):

            async def there() -> bool:
                return (await work.bulk_outcome(started.id)).run is None

            await until(there)
        assert (await work.get("later")).status == "not_started"
        assert (await work.bulk_outcome(started.id)).done == 7
