"""Balancing: who gives what to whom, and what a plan does when it is applied."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import UsageError
from holdfast.model.run import instant
from holdfast.workqueue.queue import WorkQueue
from holdfast.workqueue.spreading import UNEVEN, Bearer, Carried, efforts_of, givers, spread
from tests.engine.clock import move
from tests.workqueue.item_kit import working

HOUR = 3_600_000_000


def bearer(id: str, efforts: list[int], **given: Any) -> Bearer:
    """Somebody with so many items that may go."""
    carried = [Carried(f"{id}-{n}", effort, n) for n, effort in enumerate(efforts)]
    return Bearer(id, len(efforts), sum(efforts), carried=carried, **given)


def went(bearers: list[Bearer]) -> tuple[dict[str, str], list[str]]:
    passed, unplaced = spread(bearers)
    return {one.item.id: one.to for one in passed}, unplaced


def test_even_loads_stay() -> None:
    assert went([bearer("a", [1, 1, 1]), bearer("b", [1, 1, 1])]) == ({}, [])
    assert went([bearer("a", [1])]) == ({}, [])
    assert went([]) == ({}, [])


def test_from_whom_has_most_to_whom_has_least() -> None:
    moved, _ = went([bearer("a", [1] * 10), bearer("b", [1] * 2), bearer("c", [])])
    # The less important go, and as many as make it even enough.
    assert moved == {"a-0": "c", "a-1": "c", "a-2": "b", "a-3": "c", "a-4": "b", "a-5": "c"}


def test_work_is_weighed_by_effort_and_by_what_somebody_takes_on() -> None:
    # One heavy item is as much as ten light ones.
    assert went([bearer("a", [10]), bearer("b", [1] * 10)]) == ({}, [])
    half = [bearer("a", [1] * 9, capacity=10), bearer("b", [1] * 3, capacity=20)]
    moved, _ = went(half)
    assert set(moved.values()) == {"b"}
    assert 3 <= half[0].items <= 5


def test_who_is_away_gives_all_and_gets_nothing() -> None:
    moved, unplaced = went([bearer("a", [1, 1], leaves=True, takes=False), bearer("b", [1] * 8), bearer("c", [1] * 8)])
    assert set(moved) == {"a-0", "a-1"}
    assert unplaced == []
    assert went([bearer("a", [1, 1], leaves=True), bearer("b", [], leaves=True)]) == ({}, ["a-1", "a-0"])


def test_nobody_gets_more_than_they_take_on() -> None:
    moved, unplaced = went([bearer("a", [1] * 5, capacity=2), bearer("b", [1], capacity=2)])
    assert moved == {"a-0": "b"}
    assert unplaced == ["a-1", "a-2"]
    # What is most important finds room first.
    moved, unplaced = went([bearer("a", [1] * 3, leaves=True), bearer("b", [], capacity=1)])
    assert (moved, unplaced) == ({"a-2": "b"}, ["a-1", "a-0"])


def test_work_stays_within_groups() -> None:
    sales, support = frozenset({"sales"}), frozenset({"support"})
    moved, unplaced = went([bearer("a", [1] * 6, groups=sales, leaves=True), bearer("b", [], groups=support),
                            bearer("c", [], groups=sales | support)])  # fmt: skip
    assert (set(moved.values()), unplaced) == ({"c"}, [])
    pooled = Bearer("a", 1, 1, leaves=True, carried=[Carried("x", 1, 1, group="night")])
    assert went([pooled, bearer("b", [])]) == ({}, ["x"])
    escalated = Bearer("a", 1, 1, leaves=True, carried=[Carried("x", 1, 1, not_to="b")])
    assert went([escalated, bearer("b", []), Bearer("c", 9, 9)])[0] == {"x": "c"}


bearers = st.lists(
    st.tuples(
        st.lists(st.integers(1, 20), max_size=12), st.none() | st.integers(0, 15), st.booleans(),
        st.sets(st.sampled_from(["x", "y"])),
    ),
    max_size=6,
)  # fmt: skip


@given(bearers)
def test_a_plan_is_sound(given_: list[tuple[list[int], int | None, bool, set[str]]]) -> None:
    people = [
        bearer(f"p{n}", efforts, capacity=capacity, leaves=leaves, takes=not leaves, groups=frozenset(groups))
        for n, (efforts, capacity, leaves, groups) in enumerate(given_)
    ]
    before = {one.id: (one.items, one.effort_us, one.load) for one in people}
    passed, unplaced = spread(people)
    items = [one.item.id for one in passed]
    assert len(set(items)) == len(items)
    assert not set(items) & set(unplaced)
    assert sum(one.items for one in people) == sum(one[0] for one in before.values())
    assert sum(one.effort_us for one in people) == sum(one[1] for one in before.values())
    of = {one.id: one for one in people}
    for one in passed:
        giver, taker = of[one.giver], of[one.to]
        assert one.to != one.giver
        assert not taker.leaves
        assert not giver.groups or giver.groups & taker.groups
    for one in people:
        gained = one.items > before[one.id][0]
        assert not gained or one.capacity is None or one.items <= one.capacity
    even = [one for one in people if not one.leaves]
    if even and not any(one.leaves or one.over for one in people):
        worst = max(load for _, _, load in before.values())
        assert max(one.load for one in even) <= worst
    assert UNEVEN > 1


def test_whose_items_are_looked_at() -> None:
    people = [bearer("a", [1] * 9), bearer("b", [1]), bearer("c", [1], leaves=True), bearer("d", [1, 1], capacity=1)]
    assert [one.id for one in givers(people)] == ["a", "c", "d"]


def test_how_long_items_take() -> None:
    assert dict(efforts_of({}, 7)) == {None: 7}
    assert dict(efforts_of({"a": 10, "b": 0, "c": 30}, 7)) == {None: 10, "a": 10, "b": 1, "c": 30}


# On a database


async def people(client: Any) -> None:
    for id in ("ines", "tomas", "mei"):
        await client.put_user(id, role="worker-of-items", groups=["team"])


async def some(work: WorkQueue, assignee: str, number: int, **given: Any) -> list[str]:
    return [
        (await work.create(title=f"item {n}", id=f"{assignee}-{n}", assignee=assignee, **given)).id
        for n in range(number)
    ]


async def held(work: WorkQueue) -> dict[str | None, int]:
    return {one.assignee: one.items for one in await work.loads()}


async def test_a_plan_is_only_a_plan_until_it_is_applied(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await people(client)
        await some(work, "ines", 9)
        plan = await work.balance()
        assert len(plan.moves) == 6
        assert {one.assignee for one in plan.moves} == {"ines"}
        assert {one.to for one in plan.moves} == {"tomas", "mei"}
        assert [(one.assignee, one.items) for one in plan.before] == [("ines", 9), ("mei", 0), ("tomas", 0)]
        assert [one.items for one in plan.after] == [3, 3, 3]
        assert await held(work) == {"ines": 9}
        await work.save(plan.moves[0].item, {"note": "mine"})
        done = await work.apply_plan(plan)
        assert (done.action, done.items, done.done, done.refused) == ("assign", 6, 5, 1)
        assert "was changed since the plan" in done.outcomes[plan.moves[0].item]
        assert (await held(work))["ines"] == 4
        event = (await work.history(plan.moves[1].item))[-1]
        assert (event.move, event.reason, event.batch) == ("assign", "the load is balanced", done.id)
        await work.undo(done.id)
        assert await held(work) == {"ines": 9}
        again = await work.balance(simulate=False)
        assert (await held(work))["ines"] == 9 - len(again.moves)
        assert (await work.balance()).moves == []


async def test_who_is_away_or_gone(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await people(client)
        today = instant(client.core.now_us()).date()
        await client.put_user("ines", away=[{"from": today - timedelta(days=1), "until": today}])
        await client.put_user("mei", away=[{"from": date(2020, 1, 1), "until": date(2020, 2, 1)}])
        await client.put_user("boss", role="viewer")
        await some(work, "ines", 2)
        await some(work, "gone", 2)
        loads = {one.assignee: one for one in await work.loads()}
        assert (loads["ines"].away, loads["ines"].capacity) == (True, None)
        plan = await work.balance()
        assert {one.assignee for one in plan.moves} == {"ines", "gone"}
        assert {one.to for one in plan.moves} == {"tomas", "mei"}
        assert len(plan.moves) == 4
        assert {one.assignee: one.away for one in plan.before}["ines"]


async def test_what_stays_where_it_is(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await people(client)
        await client.put_user("ines", capacity=0)
        ids = await some(work, "ines", 3)
        await work.start(ids[0])
        await work.snooze(ids[1], days=5)
        pooled = await work.create(title="pooled", group="team", id="pooled")
        await work.create(title="demo", assignee="ines")
        await work.demo_initialize("acme", "ines")
        plan = await work.balance()
        moved = {one.item for one in plan.moves}
        assert ids[2] in moved
        assert not moved & {ids[0], ids[1], pooled.id}
        assert not any(item.startswith("demo-") for item in moved)


async def test_capacity_is_kept(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await people(client)
        await client.put_user("tomas", capacity=1)
        await client.put_user("mei", capacity=0)
        await client.put_user("ines", capacity=2)
        await some(work, "ines", 5)
        plan = await work.balance()
        assert [(one.item, one.to) for one in plan.moves] == [("ines-0", "tomas")]
        assert len(plan.unplaced) == 2


async def test_only_within_a_group(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await people(client)
        await client.put_user("mei", groups=["others"])
        await some(work, "ines", 6)
        assert {one.to for one in (await work.balance()).moves} == {"tomas"}
        plan = await work.balance(group="others")
        assert ([one.assignee for one in plan.before], plan.moves) == (["mei"], [])


async def test_where_nobody_is_known_names_will_do(store_url: str) -> None:
    async with working(store_url) as (_, work):
        await some(work, "ines", 6)
        await some(work, "tomas", 1)
        plan = await work.balance()
        assert plan.moves
        assert {one.to for one in plan.moves} == {"tomas"}


async def test_effort_is_measured_by_what_was_completed(store_url: str) -> None:
    async with working(store_url) as (client, work):
        for id, seconds in (("long", 4 * 3600), ("short", 600)):
            await work.put_definition(id, {"name": id, "cooldown": "0s"})
            item = await work.create(id, assignee="x")
            await work.start(item.id)
            await move(client, seconds)
            await work.complete(item.id)
        await people(client)
        await work.create("long", assignee="ines")
        for _ in range(8):
            await work.create("short", assignee="tomas")
        loads = {one.assignee: one.effort_seconds for one in await work.loads()}
        assert loads["ines"] == pytest.approx(4 * 3600, abs=60)
        assert loads["tomas"] == pytest.approx(8 * 600, abs=120)
        # The long one is all that ines has, and cannot be halved.
        assert {one.assignee for one in (await work.balance()).moves} <= {"tomas"}


@pytest.mark.parametrize("seconds", [0, 7200])
async def test_a_plan_moves_effort_and_makes_none(store_url: str, seconds: int) -> None:
    """Items that were closed in no time, and such of no definition, weigh the same in the plan and in the loads."""
    async with working(store_url) as (client, work):
        done = await work.create(title="done", assignee="mei")
        await work.start(done.id)
        await move(client, seconds)
        await work.complete(done.id)
        await work.put_definition("never", {"name": "Never measured"})
        await people(client)
        await some(work, "ines", 5)
        await work.create("never", assignee="ines")
        await work.snooze("ines-4", days=5)
        loads = {one.assignee: one.effort_seconds for one in await work.loads()}
        assert loads["ines"] == pytest.approx(6 * max(60, seconds), rel=0.02)
        plan = await work.balance()
        assert {one.assignee: one.effort_seconds for one in plan.before} == {
            "ines": loads["ines"],
            "mei": 0,
            "tomas": 0,
        }
        assert sum(one.effort_seconds for one in plan.after) == pytest.approx(loads["ines"])
        assert [one.items for one in plan.after] == [2, 2, 2]
        assert all(one.effort_seconds == pytest.approx(loads["ines"] / 3) for one in plan.after)


async def test_bad_values(store_url: str) -> None:
    async with working(store_url) as (_, work):
        assert (await work.balance()).moves == []
        assert await work.loads() == []
        for call in (work.apply_plan([]), work.balance(simulate="no"), work.balance(group="")):  # type: ignore[arg-type]
            with pytest.raises(UsageError):
                await call
