"""`holdfast runs export`: keeps what runs have recorded in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.choosing import All, AtMost, Failed, OfWorkflow, Since, choice
from holdfast.cli.command import Context, command

if TYPE_CHECKING:
    from holdfast.engine.client import Client


def add_to(group: typer.Typer) -> None:
    """Add the command."""
    command(group, "export")(export)


def export(
    context: Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of runs.")] = None,
    *,
    to: Annotated[str, typer.Option("--to", metavar="FOLDER", help="Where the files go; made if it is not there.")],
    failed: Failed = False,
    all: All = False,
    workflow: OfWorkflow = None,
    since: Since = None,
    limit: AtMost = None,
) -> None:
    """Write what runs have recorded to files, one for each, to be replayed with `holdfast replay`.

    They hold the inputs and results of the runs in plain text, also where the database has them sealed.
    """
    chosen = choice(ids or (), "their ids", failed=failed, all=all, workflow=workflow, since=since, limit=limit)
    context.ask(lambda client: _export(context, client, Path(to), chosen))


async def _export(context: Context, client: Client, folder: Path, chosen: dict[str, Any]) -> None:
    count = sealed = 0
    async for history in client.export_histories(**chosen):
        file = history.save(folder)
        count, sealed = count + 1, sealed + history.sealed
        if context.output.as_json:
            context.output.json({"run": history.run_id, "file": str(file), "sealed": history.sealed})
        elif chosen.get("runs"):
            context.output.text(str(file))
    if not context.output.as_json:
        context.output.note(f"{count} exported to {folder}" if count else "there are no such runs")
    if sealed:
        context.output.note(
            f"{sealed} values are sealed by a codec that is not set up here, and are exported as they are: they can "
            "be replayed only where it is"
        )
