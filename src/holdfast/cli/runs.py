"""`holdfast runs`: which runs there are, what one did, what they do now, and why one does not go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli import exporting, run_models, run_streams, steer
from holdfast.cli.command import Context, command
from holdfast.cli.show import between, coloured, error_line, instant, progress, short
from holdfast.cli.watch import watch_newest, watch_one

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from holdfast.engine.client import Client
    from holdfast.model.run import JournalEntry, RunView

SHORT_CHARACTERS = 60
"""How much of an input, output or error a table shows."""

RUN_COLUMNS = ("id", "workflow", "status", "created", "took", "error")

group = typer.Typer(name="runs", help="Look at runs, and steer them.", no_args_is_help=True)

Workflow = Annotated[str | None, typer.Option("--workflow", metavar="NAME", help="Only of this workflow.")]
Status = Annotated[
    str | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        help="Only in this status: queued, running, waiting, held, succeeded, failed, cancelled.",
    ),
]

Where = Annotated[
    str | None,
    typer.Option(
        "--where", metavar="TEXT", help="Only what this search finds, such as \"attributes.region = 'north'\"."
    ),
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", help="At most so many, 1 to 1000.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands, and those that change runs."""
    app.add_typer(group)


@command(group, "list")
def list_(
    context: Context,
    *,
    where: Where = None,
    workflow: Workflow = None,
    status: Status = None,
    limit: Limit = 50,
) -> None:
    """List runs, the newest first."""
    _runs(
        context,
        context.ask(lambda client: client.list(where=where, workflow=workflow, status=status, limit=limit)),
    )


def _runs(context: Context, found: list[RunView]) -> None:
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(RUN_COLUMNS, map(run_row, found))
    else:
        context.output.note("there are no such runs")


@command(group, "count")
def count(
    context: Context,
    *,
    where: Where = None,
    workflow: Workflow = None,
    status: Status = None,
    cap: Annotated[int, typer.Option("--cap", metavar="N", help="Count no further, 1 to 1000000.")] = 10_000,
) -> None:
    """Count runs."""
    found = context.ask(lambda client: client.count(where, workflow=workflow, status=status, cap=cap))
    if context.output.as_json:
        context.output.json(found)
        return
    context.output.text(str(found.runs))
    if found.capped:
        context.output.note("there are more; --cap counts further")


@command(group, "dead-letters")
def dead_letters(context: Context, *, limit: Limit = 50) -> None:
    """List failed runs, the newest first: those to look at, and to retry or fork."""
    _runs(context, context.ask(lambda client: client.dead_letters(limit)))


@command(group, "stranded")
def stranded(context: Context) -> None:
    """List kinds of ready runs that no living worker serves, of every tenant."""
    found = context.ask(lambda client: client.stranded())
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(
            ("queue", "workflow", "version", "runs"),
            [(one.queue, one.workflow, one.version, one.runs) for one in found],
        )
    else:
        context.output.note("a worker serves every ready run")


def run_row(run: RunView) -> Sequence[object]:
    """A run as a row of `RUN_COLUMNS`."""
    error = error_line(run.error) if run.error else ""
    return (
        run.id,
        run.workflow,
        coloured(run.status),
        instant(run.created_at),
        between(run.started_at, run.finished_at),
        short(error, SHORT_CHARACTERS),
    )


@command(group, "show")
def show(
    context: Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The run's id.")],
    *,
    full: Annotated[
        bool, typer.Option("--full", help="Show values whole, with tracebacks and failed attempts.")
    ] = False,
) -> None:
    """Show a run and its journal."""
    run, journal = context.ask(lambda client: _show(client, id))
    if context.output.as_json:
        context.output.json({"run": run, "journal": journal})
        return
    context.output.facts(run_facts(run, full=full))
    if journal:
        context.output.rich("", journal_table(journal, full=full))


async def _show(client: Client, id: str) -> tuple[RunView, list[JournalEntry]]:
    return await client.get(id), await client.history(id)


