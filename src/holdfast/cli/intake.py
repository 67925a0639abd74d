"""`holdfast intake`: sources of messages and events, and what became of what they brought."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, cast

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import json_value
from holdfast.cli.output import FAILED
from holdfast.cli.show import coloured, instant, short
from holdfast.errors import UsageError

group = typer.Typer(name="intake", help="Sources: take them in, look at them, put them back.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="FILE", help="The file of sources.")]
Source = Annotated[str, typer.Argument(metavar="SOURCE", help="The source's name.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The entry's id.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "check")
def check(context: Context, file: File) -> None:
    """Read a file of sources, and say what is wrong with it, or what is taken in."""
    from holdfast.intake.files import read_intake

    found = read_intake(file)
    if context.output.as_json:
        context.output.json([{"name": one.name, "kind": one.kind, "workflow": one.workflow} for one in found])
        return
    for one in found:
        context.output.text(f"{one.name}: {one.kind} for {one.workflow}")


@command(group, "run")
def run(
    context: Context,
    file: File,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="End when all that is there is taken in, or where there is no room for more.")
    ] = False,
) -> int:
    """Take in the sources of a file until Ctrl-C, without a worker's other duties.

    The workflows are those that workers have registered in the database. With --once it ends with 1 if a source could
    not be read.
    """
    from holdfast.cli.databases import no_server
    from holdfast.intake.tending import run_intake

    no_server(context.url)

    async def work(client: Any) -> Any:
        return await run_intake(client, file, once=once)

    try:
        reports = context.ask(work)
    except asyncio.CancelledError:
        return 0
    if context.output.as_json:
        context.output.json(reports)
    else:
        for one in reports:
            context.output.text(
                f"{one.source}: {one.runs} runs, {one.filtered} filtered, {one.repeated} known, {one.dead} dead"
                f"{f'; {one.note}' if one.note else ''}"
            )
    return FAILED if any(one.state == "failing" for one in reports) else 0


@command(group, "status")
def status(context: Context) -> None:
    """Show the sources: how far each is read, and what its entries became."""
    found = context.ask(lambda client: client.sources())
    if context.output.as_json:
        context.output.json(found)
    elif found:
        columns = ("source", "kind", "workflow", "state", "runs", "filtered", "known", "dead", "read", "note")
        rows = [
            (one.name, one.kind, one.workflow, coloured(one.state), one.runs, one.filtered, one.repeated, one.dead,
             instant(one.read_at), short(one.note, 60) if one.note else "")
            for one in found
        ]  # fmt: skip
        context.output.table(columns, rows)
    else:
        context.output.note("nothing was taken in yet")


@command(group, "rewind")
def rewind(
    context: Context,
    source: Source,
    *,
    to: Annotated[
        str,
        typer.Option("--to", metavar="POSITION", help="beginning, or a position as `intake status --json` shows it."),
    ] = "beginning",
) -> None:
    """Have a source read again from a position. What it knows already makes no second run."""
    place = to if to == "beginning" else json_value(to, "--to")
    view = context.ask(lambda client: client.rewind_source(source, place))
    if context.output.as_json:
        context.output.json(view)
    else:
        context.output.text(f"{source} is read again from {to}")


@command(group, "entries")
def entries(
    context: Context,
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="Of this source; of all unless given.")] = None,
    *,
    outcome: Annotated[
        str | None, typer.Option("--outcome", metavar="WHAT", help="run, filtered, dead or discarded.")
    ] = None,
    message_id: Annotated[str | None, typer.Option("--message-id", metavar="ID", help="Of this message.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many.")] = 50,
    before: Annotated[str | None, typer.Option("--before", metavar="ID", help="Only what is older.")] = None,
) -> None:
    """List what was taken in, the newest first."""
    asked: dict[str, Any] = {
        "source": source, "outcome": outcome, "message_id": message_id, "limit": limit, "before": before
    }  # fmt: skip
    found = context.ask(lambda client: client.entries(**asked))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        rows = [
            (one.id, one.source, coloured(one.outcome), one.place, one.message_id, one.run_id, one.path,
             instant(one.at), short(one.reason, 60) if one.reason else "")
            for one in found
        ]  # fmt: skip
        context.output.table(("id", "source", "became", "place", "message", "run", "path", "at", "why"), rows)
    else:
        context.output.note("there are no such entries")


@command(group, "entry")
def entry(context: Context, id: Id) -> None:
    """Show an entry; of a dead one what was read."""
    view = context.ask(lambda client: client.entry(id))
    if context.output.as_json:
        context.output.json(view)
        return
    context.output.facts(
        {
            "source": view.source,
            "place": view.place,
            "became": coloured(view.outcome),
            "why": view.reason or None,
            "message": view.message_id or None,
            "run": view.run_id,
            "settled by": view.settled_by,
        }
    )
    if view.content is not None:
        context.output.text(view.content)


@command(group, "retry")
def retry(
    context: Context,
    id: Id,
    *,
    content: Annotated[
        str | None,
        typer.Option("--content", metavar="TEXT", help="What it should have been; what was kept of it unless given."),
    ] = None,
) -> None:
    """Take in a dead entry after all, and print its run's id."""
    made = context.ask(lambda client: client.retry_entry(id, content))
    if context.output.as_json:
        context.output.json({"id": made})
    else:
        context.output.text(made)


@command(group, "discard")
def discard(
    context: Context,
    id: Id,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; shown to people.")],
) -> None:
    """Give a dead entry up."""
    context.ask(lambda client: client.discard_entry(id, reason))
    if context.output.as_json:
        context.output.json({"id": id})
    else:
        context.output.text(f"{id} is discarded")


@command(group, "outcomes")
def outcomes(
    context: Context,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Whose messages they are here.")],
    given: Annotated[
        str, typer.Argument(metavar="JSON", help="A list of {message_id, decided, text, at}; @file, or - for stdin.")
    ],
) -> None:
    """Tell what another path made of messages: sent, review, withheld or failed."""
    found = json_value(given, "JSON")
    if not isinstance(found, list):
        raise UsageError("JSON is no list; give a list of objects with message_id and decided")
    changed = context.ask(lambda client: client.record_outcomes(workflow, cast("list[dict[str, Any]]", found)))
    if context.output.as_json:
        context.output.json({"changed": changed})
    else:
        context.output.text(f"{changed} new or other than before, of {len(found)}")
