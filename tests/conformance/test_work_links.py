"""What items wait for: other items and runs; who waited is looked at when it is over; over every store."""

import asyncio
from typing import Any

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.url import make_store
from holdfast.store.work_rows import ItemRow
from tests.conformance.kit import claim, commit, make, running, settle, start, uid
from tests.conformance.work_kit import HOUR, NOW, after, find, item, link, made, moved, put

END = NOW + HOUR
"""When moves are made on items here."""


async def look_at(store: Store, *ids: str) -> dict[str, int | None]:
    """When these items are to be looked at."""
    return {id: (await find(store, id)).act_at for id in ids}


async def due(store: Store, now: int = END) -> list[str]:
    return sorted(row.id for row in await store.work.due_items(now, 99))


@pytest.fixture
async def rows(store: Store) -> dict[str, ItemRow]:
    """Two items, and three that wait for them: both for the first, the last for both."""
    rows = {id: item(id) for id in ("first", "second")}
    await made(store, *rows.values())
    rows |= {id: item(id, blocked=True) for id in ("waits", "asleep", "for both")}
    rows["asleep"] = rows["asleep"]._replace(status="snoozed", act_at=END + 5)
    waiting = [link(rows[id], rows["first"]) for id in ("waits", "asleep", "for both")]
    await store.work.put_links([*waiting, link(rows["for both"], rows["second"])])
    await made(store, *(rows[id] for id in ("waits", "asleep", "for both")))
    return rows


async def test_links_are_stored_as_they_are_given(store: Store, rows: dict[str, ItemRow]) -> None:
    first, second, both = rows["first"], rows["second"], rows["for both"]
    assert sorted(await store.work.links_of("t", [both.uid, first.uid]), key=str) == sorted(
        [link(both, first), link(both, second)], key=str
    )
    on_first = await store.work.links_on("t", [first.uid])
    assert sorted(on_first, key=str) == sorted(
        [link(rows[id], first) for id in ("waits", "asleep", "for both")], key=str
    )
    assert await store.work.links_on("t", [both.uid]) == []
    assert await store.work.links_of("u", [both.uid]) == []
    assert await store.work.links_on("u", [first.uid]) == []
    assert await store.work.links_of("t", []) == []
    assert await store.work.links_on("t", []) == []
    await store.work.put_links([])
    await store.work.put_links([link(both, first, created_at=5)])  # it is there
    assert link(both, first) in await store.work.links_of("t", [both.uid])
    assert await due(store, END + 9) == ["asleep"]


@pytest.mark.parametrize("move", ["complete", "skip"])
async def test_who_waited_for_an_item_is_looked_at(store: Store, rows: dict[str, ItemRow], move: str) -> None:
    first = await moved(store, rows["first"], "start")
    assert await due(store) == []
    await moved(store, first, move)
    done = await store.work.links_on("t", [first.uid])
    assert [row.done_at for row in done] == [END] * 3
    assert await look_at(store, *rows) == {
        "first": None, "second": None, "waits": END, "asleep": END, "for both": None,
    }  # fmt: skip
    assert await due(store) == ["asleep", "waits"]
    assert (await find(store, "waits"))._replace(act_at=None) == rows["waits"]  # and its revision is as it was
    await moved(store, rows["second"], move)
    assert await due(store) == ["asleep", "for both", "waits"]
    await moved(store, rows["waits"], "unblock", fields={"blocked": False, "act_at": None})
    assert await due(store) == ["asleep", "for both"]


async def test_what_is_looked_at_earlier_anyway_stays_so(store: Store, rows: dict[str, ItemRow]) -> None:
    await moved(store, rows["waits"], "save", fields={"act_at": END - 5})
    await moved(store, rows["first"], "complete")
    assert await look_at(store, "waits") == {"waits": END - 5}


async def test_who_has_ended_is_not_looked_at(store: Store, rows: dict[str, ItemRow]) -> None:
    await moved(store, rows["waits"], "skip", fields={"blocked": True})
    await moved(store, rows["first"], "complete")
    assert await look_at(store, "waits") == {"waits": None}


