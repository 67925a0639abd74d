"""The functions of a turn, each replaceable, in their order; and what the defaults make of an answer."""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator
from typing import Any

import pydantic
import pytest

import holdfast as hf
from holdfast.engine import counting
from tests.conversations.kit import Place, Scripted, dialogue, spoken


async def test_each_function_is_replaced_and_called_in_order(memory: Place) -> None:
    called: list[str] = []

    def load(state: hf.State[Any]) -> hf.State[Any]:
        called.append("load")
        return state

    async def enrich(turn: hf.Turn[Any]) -> hf.Query:
        called.append("enrich")
        return hf.Query(f"for {turn.user}", [hf.Message("user", turn.message.upper())], {})

    async def call(model: Any, query: hf.Query, hear: Any) -> Any:
        called.append("call")
        hear("raw ")
        return [model, query.instructions, query.messages[0].content]

    def normalise(raw: Any) -> hf.Reply:
        called.append("normalise")
        return hf.Reply(data=raw[1:], model=raw[0]("x"))

    def parse(reply: hf.Reply, turn: hf.Turn[Any]) -> hf.Parsed:
        called.append("parse")
        return hf.Parsed([f"{reply.data} {turn.number}"], {"company": "Acme"})

    async def update(turn: hf.Turn[Any], parsed: hf.Parsed) -> None:
        called.append("update")
        turn.state.collected.update(parsed.extracted)

    def save(turn: hf.Turn[Any], parsed: hf.Parsed) -> None:
        called.append("save")

    desk, _ = await memory.scripted(
        lambda _: "a-model", load=load, enrich=enrich, call=call, normalise=normalise, parse=parse, update=update,
        save=save,
    )  # fmt: skip
    result = await desk.turn("ann", "hi")
    assert called == ["load", "enrich", "call", "normalise", "parse", "update", "save"]
    assert result.messages[0].content == "['for ann', 'HI'] 1"
    assert result.collected == {"company": "Acme"}
    [turn] = await desk.turns(result.conversation_id)
    assert turn.model == "a-model"


@pytest.mark.parametrize("name", ["load", "enrich", "call", "normalise", "parse", "update", "save"])
async def test_a_function_that_fails_fails_the_turn(memory: Place, name: str) -> None:
    def fails(*_: Any) -> Any:
        raise ZeroDivisionError(name)

    desk, _ = await memory.scripted(**{name: fails})
    with pytest.raises(hf.TurnFailed) as told:
        await desk.turn("ann", "acme")
    assert isinstance(told.value.__cause__, ZeroDivisionError)
    assert await desk.list() == []


@dataclasses.dataclass
class Kept:
    tries: int = 0


class Checked(pydantic.BaseModel):
    tries: int = 0


@pytest.mark.parametrize("kind", [Kept, Checked])
async def test_data_of_ones_own_is_typed(memory: Place, kind: Any) -> None:
    seen: list[Any] = []

    def update(turn: hf.Turn[Any], _: hf.Parsed) -> None:
        seen.append(turn.state.data)
        turn.state.data.tries += 1

    desk, _ = await memory.scripted(data=kind, update=update)
    first = await desk.turn("ann", "hi")
    second = await desk.turn("ann", "hi", conversation_id=first.conversation_id)
    assert seen == [kind(1), kind(2)] if kind is Kept else [one.tries for one in seen] == [1, 2]
    assert all(type(one) is kind for one in seen)
    assert second.state["data"] == {"tries": 2}

    def spoil(turn: hf.Turn[Any], _: hf.Parsed) -> None:
        turn.state.data.tries = object()

    spoiling, _ = await memory.scripted(data=kind, update=spoil)
    with pytest.raises(hf.TurnFailed, match="state"):
        await spoiling.turn("ann", "hi", conversation_id=first.conversation_id)
    assert (await desk.get(first.conversation_id)).turns == 2


async def test_what_does_not_fit_is_refused_and_told(memory: Place) -> None:
    answer = {"message": "Well.", "extracted": {"company": "Acme", "seats": 0, "colour": "red", "confirmed": "perhaps"}}
    desk, _ = await memory.scripted(lambda _: answer)
    result = await desk.turn("ann", "hi")
    assert result.collected == {"company": "Acme"}
    assert set(result.refused) == {"seats", "colour", "confirmed"}
    assert result.refused["colour"] == "there is no such field"


