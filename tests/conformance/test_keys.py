"""API keys: found by their prefix whoever's they are, listed and revoked by their tenant."""

import asyncio

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.rows import KeyRow
from holdfast.store.url import make_store

KEY = KeyRow("abcd0001", "t", b"d" * 32, "ci", "operator", "ann", 1_700_000_000_000_000, None, None, None)


async def test_a_key_is_stored_as_it_is_given(store: Store) -> None:
    other = KEY._replace(prefix="abcd0002", tenant="u", expires_at=5, revoked_at=6, used_at=7)
    assert await store.add_key(KEY)
    assert await store.add_key(other)
    assert await store.add_key(KEY)  # the same once more
    assert await store.find_key("abcd0001") == KEY
    assert await store.find_key("abcd0002") == other
    assert await store.find_key("abcd") is None


async def test_a_prefix_is_one_key_s_over_all_tenants(store: Store) -> None:
    await store.add_key(KEY)
    assert not await store.add_key(KEY._replace(tenant="u"))
    assert not await store.add_key(KEY._replace(digest=b"e" * 32))
    assert await store.find_key(KEY.prefix) == KEY


async def test_keys_are_listed_and_searched_by_prefix(store: Store) -> None:
    prefixes = ["aa000000", "ab000000", "ab000001", "b0000000"]
    for prefix in reversed(prefixes):
        await store.add_key(KEY._replace(prefix=prefix))
    await store.add_key(KEY._replace(prefix="ab000002", tenant="u"))

    async def found(**asked: str) -> list[str]:
        return [key.prefix for key in await store.list_keys("t", limit=2, **asked)]

    assert await found() == prefixes[:2]
    assert await found(after="ab000000") == prefixes[2:]
    assert await found(search="ab") == prefixes[1:3]
    assert await found(search="ab", after="ab000000") == prefixes[2:3]
    assert await found(search="b0000000") == prefixes[3:]
    assert await found(search="\U0010ffff") == []
    assert await found(search="%") == []


async def test_a_key_that_is_revoked_stays_as_it_was_first(store: Store) -> None:
    await store.add_key(KEY)
    assert not await store.revoke_key("u", KEY.prefix, 5)
    assert await store.revoke_key("t", KEY.prefix, 5)
    assert await store.revoke_key("t", KEY.prefix, 9)
    assert not await store.revoke_key("t", "none", 5)
    assert await store.find_key(KEY.prefix) == KEY._replace(revoked_at=5)


async def test_the_last_use_is_kept(store: Store) -> None:
    other = KEY._replace(prefix="abcd0002")
    await store.add_key(KEY)
    await store.add_key(other)
    await store.used_keys([])
    await store.used_keys([("abcd0002", 5), ("abcd0001", 7), ("abcd0002", 3), ("none", 1)])
    await store.used_keys([("abcd0001", 6)])
    assert await store.find_key("abcd0001") == KEY._replace(used_at=7)
    assert await store.find_key("abcd0002") == other._replace(used_at=5)


@pytest.mark.parametrize("bad", ["a\0b", "x" * 600, "\ud800"])
async def test_what_cannot_be_stored_is_refused(store: Store, bad: str) -> None:
    with pytest.raises(Rejected):
        await store.add_key(KEY._replace(prefix=bad))
    with pytest.raises(Rejected):
        await store.add_key(KEY._replace(expires_at=1 << 63))
    assert await store.list_keys("t", limit=9) == []


async def test_uses_noted_by_two_processes_do_not_lock_up(disk_url: str) -> None:
    one, other = make_store(disk_url), make_store(disk_url)
    await one.open()
    await other.open()
    prefixes = [f"key{n:05}" for n in range(30)]
    for prefix in prefixes:
        await one.add_key(KEY._replace(prefix=prefix))
    for round in range(5):
        uses = [(prefix, round) for prefix in prefixes]
        await asyncio.gather(one.used_keys(uses), other.used_keys([(p, at + 1) for p, at in reversed(uses)]))
    assert {key.used_at for key in await one.list_keys("t", limit=99)} == {5}
    await one.close()
    await other.close()
