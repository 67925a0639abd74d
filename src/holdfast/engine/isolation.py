"""Executes one run alone in a child process.

A run that has lost two workers in a row without a new checkpoint may be what kills them. It goes on
in a process of its own under its worker's lease, so that it takes no other run with it; when that
process dies, its worker counts the rescue, and holds the run when there have been too many.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import runpy
import sys
import threading
from typing import Any

import msgspec

from holdfast.engine.core import Core
from holdfast.engine.workflow import Workflow
from holdfast.errors import StoreError
from holdfast.store.base import ClaimedRun

CANNOT_IMPORT = 66
"""The child's exit code when it cannot find the workflow."""

IMPORTING = "HOLDFAST_ISOLATED_IMPORT"
"""Set in the child while it imports the user's module, which must start nothing then."""


class Order(msgspec.Struct):
    """What the child process is to do; sent to it as JSON on its standard input."""

    url: str
    module: str
    file: str | None
    path: list[str]
    run: ClaimedRun


class Isolation:
    """A child process for one run.

    Args:
        core: the database.
        run: as claimed.
        workflow: its code, which the child imports by name.
    """

    def __init__(self, core: Core, run: ClaimedRun, workflow: Workflow[Any, Any]) -> None:
        self.run = run
        self._core = core
        self._workflow = workflow
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False

    async def run_to_end(self) -> bool:
        """Execute the run; False if a child process cannot find its code."""
        module = self._workflow.fn.__module__
        file = getattr(sys.modules.get(module), "__file__", None) if module == "__main__" else None
        if self._core.url.startswith("memory://") or (module == "__main__" and file is None):
            return False
        order = Order(self._core.url, module, file, [path or os.getcwd() for path in sys.path], self.run)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "holdfast.engine.isolation", stdin=asyncio.subprocess.PIPE
        )
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass
        # The pipe stays open: its end tells the child that we are gone.
        code = await self._process.wait()
        if code == CANNOT_IMPORT:
            return False
        while not self._killed:
            try:
                await self._core.store.crashed(self.run.uid, self.run.epoch)
                break
            except StoreError:
                await asyncio.sleep(1.0)
        return True

    def kill(self) -> None:
        """End the child at once; the run is no longer ours."""
        self._killed = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


def find_workflow(order: Order) -> Workflow[Any, Any] | None:
    """Import the module of the run's workflow and find it there."""
    sys.path[:] = order.path
    os.environ[IMPORTING] = "1"
    try:
        if order.file is not None:
            names = runpy.run_path(order.file, run_name="__mp_main__")
        else:
            names = vars(importlib.import_module(order.module))
    except BaseException as error:
        sys.stderr.write(f"holdfast: {order.file or order.module} cannot be imported: {error!r}\n")
        return None
    finally:
        del os.environ[IMPORTING]
    for value in names.values():
        if isinstance(value, Workflow) and (value.name, value.version) == (order.run.workflow, order.run.version):
            return value
    return None


async def execute(order: Order, workflow: Workflow[Any, Any]) -> None:
    """Go on with the run until it ends, is parked, or is lost."""
    from holdfast.engine.dispatcher import Dispatcher, by_run

    core = await Core.open(order.url, migrate=False)
    dispatcher = Dispatcher(
        core, [workflow], queues=None, concurrency=1, threads=4, may_claim=lambda: False, on_lost=lambda: None
    )
    rows, attempts = await core.store.load_journals([order.run.uid])
    await dispatcher.execute_one(order.run, *by_run(rows, attempts)[order.run.uid])
    await core.close()


def main() -> int:
    """The child process."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    workflow = find_workflow(order)
    if workflow is None:
        return CANNOT_IMPORT

    def leave_with_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    asyncio.run(execute(order, workflow))
    return 0


if __name__ == "__main__":
    # Through the imported module, so that its classes are the ones that everything else uses.
    from holdfast.engine import isolation

    raise SystemExit(isolation.main())
