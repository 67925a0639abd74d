"""Items change one revision at a time, with an event each, and hold their places; over every store."""

import asyncio
from typing import Any

import pytest

from holdfast.model.keys import topic_id
from holdfast.store.base import Rejected, Store
from holdfast.store.operations import Event, Topic
from holdfast.store.url import make_store
from holdfast.store.work import ItemFilter
from holdfast.store.work_rows import Claimed, ItemChange, ItemRow
from tests.conformance.kit import claim, commit, entry, expecting, park, running, uid, wait
from tests.conformance.steering_kit import FAR
from tests.conformance.work_kit import DAY, HOUR, NOW, OPEN, after, change, find, item, made, moved, put

FULL = item(
    "Ünï ☃",
    definition="renew",
    definition_version=3,
    type="renewal",
    weight=-5,
    subject="acme",
    pool="sales",
    claimed_until=NOW + 1,
    escalated_to="eve",
    escalated_at=NOW + 2,
    acknowledge_by=NOW + 3,
    status="snoozed",
    priority=-17,
    snooze_until=NOW + 4,
    snooze_days=5,
    snoozed_at=NOW + 6,
    returns_at=NOW + 7,
    due_at=NOW + 8,
    act_at=NOW + 9,
    started_at=NOW + 10,
    document=b'{"title": "\xc3\xbc"}',
    data=b'{"a": [1, null]}',
    run="run-1",
    position=3,
)


def placed(id: str, **changes: Any) -> ItemChange:
    """A new item that takes the place of renew and acme."""
    row = item(id, **({"definition": "renew", "subject": "acme"} | changes))
    return change(row, place=OPEN)


async def taken(store: Store, now: int = NOW, **asked: Any) -> list[str]:
    return await store.work.taken_places("t", "renew", now, **({"after": "", "limit": 99} | asked))


async def moves(store: Store, row: ItemRow, **asked: int) -> list[tuple[int, str]]:
    return [(event.revision, event.move) for event in await store.work.item_history(row.tenant, row.uid, **asked)]


async def test_an_item_is_stored_as_it_is_given(store: Store) -> None:
    bare = item("bare", assignee=None)
    theirs = FULL._replace(tenant="u", title="theirs")
    await made(store, FULL, bare, theirs)
    assert await find(store, FULL.id) == FULL
    assert sorted(await store.work.find_items("t", [FULL.id, "bare", "none", "bare"])) == sorted([FULL, bare])
    assert await store.work.find_items("u", [FULL.id, "bare"]) == [theirs]
    assert await store.work.find_items("v", [FULL.id]) == []
    assert await store.work.find_items("t", []) == []
    assert await put(store) == []


async def test_an_event_is_stored_with_the_change(store: Store) -> None:
    new = change(FULL, reason="why", batch=b"b" * 16, actor="bob", since_us=5, changes=b'{"a": "\xc3\xbc"}', demo=True)
    await made(store, new)
    assert await store.work.item_history("t", FULL.uid) == [new.event]
    assert await store.work.item_history("u", FULL.uid) == []
    row = await moved(store, FULL, "start")
    row = await moved(store, row, "save", fields={"data": b"{}"})
    assert await moves(store, row) == [(1, "create"), (2, "start"), (3, "save")]
    assert await moves(store, row, after=1) == [(2, "start"), (3, "save")]
    assert await moves(store, row, after=1, limit=1) == [(2, "start")]
    assert await find(store, FULL.id) == row


async def test_every_field_may_change_but_what_names_the_item(store: Store) -> None:
    row = item("i-1")
    await made(store, row)
    wanted = FULL._replace(uid=row.uid, revision=2)
    assert await put(store, change(wanted, "save")) == ["done"]
    (found,) = await store.work.find_items("t", ["i-1"])
    assert found == wanted._replace(id="i-1")
    assert await store.work.find_items("t", [FULL.id]) == []
    assert await put(store, change(wanted._replace(created_at=5, kind="hold", revision=3), "save", since_us=0)) == [
        "done"
    ]
    assert await find(store, "i-1") == wanted._replace(id="i-1", revision=3)


async def test_a_change_is_stored_on_top_of_the_revision_it_was_made_from(store: Store) -> None:
    row = item("i-1")
    new = change(row)
    assert await put(store, after(row, "start")) == ["changed"]
    assert await put(store, new) == ["done"]
    mine, theirs = after(row, "start"), after(row, "start", actor="bob")
    assert await put(store, mine) == ["done"]
    assert await put(store, theirs) == ["changed"]
    assert await put(store, mine, theirs, new) == ["done", "changed", "done"]  # once more, one of them late
    assert await put(store, change(row, actor="bob")) == ["changed"]
    skipped = mine.row._replace(revision=3)
    assert await put(store, after(skipped, "save")) == ["changed"]
    assert await find(store, "i-1") == mine.row
    assert await moves(store, row) == [(1, "create"), (2, "start")]


