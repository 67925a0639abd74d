"""Lists in parts: what a cursor says, and where a list goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from holdfast.api.problems import Place, Refused
from holdfast.api.shapes import Page
from holdfast.model.ids import check_id
from holdfast.model.run import Status
from holdfast.model.search import And, Compare, Condition, parse

V = TypeVar("V")


def bad_cursor() -> Refused:
    """The refusal of a cursor that is none of ours."""
    said = "the cursor is none that a page gave; begin again without one"
    return Refused("invalid-request", said, errors=[Place(said, parameter="cursor")])


async def page(
    read: Callable[[int], Awaitable[Sequence[V]]], limit: int, key: Callable[[V], str], most: int = 1000
) -> Page[V]:
    """A page of a list that is read from somewhere on.

    Args:
        read: gives up to so many items.
        limit: how many are wanted.
        key: what the cursor behind an item carries.
        most: ``read`` gives no more than so many.
    """
    found = list(await read(min(limit + 1, most)))
    # Where one more cannot be asked for, a full page may be followed by an empty one.
    more = len(found) > limit or (limit >= most and len(found) == limit)
    items = found[:limit]
    return Page(items, key(items[-1]) if more and items else None)


def offset_page(items: Sequence[V], limit: int, sent: str | None) -> Page[V]:
    """A page of a list that is whole in memory, whose cursors are numbers of items."""
    first = int(sent or "0")
    more = len(items) > first + limit
    return Page(list(items[first : first + limit]), str(first + limit) if more else None)


def condition_of(where: str | None, workflow: str | None, status: str | None, now_us: int) -> Condition | None:
    """All that is asked of runs, as one condition.

    Raises:
        SearchError: the search cannot be read.
        UsageError: not the name of a workflow.
    """
    parts: list[Condition] = []
    if workflow is not None:
        parts.append(Compare("workflow", "=", check_id(workflow, "workflow")))
    if status is not None:
        parts.append(Compare("status", "=", str(Status(status))))
    if where is not None:
        parts.append(parse(where, now_us))
    if len(parts) < 2:
        return parts[0] if parts else None
    return And(tuple(parts))