def run_facts(run: RunView, *, full: bool) -> dict[str, object]:
    """A run as names and values."""
    limit = 1 << 62 if full else 200
    error = None
    if run.error:
        error = error_line(run.error)
        error = f"{error}\n{run.error['traceback']}".rstrip() if full else short(error, limit)
    ended = run.finished_at is not None
    return {
        "run": run.id,
        "workflow": f"{run.workflow} (version {run.version})",
        "status": coloured(run.status),
        "asked to": run.asked,
        "progress": progress(run.progress),
        "queue": run.queue,
        "lane": run.lane,
        "priority": run.priority or None,
        "attempt": run.attempt if run.attempt > 1 else None,
        "rescues": run.rescues or None,
        "parent": run.parent,
        "forked from": run.forked_from,
        "forks": ", ".join(run.forks),
        "created": instant(run.created_at),
        "started": instant(run.started_at),
        "due": None if ended else instant(run.due_at),
        "deadline": None if ended else instant(run.deadline_at),
        "finished": instant(run.finished_at),
        "took": between(run.started_at, run.finished_at) if ended else None,
        "attributes": short(run.attributes, limit) if run.attributes else None,
        "input": short(run.input, limit),
        "output": short(run.output, limit) if run.status == "succeeded" else None,
        "error": error,
    }


def journal_table(journal: list[JournalEntry], *, full: bool) -> RenderableType:
    """A journal as a table."""
    from holdfast.cli.output import make_table

    limit = 1 << 62 if full else SHORT_CHARACTERS
    columns = ["position", "step", "attempts", "took", "outcome", "output or error"]
    several = any(entry.generation != 1 for entry in journal)
    if full:
        columns.insert(2, "input")
    if several:
        columns.insert(1, "generation")
    rows: list[Sequence[object]] = []
    for entry in journal:
        name = entry.name or entry.kind
        row: list[object] = [
            entry.position,
            name if entry.kind == "step" or name == entry.kind else f"{entry.kind} {name}",
            entry.attempts,
            between(entry.started_at, entry.finished_at),
            coloured(entry.outcome) if entry.in_force else f"{entry.outcome} (done anew)",
            _result(entry, full=full, limit=limit),
        ]
        if full:
            row.insert(2, "" if entry.input is None else short(entry.input, limit))
        if several:
            row.insert(1, entry.generation)
        rows.append(row)
        if full:
            rows += _failed_attempts(entry, len(columns))
    return make_table(columns, rows)


def _result(entry: JournalEntry, *, full: bool, limit: int) -> str:
    if entry.error:
        text = error_line(entry.error)
        return f"{text}\n{entry.error['traceback']}".rstrip() if full else short(text, limit)
    return "" if entry.outcome == "pending" else short(entry.output, limit)


def _failed_attempts(entry: JournalEntry, width: int) -> list[list[Any]]:
    rows = []
    for failed in entry.failed_attempts:
        row: list[Any] = [""] * width
        row[-4:] = [
            f"no. {failed.attempt}",
            between(failed.started_at, failed.finished_at),
            coloured("error"),
            error_line(failed.error),
        ]
        rows.append(row)
    return rows


@command(group, "explain")
def explain(context: Context, id: Annotated[str, typer.Argument(metavar="ID", help="The run's id.")]) -> None:
    """Tell why a run does not move."""
    told = context.ask(lambda client: client.explain(id))
    if context.output.as_json:
        context.output.json({"id": id, "explanation": told})
    else:
        context.output.text(told)


@command(group, "watch")
def watch(
    context: Context,
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The run's id; the newest runs unless given.")
    ] = None,
    *,
    workflow: Workflow = None,
    status: Status = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="Without ID: so many runs.")] = 20,
    every: Annotated[str, typer.Option("--every", metavar="DURATION", help="How often to look.")] = "1s",
) -> int:
    """Watch a run until it ends, or the newest runs until Ctrl-C.

    With --json, one line of JSON for each change. Ends with 1 when the run failed or was cancelled.
    """
    from holdfast.cli.kinds import number
    from holdfast.errors import UsageError
    from holdfast.model.duration import seconds

    pause = seconds(number(every), what="--every")
    if id is not None and (workflow is not None or status is not None):
        raise UsageError("--workflow and --status choose among the newest runs; leave them out with an ID")
    if id is not None:
        return context.run(watch_one(context, id, pause))
    return context.run(watch_newest(context, workflow, status, limit, pause))


# Once, after this file's own, which the help shows first.
run_models.add_to(group)
run_streams.add_to(group)
exporting.add_to(group)
steer.add_to(group)
