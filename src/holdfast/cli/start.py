"""`holdfast start`: a run of a workflow that workers serve."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import json_object
from holdfast.cli.kinds import number
from holdfast.cli.output import as_json
from holdfast.errors import UnknownWorkflow, UsageError

if TYPE_CHECKING:
    from holdfast.engine.client import Client, RunHandle

LOOK_SECONDS = 0.1
"""How often to look whether a worker has registered the workflow by now."""

NOTE_SECONDS = 1.0
"""When to say that a worker is waited for."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "start")(start)


def start(
    context: Context,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Its name, as workers serve it.")],
    *,
    input: Annotated[
        str, typer.Option("--input", metavar="JSON", help="Its arguments by name; @file, or - for stdin.")
    ] = "{}",
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="The run's id; made up unless given.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the run to end and print its result.")] = False,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="With --wait: wait at most so long.")
    ] = None,
    priority: Annotated[int, typer.Option("--priority", metavar="N", help="Higher goes first, -1000 to 1000.")] = 0,
    delay: Annotated[
        str | None, typer.Option("--delay", metavar="DURATION", help="Not before so long from now.")
    ] = None,
    queue: Annotated[str | None, typer.Option("--queue", metavar="NAME", help="Instead of the workflow's own.")] = None,
    attributes: Annotated[
        str | None, typer.Option("--attributes", metavar="JSON", help="An object that is kept with the run.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Of the workflow; the latest unless given.")
    ] = None,
    patience: Annotated[
        str, typer.Option("--patience", metavar="DURATION", help="How long to wait for a worker that serves it.")
    ] = "10s",
) -> None:
    """Start a run of a workflow by its name, and print the run's id.

    An id that exists, with the same workflow and input, is that run: nothing is started twice.
    """
    from holdfast.engine.workflow import start_options
    from holdfast.model.duration import seconds

    if timeout is not None and not wait:
        raise UsageError("--timeout limits --wait; give both")
    value = json_object(input, "--input")
    options: dict[str, Any] = {"id": id, "priority": priority, "queue": queue}
    if delay is not None:
        options["delay"] = number(delay)
    if attributes is not None:
        options["attributes"] = json_object(attributes, "--attributes")
    start_options(**options)  # refused before anything is waited for
    limit = None if timeout is None else seconds(number(timeout), what="--timeout")
    until = seconds(number(patience), what="--patience")
    context.run(_start(context, workflow, value, version, options, until, wait, limit))


async def _start(
    context: Context,
    workflow: str,
    value: dict[str, Any],
    version: str | None,
    options: dict[str, Any],
    patience_seconds: float,
    wait: bool,
    timeout_seconds: float | None,
) -> None:
    output = context.output
    async with context.client(new=True) as client:
        run = await _when_known(context, client, workflow, value, version, options, patience_seconds)
        shown: dict[str, Any] = {"id": run.id, "workflow": workflow, "created": run.created}
        if run.way != "started":
            shown |= {"way": run.way, "reason": run.reason, "diversion": run.diversion}
            output.note(f"the start was {run.way}: {run.reason}")
        elif not run.created:
            output.note(f"run {run.id} exists already; nothing new was started")
        if not wait:
            if output.as_json:
                output.json(shown)
            else:
                output.text(run.id)
            return
        try:
            result = await run.result(timeout_seconds)
        except asyncio.CancelledError:
            output.note(f"run {run.id} goes on; look at it with `holdfast runs watch {run.id}`")
            raise
    if output.as_json:
        output.json({**shown, "status": "succeeded", "result": result})
    else:
        output.text(as_json(result, indent=2))


async def _when_known(
    context: Context,
    client: Client,
    workflow: str,
    value: dict[str, Any],
    version: str | None,
    options: dict[str, Any],
    patience_seconds: float,
) -> RunHandle[Any]:
    """Start it as soon as some worker has registered it."""
    began = time.monotonic()
    noted = False
    while True:
        try:
            return await client.start_named(workflow, value, version=version, **options)
        except UnknownWorkflow:
            waited = time.monotonic() - began
            if waited >= patience_seconds:
                raise
            if waited >= NOTE_SECONDS and not noted:
                noted = True
                context.output.note(f"no worker has registered {workflow!r} yet; waiting for one")
        await asyncio.sleep(LOOK_SECONDS)
