"""What comes from outside beside the programs: starts that rules merge, drop or delay, from several tenants, and lines
of a file. What has to become of each is known when it is answered."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import TypeVar

import holdfast as hf
from tests.verification import rules

T = TypeVar("T")

Surely = Callable[[Callable[[], Awaitable[T]]], Awaitable[T]]

TENANTS = ("default", "other")
CUSTOMERS = ("ada", "bob")


class Traffic:
    """Starts runs.

    Args:
        clients: by tenant.
        folder: where the file is that lines are written to.
        surely: does something until it is known to be done.

    Attributes:
        ended_at: when something ended last, on the machine's monotonic clock.
        done: how many starts of each kind there were.
        executed: numbers that have to be noted once, by kind.
        wrong: what is not as it should be.
    """

    def __init__(self, clients: dict[str, hf.Client], folder: Path, surely: Surely[object]) -> None:
        self._clients = clients
        self._client = clients["default"]
        self._folder = folder
        self._surely = surely
        self.ended_at = time.monotonic()
        self.done: Counter[str] = Counter()
        self.executed: dict[str, Counter[int]] = {
            name: Counter() for name in ("collected", "dropped", "share", "came in", "settled")
        }
        self.wrong: list[str] = []

    async def run(self, count: int, random: Random) -> None:
        """So many starts of most kinds; none at all for 0."""
        if not count:
            return
        works = (self._collect, self._settle_down, self._only, self._newest, self._drop, self._share, self._write_lines)
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(self._watched(work, count, Random(random.random())))

    async def _watched(self, work: Callable[[int, Random], Awaitable[None]], count: int, random: Random) -> None:
        try:
            await work(count, random)
        except Exception as error:
            self.wrong.append(f"traffic ({work.__name__}): {type(error).__name__}: {error}")

    async def _start(self, workflow: "hf.Workflow[..., int]", id: str, *given: object) -> "hf.RunHandle[int]":
        configured = workflow.options(id=id)
        return await self._surely(lambda: self._client.start(configured, *given))  # type: ignore[return-value]

    async def _ends(self, handle: "hf.RunHandle[int]") -> int | None:
        """What a run returned; None where it was cancelled or dropped."""

        async def result() -> int | None:
            try:
                return await handle.result()
            except (hf.RunCancelled, hf.StartDropped):
                return None

        found = await self._surely(result)
        self.ended_at = time.monotonic()
        return found  # type: ignore[return-value]

    async def _collect(self, count: int, random: Random) -> None:
        """Each item comes to one run, also where its start is asked for again."""

        async def one(item: int) -> None:
            configured = rules.collects.options(id=f"g{item}")
            for _ in range(random.choice((1, 1, 1, 2))):
                handle = await self._surely(lambda: self._client.start(configured, [item]))
            if item not in await self._surely(handle.result):  # type: ignore[attr-defined, operator]
                self.wrong.append(f"item {item} is not in the run that it was put into")
            self.ended_at = time.monotonic()

        left = list(range(count))
        self.executed["collected"].update(left)
        while left:
            some = [left.pop() for _ in range(min(len(left), random.randint(1, 7)))]
            await asyncio.gather(*(one(item) for item in some))
        self.done["put into a batch"] += count

    async def _settle_down(self, count: int, random: Random) -> None:
        """A start has the result of a run with its own number or a newer one; the last one's number is executed."""
        for burst in range(max(1, count // 10)):
            numbers = range(100 * burst, 100 * burst + random.randint(1, 6))
            handles = []
            for number in numbers:
                handles.append(await self._start(rules.settles_down, f"d{number}", burst, number))
                await asyncio.sleep(random.choice((0.0, 0.0, 0.05, 0.15)))
            found = [await self._ends(handle) for handle in handles]
            if (
                any(one is None or one < own for one, own in zip(found, numbers, strict=True))
                or found[-1] != numbers[-1]
            ):
                self.wrong.append(f"the starts {numbers} that are put off have {found}")
            if found != sorted(found, key=lambda one: one or 0):
                self.wrong.append(f"the starts {numbers} that are put off have results out of order: {found}")
            self.executed["settled"].update({one for one in found if one is not None})
            self.done["put off"] += len(numbers)

    async def _only(self, count: int, random: Random) -> None:
        """A start is skipped only in favour of one before it."""
        started: dict[str, int] = {}
        for number in range(count // 4):
            key = number % 3
            handle = await self._start(rules.only, f"o{number}", key, number)
            self.done["skipped" if handle.way == "dropped" else "only one"] += 1
            if handle.way == "started":
                started[handle.id] = number
                if random.random() < 0.3 and await self._ends(handle) != number:
                    self.wrong.append(f"the only run of number {number} has another number")
            elif handle.id not in started or started[handle.id] % 3 != key:
                self.wrong.append(f"the start {number} was skipped for run {handle.id}")
            await asyncio.sleep(random.choice((0.0, 0.1, 0.4)))
        for run_id, number in started.items():
            handle = await self._surely(lambda run_id=run_id: self._client.handle(run_id))  # type: ignore[misc]
            if await self._ends(handle) != number:  # type: ignore[arg-type]
                self.wrong.append(f"run {run_id} has not number {number}")

    async def _newest(self, count: int, random: Random) -> None:
        """The last start succeeds; those before it do so too, or are cancelled."""
        for key in range(max(1, count // 20)):
            handles = []
            for number in range(random.randint(1, 4)):
                handles.append(await self._start(rules.newest, f"n{key}-{number}", key, number))
                await asyncio.sleep(random.choice((0.0, 0.01, 0.1)))
            found = [await self._ends(handle) for handle in handles]
            wrong = [one for n, one in enumerate(found) if one not in (None, n)]
            if wrong or found[-1] != len(found) - 1 or any(handle.way != "started" for handle in handles):
                self.wrong.append(f"of the starts of key {key}, of which the newest counts, there came {found}")
            self.done["newest"] += len(found)

    async def _drop(self, count: int, random: Random) -> None:
        """What is not dropped is executed once."""
        handles = []
        for number in range(count):
            handle = await self._start(rules.dropped, f"x{number}", number % 2, number)
            self.done["dropped" if handle.way == "dropped" else "not dropped"] += 1
            if handle.way != "dropped":
                self.executed["dropped"][number] += 1
                handles.append((number, handle))
            await asyncio.sleep(random.choice((0.0, 0.0, 0.0, 0.1)))
        for number, handle in handles:
            if await self._ends(handle) != number:
                self.wrong.append(f"the start {number} that was not dropped has another result")

    async def _share(self, count: int, random: Random) -> None:
        """Several tenants and customers, each share with its limit."""
        await self._surely(lambda: self._client.set_queue(rules.SHARED, per_key=rules.PER_SHARE))

        async def one(number: int) -> None:
            share = random.randrange(len(TENANTS) * len(CUSTOMERS))
            client = self._clients[TENANTS[share % 2]]
            configured = rules.shares.options(id=f"s{number}")
            given = CUSTOMERS[share // 2], share, number
            handle = await self._surely(lambda: client.start(configured, *given))
            if await self._ends(handle) != number:  # type: ignore[arg-type]
                self.wrong.append(f"run s{number} of a share has another result")

        self.executed["share"].update(range(count))
        for first in range(0, count, 20):
            await asyncio.gather(*(one(number) for number in range(first, min(count, first + 20))))
        self.done["of a share"] += count

    async def _write_lines(self, count: int, random: Random) -> None:
        """Lines come whole or in pieces, some of them twice; each comes to one run."""
        path = self._folder / "lines.jsonl"
        for number in range(count):
            line = json.dumps({"id": number, "number": number}).encode() + b"\n"
            line *= random.choice((1, 1, 1, 2))
            torn = random.choice((0, 0, random.randrange(len(line))))
            for piece in (line[:torn], line[torn:]):
                if piece:
                    with path.open("ab") as file:
                        file.write(piece)
                    await asyncio.sleep(random.choice((0.0, 0.01)))
        self.executed["came in"].update(range(count))
        self.done["line"] += count
