"""Items are listed and counted by what is asked of them, newest first; over every store."""

from typing import Any

import pytest

from holdfast.store.base import Store
from holdfast.store.work import ItemFilter
from holdfast.store.work_rows import ItemRow
from tests.conformance.work_kit import NOW, after, change, item, made, put, subject

PAST = 1_000_000_000_000_000
"""Before every test, by the databases' own clocks."""

ROWS = {
    "plain": {},
    "bob's": {"assignee": "bob", "title": "Große 100% Sache"},
    "nobody's": {"assignee": None, "pool": "sales", "title": "ask_them"},
    "pooled": {"pool": "sales", "status": "underway", "type": "risk"},
    "renewal": {"definition": "renew", "type": "renewal", "subject": "acme"},
    "snoozed": {"status": "snoozed", "definition": "renew", "subject": "zeta", "due_at": PAST},
    "done": {"status": "completed", "completed_at": NOW, "due_at": PAST},
    "skipped": {"status": "skipped", "assignee": "bob", "subject": "acme", "title": "back\\slash"},
    "late": {"due_at": PAST, "escalated_to": "eve"},
    "in time": {"due_at": NOW, "escalated_to": "dan"},
    "blocked": {"blocked": True},
    "asks": {"kind": "ask", "run": "run-1"},
    "holds": {"kind": "hold", "run": "run-1", "status": "completed"},
    "demo": {"demo": True, "position": 1},
    "demo done": {"demo": True, "status": "completed", "position": 2},
}  # fmt: skip

REAL = [id for id in ROWS if not id.startswith("demo")]

CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, REAL),
    ({"demo": None}, list(ROWS)),
    ({"demo": True}, ["demo", "demo done"]),
    ({"demo": True, "statuses": ("completed",)}, ["demo done"]),
    ({"assignee": "bob"}, ["bob's", "skipped"]),
    ({"assignee": ""}, ["nobody's"]),
    ({"assignee": "eve"}, []),
    ({"statuses": ("snoozed",)}, ["snoozed"]),
    ({"statuses": ("skipped", "completed")}, ["done", "skipped", "holds"]),
    ({"statuses": ("underway", "snoozed")}, ["pooled", "snoozed"]),
    (
        {"statuses": ("not_started", "underway", "snoozed"), "assignee": "ann"},
        [id for id in REAL if id not in ("bob's", "nobody's", "done", "skipped", "holds")],
    ),
    ({"statuses": ("nonsense",)}, []),
    ({"pool": "sales"}, ["nobody's", "pooled"]),
    ({"pool": "sales", "assignee": ""}, ["nobody's"]),
    ({"pool": "sal%"}, []),
    ({"definition": "renew"}, ["renewal", "snoozed"]),
    ({"definition": "renew", "subject": "acme"}, ["renewal"]),
    ({"type": "risk"}, ["pooled"]),
    ({"type": "strategic"}, []),
    ({"subject": "acme"}, ["renewal", "skipped"]),
    ({"kind": "ask"}, ["asks"]),
    ({"kind": "hold"}, ["holds"]),
    ({"kind": "work", "statuses": ("completed",)}, ["done"]),
    ({"escalated_to": "eve"}, ["late"]),
    ({"overdue": True}, ["snoozed", "late"]),
    ({"overdue": True, "escalated_to": "dan"}, []),
    ({"overdue": False}, [id for id in REAL if id not in ("snoozed", "late")]),
    ({"blocked": True}, ["blocked"]),
    ({"blocked": False}, [id for id in REAL if id != "blocked"]),
    ({"text": "GROSSE 100%"}, ["bob's"]),
    ({"text": "%"}, ["bob's"]),
    ({"text": "_"}, ["nobody's"]),
    ({"text": "\\"}, ["skipped"]),
    ({"text": "10_%"}, []),
    ({"text": "ÜBER"}, ["renewal", "skipped"]),
    ({"text": "title of"}, [id for id in REAL if id not in ("bob's", "nobody's", "skipped")]),
    ({"text": "title of", "subject": "zeta"}, ["snoozed"]),
    ({"text": "über", "statuses": ("skipped",)}, ["skipped"]),
    ({"text": "nowhere"}, []),
    ({"text": "qq"}, []),  # so is their subject called
]


@pytest.fixture
async def rows(store: Store) -> dict[str, ItemRow]:
    """Items of every kind, stored, and another tenant's like them."""
    rows = {id: item(id, **changes) for id, changes in ROWS.items()}
    await made(store, *rows.values())
    await made(store, *(row._replace(tenant="u") for row in rows.values()))
    await store.work.put_subjects([subject("acme", name="Über AG"), subject("zeta", name="u")])
    await store.work.put_subjects([subject("acme", tenant="u", name="Qq")])
    return {row.id: row for row in await store.work.find_items("t", list(rows))}


async def test_lists_by_what_is_asked_newest_first(store: Store, rows: dict[str, ItemRow]) -> None:
    for asked, ids in CASES:
        which = ItemFilter(**asked)
        expected = [rows[id] for id in reversed(ids)]
        found = await store.work.list_items("t", which, limit=99)
        assert [row.id for row in found] == [row.id for row in expected], asked
        assert found == expected
        assert await store.work.count_items("t", which, cap=99) == len(ids), asked
        assert await store.work.count_items("t", which, cap=1) == min(1, len(ids))
        assert await store.work.list_items("v", which, limit=99) == []
        assert await store.work.count_items("v", which, cap=99) == 0


async def test_lists_go_on_behind_an_item(store: Store, rows: dict[str, ItemRow]) -> None:
    for asked, ids in CASES:
        found: list[str] = []
        before: bytes | None = None
        while part := await store.work.list_items("t", ItemFilter(**asked), limit=2, before=before):
            assert len(part) <= 2
            found += [row.id for row in part]
            before = part[-1].uid
        assert found == ids[::-1], asked


async def test_lists_of_a_bulk_operation(store: Store, rows: dict[str, ItemRow]) -> None:
    batch = b"batch-number-001"
    moved = [after(rows[id], "save", batch=batch) for id in ("plain", "bob's", "demo")]
    await made(store, *moved)
    await made(store, after(moved[0].row, "save", batch=batch))  # twice
    await made(store, after(rows["late"], "save", batch=b"batch-number-002"))
    which = ItemFilter(batch=batch, demo=None)
    assert [row.id for row in await store.work.list_items("t", which, limit=9)] == ["demo", "bob's", "plain"]
    assert await store.work.count_items("t", which, cap=9) == 3
    bobs = ItemFilter(batch=batch, assignee="bob")
    assert [row.id for row in await store.work.list_items("t", bobs, limit=9)] == ["bob's"]
    assert await store.work.list_items("u", which, limit=9) == []


async def test_a_changed_title_is_found(store: Store, rows: dict[str, ItemRow]) -> None:
    assert await put(store, after(rows["plain"], "save", fields={"title": "ÄNDERUNG"})) == ["done"]
    for text, ids in (("änder", ["plain"]), ("title of plain", [])):
        found = await store.work.list_items("t", ItemFilter(text=text), limit=9)
        assert [row.id for row in found] == ids


async def test_text_that_no_database_holds_is_in_no_title(store: Store) -> None:
    await made(store, change(item("i-1")))
    for text in ("a\0b", "\0"):
        assert await store.work.list_items("t", ItemFilter(text=text), limit=9) == []
        assert await store.work.count_items("t", ItemFilter(text=text), cap=9) == 0
        assert await store.work.list_subjects("t", text=text, limit=9) == []
