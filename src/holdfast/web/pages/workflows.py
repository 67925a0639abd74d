"""Workflows: how the runs of each fare, which versions are in use, and its steps as last run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from time import monotonic

from starlette.responses import Response

from holdfast.engine.browsing import journal_part
from holdfast.engine.client import Client
from holdfast.engine.finding import WorkflowView
from holdfast.engine.overview import Stats, WorkflowStats
from holdfast.engine.versions import latest
from holdfast.errors import UnknownWorkflow
from holdfast.model.access import Role
from holdfast.model.run import RunView, Status
from holdfast.model.schema import terms_of
from holdfast.web.graph import HIGH, WIDE, Graph, step_graph
from holdfast.web.kept import kept
from holdfast.web.page import Page
from holdfast.web.pages.charts import bars_of, stats_of
from holdfast.web.pages.overview import failures_of, overview_of
from holdfast.web.pages.questions import question
from holdfast.web.paths import workflow_path
from holdfast.web.rules import rules_of
from holdfast.web.section import Section
from holdfast.web.spans import SPANS, span_named

site = Section("workflows")

SHOWN_AT_MOST = 200
"""So many workflows are on a page."""

GRAPH_SECONDS = 10.0
SLOW_FROM_SECONDS, SLOW_SECONDS = 1.0, 600.0
"""What took so long to find is kept for longer: a workflow that has not run for a million others is far to find."""

MOMENT_SECONDS, PATIENCE_SECONDS = 0.25, 2.0
"""So long a page waits for the newest run, and so long the part of it that is renewed afterwards."""

NEWEST = 20
"""Of so many of the newest runs the first that has begun is shown."""

ENTRIES_AT_MOST = 1000

NOTHING = WorkflowStats(0, 0, None, None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class Served:
    """A version of a workflow, and how many living workers serve it."""

    version: str
    workers: int


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run that has begun, and its steps.

    Attributes:
        run: it; one that has not begun, where none has; None where there is none.
        graph: its steps; None where it has not begun.
        far: it has not been found yet.
        cut: its journal is longer than what was read of it.
    """

    run: RunView | None
    graph: Graph | None
    far: bool = False
    cut: bool = False


@site.get("/workflows")
async def workflows(page: Page) -> Response:
    """Every workflow that a worker has registered, that is paused, or of which runs ended."""
    span = span_named(page.query.get("span"))
    known, stats = await asyncio.gather(page.client.workflows(), stats_of(page, span))
    listed = _with_ended(known, stats)
    wanted = page.query.get("q", "").strip().casefold()
    found = [one for one in listed if wanted in one.name.casefold()]
    return page.render(
        "pages/workflows.html",
        title="Workflows",
        workflows=found[:SHOWN_AT_MOST],
        left_out=max(0, len(found) - SHOWN_AT_MOST),
        stats=stats,
        nothing=NOTHING,
        span=span,
        spans=list(SPANS.values()),
        wanted=page.query.get("q", ""),
        any=bool(listed),
    )


def _with_ended(known: list[WorkflowView], stats: Stats) -> list[WorkflowView]:
    """Those known, and those whose runs ended though nobody has registered them."""
    names = {one.name for one in known}
    others = [WorkflowView(name, [], False) for name in stats.workflows if name not in names]
    return sorted([*known, *others], key=lambda one: one.name)


@site.get("/workflow")
async def workflow_by_query(page: Page) -> Response:
    """A workflow whose name cannot stand in a path."""
    return await _workflow(page, page.query.get("name", ""))


@site.get("/workflows/{name:name}")
async def workflow(page: Page) -> Response:
    """One workflow."""
    return await _workflow(page, page.request.path_params["name"])


