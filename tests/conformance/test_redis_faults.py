"""A Redis that is away, frozen, killed, full or refuses: a clear error soon, and afterwards all goes on."""

from __future__ import annotations

import asyncio
import os
import tempfile
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from holdfast.conversations.redis.store import RedisState
from holdfast.errors import StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from holdfast.store.conversation_rows import Save
from holdfast.store.conversations import ConversationFilter
from tests.conformance.conversation_kit import DAY, LEASE, claim, had, one, saving, take
from tests.conformance.redis_kit import PATIENCE_SECONDS, Wire, freed, heard, rights_in_docs
from tests.redis_servers import RedisServer

SOON = 30.0
"""Nothing here takes so long, on any machine, unless it hangs."""

Making = Callable[..., RedisServer]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a name that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="holdfast-redis-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")) as folder:
        yield Path(folder)


@pytest.fixture
def make(redis_program: str, folder: Path) -> Iterator[Making]:
    """Starts a server of the test's own, which keeps what it acknowledges."""
    made: list[RedisServer] = []

    def start(*settings: str) -> RedisServer:
        made.append(RedisServer(redis_program, folder, "--appendonly", "yes", "--appendfsync", "always", *settings))
        made[-1].start()
        return made[-1]

    yield start
    for server in made:
        server.stop()


@pytest.fixture
def server(make: Making) -> RedisServer:
    """A server of the test's own."""
    return make()


@pytest.fixture
async def state(server: RedisServer) -> AsyncIterator[RedisState]:
    """A state store in it, which a slow machine does not hinder."""
    state = RedisState(server.url, patience_seconds=PATIENCE_SECONDS)
    await state.open()
    yield state
    await state.close()


@pytest.fixture
async def hasty(server: RedisServer) -> AsyncIterator[RedisState]:
    """A state store in it with little patience; that of a service."""
    state = RedisState(server.url)
    await state.open()
    yield state
    await state.close()


async def _refuses_everything(state: RedisState, save: Save) -> None:
    asked = take()
    for call in (
        state.take([asked]), state.save([save]), state.renew([claim(asked)], LEASE), state.leave([claim(asked)]),
        state.is_free([claim(asked)]), state.find("t", "c-1"), state.turns("t", "c-1", limit=9),
        state.search("t", ConversationFilter(), limit=9), state.settle("t", "c-1", b"x"), state.unsettled(9),
        state.forget(9),
    ):  # fmt: skip
        with pytest.raises(StoreUnavailable, match="no answer from Redis"):
            await asyncio.wait_for(call, SOON)


async def test_while_it_is_stopped_each_call_says_so_and_then_the_turn_in_progress_ends(
    server: RedisServer, hasty: RedisState, state: RedisState
) -> None:
    await had(state)
    asked = take()
    taken = await one(state, asked)
    server.stop()
    await _refuses_everything(hasty, saving(asked, taken))
    with pytest.raises(StoreUnavailable):
        await RedisState(server.url).open()
    server.start()
    assert await state.save([saving(asked, taken)]) == [True]
    found = await state.find("t", "c-1")
    assert found is not None
    assert found.turns == 2


@pytest.mark.slow
async def test_while_it_is_frozen_calls_fail_and_nothing_is_mixed_up_afterwards(
    server: RedisServer, hasty: RedisState, state: RedisState
) -> None:
    _, _, save = await had(state)
    server.freeze()
    calls = [hasty.find("t", f"c-{n}") for n in range(300)]
    errors = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), SOON)
    assert {type(error) for error in errors} == {StoreUnavailable}
    # Who comes while others wait in vain is told with them, and does not begin to wait then.
    assert sum("who asked before" in str(error) for error in errors) > 200
    verbs = hasty.save([save]), hasty.take([take("c-2")]), RedisState(server.url).open()
    async with asyncio.timeout(SOON):
        assert [type(error) for error in await asyncio.gather(*verbs, return_exceptions=True)] == [StoreUnavailable] * 3
    server.thaw()
    for n in range(1, 70):
        asked, _, _ = await had(state, f"d-{n}")
        assert (await one(hasty, asked)).outcome == "finished"
    found = await asyncio.gather(*(hasty.find("t", f"d-{n}") for n in range(70)))
    assert [row and row.id for row in found] == [None, *(f"d-{n}" for n in range(1, 70))]


async def test_what_is_given_back_by_one_who_was_cancelled_is_given_back_behind_the_call_that_took_it(
    server: RedisServer, state: RedisState
) -> None:
    await had(state)
    pipe = state._link._pipe
    assert pipe is not None
    server.freeze()
    asked = take()
    taking = asyncio.create_task(state.take([asked]))
    while not pipe._asked:
        await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    leaving = asyncio.create_task(state.leave([claim(asked)]))
    while len(pipe._asked) < 2:
        await asyncio.sleep(0)
    server.thaw()
    await asyncio.wait_for(leaving, SOON)
    assert (await one(state, take(waits=False))).outcome == "yours"
    assert state._link._pipe is pipe


async def test_killed_and_back_without_its_scripts_it_has_all_that_it_acknowledged(
    server: RedisServer, state: RedisState
) -> None:
    asked = [take(f"c-{n}") for n in range(9)]
    taken = await state.take(asked)
    saves = [saving(*pair) for pair in zip(asked, taken, strict=True)]
    assert await state.save(saves[:5]) == [True] * 5
    for _ in range(2):
        server.kill()
        server.start()
        assert b"number_of_cached_scripts:0" in server.say("INFO", "memory")
        assert await state.save(saves) == [True] * 9
    assert len(await state.search("t", ConversationFilter(), limit=99)) == 9
    assert {one.outcome for one in await state.take(asked)} == {"finished"}


