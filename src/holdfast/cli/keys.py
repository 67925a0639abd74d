"""`holdfast keys`: the API keys of a tenant."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.kinds import number
from holdfast.cli.output import Missing
from holdfast.cli.show import instant

if TYPE_CHECKING:
    from holdfast.engine.client import Client
    from holdfast.engine.people import KeyView

group = typer.Typer(name="keys", help="Look after API keys.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "create")
def create(
    context: Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    *,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="viewer, worker-of-items, operator or admin.")
    ] = "viewer",
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DURATION", help="For how long it is good, such as 90d.")
    ] = None,
) -> None:
    """Make an API key for the tenant, and print it: this once, it cannot be had again."""
    length = None if expires is None else number(expires)
    made = context.ask(lambda client: client.create_key(name, role=role, expires=length))
    if context.output.as_json:
        context.output.json({"key": made.key, **asdict(made.view)})
        return
    context.output.text(made.key)
    until = f", until {instant(made.view.expires_at)}" if made.view.expires_at else ""
    context.output.note(f"keep it well: only its digest is stored. It is {made.view.role}{until}")


@command(group, "list")
def list_(
    context: Context,
    *,
    search: Annotated[
        str, typer.Option("--search", metavar="TEXT", help="Only keys whose prefix begins so; a whole key will do.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many, 1 to 1000.")] = 100,
    after: Annotated[
        str | None, typer.Option("--after", metavar="PREFIX", help="Only those behind this one, the last of a page.")
    ] = None,
) -> None:
    """List the tenant's API keys, by prefix, without their secrets."""
    found = context.ask(lambda client: client.keys(search=search, limit=limit, after=after))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(
            ("prefix", "name", "role", "made by", "made", "last used", ""),
            [
                (
                    one.prefix,
                    one.name,
                    one.role,
                    one.created_by,
                    instant(one.created_at),
                    instant(one.used_at) or "never",
                    _standing(one),
                )
                for one in found
            ],
        )
    else:
        context.output.note("there are no such keys")


@command(group, "revoke")
def revoke(
    context: Context,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="The key's prefix, as listed.")],
) -> None:
    """Let an API key be good no more, at once."""

    async def work(client: Client) -> bool:
        return await client.revoke_key(prefix)

    if not context.ask(work):
        raise Missing(f"tenant {context.tenant!r} has no API key {prefix!r}; `holdfast keys list` shows what there is")
    if context.output.as_json:
        context.output.json({"prefix": prefix, "revoked": True})
    else:
        context.output.text(f"{prefix} is revoked")


def _standing(key: KeyView) -> str:
    if key.revoked_at is not None:
        return f"revoked {instant(key.revoked_at)}"
    if key.expires_at is None:
        return ""
    return f"{'until' if key.expires_at > datetime.now(UTC) else 'expired'} {instant(key.expires_at)}"
