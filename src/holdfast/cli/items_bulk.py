"""`holdfast items bulk`, `undo`, `balance`: many items at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import json_object
from holdfast.cli.show import duration
from holdfast.cli.work import NONE, As, ask, show_outcome
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.workqueue.views import LoadView

Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="The items; or filters, for all that meet them.")
]
LOADS = ("assignee", "items", "underway", "overdue", "takes", "takes on at most", "")


def add_to(group: typer.Typer) -> None:
    """Add the commands to `holdfast items`."""
    for name, body in (("bulk", bulk), ("outcome", outcome), ("undo", undo), ("loads", loads), ("balance", balance)):
        command(group, name)(body)


def bulk(
    context: Context,
    action: Annotated[
        str,
        typer.Argument(metavar="ACTION", help="snooze, wake, assign, escalate, start, stop, complete or skip."),
    ],
    ids: Ids = None,
    *,
    assignee: Annotated[str | None, typer.Option("--assignee", metavar="ID", help="Only of this person.")] = None,
    status: Annotated[
        list[str] | None, typer.Option("--status", metavar="STATUS", help="Only in this status; may be repeated.")
    ] = None,
    in_group: Annotated[str | None, typer.Option("--group", metavar="NAME", help="Only of this group.")] = None,
    definition: Annotated[
        str | None, typer.Option("--definition", metavar="ID", help="Only of this definition.")
    ] = None,
    type: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only of this type.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", metavar="ID", help="Only about this subject.")] = None,
    overdue: Annotated[bool | None, typer.Option("--overdue/--not-overdue", help="Whether they are overdue.")] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", help="Only with this in the title, or the subject's name or id."),
    ] = None,
    days: Annotated[int | None, typer.Option("--days", metavar="N", help="For snooze: for so many days.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY|INSTANT", help="For snooze: until a day, or an instant.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="PERSON|none", help="For assign and escalate: to whom.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; for skip needed.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="JSON", help="For complete: what was filled in; @file, or -.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would become of each.")] = False,
    who: As = None,
) -> int:
    """Do something to many items: to those that are named, or to all that meet the filters."""
    filters = {
        "assignee": assignee, "status": status or None, "group": in_group, "definition": definition, "type": type,
        "subject": subject, "overdue": overdue, "text": text,
    }  # fmt: skip
    chosen = {name: value for name, value in filters.items() if value is not None}
    if bool(ids) == bool(chosen):
        raise UsageError(
            "give ids or filters, and not both" if ids else "no item is named: give ids, or filters such as --assignee"
        )
    terms: dict[str, Any] = {}
    for name, value in (("days", days), ("until", until), ("reason", reason)):
        if value is not None:
            terms[name] = value
    if to is not None:
        terms["to"] = None if to == NONE else to
    if data is not None:
        terms["data"] = json_object(data, "--data")
    which: Any = list(ids) if ids else chosen
    move: Any = action
    found = ask(context, lambda work: work.bulk(move, which, dry_run=dry_run, **terms), who=who)
    return show_outcome(context, found)


def outcome(
    context: Context, batch: Annotated[str, typer.Argument(metavar="ID", help="What the bulk operation printed.")]
) -> int:
    """Show what became of a bulk operation, or what has so far."""
    return show_outcome(context, ask(context, lambda work: work.bulk_outcome(batch)))


def undo(
    context: Context,
    batch: Annotated[str, typer.Argument(metavar="ID", help="What the bulk operation printed.")],
    *,
    who: As = None,
) -> int:
    """Take back what a bulk operation did, for each item that nobody changed since."""
    return show_outcome(context, ask(context, lambda work: work.undo(batch), who=who))


def loads(context: Context) -> None:
    """Show how much everybody has to do."""
    found = ask(context, lambda work: work.loads())
    if context.output.as_json:
        context.output.json(found)
    else:
        context.output.table(LOADS, [_load(one) for one in found])


def balance(
    context: Context,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Do what the plan says, too.")] = False,
    group: Annotated[
        str | None, typer.Option("--group", metavar="NAME", help="Only among the people of this group.")
    ] = None,
    who: As = None,
) -> None:
    """Plan who gives what to whom, so that nobody has much more to do than others."""
    found = ask(context, lambda work: work.balance(simulate=not apply, group=group), who=who)
    if context.output.as_json:
        context.output.json(found)
        return
    if found.moves:
        rows = [(one.item, one.title, one.assignee or "", one.to, duration(one.effort_seconds)) for one in found.moves]
        context.output.table(("item", "title", "from", "to", "takes"), rows)
    else:
        context.output.note("nothing is to be moved")
    if found.unplaced:
        context.output.note(f"nobody has room for {', '.join(found.unplaced[:20])}")
    if found.moves and not apply:
        context.output.note("nothing is changed; --apply does it")


def _load(one: LoadView) -> Sequence[object]:
    capacity = "" if one.capacity is None else one.capacity
    whose = one.assignee or "(nobody)"
    return (
        whose,
        one.items,
        one.underway,
        one.overdue,
        duration(one.effort_seconds),
        capacity,
        "away" if one.away else "",
    )
