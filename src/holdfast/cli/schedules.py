"""`holdfast schedules`: which workflows are run at which times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import instant_of, json_object
from holdfast.cli.kinds import number
from holdfast.cli.output import Missing
from holdfast.cli.show import duration, instant, short

if TYPE_CHECKING:
    from holdfast.engine.client import Client
    from holdfast.engine.scheduling import ScheduleView

COLUMNS = ("name", "workflow", "times", "next", "last run", "problem")

group = typer.Typer(name="schedules", help="Run workflows at times.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "list")
def list_(context: Context) -> None:
    """List the schedules, by name."""
    found = context.ask(lambda client: client.schedules())
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(COLUMNS, [_row(one) for one in found])
    else:
        context.output.note("there are no schedules")


@command(group, "show")
def show(context: Context, name: Name) -> None:
    """Show a schedule."""
    _print(context, context.ask(lambda client: _found(client, name)))


@command(group, "set")
def set_(
    context: Context,
    name: Name,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Its name, as workers serve it.")],
    *,
    cron: Annotated[
        str | None,
        typer.Option("--cron", metavar="LINE", help='Minute, hour, day, month, day of week: "30 7 * * MON-FRI".'),
    ] = None,
    zone: Annotated[
        str,
        typer.Option("--zone", metavar="ZONE", help="Whose local time --cron or --rrule means, such as Europe/Berlin."),
    ] = "UTC",
    every: Annotated[
        str | None, typer.Option("--every", metavar="DURATION", help="Instead of --cron: an interval.")
    ] = None,
    start_at: Annotated[
        str | None, typer.Option("--start-at", metavar="INSTANT", help="With --every or --rrule: its first time.")
    ] = None,
    input: Annotated[
        str, typer.Option("--input", metavar="JSON", help="The workflow's arguments by name; @file, or - for stdin.")
    ] = "{}",
    overlap: Annotated[
        str,
        typer.Option(
            "--overlap", metavar="POLICY", help="While the run before has not ended: skip, queue, cancel or allow."
        ),
    ] = "skip",
    catch_up: Annotated[
        str, typer.Option("--catch-up", metavar="POLICY", help="Of the times that were missed: all, latest or none.")
    ] = "latest",
    catch_up_within: Annotated[
        str | None, typer.Option("--catch-up-within", metavar="DURATION", help="How old such a time may be.")
    ] = None,
    rrule: Annotated[
        str | None,
        typer.Option(
            "--rrule", metavar="RULE", help='Instead of --cron: "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9" (RFC 5545).'
        ),
    ] = None,
    calendar: Annotated[
        str | None,
        typer.Option("--calendar", metavar="COUNTRY", help="Only on business days there: DE, or DE-BY for a part."),
    ] = None,
    closed: Annotated[
        str,
        typer.Option("--closed", metavar="POLICY", help="With --calendar, on other days: skip, next or previous."),
    ] = "skip",
    jitter: Annotated[
        str | None, typer.Option("--jitter", metavar="DURATION", help="Each run starts up to so much later.")
    ] = None,
    priority: Annotated[int, typer.Option("--priority", metavar="N", help="Of its runs: -1000 to 1000.")] = 0,
    queue: Annotated[str | None, typer.Option("--queue", metavar="NAME", help="Instead of the workflow's own.")] = None,
    attributes: Annotated[
        str | None, typer.Option("--attributes", metavar="JSON", help="An object that is kept with each run.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="How long a run may take.")
    ] = None,
) -> None:
    """Make a schedule, or change the one of this name. What is not given is at its default afterwards."""
    given = json_object(input, "--input")
    kept = None if attributes is None else json_object(attributes, "--attributes")
    first = None if start_at is None else instant_of(start_at, "--start-at")
    found = context.ask(
        lambda client: client.schedule(
            name,
            workflow,
            input=given,
            cron=cron,
            zone=zone,
            every=None if every is None else number(every),
            start_at=first,
            overlap=overlap,
            catch_up=catch_up,
            catch_up_within=None if catch_up_within is None else number(catch_up_within),
            rrule=rrule,
            calendar=calendar,
            closed=closed,
            jitter=None if jitter is None else number(jitter),
            priority=priority,
            queue=queue,
            attributes=kept,
            timeout=None if timeout is None else number(timeout),
        )
    )
    _print(context, found)


@command(group, "pause")
def pause(context: Context, name: Name) -> None:
    """Let a schedule make no runs until it is resumed."""

    async def work(client: Client) -> ScheduleView:
        await _found(client, name)
        return await client.pause_schedule(name)

    _print(context, context.ask(work))


@command(group, "resume")
def resume(context: Context, name: Name) -> None:
    """Let a paused schedule make runs again, from its next time on."""

    async def work(client: Client) -> ScheduleView:
        await _found(client, name)
        return await client.resume_schedule(name)

    _print(context, context.ask(work))


@command(group, "run")
def run(context: Context, name: Name) -> None:
    """Start a run of a schedule now, and print the run's id."""

    async def work(client: Client) -> str:
        await _found(client, name)
        return await client.run_schedule(name)

    id = context.ask(work)
    if context.output.as_json:
        context.output.json({"id": id, "schedule": name})
    else:
        context.output.text(id)


