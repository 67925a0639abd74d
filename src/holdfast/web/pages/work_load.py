"""The load of people: how much each has to do, and a plan that evens it out, looked at before it is applied."""

from __future__ import annotations

import json

from starlette.responses import Response

from holdfast.errors import UsageError
from holdfast.model.access import Role
from holdfast.web.page import Page
from holdfast.web.section import Section
from holdfast.web.work_parts import groups_of, need, show, titles_of
from holdfast.workqueue.views import LoadView, PlannedMove, PlanView

site = Section("items")

MOVES_AT_MOST = 2_000
"""So many moves of a plan are applied at once."""

MOVES_SHOWN = 200
UNPLACED_SHOWN = 5


@site.get("/work/load")
async def load(page: Page) -> Response:
    """How much everybody has to do; with ``plan`` also what would even it out."""
    plan: PlanView | None = None
    group = page.query.get("group", "").strip()
    refused = ""
    if page.query.get("plan"):
        need(page, Role.OPERATOR)
        try:
            plan = await page.work.balance(simulate=True, group=group or None)
        except UsageError as error:
            refused = str(error)
    loads = await page.work.loads()
    return await show(
        page,
        "pages/work_load.html",
        status=422 if refused else 200,
        title="Work items",
        loads=loads,
        most=max((one.effort_seconds for one in loads), default=0.0),
        plan=plan,
        rows=[] if plan is None else _rows(plan),
        unplaced={} if plan is None else await titles_of(page, plan.unplaced[:UNPLACED_SHOWN]),
        planned=[] if plan is None else plan.moves[:MOVES_SHOWN],
        sent=[] if plan is None else [_written(move) for move in plan.moves[:MOVES_AT_MOST]],
        refused=refused,
        group=group,
        groups={"": "Everybody"} | {one: one for one in await groups_of(page)},
    )


@site.post("/work/load")
async def apply(page: Page) -> Response:
    """Do what the plan said that was looked at; what was changed since stays."""
    form = await page.form(Role.OPERATOR)
    moves = [_read(text) for text in form.all("move")[:MOVES_AT_MOST]]
    plan = PlanView(moves, [], [], [], page.now)
    with form.refusals():
        done = await page.work.apply_plan(plan)
        said = f"{done.done:,} {'item goes' if done.done == 1 else 'items go'} to somebody else."
        if done.refused:
            said += f" {done.refused:,} stayed: they were changed since the plan was made."
        if done.done:
            return page.done("/work/queue", said, batch=done.id)
        return page.done("/work/load", said, "failed")
    return page.done("/work/load", " ".join(form.errors.values()), "failed")


def _written(move: PlannedMove) -> str:
    """A move as a form sends it."""
    return json.dumps([move.item, move.revision, move.to])


def _read(text: str) -> PlannedMove:
    try:
        item, revision, to = json.loads(text)
    except ValueError:
        item = revision = to = None
    if not (isinstance(item, str) and isinstance(to, str) and type(revision) is int):
        raise UsageError("this is no move of a plan; make the plan anew")
    return PlannedMove(item, "", None, to, 0.0, revision)


def _rows(plan: PlanView) -> list[tuple[LoadView, LoadView]]:
    """The loads that would change, before and after, the one that changes most first."""
    after = {one.assignee: one for one in plan.after}
    pairs = [(one, after.get(one.assignee, one)) for one in plan.before]
    pairs = [(one, other) for one, other in pairs if one != other]
    return sorted(pairs, key=lambda pair: (-abs(pair[0].items - pair[1].items), str(pair[0].assignee)))
