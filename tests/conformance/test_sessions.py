"""Sessions, and failed tries to begin one."""

import asyncio

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.rows import SessionRow
from holdfast.store.url import make_store
from tests.conformance.steering_kit import FAR

SESSION = SessionRow(b"s" * 32, "t", "ann", b'{"by": "password"}', 1_700_000_000_000_000, FAR)
KEY = b"k" * 32
HOUR_US = 3_600_000_000


async def test_a_session_is_found_until_it_expires_or_is_ended(store: Store) -> None:
    await store.add_session(SESSION)
    await store.add_session(SESSION)
    over = SESSION._replace(digest=b"o" * 32, expires_at=await store.now())
    await store.add_session(over)
    assert await store.find_session(SESSION.digest) == SESSION
    assert await store.find_session(over.digest) is None
    assert await store.find_session(b"none") is None
    await store.end_session(SESSION.digest)
    await store.end_session(SESSION.digest)
    assert await store.find_session(SESSION.digest) is None


async def test_a_digest_that_is_known_keeps_its_session(store: Store) -> None:
    await store.add_session(SESSION)
    await store.add_session(SESSION._replace(user="eve", tenant="u"))
    assert await store.find_session(SESSION.digest) == SESSION


@pytest.mark.parametrize("bad", ["a\0b", "x" * 600, "\ud800"])
async def test_what_cannot_be_stored_is_refused(store: Store, bad: str) -> None:
    with pytest.raises(Rejected):
        await store.add_session(SESSION._replace(user=bad))
    assert await store.find_session(SESSION.digest) is None


async def test_failed_tries_are_counted_from_the_first_of_a_window(store: Store) -> None:
    assert [await store.count_failure(KEY, HOUR_US) for _ in range(3)] == [1, 2, 3]
    assert await store.count_failure(b"o" * 32, HOUR_US) == 1
    await store.clear_failures(KEY)
    await store.clear_failures(KEY)
    assert await store.count_failure(KEY, HOUR_US) == 1
    assert await store.count_failure(b"o" * 32, HOUR_US) == 2


async def test_counting_begins_again_after_the_window(store: Store) -> None:
    assert [await store.count_failure(KEY, 0) for _ in range(2)] == [1, 1]
    assert await store.count_failure(KEY, HOUR_US) == 1
    assert await store.count_failure(KEY, 0) == 2  # the window is the first try's


async def test_tries_at_once_are_each_counted(disk_url: str) -> None:
    one, other = make_store(disk_url), make_store(disk_url)
    await one.open()
    await other.open()
    counts = await asyncio.gather(*(store.count_failure(KEY, HOUR_US) for store in (one, other) * 10))
    assert sorted(counts) == list(range(1, 21))
    await one.close()
    await other.close()
