"""`holdfast notifications`: the file of rules by which people are told, checked, and a channel tried."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.worker import Channels
from holdfast.errors import HoldfastError, UsageError

if TYPE_CHECKING:
    from holdfast.services.outbox.terms import ChannelTerms

group = typer.Typer(name="notifications", help="Rules by which people are told of runs.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "check")
def check(
    context: Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file of rules.")],
    *,
    channels: Channels = None,
) -> None:
    """Read a file of rules, and say what is wrong with it, or who is told of what.

    With a file of channels, its rules may name no others.
    """
    from holdfast.services.notifying.rules import read_rules
    from holdfast.services.outbox.channel_files import read_channels

    named = context.settings(worker__channels=channels)["worker.channels"]
    rules = read_rules(file, None if named is None else read_channels(named))
    if context.output.as_json:
        context.output.json([{"name": one.name, "on": list(one.on), "channels": list(one.channels)} for one in rules])
        return
    for rule in rules:
        context.output.text(f"{rule.name}: {', '.join(rule.on)} to {', '.join(rule.channels)}")


@command(group, "test")
def try_channel(
    context: Context,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="A channel of the file of channels.")],
    *,
    channels: Channels = None,
) -> None:
    """Send a message by a channel, at once and from here."""
    from holdfast.services.outbox.channel_files import read_channels

    file = context.settings(worker__channels=channels)["worker.channels"]
    if file is None:
        raise UsageError("no file of channels is named: give --channels FILE, or write [worker] channels")
    known = read_channels(file)
    if channel not in known:
        raise UsageError(f"file {file} has no channel {channel!r}; it has {', '.join(known)}")
    said = asyncio.run(_try(known[channel], context.tenant))
    if context.output.as_json:
        context.output.json({"channel": channel, "sent": True, "said": said})
    else:
        context.output.text(f"channel {channel} has taken the message")


async def _try(terms: ChannelTerms, tenant: str) -> str:
    from holdfast.engine.publishing import encode
    from holdfast.services.outbox.channels import make_channel
    from holdfast.services.outbox.outgoing import Outgoing

    message = {"title": "A test of holdfast", "text": f"Channel {terms.name} can be told of runs."}
    sender = make_channel(terms)
    try:
        return await sender.send(
            Outgoing(tenant, f"test/{secrets.token_hex(8)}", encode(message, "a test"), time.time_ns() // 1000)
        )
    except HoldfastError as error:
        raise HoldfastError(f"channel {terms.name!r}: {error}") from None
    finally:
        await sender.close()
