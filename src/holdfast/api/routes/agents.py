"""What models were asked and cost, what runs made, and the phases in force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, cast

from fastapi import Path, Query
from starlette.responses import Response

from holdfast.api.artifact_bodies import sent
from holdfast.api.paging import offset_page
from holdfast.api.routes.runs import Where
from holdfast.api.routing import Call, Calling, Named, Routes, answer, tagged
from holdfast.api.schemas import Day, Id, Limit, NumberCursor
from holdfast.api.shapes import Page
from holdfast.engine.artifacts import ARTIFACTS_AT_MOST, ArtifactView
from holdfast.engine.phasing import PhaseFileView
from holdfast.engine.spending import CALLS_AT_MOST, COST_BY, FIRST_DAY, CostReport, ModelCallView
from holdfast.model.access import Role
from holdfast.model.run import instant
from holdfast.store.agent_rows import CostBy

routes = Routes("models and artifacts")

ONE_OF = "|".join(COST_BY)

ArtifactName = Annotated[str, Path(min_length=1, max_length=2048)]
"""The name of an artifact in a path."""

_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The artifact's bytes, with its media type; to be kept as a file.",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "Whoever asks has them already."},
}


async def _hidden(call: Call, run_id: str) -> set[str]:
    """The texts that a run and its journal hide from whoever asks."""
    secrets: set[str] = set()
    if call.hides:
        call.show(await call.client.get(run_id), secrets)
        for entry in await call.client.history(run_id):
            call.show(entry, secrets)
    return secrets


def _most(limit: int, cursor: str | None, at_most: int) -> int:
    """So many are read for a page, and one more to tell whether the list goes on."""
    return min(int(cursor or "0") + limit + 1, at_most)


@routes.get(
    "/runs/{run_id:name}/model-calls", needs=Role.VIEWER, answers=Page[ModelCallView], problems=("run-not-found",)
)
async def list_model_calls(call: Calling, run_id: Named, limit: Limit = 100, cursor: NumberCursor = None) -> Response:
    """The requests to models that a run made, in the order of its journal, then of attempts."""
    found = await call.client.model_calls(run_id, limit=_most(limit, cursor, CALLS_AT_MOST))
    part = offset_page(found, limit, cursor)
    secrets = await _hidden(call, run_id)
    return answer(Page([call.show(one, secrets) for one in part.items], part.next))


@routes.get("/runs/{run_id:name}/artifacts", needs=Role.VIEWER, answers=Page[ArtifactView], problems=("run-not-found",))
async def list_artifacts(call: Calling, run_id: Named, limit: Limit = 100, cursor: NumberCursor = None) -> Response:
    """The files and blobs that a run made, in the order of its journal, then of names."""
    found = await call.client.artifacts(run_id, limit=_most(limit, cursor, ARTIFACTS_AT_MOST))
    return answer(offset_page(found, limit, cursor))


@routes.get(
    "/runs/{run_id:name}/artifacts/{name:name}",
    needs=Role.VIEWER,
    responses=_CONTENT,
    problems=("run-not-found", "artifact-not-found", "artifact-elsewhere", "artifact-changed"),
)
async def get_artifact(
    call: Calling,
    run_id: Named,
    name: ArtifactName,
    position: Annotated[
        str | None,
        Query(
            pattern=r"^[0-9]{1,9}(\.[0-9]{1,9}){0,20}$",
            description="Of the step that made it; the last that was made of this name unless given.",
        ),
    ] = None,
) -> Response:
    """The bytes of an artifact, as they were recorded.

    Files are read below the folders of `serve.workspaces` only. Its `ETag` is the SHA-256 of the bytes. What a browser
    might run, such as HTML and scripts, comes as `text/plain`.
    """
    found = await call.client.artifact(run_id, name, position)
    return sent(call, found, await _hidden(call, run_id))


@routes.get("/model-costs", needs=Role.VIEWER, answers=CostReport, problems=("search-unreadable",))
async def get_model_costs(
    call: Calling,
    since: Annotated[
        Day | None,
        Query(
            description="The first day, in UTC; 30 days before `until` unless given, and the first of all with `where`."
        ),
    ] = None,
    until: Annotated[Day | None, Query(description="The last day, which is included; today unless given.")] = None,
    by: Annotated[
        str,
        Query(
            pattern=rf"^(({ONE_OF})(,({ONE_OF})){{0,3}})?$",
            description="What is told apart, with commas between: some of day, workflow, phase and model; empty for "
            "the total only.",
        ),
    ] = "phase",
    where: Where = None,
) -> Response:
    """What models cost, by day in order, then the dearest first; and all of it together.

    Amounts are US dollars, as texts, so that nothing of them is lost. Days that begin after they end have no costs.

    With `where`, such as `lane = 'order=o-1'`: of the runs that it finds and that are kept, with their child runs and
    theirs, each of them once. These are the newest 10,000, and with their child runs 100,000 at most: `runs` says how
    many were found, and `more` whether there are others.
    """
    if call.hides:
        call.server.redactor.check_search(where, call.server.core.now_us())
    last = max(until or instant(call.server.core.now_us()).date(), FIRST_DAY)
    first = None if since is None else min(max(since, FIRST_DAY), last)
    kinds = cast("Sequence[CostBy]", [one for one in by.split(",") if one])
    return answer(await call.client.model_costs(since=first, until=last, by=kinds, where=where))


@routes.get("/phases", needs=Role.VIEWER, answers=Page[PhaseFileView])
async def list_phases(call: Calling) -> Response:
    """The files of phases in force, by name, without the texts of their templates."""
    return answer(Page(await call.client.phase_files(), None))


@routes.get("/phases/{name:name}", needs=Role.VIEWER, answers=PhaseFileView, problems=("phases-not-found",))
async def get_phases(
    call: Calling,
    name: Named,
    version: Annotated[Id | None, Query(description="One that was in force; the newest unless given.")] = None,
) -> Response:
    """A file of phases as it is in force for the tenant: models, fallbacks, limits, budgets, approvals, templates."""
    found = await call.client.phase_file(name, version)
    return tagged(call.request, found, found.version)
