"""A conversation that is over hands over to runs and items: with its last turn, or once by id behind it."""

import asyncio
from typing import Any

import pytest

import holdfast as hf
from holdfast.conversations.tending import ConversationTender
from holdfast.conversations.turns import TurnResult
from holdfast.engine.completing import completing
from holdfast.errors import StoreUnavailable
from tests.conversations.kit import Place, Scripted, dialogue


@hf.workflow
async def renew(company: str, seats: int) -> str:
    return f"{company}: {seats}"


@hf.workflow
async def other(x: int) -> int:
    return x


def engine(hand_over: Any, model: Any = None) -> hf.TurnEngine:
    return hf.TurnEngine(dialogue(), Scripted() if model is None else model, hand_over=hand_over)


def to_renew(turn: hf.Turn[Any], to: hf.Handover) -> None:
    collected = turn.state.collected
    to.start(renew, collected["company"], seats=collected["seats"])


async def last(desk: hf.Conversations, **given: Any) -> TurnResult:
    first = await desk.turn("ann", "acme", **given)
    return await desk.turn("ann", "all", conversation_id=first.conversation_id, turn_id="last")


async def test_it_starts_a_run(place: Place) -> None:
    desk = await place.desk(engine(to_renew))
    result = await last(desk)
    assert result.status == "handed_over"
    assert result.started == [f"{result.conversation_id}/2"]
    async with hf.Worker(place.client, [renew]):
        handle = await place.client.handle(result.started[0])
        assert await handle.result("30s") == "Acme: 10"
    assert (await desk.get(result.conversation_id)).status == "handed_over"
    again = await desk.turn("ann", "all", conversation_id=result.conversation_id, turn_id="last")
    assert (again.repeated, again.started) == (True, result.started)
    assert len(await place.client.list()) == 1
    assert [one.started for one in await desk.turns(result.conversation_id)] == [[], result.started]
    with pytest.raises(hf.ConversationEnded, match="is handed over"):
        await desk.turn("ann", "more", conversation_id=result.conversation_id)
    # Nothing is left to be done.
    assert await desk._holding.store.unsettled(9) == []


@hf.workflow(singleton=hf.Singleton(key="company"))
async def only(company: str) -> object:
    return await hf.wait_for_event("go", key=company)


async def test_a_run_that_a_rule_drops_is_named_and_explained(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "holdfast")
    async with hf.Worker(place.client, [only], drain=0):
        await place.client.start(only.options(id="o-1"), "Acme")

        def hand_over(turn: hf.Turn[Any], to: hf.Handover) -> None:
            to.start(only, turn.state.collected["company"])

        desk = await place.desk(engine(hand_over))
        result = await last(desk)
        assert (result.status, result.started) == ("handed_over", [f"{result.conversation_id}/2"])
        assert desk._holding.has_runs or "and the start was dropped" in caplog.text
        assert f"there is no run {result.started[0]}" in await place.client.explain(result.started[0])
        [dropped] = await place.client.diversions()
        assert (dropped.asked_id, dropped.way, dropped.run_id) == (result.started[0], "dropped", "o-1")


@hf.workflow(singleton=hf.Singleton(key="company", when_taken="cancel"))
async def newest(company: str) -> None: ...


