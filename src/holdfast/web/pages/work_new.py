"""A work item made by hand: of a definition or of its own, for oneself or, by operators, for others."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from starlette.responses import Response

from holdfast.errors import DefinitionNotFound, Forbidden, SubjectNotFound
from holdfast.model.access import Role
from holdfast.web.form import Form
from holdfast.web.page import Page
from holdfast.web.paths import item_path
from holdfast.web.section import Section
from holdfast.web.work_parts import TYPES, actor_of, groups_of, need, show, workers_of, zone_of

site = Section("items")


@site.get("/work/new")
async def ask(page: Page) -> Response:
    """The form; parameters of the address fill it in."""
    need(page, Role.ITEMS)
    names = ("definition", "title", "text", "subject", "due", "type")
    values = {name: page.query.get(name, "") for name in names} | {"assignee": actor_of(page)}
    return await _form(page, Form(values))


@site.post("/work/new")
async def make(page: Page) -> Response:
    """Make the item, and show it."""
    form = await page.form(Role.ITEMS)
    title = form.text("title", needed=not form.values.get("definition"), most=200, what="a title")
    definition = form.text("definition", needed=False, most=512)
    assignee, group = form.text("assignee", needed=False, most=512), form.text("group", needed=False, most=512)
    if not page.may(Role.OPERATOR) and (assignee != actor_of(page) or group):
        raise Forbidden("an item for others takes the role operator; make one for yourself")
    given: dict[str, Any] = {
        "title": title or None,
        "text": form.text("text", needed=False),
        "subject": form.text("subject", needed=False, most=512) or None,
        "assignee": None if group else assignee or None,
        "group": group or None,
        "due": await _due(page, form),
    }
    if not definition:
        given["type"] = form.choice("type", TYPES)
    if form.sound:
        with form.refusals():
            try:
                made = await page.work.create(definition or None, **given)
                return page.done(item_path(made.id), f"{made.title} is made.")
            except SubjectNotFound as error:
                form.refuse("subject", str(error))
            except DefinitionNotFound as error:
                form.refuse("definition", str(error))
    return await _form(page, form)


async def _due(page: Page, form: Form) -> datetime | None:
    """The end of a day in the zone of whoever asks."""
    value = form.text("due", needed=False, most=10)
    if not value:
        return None
    try:
        day = datetime.fromisoformat(value).date()
    except ValueError:
        form.refuse("due", "Give a date such as 2026-12-01.")
        return None
    return datetime.combine(day, time(23, 59, 59), await zone_of(page))


async def _form(page: Page, form: Form) -> Response:
    definitions = await page.work.definitions()
    return await show(
        page,
        "pages/work_new.html",
        title="A new work item",
        form=form,
        definitions={"": "(none: of its own)"} | {one.id: one.name for one in definitions if not one.demo},
        types=TYPES,
        people=await workers_of(page),
        groups=await groups_of(page),
    )
