"""Conversations in a Redis Cluster: all keys of one in one slot, and what moves is found where it went."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot
from redis.exceptions import ResponseError

from holdfast.conversations.redis.keys import EXPIRY, conversation_keys, index_key
from holdfast.conversations.redis.scripts import Call, run, script
from holdfast.conversations.redis.store import RedisState
from holdfast.errors import BadURL, StoreUnavailable
from holdfast.store.conversations import ConversationFilter
from tests.conformance.conversation_kit import claim, had, one, saving, take
from tests.conformance.redis_kit import PATIENCE_SECONDS, freed, heard, look, rights_in_docs
from tests.redis_servers import RedisServer, add_replica, start_cluster

_names = st.text(st.sampled_from("{}:a\0é "), max_size=9) | st.text(max_size=20)


@pytest.fixture(scope="module")
def cluster(redis_program: str) -> Iterator[list[RedisServer]]:
    """Three servers, each with a third of the slots."""
    with tempfile.TemporaryDirectory(prefix="holdfast-redis-") as folder:
        servers = start_cluster(redis_program, Path(folder), 3)
        yield servers
        for server in servers:
            server.stop()


@pytest.fixture
async def state(cluster: list[RedisServer]) -> AsyncIterator[RedisState]:
    """A state store in the cluster, empty."""
    for server in cluster:
        assert server.say("FLUSHALL") == b"+OK"
    state = RedisState(cluster[0].url, patience_seconds=PATIENCE_SECONDS)
    await state.open()
    yield state
    await state.close()


@given(tenant=_names, id=_names)
def test_the_keys_of_a_conversation_share_a_slot_whatever_it_is_called(tenant: str, id: str) -> None:
    keys = conversation_keys(tenant, id)
    assert len(set(keys)) == len(keys) == 6
    assert len({key_slot(key.encode()) for key in keys}) == 1


@given(pairs=st.lists(st.tuples(_names, _names), min_size=2, max_size=5, unique=True))
def test_no_two_conversations_share_a_key(pairs: list[tuple[str, str]]) -> None:
    # A name that is stored holds no NUL.
    stored = [pair for pair in pairs if "\0" not in "".join(pair)]
    keys = [key for tenant, id in stored for key in conversation_keys(tenant, id)]
    assert len(set(keys)) == len(keys)


async def test_a_script_with_keys_of_two_slots_is_refused_here(cluster: list[RedisServer]) -> None:
    client = look(cluster[0].url)
    keys = [conversation_keys("t", "c-1")[0], conversation_keys("t", "c-2")[0]]
    with pytest.raises(ResponseError, match="same slot"):
        await client.eval(script("find").text, 2, *keys, 0)
    await client.aclose()


async def test_conversations_lie_on_all_servers_and_are_had_in_one_call(
    state: RedisState, cluster: list[RedisServer]
) -> None:
    asked = [take(f"c-{n}") for n in range(60)]
    taken = await state.take(asked)
    assert {one.outcome for one in taken} == {"yours"}
    assert await state.renew([claim(one) for one in asked], 60_000_000) == [True] * 60
    assert await state.save([saving(*pair) for pair in zip(asked, taken, strict=True)]) == [True] * 60
    assert await state.is_free([claim(one) for one in asked]) == [True] * 60
    found = await state.search("t", ConversationFilter(user="ann"), limit=99)
    assert {row.id for row in found} == {f"c-{n}" for n in range(60)}
    for server in cluster:
        assert int(server.say("DBSIZE")[1:]) > 60


async def test_a_conversation_is_had_from_its_beginning_to_its_end(state: RedisState) -> None:
    for n in range(9):
        id = f"{{x}}{n}"
        await had(state, id)
        handed = take(id)
        taken = await one(state, handed)
        save = saving(handed, taken, row={"status": "handed_over", "handover": b"do it", "item": "i-1"})
        assert await state.save([save]) == [True]
        [row] = await state.unsettled(9)
        assert row.id == id
        await state.settle("t", id, b"do it")
        assert await state.unsettled(9) == []
        assert [turn.number for turn in await state.turns("t", id, limit=9)] == [1, 2]
    assert len(await state.search("t", ConversationFilter(item="i-1"), limit=99)) == 9


async def test_it_is_heard_on_another_server_that_a_conversation_is_free(
    state: RedisState, cluster: list[RedisServer]
) -> None:
    for n, server in enumerate(cluster):
        async with heard(RedisState(server.url, patience_seconds=PATIENCE_SECONDS)) as said:
            await freed(state, f"heard-{n}")
            # What others said before may arrive late.
            while await said.get() != ("t", f"heard-{n}"):
                pass


async def test_what_moves_to_another_server_is_found_there(state: RedisState, cluster: list[RedisServer]) -> None:
    asked, taken, _ = await had(state, "moves")
    slot = key_slot(conversation_keys("t", "moves")[0].encode())
    by_id = {server.say("CLUSTER", "MYID").decode(): server for server in cluster}
    assert len(by_id) == 3
    owner = next(server for server in cluster if int(server.say("CLUSTER", "COUNTKEYSINSLOT", str(slot))[1:]))
    path = [owner, *(server for server in cluster if server is not owner), owner]
    for source, target in pairwise(path):
        await _move(slot, source, target, cluster)
        taken = await one(state, asked := take("moves"))
        assert taken.outcome == "yours"
        assert await state.save([saving(asked, taken)]) == [True]
    found = await state.find("t", "moves")
    assert found is not None
    assert found.turns == 4


async def _move(slot: int, source: RedisServer, target: RedisServer, cluster: list[RedisServer]) -> None:
    """Move a slot as an administrator does."""
    there, here = (server.say("CLUSTER", "MYID").decode() for server in (target, source))
    assert target.say("CLUSTER", "SETSLOT", str(slot), "IMPORTING", here) == b"+OK"
    assert source.say("CLUSTER", "SETSLOT", str(slot), "MIGRATING", there) == b"+OK"
    for key in conversation_keys("t", "moves"):
        source.say("MIGRATE", "127.0.0.1", str(target.port), key, "0", "60000")
    for server in [target, source, *cluster]:
        assert server.say("CLUSTER", "SETSLOT", str(slot), "NODE", there) == b"+OK"


async def test_after_a_failover_the_next_call_is_made_to_the_new_server(redis_program: str) -> None:
    with tempfile.TemporaryDirectory(prefix="holdfast-redis-") as folder:
        [old] = start_cluster(redis_program, Path(folder), 1)
        new = add_replica(redis_program, Path(folder) / "replica", old)
        state = RedisState(old.url, patience_seconds=PATIENCE_SECONDS)
        await state.open()
        await had(state)
        assert new.say("CLUSTER", "FAILOVER", "TAKEOVER") == b"+OK"
        old.kill()
        await had(state)
        found = await state.find("t", "c-1")
        assert found is not None
        assert found.turns == 2
        new.stop()
        for call in (state.take([take()]), state.find("t", "c-1"), RedisState(new.url).open()):
            with pytest.raises(StoreUnavailable, match="no answer from Redis"):
                await call
        await state.close()


async def test_an_index_is_a_key_of_its_own_in_any_slot(state: RedisState) -> None:
    keys = [EXPIRY, *(index_key("t", "user", f"u-{n}") for n in range(20))]
    assert len({key_slot(key.encode()) for key in keys}) > 3
    await run(state._link, 0, [Call("note", [key], [60_000, 1, "m"]) for key in keys])
    assert await run(state._link, 0, [Call("score", [key], ["m"]) for key in keys]) == [b"1"] * 21


async def test_the_rights_that_the_docs_name_are_enough(state: RedisState, cluster: list[RedisServer]) -> None:
    for server in cluster:
        assert server.say(*rights_in_docs(), "+cluster", "+command") == b"+OK"
    url = cluster[1].url.replace("redis://", "redis://shop:secret@")
    async with heard(theirs := RedisState(url, patience_seconds=PATIENCE_SECONDS)) as said:
        for n in range(9):
            await freed(theirs, f"c-{n}")
            while await said.get() != ("t", f"c-{n}"):
                pass
    assert len(await state.search("t", ConversationFilter(), limit=99)) == 9


async def test_a_cluster_is_not_reached_through_a_socket(cluster: list[RedisServer], tmp_path: Path) -> None:
    with pytest.raises(BadURL, match="a server of a cluster"):
        await RedisState(f"unix://{cluster[0].socket}").open()
