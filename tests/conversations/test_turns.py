"""Turns: whole or not at all, one at a time, in line, once by their id; over every state store."""

import asyncio
import dataclasses
import time
from typing import Any

import pytest

import holdfast as hf
from holdfast.conversations import holding
from holdfast.model.merging import merge
from tests.conversations.kit import ANSWERS, Place, Scripted, asked_id, dialogue, until

DAY_US = 86_400_000_000


async def test_a_dialogue_from_its_first_turn_to_its_last(place: Place) -> None:
    desk, model = await place.scripted()
    first = await desk.turn("ann", "acme")
    assert first.number == 1
    assert [one.content for one in first.messages] == ["How many seats?"]
    assert (first.extracted, first.collected) == ({"company": "Acme"}, {"company": "Acme"})
    assert first.state_changed
    assert first.progress == hf.TurnProgress("seats", 4, 25)
    id = first.conversation_id
    assert model.asked[0].instructions.startswith("Be brief.")
    second = await desk.turn("ann", "what was that?", conversation_id=id)
    assert (second.number, second.collected, second.state_changed) == (2, {}, False)
    assert [one.content for one in model.asked[1].messages] == ["acme", "How many seats?", "what was that?"]
    assert 'Known so far: {"company":"Acme"}' in model.asked[1].instructions
    third = await desk.turn("ann", "ten", conversation_id=id)
    assert third.progress == hf.TurnProgress("note", 4, 50)
    fourth = await desk.turn("ann", "no note", conversation_id=id)
    assert fourth.progress == hf.TurnProgress("confirm", 4, 75)
    last = await desk.turn("ann", "yes", conversation_id=id)
    assert (last.status, last.progress) == ("ended", hf.TurnProgress(None, 4, 100))
    with pytest.raises(hf.ConversationEnded, match="is ended"):
        await desk.turn("ann", "more", conversation_id=id)
    view = await desk.get(id, user="ann")
    assert (view.status, view.turns, view.revision) == ("ended", 5, 5)
    assert view.state["collected"] == {"company": "Acme", "seats": 10, "confirmed": True}


async def test_its_history_leads_to_its_state(place: Place) -> None:
    desk, _ = await place.scripted()
    id = (await desk.turn("ann", "acme", turn_id="t-1")).conversation_id
    for message in ("ten", "hello", "no note"):
        await desk.turn("ann", message, conversation_id=id)
    turns = await desk.turns(id, user="ann")
    assert [one.number for one in turns] == [1, 2, 3, 4]
    assert [one.message for one in turns] == ["acme", "ten", "hello", "no note"]
    assert (turns[0].id, turns[0].actor) == ("t-1", "ann")
    state: Any = {}
    for one in turns:
        state = merge(state, one.change)
    assert state == (await desk.get(id)).state
    assert turns[2].change == {}
    assert [one.number for one in await desk.turns(id, after=2, limit=1)] == [3]
    lines = [line async for line in desk.export(id, user="ann")]
    assert len(lines) == 5
    assert '"number":4' in lines[4]


async def test_somebody_else_finds_nothing(place: Place) -> None:
    desk, model = await place.scripted()
    other = await place.desk(hf.TurnEngine(dialogue(), model), tenant="other")
    id = (await desk.turn("ann", "acme")).conversation_id
    for tried, user in ((desk, "bob"), (other, "ann")):
        with pytest.raises(hf.ConversationNotFound):
            await tried.turn(user, "ten", conversation_id=id)
        with pytest.raises(hf.ConversationNotFound):
            await tried.get(id, user=user)
        with pytest.raises(hf.ConversationNotFound):
            await tried.turns(id, user=user)
        with pytest.raises(hf.ConversationNotFound):
            await tried.end(id, user=user)
        assert await tried.list(user=user) == []
    assert len(model.asked) == 1
    second = (await desk.turn("ann", "acme")).conversation_id
    assert second != id
    assert [one.id for one in await desk.list(user="ann")] == [second, id]


