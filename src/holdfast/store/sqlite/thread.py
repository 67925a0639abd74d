"""A thread that runs calls in order and hands each result to the event loop that asked."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from holdfast.errors import StoreUnavailable

T = TypeVar("T")


class Calls:
    """The calls of a thread of their own.

    Args:
        name: the thread's.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self.stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Let the thread call a function; its result comes to the event loop that runs here."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self.stopped:
            future.set_exception(StoreUnavailable("the store is closed"))
        else:
            self._calls.put((function, future))
        return future

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            function, future = item
            result, error = None, None
            try:
                result = function()
            except BaseException as raised:
                error = raised
            loop = future.get_loop()
            try:
                loop.call_soon_threadsafe(_deliver, future, result, error)
            except RuntimeError:
                if loop is self._loop:
                    return
            del item, function, future, result, error, loop

    async def stop(self) -> None:
        """End the thread, after the calls that it was given."""
        self.stopped = True
        self._calls.put(None)
        await asyncio.to_thread(self._thread.join)


def _deliver(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
