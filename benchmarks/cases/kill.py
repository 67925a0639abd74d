"""kill -9 of a worker with a thousand runs in flight, while another worker is up and idle.

Every execution of a step appends the run's id and the step's number to a file of its process, and so
does the first line of each run. Right after the kill the journals are read: what they hold was
recorded before. Then all runs must end; none may wait for its next first line longer than the lease
and two seconds, counted from the kill; and no step that was recorded may have been executed again.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import IN_FLIGHT, Sizes

CASE = "kill"
STEPS = 20
STEP_SECONDS = 0.1
LEASE_SECONDS = 3.0
BEAT_SECONDS = 0.5
EXTRA_SECONDS = 2.0
PATIENCE_SECONDS = 60.0

_log = -1


@hf.step(retry=hf.Retry(max_attempts=5), timeout="30s")
async def noted(number: int) -> int:
    """A step that leaves a trace outside."""
    os.write(_log, f"{hf.current().run_id} {number}\n".encode())
    await asyncio.sleep(STEP_SECONDS)
    return number


@hf.workflow
async def traced(steps: int) -> int:
    """Leaves a trace with the time at each beginning, which a durable program would not do."""
    os.write(_log, f"{hf.current().run_id} begins {time.monotonic_ns()}\n".encode())
    return sum([await noted(number) for number in range(steps)])


class Worker:
    """A worker that may be killed, or takes over.

    Args:
        url: the database.
        log: the file of its traces.
    """

    def __init__(self, url: str, log: str) -> None:
        self._url = url
        self._log = log

    async def open(self) -> None:
        """Start it."""
        global _log
        _log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._worker = hf.Worker(
            self._url, [traced], concurrency=IN_FLIGHT, lease=LEASE_SECONDS, beat=BEAT_SECONDS, drain=0
        )
        await self._worker.__aenter__()


class Starter:
    """Starts the runs, looks at their journals, and waits for them."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Connect."""
        self._client = await hf.connect(self._url)

    async def start(self, runs: int) -> None:
        """Start so many."""
        self._handles = await self._client.start_many(traced, [(STEPS,)] * runs)

    async def recorded(self) -> dict[str, int]:
        """How many steps of each run that has not ended are recorded, from its first on."""
        store = self._client.core.store
        runs = await store.find_runs(self._client.tenant, [handle.id for handle in self._handles])
        rows, _ = await store.load_journals([run.uid for run in runs])
        counts = Counter(row.run for row in rows)
        return {run.id: counts[run.uid] for run in runs if run.finished_at is None}

    async def finish(self) -> int:
        """Wait for the results; how many are right."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            results = await asyncio.gather(*(handle.result() for handle in self._handles))
        return results.count(sum(range(STEPS)))


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Kill, and see what becomes of the runs."""
    files = [backend.folder / f"{who}.log" for who in ("killed", "other")]
    with (
        backend.database() as url,
        Child("benchmarks.cases.kill:Worker", url=url, log=str(files[0])) as killed,
        Child("benchmarks.cases.kill:Starter", url=url) as starter,
    ):
        starter.call("start", runs=IN_FLIGHT)
        _until_lines(files[0], IN_FLIGHT)
        with Child("benchmarks.cases.kill:Worker", url=url, log=str(files[1])):
            _until_lines(files[0], 5 * IN_FLIGHT)
            killed_at = time.monotonic_ns()
            killed.kill()
            recorded: dict[str, int] = starter.call("recorded")
            finished = starter.call("finish")
    executions: Counter[tuple[str, int]] = Counter()
    resumed: dict[str, float] = {}
    for file in files:
        for line in file.read_text().splitlines():
            run_id, what, *at = line.split()
            if what != "begins":
                executions[run_id, int(what)] += 1
            elif file is files[1]:
                resumed.setdefault(run_id, (int(at[0]) - killed_at) / 1e9)
    again = sum(executions[run_id, number] != 1 for run_id, steps in recorded.items() for number in range(steps))
    waited = [resumed.get(run_id, float("inf")) for run_id in recorded]
    setting = f"lease {LEASE_SECONDS:g} s, beat {BEAT_SECONDS:g} s"
    more = {
        "interrupted": len(recorded),
        "steps_recorded": sum(recorded.values()),
        "steps_interrupted": sum(count > 1 for count in executions.values()),
    }
    return [
        Row(CASE, backend.name, f"runs ended, of {IN_FLIGHT:,}", finished, required=Required(at_least=IN_FLIGHT),
            more=more),
        Row(CASE, backend.name, f"s until the last was claimed ({setting})", max(waited),
            required=Required(at_most=LEASE_SECONDS + EXTRA_SECONDS), more={"first_s": min(waited)}),
        Row(CASE, backend.name, f"recorded steps run again, of {sum(recorded.values()):,}", again,
            required=Required(at_most=0)),
    ]  # fmt: skip


def _until_lines(file: Path, lines: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not file.exists() or file.read_bytes().count(b"\n") < lines:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{file.name} has not come to {lines} lines after {PATIENCE_SECONDS:g} s")
        time.sleep(0.02)
