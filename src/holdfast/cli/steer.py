"""`holdfast runs cancel`, `hold`, `retry`, `fork` and the like: changes runs, some or all that a search finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from holdfast.cli.command import Context, command, login
from holdfast.cli.inputs import json_object, json_value
from holdfast.cli.output import FAILED, OK, Output, as_json, error_object, exit_code
from holdfast.errors import RunError, UsageError

if TYPE_CHECKING:
    from holdfast.engine.bulk import BulkAction, BulkPreview
    from holdfast.engine.client import Client
    from holdfast.model.run import RunView

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="The runs' ids.")]
Where = Annotated[
    str | None,
    typer.Option("--where", metavar="TEXT", help="Instead of ids: every run that this search finds."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With --where: only tell which runs it would be.")]
Wait = Annotated[bool, typer.Option("--wait", help="With --where: wait until all of them are done.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; shown to people.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who asks; the login name unless given.")]
Occurrence = Annotated[
    int, typer.Option("--occurrence", metavar="N", help="Which of the step's calls, in the order of the code, from 1.")
]


def add_to(group: typer.Typer) -> None:
    """Add the commands to `holdfast runs`."""
    for name, body in (
        ("cancel", cancel),
        ("hold", hold),
        ("release", release),
        ("reject", reject),
        ("retry", retry),
        ("fork", fork),
        ("replay-step", replay_step),
    ):
        command(group, name)(body)


class Chosen(NamedTuple):
    """Which runs a command is for: ids, or a search."""

    ids: Sequence[str]
    where: str | None
    dry_run: bool
    wait: bool


def chosen(ids: Sequence[str] | None, where: str | None, dry_run: bool, wait: bool) -> Chosen:
    """Checked: either ids or a search.

    Raises:
        UsageError: both or neither, or an option of a search without one.
    """
    if bool(ids) == (where is not None):
        raise UsageError(
            "give the ids of runs or --where, and not both"
            if ids
            else "no run is named: give the ids of runs, or --where with a search"
        )
    if where is None and (dry_run or wait):
        raise UsageError("--dry-run and --wait belong to --where; an id is dealt with at once")
    return Chosen(ids or (), where, dry_run, wait)


def cancel(
    context: Context,
    ids: Ids = None,
    *,
    reason: Reason = "",
    by: By = None,
    where: Where = None,
    dry_run: DryRun = False,
    wait: Wait = False,
) -> int:
    """Cancel runs, with their children.

    One that was never executed ends at once; any other is told, and cleans up before it ends.
    """
    who = _login(by)
    return _steer(
        context,
        "cancel",
        chosen(ids, where, dry_run, wait),
        lambda client, id: client.cancel(id, reason=reason, by=who),
        reason=reason,
        by=who,
    )


def hold(
    context: Context,
    ids: Ids = None,
    *,
    reason: Reason = "",
    by: By = None,
    where: Where = None,
    dry_run: DryRun = False,
    wait: Wait = False,
) -> int:
    """Hold runs: they take no further step until they are released."""
    who = _login(by)
    return _steer(
        context,
        "hold",
        chosen(ids, where, dry_run, wait),
        lambda client, id: client.hold(id, reason=reason, by=who),
        reason=reason,
        by=who,
    )


def release(
    context: Context,
    ids: Ids = None,
    *,
    value: Annotated[
        str | None,
        typer.Option("--value", metavar="JSON", help="What hf.hold in the run's code returns; @file, or -."),
    ] = None,
    by: By = None,
    where: Where = None,
    dry_run: DryRun = False,
    wait: Wait = False,
) -> int:
    """Let held runs go on."""
    from holdfast.engine.part import UNSET

    given = UNSET if value is None else json_value(value, "--value")
    if where is not None and value is not None:
        raise UsageError("--value answers what one run asks for; leave it out with --where")
    who = _login(by)
    return _steer(
        context,
        "release",
        chosen(ids, where, dry_run, wait),
        lambda client, id: client.release(id, given, by=who),
        by=who,
    )


def reject(
    context: Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The runs' ids.")],
    *,
    reason: Reason = "",
    by: By = None,
) -> int:
    """Reject what runs are held for: hf.hold in their code raises. One that was held from outside is cancelled."""
    who = _login(by)
    return _each(context, ids, lambda client, id: client.reject(id, reason=reason, by=who))


def retry(
    context: Context, ids: Ids = None, *, where: Where = None, dry_run: DryRun = False, wait: Wait = False
) -> int:
    """Let failed or cancelled runs go on from where they failed; what came before is kept."""
    return _steer(context, "retry", chosen(ids, where, dry_run, wait), lambda client, id: client.retry(id))


def fork(
    context: Context,
    run: Annotated[str | None, typer.Argument(metavar="[ID]", help="The run's id.")] = None,
    *,
    from_step: Annotated[
        str | None,
        typer.Option("--from-step", metavar="NAME", help="The step to begin with; from the start unless given."),
    ] = None,
    occurrence: Occurrence = 1,
    input: Annotated[
        str | None,
        typer.Option("--input", metavar="JSON", help="Arguments to change: the step's, else the workflow's."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", metavar="JSON", help="What the step is taken to have returned; it is not executed."),
    ] = None,
    id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The new run's id; made up unless given.")
    ] = None,
    where: Where = None,
    dry_run: DryRun = False,
    wait: Wait = False,
) -> int:
    """Start a new run that keeps what an old one recorded before a step, and print its id.

    The old run stays as it was.
    """
    from holdfast.engine.part import UNSET

    these = chosen(None if run is None else [run], where, dry_run, wait)
    changed = None if input is None else json_object(input, "--input")
    taken = UNSET if output is None else json_value(output, "--output")
    if run is None:
        if occurrence != 1 or input is not None or output is not None or id is not None:
            raise UsageError("--occurrence, --input, --output and --id are for the fork of one run; give its id")
        if from_step is None:
            raise UsageError("--where forks many runs: give --from-step too, the step to begin with")
        return _bulk(context, "fork", these, from_step=from_step)
    forked = context.ask(
        lambda client: client.fork(run, from_step=from_step, occurrence=occurrence, input=changed, output=taken, id=id)
    )
    if context.output.as_json:
        context.output.json({"id": forked, "forked_from": run})
    else:
        context.output.text(forked)
    return OK


def replay_step(
    context: Context,
    run: Annotated[str, typer.Argument(metavar="ID", help="The run's id.")],
    step: Annotated[str, typer.Argument(metavar="MODULE:STEP", help="Where the step's code is.")],
    *,
    occurrence: Occurrence = 1,
) -> int:
    """Try a step again aside, in this process, on its recorded input; print how it differs from what is recorded.

    Nothing of the run is changed; but what the step does outside, it does. Ends with 1 when something differs.
    """
    from holdfast.cli.modules import load_step

    code = load_step(step)
    found = context.ask(lambda client: client.replay_step(run, code, occurrence=occurrence))
    if context.output.as_json:
        context.output.json({"id": run, "step": code.name, "same": not found.difference, **asdict(found)})
    elif found.difference:
        context.output.text(found.difference)
    else:
        context.output.text(f"the same: {as_json(found.output) if found.error is None else found.error['message']}")
    return FAILED if found.difference else OK


def _login(by: str | None) -> str:
    return login() if by is None else by


def _steer(
    context: Context,
    action: BulkAction,
    these: Chosen,
    one: Callable[[Client, str], Awaitable[None]],
    **options: str,
) -> int:
    if these.where is not None:
        return _bulk(context, action, these, **options)
    return _each(context, these.ids, one)


def _each(context: Context, ids: Sequence[str], one: Callable[[Client, str], Awaitable[None]]) -> int:
    """Do it to each run, and tell how each stands then; one that is refused does not stop the others."""
    return context.ask(lambda client: _each_of(context, client, ids, one))


async def _each_of(
    context: Context, client: Client, ids: Sequence[str], one: Callable[[Client, str], Awaitable[None]]
) -> int:
    output = context.output
    code = OK
    told: list[dict[str, Any]] = []
    for id in ids:
        try:
            await one(client, id)
            run = await client.get(id)
        except RunError as error:
            code = code or exit_code(error)
            told.append({"id": id, "error": error_object(error)})
            if not output.as_json:
                output.error(error)
        else:
            told.append({"id": run.id, "status": run.status, "asked": run.asked})
            if not output.as_json:
                output.text(f"{run.id}  {standing(run)}")
    if output.as_json:
        output.json(told)
    return code


def standing(run: RunView) -> str:
    """A run's status, and what it is asked that it has not done yet."""
    return run.status if run.asked is None else f"{run.status}, asked to {run.asked}"


