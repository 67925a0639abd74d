"""Turns while the N-th call of the store fails, for every N: each happens once, and nobody is kept out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

import holdfast as hf
from holdfast.conversations import desk, holding
from holdfast.workqueue.queue import work_queue
from tests.crash.faulty import FAULTS, Fault
from tests.crash.turn_faults import Place, place_of
from tests.crash.turn_world import World

KINDS = ("memory", "sqlite", "postgres", "redis")


@pytest.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Each state store, empty."""
    async with place_of(request, request.param) as found:
        yield found


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "AGAIN_SECONDS", 0.005)
    monkeypatch.setattr(desk, "CLOSING_SECONDS", 0.01)


async def from_the_first_turn_to_the_last(world: World, name: str) -> None:
    await world.item(name)
    first = await world.say(f"{name}-1", "acme", item=name)
    id = first.conversation_id
    assert (await world.say(f"{name}-1", "acme")).conversation_id == id, "a first turn made two conversations"
    await world.say(f"{name}-2", "ten", conversation_id=id)
    assert (await world.say(f"{name}-2", "ten", conversation_id=id)).repeated
    last = await world.say(f"{name}-3", "yes", conversation_id=id)
    await world.tended()
    row = await world.check(id, f"{name}-1", f"{name}-2", f"{name}-3")
    assert (row.status, row.handover) == ("handed_over", None)
    assert list(last.started) == [f"{id}/3"]
    runs = await world.place.store.find_runs("default", [f"{id}/3"])
    assert [(run.workflow, run.status) for run in runs] == [("renew", "queued")]
    moves = [one.move for one in await work_queue(world.sound.client).history(name)]
    assert moves == ["create", "complete"]
    with pytest.raises(hf.ConversationEnded):
        await world.sound.desk.turn("ann", "more", conversation_id=id)
    assert (await world.say(f"{name}-3", "yes", conversation_id=id)).repeated


async def three_in_line(world: World, name: str) -> None:
    id = (await world.say(f"{name}-0", "hello")).conversation_id
    said = [world.say(f"{name}-{n}", word, conversation_id=id) for n, word in enumerate(("acme", "ten", "five"), 1)]
    found = await asyncio.gather(*said)
    assert sorted(one.number for one in found) == [2, 3, 4]
    await world.check(id, *(f"{name}-{n}" for n in range(4)))


async def the_same_turn_from_three(world: World, name: str) -> None:
    found = await asyncio.gather(*(world.say(f"{name}-1", "acme") for _ in range(3)))
    assert {one.number for one in found} == {1}
    await world.check(found[0].conversation_id, f"{name}-1")


async def ended_after_a_turn(world: World, name: str) -> None:
    id = (await world.say(f"{name}-1", "acme")).conversation_id
    view = await world.ask(lambda desk: desk.end(id, user="ann"))
    assert (view.status, view.turns) == ("ended", 1)
    row = await world.check(id, f"{name}-1")
    assert row.revision == 2


Scenario = Callable[[World, str], Awaitable[None]]

SCENARIOS: tuple[Scenario, ...] = (
    from_the_first_turn_to_the_last, three_in_line, the_same_turn_from_three, ended_after_a_turn,
)  # fmt: skip


async def play(place: Place, scenario: Scenario, fault: Fault | None, at: int) -> list[str]:
    """Play a scenario with a fault at the N-th call of the server that is asked first; what it called."""
    calls: list[str] = []

    def plan(verb: str) -> Fault | None:
        calls.append(verb)
        return fault if len(calls) == at else None

    async with World(place, plan) as world:
        await scenario(world, f"{scenario.__name__[:5]}-{fault or 'none'}-{at}".replace(" ", "-"))
        # One fault has at most one more attempt of each turn follow that was under way.
        assert max(world.asked.values()) <= 2
        assert fault is not None or max(world.asked.values()) == 1
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
async def test_the_nth_call_fails_for_every_n(place: Place, scenario: Scenario) -> None:
    calls = await play(place, scenario, None, 0)
    assert {"take", "save"} <= set(calls)
    reached = 0
    for fault in FAULTS:
        for at in range(1, len(calls) + 1):
            reached += len(await play(place, scenario, fault, at)) >= at
    assert reached >= len(calls)
