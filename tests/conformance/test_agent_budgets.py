"""What was spent and granted, what it was spent on, and files of phases, over every store."""

from typing import Any

import pytest

from holdfast.errors import UsageError
from holdfast.store.agent_rows import DAY_US, CostRow, Grant, PhaseFileRow, Spent, SpentQuery
from holdfast.store.base import Rejected, Store
from tests.conformance.agent_kit import DAY, call
from tests.conformance.kit import commit, running, settle

NOTHING = Spent(0, 0, 0, 0)


def grant(id: str, query: SpentQuery, tokens: int = 0, cost: int = 0, **changes: Any) -> Grant:
    return Grant(id, query, tokens, cost, "ann", 5)._replace(**changes)


async def granted(store: Store, query: SpentQuery) -> tuple[int, int]:
    (spent,) = await store.agents.spent([query])
    return spent.granted_tokens, spent.granted_cost


async def test_what_was_spent_is_told_of_a_phase_a_run_a_day_and_the_tenant(store: Store) -> None:
    first, second = await running(store, "first"), await running(store, "second")
    other = await running(store, "other", tenant="other")
    later = {"ended_at": (DAY + 1) * DAY_US}
    await commit(
        store,
        model_calls=[
            call(first, 0, cost=1), call(first, 1, cost=2, phase="review"), call(first, 2, cost=4, **later),
            call(second, 0, cost=8), call(second, 1, cost=None, outcome="timeout", output_tokens=0),
            call(other, cost=16),
        ],
    )  # fmt: skip
    asked = {
        SpentQuery("t", first.uid, "draft"): Spent(30, 5, 0, 0),
        SpentQuery("t", first.uid, "review"): Spent(15, 2, 0, 0),
        SpentQuery("t", first.uid): Spent(45, 7, 0, 0),
        SpentQuery("t", second.uid): Spent(25, 8, 0, 0),
        SpentQuery("t", day=DAY): Spent(55, 11, 0, 0),
        SpentQuery("t", day=DAY + 1): Spent(15, 4, 0, 0),
        SpentQuery("t"): Spent(70, 15, 0, 0),
        SpentQuery("other"): Spent(15, 16, 0, 0),
        SpentQuery("other", first.uid): NOTHING,
        SpentQuery("t", first.uid, "none"): NOTHING,
        SpentQuery("t", day=DAY - 1): NOTHING,
    }
    assert await store.agents.spent(list(asked)) == list(asked.values())
    for query, spent in asked.items():
        assert await store.agents.spent([query]) == [spent]
    assert await store.agents.spent([]) == []


async def test_a_grant_counts_once_for_its_own_budget(store: Store) -> None:
    run = await running(store, "a")
    budgets = [
        SpentQuery("t", run.uid, "draft"), SpentQuery("t", run.uid), SpentQuery("t", day=DAY), SpentQuery("t"),
        SpentQuery("t", run.uid, "review"), SpentQuery("t", day=DAY + 1), SpentQuery("other"),
    ]  # fmt: skip
    for number, budget in enumerate(budgets[:4]):
        for _ in range(2):
            await store.agents.grant(grant(f"g{number}", budget, tokens=10**number, cost=5 * 10**number))
        # What was granted under an id stays, whatever comes later under it.
        await store.agents.grant(grant(f"g{number}", SpentQuery("t"), tokens=1_000_000))
    assert await store.agents.spent(budgets) == [
        Spent(0, 0, 1, 5), Spent(0, 0, 10, 50), Spent(0, 0, 100, 500), Spent(0, 0, 1000, 5000),
        NOTHING, NOTHING, NOTHING,
    ]  # fmt: skip
    await store.agents.grant(grant("more", SpentQuery("t"), cost=1))
    await store.agents.grant(grant("g3", SpentQuery("other"), tokens=7))  # ids are a tenant's own
    assert await granted(store, SpentQuery("t")) == (1000, 5001)
    assert await granted(store, SpentQuery("other")) == (7, 0)


