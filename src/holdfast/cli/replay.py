"""`holdfast replay`: whether recorded runs fit code that is not deployed yet."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.choosing import All, AtMost, Failed, OfWorkflow, Since, choice
from holdfast.cli.command import Context, command
from holdfast.cli.kinds import number
from holdfast.cli.output import FAILED, OK
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.engine.replaying.children import Children
    from holdfast.engine.replaying.reports import RunReplay
    from holdfast.engine.workflow import Workflow

SHOWN = 50
"""So many runs are in the table: those that break, and of the others the first."""

SMALL = 1_000
"""Fewer runs are replayed by one process."""

REASONS = 50
"""So many runs that break are told with their reasons."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "replay")(replay)


def replay(
    context: Context,
    modules: Annotated[
        list[str],
        typer.Argument(metavar="MODULE[:NAME]...", help="Modules with workflows, found from the current folder."),
    ],
    *,
    run: Annotated[list[str] | None, typer.Option("--run", metavar="ID", help="This run; may be repeated.")] = None,
    failed: Failed = False,
    all: All = False,
    workflow: OfWorkflow = None,
    since: Since = None,
    limit: AtMost = None,
    history: Annotated[
        list[str] | None,
        typer.Option(
            "--history",
            metavar="FILE",
            help="Instead of a database: a file that was exported, or a folder of such; may be repeated.",
        ),
    ] = None,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="How long the replay of one run may take.")
    ] = "10s",
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes", metavar="N", help="So many processes replay at once; one for each core unless given.", min=1
        ),
    ] = None,
) -> int:
    """Replay recorded runs against code, before it is deployed: no step is executed, and nothing is written.

    Ends with 1 when a run breaks.
    """
    from holdfast.cli.modules import load_all
    from holdfast.engine.exporting import cores
    from holdfast.engine.remote import is_remote
    from holdfast.engine.replaying.children import Children
    from holdfast.engine.replaying.files import replay_histories

    workflows, _ = load_all(modules)
    if not workflows:
        raise UsageError(f"{', '.join(modules)}: there is no workflow; give a module that has some")
    limited = number(timeout)
    if history:
        if run or failed or all or workflow is not None or since is not None or limit is not None:
            raise UsageError("--history is instead of a database; leave out what chooses among its runs")
        return context.run(_told(context, replay_histories(workflows, history, timeout=limited)))
    chosen = choice(run or (), "--run ID", failed=failed, all=all, workflow=workflow, since=since, limit=limit)
    children = None
    count = processes or (1 if run else cores())
    if count > 1 and not is_remote(context.url):
        # Before anything is opened, so that they can be forked: that takes a hundredth of what a fresh Python does.
        children = Children(workflows, count)
        if not children.fork(context.url):
            children = None
    try:
        return context.run(_of_database(context, workflows, {**chosen, "timeout": limited}, children, processes))
    finally:
        if children is not None:
            children.close()


async def _of_database(
    context: Context,
    workflows: list[Workflow[Any, Any]],
    chosen: dict[str, Any],
    children: Children | None,
    processes: int | None,
) -> int:
    from holdfast.engine.exporting import checked

    async with context.client() as client:
        if children is None:
            return await _told(context, client.replay_runs(workflows, **chosen, processes=processes))
        limited = chosen.pop("timeout")
        choice = checked(**{"runs": None, "workflow": None, "status": None, "since": None, "limit": None, **chosen})
        least = SMALL if processes is None else 0
        return await _told(context, client.replay_by(workflows, choice, limited, children, least))


async def _told(context: Context, replays: AsyncIterator[RunReplay]) -> int:
    counts: Counter[str] = Counter()
    shown: list[RunReplay] = []
    broken: list[RunReplay] = []
    async for one in replays:
        counts[one.outcome] += 1
        if context.output.as_json:
            context.output.json(one)
        elif one.outcome == "breaks":
            broken += [one][: REASONS - len(broken)]
        elif len(shown) < SHOWN:
            shown.append(one)
    total = counts.total()
    if context.output.as_json:
        context.output.json(
            {"runs": total, "fit": counts["fits"], "go_on": counts["goes on"], "break": counts["breaks"]}
        )
    else:
        listed = [*broken, *shown[: max(0, SHOWN - len(broken))]]
        if listed:
            context.output.table(
                ("run", "workflow", "status", "replay", "up to"),
                [(one.run_id, one.workflow, one.status, one.outcome, _up_to(one)) for one in listed],
            )
        if total > len(listed):
            context.output.note(f"and {total - len(listed)} more")
        for one in broken:
            context.output.text(f"\n{one}")
        context.output.text(
            f"\n{total} replayed: {counts['fits']} fit, {counts['goes on']} go on, {counts['breaks']} break"
            if total
            else "there are no such runs"
        )
    return FAILED if counts["breaks"] else OK


def _up_to(one: RunReplay) -> str:
    return "its end" if one.at is None and one.outcome != "breaks" else "" if one.at is None else f"position {one.at}"
