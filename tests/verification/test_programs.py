"""Random programs give the right result, uninterrupted and with crashes and faults at random moments."""

import asyncio
import random
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import holdfast as hf
from holdfast.engine import waiting
from tests.crash.faulty import FAULTS, Fault, World, in_haste
from tests.verification import programs
from tests.verification.programs import Program

Plan = list[tuple[int, Fault]]
"""Faults, each after so many calls of the store since the last one."""

LINGERS = (0.0, 0.002, 5.0)

plans: st.SearchStrategy[Plan] = st.lists(st.tuples(st.integers(1, 12), st.sampled_from(FAULTS)), max_size=4)


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    in_haste(monkeypatch)
    monkeypatch.setattr(waiting, "LINGER_SECONDS", 0.0)
    yield
    programs.on_attempt.clear()


async def execute(url: str, operations: Program, plan: Plan, *, evictions: Plan = [], concurrency: int = 100) -> None:
    """Execute a program under a plan of faults and compare its outcome with the oracle's."""
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
    async with World(url, (programs.program,), options={"concurrency": concurrency}) as world:
        programs.on_attempt[:] = [world.ledger.executes]
        await world.process.client.start(programs.program.options(id=run_id), operations)
        world.plan = world.process.store.plan = fault
        view = await world.outcome(run_id)
        world.plan = world.process.store.plan = lambda _: None
        status, right = programs.outcome(operations)
        assert view.status == status, view.error
        if status == "succeeded":
            assert view.output == right
        else:
            assert view.error is not None
            assert view.error["message"].rpartition(": ")[2] == right
        await world.settled()
        world.ledger.check(await world.journal(run_id))


def run(*args: Any, **kwargs: Any) -> None:
    asyncio.run(execute(*args, **kwargs))


FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.mark.slow
@FEW
@given(operations=programs.programs())
def test_uninterrupted(operations: Program) -> None:
    run("memory://", operations, [])


@pytest.mark.slow
@FEW
@given(operations=programs.programs(), plan=plans, linger=st.sampled_from(LINGERS), concurrency=st.sampled_from([1, 2, 100]))
def test_with_faults(operations: Program, plan: Plan, linger: float, concurrency: int) -> None:
    before, waiting.LINGER_SECONDS = waiting.LINGER_SECONDS, linger
    try:
        run("memory://", operations, plan, concurrency=concurrency)
    finally:
        waiting.LINGER_SECONDS = before
