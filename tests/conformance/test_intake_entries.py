"""Entries as they are found, settled and pruned."""

from typing import Any

import pytest

from holdfast.cli.databases import reading
from holdfast.errors import UsageError
from holdfast.store.base import Store
from holdfast.store.intake_rows import EntryFilter
from holdfast.store.url import make_store
from tests.conformance.alert_kit import alert, put
from tests.conformance.intake_kit import (
    AT,
    counts,
    dead,
    entry,
    filtered,
    known,
    opened,
    outcome,
    settling,
    taken,
    taking,
)
from tests.conformance.kit import claim, start


async def names(store: Store, **which: Any) -> str:
    found = "".join(row.message_id for row in await known(store, **which))
    assert await store.intake.count_entries("t", EntryFilter(**which), cap=99) == len(found)
    return found


async def test_entries_are_found_by_all_that_is_given(store: Store) -> None:
    await taken(store, entry("a"), filtered("b"), dead("c"))
    await taken(store, entry("d"), dead("e"), at=AT + 10)
    other = await opened(store, name="others")
    await store.intake.take_in(taking(other, entry("a", start=start("others/a")), dead("f"), at=AT + 20))
    assert await names(store) == "faedcba"
    assert await names(store, source="orders") == "edcba"
    assert await names(store, source="others") == "fa"
    assert await names(store, outcome="dead") == "fec"
    assert await names(store, outcome="dead", source="orders") == "ec"
    assert await names(store, outcome="run") == "ada"
    assert await names(store, message_id="a") == "aa"
    assert await names(store, message_id="a", source="others") == "a"
    assert await names(store, run_id="others/a") == "a"
    assert await names(store, run_id="others/a", outcome="dead") == ""
    assert await names(store, since=AT + 10) == "faed"
    assert await names(store, since=AT + 1, until=AT + 20) == "ed"
    assert await known(store, "u") == []


async def test_entries_come_in_pages_and_are_counted_up_to_a_cap(store: Store) -> None:
    await taken(store, *map(entry, "abcde"))
    seen, before = "", None
    while page := await store.intake.entries("t", EntryFilter(), limit=2, before=before):
        seen, before = seen + "".join(row.message_id for row in page), page[-1].uid
    assert seen == "edcba"
    assert await store.intake.count_entries("t", EntryFilter(), cap=3) == 3


async def test_the_content_of_a_dead_entry_is_kept_until_it_is_settled(store: Store) -> None:
    await taken(store, dead("a"), dead("b"))
    later, first = await known(store)
    found = await store.intake.entry("t", first.uid)
    assert found is not None
    assert found.content == b"{"
    assert await store.intake.entry("u", first.uid) is None
    assert await store.intake.settle_entry(settling(first))
    found = await store.intake.entry("t", first.uid)
    assert found is not None
    assert (found.content, found.outcome, found.reason, found.settled_by) == (None, "discarded", "by hand", "ann")
    assert await counts(store) == (0, 0, 0, 1)
    assert await names(store, outcome="dead") == later.message_id


async def test_a_dead_entry_is_taken_in_after_all_once(store: Store) -> None:
    await taken(store, dead("a"))
    (row,) = await known(store)
    asked = settling(row, "orders/a")
    assert await store.intake.settle_entry(asked)
    assert await store.intake.settle_entry(asked)  # again, after a lost connection
    assert not await store.intake.settle_entry(settling(row, "orders/b"))
    assert not await store.intake.settle_entry(settling(row))
    assert [run.id for run in await claim(store)] == ["orders/a"]
    (row,) = await known(store)
    assert (row.outcome, row.run_id, row.path, row.settled_by) == ("run", "orders/a", "primary", "ann")
    assert row.reason == "no JSON"
    assert await counts(store) == (1, 0, 0, 0)
    assert [row.uid for row in await store.list_audit("t", limit=9)] == [asked.audit.uid]
    # It is known as before.
    assert (await taken(store, entry("a"))).outcomes == ("repeated",)


async def test_only_a_tenant_s_own_entry_is_settled(store: Store) -> None:
    await taken(store, dead("a"))
    (row,) = await known(store)
    other = settling(row)
    assert not await store.intake.settle_entry(other._replace(tenant="u", audit=other.audit._replace(tenant="u")))
    with pytest.raises(UsageError, match="of the tenant 'u'"):
        await store.intake.settle_entry(settling(row, start=start("orders/a", tenant="u")))
    with pytest.raises(UsageError, match="recorded as one of 'u'"):
        await store.intake.settle_entry(settling(row, audit=other.audit._replace(tenant="u")))
    assert await names(store, outcome="dead") == "a"


async def test_old_entries_and_outcomes_are_deleted_but_not_the_dead(store: Store) -> None:
    await taken(store, dead("a"), entry("b"), filtered("c"))
    await taken(store, entry("d"), at=AT + 10)
    await store.intake.open_source("t", "orders", "jsonl", "other")
    await taken(store, entry("e"), entry("f"))
    await store.intake.put_outcomes([outcome("b"), outcome("x"), outcome("d", at=AT + 10)])
    await store.intake.put_outcomes([outcome("y", workflow="other"), outcome("z", tenant="u")])
    assert [await store.intake.prune_entries("t", AT + 10, 3) for _ in range(4)] == [3, 3, 1, 0]
    assert await names(store) == "da"
    assert await store.intake.put_outcomes([outcome("d", at=AT + 10), outcome("z", tenant="u")]) == 0
    assert await store.intake.put_outcomes([outcome("b"), outcome("x"), outcome("y", workflow="other")]) == 3


async def test_old_entries_of_all_tenants_are_deleted_together(store: Store) -> None:
    for tenant in "tu":
        made = entry("a", start=start("orders/a", tenant=tenant))
        await store.intake.take_in(taking(await opened(store, tenant), made, dead("b")))
        await store.intake.put_outcomes([outcome("a", tenant=tenant)])
    assert [await store.intake.prune_entries(None, AT + 1, 3) for _ in range(3)] == [3, 1, 0]
    assert [await store.intake.count_entries(tenant, EntryFilter(), cap=9) for tenant in "tu"] == [1, 1]


async def test_a_store_that_only_reads_finds_sources_entries_and_alerts(disk_url: str) -> None:
    store = make_store(disk_url)
    await store.open()
    await taken(store, entry("a"))
    await put(store, alert("stuck"))
    async with reading(disk_url) as only:
        assert await only.intake.sources("t") == [await opened(store)]
        assert await only.intake.entries("t", EntryFilter(), limit=9) == await known(store)
        assert [row.rule for row in await only.alerts.alerts("t", state=None, limit=9)] == ["stuck"]
    await store.close()
