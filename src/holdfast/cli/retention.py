"""`holdfast retention`: for how long runs are kept after their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.kinds import number
from holdfast.cli.show import duration

if TYPE_CHECKING:
    from holdfast.engine.client import Client
    from holdfast.engine.keeping import RetentionView

DEFAULT = "default"

group = typer.Typer(name="retention", help="For how long runs are kept after their end.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "show")
def show(context: Context) -> None:
    """Show what is set, and what holds by default. Of what holds for a run, the most specific counts."""
    _print(context, context.ask(lambda client: client.retention()))


@command(group, "set")
def set_(
    context: Context,
    keep: Annotated[
        str, typer.Argument(metavar="DURATION|default", help="For how long, such as 30d; default: as without it.")
    ],
    *,
    workflow: Annotated[str, typer.Option("--workflow", metavar="NAME", help="Only runs of this workflow.")] = "",
    status: Annotated[
        str, typer.Option("--status", metavar="STATUS", help="Only runs that ended so: succeeded, failed, cancelled.")
    ] = "",
) -> None:
    """Set for how long runs are kept after their end: in the whole database, for every tenant."""
    kept = None if keep == DEFAULT else number(keep)

    async def work(client: Client) -> list[RetentionView]:
        await client.set_retention(kept, workflow=workflow, status=status)
        return await client.retention()

    _print(context, context.ask(work))


def _print(context: Context, found: list[RetentionView]) -> None:
    if context.output.as_json:
        context.output.json(found)
        return
    context.output.table(
        ("workflow", "status", "kept for", "set"),
        [
            (one.workflow or "every", one.status or "every", duration(one.keep_seconds), "" if one.default else "yes")
            for one in found
        ],
    )
