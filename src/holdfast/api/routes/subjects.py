"""Subjects: whom work is about; made, changed, taken in from files, and what was measured of them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from holdfast.api import bodies
from holdfast.api.paging import page
from holdfast.api.problems import Place, Refused
from holdfast.api.routes.signals import CSV, DELIMITERS, Delimiter, check_utf8, is_csv, read_json
from holdfast.api.routing import Call, Calling, Named, answer, nothing, tagged
from holdfast.api.schemas import Id, IdCursor, Instant, Limit
from holdfast.api.shapes import Page
from holdfast.api.work_routes import WorkRoutes, edited
from holdfast.api.work_schemas import NO_NUL, PutSubject, given
from holdfast.errors import SubjectNotFound, UsageError
from holdfast.model.access import Role
from holdfast.workqueue.views import Imported, SignalChange, SignalView, SubjectView

routes = WorkRoutes("subjects and signals")


@routes.get("/subjects", needs=Role.VIEWER, answers=Page[SubjectView])
async def list_subjects(
    call: Calling,
    assignee: Annotated[Id | None, Query(description="Only those that this person looks after.")] = None,
    text: Annotated[
        str | None, Query(max_length=512, pattern=NO_NUL, description="Only with this in the name or the id.")
    ] = None,
    limit: Limit = 50,
    cursor: IdCursor = None,
) -> Response:
    """The tenant's subjects, by id."""
    found = await page(
        lambda most: call.work.subjects(assignee=assignee, text=text, limit=most, after=cursor),
        limit,
        lambda one: one.id,
    )
    return answer(Page(call.show_each(found.items), found.next))


@routes.get("/subjects/{subject_id:name}", needs=Role.VIEWER, answers=SubjectView, problems=("subject-not-found",))
async def get_subject(call: Calling, subject_id: Named) -> Response:
    """A subject as it is now, with the latest value of each signal, and its scores."""
    view = await call.work.get_subject(subject_id)
    return tagged(call.request, call.show(view), view.revision)


@routes.put(
    "/subjects/{subject_id:name}",
    needs=Role.OPERATOR,
    answers=SubjectView,
    responses={201: {"model": SubjectView, "description": "It is new."}},
    problems=("work-changed", "changed", "input-refused"),
)
async def put_subject(call: Calling, subject_id: Named, body: PutSubject) -> Response:
    """Make a subject known, or change one. What is left out stays as it is."""
    stands, matched = await _stands(call, subject_id)
    revision = (0 if stands is None else stands.revision) if matched else None
    view = await call.work.put_subject(subject_id, revision=revision, **given(body))
    return tagged(call.request, call.show(view), view.revision, 201 if stands is None else 200)


@routes.delete(
    "/subjects/{subject_id:name}", needs=Role.OPERATOR, status=204, problems=("subject-not-found", "changed")
)
async def delete_subject(call: Calling, subject_id: Named) -> Response:
    """Forget a subject and its signals. Its items stay."""
    await _stands(call, subject_id)
    if not await call.work.delete_subject(subject_id):
        raise SubjectNotFound(f"tenant {call.principal.tenant!r} has no subject {subject_id!r}")
    return nothing()


async def _stands(call: Call, subject_id: str) -> tuple[SubjectView | None, bool]:
    return await edited(
        call,
        f"subject {subject_id!r}",
        lambda: call.work.get_subject(subject_id),
        SubjectNotFound,
        lambda view: view.revision,
    )


# What was measured


@routes.get(
    "/subjects/{subject_id:name}/signals",
    needs=Role.VIEWER,
    answers=Page[SignalView],
    problems=("subject-not-found", "input-refused"),
)
async def list_signals(
    call: Calling,
    subject_id: Named,
    name: Annotated[Id | None, Query(description="Only those of this name.")] = None,
    since: Annotated[Instant | None, Query(description="Only those measured from here on.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
) -> Response:
    """A subject's signals, newest first."""
    found = await call.work.signals(subject_id, name=name, since=since, limit=limit)
    if call.hides:
        found = [one for one in found if not call.server.redactor.hides("signals", one.name)]
    return answer(Page(found, None))


@routes.get(
    "/subjects/{subject_id:name}/signals/{name:name}/change",
    needs=Role.VIEWER,
    answers=SignalChange,
    problems=("subject-not-found", "input-refused"),
)
async def get_signal_change(
    call: Calling,
    subject_id: Named,
    name: Named,
    over: Annotated[
        str,
        Query(
            max_length=40,
            pattern=r"^([0-9]{1,10}(\.[0-9]{1,6})?|([0-9]{1,4}[wdhms])+)$",
            description="The length of the period that ends now: seconds, or text such as `30d`.",
        ),
    ] = "30d",
) -> Response:
    """How a signal of a subject changed over a period that ends now."""
    if call.hides and call.server.redactor.hides("signals", name):
        raise Refused("forbidden", f"the signal {name!r} is hidden from those who may only look")
    plain = over.replace(".", "", 1).isdigit()
    return answer(await call.work.change(subject_id, name, float(over) if plain else over))


# Many subjects

_IMPORT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            CSV: {
                "schema": {"description": "The first line names the columns."},
                "examples": {"lines": {"value": "id,name,assignee,usage_score\nacme,Acme,maria,95\n"}},
            },
            "application/json": {
                "schema": {"type": "array", "items": {}},
                "examples": {"rows": {"value": [{"id": "acme", "name": "Acme", "signals": {"usage_score": 95}}]}},
            },
        },
    }
}


@routes.post(
    "/subjects:import",
    needs=Role.OPERATOR,
    answers=Imported,
    problems=("input-refused",),
    openapi_extra=_IMPORT,
)
async def import_subjects(
    call: Calling,
    dry_run: Annotated[bool, Query(description="Of CSV: check every line and store nothing.")] = False,
    demo: Annotated[bool, Query(description="Whether new subjects belong to the demo.")] = False,
    delimiter: Delimiter = None,
    name: Annotated[str, Query(max_length=200, pattern=NO_NUL, description="What the file is called.")] = "",
) -> Response:
    """Take in subjects: a CSV file, which may be larger than memory, or a list of objects.

    The good lines are stored and the bad ones told, by the number of the line, or the place in the list. The first line
    of CSV names the columns: id, name, assignee, contacts, `contact.X`, `signal.X` or the name of a signal of the
    policy, signals_at; any other column is a property. What is taken in again changes nothing.
    """
    if is_csv(call.request):
        check_utf8(call.request.headers.get("content-type"))
        found = await call.work.import_subjects(
            bodies.pieces(call.request),
            delimiter=None if delimiter is None else DELIMITERS[delimiter],
            demo=demo,
            dry_run=dry_run,
            name=name,
        )
        return answer(found)
    value = await read_json(call)
    if not isinstance(value, list):
        said = "the body is no list; give a list of objects, or CSV as text/csv"
        raise Refused("invalid-request", said, errors=[Place(said, pointer="")])
    if dry_run:
        raise UsageError("dry_run is for CSV; leave it out")
    return answer(await call.work.put_subjects(value, demo=demo, source=name))
