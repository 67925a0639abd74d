"""The client of an environment: whoever waits for a result with it lets time pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from holdfast.engine.client import Call, Client, Known, RunHandle
from holdfast.engine.events import TIME_TO_LIVE, To
from holdfast.engine.levers import UNSET, Delivery
from holdfast.engine.step import Step
from holdfast.engine.workflow import StartOptions, Workflow
from holdfast.errors import HoldfastError
from holdfast.model.duration import Duration
from holdfast.store.base import RunOutcome, Start, Started
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


class EnvironmentHandle(RunHandle[R]):
    """A run that was started in an environment."""

    def __init__(
        self, client: EnvironmentClient, workflow: Workflow[Any, R] | None, id: str, uid: bytes, created: bool
    ) -> None:
        super().__init__(client, workflow, id, uid, created)
        self._world = client.world

    async def _outcome(self, limit: float | None) -> RunOutcome:
        found = await self._world.outcome(self._uid, limit)
        if found is not None:
            return found
        raise Stuck(
            f"run {self.id!r} does not end by itself; time stands at {self._world.now}. Where the run stands:\n"
            f"{await self._client.explain(self.id)}\n"
            "What somebody has to do meanwhile, such as to send an event, is planned with env.at",
            run_id=self.id,
        )


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
        self, workflow: Workflow[Any, R] | None, known: Known, options: Sequence[StartOptions], calls: Sequence[Call]
    ) -> list[RunHandle[R]]:
        await self.world.keep_order("run")
        return await super()._start(workflow, known, options, calls)

    def _handle(self, workflow: Workflow[Any, R] | None, start: Start, found: Started) -> RunHandle[R]:
        made = super()._handle(workflow, start, found)
        return EnvironmentHandle(self, workflow, made.id, found.uid, made.created)

    async def handle(self, run_id: str, workflow: Workflow[Any, R] | None = None) -> RunHandle[R]:
        """See `Client.handle`."""
        row = await self.find(run_id)
        return EnvironmentHandle(self, workflow, row.id, row.uid, created=False)

    async def fork(
        self,
        run_id: str,
        *,
        from_step: str | Step[..., Any] | None = None,
        occurrence: int = 1,
        input: Mapping[str, Any] | None = None,
        output: Any = UNSET,
        id: str | None = None,
    ) -> str:
        """See `Client.fork`."""
        await self.world.keep_order("run")
        return await super().fork(run_id, from_step=from_step, occurrence=occurrence, input=input, output=output, id=id)

    async def send_event(
        self,
        name: str,
        payload: Any = None,
        *,
        key: object = "",
        to: To = "first",
        keep: Duration = TIME_TO_LIVE,
        id: str | None = None,
    ) -> Delivery:
        """See `Client.send_event`."""
        await self.world.keep_order("event")
        return await super().send_event(name, payload, key=key, to=to, keep=keep, id=id)
