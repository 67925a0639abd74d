"""One move of many work items: first the question, with what would become of each; then the move, and its undo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from starlette.responses import Response

from holdfast.errors import Forbidden, UsageError
from holdfast.model.access import Role
from holdfast.web.form import Form
from holdfast.web.item_snooze import snooze_arguments, snooze_choices
from holdfast.web.page import Page
from holdfast.web.section import Section
from holdfast.web.templating import run_path
from holdfast.web.work_filters import Filters
from holdfast.web.work_parts import actor_of, chosen_ids, need, show, titles_of, workers_of
from holdfast.workqueue.bulk_orders import BulkMove
from holdfast.workqueue.views import ItemCount, ItemsOutcome, ItemsPreview

site = Section("items")

CHOSEN_AT_MOST = 1_000
REFUSALS_SHOWN = 8

SAYS = {
    "snooze": "Each leaves the queue of whoever has it, and comes back by itself.",
    "complete": "What was filled in is kept; one whose form is not filled in is refused, and stays as it is.",
    "skip": "They are not to be done, and do not come back.",
    "assign": "Each goes to whom you choose.",
    "escalate": "Somebody else is asked to look at each. They stay with whom they are assigned to.",
}
"""What each action does."""

LABELS = {
    "snooze": "Snooze", "complete": "Complete", "skip": "Skip", "assign": "Reassign", "escalate": "Escalate",
}  # fmt: skip

DONE = {
    "snooze": "snoozed", "complete": "completed", "skip": "skipped", "assign": "reassigned", "escalate": "escalated",
}  # fmt: skip


class Undo(NamedTuple):
    """A bulk operation that can be undone.

    Attributes:
        id: of the operation.
        many: how many items it changed, if it is known.
        capped: whether there may be more.
        back: where one goes afterwards.
    """

    id: str
    many: int | None
    capped: bool
    may_undo: bool
    back: str


def undo_of(page: Page, back: str, count: ItemCount | None = None) -> Undo | None:
    """The operation that a page's address names."""
    id = page.query.get("batch", "").strip()
    if not id:
        return None
    many = None if count is None else count.items
    return Undo(id, many, count is not None and count.capped, page.may(Role.ITEMS), page.with_query(batch=None))


@site.get("/work/bulk")
async def ask(page: Page) -> Response:
    """Which items it would be, and what would become of them."""
    need(page, Role.ITEMS)
    return await _question(page, chosen_ids(page))


@site.post("/work/bulk")
async def begin(page: Page) -> Response:
    """Do it, or take it back."""
    form = await page.form(Role.ITEMS)
    if page.query.get("undo"):
        return await _undo(page, form, page.query["undo"])
    ids = chosen_ids(page, form.all("id"))
    action = _action(page)
    which = await _which(page, action, ids)
    arguments = _arguments(form, action)
    if form.sound:
        with form.refusals(_FIELD[action]):
            done = await page.work.bulk(action, which, dry_run=False, **arguments)
            assert isinstance(done, ItemsOutcome)
            return _done(page, done, page.inside(form.values.get("back"), "/work/queue"))
    return await _question(page, ids, form)


_FIELD = {"snooze": "until", "complete": "", "skip": "reason", "assign": "to", "escalate": "to"}


def _action(page: Page) -> BulkMove:
    action = page.query.get("action", "")
    if action not in SAYS:
        raise UsageError(f"there is no action {action!r:.60}; there are {', '.join(SAYS)}")
    need(page, Role.OPERATOR if action == "assign" else Role.ITEMS)
    return cast("BulkMove", action)


async def _which(page: Page, action: str, ids: list[str]) -> list[str] | dict[str, Any]:
    """What is acted on: the items that were ticked, else those that the filters find.

    Raises:
        UsageError: too many were ticked, or none.
        Forbidden: it is not for whoever asks to move all that is found, or what others have.
    """
    if len(ids) > CHOSEN_AT_MOST:
        raise UsageError(f"at most {CHOSEN_AT_MOST:,} items are ticked at once; filter for them instead")
    if page.may(Role.OPERATOR):
        filters = Filters.read(page.query)
        return ids or {name: value for name, value in filters.arguments.items() if value is not None or name == "demo"}
    if not ids:
        raise UsageError("tick the items that are meant")
    me = actor_of(page)
    for id in ids:
        item = await page.work.get(id)
        if item.assignee not in (me, None) and item.escalated_to != me:
            raise Forbidden(f"{item.title!r:.100} is not yours; an operator moves the items of others")
    return ids


