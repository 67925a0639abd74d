"""What ended long enough ago is deleted with all that belongs to it, and nothing else, over every store."""

import re
from typing import Any

import pytest

from holdfast.model.search import parse
from holdfast.store.base import Store
from holdfast.store.operations import Attempt, Progress, Start
from holdfast.store.sql import repeated, statements
from holdfast.store.sqlite import schema
from holdfast.store.sqlite.connection import connect
from tests.conformance.kit import checkpoint, child, claim, commit, make, park, pending, running, settle, start
from tests.conformance.steering_kit import (
    FAR,
    NOON,
    TOPIC,
    ask,
    event,
    find,
    journal_of,
    laned,
    number,
    settled,
    slots_in_use,
    text,
    wait,
    watching,
)

HOUR = 3600
DEFAULTS = [("", "succeeded", HOUR), ("", "failed", 2 * HOUR), ("", "cancelled", 2 * HOUR)]


async def ended(store: Store, row: Start, ago_seconds: int, status: str = "succeeded") -> None:
    """A run that ended so long ago."""
    await make(store, row)
    (run,) = await claim(store)
    await settled(store, run, status, finished_at=await store.now() - ago_seconds * 1_000_000)


async def left(store: Store) -> list[str]:
    """The ids of the tenant's runs, oldest first."""
    rows = await store.search_runs("t", None, limit=100, before=None)
    return [row.id for row in reversed(rows)]


async def prune(store: Store, keep: Any = DEFAULTS, limit: int = 100) -> int:
    """Walk through all runs once; how many were deleted."""
    count, after = await store.prune(keep, b"", limit)
    while after is not None:
        more, after = await store.prune(keep, after, limit)
        count += more
    return count


async def test_retention_is_what_was_set_last(store: Store) -> None:
    assert await store.retention() == []
    for workflow, status, seconds in (
        ("flow", "failed", 5),
        ("", "succeeded", 7),
        ("flow", "", 8),
        ("flow", "failed", 6),
    ):
        await store.set_retention(workflow, status, seconds)
    assert sorted(await store.retention()) == [("", "succeeded", 7), ("flow", "", 8), ("flow", "failed", 6)]
    await store.set_retention("flow", "", None)
    await store.set_retention("flow", "", None)
    assert sorted(await store.retention()) == [("", "succeeded", 7), ("flow", "failed", 6)]


async def test_runs_are_kept_for_the_most_specific_period(store: Store) -> None:
    other = ("main", "child", "v1", 1)
    await ended(store, start("old"), HOUR + 60)
    await ended(store, start("young"), HOUR - 60)
    await ended(store, start("failed"), HOUR + 60, "failed")
    await ended(store, start("old failed"), 2 * HOUR + 60, "failed")
    await ended(store, start("other", kind=other), 60)
    await ended(store, start("other failed", kind=other), 60, "failed")
    keep = [*DEFAULTS, ("child", "", 30), ("child", "failed", 90)]
    assert await prune(store, keep) == 3
    assert await left(store) == ["young", "failed", "other failed"]
    assert await prune(store, keep) == 0
    assert await prune(store, []) == 0
    assert await prune(store, [("child", "failed", 1)]) == 1


async def test_what_has_not_ended_is_kept(store: Store) -> None:
    run = await running(store, "parked")
    await commit(store, parks=[park(run, wake_at=FAR)])
    await running(store, "executing")
    held = start("held")
    await make(store, start("ready"), start("delayed", due_at=FAR), held)
    await ask(store, held.uid, "hold")
    before = await left(store)
    assert await prune(store, [("", "succeeded", 0), ("", "failed", 0), ("", "cancelled", 0)]) == 0
    assert await left(store) == before


async def deadlines(store: Any) -> int:
    """How many there are, also of runs that are gone."""
    if store.name == "postgres":
        return int(await store._read(lambda connection: connection.fetchval("SELECT count(*) FROM holdfast.deadlines")))
    count = "SELECT count(*) FROM deadlines"
    return int(await store._read(lambda connection: connection.execute(count).fetchone()[0]))


async def test_a_run_goes_with_all_that_belongs_to_it(store: Store) -> None:
    await make(store, watching("a", facts=(text("order", "o-1"),), deadline_at=1))
    assert await deadlines(store) == 1
    (run,) = await claim(store)
    tried = Attempt(run.uid, b"\1", 1, 1, "step", 10, 20, b"error", 30, run.epoch)
    await commit(
        store,
        checkpoints=[checkpoint(run, b"\0")],
        attempts=[tried],
        progress=[Progress(run.uid, run.epoch, 1.0, 2.0, "", NOON)],
    )
    await commit(store, settles=[settle(run, "failed", tenant="t")])  # as if it had nothing to listen for
    assert await prune(store) == 1
    assert await deadlines(store) == 0
    assert await left(store) == []
    assert await store.load_journals([run.uid]) == ([], [])
    condition = parse("attributes.order = 'o-1'", NOON)
    assert await store.count_runs("t", condition, cap=9) == 0
    assert await store.count_runs("t", parse("status = 'failed'", NOON), cap=9) == 0
    assert await store.due_deadlines(9) == []
    assert (await commit(store, events=[event()])).events[0].cancels == 0
    # The id is free again.
    await make(store, start("a"))