async def test_an_id_is_one_item_s_of_a_tenant(store: Store) -> None:
    row = item("i-1")
    await made(store, row, row._replace(tenant="u"))
    assert await put(store, change(item("i-1"))) == ["exists"]
    assert await put(store, change(item("i-2")), change(item("i-1")), change(item("i-2"))) == [
        "done", "exists", "exists",
    ]  # fmt: skip
    assert await find(store, "i-1") == row


async def test_changes_of_one_call_are_each_made_by_themselves(store: Store) -> None:
    one, other = item("i-1"), item("i-2")
    first = after(one, "start")
    second = after(first.row, "complete", at=NOW + 2 * HOUR)
    asked = [change(one), first, after(one, "skip"), second, after(other, "start"), change(other)]
    assert await put(store, *asked) == ["done", "done", "changed", "done", "changed", "done"]
    assert (await find(store, "i-1")).status == "completed"
    assert await find(store, "i-2") == other
    assert await put(store, *asked) == ["done", "done", "changed", "done", "done", "done"]  # it is there now
    assert await moves(store, one) == [(1, "create"), (2, "start"), (3, "complete")]


async def test_hundreds_at_once(store: Store) -> None:
    rows = [item(f"i-{n}", definition="renew", subject=f"s-{n}") for n in range(700)]
    await made(store, *(change(row, place=OPEN) for row in rows))
    asked = [after(row, "skip", place=Claimed(NOW + DAY)) for row in rows]
    asked[300] = after(rows[300]._replace(revision=5), "skip")
    outcomes = await put(store, *asked)
    assert [n for n, outcome in enumerate(outcomes) if outcome != "done"] == [300]
    found = await store.work.find_items("t", [row.id for row in rows])
    assert sum(row.status == "skipped" and row.revision == 2 for row in found) == 699
    assert len(await taken(store, NOW + HOUR, limit=1_000)) == 700
    assert await taken(store, NOW + DAY) == ["s-300"]


async def test_one_item_at_a_time_has_a_place(store: Store) -> None:
    first = placed("i-1")
    assert await put(store, first) == ["done"]
    assert await put(store, placed("i-2")) == ["taken"]
    assert await put(store, first) == ["done"]
    assert await store.work.find_items("t", ["i-2"]) == []
    assert await taken(store) == ["acme"]
    others = [placed("i-3", subject="b"), placed("i-4", definition="x"), placed("i-5", tenant="u")]
    assert await put(store, *others) == ["done"] * 3
    assert await put(store, placed("i-6"), placed("i-7", subject="c"), placed("i-8", subject="c")) == [
        "taken", "done", "taken",
    ]  # fmt: skip
    assert await taken(store) == ["acme", "b", "c"]
    assert await taken(store, limit=1) == ["acme"]
    assert await taken(store, after="acme", limit=1) == ["b"]
    assert await taken(store, after="c") == []
    await made(store, change(item("free", definition="renew", subject="acme")))  # one that asks for no place


async def test_a_place_that_is_freed_in_a_call_is_had_by_the_next_of_the_call(store: Store) -> None:
    await made(store, placed("i-0"))
    over = after(await find(store, "i-0"), "complete")
    assert await put(store, placed("too early"), over) == ["taken", "done"]
    await made(store, placed("i-1"))
    over = after(await find(store, "i-1"), "complete")
    assert await put(store, placed("i-2"), over, placed("i-3"), placed("i-4")) == ["taken", "done", "done", "taken"]
    over = after(await find(store, "i-3"), "skip", place=Claimed(NOW + DAY))
    assert await put(store, over, placed("i-5", created_at=NOW + DAY - 1), placed("i-6", created_at=NOW + DAY)) == [
        "done", "taken", "done",
    ]  # fmt: skip
    assert await taken(store, NOW + 9 * DAY) == ["acme"]


async def test_without_definition_or_subject_there_is_no_place(store: Store) -> None:
    for lacking in ({"subject": None}, {"definition": None}):
        assert await put(store, placed("a" + str(lacking), **lacking), placed("b" + str(lacking), **lacking)) == [
            "done", "done",
        ]  # fmt: skip
    assert await taken(store) == []


async def test_a_place_is_kept_while_its_item_is_open(store: Store) -> None:
    await made(store, placed("i-1"))
    row = await find(store, "i-1")
    for move in ("start", "save", "snooze"):
        row = await moved(store, row, move)
        assert await put(store, placed(f"after {move}")) == ["taken"]
    row = await moved(store, row, "save", place=OPEN)
    assert await taken(store) == ["acme"]
    await moved(store, row, "complete")
    assert await taken(store) == []
    assert await put(store, placed("i-2")) == ["done"]