def _arguments(form: Form, action: str) -> dict[str, Any]:
    """What a form says, as arguments of `WorkQueue.bulk`."""
    if action == "snooze":
        form.values.pop("event", None)  # many items are put off until a day
        return snooze_arguments(form)
    if action == "skip":
        return {"reason": form.text("reason", most=2000, what="a reason")}
    if action == "assign":
        return {"to": form.text("to", needed=False, most=512) or None}
    if action == "escalate":
        return {"to": form.text("to", most=512, what="somebody")}
    return {}


_TRIED: Mapping[str, dict[str, Any]] = {
    "snooze": {"days": 1},
    "skip": {"reason": "to see what would become of it"},
    "assign": {"to": "?"},
    "escalate": {"to": "?"},
}
"""What is tried for an action while nothing has been filled in yet; nobody is called so."""


async def _question(page: Page, ids: list[str], form: Form | None = None) -> Response:
    action = _action(page)
    which = await _which(page, action, ids)
    preview = await page.work.bulk(action, which, dry_run=True, **_TRIED.get(action, {}))
    assert isinstance(preview, ItemsPreview)
    refused = [(id, why) for id, why in preview.outcomes.items() if why != "done"]
    back = page.inside((form.values.get("back") if form else None) or page.query.get("back"), "/work/queue")
    return await show(
        page,
        "pages/work_bulk.html",
        title=f"{LABELS[action]} many items",
        action=action,
        label=LABELS[action],
        says=SAYS[action],
        ids=ids,
        filters=Filters.read(page.query).given if not ids else {},
        preview=preview,
        refused=refused[:REFUSALS_SHOWN],
        more_refused=max(0, len(refused) - REFUSALS_SHOWN),
        titles=await titles_of(page, [id for id, _ in refused[:REFUSALS_SHOWN]]),
        choices=await snooze_choices(page) if action == "snooze" else [],
        people=await workers_of(page) if action in ("assign", "escalate") else {},
        back=back,
    )


def _done(page: Page, done: ItemsOutcome, back: str) -> Response:
    """Back to where the items were ticked, with what became of them and the way to take it back."""
    if done.run is not None:
        return page.done(run_path(done.run), "They are many: this run goes on with it, and shows how far it is.")
    word = DONE[done.action]
    said = f"{done.done:,} {'item is' if done.done == 1 else 'items are'} {word}."
    if done.refused:
        reasons = list(dict.fromkeys(why for why in done.outcomes.values() if why != "done"))
        said += f" {done.refused:,} {'was' if done.refused == 1 else 'were'} refused: {'; '.join(reasons[:3])}."
    to, _, query = back.partition("?")
    kept = dict(part.split("=", 1) for part in query.split("&") if "=" in part and not part.startswith("batch="))
    joined = "&".join(f"{name}={value}" for name, value in kept.items())
    address = f"{to}?{joined}" if joined else to
    return page.done(address, said, "done" if done.done else "failed", batch=done.id if done.done else None)


async def _undo(page: Page, form: Form, id: str) -> Response:
    """Take an operation back."""
    back = page.inside(form.values.get("back"), "/work/queue")
    with form.refusals():
        done = await page.work.undo(id)
        if done.run is not None:
            return page.done(run_path(done.run), "They are many: this run takes it back, and shows how far it is.")
        said = f"{done.done:,} {'item is' if done.done == 1 else 'items are'} as before."
        if done.refused:
            reasons = list(dict.fromkeys(why for why in done.outcomes.values() if why != "done"))
            said += f" {done.refused:,} stayed: {'; '.join(reasons[:3])}."
        return page.done(back, said, "done" if done.done else "failed")
    return page.done(back, " ".join(form.errors.values()), "failed")
