"""Subjects: whom work is about, what is measured of them, their scores and their items; taken in from CSV."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from holdfast.errors import UsageError
from holdfast.model.access import Role
from holdfast.web.charts import spark_chart
from holdfast.web.form import Form
from holdfast.web.page import Page
from holdfast.web.pages.charts import drawn, theme_of
from holdfast.web.pages.questions import question
from holdfast.web.paths import subject_path
from holdfast.web.section import Section
from holdfast.web.work_parts import need, people_of, policy_of, show, telling, workers_of
from holdfast.workqueue.views import Imported, SubjectView

site = Section("items")

PER_PAGE = 50
ITEMS_SHOWN = 20
FAULTS_SHOWN = 50
POINTS_DRAWN = 60


@site.get("/work/subjects")
async def subjects(page: Page) -> Response:
    """The tenant's subjects, by id."""
    after = page.query.get("after") or None
    text, assignee = page.query.get("q", "").strip(), page.query.get("assignee", "").strip()
    refused = ""
    found: list[SubjectView] = []
    try:
        found = await page.work.subjects(assignee=assignee or None, text=text or None, limit=PER_PAGE + 1, after=after)
    except UsageError as error:
        refused = str(error)
    shown = page.shown(found[:PER_PAGE])
    policy = await policy_of(page)
    return await show(
        page,
        "pages/work_subjects.html",
        status=422 if refused else 200,
        title="Work items",
        subjects=shown,
        telling={one.id: telling(one.signals, policy) for one in shown},
        text=text,
        assignee=assignee,
        refused=refused,
        people=[person.id for person in await people_of(page)],
        first=page.with_query(after=None) if after else None,
        next=page.with_query(after=shown[-1].id) if len(found) > PER_PAGE else None,
    )


@site.get("/work/subjects/{id:name}")
async def subject(page: Page) -> Response:
    """One subject."""
    return await _subject(page, page.request.path_params["id"])


@site.get("/work/subject")
async def subject_by_parameter(page: Page) -> Response:
    """One whose id cannot stand in a path."""
    return await _subject(page, page.query.get("id") or "-")


async def _subject(page: Page, id: str) -> Response:
    hidden: set[str] = set()
    view = page.shown(await page.work.get_subject(id), hidden)
    policy = await policy_of(page)
    items = await page.work.list(subject=id, demo=None, limit=ITEMS_SHOWN + 1)
    return await show(
        page,
        "pages/work_subject.html",
        title=view.name,
        subject=view,
        telling=telling(view.signals, policy),
        thresholds={"opportunity": policy.opportunity_score_min, "risk": policy.risk_score_min},
        items=page.shown(items[:ITEMS_SHOWN]),
        more_items=len(items) > ITEMS_SHOWN,
    )


@site.get("/charts/signal.svg")
async def signal(page: Page) -> Response:
    """A signal of a subject over time: a line for a cell of a table."""
    id, name = page.query.get("subject") or "-", page.query.get("name") or "-"
    # What is hidden from whoever asks is no line either.
    seen = page.shown(await page.work.get_subject(id))
    measured = await page.work.signals(id, name=name, limit=POINTS_DRAWN) if name in seen.signals else []
    values = [one.value for one in reversed(measured)]
    values = values * 2 if len(values) == 1 else values  # a line has two ends
    lowest = min(values, default=0.0)
    return await drawn(page, spark_chart, [value - min(lowest, 0.0) for value in values], theme_of(page))


# Made and changed


@site.get("/work/subject/edit")
async def ask_edit(page: Page) -> Response:
    """The form of a subject, or an empty one."""
    need(page, Role.OPERATOR)
    stands = await _stands(page)
    values = {} if stands is None else {"name": stands.name, "assignee": stands.assignee or ""}
    return await _form(page, stands, Form(values))


@site.post("/work/subject/edit")
async def edit(page: Page) -> Response:
    """Make a subject known, or change one."""
    form = await page.form(Role.OPERATOR)
    stands = await _stands(page)
    id = form.text("id", most=512, what="an id") if stands is None else stands.id
    properties, contacts = form.json("properties", needed=False), form.json("contacts", needed=False)
    if properties is not None and not isinstance(properties, dict):
        form.refuse("properties", 'Give an object, as in {"plan": "gold"}.')
    if contacts is not None and not isinstance(contacts, list):
        form.refuse("contacts", 'Give a list, as in [{"name": "Ada Okafor", "relationship_strength": "weak"}].')
    given: dict[str, Any] = {
        "name": form.text("name", needed=False, most=500) or id,
        "assignee": form.text("assignee", needed=False, most=512) or None,
        "revision": form.integer("revision", least=0),
    }
    if form.sound:
        with form.refusals():
            made = await page.work.put_subject(id, properties=properties, contacts=contacts, **given)
            said = "made known" if stands is None else "changed"
            return page.done(subject_path(made.id), f"{made.name} is {said}.")
    return await _form(page, stands, form)


async def _stands(page: Page) -> SubjectView | None:
    id = page.query.get("id", "")
    return await page.work.get_subject(id) if id else None


async def _form(page: Page, stands: SubjectView | None, form: Form) -> Response:
    return await show(
        page,
        "pages/subject_form.html",
        title="Make a subject known" if stands is None else f"Change {stands.name}",
        subject=stands,
        form=form,
        people=await workers_of(page),
    )


@site.get("/work/subject/delete")
async def ask_delete(page: Page) -> Response:
    """Ask whether to forget a subject."""
    need(page, Role.OPERATOR)
    view = await page.work.get_subject(page.query.get("id") or "-")
    return question(
        page,
        f"Forget {view.name}?",
        text="Its properties, contacts and signals are gone. Its items stay.",
        to="/work/subject/delete",
        label="Forget it",
        back=subject_path(view.id),
        kind="danger",
        fields={"id": view.id},
    )


@site.post("/work/subject/delete")
async def delete(page: Page) -> Response:
    """Forget a subject."""
    form = await page.form(Role.OPERATOR)
    view = await page.work.get_subject(form.text("id", most=512) or "-")
    await page.work.delete_subject(view.id)
    return page.done("/work/subjects", f"{view.name} is forgotten.")


# Taken in


@site.get("/work/subject/import")
async def ask_import(page: Page) -> Response:
    """Ask for a CSV file."""
    need(page, Role.OPERATOR)
    return await _import(page)


@site.post("/work/subject/import")
async def import_csv(page: Page) -> Response:
    """Take in the good lines of a CSV file, and tell the bad ones; or only look at it."""
    form = await page.form(Role.OPERATOR, files=True)
    content = form.files.get("file") or form.values.get("csv", "").encode("utf-8", "surrogatepass")
    outcome: Imported | None = None
    if not content.strip():
        form.refuse("file", "Choose a file, or paste its lines below.")
    only_look = form.ticked("dry_run")
    if form.sound:
        with form.refusals("file" if "file" in form.files else "csv"):
            outcome = await page.work.import_subjects(content, dry_run=only_look, name=form.names.get("file", ""))
            if not only_look and not outcome.refused:
                return page.done("/work/subjects", f"{outcome.stored:,} subjects are taken in.")
    return await _import(page, outcome, only_look)


async def _import(page: Page, outcome: Imported | None = None, only_look: bool = False) -> Response:
    return await show(
        page,
        "pages/subject_import.html",
        title="Take in subjects",
        outcome=outcome,
        only_look=only_look,
        faults=[] if outcome is None else outcome.faults[:FAULTS_SHOWN],
    )