def _bulk(context: Context, action: BulkAction, these: Chosen, **options: Any) -> int:
    """Do it to every run that the search finds, by a job that a worker executes."""
    return context.ask(lambda client: _bulk_of(context, client, action, these, options))


async def _bulk_of(context: Context, client: Client, action: BulkAction, these: Chosen, options: dict[str, Any]) -> int:
    from holdfast.engine.bulk import BulkPreview

    output = context.output
    found = await client.bulk(action, these.where or "", dry_run=these.dry_run, **options)
    if isinstance(found, BulkPreview):
        _preview(output, found)
        return OK
    if not these.wait:
        if output.as_json:
            output.json({"id": found.id})
        else:
            output.text(found.id)
            output.note(f"a worker does it; look at it with `holdfast runs watch {found.id}`")
        return OK
    try:
        result = await found.result()
    except asyncio.CancelledError:
        output.note(f"job {found.id} goes on; look at it with `holdfast runs watch {found.id}`")
        raise
    if output.as_json:
        output.json({"id": found.id, **asdict(result)})
    else:
        for id, why in result.refusals.items():
            output.note(f"{id}: {why}")
        output.text(f"{result.found} found, {result.done} done, {result.refused} refused")
    return FAILED if result.refused else OK


def _preview(output: Output, found: BulkPreview) -> None:
    if output.as_json:
        output.json(found)
        return
    more = "at least " if found.capped else ""
    output.text(f"{more}{found.runs} runs are found; nothing was done to them")
    for id in found.examples:
        output.text(id)
    if found.runs > len(found.examples):
        output.text("…")
