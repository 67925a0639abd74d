"""One action on every run that a search finds: first the question, with the count and examples; then the job."""

from __future__ import annotations

from typing import cast, get_args

from starlette.responses import Response

from holdfast.engine.bulk import EXAMPLES, BulkAction
from holdfast.errors import UsageError
from holdfast.model.access import Role
from holdfast.web.form import Form
from holdfast.web.page import Page
from holdfast.web.pages.runs import COUNT_AT_MOST, read_search
from holdfast.web.query import QueryError, shown_place
from holdfast.web.section import Section
from holdfast.web.templating import run_path

site = Section("runs")

EVERY = "created_at <= 'now'"
"""Every run, in the search language."""

CHOSEN_AT_MOST = 1_000

SAYS = {
    "cancel": "Cancel them: each is told to clean up and to end; their child runs too.",
    "hold": "Hold them: they take no further step until they are released.",
    "release": "Release those of them that are held.",
    "retry": "Retry those of them that failed or were cancelled, each from where it failed.",
    "fork": "Start a fork of each of them, from a step of your choice.",
}


@site.get("/bulk")
async def ask(page: Page) -> Response:
    """Which runs it would be, and what would be done."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR)
    return await _question(page, page.request.query_params.getlist("id"))


@site.post("/bulk")
async def begin(page: Page) -> Response:
    """Start the job, and show it."""
    form = await page.form(Role.OPERATOR)
    ids = form.all("id")
    action = _action(page)
    where = _where(page, ids)
    reason = form.text("reason", needed=False, most=1000)
    step = form.text("step", most=512, what="the name of a step") if action == "fork" else None
    if form.sound:
        assert page.principal is not None
        with form.refusals("step" if action == "fork" else ""):
            job = await page.client.bulk(
                action, where, reason=reason if action in ("cancel", "hold") else "", by=page.principal.name[:200],
                from_step=step,
            )  # fmt: skip
            return page.done(run_path(job.id), "The job is started: this page shows how far it is.")
    return await _question(page, ids, form)


def _action(page: Page) -> BulkAction:
    action = page.query.get("action", "")
    if action not in get_args(BulkAction):
        raise UsageError(f"there is no action {action!r:.60}; there are {', '.join(get_args(BulkAction))}")
    return cast("BulkAction", action)


def _where(page: Page, ids: list[str]) -> str:
    """What is acted on, in the search language: the runs that were ticked, else those that the line finds."""
    if ids:
        if len(ids) > CHOSEN_AT_MOST:
            raise UsageError(f"at most {CHOSEN_AT_MOST:,} runs are ticked at once; search for them instead")
        return f"id in ({', '.join(_literal(one) for one in ids)})"
    text = page.query.get("q", "")
    try:
        return read_search(page, text).where or EVERY
    except QueryError as error:
        before, word, after = shown_place(text, error.position)
        raise UsageError(f"the search cannot be read: {error}\n{before}»{word}«{after}") from None


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


async def _question(page: Page, ids: list[str], form: Form | None = None) -> Response:
    action = _action(page)
    where = _where(page, ids)
    count = await page.client.count(where, cap=COUNT_AT_MOST)
    found = await page.client.list(where=where, limit=EXAMPLES)
    return page.render(
        "pages/bulk.html",
        title=f"{action.capitalize()} many runs",
        action=action,
        says=SAYS[action],
        text=page.query.get("q", "") if not ids else "",
        ids=ids,
        count=count,
        found=page.shown(found),
    )
