"""Streams of runs: written under the lease, once; read in order, bounded; deleted with the run; over every store."""

from typing import Any

import pytest

from holdfast.errors import UsageError
from holdfast.store import streams as bounds
from holdfast.store.base import Store
from holdfast.store.confined import STREAM_VERBS
from holdfast.store.operations import LOST, ClaimedRun, NewChunk
from holdfast.store.streams import ChunkPage, StreamRow, Stretch
from tests.conformance.kit import checkpoint, claim, commit, entry, make, running, settle, start

KEEP = [("", "succeeded", 3600)]


def chunk(run: ClaimedRun, offset: int, stream: str = "tokens", **changes: Any) -> NewChunk:
    """A chunk that says where it stands."""
    data = b"%b %d" % (stream.encode(), offset)
    return NewChunk(run.uid, run.epoch, stream, offset, "data", data, 1000 + offset, b"s\0", 1, 0)._replace(**changes)


async def read(store: Store, run: ClaimedRun, after: int = -1, stream: str = "tokens", limit: int = 100) -> ChunkPage:
    return await store.streams.read_chunks(run.tenant, run.uid, stream, after, limit)


async def offsets(store: Store, run: ClaimedRun, stream: str = "tokens") -> list[int]:
    return [one.offset for one in (await read(store, run, stream=stream, limit=1000)).chunks]


async def test_chunks_are_read_as_they_were_written(store: Store) -> None:
    run = await running(store, "a")
    rows = [chunk(run, 0), chunk(run, 1, kind="reset", data=b"[[0, 0]]"), chunk(run, 2), chunk(run, 3, kind="end")]
    assert set((await commit(store, chunks=rows)).chunks) <= {None}
    status, found = await read(store, run)
    assert status == "open"
    assert [tuple(one) for one in found] == [(row.offset, row.kind, row.data, row.at) for row in rows]
    assert [one.offset for one in (await read(store, run, after=1)).chunks] == [2, 3]
    assert [one.offset for one in (await read(store, run, limit=2)).chunks] == [0, 1]
    assert await read(store, run, after=3) == ("open", [])
    assert await read(store, run, stream="other") == ("open", [])


async def test_a_repeated_batch_writes_nothing_twice_and_changes_nothing(store: Store) -> None:
    run = await running(store, "a")
    await commit(store, chunks=[chunk(run, 0), chunk(run, 1)])
    again = [chunk(run, 0), chunk(run, 1, data=b"another"), chunk(run, 2)]
    results = await commit(store, chunks=again, checkpoints=[checkpoint(run, b"\0")])
    assert set(results.chunks) <= {None}
    assert [one.data for one in (await read(store, run)).chunks] == [b"tokens 0", b"tokens 1", b"tokens 2"]


async def test_who_has_lost_the_run_writes_nothing(store: Store) -> None:
    mine, theirs = await running(store, "a"), await running(store, "b")
    late = chunk(mine, 1)._replace(epoch=mine.epoch + 7)
    assert (await commit(store, chunks=[late])).chunks == [LOST]
    results = await commit(store, chunks=[chunk(theirs, 0), late, chunk(mine, 0)])
    assert results.chunks == [None, LOST, None]
    assert await offsets(store, mine) == [0]
    assert await offsets(store, theirs) == [0]
    await commit(store, settles=[settle(mine)])
    assert (await commit(store, chunks=[chunk(mine, 1)])).chunks == [LOST]
    assert await offsets(store, mine) == [0]


async def test_what_a_run_writes_with_its_end_is_there(store: Store) -> None:
    run = await running(store, "a")
    results = await commit(
        store, chunks=[chunk(run, 0), chunk(run, 1)], checkpoints=[checkpoint(run, b"\0")], settles=[settle(run)]
    )
    assert results.settles == [None]
    page = await read(store, run)
    assert (page.status, [one.offset for one in page.chunks]) == ("succeeded", [0, 1])


async def test_what_a_step_writes_is_there_with_its_result(store: Store) -> None:
    run = await running(store, "a")
    await commit(store, chunks=[chunk(run, 0), chunk(run, 1)], checkpoints=[checkpoint(run, b"\0")])
    assert await offsets(store, run) == [0, 1]
    assert (await entry(store, run, b"\0")).outcome == "ok"


async def test_many_streams_and_many_chunks_go_in_one_batch(store: Store) -> None:
    run = await running(store, "a")
    names = ["b", "a", "Z", "ä", "c" * 512]
    rows = [chunk(run, n, name) for n in range(700) for name in names]
    rows.append(chunk(run, 700, "b", kind="end"))
    await commit(store, chunks=rows)
    found = await store.streams.list_streams("t", run.uid, 100)
    assert found == [StreamRow(name, 701 if name == "b" else 700, name == "b") for name in sorted(names)]
    assert [one.name for one in await store.streams.list_streams("t", run.uid, 2)] == ["Z", "a"]
    assert await store.streams.list_streams("u", run.uid, 100) == []
    assert await offsets(store, run, "ä") == list(range(700))


