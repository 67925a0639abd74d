"""`holdfast users`: the people who sign in, and whom work is assigned to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.passwords import read_password
from holdfast.cli.show import instant
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.engine.client import Client
    from holdfast.engine.people import UserView

NONE = "none"
"""What stands for nothing, where a value can be taken away."""

group = typer.Typer(
    name="users", help="Look after people: who may sign in, and what they may do.", no_args_is_help=True
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The person's id: any text, unique within the tenant.")]
Email = Annotated[str | None, typer.Option("--email", metavar="ADDRESS|none", help="The e-mail address.")]
Name = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="The name to show.")]
Role = Annotated[str | None, typer.Option("--role", metavar="ROLE", help="viewer, worker-of-items, operator or admin.")]
Zone = Annotated[str | None, typer.Option("--zone", metavar="ZONE", help="The time zone, such as Europe/Berlin.")]
Manager = Annotated[str | None, typer.Option("--manager", metavar="ID|none", help="Whom they report to.")]
Groups = Annotated[
    list[str] | None, typer.Option("--group", metavar="NAME|none", help="A group they are in; may be repeated.")
]
Capacity = Annotated[
    str | None, typer.Option("--capacity", metavar="N|none", help="How many work items they take on at once.")
]
Away = Annotated[
    list[str] | None,
    typer.Option("--away", metavar="FROM..UNTIL|none", help="Days when they are away; may be repeated."),
]
Password = Annotated[
    bool,
    typer.Option("--password", help="Ask for a password; where there is no terminal, read it from standard input."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "add")
def add(
    context: Context,
    id: Id,
    *,
    email: Email = None,
    name: Name = None,
    role: Role = None,
    zone: Zone = None,
    manager: Manager = None,
    groups: Groups = None,
    capacity: Capacity = None,
    away: Away = None,
    password: Password = False,
) -> None:
    """Make a person known: a viewer, unless --role is given."""
    given = _given(email, name, role, zone, manager, groups, capacity, away)
    if password:
        given["password"] = read_password(id)
    _print(context, context.ask(lambda client: client.put_user(id, revision=0, **given)))


@command(group, "set")
def set_(
    context: Context,
    id: Id,
    *,
    email: Email = None,
    name: Name = None,
    role: Role = None,
    zone: Zone = None,
    manager: Manager = None,
    groups: Groups = None,
    capacity: Capacity = None,
    away: Away = None,
    disabled: Annotated[
        bool | None, typer.Option("--disabled/--enabled", help="Whether they are kept from signing in.")
    ] = None,
) -> None:
    """Change what is known of a person. What is not given stays as it is."""
    given = _given(email, name, role, zone, manager, groups, capacity, away)
    if disabled is not None:
        given["disabled"] = disabled
    if not given:
        raise UsageError("nothing is given to change: give --role, --email or the like")
    _print(context, context.ask(lambda client: _change(client, id, given)))


@command(group, "password")
def password(
    context: Context,
    id: Id,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take the password away instead.")] = False,
) -> None:
    """Set a person's password, asked for or read from standard input; never an argument."""
    given = {"password": None if remove else read_password(id)}
    found = context.ask(lambda client: _change(client, id, given))
    if context.output.as_json:
        context.output.json(found)
    else:
        context.output.text(f"{found.id} has {'no password' if remove else 'a new password'}")


@command(group, "list")
def list_(
    context: Context,
    *,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many, 1 to 1000.")] = 100,
    after: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="Only those behind this one, the last of a page.")
    ] = None,
) -> None:
    """List the tenant's people, by id."""
    found = context.ask(lambda client: client.users(limit=limit, after=after))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(
            ("id", "name", "e-mail", "role", "groups", ""),
            [
                (one.id, one.name, one.email or "", one.role, ", ".join(one.groups), "disabled" if one.disabled else "")
                for one in found
            ],
        )
    else:
        context.output.note("nobody is known yet; `holdfast users add ID` makes somebody known")


@command(group, "show")
def show(context: Context, id: Id) -> None:
    """Show what is known of a person."""
    _print(context, context.ask(lambda client: client.get_user(id)))


@command(group, "remove")
def remove(context: Context, id: Id) -> None:
    """Forget a person and sign them out; what is recorded of what they did stays."""

    async def work(client: Client) -> None:
        if not await client.delete_user(id):
            await client.get_user(id)  # tells that there is none

    context.ask(work)
    if context.output.as_json:
        context.output.json({"id": id, "removed": True})
    else:
        context.output.text(f"{id} is removed")


async def _change(client: Client, id: str, given: dict[str, Any]) -> UserView:
    stands = await client.get_user(id)
    return await client.put_user(id, revision=stands.revision, **given)


def _given(
    email: str | None,
    name: str | None,
    role: str | None,
    zone: str | None,
    manager: str | None,
    groups: Sequence[str] | None,
    capacity: str | None,
    away: Sequence[str] | None,
) -> dict[str, Any]:
    """What was given, as `Client.put_user` takes it."""
    given: dict[str, Any] = {"name": name, "role": role, "zone": zone}
    given = {key: value for key, value in given.items() if value is not None}
    for key, text in (("email", email), ("manager", manager)):
        if text is not None:
            given[key] = None if text == NONE else text
    if groups:
        given["groups"] = [] if list(groups) == [NONE] else list(groups)
    if capacity is not None:
        given["capacity"] = None if capacity == NONE else _number(capacity)
    if away:
        given["away"] = [] if list(away) == [NONE] else [_days(one) for one in away]
    return given


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--capacity is {text!r}; give a whole number, or none for any number") from None


def _days(text: str) -> dict[str, str]:
    first, dots, last = text.partition("..")
    if not dots:
        raise UsageError(f"--away is {text!r}; give the first and the last day, such as 2026-12-24..2027-01-02")
    return {"from": first, "until": last}


def _print(context: Context, found: UserView) -> None:
    if context.output.as_json:
        context.output.json(found)
        return
    context.output.facts(
        {
            "id": found.id,
            "name": found.name,
            "e-mail": found.email,
            "role": found.role,
            "disabled": "yes" if found.disabled else None,
            "password": "yes" if found.has_password else "none",
            "zone": found.zone,
            "manager": found.manager,
            "groups": ", ".join(found.groups),
            "capacity": found.capacity,
            "away": ", ".join(f"{one['from']}..{one['until']}" for one in found.away),
            "known since": instant(found.created_at),
        }
    )
