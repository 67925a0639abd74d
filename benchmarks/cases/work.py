"""The work queue at size: scores computed anew, somebody's queue read, signals interpreted.

Everything is put in through the store. All open items are scored anew in one statement, in turns with a plain UPDATE of
one integer column of the same rows, on a connection beside it that is as durable. Somebody's queue, ten of a thousand
items, is read with very many items in all and with few. The interpreter goes over all subjects with twenty definitions,
against the time that it takes to read the subjects.
"""

from __future__ import annotations

import json
import random
import sqlite3
import time
from statistics import median

import asyncpg

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.model.ids import uuid7
from holdfast.store.work_rows import ItemChange, ItemEventRow, ItemRow, SignalRow, SubjectRow

CASE = "work"
FEW = 10_000
ITS_ITEMS = 1000
"""Items of one assignee."""
DEFINITIONS = 20
LOAD = 5000
QUEUES = 50
TENANT = "default"
TYPES = ("opportunity", "risk", "strategic", "renewal", "custom")
PLAIN = "UPDATE {items} SET priority = priority + 1 WHERE tenant = 'default' AND status IN ('not_started', 'snoozed')"


class Work:
    """A work queue.

    Args:
        url: an empty database.
        items: how many to put in.
        subjects: how many of these; ten times fewer.
    """

    def __init__(self, url: str, items: int, subjects: int) -> None:
        self._url = url
        self._items = items
        self._subjects = subjects

    async def open(self) -> None:
        """Fill the database."""
        self._client = await hf.connect(self._url)
        self._queue = hf.work_queue(self._client)
        self._work = self._client.core.store.work
        await self._queue.use_preset("customer_success")
        for definition in await self._queue.definitions():
            if definition.active:
                await self._queue.retire(definition.id)
        draw = random.Random(1)
        await self._put_subjects(draw)
        await self._put_items(draw)

    async def _put_subjects(self, draw: random.Random) -> None:
        now = self._client.core.now_us()
        for first in range(0, self._subjects, LOAD):
            ids = [f"s-{number:07}" for number in range(first, min(self._subjects, first + LOAD))]
            await self._work.put_subjects([
                SubjectRow(TENANT, id, f"Subject {id}", None, b'{"plan": "large"}', b"[]", 0, b"{}", b"{}", b"{}",
                           False, now, 1)
                for id in ids
            ])  # fmt: skip
            signals = []
            for id in ids:
                for name, most in (
                    ("revenue_impact_tier", 5), ("churn_risk_score", 10), ("usage_score", 100), ("adoption_rate", 100),
                    ("yoy_growth", 60), ("utilization_percent", 110), ("market_percentile", 100),
                    ("last_month_growth", 20),
                ):  # fmt: skip
                    signals.append(SignalRow(TENANT, id, name, now, float(draw.randint(0, most)), "bench"))
            assert not await self._work.put_signals(signals)

    async def _put_items(self, draw: random.Random) -> None:
        now = self._client.core.now_us()
        for first in range(0, self._items, LOAD):
            changes = []
            for number in range(first, min(self._items, first + LOAD)):
                uid = uuid7(now + number, number.to_bytes(10, "big"))
                snoozed = number % 10 == 0
                until = now + draw.randint(-5, 30) * 86_400_000_000 if snoozed else None
                status = "snoozed" if snoozed else "not_started"
                kind = TYPES[number % len(TYPES)]
                # Whose items stand together is somebody's only by the index.
                assignee = f"a-{number % max(1, self._items // ITS_ITEMS)}"
                row = ItemRow(
                    TENANT, uid, f"i-{number}", "work", None, None, kind, 500, f"Item {number}",
                    f"s-{draw.randrange(self._subjects):07}", assignee, None, None, None, None, None, status, 0, until,
                    None, now if snoozed else None, until, None, None, False, None, None, None, None, b"{}", b"{}",
                    None, False, None, now + number, 1,
                )  # fmt: skip
                event = ItemEventRow(TENANT, uid, 1, now, "bench", "create", status, b"{}", None, None, assignee, 0,
                                     None, False)  # fmt: skip
                changes.append(ItemChange(row, event))
            outcomes = await self._work.put_items(changes)
            assert set(outcomes) == {"done"}

    async def recompute(self) -> float:
        """Seconds to score every open item anew."""
        began = time.perf_counter()
        count = await self._queue.recompute()
        seconds = time.perf_counter() - began
        assert count == self._items, count
        return seconds

    async def plain(self) -> float:
        """Seconds to change one integer column of the same rows."""
        if self._url.startswith("sqlite"):
            connection = sqlite3.connect(self._url.removeprefix("sqlite:///"), isolation_level=None, timeout=60)
            connection.execute("PRAGMA synchronous = FULL")
            began = time.perf_counter()
            count = connection.execute(PLAIN.format(items="items")).rowcount
            seconds = time.perf_counter() - began
            connection.close()
        else:
            other = await asyncpg.connect(self._url)
            began = time.perf_counter()
            count = int((await other.execute(PLAIN.format(items="holdfast.items"))).split()[-1])
            seconds = time.perf_counter() - began
            await other.close()
        assert count == self._items, count
        return seconds

    async def queue(self) -> float:
        """Seconds to read the ten that come first of somebody's thousand, the median."""
        times = []
        for _ in range(QUEUES):
            began = time.perf_counter()
            items = await self._queue.queue("a-0", limit=10)
            times.append(time.perf_counter() - began)
            assert len(items) == 10
        return median(times)

    async def read(self) -> float:
        """Seconds to read all subjects."""
        began = time.perf_counter()
        after: str | None = None
        count = 0
        while rows := await self._work.list_subjects(TENANT, limit=LOAD, after=after):
            for row in rows:
                json.loads(row.signals)
            count += len(rows)
            after = rows[-1].id
        assert count == self._subjects
        return time.perf_counter() - began

    async def define(self) -> None:
        """Make the definitions."""
        for number in range(DEFINITIONS):
            rule = (
                f"signals.usage_score >= {number} && signals.churn_risk_score > {number % 5} && "
                f"signals.yoy_growth == {number} && signals.adoption_rate > 97"
            )
            await self._queue.put_definition(
                f"d-{number}", {"name": f"Definition {number}", "type": "custom", "rule": rule, "active": True}
            )

    async def interpret(self) -> float:
        """Seconds for the interpreter to look at all subjects."""
        began = time.perf_counter()
        await self._queue.interpret()
        return time.perf_counter() - began


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure."""
    items, subjects = sizes.ready, sizes.ready // 10
    with (
        backend.database() as many_url,
        backend.database() as few_url,
        Child("benchmarks.cases.work:Work", url=many_url, items=items, subjects=subjects) as many,
        Child("benchmarks.cases.work:Work", url=few_url, items=FEW, subjects=FEW // 10) as few,
    ):
        few.call("recompute")
        ours, plain = [], []
        for number in range(sizes.rounds + 1):
            seconds = many.call("plain"), many.call("recompute")
            if number:
                plain.append(seconds[0])
                ours.append(seconds[1])
        queues = [(many.call("queue"), few.call("queue")) for _ in range(sizes.rounds)]
        reads = [many.call("read") for _ in range(sizes.rounds)]
        many.call("define")
        first, again = many.call("interpret"), many.call("interpret")
    return [
        Row(CASE, backend.name, f"s, {items:,} items scored anew", median(ours),
            ratio=median(a / b for a, b in zip(ours, plain, strict=True)), against="a plain UPDATE",
            required=Required(at_most=2), more={"plain": plain, "ours": ours}),
        Row(CASE, backend.name, f"ms, a queue of {ITS_ITEMS:,} in {items:,}", median(a for a, _ in queues) * 1e3,
            ratio=median(a / b for a, b in queues), against=f"in {FEW:,}", required=Required(at_most=3),
            more={"few_ms": [b * 1e3 for _, b in queues]}),
        Row(CASE, backend.name, f"s, {subjects:,} subjects interpreted", first,
            ratio=first / median(reads), against="reading them", required=Required(at_most=10), more={"reads": reads}),
        Row(CASE, backend.name, f"s, {subjects:,} subjects interpreted again", again,
            ratio=again / median(reads), against="reading them", required=Required(at_most=10), more={"reads": reads}),
    ]  # fmt: skip