@pytest.mark.parametrize(
    ("fact", "kept"),
    [(text("legal_hold", "case 7"), True), (number("legal_hold", 1), True), (number("legal_hold", 0), False)],
)
async def test_a_run_under_legal_hold_is_kept(store: Store, fact: Any, kept: bool) -> None:
    await ended(store, start("a", facts=(fact, text("order", "o-1"))), 3 * HOUR)
    assert await prune(store) == (0 if kept else 1)


async def test_a_child_is_kept_while_its_parent_has_not_ended(store: Store) -> None:
    parent = await running(store, "p")
    await commit(store, starts=[child("c", parent, b"\0")], checkpoints=[pending(parent, b"\0")])
    (run,) = await claim(store)
    await settled(store, run)
    assert await prune(store) == 0
    await settled(store, parent, finished_at=await store.now())
    assert await prune(store) == 1
    assert await left(store) == ["p"]
    assert (await journal_of(store, parent.uid))[0].outcome == "ok"


async def test_a_walk_goes_on_where_it_stopped_and_ends_at_what_is_young(store: Store) -> None:
    for number_ in range(5):
        await ended(store, start(f"r{number_}", created_at=1), 3 * HOUR)
    now = await store.now()
    await ended(store, start("young", created_at=now), 3 * HOUR)
    await ended(store, start("behind", created_at=1), 3 * HOUR)
    count, after = await store.prune(DEFAULTS, b"", 2)
    assert (count, await left(store)) == (2, ["r2", "r3", "r4", "young", "behind"])
    assert after is not None
    count, after = await store.prune(DEFAULTS, after, 2)
    assert (count, await left(store)) == (2, ["r4", "young", "behind"])
    assert after is not None
    count, after = await store.prune(DEFAULTS, after, 2)
    assert (count, after, await left(store)) == (1, None, ["young", "behind"])


async def test_a_fork_outlives_its_source(store: Store) -> None:
    await ended(store, start("a"), 3 * HOUR)
    source = await find(store, "a")
    await make(store, start("f", forked_from=source.uid, forked_seq=1))
    assert await prune(store) == 1
    row = await find(store, "f")
    assert (row.forked_from, row.forked_seq) == (None, 1)


async def test_events_are_forgotten_when_they_expire(store: Store) -> None:
    kept, expired = event(b"kept"), event(b"expired", expires_at=NOON // 2, to_all=True)
    await commit(store, events=[kept, expired])
    assert [sent.created for sent in (await commit(store, events=[kept, expired])).events] == [False, False]
    await prune(store)
    assert [sent.created for sent in (await commit(store, events=[kept])).events] == [False]
    run = await running(store, "a")
    await commit(store, checkpoints=[checkpoint(run, b"\0", kind="event", outcome="pending")], waits=[wait(run, b"\0")])
    assert [entry.output for entry in await journal_of(store, run.uid)] == [b"kept"]
    assert [sent.created for sent in (await commit(store, events=[expired])).events] == [True]


async def test_what_is_still_used_is_not_tidied_away(store: Store) -> None:
    await make(store, laned("a"))
    (run,) = await claim(store)
    await make(store, laned("b"))
    await commit(store, checkpoints=[checkpoint(run, b"\0", kind="event", outcome="pending")], waits=[wait(run, b"\0")])
    await prune(store)
    assert await slots_in_use(store) == [("k", 1, 1)]
    assert (await store.standing(run.uid)).waits == ((TOPIC.name, TOPIC.key, None),)
    assert (await commit(store, events=[event()])).events[0].waits == 1
    await settled(store, run)
    await prune(store)
    assert await slots_in_use(store) == [("k", 1, 0)]
    assert [following.id for following in await claim(store)] == ["b"]


def test_sqlite_finds_what_it_deletes_by_whole_keys() -> None:
    connection = connect(None)
    schema.prepare(connection, ":memory:", migrate=False)
    deletions = {
        name: repeated(text, 2) if "/*rows*/" in text else text
        for name, text in statements("holdfast.store.sqlite", "retention.sql").items()
        if name.startswith("delete_")
    }
    assert len(deletions) > 14
    plans = {
        name: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", [None] * text.count("?"))]
        for name, text in deletions.items()
    }
    connection.close()
    for name, plan in plans.items():
        assert plan[0].startswith("SEARCH "), f"{name}: {plan}"
        assert not any(re.match(r"SCAN [a-z]", line) for line in plan), f"{name}: {plan}"
    assert plans["delete_deadline"] == ["SEARCH deadlines USING PRIMARY KEY (at=? AND run=?)"]
    assert "events_id (id=?)" in plans["delete_events"][0]
