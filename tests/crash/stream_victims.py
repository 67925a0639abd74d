"""Processes of the kill tests of streams, each forked from this one, which has imported everything already.

It reads a line for each: a JSON list, ``["work", URL]``, ``["serve", URL, PORT]``, or ``["read", ADDRESS, RUN, LOG]``,
which appends a line to LOG for each chunk and goes on behind the last that is there. It answers with the process's id.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from pathlib import Path

import uvicorn

import holdfast as hf
from holdfast.api import ServeConfig, create_app

SLICE = 100
"""So many values the workflow writes by itself, and so many a step."""

NAME = "tokens"


@hf.step(retry=hf.Retry(max_attempts=3, initial=0.001))
async def say(first: int, pause: float) -> int:
    """Writes a slice, from where an attempt before it was."""
    out = hf.stream(NAME, resume=True)
    for number in range(first + await out.written(), first + SLICE):
        await out.write(number)
        if number % 10 == 0:
            await asyncio.sleep(pause)
    return SLICE


@hf.workflow
async def tells(values: int, pause: float) -> int:
    """Writes the numbers below ``values``, in turns with its steps."""
    out = hf.stream(NAME)
    told = 0
    while told < values:
        for number in range(told, told + SLICE):
            await out.write(number)
        told += SLICE
        told += await say(told, pause)
    await out.close()
    return told


async def work(url: str) -> None:
    """A worker."""
    await hf.Worker(url, [tells], lease=1.5, beat=0.3, drain=0).run()


async def read(address: str, run: str, log: Path) -> None:
    """A reader that was not there before, or was killed."""
    whole, _, _ = log.read_bytes().rpartition(b"\n") if log.exists() else (b"", b"", b"")
    lines = whole.splitlines()
    with log.open("wb") as file:
        file.write(b"".join(line + b"\n" for line in lines))
    after = json.loads(lines[-1])[0] if lines else -1
    with log.open("a") as file:
        async with hf.connect(address) as client:
            async for chunk in client.read_stream(run, NAME, after=after):
                file.write(json.dumps([chunk.offset, chunk.kind, chunk.value]) + "\n")
                file.flush()


def begin(what: str, *given: str) -> None:
    """Be one of them."""
    if what == "work":
        asyncio.run(work(*given))
    elif what == "serve":
        app = create_app(given[0], config=ServeConfig())
        uvicorn.run(app, port=int(given[1]), log_level="error", access_log=False)
    else:
        asyncio.run(read(given[0], given[1], Path(given[2])))


def main() -> None:
    """Fork whatever is asked for, until nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                begin(*json.loads(line))
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        print(process, flush=True)


if __name__ == "__main__":
    main()
