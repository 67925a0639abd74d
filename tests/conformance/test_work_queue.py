"""The queue of an assignee: what is in it, in which order; scores when read and as stored; over every store."""

import json
from typing import Any

from holdfast.model.expressions import Add, Const, Expression, Field, Floor, Mul, Signal, Term
from holdfast.store.base import Store
from holdfast.store.work import ItemFilter
from holdfast.store.work_rows import QueuedRow
from tests.conformance.work_kit import DAY, NOW, definition, find, item, made, moved, signal, subject, subject_of

WEIGHT = Field("weight")


async def queued(store: Store, score: Expression = WEIGHT, **asked: Any) -> list[QueuedRow]:
    asked = {"now": NOW, "limit": 99} | asked
    return await store.work.queue(asked.pop("tenant", "t"), asked.pop("assignee", "ann"), score, **asked)


async def ids(store: Store, score: Expression = WEIGHT, **asked: Any) -> list[str]:
    return [row.item.id for row in await queued(store, score, **asked)]


async def test_the_most_important_come_first_then_the_oldest_then_by_id(store: Store) -> None:
    await made(
        store,
        item("b", weight=5, created_at=NOW - 2),
        item("a", weight=5, created_at=NOW - 2),
        item("Z", weight=5, created_at=NOW - 2),
        item("older", weight=5, created_at=NOW - 3),
        item("newer", weight=5, created_at=NOW - 1),
        item("most", weight=7),
        item("least", weight=-7),
        item("bob's", weight=99, assignee="bob"),
        item("nobody's", weight=99, assignee=None),
        item("theirs", weight=99, tenant="u"),
    )
    order = ["most", "older", "Z", "a", "b", "newer", "least"]
    assert await ids(store) == order
    assert await ids(store, limit=3) == order[:3]
    assert await ids(store, limit=0) == []
    assert await ids(store, assignee="bob") == ["bob's"]
    assert await ids(store, assignee="eve") == []
    assert await ids(store, tenant="u") == ["theirs"]


async def test_what_an_item_s_score_is_made_of_comes_with_it(store: Store) -> None:
    kind = definition("renew", weight=700)
    newest = kind._replace(version=2, weight=800)
    customer = subject("acme", weak=3)
    await store.work.put_subjects([customer, customer._replace(tenant="u", weak=9)])
    await store.work.put_signals([signal("tier", 4), signal("tier", 99, tenant="u")])
    for row in (kind, newest, kind._replace(tenant="u", weight=1)):
        await store.work.put_definition(row)
    first = item("made", definition="renew", definition_version=1, subject="acme", weight=1)
    own = item("own", weight=650, subject="nobody", definition="none")
    await made(store, first, own)
    parts = Add((Term("base", WEIGHT), Term("tier", Mul((Signal("tier"), Const(5)))), Term("weak", Field("weak"))))
    found = await queued(store, parts)
    assert [(row.item, row.priority, row.subject, row.definition) for row in found] == [
        (first, 800 + 20 + 3, await subject_of(store), newest),
        (own, 650, None, None),
    ]
    assert sorted(await store.work.scored("t", [own.uid, first.uid], parts, now=NOW)) == sorted(found)


async def test_scores_are_whole_numbers_rounded_down(store: Store) -> None:
    await made(store, item("a", weight=1), item("b", weight=2), item("c", weight=-1))
    half = Mul((WEIGHT, Const(0.5)))
    assert [(row.item.id, row.priority) for row in await queued(store, half)] == [("b", 1), ("a", 0), ("c", -1)]
    assert await store.work.recompute("t", half, now=NOW) == 3
    assert [(await find(store, id)).priority for id in "abc"] == [0, 1, -1]
    alike = Mul((WEIGHT, Const(0.1)))  # 0, 0 and -1: the fraction decides nothing
    assert await ids(store, alike) == ["a", "b", "c"]


