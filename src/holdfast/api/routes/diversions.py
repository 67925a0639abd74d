"""Starts that did not make a run of their own at once: why, and the start of what was dropped after all."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from starlette.responses import Response

from holdfast.api.paging import page
from holdfast.api.routing import Calling, Routes, answer
from holdfast.api.schemas import Id, Limit, UidCursor
from holdfast.api.shapes import Page, StartedDiverted
from holdfast.engine.diversion_views import DiversionView
from holdfast.engine.diversions import PAGE_AT_MOST
from holdfast.model.access import Role
from holdfast.store.operations import DivertedWay, Rule

routes = Routes("runs")

DiversionId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


@routes.get("/diversions", needs=Role.VIEWER, answers=Page[DiversionView])
async def list_diversions(
    call: Calling,
    workflow: Annotated[Id | None, Query(description="Only of this workflow.")] = None,
    key: Annotated[Id | None, Query(description="Only with this key of the rule.")] = None,
    way: Annotated[DivertedWay | None, Query(description="Only those of which this became.")] = None,
    rule: Annotated[Rule | None, Query(description="Only by this rule.")] = None,
    run: Annotated[
        Id | None, Query(description="Only those that went into this run, or were dropped because of it.")
    ] = None,
    id: Annotated[Id | None, Query(description="Only those that asked for this id.")] = None,
    limit: Limit = 50,
    cursor: UidCursor = None,
) -> Response:
    """Starts that were delayed, merged or dropped by a rule of their workflow, newest first, without their inputs."""
    if call.hides:
        call.server.redactor.check_key(key, workflow)

    async def read(most: int) -> list[DiversionView]:
        return await call.client.diversions(
            workflow=workflow, key=key, way=way, rule=rule, run_id=run, id=id, limit=most, before=cursor
        )

    found = await page(read, limit, lambda one: one.id, PAGE_AT_MOST)
    return answer(Page(call.show_each(found.items), found.next))


@routes.get("/diversions/{diversion_id}", needs=Role.VIEWER, answers=DiversionView, problems=("diversion-not-found",))
async def get_diversion(call: Calling, diversion_id: DiversionId) -> Response:
    """A start that was diverted, with its input where no run has it."""
    return answer(call.show(await call.client.diversion(diversion_id)))


@routes.post(
    "/diversions/{diversion_id}/start",
    needs=Role.OPERATOR,
    answers=StartedDiverted,
    problems=("diversion-not-found", "run-not-possible", "workflow-unknown", "run-exists", "value-sealed"),
)
async def start_diverted(call: Calling, diversion_id: DiversionId) -> Response:
    """Start what was dropped after all, past the rules of its workflow. Twice gives the same run."""
    return answer(StartedDiverted(await call.client.start_diverted(diversion_id)))
