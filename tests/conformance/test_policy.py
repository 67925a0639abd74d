"""A store under a tenant's policy reads what is the tenant's, and nothing else; over every store."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast.errors import UsageError
from holdfast.model.search import parse
from holdfast.store.base import Store
from holdfast.store.confined import VERBS
from holdfast.store.operations import Attempt as AttemptOp
from holdfast.store.operations import Audit, Batch, Fact, NewChunk, Progress, SetAttributes
from holdfast.store.rows import (
    KeyRow,
    QueueRow,
    ReplyRow,
    SavedViewRow,
    ScheduleRow,
    SessionRow,
    Standing,
    TallyRow,
    UserRow,
)
from tests.conformance.kit import (
    KIND,
    WORKER,
    checkpoint,
    child,
    claim,
    commit,
    event,
    expecting,
    in_lane,
    make,
    park,
    pending,
    settle,
    start,
    topic,
    wait,
)
from tests.conformance.steering_kit import FAR


@dataclass
class House:
    """What a tenant has, by name: the same for each."""

    tenant: str
    runs: dict[str, bytes]
    digest: bytes
    prefix: str


async def settle_in(store: Store, tenant: str) -> House:
    """Give a tenant something in every table."""
    queue = f"of {tenant}"
    kinds = (queue, "flow", "v1", 1), (queue, "child", "v1", 1)
    await make(store, start("parent", tenant=tenant, queue=queue))
    (parent,) = await claim(store, 9, *kinds)
    children = [child(f"child-{n}", parent, bytes([n]), tenant=tenant, queue=queue) for n in range(3)]
    await commit(store, starts=children, checkpoints=[pending(parent, bytes([n])) for n in range(3)])
    claimed = {run.id: run for run in await claim(store, 9, *kinds)}
    first = claimed["child-0"]
    facts = (Fact("order", f"o-{tenant}", None), Fact("n", None, 5.0))
    await commit(
        store,
        checkpoints=[checkpoint(first, b"\x00"), expecting(first, b"\x01")],
        attempts=[AttemptOp(first.uid, b"\x00", 1, 1, "step", 1, 2, b"error", 3, first.epoch)],
        progress=[Progress(first.uid, first.epoch, 1.0, 2.0, "half", 5)],
        chunks=[NewChunk(first.uid, first.epoch, "tokens", 0, "data", b"chunk", 5, b"w", 1, 0)],
        attributes=[SetAttributes(first.uid, tenant, first.epoch, b"attributes", facts)],
        waits=[wait(first, b"\x01", topic("paid", "k", tenant))],
    )
    await commit(store, parks=[park(first, b"\x01", wake_at=FAR)])
    await commit(store, settles=[settle(claimed["child-1"], "failed", output=b"why")])
    await make(store, start("steps", tenant=tenant, queue=queue))
    (steps,) = await claim(store, 9, *kinds)
    await commit(store, checkpoints=[checkpoint(steps, b"\x00", output=b"\x011")])
    await commit(store, settles=[settle(steps, output=b"\x012")])
    last, everybody = claimed["child-2"], topic("for all", "", tenant)
    await commit(store, checkpoints=[expecting(last, b"\x00")], waits=[wait(last, b"\x00", everybody)])
    await commit(store, events=[event(topic("kept", "", tenant)), event(everybody, to_all=True)])
    await make(store, *(in_lane(id, tenant=tenant, queue=queue) for id in ("holder", "in line")))
    claimed |= {run.id: run for run in await claim(store, 9, *kinds)}
    await make(store, start("ready", tenant=tenant, queue=queue, deadline_at=FAR))
    await store.put_schedule(ScheduleRow(tenant, "nightly", "flow", b"d", b"i", b"o", False, FAR, None, 1))
    await store.put_user(UserRow(tenant, "ann", f"ann@{tenant}", "hash", b"{}", 1, 1))
    key = KeyRow(f"prefix{tenant}", tenant, b"d" * 32, "ci", "viewer", "ann", 1, None, None, None)
    await store.add_key(key)
    digest = tenant.encode() * 32
    await store.add_session(SessionRow(digest, tenant, "ann", b"{}", 1, FAR))
    await commit(store, audits=[Audit(uuid.uuid4().bytes, tenant, "ann", "run.start", "ready", b"{}", 1)])
    await store.reserve_reply(ReplyRow(tenant, "request", b"f" * 32, 1, FAR, None, None, None), 0)
    await store.put_view(SavedViewRow(tenant, "ann", "runs", "mine", "status:failed"))
    await store.put_tallies([TallyRow(tenant, 60, 120, "flow", "failed", b"p" * 16, 1, 2, 3, b"[1]", b"[2]")])
    rows = await store.find_runs(tenant, ["parent", "child-0", "child-1", "steps", "holder", "in line", "ready"])
    return House(tenant, {row.id: row.uid for row in rows}, digest, key.prefix)


def questions(house: House) -> dict[str, Callable[[Store], Awaitable[Any]]]:
    """Every read of what is a tenant's; each finds something, if the store may see it."""
    tenant, runs = house.tenant, house.runs
    names, uids = list(runs), list(runs.values())
    parent, first = runs["parent"], runs["child-0"]

    def by(text: str) -> Callable[[Store], Awaitable[Any]]:
        return lambda s: s.search_runs(tenant, parse(text, 0), limit=9, before=None)

    async def found(s: Store) -> Any:
        return sorted(await s.find_runs(tenant, names))

    async def journal(s: Store) -> Any:
        return (await s.load_journals(uids))[0]

    async def attempts(s: Store) -> Any:
        return (await s.load_journals(uids))[1]

    async def recorded(s: Store, part: str) -> Any:
        return sorted(map(tuple, getattr(await s.load_recorded(tenant, uids), part)))

    async def parts(s: Store) -> Any:
        return [
            part
            for read in (
                s.browse_journal(first, after=b"", limit=9),
                s.read_entries(first, [b"\x00", b"\x01"]),
                s.read_open(first, 9),
            )
            for part in await read
            if part
        ]

    async def stands(run: bytes, s: Store) -> Any:
        found = await s.standing(run)
        return None if found == Standing("nowhere") else found

    return {
        "find_runs": found,
        "list_runs": lambda s: s.list_runs(tenant, workflow="flow", status=None, limit=9, before=None),
        "list_uids": lambda s: s.list_uids(tenant, None, limit=9, before=None),
        "recorded runs": lambda s: recorded(s, "runs"),
        "recorded entries": lambda s: recorded(s, "entries"),
        "recorded attempts": lambda s: recorded(s, "attempts"),
        "recorded steps": lambda s: s.load_steps(tenant, uids),
        "failed": by("status = 'failed'"),
        "running": by("status = 'running'"),
        "waiting": by("status = 'waiting'"),
        "queued": by("status = 'queued'"),
        "by text": by(f"attributes.order = 'o-{tenant}'"),
        "by number": by("attributes.n = 5"),
        "by parent": by("workflow = 'child' and parent = 'parent'"),
        "count_runs": lambda s: s.count_runs(tenant, None, cap=9),
        "journal": journal,
        "attempts": attempts,
        "parts of the journal": parts,
        "read_waits": lambda s: s.read_waits([(first, b"\x00", 1)]),
        "read_outcomes": lambda s: s.read_outcomes(uids),
        "children": lambda s: s.children(parent, open_only=False, limit=9),
        "more children": lambda s: s.children(parent, open_only=False, limit=1, after=b"\x00"),
        "standing of a parked run": lambda s: stands(first, s),
        "standing of a run in line": lambda s: stands(runs["in line"], s),
        "list_lanes": lambda s: s.list_lanes(tenant, limit=9),
        "list_schedules": lambda s: s.list_schedules(tenant),
        "list_users": lambda s: s.list_users(tenant, limit=9),
        "user by id": lambda s: s.find_user(tenant, id="ann"),
        "user by address": lambda s: s.find_user(tenant, email=f"ann@{tenant}"),
        "find_key": lambda s: s.find_key(house.prefix),
        "list_keys": lambda s: s.list_keys(tenant, limit=9, search="pre"),
        "find_session": lambda s: s.find_session(house.digest),
        "list_audit": lambda s: s.list_audit(tenant, limit=9),
        "audit by actor": lambda s: s.list_audit(tenant, limit=9, actor="ann", action="run"),
        "audit by action": lambda s: s.list_audit(tenant, limit=9, action="run"),
        "audit by target": lambda s: s.list_audit(tenant, limit=9, target="ready", actor="ann"),
        "list_views": lambda s: s.list_views(tenant, "ann", "runs"),
        "read_tallies": lambda s: s.read_tallies(tenant, 60, 0, 200),
    }


