"""Nine phases for tests that kill processes: ``python -m tests.agents.phase_victims URL FOLDER CALLS``.

It forks a worker for each way to die, each for a run of its own, waits until all of them were killed, and then is the
worker that goes on with their runs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.agents.phases.registry import load_phases
from holdfast.store.postgres.store import PostgresStore
from holdfast.store.sqlite.store import SqliteStore

NAMES = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")

DEATHS = (*(f"after-{name}" for name in NAMES), "before-commit", "in-call")
"""After a phase was recorded; when phase VII was paid for and not recorded yet; while its model is answering."""

LEASE: dict[str, float] = {"lease": 1.5, "beat": 0.3}


def write_file(folder: Path, base_url: str) -> None:
    """Nine phases, each of which needs the one before it."""
    parts = ['name = "nine"\n[models.main]\nmodel = "openai:gpt-5-mini"\napi_key = "env:VICTIMS_KEY"\n']
    parts += [f'base_url = "{base_url}"\n[defaults]\nmodel = "main"\n']
    for before, name in zip((None, *NAMES), NAMES, strict=False):
        needs = "" if before is None else f'needs = ["{before}"]\n'
        parts.append(f'[phases.{name}]\nprompt = "phase {name} of {{{{ run_id }}}}."\n{needs}')
    (folder / "phases.toml").write_text("".join(parts))


def nine(folder: Path) -> hf.Workflow[[], list[str]]:
    """The workflow of all nine."""
    phases = load_phases(folder / "phases.toml")

    @hf.workflow(name="nine")
    async def run() -> list[str]:
        return list(await phases.execute())

    return run


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def die_at(death: str, calls: Path) -> None:
    """Have this process be killed where it is to be."""
    if death == "in-call":
        sought = "phase VII of in-call."

        def watch() -> None:
            while sought not in calls.read_text():
                time.sleep(0.002)
            die()

        threading.Thread(target=watch, daemon=True).start()
        return
    phase = "VII" if death == "before-commit" else death.removeprefix("after-")
    for store in (SqliteStore, PostgresStore):
        _die_around(store, phase, before=death == "before-commit")


def _die_around(store: Any, phase: str, *, before: bool) -> None:
    real = store.commit

    async def commit(self: Any, batch: Any) -> Any:
        is_it = any(row[5] == phase and row[6] == "ok" for row in batch.checkpoints)
        if is_it and before:
            die()
        results = await real(self, batch)
        if is_it:
            die()
        return results

    store.commit = commit


async def work(url: str, folder: Path, queues: tuple[str, ...]) -> None:
    await hf.Worker(url, [nine(folder)], queues=queues, drain=0, **LEASE).run()


def main() -> None:
    url, folder, calls = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    os.environ["VICTIMS_KEY"] = "sk-victim"
    load_phases(folder / "phases.toml")  # all that takes long to import is there before anything is forked
    children: dict[int, str] = {}
    for death in DEATHS:
        child = os.fork()
        if child == 0:
            die_at(death, calls)
            asyncio.run(work(url, folder, (death,)))
            os._exit(1)
        children[child] = death
    while children:
        child, status = os.wait()
        death = children.pop(child)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"the worker that was to die at {death} ended with {status}")
    (folder / "all-dead").touch()
    asyncio.run(work(url, folder, DEATHS))


if __name__ == "__main__":
    main()