@pytest.mark.parametrize(
    ("answer", "said", "collected"),
    [
        ("Hello.", ["Hello."], {}),
        ('{"message": "Hi.", "extracted": {"company": "Acme"}}', ["Hi."], {"company": "Acme"}),
        ('Good.\n```json\n{"extracted": {"company": "Acme"}}\n```', ["Good."], {"company": "Acme"}),
        ({"messages": ["One.", " ", "Two."], "extracted": None}, ["One.", "Two."], {}),
        ("{ this is no JSON", ["{ this is no JSON"], {}),
        ("a\x00b\x07c \ud800", ["abc ?"], {}),
        ("", [], {}),
        (hf.Reply("Hello.", data={"extracted": {"company": "Acme"}}), ["Hello."], {"company": "Acme"}),
    ],
)
async def test_what_is_made_of_an_answer(memory: Place, answer: Any, said: list[str], collected: Any) -> None:
    desk, _ = await memory.scripted(lambda _: answer)
    result = await desk.turn("ann", "hi")
    assert [one.content for one in result.messages] == said
    assert result.collected == collected


@pytest.mark.parametrize(
    "answer",
    [7, None, "x" * 100_001, {"messages": [1]}, {"extracted": [1]}, {"passed": "note"}, {"message": {"a": 1}}],
)
async def test_an_answer_that_is_none_fails_the_turn(memory: Place, answer: Any) -> None:
    desk, _ = await memory.scripted(lambda _: answer)
    with pytest.raises(hf.TurnFailed, match="UsageError: "):
        await desk.turn("ann", "hi")
    assert await desk.list() == []


async def test_a_model_may_end_the_conversation(memory: Place) -> None:
    desk, _ = await memory.scripted(lambda _: {"message": "Goodbye.", "ends": True})
    result = await desk.turn("ann", "stop")
    assert (result.status, result.progress.percent_complete) == ("ended", 0)


async def test_text_comes_piece_by_piece(memory: Place) -> None:
    pieces: list[str] = []
    desk, _ = await memory.scripted(spoken)
    result = await desk.turn("ann", "hi", sink=pieces.append)
    assert pieces == ["One,", " two,", " three."]
    assert result.messages[0].content == "One, two, three."
    [turn] = await desk.turns(result.conversation_id)
    assert (turn.model, turn.output_tokens) == ("a-model", 3)

    async def wrong(_: hf.Query) -> AsyncIterator[Any]:
        yield 7

    desk, _ = await memory.scripted(wrong)
    with pytest.raises(hf.TurnFailed, match="piece of its text"):
        await desk.turn("ann", "hi")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"user": ""}, "user"),
        ({"user": None}, "user"),
        ({"message": ""}, "message"),
        ({"message": "  \n"}, "message"),
        ({"message": None}, "message"),
        ({"message": 7}, "message"),
        ({"message": "a\0b"}, "NUL character at 1"),
        ({"message": "\ud800"}, "surrogate"),
        ({"message": "x" * 100_001}, "100,001 characters"),
        ({"conversation_id": "a\0b"}, "conversation"),
        ({"conversation_id": 7}, "conversation"),
        ({"turn_id": ""}, "turn"),
        ({"turn_id": "x" * 1000}, "turn"),
        ({"item": ""}, "item"),
    ],
)
async def test_bad_input_is_told(memory: Place, given: dict[str, Any], told: str) -> None:
    desk, model = await memory.scripted()
    asked: dict[str, Any] = {"user": "ann", "message": "hi", **given}
    with pytest.raises((hf.UsageError, hf.PayloadError), match=told):
        await desk.turn(**asked)
    assert model.asked == []


async def test_markup_is_text(memory: Place) -> None:
    desk, _ = await memory.scripted(lambda query: query.messages[-1].content)
    message = "<script>alert('x')</script> {{ 7*7 }} ; DROP TABLE turns; --"
    result = await desk.turn("ann", message)
    [turn] = await desk.turns(result.conversation_id)
    assert (turn.message, turn.messages[0].content) == (message, message)


