"""Processes that measure: each holds one contender, does what it is asked line by line, and ends with its parent.

``Child("benchmarks.limit:SqliteLimit", path=…)`` starts a fresh Python that makes the contender, and
``child.call("throughput", runs=…)`` awaits the method there. A child whose standard input closes ends
at once: nothing of it is needed any more, and none outlives the benchmark.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import IO, Any, Protocol

import uvloop

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 900.0


class ChildError(Exception):
    """A child failed; its traceback is in the message."""


class Contender(Protocol):
    """What runs in a child; its other methods are what can be asked of it."""

    async def open(self) -> None:
        """Get ready to be measured."""


class Child:
    """A process with a contender in it.

    Args:
        spec: ``module:class`` of the contender.
        arguments: of the class; plain JSON.
    """

    def __init__(self, spec: str, **arguments: Any) -> None:
        self.spec = spec
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.child", spec, json.dumps(arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.receive()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def send(self, method: str, **arguments: Any) -> None:
        """Ask for something without waiting for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([method, arguments]) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        """The next answer.

        Raises:
            ChildError: it failed, ended, or gave none in a quarter of an hour.
        """
        try:
            line = self._answers.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            self.kill()
            raise ChildError(f"{self.spec} did not answer for {PATIENCE_SECONDS:g} s") from None
        if not line:
            raise ChildError(f"{self.spec} ended with status {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise ChildError(f"{self.spec}:\n{answer['error']}")
        return answer["result"]

    def call(self, method: str, **arguments: Any) -> Any:
        """Ask for something and wait for it."""
        self.send(method, **arguments)
        return self.receive()

    def kill(self) -> None:
        """``kill -9``."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        if self._process.poll() is None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def _serve(spec: str, arguments: dict[str, Any], out: IO[str]) -> None:
    def answer(**what: Any) -> None:
        out.write(json.dumps(what) + "\n")
        out.flush()

    loop = asyncio.get_running_loop()
    asked: asyncio.Queue[str] = asyncio.Queue()

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(asked.put_nowait, line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    module, _, name = spec.partition(":")
    try:
        contender: Contender = getattr(importlib.import_module(module), name)(**arguments)
        await contender.open()
        answer(result=None)
        while True:
            method, given = json.loads(await asked.get())
            answer(result=await getattr(contender, method)(**given))
    except Exception:
        answer(error=traceback.format_exc())
        os._exit(1)


def main() -> None:
    """What a child executes: answers go to its standard output, and nothing else does."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.basicConfig(level=logging.ERROR)
    uvloop.run(_serve(sys.argv[1], json.loads(sys.argv[2]), out))


if __name__ == "__main__":
    main()