async def test_a_page_is_bounded_in_bytes_but_never_empty(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await running(store, "a")
    large = bytes(bounds.PAGE_BYTES // 4 + 1)
    sizes = [bytes(bounds.PAGE_BYTES + 1), large, large, large, large]
    await commit(store, chunks=[chunk(run, n, data=data) for n, data in enumerate(sizes)])
    assert [one.offset for one in (await read(store, run)).chunks] == [0]
    assert [one.offset for one in (await read(store, run, after=0)).chunks] == [1, 2, 3]
    assert [one.offset for one in (await read(store, run, after=3)).chunks] == [4]


async def test_the_tail_says_who_wrote_what(store: Store) -> None:
    run = await running(store, "a")
    rows = [chunk(run, n, writer=b"s1" if n in (2, 4) else b"w", seq=0 if n < 6 else 5) for n in range(9)]
    rows += [chunk(run, 9, kind="reset", data=b"[[2, 2], [4, 4]]", writer=b"s1")]
    rows += [chunk(run, 10, writer=b"w", generation=2), chunk(run, 11, kind="end", writer=b"w", generation=2)]
    await commit(store, chunks=[*rows, chunk(run, 0, "other")])
    assert await store.streams.tail(run.uid, "tokens") == [
        Stretch(0, 1, "data", b"w", 1, 0, b""),
        Stretch(2, 2, "data", b"s1", 1, 0, b""),
        Stretch(3, 3, "data", b"w", 1, 0, b""),
        Stretch(4, 4, "data", b"s1", 1, 0, b""),
        Stretch(5, 5, "data", b"w", 1, 0, b""),
        Stretch(6, 8, "data", b"w", 1, 5, b""),
        Stretch(9, 9, "reset", b"s1", 1, 0, b"[[2, 2], [4, 4]]"),
        Stretch(10, 10, "data", b"w", 2, 0, b""),
        Stretch(11, 11, "end", b"w", 2, 0, b""),
    ]
    assert await store.streams.tail(run.uid, "nothing") == []


async def test_who_waits_is_told_when_there_is_more_or_the_run_is_over(store: Store) -> None:
    run, other = await running(store, "a"), await running(store, "b")
    await commit(store, chunks=[chunk(run, 0), chunk(run, 1)])
    readings = [(run.uid, "tokens", 0), (run.uid, "tokens", 1), (run.uid, "else", -1), (other.uid, "tokens", -1)]
    assert await store.streams.moved(readings) == [0]
    assert await store.streams.moved([(b"no such run 0000", "tokens", -1)]) == [0]
    await commit(store, settles=[settle(other)])
    assert sorted(await store.streams.moved(readings)) == [0, 3]


async def test_a_tenant_reads_its_own_streams_and_nothing_else(store: Store, looking: Store) -> None:
    mine, theirs = await running(store, "a"), await running(store, "a", tenant="u")
    for run in (mine, theirs):
        await commit(store, chunks=[chunk(run, 0)])
    within = looking.under_policy("t").streams
    assert await within.read_chunks("t", mine.uid, "tokens", -1, 9) == await read(store, mine)
    assert await within.list_streams("t", mine.uid, 9) == [StreamRow("tokens", 1, False)]
    for tenant in ("t", "u"):
        assert await within.read_chunks(tenant, theirs.uid, "tokens", -1, 9) == ChunkPage(None, [])
        assert await within.list_streams(tenant, theirs.uid, 9) == []
    assert (await store.streams.read_chunks("t", theirs.uid, "tokens", -1, 9)).status is None


@pytest.mark.parametrize("verb", sorted(STREAM_VERBS - {"read_chunks", "list_streams"}))
async def test_what_is_no_read_of_a_tenant_is_refused(store: Store, verb: str) -> None:
    within: Any = store.under_policy("t")
    with pytest.raises(UsageError, match=f"^{verb}: a store under the policy of tenant 't'"):
        getattr(within.streams, verb)()


async def test_retention_deletes_long_streams_a_part_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sqlite", "postgres"):
        monkeypatch.setattr(f"holdfast.store.{module}.streams.CHUNKS_AT_ONCE", 100)
    await make(store, *(start(id) for id in ("short", "long", "last")))
    claimed = {run.id: run for run in await claim(store)}
    ago = await store.now() - 7200 * 1_000_000
    for id, run in sorted(claimed.items()):
        many = 3 if id != "long" else 120
        await commit(store, chunks=[chunk(run, n, name) for n in range(many) for name in ("one", "two")])
        await commit(store, settles=[settle(run, finished_at=ago)])
    calls, deleted, after = 0, 0, b""
    most = 0
    while True:
        before = sum([len(await offsets_of_all(store, run)) for run in claimed.values()])
        count, following = await store.prune(KEEP, after, 100)
        calls, deleted = calls + 1, deleted + count
        gone = before - sum([len(await offsets_of_all(store, run)) for run in claimed.values()])
        most = max(most, gone)
        if following is None:
            break
        after = following
    assert (calls, deleted) == (3, 3)
    assert most <= 100
    assert await store.find_runs("t", list(claimed)) == []
    assert [await store.streams.tail(run.uid, name) for run in claimed.values() for name in ("one", "two")] == [[]] * 6


async def offsets_of_all(store: Store, run: ClaimedRun) -> list[int]:
    """How much there still is of a run's two streams, whether the run is there or not."""
    tails = [await store.streams.tail(run.uid, name) for name in ("one", "two")]
    return [offset for tail in tails for stretch in tail for offset in range(stretch.first, stretch.last + 1)]
