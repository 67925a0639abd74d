"""Requests to models and artifacts: written with the attempt that made them, once, over every store."""

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from holdfast.engine.counting import Counts
from holdfast.store.agent_rows import DAY_US, ArtifactRow, CostRow, ModelCall, SpentQuery
from holdfast.store.base import Rejected, Store
from holdfast.store.operations import KINDS, LOST, Attempt, Batch, ClaimedRun, Results
from holdfast.store.url import make_store
from tests.conformance.agent_kit import DAY, artifact, call
from tests.conformance.kit import checkpoint, claim, commit, make, park, register, running, settle, start
from tests.conformance.steering_kit import again, retry_of


async def calls_of(store: Store, run: ClaimedRun) -> list[ModelCall]:
    return await store.agents.model_calls(run.tenant, run.uid, limit=99)


async def artifacts_of(store: Store, run: ClaimedRun) -> list[tuple[bytes, str, int]]:
    rows = await store.agents.artifacts(run.tenant, run.uid, limit=99)
    return [(row.position, row.name, row.generation) for row in rows]


async def total(store: Store, tenant: str = "t") -> CostRow | None:
    rows = await store.agents.costs(tenant, 0, 10**6, (), limit=9)
    return rows[0] if rows else None


def test_each_kind_of_a_batch_has_its_results_and_its_place_in_the_order() -> None:
    assert tuple(Batch.__slots__) == KINDS
    assert set(KINDS) < set(Results.__slots__)


def test_what_attempts_attach_is_counted_with_the_size_of_a_commit() -> None:
    run: Any = ClaimedRun(b"r", "t", "a", "flow", "v1", 1, "main", 0, 1, 1, 0, b"", None, None, None, 1, 1, True)
    counts = Counts()
    batch = Batch(model_calls=[call(run), call(run, 1)], artifacts=[artifact(run)])
    counts.committed(None, batch, Results(), 0.001)  # type: ignore[arg-type]
    (size,) = (family for family in counts.families() if family.name == "holdfast.commit.size")
    assert size.points[0][1].sum == 3  # type: ignore[union-attr]


async def test_a_request_is_written_and_counted_once_however_often_its_batch_is_repeated(store: Store) -> None:
    run = await running(store, "a")
    sent = [call(run), call(run, 1, outcome="timeout", error="too slow", cost=None, output_tokens=0)]
    for _ in range(3):
        results = await commit(
            store, checkpoints=[checkpoint(run, b"\x00")], model_calls=sent, artifacts=[artifact(run)]
        )
        assert (results.model_calls, results.artifacts) == ([None, None], [None])
    assert await calls_of(store, run) == sent
    assert await total(store) == CostRow(None, None, None, None, 2, 1, 1, 20, 4, 5, 7)
    # A batch that repeats some of it and adds to it counts what is new.
    results = await commit(store, model_calls=[*sent, call(run, 2)])
    assert results.model_calls == [None] * 3
    assert await total(store) == CostRow(None, None, None, None, 3, 1, 1, 30, 6, 10, 14)
    # Of one that is stored nothing changes.
    await commit(store, model_calls=[call(run, cost=1000, outcome="error")])
    assert (await calls_of(store, run))[0] == sent[0]
    assert await total(store) == CostRow(None, None, None, None, 3, 1, 1, 30, 6, 10, 14)


async def test_it_goes_with_a_failed_attempt_whose_run_is_put_aside_in_the_same_batch(store: Store) -> None:
    run = await running(store, "a")
    failed = Attempt(run.uid, b"\x00", 1, 1, "step", 10, 20, b"error", 30, run.epoch)
    results = await commit(
        store, attempts=[failed], model_calls=[call(run)], artifacts=[artifact(run)], parks=[park(run, wake_at=30)]
    )
    assert (results.model_calls, results.artifacts, results.parks) == ([None], [None], [None])
    assert await calls_of(store, run) == [call(run)]
    assert await artifacts_of(store, run) == [(b"\x00", "draft/prompt.md", 1)]
    assert (await total(store)) is not None


async def test_nothing_is_written_without_the_lease(store: Store) -> None:
    gone, held = await running(store, "gone"), await running(store, "held")
    await commit(store, parks=[park(gone, wake_at=0)])
    (taken,) = await claim(store)
    assert taken.uid == gone.uid
    for _ in range(2):
        results = await commit(
            store,
            model_calls=[call(gone), call(held), call(gone, 1)],
            artifacts=[artifact(gone), artifact(held)],
        )
        assert results.model_calls == [LOST, None, LOST]
        assert results.artifacts == [LOST, None]
    assert await calls_of(store, gone) == []
    assert await artifacts_of(store, gone) == []
    assert await calls_of(store, held) == [call(held)]
    assert (await total(store)) == CostRow(None, None, None, None, 1, 0, 0, 10, 2, 5, 7)


