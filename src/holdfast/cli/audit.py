"""`holdfast audit`: who changed what."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.show import instant, short

DETAIL_CHARACTERS = 60
"""How much of a change's detail the table shows."""

group = typer.Typer(name="audit", help="Look at who changed what.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(group)


@command(group, "list")
def list_(
    context: Context,
    *,
    actor: Annotated[
        str | None,
        typer.Option("--actor", metavar="WHO", help="Only what this one changed: a person, key:PREFIX, cli:USER."),
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="NAME", help="Only this, such as run.cancel, or all of run.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="ID", help="Only what was changed of this, such as a run's id.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many, 1 to 1000.")] = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="Only older ones than this, the last of a page.")
    ] = None,
) -> None:
    """List what was changed in the tenant, the newest first."""
    found = context.ask(
        lambda client: client.audit(limit=limit, before=before, actor=actor, action=action, target=target)
    )
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(
            ("at", "who", "did", "to", "detail"),
            [
                (
                    instant(one.at),
                    one.actor,
                    one.action,
                    one.target,
                    short(one.detail, DETAIL_CHARACTERS) if one.detail else "",
                )
                for one in found
            ],
        )
    else:
        context.output.note("no such change is recorded")
