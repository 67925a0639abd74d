"""Random programs give the right result, uninterrupted and with crashes and faults at random moments."""

import asyncio
import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.engine import waiting
from holdfast.engine.starting import topic
from holdfast.model.notes import Note, encode_note
from holdfast.model.payload import codec_of
from holdfast.store.operations import Batch, Control, Event
from tests.crash.faulty import FAULTS, LIVE, Fault, World, in_haste
from tests.verification import oracle, programs
from tests.verification.programs import Program
from tests.verification.strategies import programs as drawn

Plan = list[tuple[int, Fault]]
"""Faults, each after so many calls of the store since the last one."""

plans: st.SearchStrategy[Plan] = st.lists(st.tuples(st.integers(1, 12), st.sampled_from(FAULTS)), max_size=4)


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    in_haste(monkeypatch)
    monkeypatch.setattr(waiting, "LINGER_SECONDS", 0.0)
    yield
    programs.on_attempt.clear()


async def execute(
    url: str, operations: Program, plan: Plan, *, concurrency: int = 100, depositions: Sequence[float] = ()
) -> None:
    """Execute a program under a plan of faults and compare its outcome with the oracle's.

    Args:
        url: of the database.
        operations: the program.
        plan: faults, one after the other.
        concurrency: slots of a worker.
        depositions: after so many seconds each, the worker loses its lease without noticing.
    """
    left = list(plan)
    countdown = left[0][0] if left else 0

    def fault(_: str) -> Fault | None:
        nonlocal countdown
        if not left:
            return None
        countdown -= 1
        if countdown > 0:
            return None
        found = left.pop(0)[1]
        countdown = left[0][0] if left else 0
        return found

    run_id = secrets.token_hex(8)
    programs.wanted.clear()
    programs.inside.clear()
    programs.overlaps.clear()
    async with World(url, programs.WORKFLOWS, options={"concurrency": concurrency}) as world:
        # A worker that has not noticed yet that it lost its lease may execute what its successor has recorded.
        programs.on_attempt[:] = [] if depositions else [lambda *_: world.ledger.executes()]
        await world.process.client.start(programs.program.options(id=run_id), operations)
        world.plan = world.process.store.plan = fault
        driver = asyncio.create_task(drive(world))
        try:
            for seconds in depositions:
                await asyncio.sleep(seconds)
                if not world.process.store.died.is_set():
                    await world.depose()
            view = await world.reaches(run_id, "succeeded", "failed", "cancelled", within=20.0)
            left.clear()
            await world.settled()
        finally:
            driver.cancel()
            await asyncio.gather(driver, return_exceptions=True)
        right = oracle.answer(operations)
        assert view.status == right.status, view.error
        assert view.attributes == right.attributes
        assert depositions or programs.overlaps == []
        if right.status == "succeeded":
            assert view.output == right.output
        else:
            assert view.error is not None
            assert view.error["message"].rpartition(": ")[2] == right.output
        await world.check_tables()
        assert {name: rows for name in LIVE if (rows := await world.table(name))} == {}
        world.ledger.check(await world.journal(run_id))


async def drive(world: World) -> None:
    """Send the events that runs want, and release those that are held; nobody is told of either."""
    value = codec_of(int).encode(oracle.RELEASED, "the value")
    note = encode_note(Note("release", value=True))
    while True:
        while programs.wanted:
            key, number = programs.wanted[-1]
            payload = codec_of(int).encode(number, "the payload")
            id, now = hashlib.sha256(key.encode()).digest()[:16], await world.beside.now()
            about = topic("default", "driver", key)
            event = Event(id, about, payload, False, now, now + 10**12)
            await world.beside.commit(Batch(events=[event]))
            programs.wanted.remove((key, number))
        for row in await world.beside.list_runs("default", workflow=None, status="held", limit=100, before=None):
            order = Control(row.uid, "default", "release", note, value, await world.beside.now())
            await world.beside.control(order)
        await asyncio.sleep(0.002)


def run(*args: Any, **kwargs: Any) -> None:
    """`execute` in an event loop of its own, since hypothesis is not asynchronous."""
    asyncio.run(execute(*args, **kwargs))


@contextmanager
def lingering(seconds: float) -> Iterator[None]:
    """How long a wait stays in memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "LINGER_SECONDS", seconds)
        patch.setattr(waiting, "LINGER_CHILD_SECONDS", min(seconds, 0.004))
        patch.setattr(waiting, "PARK_SECONDS", 0.05)
        yield


lingers = st.sampled_from([0.0, 0.002, 5.0])
slots = st.sampled_from([1, 2, 100])
depositions = st.lists(st.sampled_from([0.0, 0.001, 0.003, 0.01]), min_size=1, max_size=3)
few = settings(max_examples=60, suppress_health_check=list(HealthCheck))
many = settings(suppress_health_check=list(HealthCheck))
"""As many as the profile says, searched with a new seed each time; a failure prints how to repeat it."""


@pytest.mark.slow
@few
@given(operations=drawn())
def test_uninterrupted(operations: Program) -> None:
    run("memory://", operations, [])


@pytest.mark.slow
@few
@given(operations=drawn(), plan=plans, linger=lingers, concurrency=slots)
def test_with_faults(operations: Program, plan: Plan, linger: float, concurrency: int) -> None:
    with lingering(linger):
        run("memory://", operations, plan, concurrency=concurrency)


@pytest.mark.slow
@few
@given(operations=drawn(), plan=plans, linger=lingers, deposed=depositions)
def test_with_owners_that_do_not_know_they_are_deposed(
    operations: Program, plan: Plan, linger: float, deposed: list[float]
) -> None:
    with lingering(linger):
        run("memory://", operations, plan, depositions=deposed)


@pytest.mark.verify
@pytest.mark.timeout(1800)
@settings(parent=many, max_examples=10_000)
@given(operations=drawn(20), plan=plans, linger=lingers, concurrency=slots)
def test_ten_thousand_programs(operations: Program, plan: Plan, linger: float, concurrency: int) -> None:
    with lingering(linger):
        run("memory://", operations, plan, concurrency=concurrency)


@pytest.mark.verify
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_on_disk(database: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue("sqlite_url" if database == "sqlite" else "postgres_database")

    @settings(parent=many, max_examples=1000)
    @given(operations=drawn(20), plan=plans, linger=lingers, deposed=st.just([]) | depositions)
    def search(operations: Program, plan: Plan, linger: float, deposed: list[float]) -> None:
        with lingering(linger):
            run(url, operations, plan, depositions=deposed)

    search()
