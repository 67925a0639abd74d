"""`holdfast items start`, `complete`, `snooze` and the like: moves an item."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import json_object
from holdfast.cli.kinds import number
from holdfast.cli.show import instant
from holdfast.cli.work import NONE, As, Id, Revision, ask, show_item
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.workqueue.queue import WorkQueue
    from holdfast.workqueue.views import ItemView, LinksView

Data = Annotated[
    str | None, typer.Option("--data", metavar="JSON", help="What was filled in, merged; @file, or - for stdin.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")]
Needed = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; needed.")]
Lease = Annotated[
    str, typer.Option("--lease", metavar="DURATION", help="For how long, from now and from each work on it.")
]
On = Annotated[str | None, typer.Option("--on", metavar="ID", help="An item.")]
OnRun = Annotated[str | None, typer.Option("--on-run", metavar="ID", help="Or a run.")]


def add_to(group: typer.Typer) -> None:
    """Add the commands to `holdfast items`."""
    for name, body in (
        ("start", start),
        ("stop", stop),
        ("complete", complete),
        ("snooze", snooze),
        ("wake", wake),
        ("skip", skip),
        ("reject", reject),
        ("escalate", escalate),
        ("acknowledge", acknowledge),
        ("assign", assign),
        ("claim", claim),
        ("release", release),
        ("save", save),
        ("depend", depend),
        ("undepend", undepend),
        ("links", links),
    ):
        command(group, name)(body)


def start(context: Context, id: Id, *, revision: Revision = None, who: As = None) -> None:
    """Begin to work on an item."""
    _move(context, lambda work: work.start(id, revision=revision), who)


def stop(context: Context, id: Id, *, revision: Revision = None, who: As = None) -> None:
    """Lay an item down that is underway."""
    _move(context, lambda work: work.stop(id, revision=revision), who)


def complete(context: Context, id: Id, *, data: Data = None, revision: Revision = None, who: As = None) -> None:
    """Be done with an item. A run that asks goes on with its data; one that is held for it is released."""
    given = None if data is None else json_object(data, "--data")
    _move(context, lambda work: work.complete(id, given, revision=revision), who)


def snooze(
    context: Context,
    id: Id,
    *,
    days: Annotated[int | None, typer.Option("--days", metavar="N", help="For so many days, 1 to 90.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY|INSTANT", help="Or until a day, or an instant.")
    ] = None,
    event: Annotated[
        str | None, typer.Option("--event", metavar="NAME", help="No longer than until this event is sent.")
    ] = None,
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="What the event is about.")] = "",
    revision: Revision = None,
    who: As = None,
) -> None:
    """Put an item off."""
    _move(context, lambda work: work.snooze(id, days=days, until=until, event=event, key=key, revision=revision), who)


def wake(context: Context, id: Id, *, revision: Revision = None, who: As = None) -> None:
    """End an item's snooze."""
    _move(context, lambda work: work.wake(id, revision=revision), who)


def skip(context: Context, id: Id, *, reason: Needed = "", revision: Revision = None, who: As = None) -> None:
    """Decide that an item is not to be done."""
    _move(context, lambda work: work.skip(id, reason, revision=revision), who)


def reject(context: Context, id: Id, *, reason: Needed = "", revision: Revision = None, who: As = None) -> None:
    """Reject what a run is held for."""
    _move(context, lambda work: work.reject(id, reason, revision=revision), who)


def escalate(
    context: Context,
    id: Id,
    to: Annotated[str, typer.Argument(metavar="PERSON", help="Who is to look; @manager for the assignee's manager.")],
    *,
    reason: Reason = "",
    revision: Revision = None,
    who: As = None,
) -> None:
    """Ask somebody to look at an item as well; its assignee stays."""
    _move(context, lambda work: work.escalate(id, to, reason=reason, revision=revision), who)


def acknowledge(context: Context, id: Id, *, revision: Revision = None, who: As = None) -> None:
    """Say that whom an item was escalated to has seen it."""
    _move(context, lambda work: work.acknowledge(id, revision=revision), who)


def assign(
    context: Context,
    id: Id,
    to: Annotated[str, typer.Argument(metavar="PERSON|none", help="Who gets it.")],
    *,
    reason: Reason = "",
    revision: Revision = None,
    who: As = None,
) -> None:
    """Give an item to somebody, or to nobody."""
    whom = None if to == NONE else to
    _move(context, lambda work: work.assign(id, whom, reason=reason, revision=revision), who)


def claim(
    context: Context,
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The item's id.")] = None,
    *,
    group: Annotated[
        str | None, typer.Option("--group", metavar="NAME", help="Instead: the most important that nobody has.")
    ] = None,
    lease: Lease = "8h",
    revision: Revision = None,
    who: As = None,
) -> int:
    """Take an item of a group, for a while. Ends with 1 if a group has none."""
    if (id is None) == (group is None):
        raise UsageError("give the id of an item, or --group, and not both")

    async def work(queue: WorkQueue) -> ItemView | None:
        if id is not None:
            return await queue.claim(id, lease=number(lease), revision=revision)
        assert group is not None
        return await queue.claim_next(group, lease=number(lease))

    found = ask(context, work, who=who)
    if found is not None:
        show_item(context, found)
        return 0
    if context.output.as_json:
        context.output.json(None)
    else:
        context.output.note(f"group {group} has no item that nobody has")
    return 1


def release(context: Context, id: Id, *, revision: Revision = None, who: As = None) -> None:
    """Give an item back to its group."""
    _move(context, lambda work: work.release(id, revision=revision), who)


def save(
    context: Context,
    id: Id,
    *,
    data: Annotated[str, typer.Option("--data", metavar="JSON", help="Merged; null deletes; @file, or - for stdin.")],
    revision: Revision = None,
    who: As = None,
) -> None:
    """Keep what was filled in so far."""
    given = json_object(data, "--data")
    _move(context, lambda work: work.save(id, given, revision=revision), who)


def depend(context: Context, id: Id, *, on: On = None, on_run: OnRun = None, who: As = None) -> None:
    """Let an item wait for another, or for a run."""
    _links(context, ask(context, lambda work: work.depend(id, on=on, on_run=on_run), who=who))


def undepend(context: Context, id: Id, *, on: On = None, on_run: OnRun = None, who: As = None) -> None:
    """Let an item wait for another, or for a run, no more."""
    _links(context, ask(context, lambda work: work.undepend(id, on=on, on_run=on_run), who=who))


def links(context: Context, id: Id) -> None:
    """Show what an item waits for, and what waits for it."""
    _links(context, ask(context, lambda work: work.links(id)))


def _move(context: Context, move: Callable[[WorkQueue], Awaitable[ItemView]], who: str | None) -> None:
    show_item(context, ask(context, move, who=who))


def _links(context: Context, found: LinksView) -> None:
    if context.output.as_json:
        context.output.json(found)
        return
    rows = [
        (one.item, "waits for", one.on_item or f"run {one.on_run}", instant(one.done_at) or "")
        for one in (*found.waits_for, *found.waited_for_by)
    ]
    if rows:
        context.output.table(("item", "", "what", "ended"), rows)
    else:
        context.output.note("it waits for nothing, and nothing waits for it")
