"""Group commit for a state store: what queues up while a call runs goes into the next call together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from holdfast.store.base import Rejected

A = TypeVar("A")
B = TypeVar("B")

TOGETHER = 500
"""So many go into one call at most."""


class Grouped(Generic[A, B]):
    """Calls a verb that takes many with whatever was asked meanwhile. There is no timer: who asks alone goes at once.

    Args:
        call: the verb; of many that it refuses each is asked alone, so that a bad one fails alone.
        key: of what is asked; two with one key are not asked in one call.
        lost: told of what was asked, and may have been done, when nobody waits for the answer any more.
    """

    def __init__(
        self,
        call: Callable[[Sequence[A]], Awaitable[Sequence[B]]],
        key: Callable[[A], Hashable],
        *,
        lost: Callable[[A], None] | None = None,
    ) -> None:
        self._call = call
        self._key = key
        self._lost = lost
        self._asked: list[tuple[A, asyncio.Future[B]]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, asked: A) -> B:
        """Ask, and wait for the answer."""
        future: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self._asked.append((asked, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="holdfast-conversations")
        return await future

    async def _run(self) -> None:
        try:
            while self._asked:
                together: list[tuple[A, asyncio.Future[B]]] = []
                keys: set[Hashable] = set()
                later: list[tuple[A, asyncio.Future[B]]] = []
                for one in self._asked:
                    key = self._key(one[0])
                    if one[1].cancelled():
                        continue
                    if key in keys or len(together) == TOGETHER:
                        later.append(one)
                    else:
                        keys.add(key)
                        together.append(one)
                self._asked = later
                if together:
                    await self._ask(together)
        finally:
            self._task = None

    async def _ask(self, together: Sequence[tuple[A, asyncio.Future[B]]]) -> None:
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


def _fail(together: Sequence[tuple[A, asyncio.Future[B]]], error: BaseException) -> None:
    for _, future in together:
        if not future.done():
            future.set_exception(error)
