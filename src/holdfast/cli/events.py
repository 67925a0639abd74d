"""`holdfast events`: tells waiting runs what happened outside."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import json_value
from holdfast.cli.kinds import number

group = typer.Typer(name="events", help="Send events to runs.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "send")
def send(
    context: Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The event's name.")],
    *,
    key: Annotated[
        str, typer.Option("--key", metavar="KEY", help="What it is about; as the run's code gives it.")
    ] = "",
    payload: Annotated[
        str, typer.Option("--payload", metavar="JSON", help="What the waiting run is given; @file, or - for stdin.")
    ] = "null",
    to: Annotated[
        str,
        typer.Option("--to", metavar="first|all", help="The run that has waited longest, or every run that waits."),
    ] = "first",
    keep: Annotated[
        str, typer.Option("--keep", metavar="DURATION", help="How long it is kept for runs that wait later.")
    ] = "7d",
    id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="To send it once, however often this is called.")
    ] = None,
) -> None:
    """Send an event to the runs that wait for it, or will."""
    value = json_value(payload, "--payload")
    receivers: Any = to
    found = context.ask(lambda client: client.send_event(name, value, key=key, to=receivers, keep=number(keep), id=id))
    if context.output.as_json:
        context.output.json(
            {"name": name, "key": key, "created": found.created, "waits": found.waits, "cancels": found.cancels}
        )
        return
    about = f"{name!r} with key {key!r}" if key else repr(name)
    if not found.created:
        context.output.text(f"event {about} of id {id!r} had been sent; nothing new was sent")
        return
    reached = {0: f"no run waits for it yet; it is kept for {keep}", 1: "1 run goes on with it"}
    said = [reached.get(found.waits, f"{found.waits} runs go on with it")]
    if found.cancels:
        said.append(f"{found.cancels} runs are cancelled by it")
    context.output.text(f"event {about} is sent: {', '.join(said)}")
