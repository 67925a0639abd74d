"""Steering and mending runs: one at a time, or everything that a search finds."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from holdfast.api.problems import input_refused
from holdfast.api.routing import Call, Calling, Named, Routes, answer
from holdfast.api.schemas import Bulk, ForkRun, HoldRun, Release, Why
from holdfast.api.shapes import BulkJob
from holdfast.engine.bulk import BulkPreview
from holdfast.engine.part import UNSET
from holdfast.errors import PayloadError, RunExists, UsageError
from holdfast.model.access import Role
from holdfast.model.run import RunView

routes = Routes("runs")

_PROBLEMS = ("run-not-found", "run-not-possible")


async def _run(call: Call, run_id: str) -> Response:
    return answer(call.show(await call.client.get(run_id)))


@routes.post("/runs/{run_id:name}/cancel", needs=Role.OPERATOR, answers=RunView, problems=_PROBLEMS)
async def cancel_run(call: Calling, run_id: Named, body: Why | None = None) -> Response:
    """Cancel a run and its children: it cleans up and ends cancelled. To cancel twice does nothing more."""
    why = body or Why()
    await call.client.cancel(run_id, reason=why.reason, by=call.by(why.by))
    return await _run(call, run_id)


@routes.post("/runs/{run_id:name}/hold", needs=Role.OPERATOR, answers=RunView, problems=(*_PROBLEMS, "input-refused"))
async def hold_run(call: Calling, run_id: Named, body: HoldRun | None = None) -> Response:
    """Hold a run: it takes no further step until it is released. A work item says so, to be completed by somebody."""
    why = body or HoldRun()
    try:
        await call.client.hold(
            run_id,
            reason=why.reason,
            by=call.by(why.by),
            assignee=why.assignee,
            group=why.group,
            due=why.due,
            escalate_to=why.escalate_to,
        )
    except UsageError as error:
        raise input_refused(error) from None
    return await _run(call, run_id)


@routes.post("/runs/{run_id:name}/release", needs=Role.OPERATOR, answers=RunView, problems=_PROBLEMS)
async def release_run(call: Calling, run_id: Named, body: Release | None = None) -> Response:
    """Let a held run go on, with a value if its code asks for one."""
    given = body or Release()
    value = given.value if "value" in given.model_fields_set else UNSET
    await call.client.release(run_id, value, by=call.by(given.by))
    return await _run(call, run_id)


@routes.post("/runs/{run_id:name}/reject", needs=Role.OPERATOR, answers=RunView, problems=_PROBLEMS)
async def reject_run(call: Calling, run_id: Named, body: Why | None = None) -> Response:
    """Reject what a run is held for: `hf.hold` in its code raises. A run that was held from outside is cancelled."""
    why = body or Why()
    await call.client.reject(run_id, reason=why.reason, by=call.by(why.by))
    return await _run(call, run_id)


@routes.post("/runs/{run_id:name}/retry", needs=Role.OPERATOR, answers=RunView, problems=_PROBLEMS)
async def retry_run(call: Calling, run_id: Named) -> Response:
    """Let a failed or cancelled run go on from where it failed."""
    await call.client.retry(run_id)
    return await _run(call, run_id)


@routes.post(
    "/runs/{run_id:name}/fork",
    needs=Role.OPERATOR,
    answers=RunView,
    status=201,
    problems=("run-not-found", "step-not-found", "run-exists", "input-refused", "value-sealed"),
)
async def fork_run(call: Calling, run_id: Named, body: ForkRun | None = None) -> Response:
    """Start a new run that keeps what an old one had recorded before a step; the old one stays as it was."""
    given = body or ForkRun()
    more: dict[str, Any] = {"output": given.output} if "output" in given.model_fields_set else {}
    id = call.derived_id(f"fork {run_id}", given.id)
    try:
        made = await call.client.fork(
            run_id, from_step=given.from_step, occurrence=given.occurrence, input=given.input, id=id, **more
        )
    except RunExists:
        # One whose id derives from the request's key was made by this very request, whose answer was lost.
        if given.id is not None or id is None or (await call.client.get(id)).forked_from != run_id:
            raise
        made = id
    except (UsageError, PayloadError) as error:
        raise input_refused(error) from None
    location = {"Location": call.url(f"/runs/{quote(made, safe='')}")}
    return answer(call.show(await call.client.get(made)), 201, location)


@routes.post(
    "/runs:bulk",
    needs=Role.OPERATOR,
    answers=BulkJob | BulkPreview,
    status=202,
    responses={200: {"model": BulkPreview, "description": "A dry run: what a job would act on."}},
    problems=("search-unreadable", "run-exists"),
)
async def bulk_runs(call: Calling, body: Bulk) -> Response:
    """Do something to every run that a search finds, as a job that survives crashes, or say which there are.

    The job is a run of its own, whose output says what it did.
    """
    found = await call.client.bulk(
        body.action,
        body.where,
        dry_run=body.dry_run,
        reason=body.reason,
        by=call.by(body.by),
        from_step=body.from_step,
        id=None if body.dry_run else call.derived_id("bulk", body.id),
    )
    if isinstance(found, BulkPreview):
        return answer(found)
    return answer(BulkJob(found.id), 202, {"Location": call.url(f"/runs/{quote(found.id, safe='')}")})
