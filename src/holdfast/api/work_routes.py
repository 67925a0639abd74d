"""What the routes of the work queue share: how refusals are told, on top of which revision something is changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.responses import Response

from holdfast.api import etags
from holdfast.api.problems import Refused, input_refused, problem_of
from holdfast.api.routing import Call, Endpoint, Route, Routes, tagged
from holdfast.errors import PayloadError, UsageError
from holdfast.model.access import Role
from holdfast.workqueue.views import ItemView

F = TypeVar("F", bound=Endpoint)
V = TypeVar("V")

MOVE_PROBLEMS = ("item-not-found", "illegal-move", "item-changed", "input-refused", "changed")
"""What a move of an item may answer."""


def taken_in(error: Exception) -> Exception:
    """The refusal of a request that is well-formed, and that the work queue does not take as it stands."""
    if isinstance(error, UsageError | PayloadError) and problem_of(error).kind in (
        "invalid-request",
        "payload-refused",
    ):
        return input_refused(error)
    return error


class WorkRoute(Route):
    """A route of the work queue."""

    def told(self, error: Exception) -> Exception:
        """What does not fit its schema is 422; what does, and is refused, is 409."""
        return taken_in(error)


class WorkRoutes(Routes):
    """The routes of one topic of the work queue."""

    def add(self, method: str, path: str, *, needs: Role | None, **rest: Any) -> Callable[[F], F]:
        """See `Routes.add`."""
        return super().add(method, path, needs=needs, **{"kind": WorkRoute, **rest})


def shown(call: Call, view: ItemView, status: int = 200) -> Response:
    """An item with its ETag."""
    return tagged(call.request, call.show(view), view.revision, status)


async def standing(call: Call, item_id: str) -> int | None:
    """At which revision an item must be when it is changed, if the request asks for that.

    Raises:
        Refused: it is at another already.
        ItemNotFound: there is no such item.
    """
    if not etags.wants_match(call.request):
        return None
    view = await call.work.get(item_id)
    etags.check_match(call.request, view.revision, f"item {item_id!r}")
    return view.revision


async def edited(
    call: Call, what: str, find: Callable[[], Awaitable[V]], missing: type[Exception], of: Callable[[V], Any]
) -> tuple[V | None, bool]:
    """What is to be changed as it stands, and whether it is changed only if it still stands so.

    Args:
        call: the request.
        what: what it is, for the message.
        find: gives it.
        missing: what that raises where it is not there.
        of: what people edit of it, of which its ETag is made.

    Raises:
        Refused: the request was made on top of something else.
    """
    try:
        stands: V | None = await find()
    except missing:
        stands = None
    if not etags.wants_match(call.request):
        return stands, False
    etags.check_match(call.request, None if stands is None else of(stands), what)
    return stands, True


def own_or_operator(call: Call, person: str | None, what: str) -> None:
    """Refuse what is somebody else's, unless an operator asks.

    Raises:
        Refused: it is.
    """
    if person is not None and person != call.principal.actor and not call.principal.may(Role.OPERATOR):
        raise Refused(
            "forbidden", f"{what} of somebody else takes the role operator, and you are {call.principal.role}"
        )
