"""Schedules are stored, changed by one at a time, and found when they are due, over every store."""

from holdfast.store.base import Store
from holdfast.store.rows import ScheduleRow
from tests.conformance.steering_kit import FAR

ROW = ScheduleRow("t", "nightly", "flow", b"definition", b"input", b"options", False, FAR, None, 1)


async def test_a_schedule_is_stored_as_it_is_given(store: Store) -> None:
    assert await store.put_schedule(ROW)
    other, paused = ROW._replace(name="a"), ROW._replace(name="b", paused=True, next_at=None, last_run="r-1")
    assert await store.put_schedule(paused)
    assert await store.put_schedule(other)
    assert await store.put_schedule(ROW._replace(tenant="u"))
    assert await store.list_schedules("t") == [other, paused, ROW]
    assert await store.list_schedules("t", "nightly") == [ROW]
    assert await store.list_schedules("t", "none") == []
    assert await store.list_schedules("v") == []


async def test_of_two_changes_of_one_revision_the_first_is_stored(store: Store) -> None:
    await store.put_schedule(ROW)
    assert not await store.put_schedule(ROW._replace(input=b"other"))
    mine, theirs = (ROW._replace(revision=2, input=input, paused=True) for input in (b"mine", b"theirs"))
    assert await store.put_schedule(mine)
    assert not await store.put_schedule(theirs)
    assert not await store.put_schedule(theirs._replace(revision=4))
    assert not await store.put_schedule(ROW)
    assert not await store.put_schedule(ROW._replace(name="new", revision=2))
    assert await store.list_schedules("t") == [mine]


async def test_a_change_that_is_repeated_was_stored(store: Store) -> None:
    second = ROW._replace(revision=2, next_at=None)
    assert [await store.put_schedule(row) for row in (ROW, ROW, second, second)] == [True] * 4
    assert await store.list_schedules("t") == [second]


async def test_a_schedule_that_is_deleted_may_be_made_again(store: Store) -> None:
    await store.put_schedule(ROW)
    await store.put_schedule(ROW._replace(revision=2))
    assert not await store.delete_schedule("u", "nightly")
    assert await store.delete_schedule("t", "nightly")
    assert not await store.delete_schedule("t", "nightly")
    assert await store.list_schedules("t") == []
    assert await store.put_schedule(ROW)


async def test_due_are_those_whose_time_has_come_and_that_are_not_paused(store: Store) -> None:
    now = await store.now()
    rows = [
        ROW._replace(name="later"),
        ROW._replace(name="never", next_at=None),
        ROW._replace(name="paused", next_at=1, paused=True),
        ROW._replace(name="second", next_at=now - 1),
        ROW._replace(name="first", next_at=2, tenant="u"),
    ]
    for row in rows:
        assert await store.put_schedule(row)
    assert await store.due_schedules(9) == [rows[4], rows[3]]
    assert await store.due_schedules(1) == [rows[4]]
    assert await store.put_schedule(rows[4]._replace(revision=2, next_at=FAR, last_run="r-1"))
    assert await store.due_schedules(9) == [rows[3]]