SHARED: dict[str, Callable[[Store], Awaitable[Any]]] = {
    "list_workflows": lambda s: s.list_workflows(),
    "list_workers": lambda s: s.list_workers(),
    "list_served": lambda s: s.list_served(),
    "counts": lambda s: s.counts(),
    "flow": lambda s: s.flow(),
    "list_queues": lambda s: s.list_queues(),
    "list_shares": lambda s: s.list_shares("main", limit=9),
    "stranded": lambda s: s.stranded(9),
    "retention": lambda s: s.retention(),
}
"""Reads of what no tenant owns."""

READS = {
    "now", "load_journals", "browse_journal", "read_entries", "read_open", "read_waits", "read_outcomes", "find_runs",
    "list_runs", "list_uids", "load_recorded", "load_steps", "search_runs", "count_runs", "children",
    "child_outcomes",
    "standing", "list_lanes", "list_schedules", "due_schedules", "list_users", "find_user", "find_key", "list_keys",
    "find_session", "list_audit", "list_views", "read_tallies", *SHARED,
}  # fmt: skip


async def test_what_is_the_tenant_s_is_found_and_nothing_else(store: Store, looking: Store) -> None:
    ours, theirs = await settle_in(store, "t"), await settle_in(store, "u")
    within = looking.under_policy("t")
    for name, ask in questions(ours).items():
        known = await ask(store)
        assert known, name
        assert await ask(within) == known, name
    for name, ask in questions(theirs).items():
        assert await ask(store), name
        assert not await ask(within), name
    assert not await looking.under_policy("nobody").find_runs("nobody", ["parent"])