async def test_a_change_that_was_made_meanwhile_is_looked_at_too(store: Store, rows: dict[str, ItemRow]) -> None:
    saved = after(rows["waits"], "save")  # made of what was read before
    await moved(store, rows["first"], "complete")
    assert await put(store, saved) == ["done"]
    assert await look_at(store, "waits") == {"waits": END}
    again = await find(store, "waits")
    await moved(store, again, "unblock", fields={"blocked": False, "act_at": None})
    await store.work.put_links([link(again, rows["second"])])
    saved = after((await find(store, "waits")), "save", fields={"act_at": None})
    assert await put(store, saved) == ["done"]
    assert await look_at(store, "waits") == {"waits": END}


async def test_an_item_that_begins_to_wait_is_looked_at(store: Store, rows: dict[str, ItemRow]) -> None:
    now = await store.now()
    await store.work.put_links([link(rows["second"], rows["first"])])
    (at,) = (await look_at(store, "second")).values()
    assert at is not None
    assert abs(at - now) < HOUR
    await moved(store, rows["second"], "block", fields={"blocked": True, "act_at": None})
    await store.work.put_links([link(rows["second"], rows["first"])])
    assert await look_at(store, "second") == {"second": None}


async def test_what_has_ended_already_is_not_waited_for(store: Store, rows: dict[str, ItemRow]) -> None:
    second = await moved(store, rows["second"], "complete")
    gone = link(rows["waits"])._replace(on_item=uid())
    await store.work.put_links([link(rows["waits"], second), gone])
    found = {row.on_item: row.done_at for row in await store.work.links_of("t", [rows["waits"].uid])}
    assert found[rows["first"].uid] is None
    assert found[second.uid] is not None
    assert found[gone.on_item] is not None
    assert await look_at(store, "waits") == {"waits": None}  # the first is still to come
    new = item("new", blocked=True)
    await store.work.put_links([link(new, second)])
    await made(store, new)
    assert await look_at(store, "new") == {"new": NOW}


async def test_links_are_forgotten(store: Store, rows: dict[str, ItemRow]) -> None:
    now = await store.now()
    both = rows["for both"]
    await store.work.delete_links([link(both, rows["second"])])
    assert await store.work.links_of("t", [both.uid]) == [link(both, rows["first"])]
    assert await look_at(store, "for both") == {"for both": None}
    for _ in range(2):
        await store.work.delete_links([link(both, rows["first"]), link(rows["waits"], rows["second"])])
    assert await store.work.links_of("t", [both.uid]) == []
    (at,) = (await look_at(store, "for both")).values()
    assert at is not None
    assert abs(at - now) < HOUR
    assert await look_at(store, "waits") == {"waits": None}
    await store.work.delete_links([link(rows["waits"], rows["first"], tenant="u")])
    await store.work.delete_links([])
    assert len(await store.work.links_of("t", [rows["waits"].uid])) == 1


async def test_links_are_on_items_of_the_same_tenant(store: Store, rows: dict[str, ItemRow]) -> None:
    theirs = [rows[id]._replace(tenant="u") for id in ("second", "waits")]
    await made(store, theirs[0])
    await store.work.put_links([link(theirs[1], theirs[0]), link(theirs[1], rows["first"])._replace(tenant="u")])
    await made(store, theirs[1])
    found = {row.on_item: row.done_at is None for row in await store.work.links_of("u", [theirs[1].uid])}
    assert found == {rows["second"].uid: True, rows["first"].uid: False}
    await moved(store, rows["second"], "complete")
    assert await store.work.links_on("u", [rows["second"].uid]) == [link(theirs[1], theirs[0])]
    await moved(store, theirs[0], "complete")
    assert [row.done_at for row in await store.work.links_on("t", [rows["first"].uid])] == [None] * 3


