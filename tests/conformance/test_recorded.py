"""What a replay reads of runs is what people are shown of them, over every store."""

from contextlib import suppress
from typing import Any

import msgspec

from holdfast.model.position import encode_number
from holdfast.model.run import Entry
from holdfast.model.search import parse
from holdfast.store.base import Store
from holdfast.store.operations import Attempt
from tests.conformance.kit import checkpoint, commit, make, park, pending, running, settle, start, uid
from tests.conformance.steering_kit import FAR

SHOWN = ("parent_id", "worker", "started_at", "finished_at", "due_at", "deadline_at", "failed_seq", "forked_from",
         "forked_seq", "forks", "lane", "lane_name", "lane_key", "progress", "parent_position")  # fmt: skip
"""What is only for people."""


async def some_runs(store: Store) -> None:
    """Runs in every status, one of them with a journal, and one of another tenant."""
    done, waits, failed = [await running(store, id) for id in ("done", "waits", "failed")]
    rows = [checkpoint(done, bytes([n]), output=b"\x01%d" % n) for n in (2, 0, 1)]
    attempt = Attempt(failed.uid, b"\x00", 1, 1, "step", 1, 2, b"error", 3, failed.epoch)
    await commit(store, checkpoints=[*rows, pending(waits, b"\x00")], attempts=[attempt])
    await commit(store, settles=[settle(done), settle(failed, "failed", output=b"why")])
    await commit(store, parks=[park(waits, b"\x00")])
    await running(store, "executes")
    await make(store, start("queued"), start("later", due_at=FAR), start("theirs", tenant="u"))
    await make(store, start("other", kind=("main", "other", "v1", 1)))


async def test_runs_and_journals_are_read_as_they_are_shown(store: Store) -> None:
    await some_runs(store)
    shown = await store.list_runs("t", workflow=None, status=None, limit=99, before=None)
    assert {row.status for row in shown} == {"succeeded", "failed", "waiting", "running", "queued"}
    found = await store.load_recorded("t", [row.uid for row in shown])
    lean = {row.uid: row for row in found.runs}
    nothing: dict[str, Any] = dict.fromkeys(SHOWN)
    assert lean == {row.uid: row._replace(**nothing) for row in shown}
    entries, attempts = await store.load_journals([row.uid for row in shown])
    wanted = [(Entry(*[getattr(one, name) for name in Entry._fields]), one.run, one.position) for one in entries]
    assert [(Entry(*one[:6]), one[6], one[7]) for one in found.entries] == wanted
    assert len(wanted) == 4
    assert found.attempts == attempts != []


async def test_runs_of_another_tenant_or_that_are_gone_are_left_out(store: Store) -> None:
    await some_runs(store)
    [theirs] = await store.find_runs("u", ["theirs"])
    [done] = await store.find_runs("t", ["done"])
    found = await store.load_recorded("t", [theirs.uid, done.uid, uid()])
    assert [row.uid for row in found.runs] == [done.uid]
    assert await store.load_recorded("u", [done.uid]) == ([], [], [])
    assert await store.load_recorded("t", []) == ([], [], [])
    assert await store.load_recorded("t", [done.uid], without="flo") == ([], [], [])
    assert (await store.load_recorded("t", [done.uid], without="flow.")).runs == found.runs


async def test_the_same_runs_are_listed_page_by_page(store: Store) -> None:
    await some_runs(store)
    searches = ("workflow = 'flow'", "status = 'failed'", "workflow = 'flow' and status = 'running'", "id = 'none'")
    for where in (None, *searches, "not workflow prefix 'flo'"):
        condition = None if where is None else parse(where, 0)
        shown = await store.search_runs("t", condition, limit=99, before=None)
        listed: list[bytes] = []
        while page := await store.list_uids("t", condition, limit=2, before=listed[-1] if listed else None):
            listed += page
        assert listed == [row.uid for row in shown], where


async def test_runs_of_nothing_but_steps_are_read_with_what_these_gave(store: Store) -> None:
    """Each of the others is left out, or what is said of it is no JSON, or lacks a value."""
    entries: dict[str, list[dict[str, Any]]] = {
        "plain": [{"output": b"\x011"}, {"output": b'\x01"two"', "name": "another"}, {"output": b"\x01[3]"}],
        "nothing": [],
        "other kind": [{"output": b"\x011"}, {"output": b"\x012", "kind": "now"}],
        "failed": [{"output": b"\x011"}, {"output": b"\x012", "outcome": "error"}],
        "sealed": [{"output": b"\x011"}, {"output": b"\x022"}],
        "empty": [{"output": b"\x011"}, {"output": b""}],
        "long": [{"output": b"\x011"}, {"output": b'\x01"' + b"x" * 2000 + b'"'}],
        "gap": [{"output": b"\x011"}, {"output": b"\x012", "position": b"\x02"}],
        "branch": [{"output": b"\x011"}, {"output": b"\x012", "position": b"\x00\x01"}],
        "twice": [{"output": b"\x011"}, {"output": b"\x012", "position": b"\x00", "generation": 2}],
        "very many": [{"output": b"\x01null", "position": encode_number(n)} for n in range(600)],
        "all of another kind": [{"output": b"\x011", "kind": "now"} for _ in range(4)],
        "backwards": [{"output": b"\x01%d" % n, "position": bytes([n])} for n in (2, 1, 0)],
    }
    runs = {id: await running(store, id) for id in entries}
    for id, rows in entries.items():
        numbered = [{"position": bytes([n % 200]), "seq": n + 1, **row} for n, row in enumerate(rows)]
        for row in numbered:
            await commit(store, checkpoints=[checkpoint(runs[id], **row)])
        await commit(store, settles=[settle(runs[id], output=b"\x015")])
    other = await running(store, "open")
    await commit(store, checkpoints=[checkpoint(other, b"\x00", output=b"\x011")])

    uids = [run.uid for run in (*runs.values(), other)]
    found = {row[1]: row for row in await store.load_steps("t", uids)}
    taken: dict[str, tuple[list[str], list[Any]]] = {}
    for id, row in found.items():
        with suppress(msgspec.DecodeError):
            values = msgspec.json.decode(row[7])
            if len(values) == len(row[6]):
                taken[id] = row[6], values
    assert taken == {
        "plain": (["step", "another", "step"], [1, "two", [3]]),
        "backwards": (["step"] * 3, [0, 1, 2]),
    }
    one = runs["plain"]
    assert tuple(found["plain"][:6]) == (one.uid, "plain", "flow", one.version, one.input, b"\x015")
    assert await store.load_steps("u", uids) == []
    assert await store.load_steps("t", []) == []
    assert await store.load_steps("t", uids, without="flow") == []
    assert len(await store.load_steps("t", uids, without="low")) == len(found)
