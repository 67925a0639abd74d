"""Runs found by what a person asks for, whatever index the search begins with, over every store."""

import json
from itertools import pairwise

import pytest

from holdfast.model.search import parse
from holdfast.store.base import Store
from holdfast.store.operations import Progress
from tests.conformance.kit import CHILD, WORKER, child, claim, commit, make, park, start
from tests.conformance.steering_kit import FAR, NOON, ask, find, number, settled, text


async def found(store: Store, search: str | None, *, tenant: str = "t") -> list[str]:
    """The ids that a search finds, newest first."""
    condition = None if search is None else parse(search, NOON)
    rows = await store.search_runs(tenant, condition, limit=100, before=None)
    assert await store.count_runs(tenant, condition, cap=100) == len(rows)
    assert all(newer.uid > older.uid for newer, older in pairwise(rows))
    return [row.id for row in rows]


async def fill(store: Store) -> None:
    """One run in every status, and another tenant's in some."""
    await make(store, start("parked"))
    await commit(store, parks=[park(run, wake_at=FAR) for run in await claim(store)])
    await make(store, *(start(id, priority=n) for n, id in enumerate(("failed", "cancelled", "good", "running"))))
    await make(store, start("other", tenant="u", facts=(text("order", "o-1"), number("size", 2.5))))
    by_id = {run.id: run for run in await claim(store)}
    await settled(store, by_id["failed"], "failed")
    await settled(store, by_id["cancelled"], "cancelled")
    await settled(store, by_id["good"])
    await settled(store, by_id["other"], "failed", tenant="u")
    rows = [
        start("held", facts=(text("order", "o-1"), number("size", 2.5))),
        start("delayed", due_at=FAR, facts=(text("order", "o-2"), number("size", 10.0))),
        start("ready", kind=CHILD, facts=(text("order", "o-1"), number("size", 3.0))),
    ]
    await make(store, *rows)
    await ask(store, rows[0].uid, "hold")


SEARCHES = {
    "status = 'failed'": ["failed"],
    "status = 'cancelled'": ["cancelled"],
    "status = 'held'": ["held"],
    "status = 'succeeded'": ["good"],
    "status = 'running'": ["running"],
    "status = 'waiting'": ["parked"],
    "status = 'queued'": ["ready", "delayed"],
    "status in ('failed', 'held')": ["held", "failed"],
    "not status = 'queued'": ["held", "running", "good", "cancelled", "failed", "parked"],
    "status = 'failed' and workflow = 'flow'": ["failed"],
    "status = 'failed' and workflow = 'child'": [],
    "status = 'failed' or status = 'held'": ["held", "failed"],
    "status = 'failed' and status = 'held'": [],
    "workflow = 'child'": ["ready"],
    "priority >= 2": ["running", "good"],
    "id prefix 'r'": ["ready", "running"],
    "attributes.order = 'o-1'": ["ready", "held"],
    "attributes.order = 'o-1' and status = 'held'": ["held"],
    "attributes.size = 10": ["delayed"],
    "attributes.size > 2.5": ["ready", "delayed"],
    "attributes.order = 'o-2' or workflow = 'child'": ["ready", "delayed"],
    "attributes.order = 'o-2' or attributes.order = 'o-1'": ["ready", "delayed", "held"],
    "attributes.order in ('o-2', 'o-1', 'o-2') and not status = 'held'": ["ready", "delayed"],
    "attributes.size = 10 or attributes.size = '10'": ["delayed"],
    "attributes.order = 'o-2' or attributes.size = 3": ["ready", "delayed"],
    "finished_at < 'now' and not attributes.order = 'o-1'": ["good", "cancelled", "failed"],
}


@pytest.mark.parametrize("search", SEARCHES)
async def test_a_search_finds_the_tenants_runs_that_meet_it(store: Store, search: str) -> None:
    await fill(store)
    assert await found(store, search) == SEARCHES[search]


async def test_without_a_condition_every_run_of_the_tenant_is_found(store: Store) -> None:
    await fill(store)
    everything = ["ready", "delayed", "held", "running", "good", "cancelled", "failed", "parked"]
    assert await found(store, None) == everything
    assert await found(store, None, tenant="u") == ["other"]
    assert await found(store, "attributes.order = 'o-1'", tenant="u") == ["other"]
    assert await found(store, "status = 'failed'", tenant="u") == ["other"]
    assert await found(store, None, tenant="v") == []


PAGED = [
    None, "attributes.order = 'o'", "attributes.order = 'o' or attributes.order = 3", "status = 'held'",
    "status = 'queued'",
]  # fmt: skip


@pytest.mark.parametrize("search", PAGED)
async def test_runs_are_paged_newest_first(store: Store, search: str | None) -> None:
    condition = None if search is None else parse(search, NOON)
    mixed = search is not None and "or" in search.split()
    rows = [start(f"r{n}", facts=(number("order", 3) if mixed and n % 2 else text("order", "o"),)) for n in range(5)]
    await make(store, *rows)
    if search == "status = 'held'":
        for row in rows:
            await ask(store, row.uid, "hold")
    pages, before = [], None
    for _ in range(3):
        page = await store.search_runs("t", condition, limit=2, before=before)
        pages.append([row.id for row in page])
        before = page[-1].uid
    assert pages == [["r4", "r3"], ["r2", "r1"], ["r0"]]
    assert await store.search_runs("t", condition, limit=2, before=before) == []
    assert await store.count_runs("t", condition, cap=3) == 3


async def test_a_list_by_workflow_and_status_is_a_search(store: Store) -> None:
    await fill(store)

    async def listed(workflow: str | None, status: str | None) -> list[str]:
        rows = await store.list_runs("t", workflow=workflow, status=status, limit=9, before=None)
        return [row.id for row in rows]

    assert await listed(None, "waiting") == ["parked"]
    assert await listed("child", None) == ["ready"]
    assert await listed("child", "queued") == ["ready"]
    assert await listed("flow", "failed") == ["failed"]
    assert len(await listed(None, None)) == 8


async def test_a_run_is_shown_with_all_that_is_known_of_it(store: Store) -> None:
    await make(store, start("p"))
    (parent,) = await claim(store)
    row = child("c", parent, b"\x07", deadline_at=FAR)
    await commit(store, starts=[row])
    (run,) = await claim(store)
    said = Progress(run.uid, run.epoch, 0.1 + 0.2, None, "half", NOON)
    await commit(store, progress=[said._replace(note="before"), said])
    await commit(store, progress=[said._replace(epoch=run.epoch + 1, note="lost")])
    await ask(store, run.uid, "hold")
    shown = await find(store, "c")
    assert (shown.parent_id, shown.parent_position, shown.deadline_at) == ("p", b"\x07", FAR)
    assert (shown.status, shown.worker, shown.generation) == ("running", WORKER, 1)
    assert (shown.lane, shown.lane_name, shown.lane_key, shown.forks, shown.forked_from) == (
        None,
        None,
        None,
        None,
        None,
    )
    assert shown.control is not None
    assert json.loads(shown.progress or "") == {"current": 0.1 + 0.2, "total": None, "note": "half", "at": NOON}
    assert (await find(store, "p")).progress is None
    assert (await store.search_runs("t", parse("parent = 'p'", NOON), limit=9, before=None)) == [shown]