async def test_scores_follow_the_clock_of_the_read(store: Store) -> None:
    age = Field("age_days")
    await made(store, item("a", created_at=NOW - 3 * DAY), item("b", created_at=NOW))
    for days in (0, 2):
        found = await queued(store, age, now=NOW + days * DAY)
        assert [(row.item.id, row.priority) for row in found] == [("a", 3 + days), ("b", days)]


async def test_what_is_snoozed_comes_back_in_time(store: Store) -> None:
    await made(
        store,
        item("plain"),
        item("back", status="snoozed", snooze_until=NOW + DAY, returns_at=NOW),
        item("later", status="snoozed", snooze_until=NOW + DAY, returns_at=NOW + 1),
        item("at an event", status="snoozed"),
        item("underway", status="underway"),
        item("done", status="completed"),
        item("skipped", status="skipped"),
    )
    assert sorted(await ids(store)) == ["back", "plain", "underway"]
    assert sorted(await ids(store, now=NOW - 1)) == ["plain", "underway"]
    assert sorted(await ids(store, now=NOW + 1)) == ["back", "later", "plain", "underway"]
    assert sorted(await ids(store, snoozed=True)) == ["at an event", "back", "later", "plain", "underway"]


async def test_what_is_blocked_is_left_out(store: Store) -> None:
    await made(store, item("free"), item("waits", blocked=True), item("both", blocked=True, status="snoozed"))
    assert await ids(store, snoozed=True) == ["free"]


async def test_the_unclaimed_items_of_one_s_groups_are_in_the_queue(store: Store) -> None:
    await made(
        store,
        item("mine", weight=1),
        item("mine of sales", weight=2, pool="sales"),
        item("sales", assignee=None, pool="sales", weight=3),
        item("support", assignee=None, pool="support", weight=4),
        item("claimed", assignee="bob", pool="sales", weight=5),
        item("nobody's", assignee=None, weight=6),
        item("blocked", assignee=None, pool="sales", blocked=True),
        item("done", assignee=None, pool="sales", status="skipped"),
        item("snoozed", assignee=None, pool="sales", status="snoozed", weight=0),
        item("theirs", assignee=None, pool="sales", tenant="u"),
    )
    assert await ids(store) == ["mine of sales", "mine"]
    assert await ids(store, pools=("sales",)) == ["sales", "mine of sales", "mine"]
    assert await ids(store, pools=("sales",), snoozed=True) == ["sales", "mine of sales", "mine", "snoozed"]
    both = ["support", "sales", "none", "sales"]
    assert await ids(store, pools=both) == ["support", "sales", "mine of sales", "mine"]
    assert await ids(store, assignee="eve", pools=("support",)) == ["support"]
    assert await ids(store, assignee="", pools=("sales",)) == ["sales"]
    assert await ids(store, pools=("support", "sales"), limit=1) == ["support"]
    assert await ids(store, pools=tuple(f"group {n}" for n in range(300))) == ["mine of sales", "mine"]


async def test_the_demo_has_an_order_of_its_own(store: Store) -> None:
    demo: dict[str, Any] = {"demo": True}
    await made(
        store,
        item("third", position=3, weight=9, **demo),
        item("first", position=1, weight=1, **demo),
        item("second", position=2, **demo),
        item("last", position=None, **demo),
        item("done", position=0, status="completed", **demo),
        item("bob's", position=0, assignee="bob", **demo),
        item("real", position=0, weight=99),
    )
    found = await queued(store, demo=True)
    assert [row.item.id for row in found] == ["first", "second", "third", "last"]
    assert [row.priority for row in found] == [1, 500, 9, 500]
    assert await ids(store, demo=True, limit=2) == ["first", "second"]
    assert await ids(store) == ["real"]