async def test_what_no_tenant_owns_is_read_as_ever(store: Store, looking: Store) -> None:
    await settle_in(store, "t")
    await store.set_queue(QueueRow("main", 5, None, False))
    await store.set_retention("flow", "failed", 5)
    await store.serve(WORKER, [KIND])
    within = looking.under_policy("u")
    for name, ask in SHARED.items():
        assert await ask(within) == await ask(store), name
    assert abs(await within.now() - await store.now()) < 10_000_000


async def test_who_is_before_a_run_is_counted_over_all_tenants(store: Store, looking: Store) -> None:
    await make(store, *(start(f"a-{n}", tenant="u", rank=1) for n in range(3)), start("mine", rank=2))
    (mine,) = await store.find_runs("t", ["mine"])
    assert (await looking.under_policy("t").standing(mine.uid)).ahead == 3
    assert await looking.under_policy("u").standing(mine.uid) == Standing("nowhere")


async def test_reads_of_several_tenants_at_once(store: Store, looking: Store) -> None:
    for tenant in ("t", "u", "v"):
        await make(store, *(start(f"{tenant}-{n}", tenant=tenant) for n in range(3)))

    async def ids(tenant: str) -> set[str]:
        found: set[str] = set()
        for asked in ("t", "u", "v"):
            rows = await looking.under_policy(tenant).list_runs(asked, workflow=None, status=None, limit=9, before=None)
            found |= {row.tenant for row in rows}
        return found

    tenants = ["t", "u", "v"] * 5
    assert await asyncio.gather(*map(ids, tenants)) == [{tenant} for tenant in tenants]
    rows = await looking.find_runs("t", ["t-0"])
    assert [row.id for row in rows] == ["t-0"]  # and the store itself sees all of them


async def test_nothing_is_written_under_a_policy(store: Store, looking: Store) -> None:
    within = looking.under_policy("t")
    for verb in sorted(VERBS - READS - {"name", "durable"}):
        with pytest.raises(UsageError, match=f"^{verb}: a store under the policy of tenant 't'"):
            getattr(within, verb)(Batch())
    with pytest.raises(AttributeError):
        within.nonsense  # type: ignore[attr-defined]  # noqa: B018
    assert within.name == looking.name
