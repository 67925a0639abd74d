"""The script that gives a conversation away decides as turn_taking.py does, whatever happened before."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.conversations.redis.scripts import Call
from holdfast.conversations.redis.store import RedisState
from holdfast.store.conversation_rows import GONE_US, LINE_US, Save, Take, Taken
from holdfast.store.conversations import Claim
from holdfast.store.turn_taking import Waiting, decide, is_free
from tests.conformance.conversation_kit import DAY, LEASE, SECOND, saving, take
from tests.conformance.redis_kit import PATIENCE_SECONDS, Seen, look
from tests.redis_servers import RedisServer

_numbers = itertools.count()

_tickets = st.sampled_from([bytes([n]) * 16 for n in (0, 1, 2, 255)])

_asked = st.builds(
    lambda ticket, **given: ("take", ticket, given),
    _tickets,
    user=st.sampled_from(["ann", "ann", "ann", "bob"]),
    turn_id=st.sampled_from(["a", "b", "c", ""]),
    fingerprint=st.sampled_from([b"x", b"x", b"x\0y"]),
    waits=st.booleans(),
    make=st.sampled_from([True, True, False]),
)
_ended = st.tuples(st.just("save"), _tickets, st.sampled_from(["open", "open", "open", "open", "ended"]))
_others = st.tuples(st.sampled_from(["leave", "renew", "is_free", "is_free"]), _tickets, st.none())
_later = st.tuples(
    st.just("later"),
    st.just(b""),
    st.sampled_from([SECOND, LINE_US + SECOND, LEASE - SECOND, LEASE + SECOND, DAY - LEASE, DAY, GONE_US]),
)


class Heard(RedisState):
    """Remembers what a script replied last."""

    said: Sequence[Any] = ()

    async def _run(self, calls: Sequence[Call]) -> list[Any]:
        self.said = await super()._run(calls)
        return list(self.said)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.one_of(_asked, _asked, _ended, _others, _later), min_size=5, max_size=40))
def test_it_decides_as_the_databases_do(redis_server: RedisServer, steps: list[tuple[str, bytes, Any]]) -> None:
    asyncio.run(_follow(redis_server.url, steps))


@pytest.mark.verify
@given(steps=st.lists(st.one_of(_asked, _asked, _ended, _others, _later), min_size=5, max_size=60))
def test_it_decides_as_the_databases_do_at_length(
    redis_server: RedisServer, steps: list[tuple[str, bytes, Any]]
) -> None:
    asyncio.run(_follow(redis_server.url, steps))


async def _follow(url: str, steps: Sequence[tuple[str, bytes, Any]]) -> None:
    state, client, id = Heard(url, patience_seconds=PATIENCE_SECONDS), look(url), f"decided-{next(_numbers)}"
    seen = Seen(state, client, "t", id)
    held: dict[bytes, tuple[Take, Taken]] = {}
    try:
        for verb, ticket, given_ in steps:
            claim = Claim("t", id, ticket)
            match verb:
                case "take":
                    asked = take(id, ticket=ticket, **given_)
                    taken = await _taken(state, seen, asked)
                    if taken.outcome == "yours":
                        held[ticket] = asked, taken
                case "save":
                    if ticket in held:
                        await _saved(state, seen, saving(*held.pop(ticket)), given_)
                case "leave":
                    await state.leave([claim])
                    assert ticket not in [place.ticket for place in await seen.line()]
                case "renew":
                    before = await seen.hold()
                    [kept] = await state.renew([claim], LEASE)
                    now = await seen.now()
                    assert not kept or (before is not None and before.ticket == ticket)
                    assert kept or before is None or before.ticket != ticket or before.until <= now
                case "is_free":
                    hold, line, began = await seen.hold(), await seen.line(), await seen.now()
                    [free] = await state.is_free([claim])
                    assert free in {is_free(ticket, hold, line, now) for now in (began, await seen.now())}
                case _:
                    state._offset_us += given_
    finally:
        await state.close()
        await client.aclose()


async def _taken(state: Heard, seen: Seen, asked: Take) -> Taken:
    """Take, and compare with what is decided of the same in Python."""
    hold, row, line = await seen.hold(), await seen.row(), await seen.line()
    turn = await seen.turn(asked.turn_id) if asked.turn_id and row is not None else None
    [taken] = await state.take([asked])
    now = state.said[0][5]
    if row is not None and not (hold is not None and hold.ticket is not None and hold.until > now):
        # A Redis forgets the turns of what has expired, and by itself that it was there.
        turn = turn if now < row.expires_at else None
        row = row if now < row.expires_at + GONE_US else None
    wanted, act = decide(asked, hold, row, turn, line, now)
    assert taken == wanted
    after, places = await seen.hold(), await seen.line()
    if act == "take":
        assert after is not None
        since = hold.since if hold is not None and hold.token == taken.token else now
        assert after == (asked.user, taken.token, asked.ticket, asked.turn_id, asked.fingerprint, since, taken.until)
        assert places == [place for place in line if place.ticket != asked.ticket]
        return taken
    assert after == hold
    if act == "nothing":
        assert places == line
    else:
        mine = Waiting(asked.ticket, now + LINE_US)
        kept = [mine if place.ticket == asked.ticket else place for place in line]
        kept = [place for place in kept if place.until > now]
        assert places == (kept if mine in kept else [*kept, mine])
    return taken


async def _saved(state: Heard, seen: Seen, save: Save, status: Any) -> None:
    """Save, and see that it is stored if its token is good, and else that nothing is."""
    save = save._replace(row=save.row._replace(status=status))
    hold, row = await seen.hold(), await seen.row()
    # Whoever lost it to another with the same turn finds that stored.
    if save.turn is not None and await seen.turn(save.turn.id) is not None:
        return
    [stored] = await state.save([save])
    now = await seen.now()
    held = hold is not None and hold.ticket is not None and hold.token == save.token
    assert not stored or held
    assert stored or not held or (hold is not None and hold.until <= now)
    after = await seen.row()
    if stored:
        assert after is not None
        assert (after.revision, after.status) == (save.row.revision, status)
        assert after.expires_at == after.changed_at + save.ttl_us
    else:
        assert after == row
