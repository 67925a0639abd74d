"""What a page costs with a million runs in the database, beside the same page with a thousand.

The runs are put in past the engine: most succeeded, one in twenty failed, one in fifty waits in a lane or for a worker
that is not there. PostgreSQL is vacuumed then, as it does by itself within a minute or so: what was claimed and has
ended in one go leaves dead rows in the queue, which are of the last minute and not of the million. One process serves
the dashboard and the API on loopback; each page is asked for again and again by one client, in turns, and its median
counts. What the server keeps for some seconds is kept in both.
"""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from contextlib import ExitStack
from statistics import median

import asyncpg

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.cases.http import Server
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.engine.core import Core
from holdfast.engine.scheduled import description_of
from holdfast.engine.starting import start_row
from holdfast.engine.workflow import StartOptions
from holdfast.model.failure import encode_failure
from holdfast.model.payload import codec_of
from holdfast.model.run import PROTOCOL
from holdfast.store.operations import Batch, Checkpoint, Claim, Settle
from holdfast.store.rows import WorkflowRow

CASE = "pages"
FEW = 1000
LOAD = 2000
TIMES = 9
A_YEAR_US = 365 * 86_400 * 1_000_000
PAGES = (
    "/", "/runs", "/runs?q=status:failed", "/runs?q=workflow:order", "/runs?q=attr.number:17", "/runs/run-1",
    "/workflows", "/workflows/order", "/queues", "/schedules", "/workers", "/dead-letters", "/audit", "/settings",
    "/api/v1/runs", "/api/v1/runs?status=queued", "/api/v1/stats", "/api/v1/overview", "/api/v1/runs/run-1/journal",
    "/metrics",
)  # fmt: skip


@hf.workflow(key="number", lane="order", limit=1)
async def order(number: int) -> int:
    """Never executed here."""
    return number


class Full(Server):
    """The server, over a database that is filled first.

    Args:
        url: an empty database.
        runs: how many to put in.
    """

    def __init__(self, url: str, runs: int) -> None:
        super().__init__(url, False)
        self._runs = runs

    async def open(self) -> None:
        """Fill, then serve."""
        await super().open()
        await fill(self._client.core, self._runs)
        if self._url.startswith("postgres"):
            connection = await asyncpg.connect(self._url)
            await connection.execute("VACUUM ANALYZE")
            await connection.close()


async def fill(core: Core, runs: int) -> None:
    """Put runs of ``order`` in, ``run-0`` and on, past the engine.

    Args:
        core: an empty database.
        runs: how many.
    """
    await core.store.register_workflows([WorkflowRow(order.name, order.version, description_of(order))])
    worker = secrets.token_bytes(16)
    await core.store.register_worker(worker, "bench", 1, PROTOCOL, A_YEAR_US)
    served = ((order.terms.queue, order.name, order.version, PROTOCOL),)
    failure = encode_failure(ValueError("no such order"))
    zero = codec_of(int).encode(0, "the output")
    begin = core.now_us() - 3_600_000_000
    for first in range(0, runs, LOAD):
        starts = [
            start_row(
                tenant="default", workflow=order.name, version=order.version, terms=order.terms,
                options=StartOptions(id=f"run-{number}", attributes={"number": number}),
                given=order.signature.encode_input((number,), {}), now_us=begin + number * 1000, args=(number,),
                kwargs={},
            )
            for number in range(first, min(runs, first + LOAD))
        ]  # fmt: skip
        await core.store.commit(Batch(starts=starts))
        # Some are left in the queue, of few runs too: a page without a queue is another page.
        claim = Claim(worker, secrets.token_bytes(16), len(starts) - len(starts) // 50, served)
        [claimed] = (await core.store.commit(Batch(claims=[claim]))).claims
        assert not isinstance(claimed, str)
        steps, ends = [], []
        for place, one in enumerate(claimed):
            at = one.created_at + 5000
            steps.append(
                tuple(Checkpoint(one.uid, b"\0", 1, 1, "step", "noop", "ok", None, zero, 1, at, at, one.epoch))
            )
            failed = place % 20 == 0
            ends.append(
                Settle(one.uid, one.epoch, "failed" if failed else "succeeded", failure if failed else zero, at,
                       at + 5000, None, None, None, tenant="default", rank=one.rank, lane=one.lane)
            )  # fmt: skip
        await core.store.commit(Batch(checkpoints=steps, settles=ends))
    await core.store.remove_worker(worker)


def _ask(port: int, path: str) -> float:
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        content = answer.read()
        assert answer.status == 200
    seconds = time.perf_counter() - began
    if path.startswith("/api/") and "json" in answer.headers["Content-Type"]:
        json.loads(content)
    return seconds


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure each page, with few runs and with very many, in turns."""
    seen: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as stack:
        ports = {}
        for runs in (FEW, sizes.ready):
            url = stack.enter_context(backend.database())
            server = stack.enter_context(Child("benchmarks.cases.pages:Full", url=url, runs=runs))
            ports[runs] = server.call("port")
        for number in range(TIMES + 1):
            for path in PAGES:
                for runs, port in ports.items():
                    seconds = _ask(port, path)
                    if number:
                        seen.setdefault((path, runs), []).append(seconds)
    rows = []
    for path in PAGES:
        few, many = median(seen[path, FEW]), median(seen[path, sizes.ready])
        rows.append(
            Row(CASE, backend.name, f"ms, {path} with {sizes.ready:,} runs", many * 1e3, ratio=many / few,
                against=f"{FEW:,} runs", required=Required(at_most=3), more={"few_ms": few * 1e3}),
        )  # fmt: skip
    return rows
