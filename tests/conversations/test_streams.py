"""Turns that are followed: text as it comes, from any place on; what does not hold is withdrawn."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import holdfast as hf
from holdfast.conversations.streaming import TurnText, TurnWithdrawn
from tests.conversations.kit import Place, Scripted, asked_id, dialogue, spoken


class Speaking:
    """A model that says one letter each time that it is let."""

    def __init__(self, text: str = "abcdef", fails: bool = False) -> None:
        self.text = text
        self.fails = fails
        self.calls = 0
        self.let = asyncio.Semaphore(0)

    def model(self, query: hf.Query) -> AsyncIterator[str]:
        return self.speak()

    async def speak(self) -> AsyncIterator[str]:
        self.calls += 1
        for letter in self.text:
            await self.let.acquire()
            yield letter
        if self.fails:
            raise RuntimeError("the line broke")

    def go(self, letters: int = 100) -> None:
        for _ in range(letters):
            self.let.release()


async def read(stream: AsyncIterator[Any], seen: list[Any] | None = None) -> list[Any]:
    seen = [] if seen is None else seen
    async for event in stream:
        seen.append(event)
    return seen


def text_of(events: list[Any]) -> str:
    """What whoever follows shows in the end."""
    shown = ""
    for event in events:
        if isinstance(event, TurnWithdrawn):
            shown = ""
        elif isinstance(event, TurnText):
            assert event.offset == len(shown)
            shown += event.text
    return shown


async def test_text_comes_as_it_is_said_and_the_result_is_last(place: Place) -> None:
    desk, _ = await place.scripted(spoken)
    events = await read(desk.stream("ann", "hi"))
    assert [type(one) for one in events] == [TurnText, TurnText, TurnText, hf.TurnResult]
    assert [one.offset for one in events[:3]] == [0, 4, 9]
    assert text_of(events) == "One, two, three."
    assert events[-1].number == 1


async def test_whoever_comes_back_goes_on_where_the_text_broke_off(memory: Place) -> None:
    speaking = Speaking()
    desk, _ = await memory.scripted(speaking.model)
    stream = desk.stream("ann", "hi", turn_id="t-1")
    speaking.go(2)
    first = [await anext(stream), await anext(stream)]
    await stream.aclose()  # the line breaks
    speaking.go()
    place = (first[-1].attempt, 2)
    rest = await read(desk.stream("ann", "hi", turn_id="t-1", place=place))
    assert text_of(first) == "ab"
    assert [one.offset for one in rest[:-1]] == [2, 3, 4, 5]
    assert "".join(one.text for one in rest[:-1]) == "cdef"
    # Also once it is over, and for many at once.
    again = await asyncio.gather(
        *(read(desk.stream("ann", "hi", turn_id="t-1", place=(place[0], 5))) for _ in range(3))
    )
    for events in again:
        assert [getattr(one, "text", "") for one in events] == ["f", ""]
    assert speaking.calls == 1


async def test_a_turn_goes_on_without_whoever_followed_it(memory: Place) -> None:
    speaking = Speaking()
    desk, _ = await memory.scripted(speaking.model)
    stream = desk.stream("ann", "hi", turn_id="t-1")
    speaking.go(1)
    await anext(stream)
    await stream.aclose()
    speaking.go()
    result = await desk.turn("ann", "hi", turn_id="t-1")
    assert (result.number, speaking.calls) == (1, 1)


async def test_what_was_shown_of_a_turn_that_failed_is_withdrawn(memory: Place) -> None:
    speaking = Speaking("ab", fails=True)
    desk, _ = await memory.scripted(speaking.model)
    speaking.go()
    seen: list[Any] = []
    with pytest.raises(hf.TurnFailed):
        await read(desk.stream("ann", "hi", turn_id="t-1"), seen)
    assert [type(one) for one in seen] == [TurnText, TurnText, TurnWithdrawn]
    assert await desk.list() == []
    # Said again it is another attempt, and whoever has text of the first is told that it does not hold.
    speaking.fails = False
    events = await read(desk.stream("ann", "hi", turn_id="t-1", place=(seen[0].attempt, 2)))
    assert isinstance(events[0], TurnWithdrawn)
    assert events[0].attempt == events[1].attempt != seen[0].attempt
    assert text_of(events) == "ab"
    assert events[-1].number == 1


async def test_a_turn_that_cannot_be_had_shows_nothing(memory: Place) -> None:
    desk, _ = await memory.scripted()
    with pytest.raises(hf.ConversationNotFound):
        await read(desk.stream("ann", "hi", conversation_id="none"))
    with pytest.raises(hf.PayloadError):
        await read(desk.stream("ann", "a\0b"))


async def test_the_text_of_a_turn_that_was_had_elsewhere_is_told_again(place: Place) -> None:
    desk, _ = await place.scripted(spoken)
    first = await desk.turn("ann", "hi", turn_id="t-1")
    silent = Scripted()
    other = await place.desk(hf.TurnEngine(dialogue(), silent))
    events = await read(other.stream("ann", "hi", turn_id="t-1", place=("gone", 3)))
    assert isinstance(events[0], TurnWithdrawn)
    assert text_of(events) == "One, two, three."
    assert events[-1].repeated
    assert events[-1].messages == first.messages
    assert silent.asked == []


async def test_another_users_text_is_not_followed(memory: Place) -> None:
    speaking = Speaking()
    desk, _ = await memory.scripted(speaking.model)
    stream = desk.stream("ann", "hi", turn_id="t-1")
    speaking.go(1)
    await anext(stream)
    with pytest.raises(hf.ConversationNotFound):
        await read(desk.stream("bob", "hi", turn_id="t-1", conversation_id=asked_id("default", "ann", "t-1")))
    await stream.aclose()
    speaking.go()
    await desk.turn("ann", "hi", turn_id="t-1")