async def test_whoever_waits_is_told_of_a_run_that_gives_way(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    core, told = place.client.core, []
    announce = core.announce
    monkeypatch.setattr(core, "announce", lambda kind: (told.append(kind), announce(kind)))
    await place.client.start(newest.options(id="o-1"), "Acme")

    def hand_over(turn: hf.Turn[Any], to: hf.Handover) -> None:
        to.start(newest, turn.state.collected["company"])

    await last(await place.desk(engine(hand_over)))
    assert (await place.client.get("o-1")).status == "cancelled"
    assert {"done", "wake"} <= set(told)


async def test_runs_with_options_and_by_name(place: Place) -> None:
    async with hf.Worker(place.client, [renew]):
        pass  # known by its name from now on

    def hand_over(_: hf.Turn[Any], to: hf.Handover) -> None:
        to.start(renew.options(id="chosen", priority=5), "A", 1)
        to.start("renew", company="B", seats=2)
        to.start("renew", company="C", seats=3)

    desk = await place.desk(engine(hand_over))
    result = await last(desk)
    id = result.conversation_id
    assert result.started == ["chosen", f"{id}/2/2", f"{id}/2/3"]
    async with hf.Worker(place.client, [renew]):
        found = [await (await place.client.handle(one)).result("30s") for one in result.started]
    assert found == ["A: 1", "B: 2", "C: 3"]


async def test_it_completes_the_item_that_it_belongs_to(place: Place) -> None:
    work = hf.work_queue(place.client)
    form = {"type": "object", "properties": {"seats": {"type": "integer"}}, "required": ["seats"]}
    await work.create(title="renew acme", id="i-1", assignee="ann", form=form)
    desk = await place.desk(engine(lambda turn, to: to.complete(data={"seats": turn.state.collected["seats"]})))
    result = await last(desk, item="i-1")
    assert (result.completed, result.status) == (["i-1"], "handed_over")
    item = await work.get("i-1")
    assert (item.status, item.data) == ("completed", {"seats": 10})
    assert [event.move for event in await work.history("i-1")].count("complete") == 1


async def test_a_run_that_asks_goes_on_with_what_the_conversation_found(place: Place) -> None:
    @hf.workflow
    async def asks() -> object:
        return await hf.ask("how many seats?", assignee="ann")

    async with hf.Worker(place.client, [asks]):
        run = await place.client.start(asks)
        work = hf.work_queue(place.client)
        async with asyncio.timeout(60):
            while not (items := await work.list(assignee="ann")):
                await asyncio.sleep(0.01)
        desk = await place.desk(engine(lambda turn, to: to.complete(data={"seats": turn.state.collected["seats"]})))
        await last(desk, item=items[0].id)
        assert await run.result("60s") == {"seats": 10}


async def test_an_item_that_others_change_meanwhile_is_completed_on_top_of_that(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = hf.work_queue(place.client)
    await work.create(title="renew acme", id="i-1", assignee="ann")
    how = completing()
    honest, meddled = how.completion, 0

    async def meddling(*given: Any) -> Any:
        nonlocal meddled
        change = await honest(*given)
        meddled += 1
        if meddled in (2, 3):  # between what is looked at and what is stored
            await work.save("i-1", {"note": meddled})
        return change

    monkeypatch.setattr(how, "completion", meddling)
    result = await last(await place.desk(engine(lambda _, to: to.complete())), item="i-1")
    assert result.status == "handed_over"
    item = await work.get("i-1")
    assert (item.status, item.data) == ("completed", {"note": 3})


async def test_an_item_that_has_ended_already_is_left(place: Place) -> None:
    work = hf.work_queue(place.client)
    await work.create(title="renew acme", id="i-1", assignee="ann")
    await work.skip("i-1", "not needed")
    result = await last(await place.desk(engine(lambda _, to: to.complete("i-1"))))
    assert result.status == "handed_over"
    assert (await work.get("i-1")).status == "skipped"


def _no_item(_: Any, to: hf.Handover) -> None:
    to.complete()


def _unknown(_: Any, to: hf.Handover) -> None:
    to.start("nobody knows it")


def _lacks(_: Any, to: hf.Handover) -> None:
    to.start(renew, "Acme")  # type: ignore[call-arg]


def _missing(_: Any, to: hf.Handover) -> None:
    to.complete("none")


def _does_not_fit(_: Any, to: hf.Handover) -> None:
    to.complete("i-1", {"seats": "ten"})


@pytest.mark.parametrize("hand_over", [_no_item, _unknown, _lacks, _missing, _does_not_fit])
async def test_what_cannot_be_handed_over_fails_the_turn(place: Place, hand_over: Any) -> None:
    work = hf.work_queue(place.client)
    form = {"type": "object", "properties": {"seats": {"type": "integer"}}}
    await work.create(title="renew acme", id="i-1", assignee="ann", form=form)

    def both(turn: hf.Turn[Any], to: hf.Handover) -> None:
        to.start(other, 1)
        hand_over(turn, to)

    desk = await place.desk(engine(both))
    with pytest.raises(hf.TurnFailed):
        await last(desk)
    [view] = await desk.list()
    assert (view.status, view.turns) == ("open", 1)
    assert await place.client.list() == []
    assert (await work.get("i-1")).status == "not_started"


async def test_a_note_is_done_by_whoever_looks_next(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    work = hf.work_queue(place.client)
    await work.create(title="renew acme", id="i-1", assignee="ann")

    def both(turn: hf.Turn[Any], to: hf.Handover) -> None:
        to_renew(turn, to)
        to.complete("i-1")

    desk = await place.desk(engine(both))
    if desk._holding.has_runs:
        result = await last(desk)  # no note: with its last turn
        assert await desk._holding.store.unsettled(9) == []
    else:
        core = place.client.core

        async def down(*_: Any) -> Any:
            raise StoreUnavailable("the database is down")

        with monkeypatch.context() as broken:
            broken.setattr(core.committer, "submit", down)
            result = await last(desk)
        assert result.status == "handed_over"
        assert await place.client.list() == []
        assert len(await desk._holding.store.unsettled(9)) == 1
        tender = ConversationTender(core, desk._holding.store)
        await tender.tick()
        await tender.tick()
    [run] = await place.client.list()
    assert run.id == result.started[0]
    assert (await work.get("i-1")).status == "completed"
    assert await desk._holding.store.unsettled(9) == []


async def test_an_open_conversation_hands_over_to_nothing(memory: Place) -> None:
    called: list[int] = []
    desk = await memory.desk(engine(lambda turn, _: called.append(turn.number)))
    result = await last(desk)
    # It was asked at the last turn alone, and handed over to nothing.
    assert (called, result.status) == ([2], "ended")


async def test_what_has_expired_long_ago_is_deleted_with_its_turns(place: Place) -> None:
    day = 86_400_000_000
    desk, _ = await place.scripted()
    kept, _ = await place.scripted(keep="30d")
    first = await desk.turn("ann", "acme")
    long = await kept.turn("ann", "acme")
    tender = ConversationTender(place.client.core, desk._holding.store)
    await place.clock.forward(9 * day)
    await tender.tick()
    with pytest.raises(hf.ConversationNotFound):
        await desk.get(first.conversation_id)
    if desk._holding.has_runs:
        # Looked at for as long as was chosen; told to whoever would go on as one that never was.
        assert (await desk.get(long.conversation_id)).turns == 1
        assert len(await desk.turns(long.conversation_id)) == 1
        with pytest.raises(hf.ConversationNotFound):
            await desk.turn("ann", "ten", conversation_id=long.conversation_id)
        await place.clock.forward(30 * day)
        await tender.tick()
        with pytest.raises(hf.ConversationNotFound):
            await desk.get(long.conversation_id)
