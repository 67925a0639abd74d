"""Definitions: kinds of work, their versions, what they would make today, and whether they make any."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from holdfast.api.paging import offset_page
from holdfast.api.routing import Call, Calling, Named, answer, tagged
from holdfast.api.schemas import Limit, NumberCursor
from holdfast.api.shapes import Page
from holdfast.api.work_routes import WorkRoutes, edited
from holdfast.api.work_schemas import LoadDefinitions
from holdfast.errors import DefinitionNotFound
from holdfast.model.access import Role
from holdfast.workqueue.views import DefinitionView, DryRun

routes = WorkRoutes("definitions and settings of work")

_PROBLEMS = ("definition-not-found", "work-changed", "changed")

_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "examples": {
                    "renewal": {
                        "value": {
                            "name": "Prepare the renewal",
                            "type": "renewal",
                            "rule": "signals.usage_score < 60.0",
                            "renewal": {"property": "renews_on", "days": 90},
                            "due": "14d",
                        }
                    }
                },
            }
        },
    }
}


@routes.get("/definitions", needs=Role.VIEWER, answers=Page[DefinitionView])
async def list_definitions(
    call: Calling,
    active: Annotated[
        bool | None, Query(description="Only those that make items, or only those that make none.")
    ] = None,
    limit: Limit = 50,
    cursor: NumberCursor = None,
) -> Response:
    """The tenant's definitions of work, by id, each in its newest version."""
    return answer(offset_page(await call.work.definitions(active=active), limit, cursor))


@routes.get(
    "/definitions/{definition_id:name}", needs=Role.VIEWER, answers=DefinitionView, problems=("definition-not-found",)
)
async def get_definition(
    call: Calling,
    definition_id: Named,
    version: Annotated[int | None, Query(ge=1, le=1_000_000_000, description="The newest unless given.")] = None,
) -> Response:
    """A definition: all that it says, as it may be given again."""
    view = await call.work.get_definition(definition_id, version=version)
    return tagged(call.request, view, view.version)


@routes.get(
    "/definitions/{definition_id:name}/versions",
    needs=Role.VIEWER,
    answers=Page[DefinitionView],
    problems=("definition-not-found",),
)
async def list_versions(
    call: Calling, definition_id: Named, limit: Limit = 50, cursor: NumberCursor = None
) -> Response:
    """All versions of a definition, the newest first."""
    return answer(offset_page(await call.work.versions(definition_id), limit, cursor))


@routes.put(
    "/definitions/{definition_id:name}",
    needs=Role.ADMIN,
    answers=DefinitionView,
    responses={201: {"model": DefinitionView, "description": "It is new."}},
    problems=("work-changed", "changed", "input-refused", "rule-refused"),
    openapi_extra=_DOCUMENT,
)
async def put_definition(call: Calling, definition_id: Named, body: dict[str, Any]) -> Response:
    """Say what a kind of work is; what is said anew is a new version, and items that are there stay as they are.

    The body is the whole definition, as the page on definitions describes it. A rule that cannot be read is told with
    its line and column.
    """
    stands, matched = await _stands(call, definition_id)
    revision = (0 if stands is None else stands.version) if matched else None
    view = await call.work.put_definition(definition_id, body, revision=revision)
    return tagged(call.request, view, view.version, 201 if stands is None else 200)


@routes.post(
    "/definitions:load",
    needs=Role.ADMIN,
    answers=Page[DefinitionView],
    problems=("work-changed", "input-refused", "rule-refused"),
)
async def load_definitions(call: Calling, body: LoadDefinitions) -> Response:
    """Put the definitions of a TOML text, all of them or none: each is a table `[definitions.ID]`.

    What is wrong is told with its line.
    """
    return answer(Page(await call.work.load_text(body.text, body.name), None))


@routes.post(
    "/definitions/{definition_id:name}/activate",
    needs=Role.ADMIN,
    answers=DefinitionView,
    problems=(*_PROBLEMS, "input-refused"),
)
async def activate_definition(call: Calling, definition_id: Named) -> Response:
    """Let items be made of a definition from now on."""
    view = await call.work.activate(definition_id, revision=await _matched(call, definition_id))
    return tagged(call.request, view, view.version)


@routes.post("/definitions/{definition_id:name}/retire", needs=Role.ADMIN, answers=DefinitionView, problems=_PROBLEMS)
async def retire_definition(call: Calling, definition_id: Named) -> Response:
    """Let no more items be made of a definition; those that are there stay."""
    view = await call.work.retire(definition_id, revision=await _matched(call, definition_id))
    return tagged(call.request, view, view.version)


@routes.post(
    "/definitions/{definition_id:name}/dry-run",
    needs=Role.OPERATOR,
    answers=DryRun,
    problems=("definition-not-found", "input-refused", "rule-refused"),
)
async def dry_run_definition(call: Calling, definition_id: Named) -> Response:
    """What a definition would make today. It changes nothing."""
    return answer(await call.work.dry_run(definition_id))


@routes.post(
    "/definitions:dry-run",
    needs=Role.OPERATOR,
    answers=DryRun,
    problems=("input-refused", "rule-refused"),
    openapi_extra=_DOCUMENT,
)
async def dry_run_document(call: Calling, body: dict[str, Any]) -> Response:
    """What a definition that is not stored would make today. It changes nothing."""
    return answer(await call.work.dry_run(body))


async def _stands(call: Call, definition_id: str) -> tuple[DefinitionView | None, bool]:
    return await edited(
        call,
        f"definition {definition_id!r}",
        lambda: call.work.get_definition(definition_id),
        DefinitionNotFound,
        lambda view: view.version,
    )


async def _matched(call: Call, definition_id: str) -> int | None:
    stands, matched = await _stands(call, definition_id)
    return stands.version if matched and stands is not None else None
