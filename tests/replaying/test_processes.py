"""Several processes replay as one does: the same verdicts in the same order, and what one dies of is told."""

import asyncio
import json
import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins

import holdfast as hf
from holdfast.engine.replaying import children
from holdfast.engine.replaying.reports import RunReplay
from tests.cli.tool import call, running, until
from tests.engine.helpers import serving
from tests.replaying import shop_after, shop_before, shop_deadly
from tests.replaying.shop_before import checkout, refuses

ROOT = str(Path(__file__).parents[2])

RUNS = 100

MANY = 300
"""More than a page as large as it is."""


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pages, so that each process has some."""
    monkeypatch.setattr(children, "PAGE", 7)


async def fill(url: str, count: int = RUNS) -> None:
    async with serving(url, checkout, refuses) as client:
        runs = await client.start_many(checkout, [(number,) for number in range(count)])
        runs += await client.start_many(refuses, [(number,) for number in range(5)])
        await asyncio.gather(*(run.result(timeout="60s") for run in runs), return_exceptions=True)


async def replayed(url: str, code: Sequence[hf.Workflow[Any, Any]], **options: Any) -> list[RunReplay]:
    async with hf.connect(url) as client:
        return [one async for one in client.replay_runs(code, **options)]


async def test_the_verdicts_are_those_of_one_process_in_the_same_order(disk_url: str) -> None:
    await fill(disk_url)
    code = [shop_after.checkout, refuses]
    newest = await replayed(disk_url, code)
    assert [one.outcome for one in newest] == ["fits"] * 5 + ["breaks"] * RUNS
    ids = [one.run_id for one in newest]
    shuffled = random.Random(1).sample(ids, len(ids))
    verdicts = {one.run_id: one for one in newest}
    assert await replayed(disk_url, code, runs=shuffled, processes=2) == [verdicts[id] for id in shuffled]


async def test_as_many_as_asked_for_where_some_are_holdfast_s_own(disk_url: str) -> None:
    await fill(disk_url)
    async with serving(disk_url, checkout) as client:
        for _ in range(9):
            await (await client.bulk("hold", "status = 'running'")).result("30s")
    code = [shop_after.checkout, refuses]
    newest = [one.run_id for one in await replayed(disk_url, code)]
    assert len(newest) == RUNS + 5
    for limit in (1, 8, 40, RUNS + 5, RUNS + 6):
        assert [one.run_id for one in await replayed(disk_url, code, limit=limit, processes=2)] == newest[:limit]


async def test_a_run_that_its_process_dies_of_is_told_and_the_others_are_replayed(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(sqlite_url)
    found = await replayed(sqlite_url, [shop_deadly.checkout], workflow="checkout", processes=2)
    alone = await replayed(sqlite_url, [checkout], workflow="checkout")
    assert [one.run_id for one in found] == [one.run_id for one in alone]
    # The newest first.
    broken = {RUNS - 1 - number: one.reasons for number, one in enumerate(found) if one.outcome != "fits"}
    assert broken == {30: ["the process that replayed it ended: signal 9"]}
    assert "a process that replayed runs ended" in caplog.text


async def test_processes_that_cannot_know_the_code_or_the_database_are_refused(sqlite_url: str) -> None:
    @hf.workflow
    async def inner() -> None:
        pass

    await fill(sqlite_url)
    for url, code, said in (
        (sqlite_url, inner, "a workflow is not found by name in its module"),
        ("memory://", checkout, "the database is in the memory of this one"),
    ):
        with pytest.raises(hf.UsageError, match=said):
            await replayed(url, [code], processes=2)
        await replayed(url, [code], limit=1)
    with pytest.raises(hf.UsageError, match="processes is 0"):
        await replayed(sqlite_url, [checkout], processes=0)


async def test_the_command_forks_and_prints_the_same(sqlite_url: str, tmp_path: Path) -> None:
    await fill(sqlite_url, MANY)
    alone = await replayed(sqlite_url, [checkout, refuses])
    arguments = ("replay", shop_before.__name__, "--all", "--json", "--processes", "2")
    *told, total = map(json.loads, call(tmp_path, *arguments, url=sqlite_url, PYTHONPATH=ROOT).stdout.splitlines())
    assert told == [to_builtins(one) for one in alone]
    assert total == {"runs": MANY + 5, "fit": MANY + 5, "go_on": 0, "break": 0}


async def test_an_interrupted_command_leaves_no_process(sqlite_url: str, tmp_path: Path) -> None:
    await fill(sqlite_url, MANY)
    lingering = tmp_path / "lingering"
    lingering.mkdir()
    arguments = ("replay", shop_deadly.__name__, "--all", "--processes", "2", "--timeout", "1h")
    more = {"HOLDFAST_TEST_LINGER": str(lingering), "PYTHONPATH": ROOT}
    with running(tmp_path, *arguments, url=sqlite_url, **more) as command:
        pids = until(lambda: len(found := os.listdir(lingering)) == 2 and list(map(int, found)))
        command.send_signal(signal.SIGINT)
        command.wait(timeout=30)
    assert command.pid not in pids
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
