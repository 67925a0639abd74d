"""Sources and their entries: handed in, looked at, settled; and what two paths made of the same messages."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Path, Query
from starlette.responses import Response

from holdfast.api import bodies, intake_views, replies
from holdfast.api.intake_shapes import (
    ComparisonPage,
    DiscardEntry,
    OutcomesTold,
    RetriedEntry,
    RetryEntry,
    Rewind,
    TellOutcomes,
)
from holdfast.api.paging import page
from holdfast.api.routing import Call, Calling, Named, Route, Routes, answer, nothing
from holdfast.api.schemas import Id, Instant, Limit, UidCursor
from holdfast.api.shapes import Page
from holdfast.engine.intake_views import BEGINNING, ENTRIES_AT_MOST, EntryView, SourceView
from holdfast.engine.path_views import CutoverReport, PathOutcome
from holdfast.engine.shadowing import COMPARED_AT_MOST
from holdfast.intake.handing import HandedEntry
from holdfast.intake.requests import IDEMPOTENCY_KEY
from holdfast.model.access import Role
from holdfast.store.intake_rows import Comparison, EntryOutcome

routes = Routes("intake")

Since = Annotated[Instant | None, Query(description="Only what came in since then.")]
Until = Annotated[Instant | None, Query(description="Only what came in before then.")]
ComparedCursor = Annotated[
    str | None,
    Query(
        max_length=8300,
        json_schema_extra={"pattern": "^[0-6][0-9a-f]{15}65[0-9a-f]{32}$"},
        description="Where to go on: what the page before gave as `next`.",
    ),
]

EntryId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]

_ENTRY = ("entry-not-found", "entry-settled")


class _HandedIn(Route):
    """A request that names itself is known by the entry that it brings, and no answer has to be kept for that."""

    keeps_answers = False


_ANY_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": replies.LONGEST_KEY},
            "description": "By which an entry without an id is known when it comes again.",
        }
    ],
}


@routes.post(
    "/intake/{source:name}",
    needs=Role.OPERATOR,
    answers=HandedEntry,
    status=201,
    kind=_HandedIn,
    problems=("source-not-found", "workflow-unknown", "payload-refused", "body-too-large"),
    openapi_extra=_ANY_BODY,
    responses={200: {"model": HandedEntry, "description": "It was known, or is not for the workflow."}},
)
async def hand_in(call: Calling, source: Named) -> Response:
    """Hand an entry to a source of kind `http`: JSON, or with another content type bytes.

    It is stored with the run that it becomes, in one transaction; one that is known becomes no second run. One that
    cannot be read, or that the workflow does not take, is refused, and nothing of it is stored.
    """
    body = await bodies.read(call.request)
    headers = dict(call.request.headers)
    if (key := replies.key_of(call.request)) is not None:
        headers[IDEMPOTENCY_KEY] = key
    found = await call.server.requests.take(call.principal.tenant, source, body, headers)
    if found.outcome != "run":
        return answer(found)
    assert found.run_id is not None
    return answer(found, 201, {"Location": call.url(f"/runs/{quote(found.run_id, safe='')}")})


@routes.get("/intake", needs=Role.VIEWER, answers=Page[SourceView])
async def list_sources(call: Calling) -> Response:
    """The sources that were read at least once, by name, each with how far it was read and how it is doing."""
    return answer(Page(await call.client.sources(), None))


@routes.post(
    "/intake/{source:name}/rewind",
    needs=Role.OPERATOR,
    answers=SourceView,
    problems=("source-not-found", "source-changed"),
)
async def rewind_source(call: Calling, source: Named, body: Rewind | None = None) -> Response:
    """Put a source back, or forward. Entries that it knows stay known: they make no second run."""
    given = body or Rewind()
    return answer(await call.client.rewind_source(source, BEGINNING if given.to is None else given.to))


async def _entries(
    call: Call,
    source: str | None,
    outcome: EntryOutcome | None,
    message_id: str | None,
    run: str | None,
    since: Instant | None,
    until: Instant | None,
    limit: int,
    cursor: str | None,
) -> Response:
    async def read(most: int) -> list[EntryView]:
        return await call.client.entries(
            source=source, outcome=outcome, message_id=message_id, run=run, since=since, until=until, limit=most,
            before=cursor,
        )  # fmt: skip

    found = await page(read, limit, lambda one: one.id, ENTRIES_AT_MOST)
    return answer(Page(intake_views.entries(found.items, call.redactor), found.next))


OfOutcome = Annotated[EntryOutcome | None, Query(description="Only those that ended so.")]
OfMessage = Annotated[Id | None, Query(description="Only of this message.")]
OfRun = Annotated[Id | None, Query(description="Only the one that became this run.")]


@routes.get("/intake/{source:name}/entries", needs=Role.VIEWER, answers=Page[EntryView])
async def list_entries_of_source(
    call: Calling,
    source: Named,
    outcome: OfOutcome = None,
    message_id: OfMessage = None,
    run: OfRun = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: UidCursor = None,
) -> Response:
    """The entries of a source, newest first, without their contents."""
    return await _entries(call, source, outcome, message_id, run, since, until, limit, cursor)


@routes.get("/entries", needs=Role.VIEWER, answers=Page[EntryView])
async def list_entries(
    call: Calling,
    source: Annotated[Id | None, Query(description="Only of this source.")] = None,
    outcome: OfOutcome = None,
    message_id: OfMessage = None,
    run: OfRun = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: UidCursor = None,
) -> Response:
    """The entries of all sources, newest first, without their contents. Those that are `dead` want a person."""
    return await _entries(call, source, outcome, message_id, run, since, until, limit, cursor)


@routes.get("/entries/{entry_id}", needs=Role.VIEWER, answers=EntryView, problems=("entry-not-found",))
async def get_entry(call: Calling, entry_id: EntryId) -> Response:
    """An entry, with its content where it is dead."""
    [view] = intake_views.entries([await call.client.entry(entry_id)], call.redactor)
    return answer(view)


@routes.post(
    "/entries/{entry_id}/retry",
    needs=Role.OPERATOR,
    answers=RetriedEntry,
    problems=(*_ENTRY, "workflow-unknown", "payload-refused", "start-dropped"),
)
async def retry_entry(call: Calling, entry_id: EntryId, body: RetryEntry | None = None) -> Response:
    """Take in a dead entry after all, as it was kept or as it should have been."""
    return answer(RetriedEntry(await call.client.retry_entry(entry_id, None if body is None else body.content)))


@routes.post("/entries/{entry_id}/discard", needs=Role.OPERATOR, status=204, problems=_ENTRY)
async def discard_entry(call: Calling, entry_id: EntryId, body: DiscardEntry) -> Response:
    """Give a dead entry up, with the reason."""
    await call.client.discard_entry(entry_id, body.reason)
    return nothing()


@routes.post("/shadow/outcomes", needs=Role.OPERATOR, answers=OutcomesTold, problems=("payload-refused",))
async def record_outcomes(call: Calling, body: TellOutcomes) -> Response:
    """Tell what another path made of messages. Of one message the last counts, however often it is told."""
    told = [PathOutcome(one.message_id, one.decided, one.text, one.at) for one in body.outcomes]
    return answer(OutcomesTold(await call.client.record_outcomes(body.workflow, told)))


@routes.get("/shadow/{workflow:name}/comparison", needs=Role.VIEWER, answers=ComparisonPage)
async def compare_paths(
    call: Calling,
    workflow: Named,
    since: Since = None,
    until: Until = None,
    which: Annotated[Comparison | None, Query(description="Only those that compare so.")] = None,
    limit: Limit = 50,
    cursor: ComparedCursor = None,
) -> Response:
    """What our path and another made of messages, newest first, with how their texts differ, word by word.

    `counts` are of all messages of the time.
    """
    client = call.client
    most = min(limit + 1, COMPARED_AT_MOST)
    found = await client.compare(workflow, since=since, until=until, which=which, limit=most, before=cursor)
    more = len(found) > limit or (limit >= COMPARED_AT_MOST and len(found) == limit)
    items = intake_views.compared(found[:limit], call.redactor)
    counts = {str(name): count for name, count in (
        await client.count_compared(workflow, since=since, until=until)
    ).items()}  # fmt: skip
    return answer(ComparisonPage(counts, items, found[len(items) - 1].id if more and items else None))


@routes.get("/shadow/{workflow:name}/criteria", needs=Role.VIEWER, answers=CutoverReport)
async def get_criteria(call: Calling, workflow: Named, since: Since = None, until: Until = None) -> Response:
    """Whether a workflow can be cut over: five criteria, each with whether it holds and what that says."""
    return answer(await call.client.cutover_criteria(workflow, since=since, until=until))
