"""`holdfast run`: one run, here and now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import json_object
from holdfast.cli.kinds import number
from holdfast.cli.output import as_json
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.engine.workflow import Workflow


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "run")(run)


def run(
    context: Context,
    workflow: Annotated[str, typer.Argument(metavar="MODULE:WORKFLOW", help="Where the workflow is.")],
    *,
    input: Annotated[
        str, typer.Option("--input", metavar="JSON", help="Its arguments by name; @file, or - for stdin.")
    ] = "{}",
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="The run's id.")] = None,
    timeout: Annotated[str | None, typer.Option("--timeout", metavar="DURATION", help="Wait at most so long.")] = None,
) -> None:
    """Run a workflow to its end in this process and print its result.

    The run is kept in memory only, unless --url names a database; HOLDFAST_URL and the file do not count here.
    """
    value = json_object(input, "--input")
    from holdfast.cli.modules import load

    if ":" not in workflow:
        found = ", ".join(f"{workflow}:{one.name}" for one in load(workflow))
        raise UsageError(f"name the workflow to run: {found}")
    [chosen] = load(workflow)
    url = context.flags["url"] or "memory://"
    from holdfast.cli.databases import no_server

    no_server(url)
    limit = None if timeout is None else number(timeout)
    result = _uvloop(_run(url, context, chosen, value, id, limit))
    if context.output.as_json:
        context.output.json(result)
    else:
        context.output.text(as_json(result["result"], indent=2))


async def _run(
    url: str,
    context: Context,
    workflow: Workflow[Any, Any],
    value: dict[str, Any],
    id: str | None,
    timeout: float | str | None,
) -> dict[str, Any]:
    import holdfast as hf

    # In memory nothing lasts that somebody could read.
    values = context.values() if context.flags["url"] else None
    async with (
        hf.connect(url, tenant=context.tenant, values=values) as client,
        hf.Worker(client, [workflow], drain=0),
    ):
        started = await client.start_named(workflow.name, value, version=workflow.version, id=id)
        result = await started.result(timeout)
    return {"id": started.id, "workflow": workflow.name, "status": "succeeded", "result": result}


def _uvloop(work: Any) -> Any:
    import asyncio

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
