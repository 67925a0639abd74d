"""A bounded pool of threads for plain steps.

Handing work over costs more than small work itself, so there is one queue for all threads, results
come back to the event loop in bunches, and a thread is added only when the queue has not moved for
a moment: quick steps share a few threads, slow ones get as many as the bound allows.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

STUCK_SECONDS = 0.002
"""A queue that has not moved for so long gets another thread."""

_Job = tuple["asyncio.Future[Any]", bytes, contextvars.Context, Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Threads:
    """At most ``limit`` threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._finished: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        self._owners: dict[int, bytes] = {}
        self._taken = 0
        self._seen = -1
        self._waking = False
        self._watching = False

    def call(
        self, owner: bytes, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> asyncio.Future[Any]:
        """Run a function in a thread, in a copy of the caller's context; not at all if the future is cancelled first.

        Args:
            owner: for whom, see `busy_for`.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put((future, owner, contextvars.copy_context(), function, args, kwargs))
        if not self._threads:
            self._add()
        if not self._watching and len(self._threads) < self._limit:
            self._watching = True
            self._loop.call_later(STUCK_SECONDS, self._watch)
        return future

    def _add(self) -> None:
        number = len(self._threads)
        thread = threading.Thread(target=self._work, args=(number,), name=f"holdfast-step-{number}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _watch(self) -> None:
        if self._jobs.empty() or len(self._threads) >= self._limit:
            self._watching = False
            return
        if self._taken == self._seen:
            for _ in range(min(len(self._threads), self._limit - len(self._threads))):
                self._add()
        self._seen = self._taken
        self._loop.call_later(STUCK_SECONDS, self._watch)

    def busy_for(self, owner: bytes) -> bool:
        """Whether a thread is executing something of this owner's just now."""
        return owner in self._owners.values()

    def _work(self, number: int) -> None:
        while (job := self._jobs.get()) is not None:
            future, owner, context, function, args, kwargs = job
            self._taken += 1
            if future.cancelled():
                continue
            self._owners[number] = owner
            result, error = None, None
            try:
                result = context.run(function, *args, **kwargs)
            except BaseException as raised:
                error = raised
            del self._owners[number]
            self._finished.append((future, result, error))
            del job, future, context, function, args, kwargs, result, error
            if not self._waking:
                self._waking = True
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:
                    return

    def _deliver(self) -> None:
        # Lowered before the list is taken: what is added from now on calls again.
        self._waking = False
        finished, self._finished = self._finished, []
        for future, result, error in finished:
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            elif isinstance(error, StopIteration | GeneratorExit):
                future.set_exception(RuntimeError(f"a step raised {error!r}"))
            else:
                future.set_exception(error)

    def close(self) -> None:
        """Let idle threads end; a thread that is busy ends after its job."""
        for _ in self._threads:
            self._jobs.put(None)
