"""What alerts are measured by: over all tenants, and no further than asked."""

import pytest

from holdfast.store.base import Store
from holdfast.store.rows import TallyRow
from tests.conformance.kit import OTHER, claim, commit, make, register, settle, start


def tally(tenant: str, since: int, span: int = 60, runs: int = 1) -> TallyRow:
    return TallyRow(tenant, span, since, "w", "failed", b"p" * 16, runs, 5, 6, b"[1]", b"[2]")


async def test_tenants_are_those_that_have_something(store: Store) -> None:
    assert await store.alerts.tenants(10) == []
    await make(store, start("r-1", tenant="b"), start("r-2", tenant="b"), start("r-3", tenant="a"))
    await store.intake.open_source("s", "orders", "jsonl", "w")
    assert await store.alerts.tenants(10) == ["a", "b", "s"]
    assert await store.alerts.tenants(2) == ["a", "b"]


async def test_a_queue_is_counted_up_to_a_cap(store: Store) -> None:
    await make(store, *(start(f"r-{n}", kind=("deep", "flow", "v1", 1)) for n in range(5)))
    assert await store.alerts.depths(["deep", "none", "deep"], 3) == [3, 0, 3]
    assert await store.alerts.depths(["deep"], 10) == [5]
    assert await store.alerts.depths([], 10) == []


async def test_what_ended_is_that_of_the_minutes_of_all_tenants(store: Store) -> None:
    await store.put_tallies([tally("a", 60), tally("a", 120), tally("b", 180, runs=3), tally("a", 3600, 3600)])
    found = await store.alerts.ended(120)
    assert found == [tally("a", 120), tally("b", 180, runs=3)]


async def test_runs_in_trouble_are_told_by_their_workflows_the_newest_only(store: Store) -> None:
    await make(store, *(start(f"r-{n}") for n in range(4)))
    statuses = ["failed", "failed", "held", "succeeded"]
    ends = [settle(run, status) for run, status in zip(await claim(store, 4), statuses, strict=True)]
    await commit(store, settles=ends)
    assert await store.alerts.troubled("t", "failed", 10) == [("flow", None), ("flow", None)]
    assert await store.alerts.troubled("t", "failed", 1) == [("flow", None)]
    assert await store.alerts.troubled("t", "held", 10) == [("flow", b"result")]
    assert await store.alerts.troubled("another", "failed", 10) == []


async def test_a_worker_that_is_lost_is_remembered_and_one_that_leaves_is_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(store, OTHER)
    await store.remove_worker(OTHER)
    assert await store.alerts.lost_workers(0, 10) == []
    at = await store.now()
    for number in range(2):
        await store.register_worker(b"lost worker %05d" % number, "there", number, 1, 1)
    assert (await store.rescue(10)).workers == 2
    lost = await store.alerts.lost_workers(at, 10)
    assert {(one.host, one.pid) for one in lost} == {("there", 0), ("there", 1)}
    assert lost[0].at >= lost[1].at
    assert await store.alerts.lost_workers(lost[0].at + 1, 10) == []
    assert await store.alerts.lost_workers(0, 1) == lost[:1]
    assert (await store.rescue(10)).workers == 0
    await store.tidy(10**15, 10)
    assert await store.alerts.lost_workers(0, 10) == lost
    for module in ("sqlite", "postgres"):
        monkeypatch.setattr(f"holdfast.store.{module}.tallies.LOST_KEPT_US", 0)
    await store.tidy(10**15, 10)
    assert await store.alerts.lost_workers(0, 10) == []
