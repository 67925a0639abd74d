"""Dead letters: failed runs, by what went wrong or one by one, retried or forked; and dead messages and entries."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.responses import Response

from holdfast.api import intake_views, message_views
from holdfast.engine.intake_views import EntryView
from holdfast.engine.messages import MessageView
from holdfast.errors import RunNotFound, UsageError
from holdfast.model.run import RunView
from holdfast.web.page import Page
from holdfast.web.pages.overview import failures_of, overview_of
from holdfast.web.paths import search
from holdfast.web.section import Section
from holdfast.web.wanting import wanting_of

site = Section("dead-letters")

PER_PAGE = 50
BESIDE = 10
"""So many dead messages and entries are shown beside the runs, the newest."""

LOOK_AT_ONCE = 200
LOOK_AT_MOST = 1000
"""So many failed runs are looked at for those with an error of one type."""


@dataclass(frozen=True, slots=True)
class Found:
    """Failed runs of a page. ``behind``: the id of the last one looked at, where there may be more."""

    runs: list[RunView]
    behind: str | None
    looked_at: int


@site.get("/dead-letters")
async def dead_letters(page: Page) -> Response:
    """Failed runs, newest first, below what went wrong."""
    workflow, error = page.query.get("workflow") or None, page.query.get("error") or None
    before = None
    if page.query.get("before"):
        try:
            before = await page.client.get(page.query["before"])
        except (RunNotFound, UsageError):
            return page.done(
                "/dead-letters", "The run at which that page began is gone; this is the first page.", "failed"
            )
    now, wanting = await asyncio.gather(overview_of(page), wanting_of(page))
    messages: list[MessageView] = []
    entries: list[EntryView] = []
    if wanting.messages.dead.messages and not (workflow or error or before):
        messages = await page.client.messages(status="dead", limit=BESIDE)
    if wanting.dead_entries and not (workflow or error or before):
        entries = await page.client.entries(outcome="dead", limit=BESIDE)
    found = await _find(page, workflow, error, before)
    wanted = {"status": "failed"} if workflow is None else {"status": "failed", "workflow": workflow}
    return page.render(
        "pages/dead_letters.html",
        title="Dead letters",
        groups=failures_of(page, now),
        wanting=wanting,
        messages=message_views.listed(messages, page.redactor),
        entries=intake_views.entries(entries, page.redactor),
        total=now.dead_letters,
        found=found,
        runs=page.shown(found.runs),
        workflow=workflow,
        error=error,
        query=search(**wanted),
        looked_at_most=LOOK_AT_MOST,
        first=page.with_query(before=None) if before is not None else None,
        next=page.with_query(before=found.behind) if found.behind is not None else None,
    )


async def _find(page: Page, workflow: str | None, error: str | None, before: RunView | None) -> Found:
    """The next failed runs. The type of an error is in no index: so many are looked at, and no more."""
    found: list[RunView] = []
    looked_at = 0
    limit = PER_PAGE + 1 if error is None else LOOK_AT_ONCE
    while looked_at < LOOK_AT_MOST:
        portion = await page.client.list(workflow=workflow, status="failed", limit=limit, before=before)
        for run in portion:
            if len(found) == PER_PAGE:
                return Found(found, before.id if before is not None else None, looked_at)
            looked_at += 1
            before = run
            if error is None or (run.error is not None and run.error["type"] == error):
                found.append(run)
        if len(portion) < limit:
            return Found(found, None, looked_at)
    return Found(found, before.id if before is not None else None, looked_at)
