"""Definitions are kept in all their versions, the newest counts; and the settings; over every store."""

import asyncio

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.url import make_store
from holdfast.store.work_rows import DefinitionRow, SettingsRow
from tests.conformance.work_kit import definition

RENEW = definition("renew", demo=True, position=2)
SETTINGS = SettingsRow("t", b'{"zone": "UTC"}', 1)


async def test_a_definition_is_stored_as_it_is_given(store: Store) -> None:
    theirs = RENEW._replace(tenant="u", name="other", active=False)
    assert [await store.work.put_definition(row) for row in (RENEW, theirs)] == [True, True]
    assert await store.work.find_definition("t", "renew") == RENEW
    assert await store.work.find_definition("t", "renew", 1) == RENEW
    assert await store.work.find_definition("u", "renew") == theirs
    for tenant, id, version in (("t", "other", None), ("v", "renew", None), ("t", "renew", 2), ("t", "renew", 0)):
        assert await store.work.find_definition(tenant, id, version) is None


async def test_the_newest_version_counts_and_all_are_kept(store: Store) -> None:
    versions = [RENEW._replace(version=n, weight=n, name=f"v{n}", document=b"%d" % n) for n in (1, 2, 3)]
    for row in versions:
        assert await store.work.put_definition(row)
    assert await store.work.find_definition("t", "renew") == versions[2]
    assert await store.work.find_definition("t", "renew", 2) == versions[1]
    assert await store.work.list_versions("t", "renew") == versions[::-1]
    assert await store.work.list_versions("t", "other") == []
    assert await store.work.list_versions("u", "renew") == []
    assert await store.work.list_definitions("t") == [versions[2]]


async def test_a_version_is_stored_on_top_of_the_one_before(store: Store) -> None:
    assert not await store.work.put_definition(RENEW._replace(version=2))
    assert await store.work.put_definition(RENEW)
    assert await store.work.put_definition(RENEW)  # the same once more
    assert not await store.work.put_definition(RENEW._replace(weight=1))
    mine, theirs = (RENEW._replace(version=2, name=name) for name in ("mine", "theirs"))
    assert await store.work.put_definition(mine)
    assert not await store.work.put_definition(theirs)
    assert await store.work.put_definition(mine)
    assert await store.work.put_definition(RENEW)  # an earlier one once more, late
    assert not await store.work.put_definition(mine._replace(version=9))
    assert await store.work.find_definition("t", "renew") == mine
    assert await store.work.list_versions("t", "renew") == [mine, RENEW]


async def test_definitions_are_listed_by_id(store: Store) -> None:
    rows = [definition(id, active=active) for id, active in (("Z", True), ("a", False), ("é", True))]
    for row in (*rows[::-1], definition("theirs", tenant="u")):
        assert await store.work.put_definition(row)
    assert await store.work.list_definitions("t") == rows
    assert await store.work.list_definitions("t", active=True) == [rows[0], rows[2]]
    assert await store.work.list_definitions("t", active=False) == [rows[1]]
    retired = rows[0]._replace(version=2, active=False)
    assert await store.work.put_definition(retired)
    assert await store.work.list_definitions("t", active=True) == [rows[2]]
    assert await store.work.list_definitions("v") == []


async def test_settings_are_changed_by_one_at_a_time(store: Store) -> None:
    assert await store.work.find_settings("t") is None
    assert not await store.work.put_settings(SETTINGS._replace(revision=2))
    assert await store.work.put_settings(SETTINGS)
    assert await store.work.put_settings(SETTINGS)
    assert not await store.work.put_settings(SETTINGS._replace(document=b"other"))
    second = SETTINGS._replace(document=b"second", revision=2)
    assert await store.work.put_settings(second)
    assert await store.work.put_settings(second)
    assert not await store.work.put_settings(SETTINGS)
    assert not await store.work.put_settings(SETTINGS._replace(revision=7))
    assert await store.work.put_settings(SETTINGS._replace(tenant="u"))
    assert await store.work.find_settings("t") == second
    assert await store.work.find_settings("u") == SETTINGS._replace(tenant="u")


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", "x" * 600])
async def test_what_cannot_be_stored_is_refused(store: Store, bad: str) -> None:
    for row in (RENEW._replace(id=bad), RENEW._replace(tenant=bad), RENEW._replace(type=bad)):
        with pytest.raises(Rejected):
            await store.work.put_definition(row)
    if len(bad) < 600:
        with pytest.raises(Rejected):
            await store.work.put_definition(RENEW._replace(name=bad))
    with pytest.raises(Rejected):
        await store.work.put_definition(RENEW._replace(weight=1 << 63))
    with pytest.raises(Rejected):
        await store.work.put_settings(SETTINGS._replace(tenant=bad))
    assert await store.work.list_definitions("t") == []


async def test_of_two_processes_one_stores_the_next_version(disk_url: str) -> None:
    one, other = make_store(disk_url), make_store(disk_url)
    await one.open()
    await other.open()
    for version in range(1, 8):
        rows: list[DefinitionRow] = [RENEW._replace(version=version, name=name) for name in ("one", "other")]
        found = await asyncio.gather(one.work.put_definition(rows[0]), other.work.put_definition(rows[1]))
        assert sorted(found) == [False, True]
        assert await one.work.find_definition("t", "renew") == rows[found.index(True)]
        settings = [SETTINGS._replace(revision=version, document=document) for document in (b"one", b"other")]
        done = await asyncio.gather(one.work.put_settings(settings[0]), other.work.put_settings(settings[1]))
        assert sorted(done) == [False, True]
    await one.close()
    await other.close()
