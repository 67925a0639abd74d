"""Claims with very many ready runs: the rate must not fall with what is behind, beside, or done already.

At the level of the store: claims of a hundred runs, one commit each, timed one by one; a rate is a
hundred by the median time (a mean says more about what else the machine does; the JSON has both).
What was claimed is settled in between, untimed. Beside each claim a bare one is timed: delete the
first hundred from a narrow table by its index, on PostgreSQL with SKIP LOCKED. First a thousand runs
are ready; then very many, which are drained to the end; a thousand again; and a thousand beside very
many of a version that is not served. The required ratio is our rate with many by our rate with few,
divided by the same of the bare claim.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
import uuid
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Protocol

import asyncpg

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.model.run import PROTOCOL
from holdfast.store.operations import Batch, Claim, ClaimedRun, Settle

CASE = "claim"
AT_ONCE = 100
FEW = 1000
REPEATS = 10
"""A thousand ready runs are claimed so often."""
LOAD = 10_000
A_YEAR_US = 365 * 86_400 * 1_000_000


@hf.workflow(name="claimed", version="new")
async def served(number: int) -> int:
    """What is claimed; never executed here."""
    return number


@hf.workflow(name="claimed", version="old")
async def unserved(number: int) -> int:
    """What nobody serves."""
    return number


Rates = tuple[float, ...]


@dataclass(slots=True)
class Times:
    """Seconds that each claim took."""

    ours: list[float]
    bare: list[float]

    def rates(self, first: int = 0, last: int | None = None) -> Rates:
        """Runs claimed a second over some of the claims: by us, by the bare claim, and both by the mean time."""
        each = (self.ours[first:last], self.bare[first:last])
        ours, bare = (AT_ONCE / median(times) for times in each)
        return (ours, bare, *(AT_ONCE / fmean(times) for times in each))


class Bare(Protocol):
    """A queue table and nothing else."""

    async def fill(self, version: str, count: int) -> None:
        """Add rows."""

    async def claim(self) -> int:
        """Take the first hundred of the version "new"; how many were taken."""


class BareSqlite:
    """The bare claim on SQLite."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(f"{path}-bare", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE TABLE bare (version TEXT, rank INT, run BLOB, PRIMARY KEY (version, rank, run)) WITHOUT ROWID"
        )

    async def fill(self, version: str, count: int) -> None:
        """See `Bare.fill`."""
        rows = [(version, rank, uuid.uuid4().bytes) for rank in range(time.time_ns(), time.time_ns() + count)]
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO bare VALUES (?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    async def claim(self) -> int:
        """See `Bare.claim`."""
        self._connection.execute("BEGIN IMMEDIATE")
        rows = self._connection.execute(
            """DELETE FROM bare WHERE (version, rank, run) IN
            (SELECT version, rank, run FROM bare WHERE version = 'new' ORDER BY rank, run LIMIT ?) RETURNING run""",
            (AT_ONCE,),
        ).fetchall()
        self._connection.execute("COMMIT")
        return len(rows)


class BarePostgres:
    """The bare claim on PostgreSQL."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, url: str) -> BarePostgres:
        """Make the table. The planner, which knows nothing of it yet, is kept on its index."""
        connection = await asyncpg.connect(url)
        await connection.execute(
            """CREATE TABLE bare (version text, rank bigint, run uuid, PRIMARY KEY (version, rank, run));
            SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off"""
        )
        return cls(connection)

    async def fill(self, version: str, count: int) -> None:
        """See `Bare.fill`."""
        first = time.time_ns()
        rows = [(version, first + number, uuid.uuid4()) for number in range(count)]
        await self._connection.copy_records_to_table("bare", records=rows)

    async def claim(self) -> int:
        """See `Bare.claim`."""
        rows = await self._connection.fetch(
            """DELETE FROM bare WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM bare WHERE version = 'new' ORDER BY rank, run LIMIT $1 FOR UPDATE SKIP LOCKED
            )) RETURNING run""",
            AT_ONCE,
        )
        return len(rows)


class Claims:
    """A store, and the bare claim beside it in a database of its own.

    Args:
        url: an empty database.
        bare_url: another.
    """

    def __init__(self, url: str, bare_url: str) -> None:
        self._url = url
        self._bare_url = bare_url

    async def open(self) -> None:
        """Connect and register a worker that needs no heartbeat here."""
        self._client = await hf.connect(self._url)
        self._store = self._client.core.store
        self._worker = secrets.token_bytes(16)
        await self._store.register_worker(self._worker, "bench", 1, PROTOCOL, A_YEAR_US)
        self._served = ((served.terms.queue, served.name, served.version, PROTOCOL),)
        self._bare: Bare
        if self._bare_url.startswith("sqlite"):
            self._bare = BareSqlite(self._bare_url.removeprefix("sqlite:///"))
        else:
            self._bare = await BarePostgres.open(self._bare_url)

    async def _fill(self, workflow: Any, count: int) -> None:
        for first in range(0, count, LOAD):
            part = min(LOAD, count - first)
            await self._client.start_many(workflow, [(number,) for number in range(part)])
            await self._bare.fill(workflow.version, part)

    async def _claim(self, times: Times) -> None:
        began = time.perf_counter()
        taken = await self._bare.claim()
        times.bare.append(time.perf_counter() - began)
        assert taken == AT_ONCE
        claim = Claim(self._worker, secrets.token_bytes(16), AT_ONCE, self._served)
        began = time.perf_counter()
        results = await self._store.commit(Batch(claims=[claim]))
        times.ours.append(time.perf_counter() - began)
        [claimed] = results.claims
        assert not isinstance(claimed, str)
        assert len(claimed) == AT_ONCE
        await self._store.commit(Batch(settles=[self._end(run) for run in claimed]))

    def _end(self, run: ClaimedRun) -> Settle:
        now = self._client.core.now_us()
        return Settle(
            run=run.uid, epoch=run.epoch, status="succeeded", output=b"0", started_at=now, finished_at=now,
            parent_uid=None, parent_position=None, parent_generation=None,
        )  # fmt: skip

    async def few(self) -> Rates:
        """The rates with a thousand ready, filled again and again."""
        times = Times([], [])
        for _ in range(REPEATS):
            await self._fill(served, FEW)
            for _ in range(FEW // AT_ONCE):
                await self._claim(times)
        return times.rates()

    async def drain(self, count: int) -> dict[str, Rates]:
        """The rates of the first and the last tenth of a drain of very many."""
        await self._fill(served, count)
        times = Times([], [])
        for _ in range(count // AT_ONCE):
            await self._claim(times)
        tenth = len(times.ours) // 10
        return {"first": times.rates(0, tenth), "last": times.rates(-tenth)}

    async def beside(self, count: int) -> Rates:
        """The rates with a thousand ready, beside very many that are not served."""
        await self._fill(unserved, count)
        return await self.few()


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure, and hold against the bare claim."""
    with (
        backend.database() as url,
        backend.database() as bare_url,
        Child("benchmarks.cases.claim:Claims", url=url, bare_url=bare_url) as claims,
    ):
        claims.call("few")  # to warm up
        before = claims.call("few")
        drain = claims.call("drain", count=sizes.ready)
        after = claims.call("few")
        beside = claims.call("beside", count=sizes.ready)
    few = [(one + other) / 2 for one, other in zip(before, after, strict=True)]
    many = f"{sizes.ready:,}"

    def row(what: str, seen: list[float], base: list[float], against: str, relative: bool) -> Row:
        kept, bare_kept = seen[0] / base[0], seen[1] / base[1]
        return Row(
            CASE, backend.name, what, seen[0], limit=seen[1], ratio=kept / bare_kept if relative else kept,
            against=against, required=Required(at_least=0.8),
            more={"seen": seen, "base": base, "kept": kept, "bare_kept": bare_kept},
        )  # fmt: skip

    return [
        Row(CASE, backend.name, "runs claimed/s, 1,000 ready", few[0], limit=few[1]),
        row(f"runs claimed/s, {many} ready", drain["first"], few, "bare, of 1,000", True),
        row(f"runs claimed/s, the last tenth of {many}", drain["last"], drain["first"], "the first tenth", False),
        row(f"runs claimed/s, beside {many} not served", beside, few, "bare, of 1,000", True),
    ]
