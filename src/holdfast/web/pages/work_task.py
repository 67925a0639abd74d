"""Task mode: an item full screen, one page for each of its steps; what is filled in is kept; then the next item."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from starlette.responses import Response

from holdfast.api.redaction import HIDDEN
from holdfast.errors import ItemChanged, PayloadError
from holdfast.model.access import Role
from holdfast.model.work import ItemDocument
from holdfast.web.form import Form
from holdfast.web.item_moves import answers, free_answer, place, possible, revision_of
from holdfast.web.page import Page
from holdfast.web.pages.work_mine import next_task
from holdfast.web.paths import item_path
from holdfast.web.schema_form import SchemaField, fields_of, filled
from holdfast.web.section import Section
from holdfast.web.text import in_line
from holdfast.web.work_parts import is_ended, need, policy_of, show, telling
from holdfast.workqueue.forms import check_answers
from holdfast.workqueue.views import ItemView

site = Section("work")


class Task(NamedTuple):
    """A page of a task.

    Attributes:
        kind: of a step, with the item's own form, or the one that completes it.
        step: the id of the step.
        title: as people call it.
        done: whether it is filled in.
        data: what is.
    """

    kind: Literal["step", "form", "end"]
    step: str
    title: str
    text: str
    done: bool
    form: dict[str, Any] | None
    data: dict[str, Any]

    @property
    def fields(self) -> list[SchemaField]:
        """What is to be filled in, with what is already."""
        return [] if self.form is None else filled(fields_of(self.form, nested=True), self.data, HIDDEN)

    @property
    def answers(self) -> list[tuple[str, str]]:
        """What is filled in: what each is called, and its value in a line."""
        return [(one.title, in_line(one.value, 300)) for one in self.fields if one.value]


def tasks_of(item: ItemView) -> list[Task]:
    """The pages of an item's task: its steps, its own form, and the one that completes it."""
    pages = [Task("step", one.id, one.title or one.id, one.text, one.done, one.form, one.data) for one in item.steps]
    if item.form is not None:
        done = any(name in item.data for name in item.form.get("properties", {}))
        pages.append(
            Task("form", "", "What is asked" if item.kind == "ask" else "The outcome", "", done, item.form, item.data)
        )
    return [*pages, Task("end", "", "Complete it", "", is_ended(item), None, {})]


@site.get("/work/{id:item}/do")
async def task(page: Page) -> Response:
    """A page of an item's task."""
    return await _task(page, page.request.path_params["id"])


@site.get("/work/item/do")
async def task_by_parameter(page: Page) -> Response:
    """The same for an id that no path holds."""
    return await _task(page, page.query.get("id") or "-")


@site.post("/work/{id:item}/do")
async def work(page: Page) -> Response:
    """Keep what is filled in on a page, and go on."""
    return await _work(page, page.request.path_params["id"])


@site.post("/work/item/do")
async def work_by_parameter(page: Page) -> Response:
    """The same for an id that no path holds."""
    return await _work(page, page.query.get("id") or "-")


async def _task(page: Page, item_id: str, form: Form | None = None) -> Response:
    need(page, Role.ITEMS)
    item = page.shown(await page.work.get(item_id))
    pages = tasks_of(item)
    here = _chosen(pages, page.query.get("step"))
    one = pages[here]
    policy = await policy_of(page)
    queue = await page.work.queue(limit=100, demo=item.demo)
    return await show(
        page,
        "pages/work_task.html",
        title=item.title,
        item=item,
        pages=pages,
        here=here,
        one=one,
        last=one.kind == "end",
        fields=one.fields,
        free=_is_free(item),
        missing=[other for other in pages[:-1] if other.form is not None and not other.done],
        left=len([other for other in queue if other.id != item.id]),
        telling=[] if item.about is None else telling(item.about.signals, policy),
        moves=possible(page, item, ("snooze", "escalate", "skip", "reject")),
        claims=possible(page, item, ("claim",)),
        back=item_path(item.id),
        step_path=lambda place: item_path(item.id, "do", step=place + 1),
    )


def _chosen(pages: list[Task], number: str | None) -> int:
    """The place of the page that is shown: the one of that number, from 1, else the first that is not done."""
    if number is not None and number.isascii() and number.isdecimal() and 0 < int(number[:6]) <= len(pages):
        return int(number) - 1
    return next((place for place, one in enumerate(pages) if not one.done), len(pages) - 1)


def _is_free(item: ItemView) -> bool:
    """Whether a run asks for whatever somebody answers."""
    return item.kind == "ask" and item.form is None and not item.steps


async def _work(page: Page, item_id: str) -> Response:
    form = await page.form(Role.ITEMS)
    item = page.shown(await page.work.get(item_id))
    pages = tasks_of(item)
    here = _chosen(pages, page.query.get("step"))
    with form.refusals():
        if pages[here].kind == "end":
            done = await _complete(page, item, form)
            if done is not None:
                return done
        elif await _save(page, item, pages[here], form):
            if form.values.get("go") == "leave":
                return page.done(item_path(item.id), "What you filled in is kept.")
            return page.done(item_path(item.id, "do", step=min(here + 2, len(pages))), "")
    return await _task(page, item_id, form)


async def _save(page: Page, item: ItemView, one: Task, form: Form) -> bool:
    """Keep what a page has; whether that was done."""
    fields, revision = one.fields, revision_of(form)
    patch = answers(form, fields, one.data)
    if not form.sound or (one.kind == "step" and one.form is not None and not _fits(form, one, patch)):
        return False
    wanted = patch if one.kind == "form" else {one.step: patch}
    if not wanted or (not fields and one.done):
        return True
    try:
        if item.status != "underway" and "underway" in item.moves:
            revision = (await page.work.start(item.id, revision=revision)).revision
        await page.work.save(item.id, wanted, revision=revision)
    except PayloadError as error:
        place(form, error, "data" if one.kind == "form" else f"data.{one.step}")
    except ItemChanged as error:
        form.refuse("", f"{error}. What you filled in is still here: look at it, and keep it again.")
    return form.sound


def _fits(form: Form, one: Task, patch: dict[str, Any]) -> bool:
    """Whether a step's answers fit its form, as far as whoever fills it in sees them."""
    whole = {name: value for name, value in {**one.data, **patch}.items() if value is not None}
    if any(value == HIDDEN for value in whole.values()):
        return True
    try:
        check_answers(ItemDocument(form=one.form), whole)
    except PayloadError as error:
        place(form, error)
        return False
    return True


async def _complete(page: Page, item: ItemView, form: Form) -> Response | None:
    """Be done with an item, and go on to the next of the queue; None where something in the form is wrong."""
    data = free_answer(form) if _is_free(item) else {}
    if not form.sound:
        return None
    demo = "yes" if item.demo else ""
    after = await next_task(page, item.id, demo=item.demo)
    await page.work.complete(item.id, data or None, revision=revision_of(form))
    if after is None:
        return page.done("/work", f"{item.title} is completed, and there is nothing else to do.", demo=demo)
    return page.done(after, f"{item.title} is completed. This is next.")
