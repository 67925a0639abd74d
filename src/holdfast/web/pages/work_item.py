"""A work item: what it is, why it stands where it does, its task, what is to be done next, and its progress."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from holdfast.engine.browsing import journal_part
from holdfast.errors import RunNotFound
from holdfast.model.access import Role
from holdfast.model.run import JournalEntry, RunView
from holdfast.web.item_chat import chat_of, had
from holdfast.web.item_history import JOURNAL_AT_MOST, happenings, is_of_person
from holdfast.web.item_moves import IN_HEAD, answer_fields, ask, do, label_of, possible
from holdfast.web.item_steps import tracked
from holdfast.web.page import Page
from holdfast.web.paths import item_path
from holdfast.web.section import Section
from holdfast.web.work_parts import actor_of, is_ended, policy_of, show, telling, titles_of, today_of
from holdfast.workqueue.views import ItemView, LinksView

site = Section("items")

HISTORY_AT_MOST = 1000
LINKS_NAMED = 20

CHAT_PARTS = ("chat", "talk")
"""Parts of the page with the conversation: what was said, and that with the form."""


@site.get("/work/item")
async def item_by_parameter(page: Page) -> Response:
    """The same for an id that no path holds."""
    return await _item(page, page.query.get("id", ""))


@site.post("/work/item")
async def change_by_parameter(page: Page) -> Response:
    """The same for an id that no path holds."""
    return await do(page, page.query.get("id", ""))


@site.get("/work/{id:item}")
async def item(page: Page) -> Response:
    """An item, or the question that comes before something is done to it."""
    return await _item(page, page.request.path_params["id"])


@site.post("/work/{id:item}")
async def change(page: Page) -> Response:
    """Something is done to an item."""
    return await do(page, page.request.path_params["id"])


@site.get("/work/item/say")
async def said_by_parameter(page: Page) -> Response:
    """Where somebody is who loads a form again that was sent: back at the item."""
    return page.done(item_path(page.query.get("id") or "-"), "")


@site.post("/work/item/say")
async def say_by_parameter(page: Page) -> Response:
    """The same for an id that no path holds."""
    return await _say(page, page.query.get("id") or "-")


@site.get("/work/{id:item}/say")
async def said(page: Page) -> Response:
    """Where somebody is who goes to the address of a form that was sent: back at the item."""
    return page.done(item_path(page.request.path_params["id"]), "")


@site.post("/work/{id:item}/say")
async def say(page: Page) -> Response:
    """A turn of the conversation that belongs to an item."""
    return await _say(page, page.request.path_params["id"])


async def _say(page: Page, item_id: str) -> Response:
    form = await page.form(Role.ITEMS)
    item = page.shown(await page.work.get(item_id))
    if await had(page, form, item):
        if page.fragment is None:
            return page.done(f"{item_path(item.id)}#chat", "")
        page.form_sent = None
    return await _item(page, item_id)


async def _chat(page: Page, view: ItemView, hidden: set[str] | None = None) -> dict[str, Any]:
    """What the part with the conversation sees."""
    return {
        "chat": await chat_of(page, view, hidden),
        "stream": page.url("/work/live", of="item", id=view.id),
    }


async def _item(page: Page, item_id: str) -> Response:
    if page.query.get("do"):
        return await ask(page, item_id)
    hidden: set[str] = set()
    view = page.shown(await page.work.get(item_id), hidden)
    if page.fragment in CHAT_PARTS:
        return await show(page, "pages/work_item.html", item=view, **await _chat(page, view, hidden))
    run, entries = await _run(page, view, hidden)
    history = page.shown(await page.work.history(view.id, limit=HISTORY_AT_MOST), hidden)
    policy = await policy_of(page)
    links = await page.work.links(view.id)
    return await show(
        page,
        "pages/work_item.html",
        title=view.title,
        item=view,
        why=page.shown(await page.work.explain(view.id), hidden),
        links=links,
        linked=await _titles(page, links),
        run=run,
        moves=possible(page, view, IN_HEAD),
        label_of=label_of,
        may_change=page.may("worker-of-items") and not is_ended(view),
        has_task=bool(view.steps or view.form) and not is_ended(view) and not view.blocked,
        mine=view.assignee == actor_of(page),
        fields=answer_fields(view),
        next_steps=tracked(view.data, await today_of(page)),
        timeline=happenings(history, entries, run),
        is_of_person=is_of_person,
        telling=[] if view.about is None else telling(view.about.signals, policy),
        here=item_path(view.id),
        **(await _chat(page, view, hidden) if page.fragment is None else {}),
    )


async def _titles(page: Page, links: LinksView) -> dict[str, str]:
    """What the items are called that wait, or are waited for, by id; of the first of them."""
    ids = [one.on_item for one in links.waits_for if one.on_item is not None]
    ids += [one.item for one in links.waited_for_by]
    return await titles_of(page, ids[:LINKS_NAMED])


async def _run(page: Page, view: ItemView, hidden: set[str]) -> tuple[RunView | None, list[JournalEntry]]:
    """The run that waits for an item, or is held for it, with its journal; None where it is gone, or there is none."""
    if view.run is None:
        return None, []
    try:
        run = page.shown(await page.client.get(view.run), hidden)
        entries = page.shown(await journal_part(page.client, view.run, limit=JOURNAL_AT_MOST), hidden)
    except RunNotFound:
        return None, []
    return run, entries
