"""`holdfast items subjects`: whom work is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import json_object, json_value
from holdfast.cli.output import Missing
from holdfast.cli.show import instant, short
from holdfast.cli.work import NONE, As, Limit, ask, show_imported
from holdfast.errors import SubjectNotFound, UsageError

if TYPE_CHECKING:
    from holdfast.workqueue.views import SubjectView

subjects = typer.Typer(name="subjects", help="Whom work is about.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The subject's id.")]
Demo = Annotated[bool, typer.Option("--demo", help="New ones belong to the demo.")]

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}

Delimiter = Annotated[
    str | None,
    typer.Option("--delimiter", metavar="NAME", help="comma, semicolon or tab; seen from the first line unless given."),
]


def add_to(group: typer.Typer) -> None:
    """Add the commands to `holdfast items`."""
    group.add_typer(subjects)


@command(subjects, "import")
def import_(
    context: Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A CSV file whose first line names the columns; - for stdin.")
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line, and store nothing.")] = False,
    delimiter: Delimiter = None,
    demo: Demo = False,
    who: As = None,
) -> int:
    """Take in subjects: the good lines are stored, the bad ones told. Ends with 1 if there are bad ones."""
    source, between = source_of(file), delimiter_of(delimiter)
    found = ask(
        context,
        lambda work: work.import_subjects(source, delimiter=between, demo=demo, dry_run=dry_run),
        who=who,
    )
    return show_imported(context, found, "subjects would be stored, that" if dry_run else "subjects")


@command(subjects, "sample")
def sample(context: Context) -> None:
    """Print a CSV file of 20 customers of our own invention, to try things with."""
    from holdfast.workqueue.subjects import sample_customers

    text = sample_customers().decode()
    if context.output.as_json:
        context.output.json({"csv": text})
    else:
        context.output.stream.write(text)


@command(subjects, "put")
def put(
    context: Context,
    id: Id,
    *,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="What people call it.")] = None,
    assignee: Annotated[
        str | None, typer.Option("--assignee", metavar="ID|none", help="Who looks after it, and gets its work.")
    ] = None,
    properties: Annotated[
        str | None, typer.Option("--properties", metavar="JSON", help="Merged; null deletes; @file, or - for stdin.")
    ] = None,
    contacts: Annotated[
        str | None, typer.Option("--contacts", metavar="JSON", help="A list of objects, in place of those known.")
    ] = None,
    signals: Annotated[
        str | None, typer.Option("--signals", metavar="JSON", help="What was measured just now, by name.")
    ] = None,
    demo: Demo = False,
    revision: Annotated[
        int | None, typer.Option("--revision", metavar="N", help="Only if it stands at this revision; 0: only if new.")
    ] = None,
    who: As = None,
) -> None:
    """Make a subject known, or change what is given of one."""
    given: dict[str, Any] = {} if name is None else {"name": name}
    if assignee is not None:
        given["assignee"] = None if assignee == NONE else assignee
    if properties is not None:
        given["properties"] = json_object(properties, "--properties")
    if contacts is not None:
        given["contacts"] = json_value(contacts, "--contacts")
    if signals is not None:
        given["signals"] = json_object(signals, "--signals")
    if demo:
        given["demo"] = True
    _print(context, ask(context, lambda work: work.put_subject(id, revision=revision, **given), who=who))


@command(subjects, "list")
def list_(
    context: Context,
    *,
    assignee: Annotated[
        str | None, typer.Option("--assignee", metavar="ID", help="Only those that this person looks after.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="Only with this in the name or the id.")
    ] = None,
    limit: Limit = 50,
    after: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="Only those behind this one, the last of a page.")
    ] = None,
) -> None:
    """List subjects, by id."""
    found = ask(context, lambda work: work.subjects(assignee=assignee, text=text, limit=limit, after=after))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(
            ("id", "name", "assignee", "scores", "signals"),
            [
                (
                    one.id,
                    one.name,
                    one.assignee or "",
                    ", ".join(f"{name} {score.score:g}" for name, score in one.scores.items()),
                    short(one.signals, 80),
                )
                for one in found
            ],
        )
    else:
        context.output.note("there are no such subjects; `holdfast items subjects import` takes them in")


@command(subjects, "show")
def show(context: Context, id: Id) -> None:
    """Show a subject."""
    _print(context, ask(context, lambda work: work.get_subject(id)))


@command(subjects, "delete")
def delete(context: Context, id: Id, *, who: As = None) -> None:
    """Forget a subject and its signals; its items stay."""
    if not ask(context, lambda work: work.delete_subject(id), who=who):
        raise SubjectNotFound(f"tenant {context.tenant!r} has no subject {id!r}")
    if context.output.as_json:
        context.output.json({"id": id, "deleted": True})
    else:
        context.output.text(f"subject {id} is forgotten")


def source_of(file: str) -> Any:
    """A file that is to be read, or standard input.

    Raises:
        Missing: there is none.
        UsageError: it is a folder.
    """
    if file == "-":
        import sys

        return sys.stdin.buffer
    path = Path(file)
    if not path.exists():
        raise Missing(f"there is no file {file}")
    if path.is_dir():
        raise UsageError(f"{file} is a folder; name a file")
    return path


def delimiter_of(name: str | None) -> str | None:
    """What stands between two fields.

    Raises:
        UsageError: no such name.
    """
    if name is None:
        return None
    if name not in DELIMITERS:
        raise UsageError(f"--delimiter is {name!r}; give comma, semicolon or tab")
    return DELIMITERS[name]


def _print(context: Context, one: SubjectView) -> None:
    if context.output.as_json:
        context.output.json(one)
        return
    context.output.facts(
        {
            "id": one.id,
            "name": one.name,
            "assignee": one.assignee,
            "properties": short(one.properties, 400) if one.properties else None,
            "contacts": short(one.contacts, 400) if one.contacts else None,
            "signals": short(one.signals, 400) if one.signals else None,
            "scores": ", ".join(f"{name} {score.score:g}" for name, score in one.scores.items()),
            "demo": "yes" if one.demo else None,
            "known since": instant(one.created_at),
            "revision": one.revision,
        }
    )
