"""No run is left behind: whatever fails in a worker that lives on, each of its runs goes on somewhere."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine import dispatcher, waiting
from holdfast.engine.core import Core
from holdfast.engine.isolation import Isolation
from holdfast.errors import StoreError, StoreUnavailable
from holdfast.store.base import Rejected
from holdfast.store.operations import Batch, Claim, Park, Settle, Start
from holdfast.store.url import make_store
from tests.crash.faulty import World
from tests.engine.helpers import ONCE, serving, until, until_status

pytestmark = pytest.mark.slow

log: list[str] = []
gates: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def clean() -> None:
    log.clear()
    gates.clear()


@hf.step(retry=ONCE)
async def one(x: int) -> int:
    log.append(f"one {x}")
    return x


@hf.step(retry=ONCE)
async def long(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@hf.step(retry=ONCE)
async def gated(name: str) -> str:
    log.append(f"begin {name}")
    await gates.setdefault(name, asyncio.Event()).wait()
    log.append(f"end {name}")
    return name


@hf.workflow
async def far() -> int:
    await hf.sleep("1h")
    return 1


@hf.workflow
async def simple(x: int) -> int:
    return await one(x)


@hf.workflow
async def at_gate(name: str) -> str:
    return await gated(name)


# Timers


async def test_a_delayed_start_is_not_hidden_by_a_far_timer(sqlite_url: str) -> None:
    async with serving(sqlite_url, far, simple) as client:
        await client.start(far.options(id="far"))
        await until_status(client, "far", "waiting")
        run = await client.start(simple.options(delay=0.2), 1)
        assert await run.result(timeout=4) == 1


async def test_a_timer_of_a_worker_that_died_is_not_hidden_by_a_far_timer(sqlite_url: str) -> None:
    async with World(sqlite_url, (far, simple)) as world:
        await world.process.client.start(far.options(id="far"))
        await until_status(world.process.client, "far", "waiting")
        async with hf.connect(sqlite_url) as elsewhere:
            await elsewhere.start(simple.options(id="r", delay=0.2), 1)
        assert (await world.outcome("r", within=4)).output == 1


async def test_a_busy_worker_keeps_promoting(sqlite_url: str) -> None:
    """Work that never ends leaves no idle moment in which to look for what another process has parked."""
    async with World(sqlite_url, (simple,)) as world, hf.connect(sqlite_url) as elsewhere:

        async def keep_busy() -> None:
            while True:
                await world.process.client.start(simple, 0)
                await asyncio.sleep(0.005)

        busy = asyncio.create_task(keep_busy())
        try:
            await asyncio.sleep(0.3)
            await elsewhere.start(simple.options(id="r", delay=0.2), 1)
            assert (await world.outcome("r", within=4)).output == 1
        finally:
            busy.cancel()
            await asyncio.gather(busy, return_exceptions=True)


async def test_a_long_step_does_not_hold_up_the_sleep_beside_it(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LINGER_SECONDS", 0.05)
    woke: list[float] = []

    @hf.step(retry=ONCE)
    async def wake() -> None:
        woke.append(time.monotonic())

    @hf.workflow
    async def beside() -> None:
        async def nap() -> None:
            await hf.sleep(0.2)
            await wake()

        await hf.gather(nap(), long(3.0))

    async with serving(sqlite_url, beside) as client:
        began = time.monotonic()
        run = await client.start(beside)
        await run.result(timeout=10)
    assert woke[0] - began < 2.0


async def test_a_result_that_is_there_already_is_given_at_once(disk_url: str) -> None:
    async with serving(disk_url, simple) as client:
        run = await client.start(simple, 1)
        await until_status(client, run.id, "succeeded")
        began = time.monotonic()
        assert await run.result() == 1
        assert time.monotonic() - began < 0.3


# Errors of every kind


async def test_an_error_that_is_no_exception_ends_its_run(sqlite_url: str) -> None:
    class Panic(BaseException):
        """As extension modules raise it."""

    @hf.step(retry=ONCE)
    async def panic() -> None:
        raise Panic("in a step")

    @hf.workflow
    async def panics() -> None:
        await panic()

    async with serving(sqlite_url, panics) as client:
        run = await client.start(panics)
        with pytest.raises(hf.RunFailed, match="in a step"):
            await run.result(timeout=3)


async def test_an_error_in_a_thread_that_is_no_exception_ends_its_run(sqlite_url: str) -> None:
    class Panic(BaseException):
        """As extension modules raise it."""

    @hf.step(retry=ONCE)
    def panic() -> None:
        raise Panic("in a thread")

    @hf.workflow
    async def panics_in_thread() -> None:
        await hf.gather(panic(), one(1))

    async with serving(sqlite_url, panics_in_thread) as client:
        run = await client.start(panics_in_thread)
        with pytest.raises(hf.RunFailed, match="in a thread"):
            await run.result(timeout=3)


class Failing:
    """A store whose chosen verb fails while `on`."""

    def __init__(self, world: World, verb: str, error: Exception, when: Any = lambda *_: True) -> None:
        self.on = True
        self.seen = 0
        self._store = world.process.store.inner
        self._verb, self._error, self._when = verb, error, when
        self._real = getattr(self._store, verb)

    def __enter__(self) -> "Failing":
        async def fail(*args: Any) -> Any:
            if self.on and self._when(*args):
                self.seen += 1
                raise self._error
            return await self._real(*args)

        setattr(self._store, self._verb, fail)
        return self

    def __exit__(self, *_: object) -> None:
        setattr(self._store, self._verb, self._real)


@pytest.mark.parametrize("kind", ["checkpoints", "parks", "settles", "claims"])
async def test_a_commit_that_fails_unforeseen_leaves_no_run_behind(
    sqlite_url: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LINGER_SECONDS", 0.0)

    @hf.workflow
    async def naps(x: int) -> int:
        await hf.sleep(0.05)
        return await one(x)

    async with World(sqlite_url, (naps,)) as world:
        with Failing(world, "commit", StoreError("for a while"), lambda batch: getattr(batch, kind)) as failing:
            failing.on = kind != "claims"
            await world.process.client.start(naps.options(id="r"), 1)
            failing.on = True
            world.process.worker._dispatcher.wake()
            await until(lambda: _true(failing.seen > 0))
            await asyncio.sleep(0.2)
            failing.on = False
            assert (await world.outcome("r", within=6)).output == 1


async def _true(value: bool) -> bool:
    return value


@pytest.mark.parametrize("beside", ["hf.now", "a step"])
async def test_a_refused_value_fails_alone(sqlite_url: str, beside: str) -> None:
    """What is committed beside it, in the same run too, is not refused with it."""

    @hf.step(retry=ONCE)
    async def poison() -> str:
        return "poison"

    @hf.workflow
    async def mixed() -> str:
        try:
            if beside == "hf.now":
                hf.now()
                await poison()
            else:
                await hf.gather(poison(), one(1))
        except hf.PayloadError:
            return "refused"
        return "stored"

    async with World(sqlite_url, (mixed,)) as world:

        def poisoned(batch: Batch) -> bool:
            return any(b"poison" in (row[8] or b"") and row[6] == "ok" for row in batch.checkpoints)

        with Failing(world, "commit", Rejected("no such value"), poisoned):
            await world.process.client.start(mixed.options(id="r"))
            view = await world.outcome("r", within=6)
            assert view.output == "refused"
            journal = {row.name: row.outcome for row in await world.journal("r")}
            assert journal == {"poison": "error", "hf.now" if beside == "hf.now" else "one": "ok"}


# Slots and leases


async def test_runs_whose_journals_are_being_read_do_not_begin_under_a_lost_lease(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "RESCUES_ISOLATED", 1000)
    async with World(sqlite_url, (at_gate,)) as world:
        await world.process.client.start(at_gate.options(id="r"), "a")
        await until(lambda: _true("begin a" in log))
        # Rescued once, so that the next claim reads the journal.
        await world.replace()
        process = world.process
        inner, reading, go_on = process.store.inner, asyncio.Event(), asyncio.Event()
        real = inner.load_journals

        async def slow_load(runs: Any) -> Any:
            reading.set()
            await go_on.wait()
            return await real(runs)

        inner.load_journals = slow_load
        if log.count("begin a") > 1:
            pytest.skip("it was read before it could be held up")
        await asyncio.wait_for(reading.wait(), 5)
        await world.beside.remove_worker(process.worker.id)
        await world.beside.rescue(10)
        process.worker._lost()
        inner.load_journals = real
        await asyncio.sleep(0.05)
        go_on.set()
        await asyncio.sleep(1.5)
        assert log.count("begin a") == 2, "it executes under the lost lease and under the new one at once"
        gates["a"].set()
        assert (await world.outcome("r")).output == "a"


async def test_a_claim_under_way_when_the_lease_is_lost_begins_nothing(sqlite_url: str) -> None:
    async with World(sqlite_url, (at_gate,)) as world:
        process = world.process
        inner, claimed, go_on = process.store.inner, asyncio.Event(), asyncio.Event()
        real = inner.commit

        async def slow_commit(batch: Batch) -> Any:
            results = await real(batch)
            if any(results.claims):
                claimed.set()
                await go_on.wait()
            return results

        inner.commit = slow_commit
        # Beside: the claim may travel in the batch of the start.
        starting = asyncio.create_task(process.client.start(at_gate.options(id="r"), "a"))
        await asyncio.wait_for(claimed.wait(), 5)
        inner.commit = real
        await world.beside.remove_worker(process.worker.id)
        await world.beside.rescue(10)
        process.worker._lost()
        go_on.set()
        await starting
        await asyncio.sleep(2.0)
        assert log.count("begin a") == 1, "it executes under the lost lease and under the new one at once"
        gates["a"].set()
        assert (await world.outcome("r")).output == "a"


async def test_a_slot_that_a_child_process_gave_back_goes_to_the_run_that_waits_for_it(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One slot: the parent's child is under suspicion and executes in a child process meanwhile."""
    isolated = asyncio.Event()
    go_on = asyncio.Event()

    @hf.workflow
    async def suspect() -> int:
        return 7

    @hf.workflow
    async def parent() -> int:
        return await suspect()

    async with World(sqlite_url, (parent, suspect), options={"concurrency": 1}) as world:
        runs = world.process.worker._dispatcher
        real_begin = runs._begin

        def begin(run: Any, recorded: Any) -> Any:
            if run.workflow == "suspect" and not isolated.is_set():
                isolated.set()
                runs._isolate(run, runs._term)
                return None
            return real_begin(run, recorded)

        async def in_child(self: Isolation, run: Any, workflow: Any) -> bool:
            # As a child process does: the run ends through another connection, while its slot is still held here.
            output = suspect.signature.result.settle(7, "")[0]
            parent = (run.parent_uid, run.parent_position, run.parent_generation)
            await world.beside.commit(Batch(settles=[Settle(run.uid, run.epoch, "succeeded", output, 1, 2, *parent)]))
            await go_on.wait()
            return True

        monkeypatch.setattr(runs, "_begin", begin)
        monkeypatch.setattr(Isolation, "execute", in_child)
        monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", 30.0)
        monkeypatch.setattr(waiting, "PARK_SECONDS", 0.05)
        await world.process.client.start(parent.options(id="r"))
        await until(lambda: _true(len(runs._returning) == 1))
        go_on.set()
        assert (await world.outcome("r", within=5)).output == 7
        await until(lambda: _true(runs._using == 0))  # what has ended is told here a moment later


