"""`hf.execute`: one run, here and now."""

from __future__ import annotations

from typing import ParamSpec, TypeVar

from holdfast.engine.connecting import connect
from holdfast.engine.workflow import Configured, Workflow
from holdfast.services.worker import Worker

P = ParamSpec("P")
R = TypeVar("R")


async def execute(workflow: Workflow[P, R] | Configured[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a workflow to its end in this process, on a database in memory.

    To keep the run, connect to a database, start a worker on it and start the run there.

    Args:
        workflow: the workflow, or ``workflow.options(…)``.
        args: its arguments.
        kwargs: its arguments by name.

    Returns:
        What the workflow returns.

    Raises:
        RunFailed: the run failed; its error is the cause.
    """
    served = workflow.workflow if isinstance(workflow, Configured) else workflow
    async with connect("memory://") as client, Worker(client, [served], drain=0):
        run = await client.start(workflow, *args, **kwargs)
        return await run.result()