async def test_the_same_attempt_by_another_owner_is_another(store: Store) -> None:
    first = await running(store, "a")
    await commit(store, model_calls=[call(first)])
    await commit(store, parks=[park(first, wake_at=0)])
    (second,) = await claim(store)
    results = await commit(store, model_calls=[call(second)])
    assert results.model_calls == [None]
    assert await calls_of(store, first) == [call(first), call(second)]
    spent = await total(store)
    assert spent is not None
    assert spent.calls == 2


async def test_requests_come_in_the_order_of_the_journal_then_of_attempts_and_numbers(store: Store) -> None:
    run = await running(store, "a")
    wanted = [
        call(run, number, position=position, attempt=attempt)
        for position in (b"\x00", b"\x00\x01", b"\x01")
        for attempt in (1, 2, 11)
        for number in (0, 1)
    ]
    await commit(store, model_calls=wanted[::-1])
    assert await calls_of(store, run) == wanted
    assert await store.agents.model_calls("t", run.uid, limit=4) == wanted[:4]
    assert await store.agents.model_calls("other", run.uid, limit=4) == []


async def test_an_artifact_takes_the_place_of_one_of_the_same_name_and_place(store: Store) -> None:
    run = await running(store, "a")
    await commit(store, artifacts=[artifact(run, content=b"first"), artifact(run, content=b"second")])
    await commit(
        store,
        artifacts=[
            artifact(run, content=b"third"),
            artifact(run, position=b"\x01"),
            artifact(run, "draft/output.json", None, media_type="application/json", size_bytes=12),
        ],
    )
    assert await artifacts_of(store, run) == [
        (b"\x00", "draft/output.json", 1),
        (b"\x00", "draft/prompt.md", 1),
        (b"\x01", "draft/prompt.md", 1),
    ]
    third = artifact(run, content=b"third")
    row = ArtifactRow(run.uid, b"\x00", 1, third.name, third.media_type, third.size_bytes, third.sha256, None, third.at)
    assert (await store.agents.artifacts("t", run.uid, limit=2))[1] == row
    assert await store.agents.artifact("t", run.uid, b"\x00", 1, third.name) == (row, b"third")
    elsewhere = await store.agents.artifact("t", run.uid, b"\x00", 1, "draft/output.json")
    assert elsewhere is not None
    assert (elsewhere[0].location, elsewhere[1]) == ("s3://bucket/draft", None)
    for asked in (("other", run.uid, b"\x00", 1), ("t", b"r" * 16, b"\x00", 1), ("t", run.uid, b"\x00", 2)):
        assert await store.agents.artifact(*asked, third.name) is None
    assert await store.agents.artifacts("other", run.uid, limit=9) == []


async def test_after_a_retry_the_newest_generation_counts_and_the_older_ones_stay(store: Store) -> None:
    first = await running(store, "a")
    await commit(
        store, model_calls=[call(first)], artifacts=[artifact(first, name) for name in ("same", "only before")]
    )
    await commit(store, settles=[settle(first, "failed")])
    assert await store.retry(retry_of(first))
    (second,) = await claim(store)
    await commit(store, model_calls=[call(second)], artifacts=[artifact(second, "same", b"anew")])
    assert [(one.generation, one.epoch) for one in await calls_of(store, first)] == [
        (1, first.epoch),
        (2, second.epoch),
    ]
    assert await artifacts_of(store, first) == [(b"\x00", "only before", 1), (b"\x00", "same", 2)]
    before = await store.agents.artifact("t", first.uid, b"\x00", 1, "same")
    assert before is not None
    assert before[1] == b"Write."


async def test_a_run_that_begins_again_keeps_its_requests_and_drops_what_it_made(store: Store) -> None:
    run = await running(store, "a")
    await commit(store, model_calls=[call(run)], artifacts=[artifact(run)])
    assert await store.continue_as_new(again(run))
    assert await calls_of(store, run) == [call(run)]
    assert await artifacts_of(store, run) == []
    (next_one,) = await claim(store)
    await commit(store, model_calls=[call(next_one)], artifacts=[artifact(next_one)])
    assert len(await calls_of(store, run)) == 2
    assert await artifacts_of(store, run) == [(b"\x00", "draft/prompt.md", 2)]


async def test_what_belongs_to_a_run_goes_with_it_and_its_cost_stays(store: Store) -> None:
    old, young = await running(store, "old"), await running(store, "young")
    for run in (old, young):
        await commit(store, model_calls=[call(run)], artifacts=[artifact(run)])
    before = await total(store)
    now = await store.now()
    await commit(store, settles=[settle(old, finished_at=now - 7200 * 1_000_000), settle(young, finished_at=now)])
    assert await store.prune([("", "succeeded", 3600)], b"", 9) == (1, None)
    assert await calls_of(store, old) == []
    assert await artifacts_of(store, old) == []
    assert await calls_of(store, young) == [call(young)]
    assert await artifacts_of(store, young) == [(b"\x00", "draft/prompt.md", 1)]
    assert before is not None
    assert await total(store) == before


