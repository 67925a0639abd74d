"""Work items: made, looked at, the queue of a person, a history, why an item has its score, and what it waits for."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import Query
from starlette.responses import Response

from holdfast.api.paging import page
from holdfast.api.problems import Refused
from holdfast.api.routing import Call, Calling, Named, answer
from holdfast.api.schemas import Id, IdCursor, Limit, NumberCursor
from holdfast.api.shapes import Page
from holdfast.api.work_routes import WorkRoutes, shown
from holdfast.api.work_schemas import NO_NUL, CreateItem, Depend, ItemKind, ItemType, Statuses, given
from holdfast.errors import ItemExists
from holdfast.model.access import Role
from holdfast.workqueue.views import ExplainView, ItemCount, ItemEventView, ItemView, LinksView

routes = WorkRoutes("work items")

HISTORY_AT_MOST = 10_000

Assignee = Annotated[
    str | None, Query(max_length=512, pattern=NO_NUL, description="Only of this person; empty for nobody's.")
]
Group = Annotated[Id | None, Query(description="Only of this group.")]
OfDefinition = Annotated[Id | None, Query(description="Only of this definition.")]
OfType = Annotated[ItemType | None, Query(description="Only of this type.")]
About = Annotated[Id | None, Query(description="Only about this subject.")]
OfKind = Annotated[
    ItemKind | None, Query(description="Only of this kind; a run waits for an ask, and is held for a hold.")
]
EscalatedTo = Annotated[Id | None, Query(description="Only escalated to this person.")]
Overdue = Annotated[bool | None, Query(description="Whether they are open and their due instant has passed.")]
Blocked = Annotated[bool | None, Query(description="Whether they wait for others.")]
Demo = Annotated[Literal["false", "true", "all"], Query(description="Without the demo's items, only these, or all.")]
Text = Annotated[
    str | None,
    Query(max_length=512, pattern=NO_NUL, description="Only with this in the title, or the subject's name or id."),
]
Batch = Annotated[
    str | None, Query(pattern="^[0-9a-f]{32}$", description="Only those that this bulk operation changed.")
]

DEMO = {"false": False, "true": True, "all": None}


@routes.get("/items", needs=Role.VIEWER, answers=Page[ItemView], problems=("item-not-found",))
async def list_items(
    call: Calling,
    assignee: Assignee = None,
    status: Statuses = None,
    group: Group = None,
    definition: OfDefinition = None,
    type: OfType = None,
    subject: About = None,
    kind: OfKind = None,
    escalated_to: EscalatedTo = None,
    overdue: Overdue = None,
    blocked: Blocked = None,
    demo: Demo = "false",
    text: Text = None,
    batch: Batch = None,
    limit: Limit = 50,
    cursor: IdCursor = None,
) -> Response:
    """Work items that meet all that is asked, newest first."""
    found = await page(
        lambda most: call.work.list(
            assignee=assignee, status=None if status is None else status.split(","), group=group, definition=definition,
            type=type, subject=subject, kind=kind, escalated_to=escalated_to, overdue=overdue, blocked=blocked,
            demo=DEMO[demo], text=text, batch=batch, limit=most, after=cursor,
        ),
        limit,
        lambda one: one.id,
    )  # fmt: skip
    return answer(Page(call.show_each(found.items), found.next))


@routes.get("/items:count", needs=Role.VIEWER, answers=ItemCount)
async def count_items(
    call: Calling,
    assignee: Assignee = None,
    status: Statuses = None,
    group: Group = None,
    definition: OfDefinition = None,
    type: OfType = None,
    subject: About = None,
    kind: OfKind = None,
    escalated_to: EscalatedTo = None,
    overdue: Overdue = None,
    blocked: Blocked = None,
    demo: Demo = "false",
    text: Text = None,
    batch: Batch = None,
    cap: Annotated[int, Query(ge=1, le=100_000, description="Count no further.")] = 1000,
) -> Response:
    """How many work items meet all that is asked, counted up to a cap."""
    return answer(
        await call.work.count(
            assignee=assignee, status=None if status is None else status.split(","), group=group, definition=definition,
            type=type, subject=subject, kind=kind, escalated_to=escalated_to, overdue=overdue, blocked=blocked,
            demo=DEMO[demo], text=text, batch=batch, cap=cap,
        )
    )  # fmt: skip


@routes.get("/items:queue", needs=Role.VIEWER, answers=Page[ItemView])
async def get_queue_of_items(
    call: Calling,
    assignee: Annotated[Id | None, Query(description="Whose; of whoever asks unless given.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 10,
    demo: Annotated[bool, Query(description="The demo's items and no others, in their order.")] = False,
    include_snoozed: Annotated[bool, Query(description="Those that are snoozed too.")] = False,
) -> Response:
    """What somebody is to do now, the most important first: by score, older first.

    Beside what is assigned to them there is what nobody has claimed yet of the groups that they are in.
    """
    found = await call.work.queue(assignee, limit=limit, demo=demo, include_snoozed=include_snoozed)
    return answer(Page(call.show_each(found), None))


@routes.post(
    "/items",
    needs=Role.ITEMS,
    answers=ItemView,
    status=201,
    problems=("item-exists", "item-not-found", "subject-not-found", "definition-not-found", "input-refused"),
)
async def create_item(call: Calling, body: CreateItem) -> Response:
    """Make a work item. An item for somebody else takes the role operator."""
    _check_whose(call, body)
    wanted = given(body, without=("due_at", "id"))
    if body.due_at is not None:
        wanted["due"] = body.due_at
    id = call.derived_id("item", body.id)
    try:
        view = await call.work.create(**wanted, id=id)
    except ItemExists as error:
        # One whose id derives from the request's key was made by this very request, whose answer was lost.
        if body.id is not None or id is None or error.item_id != id:
            raise
        view = await call.work.get(id)
    response = shown(call, view, 201)
    response.headers["Location"] = call.url(f"/items/{quote(view.id, safe='')}")
    return response


def _check_whose(call: Call, body: CreateItem) -> None:
    if call.principal.may(Role.OPERATOR) or body.assignee == call.principal.actor:
        return
    raise Refused(
        "forbidden",
        f"an item for others takes the role operator, and you are {call.principal.role}; "
        f"for one of your own give {call.principal.actor!r} as assignee",
    )


@routes.get("/items/{item_id:name}", needs=Role.VIEWER, answers=ItemView, problems=("item-not-found",))
async def get_item(call: Calling, item_id: Named) -> Response:
    """A work item as it is now, with its score, its subject and its definition."""
    return shown(call, await call.work.get(item_id))


@routes.get(
    "/items/{item_id:name}/history", needs=Role.VIEWER, answers=Page[ItemEventView], problems=("item-not-found",)
)
async def get_item_history(
    call: Calling,
    item_id: Named,
    limit: Annotated[int, Query(ge=1, le=HISTORY_AT_MOST, description="At most so many.")] = 1000,
    cursor: NumberCursor = None,
) -> Response:
    """The changes of a work item, from the first on: all of them make the item as it is."""
    behind = int(cursor or "0")
    found = await page(
        lambda most: call.work.history(item_id, after=behind, limit=most),
        limit,
        lambda one: str(one.revision),
        HISTORY_AT_MOST,
    )
    secrets: set[str] = set()
    if call.hides:
        call.show(await call.work.get(item_id), secrets)
    return answer(Page([call.show(one, secrets) for one in found.items], found.next))


@routes.get("/items/{item_id:name}/explain", needs=Role.VIEWER, answers=ExplainView, problems=("item-not-found",))
async def explain_item(call: Calling, item_id: Named) -> Response:
    """Why a work item has its score, as parts of a sum, and why it is or is not in a queue."""
    return answer(call.show(await call.work.explain(item_id)))


@routes.get("/items/{item_id:name}/links", needs=Role.VIEWER, answers=LinksView, problems=("item-not-found",))
async def get_links(call: Calling, item_id: Named) -> Response:
    """What a work item waits for, and what waits for it."""
    return answer(await call.work.links(item_id))


_LINK_PROBLEMS = ("item-not-found", "run-not-found", "illegal-move", "item-changed", "input-refused")


@routes.post("/items/{item_id:name}/links", needs=Role.OPERATOR, answers=LinksView, problems=_LINK_PROBLEMS)
async def put_link(call: Calling, item_id: Named, body: Depend) -> Response:
    """Let a work item wait for another, or for a run: it is in no queue until that has ended, and due as much later."""
    return answer(await call.work.depend(item_id, on=body.on, on_run=body.on_run))


@routes.delete("/items/{item_id:name}/links", needs=Role.OPERATOR, answers=LinksView, problems=_LINK_PROBLEMS)
async def delete_link(
    call: Calling,
    item_id: Named,
    on: Annotated[Id | None, Query(description="The item that it waits for.")] = None,
    on_run: Annotated[Id | None, Query(description="Or the run.")] = None,
) -> Response:
    """Let a work item wait for another, or for a run, no more."""
    return answer(await call.work.undepend(item_id, on=on, on_run=on_run))
