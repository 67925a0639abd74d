"""Audit: who did what, when, to what."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response

from holdfast.engine.auditing import AuditView
from holdfast.errors import UsageError
from holdfast.model.access import Role
from holdfast.web.page import Page
from holdfast.web.paths import definition_path, item_path, schedule_path, subject_path, workflow_path
from holdfast.web.section import Section
from holdfast.web.templating import run_path

site = Section("audit")

PER_PAGE = 50

KINDS = {
    "": "Everything",
    "run": "Runs",
    "runs": "Bulk jobs",
    "event": "Events",
    "queue": "Queues",
    "workflow": "Workflows",
    "schedule": "Schedules",
    "worker": "Workers",
    "retention": "Retention",
    "user": "People",
    "key": "API keys",
    "view": "Kept searches",
    "session": "Sign-ins",
    "item": "Work items",
    "items": "Bulk moves of work items",
    "subject": "Subjects",
    "subjects": "Subjects taken in",
    "definition": "Definitions of work",
    "work": "Set-up of work",
    "demo": "The demo",
}
"""What an action begins with, in words."""


@site.get("/audit")
async def audit(page: Page) -> Response:
    """The tenant's changes, newest first."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR)
    given = {name: page.query.get(name, "").strip() for name in ("actor", "action", "target")}
    refused = ""
    found: list[AuditView] = []
    try:
        found = await page.client.audit(
            limit=PER_PAGE + 1,
            before=page.query.get("before") or None,
            actor=given["actor"] or None,
            action=given["action"] or None,
            target=given["target"] or None,
        )
    except UsageError as error:
        refused = str(error)
    shown = page.shown(found[:PER_PAGE])
    return page.render(
        "pages/audit.html",
        status=422 if refused else 200,
        title="Audit",
        changes=shown,
        given=given,
        refused=refused,
        kinds=KINDS if given["action"] in KINDS else {**KINDS, given["action"]: given["action"]},
        target=_target,
        filtered=any(given.values()),
        first=page.with_query(before=None) if page.query.get("before") else None,
        next=page.with_query(before=shown[-1].id) if len(found) > PER_PAGE else None,
    )


def _target(change: AuditView) -> str | None:
    """The path of what was changed, if it has a page."""
    kind = change.action.partition(".")[0]
    if kind in ("run", "runs"):
        return run_path(change.target)
    if kind == "schedule" and change.action != "schedule.delete":
        return schedule_path(change.target)
    if kind == "workflow":
        return workflow_path(change.target)
    if kind == "item":
        return item_path(change.target)
    if kind == "items":
        return f"/work/queue?batch={quote(change.target, safe='')}"
    if kind == "subject" and change.action != "subject.delete":
        return subject_path(change.target)
    if kind == "definition":
        return definition_path(change.target)
    pages = {
        "work": "/work/settings", "demo": "/work?demo=yes", "subjects": "/work/subjects", "subject": "/work/subjects",
        "queue": "/queues", "worker": "/workers", "key": "/settings", "user": "/settings/people",
        "retention": "/settings/retention", "view": "/settings/searches",
    }  # fmt: skip
    return pages.get(kind)
