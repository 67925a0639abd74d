"""`holdfast items analytics`: what was done, and how long it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.show import duration, instant
from holdfast.cli.work import ask
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.workqueue.queue import WorkQueue
    from holdfast.workqueue.views import FigureGroup, FiguresView

COLUMNS = (
    "since", "of", "made", "started", "completed", "skipped", "snoozed", "escalated", "rate", "to start", "to complete",
)  # fmt: skip


def add_to(group: typer.Typer) -> None:
    """Add the command to `holdfast items`."""
    command(group, "analytics")(analytics)


def analytics(
    context: Context,
    *,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DAY|INSTANT", help="The beginning; 30 days before the end unless given."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY|INSTANT", help="The end; now unless given.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="WHAT", help="In groups: definition or assignee.")] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="STRETCH", help="In stretches: day, week or month.")
    ] = None,
    definition: Annotated[
        str | None, typer.Option("--definition", metavar="ID", help="Only of this definition.")
    ] = None,
    assignee: Annotated[str | None, typer.Option("--assignee", metavar="ID", help="Only of this person.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="The demo's items, instead of all others.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Say what was done with work items in a stretch of time, and how long it took."""
    if csv and context.output.as_json:
        raise UsageError("give --csv or --json, and not both")

    async def work(queue: WorkQueue) -> FiguresView | list[FiguresView]:
        if every is None:
            return await queue.analytics(since, until, by=by, definition=definition, assignee=assignee, demo=demo)
        return await queue.analytics_series(
            since, until, every=every, by=by, definition=definition, assignee=assignee, demo=demo
        )

    found = ask(context, work)
    if csv:
        from holdfast.workqueue.analytics import figures_csv

        context.output.stream.write(figures_csv(found))
    elif context.output.as_json:
        context.output.json(found)
    else:
        views = found if isinstance(found, list) else [found]
        context.output.table(COLUMNS, [_row(view, one) for view in views for one in [*view.groups, view.total]])


def _row(view: FiguresView, one: FigureGroup) -> Sequence[object]:
    name = "all" if one is view.total else one.group or "none"
    rate = "" if one.completion_rate is None else f"{one.completion_rate:.0%}"
    return (
        instant(view.since), name, one.created, one.started, one.completed, one.skipped, one.snoozed, one.escalated,
        rate, _time(one.to_start.median_seconds), _time(one.to_complete.median_seconds),
    )  # fmt: skip


def _time(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)
