"""What is done to schedules: make and change one, pause, resume, run now, backfill, delete."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import Response

from holdfast.engine.scheduling import ScheduleView
from holdfast.errors import ScheduleNotFound, UsageError
from holdfast.model.access import Role
from holdfast.web.form import Form
from holdfast.web.page import Page
from holdfast.web.pages.questions import question
from holdfast.web.paths import schedule_path
from holdfast.web.section import Section
from holdfast.web.text import length

site = Section("schedules")

OVERLAPS = {
    "skip": "Pass over the time",
    "queue": "Run it when the run before has ended",
    "cancel": "Cancel the run before",
    "allow": "Run both",
}
CLOSED = {
    "skip": "Leave the time out",
    "next": "The next business day",
    "previous": "The business day before",
}
CATCH_UPS = {"latest": "The latest only", "all": "All of them", "none": "None"}


async def _there(page: Page, name: str) -> ScheduleView:
    """A schedule that something is asked of, by somebody who may.

    Raises:
        Forbidden: who asks is no operator.
        ScheduleNotFound: there is none of this name.
    """
    assert page.principal is not None
    page.principal.need(Role.OPERATOR)
    if not name:
        raise ScheduleNotFound("no schedule is named in this address")
    return await page.client.get_schedule(name)


# Make and change


@site.get("/schedule/new")
async def ask_new(page: Page) -> Response:
    """An empty form for a schedule."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR)
    return await _form(page, None, {"workflow": page.query.get("workflow", ""), "revision": "0"})


@site.get("/schedule/change")
async def ask_change(page: Page) -> Response:
    """The form of a schedule that exists."""
    view = await _there(page, page.query.get("name", ""))
    return await _form(page, view, _shown(view))


@site.post("/schedule/put")
async def put(page: Page) -> Response:
    """Make or change a schedule."""
    form = await page.form(Role.OPERATOR)
    name, new = form.text("name", most=491, what="a name"), form.values.get("revision") == "0"
    given = _given(page, form)
    revision = form.integer("revision", least=0)
    if form.sound:
        with form.refusals():
            view = await page.client.schedule(name, given.pop("workflow"), revision=revision, **given)
            when = (
                ""
                if view.next_at is None
                else " It runs next in " + length(max(0.0, (view.next_at - page.now).total_seconds())) + "."
            )
            return page.done(schedule_path(name), f"Schedule {name} is {'made' if new else 'changed'}.{when}")
    stands = None
    if not new and name:
        try:
            stands = await page.client.get_schedule(name)
        except UsageError:
            stands = None
    return await _form(page, stands, {})


def _given(page: Page, form: Form) -> dict[str, Any]:
    """What a form says of a schedule, as arguments of `Client.schedule`."""
    cron, every = form.text("cron", needed=False, most=200), form.duration("every")
    rrule = form.text("rrule", needed=False, most=1000)
    many = bool(cron) + bool(rrule) + (every is not None)
    if many > 1:
        form.refuse("every" if every is not None else "rrule", "Give a cron line, a rule or an interval, and only one.")
    elif not many and "every" not in form.errors:
        form.refuse("cron", "Give a cron line, or a rule or an interval instead.")
    given = {
        "workflow": form.text("workflow", most=512, what="the name of a workflow"),
        "overlap": form.choice("overlap", OVERLAPS),
        "catch_up": form.choice("catch_up", CATCH_UPS),
        "catch_up_within": form.duration("catch_up_within"),
        "input": form.json("input", needed=False),
        "priority": form.integer("priority", least=-1000, most=1000) or 0,
        "queue": form.text("queue", needed=False, most=512) or None,
        "attributes": form.json("attributes", needed=False),
        "timeout": form.duration("timeout"),
        "jitter": form.duration("jitter"),
    }
    if cron or rrule:
        given |= {
            "zone": form.text("zone", needed=False, most=60) or "UTC",
            "calendar": form.text("calendar", needed=False, most=10) or None,
            "closed": form.choice("closed", CLOSED),
        }
    if cron:
        given["cron"] = cron
    else:
        given |= {"rrule": rrule or None, "every": every, "start_at": form.instant("start_at", page.zone)}
    for name in ("input", "attributes"):
        if given[name] is None:
            given[name] = {}
        elif not isinstance(given[name], dict):
            form.refuse(name, 'Give an object by name, such as {"order": "o-1"}.')
    return given


async def _form(page: Page, view: ScheduleView | None, values: dict[str, str]) -> Response:
    if page.form_sent is None:
        form = Form(values)
    else:
        form = page.form_sent
        if view is not None and "revision" not in form.values:
            form.values["revision"] = str(view.revision)
    return page.render(
        "pages/schedule_form.html",
        title="Make a schedule" if view is None else f"Change schedule {view.name}",
        schedule=view,
        form=form,
        workflows=[one.name for one in await page.client.workflows() if one.versions],
        overlaps=OVERLAPS,
        catch_ups=CATCH_UPS,
        closed=CLOSED,
    )


