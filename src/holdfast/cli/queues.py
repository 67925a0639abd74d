"""`holdfast queues`, `workflows` and `lanes`: what runs wait in, what limits it, and how to stop it for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.show import between
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.engine.client import Client
    from holdfast.engine.queues import QueueView

queues = typer.Typer(name="queues", help="Look at queues, limit them, pause them.", no_args_is_help=True)
workflows = typer.Typer(name="workflows", help="Look at workflows, pause them.", no_args_is_help=True)
lanes = typer.Typer(name="lanes", help="Look at lanes.", no_args_is_help=True)

Queue = Annotated[str, typer.Argument(metavar="NAME", help="The queue's name.")]
Workflow = Annotated[str, typer.Argument(metavar="NAME", help="The workflow's name.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for group in (queues, workflows, lanes):
        app.add_typer(group)


@command(queues, "list")
def list_queues(context: Context) -> None:
    """List the queues that have settings or runs."""
    found = context.ask(lambda client: client.queues())
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(
            ("queue", "ready", "oldest", "executing", "at most", "on each worker", "of each share", ""),
            [
                (
                    one.name,
                    one.ready,
                    between(one.oldest_at, None),
                    one.executing,
                    _limit(one.total),
                    _limit(one.per_worker),
                    _limit(one.per_key),
                    _paused(one.paused),
                )
                for one in found
            ],
        )
    else:
        context.output.note("there are no queues with settings or runs")


@command(queues, "shares")
def shares(
    context: Context,
    name: Queue,
    *,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many, 1 to 1000.")] = 100,
) -> None:
    """List the shares of a queue: the tenants, and the keys of each, whose runs wait or execute."""
    found = context.ask(lambda client: client.queue_shares(name, limit=limit))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(
            ("tenant", "key", "ready", "executing", "weight"),
            [(one.tenant, one.key, one.ready, one.executing, one.weight) for one in found],
        )
    else:
        context.output.note(f"nothing waits in queue {name}, and nothing executes from it")


Total = Annotated[
    str | None, typer.Option("--total", metavar="N|none", help="How many runs may execute from it at once.")
]
PerWorker = Annotated[str | None, typer.Option("--per-worker", metavar="N|none", help="How many on each worker.")]
PerKey = Annotated[
    str | None, typer.Option("--per-key", metavar="N|none", help="How many of each share, a tenant's or a key's of it.")
]
Weight = Annotated[
    list[str] | None,
    typer.Option(
        "--weight",
        metavar="SHARE=N",
        help="How much a tenant takes in its turn, or TENANT/KEY in that of its tenant, 1 to 1000, or none. "
        "May be repeated.",
    ),
]


@command(queues, "set")
def set_queue(
    context: Context,
    name: Queue,
    *,
    total: Total = None,
    per_worker: PerWorker = None,
    per_key: PerKey = None,
    weight: Weight = None,
) -> None:
    """Set the limits of a queue and what its shares weigh. What is not given stays as it is."""
    limits = {"total": total, "per_worker": per_worker, "per_key": per_key}
    if not weight and all(value is None for value in limits.values()):
        raise UsageError("give --total, --per-worker, --per-key or --weight: a number, or none to take it away")
    weights = dict(map(_weight, weight or ()))
    given: dict[str, Any] = {
        what: _number(value, f"--{what.replace('_', '-')}") for what, value in limits.items() if value is not None
    }
    _change_queue(context, name, lambda client: client.set_queue(name, **given, weights=weights))


def _weight(text: str) -> tuple[str, int | None]:
    share, equals, weight = text.rpartition("=")
    if not equals or not share:
        raise UsageError(f"--weight is {text!r}; give a share and a number, such as acme=5 or acme/gold=3")
    return share, _number(weight, f"--weight of {share}")


@command(queues, "pause")
def pause_queue(context: Context, name: Queue) -> None:
    """Let no worker claim runs from a queue; what executes goes on."""
    _change_queue(context, name, lambda client: client.pause_queue(name))


@command(queues, "resume")
def resume_queue(context: Context, name: Queue) -> None:
    """Let workers claim runs from a queue again."""
    _change_queue(context, name, lambda client: client.resume_queue(name))


def _change_queue(context: Context, name: str, change: Callable[[Client], Awaitable[None]]) -> None:
    async def work(client: Client) -> QueueView | None:
        await change(client)
        return next((one for one in await client.queues() if one.name == name), None)

    found = context.ask(work)
    if context.output.as_json:
        context.output.json(found if found is not None else {"name": name})
        return
    said = [f"queue {name}"]
    if found is None or (found.total, found.per_worker, found.per_key) == (None, None, None):
        said.append("no limit")
    else:
        if found.total is not None:
            said.append(f"at most {found.total} runs at once")
        if found.per_worker is not None:
            said.append(f"at most {found.per_worker} on each worker")
        if found.per_key is not None:
            said.append(f"at most {found.per_key} of each share")
    said += [f"{share} weighs {weight}" for share, weight in (found.weights if found is not None else {}).items()]
    if found is not None and found.paused:
        said.append("paused")
    context.output.text(", ".join(said))


@command(workflows, "list")
def list_workflows(context: Context) -> None:
    """List the workflows that workers have registered, and those that are paused."""
    found = context.ask(_workflows)
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(
            ("workflow", "versions", ""),
            [(one["name"], ", ".join(one["versions"]), _paused(one["paused"])) for one in found],
        )
    else:
        context.output.note("no worker has registered a workflow yet")


@command(workflows, "pause")
def pause_workflow(context: Context, name: Workflow) -> None:
    """Let no worker claim runs of a workflow, in any queue and version; what executes goes on."""
    _change_workflow(context, name, lambda client: client.pause_workflow(name))


@command(workflows, "resume")
def resume_workflow(context: Context, name: Workflow) -> None:
    """Let workers claim runs of a workflow again."""
    _change_workflow(context, name, lambda client: client.resume_workflow(name))


def _change_workflow(context: Context, name: str, change: Callable[[Client], Awaitable[None]]) -> None:
    async def work(client: Client) -> dict[str, Any]:
        await change(client)
        nothing = {"name": name, "versions": [], "paused": False}
        return next((one for one in await _workflows(client) if one["name"] == name), nothing)

    found = context.ask(work)
    if not found["versions"]:
        context.output.note(f"no worker has registered a workflow {name!r} yet; is this its name?")
    if context.output.as_json:
        context.output.json(found)
    else:
        context.output.text(f"workflow {name} is {'paused' if found['paused'] else 'not paused'}")


async def _workflows(client: Client) -> list[dict[str, Any]]:
    return [asdict(one) for one in await client.workflows()]


@command(lanes, "list")
def list_lanes(
    context: Context,
    *,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many, 1 to 1000.")] = 100,
) -> None:
    """List the lanes that are in use: their slots, how many are held, and how many runs are in line."""
    found = context.ask(lambda client: client.lanes(limit))
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(
            ("lane", "key", "slots", "held", "in line"),
            [(one.name, one.key, one.slots, one.held, one.waiting) for one in found],
        )
    else:
        context.output.note("no lane is in use")


def _number(text: str, option: str) -> int | None:
    if text == "none":
        return None
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{option} is {text!r}; give a whole number, or none to lift the limit") from None


def _limit(limit: int | None) -> str:
    return "" if limit is None else str(limit)


def _paused(paused: bool) -> str:
    return "paused" if paused else ""
