"""Workflows, lanes, queues, retention: what runs are of, where they wait, and for how long they are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from fastapi import Query
from starlette.responses import Response

from holdfast.api import etags
from holdfast.api.problems import Refused
from holdfast.api.routing import Call, Calling, Named, Owner, Routes, answer, tagged
from holdfast.api.schemas import SetQueue, SetRetention
from holdfast.api.shapes import Page, WorkflowDetail
from holdfast.engine.finding import LaneView, Stranded, WorkflowView
from holdfast.engine.keeping import RetentionView
from holdfast.engine.queues import QueueView
from holdfast.engine.shares import ShareView
from holdfast.engine.versions import latest
from holdfast.errors import UnknownWorkflow
from holdfast.model.access import Role
from holdfast.model.ids import check_owner
from holdfast.model.shares import whose

routes = Routes("workflows and queues")


@routes.get("/workflows", needs=Role.VIEWER, answers=Page[WorkflowView])
async def list_workflows(call: Calling) -> Response:
    """Every workflow that a worker has registered or that is paused, by name."""
    return answer(Page(await call.client.workflows(), None))


@routes.get("/workflows/{name:name}", needs=Role.VIEWER, answers=WorkflowDetail, problems=("workflow-unknown",))
async def get_workflow(
    call: Calling, name: Named, version: Annotated[str | None, Query(min_length=1, max_length=512)] = None
) -> Response:
    """A workflow, and the schema of what it takes."""
    views = [one for one in await call.client.workflows() if one.name == name]
    known = [row for row in await call.server.workflows() if row.name == name]
    row = latest(known, name, version)
    if not views or (version is not None and row is None):
        raise UnknownWorkflow(f"no worker has registered a workflow {name!r} of that version", workflow=name)
    schema: dict[str, Any] | None = None
    if row is not None:
        schema = {part: value for part, value in msgspec.json.decode(row.input_schema).items() if part[:2] != "x-"}
    view = views[0]
    return answer(WorkflowDetail(name, view.versions, view.paused, None if row is None else row.version, schema))


@routes.post("/workflows/{name:name}/pause", needs=Role.OPERATOR, shared=True, answers=WorkflowView)
async def pause_workflow(call: Calling, name: Named) -> Response:
    """Let no worker claim runs of a workflow, in any queue and version; what executes goes on."""
    await call.client.pause_workflow(name)
    return await _workflow(call, name)


@routes.post("/workflows/{name:name}/resume", needs=Role.OPERATOR, shared=True, answers=WorkflowView)
async def resume_workflow(call: Calling, name: Named) -> Response:
    """Let workers claim runs of a workflow again."""
    await call.client.resume_workflow(name)
    return await _workflow(call, name)


async def _workflow(call: Call, name: str) -> Response:
    views = [one for one in await call.client.workflows() if one.name == name]
    return answer(views[0] if views else WorkflowView(name, [], False))


@routes.get("/stranded", needs=Role.VIEWER, answers=Page[Stranded])
async def list_stranded(call: Calling) -> Response:
    """Kinds of ready runs that no living worker serves, in any tenant."""
    return answer(Page(await call.client.stranded(), None))


@routes.get("/lanes", needs=Role.VIEWER, answers=Page[LaneView])
async def list_lanes(
    call: Calling, limit: Annotated[int, Query(ge=1, le=1000, description="At most so many items.")] = 100
) -> Response:
    """The tenant's lanes that are in use, by name and key."""
    return answer(Page(call.show_each(await call.client.lanes(limit)), None))


# Queues


@routes.get("/queues", needs=Role.VIEWER, answers=Page[QueueView])
async def list_queues(call: Calling) -> Response:
    """Every queue that has settings or runs, by name."""
    return answer(Page([_own(call, view) for view in await call.client.queues()], None))


@routes.get("/queues/{name:name}", needs=Role.VIEWER, answers=QueueView, problems=("not-found",))
async def get_queue(call: Calling, name: Owner) -> Response:
    """A queue: its limits, and what is in it."""
    view = await _queue(call, name)
    if view is None:
        raise Refused("not-found", f"no queue {name!r} has settings or runs")
    return tagged(call.request, _own(call, view), _edited(view))


@routes.get("/queues/{name:name}/shares", needs=Role.VIEWER, answers=Page[ShareView])
async def list_queue_shares(
    call: Calling,
    name: Owner,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many items.")] = 100,
    own: Annotated[bool, Query(description="Only those of the tenant.")] = False,
) -> Response:
    """The shares of a queue with ready or executing runs, those with the most ready ones first.

    Who may not change what all tenants share sees those of the tenant.
    """
    own = own or not call.principal.shared
    return answer(Page(call.show_each(await call.client.queue_shares(name, limit=limit, own=own)), None))


@routes.put("/queues/{name:name}", needs=Role.OPERATOR, shared=True, answers=QueueView, problems=("changed",))
async def set_queue(call: Calling, name: Owner, body: SetQueue) -> Response:
    """Limit how many runs execute from a queue at once. What is left out stays as it is."""
    await _check_queue(call, name)
    limits = {what: getattr(body, what) for what in body.model_fields_set}
    await call.client.set_queue(name, **limits)
    return await _shown(call, name)


@routes.post("/queues/{name:name}/pause", needs=Role.OPERATOR, shared=True, answers=QueueView)
async def pause_queue(call: Calling, name: Owner) -> Response:
    """Let no worker claim runs from a queue; what executes goes on."""
    await _check_queue(call, name)
    await call.client.pause_queue(name)
    return await _shown(call, name)


@routes.post("/queues/{name:name}/resume", needs=Role.OPERATOR, shared=True, answers=QueueView)
async def resume_queue(call: Calling, name: Owner) -> Response:
    """Let workers claim runs from a queue again."""
    await _check_queue(call, name)
    await call.client.resume_queue(name)
    return await _shown(call, name)


async def _queue(call: Call, name: str) -> QueueView | None:
    check_owner(name, "the name of a queue")
    return next((one for one in await call.client.queues() if one.name == name), None)


async def _check_queue(call: Call, name: str) -> None:
    if etags.wants_match(call.request):
        view = await _queue(call, name)
        etags.check_match(call.request, None if view is None else _edited(view), f"queue {name!r}")


async def _shown(call: Call, name: str) -> Response:
    view = await _queue(call, name) or QueueView(name, None, None, False, 0, 0)
    return tagged(call.request, _own(call, view), _edited(view))


def _own(call: Call, view: QueueView) -> QueueView:
    """The queue without the weights that who asks may not see: of other tenants, or of keys that are hidden."""
    view = call.show(view)
    if call.principal.shared:
        return view
    tenant = call.principal.tenant
    return replace(view, weights={share: n for share, n in view.weights.items() if whose(share)[0] == tenant})


def _edited(view: QueueView) -> Any:
    return [view.total, view.per_worker, view.paused, view.per_key, view.weights]


# Retention


@routes.get("/retention", needs=Role.VIEWER, answers=Page[RetentionView])
async def list_retention(call: Calling) -> Response:
    """For how long runs are kept after their end: what is set, and what holds by default."""
    return answer(Page(await call.client.retention(), None))


@routes.put("/retention", needs=Role.OPERATOR, shared=True, answers=Page[RetentionView])
async def set_retention(call: Calling, body: SetRetention) -> Response:
    """Set for how long runs are kept after their end. It holds for the whole database, within the hour."""
    await call.client.set_retention(body.keep, workflow=body.workflow, status=body.status)
    return answer(Page(await call.client.retention(), None))
