"""`holdfast costs`: what models cost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, cast

import typer

from holdfast.cli.command import Context, command
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.engine.spending import CostLine
    from holdfast.store.agent_rows import CostBy

FIGURES = ("calls", "failed", "tokens in", "cached", "out", "cost")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "costs")(costs)


def costs(
    context: Context,
    *,
    by: Annotated[
        str, typer.Option("--by", metavar="NAMES", help="What is told apart: some of day,workflow,phase,model.")
    ] = "phase",
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="DAY|DURATION",
            help="The first day, or so long ago; 30 days unless given, and the first of all with --where.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY|DURATION", help="The last day; today unless given.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="TEXT",
            help="Only of the runs that this search finds, such as \"lane = 'order=o-1'\", and their child runs.",
        ),
    ] = None,
) -> None:
    """Tell what models cost, in US dollars, by days of UTC."""
    kinds = cast("list[CostBy]", [one.strip() for one in by.split(",") if one.strip()])
    first = None if since is None else _day(since, "--since")
    last = None if until is None else _day(until, "--until")
    report = context.ask(lambda client: client.model_costs(since=first, until=last, by=kinds, where=where))
    if context.output.as_json:
        context.output.json(report)
        return
    if not report.rows:
        of_runs = "" if report.runs is None else f" by the runs that this search finds, which are {report.runs:,}"
        context.output.note(f"no model was asked from {report.since} to {report.until}{of_runs}")
        return
    rows = [[*(getattr(row, kind) for kind in report.by), *_figures(row)] for row in report.rows if report.by]
    names = ["all", *[""] * len(report.by)][: len(report.by)]
    context.output.table((*report.by, *FIGURES), [*rows, [*names, *_figures(report.total)]])
    if report.more:
        context.output.note(f"there are more runs than are counted here: the newest {report.runs:,} are")
    if report.total.unpriced:
        context.output.note(f"the price of {report.total.unpriced:,} calls is not known; they are not in the cost")


def money(cost: Decimal | None) -> str:
    """US dollars, as people read them; empty where they are not known."""
    if cost is None:
        return ""
    whole, _, rest = f"{cost:,f}".partition(".")
    return f"${whole}.{rest:0<2}"


def _figures(row: CostLine) -> list[str]:
    counts = row.calls, row.failed, row.input_tokens, row.cached_tokens, row.output_tokens
    return [*(f"{one:,}" for one in counts), money(row.cost)]


def _day(given: str, option: str) -> date:
    """A day in UTC: as it is, or so long ago."""
    from holdfast.model.duration import seconds

    try:
        return date.fromisoformat(given)
    except ValueError:
        pass
    try:
        return (datetime.now(UTC) - timedelta(seconds=seconds(given, what=option))).date()
    except (UsageError, OverflowError):
        raise UsageError(f"{option} is {given!r:.100}; give a day as in 2026-03-01, or a duration as in 7d") from None
