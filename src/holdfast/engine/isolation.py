"""Executes suspected runs one at a time in child processes.

A run that has lost two workers in a row without a new checkpoint may be what kills them. It goes on
in a child process, under its worker's lease, so that it takes no other run with it. Its next
checkpoint clears it, and it executes among the others again. When the child dies, the run that it
was executing has lost another worker, and is held when it has lost too many.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import runpy
import signal
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from holdfast.engine.core import Core
from holdfast.engine.workflow import Workflow
from holdfast.errors import StoreError
from holdfast.store.operations import ClaimedRun

log = logging.getLogger("holdfast.isolation")

AT_ONCE = 4
"""So many child processes at most; other suspects wait for their turn."""

TROUBLE_PAUSE_SECONDS = 1.0
"""How long to wait when the database, or the machine, cannot do it just now."""

IMPORTING = "HOLDFAST_ISOLATED_IMPORT"
"""Set in a child while it imports the user's module, which must start nothing then."""

setup: tuple[str, str] | None = None
"""What a child calls first, ``module:function``, and its argument: there it sets up its logs and exports."""

_DONE, _NOT_FOUND, _TROUBLE = b"done\n", b"not found\n", b"trouble\n"
_CHILD = "from holdfast.engine.isolation import main; main()"


class Order(msgspec.Struct):
    """One run for a child, sent as a line of JSON."""

    url: str
    module: str
    file: str | None
    path: list[str]
    run: ClaimedRun
    setup: tuple[str, str] | None = None


class Isolation:
    """The child processes of one worker.

    Args:
        core: the database.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._suspects: dict[bytes, ClaimedRun] = {}
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._closing = False
        self._term = 0

    @property
    def suspects(self) -> list[ClaimedRun]:
        """The runs that are here, executing or waiting for their turn."""
        return list(self._suspects.values())

    async def execute(self, run: ClaimedRun, workflow: Workflow[Any, Any]) -> bool:
        """Execute a run to its next checkpoint or its end; False if a child cannot find its code."""
        module = workflow.fn.__module__
        file = getattr(sys.modules.get(module), "__file__", None) if module == "__main__" else None
        if self._core.url.startswith("memory://") or (module == "__main__" and file is None):
            return False
        order = Order(self._core.url, module, file, [path or os.getcwd() for path in sys.path], run, setup)
        self._suspects[run.uid] = run
        term = self._term
        try:
            while True:
                async with self._turn:
                    reply = await self._in_child(order, term)
                if reply != _TROUBLE:
                    return reply != _NOT_FOUND
                await asyncio.sleep(TROUBLE_PAUSE_SECONDS)
        finally:
            del self._suspects[run.uid]
            if not self._suspects:
                self._dismiss()

    async def _in_child(self, order: Order, term: int) -> bytes:
        if self._closing or term != self._term:
            return _DONE
        try:
            child = self._idle.pop() if self._idle else await _Child.start()
        except OSError as error:
            log.warning("a child process cannot be started, trying again: %s", error)
            return _TROUBLE
        self._busy.add(child)
        try:
            reply = await child.ask(order)
        finally:
            self._busy.discard(child)
        if reply:
            self._idle.append(child)
            return reply
        while not self._closing:
            try:
                await self._core.store.crashed(order.run.uid, order.run.epoch)
                break
            except StoreError:
                await asyncio.sleep(TROUBLE_PAUSE_SECONDS)
        return _DONE

    def _dismiss(self) -> None:
        for child in self._idle:
            child.dismiss()
        self._idle.clear()

    def kill(self) -> None:
        """End what executes at once, and begin nothing that waits for its turn: the runs are no longer ours."""
        self._term += 1
        for child in self._busy:
            child.kill()

    def close(self) -> None:
        """End every child at once, for good."""
        self._closing = True
        self.kill()
        self._dismiss()


class _Child:
    def __init__(self, process: asyncio.subprocess.Process, replies: asyncio.StreamReader) -> None:
        self._process = process
        self._replies = replies

    @classmethod
    async def start(cls) -> _Child:
        # Replies come through a pipe of their own: the run's code may print what it likes.
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _CHILD, str(writing), stdin=asyncio.subprocess.PIPE, pass_fds=(writing,)
            )
        finally:
            os.close(writing)
        replies = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(replies), os.fdopen(reading, "rb"))
        return cls(process, replies)

    async def ask(self, order: Order) -> bytes:
        """The child's reply; empty when it died."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass
        reply = await self._replies.readline()
        if not reply:
            await self._process.wait()
        return reply

    def dismiss(self) -> None:
        """Let it end: a child ends with its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


# In the child process


def find_workflow(order: Order) -> Workflow[Any, Any] | None:
    """Import the module of the run's workflow and find it there."""
    sys.path[:] = order.path
    os.environ[IMPORTING] = "1"
    try:
        if order.file is not None:
            names = runpy.run_path(order.file, run_name="__mp_main__")
        else:
            names = vars(importlib.import_module(order.module))
    except BaseException as error:
        sys.stderr.write(f"holdfast: {order.file or order.module} cannot be imported: {error!r}\n")
        return None
    finally:
        del os.environ[IMPORTING]
    for value in names.values():
        if isinstance(value, Workflow) and (value.name, value.version) == (order.run.workflow, order.run.version):
            return value
    return None


async def _execute(core: Core, order: Order) -> bytes:
    from holdfast.engine.dispatcher import Dispatcher, by_run

    workflow = find_workflow(order)
    if workflow is None:
        return _NOT_FOUND
    dispatcher = Dispatcher(
        core, [workflow], queues=None, concurrency=1, threads=4, may_claim=lambda: False, on_lost=lambda: None
    )
    rows, attempts = await core.store.load_journals([order.run.uid])
    tallying = core.count_ends()
    await dispatcher.execute_one(order.run, by_run([order.run], rows, attempts)[order.run.uid])
    await core.committer.drain()
    try:
        await tallying.put(core.now_us())
    except StoreError as error:
        sys.stderr.write(f"holdfast: what ended in a child process cannot be counted: {error}\n")
    return _DONE


async def _reply(core: Core | None, order: Order) -> tuple[Core | None, bytes]:
    try:
        if core is None:
            core = await Core.open(order.url, migrate=False)
        return core, await _execute(core, order)
    except StoreError as error:
        sys.stderr.write(f"holdfast: the database cannot be used just now: {error}\n")
        return core, _TROUBLE


async def _serve(reply_to: int) -> None:
    orders = asyncio.StreamReader(limit=64 * 1024 * 1024)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), os.fdopen(0, "rb", closefd=False))
    core: Core | None = None
    finish: Callable[[], None] | None = None
    reading = asyncio.create_task(orders.readline())
    while line := await reading:
        order = msgspec.json.decode(line, type=Order)
        if finish is None and order.setup is not None:
            finish = _set_up(*order.setup)
        # The next line, or the end of input when the parent dies, is looked for while this run executes.
        reading = asyncio.create_task(orders.readline())
        work = asyncio.create_task(_reply(core, order))
        await asyncio.wait((work, reading), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            os._exit(1)
        core, reply = work.result()
        os.write(reply_to, reply)
    if core is not None:
        await core.close()
    if finish is not None:
        finish()


def _set_up(place: str, argument: str) -> Callable[[], None]:
    module, _, name = place.partition(":")
    finish: Callable[[], None] = getattr(importlib.import_module(module), name)(argument)
    return finish


def main() -> None:
    """The child process: executes the runs that come as lines on its input, and replies to each."""
    # Its end is its parent's business: a signal to the whole group must not look like a crash of the run.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(_serve(int(sys.argv[1])))
