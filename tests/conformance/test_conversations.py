"""What every state store does: who has a conversation, who waits, and how turns end."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from holdfast.store.base import Rejected
from holdfast.store.conversation_rows import GONE_US, LINE_US
from holdfast.store.conversations import ConversationFilter, StateStore
from holdfast.store.url import make_store
from tests.conformance.conversation_kit import (
    DAY,
    LEASE,
    SECOND,
    after,
    claim,
    first,
    had,
    one,
    saving,
    take,
    ticket,
    turn,
)
from tests.conformance.state_stores import Clock


async def test_a_turn_is_taken_saved_and_read(state: StateStore) -> None:
    asked = take()
    taken = await one(state, asked)
    assert (taken.outcome, taken.row) == ("yours", None)
    assert taken.token > 0
    assert await state.find("t", "c-1") is None
    save = saving(asked, taken)
    assert await state.save([save]) == [True]
    found = await state.find("t", "c-1")
    assert found is not None
    assert found.created_at == found.changed_at
    assert found.expires_at == found.changed_at + DAY
    assert found == save.row._replace(
        created_at=found.created_at, changed_at=found.changed_at, expires_at=found.expires_at
    )
    [stored] = await state.turns("t", "c-1", limit=9)
    assert save.turn is not None
    assert stored == save.turn._replace(at=found.changed_at)


async def test_turns_follow_one_another(state: StateStore) -> None:
    await had(state)
    _, second, _ = await had(state)
    assert second.row is not None
    assert (second.row.turns, second.row.state) == (1, b'{"n": 1}')
    _, third, _ = await had(state)
    assert third.token > second.token
    found = await state.find("t", "c-1")
    assert found is not None
    assert (found.turns, found.revision, found.state) == (3, 3, b'{"n": 3}')
    assert [one.number for one in await state.turns("t", "c-1", limit=9)] == [1, 2, 3]
    assert [one.number for one in await state.turns("t", "c-1", after=1, limit=1)] == [2]


async def test_one_has_it_and_the_others_stand_in_line(state: StateStore, clock: Clock) -> None:
    holder, second, third = take(turn_id="a"), take(turn_id="b"), take(turn_id="c")
    taken = await one(state, holder)
    await clock.forward(2 * SECOND)
    waits = await one(state, second)
    assert (waits.outcome, waits.joins, waits.row) == ("waits", False, None)
    assert waits.held_us >= 2 * SECOND
    assert waits.until == taken.until
    assert (await one(state, third)).outcome == "waits"
    assert await state.is_free([claim(second), claim(third)]) == [False, False]
    assert await state.save([saving(holder, taken)]) == [True]
    assert await state.is_free([claim(second), claim(third)]) == [True, False]
    assert (await one(state, third)).outcome == "waits"
    assert (await one(state, take())).outcome == "waits"
    mine = await one(state, second)
    assert (mine.outcome, mine.row and mine.row.turns) == ("yours", 1)
    assert mine.token > taken.token
    await state.leave([claim(second)])
    assert (await one(state, third)).outcome == "yours"


async def test_who_does_not_wait_is_told_at_once(state: StateStore) -> None:
    holder = take()
    await one(state, holder)
    assert (await one(state, take(waits=False))).outcome == "busy"
    waiting = take()
    await one(state, waiting)
    await state.leave([claim(holder)])
    assert (await one(state, take(waits=False))).outcome == "busy"
    assert (await one(state, waiting)).outcome == "yours"


async def test_who_leaves_the_line_or_says_nothing_is_not_waited_for(state: StateStore, clock: Clock) -> None:
    holder, leaves, silent, last = take(), take(), take(), take()
    for asked in (holder, leaves, silent, last):
        await one(state, asked)
    await state.leave([claim(holder), claim(leaves)][:1])
    await state.leave([claim(leaves)])
    assert await state.is_free([claim(silent), claim(last)]) == [True, False]
    await clock.forward(LINE_US - SECOND)
    assert (await one(state, last)).outcome == "waits"
    await clock.forward(2 * SECOND)
    assert await state.is_free([claim(last)]) == [True]
    assert (await one(state, last)).outcome == "yours"


async def test_asked_again_it_is_the_same_asking(state: StateStore, clock: Clock) -> None:
    asked = take()
    taken = await one(state, asked)
    await clock.forward(SECOND)
    again = await one(state, asked)
    assert (again.outcome, again.token) == ("yours", taken.token)
    assert again.until >= taken.until + SECOND
    other = take()
    held = (await one(state, other)).held_us
    assert held >= SECOND
    for _ in range(2):
        assert (await one(state, other)).outcome == "waits"
    await state.leave([claim(asked)])
    await state.leave([claim(asked)])
    assert (await one(state, other)).outcome == "yours"
    await state.leave([claim(asked)])
    assert (await one(state, take(waits=False))).outcome == "busy"


async def test_a_lease_that_ends_is_somebody_elses_and_its_turn_is_not_saved(state: StateStore, clock: Clock) -> None:
    await had(state)
    frozen, other = take(), take()
    taken = await one(state, frozen)
    assert (await one(state, other)).outcome == "waits"
    await clock.forward(LEASE + SECOND)
    assert await state.save([saving(frozen, taken)]) == [False]
    after_it = await one(state, other)
    assert after_it.outcome == "yours"
    assert after_it.token > taken.token
    assert await state.renew([claim(frozen)], LEASE) == [False]
    assert await state.save([saving(frozen, taken)]) == [False]
    assert await state.save([saving(other, after_it)]) == [True]
    assert await state.save([saving(frozen, taken)]) == [False]
    found = await state.find("t", "c-1")
    assert found is not None
    assert found.turns == 2
    assert [one.id for one in await state.turns("t", "c-1", after=1, limit=9)] == [other.turn_id]


async def test_a_lease_that_is_renewed_goes_on(state: StateStore, clock: Clock) -> None:
    asked = take()
    taken = await one(state, asked)
    await clock.forward(LEASE - SECOND)
    assert await state.renew([claim(asked)], LEASE) == [True]
    await clock.forward(LEASE - SECOND)
    assert (await one(state, take(waits=False))).outcome == "busy"
    assert await state.save([saving(asked, taken)]) == [True]
    assert await state.renew([claim(asked)], LEASE) == [False]


async def test_a_save_is_safe_to_repeat(state: StateStore) -> None:
    asked, _, save = await had(state)
    assert await state.save([save]) == [True]
    assert save.turn is not None
    assert await state.save([save._replace(turn=save.turn._replace(response=b"else"))]) == [False]
    found = await state.find("t", "c-1")
    assert found is not None
    assert found.turns == 1
    await had(state)
    assert await state.save([save]) == [True]
    assert len(await state.turns("t", "c-1", limit=9)) == 2
    assert (await one(state, asked)).outcome == "finished"


async def test_a_turn_id_that_is_over_gives_what_was_stored(state: StateStore) -> None:
    asked, _, save = await had(state)
    again = await one(state, asked._replace(ticket=ticket()))
    assert again.outcome == "finished"
    assert again.turn is not None
    assert save.turn is not None
    assert again.turn._replace(at=0) == save.turn
    assert (await one(state, asked._replace(ticket=ticket(), fingerprint=b"else"))).outcome == "other"
    holder = take()
    await one(state, holder)
    assert (await one(state, asked._replace(ticket=ticket()))).outcome == "finished"


async def test_a_turn_id_in_progress_is_joined(state: StateStore) -> None:
    asked = take()
    taken = await one(state, asked)
    joins = asked._replace(ticket=ticket(), waits=False)
    found = await one(state, joins)
    assert (found.outcome, found.joins) == ("waits", True)
    assert (await one(state, joins._replace(ticket=ticket(), fingerprint=b"else"))).outcome == "other"
    assert await state.save([saving(asked, taken)]) == [True]
    assert (await one(state, joins)).outcome == "finished"


async def test_another_user_or_tenant_finds_nothing(state: StateStore) -> None:
    asked = take()
    await one(state, asked)
    assert (await one(state, take(user="bob"))).outcome == "missing"
    await state.leave([claim(asked)])
    await had(state)
    assert (await one(state, take(user="bob"))).outcome == "missing"
    assert (await one(state, asked._replace(user="bob", make=False))).outcome == "missing"
    assert (await one(state, take(tenant="u", make=False))).outcome == "missing"
    assert await state.find("u", "c-1") is None
    assert await state.turns("u", "c-1", limit=9) == []
    assert await state.search("u", ConversationFilter(), limit=9) == []
    theirs = await one(state, take(tenant="u", user="bob"))
    assert (theirs.outcome, theirs.row) == ("yours", None)


async def test_a_first_turn_that_fails_leaves_nothing(state: StateStore) -> None:
    asked = take()
    await one(state, asked)
    await state.leave([claim(asked)])
    assert await state.find("t", "c-1") is None
    assert (await one(state, take(make=False))).outcome == "missing"
    assert (await one(state, take(user="bob"))).outcome == "yours"


async def test_what_expires_is_told_from_what_never_was(state: StateStore, clock: Clock) -> None:
    asked, _, _ = await had(state)
    await clock.forward(DAY - SECOND)
    await had(state)
    await clock.forward(DAY - SECOND)
    assert (await one(state, asked)).outcome == "finished"
    await clock.forward(2 * SECOND)
    assert (await one(state, take())).outcome == "expired"
    found = await state.find("t", "c-1")
    if found is not None:  # a store may forget what it was, but not that it was
        assert found.turns == 2
    assert await state.search("t", ConversationFilter(), limit=9) == []
    assert await state.forget(9) == 0
    await clock.forward(GONE_US)
    assert (await one(state, take(make=False))).outcome == "missing"
    await state.forget(9)
    assert await state.find("t", "c-1") is None
    assert await state.turns("t", "c-1", limit=9) == []
    taken = await one(state, take())
    assert (taken.outcome, taken.row) == ("yours", None)


async def test_a_turn_that_is_longer_than_what_was_left_goes_on(state: StateStore, clock: Clock) -> None:
    await had(state)
    await clock.forward(DAY - SECOND)
    asked = take()
    taken = await one(state, asked)
    await clock.forward(10 * SECOND)
    assert (await one(state, take())).outcome == "waits"
    assert await state.save([saving(asked, taken)]) == [True]


async def test_what_is_over_takes_no_turn(state: StateStore, clock: Clock) -> None:
    await had(state)
    closing = take(turn_id="")
    taken = await one(state, closing)
    assert taken.row is not None
    ended = taken.row._replace(status="ended", revision=2)
    assert await state.save([saving(closing, taken)._replace(row=ended)]) == [True]
    found = await state.find("t", "c-1")
    assert found is not None
    assert (found.status, found.turns, found.revision) == ("ended", 1, 2)
    assert found.ended_at == found.changed_at
    over = await one(state, take())
    assert (over.outcome, over.row) == ("over", found)


async def test_conversations_are_searched_newest_first(state: StateStore, clock: Clock) -> None:
    for n in range(5):
        await clock.forward(SECOND)
        await had(state, f"c-{n}", user="ann" if n % 2 else "bob")
    await clock.forward(SECOND)
    await had(state, "c-1")
    found = await state.search("t", ConversationFilter(), limit=9)
    assert [row.id for row in found] == ["c-1", "c-4", "c-3", "c-2", "c-0"]
    page = await state.search("t", ConversationFilter(), limit=2)
    rest = await state.search("t", ConversationFilter(), limit=9, before=(page[-1].changed_at, page[-1].id))
    assert [row.id for row in rest] == ["c-3", "c-2", "c-0"]
    theirs = await state.search("t", ConversationFilter(user="bob"), limit=9)
    assert [row.id for row in theirs] == ["c-4", "c-2", "c-0"]
    assert await state.search("t", ConversationFilter(status="ended"), limit=9) == []
    assert await state.search("t", ConversationFilter(definition="else"), limit=9) == []
    assert len(await state.search("t", ConversationFilter(definition="renewal", status="open"), limit=9)) == 5


async def test_conversations_of_an_item(state: StateStore) -> None:
    asked = take()
    taken = await one(state, asked)
    assert await state.save([saving(asked, taken, row={"item": "i-1"})]) == [True]
    await had(state, "c-2")
    assert [row.id for row in await state.search("t", ConversationFilter(item="i-1"), limit=9)] == ["c-1"]


async def test_a_handover_is_kept_until_it_is_done(state: StateStore) -> None:
    asked = take()
    taken = await one(state, asked)
    given = {"status": "handed_over", "handover": b'{"start": "x"}'}
    assert await state.save([saving(asked, taken, row=given)]) == [True]
    [found] = await state.unsettled(9)
    assert (found.id, found.handover) == ("c-1", b'{"start": "x"}')
    await state.settle("t", "c-1", b"else")
    assert len(await state.unsettled(9)) == 1
    await state.settle("t", "c-1", b'{"start": "x"}')
    assert await state.unsettled(9) == []
    again = await state.find("t", "c-1")
    assert again is not None
    assert (again.handover, again.status) == (None, "handed_over")


async def test_many_at_once_take_turns_in_the_order_in_which_they_came(state: StateStore) -> None:
    asked = [take(turn_id=f"turn-{n}") for n in range(12)]
    for one_ in asked:
        await one(state, one_)

    async def has(ask: Any) -> None:
        while (taken := await one(state, ask)).outcome == "waits":
            await asyncio.sleep(0.005)
        assert await state.save([saving(ask, taken)]) == [True]

    await asyncio.gather(*(has(ask) for ask in reversed(asked)))
    assert [one.id for one in await state.turns("t", "c-1", limit=99)] == [f"turn-{n}" for n in range(12)]
    found = await state.find("t", "c-1")
    assert found is not None
    assert found.turns == 12


async def test_a_call_about_many_conversations(state: StateStore) -> None:
    asked = [take(f"c-{n}") for n in range(20)]
    taken = await state.take(asked)
    assert {one.outcome for one in taken} == {"yours"}
    assert await state.save([saving(*pair) for pair in zip(asked, taken, strict=True)]) == [True] * 20
    others = [take(f"c-{n}", make=n % 2 == 0) for n in range(30)]
    again = await state.take(others)
    assert [one.outcome for one in again] == ["yours"] * 20 + ["yours", "missing"] * 5
    await state.leave([claim(one) for one in others])
    assert await state.is_free([claim(one) for one in asked]) == [True] * 20
    assert (await state.take([]), await state.save([]), await state.renew([], LEASE)) == ([], [], [])


@pytest.mark.parametrize("wrong", [{"id": "a\0b"}, {"id": "\ud800"}, {"user": "x" * 600}, {"turn_id": "a\0"}], ids=repr)
async def test_what_cannot_be_asked(state: StateStore, wrong: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        await state.take([take(), take("c-2")._replace(**wrong)])
    assert (await one(state, take())).outcome == "yours"


async def test_what_cannot_be_saved(state: StateStore) -> None:
    asked = take()
    taken = await one(state, asked)
    row = first(asked)
    for wrong in (
        saving(asked, taken, turn=turn(asked, row, message="a\0b")),
        saving(asked, taken, turn=turn(asked, row, number=2)),
        saving(asked, taken, row={"definition": "\ud800"}),
    ):
        with pytest.raises(Rejected):
            await state.save([wrong])
    with pytest.raises(Rejected):
        await state.save([saving(asked, taken)] * 2)
    await state.save([saving(asked, taken)])
    skips = take()
    taken = await one(state, skips)
    assert taken.row is not None
    with pytest.raises(Rejected):
        await state.save([saving(skips, taken)._replace(row=after(after(taken.row)), turn=None)])
    assert await state.save([saving(skips, taken)]) == [True]


async def test_the_last_exchanges_come_with_it(state: StateStore) -> None:
    for _ in range(3):
        await had(state)
    for recent, wanted in ((0, []), (2, [b'{"n": 2}', b'{"n": 3}']), (9, [b'{"n": 1}', b'{"n": 2}', b'{"n": 3}'])):
        asked = take(recent=recent)
        taken = await one(state, asked)
        assert [(said.message, said.response) for said in taken.recent] == [("hello", answer) for answer in wanted]
        # A conversation that somebody waited for comes with them too.
        waits = take(recent=recent)
        assert (await one(state, waits)).outcome == "waits"
        await state.leave([claim(asked)])
        taken = await one(state, waits)
        assert [said.response for said in taken.recent] == wanted
        await state.leave([claim(waits)])
    assert (await one(state, take("c-2", recent=5))).recent in ((), [])


async def test_who_asks_in_vain_leaves_nothing_behind(state: StateStore, kept: tuple[StateStore, Clock]) -> None:
    assert (await one(state, take(make=False))).outcome == "missing"
    asked = take("c-2")
    await one(state, asked)
    await state.leave([claim(asked)])
    store: Any = state
    if hasattr(store, "_link"):
        [names] = await store._link.send([("KEYS", "*")])
        assert min(await store._link.send([("PTTL", name) for name in names]), default=1) > 0
    elif hasattr(store, "_transaction"):
        count = "SELECT count(*) FROM turn_holds"
        assert await store._read(lambda connection: connection.execute(count).fetchone()[0]) == 0
    else:
        count = "SELECT count(*) FROM holdfast.turn_holds"
        assert await store._read(lambda connection: connection.fetchval(count)) == 0


async def test_only_who_has_a_conversation_does_not_wait_for_the_disk(sqlite_url: str) -> None:
    store: Any = make_store(sqlite_url)
    await store.open()
    levels: list[int] = []

    def level(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA synchronous").fetchone()[0])

    def fails(connection: sqlite3.Connection) -> None:
        levels.append(level(connection))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.conversations._passing(fails)
    await had(store.conversations)
    await store.conversations._transaction(lambda connection: levels.append(level(connection)))
    assert levels == [1, 2]
    await store.close()
