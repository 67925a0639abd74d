"""Cut-over: what two paths made of the same messages, word by word; whether one can take over; and who answers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, NamedTuple

from starlette.responses import Response

from holdfast.api import intake_views
from holdfast.engine.path_views import COMPARISONS, ComparedView
from holdfast.engine.publish_modes import ROLLBACK_WINDOW, PublishSettingView
from holdfast.errors import UsageError
from holdfast.model.access import Role
from holdfast.model.differing import Piece, word_pieces
from holdfast.web.kept import kept
from holdfast.web.message_parts import MODES
from holdfast.web.page import Page
from holdfast.web.pages.questions import question
from holdfast.web.pages.settings import setting_of
from holdfast.web.paths import cut_over_path
from holdfast.web.section import Section

site = Section("intake")

LIST_SHOWN = 20
"""So many comparisons are on a page: each is made word by word."""

FIGURES_SECONDS = 5.0
"""So old may the figures be, which count every message of their time."""


class Time(NamedTuple):
    """How far back is looked: its name in addresses, and for people."""

    name: str
    label: str
    days: int


TIMES = (Time("1d", "1 day", 1), Time("7d", "7 days", 7), Time("14d", "14 days", 14))

LABELS = {"same": "Same", "different": "Different", "missing": "Missing", "alone": "Alone"}
MEANS = {
    "same": "decided alike, in the same words",
    "different": "decided or said otherwise",
    "missing": "nothing is here",
    "alone": "the other told nothing yet",
}
DECIDED = {"sent": "sent", "review": "to a person", "withheld": "withheld", "failed": "failed"}

CRITERIA = {
    "durable_records": "Every entry has its run",
    "stage_records": "Every run has its steps",
    "automatic": "Everything works by itself",
    "escalation_safety": "At least as careful",
    "human_review": "A person's word where it is needed",
}


@site.get("/cut-over")
async def cut_over(page: Page) -> Response:
    """What two paths make of a workflow's messages."""
    workflow = page.query.get("workflow", "")
    which = page.query.get("which") if page.query.get("which") in COMPARISONS else None
    time = next((one for one in TIMES if one.name == page.query.get("span")), TIMES[-1])
    before = page.query.get("before") or None
    since = page.now - timedelta(days=time.days)
    found: list[ComparedView] = []
    refused = ""
    counts, report = await _figures(page, workflow, time)
    setting = setting_of(await page.client.publish_settings(), workflow)
    try:
        found = await page.client.compare(
            workflow,
            since=since,
            which=which,  # type: ignore[arg-type]  # it is one of them
            limit=LIST_SHOWN + 1,
            before=before,
        )
    except UsageError as error:
        refused = str(error)
    some = found[:LIST_SHOWN]
    return page.render(
        "pages/cut_over.html",
        status=422 if refused else 200,
        title=workflow,
        workflow=workflow,
        setting=setting,
        modes=MODES,
        refused=refused,
        report=report,
        criteria=CRITERIA,
        counts=counts,
        labels=LABELS,
        means=MEANS,
        decided=DECIDED,
        which=which,
        times=TIMES,
        time=time,
        compared=await _differences(page, some),
        first=page.with_query(before=None) if before else None,
        next=page.with_query(before=some[-1].id) if len(found) > LIST_SHOWN else None,
    )


async def _figures(page: Page, workflow: str, time: Time) -> Any:
    """How many messages compare how, and what the criteria say: up to some seconds old."""
    assert page.principal is not None
    since = page.now - timedelta(days=time.days)

    async def read() -> Any:
        client = page.client
        return (
            await client.count_compared(workflow, since=since),
            await client.cutover_criteria(workflow, since=since),
        )

    return await kept(page, FIGURES_SECONDS).get(("cut-over", page.principal.tenant, workflow, time.name), read)


async def _differences(page: Page, some: list[ComparedView]) -> list[tuple[ComparedView, list[Piece]]]:
    """Comparisons, each with how its texts differ; without both from whom something is hidden."""
    shown = intake_views.compared(some, page.redactor)
    if page.redactor is not None:
        return [(view, []) for view in shown]

    def pieces() -> list[tuple[ComparedView, list[Piece]]]:
        return [
            (view, word_pieces(view.their_text, view.text or "") if view.theirs is not None and view.text else [])
            for view in shown
        ]

    return await asyncio.to_thread(pieces)


# Who answers


async def _asked(page: Page) -> tuple[str, PublishSettingView]:
    """The workflow that something is asked of, by somebody who may, and how it is published."""
    assert page.principal is not None
    page.principal.need(Role.ADMIN)
    workflow = page.query.get("workflow", "")
    return workflow, setting_of(await page.client.publish_settings(), workflow)


@site.get("/cut-over/cut")
async def ask_cut_over(page: Page) -> Response:
    """Ask whether to let this path answer."""
    workflow, _ = await _asked(page)
    return await _cut_over(page, workflow)


@site.post("/cut-over/cut")
async def do_cut_over(page: Page) -> Response:
    """Let this path answer."""
    form = await page.form(Role.ADMIN)
    workflow = form.text("workflow", most=512, what="a workflow")
    form.duration("window")
    if form.sound:
        with form.refusals():
            await page.client.cut_over(workflow, form.values.get("window", "").strip() or ROLLBACK_WINDOW)
            return page.done(cut_over_path(workflow), "What comes in from now on is answered here.")
    return await _cut_over(page, workflow)


async def _cut_over(page: Page, workflow: str) -> Response:
    _, report = await _figures(page, workflow, TIMES[-1])
    return page.render(
        "pages/cut_over_ask.html",
        title=f"Let this path answer for {workflow}?",
        workflow=workflow,
        window=ROLLBACK_WINDOW,
        report=report,
        criteria=CRITERIA,
    )


@site.get("/cut-over/back")
async def ask_roll_back(page: Page) -> Response:
    """Ask whether to let the other path answer."""
    workflow, _ = await _asked(page)
    return question(
        page,
        f"Let the other path answer for {workflow}?",
        text="What comes in from now on is handed to the other path, and its runs here work in shadow: what they "
        "publish is recorded and not sent. What began here ends here.",
        to="/cut-over/back",
        label="Let the other path answer",
        back=cut_over_path(workflow),
        kind="danger",
        fields={"workflow": workflow},
    )


@site.post("/cut-over/back")
async def roll_back(page: Page) -> Response:
    """Let the other path answer."""
    form = await page.form(Role.ADMIN)
    workflow = form.text("workflow", most=512, what="a workflow")
    with form.refusals():
        await page.client.roll_back(workflow)
    if not form.sound:
        return page.done("/intake", " ".join(form.errors.values()), "failed")
    return page.done(cut_over_path(workflow), "What comes in from now on is answered by the other path.")
