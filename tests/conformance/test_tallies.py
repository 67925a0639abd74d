"""What processes saw end is kept by stretches of time; and what is over is deleted, a bounded part at a time."""

import asyncio

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.rows import ReplyRow, SessionRow, TallyRow
from holdfast.store.url import make_store
from tests.conformance.kit import commit
from tests.conformance.steering_kit import FAR
from tests.conformance.test_audit import change, found

ROW = TallyRow("t", 60, 1200, "flow", "succeeded", b"p" * 16, 5, 1 << 40, 1 << 50, b"[0, 5]", b"[5]")
SECOND = 1_000_000
DAY = 86_400


async def test_tallies_are_read_by_time(store: Store) -> None:
    later, hour, theirs = ROW._replace(since=1260), ROW._replace(span=3600, since=0), ROW._replace(tenant="u")
    failed, other = ROW._replace(status="failed"), ROW._replace(process=b"q" * 16)
    await store.put_tallies([later, hour, theirs, ROW, other, failed])
    assert await store.read_tallies("t", 60, 1200, 1260) == [failed, ROW, other]
    assert await store.read_tallies("t", 60, 0, 9999) == [failed, ROW, other, later]
    assert await store.read_tallies("t", 60, 1201, 1260) == []
    assert await store.read_tallies("t", 3600, 0, 1) == [hour]
    assert await store.read_tallies("u", 60, 0, 9999) == [theirs]


async def test_what_a_process_says_of_a_stretch_replaces_what_it_said(store: Store) -> None:
    await store.put_tallies([])
    await store.put_tallies([ROW, ROW._replace(runs=6)])
    assert await store.read_tallies("t", 60, 0, 9999) == [ROW._replace(runs=6)]
    more = ROW._replace(runs=9, waits=b"[9]", tooks=b"[9]", waited_us=1, took_us=2)
    await store.put_tallies([more])
    await store.put_tallies([more])
    assert await store.read_tallies("t", 60, 0, 9999) == [more]


@pytest.mark.parametrize("bad", ["a\0b", "x" * 600, "\ud800"])
async def test_what_cannot_be_stored_is_refused(store: Store, bad: str) -> None:
    with pytest.raises(Rejected):
        await store.put_tallies([ROW, ROW._replace(workflow=bad)])
    with pytest.raises(Rejected):
        await store.put_tallies([ROW, ROW._replace(runs=1 << 63)])
    assert await store.read_tallies("t", 60, 0, 9999) == []


async def test_processes_that_put_at_once_do_not_lock_up(disk_url: str) -> None:
    one, other = make_store(disk_url), make_store(disk_url)
    await one.open()
    await other.open()
    rows = [ROW._replace(workflow=f"flow {n}") for n in range(50)]
    for _ in range(5):
        await asyncio.gather(one.put_tallies(rows), other.put_tallies(rows[::-1]))
    assert len(await one.read_tallies("t", 60, 0, 9999)) == 50
    await one.close()
    await other.close()


async def test_what_is_over_is_deleted_a_part_at_a_time(store: Store) -> None:
    now = await store.now()
    seconds = now // SECOND
    kept = [
        ROW._replace(since=seconds - 5 * 3600),
        ROW._replace(span=3600, since=seconds - 399 * DAY),
    ]
    gone = [
        ROW._replace(since=seconds - 7 * 3600),
        ROW._replace(span=3600, since=seconds - 401 * DAY),
        ROW._replace(span=3600, since=seconds - 402 * DAY),
    ]
    await store.put_tallies([*kept, *gone])
    for n, expires_at in enumerate((now - 1, now - 2, FAR)):
        await store.reserve_reply(ReplyRow("t", f"{n}", b"f", n, expires_at, None, None, None), 0)
        await store.add_session(SessionRow(bytes([n]), "t", "ann", b"{}", n, expires_at))
    await store.count_failure(b"over", 0)
    await store.count_failure(b"not over", FAR)
    recent, old, older = change()._replace(at=now), change()._replace(at=now - DAY * SECOND), change()._replace(at=1)
    await commit(store, audits=[recent, old, older])
    # Of each table one row goes at first: an answer, a session, a failure, a change, and one tally of each span.
    assert await store.tidy(DAY * SECOND, 1) == 6
    assert await store.tidy(DAY * SECOND, 99) == 4
    assert await store.tidy(DAY * SECOND, 99) == 0
    assert [row.uid for row in await found(store)] == [recent.uid]
    assert await store.find_session(bytes([2])) is not None
    assert await store.reserve_reply(ReplyRow("t", "2", b"f", 9, FAR, None, None, None), 0) is not None
    assert await store.count_failure(b"not over", FAR) == 2
    for span, tally in zip((60, 3600), kept, strict=True):
        assert await store.read_tallies("t", span, 0, FAR) == [tally]


async def test_of_what_is_over_the_oldest_goes_first(store: Store) -> None:
    changes = [change()._replace(at=at) for at in (5, 3, 4)]
    await commit(store, audits=changes)
    assert await store.tidy(0, 2) == 2
    assert [row.at for row in await found(store)] == [5]
