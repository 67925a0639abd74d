"""A turn as server-sent events to who has it: the model's text as it comes, and the turn at its end.

The turn goes on when its client is gone. Who comes back is given what they had not.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from holdfast.api.problems import Problem
from holdfast.api.streams import (
    BEAT,
    BEGIN,
    CHECK_SECONDS,
    HEADERS,
    HEARTBEAT_SECONDS,
    SEND_SECONDS,
    event,
    stop_when_gone,
)
from holdfast.conversations.streaming import Place, TurnEvent, TurnText, TurnWithdrawn
from holdfast.conversations.turns import TurnResult
from holdfast.errors import HoldfastError

_PLACE = re.compile(r"([0-9a-f]{1,64}):(\d{1,9})")

_NOWHERE: Place = ("", 1)
"""What somebody had of whom it is not known what: all that was shown is withdrawn."""


def place_of(last: str | None) -> Place | None:
    """How far somebody has read, by the id of the last event that they had; None without one."""
    if not last:
        return None
    found = _PLACE.fullmatch(last)
    return _NOWHERE if found is None else (found[1], int(found[2]))


class TurnEvents:
    """The events of a turn, one after the other.

    Args:
        coming: what is told of the turn.
        refuse: the problem that an error is.
        show: a turn that is over, as it is answered.
        instance: the path of the request.
    """

    def __init__(
        self,
        coming: AsyncGenerator[TurnEvent, None],
        refuse: Callable[[Exception], Problem],
        show: Callable[[TurnResult], Any],
        instance: str,
    ) -> None:
        self._coming = coming
        self._refuse = refuse
        self._show = show
        self._instance = instance
        self._next = asyncio.ensure_future(anext(coming))
        self._over = False

    async def begun(self, seconds: float) -> None:
        """Wait until there is something to tell.

        Args:
            seconds: so long at most.

        Raises:
            What kept the turn from being had, if that is all there is to tell.
        """
        await asyncio.wait([self._next], timeout=seconds)
        if self._next.done() and (error := self._next.exception()) is not None:
            raise error

    async def take(self, seconds: float) -> bytes | None:
        """The next event, as it is sent.

        Args:
            seconds: wait so long at most.

        Returns:
            An empty text after that time; None at the end.
        """
        if self._over:
            return None
        await asyncio.wait([self._next], timeout=seconds)
        if not self._next.done():
            return b""
        try:
            found = self._next.result()
            if found == TurnWithdrawn(""):
                # The error that it is for comes with it.
                found = await anext(self._coming)
        except Exception as error:
            self._over = True
            said = {"attempt": "", "problem": self._refuse(error).document(self._instance)}
            return event("withdrawn", "", msgspec.json.encode(said))
        self._over = isinstance(found, TurnResult)
        if not self._over:
            self._next = asyncio.ensure_future(anext(self._coming))
        return self._sent(found)

    def _sent(self, found: TurnEvent) -> bytes:
        if isinstance(found, TurnText):
            said = {"attempt": found.attempt, "offset": found.offset, "text": found.text}
            return event("text", f"{found.attempt}:{found.offset + len(found.text)}", msgspec.json.encode(said))
        if isinstance(found, TurnWithdrawn):
            return event("withdrawn", f"{found.attempt}:0", msgspec.json.encode({"attempt": found.attempt}))
        return event("turn", None, msgspec.json.encode(self._show(found)))

    async def leave(self) -> None:
        """Follow no more."""
        self._next.cancel()
        await asyncio.gather(self._next, return_exceptions=True)
        await self._coming.aclose()


class Events(Protocol):
    """Events, one after the other."""

    async def take(self, seconds: float) -> bytes | None:
        """The next, as they are sent; an empty text after so many seconds; None at the end."""

    async def leave(self) -> None:
        """Follow no more."""


class TurnStream(Response):
    """A turn, or another source of events, as an answer that goes on while the client stays.

    Args:
        events: of the turn.
        first: what is sent before them.
        check: raises when who follows may do so no more.
    """

    media_type = "text/event-stream"

    def __init__(self, events: Events, first: bytes, check: Callable[[], Awaitable[object]]) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._events = events
        self._first = first
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the turn is over, or the client leaves, takes nothing, or may follow no more."""
        task = asyncio.current_task()
        assert task is not None
        gone = asyncio.create_task(stop_when_gone(receive, task))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            with contextlib.suppress(TimeoutError):
                if not scope.get("holdfast.head"):
                    await self._send(send)
                async with asyncio.timeout(1.0):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not gone.done():
                raise
            task.uncancel()
        finally:
            gone.cancel()
            await self._events.leave()

    async def _send(self, send: Send) -> None:
        waiting, checked = BEGIN + self._first, time.monotonic()
        while True:
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": waiting, "more_body": True})
            taken = await self._events.take(HEARTBEAT_SECONDS)
            if taken is None:
                return
            if time.monotonic() - checked > CHECK_SECONDS:
                try:
                    await self._check()
                except HoldfastError:
                    return
                checked = time.monotonic()
            waiting = taken or BEAT
