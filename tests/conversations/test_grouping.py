"""What queues up for a state store goes into one call; who asks alone goes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from holdfast.conversations.grouping import Grouped


class Store:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.tasks: list[asyncio.Task[None] | None] = []
        self.lost: list[str] = []
        self.lets = asyncio.Event()

    async def call(self, asked: Sequence[str]) -> list[str]:
        """Give each back."""
        self.calls.append(list(asked))
        self.tasks.append(asyncio.current_task())
        await self.lets.wait()
        return [one.upper() for one in asked]

    def grouped(self, *, in_order: bool) -> Grouped[str, str]:
        """Groups calls of it, by the first letter."""
        return Grouped(self.call, lambda asked: asked[0], lost=self.lost.append, in_order=in_order)

    async def called(self, times: int) -> None:
        """Wait until it was called so often."""
        while len(self.calls) < times:
            await asyncio.sleep(0)


@pytest.mark.parametrize("in_order", [False, True])
async def test_what_is_asked_meanwhile_goes_together_and_what_is_about_the_same_goes_later(in_order: bool) -> None:
    store = Store()
    ask = store.grouped(in_order=in_order)
    first = asyncio.create_task(ask("a1"))
    await store.called(1)
    others = [asyncio.create_task(ask(one)) for one in ("a2", "b", "c")]
    await store.called(2)
    assert store.calls == [["a1"], ["b", "c"]]
    store.lets.set()
    assert await asyncio.gather(first, *others) == ["A1", "A2", "B", "C"]
    assert store.calls == [["a1"], ["b", "c"], ["a2"]]


async def test_who_asks_a_store_alone_that_keeps_the_order_needs_no_task() -> None:
    for in_order in (False, True):
        store = Store()
        store.lets.set()
        assert await store.grouped(in_order=in_order)("a") == "A"
        assert (store.tasks == [asyncio.current_task()]) is in_order


@pytest.mark.parametrize("in_order", [False, True])
async def test_what_may_have_been_done_for_one_who_was_cancelled_is_told(in_order: bool) -> None:
    store = Store()
    ask = store.grouped(in_order=in_order)
    asking = asyncio.create_task(ask("a"))
    await store.called(1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    store.lets.set()
    while not store.lost:
        await asyncio.sleep(0)
    assert store.lost == ["a"]
    assert await ask("a") == "A"