async def _workflow(page: Page, name: str) -> Response:
    span = span_named(page.query.get("span"))
    known, stats, found, now, schedules, workers = await asyncio.gather(
        page.client.workflows(), stats_of(page, span), bars_of(page, span, frozenset({name})), overview_of(page),
        page.client.schedules(), page.client.workers(),
    )  # fmt: skip
    stands = next((one for one in known if one.name == name), None)
    last = LastRun(None, None)
    if page.fragment in (None, "last"):
        last = await _last_run(page, name)
    if stands is None and name not in stats.workflows and last.run is None and not last.far:
        raise UnknownWorkflow(f"there is no workflow {name!r} here", workflow=name)
    alive = [worker for worker in workers if worker.alive]
    versions = stands.versions if stands is not None else []
    newest = latest(await page.client.reads.list_workflows(), name)
    return page.render(
        "pages/workflow.html",
        title=name,
        name=name,
        paused=stands is not None and stands.paused,
        registered=bool(versions),
        versions=[Served(one, sum(f"{name} {one}" in worker.serves for worker in alive)) for one in reversed(versions)],
        figures=stats.workflows.get(name, NOTHING),
        bars=found,
        failures=[group for group in failures_of(page, now) if group.workflow == name],
        newest=newest,
        rules=[] if newest is None else rules_of(terms_of(newest.input_schema)),
        stranded=[kind for kind in now.stranded if kind.workflow == name],
        schedules=[one for one in schedules if one.workflow == name],
        last=last,
        box=(WIDE, HIGH),
        span=span,
        spans=list(SPANS.values()),
    )


async def _last_run(page: Page, name: str) -> LastRun:
    """What is known of a workflow's newest run: a page waits for it but a moment; it is found all the same."""
    key = ("last run", page.client.tenant, name)
    slow: LastRun | None = kept(page, SLOW_SECONDS).peek(key)
    if slow is not None:
        return slow

    async def find() -> LastRun:
        begun = monotonic()
        found = await _find_last(page.client, name)
        if monotonic() - begun > SLOW_FROM_SECONDS:
            await kept(page, SLOW_SECONDS).get(key, partial(_as_it_is, found))
        return found

    try:
        async with asyncio.timeout(MOMENT_SECONDS if page.fragment is None else PATIENCE_SECONDS):
            found: LastRun = await kept(page, GRAPH_SECONDS).get(key, find)
            return found
    except TimeoutError:
        return LastRun(None, None, far=True)


async def _as_it_is(found: LastRun) -> LastRun:
    return found


async def _find_last(client: Client, name: str) -> LastRun:
    """The newest run of a workflow that has begun, and its steps."""
    runs = await client.list(workflow=name, limit=NEWEST)
    begun = [run for run in runs if run.status != Status.QUEUED]
    if runs and not begun:
        begun = await client.list(workflow=name, status=Status.RUNNING, limit=1)
    if not begun:
        return LastRun(runs[0] if runs else None, None)
    entries = await journal_part(client, begun[0].id, limit=ENTRIES_AT_MOST)
    return LastRun(begun[0], step_graph(entries), cut=len(entries) >= ENTRIES_AT_MOST)


@site.get("/workflow/pause")
async def ask_pause(page: Page) -> Response:
    """Ask whether to pause a workflow."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR, shared=True)
    name = page.query.get("name", "")
    return question(
        page,
        f"Pause {name}?",
        text="No worker claims runs of it, in any queue and version, until it is resumed; what executes goes on. "
        "It holds for every tenant.",
        to="/workflow/pause",
        label="Pause it",
        back=workflow_path(name),
        fields={"name": name},
    )


@site.post("/workflow/pause")
async def pause(page: Page) -> Response:
    """Pause a workflow."""
    form = await page.form(Role.OPERATOR, shared=True)
    name = form.text("name", most=512)
    with form.refusals():
        await page.client.pause_workflow(name)
    return _done(page, name, f"{name} is paused: no worker claims runs of it.")


@site.post("/workflow/resume")
async def resume(page: Page) -> Response:
    """Let workers claim runs of a workflow again."""
    form = await page.form(Role.OPERATOR, shared=True)
    name = form.text("name", most=512)
    with form.refusals():
        await page.client.resume_workflow(name)
    return _done(page, name, f"Workers claim runs of {name} again.")


def _done(page: Page, name: str, message: str) -> Response:
    """Back to the workflow: it is done, or this is why not."""
    assert page.form_sent is not None
    if page.form_sent.sound:
        return page.done(workflow_path(name), message)
    return page.done("/workflows", " ".join(page.form_sent.errors.values()), "failed")