def _shown(view: ScheduleView) -> dict[str, str]:
    """A schedule as the values of a form."""

    def some(value: Any) -> str:
        return "" if value is None else str(value)

    def seconds(value: float | None) -> str:
        return "" if value is None else f"{int(value) if value == int(value) else value}s"

    return {
        "name": view.name,
        "revision": str(view.revision),
        "workflow": view.workflow,
        "cron": some(view.cron),
        "zone": view.zone,
        "every": seconds(view.every_seconds),
        "start_at": "" if view.start_at is None else view.start_at.isoformat(),
        "overlap": view.overlap,
        "catch_up": view.catch_up,
        "catch_up_within": seconds(view.catch_up_within_seconds),
        "rrule": some(view.rrule),
        "calendar": some(view.calendar),
        "closed": view.closed,
        "jitter": seconds(view.jitter_seconds or None),
        "input": json.dumps(view.input, indent=2, ensure_ascii=False) if view.input else "",
        "attributes": json.dumps(view.attributes, indent=2, ensure_ascii=False) if view.attributes else "",
        "priority": str(view.priority),
        "queue": some(view.queue),
        "timeout": seconds(view.timeout_seconds),
    }


# Pause, resume, run, delete


@site.post("/schedule/pause")
async def pause(page: Page) -> Response:
    """Let a schedule make no runs."""
    return await _do(page, "is paused: it makes no runs until it is resumed.", "pause")


@site.post("/schedule/resume")
async def resume(page: Page) -> Response:
    """Let a schedule make runs again."""
    return await _do(page, "makes runs again, from its next time on.", "resume")


@site.post("/schedule/run")
async def run(page: Page) -> Response:
    """Start a run of a schedule now."""
    return await _do(page, "has run out of turn:", "run")


async def _do(page: Page, said: str, action: str) -> Response:
    form = await page.form(Role.OPERATOR)
    name = (await _there(page, form.text("name", most=512))).name
    to = page.inside(form.values.get("next"), schedule_path(name))
    with form.refusals():
        if action == "run":
            said = f"{said} run {await page.client.run_schedule(name)} is started."
        else:
            await (page.client.pause_schedule(name) if action == "pause" else page.client.resume_schedule(name))
    if form.sound:
        return page.done(to, f"Schedule {name} {said}")
    return page.done(to, " ".join(form.errors.values()), "failed")


@site.get("/schedule/run")
async def ask_run(page: Page) -> Response:
    """Ask whether to run a schedule now."""
    view = await _there(page, page.query.get("name", ""))
    return question(
        page,
        f"Run {view.name} now?",
        text="A run is started at once, whatever the schedule's times, whether the run before has ended, and whether "
        "the schedule is paused.",
        to="/schedule/run",
        label="Run it now",
        back=schedule_path(view.name),
        fields={"name": view.name},
    )


@site.get("/schedule/delete")
async def ask_delete(page: Page) -> Response:
    """Ask whether to delete a schedule."""
    view = await _there(page, page.query.get("name", ""))
    return question(
        page,
        f"Delete schedule {view.name}?",
        text="It makes no more runs, and is forgotten. The runs that it made stay.",
        to="/schedule/delete",
        label="Delete it",
        back=schedule_path(view.name),
        kind="danger",
        fields={"name": view.name},
    )


@site.post("/schedule/delete")
async def delete(page: Page) -> Response:
    """Delete a schedule."""
    form = await page.form(Role.OPERATOR)
    name = (await _there(page, form.text("name", most=512))).name
    await page.client.delete_schedule(name)
    return page.done("/schedules", f"Schedule {name} is deleted. Its runs stay.")


# Backfill


@site.get("/schedule/backfill")
async def ask_backfill(page: Page) -> Response:
    """The form for a range of the past."""
    view = await _there(page, page.query.get("name", ""))
    return _backfill(page, view)


@site.post("/schedule/backfill")
async def backfill(page: Page) -> Response:
    """Start a run for each time of a range, and say which."""
    form = await page.form(Role.OPERATOR)
    view = await _there(page, form.text("name", most=512))
    since, until = form.instant("since", page.zone), form.instant("until", page.zone)
    if since is None:
        form.refuse("since", "Give where it begins.")
    if form.sound and since is not None:
        with form.refusals():
            made = await page.client.backfill(view.name, since, until or page.now)
            return page.done(schedule_path(view.name), _said(view.name, made))
    return _backfill(page, view)


def _said(name: str, made: list[str]) -> str:
    """What a backfill did, in words."""
    if not made:
        return f"Schedule {name} has no time there that has not had its run: nothing was started."
    if len(made) == 1:
        return f"1 run is started: {made[0]}."
    return f"{len(made):,} runs are started, from {made[0]} to {made[-1]}."


def _backfill(page: Page, view: ScheduleView) -> Response:
    def written(at: datetime) -> str:
        return at.astimezone(page.zone).strftime("%Y-%m-%d %H:%M")

    return page.render(
        "pages/backfill.html",
        title=f"Backfill {view.name}",
        schedule=view,
        since=written(page.now - timedelta(days=1)),
        until=written(page.now),
        zone=str(page.zone),
    )
