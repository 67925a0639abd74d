"""Many work items at once: done, tried, taken back; and the load of people balanced."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from starlette.responses import Response

from holdfast.api.problems import Refused
from holdfast.api.routing import Calling, answer
from holdfast.api.shapes import Page
from holdfast.api.work_routes import WorkRoutes
from holdfast.api.work_schemas import ApplyPlan, Balance, BulkItems
from holdfast.errors import UsageError
from holdfast.model.access import Role
from holdfast.workqueue.views import ItemsOutcome, ItemsPreview, LoadView, PlannedMove, PlanView

routes = WorkRoutes("figures and loads of work")


@routes.post(
    "/items:bulk",
    needs=Role.OPERATOR,
    answers=ItemsPreview | ItemsOutcome,
    problems=("input-refused",),
)
async def bulk_items(call: Calling, body: BulkItems) -> Response:
    """Do something to many items, or with `dry_run` say what would become of each; nothing is changed then.

    Each item is moved by itself: what became of each is told, and the whole can be undone by its id. Where there are
    many, a run goes on with it.
    """
    terms: dict[str, Any] = body.terms()
    if body.dry_run:
        return answer(await call.work.bulk(body.action, body.which(), dry_run=True, **terms))
    return answer(await call.work.bulk(body.action, body.which(), dry_run=False, **terms))


Batch = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
"""The id of a bulk operation."""


@routes.get("/items:bulk/{batch}", needs=Role.VIEWER, answers=ItemsOutcome, problems=("batch-not-found",))
async def get_bulk_outcome(call: Calling, batch: Batch) -> Response:
    """What became of a bulk operation; while a run goes on with it, what has become of it so far."""
    try:
        return answer(await call.work.bulk_outcome(batch))
    except UsageError as error:
        raise Refused("batch-not-found", str(error)) from None


@routes.post("/items:bulk/{batch}/undo", needs=Role.OPERATOR, answers=ItemsOutcome, problems=("batch-not-found",))
async def undo_items(call: Calling, batch: Batch) -> Response:
    """Undo a bulk operation: each item becomes what it was before, unless somebody has changed it since.

    An undoing is such an operation, and can be undone too. What a run was told, or was held for, is not undone.
    """
    try:
        return answer(await call.work.undo(batch))
    except UsageError as error:
        raise Refused("batch-not-found", str(error)) from None


@routes.get("/items:loads", needs=Role.VIEWER, answers=Page[LoadView])
async def list_loads(call: Calling) -> Response:
    """The open items of each assignee, by id; nobody's last. Demo items do not count."""
    return answer(Page(await call.work.loads(), None))


@routes.post("/items:balance", needs=Role.OPERATOR, answers=PlanView, problems=("input-refused",))
async def balance_items(call: Calling, body: Balance | None = None) -> Response:
    """Plan who gives what to whom, so that nobody has much more to do than others; without `simulate` do it too."""
    given = body or Balance()
    return answer(await call.work.balance(simulate=given.simulate, group=given.group))


@routes.post("/items:apply-plan", needs=Role.OPERATOR, answers=ItemsOutcome, problems=("input-refused",))
async def apply_plan(call: Calling, body: ApplyPlan) -> Response:
    """Do what a plan says; an item that was changed since it was made stays where it is."""
    moves = [
        PlannedMove(one.item, one.title, one.assignee, one.to, one.effort_seconds, one.revision) for one in body.moves
    ]
    plan = PlanView(moves, [], [], [], body.made_at)
    return answer(await call.work.apply_plan(plan))
