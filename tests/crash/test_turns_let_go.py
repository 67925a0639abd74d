"""Clients that go away at every await of a turn, and turns that lose their lease: nobody keeps a conversation."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Coroutine, Generator
from typing import Any

import pytest

import holdfast as hf
from holdfast.conversations import turning
from tests.crash.faulty import Fault
from tests.crash.turn_checks import checked
from tests.crash.turn_faults import Place, Server, place_of
from tests.crash.turn_world import LEASE_US, World


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Each state store, empty."""
    async with place_of(request, request.param) as found:
        yield found


class Leaver:
    """Has something done, and cancels it at its N-th await.

    Args:
        at: which await.
        late: what is waited for is there already when the cancellation comes.

    Attributes:
        awaits: how many there were.
    """

    def __init__(self, at: int, *, late: bool) -> None:
        self.at = at
        self.late = late
        self.awaits = 0

    @types.coroutine
    def have(self, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        while True:
            try:
                waits_for = work.send(None) if error is None else work.throw(error)
            except StopIteration as done:
                return done.value
            error = None
            self.awaits += 1
            if self.awaits == self.at and not self.late:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waits_for
            except BaseException as thrown:
                error = thrown
            if self.awaits == self.at and error is None:
                error = asyncio.CancelledError()


async def _left(server: Server, leaver: Leaver, turn: str, id: str) -> asyncio.Task[Any]:
    """A turn that is cancelled."""

    async def work() -> Any:
        return await leaver.have(server.desk.turn("ann", f"{turn} ten", turn_id=turn, conversation_id=id))

    return asyncio.ensure_future(work())


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["waiting", "answered"])
async def test_whoever_leaves_at_the_nth_await_keeps_nobody_out(place: Place, late: bool) -> None:
    async with World(place) as world:
        left, at = 0, 0
        while left == at:
            at += 1
            leaver = Leaver(at, late=late)
            id = (await world.say(f"{at}-1", "acme")).conversation_id
            task = await _left(world.first, leaver, f"{at}-2", id)
            await asyncio.wait([task])
            assert task.cancelled() or task.result().number == 2
            left += task.cancelled()
            # The lease lasts longer than anybody waits here, and the clock is not moved.
            await world.sound.desk.turn("ann", f"{at}-3 hello", turn_id=f"{at}-3", conversation_id=id)
            last = await world.sound.desk.turn("ann", f"{at}-2 ten", turn_id=f"{at}-2", conversation_id=id)
            assert last.number in (2, 3)
            await world.check(id, f"{at}-1", f"{at}-2", f"{at}-3")
        assert left >= 3


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["waiting", "answered"])
async def test_whoever_leaves_the_line_at_the_nth_await_keeps_nobody_out(place: Place, late: bool) -> None:
    async with World(place) as world:
        left, at = 0, 0
        while left == at:
            at += 1
            leaver = Leaver(at, late=late)
            id = (await world.say(f"{at}-1", "acme")).conversation_id
            world.gate.clear()
            before = asyncio.ensure_future(world.sound.desk.turn("ann", f"{at}-2 five", conversation_id=id))
            await world.until(lambda: world.inside == 1)
            task = await _left(world.first, leaver, f"{at}-3", id)
            await world.until(lambda task=task: task.done() or world.first.holding.waiting == 1)  # type: ignore[misc]
            world.gate.set()
            await asyncio.wait([before, task])
            left += task.cancelled()
            assert (await before).number == 2
            await world.sound.desk.turn("ann", f"{at}-4 hello", conversation_id=id)
            for server in world.servers:
                await server.at_rest()
            row = await checked(place.state, "default", id)
            assert row.turns in (3, 4)
        assert left >= 3


@pytest.mark.slow
@pytest.mark.parametrize("fault", [None, "forget"], ids=["answered", "answer lost"])
async def test_whoever_left_before_the_store_heard_of_it_keeps_nobody_out(place: Place, fault: Fault | None) -> None:
    async with World(place, lambda verb: fault if verb == "take" else None) as world:
        id = (await world.sound.desk.turn("ann", "1 acme", turn_id="1")).conversation_id
        world.first.late["take"] = 0.05
        turn = asyncio.ensure_future(world.first.desk.turn("ann", "2 ten", turn_id="2", conversation_id=id))
        await world.until(lambda: len(world.first.sent) == 1)
        turn.cancel()
        await asyncio.wait([turn])
        await world.until(lambda: not world.first.sent)
        await world.sound.desk.turn("ann", "3 five", turn_id="3", conversation_id=id)
        await world.check(id, "1", "3")


async def test_an_error_that_nobody_expected_is_told_and_holds_up_nobody_else(request: pytest.FixtureRequest) -> None:
    takes = 0

    def plan(verb: str) -> Any:
        nonlocal takes
        takes += verb == "take"
        if takes == 1:
            raise LookupError("a fault in the store")

    async with place_of(request, "memory") as place, World(place, plan) as world:
        first = asyncio.ensure_future(world.first.desk.turn("ann", "1 acme", turn_id="1"))
        second = asyncio.ensure_future(world.first.desk.turn("ann", "1 acme", turn_id="1"))
        with pytest.raises(LookupError, match="a fault in the store"):
            await first
        assert (await asyncio.wait_for(second, 60)).number == 1


@pytest.mark.slow
async def test_a_turn_whose_lease_is_lost_is_stopped_in_the_model_and_stores_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(place) as world:
        id = (await world.say("1", "acme")).conversation_id
        world.gate.clear()
        monkeypatch.setattr(turning, "LEASE_BEYOND_SECONDS", -59.4)  # 0.6 s: it is renewed each 0.2 s.
        losing = asyncio.ensure_future(world.first.desk.turn("ann", "2 ten", turn_id="2", conversation_id=id))
        await world.until(lambda: world.inside == 1)
        await place.clock.forward(LEASE_US)
        with pytest.raises(hf.TurnLost, match="another has begun"):
            await losing
        assert world.inside == 0
        monkeypatch.undo()
        world.gate.set()
        found = await (await world.serve(lambda _: None)).desk.turn("ann", "2 ten", turn_id="2", conversation_id=id)
        assert (found.number, found.repeated) == (2, False)
        await world.check(id, "1", "2")


@pytest.mark.slow
async def test_a_turn_goes_on_while_its_lease_cannot_be_renewed_for_a_moment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turning, "LEASE_BEYOND_SECONDS", -59.4)
    refused = 0

    def plan(verb: str) -> Any:
        nonlocal refused
        refused += verb == "renew"
        return "refuse" if verb == "renew" and refused == 1 else None

    async with World(place, plan) as world:
        world.gate.clear()
        turn = asyncio.ensure_future(world.first.desk.turn("ann", "1 acme", turn_id="1"))
        await world.until(lambda: refused >= 1)
        world.gate.set()
        # A machine that stands still for longer than the lease loses the turn, and says so.
        try:
            found = await turn
        except hf.TurnLost:
            found = await world.sound.desk.turn("ann", "1 acme", turn_id="1")
        await world.check(found.conversation_id, "1")


@pytest.mark.slow
async def test_a_turn_that_is_stored_is_not_lost_while_the_answer_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(turning, "LEASE_BEYOND_SECONDS", -58.5)
    async with place_of(request, "memory") as place, World(place) as world:
        world.first.slow["save"] = 0.75
        assert (await world.first.desk.turn("ann", "1 acme", turn_id="1")).number == 1