async def test_a_child_process_that_cannot_be_made_leaves_no_run_behind(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 0

    async def no_processes(*_: object, **__: object) -> Any:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return False

    async with World(sqlite_url, (simple,)) as world:
        monkeypatch.setattr(Isolation, "execute", no_processes)
        runs = world.process.worker._dispatcher
        real_begin = runs._begin

        def begin(run: Any, recorded: Any) -> Any:
            return runs._isolate(run, runs._term) if failures == 0 else real_begin(run, recorded)

        monkeypatch.setattr(runs, "_begin", begin)
        await world.process.client.start(simple.options(id="r"), 1)
        assert (await world.outcome("r", within=6)).output == 1


async def test_a_heartbeat_that_cannot_connect_at_first_is_tried_again(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(sqlite_url, (simple,), options={"lease": 0.9, "beat": 0.1}) as world:
        worker = world.process.worker
        real, tries = world.process.store.inner.heart, 0

        def heart() -> Any:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise StoreUnavailable("too many open files")
            return real()

        world.process.store.inner.heart = heart
        worker._lost()
        await asyncio.sleep(2.5)
        await world.process.client.start(simple.options(id="r"), 1)
        assert (await world.outcome("r", within=6)).output == 1


async def test_a_heartbeat_outlives_an_unforeseen_error(sqlite_url: str) -> None:
    async with World(sqlite_url, (simple,), options={"lease": 0.9, "beat": 0.1}) as world:
        real_heart, beats = world.process.store.inner.heart, 0

        def heart() -> Any:
            found = real_heart()
            real = found.beat

            async def beat(*args: Any) -> Any:
                nonlocal beats
                beats += 1
                if beats == 2:
                    raise RuntimeError("unforeseen")
                return await real(*args)

            found.beat = beat
            return found

        world.process.store.inner.heart = heart
        world.process.worker._lost()
        await asyncio.sleep(2.5)
        await world.process.client.start(simple.options(id="r"), 1)
        assert (await world.outcome("r", within=6)).output == 1


# The store


async def test_a_run_that_is_parked_and_released_in_one_batch_is_in_one_place(disk_url: str) -> None:
    store = make_store(disk_url)
    await store.open()
    try:
        worker, run = os.urandom(16), os.urandom(16)
        await store.register_worker(worker, "host", 1, 1, 60_000_000)
        start = Start(run, "t", "a", "wf", "1", 1, "q", 0, 0, b"{}", None, 1, None, None, None, None, None)
        await store.commit(Batch(starts=[start]))
        claim = Claim(worker, os.urandom(16), 5, (("q", "wf", "1", 1),))
        [[claimed]] = (await store.commit(Batch(claims=[claim]))).claims
        assert not isinstance(claimed, str)
        park = Park(run, claimed.epoch, "q", "wf", "1", 1, 0, 1, 10**16, (), 0)
        for _ in range(2):
            await store.commit(Batch(parks=[park, park._replace(wake_at=0), park]))
            counts = await store.counts()
            assert sum(counts.values()) == 1, counts
    finally:
        await store.close()


def test_a_connection_left_open_does_not_serve_the_next_event_loop(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'left.db'}"

    async def leave_open() -> None:
        client = await hf.connect(url)
        await client.start(simple.options(id="r"), 1)

    async def look() -> str:
        client = await hf.connect(url)
        try:
            return (await asyncio.wait_for(client.get("r"), 5)).id
        finally:
            Core._shared.clear()

    for _ in range(3):
        asyncio.run(leave_open())
        assert asyncio.run(look()) == "r"
