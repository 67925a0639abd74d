"""The answer to a request that named itself is made by one, kept, and given again."""

import asyncio

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.rows import ReplyRow
from holdfast.store.url import make_store
from tests.conformance.steering_kit import FAR

ROW = ReplyRow("t", "request-1", b"f" * 32, 1000, FAR, None, None, None)
DONE = ROW._replace(status=201, headers=b"{}", body=b"body")


async def test_a_request_is_answered_once_and_its_answer_given_again(store: Store) -> None:
    assert await store.reserve_reply(ROW, 0) is None
    assert await store.reserve_reply(ROW, 0) is None  # the same call, repeated
    again = ROW._replace(begun_at=2000)
    assert await store.reserve_reply(again, 1000) == ROW  # not stale yet
    await store.store_reply("t", "request-1", 1000, 201, b"{}", b"body")
    await store.store_reply("t", "request-1", 1000, 201, b"{}", b"body")
    assert await store.reserve_reply(again, 5000) == DONE
    assert await store.reserve_reply(again._replace(fingerprint=b"g" * 32), 5000) == DONE
    assert await store.reserve_reply(ROW._replace(tenant="u"), 0) is None


async def test_what_was_left_lying_is_taken_over_by_the_same_request(store: Store) -> None:
    await store.reserve_reply(ROW, 0)
    later = ROW._replace(begun_at=9000)
    assert await store.reserve_reply(later._replace(fingerprint=b"g" * 32), 5000) == ROW
    assert await store.reserve_reply(later, 5000) is None
    # Who was too slow cannot answer any more, nor give up what is another's.
    await store.store_reply("t", "request-1", 1000, 500, b"{}", b"late")
    await store.drop_reply("t", "request-1", 1000)
    assert await store.reserve_reply(ROW, 0) == later


async def test_a_request_that_was_given_up_may_be_tried_again(store: Store) -> None:
    await store.reserve_reply(ROW, 0)
    await store.drop_reply("t", "request-1", 1000)
    await store.drop_reply("t", "request-1", 1000)
    other = ROW._replace(begun_at=2000, fingerprint=b"g" * 32)
    assert await store.reserve_reply(other, 0) is None
    await store.store_reply("t", "request-1", 2000, 200, b"{}", b"")
    await store.drop_reply("t", "request-1", 2000)  # an answer is not given up
    assert await store.reserve_reply(ROW, 0) == other._replace(status=200, headers=b"{}", body=b"")


async def test_an_answer_that_has_expired_is_no_more(store: Store) -> None:
    over = ROW._replace(expires_at=await store.now())
    await store.reserve_reply(over, 0)
    await store.store_reply("t", "request-1", 1000, 200, b"{}", b"old")
    new = ROW._replace(begun_at=2000, fingerprint=b"g" * 32)
    assert await store.reserve_reply(new, 0) is None
    assert await store.reserve_reply(ROW, 0) == new


async def test_an_answer_may_be_large(store: Store) -> None:
    body = bytes(range(256)) * 40_000
    await store.reserve_reply(ROW, 0)
    await store.store_reply("t", "request-1", 1000, 200, b"\0", body)
    found = await store.reserve_reply(ROW._replace(begun_at=5), 0)
    assert found is not None
    assert found.body == body


@pytest.mark.parametrize("bad", ["a\0b", "x" * 600, "\ud800"])
async def test_what_cannot_be_stored_is_refused(store: Store, bad: str) -> None:
    with pytest.raises(Rejected):
        await store.reserve_reply(ROW._replace(key=bad), 0)
    with pytest.raises(Rejected):
        await store.reserve_reply(ROW._replace(begun_at=1 << 63), 0)


async def test_of_requests_at_once_one_is_answered(disk_url: str) -> None:
    one, other = make_store(disk_url), make_store(disk_url)
    await one.open()
    await other.open()
    for n in range(10):
        rows = [ROW._replace(key=f"r-{n}", begun_at=begun_at) for begun_at in range(1, 5)]
        found = await asyncio.gather(
            *(store.reserve_reply(row, 0) for store, row in zip((one, other) * 2, rows, strict=True))
        )
        assert found.count(None) == 1
        winner = rows[found.index(None)]
        assert [row for row in found if row is not None] == [winner] * 3
    # And while a reservation is given up, each is told something.
    for n in range(10):
        row = ROW._replace(key=f"d-{n}")
        await one.reserve_reply(row, 0)
        _, found_one = await asyncio.gather(
            one.drop_reply("t", row.key, row.begun_at), other.reserve_reply(row._replace(begun_at=2), 0)
        )
        assert found_one in (None, row)
    await one.close()
    await other.close()
