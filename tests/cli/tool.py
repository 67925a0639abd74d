"""Runs the `holdfast` command: as a process of its own, or in this one where that is enough."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

SHOP = """
import asyncio
import os

import holdfast as hf

@hf.step
async def charge(order_id: str, cents: int) -> str:
    if cents < 0:
        raise hf.Fatal(f"cannot charge {cents}")
    return f"receipt {order_id}-{cents}"

@hf.step
async def ship(order_id: str) -> str:
    with open(f"shipping-{order_id}", "a") as file:
        file.write(f"{os.getpid()}\\n")
    while os.path.exists(f"wait-{order_id}"):
        await asyncio.sleep(0.02)
    return f"parcel {order_id}"

@hf.workflow
async def checkout(order_id: str, cents: int) -> dict[str, str]:
    receipt = await charge(order_id, cents)
    return {"receipt": receipt, "parcel": await ship(order_id)}

@hf.workflow(queue="later")
async def remind(order_id: str = "o-0") -> str:
    print("reminding", order_id)
    return order_id

number = 3
"""

SOON = ("--lease", "2s", "--beat", "0.5s", "--drain", "0.5s")
"""For workers that are to be missed quickly."""


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return {**kept, **more}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "holdfast.cli", *arguments]


def call(
    folder: Path, *arguments: str, url: str | None = None, given: str | None = None, code: int = 0, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and see that it ends with the code."""
    if url is not None:
        more["HOLDFAST_URL"] = url
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(**more),
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def call_json(folder: Path, *arguments: str, url: str | None = None, code: int = 0) -> Any:
    """Run a command with --json, and give the one document that it prints."""
    [line] = call(folder, *arguments, "--json", url=url, code=code).stdout.splitlines()
    return json.loads(line)


@contextmanager
def running(folder: Path, *arguments: str, url: str | None = None, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on; its stderr is in the file ``stderr``. Killed with its children if it is still there."""
    if url is not None:
        more["HOLDFAST_URL"] = url
    with (folder / "stderr").open("a") as stderr:
        process = subprocess.Popen(
            command(*arguments), cwd=folder, env=environment(**more), stdout=subprocess.PIPE, stderr=stderr, text=True
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(timeout=30)


def until(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for something to become true, and give it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
    return found


def inside(*arguments: str, code: int = 0, given: str | None = None) -> tuple[str, str]:
    """Run a command in this process; stdout and stderr."""
    from holdfast.cli.main import build

    done = CliRunner().invoke(build(arguments), list(arguments), input=given, prog_name="holdfast")
    assert done.exit_code == code, f"{arguments}: {done.exit_code}\n{done.stdout}\n{done.stderr}\n{done.exception!r}"
    return done.stdout, done.stderr
