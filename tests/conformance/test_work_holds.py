"""Held runs have items that say so, and items of runs that go on or have ended are found; over every store."""

from holdfast.store.base import Store
from tests.conformance.kit import claim, commit, make, running, settle, start
from tests.conformance.steering_kit import ask, retry_of
from tests.conformance.work_kit import item, made, moved


async def hold(store: Store, *ids: str, tenant: str = "t") -> dict[str, bytes]:
    """New runs that are held; their uids."""
    await make(store, *(start(id, tenant=tenant) for id in ids))
    uids = {row.id: row.uid for row in await store.find_runs(tenant, ids)}
    for run in uids.values():
        assert (await ask(store, run, "hold", tenant=tenant)).status == "held"
    return uids


async def test_held_runs_without_an_item_are_found(store: Store) -> None:
    uids = await hold(store, "a", "b")
    theirs = await hold(store, "a", tenant="u")
    run = await running(store, "its code")
    await commit(store, settles=[settle(run, "held")])
    failed = await running(store, "failed")
    await commit(store, settles=[settle(failed, "failed")])
    await make(store, start("ready"))
    expected = sorted(
        [("t", "a", uids["a"], 1), ("t", "b", uids["b"], 1), ("t", "its code", run.uid, 1), ("u", "a", theirs["a"], 1)]
    )
    assert sorted(await store.work.held_without_item(9)) == expected
    assert len(await store.work.held_without_item(3)) == 3
    row = item("hold of a", kind="hold", run="a")
    await made(store, row, item("asks", kind="ask", run="b"), item("of theirs", kind="hold", run="b", tenant="u"))
    assert sorted(await store.work.held_without_item(9)) == expected[1:]
    await moved(store, row, "complete")  # and yet it is held: another item has to say so
    assert sorted(await store.work.held_without_item(9)) == expected
    for uid in uids.values():
        await ask(store, uid, "release")
    assert sorted(await store.work.held_without_item(9)) == expected[2:]


async def test_the_generation_of_a_held_run_is_told(store: Store) -> None:
    uids = await hold(store, "a")
    await ask(store, uids["a"], "release")
    (run,) = await claim(store)
    await commit(store, settles=[settle(run, "failed")])
    assert await store.retry(retry_of(run))
    await ask(store, run.uid, "hold")
    assert await store.work.held_without_item(9) == [("t", "a", run.uid, 2)]


async def test_items_of_runs_that_are_not_held_any_more_are_found(store: Store) -> None:
    uids = await hold(store, "stays", "released", "cancelled")
    await hold(store, "released", tenant="u")
    rows = [item(f"of {id}", kind="hold", run=id) for id in ("stays", "released", "cancelled", "gone")]
    rows += [
        item("theirs", kind="hold", run="released", tenant="u"),
        item("asks", kind="ask", run="released"),
        item("works", run="released"),
        item("done", kind="hold", run="released", status="completed"),
    ]
    await made(store, *rows)
    assert [row.id for row in await store.work.hold_items_of_others(9)] == ["of gone"]
    await ask(store, uids["released"], "release")
    await ask(store, uids["cancelled"], "cancel")
    found = await store.work.hold_items_of_others(9)
    assert sorted(found) == sorted([rows[1], rows[2], rows[3]])
    assert len(await store.work.hold_items_of_others(2)) == 2


async def test_questions_of_runs_that_have_ended_are_found(store: Store) -> None:
    runs = [await running(store, id) for id in ("ends", "fails", "goes on")]
    await make(store, start("ends", tenant="u"))
    await hold(store, "held")
    rows = [item(f"of {id}", kind="ask", run=id) for id in ("ends", "fails", "goes on", "held", "gone")]
    rows += [
        item("theirs", kind="ask", run="ends", tenant="u"),
        item("holds", kind="hold", run="ends"),
        item("works", run="ends"),
        item("done", kind="ask", run="ends", status="skipped"),
    ]
    await made(store, *rows)
    assert await store.work.ask_items_of_ended(9) == [rows[4]]
    await commit(store, settles=[settle(runs[0]), settle(runs[1], "failed")])
    assert sorted(await store.work.ask_items_of_ended(9)) == sorted([rows[0], rows[1], rows[4]])
    assert len(await store.work.ask_items_of_ended(2)) == 2
