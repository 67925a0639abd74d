"""The shapes of pipelines: one agent after another, side by side, the one that fits, again until it is accepted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from holdfast.agents.artifacts.workspace import Workspace
from holdfast.agents.pipelines.agents import Agent, Function, agent
from holdfast.agents.pipelines.base import Location, Pipeline
from holdfast.agents.pipelines.calls import Given
from holdfast.agents.pipelines.courses import Course
from holdfast.errors import NotAccepted, UsageError


class SequentialPipeline(Pipeline):
    """Agents one after another: the first is given the task, each other what the one before it gave.

    After one that failed and was passed over, the next is given the same. It gives what the last agent gives.
    """

    async def go(self, course: Course, given: Given) -> Given | None:
        """Call them one after another."""
        found = None
        for one in self.agents:
            found = await course.go(one, given)
            given = found or given
        return found


class ParallelPipeline(Pipeline):
    """Agents side by side, each of which is given the same and sees nothing of the others.

    It gives an object of what they gave, by name, without those that failed and were passed over.
    """

    async def go(self, course: Course, given: Given) -> Given:
        """Call them side by side."""
        found = await course.side_by_side(self.agents, given)
        return Given({a.name: one.value for a, one in zip(self.agents, found, strict=True) if one is not None}, None)


class RouterPipeline(Pipeline):
    """The one of its agents that a function names.

    Args:
        route: is given what the pipeline is given, and gives the key of an agent. In a run it is part of the workflow's
            code, and so has to give the same when it is asked again.
        agents: by key, by which each is named unless it has terms of its own.
        name: of the pipeline; its agents' names unless given.
        workspace: as for every pipeline.
        takes: likewise.
    """

    def __init__(
        self,
        *,
        route: Callable[..., str],
        agents: Mapping[str, Any],
        name: str | None = None,
        workspace: Location | Workspace | None = None,
        takes: Any = None,
    ) -> None:
        if not isinstance(agents, Mapping):
            raise UsageError(f"the agents of a router are {agents!r:.200}; give a dict of them by key")
        self.route = _pure(route, "route")
        self.keys = tuple(agents)
        named = [one if isinstance(one, Agent | Pipeline) else agent(one, name=str(key)) for key, one in agents.items()]
        super().__init__(named, name=name, workspace=workspace, takes=takes)

    async def go(self, course: Course, given: Given) -> Given | None:
        """Call the one that the function names."""
        key = course.decide(self.route, f"the route of {self.name}", given)
        if key not in self.keys:
            raise UsageError(
                f"the route of {self.name!r} leads to {key!r:.200}, where no agent is; "
                f"there are: {', '.join(self.keys)}"
            )
        return await course.go(self.agents[self.keys.index(key)], given)


class LoopPipeline(Pipeline):
    """Agents one after another, again until what the last one gives is accepted.

    In each round the first agent is given what the pipeline is given; what the last one sent back is in its
    ``Work.review``, and what was made before in ``Work.results``.

    Args:
        agents: such as ``[coder, reviewer]``.
        until: is given what the last agent gave, and says whether it is accepted. In a run it is part of the workflow's
            code, and so has to say the same when it is asked again.
        limit: of rounds, 1 or more.
        must_accept: fail when the limit is reached; else the pipeline gives what there is, not accepted.
        name: of the pipeline; its agents' names unless given.
        workspace: as for every pipeline.
        takes: likewise.
    """

    def __init__(
        self,
        agents: Sequence[Any],
        *,
        until: Callable[..., bool],
        limit: int = 3,
        must_accept: bool = False,
        name: str | None = None,
        workspace: Location | Workspace | None = None,
        takes: Any = None,
    ) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise UsageError(f"the limit of a loop is {limit!r}; give a whole number of rounds, 1 or more")
        self.until = _pure(until, "until")
        self.limit = limit
        self.must_accept = must_accept
        super().__init__(agents, name=name, workspace=workspace, takes=takes)

    async def go(self, course: Course, given: Given) -> Given | None:
        """Call them in rounds, until one is accepted."""
        found, reviewed = None, None
        for number in range(1, self.limit + 1):
            with course.round(number, None if reviewed is None else reviewed.by):
                at = given
                for one in self.agents:
                    found = await course.go(one, at)
                    at = found or at
                accepted = found is not None and course.decide(self.until, f"until of {self.name}", found)
            course.accepted[self.name] = bool(accepted)
            if accepted:
                return found
            reviewed = found
        if self.must_accept:
            raise NotAccepted(f"nothing was accepted in {self.limit} rounds of {self.name!r}", rounds=self.limit)
        return found


def _pure(function: Any, what: str) -> Function:
    """A function that decides: no I/O, no waiting."""
    if not callable(function) or inspect.isclass(function):
        raise UsageError(f"{what} is {function!r:.200}; give it a function")
    read = Function(function)
    if read.is_async:
        raise UsageError(f"{what} is an `async def`; it decides from what it is given, without waiting: use `def`")
    return read