async def test_the_grants_of_a_run_go_with_it(store: Store) -> None:
    run = await running(store, "a")
    await store.agents.grant(grant("g", SpentQuery("t", run.uid), tokens=5))
    await store.agents.grant(grant("of the day", SpentQuery("t", day=DAY), tokens=5))
    await commit(store, settles=[settle(run)])
    assert await store.prune([("", "succeeded", 3600)], b"", 9) == (1, None)
    assert await granted(store, SpentQuery("t", run.uid)) == (0, 0)
    assert await granted(store, SpentQuery("t", day=DAY)) == (5, 0)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (SpentQuery("t", phase="draft"), "the phase 'draft' needs the run"),
        (SpentQuery("t", b"r" * 16, day=1), "of a run or of a day, not of both"),
    ],
)
async def test_a_budget_that_is_none_is_refused(store: Store, query: SpentQuery, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        await store.agents.spent([query])
    with pytest.raises(UsageError, match=why):
        await store.agents.grant(grant("g", query))


async def test_costs_are_told_by_each_of_what_they_are_of_the_dearest_first(store: Store) -> None:
    one = await running(store, "one")
    two = await running(store, "two", workflow="child")
    other = await running(store, "other", tenant="other")
    tomorrow = {"ended_at": (DAY + 1) * DAY_US}
    await commit(
        store,
        model_calls=[
            call(one, 0, cost=1, phase="a", model="x"),
            call(one, 1, cost=10, phase="b", model="y", **tomorrow),
            call(two, 0, cost=100, phase="b", model="x"),
            call(two, 1, cost=None, phase="a", model="y", outcome="refused", **tomorrow),
            call(other, cost=1000),
        ],
    )

    async def costs(*by: Any, since: int = DAY, until: int = DAY + 2, limit: int = 9) -> list[tuple[Any, ...]]:
        rows = await store.agents.costs("t", since, until, by, limit=limit)
        return [(*(value for value in row[:4] if value is not None), row.calls, row.cost) for row in rows]

    assert await costs() == [(4, 111)]
    assert await costs("day") == [(DAY, 2, 101), (DAY + 1, 2, 10)]
    assert await costs("workflow") == [("child", 2, 100), ("flow", 2, 11)]
    assert await costs("phase") == [("b", 2, 110), ("a", 2, 1)]
    assert await costs("model") == [("x", 2, 101), ("y", 2, 10)]
    assert await costs("model", "day") == [(DAY, "x", 2, 101), (DAY + 1, "y", 2, 10)]
    assert await costs("phase", "workflow") == [
        ("child", "b", 1, 100), ("flow", "b", 1, 10), ("flow", "a", 1, 1), ("child", "a", 1, 0),
    ]  # fmt: skip
    assert await costs("day", "workflow", "phase", "model", limit=2) == [
        (DAY, "child", "b", "x", 1, 100), (DAY, "flow", "a", "x", 1, 1),
    ]  # fmt: skip
    assert await costs("day", until=DAY + 1) == [(DAY, 2, 101)]
    assert await costs("day", since=DAY + 1) == [(DAY + 1, 2, 10)]
    assert await costs("day", since=DAY + 2) == []
    (row,) = await store.agents.costs("t", DAY + 1, DAY + 2, ["model"], limit=9)
    assert row == CostRow(None, None, None, "y", 2, 1, 1, 20, 4, 10, 10)


def phases(version: str, at: int = 5, **changes: Any) -> PhaseFileRow:
    return PhaseFileRow("t", "orders", version, f"content of {version}".encode(), at)._replace(**changes)


async def test_versions_of_phases_are_kept_for_each_tenant(store: Store) -> None:
    agents = store.agents
    assert await agents.phases("t", "orders") is None
    for row in (
        phases("one"), phases("two", 6), phases("one", 9, tenant="other"), phases("first", 1, name="claims"),
    ):  # fmt: skip
        await agents.keep_phases(row)
        await agents.keep_phases(row)
    assert await agents.phases("t", "orders") == phases("two", 6)
    assert await agents.phases("t", "orders", "one") == phases("one")
    assert await agents.phases("t", "orders", "three") is None
    assert await agents.phases("other", "orders", "two") is None
    assert await agents.phases("other", "orders") == phases("one", 9, tenant="other")
    assert await agents.phase_files("t", limit=9) == [phases("first", 1, name="claims"), phases("two", 6)]
    assert await agents.phase_files("t", limit=1) == [phases("first", 1, name="claims")]
    assert await agents.phase_files("nobody", limit=9) == []


async def test_a_version_that_is_kept_again_is_the_newest_whatever_the_clock_says(store: Store) -> None:
    agents = store.agents
    for version, at in (("one", 100), ("two", 200), ("one", 150), ("two", 3), ("three", 3)):
        await agents.keep_phases(phases(version, at))
        newest = await agents.phases("t", "orders")
        assert newest is not None
        assert (newest.version, newest.content) == (version, f"content of {version}".encode())
        assert [row.version for row in await agents.phase_files("t", limit=9)] == [version]
    stored = await agents.phases("t", "orders", "one")
    assert stored is not None


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "k" * 513])
async def test_texts_that_one_database_refuses_are_refused_by_all(store: Store, text: str) -> None:
    agents = store.agents
    for refused in (
        agents.grant(grant(text, SpentQuery("t"))),
        agents.keep_phases(phases("one", name=text)),
        agents.reserve(text, 1, 1),
        agents.postpone(text, 1),
    ):
        with pytest.raises(Rejected):
            await refused
