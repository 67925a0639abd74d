"""`holdfast items definitions`: kinds of work, and when there is some to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import json_object
from holdfast.cli.items_subjects import source_of
from holdfast.cli.show import instant, short
from holdfast.cli.work import As, ask
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.workqueue.views import DefinitionView

definitions = typer.Typer(name="definitions", help="Kinds of work, and when there is some to do.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The definition's id.")]

COLUMNS = ("id", "version", "name", "type", "weight", "active", "rule")


def add_to(group: typer.Typer) -> None:
    """Add the commands to `holdfast items`."""
    group.add_typer(definitions)


@command(definitions, "list")
def list_(
    context: Context,
    *,
    active: Annotated[
        bool | None,
        typer.Option("--active/--retired", help="Only those that make items, or only those that make none."),
    ] = None,
) -> None:
    """List definitions, by id."""
    _table(context, ask(context, lambda work: work.definitions(active=active)))


@command(definitions, "versions")
def versions(context: Context, id: Id) -> None:
    """List all versions of a definition."""
    _table(context, ask(context, lambda work: work.versions(id)))


@command(definitions, "show")
def show(
    context: Context,
    id: Id,
    *,
    version: Annotated[int | None, typer.Option("--version", metavar="N", help="The newest unless given.")] = None,
) -> None:
    """Show a definition."""
    _print(context, ask(context, lambda work: work.get_definition(id, version=version)))


@command(definitions, "put")
def put(
    context: Context,
    id: Id,
    document: Annotated[str, typer.Argument(metavar="JSON", help="What it says; @file, or - for stdin.")],
    *,
    revision: Annotated[
        int | None, typer.Option("--revision", metavar="N", help="Only if it stands at this version; 0: only if new.")
    ] = None,
    who: As = None,
) -> None:
    """Say what a kind of work is. What is said anew is a new version."""
    given = json_object(document, "JSON")
    _print(context, ask(context, lambda work: work.put_definition(id, given, revision=revision), who=who))


@command(definitions, "load")
def load(
    context: Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A TOML file; each definition is a table [definitions.ID].")
    ],
    *,
    who: As = None,
) -> None:
    """Put the definitions of a file."""
    path = source_of(file)
    if file == "-":
        raise UsageError("definitions are loaded from a file; name one")
    _table(context, ask(context, lambda work: work.load(path), who=who))


@command(definitions, "activate")
def activate(context: Context, id: Id, *, who: As = None) -> None:
    """Let items be made of a definition from now on."""
    _print(context, ask(context, lambda work: work.activate(id), who=who))


@command(definitions, "retire")
def retire(context: Context, id: Id, *, who: As = None) -> None:
    """Let no more items be made of a definition; those that are there stay."""
    _print(context, ask(context, lambda work: work.retire(id), who=who))


@command(definitions, "dry-run")
def dry_run(
    context: Context,
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The definition's id.")] = None,
    *,
    document: Annotated[
        str | None, typer.Option("--document", metavar="JSON", help="Instead: one that is not stored; @file, or -.")
    ] = None,
) -> None:
    """Say what a definition would make today; nothing is changed."""
    if (id is None) == (document is None):
        raise UsageError("give the id of a definition, or --document, and not both")
    asked: Any = id if document is None else json_object(document, "--document")
    found = ask(context, lambda work: work.dry_run(asked))
    if context.output.as_json:
        context.output.json(found)
        return
    context.output.text(
        f"it would make {found.makes} items: its rule holds for {found.matches} of {found.subjects} subjects, and "
        f"{found.taken} of these have an item of it, or had one a short while ago"
    )
    if found.failed:
        context.output.note(f"for {found.failed} subjects its rule cannot be told")
    for note in found.notes:
        context.output.note(note)
    for example in found.examples:
        context.output.text(example)


def _table(context: Context, found: Sequence[DefinitionView]) -> None:
    if context.output.as_json:
        context.output.json(found)
    elif found:
        rows = [
            (one.id, one.version, one.name, one.type, one.weight, "yes" if one.active else "no", one.rule or "")
            for one in found
        ]
        context.output.table(COLUMNS, rows)
    else:
        context.output.note("there are no such definitions")


def _print(context: Context, one: DefinitionView) -> None:
    if context.output.as_json:
        context.output.json(one)
        return
    context.output.facts(
        {
            "id": one.id,
            "version": one.version,
            "name": one.name,
            "type": one.type,
            "description": one.description,
            "weight": one.weight,
            "rule": one.rule,
            "active": "yes" if one.active else "no",
            "demo": "yes" if one.demo else None,
            "document": short(one.document, 1000),
            "by": one.created_by,
            "at": instant(one.created_at),
        }
    )
