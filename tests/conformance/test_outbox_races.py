"""Three processes publish, send and change the same messages: nobody deadlocks, and nothing is left in a line."""

import asyncio
import random

import asyncpg
import pytest

from holdfast.store.base import Store
from holdfast.store.outbox_rows import MessageFilter
from holdfast.store.postgres.connection import Connection
from holdfast.store.url import make_store
from tests.conformance.kit import register
from tests.conformance.outbox_kit import AT, change, message, publish, settlement, take

KEYS = "abcdefgh"

UNDECIDED = MessageFilter(statuses=("dead", "withheld"))


async def publishes(store: Store, name: str, choose: random.Random) -> None:
    """Messages of its own, and some whose ids others publish too."""
    for n in range(40):
        own = [message(f"{name}{n}-{m}", key=choose.choice(KEYS)) for m in range(6)]
        shared = message(f"same {n}", key=choose.choice(KEYS), body=name.encode())
        await publish(store, *own, shared, message(f"same {n + 1}", body=name.encode()))


async def sends(store: Store, choose: random.Random, over: asyncio.Event) -> None:
    """Whatever there is, with whatever outcome, until nothing is left."""
    while True:
        last = over.is_set()
        taken = await take(store, limit=choose.randint(1, 8))
        if not taken:
            if last and not await store.outbox.backlog(cap=1):
                return
            await asyncio.sleep(0.001)
        elif choose.random() < 0.1:
            await store.outbox.hand_back([taken.claim_id])
        else:
            outcomes = [choose.choice(["sent", "sent", "failed", "review", "dead"]) for _ in taken]
            settled = [settlement(taken, outcome, number=n, retry_at=AT) for n, outcome in enumerate(outcomes)]
            assert await store.outbox.settle(settled) == [True] * len(taken)


async def decides(store: Store, choose: random.Random, over: asyncio.Event) -> None:
    """What becomes of messages that are dead or withheld, until there are none."""
    while not over.is_set() or await store.outbox.count_messages("t", UNDECIDED, cap=1):
        rows = await store.outbox.messages("t", MessageFilter(statuses=("dead", "withheld", "pending")), limit=30)
        for wanted in ("dead", "withheld"):
            ids = [row.id for row in rows if row.status == wanted]
            await store.outbox.change_messages(change(choose.choice(["send", "discard"]), *ids))
        some = choose.sample([row.id for row in rows], min(2, len(rows)))
        await store.outbox.change_messages(change("discard", *some))
        await asyncio.sleep(0.01)


@pytest.mark.timeout(60)
async def test_messages_are_locked_in_order_of_uid_whoever_changes_them(postgres_database: str) -> None:
    """Whoever settles locks them so; a change in another order would wait for it, and it for the change."""
    store = make_store(postgres_database)
    await store.open()
    await register(store)
    await publish(store, message("z"), message("a"))
    await publish(store, message("z"), message("a"))
    other: Connection = await asyncpg.connect(postgres_database)
    asked = change("discard", "a", "z")
    works = (
        lambda: store.outbox.change_messages(asked),
        lambda: publish(store, message("a", body=b"1"), message("z", body=b"2")),
    )
    for work in works:
        await other.execute("BEGIN; SELECT FROM holdfast.messages WHERE id = 'z' FOR UPDATE")
        waiting = asyncio.create_task(work())
        while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            assert not waiting.done()
            await asyncio.sleep(0.01)
        free = await other.fetch("SELECT id FROM holdfast.messages WHERE id = 'a' FOR UPDATE SKIP LOCKED")
        await other.execute("ROLLBACK")
        await waiting
        assert len(free) == 1
    await other.close()
    await store.close()


@pytest.mark.verify
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(5))
async def test_whatever_is_done_at_once(postgres_database: str, seed: int) -> None:
    choose, over = random.Random(seed), asyncio.Event()
    stores = [make_store(postgres_database) for _ in range(3)]
    for store in stores:
        await store.open()
    await register(stores[0])

    async def publishing() -> None:
        await asyncio.gather(*(publishes(store, name, choose) for store, name in zip(stores, "xyz", strict=True)))
        over.set()

    async with asyncio.timeout(240):
        await asyncio.gather(
            publishing(),
            *(sends(store, choose, over) for store in stores),
            *(decides(store, choose, over) for store in stores[:2]),
        )
    for store in stores:
        await store.close()
    connection: Connection = await asyncpg.connect(postgres_database)
    for table in ("message_lines", "message_places", "message_queue", "message_sends"):
        assert await connection.fetchval(f"SELECT count(*) FROM holdfast.{table}") == 0, table
    assert await connection.fetchval("SELECT count(*) FROM holdfast.messages") == 3 * 40 * 6 + 41
    assert await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    await connection.close()
