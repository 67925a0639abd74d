"""`holdfast outbox`: messages on their way out, and those that need somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import json_value
from holdfast.cli.output import as_json
from holdfast.cli.show import coloured, instant, short

if TYPE_CHECKING:
    from holdfast.engine.messages import MessageView

COLUMNS = ("id", "status", "channel", "workflow", "run", "published", "due", "what")

group = typer.Typer(name="outbox", help="Messages: look at them, send them again, discard them.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The message's id.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of messages.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "list")
def list_(
    context: Context,
    *,
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="STATUS", help="pending, sending, sent, failed, dead, withheld or discarded."),
    ] = None,
    channel: Annotated[str | None, typer.Option("--channel", metavar="NAME", help="Of this channel.")] = None,
    workflow: Annotated[str | None, typer.Option("--workflow", metavar="NAME", help="Of its runs.")] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="ID", help="Of this run.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="KEY", help="With this key.")] = None,
    doubt: Annotated[
        bool | None, typer.Option("--doubt/--no-doubt", help="Those that may have been sent, or only the others.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many.")] = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="UID", help="Only what was published before this one.")
    ] = None,
) -> None:
    """List messages, the newest first."""
    asked: dict[str, Any] = {
        "status": status, "channel": channel, "workflow": workflow, "run": run, "key": key, "doubt": doubt,
        "limit": limit, "before": before,
    }  # fmt: skip
    found = context.ask(lambda client: client.messages(**asked))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(COLUMNS, [_row(one) for one in found])
    else:
        context.output.note("there are no such messages")


@command(group, "show")
def show(context: Context, id: Id) -> None:
    """Show a message: where it stands, what it says, and the attempts to send it."""
    view = context.ask(lambda client: client.message(id))
    if context.output.as_json:
        context.output.json(view)
        return
    context.output.facts(
        {
            "id": view.id,
            "status": coloured(view.status),
            "channel": view.channel,
            "key": view.key,
            "verdict": view.verdict,
            "reason": view.reason or None,
            "doubt": "it may have been sent, though nobody knows" if view.doubt else None,
            "approved by": view.approved_by,
            "workflow": view.workflow or None,
            "run": view.run,
            "published": instant(view.created_at),
            "due": instant(view.due_at),
            "ended": instant(view.ended_at),
            "error": view.error,
            "published again": view.repeats or None,
        }
    )
    context.output.text(as_json(view.body, indent=2))
    if view.tries:
        rows = [(one.attempt, coloured(one.outcome), instant(one.began_at), one.detail) for one in view.tries]
        context.output.table(("attempt", "outcome", "began", "detail"), rows)


@command(group, "publish")
def publish(
    context: Context,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="By which it is sent.")],
    *,
    message: Annotated[str, typer.Option("--message", metavar="JSON", help="What is sent; @file, or - for stdin.")],
    id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="To publish it once, however often this is called.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="KEY", help="Sent in order with others of it.")] = None,
    workflow: Annotated[
        str, typer.Option("--workflow", metavar="NAME", help="In whose name: its publish mode counts.")
    ] = "",
) -> None:
    """Publish a message, and print its id."""
    given = json_value(message, "--message")
    made = context.ask(lambda client: client.publish(channel, given, id=id, key=key, workflow=workflow))
    if context.output.as_json:
        context.output.json({"id": made})
    else:
        context.output.text(made)


@command(group, "send")
def send(context: Context, ids: Ids) -> None:
    """Have messages sent that are dead, failed, or withheld by their mode, whatever the mode says."""
    _changed(context, context.ask(lambda client: client.send_again(_one_or_all(ids))), "will be sent")


@command(group, "discard")
def discard(
    context: Context,
    ids: Ids,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; shown to people.")],
) -> None:
    """Give messages up that are not sent yet."""
    changed = context.ask(lambda client: client.discard_message(_one_or_all(ids), reason))
    _changed(context, changed, "is discarded")


@command(group, "check")
def check(context: Context, file: Annotated[str, typer.Argument(metavar="FILE", help="The file of channels.")]) -> None:
    """Read a file of channels, and say what is wrong with it, or which channels there are."""
    from holdfast.services.outbox.channel_files import read_channels

    found = read_channels(file)
    if context.output.as_json:
        context.output.json([{"name": name, "type": terms.type} for name, terms in found.items()])
        return
    for name, terms in found.items():
        context.output.text(f"{name}: {terms.type}")


def _one_or_all(ids: list[str]) -> str | list[str]:
    """One alone is refused with the reason; of several, those that cannot be changed are left."""
    return ids[0] if len(ids) == 1 else ids


def _changed(context: Context, ids: list[str], what: str) -> None:
    if context.output.as_json:
        context.output.json(ids)
        return
    for id in ids:
        context.output.text(f"{id} {what}")


def _row(view: MessageView) -> tuple[object, ...]:
    what = view.error or view.reason
    if view.doubt:
        what = f"may have been sent: {what}"
    return (
        view.id, coloured(view.status), view.channel, view.workflow, view.run, instant(view.created_at),
        instant(view.due_at), short(what, 60) if what else "",
    )  # fmt: skip
