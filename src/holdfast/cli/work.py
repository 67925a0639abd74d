"""What the commands of the work queue share: how they ask, and how items are shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from holdfast.cli.show import coloured, instant, short

if TYPE_CHECKING:
    from holdfast.cli.command import Context
    from holdfast.workqueue.queue import WorkQueue
    from holdfast.workqueue.views import Imported, ItemsOutcome, ItemsPreview, ItemView

T = TypeVar("T")

NONE = "none"
"""What stands for nothing, where a value can be taken away."""

COLUMNS = ("id", "title", "about", "assignee", "status", "priority", "due", "")

FAULTS_SHOWN = 20

Id = Annotated[str, typer.Argument(metavar="ID", help="The item's id.")]
As = Annotated[
    str | None,
    typer.Option("--as", metavar="ID", help="As whose doing, on a database; this user's unless given."),
]
Revision = Annotated[
    int | None,
    typer.Option("--revision", metavar="N", help="Only if the item stands at this revision."),
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", help="At most so many, 1 to 1000.")]


def ask(context: Context, work: Callable[[WorkQueue], Awaitable[T]], *, who: str | None = None) -> T:
    """Do something with the work queue of a database or a server."""
    from holdfast.workqueue.queue import work_queue

    return context.ask(lambda client: work(work_queue(client)), who=who)


def show_items(context: Context, found: Sequence[ItemView], nothing: str) -> None:
    """Items as a table, or what is said if there are none."""
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(COLUMNS, [item_row(one) for one in found])
    else:
        context.output.note(nothing)


def item_row(one: ItemView) -> Sequence[object]:
    """An item as a row of `COLUMNS`."""
    about = one.subject or "" if one.about is None else one.about.name
    flags = [word for word, true in (("overdue", one.overdue), ("blocked", one.blocked)) if true]
    whose = one.assignee or (f"({one.group})" if one.group else "")
    return (
        one.id, one.title, about, whose, coloured(one.status), f"{one.priority} {one.label}", instant(one.due_at) or "",
        ", ".join(flags),
    )  # fmt: skip


def show_item(context: Context, one: ItemView) -> None:
    """An item as it is."""
    if context.output.as_json:
        context.output.json(one)
        return
    snoozed = one.snooze_until if one.status == "snoozed" else None
    context.output.facts(
        {
            "id": one.id,
            "kind": None if one.kind == "work" else one.kind,
            "title": one.title,
            "text": one.text,
            "status": coloured(one.status),
            "may become": ", ".join(one.moves),
            "priority": f"{one.priority} {one.label}",
            "definition": None if one.definition is None else f"{one.definition} (version {one.definition_version})",
            "type": one.type,
            "about": _about(one),
            "assignee": one.assignee,
            "group": one.group,
            "claimed until": instant(one.claimed_until),
            "escalated to": one.escalated_to,
            "to be acknowledged by": instant(one.acknowledge_by),
            "snoozed until": instant(snoozed),
            "comes back": instant(one.returns_at) if snoozed is not None else None,
            "due": None if one.due_at is None else f"{instant(one.due_at)}{', overdue' if one.overdue else ''}",
            "waits for others": "yes" if one.blocked else None,
            "started": instant(one.started_at),
            "completed": instant(one.completed_at),
            "skipped": None if one.skipped_at is None else f"{instant(one.skipped_at)}: {one.skip_reason}",
            "steps": ", ".join(f"{step.id}{' (done)' if step.done else ''}" for step in one.steps),
            "data": short(one.data, 400) if one.data else None,
            "run": one.run,
            "made": instant(one.created_at),
            "revision": one.revision,
        }
    )


def _about(one: ItemView) -> str | None:
    return one.subject if one.about is None else f"{one.about.name} ({one.about.id})"


def show_imported(context: Context, found: Imported, what: str) -> int:
    """What became of many rows; the exit code."""
    if context.output.as_json:
        context.output.json(found)
    else:
        context.output.text(f"{found.stored} {what} are stored, {found.refused} are refused")
        for fault in found.faults[:FAULTS_SHOWN]:
            context.output.note(f"line {fault.line}: {fault.reason}")
        if found.refused > FAULTS_SHOWN:
            context.output.note(f"and {found.refused - FAULTS_SHOWN} more")
    return 1 if found.refused else 0


def show_outcome(context: Context, found: ItemsPreview | ItemsOutcome) -> int:
    """What became of many items, or would; the exit code."""
    if context.output.as_json:
        context.output.json(found)
        return 0
    outcome: Any = found
    if hasattr(found, "possible"):
        context.output.text(f"{outcome.action}: {outcome.possible} of {outcome.items} items let it; nothing is changed")
    else:
        context.output.text(f"{outcome.action}: {outcome.done} of {outcome.items} items")
        if outcome.run is not None:
            context.output.note(f"run {outcome.run} goes on with it")
        context.output.note(f"`holdfast items undo {outcome.id}` takes it back")
    refused = [(id, why) for id, why in outcome.outcomes.items() if why != "done"]
    for id, why in refused[:FAULTS_SHOWN]:
        context.output.note(f"{id}: {why}")
    return 0
