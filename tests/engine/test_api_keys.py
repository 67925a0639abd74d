"""API keys: shown once, stored as a digest, found by prefix, revoked."""

from __future__ import annotations

from datetime import timedelta

import pytest

import holdfast as hf
from holdfast.engine import people
from holdfast.model.access import KEY_FORM, digest, key_prefix


async def test_a_key_is_shown_once_and_its_digest_stored(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        made = await client.create_key("deploy", role="operator")
        assert KEY_FORM.fullmatch(made.key)
        assert key_prefix(made.key) == made.view.prefix
        assert (made.view.name, made.view.role, made.view.created_by) == ("deploy", "operator", "local")
        assert (made.view.expires_at, made.view.revoked_at, made.view.used_at) == (None, None, None)
        assert made.key not in repr(made)
        row = await client.core.store.find_key(made.view.prefix)
        assert row is not None
        assert row.digest == digest(made.key)
        assert made.key.rpartition("_")[2] not in repr(row)
        assert await client.get_key(made.view.prefix) == made.view
        other = await client.create_key("deploy")
        assert (other.view.role, other.key == made.key) == ("viewer", False)


async def test_a_key_expires(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        view = (await client.create_key("night", expires="90d")).view
        assert view.expires_at is not None
        assert view.expires_at - view.created_at == timedelta(days=90)


async def test_who_made_it_is_kept(store_url: str) -> None:
    async with hf.connect(store_url, actor="ann") as client:
        assert (await client.create_key("x")).view.created_by == "ann"


async def test_keys_are_listed_by_prefix(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hf.connect(store_url) as client:
        made = sorted([await client.create_key(f"key {n}") for n in range(4)], key=lambda one: one.view.prefix)
        views = [one.view for one in made]
        assert await client.keys() == views
        assert await client.keys(limit=1) == views[:1]
        assert await client.keys(after=views[0].prefix, limit=2) == views[1:3]
        for search in (views[2].prefix, views[2].prefix[:7], f"hf_{views[2].prefix}", made[2].key):
            assert views[2] in await client.keys(search=search)
        assert await client.keys(search="nothing!") == []
        assert await client.keys(search="%") == await client.keys(search="________") == []
        with pytest.raises(hf.UsageError, match="limit"):
            await client.keys(limit=0)


async def test_a_key_is_revoked(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        prefix = (await client.create_key("old")).view.prefix
        assert await client.revoke_key(prefix)
        revoked = await client.get_key(prefix)
        assert revoked.revoked_at is not None
        assert await client.revoke_key(prefix)
        assert await client.get_key(prefix) == revoked
        assert not await client.revoke_key("00000000")
        assert await client.keys() == [revoked]


async def test_keys_of_another_tenant_are_not_there(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        prefix = (await client.create_key("mine")).view.prefix
        other = hf.Client(client.core, "other")
        assert await other.keys() == []
        assert not await other.revoke_key(prefix)
        with pytest.raises(hf.KeyNotFound, match=prefix):
            await other.get_key(prefix)
        with pytest.raises(hf.KeyNotFound):
            await client.get_key("nothing")
        assert (await client.get_key(prefix)).revoked_at is None


async def test_a_prefix_that_is_taken_is_not_given_again(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = people.secrets.choice
    drawn = iter("a" * 48 + "a" * 48 + "b" * 8)
    monkeypatch.setattr(people.secrets, "choice", lambda among: next(drawn, None) or choose(among))
    async with hf.connect(store_url) as client:
        first, second = await client.create_key("one"), await client.create_key("two")
        assert (first.view.prefix, second.view.prefix) == ("a" * 8, "b" * 8)
        assert (await client.get_key("a" * 8)).name == "one"


async def test_what_makes_no_sense_is_refused() -> None:
    async with hf.connect("memory://") as client:
        for name in ("", "x" * 201, "two\nlines", None, 7):
            with pytest.raises(hf.UsageError, match="name of a key"):
                await client.create_key(name)  # type: ignore[arg-type]
        for role in ("root", "", None):
            with pytest.raises(hf.UsageError, match="role"):
                await client.create_key("x", role=role)  # type: ignore[arg-type]
        for expires in (0, -1, "soon", True):
            with pytest.raises(hf.UsageError, match="expires"):
                await client.create_key("x", expires=expires)
        for prefix in ("", "\0", 7):
            with pytest.raises(hf.UsageError, match="prefix"):
                await client.revoke_key(prefix)  # type: ignore[arg-type]
        assert await client.keys() == []
