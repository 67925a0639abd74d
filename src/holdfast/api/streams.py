"""Server-sent events to one client: what waits for it, its heartbeat, and when it is dropped."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from holdfast.errors import HoldfastError

WAITING_AT_MOST = 100
"""A client for which so many updates wait does not read, and is dropped."""

WAITING_BYTES = 16_000_000

SEND_BYTES = 32_000
"""About so much is handed to the connection at once, which keeps it until the client has read it."""

HEARTBEAT_SECONDS = 15.0

SEND_SECONDS = 30.0
"""A client that takes nothing for so long is dropped."""

CHECK_SECONDS = 1.0
"""Who follows is asked for again after so long, so that a key that was revoked sees nothing more."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

BEGIN = b"retry: 2000\n\n"
BEAT = b":\n\n"


def event(kind: str, id: str | None, data: bytes) -> bytes:
    """An event as it is sent.

    Args:
        kind: its type.
        id: what a client that comes back says it had last; None: that of the event before.
        data: JSON, on one line.
    """
    named = b"" if id is None else b"id: %b\n" % id.encode()
    return b"event: %b\n%bdata: %b\n\n" % (kind.encode(), named, data)


class Follower:
    """One client that follows, and what waits for it.

    What waits are the very bytes that others are sent too, so that a client takes no memory of its own for them.

    Attributes:
        hidden: whether it sees what is hidden from those who may only look; it does not.
        dropped: it did not read.
    """

    __slots__ = ("_bytes", "_ended", "_task", "_updates", "_wake", "dropped", "hidden")

    def __init__(self, hidden: bool) -> None:
        self.hidden = hidden
        self.dropped = False
        self._ended = False
        self._updates: deque[deque[bytes]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def offer(self, events: Iterable[bytes]) -> None:
        """Send these events, which are one update, when the client reads."""
        update = deque(events)
        if self.dropped or not update:
            return
        self._updates.append(update)
        self._bytes += sum(map(len, update))
        # One update alone may be large, and is no sign of a client that does not read.
        if len(self._updates) > WAITING_AT_MOST or (self._bytes > WAITING_BYTES and len(self._updates) > 1):
            self.drop()
        self._wake.set()

    def drop(self) -> None:
        """Send nothing more, and let the connection go."""
        self.dropped = True
        self._updates.clear()
        if self._task is not None:
            self._task.cancel()

    def end(self) -> None:
        """Send what waits, and no more."""
        self._ended = True
        self._wake.set()

    def serve(self, task: asyncio.Task[None] | None) -> None:
        """Say which task sends, so that it can be stopped where it waits for a client that does not read."""
        self._task = task

    async def take(self, seconds: float) -> bytes | None:
        """Some of what waits, as soon as something does.

        Args:
            seconds: wait so long at most.

        Returns:
            One or more events; none of them after the time; None at the end.
        """
        if not self._updates and not self._ended and not self.dropped:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        if self.dropped or (self._ended and not self._updates):
            return None
        taken, size = [], 0
        while self._updates and size < SEND_BYTES:
            update = self._updates[0]
            taken.append(update.popleft())
            size += len(taken[-1])
            if not update:
                self._updates.popleft()
        self._bytes -= size
        return b"".join(taken)


class Stream(Response):
    """An answer that goes on while the client stays.

    Args:
        follower: what waits for the client.
        leave: called when it is over.
        check: raises when who follows may do so no more.
    """

    media_type = "text/event-stream"

    def __init__(self, follower: Follower, leave: Callable[[], None], check: Callable[[], Awaitable[object]]) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._follower = follower
        self._leave = leave
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client leaves, is dropped, or may follow no more."""
        task = asyncio.current_task()
        assert task is not None
        gone = asyncio.create_task(stop_when_gone(receive, task))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if not scope.get("holdfast.head"):
                await self._send(send, task)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not (self._follower.dropped or gone.done()):
                raise
            task.uncancel()
        finally:
            self._follower.serve(None)
            self._leave()
            gone.cancel()

    async def _send(self, send: Send, task: asyncio.Task[None]) -> None:
        follower = self._follower
        follower.serve(task)
        waiting, checked = BEGIN, time.monotonic()
        while True:
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await send({"type": "http.response.body", "body": waiting, "more_body": True})
            except TimeoutError:
                follower.dropped = True
                return
            taken = await follower.take(HEARTBEAT_SECONDS)
            if taken is None:
                return
            if time.monotonic() - checked > CHECK_SECONDS:
                try:
                    await self._check()
                except HoldfastError:
                    return
                checked = time.monotonic()
            waiting = taken or BEAT


async def stop_when_gone(receive: Receive, task: asyncio.Task[None]) -> None:
    """Stop the task when the client closes the connection."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            task.cancel()
            return