async def test_a_long_name_of_a_phase_is_cut_and_one_of_an_artifact_is_refused(store: Store) -> None:
    run = await running(store, "a")
    await commit(store, model_calls=[call(run, phase="p" * 2000, model="m" * 9000)])
    (stored,) = await calls_of(store, run)
    assert (len(stored.phase), len(stored.model)) == (512, 512)
    for bad in (artifact(run, "n" * 513), artifact(run, "n\0"), artifact(run, media_type="\ud800")):
        with pytest.raises(Rejected):
            await commit(store, artifacts=[bad])
    with pytest.raises(Rejected):
        await commit(store, checkpoints=[checkpoint(run, b"\x00")], model_calls=[call(run, 1, error="a\0b")])
    assert len(await calls_of(store, run)) == 1
    assert await store.load_journals([run.uid]) == ([], [])


async def test_numbers_that_no_model_uses_are_cut(store: Store) -> None:
    run = await running(store, "a")
    most = call(run, 0, input_tokens=10**30, cached_tokens=10**20, output_tokens=2**63, cost=10**40)
    least = call(run, 1, input_tokens=-5, cached_tokens=-1, output_tokens=-(10**30), cost=-1)
    await commit(store, model_calls=[most, least])
    found = await store.agents.model_calls("t", run.uid, limit=9)
    assert [(one.input_tokens, one.cached_tokens, one.output_tokens, one.cost) for one in found] == [
        (10**12, 10**12, 10**12, 10**15), (0, 0, 0, 0)
    ]  # fmt: skip
    (total,) = await store.agents.costs("t", 0, 1 << 40, (), limit=9)
    assert (total.input_tokens, total.cost) == (10**12, 10**15)


async def test_a_day_is_that_on_which_the_request_ended(store: Store) -> None:
    run = await running(store, "a")
    at = (DAY + 1) * DAY_US
    calls = [call(run, 0, ended_at=at - 1), call(run, 1, began_at=at - 5, ended_at=at)]
    await commit(store, model_calls=calls)
    rows = await store.agents.costs("t", 0, 10**6, ["day"], limit=9)
    assert [(row.day, row.calls) for row in rows] == [(DAY, 1), (DAY + 1, 1)]


async def test_the_totals_are_the_sum_of_what_many_processes_write_at_once(disk_url: str) -> None:
    processes = 6
    stores = [make_store(disk_url) for _ in range(processes)]
    for store in stores:
        await store.open()
    await register(stores[0])
    await make(stores[0], *(start(f"r{n}") for n in range(processes)))
    runs = await claim(stores[0], processes)

    async def work(number: int) -> list[ModelCall]:
        store, run, sent = stores[number], runs[number], []
        for position in range(8):
            # Each in an order of its own, so that two would wait for each other were the rows not locked in one order.
            calls = [
                call(
                    run, n, position=bytes([position]), phase=f"p{(n * (number + 1)) % 5}", model=f"m{n % 2}",
                    cost=None if n == 3 else n, outcome="ok" if n else "timeout",
                )
                for n in range(10)
            ]  # fmt: skip
            batch = Batch(checkpoints=[checkpoint(run, bytes([position]))], model_calls=calls)
            results = await store.commit(batch)
            if position % 3 == 0:
                results = await store.commit(batch)
            assert results.model_calls == [None] * 10
            sent += calls
        return sent

    sent = [one for calls in await asyncio.gather(*map(work, range(processes))) for one in calls]
    by: list[Any] = ["day", "workflow", "phase", "model"]
    rows = await stores[0].agents.costs("t", 0, 10**6, by, limit=99)
    counts = Counter((one.phase, one.model) for one in sent)
    assert {(row.phase, row.model): row.calls for row in rows} == counts
    summed = CostRow(
        None, None, None, None, len(sent),
        sum(one.outcome != "ok" for one in sent), sum(one.cost is None for one in sent),
        sum(one.input_tokens for one in sent), sum(one.cached_tokens for one in sent),
        sum(one.output_tokens for one in sent), sum(one.cost or 0 for one in sent),
    )  # fmt: skip
    assert await total(stores[0]) == summed
    of_runs = [await calls_of(stores[0], run) for run in runs]
    assert sorted(one for calls in of_runs for one in calls) == sorted(sent)
    (spent,) = await stores[0].agents.spent([SpentQuery("t", day=DAY)])
    assert (spent.tokens, spent.cost) == (len(sent) * 15, summed.cost)
    for store in stores:
        await store.close()
    if disk_url.startswith("postgres"):
        connection = await asyncpg.connect(disk_url)
        deadlocks = await connection.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        await connection.close()
        assert deadlocks == 0
