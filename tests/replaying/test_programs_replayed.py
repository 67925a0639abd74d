"""Random programs, recorded uninterrupted and with faults, fit when the same code replays them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from holdfast.engine import waiting
from holdfast.engine.histories import History
from holdfast.engine.replaying.checking import Checker, Recording
from holdfast.engine.replaying.files import recorded_of
from holdfast.engine.replaying.paging import replay_page
from holdfast.engine.replaying.reading import Reader
from holdfast.engine.replaying.reports import RunReplay
from holdfast.engine.replaying.shell import StoreReads
from holdfast.engine.workflow import Workflow
from tests.crash.faulty import World, in_haste
from tests.verification import programs, test_programs
from tests.verification.programs import Program
from tests.verification.strategies import programs as drawn
from tests.verification.test_programs import Plan, lingering, lingers, plans, slots

WORKFLOWS: list[Workflow[Any, Any]] = [one for one in vars(programs).values() if isinstance(one, Workflow)]

NEWEST = 100
"""So many runs are replayed after a program: on disk, those of earlier ones are there too."""

few = settings(max_examples=12, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    in_haste(monkeypatch)
    monkeypatch.setattr(waiting, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(test_programs, "World", ReplayedWorld)
    yield
    programs.on_attempt.clear()


class ReplayedWorld(World):
    """A world whose runs, also the child runs, are replayed when they have ended."""

    async def check_tables(self) -> None:
        """See `World.check_tables`."""
        await super().check_tables()
        programs.on_attempt[:] = [_refuse]
        for report in await replayed(self):
            assert report.outcome == "fits", str(report)


def _refuse(*_: object) -> None:
    raise AssertionError("a step is executed in a replay")


async def replayed(world: World) -> list[RunReplay]:
    async def at_once(work: Awaitable[Any]) -> Any:
        return await work

    async def pages() -> AsyncIterator[list[Any]]:
        async for page in reader.all(workflow=None, status=None, since_us=None, limit=NEWEST):
            yield page

    reader = Reader(world.beside, "default", at_once, lambda: 1 << 62, built_in=True)
    found: list[RunReplay] = []
    async with Checker(WORKFLOWS) as checker:
        async for rows in pages():
            found += await replay_page(checker, reader, [row.uid for row in rows])
        async for histories in reader.histories(pages()):
            for one in histories:
                # The same as a file holds it.
                again = History.from_json(one.to_json())
                assert again == one
                reads = StoreReads(world.beside)
                found += await checker.check([Recording(again.run, recorded_of(again), again.at, reads)])
    return found


@few
@given(operations=drawn())
def test_uninterrupted(operations: Program) -> None:
    asyncio.run(test_programs.execute("memory://", operations, []))


@few
@given(operations=drawn(), plan=plans, linger=lingers, concurrency=slots)
def test_with_faults(operations: Program, plan: Plan, linger: float, concurrency: int) -> None:
    with lingering(linger):
        asyncio.run(test_programs.execute("memory://", operations, plan, concurrency=concurrency))


@pytest.mark.verify
@pytest.mark.timeout(1800)
@settings(max_examples=3000, suppress_health_check=list(HealthCheck))
@given(operations=drawn(20), plan=plans, linger=lingers, concurrency=slots)
def test_three_thousand(operations: Program, plan: Plan, linger: float, concurrency: int) -> None:
    with lingering(linger):
        asyncio.run(test_programs.execute("memory://", operations, plan, concurrency=concurrency))


@pytest.mark.verify
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_on_disk(database: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue("sqlite_url" if database == "sqlite" else "postgres_database")

    @settings(max_examples=300, suppress_health_check=list(HealthCheck), deadline=None)
    @given(operations=drawn(20), plan=plans, linger=lingers)
    def search(operations: Program, plan: Plan, linger: float) -> None:
        with lingering(linger):
            asyncio.run(test_programs.execute(url, operations, plan))

    search()


def test_child_runs_of_branches_side_by_side_are_told_apart() -> None:
    beside: Program = [["gather", [["gather", [["laned", 0, 0]]], ["map", None, "child", [[["step", "plain", 0, 0]]]]]]]
    with lingering(0.0):
        asyncio.run(test_programs.execute("memory://", beside, []))
