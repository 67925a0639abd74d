"""Values that are kept apart, as every store keeps their bytes, and who uses them."""

import os
import random
from typing import Any

import pytest

from holdfast.model.ids import uuid7
from holdfast.model.references import DATABASE, Reference, used_blob
from holdfast.store.base import Store
from holdfast.store.blobs import PART_BYTES, UnusedBlob
from holdfast.store.operations import Batch, Blob, BlobUse, ClaimedRun, Continue, Event, Fork
from tests.conformance.kit import checkpoint, claim, commit, event, expecting, make, settle, start, topic, uid, wait

AT = 1_700_000_000_000_000
LAST = b"\xff" * 16


def blob(data: bytes, at: int = AT, location: str | None = None) -> Blob:
    return Blob(uuid7(at, os.urandom(10)), len(data), None if location else data, at, location)


def reference(kept: Blob) -> bytes:
    return Reference(kept.id, kept.size_bytes, b"\0" * 32, DATABASE).to_bytes()


async def unused(store: Store) -> list[bytes]:
    found, following = await store.blobs.unused_blobs(b"", LAST, 100)
    assert following is None
    return [one.id for one in found]


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 9_000_000])
async def test_bytes_come_back_as_they_were(store: Store, size: int) -> None:
    kept = blob(random.Random(size).randbytes(size))
    await commit(store, blobs=[kept])
    found = await store.blobs.read_blobs([kept.id, os.urandom(16)])
    assert found == ({kept.id: kept.data} if size else {})


async def test_a_batch_that_is_repeated_keeps_them_once(store: Store) -> None:
    one, two = blob(b"one" * 400_000), blob(b"two" * 400_000)
    row = start("a")
    batch = Batch(blobs=[one, two], blob_uses=[BlobUse(row.uid, one.id), BlobUse(row.uid, two.id)], starts=[row])
    for _ in range(2):
        results = await store.commit(batch)
        assert (results.blobs, results.blob_uses) == ([None, None], [None, None])
    assert await store.blobs.read_blobs([one.id, two.id]) == {one.id: one.data, two.id: two.data}
    assert await unused(store) == []


async def test_only_what_nobody_uses_is_deleted(store: Store) -> None:
    used, left, never = blob(b"used"), blob(b"left"), blob(b"never", location="s3://bucket")
    row = start("a")
    uses = [BlobUse(row.uid, used.id), BlobUse(uid(), left.id)]
    await commit(store, blobs=[used, left, never], blob_uses=uses, starts=[row])
    found, _ = await store.blobs.unused_blobs(b"", LAST, 100)
    assert sorted(found) == sorted([UnusedBlob(left.id, None), UnusedBlob(never.id, "s3://bucket")])
    assert await store.blobs.delete_blobs([used.id, left.id, never.id]) == 2
    assert await store.blobs.read_blobs([used.id, left.id]) == {used.id: b"used"}
    assert await unused(store) == []
    assert await store.blobs.delete_blobs([used.id, left.id, never.id]) == 0


async def test_they_are_looked_at_in_portions_and_young_ones_not_at_all(store: Store) -> None:
    old = [blob(b"x", AT + n) for n in range(7)]
    young = blob(b"x", AT + 1_000_000)
    await commit(store, blobs=[*old, young])
    seen: list[bytes] = []
    after: bytes | None = b""
    while after is not None:
        found, after = await store.blobs.unused_blobs(after, uuid7(AT + 500_000, bytes(10)), 3)
        seen += [one.id for one in found]
    assert seen == [one.id for one in old]


async def test_retention_takes_the_uses_of_a_run(store: Store) -> None:
    kept = blob(b"x")
    [run] = await run_with(store, kept)
    await commit(store, settles=[settle(run)])
    assert await unused(store) == []
    assert (await store.prune([("", "succeeded", 0)], b"", 10))[0] == 1
    assert await unused(store) == [kept.id]
    assert await count(store, "blob_uses") == 0


async def count(store: Any, table: str) -> int:
    """How many rows a table has."""
    if store.name == "postgres":
        return int(await store._read(lambda connection: connection.fetchval(f"SELECT count(*) FROM holdfast.{table}")))
    return int(await store._read(lambda connection: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]))


async def settle_in(store: Store, tenant: str) -> None:
    """A run with a value that is kept apart."""
    kept = blob(b"x")
    row = start("with-a-blob", tenant=tenant, input=reference(kept))
    await commit(store, blobs=[kept], blob_uses=[BlobUse(row.uid, kept.id)], starts=[row])


