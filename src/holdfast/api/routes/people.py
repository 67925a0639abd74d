"""People, API keys, what was changed, and searches that are kept."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from starlette.responses import Response

from holdfast.api import etags
from holdfast.api.paging import page
from holdfast.api.problems import Refused
from holdfast.api.routing import Call, Calling, Named, Routes, answer, encode, nothing, tagged
from holdfast.api.schemas import CreateKey, Id, IdCursor, Limit, PutUser, PutView, UidCursor
from holdfast.api.shapes import MadeKey, Me, Page
from holdfast.api.work_schemas import NO_NUL
from holdfast.engine.auditing import AuditView, SavedView
from holdfast.engine.people import KeyView, UserView
from holdfast.errors import KeyNotFound, UserNotFound
from holdfast.model.access import Role

routes = Routes("people and keys")


@routes.get("/me", needs=Role.VIEWER, answers=Me)
async def who_am_i(call: Calling) -> Response:
    """Who makes this request, and what they may do."""
    who = call.principal
    return answer(Me(who.actor, who.name, who.tenant, who.role, who.shared))


# People


@routes.get("/users", needs=Role.OPERATOR, answers=Page[UserView])
async def list_users(call: Calling, limit: Limit = 50, cursor: IdCursor = None) -> Response:
    """The tenant's people, by id."""
    return answer(await page(lambda most: call.client.users(limit=most, after=cursor), limit, lambda one: one.id))


@routes.get("/users/{user_id:name}", needs=Role.OPERATOR, answers=UserView, problems=("user-not-found",))
async def get_user(call: Calling, user_id: Named) -> Response:
    """A person as they are now."""
    view = await call.client.get_user(user_id)
    return tagged(call.request, view, view.revision)


@routes.put(
    "/users/{user_id:name}",
    needs=Role.ADMIN,
    answers=UserView,
    responses={201: {"model": UserView, "description": "They are new."}},
    problems=("user-exists", "changed"),
)
async def put_user(call: Calling, user_id: Named, body: PutUser) -> Response:
    """Make a person known, or change one. What is left out stays as it is."""
    stands = await _user(call, user_id)
    revision: int | None = None
    if etags.wants_match(call.request):
        etags.check_match(call.request, None if stands is None else stands.revision, f"person {user_id!r}")
        revision = 0 if stands is None else stands.revision
    given: dict[str, Any] = {what: getattr(body, what) for what in body.model_fields_set}
    if "away" in given:
        given["away"] = [{"from": min(one.first, one.until), "until": max(one.first, one.until)} for one in body.away]
    view = await call.client.put_user(user_id, revision=revision, **given)
    call.server.credentials.forget()
    return tagged(call.request, view, view.revision, 201 if stands is None else 200)


@routes.delete("/users/{user_id:name}", needs=Role.ADMIN, status=204, problems=("user-not-found", "changed"))
async def delete_user(call: Calling, user_id: Named) -> Response:
    """Forget a person and sign them out everywhere."""
    if etags.wants_match(call.request):
        stands = await _user(call, user_id)
        etags.check_match(call.request, None if stands is None else stands.revision, f"person {user_id!r}")
    if not await call.client.delete_user(user_id):
        raise UserNotFound(f"tenant {call.principal.tenant!r} has no person {user_id!r}")
    call.server.credentials.forget()
    return nothing()


async def _user(call: Call, user_id: str) -> UserView | None:
    try:
        return await call.client.get_user(user_id)
    except UserNotFound:
        return None


# Keys


@routes.get("/keys", needs=Role.ADMIN, answers=Page[KeyView])
async def list_keys(
    call: Calling,
    search: Annotated[
        str, Query(max_length=100, pattern=NO_NUL, description="Only those whose prefix begins so.")
    ] = "",
    limit: Limit = 50,
    cursor: IdCursor = None,
) -> Response:
    """The tenant's API keys, by prefix, without their secrets."""
    return answer(
        await page(
            lambda most: call.client.keys(search=search, limit=most, after=cursor), limit, lambda one: one.prefix
        )
    )


@routes.post("/keys", needs=Role.ADMIN, answers=MadeKey, status=201)
async def create_key(call: Calling, body: CreateKey) -> Response:
    """Make an API key. It is shown in this answer, and never again."""
    made = await call.client.create_key(body.name, role=body.role, expires=body.expires)
    until = None if made.view.expires_at is None else made.view.expires_at.isoformat().replace("+00:00", "Z")
    shown = {"prefix": made.view.prefix, "name": made.view.name, "role": made.view.role, "expires_at": until}
    response = answer({"key": made.key, **shown}, 201)
    # An answer that is kept for repetitions is kept without the secret.
    response.kept_body = encode({"key": None, **shown})  # type: ignore[attr-defined]
    return response


@routes.delete("/keys/{prefix}", needs=Role.ADMIN, status=204, problems=("key-not-found",))
async def revoke_key(call: Calling, prefix: Annotated[str, Path(pattern="^[0-9a-z]{8}$")]) -> Response:
    """Let an API key be good no more: within a second, at every server."""
    if not await call.client.revoke_key(prefix):
        raise KeyNotFound(f"tenant {call.principal.tenant!r} has no key {prefix!r}")
    call.server.credentials.forget()
    return nothing()


# What was changed


@routes.get("/audit", needs=Role.OPERATOR, answers=Page[AuditView])
async def list_audit(
    call: Calling,
    actor: Annotated[Id | None, Query(description="Only what this one changed.")] = None,
    action: Annotated[Id | None, Query(description="Only this, or what it begins: `run` for `run.cancel`.")] = None,
    target: Annotated[Id | None, Query(description="Only what was changed of this, such as a run's id.")] = None,
    limit: Limit = 50,
    cursor: UidCursor = None,
) -> Response:
    """What was changed in the tenant, newest first."""
    return answer(
        await page(
            lambda most: call.client.audit(limit=most, before=cursor, actor=actor, action=action, target=target),
            limit,
            lambda one: one.id,
        )
    )


# Searches that are kept


@routes.get("/views/{page_name:name}", needs=Role.VIEWER, answers=Page[SavedView])
async def list_views(call: Calling, page_name: Named) -> Response:
    """The searches that whoever asks keeps for a page of the dashboard, by name."""
    return answer(Page(await call.client.saved_views(page_name), None))


@routes.put("/views/{page_name:name}/{name:name}", needs=Role.VIEWER, answers=SavedView, problems=("changed",))
async def put_view(call: Calling, page_name: Named, name: Named, body: PutView) -> Response:
    """Keep a search for a page; one of the same name is replaced."""
    await _check_view(call, page_name, name)
    await call.client.put_view(page_name, name, body.query)
    return tagged(call.request, SavedView(page_name, name, body.query), body.query)


@routes.delete("/views/{page_name:name}/{name:name}", needs=Role.VIEWER, status=204, problems=("not-found", "changed"))
async def delete_view(call: Calling, page_name: Named, name: Named) -> Response:
    """Forget a search that was kept."""
    await _check_view(call, page_name, name)
    if not await call.client.delete_view(page_name, name):
        raise Refused("not-found", f"no search {name!r} is kept for page {page_name!r}")
    return nothing()


async def _check_view(call: Call, page_name: str, name: str) -> None:
    if etags.wants_match(call.request):
        kept = {one.name: one.query for one in await call.client.saved_views(page_name)}
        etags.check_match(call.request, kept.get(name), f"the search {name!r}")