async def test_what_belonged_to_the_demo_is_not_waited_for(store: Store) -> None:
    demo, real = item("demo", demo=True), item("real", blocked=True)
    await made(store, demo)
    await store.work.put_links([link(real, demo)])
    await made(store, real)
    await store.work.put_links([link(demo, real)])
    assert await store.work.delete_demo("t") == 1
    assert await store.work.links_of("t", [demo.uid]) == []
    assert await store.work.links_on("t", [real.uid]) == []
    assert all(row.done_at is not None for row in await store.work.links_of("t", [real.uid]))
    assert (await look_at(store, "real"))["real"] is not None


async def end(store: Store, run: Any, status: str = "succeeded") -> None:
    assert (await commit(store, settles=[settle(run, status)])).settles == [None]


async def test_who_waited_for_a_run_is_looked_at(store: Store) -> None:
    runs = {id: await running(store, id) for id in ("fails", "ends", "goes on")}
    await make(store, start("ends", tenant="u"), start("begins"))
    rows = {id: item(f"for {id}", blocked=True) for id in (*runs, "begins", "gone")}
    theirs = item("theirs", tenant="u", blocked=True)
    await store.work.put_links([link(row, run=id) for id, row in rows.items()])
    await store.work.put_links([link(theirs, run="ends"), link(rows["goes on"], run="ends")])
    await made(store, *rows.values(), theirs)
    assert await due(store) == ["for gone"]
    assert await store.work.end_run_links(9) == 0
    await end(store, runs["fails"], "failed")
    assert await store.work.end_run_links(9) == 1
    assert await due(store) == ["for fails", "for gone"]
    await end(store, runs["ends"])
    assert await store.work.end_run_links(1) == 1
    assert await store.work.end_run_links(9) == 1
    assert await store.work.end_run_links(9) == 0
    assert await due(store) == ["for ends", "for fails", "for gone"]
    found = {row.on_run: row.done_at is None for row in await store.work.links_of("t", [rows["goes on"].uid])}
    assert found == {"goes on": True, "ends": False}
    await end(store, runs["goes on"])
    await make(store, start("late"))
    (late,) = [run for run in await claim(store) if run.id == "late"]
    await end(store, late)
    assert await store.work.end_run_links(9) == 1
    # A run that has ended when the link comes.
    more = item("more", blocked=True)
    await store.work.put_links([link(more, run="late")])
    await made(store, more)
    assert await look_at(store, "more") == {"more": NOW}
    assert await store.work.end_run_links(9) == 0
    assert (await find(store, "theirs", "u")).act_at is None


@pytest.mark.parametrize(
    "wrong",
    [{"on_item": b"x" * 16}, {"on_run": None}, {"on_run": "a\0b"}, {"tenant": "\ud800"}, {"created_at": 1 << 63}],
)
async def test_what_is_no_link_is_refused(store: Store, wrong: dict[str, Any]) -> None:
    row = link(item("i-1"), run="run")
    with pytest.raises(Rejected):
        await store.work.put_links([row, row._replace(**wrong)])
    assert await store.work.links_of("t", [row.item]) == []


async def test_an_end_and_a_new_link_do_not_miss_each_other(disk_url: str) -> None:
    one, other = make_store(disk_url), make_store(disk_url)
    await one.open()
    await other.open()
    for n in range(8):
        blockers = [item(f"blocker {n} {m}") for m in range(3)]
        waits = [item(f"waits {n} {m}", blocked=True) for m in range(3)]
        await made(one, *blockers)
        await asyncio.gather(
            made(one, *(after(row, "complete") for row in blockers)),
            other.work.put_links([link(*pair) for pair in zip(waits, blockers, strict=True)]),
            made(other, *waits),
        )
        assert [row.done_at is None for row in await one.work.links_on("t", [row.uid for row in blockers])] == [
            False
        ] * 3
        found = await one.work.find_items("t", [row.id for row in waits])
        assert [row.act_at is None for row in found] == [False] * 3
    await one.close()
    await other.close()
