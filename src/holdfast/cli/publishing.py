"""`holdfast publishing`: what is sent and what is not, and which of two paths answers what comes in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.inputs import instant_of
from holdfast.cli.kinds import number
from holdfast.cli.output import FAILED
from holdfast.cli.show import instant

if TYPE_CHECKING:
    from holdfast.engine.publish_modes import PublishSettingView
    from holdfast.model.publishing import PublishMode
    from holdfast.store.intake_rows import Comparison

COLUMNS = ("workflow", "mode", "path", "since", "copies until", "changed by")

group = typer.Typer(
    name="publishing", help="Publish modes, cutting over to this path, and going back.", no_args_is_help=True
)

Workflow = Annotated[str, typer.Argument(metavar="WORKFLOW", help="Its name.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="INSTANT", help="Only what came in from then on; 2026-11-29T08:00Z.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "show")
def show(context: Context) -> None:
    """Show the publish modes and paths: for all workflows, and for those of which something else is said."""
    _print(context, context.ask(lambda client: client.publish_settings()))


@command(group, "mode")
def mode(
    context: Context,
    mode: Annotated[str, typer.Argument(metavar="MODE", help="off, draft or auto; usual for that of all workflows.")],
    *,
    workflow: Annotated[
        str | None, typer.Option("--workflow", metavar="NAME", help="Only of this one; of all others unless given.")
    ] = None,
) -> None:
    """Decide what is done with messages: nothing is sent, a person sees each first, or all are sent."""
    asked = cast("PublishMode | None", None if mode == "usual" else mode)
    _print(context, [context.ask(lambda client: client.set_publish_mode(asked, workflow))])


@command(group, "cut-over")
def cut_over(
    context: Context,
    workflow: Workflow,
    *,
    rollback_window: Annotated[
        str, typer.Option("--rollback-window", metavar="DURATION", help="For so long the other path gets copies.")
    ] = "14d",
) -> None:
    """Let this path answer what comes in from now on. What began on the other one ends there."""
    _print(context, [context.ask(lambda client: client.cut_over(workflow, number(rollback_window)))])


@command(group, "roll-back")
def roll_back(context: Context, workflow: Workflow) -> None:
    """Let the other path answer what comes in; here runs work in shadow from now on, and send nothing."""
    _print(context, [context.ask(lambda client: client.roll_back(workflow))])


@command(group, "compare")
def compare(
    context: Context,
    workflow: Workflow,
    *,
    since: Since = None,
    which: Annotated[
        str | None, typer.Option("--which", metavar="HOW", help="same, different, missing or alone.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many.")] = 20,
) -> None:
    """Compare what this path and the other made of the same messages: how many, and the newest ones."""
    first = None if since is None else instant_of(since, "--since")
    wanted = cast("Comparison | None", which)

    async def look(client: Any) -> tuple[Any, Any]:
        counts = await client.count_compared(workflow, since=first)
        return counts, await client.compare(workflow, since=first, which=wanted, limit=limit)

    counts, found = context.ask(look)
    if context.output.as_json:
        context.output.json({"counts": counts, "messages": found})
        return
    context.output.facts(counts)
    rows = [(one.message_id, one.comparison, one.theirs, one.ours, one.run_id, one.difference) for one in found]
    if rows:
        context.output.table(("message", "compared", "theirs", "ours", "run", "difference"), rows)


@command(group, "criteria")
def criteria(context: Context, workflow: Workflow, *, since: Since = None) -> int:
    """Say whether a workflow can be cut over, criterion by criterion; ends with 1 while it cannot."""
    first = None if since is None else instant_of(since, "--since")
    report = context.ask(lambda client: client.cutover_criteria(workflow, since=first))
    if context.output.as_json:
        context.output.json(report)
    else:
        rows = [(one.name, "yes" if one.ok else "no", one.text) for one in report.criteria]
        context.output.table(("criterion", "holds", "figure"), rows)
    return 0 if report.ready else FAILED


def _print(context: Context, views: list[PublishSettingView]) -> None:
    if context.output.as_json:
        context.output.json(views)
        return
    rows = [
        (
            view.workflow or "all", view.mode or f"{view.mode_in_force} (as for all)", view.path,
            instant(view.path_since), instant(view.copies_until), view.changed_by,
        )
        for view in views
    ]  # fmt: skip
    context.output.table(COLUMNS, rows)
