"""What some runs cost, found by their requests, and which runs they started, over every store."""

from typing import Any

import pytest

from holdfast.store.agent_rows import DAY_US, RUNS_AT_ONCE, CostBy, CostRow
from holdfast.store.base import Store
from tests.conformance.agent_kit import DAY, call
from tests.conformance.kit import child, commit, make, pending, running, start, uid

TOMORROW = {"ended_at": (DAY + 1) * DAY_US}


async def test_costs_of_some_runs_are_told_by_each_of_what_they_are_of(store: Store) -> None:
    one, two, three = [await running(store, id) for id in ("one", "two", "three")]
    other = await running(store, "other", tenant="other")
    await commit(
        store,
        model_calls=[
            call(one, 0, cost=1, phase="a", model="x"),
            call(one, 1, cost=10, phase="b", model="y", **TOMORROW),
            call(two, 0, cost=100, phase="b", model="x", workflow="child"),
            call(two, 1, cost=None, phase="a", model="y", outcome="refused", workflow="child", **TOMORROW),
            call(three, cost=1000, phase="a", model="x"),
            call(other, cost=10_000),
        ],
    )
    asked = [one.uid, two.uid, other.uid, uid(), one.uid]

    async def costs(*by: Any, runs: Any = asked, since: int = DAY, until: int = DAY + 2, limit: int = 9) -> list[Any]:
        rows = await store.agents.costs_of("t", runs, since, until, by, limit=limit)
        return [(*(value for value in row[:4] if value is not None), row.calls, row.cost) for row in rows]

    assert await costs() == [(4, 111)]
    assert await costs("day") == [(DAY, 2, 101), (DAY + 1, 2, 10)]
    assert await costs("workflow") == [("child", 2, 100), ("flow", 2, 11)]
    assert await costs("phase") == [("b", 2, 110), ("a", 2, 1)]
    assert await costs("model", "day") == [(DAY, "x", 2, 101), (DAY + 1, "y", 2, 10)]
    assert await costs("day", "workflow", "phase", "model", limit=2) == [
        (DAY, "child", "b", "x", 1, 100), (DAY, "flow", "a", "x", 1, 1),
    ]  # fmt: skip
    assert await costs("day", until=DAY + 1) == [(DAY, 2, 101)]
    assert await costs("day", since=DAY + 1) == [(DAY + 1, 2, 10)]
    assert await costs(since=DAY + 2) == []
    assert await costs(runs=[three.uid]) == [(1, 1000)]
    assert await costs(runs=[other.uid]) == []
    assert await costs(runs=[]) == []
    (row,) = await store.agents.costs_of("t", [one.uid, two.uid], DAY + 1, DAY + 2, ["model"], limit=9)
    assert row == CostRow(None, None, None, "y", 2, 1, 1, 20, 4, 10, 10)


@pytest.mark.parametrize("by", [(), ("day",), ("phase", "model"), ("day", "workflow", "phase", "model")])
async def test_the_costs_of_all_runs_are_those_of_the_tenant(store: Store, by: tuple[CostBy, ...]) -> None:
    runs = [await running(store, f"{number}") for number in range(4)]
    other = await running(store, "other", tenant="other")
    calls = [
        call(
            run, 4 * round + number, cost=None if (number + round) % 5 == 0 else 10**number + round,
            phase="ab"[number % 2], model="xyz"[round], outcome="ok" if number else "timeout",
            workflow="flow" if round else "child", ended_at=(DAY + round) * DAY_US + number - 1,
        )
        for number, run in enumerate([*runs, other])
        for round in range(3)
    ]  # fmt: skip
    await commit(store, model_calls=calls)
    # A full portion, most of which asked no model.
    uids = [*(run.uid for run in (*runs, other)), *(uid() for _ in range(RUNS_AT_ONCE - 5))]
    known = await store.agents.costs("t", DAY - 1, DAY + 9, by, limit=99)
    assert sum(row.calls for row in known) == 12
    assert await store.agents.costs_of("t", uids, DAY - 1, DAY + 9, by, limit=99) == known


async def test_the_child_runs_of_some_runs_are_found(store: Store) -> None:
    one, two = await running(store, "one"), await running(store, "two")
    other = await running(store, "other", tenant="other")
    of_one = [child(f"one/{place}", one, bytes([place])) for place in range(3)]
    of_two = child("two/0", two, b"\x00")
    of_other = child("other/0", other, b"\x00", tenant="other")
    for parent, children in ((one, of_one), (two, [of_two]), (other, [of_other])):
        await commit(
            store, checkpoints=[pending(parent, row.parent_position or b"") for row in children], starts=children
        )
    await make(store, start("alone"))
    agents = store.agents
    asked = [one.uid, two.uid, other.uid, of_two.uid, one.uid, uid()]
    assert sorted(await agents.children_of("t", asked, limit=9)) == [*(row.uid for row in of_one), of_two.uid]
    assert await agents.children_of("t", [two.uid], limit=9) == [of_two.uid]
    assert len(await agents.children_of("t", asked, limit=2)) == 2
    assert await agents.children_of("other", [other.uid], limit=9) == [of_other.uid]
    assert await agents.children_of("t", [other.uid], limit=9) == []
    assert await agents.children_of("t", [], limit=9) == []