async def test_a_place_stays_taken_for_a_while(store: Store) -> None:
    await made(store, placed("i-1"))
    await moved(store, await find(store, "i-1"), "skip", place=Claimed(NOW + DAY))
    assert await taken(store, NOW + DAY - 1) == ["acme"]
    assert await taken(store, NOW + DAY) == []
    assert await put(store, placed("i-2", created_at=NOW + DAY - 1)) == ["taken"]
    await made(store, placed("i-3", created_at=NOW + DAY))
    assert await taken(store, NOW + 9 * DAY) == ["acme"]
    third = await moved(store, await find(store, "i-3"), "skip", at=NOW + 2 * DAY, place=Claimed(NOW + 3 * DAY))
    assert await taken(store, NOW + 2 * DAY) == ["acme"]
    # The skip is undone: the item is open again, and has its place.
    back = await moved(store, third, "undo", fields={"status": "not_started", "skipped_at": None}, place=OPEN)
    assert await taken(store, NOW + 99 * DAY) == ["acme"]
    await moved(store, back, "complete")
    await made(store, placed("i-4", created_at=NOW + DAY))


async def test_an_item_that_is_opened_again_may_find_its_place_taken(store: Store) -> None:
    await made(store, placed("i-1"))
    done = await moved(store, await find(store, "i-1"), "complete")
    await made(store, placed("i-2"))
    undo = after(done, "undo", fields={"status": "underway", "completed_at": None}, place=OPEN)
    other = change(item("i-9"))
    assert await put(store, undo, other) == ["taken", "done"]
    assert await find(store, "i-1") == done
    assert await moves(store, done) == [(1, "create"), (2, "complete")]
    await moved(store, await find(store, "i-2"), "complete")
    assert await put(store, undo) == ["done"]
    assert await taken(store) == ["acme"]


async def test_an_item_that_lost_its_place_does_not_free_another_s(store: Store) -> None:
    await made(store, placed("i-1"))
    done = await moved(store, await find(store, "i-1"), "complete")
    await made(store, placed("i-2"))
    again = await moved(store, done, "undo", fields={"status": "underway"})  # without a place
    over = await moved(store, again, "skip", place=Claimed(NOW + 9 * DAY))
    assert await taken(store, NOW + 99 * DAY) == ["acme"]
    again = await moved(store, over, "undo", fields={"status": "underway"})
    await moved(store, again, "complete")
    assert await taken(store, NOW + 99 * DAY) == ["acme"]
    await moved(store, await find(store, "i-2"), "complete")
    assert await taken(store) == []


async def test_what_a_bulk_operation_did_is_found(store: Store) -> None:
    rows = [item(f"i-{n}") for n in range(4)]
    await made(store, *rows)
    batch = b"batch-number-001"
    asked = [after(row, "skip", batch=batch) for row in rows[:3]]
    await made(store, *asked)
    await made(store, after(rows[3], "skip", batch=b"batch-number-002"))
    assert sorted(await store.work.batch_events("t", batch)) == sorted(one.event for one in asked)
    assert await store.work.batch_events("u", batch) == []


async def test_who_waits_for_an_event_of_a_change_is_woken(store: Store) -> None:
    run = await running(store, "asks")
    about = Topic(topic_id("t", "holdfast.item", "i-1"), "t", "holdfast.item", "i-1")
    await commit(store, checkpoints=[expecting(run, b"\x00")], waits=[wait(run, b"\x00", about)])
    await commit(store, parks=[park(run, b"\x00")])
    told = Event(uid(), about, b"the answer", True, NOW, FAR + DAY)
    row = item("i-1", kind="ask", run="asks")
    await made(store, row)
    lost = after(row._replace(revision=4), "complete", tells=(told._replace(id=uid(), payload=b"wrong"),))
    assert await put(store, lost) == ["changed"]
    assert await claim(store) == []
    done = after(row, "complete", tells=(told,))
    assert await put(store, done, change(item("i-2"))) == ["done", "done"]
    assert (await entry(store, run, b"\x00")).output == b"the answer"
    (again,) = await claim(store)
    assert again.id == "asks"
    assert await put(store, done) == ["done"]
    # It is kept for a run that comes to wait later.
    later = await running(store, "later")
    await commit(store, checkpoints=[expecting(later, b"\x00")], waits=[wait(later, b"\x00", about, since=NOW + 1)])
    assert (await entry(store, later, b"\x00")).output == b"the answer"


async def test_what_is_to_be_looked_at_now(store: Store) -> None:
    rows = [
        item("late", act_at=NOW + 3),
        item("first", act_at=NOW + 1, status="snoozed"),
        item("now", act_at=NOW + 5, status="underway", tenant="u"),
        item("not yet", act_at=NOW + 6),
        item("never"),
        item("over", act_at=NOW, status="completed"),
        item("skipped", act_at=NOW, status="skipped"),
    ]
    await made(store, *rows)
    assert await store.work.due_items(NOW + 5, 9) == [rows[1], rows[0], rows[2]]
    assert await store.work.due_items(NOW + 5, 2) == [rows[1], rows[0]]
    assert await store.work.due_items(NOW, 9) == []


