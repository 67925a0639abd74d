"""The N-th call of the outbox does its work and fails, for every N: it is repeated, and the end is the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from holdfast.errors import StoreUnavailable
from holdfast.store.base import Store
from holdfast.store.operations import Batch
from holdfast.store.outbox_rows import ClaimedMessage, ClaimMessages
from holdfast.store.url import make_store
from tests.conformance.kit import LEASE_US, OTHER, register, start
from tests.conformance.outbox_kit import (
    AT,
    EVERY,
    Taken,
    audit,
    change,
    claiming,
    message,
    setting,
    settlement,
)
from tests.crash.test_every_verb import empty

T = TypeVar("T")


@dataclasses.dataclass
class Shaky:
    """A caller whose N-th call is lost on its way back; it calls again with the same."""

    store: Store
    lost: Callable[[int], bool]
    calls: int = 0

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """What the call gives in the end."""
        self.calls += 1
        try:
            given = await call()
            if self.lost(self.calls):
                raise StoreUnavailable("the connection was lost")
        except StoreUnavailable:
            return await call()
        return given

    async def publish(self, *rows: Any) -> None:
        """Publish messages."""
        await self.ask(lambda: self.store.commit(Batch(messages=list(rows))))

    async def take(self, **changes: Any) -> Taken:
        """Claim messages."""
        asked: ClaimMessages = claiming(**changes)

        async def claim() -> list[ClaimedMessage]:
            return await self.store.outbox.claim(asked)

        return Taken(await self.ask(claim), asked.claim_id)


async def play(shaky: Shaky) -> list[Any]:
    """Publish, send and change some messages; what is left in the end, but for what differs from time to time."""
    outbox = shaky.store.outbox
    await shaky.publish(*(message(f"k{n}", key="k") for n in range(5)), message("plain"), message("other"))
    await shaky.publish(message("plain", body=b"another"), message("shadow", verdict="shadow"))
    taken = await shaky.take()
    assert taken.ids == ["k0", "plain", "other"]
    outcomes = [
        settlement(taken, "failed", number=0, retry_at=AT),
        settlement(taken, "review", number=1, start=start("review")),
        settlement(taken, "dead", number=2, doubt=True),
    ]
    assert await shaky.ask(lambda: outbox.settle(outcomes)) == [True] * 3
    taken = await shaky.take()
    assert await shaky.ask(lambda: outbox.settle([settlement(taken)])) == [True]
    taken = await shaky.take()
    await shaky.ask(lambda: outbox.hand_back([taken.claim_id]))
    for what, ids in (("discard", ["k1", "k3"]), ("send", ["plain", "other"])):
        asked = change(what, *ids, approved_by="ann")
        assert await shaky.ask(lambda asked=asked: outbox.change_messages(asked)) == ids  # type: ignore[misc]
    taken = await shaky.take(worker=OTHER)
    assert sorted(taken.ids) == ["k2", "other", "plain"]
    await shaky.store.remove_worker(OTHER)
    await shaky.ask(lambda: outbox.rescue_messages(9))
    assert await shaky.ask(lambda: outbox.settle([settlement(taken)])) == [True]  # it was sent after all
    decision, record = setting(), audit("flow")
    assert await shaky.ask(lambda: outbox.put_publish_setting(decision, record))
    await shaky.ask(lambda: outbox.prune_messages("t", AT + 7, 99))
    rows = await outbox.messages("t", EVERY, limit=99)
    attempts = [(row.id, await outbox.attempts("t", row.uid, limit=99)) for row in rows]
    return [
        sorted((row.id, row.status, row.attempts, row.repeats, row.doubt, row.reason, row.approved_by) for row in rows),
        sorted((id, [(attempt.attempt, attempt.outcome) for attempt in found]) for id, found in attempts),
        sorted((row.action, row.target) for row in await shaky.store.list_audit("t", limit=99)),
        [row.id for row in await shaky.store.find_runs("t", ["review"])],
        [one[:3] for one in await outbox.backlog(cap=9)],
        await outbox.publish_settings("t"),
    ]


async def played(url: str, lost: Callable[[int], bool]) -> tuple[int, list[Any]]:
    """How many calls there were, and what was left."""
    store = make_store(url)
    await store.open()
    await register(store)
    await store.register_worker(OTHER, "host", 2, 1, LEASE_US)
    shaky = Shaky(store, lost)
    try:
        left = await play(shaky)
    finally:
        await store.close()
    return shaky.calls, left


async def test_every_call_is_repeated(store_url: str) -> None:
    calls, left = await played("memory://", lambda _: False)
    assert calls > 12
    assert await played(store_url, lambda _: True) == (calls, left)


async def test_the_nth_call_is_repeated_for_every_n() -> None:
    calls, left = await played("memory://", lambda _: False)
    for lost in range(1, calls + 1):
        assert await played("memory://", lambda call, lost=lost: call == lost) == (calls, left)  # type: ignore[misc]


@pytest.mark.verify
@pytest.mark.timeout(300)
async def test_the_nth_call_is_repeated_on_disk(disk_url: str) -> None:
    calls, left = await played("memory://", lambda _: False)
    for lost in range(1, calls + 1):
        assert await played(disk_url, lambda call, lost=lost: call == lost) == (calls, left)  # type: ignore[misc]
        await empty(disk_url)
