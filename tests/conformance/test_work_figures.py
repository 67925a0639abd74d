"""What was done, how old items were then, and how much each assignee has to do; over every store."""

import math
import random
from typing import Any

from holdfast.store.base import Store
from holdfast.store.work_rows import FigureRow, ItemRow, LoadRow
from tests.conformance.work_kit import DAY, HOUR, NOW, change, item, made, moved

ENDED = {"complete": "completed", "skip": "skipped"}


async def acted(store: Store, n: int, move: str, age: int, *, at: int = NOW, **changes: Any) -> ItemRow:
    """An item on which a move is made at an age; its creation is long before."""
    reason = changes.pop("reason", None)
    row = item(f"{move} {n}", **({"created_at": at - age} | changes))
    await made(store, change(row, at=NOW - 999 * DAY, since_us=0))
    done = {"fields": {"skip_reason": reason}} if move == "skip" else {}
    return await moved(store, row, move, at=at, since_us=age, **done)


async def figures(store: Store, by: str | None = None, **asked: Any) -> list[FigureRow]:
    asked = {"since": NOW - DAY, "until": NOW + DAY} | asked
    return await store.work.figures("t", asked.pop("since"), asked.pop("until"), by=by, **asked)


async def test_moves_are_counted_with_the_ages_of_their_items(store: Store) -> None:
    for n, age in enumerate((5, 1, 4, 2, 3)):
        await acted(store, n, "complete", age)
    for n, (age, reason) in enumerate([(7, "no time"), (9, "no time"), (1, "wrong")]):
        await acted(store, n, "skip", age, reason=reason)
    assert await figures(store) == [
        FigureRow(None, "complete", None, 5, 3, 5),
        FigureRow(None, "skip", "no time", 2, 7, 9),
        FigureRow(None, "skip", "wrong", 1, 1, 1),
    ]


async def test_the_middle_and_nine_tenths_are_ages_that_there_were(store: Store) -> None:
    ages = list(range(1, 26))
    random.Random(5).shuffle(ages)
    for count in (1, 2, 3, 9, 10, 11, 20, 21):
        tenant = f"t{count}"
        for n in range(count):
            await acted(store, n, "start", ages[n] * HOUR, tenant=tenant)
        in_order = sorted(ages[:count])
        (found,) = await store.work.figures(tenant, NOW, NOW + 1, by=None)
        middle, most = (in_order[math.ceil(p * count / 10) - 1] * HOUR for p in (5, 9))
        assert found == FigureRow(None, "start", None, count, middle, most)


async def test_moves_are_counted_by_definition_and_by_assignee(store: Store) -> None:
    for n, (kind, who) in enumerate([("renew", "ann"), ("renew", "bob"), (None, "bob"), ("b", None)]):
        await acted(store, n, "complete", n + 1, definition=kind, assignee=who)
    assert await figures(store, "definition") == [
        FigureRow("b", "complete", None, 1, 4, 4),
        FigureRow("renew", "complete", None, 2, 1, 2),
        FigureRow(None, "complete", None, 1, 3, 3),
    ]
    assert await figures(store, "assignee") == [
        FigureRow("ann", "complete", None, 1, 1, 1),
        FigureRow("bob", "complete", None, 2, 2, 3),
        FigureRow(None, "complete", None, 1, 4, 4),
    ]
    assert await figures(store, "assignee", definition="renew") == [
        FigureRow("ann", "complete", None, 1, 1, 1),
        FigureRow("bob", "complete", None, 1, 2, 2),
    ]
    assert await figures(store, definition="renew", assignee="bob") == [FigureRow(None, "complete", None, 1, 2, 2)]
    assert await figures(store, "definition", assignee="bob") == [
        FigureRow("renew", "complete", None, 1, 2, 2),
        FigureRow(None, "complete", None, 1, 3, 3),
    ]
    assert await figures(store, "definition", assignee="eve") == []


async def test_figures_are_of_a_stretch_of_time_and_of_a_tenant(store: Store) -> None:
    for n, at in enumerate((NOW - 1, NOW, NOW + 9, NOW + 10)):
        await acted(store, n, "complete", 5 + n, at=at)
    await acted(store, 7, "complete", 99, tenant="u")
    await acted(store, 8, "complete", 77, demo=True)
    assert await figures(store, since=NOW, until=NOW + 10) == [FigureRow(None, "complete", None, 2, 6, 7)]
    assert await figures(store, since=NOW, until=NOW + 10, demo=True) == [FigureRow(None, "complete", None, 1, 77, 77)]
    assert await figures(store, since=NOW, until=NOW) == []
    assert await figures(store, since=NOW + 10, until=NOW) == []
    assert await store.work.figures("v", 0, NOW + DAY, by="definition") == []


async def completed(store: Store, n: int, took: int, **changes: Any) -> None:
    """An item that was started and completed."""
    at = changes.pop("at", NOW)
    tenant = changes.get("tenant", "t")
    row = item(f"c-{n}-{took}-{tenant}", **({"definition": "renew"} | changes))
    await made(store, row)
    row = await moved(store, row, "start", at=at - took)
    await moved(store, row, "complete", at=at)


async def test_the_efforts_of_definitions(store: Store) -> None:
    for n, took in enumerate((9, 1, 5, 7)):
        await completed(store, n, took)
    await completed(store, 1, 3, definition="b")
    await completed(store, 2, 999, definition=None)
    await completed(store, 3, 999, demo=True)
    await completed(store, 4, 999, tenant="u")
    await completed(store, 5, 1, at=NOW - DAY)
    row = item("at once", definition="b")
    await made(store, row)
    await moved(store, row, "complete", at=NOW + 999)  # never started
    assert await store.work.efforts("t", NOW) == [("b", 3), ("renew", 5)]
    assert await store.work.efforts("t", NOW - DAY) == [("b", 3), ("renew", 5)]
    assert await store.work.efforts("t", NOW + 1) == []
    await completed(store, 6, 1, at=NOW - DAY)
    assert await store.work.efforts("t", NOW - DAY) == [("b", 3), ("renew", 1)]


async def test_the_loads_of_assignees(store: Store) -> None:
    await completed(store, 1, 2 * HOUR, assignee="gone")
    await completed(store, 2, 4 * HOUR, definition="b", assignee="gone")
    await completed(store, 3, 6 * HOUR, definition="b")
    await completed(store, 4, 99 * HOUR, demo=True)
    await completed(store, 5, 99 * HOUR, tenant="u")
    await made(
        store,
        item("a-1", definition="renew", status="underway", due_at=NOW),
        item("a-2", definition="b", due_at=NOW + 1, blocked=True),
        item("a-3", definition="never", status="snoozed", due_at=NOW - 5),
        item("a-4"),
        item("b-1", assignee="bob", definition="renew"),
        item("n-1", assignee=None, pool="sales", status="underway"),
        item("demo", demo=True),
        item("done", status="completed"),
        item("theirs", tenant="v", due_at=NOW),
    )
    middle = 4 * HOUR  # of 2, 4 and 6
    assert await store.work.loads("t", NOW) == [
        LoadRow("ann", 4, 1, 2, 2 * HOUR + 4 * HOUR + middle + middle),
        LoadRow("bob", 1, 0, 0, 2 * HOUR),
        LoadRow(None, 1, 1, 0, middle),
    ]
    assert await store.work.loads("v", NOW) == [LoadRow("ann", 1, 0, 1, HOUR)]
    assert await store.work.loads("w", NOW) == []