async def test_the_demo_is_deleted(store: Store) -> None:
    demo = {"demo": True, "definition": "renew"}
    rows = [item(f"d-{n}", assignee=who, subject=f"s-{n}", **demo) for n, who in enumerate(("ann", "ann", "bob"))]
    real = [item("real", definition="renew", subject="real"), item("theirs", tenant="u", subject="s-0", **demo)]
    await made(store, *(change(row, place=OPEN) for row in (*rows, *real)))
    rows[0] = await moved(store, rows[0], "start")
    assert await store.work.delete_demo("t", "nobody") == 0
    assert await store.work.delete_demo("t", "ann") == 2
    assert await store.work.delete_demo("t", "ann") == 0
    assert await store.work.find_items("t", ["d-0", "d-1"]) == []
    assert await moves(store, rows[0]) == []
    assert await taken(store) == ["real", "s-2"]
    await made(store, change(rows[1]._replace(uid=uid()), place=OPEN))
    assert await store.work.delete_demo("t") == 2
    assert await taken(store) == ["real"]
    everything = await store.work.list_items("t", ItemFilter(demo=None), limit=9)
    assert everything == [real[0]]
    assert await moves(store, real[0]) == [(1, "create")]
    assert await find(store, "theirs", "u") == real[1]
    assert await moves(store, real[1]) == [(1, "create")]


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", "x" * 600])
async def test_what_cannot_be_stored_is_refused(store: Store, bad: str) -> None:
    keys = ("tenant", "id", "definition", "subject", "assignee", "pool", "escalated_to", "run", "status", "type")
    texts = keys if len(bad) == 600 else (*keys, "title", "skip_reason")
    for field in texts:
        with pytest.raises(Rejected):
            await put(store, change(item("fine")), change(item("bad")._replace(**{field: bad})))
    with pytest.raises(Rejected):
        await put(store, change(item("fine")), change(item("bad"), actor=bad))
    assert await store.work.find_items("t", ["fine"]) == []


async def test_a_number_that_is_too_large_is_refused_and_nothing_stored(store: Store) -> None:
    for wrong in (change(item("bad", due_at=1 << 63)), change(item("bad"), since_us=1 << 63)):
        with pytest.raises(Rejected):
            await put(store, change(item("fine")), wrong)
    assert await store.work.find_items("t", ["fine", "bad"]) == []


async def test_an_event_of_another_revision_or_item_is_refused(store: Store) -> None:
    for wrong in (change(item("bad"), revision=2), change(item("bad"), item=uid()), change(item("bad"), tenant="u")):
        with pytest.raises(Rejected):
            await put(store, wrong)


async def test_an_item_of_the_same_uid_in_another_tenant_is_another(store: Store) -> None:
    mine = placed("i-1")
    theirs = ItemChange(mine.row._replace(tenant="u"), mine.event._replace(tenant="u"), OPEN)
    await made(store, mine, theirs)
    await moved(store, mine.row, "complete")
    assert await find(store, "i-1", "u") == theirs.row
    assert await moves(store, theirs.row) == [(1, "create")]
    assert await store.work.taken_places("u", "renew", NOW, after="", limit=9) == ["acme"]


async def test_of_two_processes_that_change_an_item_one_does(disk_url: str) -> None:
    one, other = make_store(disk_url), make_store(disk_url)
    await one.open()
    await other.open()
    rows = [item(f"i-{n}") for n in range(5)]
    await made(one, *rows)
    for _ in range(6):
        mine = [after(row, "save", actor="mine") for row in rows]
        theirs = [after(row, "save", actor="theirs") for row in rows[::-1]]
        found = await asyncio.gather(put(one, *mine), put(other, *theirs))
        for here, there in zip(found[0], found[1][::-1], strict=True):
            assert sorted([here, there]) == ["changed", "done"]
        rows = [one_change.row for one_change in mine]
    await one.close()
    await other.close()


async def test_of_two_processes_that_take_a_place_one_gets_it(disk_url: str) -> None:
    one, other = make_store(disk_url), make_store(disk_url)
    await one.open()
    await other.open()
    for n in range(6):
        subjects = [f"s-{n}-{m}" for m in range(4)]
        mine = [placed(f"mine of {id}", subject=id) for id in subjects]
        theirs = [placed(f"theirs of {id}", subject=id) for id in subjects[::-1]]
        found = await asyncio.gather(put(one, *mine), put(other, *theirs))
        for here, there in zip(found[0], found[1][::-1], strict=True):
            assert sorted([here, there]) == ["done", "taken"]
    await one.close()
    await other.close()
