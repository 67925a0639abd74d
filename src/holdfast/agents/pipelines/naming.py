"""What the artifacts with the outputs of a pipeline's agents are called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import is_typeddict

from holdfast.agents.artifacts.names import check_name, fold
from holdfast.agents.pipelines.agents import Agent
from holdfast.errors import UsageError

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def name_artifacts(agents: Collection[Agent]) -> dict[str, str]:
    """The artifact of each agent, by the agent's name; the order of the agents makes no difference.

    It is what `agent` was told. Else it is called after the type of what the agent gives. Where that is no class, or
    the name would be that of another agent's artifact as well, it is called after the agent.

    Raises:
        UsageError: two agents write the same artifact all the same.
    """
    typed = {one.name: name for one in agents if one.artifact is None and (name := _after_type(one))}
    while True:
        names = {one.name: one.artifact or typed.get(one.name) or f"{one.name}.json" for one in agents}
        often = Counter(fold(name) for name in names.values())
        clashing = [name for name in typed if often[fold(typed[name])] > 1]
        if not clashing:
            break
        # Called after itself, an agent may come upon the name of yet another.
        for name in clashing:
            del typed[name]
    owners: dict[str, str] = {}
    for agent, artifact in names.items():
        other = owners.setdefault(fold(artifact), agent)
        if other != agent:
            raise UsageError(
                f"agents {other!r} and {agent!r} write the same artifact, {artifact!r}: "
                "call one otherwise with hf.agent(…, artifact=…)"
            )
    return names


def _after_type(agent: Agent) -> str | None:
    """``code_review.json`` for an agent that gives a CodeReview; None where that is no class with a name to use."""
    kind: Any = None if agent.gives is None else agent.gives.annotation
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if not (isinstance(kind, type) and kind.__name__.isidentifier()):
        return None
    named_tuple = issubclass(kind, tuple) and hasattr(kind, "_fields")
    word = _WORD.sub("_", kind.__name__).lower().strip("_")
    if word and (issubclass(kind, BaseModel) or is_dataclass(kind) or is_typeddict(kind) or named_tuple):
        with suppress(UsageError):  # such as Con, which no file on Windows can be called
            return check_name(f"{word}.json")
    return None
