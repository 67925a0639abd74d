"""Agents as models: those of pydantic-ai, and whatever else can run as they do. None of their packages is needed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from holdfast.conversations.turns import Message, Query, Reply
from holdfast.errors import UsageError


async def run_agent(agent: Any, query: Query, sink: Callable[[str], None]) -> Reply:
    """Ask an agent.

    Args:
        agent: has ``async run(prompt, *, message_history)``, which gives an answer or a result with ``output``. Where
            ``run`` takes them, it is also given ``instructions``, which join the agent's own, and
            ``event_stream_handler``, which hears the text piece by piece; without the first the instructions stand
            before the prompt, without the second the text comes in one piece. An agent of pydantic-ai has both, and
            its model has to be one that streams.
        query: what it is asked. The history is given to an agent of pydantic-ai as its own messages, to others as ours.
        sink: is given the text as it comes.

    Returns:
        The output: a text as text, all else as data. Model, tokens and cost as far as the result tells them: of every
        request to the model, also those on behalf of the agent's tools.

    Raises:
        UsageError: the output is neither a text nor an object.
    """
    *before, last = query.messages
    prompt = last.content
    given: dict[str, Any] = {"message_history": _history(agent, before)}
    takes = _parameters(agent.run)
    if takes("instructions"):
        given["instructions"] = query.instructions
    elif query.instructions:
        prompt = f"{query.instructions}\n\n{prompt}"
    streams = takes("event_stream_handler")
    if streams:
        given["event_stream_handler"] = _heard_by(sink)
    result = await agent.run(prompt, **given)
    output = getattr(result, "output", result)
    if isinstance(output, str) and not streams:
        sink(output)
    usage = getattr(result, "usage", None)
    return Reply(
        text=output if isinstance(output, str) else "",
        data=None if isinstance(output, str) else _data(output),
        model=_of(getattr(getattr(result, "response", None), "model_name", None), str),
        input_tokens=_of(getattr(usage, "input_tokens", None), int),
        output_tokens=_of(getattr(usage, "output_tokens", None), int),
        cost=_cost(result),
    )


def _history(agent: Any, messages: Sequence[Message]) -> list[Any]:
    if not any(kind.__module__.split(".")[0] == "pydantic_ai" for kind in type(agent).__mro__):
        return list(messages)
    # The agent's own classes: whoever has one has its package too.
    kinds = importlib.import_module("pydantic_ai.messages")
    return [
        kinds.ModelRequest(parts=[kinds.UserPromptPart(content=one.content)])
        if one.role == "user"
        else kinds.ModelResponse(parts=[kinds.TextPart(content=one.content)])
        for one in messages
    ]


def _parameters(function: Callable[..., Any]) -> Callable[[str], bool]:
    """Whether a function takes an argument of a name."""
    parameters = inspect.signature(function).parameters
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    return lambda name: takes_any or name in parameters


def _heard_by(sink: Callable[[str], None]) -> Callable[[Any, AsyncIterable[Any]], Any]:
    """What tells a sink the text among an agent's events, and nothing of its thoughts and tools."""

    async def hear(_: Any, events: AsyncIterable[Any]) -> None:
        async for event in events:
            kind = getattr(event, "event_kind", None)
            piece = None
            if kind == "part_start" and event.part.part_kind == "text":
                piece = event.part.content
            elif kind == "part_delta" and event.delta.part_delta_kind == "text":
                piece = event.delta.content_delta
            if piece:
                sink(piece)

    return hear


def _data(output: Any) -> dict[str, Any]:
    try:
        data = to_jsonable_python(output)
    except PydanticSerializationError as error:
        raise UsageError(f"the agent gave {output!r:.100}, which is no JSON: {error}") from None
    if not isinstance(data, Mapping):
        raise UsageError(f"the agent gave {output!r:.100}; let its output be a text or an object")
    return dict(data)


def _cost(result: Any) -> float | None:
    """In US dollars; None unless the price of each of the result's requests is known."""
    messages = result.new_messages() if hasattr(result, "new_messages") else []
    costs = [one.cost for one in messages if getattr(one, "kind", None) == "response" and hasattr(one, "cost")]
    try:
        return float(sum(cost().total_price for cost in costs)) if costs else None
    except (LookupError, ValueError, AssertionError):  # an unknown model, or an answer that says no tokens
        return None


def _of(value: Any, kind: type) -> Any:
    return value if isinstance(value, kind) else None
