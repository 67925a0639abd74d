"""Fifty people at work on one queue at once, with random moves: nothing is lost, nothing is done twice, and each item's
history replays to the item."""

import asyncio
import itertools
import random
from collections import Counter
from typing import Any

import pytest

import holdfast as hf
from holdfast.model.work import MOVES, ItemStatus, replay, state_of
from tests.workqueue.item_kit import tend

PEOPLE, ITEMS, MOVES_EACH = 50, 30, 12


async def work(queue: hf.WorkQueue, chance: random.Random, done: Counter[str], who: str) -> None:
    """What one person does: random moves of random items, some on what they looked at before."""
    for _ in range(MOVES_EACH):
        id = f"i-{chance.randrange(ITEMS)}"
        revision = (await queue.get(id)).revision if chance.random() < 0.3 else None
        moves: list[tuple[str, dict[str, Any]]] = [
            ("start", {}), ("stop", {}), ("complete", {"data": {"by": who}}), ("skip", {"reason": f"{who} says no"}),
            ("snooze", {"days": chance.randint(1, 90)}), ("wake", {}), ("escalate", {"to": f"boss of {who}"}),
            ("assign", {"to": who}), ("claim", {"lease": "1h"}), ("release", {}),
            ("save", {"data": {"seen": {who: chance.random()}}}),
        ]  # fmt: skip
        # Ends are rare, or all would be over before the others begin.
        [(name, given)] = chance.choices(moves, [8, 4, 1, 1, 4, 4, 3, 3, 3, 2, 8])
        try:
            view = await getattr(queue, name)(id, **given, revision=revision)
        except hf.IllegalMove:
            continue
        except hf.ItemChanged:
            assert revision is not None, "without a revision a move is made on top of those of others"
            continue
        if name in ("complete", "skip"):
            done[f"{id} {name} {who}"] += 1
            assert view.status == ("completed" if name == "complete" else "skipped")


@pytest.mark.slow
async def test_nothing_is_lost_and_nothing_is_done_twice(store_url: str) -> None:
    async with hf.connect(store_url, actor="lead") as client:
        lead = hf.work_queue(client)
        for number in range(ITEMS):
            await lead.create(
                title=f"Item {number}", id=f"i-{number}", group="team" if number % 2 else None, due=0,
                assignee=None if number % 2 else "maria", type=("risk", "custom")[number % 2],
            )  # fmt: skip
        done: Counter[str] = Counter()
        people = [
            work(hf.WorkQueue(client.core, "default", actor=f"p-{one}"), random.Random(one), done, f"p-{one}")
            for one in range(PEOPLE)
        ]
        await asyncio.gather(*people, *(tend(client) for _ in range(3)))
        await tend(client)
        store: Any = client.core.store.work
        rows = await store.find_items("default", [f"i-{number}" for number in range(ITEMS)])
        assert len(rows) == ITEMS
        ends: Counter[str] = Counter()
        moves: Counter[str] = Counter()
        for row in rows:
            events = await store.item_history("default", row.uid)
            assert [event.revision for event in events] == list(range(1, row.revision + 1))
            assert replay(events) == state_of(row._asdict())
            moves.update(event.move for event in events)
            statuses = [ItemStatus(event.status) for event in events]
            for before, after in itertools.pairwise(statuses):
                assert before == after or after in MOVES[before]
            ended = [event for event in events if event.status in ("completed", "skipped")]
            assert len(ended) <= 1
            for event in ended:
                ends[f"{row.id} {event.move} {event.actor}"] += 1
        assert ends == done
        assert set(moves) >= {"create", "start", "snooze", "save", "claim", "overdue", "escalate", "assign", "wake"}
        assert len(ends) > 5


@pytest.mark.slow
async def test_what_a_group_has_is_claimed_by_one_person_each(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        queue = hf.work_queue(client)
        for number in range(40):
            await queue.create(title=f"Item {number}", id=f"i-{number}", group="team")

        async def take(who: str) -> list[str]:
            mine = hf.WorkQueue(client.core, "default", actor=who)
            taken = []
            while (view := await mine.claim_next("team")) is not None:
                assert view.assignee == who
                taken.append(view.id)
                await mine.complete(view.id)
            return taken

        taken = await asyncio.gather(*(take(f"p-{one}") for one in range(20)))
        assert sorted(id for ids in taken for id in ids) == sorted(f"i-{number}" for number in range(40))
