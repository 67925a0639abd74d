"""How the work queue is set up: zone, holidays, policy; and the demo."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from holdfast.api import etags
from holdfast.api.routing import Call, Calling, answer, tagged
from holdfast.api.schemas import Id
from holdfast.api.shapes import Page
from holdfast.api.work_routes import WorkRoutes, own_or_operator
from holdfast.api.work_schemas import PutSettings, StartDemo, UsePreset, given
from holdfast.api.work_shapes import Removed
from holdfast.model.access import Role
from holdfast.workqueue.policies import known_policies
from holdfast.workqueue.views import DemoStarted, DemoStatus, SettingsView

routes = WorkRoutes("definitions and settings of work")


@routes.get("/work-settings", needs=Role.VIEWER, answers=SettingsView)
async def get_work_settings(call: Calling) -> Response:
    """How the tenant's work queue is set up."""
    view = await call.work.get_settings()
    return tagged(call.request, view, view.revision)


@routes.put(
    "/work-settings", needs=Role.ADMIN, answers=SettingsView, problems=("work-changed", "changed", "input-refused")
)
async def put_work_settings(call: Calling, body: PutSettings) -> Response:
    """Set up the tenant's work queue. What is left out stays as it is."""
    view = await call.work.put_settings(revision=await _revision(call), **given(body))
    return tagged(call.request, view, view.revision)


@routes.post(
    "/work-settings/preset", needs=Role.ADMIN, answers=SettingsView, problems=("work-changed", "input-refused")
)
async def use_work_preset(call: Calling, body: UsePreset) -> Response:
    """Take a preset as it is: its scores and priorities, and what else it comes with."""
    view = await call.work.use_preset(body.name)
    return tagged(call.request, view, view.revision)


@routes.get("/presets", needs=Role.VIEWER, answers=Page[str])
async def list_presets(call: Calling) -> Response:
    """The names of the policies that this server knows."""
    return answer(Page(known_policies(), None))


async def _revision(call: Call) -> int | None:
    """At which revision the settings must be when they are changed, if the request asks for that."""
    if not etags.wants_match(call.request):
        return None
    stands = await call.work.get_settings()
    etags.check_match(call.request, stands.revision, "the settings of the work queue")
    return stands.revision


# The demo


@routes.get("/items:demo", needs=Role.VIEWER, answers=DemoStatus)
async def get_demo(
    call: Calling,
    assignee: Annotated[Id | None, Query(description="Whose; of whoever asks unless given.")] = None,
) -> Response:
    """How far somebody's demo sequence is. That of somebody else takes the role operator."""
    own_or_operator(call, assignee, "the demo")
    return answer(call.show(await call.work.demo_status(assignee)))


@routes.post(
    "/items:demo",
    needs=Role.ADMIN,
    answers=DemoStarted,
    status=201,
    responses={200: {"model": DemoStarted, "description": "It was there."}},
    problems=("item-exists", "work-changed", "input-refused"),
)
async def start_demo(call: Calling, body: StartDemo) -> Response:
    """Make the items of the demo sequence for a subject, apart from all that is real; once for each subject."""
    made = await call.work.demo_initialize(body.subject, body.assignee)
    return answer(made, 201 if made.created else 200)


@routes.delete("/items:demo", needs=Role.ADMIN, answers=Removed)
async def reset_demo(
    call: Calling,
    assignee: Annotated[Id | None, Query(description="Only this person's.")] = None,
) -> Response:
    """Take the items of the demo away, and what belongs to nothing else."""
    return answer(Removed(await call.work.demo_reset(assignee)))
