"""`holdfast alerts`: what is wrong now, and the file of rules that says when something is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.show import coloured, instant

if TYPE_CHECKING:
    from holdfast.model.alerting import AlertState

group = typer.Typer(name="alerts", help="Alerts, and their rules.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "list")
def list_(
    context: Context,
    *,
    state: Annotated[str | None, typer.Option("--state", metavar="STATE", help="pending, firing or resolved.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many.")] = 100,
) -> None:
    """List alerts: those that fire first."""
    wanted = cast("AlertState | None", state)
    found = context.ask(lambda client: client.alerts(wanted, limit=limit))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        rows = [
            (one.rule, one.about, coloured(one.state), one.severity, instant(one.since), instant(one.resolved_at),
             one.text)
            for one in found
        ]  # fmt: skip
        context.output.table(("rule", "about", "state", "severity", "since", "resolved", "what"), rows)
    else:
        context.output.note("there are no alerts")


@command(group, "check")
def check(context: Context, file: Annotated[str, typer.Argument(metavar="FILE", help="The file of rules.")]) -> None:
    """Read a file of rules, and say what is wrong with it, or what is watched and who is told."""
    from holdfast.services.alerting.rules import read_alerts

    rules = read_alerts(file).rules
    if context.output.as_json:
        context.output.json([{"name": one.name, "measure": one.measure, "to": list(one.to)} for one in rules])
        return
    for one in rules:
        context.output.text(f"{one.name}: {one.measure}, to {', '.join(one.to) or 'nobody'}")
