"""Replays in several processes: each is given pages of runs, and says what became of them.

A process of a single thread forks, so that its children have the code already; else a child is a fresh Python that
imports the modules by name. What a child died of is looked for run by run in others, and told of that run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from holdfast import errors
from holdfast.engine.replaying.checking import Recording
from holdfast.engine.replaying.reading import Reader
from holdfast.engine.replaying.reports import RunReplay
from holdfast.engine.replaying.serving import CODE, Code, Job, Page, Reply, framed, receive, serve
from holdfast.engine.workflow import Workflow
from holdfast.errors import HoldfastError, UsageError
from holdfast.store.url import make_store

log = logging.getLogger("holdfast.replay")

PAGE = 256
"""So many runs are given to a child at once."""

AHEAD = 2
"""So many pages a child is given, so that it need not wait for the next one."""

THREADS = Path("/proc/self/task")


class Died(Exception):
    """A child has ended over a page."""


class NotBegun(Exception):
    """It had ended before it came to a page."""


class Children:
    """Processes that replay.

    Args:
        workflows: the code.
        count: how many.
    """

    def __init__(self, workflows: Sequence[Workflow[Any, Any]], count: int) -> None:
        self._workflows = workflows
        self._code = code_of(workflows)
        self._count = count
        self._children: list[_Child] = []
        self._free: asyncio.Queue[_Child] = asyncio.Queue()
        self._job: Job | None = None

    def fork(self, url: str) -> bool:
        """Fork them, before anything is opened; False if this process has threads, which a fork does not take along.

        Args:
            url: the database, whose modules are imported before.
        """
        if sys.platform != "linux" or len(list(THREADS.iterdir())) > 1:
            return False
        make_store(url)
        sys.stdout.flush()
        sys.stderr.flush()
        for _ in range(self._count):
            self._children.append(_Child.forked(self._workflows, self._children))
        return True

    async def open(
        self, url: str, tenant: str, timeout: float, values: tuple[str, str] | None, *, built_in: bool
    ) -> None:
        """Tell them their job; those that were not forked are started. All have opened the database then.

        Raises:
            UsageError: the code cannot be found by name.
            HoldfastError: one cannot open the database.
        """
        path = [path or os.getcwd() for path in sys.path]
        self._job = Job(url, tenant, timeout, path, self._code or [], values, built_in)
        while len(self._children) < self._count:
            self._children.append(self._spawned())
        await asyncio.gather(*(child.connect(self._job) for child in self._children))
        for child in self._children * AHEAD:
            self._free.put_nowait(child)

    def _spawned(self) -> _Child:
        if self._code is None:
            names = ", ".join(one.name for one in self._workflows)
            raise UsageError(f"workflows that are not found in their modules are replayed by one process: {names}")
        return _Child.spawned()

    def close(self) -> None:
        """End them: they hold nothing but connections that read."""
        for child in self._children:
            child.end()
        self._children.clear()

    async def replay(self, reader: Reader, pages: AsyncIterator[list[bytes]]) -> AsyncIterator[list[RunReplay]]:
        """Replay runs, page by page, in their order.

        Args:
            reader: reads a run that a child died of.
            pages: the runs.
        """
        under_way: deque[asyncio.Task[list[RunReplay]]] = deque()
        try:
            async for runs in pages:
                for first in range(0, len(runs), PAGE):
                    under_way.append(asyncio.create_task(self._page(reader, runs[first : first + PAGE])))
                    if len(under_way) > AHEAD * self._count:
                        yield await under_way.popleft()
            while under_way:
                yield await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _page(self, reader: Reader, runs: Sequence[bytes]) -> list[RunReplay]:
        replies: list[Reply] = []
        try:
            await self._ask(Page(list(runs)), replies)
        except Died as died:
            log.warning("a process that replayed runs ended (%s); its runs are replayed by another, one by one", died)
        else:
            return replies[0].reports
        found: list[RunReplay] = []
        while runs:
            replies = []
            try:
                await self._ask(Page(list(runs), singly=True), replies)
            except Died as died:
                killer = await reader.read([runs[len(replies)]])
                found += [report for reply in replies for report in reply.reports]
                found += [_died(one, died) for one in killer]
                runs = runs[len(replies) + 1 :]
            else:
                return found + [report for reply in replies for report in reply.reports]
        return found

    async def _ask(self, page: Page, replies: list[Reply]) -> None:
        """Let a child replay a page.

        Raises:
            Died: it has ended meanwhile; `replies` has what it gave until then.
            HoldfastError: it cannot read.
        """
        child = await self._free.get()
        try:
            await child.ask(page, replies)
        except NotBegun:
            await self._ask(page, replies)
        except Died:
            self._children.remove(child)
            another = self._spawned()
            self._children.append(another)
            assert self._job is not None
            await another.connect(self._job)
            for _ in range(AHEAD):
                self._free.put_nowait(another)
            raise
        else:
            self._free.put_nowait(child)


class _Child:
    """One process, forked or fresh."""

    def __init__(self, theirs: socket.socket, pid: int, process: subprocess.Popen[bytes] | None) -> None:
        self._socket = theirs
        self._pid = pid
        self._process = process
        self._turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.ended = False

    @classmethod
    def forked(cls, workflows: Sequence[Workflow[Any, Any]], others: Sequence[_Child]) -> _Child:
        here, there = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            _be_a_child(here, there, workflows, others)
        there.close()
        return cls(here, pid, None)

    @classmethod
    def spawned(cls) -> _Child:
        here, there = socket.socketpair()
        with there:
            command = [sys.executable, "-c", CODE, str(there.fileno())]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(there.fileno(),))  # noqa: S603
        return cls(here, process.pid, process)

    async def connect(self, job: Job) -> None:
        """Tell it its job, and wait until it can do it.

        Raises:
            HoldfastError: it cannot.
        """
        stream, writer = self._streams = await asyncio.open_connection(sock=self._socket, limit=1 << 20)
        writer.write(framed(job))
        try:
            await _reply(stream)
        except (EOFError, ConnectionError):
            raise HoldfastError(f"a process that was to replay runs has ended: {self.end()}") from None

    async def ask(self, page: Page, replies: list[Reply]) -> None:
        """Have a page replayed. See `Children._ask`."""
        assert self._streams is not None
        stream, writer = self._streams
        if not self.ended:
            writer.write(framed(page))
        async with self._turn:
            if self.ended:
                raise NotBegun
            try:
                for _ in page.runs if page.singly else (page,):
                    replies.append(await _reply(stream))
            except (EOFError, ConnectionError):
                raise Died(self.end()) from None

    def end(self) -> str:
        """End it, if it has not ended; how it did."""
        self.ended = True
        with suppress(RuntimeError):  # there is no event loop any more
            if self._streams is not None:
                self._streams[1].close()
        self._socket.close()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        if self._process is not None:
            status = self._process.wait()
        else:
            status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return f"signal {-status}" if status < 0 else f"status {status}"


def code_of(workflows: Sequence[Workflow[Any, Any]]) -> list[Code] | None:
    """Where each is found by name; None if one is not, as if it was made in a function."""
    found: list[Code] = []
    for one in workflows:
        module = one.fn.__module__
        there = sys.modules.get(module)
        file = getattr(there, "__file__", None) if module == "__main__" else None
        if all(one is not value for value in vars(there).values()) if there is not None else True:
            return None
        if module == "__main__" and file is None:
            return None
        found.append(Code(module, file, one.name, one.version))
    return found


def _be_a_child(
    here: socket.socket, there: socket.socket, workflows: Sequence[Workflow[Any, Any]], others: Sequence[_Child]
) -> NoReturn:
    """What a forked process does: it ends as soon as nobody else holds the other end of its connection."""
    status = 1
    try:
        here.close()
        for other in others:
            other._socket.close()
        serve(there, workflows)
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


async def _reply(stream: asyncio.StreamReader) -> Reply:
    reply = msgspec.msgpack.decode(await receive(stream), type=Reply)
    if reply.error is not None:
        name, text = reply.error
        kind = getattr(errors, name, HoldfastError)
        raise (kind if kind in (UsageError, errors.StoreUnavailable) else HoldfastError)(text)
    return reply


def _died(one: Recording, died: Died) -> RunReplay:
    row = one.run
    reason = f"the process that replayed it ended: {died}"
    return RunReplay(row.id, row.workflow, row.version, row.status, "breaks", reasons=[reason])
