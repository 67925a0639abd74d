"""Events that a run waits for no more, since another call was first: a room above the engine may want to know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from holdfast.model.decision import Open
from holdfast.model.run import Kind

if TYPE_CHECKING:
    from holdfast.engine.core import Core

Told = Callable[["Core", str, Sequence[str], str], Awaitable[None]]
"""Called with the database, the tenant, the keys of the events, and why."""

_told: dict[str, Told] = {}


def tell_of(event: str, told: Told) -> None:
    """Let this be called when runs wait for an event of this name no more. More than once does no harm."""
    _told[event] = told


def is_told(call: Open) -> bool:
    """Whether somebody is told when a run waits for this no more."""
    return call.kind == Kind.EVENT and call.name in _told


async def tell(core: Core, tenant: str, calls: Sequence[Open], reason: str) -> None:
    """Tell of what is waited for no more."""
    for name, told in _told.items():
        keys = [one.key for one in calls if one.kind == Kind.EVENT and one.name == name]
        if keys:
            await told(core, tenant, keys, reason)
