"""`holdfast workers`: which workers there are, and how to stop one from afar."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.output import Missing
from holdfast.cli.show import between, size

if TYPE_CHECKING:
    from holdfast.engine.client import Client
    from holdfast.engine.fleet import WorkerView

group = typer.Typer(name="workers", help="Look at workers, stop them.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "list")
def list_(context: Context) -> None:
    """List the registered workers, those that were lost included."""
    found = context.ask(lambda client: client.workers())
    if context.output.as_json:
        context.output.json(found)
    elif found:
        context.output.table(
            ("id", "host", "process", "for", "executing", "memory", "last beat", "", "serves"),
            [_row(one) for one in found],
        )
    else:
        context.output.note("no worker is registered")


@command(group, "drain")
def drain(
    context: Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The worker's id, as listed.")],
) -> None:
    """Let a worker stop as at SIGTERM: it claims nothing new, and hands its runs over."""

    async def work(client: Client) -> bool:
        return await client.drain_worker(id)

    if not context.ask(work):
        raise Missing(f"no worker {id!r} is registered; `holdfast workers list` shows what there is")
    if context.output.as_json:
        context.output.json({"id": id, "draining": True})
    else:
        context.output.text(f"worker {id} is told to stop")


def _row(worker: WorkerView) -> tuple[object, ...]:
    now = datetime.now(UTC)
    standing = "lost" if not worker.alive else "stops" if worker.draining else ""
    return (
        worker.id,
        worker.host,
        worker.pid,
        between(worker.started_at, now),
        f"{worker.running} of {worker.slots}" if worker.slots else worker.running,
        size(worker.memory_bytes) if worker.memory_bytes else "",
        f"{between(worker.beat_at, now)} ago",
        standing,
        ", ".join(worker.serves),
    )