async def test_scores_of_some_items(store: Store) -> None:
    rows = [item("open", weight=7), item("done", weight=8, status="completed"), item("demo", weight=9, demo=True)]
    theirs = item("theirs", tenant="u")
    await made(store, *rows, theirs)
    asked = [row.uid for row in (*rows, theirs)] + [b"x" * 16, rows[0].uid]
    found = await store.work.scored("t", asked, WEIGHT, now=NOW)
    assert sorted((row.item.id, row.priority) for row in found) == [("demo", 9), ("done", 8), ("open", 7)]
    assert await store.work.scored("t", [], WEIGHT, now=NOW) == []
    many = [item(f"m-{n:03}", weight=n) for n in range(300)]
    await made(store, *many)
    found = await store.work.scored("t", [row.uid for row in many], WEIGHT, now=NOW)
    assert sorted(row.priority for row in found) == list(range(300))


async def test_all_open_items_are_computed_anew(store: Store) -> None:
    await store.work.put_definition(definition("renew", weight=70))
    for tenant, tier in (("a", -999), ("t", 4), ("u", 999)):
        await store.work.put_subjects([subject("acme", tenant=tenant)])
        await store.work.put_signals([signal("tier", tier, tenant=tenant)])
    await made(
        store,
        item("own", weight=5),
        item("kind", definition="renew", subject="acme", status="underway"),
        item("asleep", weight=6, status="snoozed", assignee=None, blocked=True),
        item("demo", weight=7, demo=True),
        item("done", weight=8, status="completed", priority=1),
        item("theirs", weight=9, tenant="u"),
    )
    score = Add((Term("base", WEIGHT), Term("tier", Floor(Signal("tier")))))
    before = [event.revision for event in await store.work.item_history("t", (await find(store, "own")).uid)]
    for _ in range(2):
        assert await store.work.recompute("t", score, now=NOW) == 4
    assert {id: (await find(store, id)).priority for id in ("own", "kind", "asleep", "demo", "done")} == {
        "own": 5, "kind": 74, "asleep": 6, "demo": 7, "done": 1,
    }  # fmt: skip
    own = await find(store, "own")
    assert own.revision == 1
    assert [event.revision for event in await store.work.item_history("t", own.uid)] == before
    assert (await find(store, "theirs", "u")).priority == 0
    assert await store.work.recompute("v", score, now=NOW) == 0
    # A change of the item that was read before does not undo it, and one of the definition is seen.
    await store.work.put_definition(definition("renew", weight=80, version=2))
    assert await store.work.recompute("t", score, now=NOW) == 4
    assert (await find(store, "kind")).priority == 84


async def test_one_expression_says_the_same_wherever_it_is_computed(store: Store) -> None:
    await store.work.put_subjects([subject(f"s-{n}", weak=n) for n in range(5)])
    await store.work.put_signals([signal("x", n * 1.7 - 3, subject=f"s-{n}") for n in range(5)])
    rows = [item(f"i-{n}", subject=f"s-{n}", created_at=NOW - n * DAY) for n in range(5)]
    await made(store, *rows)
    score = Add((Term("x", Mul((Signal("x"), Const(3)))), Term("age", Field("age_days")), Term("w", Field("weak"))))
    in_queue = {row.item.id: row.priority for row in await queued(store, score)}
    some = await store.work.scored("t", [row.uid for row in rows], score, now=NOW)
    assert {row.item.id: row.priority for row in some} == in_queue
    assert await store.work.recompute("t", score, now=NOW) == 5
    listed = await store.work.list_items("t", ItemFilter(), limit=9)
    assert {row.id: row.priority for row in listed} == in_queue
    assert in_queue["i-0"] == -9
    assert in_queue["i-4"] == 11 + 4 + 4  # (4 * 1.7 - 3) * 3 is 11.4


async def test_the_subject_in_the_queue_has_its_latest_signals(store: Store) -> None:
    await store.work.put_subjects([subject("acme")])
    row = item("i-1", subject="acme")
    await made(store, row)
    for n in range(3):
        await store.work.put_signals([signal("x", n, NOW + n)])
        (found,) = await queued(store, Signal("x"))
        assert found.subject is not None
        assert (found.priority, json.loads(found.subject.signals)) == (n, {"x": n})
    row = await moved(store, row, "start")
    assert [one.item for one in await queued(store)] == [row]
