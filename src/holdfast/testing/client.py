"""The client of an environment: whoever waits for a result with it lets time pass."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from holdfast.engine.client import Call, Client, Known, RunHandle
from holdfast.engine.levers import Delivery
from holdfast.engine.stream_reading import CHUNKS_A_PAGE
from holdfast.engine.workflow import StartOptions, Workflow
from holdfast.errors import HoldfastError
from holdfast.model.streams import StreamChunk
from holdfast.store.rows import RunOutcome
from holdfast.testing.world import World

R = TypeVar("R")


class Stuck(HoldfastError):
    """A run that is waited for does not end, however much time passes; the message says what it waits for.

    Attributes:
        run_id: the run.
    """

    def __init__(self, message: str, *, run_id: str = "") -> None:
        super().__init__(message)
        self.run_id = run_id


class EnvironmentClient(Client):
    """A client whose runs live in an environment.

    Runs that it starts and events that it sends at one instant get a microsecond each, so that they keep their order.
    """

    def __init__(self, world: World, tenant: str) -> None:
        super().__init__(world.core, tenant)
        self.world = world

    def enter(self, world: World) -> None:
        """Be a client of another world from now on."""
        self.world, self.core = world, world.core

    async def close(self) -> None:
        """Nothing: the environment closes the database."""

    async def _start(
        self,
        workflow: Workflow[Any, R] | None,
        known: Known,
        options: Sequence[StartOptions],
        calls: Sequence[Call],
        **recorded: Any,
    ) -> list[RunHandle[R]]:
        await self.world.keep_order("run")
        return await super()._start(workflow, known, options, calls, **recorded)

    async def _outcome(self, run_id: str, run: bytes, limit: float | None) -> RunOutcome:
        found = await self.world.outcome(run, limit)
        if found is not None:
            return found
        raise Stuck(
            f"run {run_id!r} does not end by itself; time stands at {self.world.now}. Where the run stands:\n"
            f"{await self.explain(run_id)}\n"
            "What somebody has to do meanwhile, such as to send an event, is planned with env.at",
            run_id=run_id,
        )

    async def stream_pages(
        self, run_id: str, name: str, *, after: int = -1, follow: bool = True, limit: int = CHUNKS_A_PAGE
    ) -> AsyncGenerator[list[StreamChunk], None]:
        """See `Client.stream_pages`. To follow a stream is to wait for its run: it is read when that has ended."""
        if follow:
            await self._outcome(run_id, (await self._find(run_id)).uid, None)
        async with aclosing(super().stream_pages(run_id, name, after=after, follow=follow, limit=limit)) as pages:
            async for page in pages:
                yield page

    async def fork(self, *args: Any, **kwargs: Any) -> str:
        """See `Client.fork`."""
        await self.world.keep_order("run")
        return await super().fork(*args, **kwargs)

    async def send_event(self, *args: Any, **kwargs: Any) -> Delivery:
        """See `Client.send_event`."""
        await self.world.keep_order("event")
        return await super().send_event(*args, **kwargs)
