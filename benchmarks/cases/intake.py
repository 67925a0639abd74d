"""Entries taken in from a JSONL file, against runs started by a client: the same runs, in one process and one database.

What is taken in is read from the file, checked by a filter, and recorded as an entry beside its run, with the position
that was read to. The client is given the same inputs and ids, makes the same runs, with the same attributes, and
records nothing else. Both take turns; nobody executes the runs. The plain start, of a workflow that is given the same
JSON without where it came from, and without attributes, is shown beside it.
"""

from __future__ import annotations

import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.intake.tending import run_intake

CASE = "intake"
WARM_UP = 500

FILE = """
[sources.orders]
kind = "jsonl"
path = "orders.jsonl"
workflow = "desk"
id = "order.id"
when = "entry.kind == 'order'"
batch = 1000
max_waiting = 1000000000
"""


@hf.workflow(queue="nobody's")
async def desk(message: hf.Incoming) -> str:
    """What entries become runs of."""
    return message.id


@hf.workflow(queue="nobody's plain")
async def plain(order: dict[str, Any]) -> str:
    """The same without where it came from."""
    return str(order["order"])


class Ours:
    """A client and a reader in one process.

    Args:
        url: an empty database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._written = 0

    async def open(self) -> None:
        """Connect, and make the workflows known."""
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name) / "orders.jsonl"
        self._intake = Path(self._folder.name) / "intake.toml"
        self._intake.write_text(FILE)
        self._file.touch()
        self._client = await hf.connect(self._url)
        async with hf.Worker(self._client, [desk, plain], queues=["other"]):
            pass

    def _lines(self, count: int) -> list[dict[str, Any]]:
        first, self._written = self._written, self._written + count
        return [
            {"kind": "order", "order": {"id": f"o-{first + number}", "lines": [{"sku": "a-1", "count": 3}] * 4}}
            for number in range(count)
        ]

    async def one(self, what: str, count: int) -> float:
        """Runs a second."""
        lines = self._lines(count)
        if what == "intake":
            with self._file.open("a") as file:
                file.write("".join(f"{json.dumps(line)}\n" for line in lines))
            began = time.perf_counter()
            [report] = await run_intake(self._client, self._intake, once=True)
            seconds = time.perf_counter() - began
            assert report.runs == count, report
            return count / seconds
        at = datetime.now(UTC)
        began = time.perf_counter()
        if what == "plain":
            await self._client.start_many(plain, [(line,) for line in lines])
            return count / (time.perf_counter() - began)
        inputs = [
            (hf.Incoming("file", line["order"]["id"], f"{number:032x}", f"orders.jsonl:{number}", at,
                         "application/json", data=line),)
            for number, line in enumerate(lines)
        ]  # fmt: skip
        configured = desk.options(attributes={"source": "file", "message_id": lines[0]["order"]["id"]})
        await self._client.start_many(configured, inputs, ids=[f"file/{line['order']['id']}" for line in lines])
        return count / (time.perf_counter() - began)


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure."""
    rates: dict[str, list[float]] = {"intake": [], "same": [], "plain": []}
    with backend.database() as url, Child("benchmarks.cases.intake:Ours", url=url) as ours:
        for what in rates:
            ours.call("one", what=what, count=WARM_UP)
        for _ in range(sizes.rounds):
            for what, seen in rates.items():
                seen.append(ours.call("one", what=what, count=sizes.runs))
    ratio = median(a / b for a, b in zip(rates["intake"], rates["same"], strict=True))
    return [
        Row(
            CASE, backend.name, "entries/s from a JSONL file, each a run", median(rates["intake"]), ratio=ratio,
            against="start_many of the same runs", required=Required(at_least=0.5), more=rates,
        ),
        Row(CASE, backend.name, "runs/s by start_many, of plain JSON", median(rates["plain"])),
    ]  # fmt: skip
