"""What the address of a Redis may say, what is wrong with it or with the server, and that passwords stay secret."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

import holdfast as hf
from holdfast.conversations.desk import open_conversations
from holdfast.conversations.redis.address import read_address
from holdfast.conversations.redis.link import Link
from holdfast.conversations.redis.store import RedisState
from holdfast.errors import BadURL, StoreError, StoreUnavailable
from holdfast.store.conversations import ConversationFilter
from tests.conformance.conversation_kit import had
from tests.conformance.redis_kit import PATIENCE_SECONDS
from tests.redis_servers import RedisServer


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis://", "redis://localhost:6379"),
        ("redis://ann:secret@cache.example:7000/3", "redis://cache.example:7000"),
        ("rediss://:secret@[::1]?ssl_cert_reqs=none", "rediss://[::1]:6379"),
        ("unix://ann:secret@/run/re%20dis.sock?db=2", "unix:///run/re dis.sock"),
        ("unix:///run/redis.sock?password=secret", "unix:///run/redis.sock"),
    ],
)
def test_where_it_is_is_said_without_the_password(url: str, where: str) -> None:
    address = read_address(url)
    assert address.where == where
    assert "secret" not in address.hide(f"no answer from {url}")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://localhost", "no address of a Redis; give redis://"),
        ("redis://:secret@localhost:many", "cannot be read; write special characters"),
        ("redis://:sec[ret@localhost", "cannot be read"),
        ("redis://:secret@localhost/first", "'first' is not the number of a database"),
        ("redis://:secret@localhost?socket_timeout=99", "the option 'socket_timeout' is not one of client_name, db"),
        ("redis://:secret@localhost?db", "cannot be read"),
    ],
)
def test_an_address_that_is_wrong_is_refused_with_a_reason(url: str, why: str) -> None:
    with pytest.raises(BadURL, match=why) as caught:
        RedisState(url)
    assert "secret" not in str(caught.value)
    assert "sec[" not in str(caught.value)


@pytest.mark.parametrize("option", ["ssl_cert_reqs=perhaps", "ssl_check_hostname=perhaps"])
async def test_an_option_with_a_wrong_value_is_refused(redis_url: str, option: str) -> None:
    with pytest.raises(StoreError, match=r"perhaps|unexpected"):
        await RedisState(f"{redis_url}?{option}").open()


async def test_the_number_of_a_database_keeps_conversations_apart(redis_url: str) -> None:
    for number, others in ((1, []), (2, []), (1, ["c-1"])):
        state = RedisState(f"{redis_url}?db={number}", patience_seconds=PATIENCE_SECONDS)
        assert [row.id for row in await state.search("t", ConversationFilter(), limit=9)] == others
        if not others and number == 1:
            await had(state)
        await state.close()


async def test_a_number_that_no_database_has_is_refused(redis_url: str) -> None:
    state = RedisState(f"{redis_url}?db=99", patience_seconds=PATIENCE_SECONDS)
    with pytest.raises(StoreError, match="DB index is out of range") as caught:
        await state.open()
    assert not isinstance(caught.value, StoreUnavailable)


@pytest.mark.parametrize("version", ["6.0.16", "5.0", "2.8.4"])
def test_an_older_redis_is_refused(version: str) -> None:
    link = Link(read_address("redis://old.example"), 1.0)
    with pytest.raises(StoreError, match=rf"old.example:6379: Redis {version} is too old; .* need 6\.2 or later"):
        link._look_at({"redis_version": version})
    for newer in ("6.2.0", "7.0.15", "10.0.1", "255.255.255"):
        link._look_at({"redis_version": newer})


async def test_a_redis_that_may_drop_conversations_is_warned_of(
    redis_url: str, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for policy in ("allkeys-lru", "noeviction"):
        assert redis_server.say("CONFIG", "SET", "maxmemory-policy", policy) == b"+OK"
        state = RedisState(redis_url, patience_seconds=PATIENCE_SECONDS)
        await state.open()
        await state.close()
    [record] = caplog.records
    assert "its maxmemory-policy is allkeys-lru; set it to noeviction" in record.message


async def test_the_state_url_says_where_conversations_are_kept(
    redis_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hf.connect("memory://") as client:
        monkeypatch.setenv("HOLDFAST_STATE_URL", redis_url)
        kept = await open_conversations(client)
        assert kept._holding.store.name == "redis"
        assert (await open_conversations(client))._holding is kept._holding
        assert (await open_conversations(client, state_url=""))._holding is not kept._holding
        monkeypatch.setenv("HOLDFAST_STATE_URL", "mysql://:secret@localhost")
        with pytest.raises(BadURL, match="give redis://HOST") as caught:
            await open_conversations(client)
        assert "secret" not in str(caught.value)
    assert b"pubsub" not in redis_server.say("CLIENT", "LIST", "TYPE", "pubsub")


@pytest.mark.slow
def test_without_redis_py_all_is_there_but_conversations_in_redis() -> None:
    code = """
import asyncio, sys
sys.modules["redis"] = None
import holdfast as hf
from holdfast.conversations.desk import open_conversations
async def main():
    async with hf.connect("memory://") as client:
        await open_conversations(client, state_url="")
        for url in ("redis://localhost", "rediss://localhost", "unix:///run/redis.sock"):
            try:
                await open_conversations(client, state_url=url)
            except hf.UsageError as error:
                print(error)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout == "conversations in Redis need redis-py: pip install 'holdfast[redis]'\n" * 3
