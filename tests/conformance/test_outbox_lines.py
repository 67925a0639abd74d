"""Messages with a key are sent one after another, in the order of their publication, over every store."""

import asyncio
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from holdfast.store.base import Store
from holdfast.store.url import make_store
from tests.conformance.kit import register
from tests.conformance.outbox_kit import (
    AT,
    Taken,
    change,
    message,
    publish,
    settle,
    settlement,
    statuses,
    take,
)


@pytest.fixture
async def beside(store: Store, store_url: str) -> AsyncIterator[Store]:
    """Another process at the same database; in memory there is none."""
    if store_url.startswith("memory"):
        yield store
        return
    other = make_store(store_url)
    await other.open()
    yield other
    await other.close()


async def test_only_the_first_of_a_key_can_be_claimed(store: Store) -> None:
    await publish(store, *(message(id, key="k") for id in "abc"), message("of another", key="l"))
    await publish(store, message("elsewhere", key="k", channel="pages"), message("plain"))
    await publish(store, message("of another tenant", key="k", tenant="u"))
    first = await take(store)
    assert first.ids == ["a", "of another", "plain", "of another tenant"]
    assert (await take(store, "pages")).ids == ["elsewhere"]
    assert await take(store) == []
    await settle(store, first)
    second = await take(store)
    assert second.ids == ["b"]
    # It keeps its place when it fails, and while it waits for its next attempt.
    await settle(store, second, "failed", retry_at=await store.now() + 3_600_000_000)
    assert await take(store) == []
    assert await store.outbox.change_messages(change("send", "b")) == ["b"]
    third = await take(store)
    assert third.ids == ["b"]
    await settle(store, third, "dead")
    assert await take(store) == []


@pytest.mark.parametrize("outcome", ["sent", "withheld", "review"])
async def test_the_next_one_follows_what_is_over(store: Store, outcome: str) -> None:
    await publish(store, *(message(id, key="k") for id in "ab"))
    await settle(store, await take(store), outcome)
    assert (await take(store)).ids == ["b"]


async def test_what_follows_is_due_when_it_was_to_be(store: Store) -> None:
    later = await store.now() + 3_600_000_000
    await publish(store, message("a", key="k"), message("b", key="k", due_at=later), message("c", key="k"))
    await settle(store, await take(store))
    assert await take(store) == []
    assert await store.outbox.next_due(["replies"]) == {"replies": later}


async def test_a_line_ends_with_its_last_message_and_begins_again(store: Store) -> None:
    for n in range(3):
        await publish(store, message(f"{n}a", key="k"), message(f"{n}b", key="k"))
        await settle(store, await take(store))
        (last,) = taken = await take(store)
        assert last.id.endswith("b")
        await settle(store, taken)
        assert await take(store) == []
        assert await store.outbox.backlog(cap=9) == []


async def test_what_is_discarded_leaves_its_line(store: Store) -> None:
    await publish(store, *(message(id, key="k") for id in "abcdef"))
    assert await store.outbox.change_messages(change("discard", "b", "e")) == ["b", "e"]
    assert await store.outbox.change_messages(change("discard", "d", "a")) == ["d", "a"]
    taken = await take(store)
    assert taken.ids == ["c"]
    await settle(store, taken, "dead")
    assert await take(store) == []
    assert await store.outbox.change_messages(change("discard", "c")) == ["c"]
    last = await take(store)
    assert last.ids == ["f"]
    await settle(store, last)
    assert await store.outbox.backlog(cap=9) == []


async def test_what_is_sent_again_after_it_was_withheld_goes_to_the_end_of_its_line(store: Store) -> None:
    await publish(store, *(message(id, key="k") for id in "abc"))
    await settle(store, await take(store), "review")
    assert await store.outbox.change_messages(change("send", "a", approved_by="ann")) == ["a"]
    seen = []
    while taken := await take(store):
        seen += taken.ids
        await settle(store, taken)
    assert seen == ["b", "c", "a"]
    await publish(store, message("d", key="k"))
    await settle(store, await take(store), "withheld")
    assert await store.outbox.change_messages(change("send", "d")) == ["d"]
    assert (await take(store)).ids == ["d"]


