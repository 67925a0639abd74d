"""What workers say of themselves, what they serve, and how they are asked to end."""

from holdfast.store.base import Beat, Store
from holdfast.store.url import make_store
from tests.conformance.kit import KIND, LEASE_US, OTHER, WORKER, child, commit, make, park, pending, running, start


async def test_a_worker_says_how_much_it_executes_at_once(store: Store) -> None:
    await store.register_worker(OTHER, "host", 2, 1, LEASE_US, 50)
    workers = {worker.id: worker for worker in await store.list_workers()}
    assert (workers[OTHER].slots, workers[OTHER].memory_bytes, workers[OTHER].draining) == (50, None, False)
    assert workers[WORKER].slots is None


async def test_a_heart_tells_the_memory_and_is_told_to_drain(store_url: str) -> None:
    store = make_store(store_url)
    await store.open()
    await store.register_worker(WORKER, "host", 1, 1, LEASE_US)
    heart = store.heart()
    beat = await heart.beat(WORKER, LEASE_US, 1 << 40)
    assert (beat.renewed, beat.draining) == (True, False)
    assert not await store.drain_worker(OTHER)
    assert await store.drain_worker(WORKER)
    assert await store.drain_worker(WORKER)
    beat = await heart.beat(WORKER, LEASE_US)
    assert (beat.renewed, beat.draining) == (True, True)
    (worker,) = await store.list_workers()
    assert (worker.memory_bytes, worker.draining) == (1 << 40, True)
    await heart.close()
    await store.close()


async def test_an_expired_lease_is_not_told_to_drain(disk_url: str) -> None:
    store = make_store(disk_url)
    await store.open()
    await store.register_worker(WORKER, "host", 1, 1, -1)
    await store.drain_worker(WORKER)
    heart = store.heart()
    beat = await heart.beat(WORKER, LEASE_US, 5)
    assert beat == Beat(False, beat.now, False)
    assert [worker.memory_bytes for worker in await store.list_workers()] == [None]
    await heart.close()
    await store.close()


async def test_what_workers_serve(store: Store) -> None:
    assert await store.list_served() == []
    await store.register_worker(OTHER, "host", 2, 1, LEASE_US)
    await store.serve(OTHER, [KIND, ("main", "flow", "v1", 2), ("bulk", "flow", "v2", 1)])
    await store.serve(WORKER, [KIND])
    await store.serve(b"nobody", [KIND])
    assert await store.list_served() == [
        (WORKER, "main", "flow", "v1"),
        (OTHER, "bulk", "flow", "v2"),
        (OTHER, "main", "flow", "v1"),
    ]


async def test_children_are_read_page_by_page(store: Store) -> None:
    parent = await running(store, "parent")
    positions = [bytes([n]) for n in (0, 1, 2, 200, 255)]
    await commit(
        store,
        starts=[child(f"c{position[0]}", parent, position) for position in reversed(positions)],
        checkpoints=[pending(parent, position) for position in positions],
    )
    await commit(store, parks=[park(parent, *positions)])

    async def page(**asked: bytes) -> list[bytes]:
        return [row.position for row in await store.children(parent.uid, open_only=False, limit=2, **asked)]

    assert await page() == positions[:2]
    assert await page(after=positions[1]) == positions[2:4]
    assert await page(after=positions[3]) == positions[4:]
    assert await page(after=positions[4]) == []
    assert [
        row.position for row in await store.children(parent.uid, open_only=True, limit=9, after=b"\x01")
    ] == positions[2:]


async def test_queues_say_since_when_the_first_in_rank_is_due(store: Store) -> None:
    await make(
        store,
        start("late", rank=9, created_at=900),
        start("first", rank=1, created_at=500, kind=("main", "other", "v1", 1)),
        start("urgent", rank=2, created_at=100, kind=("bulk", "flow", "v2", 2)),
        start("later", rank=3, created_at=50, kind=("bulk", "flow", "v1", 1)),
    )
    assert [(row.name, ready, due_at) for row, ready, _, due_at in await store.list_queues()] == [
        ("bulk", 2, 100),
        ("main", 2, 500),
    ]


async def test_the_runs_of_a_queue_are_counted_up_to_a_thousand(store: Store) -> None:
    await make(store, *(start(f"r-{n}", rank=n) for n in range(1010)))
    assert [(ready, executing) for _, ready, executing, _ in await store.list_queues()] == [(1000, 0)]
