"""The routes of customer-success dashboards: a queue of executions, a demo, and moves, with names of that trade.

What is wrong in a request is 400 here, never 422; everything else is refused as elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from holdfast.api.orchestrator_shapes import (
    DemoSequence,
    EscalateExecution,
    Execution,
    InitializedDemo,
    InitializeDemo,
    Moved,
    PatchStatus,
    SkipExecution,
    Snoozed,
    SnoozeExecution,
    TodayWorkflows,
    execution,
    today,
)
from holdfast.api.problems import Refused, problem_of
from holdfast.api.routing import Call, Calling, F, Named, Route, Routes, answer
from holdfast.api.schemas import Id
from holdfast.api.work_routes import own_or_operator, taken_in
from holdfast.errors import IllegalMove
from holdfast.model.access import Role
from holdfast.model.work import ItemStatus
from holdfast.workqueue.views import ItemView


class SeedRoute(Route):
    """A route whose refusals of bad input are 400."""

    def told(self, error: Exception) -> Exception:
        """The refusal, as these routes tell it."""
        problem = problem_of(taken_in(error))
        if problem.status != 422 and problem.kind not in ("input-refused", "rule-refused"):
            return error
        return Refused("bad-input", problem.detail, errors=problem.errors, **problem.more)


class _Routes(Routes):
    def add(self, method: str, path: str, *, needs: Role | None, **rest: Any) -> Callable[[F], F]:
        return super().add(method, path, needs=needs, **{"kind": SeedRoute, **rest})


routes = _Routes("orchestrator", prefix="/api")

CsmId = Annotated[
    Id | None, Query(description="Whose; of whoever asks unless given. Somebody else's takes the role operator.")
]
"""Whose."""


@routes.get("/orchestrator/queue", needs=Role.VIEWER, answers=list[Execution], problems=("bad-input",))
async def orchestrator_queue(
    call: Calling,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 10,
    demo: Annotated[bool, Query(description="The demo's and no others, in their order.")] = False,
    csm_id: CsmId = None,
    include_snoozed: Annotated[bool, Query(description="Those that are snoozed too.")] = False,
) -> Response:
    """What somebody is to do now, the most important first."""
    own_or_operator(call, csm_id, "the queue")
    found = await call.work.queue(csm_id, limit=limit, demo=demo, include_snoozed=include_snoozed)
    return answer([execution(one) for one in call.show_each(found)])


@routes.post(
    "/orchestrator/demo/initialize",
    needs=Role.ADMIN,
    answers=InitializedDemo,
    status=201,
    responses={200: {"model": InitializedDemo, "description": "They were there."}},
    problems=("bad-input",),
)
async def initialize_demo(call: Calling, body: InitializeDemo) -> Response:
    """Make the executions of the demo sequence for a customer, who is made if they are not there; once."""
    made = await call.work.demo_initialize(body.customer_id, body.csm_id)
    return answer(InitializedDemo(made.items, len(made.items)), 201 if made.created else 200)


@routes.get("/orchestrator/demo/status", needs=Role.VIEWER, answers=DemoSequence, problems=("bad-input",))
async def demo_status(call: Calling, csm_id: CsmId = None) -> Response:
    """How far somebody's demo sequence is."""
    own_or_operator(call, csm_id, "the demo")
    found = call.show(await call.work.demo_status(csm_id))
    current = None if found.current is None else execution(found.current)
    upcoming = None if found.next is None else execution(found.next)
    return answer(DemoSequence(found.total, found.completed, current, upcoming))


_MOVE: dict[str, Any] = {
    "needs": Role.ITEMS,
    "problems": ("bad-input", "item-not-found", "illegal-move", "item-changed"),
}


@routes.post("/orchestrator/executions/{execution_id:name}/snooze", answers=Snoozed, **_MOVE)
async def snooze_execution(call: Calling, execution_id: Named, body: SnoozeExecution) -> Response:
    """Put an execution off for some days."""
    view = call.show(await call.work.snooze(execution_id, days=body.days))
    return answer(Snoozed(execution(view), view.snooze_until, view.priority))


@routes.post("/orchestrator/executions/{execution_id:name}/skip", answers=Moved, **_MOVE)
async def skip_execution(call: Calling, execution_id: Named, body: SkipExecution) -> Response:
    """Decide that an execution is not to be done."""
    return answer(Moved(execution(call.show(await call.work.skip(execution_id, body.reason)))))


@routes.post("/orchestrator/executions/{execution_id:name}/escalate", answers=Moved, **_MOVE)
async def escalate_execution(call: Calling, execution_id: Named, body: EscalateExecution) -> Response:
    """Ask somebody to look at an execution as well; whose it is stays."""
    view = await call.work.escalate(execution_id, body.escalation_user_id)
    return answer(Moved(execution(call.show(view))))


@routes.patch("/orchestrator/executions/{execution_id:name}/status", answers=Moved, **_MOVE)
async def patch_execution_status(call: Calling, execution_id: Named, body: PatchStatus) -> Response:
    """Move an execution, and merge what was filled in into its data."""
    return answer(Moved(execution(call.show(await _moved(call, execution_id, body)))))


async def _moved(call: Call, id: str, body: PatchStatus) -> ItemView:
    """An item in the status that is asked for, with the data that is given.

    Nothing is kept of the data of a move that is not allowed.
    """
    work = call.work
    stands = await work.get(id)
    wanted, data = ItemStatus(body.status), body.execution_data
    if wanted == ItemStatus.COMPLETED:
        return await work.complete(id, data)
    if stands.status != wanted and wanted not in stands.moves:
        raise _illegal(stands, wanted)
    if stands.status == wanted and wanted != ItemStatus.SNOOZED:
        if wanted == ItemStatus.SKIPPED:
            raise _illegal(stands, wanted)
        return stands if data is None else await work.save(id, data)
    revision = None
    if data is not None:
        revision = (await work.save(id, data, revision=stands.revision)).revision
    if wanted == ItemStatus.SNOOZED:
        return await work.snooze(id, days=body.days, revision=revision)
    if wanted == ItemStatus.SKIPPED:
        return await work.skip(id, body.reason or "", revision=revision)
    if wanted == ItemStatus.UNDERWAY:
        return await work.start(id, revision=revision)
    return await (work.wake if stands.status == ItemStatus.SNOOZED else work.stop)(id, revision=revision)


def _illegal(stands: ItemView, wanted: ItemStatus) -> IllegalMove:
    may = ", ".join(stands.moves) or "nothing any more"
    return IllegalMove(
        f"item {stands.id!r} is {stands.status}, and cannot become {wanted}; it may become {may}",
        item_id=stands.id,
        status=stands.status,
        allowed=stands.moves,
    )


@routes.get("/dashboard/today-workflows", needs=Role.VIEWER, answers=TodayWorkflows, problems=("bad-input",))
async def today_workflows(
    call: Calling,
    demo: Annotated[bool, Query(description="The first of the demo sequence.")] = False,
) -> Response:
    """What whoever asks is to do first today."""
    found = await call.work.queue(limit=1, demo=demo)
    return answer(today(call.show(found[0]) if found else None))
