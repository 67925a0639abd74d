"""A worker is killed, and another goes on with its run: one trace, and what is counted of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine import counting
from tests.engine.helpers import until
from tests.telemetry import victims
from tests.telemetry.kit import Spans, own_span, said
from tests.telemetry.victims import journey

pytestmark = pytest.mark.slow


async def test_a_run_that_is_taken_over_goes_on_in_its_trace(disk_url: str, tmp_path: Path, spans: Spans) -> None:
    file = tmp_path / "spans"
    counts = counting.begin()
    async with hf.connect(disk_url) as client:
        with own_span("request") as request:
            run = await client.start(journey)
        process = await asyncio.create_subprocess_exec(
            sys.executable, victims.__file__, disk_url, str(file), env={**os.environ, "VICTIM": "1"}
        )
        assert await process.wait() == -9
        async with hf.Worker(client, [journey], lease=0.9, beat=0.3):
            one, two = await run.result(timeout="20s")
            await spans.arrived("run journey")
        assert (one, two) == (process.pid, os.getpid())
        uid = (await client.core.store.find_runs("default", [run.id]))[0].uid
    theirs: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    assert [span["name"] for span in theirs] == ["first"]  # the others were killed with it
    whole, execution, again = spans.one("run journey"), spans.one("execute journey"), spans.one("second")
    assert {span.context.trace_id for span in (whole, execution, again)} == {int(theirs[0]["context"]["trace_id"], 16)}
    assert execution.parent is not None
    assert again.parent is not None
    assert execution.parent.span_id == whole.context.span_id
    assert again.parent.span_id == execution.context.span_id
    assert spans.named("first") == []  # it is replayed
    assert (said(execution, "run.rescues"), said(again, "step.attempt")) == (1, 1)
    assert whole.links[0].context.span_id == request.get_span_context().span_id
    assert uid
    assert (counts.rescued, counts.crashing, counts.leases_lost) == (1, 0, 0)


async def test_a_lost_lease_is_told(sqlite_url: str, spans: Spans) -> None:
    counts = counting.begin()
    begun = asyncio.Event()
    stay = asyncio.Event()

    @hf.step
    async def long() -> str:
        begun.set()
        await stay.wait()
        return "done"

    @hf.workflow
    async def slow() -> str:
        return await long()

    async with hf.connect(sqlite_url) as client, hf.Worker(client, [slow], lease=0.9, beat=0.3) as worker:
        run = await client.start(slow)
        await begun.wait()
        await client.core.store.remove_worker(worker.id)

        async def lost() -> bool:
            return counts.leases_lost == 1

        await until(lost)
        stay.set()
        assert await run.result(timeout="20s") == "done"
        await spans.arrived("execute slow", 2)
    outcomes = [said(span, "execution.outcome") for span in spans.named("execute slow")]
    assert outcomes == ["lost", "succeeded"]
    assert [said(span, "step.outcome") for span in spans.named("long")] == ["cut off", "ok"]
    assert len(spans.named("run slow")) == 1
