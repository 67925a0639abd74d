"""The way to a database from whatever thread and event loop LangGraph calls.

A database belongs to the event loop in which it was opened. A caller on that loop is served there; one on another loop
waits for it; one without a loop does too, in its thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from holdfast.engine.client import Client
from holdfast.engine.connecting import connect
from holdfast.engine.part import PATIENCE_SECONDS
from holdfast.engine.remote import is_remote
from holdfast.errors import PayloadError, StoreUnavailable, UsageError
from holdfast.model.ids import check_owner
from holdfast.store.base import Rejected
from holdfast.store.graphs import GraphStore

PAUSE_SECONDS = 0.2
"""How long to wait before a database that did not answer is asked again."""

T = TypeVar("T")


class Reach:
    """A database as it is reached from anywhere.

    Args:
        url: its address; the environment's ``HOLDFAST_URL`` unless given.
        client: a client of it, instead.
        tenant: whose rows; a client's are its own tenant's.
        name: what is opened, for messages.

    Raises:
        UsageError: an address and a client, or a client of a server.
    """

    def __init__(self, url: str | None, client: Client | None, tenant: str, name: str) -> None:
        if client is not None and (url is not None or tenant not in ("default", client.tenant)):
            raise UsageError(f"{name}: give an address and a tenant, or a client, which has both")
        self._url = url
        self._name = name
        self._client = client
        self._given = client is not None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        if client is None:
            self.tenant = check_owner(tenant, "the tenant")
        else:
            if not isinstance(client, Client):
                raise UsageError(f"{name} works on the database itself: give it a client of that, not of a server")
            self._loop = client.core.loop
            self.tenant = client.tenant

    async def open(self) -> None:
        """Open the database in the event loop that runs here; a client's is open."""
        if self._given:
            return
        if self._client is not None:
            raise UsageError(f"{self._name} is open already")
        if is_remote(self._url or os.environ.get("HOLDFAST_URL", "")):
            raise UsageError(f"{self._name} works on the database itself: give its address, not that of a server")
        self._client = await connect(self._url, tenant=self.tenant)
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """Close what was opened."""
        if not self._given and self._client is not None:
            client, self._client, self._loop = self._client, None, None
            await client.close()

    def open_in_thread(self) -> None:
        """Open the database in an event loop of its own, in a thread of its own, for callers that have none."""
        if self._given:
            return
        if self._client is not None:
            raise UsageError(f"{self._name} is open already")
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_run, args=(loop,), name="holdfast-langgraph", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.open(), loop).result()
        except BaseException:
            _end(loop, thread)
            raise
        self._thread = thread

    def close_in_thread(self) -> None:
        """Close what was opened so."""
        if self._thread is not None and self._loop is not None:
            loop, thread, self._thread = self._loop, self._thread, None
            try:
                asyncio.run_coroutine_threadsafe(self.close(), loop).result()
            finally:
                _end(loop, thread)

    async def read(self, ask: Callable[[GraphStore], Awaitable[T]]) -> T:
        """Ask the database, where the client reads."""
        client = self._opened()
        return await self._there(lambda: _patiently(lambda: ask(client.reads.graphs)))

    async def write(self, ask: Callable[[GraphStore], Awaitable[T]]) -> T:
        """Have the database change something."""
        client = self._opened()
        return await self._there(lambda: _patiently(lambda: ask(client.core.store.graphs)))

    def wait(self, work: Callable[[], Coroutine[Any, Any, T]], instead: str) -> T:
        """Wait in this thread for what is done in the database's loop.

        Args:
            work: what.
            instead: what the event loop's own thread calls instead.

        Raises:
            UsageError: this is the event loop's own thread, which would wait for itself.
        """
        self._opened()
        assert self._loop is not None
        if _running() is self._loop:
            raise UsageError(
                f"{self._name}: this thread runs the event loop that the database was opened in, and would wait for "
                f"itself; write `await …{instead}(…)`, let graphs run by `ainvoke` or `astream`, or use another thread"
            )
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result()

    async def _there(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        assert self._loop is not None
        if _running() is self._loop:
            return await work()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self._loop))

    def _opened(self) -> Client:
        if self._client is None:
            raise UsageError(f"{self._name} is not open: use it inside `async with`, or `with` where nothing is async")
        if self._client.core.closing:
            raise UsageError(f"{self._name} was given a client that is closed; use it while the client is open")
        return self._client


class Reaching:
    """What is opened with ``async with``, or with ``with`` where nothing is async, and is of one tenant."""

    _reach: Reach

    @property
    def tenant(self) -> str:
        """Whose rows."""
        return self._reach.tenant

    async def __aenter__(self) -> Self:
        await self._reach.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._reach.close()

    def __enter__(self) -> Self:
        self._reach.open_in_thread()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reach.close_in_thread()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask, and again for some seconds while the database does not answer: whatever is asked may be repeated."""
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_SECONDS
    while True:
        try:
            return await ask()
        except Rejected as error:
            raise PayloadError("the database refuses a value of the graph", str(error)) from None
        except StoreUnavailable:
            if loop.time() + PAUSE_SECONDS > until:
                raise
        await asyncio.sleep(PAUSE_SECONDS)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