async def test_several_that_are_sent_again_at_once_keep_the_order_of_their_publication(store: Store) -> None:
    await publish(store, *(message(id, key="k") for id in "zmaq"))
    while taken := await take(store):
        await settle(store, taken, "withheld")
    asked = change("send", *"qazm")
    assert await store.outbox.change_messages(asked) == ["q", "a", "z", "m"]
    seen = []
    while taken := await take(store):
        seen += taken.ids
        await settle(store, taken)
    assert seen == ["z", "m", "a", "q"]


async def test_a_repeated_publication_takes_no_place(store: Store) -> None:
    rows = [message(id, key="k") for id in "ab"]
    await publish(store, *rows)
    await settle(store, await take(store))
    await settle(store, await take(store))
    await publish(store, *rows, message("a", key="l"))
    await publish(store, message("c", key="k"), message("d", key="l"))
    assert (await take(store)).ids == ["c", "d"]


@pytest.mark.parametrize("first", ["publish", "settle"])
async def test_what_is_published_while_the_head_is_settled_is_not_left_behind(
    store: Store, beside: Store, store_url: str, first: str
) -> None:
    """On PostgreSQL the two meet at the lock of the line, in either order; on SQLite one comes after the other."""
    await publish(store, message("a", key="k"))
    taken = await take(store)

    async def published() -> None:
        await publish(store, message("b", key="k"))

    async def settled() -> None:
        assert await settle(beside, taken) == [True]

    works = [published, settled] if first == "publish" else [settled, published]
    if store_url.startswith("postgres"):
        # Both wait for the line, which a third holds, in the order in which they came.
        third = await asyncpg.connect(store_url)
        try:
            async with third.transaction():
                await third.execute("SELECT FROM holdfast.message_lines FOR UPDATE")
                tasks = []
                for n, work in enumerate(works, 1):
                    tasks.append(asyncio.create_task(work()))
                    async with asyncio.timeout(60):
                        while await third.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") < n:
                            await asyncio.sleep(0.005)
            await asyncio.gather(*tasks)
        finally:
            await third.close()
    else:
        await asyncio.gather(*(work() for work in works))
    (last,) = again = await take(beside)
    assert last.id == "b"
    assert await settle(store, again) == [True]
    assert await store.outbox.backlog(cap=9) == []


async def test_lines_whatever_happens_at_once(store: Store, beside: Store) -> None:
    """Publishers, senders and people at two processes: each line's messages are sent in order, and all of them."""
    await register(beside)
    choose = random.Random(5)
    sent: dict[str, list[int]] = {key: [] for key in "kl"}
    gone: set[str] = set()
    done = asyncio.Event()

    async def publisher(at: Store, key: str) -> None:
        for n in range(25):
            await publish(at, message(f"{key}{n}", key=key), message(f"{key}-{n}"))

    async def sender(at: Store) -> None:
        while True:
            over = done.is_set()
            taken = await take(at, limit=choose.randint(1, 4))
            if not taken:
                if over and not await at.outbox.backlog(cap=1):
                    return
                await asyncio.sleep(0)
                continue
            if choose.random() < 0.15:
                await at.outbox.hand_back([taken.claim_id])
                continue
            for n, one in enumerate(taken):
                outcome = choose.choice(["sent", "sent", "sent", "failed"])
                if outcome == "sent" and one.key is not None:
                    sent[one.key].append(int(one.id[1:]))
                assert await at.outbox.settle([settlement(taken, outcome, number=n, retry_at=AT)]) == [True]

    async def person(at: Store) -> None:
        for n in range(5, 25, 5):
            for key in "kl":
                gone.update(await at.outbox.change_messages(change("discard", f"{key}{n}", f"{key}{n + 1}")))

    async def everything() -> None:
        await asyncio.gather(*(publisher(at, key) for at, key in ((store, "k"), (beside, "l"))), person(beside))
        done.set()

    async with asyncio.timeout(90):
        await asyncio.gather(everything(), *(sender(at) for at in (store, beside, store)))
    for key, numbers in sent.items():
        assert numbers == sorted(numbers)
        assert {f"{key}{n}" for n in numbers} == {f"{key}{n}" for n in range(25)} - gone
    assert set((await statuses(store)).values()) <= {"sent", "discarded"}


async def test_many_of_one_key_come_one_by_one(store: Store) -> None:
    await publish(store, *(message(f"{n:02}", key="k") for n in range(20)))
    seen: list[str] = []
    while taken := await take(store):
        assert len(taken) == 1
        seen += taken.ids
        assert await settle(store, Taken(taken, taken.claim_id)) == [True]
    assert seen == [f"{n:02}" for n in range(20)]