async def run_with(store: Store, kept: Blob) -> list[ClaimedRun]:
    row = start("a", input=reference(kept))
    await commit(store, blobs=[kept], blob_uses=[BlobUse(row.uid, kept.id)], starts=[row])
    return await claim(store)


async def test_a_fork_uses_what_its_source_does(store: Store) -> None:
    kept, other = blob(b"x"), blob(b"y")
    [run] = await run_with(store, kept)
    row = checkpoint(run, b"\1", output=reference(other))
    await commit(store, blobs=[other], blob_uses=[BlobUse(run.uid, other.id)], checkpoints=[row])
    await commit(store, settles=[settle(run)])
    fork = start("fork", forked_from=run.uid, forked_seq=2, input=run.input)
    assert (await store.fork(Fork(fork, ((b"\1", 1),), ()))).created
    await store.prune([("", "succeeded", 0)], b"", 10)
    assert await store.find_runs("t", ["a"]) == []
    assert await unused(store) == []
    rows, _ = await store.load_journals([fork.uid])
    assert [used_blob(one.output) for one in rows] == [other.id]


async def test_a_run_that_begins_again_uses_nothing_but_its_new_input(store: Store) -> None:
    first, made, anew = blob(b"x", AT), blob(b"y", AT + 1), blob(b"z", AT + 2)
    [run] = await run_with(store, first)
    row = checkpoint(run, b"\1", output=reference(made))
    await commit(store, blobs=[made], blob_uses=[BlobUse(run.uid, made.id)], checkpoints=[row])
    await commit(store, blobs=[anew], blob_uses=[BlobUse(run.uid, anew.id)])
    assert await store.continue_as_new(Continue(run.uid, run.epoch, reference(anew), b"[[1,0]]", 1, 99))
    assert await unused(store) == [first.id, made.id]
    [run] = await claim(store)
    assert used_blob(run.input) == anew.id
    assert await store.continue_as_new(Continue(run.uid, run.epoch, b"\x01{}", b"[[1,0]]", 1, 99))
    assert await unused(store) == [first.id, made.id, anew.id]


async def test_what_is_unused_is_looked_at_anew(store: Store) -> None:
    used, left = blob(b"x"), blob(b"y")
    await run_with(store, used)
    await commit(store, blobs=[left])
    assert await store.blobs.still_unused([used.id, left.id, os.urandom(16)]) == [left.id]


@pytest.mark.parametrize("sent_first", [False, True])
async def test_a_run_uses_the_payload_of_an_event_that_it_is_given(store: Store, sent_first: bool) -> None:
    kept = blob(b"x")
    await make(store, start("a"))
    [run] = await claim(store)
    sent: Event = event(topic("shipped"), payload=reference(kept), expires_at=2000)
    sending = {"blobs": [kept], "blob_uses": [BlobUse(sent.id, kept.id)], "events": [sent]}
    waiting = {"checkpoints": [expecting(run, b"\1")], "waits": [wait(run, b"\1", topic("shipped"), since=500)]}
    for parts in (sending, waiting) if sent_first else (waiting, sending):
        await commit(store, **parts)
    await store.prune([], b"", 10)
    [entry] = await store.read_waits([(run.uid, b"\1", 1)])
    assert used_blob(entry.output) == kept.id
    assert await unused(store) == []


async def test_an_event_that_is_kept_keeps_its_payload(store: Store) -> None:
    kept = blob(b"x")
    sent: Event = event(topic("shipped"), payload=reference(kept), expires_at=2**60)
    await commit(store, blobs=[kept], blob_uses=[BlobUse(sent.id, kept.id)], events=[sent])
    assert await unused(store) == []
    again = sent._replace(id=os.urandom(16), expires_at=2000)
    await commit(store, blob_uses=[BlobUse(again.id, kept.id)], events=[again])
    await store.prune([], b"", 10)
    assert await unused(store) == []


async def test_a_tenant_reads_its_own(store: Store, looking: Store) -> None:
    kept = blob(b"x" * 10)
    await run_with(store, kept)
    assert await looking.under_policy("t").blobs.read_blobs([kept.id]) == {kept.id: kept.data}
    assert await looking.under_policy("other").blobs.read_blobs([kept.id]) == {}
