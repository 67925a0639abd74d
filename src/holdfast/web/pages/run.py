"""A run: what it is, why it is not moving, its timeline, the chosen entry, its children and forks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from starlette.responses import Response

from holdfast.api import message_views
from holdfast.api.redaction import cleaned
from holdfast.engine.browsing import entries_at, journal_part
from holdfast.engine.views import run_view
from holdfast.errors import UsageError
from holdfast.model.duration import seconds
from holdfast.model.events import ITEM_EVENT
from holdfast.model.explanation import lane_name
from holdfast.model.run import JournalEntry, Kind, RunView, Status
from holdfast.web.actions import ask, do, possible
from holdfast.web.cost_figures import days_around
from holdfast.web.diversion_parts import of_run
from holdfast.web.model_use import made_by
from holdfast.web.page import Page
from holdfast.web.run_streams import follow, streams_shown
from holdfast.web.section import Section
from holdfast.web.timeline import Row, Tick, Window, bars, rows, run_row, ticks, window_of, work_of

site = Section("runs")

ENTRIES = 200
"""So many entries are on one page of a timeline."""

CHILDREN = 20
MESSAGES = 20

_COMMAND = re.compile(r"; (release it|let it go on) with `[^`]*`$")
"""What an explanation advises to type; here are buttons for it."""

ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class Chart:
    """A timeline as it is drawn.

    Attributes:
        rows: the run's own row first.
        window: the stretch of time that is shown.
        ticks: on its axis.
        after: where the following page begins; None on the last.
        since, until: the window's ends in seconds after the run's creation.
        zoomed: whether the window is not the whole run.
        work: where what executed begins and ends, as ``since``, if it fills little of the window.
    """

    rows: list[Row]
    window: Window
    ticks: list[Tick]
    after: str | None
    since: float
    until: float
    zoomed: bool
    work: tuple[float, float] | None


@site.get("/runs/{id:name}")
async def run(page: Page) -> Response:
    """A run, or the question that comes before something is done to it."""
    return await _run(page, page.request.path_params["id"])


@site.get("/run")
async def run_by_parameter(page: Page) -> Response:
    """The same for an id that no path holds."""
    return await _run(page, page.query.get("id", ""))


@site.get("/streams/live")
async def live_streams(page: Page) -> Response:
    """What tells when the streams of a run are to be shown anew."""
    return await follow(page)


@site.post("/runs/{id:name}")
async def change(page: Page) -> Response:
    """Something is done to a run."""
    return await do(page, page.request.path_params["id"])


@site.post("/run")
async def change_by_parameter(page: Page) -> Response:
    """The same for an id that no path holds."""
    return await do(page, page.query.get("id", ""))


async def _run(page: Page, run_id: str) -> Response:
    if page.query.get("do"):
        return await ask(page, run_id)
    hidden: set[str] = set()
    view = page.shown(run_view(await page.client._find(run_id)), hidden)
    lane = lane_name if page.redactor is None else page.redactor.lane
    why = cleaned(await page.client._explained(run_id, lane), hidden) if view.status not in ENDED else None
    blocking, item = await _blocking(page, view) if view.status not in ENDED else ([], None)
    chart = await _chart(page, view)
    children = await page.client.children(view.id, limit=CHILDREN + 1, after=page.query.get("children"))
    chosen = await _chosen(page, view, hidden)
    made = await made_by(page, view.id, hidden)
    messages = await page.client.messages(run=view.id, limit=MESSAGES + 1)
    streams, more_streams = await streams_shown(page, view.id, hidden)
    return page.render(
        "pages/run.html",
        title=view.id,
        run=view,
        why=[_COMMAND.sub("", line) for line in why.splitlines()] if why else None,
        blocking=blocking,
        item=item,
        chart=chart,
        bars=bars,
        chosen=chosen,
        entry_position=page.query.get("entry"),
        made=made,
        around=days_around(view.created_at.astimezone(UTC).date(), page.now.date()),
        children=page.shown(children[:CHILDREN]),
        messages=message_views.listed(messages[:MESSAGES], page.redactor),
        more_messages=len(messages) > MESSAGES,
        streams=streams,
        more_streams=more_streams,
        starts=await of_run(page, view.id),
        more_children=children[CHILDREN - 1].id if len(children) > CHILDREN else None,
        actions=possible(view) if page.may("operator") else [],
        stream=_stream(page, view),
        history=_history(page, view),
    )


async def _blocking(page: Page, view: RunView) -> tuple[list[str], str | None]:
    """The runs that a run waits for: those that hold its lane, and its children; at most twenty. And its work item."""
    standing = await page.client.reads.standing((await page.client._find(view.id)).uid)
    holders = [run for run, _ in standing.holders] if standing.place == "lane" else []
    item = next((key for name, key, _ in standing.waits if name == ITEM_EVENT), None)
    return list(dict.fromkeys([*holders, *standing.children])), item


def _stream(page: Page, view: RunView) -> str:
    """What tells when the run is to be shown anew. Of one that has ended nothing but the run itself may change."""
    if view.status in ENDED or view.id in (".", ".."):
        literal = "'" + view.id.replace("'", "''") + "'"
        return page.url("/api/v1/live", where=f"id = {literal}")
    return page.url(f"/api/v1/runs/{quote(view.id, safe='')}/live")


def _history(page: Page, view: RunView) -> str | None:
    """Where all that the run has recorded is had as a file; not by who may not see all of it."""
    if page.redactor is not None or view.id in (".", ".."):
        return None
    return page.url(f"/api/v1/runs/{quote(view.id, safe='')}/history/export")


async def _chart(page: Page, view: RunView) -> Chart:
    since, until = _offset(page, "from"), _offset(page, "until")
    begin = view.created_at
    entries = await journal_part(
        page.client,
        view.id,
        limit=ENTRIES,
        after=page.query.get("after") or None,
        since=None if since is None else _later(begin, since),
        until=None if until is None else _later(begin, until),
    )
    entries = page.shown([entry for entry in entries if entry.kind != Kind.PATCH])
    shown = [run_row(view, page.now), *rows(entries, page.now)]
    window = window_of(view, shown, page.now, since, until)
    return Chart(
        rows=shown,
        window=window,
        ticks=ticks(window, begin),
        after=entries[-1].position if len(entries) >= ENTRIES else None,
        since=(window.since - begin).total_seconds(),
        until=(window.until - begin).total_seconds(),
        zoomed=since is not None or until is not None,
        work=work_of(shown, window, begin) if since is None and until is None else None,
    )


def _later(begin: datetime, offset: float) -> datetime:
    try:
        return begin + timedelta(seconds=offset)
    except OverflowError:
        return begin


def _offset(page: Page, name: str) -> float | None:
    """An end of the window: seconds after the run's creation, or a length of time such as 1m30s."""
    text = page.query.get(name, "").strip()
    if not text:
        return None
    try:
        return float(text) if text.replace(".", "", 1).replace("-", "", 1).isdigit() else seconds(text, what=name)
    except (UsageError, ValueError):
        raise UsageError(f"{name} is {text!r:.100}; give seconds, or a length of time such as 1m30s") from None


async def _chosen(page: Page, view: RunView, hidden: set[str]) -> list[JournalEntry] | None:
    """The entry that was chosen, one for each generation, the newest first; empty where there is none."""
    position = page.query.get("entry")
    if not position:
        return None
    try:
        found = await entries_at(page.client, view.id, position)
    except UsageError:
        return []
    return page.shown(list(reversed(found)), hidden)
