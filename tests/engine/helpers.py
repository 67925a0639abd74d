"""What the tests of the engine share: a worker beside its client, and waiting for a condition."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import holdfast as hf

QUICK = hf.Retry(max_attempts=3, initial=0.001, jitter=0.0)
"""Three attempts without a delay worth waiting for."""

ONCE = hf.Retry(max_attempts=1)


@asynccontextmanager
async def serving(url: str, *workflows: hf.Workflow[Any, Any], **options: Any) -> AsyncIterator[hf.Client]:
    """A client, and a worker on the same database; whatever still executes at the end is dropped at once."""
    options.setdefault("drain", 0)
    async with hf.connect(url) as client, hf.Worker(client, workflows, **options):
        yield client


async def outcome(client: hf.Client, workflow: Any, *args: Any, **kwargs: Any) -> Any:
    """Start a run and wait for its result."""
    run = await client.start(workflow, *args, **kwargs)
    return await run.result(timeout="20s")


async def cause(client: hf.Client, workflow: Any, *args: Any, **kwargs: Any) -> BaseException:
    """Start a run that fails, and give the error it failed with."""
    run = await client.start(workflow, *args, **kwargs)
    with pytest.raises(hf.RunFailed) as failed:
        await run.result(timeout="20s")
    assert failed.value.run_id == run.id
    assert failed.value.__cause__ is not None
    return failed.value.__cause__


async def until(condition: Callable[[], Awaitable[bool]], within: float = 30.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.002)


async def until_status(client: hf.Client, run_id: str, status: str) -> hf.RunView:
    """Wait until a run has a status."""

    async def reached() -> bool:
        return (await client.get(run_id)).status == status

    await until(reached)
    return await client.get(run_id)


def positions(history: list[hf.JournalEntry]) -> list[tuple[str, str, str]]:
    """What stands where in a journal: (position, name, outcome)."""
    return [(entry.position, entry.name, entry.outcome) for entry in history]
