"""Steps ask models while the N-th call of the store fails, for every N: each attempt that is recorded has its requests,
and the totals are their sum."""

from collections import Counter

import pytest

import holdfast as hf
from holdfast.agents.recording import Request, record_artifact, record_requests
from holdfast.store.agent_rows import CostRow
from tests.crash.faulty import FAULTS, Fault, World, in_haste
from tests.crash.test_every_verb import empty
from tests.engine.helpers import QUICK

broken = {"is": True}


def ask(phase: str) -> None:
    """Two requests, of which the first fails, and what was asked."""
    attempt = hf.current().attempt
    record_requests(phase, [Request("a", "timeout", "too slow", 3, 0, 0, None, 1, 2)])
    record_requests(phase, [Request("b", "ok", None, 5, 1, 7, 11, 2, 3)])
    record_artifact(f"{phase}/prompt.md", "text/markdown", 1, bytes(32), content=b"%d" % attempt)


@hf.step(retry=QUICK)
async def draft() -> int:
    ask("draft")
    return 1


@hf.step(retry=QUICK)
async def second_time() -> int:
    ask("review")
    if hf.current().attempt < 2:
        raise ConnectionError("not yet")
    return 2


@hf.step(retry=hf.Retry(max_attempts=1))
def may_break() -> int:
    ask("end")
    if broken["is"]:
        raise LookupError("broken")
    return 3


@hf.workflow
async def pipeline() -> list[int]:
    return [await draft(), *(await hf.gather(second_time(), draft())), await may_break()]


async def check(world: World) -> None:
    """See that what is stored of attempts and of requests is the same."""
    (run,) = await world.beside.find_runs("default", ["r"])
    journal, failed = await world.beside.load_journals([run.uid])
    attempts = Counter((row.position, row.generation, row.attempt) for row in failed)
    attempts.update((row.position, row.generation, row.attempts) for row in journal if row.kind == "step")
    calls = await world.beside.agents.model_calls("default", run.uid, limit=999)
    assert Counter((call.position, call.generation, call.attempt) for call in calls if call.number == 0) == attempts
    assert Counter((call.position, call.generation, call.attempt) for call in calls if call.number == 1) == attempts
    assert len(calls) == 2 * attempts.total()
    count = len(calls) // 2
    (total,) = await world.beside.agents.costs("default", 0, 1, (), limit=9)
    assert total == CostRow(None, None, None, None, 2 * count, count, count, 8 * count, count, 7 * count, 11 * count)
    last: dict[bytes, tuple[int, int]] = {}
    for position, generation, attempt in sorted(attempts):
        last[position] = generation, attempt
    for row in await world.beside.agents.artifacts("default", run.uid, limit=99):
        generation, attempt = last.pop(row.position)
        assert row.generation == generation
        found = await world.beside.agents.artifact("default", run.uid, row.position, generation, row.name)
        assert found is not None
        assert found[1] == b"%d" % attempt
    assert last == {}


async def execute(url: str, fault: Fault | None, at: int) -> int:
    """Run the pipeline, and again after a retry, with a fault at the N-th call; how many calls there were."""
    calls = 0

    def plan(_: str) -> Fault | None:
        nonlocal calls
        calls += 1
        return fault if calls == at else None

    broken["is"] = True
    async with World(url, (pipeline,), plan) as world:
        await world.ask(lambda client: client.start(pipeline.options(id="r")))
        assert (await world.outcome("r")).status == "failed"
        await check(world)
        broken["is"] = False
        await world.ask(lambda client: client.retry("r"))
        await world.reaches("r", "succeeded")
        assert (await world.outcome("r")).output == [1, 2, 1, 3]
        await check(world)
        await world.nothing_left()
    return calls


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    in_haste(monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
async def test_the_nth_call_fails_for_every_n(fault: Fault) -> None:
    at, calls = 0, 1
    while at < calls:
        at += 1
        calls = await execute("memory://", fault, at)
    assert at > 8


@pytest.mark.slow
async def test_an_answer_of_a_database_is_lost(disk_url: str) -> None:
    at, calls = 0, 1
    while at < calls:
        at += 2
        calls = await execute(disk_url, "forget", at)
        await empty(disk_url)


# A process that dies while it connects leaves the connection open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.verify
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", FAULTS)
async def test_the_nth_call_fails_on_disk(disk_url: str, fault: Fault) -> None:
    at, calls = 0, 1
    while at < calls:
        at += 1
        calls = await execute(disk_url, fault, at)
        await empty(disk_url)
