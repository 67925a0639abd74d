"""`Stream`: a stream of a run as its code writes to it, in a coroutine or in a plain step's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from holdfast.engine.context import Scope, StepFrame
from holdfast.errors import UsageError


class Stream:
    """A stream of a run, as its code writes to it; made by `stream`. It ends with the run, if nobody closes it.

    As a context manager, with ``async with`` or in a plain step ``with``, it is closed at the end unless an exception
    leaves the block.

    Attributes:
        name: within the run.
    """

    def __init__(self, name: str, here: Scope | StepFrame) -> None:
        self.name = name
        self._execution = here.execution

    def write(self, value: Any) -> Coroutine[Any, Any, None]:
        """Write a value. It returns when the value is queued, and is written soon, or with what the run records next.

        It waits while more than 256 values or 4 MiB of the run are queued.

        Args:
            value: plain JSON, a pydantic model or a dataclass; at most 1 MiB as it is stored.

        Raises:
            PayloadError: the value cannot be stored.
            UsageError: the stream is closed, or the step is over.
        """
        raise NotImplementedError

    def close(self) -> Coroutine[Any, Any, None]:
        """End the stream: nothing can be written to it any more. In a step it ends when the step succeeds.

        Raises:
            UsageError: the step is over.
        """
        raise NotImplementedError

    def written(self) -> Coroutine[Any, Any, int]:
        """How many values of this step the stream has: with ``resume`` those of earlier attempts, to be left out now.

        Raises:
            UsageError: called in a workflow, whose writes are left out by themselves.
        """
        raise NotImplementedError

    def write_now(self, value: Any) -> None:
        """As `write`, for a plain step."""
        self._in_thread("write", self.write, value)

    def close_now(self) -> None:
        """As `close`, for a plain step."""
        self._in_thread("close", self.close)

    def written_now(self) -> int:
        """As `written`, for a plain step."""
        found: int = self._in_thread("written", self.written)
        return found

    def _in_thread(self, what: str, call: Any, *args: Any) -> Any:
        if asyncio._get_running_loop() is self._execution.core.loop:
            raise UsageError(f"{what}_now is for plain steps, in their threads; here use await {what}(…)")
        return asyncio.run_coroutine_threadsafe(call(*args), self._execution.core.loop).result()

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close_now()
