"""What the doctor looks at where a server is named: whether it answers, who asks, its workers, and the runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from holdfast.cli.diagnosis import Finding
from holdfast.errors import BadURL, Forbidden, HoldfastError, NotOurs, StoreUnavailable, Unauthorised, UsageError

if TYPE_CHECKING:
    from holdfast.cli.command import Context
    from holdfast.engine.client import Client


async def examine_server(context: Context) -> list[Finding]:
    """Everything that can be found out through a server."""
    try:
        async with context.client() as client:
            findings = [Finding("server", "ok", f"it answers {client.actor}, for tenant {client.tenant!r}")]
            findings += [finding async for finding in _work(client)]
    except HoldfastError as error:
        return [Finding("server", "problem", str(error), _advice(error))]
    text = "the server's: run `holdfast doctor` there, with --url and the address of the database, to look at it"
    return [*findings, Finding("database", "note", text)]


def _advice(error: HoldfastError) -> str:
    match error:
        case Unauthorised():
            return "name a good key: HOLDFAST_KEY, --api-key, or key in holdfast.toml"
        case Forbidden():
            return "ask an admin for a key of that tenant and role"
        case NotOurs() | BadURL():
            return "is it the right address, with its path?"
        case StoreUnavailable():
            return (
                "is it running, and do host, port and network let this machine reach it? Its /readyz says what is not"
            )
        case UsageError():
            return "put the key where it is looked for"
    return "mend what it says, and look again"


async def _work(client: Client) -> AsyncIterator[Finding]:
    workers = await client.workers()
    alive = sum(worker.alive for worker in workers)
    if alive:
        yield Finding("workers", "ok", f"{alive} alive")
    lost = sum(not worker.alive and worker.running > 0 for worker in workers)
    if lost:
        text = f"{lost} were lost with runs in hand"
        if alive:
            yield Finding("workers", "note", text)
        else:
            yield Finding("workers", "problem", text, "start a worker: it takes them over within seconds")
    elif not alive:
        yield Finding("workers", "note", "none is alive: runs wait until one is started")
    for kind in await client.stranded():
        text = f"{kind.runs} runs of {kind.workflow!r} version {kind.version!r} in queue {kind.queue!r} are ready"
        yield Finding("ready", "problem", f"{text}, and no living worker serves them", "start one that does")
    held = await client.count(status="held")
    if held.runs:
        text = f"{held.runs}{' or more' if held.capped else ''} runs are held"
        yield Finding("held", "note", f"{text}; see `holdfast runs list --status held`")