async def test_a_script_that_is_gone_is_sent_again(server: RedisServer, state: RedisState) -> None:
    await had(state)
    assert server.say("SCRIPT", "FLUSH") == b"+OK"
    await had(state)
    assert len(await state.turns("t", "c-1", limit=9)) == 2


async def test_when_memory_is_full_no_turn_begins_and_those_in_progress_end(
    server: RedisServer, state: RedisState
) -> None:
    asked, second, waiting = take("c-1"), take("c-2"), take("c-1")
    taken, other = await one(state, asked), await one(state, second)
    assert server.say("CONFIG", "SET", "maxmemory", "1000") == b"+OK"
    for refused in (take("c-3"), waiting):
        with pytest.raises(StoreFull, match="no memory left"):
            await state.take([refused])
    assert await state.renew([claim(asked)], LEASE) == [True]
    handed = {"status": "handed_over", "handover": b"do it"}
    assert await state.save([saving(asked, taken), saving(second, other, row=handed)]) == [True, True]
    assert {row.id for row in await state.search("t", ConversationFilter(), limit=9)} == {"c-1", "c-2"}
    await state.settle("t", "c-2", b"do it")
    assert await state.unsettled(9) == []
    with pytest.raises(StoreFull):
        await state.take([take("c-1")])
    assert server.say("CONFIG", "SET", "maxmemory", "0") == b"+OK"
    assert (await one(state, take("c-3", waits=False))).outcome == "yours"
    assert (await one(state, take("c-1", waits=False))).outcome == "yours"


async def test_a_replica_says_that_it_cannot_be_written_to(server: RedisServer, state: RedisState) -> None:
    assert server.say("REPLICAOF", "127.0.0.1", "1") == b"+OK"
    with pytest.raises(StoreReadOnly, match="is it a replica"):
        await had(state)
    assert server.say("REPLICAOF", "NO", "ONE") == b"+OK"
    await had(state)


async def test_after_a_failover_the_name_is_looked_up_again(
    server: RedisServer, redis_url: str, redis_server: RedisServer, folder: Path
) -> None:
    name = folder / "redis"
    name.symlink_to(server.socket)
    state = RedisState(f"unix://{name}", patience_seconds=PATIENCE_SECONDS)
    await had(state)
    name.unlink()
    name.symlink_to(redis_server.socket)
    assert server.say("REPLICAOF", "127.0.0.1", "1") == b"+OK"
    with pytest.raises(StoreReadOnly):
        await had(state)
    await had(state)
    await state.close()
    assert redis_url == redis_server.url


async def test_a_reply_that_is_lost_changes_nothing_of_what_was_done(
    server: RedisServer, state: RedisState, folder: Path
) -> None:
    async with Wire(server.socket, folder / "wire") as wire:
        wired = RedisState(f"unix://{folder / 'wire'}", patience_seconds=PATIENCE_SECONDS)
        await wired.open()
        asked, closing = take(), take(turn_id="")
        await one(wired, take("else"))
        wire.loses = 1
        taken = await one(wired, asked)
        assert taken.outcome == "yours"
        assert (await one(state, asked)).token == taken.token
        save = saving(asked, taken)
        wire.loses = 2  # It asks once more by itself.
        with pytest.raises(StoreUnavailable):
            await wired.save([save])
        wire.loses = 1
        assert await wired.save([save]) == [True]
        assert wire.loses == 0
        await wired._noted()
        ended = await one(wired, closing)
        assert ended.row is not None
        end = Save(ended.row._replace(status="ended", revision=2), ended.token, None, DAY)
        wire.loses = 2
        with pytest.raises(StoreUnavailable):
            await wired.save([end])
        assert await wired.save([end]) == [True]
        await wired._noted()
        assert await wired.save([end._replace(row=end.row._replace(status="abandoned"))]) == [False]
        assert len(await state.turns("t", "c-1", limit=9)) == 1
        await wired.close()


async def test_a_wrong_password_is_told_without_it(make: Making) -> None:
    server = make("--requirepass", "right-one")
    for user in (":not-this-1@", "ann:not-this-1@", ""):
        state = RedisState(server.url.replace("unix://", f"unix://{user}"))
        with pytest.raises(StoreError, match="check the user and the password") as caught:
            await state.open()
        assert not isinstance(caught.value, StoreUnavailable)
        assert "not-this-1" not in "".join(traceback.format_exception(caught.value))
    state = RedisState(server.url.replace("unix://", "unix://:right-one@"), patience_seconds=PATIENCE_SECONDS)
    await state.open()
    await had(state)
    await state.close()


async def test_the_rights_that_the_docs_name_are_enough(server: RedisServer) -> None:
    assert server.say(*rights_in_docs()) == b"+OK"
    async with heard(RedisState(server.url.replace("unix://", "unix://shop:secret@"))) as said:
        await freed(state := RedisState(server.url.replace("unix://", "unix://shop:secret@"), patience_seconds=SOON))
        assert await asyncio.wait_for(said.get(), SOON) == ("t", "c-1")
        assert len(await state.search("t", ConversationFilter(), limit=9)) == 1
        await state.close()


async def test_without_a_right_to_the_channel_all_else_works(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    rights = [right for right in rights_in_docs() if not right.startswith("&")]
    assert server.say(*rights, "resetchannels") == b"+OK"
    state = RedisState(server.url.replace("unix://", "unix://shop:secret@"), patience_seconds=PATIENCE_SECONDS)
    await state.listen(lambda *_: None)
    [record] = caplog.records
    assert "those who wait look for themselves" in record.message
    await had(state)
    asked = take()
    await one(state, asked)
    await state.leave([claim(asked)])
    assert (await one(state, take())).outcome == "yours"
    await state.close()
