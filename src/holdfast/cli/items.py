"""`holdfast items`: what people are to do. Made, looked at, and why something is where it is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast.cli import (
    items_bulk,
    items_definitions,
    items_figures,
    items_moves,
    items_settings,
    items_signals,
    items_subjects,
)
from holdfast.cli.command import Context, command
from holdfast.cli.inputs import instant_of, json_object
from holdfast.cli.kinds import number
from holdfast.cli.show import instant, short
from holdfast.cli.work import As, Id, Limit, ask, show_item, show_items
from holdfast.errors import UsageError

group = typer.Typer(name="items", help="The work of people: items, and what they are made of.", no_args_is_help=True)

Assignee = Annotated[str | None, typer.Option("--assignee", metavar="ID", help="Only of this person.")]
Nobody = Annotated[bool, typer.Option("--nobody", help="Only those that nobody has.")]
Status = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        help="Only in this status: not_started, underway, completed, snoozed, skipped; may be repeated.",
    ),
]
Group = Annotated[str | None, typer.Option("--group", metavar="NAME", help="Only of this group.")]
Definition = Annotated[str | None, typer.Option("--definition", metavar="ID", help="Only of this definition.")]
Type = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only of this type.")]
Subject = Annotated[str | None, typer.Option("--subject", metavar="ID", help="Only about this subject.")]
Kind = Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only of this kind: work, ask or hold.")]
Escalated = Annotated[str | None, typer.Option("--escalated-to", metavar="ID", help="Only escalated to this person.")]
Overdue = Annotated[bool | None, typer.Option("--overdue/--not-overdue", help="Whether they are overdue.")]
Blocked = Annotated[bool | None, typer.Option("--blocked/--not-blocked", help="Whether they wait for others.")]
Demo = Annotated[bool, typer.Option("--demo", help="The demo's items, instead of all others.")]
Text = Annotated[
    str | None, typer.Option("--text", metavar="TEXT", help="Only with this in the title, or the subject's name or id.")
]
Batch = Annotated[
    str | None, typer.Option("--batch", metavar="ID", help="Only those that this bulk operation changed.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands, and those of the other files."""
    app.add_typer(group)


@command(group, "queue")
def queue(
    context: Context,
    *,
    assignee: Annotated[
        str | None, typer.Option("--assignee", metavar="ID", help="Whose; of whoever asks unless given.")
    ] = None,
    limit: Limit = 10,
    demo: Demo = False,
    include_snoozed: Annotated[bool, typer.Option("--include-snoozed", help="Those that are snoozed too.")] = False,
    who: As = None,
) -> None:
    """List what somebody is to do now, the most important first."""
    found = ask(
        context,
        lambda work: work.queue(assignee, limit=limit, demo=demo, include_snoozed=include_snoozed),
        who=who,
    )
    show_items(context, found, "there is nothing to do")


@command(group, "list")
def list_(
    context: Context,
    *,
    assignee: Assignee = None,
    nobody: Nobody = False,
    status: Status = None,
    in_group: Group = None,
    definition: Definition = None,
    type: Type = None,
    subject: Subject = None,
    kind: Kind = None,
    escalated_to: Escalated = None,
    overdue: Overdue = None,
    blocked: Blocked = None,
    demo: Demo = False,
    text: Text = None,
    batch: Batch = None,
    limit: Limit = 50,
    after: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="Only those behind this one, the last of a page.")
    ] = None,
) -> None:
    """List work items, the newest first."""
    wanted = filters(
        assignee, nobody, status, in_group, definition, type, subject, kind, escalated_to, overdue, blocked, demo, text,
        batch,
    )  # fmt: skip
    show_items(
        context, ask(context, lambda work: work.list(limit=limit, after=after, **wanted)), "there are no such items"
    )


@command(group, "count")
def count(
    context: Context,
    *,
    assignee: Assignee = None,
    nobody: Nobody = False,
    status: Status = None,
    in_group: Group = None,
    definition: Definition = None,
    type: Type = None,
    subject: Subject = None,
    kind: Kind = None,
    escalated_to: Escalated = None,
    overdue: Overdue = None,
    blocked: Blocked = None,
    demo: Demo = False,
    text: Text = None,
    batch: Batch = None,
    cap: Annotated[int, typer.Option("--cap", metavar="N", help="Count no further, 1 to 100000.")] = 1000,
) -> None:
    """Count work items."""
    wanted = filters(
        assignee, nobody, status, in_group, definition, type, subject, kind, escalated_to, overdue, blocked, demo, text,
        batch,
    )  # fmt: skip
    found = ask(context, lambda work: work.count(cap=cap, **wanted))
    if context.output.as_json:
        context.output.json(found)
        return
    context.output.text(str(found.items))
    if found.capped:
        context.output.note("there are more; --cap counts further")


