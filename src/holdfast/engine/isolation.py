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
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from holdfast.engine.core import Core
from holdfast.engine.workflow import Workflow
from holdfast.errors import StoreError
from holdfast.store.operations import ClaimedRun

log = logging.getLogger("holdfast.isolation")

AT_ONCE = 4
"""So many child processes at most; other suspects wait for their turn."""

LONGEST_ORDER_BYTES = 512 * 1024 * 1024
"""Of an order, which has the run's input in base64."""

END_SECONDS = 5.0
"""So long a child that is not needed any more may take to end."""

TROUBLE_PAUSE_SECONDS = 1.0
"""How long to wait when the database, or the machine, cannot do it just now."""

IMPORTING = "HOLDFAST_ISOLATED_IMPORT"
"""Set in a child while it imports the user's module, which must start nothing then."""

setup: tuple[str, str] | None = None
"""What a child calls first, ``module:function``, and its argument: there it sets up its logs and exports."""

values: tuple[str, str] | None = None
"""What makes the `Values` of the database in a child, ``module:function``, and its argument. Without it a run whose
values are stored in a way of their own is not executed in a child, which could not open them."""

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
    values: tuple[str, str] | None = None


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
        self._ending: set[asyncio.Task[None]] = set()
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
        if self._core.values is not None and values is None:
            said = "run %s executes among the others: a child process would not know the values= that was given in code"
            log.warning(said, run.id)
            return False
        made_by = None if self._core.values is None else values
        order = Order(self._core.url, module, file, [path or os.getcwd() for path in sys.path], run, setup, made_by)
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
        except BaseException:
            child.kill()
            self._end(child)
            raise
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
            self._end(child)
        self._idle.clear()

    def _end(self, child: _Child) -> None:
        ending = asyncio.create_task(child.ended())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def ended(self) -> None:
        """After `close`: every child has ended."""
        await asyncio.gather(*self._ending)

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
    def __init__(
        self, process: asyncio.subprocess.Process, replies: asyncio.StreamReader, pipe: asyncio.ReadTransport
    ) -> None:
        self._process = process
        self._replies = replies
        self._pipe = pipe

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
        file = os.fdopen(reading, "rb")
        pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(replies), file)
        return cls(process, replies, pipe)

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
            await self.ended()
        return reply

    def dismiss(self) -> None:
        """Let it end: a child ends with its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    async def ended(self) -> None:
        """Wait for its end, and bring that about if it takes too long."""
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        self._pipe.close()


# In the child process


def names_of(module: str, file: str | None, path: Sequence[str]) -> dict[str, Any]:
    """What a user's module has, imported in a child; nothing, and a line on stderr, if it cannot be."""
    sys.path[:] = path
    os.environ[IMPORTING] = "1"
    try:
        if file is not None:
            return runpy.run_path(file, run_name="__mp_main__")
        return vars(importlib.import_module(module))
    except BaseException as error:
        sys.stderr.write(f"holdfast: {file or module} cannot be imported: {error!r}\n")
        return {}
    finally:
        del os.environ[IMPORTING]


def find_workflow(order: Order) -> Workflow[Any, Any] | None:
    """Import the module of the run's workflow and find it there."""
    for value in names_of(order.module, order.file, order.path).values():
        if isinstance(value, Workflow) and (value.name, value.version) == (order.run.workflow, order.run.version):
            return value
    return None


async def _execute(core: Core, order: Order) -> bytes:
    from holdfast.engine.dispatcher import Dispatcher
    from holdfast.engine.recorded import by_run, with_values

    workflow = find_workflow(order)
    if workflow is None:
        return _NOT_FOUND
    dispatcher = Dispatcher(
        core, [workflow], queues=None, concurrency=1, threads=4, may_claim=lambda: False, on_lost=lambda: None
    )
    rows, attempts = await core.store.load_journals([order.run.uid])
    rows = await with_values(core, rows)
    [run] = await core.sealed.fetched([order.run], "input")
    tallying = core.count_ends()
    await dispatcher.execute_one(run, by_run([run], rows, attempts)[run.uid])
    await core.committer.drain()
    try:
        await tallying.put(core.now_us())
    except StoreError as error:
        sys.stderr.write(f"holdfast: what ended in a child process cannot be counted: {error}\n")
    return _DONE


async def _reply(core: Core | None, order: Order) -> tuple[Core | None, bytes]:
    try:
        if core is None:
            stored = None if order.values is None else called(*order.values)
            core = await Core.open(order.url, migrate=False, values=stored)
        return core, await _execute(core, order)
    except StoreError as error:
        sys.stderr.write(f"holdfast: the database cannot be used just now: {error}\n")
        return core, _TROUBLE


async def _serve(reply_to: int) -> None:
    orders = asyncio.StreamReader(limit=LONGEST_ORDER_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), os.fdopen(0, "rb", closefd=False))
    core: Core | None = None
    finish: Callable[[], None] | None = None
    reading = asyncio.create_task(orders.readline())
    while line := await reading:
        order = msgspec.json.decode(line, type=Order)
        if finish is None and order.setup is not None:
            finish = called(*order.setup)
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


def called(place: str, argument: str) -> Any:
    """What a function gives for its argument, named as ``module:function``."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)(argument)


def main() -> None:
    """The child process: executes the runs that come as lines on its input, and replies to each."""
    # Its end is its parent's business: a signal to the whole group must not look like a crash of the run.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(_serve(int(sys.argv[1])))
