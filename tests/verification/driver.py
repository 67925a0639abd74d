"""Starts programs, does to their runs what is to be done, and compares how they end with what is right."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import holdfast as hf
from tests.verification.drawing import Case
from tests.verification.oracle import RELEASED, Answer
from tests.verification.programs import program

T = TypeVar("T")

LOOK_SECONDS = 0.1


class Driver:
    """Drives programs on one database, from outside the workers.

    Args:
        client: of the database.
        folder: where the workers note what they do.
        at_once: so many programs are under way at most.

    Attributes:
        open: the programs that are under way, by the ids of their runs.
        ended: how many have ended.
        ended_at: when the last one did, on the machine's monotonic clock.
        cancelled: the runs that really were cancelled by a cancellation at any time.
        faults: what is not as it should be.
        releases: whether runs that are held are released.
    """

    def __init__(self, client: hf.Client, folder: Path, at_once: int) -> None:
        self.client = client
        self.folder = folder
        self.open: dict[str, Case] = {}
        self.ended = 0
        self.ended_at = time.monotonic()
        self.cancelled: set[str] = set()
        self.faults: list[str] = []
        self.releases = True
        self._room = asyncio.Semaphore(at_once)
        self._tasks: list[asyncio.Task[None]] = []
        self._read = 0
        self._sent: set[str] = set()

    async def __aenter__(self) -> "Driver":
        self._tasks = [asyncio.create_task(self._always(work)) for work in (self._send, self._release)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def drive(self, case: Case) -> None:
        """See one program to its end."""
        async with self._room:
            self.open[case.id] = case
            try:
                await self._drive(case)
            except Exception as error:
                self.faults.append(f"program {case.number}: {type(error).__name__}: {error}")
            finally:
                del self.open[case.id]
                self.ended += 1
                self.ended_at = time.monotonic()

    async def _drive(self, case: Case) -> None:
        configured = program.options(id=case.id, **case.options)
        handle = await self.surely(lambda: self.client.start(configured, case.operations))
        if case.fate in ("cancel any time", "hold any time"):
            await asyncio.sleep(case.seconds)
            act = self.client.cancel if case.fate == "cancel any time" else self.client.hold
            await self.surely(lambda: act(case.id, reason="any time"))
        view = await self._end(handle)
        if case.fate == "retry":
            if view.status != "failed":
                self.faults.append(f"program {case.number} is {view.status} before it is mended")
                return
            (self.folder / f"mended-{case.id}").touch()
            await self.surely(lambda: self.client.retry(case.id))
            view = await self._end(handle)
        if case.fate == "cancel any time" and view.status == "cancelled":
            self.cancelled.add(case.id)
            return
        self._compare(case, view, case.right)
        if case.fork is not None:
            forked = await self.surely(lambda: self.client.fork(case.id, from_step="mark", id=f"{case.id}f"))
            if forked is not None and forked != f"{case.id}f":
                self.faults.append(f"program {case.number}: its fork has the id {forked}")
            again: hf.RunHandle[Any] = await self.surely(lambda: self.client.handle(f"{case.id}f"))
            self._compare(case, await self._end(again), case.fork)

    async def _end(self, handle: hf.RunHandle[Any]) -> hf.RunView:
        """How a run ends."""
        while True:
            try:
                await handle.result()
            except (hf.RunFailed, hf.RunCancelled):
                pass
            except hf.StoreError:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            view = await self.surely(handle.view)
            if view.status in ("succeeded", "failed", "cancelled"):
                return view

    def _compare(self, case: Case, view: hf.RunView, right: Answer) -> None:
        message = view.error["message"].rpartition(": ")[2] if view.status == "failed" and view.error else None
        found = (view.status, message if view.status == "failed" else view.output, view.attributes)
        wanted = (right.status, right.output, right.attributes)
        if found != wanted:
            whole = "" if view.error is None else f" ({view.error['message']})"
            self.faults.append(f"program {case.number} ({case.fate}), run {view.id}: {found}{whole}, right is {wanted}")

    async def surely(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do something until it is known to be done; None where a later try finds it done."""
        tries = 0
        while True:
            tries += 1
            try:
                return await act()
            except hf.StoreError:
                await asyncio.sleep(LOOK_SECONDS * (0.5 + random.random()))
            except (hf.NotPossible, hf.RunExists):
                return None  # type: ignore[return-value]

    async def _always(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except hf.StoreError:
                pass
            except Exception as error:
                self.faults.append(f"the driver: {type(error).__name__}: {error}")
                await asyncio.sleep(1.0)
            await asyncio.sleep(LOOK_SECONDS)

    async def _send(self) -> None:
        """Send the events that runs want, and cancel those that want that."""
        path = self.folder / "notes"
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        wants = dict(line.split("\t")[1:] for line in whole.decode().splitlines() if line.startswith("want"))
        await asyncio.gather(*(self._give(key, int(number)) for key, number in wants.items() if key not in self._sent))

    async def _give(self, key: str, number: int) -> None:
        self._sent.add(key)
        if key.startswith("cancel "):
            await self.surely(lambda: self.client.cancel(key.removeprefix("cancel ")))
        else:
            await self.surely(lambda: self.client.send_event("driver", number, key=key, id=key))

    async def _release(self) -> None:
        """Release whatever is held."""
        if not self.releases:
            return
        for view in await self.client.list(status="held", limit=1000):
            reason = (view.error or {}).get("message", "")
            if not any(word in reason for word in ("release me", "any time")):
                self.faults.append(f"run {view.id} is held: {reason}")
            try:
                await self.client.release(view.id, RELEASED)
            except hf.NotPossible:
                await self.surely(lambda id=view.id: self.client.release(id))  # type: ignore[misc]
