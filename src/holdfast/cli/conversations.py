"""`holdfast conversations`: what was said, turn by turn, how far each is; ended and given up."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.serving import StateUrl
from holdfast.cli.show import coloured, duration, instant, short
from holdfast.cli.work import Limit

if TYPE_CHECKING:
    from holdfast.conversations.turns import ConversationView
    from holdfast.engine.client import Client

T = TypeVar("T")

group = typer.Typer(name="conversations", help="Guided dialogues: looked at, exported and ended.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The conversation's id.")]

COLUMNS = ("id", "user", "definition", "status", "turns", "changed", "expires")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


def ask(context: Context, state_url: str | None, work: Callable[[Any], Awaitable[T]]) -> T:
    """Do something with the conversations of a state store or a server."""
    kept = context.settings(state_url=state_url)["state_url"] or ""

    async def asked(client: Client) -> T:
        return await work(await _conversations(client, kept))

    return context.ask(asked)


async def _conversations(client: Client, state_url: str) -> Any:
    from holdfast.engine.remote.part import RemotePart

    if isinstance(client, RemotePart):
        from holdfast.cli.conversations_remote import RemoteConversations

        return RemoteConversations(client)
    from holdfast.conversations.desk import open_conversations

    return await open_conversations(client, state_url=state_url)


@command(group, "list")
def list_(
    context: Context,
    *,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Only of this user.")] = None,
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="STATUS", help="Only in this status: open, ended, abandoned, handed_over."),
    ] = None,
    definition: Annotated[
        str | None, typer.Option("--definition", metavar="ID", help="Only of this definition.")
    ] = None,
    item: Annotated[
        str | None, typer.Option("--item", metavar="ID", help="Only those that belong to this work item.")
    ] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Those that have expired too.")] = False,
    limit: Limit = 50,
    state_url: StateUrl = None,
) -> None:
    """List conversations, those that changed last first."""
    found = ask(
        context,
        state_url,
        lambda desk: desk.list(
            user=user, status=status, definition=definition, item=item, expired=expired, limit=limit
        ),
    )
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(COLUMNS, [_row(one) for one in found])
    else:
        context.output.note("there are no such conversations")


def _row(one: ConversationView) -> tuple[Any, ...]:
    expires = "expired" if one.expired else instant(one.expires_at)
    return one.id, one.user, one.definition, coloured(one.status), one.turns, instant(one.changed_at), expires


@command(group, "show")
def show(context: Context, id: Id, *, state_url: StateUrl = None) -> None:
    """Show a conversation, with its state."""
    _show(context, ask(context, state_url, lambda desk: desk.get(id)))


def _show(context: Context, one: ConversationView) -> None:
    if context.output.as_json:
        context.output.json(one)
        return
    context.output.facts(
        {
            "id": one.id,
            "user": one.user,
            "definition": f"{one.definition} (version {one.version})",
            "status": coloured(one.status),
            "turns": one.turns,
            "state": short(one.state, 2000),
            "item": one.item,
            "began": instant(one.created_at),
            "changed": instant(one.changed_at),
            "ended": instant(one.ended_at),
            "expired" if one.expired else "expires": instant(one.expires_at),
            "revision": one.revision,
        }
    )


@command(group, "turns")
def turns(
    context: Context,
    id: Id,
    *,
    after: Annotated[int, typer.Option("--after", metavar="N", help="Only those behind this number.")] = 0,
    limit: Limit = 100,
    state_url: StateUrl = None,
) -> None:
    """Show what was said in a conversation, what it changed, and how long it took."""
    found = ask(context, state_url, lambda desk: desk.turns(id, after=after, limit=limit))
    if context.output.as_json:
        context.output.json(found)
        return
    rows = []
    for one in found:
        answer = " ".join(message.content for message in one.messages)
        rows.append(
            (one.number, instant(one.at), short(one.message, 60), short(answer, 60), short(one.change, 60),
             duration(one.took_seconds))
        )  # fmt: skip
    context.output.table(("turn", "at", "said", "answered", "changed", "took"), rows)


@command(group, "export")
def export(context: Context, id: Id, *, state_url: StateUrl = None) -> None:
    """Print a conversation as lines of JSON: itself, then each of its turns."""

    async def told(desk: Any) -> None:
        async with aclosing(desk.export(id)) as lines:
            async for line in lines:
                context.output.json(json.loads(line))

    ask(context, state_url, told)


@command(group, "end")
def end(context: Context, id: Id, *, state_url: StateUrl = None) -> None:
    """End a conversation: it takes no further turn. One that is over stays as it is."""
    _show(context, ask(context, state_url, lambda desk: desk.end(id)))


@command(group, "abandon")
def abandon(context: Context, id: Id, *, state_url: StateUrl = None) -> None:
    """Give a conversation up, as `end` does; it is told from one that came to its end."""
    _show(context, ask(context, state_url, lambda desk: desk.abandon(id)))
