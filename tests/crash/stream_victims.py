"""Processes of the kill tests of streams: ``python stream_victims.py work URL``, ``serve URL PORT``, or
``read ADDRESS RUN LOG``, which appends a line to LOG for each chunk and goes on behind the last that is there.
"""

import asyncio
import json
import sys
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


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "work":
        asyncio.run(work(*rest))
    elif what == "serve":
        uvicorn.run(create_app(rest[0], config=ServeConfig()), port=int(rest[1]), log_level="error", access_log=False)
    else:
        asyncio.run(read(rest[0], rest[1], Path(rest[2])))
