"""Shares of a queue: whose run is claimed next, over every store."""

import asyncio
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg
import pytest

from holdfast.model.shares import PLACE_BYTES, share_name, share_of, too_long, weight_name
from holdfast.store import turn_lines
from holdfast.store.base import Store
from holdfast.store.operations import Batch, Cap, Claim, ClaimedRun, Results, Start
from holdfast.store.postgres import claim as claiming
from holdfast.store.rows import QueueRow, ShareRow
from holdfast.store.turn_lines import Line
from tests.conformance.kit import KIND, OTHER, WORKER, commit, make, park, register, settle, start


@pytest.fixture(autouse=True)
def looks_are_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests count does not depend on how fast the machine is."""
    monkeypatch.setattr(turn_lines, "CHEAP_SECONDS", 3600.0)
    monkeypatch.setattr(claiming, "CHEAP_SECONDS", 3600.0)


OLD = ("main", "flow", "v0", 1)
"""A kind that nobody serves."""


def of(tenant: str, number: int, key: str = "", **changes: Any) -> Start:
    """A run of a tenant, and of a key of it."""
    queue = share_name("main", tenant, key)
    row = start(f"{tenant} {key} {number}", tenant=tenant, rank=1000 + number, **changes)
    return row._replace(queue=queue if row.queue == "main" else row.queue)


async def waiting(store: Store, tenant: str, runs: int, key: str = "", **changes: Any) -> None:
    """Runs of a share that wait."""
    await make(store, *(of(tenant, number, key, **changes) for number in range(runs)))


async def take(
    store: Store,
    limit: int,
    *,
    caps: tuple[Cap, ...] = (),
    weights: Mapping[str, int] | None = None,
    kinds: Iterable[tuple[str, str, str, int]] = (KIND,),
    worker: bytes = WORKER,
    once: bool = False,
) -> list[ClaimedRun]:
    """Claim, and go on while the store says that it has not looked everywhere."""
    found: list[ClaimedRun] = []
    while True:
        results = await claimed(store, limit - len(found), caps=caps, weights=weights, kinds=kinds, worker=worker)
        (runs,) = results.claims
        assert isinstance(runs, list)
        found += runs
        if once or not results.rationed or len(found) >= limit:
            return found
        await asyncio.sleep(results.rationed)


async def claimed(
    store: Store,
    limit: int,
    *,
    caps: tuple[Cap, ...] = (),
    weights: Mapping[str, int] | None = None,
    kinds: Iterable[tuple[str, str, str, int]] = (KIND,),
    worker: bytes = WORKER,
) -> Results:
    """One claim."""
    return await store.commit(Batch(claims=[Claim(worker, os.urandom(16), limit, tuple(kinds), caps, weights)]))


def tenants(runs: Iterable[ClaimedRun]) -> dict[str, int]:
    """How many runs of each tenant."""
    return dict(Counter(share_of(run.queue).tenant for run in runs))


def keys(runs: Iterable[ClaimedRun]) -> dict[str, int]:
    """How many runs of each key."""
    return dict(Counter(share_of(run.queue).key for run in runs))


async def settled(store: Store, runs: Iterable[ClaimedRun]) -> None:
    """Runs that end."""
    await commit(store, settles=[settle(run) for run in runs])


@pytest.mark.parametrize("large", ["large", "default"])
async def test_a_tenants_run_does_not_wait_behind_another_ones(store: Store, large: str) -> None:
    await waiting(store, large, 600)
    for before in range(8):
        for _ in range(before):
            await take(store, 5)
        await make(store, of("small", before))
        claims = 1
        while "small" not in tenants(await take(store, 5)):
            claims += 1
        assert claims <= turn_lines.EVERY + 1 < 10


async def test_tenants_have_the_same_of_each_claim(store: Store) -> None:
    for tenant in ("a", "b", "default"):
        await waiting(store, tenant, 60)
    await take(store, 3)
    for _ in range(4):
        assert tenants(await take(store, 30)) == {"a": 10, "b": 10, "default": 10}


async def test_one_run_at_a_time_goes_around_too(store: Store) -> None:
    for tenant in ("a", "b", "c"):
        await waiting(store, tenant, 40)
    found: list[ClaimedRun] = []
    for _ in range(60):
        found += await take(store, 1)
    assert tenants(found) == {"a": 20, "b": 20, "c": 20}


async def test_a_weight_is_how_much_a_tenant_takes_in_its_turn(store: Store) -> None:
    for tenant in ("a", "b", "default"):
        await waiting(store, tenant, 200)
    weights = {weight_name("main", "a"): 5, weight_name("main", "default"): 2}
    await take(store, 1)
    found: list[ClaimedRun] = []
    for _ in range(10):
        found += await take(store, 16, weights=weights)
    assert tenants(found) == {"a": 100, "b": 20, "default": 40}
    found = []
    for _ in range(80):
        found += await take(store, 1, weights=weights)
    assert tenants(found) == {"a": 50, "b": 10, "default": 20}


async def test_the_keys_of_a_tenant_take_turns_by_their_weights(store: Store) -> None:
    await waiting(store, "a", 100)
    await waiting(store, "a", 200, "gold")
    await waiting(store, "a", 100, "tin")
    await waiting(store, "b", 300)
    weights = {weight_name("main", "a", "gold"): 3}
    found: list[ClaimedRun] = []
    for _ in range(10):
        found += await take(store, 20, weights=weights)
    assert tenants(found) == {"a": 100, "b": 100}
    assert keys(run for run in found if run.tenant == "a") == {"": 20, "gold": 60, "tin": 20}


async def test_within_a_share_the_first_in_rank_is_first(store: Store) -> None:
    await waiting(store, "a", 30)
    await waiting(store, "b", 3)
    await make(store, of("a", -500), of("a", -600, "k"))
    runs = [*await take(store, 8), *await take(store, 8)]
    mine = [run.rank for run in sorted(runs, key=lambda run: run.epoch) if run.queue == share_name("main", "a", "")]
    assert mine == sorted(mine)
    assert {500, 400} <= {run.rank for run in runs}


@pytest.mark.parametrize("limit", [6, 24])
async def test_a_share_of_several_kinds_gives_its_part_by_rank(store: Store, limit: int) -> None:
    kinds = (KIND, ("main", "flow", "v2", 1))
    for tenant in ("a", "b"):
        await make(store, *(of(tenant, number, kind=kinds[number % 3 == 0]) for number in range(80)))
    await take(store, 2, kinds=kinds)
    ranks: dict[str, list[int]] = {"a": [], "b": []}
    for _ in range(3):
        for run in await take(store, limit, kinds=kinds):
            ranks[run.tenant].append(run.rank)
    assert {tenant: len(of_tenant) for tenant, of_tenant in ranks.items()} == {"a": limit * 3 / 2, "b": limit * 3 / 2}
    for of_tenant in ranks.values():
        assert of_tenant == list(range(of_tenant[0], of_tenant[0] + len(of_tenant)))


async def test_what_others_leave_is_taken_by_who_has_more(store: Store) -> None:
    await waiting(store, "a", 2)
    await waiting(store, "b", 5, "k")
    await waiting(store, "c", 100)
    await waiting(store, "default", 1)
    await take(store, 1)
    assert len(await take(store, 60)) == 60
    assert len(await take(store, 60)) == 47
    assert await take(store, 60) == []


async def test_each_of_very_many_keys_has_its_turn(store: Store) -> None:
    many = 500
    await make(store, *(of("a", number, f"{number % many:04}") for number in range(many * 3)))
    await waiting(store, "b", 2000)
    found: list[ClaimedRun] = []
    claims = 0
    while len(keys(run for run in found if run.tenant == "a")) < many:
        found += await take(store, 50)
        claims += 1
        assert claims <= 1.3 * many / 25
    assert max(keys(run for run in found if run.tenant == "a").values()) <= 2


async def test_each_of_very_many_tenants_has_its_turn(store: Store) -> None:
    many = 400
    await make(store, *(of(f"{number % many:04}", number) for number in range(many * 2)))
    await waiting(store, "default", 500)
    found: list[ClaimedRun] = []
    claims = 0
    while len(tenants(found)) <= many and claims < 100:
        found += await take(store, 50)
        claims += 1
    assert claims <= 1.3 * many / 50 + 3
    assert max(tenants(found).values()) <= 50 + 3  # what was claimed before the others were known
    while more := await take(store, 50):
        found += more
    assert len(found) == many * 2 + 500


async def test_every_run_of_many_keys_is_claimed_in_the_end(store: Store) -> None:
    await make(store, *(of(f"t{number % 7}", number, f"{number:04}") for number in range(700)))
    found: list[ClaimedRun] = []
    while more := await take(store, 90):
        found += more
    assert len({run.uid for run in found}) == 700


async def test_what_nobody_serves_is_in_nobodys_way(store: Store) -> None:
    await make(store, *(of("a", number, f"{number:04}", kind=OLD) for number in range(300)))
    await make(store, *(of(f"t{number:04}", number, kind=OLD) for number in range(300)))
    await waiting(store, "z", 3)
    await waiting(store, "a", 3, "z")
    found = await take(store, 50)
    assert Counter(run.version for run in found) == {"v1": 6}
    assert await take(store, 50) == []
    assert len(await take(store, 1000, kinds=(OLD,))) == 600


async def test_several_queues_take_turns_when_there_are_shares(store: Store) -> None:
    other = ("other", "flow", "v1", 1)
    await make(store, *(start(f"o{number}", kind=other) for number in range(50)))
    await waiting(store, "a", 50)
    await waiting(store, "b", 50)
    await take(store, 4, kinds=(KIND, other))
    found = [run for _ in range(3) for run in await take(store, 12, kinds=(KIND, other))]
    assert Counter(share_of(run.queue).queue for run in found) == {"main": 18, "other": 18}


async def test_a_limit_of_the_queue_counts_all_its_shares(store: Store) -> None:
    for tenant in ("a", "b", "default"):
        await waiting(store, tenant, 9)
    caps = (Cap("main", 100, 5),)
    runs = await take(store, 20, caps=caps)
    assert len(runs) == 5
    assert await take(store, 20, caps=caps) == []
    await settled(store, runs[:2])
    assert len(await take(store, 20, caps=caps)) == 2
    assert len(await take(store, 20, caps=(Cap("main", 3, None),), once=True)) == 3


async def test_of_each_share_so_many_execute_at_once(store: Store) -> None:
    await waiting(store, "a", 9)
    await waiting(store, "a", 9, "k")
    await waiting(store, "b", 9)
    await waiting(store, "default", 9)
    caps = (Cap("main", 100, None, 2),)
    runs = await take(store, 20, caps=caps)
    assert Counter(run.queue for run in runs) == {
        share_name("main", tenant, key): 2 for tenant, key in (("a", ""), ("a", "k"), ("b", ""), ("default", ""))
    }
    assert await take(store, 20, caps=caps) == []
    ended = next(run for run in runs if share_of(run.queue).key == "k")
    await commit(store, parks=[park(ended)])
    (more,) = await take(store, 20, caps=caps)
    assert more.queue == ended.queue


async def test_full_shares_do_not_hide_those_that_are_not(store: Store) -> None:
    await make(store, *(of("a", number, f"{number % 150:03}") for number in range(450)))
    caps = (Cap("main", 1000, None, 1),)
    runs = await take(store, 140, caps=caps)
    assert max(Counter(run.queue for run in runs).values()) == 1
    rest = await take(store, 100, caps=caps)
    assert len(rest) == 10
    await settled(store, [runs[7], rest[3]])
    again = await take(store, 100, caps=caps)
    assert {run.queue for run in again} == {runs[7].queue, rest[3].queue}


async def test_a_limit_per_share_holds_under_concurrent_claims(postgres_database: str) -> None:
    from holdfast.store.postgres.store import PostgresStore

    stores = [PostgresStore(postgres_database) for _ in range(4)]
    for number, store in enumerate(stores):
        await store.open()
        await register(store, b"worker-number-%02d" % number)
    try:
        await stores[0].set_queue(QueueRow("main", None, None, False, 2))  # what claims lock
        await make(stores[0], *(of(f"t{number % 3}", number, f"k{number % 4}") for number in range(360)))
        caps = (Cap("main", 1000, None, 2),)
        executing: Counter[str] = Counter()
        ended = 0

        async def work(number: int) -> None:
            nonlocal ended
            store = stores[number]
            while ended < 240:
                runs = await take(store, 5, caps=caps, worker=b"worker-number-%02d" % number, once=True)
                executing.update(run.queue for run in runs)
                assert max(executing.values(), default=0) <= 2
                await asyncio.sleep(0)
                executing.subtract(run.queue for run in runs)
                await settled(store, runs)
                ended += len(runs)

        await asyncio.gather(*(work(number) for number in range(4)))
    finally:
        for store in stores:
            await store.close()


@pytest.mark.parametrize("shares", [1, 3])
async def test_a_repeated_claim_is_given_what_it_was_given(store: Store, shares: int) -> None:
    for number in range(shares):
        await waiting(store, f"t{number}", 5)
    claim = Claim(WORKER, os.urandom(16), 6, (KIND,))
    (first,) = (await commit(store, claims=[claim])).claims
    (second,) = (await commit(store, claims=[claim])).claims
    assert first == second
    assert len(first) == min(6, 5 * shares)


async def test_a_worker_without_a_lease_takes_of_no_share(store: Store) -> None:
    await waiting(store, "a", 5)
    await waiting(store, "b", 5)
    assert (await claimed(store, 5, worker=OTHER)).claims == ["lost"]


async def test_weights_and_limits_stay_until_they_are_set(store: Store) -> None:
    await store.set_queue(QueueRow("main", None, None, False, 2), weights=[("a", 5), ("a/k", 3)])
    await store.set_queue(QueueRow("main", 4, None, False), ["total"], [("a", None), ("b", 7), ("none", None)])
    assert (await store.flow()).queues == (QueueRow("main", 4, None, False, 2, (("a/k", 3), ("b", 7))),)
    await store.set_queue(QueueRow("new", None, None, False), [], [("a", 2)])
    assert (await store.flow()).queues[1] == QueueRow("new", None, None, False, None, (("a", 2),))


@pytest.mark.parametrize("limit", ["total", "per_key"])
async def test_a_limit_counts_the_runs_of_shares_that_execute_already(store: Store, limit: str) -> None:
    for tenant in ("a", "default"):
        await waiting(store, tenant, 4)
    runs = await take(store, 2)
    runs += await take(store, 2)
    assert len(tenants(runs)) == 2
    most = {"total": (5, None), "per_key": (None, 3)}[limit]
    await store.set_queue(QueueRow("main", most[0], None, False, most[1]))
    found = await take(store, 9, caps=(Cap("main", 9, *most),))
    executing = Counter(run.queue for run in [*runs, *found])
    assert sum(executing.values()) == 5 if limit == "total" else set(executing.values()) == {3}
    await store.set_queue(QueueRow("main", None, None, False))
    await store.set_queue(QueueRow("main", 8, None, False))
    assert len(await take(store, 9, caps=(Cap("main", 9, 8),))) == 8 - sum(executing.values())


async def test_what_was_claimed_in_ignorance_of_a_limit_counts_when_it_is_told(store: Store) -> None:
    await waiting(store, "a", 4)
    caps = (Cap("main", 9, None, 2),)
    await store.set_queue(QueueRow("main", None, None, False, 2))
    assert len(await take(store, 2)) == 2
    await store.count_executing(["main", "nothing"])
    assert await take(store, 9, caps=caps) == []
    await store.set_queue(QueueRow("main", None, None, False))
    await store.count_executing(["main"])
    assert len(await take(store, 9, caps=caps)) == 2


async def test_the_longest_names_that_can_be(store: Store) -> None:
    characters = "".join(chr(65 + byte % 58) for byte in os.urandom(4 * 512))  # nothing that could be compressed
    kind = ("main", characters[:512], characters[512:1024], 1)
    key = characters[1024:][: PLACE_BYTES - 1024 - len(share_name("main", "é" * 256, "").encode())]
    row = start("long", tenant="é" * 256, kind=kind)._replace(queue=share_name("main", "é" * 256, key))
    assert not too_long(row.queue, row.workflow, row.version)
    assert too_long(row.queue, row.workflow, row.version, "x")
    await make(store, row)
    (found,) = await take(store, 9, kinds=[kind])
    assert found.id == "long"


async def test_odd_names_are_names_like_others(store: Store) -> None:
    odd = ["%", "_", "a", "a ", "a\x01", "A", "ä", "\U0001f600", "a/b", "\\", "zz\x7f", "\uffff"]
    for tenant in odd:
        await waiting(store, tenant, 2)
        for key in odd:
            await waiting(store, tenant, 1, key)
    await take(store, 1)
    found = await take(store, 1000)
    assert len(found) == len(odd) * (len(odd) + 2) - 1
    assert await take(store, 9) == []


async def test_shares_are_listed_by_how_many_wait(store: Store) -> None:
    await waiting(store, "default", 2)
    await waiting(store, "b", 3, "k")
    await waiting(store, "b", 1, "other")
    await make(store, *(of(f"t{number:03}", number) for number in range(150)))
    assert await store.list_shares("main", limit=3) == [
        ShareRow("b", "k", 3, 0), ShareRow("default", "", 2, 0), ShareRow("b", "other", 1, 0)
    ]  # fmt: skip
    assert await store.list_shares("main", tenant="b", limit=9) == [
        ShareRow("b", "k", 3, 0),
        ShareRow("b", "other", 1, 0),
    ]
    assert await store.list_shares("main", tenant="nobody", limit=9) == []
    assert await store.list_shares("mai", limit=9) == []
    runs = await take(store, 4)
    executing = {(row.tenant, row.key): row.executing for row in await store.list_shares("main", limit=999)}
    assert sum(executing.values()) == 4
    assert executing[runs[0].tenant, share_of(runs[0].queue).key] >= 1


async def test_queues_are_listed_with_all_their_shares(store: Store) -> None:
    near = ("main\x01", "flow", "v1", 1), ("main x", "flow", "v1", 1)
    await make(store, *(start(f"n{number}", kind=kind) for number, kind in enumerate(near)))
    await waiting(store, "b", 3, "k", created_at=5)
    await waiting(store, "default", 2, created_at=9)
    await make(store, of("c", -7, created_at=2))
    found = {row.name: (ready, executing, due) for row, ready, executing, due in await store.list_queues()}
    assert found["main"] == (6, 0, 2)
    assert {name: one[0] for name, one in found.items()} == {"main": 6, "main\x01": 1, "main x": 1}
    await take(store, 2)
    await store.set_queue(QueueRow("main", 9, None, False, None), weights=[("b", 2)])
    (row,) = [one for one in await store.list_queues() if one[0].name == "main"]
    assert row[:3] == (QueueRow("main", 9, None, False, None, (("b", 2),)), 4, 2)
    assert {kind.queue: kind.runs for kind in await store.stranded(99)} == {"main": 4, "main\x01": 1, "main x": 1}
    await store.serve(WORKER, [KIND])
    assert "main" not in {kind.queue for kind in await store.stranded(99)}


async def test_where_a_run_stands_among_shares(store: Store) -> None:
    await waiting(store, "a", 3, "k")
    await waiting(store, "a", 5)
    await waiting(store, "default", 2)
    await store.serve(WORKER, [KIND])
    (third,) = await store.find_runs("a", ["a k 2"])
    standing = await store.standing(third.uid)
    assert (standing.place, standing.ahead, standing.tenants, standing.served) == ("ready", 2, 2, 1)
    assert (standing.executing, standing.of_share) == (None, None)
    await store.set_queue(QueueRow("main", 9, None, False, 1))
    await take(store, 1, caps=(Cap("main", 9, 9, 1),))
    standing = await store.standing(third.uid)
    assert standing.executing == 1
    assert standing.of_share in (0, 1)


async def test_places_are_found_by_probes_of_the_index(postgres_database: str) -> None:
    from holdfast.store.postgres.connection import WRITE
    from holdfast.store.postgres.store import PostgresStore
    from holdfast.store.sql import statements

    store = PostgresStore(postgres_database)
    await store.open()
    await register(store)
    # One tenant with many runs in one place, one with many keys, and one with a single run.
    await waiting(store, "large", 3000)
    await make(store, *(of("many", number, f"{number:05}") for number in range(3000)))
    await waiting(store, "small", 1)
    await store.close()
    connection = await asyncpg.connect(postgres_database)
    try:
        await connection.execute(f"{WRITE}; ANALYZE holdfast.ready")
        statement = statements("holdfast.store.postgres", "claim.sql")["look"]
        given = [0], ["main\x1f"], ["main "], [128], [True], ["main"], [(*KIND, 0)], 256
        assert [row[1] for row in await connection.fetch(statement, *given)] == [
            share_name("main", "large", ""), share_name("main", "many", "00000"), share_name("main", "small", "")
        ]  # fmt: skip
        # Where one range gives enough, the next one is not looked at.
        ranges = [0, 0], ["main\x1fmany", "main\x1f"], ["main ", "main\x1fmany"]
        for most, queues in ((1, ["many"]), (2, ["many", "small"]), (3, ["many", "small", "large"])):
            found = await connection.fetch(statement, *ranges, [most], *given[4:])
            assert [share_of(row[1]).tenant for row in found] == queues
        await connection.execute(f"PREPARE look AS {statement}")
        rows = await connection.fetch(
            "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) EXECUTE look (ARRAY[0], ARRAY['main' || chr(31)],"
            " ARRAY['main '], ARRAY[128], ARRAY[true], ARRAY['main'],"
            " ARRAY[ROW('main', 'flow', 'v1', 1, 0)::holdfast.served_row], 256)"
        )
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan on ready" not in plan
        assert "Sort Key: y" not in plan
        seen = [int(found) for found in re.findall(r"ready_pkey on ready y.*\(actual rows=(\d+)", plan)]
        assert seen
        assert max(seen) <= 1, plan
        assert max(int(found) for found in re.findall(r"shared hit=(\d+)", plan)) < 200, plan
    finally:
        await connection.close()


def test_no_more_are_known_than_so_many() -> None:
    line, claim = Line("main", None), 0
    for claim in range(1000):
        if line.wants(1, claim, again=False):
            line.begin(claim)
            seen = [(share_name("main", f"{claim:04} {number:03}", ""), True) for number in range(128)]
            line.found(seen, 128, claim, plain=False)
            line.turn_to(list(line.turns)[:1], [1], 1, 0, whole=True)
            line.took(f"{claim}", 1, 1)
    assert 900 < len(line.turns) < turn_lines.KNOWN + 128


def test_a_look_that_took_very_long_is_made_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_lines, "CHEAP_SECONDS", 0.01)
    line = Line("main", None)
    line.took_time(100.0, 100.05, 0)
    assert line.wait(100.05) == 0
    line.took_time(200.0, 200.05, 0)
    assert 0.2 < line.wait(200.05) < 0.3
    line.took_time(300.0, 400.0, 0)  # the process was stopped in it
    assert line.wait(400.0) <= turn_lines.LONGEST_SECONDS


async def test_a_claim_of_limited_shares_waits_for_the_one_before(postgres_database: str) -> None:
    from holdfast.store.postgres.connection import WRITE
    from holdfast.store.postgres.store import PostgresStore
    from holdfast.store.postgres.write import write

    store = PostgresStore(postgres_database)
    await store.open()
    await register(store)
    await store.set_queue(QueueRow("main", None, None, False, 2))
    await waiting(store, "a", 6)
    caps = (Cap("main", 9, None, 2),)
    connection = await asyncpg.connect(postgres_database)
    try:
        await connection.execute(WRITE)
        first = Batch(claims=[Claim(WORKER, os.urandom(16), 2, (KIND,), caps)])
        await register(store, OTHER)
        (taken,) = (await write(connection, first, claiming.Heads())).claims
        assert len(taken) == 2
        second = asyncio.ensure_future(take(store, 2, caps=caps, worker=OTHER))
        await asyncio.wait([second], timeout=0.2)
        assert not second.done()
        await connection.execute("COMMIT")
        assert await second == []
    finally:
        await connection.close()
        await store.close()
