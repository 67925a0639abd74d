"""`holdfast notifications`: the file of rules by which people are told, checked and tried."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli.command import Context, command
from holdfast.errors import UsageError

group = typer.Typer(name="notifications", help="Rules by which people are told of runs.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="FILE", help="The file of rules.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "check")
def check(context: Context, file: File) -> None:
    """Read a file of rules, and say what is wrong with it, or who is told of what."""
    from holdfast.services.notifying.rules import read_rules

    rules = read_rules(file).rules
    if context.output.as_json:
        context.output.json([{"name": one.name, "on": list(one.on), "channels": list(one.channels)} for one in rules])
        return
    for rule in rules:
        context.output.text(f"{rule.name}: {', '.join(rule.on)} to {', '.join(rule.channels)}")


@command(group, "test")
def test(
    context: Context,
    file: File,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="A channel of the file.")],
) -> None:
    """Send a message to a channel, at once and from here."""
    from holdfast.services.notifying.rules import read_rules
    from holdfast.services.notifying.sending import deliver, load_channels

    channels = read_rules(file).channels
    if channel not in channels:
        raise UsageError(f"file {file} has no channel {channel!r}; it has {', '.join(channels) or 'none'}")
    url = channels[channel].reveal(f"the url of channel {channel!r}")
    load_channels()
    deliver(channel, url, "A test of holdfast", f"Channel {channel} can be told of runs.")
    if context.output.as_json:
        context.output.json({"channel": channel, "sent": True})
    else:
        context.output.text(f"channel {channel} has taken the message")