def filters(
    assignee: str | None,
    nobody: bool,
    status: list[str] | None,
    in_group: str | None,
    definition: str | None,
    type: str | None,
    subject: str | None,
    kind: str | None,
    escalated_to: str | None,
    overdue: bool | None,
    blocked: bool | None,
    demo: bool,
    text: str | None,
    batch: str | None,
) -> dict[str, Any]:
    """What items are asked for, as `WorkQueue.list` takes it."""
    if nobody and assignee is not None:
        raise UsageError("give --assignee or --nobody, and not both")
    return {
        "assignee": "" if nobody else assignee,
        "status": status or None,
        "group": in_group,
        "definition": definition,
        "type": type,
        "subject": subject,
        "kind": kind,
        "escalated_to": escalated_to,
        "overdue": overdue,
        "blocked": blocked,
        "demo": demo,
        "text": text,
        "batch": batch,
    }


@command(group, "show")
def show(context: Context, id: Id) -> None:
    """Show an item."""
    show_item(context, ask(context, lambda work: work.get(id)))


@command(group, "history")
def history(
    context: Context,
    id: Id,
    *,
    after: Annotated[int, typer.Option("--after", metavar="N", help="Only what came behind this revision.")] = 0,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many, 1 to 10000.")] = 1000,
) -> None:
    """Show all that was done with an item, by whom and when."""
    found = ask(context, lambda work: work.history(id, after=after, limit=limit))
    if context.output.as_json:
        context.output.json(found)
        return
    rows = [
        (one.revision, instant(one.at), one.actor, one.move, one.status, one.reason or short(one.changes, 80))
        for one in found
    ]
    context.output.table(("revision", "at", "by", "move", "status", "reason or changes"), rows)


@command(group, "explain")
def explain(context: Context, id: Id) -> None:
    """Say why an item has its score, and why it is or is not in a queue."""
    found = ask(context, lambda work: work.explain(id))
    if context.output.as_json:
        context.output.json(found)
        return
    context.output.text(f"{found.priority} {found.label}. {found.because}")
    context.output.table(("points", "for"), [(f"{part.points:g}", part.label) for part in found.parts])


@command(group, "create")
def create(
    context: Context,
    definition: Annotated[
        str | None, typer.Argument(metavar="[DEFINITION]", help="What it is made of; without one give --title.")
    ] = None,
    *,
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help="What it is called.")] = None,
    text: Annotated[str, typer.Option("--text", metavar="TEXT", help="What is to be done, beside the title.")] = "",
    type: Annotated[
        str | None,
        typer.Option("--type", metavar="TYPE", help="opportunity, risk, strategic, renewal or custom."),
    ] = None,
    weight: Annotated[int | None, typer.Option("--weight", metavar="N", help="The base of its score.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", metavar="ID", help="Whom it is about.")] = None,
    assignee: Annotated[str | None, typer.Option("--assignee", metavar="ID", help="Who gets it.")] = None,
    in_group: Annotated[
        str | None, typer.Option("--group", metavar="NAME", help="Or the people any of whom may claim it.")
    ] = None,
    due: Annotated[
        str | None, typer.Option("--due", metavar="DURATION|INSTANT", help="Within which time, such as 2d, or by when.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--form", metavar="JSON", help="The JSON Schema of what is filled in; @file, or -.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="JSON", help="What is filled in already; @file, or -.")
    ] = None,
    after: Annotated[
        list[str] | None, typer.Option("--after", metavar="ID", help="An item that is done first; may be repeated.")
    ] = None,
    escalate_to: Annotated[
        list[str] | None,
        typer.Option("--escalate-to", metavar="ID", help="Who is asked to look when it is overdue; may be repeated."),
    ] = None,
    acknowledge: Annotated[
        str | None,
        typer.Option("--acknowledge", metavar="DURATION", help="How long each has to say that they saw it."),
    ] = None,
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Its id; made up unless given.")] = None,
    who: As = None,
) -> None:
    """Make a work item."""
    schema = None if form is None else json_object(form, "--form")
    given = None if data is None else json_object(data, "--data")
    by = None if due is None else due_of(due)
    wait = None if acknowledge is None else number(acknowledge)
    made = ask(
        context,
        lambda work: work.create(
            definition, title=title, text=text, type=type, weight=weight, subject=subject, assignee=assignee,
            group=in_group, due=by, form=schema, data=given, after=after or (), escalate_to=escalate_to or None,
            acknowledge=wait, id=id,
        ),
        who=who,
    )  # fmt: skip
    show_item(context, made)


def due_of(text: str) -> Any:
    """A time from now, or an instant."""
    return instant_of(text, "--due") if len(text) > 9 and text[4] == "-" else number(text)


# Once, after this file's own, which the help shows first.
for part in (
    items_moves,
    items_bulk,
    items_subjects,
    items_signals,
    items_definitions,
    items_settings,
    items_figures,
):
    part.add_to(group)