async def test_every_turn_is_a_new_day(place: Place) -> None:
    desk, _ = await place.scripted()
    id = (await desk.turn("ann", "acme")).conversation_id
    for _day in range(2):
        await place.clock.forward(DAY_US - 60_000_000)
        await desk.turn("ann", "hello", conversation_id=id)
    await place.clock.forward(DAY_US + 60_000_000)
    with pytest.raises(hf.ConversationExpired):
        await desk.turn("ann", "ten", conversation_id=id)
    assert await desk.list(user="ann") == []
    await place.clock.forward(8 * DAY_US)
    with pytest.raises(hf.ConversationNotFound):
        await desk.turn("ann", "ten", conversation_id=id)


async def test_for_how_long_it_lasts_is_chosen(place: Place) -> None:
    desk, _ = await place.scripted(ttl="1h")
    id = (await desk.turn("ann", "acme")).conversation_id
    view = await desk.get(id)
    assert (view.expires_at - view.changed_at).total_seconds() == 3600
    await place.clock.forward(3_660_000_000)
    with pytest.raises(hf.ConversationExpired):
        await desk.turn("ann", "ten", conversation_id=id)


async def test_those_who_wait_are_served_in_order_and_one_at_a_time(place: Place) -> None:
    inside, most = 0, 0
    order: list[str] = []
    gate = asyncio.Event()

    async def model(query: hf.Query) -> str:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        order.append(query.messages[-1].content)
        await gate.wait()
        await asyncio.sleep(0.001)
        inside -= 1
        return "Hello."

    desk = await place.desk(hf.TurnEngine(dialogue(), model, turn_wait="60s"))
    tasks = [asyncio.create_task(desk.turn("ann", "turn 0", turn_id="t-0"))]
    await until(lambda: order)
    view = asked_id("default", "ann", "t-0")
    for number in range(1, 9):
        tasks.append(asyncio.create_task(desk.turn("ann", f"turn {number}", conversation_id=view)))
        await until(lambda number=number: desk._holding.waiting == number)
    gate.set()
    results = await asyncio.gather(*tasks)
    assert most == 1
    assert [one.number for one in results] == list(range(1, 10))
    assert order == [f"turn {number}" for number in range(9)]
    assert desk._holding.waiting == 0


