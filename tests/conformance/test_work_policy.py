"""Of the work queue, a store under a tenant's policy reads what is the tenant's; and tenants never mix."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.errors import UsageError
from holdfast.model.expressions import Add, Field, Signal, Term
from holdfast.store.base import Store
from holdfast.store.work import ItemFilter, WorkStore
from holdfast.store.work_rows import Claimed, ItemRow, SettingsRow
from tests.conformance.kit import make, start
from tests.conformance.steering_kit import ask
from tests.conformance.work_kit import (
    DAY,
    HOUR,
    NOW,
    OPEN,
    after,
    change,
    definition,
    item,
    link,
    made,
    signal,
    subject,
)

Question = Callable[[WorkStore], Awaitable[Any]]

SCORE = Add((Term("base", Field("weight")), Term("tier", Signal("tier")), Term("weak", Field("weak"))))
BATCH = b"batch-number-001"

READS = {
    "find_subjects", "list_subjects", "list_signals", "signals_at", "signal_names", "find_definition",
    "list_definitions", "list_versions", "find_settings", "find_items", "list_items", "count_items", "queue", "scored",
    "due_items", "item_history", "batch_events", "taken_places", "links_of", "links_on", "held_without_item",
    "hold_items_of_others", "ask_items_of_ended", "figures", "loads", "efforts",
}  # fmt: skip
VERBS = {name for name in vars(WorkStore) if not name.startswith("_")}


async def settle_in(store: Store, tenant: str) -> dict[str, ItemRow]:
    """Give a tenant something in every table; its items by id."""
    one = {"tenant": tenant}
    await store.work.put_subjects([subject("acme", assignee="ann", weak=len(tenant), name=f"of {tenant}", **one)])
    await store.work.put_signals([signal("tier", 4, **one), signal(f"of {tenant}", 1, **one)])
    await store.work.put_scores(tenant, [("acme", b'{"risk": {}}')])
    for version in (1, 2):
        await store.work.put_definition(definition("renew", version=version, weight=700, **one))
    await store.work.put_settings(SettingsRow(tenant, b"{}", 1))
    await make(store, start("held", tenant=tenant), start("runs", tenant=tenant))
    (held,) = await store.find_runs(tenant, ["held"])
    await ask(store, held.uid, "hold", tenant=tenant)
    rows = {
        "placed": item("placed", definition="renew", subject="acme", due_at=NOW, act_at=NOW + 1, **one),
        "done": item("done", definition="renew", subject="acme", **one),
        "waits": item("waits", blocked=True, **one),
        "pooled": item("pooled", assignee=None, pool="sales", **one),
        "demo": item("demo", demo=True, position=1, **one),
        "hold": item("hold", kind="hold", run="runs", **one),
        "ask": item("ask", kind="ask", run="gone", escalated_to="eve", **one),
    }
    await made(store, rows["placed"])
    await store.work.put_links([link(rows["waits"], rows["placed"])])
    await made(store, *(row for id, row in rows.items() if id not in ("placed", "done")))
    await made(store, rows["done"])
    started = after(rows["done"], "start", at=NOW + HOUR, batch=BATCH)
    await made(store, started, after(started.row, "complete", at=NOW + 2 * HOUR))
    await made(store, after(rows["placed"], "save", place=OPEN, fields={"data": b"[1]"}))
    return rows


def questions(tenant: str, rows: dict[str, ItemRow]) -> dict[str, Question]:
    """Every read; each finds something, if the store may see it."""
    uids, ids = [row.uid for row in rows.values()], list(rows)

    async def in_order(found: Awaitable[list[Any]]) -> list[Any]:
        return sorted(await found, key=repr)

    def listed(**asked: Any) -> Question:
        return lambda w: w.list_items(tenant, ItemFilter(**asked), limit=99)

    found: dict[str, Question] = {
        "find_subjects": lambda w: w.find_subjects(tenant, ["acme"]),
        "list_subjects": lambda w: w.list_subjects(tenant, limit=9),
        "subjects by assignee": lambda w: w.list_subjects(tenant, limit=9, assignee="ann"),
        "subjects by text": lambda w: w.list_subjects(tenant, limit=9, text="of"),
        "list_signals": lambda w: w.list_signals(tenant, "acme", limit=9),
        "signals by name": lambda w: w.list_signals(tenant, "acme", name="tier", limit=9),
        "signals_at": lambda w: w.signals_at(tenant, "tier", NOW, after="", limit=9),
        "signal_names": lambda w: w.signal_names(tenant),
        "find_definition": lambda w: w.find_definition(tenant, "renew"),
        "an older definition": lambda w: w.find_definition(tenant, "renew", 1),
        "list_definitions": lambda w: w.list_definitions(tenant),
        "list_versions": lambda w: w.list_versions(tenant, "renew"),
        "find_settings": lambda w: w.find_settings(tenant),
        "find_items": lambda w: in_order(w.find_items(tenant, ids)),
        "count_items": lambda w: w.count_items(tenant, ItemFilter(), cap=99),
        "queue": lambda w: w.queue(tenant, "ann", SCORE, now=NOW, limit=9),
        "queue with a group": lambda w: w.queue(tenant, "", SCORE, now=NOW, limit=9, pools=("sales",)),
        "queue of the demo": lambda w: w.queue(tenant, "ann", SCORE, now=NOW, limit=9, demo=True),
        "scored": lambda w: in_order(w.scored(tenant, uids, SCORE, now=NOW)),
        "item_history": lambda w: w.item_history(tenant, rows["done"].uid),
        "batch_events": lambda w: w.batch_events(tenant, BATCH),
        "taken_places": lambda w: w.taken_places(tenant, "renew", NOW, after="", limit=9),
        "links_of": lambda w: w.links_of(tenant, uids),
        "links_on": lambda w: w.links_on(tenant, uids),
        "figures": lambda w: w.figures(tenant, 0, NOW + DAY, by=None),
        "figures by definition": lambda w: w.figures(tenant, 0, NOW + DAY, by="definition"),
        "figures of an assignee": lambda w: w.figures(tenant, 0, NOW + DAY, by="assignee", assignee="ann"),
        "loads": lambda w: w.loads(tenant, NOW),
        "efforts": lambda w: w.efforts(tenant, 0),
    }
    asked: list[dict[str, Any]] = [
        {}, {"demo": True}, {"assignee": "ann"}, {"assignee": ""}, {"statuses": ("completed",)},
        {"statuses": ("not_started", "underway")}, {"pool": "sales"}, {"definition": "renew"}, {"type": "custom"},
        {"subject": "acme"}, {"kind": "hold"}, {"escalated_to": "eve"}, {"overdue": False}, {"blocked": True},
        {"text": "title"}, {"text": "of", "subject": "acme"}, {"batch": BATCH},
    ]  # fmt: skip
    return found | {f"list_items {one}": listed(**one) for one in asked}


SHARED: dict[str, Question] = {
    "due_items": lambda w: w.due_items(NOW + DAY, 9),
    "held_without_item": lambda w: w.held_without_item(9),
    "hold_items_of_others": lambda w: w.hold_items_of_others(9),
    "ask_items_of_ended": lambda w: w.ask_items_of_ended(9),
}
"""Reads over all tenants: under a policy they are over the one."""


def tenant_of(row: Any) -> str:
    return str(row[0])  # every row begins with it


async def test_what_is_the_tenant_s_is_found_and_nothing_else(store: Store, looking: Store) -> None:
    ours, theirs = await settle_in(store, "t"), await settle_in(store, "other")
    within = looking.under_policy("t").work
    for name, question in questions("t", ours).items():
        known = await question(store.work)
        assert known, name
        assert await question(within) == known, name
    for name, question in questions("other", theirs).items():
        assert await question(store.work), name
        assert not await question(within), name
    for name, question in SHARED.items():
        everything = await question(store.work)
        assert {tenant_of(row) for row in everything} == {"t", "other"}, name
        assert sorted(await question(within)) == sorted(row for row in everything if tenant_of(row) == "t"), name


async def test_what_another_tenant_has_changes_no_answer(store: Store) -> None:
    rows = await settle_in(store, "t")
    asked = questions("t", rows)
    alone = {name: await question(store.work) for name, question in asked.items()}
    # The same items by the same uids, and more of everything.
    await settle_in(store, "other")
    copies = [row._replace(tenant="third", subject="acme", definition="renew") for row in rows.values()]
    await store.work.put_subjects([subject("acme", tenant="third")])
    await made(store, *(change(row, batch=BATCH) for row in copies))
    await store.work.put_links([link(copies[0], copies[1])])
    await made(store, *(after(row, "skip", place=Claimed(NOW + 9 * DAY)) for row in copies[1:]))
    assert await store.work.recompute("third", SCORE, now=NOW) == 1
    assert await store.work.delete_demo("third") == 1
    assert await store.work.delete_subject("third", "acme")
    assert {name: await question(store.work) for name, question in asked.items()} == alone


async def test_nothing_is_written_under_a_policy(store: Store, looking: Store) -> None:
    within = looking.under_policy("t").work
    assert {
        "put_subjects", "delete_subject", "put_signals", "put_scores", "put_definition", "put_settings", "put_items",
        "recompute", "put_links", "delete_links", "end_run_links", "delete_demo",
    } == VERBS - READS  # fmt: skip
    for verb in sorted(VERBS - READS):
        with pytest.raises(UsageError, match=f"^{verb}: a store under the policy of tenant 't'"):
            getattr(within, verb)("t")
    with pytest.raises(AttributeError):
        within.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_every_read_is_asked() -> None:
    names = {name.split(" ")[0] for name in (*questions("t", {"done": item()}), *SHARED)}
    assert names >= READS
