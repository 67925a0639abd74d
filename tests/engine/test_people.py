"""People: made and changed, found, refused when they make no sense; and passwords."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdfast as hf
from holdfast.engine import people
from holdfast.model.people import checked_email
from holdfast.store.rows import UserRow

GOOD = "correct horse battery"
OTHER = "another good password"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes that take no time: what they are worth is argon2's business."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(people, "_hasher", lambda: hasher)
    people._nobodys.cache_clear()
    yield
    people._nobodys.cache_clear()


async def test_a_person_is_made_changed_and_forgotten(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        made = await client.put_user("ann")
        assert (made.id, made.email, made.name, made.role, made.zone) == ("ann", None, "", "viewer", "UTC")
        assert (made.manager, made.groups, made.capacity, made.away) == (None, [], None, [])
        assert (made.disabled, made.has_password, made.revision) == (False, False, 1)
        assert abs((made.created_at - datetime.now(UTC)).total_seconds()) < 60
        changed = await client.put_user(
            "ann", email="Ann@Example.ORG", name="Ann", role=hf.Role.OPERATOR, zone="Europe/Berlin", manager="bob",
            groups=["desk", "night", "desk"], capacity=5, disabled=True, password=GOOD,
            away=[{"from": "2026-12-24", "until": "2026-12-31"}, {"from": date(2026, 3, 1), "until": date(2026, 3, 1)}],
        )  # fmt: skip
        assert changed == hf.UserView(
            id="ann", email="ann@example.org", name="Ann", role="operator", zone="Europe/Berlin", manager="bob",
            groups=["desk", "night"], capacity=5,
            away=[
                {"from": date(2026, 3, 1), "until": date(2026, 3, 1)},
                {"from": date(2026, 12, 24), "until": date(2026, 12, 31)},
            ],
            disabled=True, has_password=True, created_at=made.created_at, revision=2,
        )  # fmt: skip
        assert await client.get_user("ann") == changed
        cleared = await client.put_user(
            "ann", email=None, manager=None, capacity=None, groups=[], away=[], password=None
        )
        assert (cleared.email, cleared.manager, cleared.capacity, cleared.groups) == (None, None, None, [])
        assert (cleared.away, cleared.has_password, cleared.name, cleared.disabled) == ([], False, "Ann", True)
        assert await client.delete_user("ann")
        assert not await client.delete_user("ann")
        with pytest.raises(hf.UserNotFound, match="no person 'ann'"):
            await client.get_user("ann")


async def test_what_changes_nothing_is_no_change(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        made = await client.put_user("ann", name="Ann")
        assert await client.put_user("ann", name="Ann") == made
        assert await client.put_user("ann") == made


@pytest.mark.parametrize("id", ["a b", "ann@example.org", "ä/ö?#%", "日本", "'; DROP TABLE users", "x" * 512])
async def test_any_text_is_an_id(store_url: str, id: str) -> None:
    async with hf.connect(store_url) as client:
        await client.put_user(id)
        assert (await client.get_user(id)).id == id
        assert [user.id for user in await client.users()] == [id]


async def test_people_are_listed_in_pages(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        ids = ["B", "a", "b", "c", "ä"]
        for id in reversed(ids):
            await client.put_user(id)
        assert [user.id for user in await client.users()] == ids
        assert [user.id for user in await client.users(limit=2)] == ["B", "a"]
        assert [user.id for user in await client.users(limit=2, after="a")] == ["b", "c"]
        assert await client.users(after="ä") == []
        for limit in (0, 1001, True, "2"):
            with pytest.raises(hf.UsageError, match="limit"):
                await client.users(limit=limit)  # type: ignore[arg-type]


async def test_an_address_is_had_by_one(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.put_user("ann", email="a@example.org")
        with pytest.raises(hf.UserExists, match=r"address 'a@example\.org'"):
            await client.put_user("bob", email="A@example.org")
        assert [user.id for user in await client.users()] == ["ann"]
        other = hf.Client(client.core, "other")
        assert (await other.put_user("bob", email="a@example.org")).email == "a@example.org"
        await client.put_user("ann", email=None)
        await client.put_user("bob", email="a@example.org")


async def test_people_of_another_tenant_are_nobody(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.put_user("ann", email="a@example.org", password=GOOD)
        other = hf.Client(client.core, "other")
        assert await other.users() == []
        assert await other.check_password("ann", GOOD) is None
        assert not await other.delete_user("ann")
        with pytest.raises(hf.UserNotFound):
            await other.get_user("ann")
        assert (await client.get_user("ann")).has_password


async def test_a_change_on_top_of_another_is_refused(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        seen = await client.put_user("ann", name="Ann", revision=0)
        with pytest.raises(hf.UserExists, match="exists"):
            await client.put_user("ann", name="Anna", revision=0)
        await client.put_user("ann", name="Anna", revision=seen.revision)
        with pytest.raises(hf.UserExists, match="changed meanwhile and is at revision 2"):
            await client.put_user("ann", zone="Asia/Tokyo", revision=seen.revision)
        with pytest.raises(hf.UserExists, match="does not exist"):
            await client.put_user("nobody", revision=3)
        now = await client.get_user("ann")
        assert (now.name, now.zone, now.revision) == ("Anna", "UTC", 2)
        for revision in (-1, True, "1"):
            with pytest.raises(hf.UsageError, match="revision"):
                await client.put_user("ann", revision=revision)  # type: ignore[arg-type]


async def test_changes_at_the_same_time_are_all_made(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.put_user("ann")
        await asyncio.gather(client.put_user("ann", name="Ann"), client.put_user("ann", capacity=3))
        now = await client.get_user("ann")
        assert (now.name, now.capacity, now.revision) == ("Ann", 3, 3)


BAD = [
    {"email": value}
    for value in ("", "x", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "a@\0", "a" * 251 + "@b.c", 7, "a@\ud800")
]
BAD += [{"name": value} for value in ("x" * 201, "two\nlines", None, 7, "\0")]
BAD += [{"role": value} for value in ("", "root", "VIEWER", None, 7, [])]
BAD += [{"zone": value} for value in ("", "Europe", "localtime", "../etc/passwd", "Mars/X", None, 7, "a\0", "x" * 300)]
BAD += [{"manager": value} for value in ("", 7, "x" * 513, "\ud800")]
BAD += [{"groups": value} for value in ("desk", None, 7, [""], [7], ["g"] * 101, {"a"})]
BAD += [{"capacity": value} for value in (-1, 1.5, "3", True, 10**9)]
BAD += [
    {"away": value}
    for value in (
        "2026-01-01", None, [{}], [7], [{"from": "2026-01-02", "until": "2026-01-01"}], [{"from": "2026-01-01"}],
        [{"from": "today", "until": "2026-01-01"}], [{"from": None, "until": None}],
        [{"from": datetime(2026, 1, 1), "until": date(2026, 1, 2)}],
        [{"from": "2026-01-01", "until": "2026-01-01", "why": ""}],
        [{"from": "2026-01-01", "until": "2026-01-01"}] * 101,
    )
]  # fmt: skip
BAD += [{"disabled": value} for value in (None, 1, "no")]
BAD += [{"password": value} for value in ("", "x" * 11, "x" * 1001, 7, b"x" * 20, "x" * 20 + "\ud800")]


async def test_what_makes_no_sense_is_refused_and_nothing_is_stored() -> None:
    async with hf.connect("memory://") as client:
        for bad in BAD:
            with pytest.raises(hf.UsageError, match=next(iter(bad))) as refused:
                await client.put_user("ann", **bad)  # type: ignore[arg-type]
            assert len(str(refused.value)) < 700
        for id in ("", "x" * 513, "a\0", 7, None):
            with pytest.raises(hf.UsageError, match="id of a person"):
                await client.put_user(id)  # type: ignore[arg-type]
        assert await client.users() == []


@given(st.text())
def test_an_address_is_plain_or_refused(text: str) -> None:
    try:
        email = checked_email(text)
    except hf.UsageError:
        return
    assert email.count("@") == 1
    assert email == email.lower()
    assert not any(one.isspace() for one in email)


# Passwords


async def test_a_password_is_checked_by_id_or_address(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        ann = await client.put_user("ann", email="ann@example.org", password=GOOD)
        await client.put_user("bob", password=OTHER)
        for name in ("ann", "ann@example.org", "ANN@Example.Org"):
            assert await client.check_password(name, GOOD) == ann
        for name in ("ann", "ann@example.org", "Ann", "carl", "", "x" * 9999, "a\0", "\ud800", 7, None):
            assert await client.check_password(name, OTHER) is None  # type: ignore[arg-type]
        for password in ("", GOOD + " ", GOOD.upper(), "x" * 100_000, "\ud800" * 12, 7, None, GOOD.encode()):
            assert await client.check_password("ann", password) is None  # type: ignore[arg-type]


async def test_who_is_disabled_or_has_no_password_does_not_get_in(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.put_user("ann", password=GOOD, disabled=True)
        await client.put_user("bob")
        assert await client.check_password("ann", GOOD) is None
        assert await client.check_password("bob", GOOD) is None
        assert await client.check_password("bob", "") is None
        await client.put_user("ann", disabled=False)
        assert await client.check_password("ann", GOOD) is not None
        await client.put_user("ann", password=OTHER)
        assert await client.check_password("ann", GOOD) is None
        assert await client.check_password("ann", OTHER) is not None


async def test_only_a_hash_is_stored(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.put_user("ann", password=GOOD)
        row = await client.core.store.find_user("default", id="ann")
        assert row is not None
        assert (row.password or "").startswith("$argon2id$")
        assert GOOD not in repr(row)
        assert GOOD not in repr(await client.get_user("ann"))


async def test_a_hash_of_other_parameters_is_renewed(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.put_user("ann", password=GOOD)
        stored = await client.core.store.find_user("default", id="ann")
        assert stored is not None
        old = argon2.PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(GOOD)
        assert await client.core.store.put_user(stored._replace(password=old, revision=2)) == "done"
        assert await client.check_password("ann", OTHER) is None
        assert await _hash(client) == old
        assert await client.check_password("ann", GOOD) is not None
        renewed = await _hash(client)
        assert renewed not in (old, stored.password)
        assert "t=1," in renewed
        assert await client.check_password("ann", GOOD) is not None
        assert await _hash(client) == renewed


async def _hash(client: hf.Client) -> str:
    row = await client.core.store.find_user("default", id="ann")
    assert row is not None
    return row.password or ""


async def test_as_much_is_done_for_people_that_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time itself is not measured; what takes it is counted: look-ups and verifications."""
    done: list[str] = []
    hasher = people._hasher()

    class Counting:
        def verify(self, stored: str, password: bytes) -> bool:
            done.append(stored[: stored.rindex("$", 0, stored.rindex("$"))])  # kind and parameters
            return hasher.verify(stored, password)

        def __getattr__(self, name: str) -> Any:
            done.append(name)
            return getattr(hasher, name)

    async with hf.connect("memory://") as client:
        await client.put_user("ann", email="ann@example.org", password=GOOD)
        await client.put_user("off", password=GOOD, disabled=True)
        await client.put_user("bare")
        people._nobodys()
        find = client.core.store.find_user

        async def counted(tenant: str, **by: Any) -> UserRow | None:
            done.append("find")
            return await find(tenant, **by)

        monkeypatch.setattr(client.core.store, "find_user", counted)
        counting = Counting()
        monkeypatch.setattr(people, "_hasher", lambda: counting)
        seen = set()
        for name in ("ann", "ann@example.org", "off", "bare", "nobody", "nobody@example.org", "", "a\0", "x" * 5000):
            done.clear()
            assert await client.check_password(name, OTHER) is None
            seen.add(tuple(done))
        assert seen == {("find", "find", "$argon2id$v=19$m=8,t=1,p=1")}


async def test_without_argon2_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    people._hasher.cache_clear()
    monkeypatch.setitem(sys.modules, "argon2", None)
    async with hf.connect("memory://") as client:
        with pytest.raises(hf.UsageError, match="pip install"):
            await client.put_user("ann", password=GOOD)
        assert await client.users() == []
        with pytest.raises(hf.UsageError, match="argon2-cffi"):
            await client.check_password("ann", GOOD)


@pytest.mark.slow
async def test_hashing_leaves_the_event_loop_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    async with hf.connect("memory://") as client:
        hashing = asyncio.create_task(client.put_user("ann", password=GOOD))
        turns = 0
        while not hashing.done():
            await asyncio.sleep(0)
            turns += 1
        await hashing
        assert turns > 20
