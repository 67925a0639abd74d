"""Group commit for a state store: what queues up while a call runs goes into the next call together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeAlias, TypeVar

from holdfast.store.base import Rejected

A = TypeVar("A")
B = TypeVar("B")

TOGETHER = 100
"""So many go into one call at most."""

CALLS_AT_ONCE = 4
"""So many calls are under way at once: while the store does one, the answers of another are seen to here."""

_Asked: TypeAlias = tuple[A, "asyncio.Future[B]"]


class Grouped(Generic[A, B]):
    """Calls a verb that takes many with whatever was asked meanwhile. There is no timer: who asks alone goes at once.

    Args:
        call: the verb; of many that it refuses each is asked alone, so that a bad one fails alone.
        key: of what is asked; two with one key are not asked in one call.
        lost: told of what was asked, and may have been done, when nobody waits for the answer any more.
        in_order: whether the store does what it is asked in the order in which it was asked, even if nobody waits for
            an answer. Who asks alone then does so without a task, which takes as long as a fast store.
    """

    def __init__(
        self,
        call: Callable[[Sequence[A]], Awaitable[Sequence[B]]],
        key: Callable[[A], Hashable],
        *,
        lost: Callable[[A], None] | None = None,
        in_order: bool = False,
    ) -> None:
        self._call = call
        self._key = key
        self._lost = lost
        self._in_order = in_order
        self._asked: list[_Asked[A, B]] = []
        self._under_way: set[Hashable] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0

    async def __call__(self, asked: A) -> B:
        """Ask, and wait for the answer."""
        if self._in_order and not self._running:
            return await self._alone(asked)
        future: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self._asked.append((asked, future))
        if self._running < CALLS_AT_ONCE:
            self._begin()
        return await future

    async def _alone(self, asked: A) -> B:
        key = self._key(asked)
        self._running += 1
        self._under_way.add(key)
        try:
            [answer] = await self._call([asked])
            return answer
        except asyncio.CancelledError:
            if self._lost is not None:
                self._lost(asked)
            raise
        finally:
            self._under_way.discard(key)
            self._running -= 1
            if self._asked:
                self._begin()

    def _begin(self) -> None:
        self._running += 1
        task = asyncio.create_task(self._run(), name="holdfast-conversations")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            while together := self._next():
                keys = {self._key(asked) for asked, _ in together}
                self._under_way |= keys
                try:
                    await self._ask(together)
                finally:
                    self._under_way -= keys
        finally:
            self._running -= 1

    def _next(self) -> list[_Asked[A, B]]:
        """What goes into one call: of each key the first, unless one of it is under way."""
        together: list[_Asked[A, B]] = []
        keys = set(self._under_way)
        later: list[_Asked[A, B]] = []
        for one in self._asked:
            key = self._key(one[0])
            if one[1].cancelled():
                continue
            if key in keys or len(together) == TOGETHER:
                later.append(one)
            else:
                together.append(one)
            keys.add(key)
        self._asked = later
        return together

    async def _ask(self, together: Sequence[_Asked[A, B]]) -> None:
        try:
            answers = await self._call([asked for asked, _ in together])
        except Rejected as error:
            if len(together) == 1:
                _fail(together, error)
            else:
                for one in together:
                    await self._ask([one])
        except Exception as error:
            _fail(together, error)
            for asked, future in together:
                if future.cancelled() and self._lost is not None:
                    self._lost(asked)
        except BaseException as error:
            _fail(together, error)
            raise
        else:
            for (asked, future), answer in zip(together, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
                elif self._lost is not None:
                    self._lost(asked)


def _fail(together: Sequence[_Asked[A, B]], error: BaseException) -> None:
    for _, future in together:
        if not future.done():
            future.set_exception(error)
