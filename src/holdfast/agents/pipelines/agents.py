"""Agents: functions, agents of pydantic-ai, commands and pipelines, each with a name and its own terms."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.agents.artifacts.names import check_name
from holdfast.agents.artifacts.workspace import Workspace
from holdfast.agents.pipelines.commands import Command
from holdfast.agents.pipelines.prompted import Prompted
from holdfast.engine.step import Step
from holdfast.engine.workflow import Workflow
from holdfast.errors import UsageError
from holdfast.model.annotations import resolve_hints
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.model.payload import Codec, codec_of
from holdfast.model.retry import Retry


@dataclass(frozen=True, slots=True)
class Work:
    """What an agent can see of the pipeline beside what it is given.

    Attributes:
        task: what the pipeline was started with.
        given: what the agent is given: the task, or what the agent before it gave.
        by: the name of the agent that gave it; None for the task, and for what several gave side by side.
        results: what each agent gave last, by name.
        failures: agents that failed and were passed over, by name, with what was wrong.
        round: of the innermost loop, from 1.
        review: what was sent back last: in a loop, from its second round on, what its last agent gave in the round
            before.
        workspace: None for a pipeline without one.
    """

    task: Any
    given: Any
    by: str | None
    results: Mapping[str, Any]
    failures: Mapping[str, str]
    round: int
    review: Any
    workspace: Workspace | None


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent with its terms: made by `agent`.

    Attributes:
        name: unique in its pipeline.
        target: the function, the agent of pydantic-ai, the command or the pipeline.
        call: calls it; None for a pipeline.
        is_async: whether that gives something to await; else it may block, and is called in a thread.
        takes: what it is given, by its annotation; None where it says nothing.
        gives: what it gives, likewise.
        sees_work: whether what it does can depend on more than what it is given.
        retry: when a failed attempt is tried again.
        timeout_seconds: how long one attempt may take.
        continue_on_error: whether the pipeline goes on when it fails.
        artifact: the name of the artifact with its output; None where its pipeline is to find one.
    """

    name: str
    target: Any
    call: Callable[[Any, Work], Any] | None
    is_async: bool
    takes: Codec | None
    gives: Codec | None
    sees_work: bool
    retry: Retry | None
    timeout_seconds: float | None
    continue_on_error: bool
    artifact: str | None


