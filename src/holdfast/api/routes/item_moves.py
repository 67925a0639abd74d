"""Work items moved: one address for each move, and one for what is filled in.

Each takes ``If-Match``: then the item is moved only if nobody changed it meanwhile.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from holdfast.api.problems import Refused
from holdfast.api.routing import Calling, Named
from holdfast.api.work_routes import MOVE_PROBLEMS, WorkRoutes, shown, standing
from holdfast.api.work_schemas import (
    AssignItem,
    ClaimItem,
    ClaimNext,
    CompleteItem,
    EscalateItem,
    SkipItem,
    SnoozeItem,
)
from holdfast.model.access import Role
from holdfast.workqueue.views import ItemView

routes = WorkRoutes("work items")

_MOVE: dict[str, Any] = {"needs": Role.ITEMS, "answers": ItemView, "problems": MOVE_PROBLEMS}


@routes.post("/items/{item_id:name}/start", **_MOVE)
async def start_item(call: Calling, item_id: Named) -> Response:
    """Begin to work on an item: it is underway."""
    return shown(call, await call.work.start(item_id, revision=await standing(call, item_id)))


@routes.post("/items/{item_id:name}/stop", **_MOVE)
async def stop_item(call: Calling, item_id: Named) -> Response:
    """Lay an item down that is underway: it is not started."""
    return shown(call, await call.work.stop(item_id, revision=await standing(call, item_id)))


@routes.post("/items/{item_id:name}/complete", **{**_MOVE, "problems": (*MOVE_PROBLEMS, "run-not-possible")})
async def complete_item(call: Calling, item_id: Named, body: CompleteItem | None = None) -> Response:
    """Be done with an item. A run that asks goes on with its data; a run that is held for it is released.

    All of its data is held against its form; what does not fit is told with its place.
    """
    data = None if body is None else body.data
    return shown(call, await call.work.complete(item_id, data, revision=await standing(call, item_id)))


@routes.post("/items/{item_id:name}/snooze", **_MOVE)
async def snooze_item(call: Calling, item_id: Named, body: SnoozeItem) -> Response:
    """Put an item off. It stays snoozed, and is in the queue again when it comes back."""
    view = await call.work.snooze(
        item_id,
        days=body.days,
        until=body.until,
        event=body.event,
        key=body.key,
        revision=await standing(call, item_id),
    )
    return shown(call, view)


@routes.post("/items/{item_id:name}/wake", **_MOVE)
async def wake_item(call: Calling, item_id: Named) -> Response:
    """End an item's snooze: it is not started."""
    return shown(call, await call.work.wake(item_id, revision=await standing(call, item_id)))


@routes.post("/items/{item_id:name}/skip", **_MOVE)
async def skip_item(call: Calling, item_id: Named, body: SkipItem) -> Response:
    """Decide that an item is not to be done. For a while no other of its definition is made for its subject."""
    return shown(call, await call.work.skip(item_id, body.reason, revision=await standing(call, item_id)))


@routes.post("/items/{item_id:name}/reject", **{**_MOVE, "problems": (*MOVE_PROBLEMS, "run-not-possible")})
async def reject_item(call: Calling, item_id: Named, body: SkipItem) -> Response:
    """Reject what a run is held for."""
    return shown(call, await call.work.reject(item_id, body.reason, revision=await standing(call, item_id)))


@routes.post("/items/{item_id:name}/escalate", **_MOVE)
async def escalate_item(call: Calling, item_id: Named, body: EscalateItem) -> Response:
    """Ask somebody to look at an item as well. Its assignee stays."""
    view = await call.work.escalate(item_id, body.to, reason=body.reason, revision=await standing(call, item_id))
    return shown(call, view)


@routes.post("/items/{item_id:name}/acknowledge", **_MOVE)
async def acknowledge_item(call: Calling, item_id: Named) -> Response:
    """Say that whom an item was escalated to has seen it, so that nobody above them is asked."""
    return shown(call, await call.work.acknowledge(item_id, revision=await standing(call, item_id)))


@routes.post("/items/{item_id:name}/assign", **{**_MOVE, "needs": Role.OPERATOR})
async def assign_item(call: Calling, item_id: Named, body: AssignItem) -> Response:
    """Give an item to somebody, or to nobody."""
    view = await call.work.assign(item_id, body.to, reason=body.reason, revision=await standing(call, item_id))
    return shown(call, view)


@routes.post("/items/{item_id:name}/claim", **_MOVE)
async def claim_item(call: Calling, item_id: Named, body: ClaimItem | None = None) -> Response:
    """Take an item of a group, for a while: then it is the group's again, unless its assignee works on it."""
    lease = (body or ClaimItem()).lease
    return shown(call, await call.work.claim(item_id, lease=lease, revision=await standing(call, item_id)))


@routes.post("/items/{item_id:name}/release", **_MOVE)
async def release_item(call: Calling, item_id: Named) -> Response:
    """Give an item back to its group."""
    return shown(call, await call.work.release(item_id, revision=await standing(call, item_id)))


@routes.post(
    "/items:claim", needs=Role.ITEMS, answers=ItemView, problems=("item-not-found", "item-changed", "input-refused")
)
async def claim_next_item(call: Calling, body: ClaimNext) -> Response:
    """Take the most important item of a group that nobody has; 404 if there is none."""
    view = await call.work.claim_next(body.group, lease=body.lease)
    if view is None:
        raise Refused("item-not-found", f"group {body.group!r} has no item that nobody has")
    return shown(call, view)


# What is filled in


@routes.patch("/items/{item_id:name}/data", **_MOVE)
async def save_item_data(call: Calling, item_id: Named, body: dict[str, Any]) -> Response:
    """Keep what was filled in so far: objects are merged deeply, lists replaced, null deletes."""
    return shown(call, await call.work.save(item_id, body, revision=await standing(call, item_id)))


@routes.put("/items/{item_id:name}/data", **_MOVE)
async def replace_item_data(call: Calling, item_id: Named, body: dict[str, Any]) -> Response:
    """Keep this, and nothing else of what was filled in. A field that is null is left out."""
    revision = await standing(call, item_id)
    stands = await call.work.get(item_id)
    patch = replacing(stands.data, body)
    return shown(call, await call.work.save(item_id, patch, revision=stands.revision if revision is None else revision))


def replacing(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What turns some data into other data when it is merged into it."""
    patch: dict[str, Any] = dict.fromkeys((name for name in before if name not in after), None)
    for name, value in after.items():
        stands = before.get(name)
        both = isinstance(stands, dict) and isinstance(value, dict)
        patch[name] = replacing(stands, value) if both and stands is not None else value
    return patch
