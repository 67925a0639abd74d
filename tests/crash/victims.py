"""Workflows for tests that kill processes. As a script it is a worker: ``python victims.py URL LOG [OPTION=VALUE…]``.

Each attempt of a step appends a line to LOG, so that executions are counted from outside.
"""

import asyncio
import os
import signal
import sys
import time
from typing import Any

import holdfast as hf
from holdfast.store.operations import Batch
from holdfast.store.postgres import store as postgres
from holdfast.store.sqlite import write as sqlite

ONCE = hf.Retry(max_attempts=1)


def note(line: str) -> None:
    with open(os.environ["VICTIMS_LOG"], "a") as file:
        file.write(f"{line} {os.getpid()}\n")


@hf.step(retry=ONCE)
async def tick(run: str, n: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    note(f"tick {run} {n}")
    return n


@hf.workflow
async def ticks(run: str, count: int, seconds: float) -> int:
    return sum([await tick(run, n, seconds) for n in range(count)])


@hf.step(retry=ONCE)
async def long(run: str, seconds: float) -> str:
    note(f"long {run}")
    await asyncio.sleep(seconds)
    return run


@hf.workflow
async def takes_long(run: str, seconds: float) -> str:
    return await long(run, seconds)


@hf.step(retry=ONCE)
def deadly(how: str) -> None:
    note(f"deadly {how}")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(9)


@hf.workflow
async def dies(how: str) -> None:
    await deadly(how)


@hf.step(retry=ONCE)
async def turn(key: str, run: str, seconds: float) -> None:
    note(f"begin {key} {run}")
    await asyncio.sleep(seconds)
    note(f"end {key} {run}")


@hf.workflow(key="key")
async def keyed(key: str, run: str, seconds: float) -> str:
    """Takes its lane's slot, and a second turn after a sleep that is parked."""
    await turn(key, run, seconds)
    await hf.sleep(seconds)
    await turn(key, run, seconds)
    return run


@hf.workflow
async def hears(name: str) -> Any:
    await tick(name, 0, 0.0)
    return await hf.wait_for_event(name)


@hf.workflow
async def cleans(run: str) -> None:
    """Cancelled, it says good-bye in three steps."""
    try:
        await hf.gather(far(), hf.sleep("1h"))
    finally:
        async with hf.shield():
            for n in range(3):
                await tick(run, n, 0.1)


@hf.workflow
async def far() -> None:
    await hf.sleep("1h")


def stop_inside_a_write(flag: str) -> None:
    """Freeze once, between the statement that records checkpoints and the commit, when the file ``flag`` is there."""

    def freeze() -> None:
        if os.path.exists(flag):
            os.unlink(flag)
            note("frozen")
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(0.2)  # another thread may be told of the signal first, and this one go on for a moment

    real_sqlite, real_postgres, real_alone = sqlite.execute_many, postgres.write, postgres.write_alone

    def execute_many(connection: Any, name: str, *rest: Any) -> int:
        changed = real_sqlite(connection, name, *rest)
        if name == "insert_checkpoints":
            freeze()
        return changed

    async def write(connection: Any, batch: Batch, *rest: Any) -> Any:
        results = await real_postgres(connection, batch, *rest)
        if batch.checkpoints:
            freeze()
        return results

    async def write_alone(connection: Any, batch: Batch) -> Any:
        # One statement that is a transaction by itself has no inside.
        return None if os.path.exists(flag) else await real_alone(connection, batch)

    sqlite.execute_many = execute_many
    postgres.write = write  # type: ignore[attr-defined]
    postgres.write_alone = write_alone  # type: ignore[attr-defined]


async def main() -> None:
    url, log, *options = sys.argv[1:]
    os.environ["VICTIMS_LOG"] = log
    given = dict(option.partition("=")[::2] for option in options)
    freeze = given.pop("freeze", None)
    if freeze is not None:
        stop_inside_a_write(freeze)
    numbers: dict[str, Any] = {
        name: int(value) if name == "concurrency" else float(value) for name, value in given.items()
    }
    worker = hf.Worker(url, [ticks, takes_long, dies, keyed, hears, cleans], **numbers)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