def agent(
    target: Any,
    /,
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    continue_on_error: bool = False,
    artifact: str | None = None,
    prompt: Callable[[Work], str] | None = None,
) -> Agent:
    """Give an agent of a pipeline terms of its own.

    Args:
        target: a function, plain or async, that takes what it is given and, under the name or the annotation ``Work``,
            what else there is to see; an agent of pydantic-ai, or anything else with ``async run(prompt)``; an
            `hf.Command`; or a pipeline.
        name: unique in its pipeline; its own name unless given.
        retry: when a failed attempt is tried again; 3 attempts unless given. That an artifact cannot be written is not:
            the agent would only be called again for it.
        timeout: how long one attempt may take; any time unless given. A plain function keeps its thread: the next
            attempt begins after it has ended.
        continue_on_error: the pipeline goes on when the agent has failed for good; those after it are told.
        artifact: the name of the artifact with its output. Unless given it is called after the type of what the agent
            gives, if that is a class such as a model of pydantic or a dataclass: ``code_review.json`` for CodeReview;
            else, and where another agent's would have the same name, after the agent. A name with another suffix than
            ``.json`` is for an agent that gives text, which is written as it is.
        prompt: for an agent with ``run``: makes its prompt. Unless given it is the task, what the agent is given and,
            in a later round of a loop, its answer in the round before and the review of that.

    Raises:
        UsageError: it is none of these, or a term does not fit it.
    """
    from holdfast.agents.pipelines.base import Pipeline  # which is made of agents

    if isinstance(target, Agent):
        raise UsageError(f"agent {target.name!r} has terms already; give hf.agent the function or object itself")
    own, takes, gives, sees_work, is_async = None, None, None, False, True
    call: Callable[[Any, Work], Any] | None = None
    if isinstance(target, Pipeline):
        if retry is not None or timeout is not None or artifact is not None:
            raise UsageError(f"pipeline {target.name!r} takes no retry, timeout or artifact: give them to its agents")
        own = target.name
    elif isinstance(target, Command):
        own, gives, sees_work, call = target.name, target.gives, target.input == "work", target
    elif isinstance(target, Workflow):
        raise UsageError(f"workflow {target.name!r} is no agent; call it in a workflow beside the pipeline")
    elif inspect.iscoroutinefunction(getattr(target, "run", None)) and not inspect.isclass(target):
        call = prompted = Prompted(target, prompt)
        own, gives, sees_work, retry = getattr(target, "name", None), prompted.gives, True, prompted.retry(retry)
    else:
        if isinstance(target, Step):
            own, retry = target.name, retry or target.retry
            timeout = target.timeout_seconds if timeout is None else timeout
            target = target.fn
        function = Function(target)
        own, call = own or function.name, function
        takes, gives, sees_work, is_async = function.takes, function.gives, function.sees_work, function.is_async
    if prompt is not None and not (callable(prompt) and isinstance(call, Prompted)):
        raise UsageError("prompt is a function, for an agent with `async run(prompt)`; any other agent makes its own")
    if name is None and own is None:
        raise UsageError(f"{target!r:.200} has no name that can be used; write hf.agent(…, name=…)")
    name = check_id(name if name is not None else own, "the name of an agent")
    if isinstance(call, Prompted):
        call.name = name
    check_name(artifact if artifact is not None else f"{name}.json", f"the artifact of agent {name!r}")
    return Agent(
        name, target, call, is_async, takes, gives, sees_work, retry,
        None if timeout is None else seconds(timeout, what=f"timeout of agent {name!r}"), continue_on_error, artifact,
    )  # fmt: skip


class Function:
    """A function as an agent: what it takes, found once."""

    def __init__(self, fn: Any) -> None:
        if not callable(fn) or inspect.isclass(fn):
            raise UsageError(
                f"{fn!r:.200} is no agent; give a function, an agent with `async run(prompt)`, an hf.Command or a "
                "pipeline"
            )
        called = fn if inspect.isroutine(fn) or isinstance(fn, functools.partial) else fn.__call__
        inner = called.func if isinstance(called, functools.partial) else called
        name = getattr(fn, "__name__", None)
        self.fn = fn
        self.name = name if name and name.isidentifier() else None
        if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
            raise UsageError(f"agent {self.name or fn!r} is a generator; return a list instead")
        self.is_async = inspect.iscoroutinefunction(inner)
        signature = inspect.signature(fn)
        written = {one.name: one.annotation for one in signature.parameters.values()}
        hints = resolve_hints(inner, written | {"return": signature.return_annotation}, {})
        self._work: inspect.Parameter | None = None
        self._given: inspect.Parameter | None = None
        for one in signature.parameters.values():
            hint = hints.get(one.name)
            if hint is Work or (hint is None and one.name == "work"):
                self._work = one
            elif one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
                continue
            elif self._given is None or one.default is one.empty:
                if self._given is not None:
                    raise UsageError(
                        f"agent {self.name or fn!r} takes {self._given.name!r} and {one.name!r}; an agent takes what "
                        "it is given and, as `work: hf.Work`, all else"
                    )
                self._given = one
        self.sees_work = self._work is not None
        self.takes = None if self._given is None else _codec_or_none(hints.get(self._given.name))
        self.gives = _codec_or_none(hints.get("return"))

    def __call__(self, given: Any, work: Work) -> Any:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for parameter, value in ((self._given, given), (self._work, work)):
            if parameter is not None and parameter.kind is parameter.POSITIONAL_ONLY:
                args.append(value)
            elif parameter is not None:
                kwargs[parameter.name] = value
        return self.fn(*args, **kwargs)


def _codec_or_none(hint: Any) -> Codec | None:
    """How values of an annotation are stored; None where it says nothing, or cannot be resolved."""
    return None if hint is None or hint is Any or isinstance(hint, str) else codec_of(hint)
