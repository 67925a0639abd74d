"""What rooms above the engine have every worker do, beside what it does itself: duties, and workflows of their own.

A room says so when it is imported. It is imported when somebody asks, which whoever only starts runs does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from holdfast.engine.core import Core
from holdfast.engine.workflow import Workflow


class Tender(Protocol):
    """Tends something of a database."""

    async def forever(self) -> None:
        """Look and do what is to be done, until cancelled."""

    async def tick(self) -> bool:
        """Do what is to be done now. Whether there may be more of it."""


class Duty(NamedTuple):
    """What every worker does.

    Attributes:
        name: for logs.
        make: makes what does it, for a database.
        workflows: what every worker serves for it.
    """

    name: str
    make: Callable[[Core], Tender]
    workflows: tuple[Workflow[Any, Any], ...] = ()


ROOMS = ("holdfast.workqueue", "holdfast.conversations", "holdfast.intake")
"""The rooms that have something to say."""

INTAKE = "intake"
"""Under this name a worker leaves its file of sources beside its database, for the tender that is made next."""

_duties: dict[str, Duty] = {}


def have_tended(name: str, make: Callable[[Core], Tender], workflows: Iterable[Workflow[Any, Any]] = ()) -> None:
    """Let every worker that is started from now on do this."""
    _duties[name] = Duty(name, make, tuple(workflows))


def duties() -> list[Duty]:
    """What every worker does."""
    for room in ROOMS:
        import_module(room)
    return list(_duties.values())
