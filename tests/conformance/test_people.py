"""People are stored, changed by one at a time, found by id and by address; and the searches that they keep."""

import asyncio

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.rows import SavedViewRow, SessionRow, UserRow
from holdfast.store.url import make_store
from tests.conformance.steering_kit import FAR

ANN = UserRow("t", "ann", "ann@example.org", "$argon2id$hash", b'{"name": "Ann"}', 1_700_000_000_000_000, 1)
BOB = ANN._replace(id="bob", email=None, password=None)


async def test_a_person_is_stored_as_it_is_given(store: Store) -> None:
    assert [await store.put_user(row) for row in (ANN, BOB, ANN._replace(tenant="u"))] == ["done"] * 3
    assert await store.find_user("t", id="ann") == ANN
    assert await store.find_user("t", email="ann@example.org") == ANN
    assert await store.find_user("u", email="ann@example.org") == ANN._replace(tenant="u")
    for lookup in ({"id": "eve"}, {"email": "bob@example.org"}, {"email": "ANN@example.org"}):
        assert await store.find_user("t", **lookup) is None
    assert await store.find_user("v", id="ann") is None


async def test_a_change_is_stored_on_top_of_the_revision_it_was_made_from(store: Store) -> None:
    assert await store.put_user(ANN._replace(revision=2)) == "changed"
    await store.put_user(ANN)
    assert await store.put_user(ANN) == "done"  # the same once more
    assert await store.put_user(ANN._replace(document=b"other")) == "changed"
    mine, theirs = (ANN._replace(revision=2, document=document) for document in (b"mine", b"theirs"))
    assert await store.put_user(mine) == "done"
    assert await store.put_user(theirs) == "changed"
    assert await store.put_user(ANN) == "changed"
    assert await store.put_user(mine) == "done"
    assert await store.put_user(mine._replace(revision=9)) == "changed"
    assert await store.find_user("t", id="ann") == mine
    cleared = mine._replace(revision=3, email=None, password=None)
    assert await store.put_user(cleared) == "done"
    assert await store.find_user("t", id="ann") == cleared


async def test_an_address_is_one_person_s_of_a_tenant(store: Store) -> None:
    await store.put_user(ANN)
    await store.put_user(BOB)
    assert await store.put_user(ANN._replace(id="eve")) == "email"
    assert await store.put_user(BOB._replace(email=ANN.email, revision=2)) == "email"
    assert await store.find_user("t", id="bob") == BOB
    assert await store.put_user(ANN._replace(email="new@example.org", revision=2)) == "done"
    taken = BOB._replace(email=ANN.email, revision=2)
    assert await store.put_user(taken) == "done"
    assert await store.find_user("t", email=ANN.email) == taken


async def test_people_are_listed_by_id(store: Store) -> None:
    ids = ["Zoe", "ann", "bob", "é", "\U0001f600"]
    for id in reversed(ids):
        await store.put_user(BOB._replace(id=id))
    await store.put_user(BOB._replace(tenant="u"))
    assert [row.id for row in await store.list_users("t", limit=9)] == ids
    assert [row.id for row in await store.list_users("t", limit=2)] == ids[:2]
    assert [row.id for row in await store.list_users("t", limit=2, after="ann")] == ids[2:4]
    assert await store.list_users("t", limit=2, after="\U0001f600") == []


async def test_who_is_deleted_is_signed_out_and_leaves_no_searches(store: Store) -> None:
    for row in (ANN, BOB, ANN._replace(tenant="u")):
        await store.put_user(row)
    sessions = [SessionRow(bytes([n]) * 32, tenant, user, b"{}", 1, FAR) for n, (tenant, user) in
                enumerate([("t", "ann"), ("t", "ann"), ("t", "bob"), ("u", "ann")])]  # fmt: skip
    for session in sessions:
        await store.add_session(session)
    await store.put_view(SavedViewRow("t", "ann", "runs", "mine", "status:failed"))
    assert not await store.delete_user("t", "eve")
    assert await store.delete_user("t", "ann")
    assert not await store.delete_user("t", "ann")
    assert [await store.find_session(one.digest) for one in sessions] == [None, None, *sessions[2:]]
    assert await store.list_views("t", "ann", "runs") == []
    assert await store.find_user("u", id="ann") is not None
    assert await store.put_user(ANN) == "done"


async def test_searches_are_kept_by_name(store: Store) -> None:
    mine = SavedViewRow("t", "ann", "runs", "mine", "status:failed")
    first = mine._replace(name="a")
    for row in (mine, first, mine._replace(page="queues"), mine._replace(owner="bob"), mine._replace(tenant="u")):
        await store.put_view(row)
    assert await store.list_views("t", "ann", "runs") == [first, mine]
    changed = mine._replace(query="x" * 10_000)
    await store.put_view(changed)
    await store.put_view(changed)
    assert await store.list_views("t", "ann", "runs") == [first, changed]
    assert not await store.delete_view("u", "bob", "runs", "mine")
    assert await store.delete_view("t", "ann", "runs", "mine")
    assert not await store.delete_view("t", "ann", "runs", "mine")
    assert await store.list_views("t", "ann", "runs") == [first]


@pytest.mark.parametrize("bad", ["a\0b", "x" * 600, "\ud800"])
async def test_what_cannot_be_stored_is_refused(store: Store, bad: str) -> None:
    for row in (ANN._replace(id=bad), ANN._replace(email=bad), ANN._replace(tenant=bad)):
        with pytest.raises(Rejected):
            await store.put_user(row)
    with pytest.raises(Rejected):
        await store.put_view(SavedViewRow("t", "ann", "runs", bad, ""))
    with pytest.raises(Rejected):
        await store.put_user(ANN._replace(created_at=1 << 63))
    assert await store.list_users("t", limit=9) == []


async def test_of_two_processes_that_change_a_person_one_does(disk_url: str) -> None:
    one, other = make_store(disk_url), make_store(disk_url)
    await one.open()
    await other.open()
    for revision in range(1, 12):
        rows = [ANN._replace(revision=revision, document=document) for document in (b"one", b"other")]
        found = await asyncio.gather(one.put_user(rows[0]), other.put_user(rows[1]))
        assert sorted(found) == ["changed", "done"]
        assert await one.find_user("t", id="ann") == rows[found.index("done")]
    await one.close()
    await other.close()


async def test_of_two_people_who_take_an_address_one_gets_it(disk_url: str) -> None:
    one, other = make_store(disk_url), make_store(disk_url)
    await one.open()
    await other.open()
    for n in range(5):
        wanted = f"{n}@example.org"
        new = [BOB._replace(id=f"{id}-{n}", email=wanted) for id in ("new", "newer")]
        assert sorted(await asyncio.gather(one.put_user(new[0]), other.put_user(new[1]))) == ["done", "email"]
    for id in ("x", "y"):
        await one.put_user(BOB._replace(id=id))
    both = [BOB._replace(id=id, email="wanted@example.org", revision=2) for id in ("x", "y")]
    assert sorted(await asyncio.gather(one.put_user(both[0]), other.put_user(both[1]))) == ["done", "email"]
    await one.close()
    await other.close()
