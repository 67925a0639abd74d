"""How SQLite goes about the reads of the work queue: by an index, in order, under a policy too."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.model.expressions import Field
from holdfast.store.sqlite import schema
from holdfast.store.sqlite.confined import Policy
from holdfast.store.sqlite.connection import connect
from holdfast.store.sqlite.work import figures, items, links, lists, queue, subjects
from holdfast.store.work import ItemFilter

OPEN = ("not_started", "underway", "snoozed")


class Explaining:
    """A connection that tells the plan of each statement before it executes it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.plan: list[str] = []

    def execute(self, statement: str, parameters: Any = ()) -> Any:
        explained = f"EXPLAIN QUERY PLAN {statement}"
        self.plan += [row[3] for row in self.connection.execute(explained, parameters).fetchall()]
        return self.connection.execute(statement, parameters)


@pytest.fixture(params=["plain", "confined"])
def explaining(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty database, read as it is and by one tenant."""
    connection = connect(None)
    schema.prepare(connection, ":memory:", migrate=False)
    found = Explaining(connection)
    if request.param == "plain":
        yield found
    else:
        window = Policy().window(connection, "t")
        monkeypatch.setattr(window, "_connection", found)
        window.plan = found.plan  # type: ignore[attr-defined]
        # What explains stands before the tables of the tenant.
        yield window
    connection.close()


def plan_of(explaining: Any) -> str:
    """The plan of what was executed since it was asked last."""
    found = "; ".join(explaining.plan)
    explaining.plan.clear()
    return found


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, "items_uid"),
        ({"assignee": "a"}, "items_assignee"),
        ({"assignee": ""}, "items_assignee"),
        ({"statuses": ("skipped",)}, "items_status"),
        ({"statuses": ("skipped", "completed")}, "items_uid"),
        ({"statuses": OPEN}, "items_open"),
        ({"statuses": OPEN, "assignee": "a"}, "items_queue"),
        ({"pool": "a"}, "items_pool"),
        ({"definition": "a"}, "items_definition"),
        ({"type": "a"}, "items_type"),
        ({"subject": "a"}, "items_subject"),
        ({"kind": "ask"}, "items_kind"),
        ({"escalated_to": "a"}, "items_escalated"),
        ({"blocked": True}, "items_blocked"),
        ({"demo": True}, "items_demo"),
        ({"overdue": True}, "items_due"),
        ({"overdue": True, "assignee": "a"}, "items_queue"),
    ],
)
def test_a_page_of_items_is_read_by_an_index_in_its_order(explaining: Any, asked: dict[str, Any], index: str) -> None:
    lists.list_items(explaining, "t", ItemFilter(**asked), 10, b"x")
    plan = plan_of(explaining)
    assert f"USING INDEX {index} (tenant=?" in plan
    assert ("TEMP B-TREE" in plan) == (index == "items_due")  # that is in the order of another instant
    lists.count_items(explaining, "t", ItemFilter(**asked), 10)
    assert "SCAN i" not in plan_of(explaining)


def test_a_queue_reads_the_open_items_of_its_assignee(explaining: Any) -> None:
    asked = queue.Asked("t", "ann", 5, 10, False, False, ())
    queue.queue(explaining, asked, Field("weight"))
    assert "items_queue (tenant=? AND assignee=?)" in plan_of(explaining)
    queue.queue(explaining, asked._replace(pools=("a", "b")), Field("weight"))
    plan = plan_of(explaining)
    assert "items_queue (tenant=? AND assignee=?)" in plan
    assert "items_unclaimed (tenant=? AND pool=?)" in plan
    queue.scored(explaining, "t", [b"a", b"b"], Field("weight"), 5)
    assert "items_uid (tenant=? AND uid=?)" in plan_of(explaining)


def test_what_is_due_held_or_ended_is_found_without_its_history(explaining: Any) -> None:
    lists.due_items(explaining, 5, 9)
    assert "items_act (act_at>? AND act_at<?)" in plan_of(explaining)
    links.held_without_item(explaining, 9)
    plan = plan_of(explaining)
    assert "COVERING INDEX troubled_held" in plan
    assert "items_run (kind=? AND tenant=? AND run=?)" in plan
    for find in (links.hold_items_of_others, links.ask_items_of_ended):
        find(explaining, 9)
        assert "items_run (kind=?)" in plan_of(explaining)
    links.is_run_ended(explaining)
    assert "item_links_on_run" in plan_of(explaining)


def test_what_belongs_to_an_item_or_a_subject_is_found_by_it(explaining: Any) -> None:
    items.item_history(explaining, "t", b"x", 0, 9)
    assert "item_events_item (tenant=? AND item=? AND revision>?)" in plan_of(explaining)
    items.batch_events(explaining, "t", b"x")
    assert "item_events_batch (tenant=? AND batch=?)" in plan_of(explaining)
    links.links_of(explaining, "t", [b"x"])
    assert "item_links_item (tenant=? AND item=?)" in plan_of(explaining)
    links.links_on(explaining, "t", [b"x"])
    assert "item_links_on_item (tenant=? AND on_item=?)" in plan_of(explaining)
    subjects.signals_at(explaining, "t", "n", 5, "", 9)
    assert "USE TEMP B-TREE" not in plan_of(explaining)
    figures.figures(explaining, "t", 0, 5, "assignee", False, None, None)
    assert "item_events_at (tenant=? AND at>? AND at<?)" in plan_of(explaining)
    figures.loads(explaining, "t", 5)
    plan = plan_of(explaining)
    assert "items_queue (tenant=?)" in plan
    assert "items_completed (tenant=? AND definition=? AND completed_at>?)" in plan