async def test_who_waits_is_woken(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody looks by the clock.
    monkeypatch.setattr(holding, "LOOK_SECONDS", 600.0)
    model = Scripted()
    model.gate = asyncio.Event()
    desk = await place.desk(hf.TurnEngine(dialogue(), model, turn_wait="60s"))
    first = asyncio.create_task(desk.turn("ann", "acme", turn_id="t-0"))
    await model.arrived.wait()
    waits = asyncio.create_task(desk.turn("ann", "ten", conversation_id=asked_id("default", "ann", "t-0")))
    await until(lambda: desk._holding.waiting == 1)
    model.gate.set()
    assert [(await first).number, (await waits).number] == [1, 2]


async def test_who_waits_too_long_is_told_for_how_long_it_was_taken(place: Place) -> None:
    model = Scripted()
    desk = await place.desk(hf.TurnEngine(dialogue(), model, turn_wait=0.2))
    at_once = await place.desk(hf.TurnEngine(dialogue(), model, turn_wait=0))
    id = (await desk.turn("ann", "acme")).conversation_id
    model.gate = asyncio.Event()
    model.arrived.clear()
    first = asyncio.create_task(desk.turn("ann", "ten", conversation_id=id))
    await model.arrived.wait()
    for tried in (desk, at_once):
        with pytest.raises(hf.ConversationBusy) as told:
            await tried.turn("ann", "hello", conversation_id=id)
        assert told.value.conversation_id == id
        assert 0 <= told.value.held_seconds < 60
        assert told.value.retry_after_seconds > 0
    model.gate.set()
    assert (await first).number == 2
    model.gate = None
    assert (await desk.turn("ann", "hello", conversation_id=id)).number == 3


async def test_a_repeated_turn_gives_what_it_gave(place: Place) -> None:
    desk, model = await place.scripted()
    first = await desk.turn("ann", "acme", turn_id="t-1")
    again = await desk.turn("ann", "acme", turn_id="t-1", conversation_id=first.conversation_id)
    # Whoever never heard of the conversation finds it by the turn.
    lost = await desk.turn("ann", "acme", turn_id="t-1")
    assert again.repeated
    assert lost.repeated
    for one in (again, lost):
        assert (one.number, one.messages, one.conversation_id) == (1, first.messages, first.conversation_id)
    assert len(model.asked) == 1
    with pytest.raises(hf.TurnConflict, match="said something else"):
        await desk.turn("ann", "ten", turn_id="t-1", conversation_id=first.conversation_id)
    assert (await desk.get(first.conversation_id)).turns == 1


@pytest.mark.parametrize("note", ["of the turn", None])
async def test_an_older_turn_gives_the_state_as_it_was_then(place: Place, note: str | None) -> None:
    def update(turn: hf.Turn[Any], parsed: hf.Parsed) -> None:
        turn.state.collected.update(parsed.extracted)
        turn.state.data[f"n{turn.number}"] = {"note": note}

    desk, _ = await place.scripted(update=update)
    first = await desk.turn("ann", "acme", turn_id="t-1")
    id = first.conversation_id
    second = await desk.turn("ann", "ten", turn_id="t-2", conversation_id=id)
    third = await desk.turn("ann", "hello", turn_id="t-3", conversation_id=id)
    for one, message in ((first, "acme"), (second, "ten"), (third, "hello")):
        again = await desk.turn("ann", message, turn_id=one.id, conversation_id=id)
        assert again == dataclasses.replace(one, repeated=True)
    assert third.state["data"] == {f"n{number}": {"note": note} for number in (1, 2, 3)}


async def test_a_turn_in_progress_is_joined(place: Place) -> None:
    desk, model = await place.scripted(turn_wait=0)
    id = (await desk.turn("ann", "acme")).conversation_id
    model.gate = asyncio.Event()
    model.arrived.clear()
    turns = [asyncio.create_task(desk.turn("ann", "ten", turn_id="t-2", conversation_id=id)) for _ in range(4)]
    await model.arrived.wait()
    with pytest.raises(hf.TurnConflict):
        await desk.turn("ann", "other words", turn_id="t-2", conversation_id=id)
    model.gate.set()
    results = await asyncio.gather(*turns)
    assert [one.number for one in results] == [2] * 4
    assert sorted(one.repeated for one in results) == [False, True, True, True]
    assert len(model.asked) == 2


async def test_a_model_that_fails_leaves_everything_as_it_was(place: Place) -> None:
    model = Scripted(dict(ANSWERS) | {"ten": RuntimeError("the model is down")})
    desk = await place.desk(hf.TurnEngine(dialogue(), model))
    id = (await desk.turn("ann", "acme")).conversation_id
    before = await desk.get(id)
    with pytest.raises(hf.TurnFailed) as told:
        await desk.turn("ann", "ten", conversation_id=id, turn_id="t-2")
    assert isinstance(told.value.__cause__, RuntimeError)
    assert "the model is down" not in str(told.value)
    assert await desk.get(id) == before
    assert len(await desk.turns(id)) == 1
    model.answers = ANSWERS
    again = await desk.turn("ann", "ten", conversation_id=id, turn_id="t-2")
    assert (again.number, again.repeated) == (2, False)
    # A first turn that fails makes no conversation.
    model.answers = {"hi": RuntimeError("down")}
    with pytest.raises(hf.TurnFailed):
        await desk.turn("bob", "hi", turn_id="b-1")
    assert await desk.list(user="bob") == []


async def test_a_turn_that_takes_too_long_did_not_happen(place: Place) -> None:
    model = Scripted()
    desk = await place.desk(hf.TurnEngine(dialogue(), model, turn_budget=0.2))
    model.gate = asyncio.Event()
    with pytest.raises(hf.TurnTimeout, match=r"longer than 0\.2 s"):
        await desk.turn("ann", "acme", turn_id="t-1")
    assert await desk.list() == []
    model.gate = None
    assert (await desk.turn("ann", "acme", turn_id="t-1")).number == 1


async def test_a_conversation_is_kept_while_its_model_works(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # The lease is shorter than the turn, so that it is kept by renewing it alone.
    engine = hf.TurnEngine(dialogue(), Scripted(), turn_wait=0)
    desk = await place.desk(engine)
    id = (await desk.turn("ann", "acme")).conversation_id
    monkeypatch.setattr("holdfast.conversations.turning.LEASE_BEYOND_SECONDS", 0.0)
    slow = Scripted()
    slow.gate = asyncio.Event()
    long = await place.desk(hf.TurnEngine(dialogue(), slow, turn_wait=0, turn_budget=60))
    lease = holding.Holding.take

    async def short(self: holding.Holding, take: Any, *seconds: float) -> holding.Line:
        return await lease(self, take._replace(lease_us=600_000), *seconds)

    monkeypatch.setattr(holding.Holding, "take", short)
    kept = holding.Holding.kept
    monkeypatch.setattr(holding.Holding, "kept", lambda self, take: kept(self, take._replace(lease_us=600_000)))
    task = asyncio.create_task(long.turn("ann", "ten", conversation_id=id))
    await slow.arrived.wait()
    until_ = time.monotonic() + 1.5
    while time.monotonic() < until_:
        with pytest.raises(hf.ConversationBusy):
            await desk.turn("ann", "hello", conversation_id=id)
        await asyncio.sleep(0.1)
    slow.gate.set()
    assert (await task).number == 2


async def test_ended_and_abandoned_by_hand(place: Place) -> None:
    desk, _ = await place.scripted()
    ended = (await desk.turn("ann", "acme")).conversation_id
    given_up = (await desk.turn("ann", "acme")).conversation_id
    assert (await desk.end(ended, user="ann")).status == "ended"
    view = await desk.abandon(given_up)
    assert (view.status, view.turns, view.revision) == ("abandoned", 1, 2)
    assert view.ended_at is not None
    # What has ended stays as it is.
    assert (await desk.abandon(ended)).status == "ended"
    for id in (ended, given_up):
        with pytest.raises(hf.ConversationEnded):
            await desk.turn("ann", "ten", conversation_id=id)
    assert [one.id for one in await desk.list(status="abandoned")] == [given_up]
    with pytest.raises(hf.ConversationNotFound):
        await desk.end("none")
    third = (await desk.turn("ann", "acme")).conversation_id
    place.client.actor = "ann"
    await desk.end(third)
    assert [(one.actor, one.action, one.target) for one in await place.client.audit()] == [
        ("ann", "conversation.end", third)
    ]


async def test_what_a_turn_cost_is_kept(place: Place) -> None:
    async def model(_: hf.Query) -> hf.Reply:
        return hf.Reply("Hello.", model="a-model", input_tokens=11, output_tokens=3, cost=0.5)

    desk, _ = await place.scripted(model)
    id = (await desk.turn("ann", "hi")).conversation_id
    [turn] = await desk.turns(id)
    assert (turn.model, turn.input_tokens, turn.output_tokens, turn.cost) == ("a-model", 11, 3, 0.5)
    assert 0 < turn.model_seconds <= turn.took_seconds


async def test_conversations_are_found(place: Place) -> None:
    model = Scripted()
    desk = await place.desk(hf.TurnEngine(dialogue(), model), hf.TurnEngine(dialogue(id="survey"), model))
    made = []
    for number in range(5):
        definition = "survey" if number % 2 else "renewal"
        turn = await desk.turn(f"u-{number % 3}", "hi", definition=definition, item=f"i-{number}")
        made.append(turn.conversation_id)
    newest = list(reversed(made))
    page = await desk.list(limit=2)
    assert [one.id for one in page] == newest[:2]
    assert [one.id for one in await desk.list(limit=9, before=(page[-1].changed_at, page[-1].id))] == newest[2:]
    assert [one.id for one in await desk.list(definition="survey")] == [made[3], made[1]]
    assert [one.id for one in await desk.list(item="i-4")] == [made[4]]
    assert [one.id for one in await desk.list(user="u-0", definition="survey")] == [made[3]]
    # A turn finds the engine of its conversation.
    again = await desk.turn("u-1", "hi", conversation_id=made[1])
    assert (await desk.get(again.conversation_id)).definition == "survey"
    assert (await desk.list(limit=1))[0].id == made[1]
    with pytest.raises(hf.UsageError, match="served here are: renewal, survey"):
        await desk.turn("ann", "hi")
