"""People: who belongs to the tenant, what each may do, and how they sign in."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response

from holdfast.engine.people import UserView
from holdfast.errors import UserNotFound
from holdfast.model.access import Role
from holdfast.web.form import Form
from holdfast.web.page import Page
from holdfast.web.pages.questions import question
from holdfast.web.pages.settings import ROLES, need, tabs
from holdfast.web.section import Section

site = Section("settings")

PER_PAGE = 50
PATH = "/settings/people"


@site.get(PATH)
async def people(page: Page) -> Response:
    """The tenant's people, by id."""
    need(page, Role.OPERATOR)
    after = page.query.get("after") or None
    found = await page.client.users(limit=PER_PAGE + 1, after=after)
    shown = found[:PER_PAGE]
    return page.render(
        "pages/people.html",
        title="Settings",
        tabs=tabs(page),
        tab="people",
        people=shown,
        today=page.now.astimezone(page.zone).date(),
        first=page.with_query(after=None) if after else None,
        next=page.with_query(after=shown[-1].id) if len(found) > PER_PAGE else None,
    )


@site.get("/person/new")
async def ask_new(page: Page) -> Response:
    """An empty form for a person."""
    need(page, Role.ADMIN)
    return _form(page, None, {"revision": "0", "role": "viewer", "zone": "UTC"})


@site.get("/person/change")
async def ask_change(page: Page) -> Response:
    """The form of a person that is known."""
    need(page, Role.ADMIN)
    view = await page.client.get_user(page.query.get("id") or "-")
    return _form(page, view, _shown(view))


@site.post("/person/put")
async def put(page: Page) -> Response:
    """Make a person known, or change one."""
    form = await page.form(Role.ADMIN)
    id = form.text("id", most=512, what="an id")
    new = form.values.get("revision") == "0"
    given, revision = _given(form), form.integer("revision", least=0)
    assert page.principal is not None
    if id == page.principal.actor and (given["disabled"] or given["role"] != page.principal.role):
        form.refuse("", "You cannot take your own role, or disable yourself: another admin has to do it.")
    if form.sound:
        with form.refusals():
            view = await page.client.put_user(id, revision=revision, **given)
            page.server.credentials.forget()
            return page.done(PATH, f"{view.name or view.id} is {'made known' if new else 'changed'}.")
    try:
        stands = None if new else await page.client.get_user(id or "-")
    except UserNotFound:
        stands = None
    return _form(page, stands, {})


def _given(form: Form) -> dict[str, Any]:
    """What a form says of a person, as arguments of `Client.put_user`."""
    given: dict[str, Any] = {
        "email": form.text("email", needed=False, most=300) or None,
        "name": form.text("name", needed=False, most=300),
        "role": form.choice("role", ROLES),
        "zone": form.text("zone", needed=False, most=100) or "UTC",
        "manager": form.text("manager", needed=False, most=512) or None,
        "groups": [one for one in (part.strip() for part in form.text("groups", needed=False).split(",")) if one],
        "capacity": form.integer("capacity", least=0),
        "away": _away(form),
        "disabled": form.ticked("disabled"),
    }
    password = form.values.get("password", "")
    if form.ticked("no_password"):
        given["password"] = None
    elif password:
        given["password"] = password
    return given


_AWAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:\s*(?:to|until|\.\.|–|/)\s*(\d{4}-\d\d-\d\d))?")


def _away(form: Form) -> list[dict[str, str]]:
    """Times of absence, one a line: 2026-12-24 to 2026-12-31, or one day."""
    times = []
    for line in form.text("away", needed=False).splitlines():
        if not line.strip():
            continue
        found = _AWAY.fullmatch(line.strip())
        if found is None:
            form.refuse("away", f"“{line.strip()[:60]}” is none: write 2026-12-24 to 2026-12-31, each on a line.")
            break
        times.append({"from": found[1], "until": found[2] or found[1]})
    return times


def _form(page: Page, view: UserView | None, values: dict[str, str]) -> Response:
    form = page.form_sent or Form(values)
    form.values.pop("password", None)  # what was typed is not given again
    return page.render(
        "pages/person_form.html",
        title="Make somebody known" if view is None else f"Change {view.name or view.id}",
        person=view,
        form=form,
        roles=ROLES,
    )


def _shown(view: UserView) -> dict[str, str]:
    """A person as the values of a form."""
    shown = {
        "id": view.id,
        "revision": str(view.revision),
        "email": view.email or "",
        "name": view.name,
        "role": view.role,
        "zone": view.zone,
        "manager": view.manager or "",
        "groups": ", ".join(view.groups),
        "capacity": "" if view.capacity is None else str(view.capacity),
        "away": "\n".join(f"{one['from']} to {one['until']}" for one in view.away),
    }
    return shown | ({"disabled": "yes"} if view.disabled else {})


@site.get("/person/delete")
async def ask_delete(page: Page) -> Response:
    """Ask whether to forget a person."""
    need(page, Role.ADMIN)
    view = await page.client.get_user(page.query.get("id") or "-")
    return question(
        page,
        f"Delete {view.name or view.id}?",
        text="They are signed out everywhere, and sign in no more. What they did stays in the audit, under their id.",
        to="/person/delete",
        label="Delete them",
        back=PATH,
        kind="danger",
        fields={"id": view.id},
    )


@site.post("/person/delete")
async def delete(page: Page) -> Response:
    """Forget a person."""
    form = await page.form(Role.ADMIN)
    view = await page.client.get_user(form.text("id", most=512) or "-")
    assert page.principal is not None
    if view.id == page.principal.actor:
        return page.done(PATH, "You cannot delete yourself: another admin has to do it.", "failed")
    await page.client.delete_user(view.id)
    page.server.credentials.forget()
    return page.done(PATH, f"{view.name or view.id} is deleted.")