@command(group, "backfill")
def backfill(
    context: Context,
    name: Name,
    *,
    since: Annotated[
        str, typer.Option("--since", metavar="INSTANT", help="ISO 8601 with a zone: 2026-03-01T00:00:00Z.")
    ],
    until: Annotated[str | None, typer.Option("--until", metavar="INSTANT", help="Now unless given.")] = None,
) -> None:
    """Start a run for each past time of a schedule that has none, and print their ids."""
    first = instant_of(since, "--since")
    last = None if until is None else instant_of(until, "--until")

    from holdfast.model.run import instant as at

    async def work(client: Client) -> list[str]:
        await _found(client, name)
        return await client.backfill(name, first, last or at(client.core.now_us()))

    ids = context.ask(work)
    if context.output.as_json:
        context.output.json({"schedule": name, "ids": ids})
    else:
        for id in ids:
            context.output.text(id)
        context.output.note(f"{len(ids)} runs are started")


@command(group, "delete")
def delete(context: Context, name: Name) -> None:
    """Forget a schedule; its runs stay."""
    if not context.ask(lambda client: client.delete_schedule(name)):
        raise _missing(context.tenant, name)
    if context.output.as_json:
        context.output.json({"name": name, "deleted": True})
    else:
        context.output.text(f"schedule {name} is deleted; its runs stay")


async def _found(client: Client, name: str) -> ScheduleView:
    """The schedule of this name.

    Raises:
        Missing: there is none.
    """
    for one in await client.schedules():
        if one.name == name:
            return one
    raise _missing(client.tenant, name)


def _missing(tenant: str, name: str) -> Missing:
    return Missing(f"tenant {tenant!r} has no schedule {name!r}; `holdfast schedules list` shows those there are")


def _row(one: ScheduleView) -> tuple[object, ...]:
    return one.name, one.workflow, _times(one), _next(one), one.last_run or "", one.problem or ""


def _print(context: Context, one: ScheduleView) -> None:
    if context.output.as_json:
        context.output.json(one)
        return
    within = one.catch_up_within_seconds
    context.output.facts(
        {
            "schedule": one.name,
            "workflow": one.workflow,
            "times": _times(one),
            "counted from": instant(one.start_at),
            "next": _next(one),
            "last run": one.last_run,
            "overlap": one.overlap,
            "catch-up": one.catch_up if within is None else f"{one.catch_up}, of the last {duration(within)}",
            "jitter": f"up to {duration(one.jitter_seconds)} later" if one.jitter_seconds else None,
            "input": short(one.input, 200),
            "queue": one.queue,
            "priority": one.priority or None,
            "attributes": short(one.attributes, 200) if one.attributes else None,
            "timeout": None if one.timeout_seconds is None else duration(one.timeout_seconds),
            "problem": one.problem,
        }
    )


def _times(one: ScheduleView) -> str:
    if one.every_seconds is not None:
        return f"every {duration(one.every_seconds)}"
    on = "" if one.calendar is None else f", business days of {one.calendar} ({one.closed})"
    return f"{one.cron or one.rrule} {one.zone}{on}"


def _next(one: ScheduleView) -> str:
    return "paused" if one.paused else instant(one.next_at) or "never"