async def test_a_state_that_grows_too_large_is_refused(memory: Place) -> None:
    def grow(turn: hf.Turn[Any], _: hf.Parsed) -> None:
        turn.state.data["text"] = "x" * (1024 * 1024)

    desk, _ = await memory.scripted(update=grow)
    with pytest.raises(hf.TurnFailed, match="1,048,576 are stored"):
        await desk.turn("ann", "hi")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": 7}, "the model is 7"),
        ({"parse": "no"}, "parse is 'no'"),
        ({"load": 7}, "load is 7"),
        ({"ttl": 0}, "longer than 0"),
        ({"turn_budget": -1}, "turn_budget"),
        ({"turn_wait": "soon"}, "turn_wait"),
        ({"data": lambda: 1 / 0}, "cannot be made"),
    ],
)
def test_an_engine_that_cannot_work_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(hf.UsageError, match=told):
        hf.TurnEngine(dialogue(), **{"model": Scripted(), **given})


async def test_two_engines_of_one_definition_are_refused(memory: Place) -> None:
    with pytest.raises(hf.UsageError, match="two engines"):
        await memory.desk(hf.TurnEngine(dialogue(), Scripted()), hf.TurnEngine(dialogue(), Scripted()))
    with pytest.raises(hf.UsageError, match="no TurnEngine"):
        await memory.desk("renewal")  # type: ignore[arg-type]
    with pytest.raises(hf.UsageError, match="a client of a database"):
        await hf.open_conversations("sqlite://")  # type: ignore[arg-type]
    with pytest.raises(hf.BadURL, match="http://x"):
        await hf.open_conversations(memory.client, state_url="http://x")


async def test_turns_are_counted_and_logged(
    memory: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(counting, "on", None)
    counts = counting.begin()

    def figures() -> dict[str, dict[tuple[str, ...], float]]:
        return {
            family.name: {
                key: value.total if isinstance(value, counting.Histogram) else value for key, value in family.points
            }
            for family in counts.families()
            if family.name.startswith("holdfast.turn.")
        }

    before = figures()

    def grown(name: str, *key: str) -> float:
        return figures()[name][key] - before[name].get(key, 0)

    desk = await memory.desk(
        hf.TurnEngine(dialogue(id="counted"), Scripted({"boom": RuntimeError("down")}), turn_wait=0)
    )
    with caplog.at_level(logging.INFO, logger="holdfast"):
        first = await desk.turn("ann", "hi", turn_id="t-1")
        await desk.turn("ann", "hi", turn_id="t-1")
        id = first.conversation_id
        with pytest.raises(hf.TurnFailed):
            await desk.turn("ann", "boom", conversation_id=id)
        model = desk.engines["counted"].model
        model.gate, model.arrived = asyncio.Event(), asyncio.Event()
        slow = asyncio.ensure_future(desk.turn("ann", "hi", conversation_id=id))
        await model.arrived.wait()
        with pytest.raises(hf.ConversationBusy):
            await desk.turn("ann", "hi", conversation_id=id)
        model.gate.set()
        await slow
    assert grown("holdfast.turn.duration", "counted", "ok") == 2
    assert grown("holdfast.turn.duration", "counted", "repeated") == 1
    assert grown("holdfast.turn.duration", "counted", "TurnFailed") == 1
    assert grown("holdfast.turn.duration", "counted", "ConversationBusy") == 1
    assert grown("holdfast.turn.contentions", "counted", "refused") == 1
    assert grown("holdfast.turn.wait", "counted") == 1
    assert grown("holdfast.turn.model.duration", "counted", "ok") == 2
    assert grown("holdfast.turn.model.duration", "counted", "error") == 1
    assert grown("holdfast.turn.model.failures", "counted") == 1
    events = [getattr(record, "event", "") for record in caplog.records]
    assert events.count("turn") == 2
    assert events.count("turn_failed") == 1
    contention = next(record for record in caplog.records if getattr(record, "event", "") == "turn_contention")
    assert (contention.outcome, contention.conversation) == ("busy", id)  # type: ignore[attr-defined]
    assert contention.waited_seconds >= 0  # type: ignore[attr-defined]
