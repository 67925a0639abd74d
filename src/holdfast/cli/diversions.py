"""`holdfast diversions`: starts that were delayed, merged or dropped by a rule of their workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.output import as_json
from holdfast.cli.show import coloured, instant, short

if TYPE_CHECKING:
    from holdfast.engine.diversion_views import DiversionView

COLUMNS = ("id", "way", "rule", "key", "workflow", "asked id", "run", "at", "reason")

group = typer.Typer(
    name="diversions",
    help="Starts that made no run of their own at once: see why, start what was dropped.",
    no_args_is_help=True,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Under which it is recorded, 32 hexadecimal digits.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "list")
def list_(
    context: Context,
    *,
    workflow: Annotated[str | None, typer.Option("--workflow", metavar="NAME", help="Of this workflow.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="KEY", help="With this key of the rule.")] = None,
    way: Annotated[str | None, typer.Option("--way", metavar="WAY", help="delayed, merged or dropped.")] = None,
    rule: Annotated[
        str | None, typer.Option("--rule", metavar="RULE", help="rate_limit, debounce, batch or singleton.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="That went into this run, or were dropped because of it.")
    ] = None,
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="That asked for this id.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many.")] = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="Only what is older than this one.")
    ] = None,
) -> None:
    """List starts that were delayed, merged or dropped, the newest first."""
    asked: dict[str, Any] = {
        "workflow": workflow, "key": key, "way": way, "rule": rule, "run_id": run, "id": id, "limit": limit,
        "before": before,
    }  # fmt: skip
    found = context.ask(lambda client: client.diversions(**asked))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(COLUMNS, [_row(one) for one in found])
    else:
        context.output.note("there are no such starts")


@command(group, "show")
def show(context: Context, id: Id) -> None:
    """Show a start: what became of it, why, and its input where no run has it."""
    view = context.ask(lambda client: client.diversion(id))
    if context.output.as_json:
        context.output.json(view)
        return
    context.output.facts(
        {
            "id": view.id,
            "way": coloured(view.way),
            "rule": view.rule,
            "key": view.key or None,
            "workflow": view.workflow,
            "version": view.version,
            "asked id": view.asked_id,
            "run": view.run_id,
            "reason": view.reason,
            "at": instant(view.at),
            "due": instant(view.due_at),
        }
    )
    if view.input is not None:
        context.output.text(as_json(view.input, indent=2))


@command(group, "start")
def start(context: Context, id: Id) -> None:
    """Start what was dropped after all, past the rules of its workflow, and print the run's id."""
    run = context.ask(lambda client: client.start_diverted(id))
    if context.output.as_json:
        context.output.json({"run": run})
    else:
        context.output.text(run)


def _row(view: DiversionView) -> tuple[object, ...]:
    return (
        view.id, coloured(view.way), view.rule, view.key, view.workflow, view.asked_id, view.run_id, instant(view.at),
        short(view.reason, 60) if view.reason else "",
    )  # fmt: skip
