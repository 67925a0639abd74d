"""A worker process of the verification: ``python -m tests.verification.worker URL FOLDER [OPTIONS]``.

It notes in a file of FOLDER, outside the database, what its steps do, so that it is counted by somebody who does not
depend on what is counted. Polls come quickly here, so that a run meets many faults in its short life.
"""

import argparse
import asyncio
import faulthandler
import importlib
import importlib.util
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

QUICKER: dict[str, dict[str, float]] = {
    "holdfast.engine.dispatcher": {"POLL_SECONDS": 0.1, "RESCUES_ISOLATED": 1000},
    "holdfast.model.rescue": {"RESCUES_HELD": 1000},
    "holdfast.engine.core": {"POLL_SECONDS": 0.1},
    "holdfast.engine.committer": {"LONGEST_PAUSE_SECONDS": 0.2},
    "holdfast.engine.waiting": {"LINGER_CHILD_SECONDS": 0.05, "PARK_SECONDS": 0.2},
    "holdfast.engine.asking": {"REST_SECONDS": 0.1},
    "holdfast.engine.execution": {"READ_AGAIN_SECONDS": 0.1},
    "holdfast.services.timekeeper": {"LOOK_SECONDS": 0.1},
    "holdfast.services.reaper": {"LOOK_SECONDS": 0.2},
    "holdfast.intake.standing": {"LEASE_SECONDS": 2.0},
    "holdfast.intake.taking": {"LONGEST_PAUSE_SECONDS": 0.2},
    "holdfast.store.postgres.connection": {"ANSWER_SECONDS": 4.0, "CONNECT_SECONDS": 3.0},
}
"""What is set in each module; a run is never held for having seen many workers die, since here they do."""


def set_quick(*, suspicious: bool) -> None:
    """Let all that is done again after a while be done again sooner. A name that a build lacks is passed over."""
    for module, values in QUICKER.items():
        found = importlib.import_module(module)
        for name, value in values.items():
            if hasattr(found, name) and not (suspicious and name.startswith("RESCUES")):
                setattr(found, name, value)


def skew_clock(seconds: float) -> None:
    """Let this process's clock be wrong by so much."""
    real_ns, real = time.time_ns, time.time
    time.time_ns = lambda: real_ns() + int(seconds * 1e9)
    time.time = lambda: real() + seconds


class Notes:
    """The file in which steps note what they do; a line is written at once and whole, whoever else writes."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, *words: object) -> None:
        """Add a line."""
        os.write(self._file, ("\t".join(map(str, words)) + "\n").encode())


def _dump_tasks(worker: Any) -> None:
    runs = worker._dispatcher
    said = {
        name: getattr(runs, name, None) for name in ("_using", "_more", "_next_due", "_term", "_served", "_limited")
    }
    said["_returning"] = [one.run.id for one in runs._returning]
    said["_executions"] = [(one.run.id, one.has_slot, one.dead) for one in runs._executions]
    print("the dispatcher:", said, "may claim:", runs._may_claim(), file=sys.stderr)
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__name__", "") != "_always":  # not the duties, of which there are many
            task.print_stack(limit=8, file=sys.stderr)
    sys.stderr.flush()


async def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        await asyncio.sleep(1.0)
    os._exit(0)


async def work(given: argparse.Namespace) -> None:
    """Be a worker until told to end."""
    import holdfast as hf
    from holdfast.engine import waiting
    from tests.verification import programs
    from tests.verification.drawing import draw

    set_quick(suspicious=given.suspicious)
    waiting.LINGER_SECONDS = given.linger
    notes, pid = Notes(given.folder), os.getpid()

    def note(name: str, number: int, failures: int) -> None:
        here = hf.current()
        step = name, number, failures, here.idempotency_key, here.attempt
        notes.write("step", *step, here.run_id, pid, time.monotonic())

    class Wanted(list[Any]):
        def append(self, one: tuple[str, int]) -> None:
            notes.write("want", *one)

    programs.on_attempt.append(note)
    programs.wanted = Wanted()
    programs.is_mended.append(lambda run_id: (given.folder / f"mended-{run_id}").exists())

    class Worker(hf.Worker):
        async def __aenter__(self) -> hf.Worker:
            found = await super().__aenter__()
            notes.write("up", pid)
            return found

    workflows, queues = [*programs.WORKFLOWS], ["default", given.queue]
    more: dict[str, Any] = {}
    if importlib.util.find_spec("holdfast.model.start_rules") is not None:  # an older build lacks it
        from holdfast.engine import isolation
        from tests.verification import rules
        from tests.verification.keeping import values_of

        workflows += rules.WORKFLOWS
        queues += [rules.SHARED]
        isolation.values = "tests.verification.keeping:values_of", given.values
        more = {"values": values_of(given.values)}
        more |= {name: given.folder / f"{name}.toml" for name in ("channels", "intake")}
    worker = Worker(
        given.url,
        workflows,
        **more,
        lease=given.lease,
        beat=given.lease / 5,
        concurrency=given.concurrency,
        queues=queues,
        drain=1.0,
    )
    ending = asyncio.create_task(_end_with(os.getppid()))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _dump_tasks, worker)
    if given.start:
        async with hf.connect(given.url) as client:
            first, _, last = given.start.partition("-")
            for number in range(int(first), int(last)):
                case = draw(given.seed, number, given.size, older=True)
                await client.start(programs.program.options(id=case.id, **case.options), case.operations)
    await worker.run()
    ending.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--queue", default="only-0", help="which it alone serves, beside the default one")
    parser.add_argument("--lease", type=float, default=1.5, help="seconds")
    parser.add_argument("--concurrency", type=int, default=20, help="runs at once")
    parser.add_argument("--linger", type=float, default=0.0, help="how long waits stay in memory, in seconds")
    parser.add_argument("--skew", type=float, default=0.0, help="by how many seconds its clock is wrong")
    parser.add_argument("--values", default="", help="how values are stored")
    parser.add_argument("--suspicious", action="store_true", help="hold runs that keep losing their workers")
    parser.add_argument("--start", default="", help="numbers of programs to start, as in 0-20; of --seed and --size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=12)
    given = parser.parse_args()
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    if given.skew:
        skew_clock(given.skew)
    asyncio.run(work(given))


if __name__ == "__main__":
    main()
