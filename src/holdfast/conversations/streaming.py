"""The text of turns in progress, for those who follow it: from any place on, also after their line broke.

A turn that is followed goes on when whoever follows it is gone, and whoever comes back joins it. Its text is shown as
it comes, and so before it is known whether the turn will be stored: what was shown of one that failed is withdrawn.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from holdfast.conversations.calling import Sink
from holdfast.conversations.turns import TurnResult

KEPT_SECONDS = 60.0
"""For so long a turn that is over can be followed from where its text broke off."""


@dataclass(frozen=True, slots=True)
class TurnText:
    """A piece of what the model says.

    Attributes:
        attempt: of the turn; in another attempt the text begins anew.
        offset: of the piece in the text of the attempt, in characters.
    """

    attempt: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class TurnWithdrawn:
    """What was shown of the turn's text does not hold.

    Attributes:
        attempt: whose text begins now; "" where there is none.
    """

    attempt: str


TurnEvent = TurnText | TurnWithdrawn | TurnResult
"""What whoever follows a turn is told; the result is the last."""

Place = tuple[str, int]
"""How far somebody has read: an attempt, and an offset in its text."""

Key = tuple[str, str, str, str, bytes]
"""Of a turn: tenant, user, conversation, its id, and the fingerprint of its message."""


@dataclass(eq=False)
class _Live:
    """A turn that is followed, and its text so far."""

    attempt: str = field(default_factory=lambda: secrets.token_hex(8))
    pieces: list[str] = field(default_factory=list)
    bells: set[asyncio.Event] = field(default_factory=set)
    task: asyncio.Task[TurnResult] | None = None

    def say(self, piece: str) -> None:
        if piece:
            self.pieces.append(piece)
            self.ring()

    def ring(self) -> None:
        for bell in self.bells:
            bell.set()


class Streams:
    """Turns that are followed in this process."""

    def __init__(self) -> None:
        self._live: dict[Key, _Live] = {}

    async def follow(
        self, key: Key, have: Callable[[Sink], Awaitable[TurnResult]], place: Place | None = None
    ) -> AsyncIterator[TurnEvent]:
        """What is told of a turn, from a place on.

        Args:
            key: the turn.
            have: has it, if nobody does so here; its text is given to a sink.
            place: what was read before.

        Raises:
            What ``have`` raises, behind a `TurnWithdrawn` if any of the text was shown.
        """
        live = self._live.get(key)
        if live is None:
            live = self._live[key] = _Live()
            live.task = asyncio.ensure_future(self._had(key, live, have))
            # Whoever followed it may be gone when it fails.
            live.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        assert live.task is not None
        shown = place is not None and place[1] > 0
        offset = place[1] if place is not None and place[0] == live.attempt else 0
        if shown and not offset:
            yield TurnWithdrawn(live.attempt)
            shown = False
        bell = asyncio.Event()
        live.bells.add(bell)
        try:
            at, skip = 0, offset
            while True:
                bell.clear()
                done = live.task.done()
                while at < len(live.pieces):
                    piece = live.pieces[at]
                    at += 1
                    if skip >= len(piece):
                        skip -= len(piece)
                        continue
                    piece, skip = piece[skip:], 0
                    yield TurnText(live.attempt, offset, piece)
                    offset += len(piece)
                    shown = True
                if done:
                    break
                await bell.wait()
        finally:
            live.bells.discard(bell)
        error = live.task.exception()
        if error is not None:
            if shown:
                yield TurnWithdrawn("")
            raise error
        yield live.task.result()

    async def _had(self, key: Key, live: _Live, have: Callable[[Sink], Awaitable[TurnResult]]) -> TurnResult:
        kept = False
        try:
            result = await have(live.say)
            kept = True
            return result
        finally:
            # A turn that failed is had anew by whoever asks again; one that is over is kept for those whose line broke.
            if kept:
                asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget, key, live)
            else:
                self._forget(key, live)
            asyncio.get_running_loop().call_soon(live.ring)

    def _forget(self, key: Key, live: _Live) -> None:
        if self._live.get(key) is live:
            del self._live[key]
