"""Has a work item completed within a change of somebody else's: by the room that keeps items, which says how."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.store.work_rows import ItemChange

if TYPE_CHECKING:
    from holdfast.engine.core import Core

ROOM = "holdfast.workqueue"
"""The room that keeps items; imported when somebody asks."""


class Completing(Protocol):
    """How an item is completed."""

    async def completion(
        self, core: Core, tenant: str, id: str, data: Mapping[str, Any] | None, actor: str
    ) -> ItemChange | None:
        """The change that completes an item; None if it has ended already.

        Raises:
            ItemNotFound: the tenant has no such item.
            IllegalMove: it waits for others.
            PayloadError: the data does not fit its form.
        """

    async def completed(self, core: Core, change: ItemChange) -> None:
        """Tell whoever waits for it, once the change is stored."""


_how: list[Completing] = []


def complete_by(completing: Completing) -> None:
    """Let items be completed so."""
    _how[:] = [completing]


def completing() -> Completing:
    """How items are completed."""
    import_module(ROOM)
    return _how[0]
