"""Duties that one process has at a time, and alerts that are written in the term in which they were found."""

import asyncio
from typing import Any

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.url import make_store
from tests.conformance.agent_kit import clock_of
from tests.conformance.alert_kit import ANN, BOB, LEASE_US, alert, leading, put
from tests.conformance.intake_kit import message
from tests.conformance.outbox_kit import statuses


async def rules(store: Store, state: Any = None, limit: int = 9, tenant: str = "t") -> list[str]:
    return [row.rule for row in await store.alerts.alerts(tenant, state=state, limit=limit)]


async def test_one_process_has_a_duty_at_a_time(store: Store) -> None:
    lead = store.alerts.lead
    assert await lead("watching", ANN, LEASE_US) == 1
    assert await lead("watching", BOB, LEASE_US) is None
    assert await lead("watching", ANN, LEASE_US) == 1
    assert await lead("reading", BOB, LEASE_US) == 1


async def test_a_duty_goes_to_another_when_its_lease_ends_and_its_term_rises(store: Store, store_url: str) -> None:
    lead, clock = store.alerts.lead, clock_of(store, store_url)
    assert await lead("watching", ANN, LEASE_US) == 1
    await clock.forward(LEASE_US // 2)
    assert await lead("watching", ANN, LEASE_US) == 1
    await clock.forward(LEASE_US // 2 + 1_000_000)
    assert await lead("watching", BOB, LEASE_US) is None  # the lease was renewed
    await clock.forward(LEASE_US)
    assert await lead("watching", ANN, LEASE_US) == 1  # nobody had it in between
    await clock.forward(LEASE_US + 1_000_000)
    assert await lead("watching", BOB, LEASE_US) == 2
    assert await lead("watching", ANN, LEASE_US) is None
    await clock.forward(LEASE_US + 1_000_000)
    assert await lead("watching", ANN, LEASE_US) == 3


async def test_who_lets_a_duty_go_lets_the_next_one_have_it_at_once(store: Store) -> None:
    lead = store.alerts.lead
    assert await lead("watching", ANN, LEASE_US) == 1
    assert await lead("watching", BOB, 0) is None  # it was not his
    assert await lead("watching", BOB, LEASE_US) is None
    assert await lead("watching", ANN, 0) is None
    assert await lead("watching", BOB, LEASE_US) == 2
    assert await lead("watching", BOB, 0) is None
    assert await lead("watching", BOB, LEASE_US) == 3


async def test_of_many_who_want_a_duty_one_has_it(disk_url: str) -> None:
    stores = [make_store(disk_url) for _ in range(3)]
    for store in stores:
        await store.open()
    terms = await asyncio.gather(
        *(store.alerts.lead("watching", b"%d" % n, LEASE_US) for n, store in enumerate(stores * 4))
    )
    assert sorted(term for term in terms if term is not None) == [1]
    await asyncio.gather(*(store.close() for store in stores))


async def test_alerts_are_written_with_the_messages_that_tell_of_them(store: Store) -> None:
    term = await leading(store)
    row = alert("stuck", about="orders", told_at=250)
    assert await store.alerts.put_alerts("watching", term, [row], [message(id="told")])
    assert await store.alerts.alerts("t", state=None, limit=9) == [row]
    assert await store.alerts.open_alerts() == [row]
    assert await statuses(store) == {"told": "pending"}
    # Safe to repeat.
    later = row._replace(state="resolved", resolved_at=300, value=0.0)
    assert await store.alerts.put_alerts("watching", term, [row, later], [message(id="told")])
    assert await store.alerts.alerts("t", state=None, limit=9) == [later]
    assert await store.alerts.open_alerts() == []
    assert await statuses(store) == {"told": "pending"}


async def test_nothing_is_written_when_another_term_has_begun(store: Store) -> None:
    term = await leading(store)
    assert await store.alerts.lead("watching", ANN, 0) is None
    assert await leading(store, holder=BOB) == term + 1
    for late in (term, term + 2):
        assert not await store.alerts.put_alerts("watching", late, [alert("stuck")], [message(id="told")])
    assert not await store.alerts.put_alerts("another duty", term + 1, [alert("stuck")], [message(id="told")])
    assert await store.alerts.open_alerts() == []
    assert await statuses(store) == {}


async def test_all_of_a_call_is_written_or_nothing(store: Store) -> None:
    term = await leading(store)
    wrong = [
        alert("b", text="a\0b"), alert("b", value=float("nan")), alert("b" * 600),
        alert("b", "resolved", resolved_at=None), alert("b", resolved_at=9),
    ]  # fmt: skip
    for one in wrong:
        with pytest.raises(Rejected):
            await store.alerts.put_alerts("watching", term, [alert("a"), one], [])
    assert await store.alerts.open_alerts() == []


async def test_what_was_pending_only_leaves_nothing(store: Store) -> None:
    await put(store, alert("a", "pending"), alert("b", "pending"), alert("c"))
    await put(store, alert("a", "resolved", fired_at=None), alert("never seen", "resolved", fired_at=None))
    assert await rules(store) == ["c", "b"]


async def test_alerts_come_by_how_much_they_matter(store: Store) -> None:
    await put(
        store, alert("over", "resolved"), alert("over last", "resolved", resolved_at=400), alert("seen", "pending"),
        alert("seen last", "pending", since=150), alert("fires"), alert("fires last", fired_at=260),
        alert("theirs", tenant="u"),
    )  # fmt: skip
    whole = ["fires last", "fires", "seen last", "seen", "over last", "over"]
    assert await rules(store) == whole
    assert [await rules(store, limit=n) for n in range(1, 6)] == [whole[:n] for n in range(1, 6)]
    assert await rules(store, "firing") == whole[:2]
    assert await rules(store, "pending") == whole[2:4]
    assert await rules(store, "resolved") == whole[4:]
    assert await rules(store, tenant="u") == ["theirs"]
    assert {(row.tenant, row.rule) for row in await store.alerts.open_alerts()} == {
        ("t", "fires"), ("t", "fires last"), ("t", "seen"), ("t", "seen last"), ("u", "theirs"),
    }  # fmt: skip


async def test_an_alert_that_comes_again_is_another_one(store: Store) -> None:
    await put(store, alert("stuck", "resolved"))
    await put(store, alert("stuck", "pending", since=500), alert("stuck", about="orders"))
    found = await store.alerts.alerts("t", state=None, limit=9)
    assert [(row.about, row.state, row.since) for row in found] == [
        ("orders", "firing", 100), ("", "pending", 500), ("", "resolved", 100),
    ]  # fmt: skip


async def test_alerts_that_were_resolved_long_ago_are_deleted(store: Store) -> None:
    old = [alert(str(n), "resolved", tenant="tu"[n % 2], resolved_at=300 + n) for n in range(5)]
    await put(store, alert("fires", fired_at=2), *old)
    assert [await store.alerts.prune_alerts(304, 3) for _ in range(3)] == [3, 1, 0]
    assert await rules(store) == ["fires", "4"]
    assert await rules(store, tenant="u") == []
