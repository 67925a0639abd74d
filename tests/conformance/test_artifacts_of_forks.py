"""Artifacts of what a fork takes over: copied with the journal, over every store."""

from holdfast.store.base import Store
from holdfast.store.operations import Fork
from holdfast.store.rows import JournalRow
from tests.conformance.agent_kit import artifact, call
from tests.conformance.kit import checkpoint, claim, commit, pending, running, settle, start
from tests.conformance.steering_kit import retry_of


async def test_a_fork_has_what_the_entries_that_it_takes_over_made(store: Store) -> None:
    run = await running(store, "a")
    large = bytes(range(256)) * 4096
    entries = [checkpoint(run, bytes([place])) for place in range(3)]
    made = [
        artifact(run, "large", large),
        artifact(run, "elsewhere", None, size_bytes=12),
        *(artifact(run, position=bytes([place])) for place in range(4)),
    ]
    await commit(store, checkpoints=[*entries, pending(run, b"\x03")], artifacts=made, model_calls=[call(run)])
    new = start("f", forked_from=run.uid, forked_seq=3)
    edit = JournalRow(new.uid, b"\x01", 1, 2, "step", "step", "ok", None, b"other", 1, 10, 20)
    fork = Fork(new, tuple((place, 1) for place in (b"\x00", b"\x01", b"\x03")), (edit,))
    before = await store.agents.artifacts("t", run.uid, limit=99)
    for _ in range(2):
        assert (await store.fork(fork)).created
        kept = await store.agents.artifacts("t", new.uid, limit=99)
        assert kept == [row._replace(run=new.uid) for row in before if row.position == b"\x00"]
    assert [row.name for row in kept] == ["draft/prompt.md", "elsewhere", "large"]
    for row in kept:
        of_both = [await store.agents.artifact("t", uid, b"\x00", 1, row.name) for uid in (run.uid, new.uid)]
        assert of_both[0] is not None
        assert of_both[1] == (row, of_both[0][1])
    assert await store.agents.model_calls("t", new.uid, limit=9) == []
    assert await store.agents.artifacts("other", new.uid, limit=9) == []
    assert await store.agents.artifacts("t", run.uid, limit=99) == before
    (spent,) = await store.agents.costs("t", 0, 10**6, (), limit=9)
    assert spent.calls == 1


async def test_a_fork_of_a_retried_run_has_what_the_entry_in_force_made(store: Store) -> None:
    first = await running(store, "a")
    early = [artifact(first, name, b"early") for name in ("same", "only before")]
    await commit(store, checkpoints=[checkpoint(first, b"\x00", outcome="error")], artifacts=early)
    await commit(store, settles=[settle(first, "failed")])
    assert await store.retry(retry_of(first))
    (second,) = await claim(store)
    await commit(
        store, checkpoints=[checkpoint(second, b"\x00", generation=2)], artifacts=[artifact(second, "same", b"anew")]
    )
    new = start("f", forked_from=first.uid, forked_seq=2)
    assert (await store.fork(Fork(new, ((b"\x00", 2),), ()))).created
    (row,) = await store.agents.artifacts("t", new.uid, limit=9)
    assert (row.position, row.generation, row.name) == (b"\x00", 1, "same")
    assert await store.agents.artifact("t", new.uid, b"\x00", 1, "same") == (row, b"anew")
