"""Conversations whose Redis is gone: they say so, all else goes on, and nothing is lost when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import holdfast as hf
from holdfast.api import create_app, states
from tests.api.kit import V1, memory
from tests.api.talk_kit import said, talking
from tests.redis_servers import RedisServer

pytestmark = pytest.mark.slow

PATIENCE = 60.0

PASSWORD = "s3cret-of-redis"


@pytest.fixture
def redis(redis_program: str, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that may be stopped; what it was told is there when it is back."""
    server = RedisServer(redis_program, tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    yield server
    server.stop()


def unavailable(response: httpx.Response) -> None:
    assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
    assert int(response.headers["retry-after"]) >= 1
    found = response.json()
    assert set(found) == {"type", "title", "status", "error_id"}
    assert found["type"].endswith("/unavailable")


async def ready(http: httpx.AsyncClient) -> httpx.Response:
    return await http.get("/readyz")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon, and see at once whether a server is ready, so that a test takes less time."""
    monkeypatch.setattr(states, "AGAIN_SECONDS", 0.05)
    monkeypatch.setattr("holdfast.api.server.READINESS_SECONDS", 0.0)


@pytest.mark.parametrize("how", ["stopped", "frozen"])
async def test_a_redis_that_is_gone_for_a_while_loses_nothing(redis: RedisServer, how: str) -> None:
    async with talking(state_url=redis.url) as served:
        http = served.http()
        first = (await said(http, "acme", turnId="t1")).json()
        conversation = first["conversationId"]
        assert (await ready(http)).json()["parts"]["state"] == "ok"
        redis.stop() if how == "stopped" else redis.freeze()
        async with asyncio.timeout(PATIENCE):
            unavailable(await said(http, "ten", conversation, turnId="t2"))
            streamed = await http.post(
                "/api/chat/orchestrate", json={"message": "x"}, headers={"Accept": "text/event-stream"}
            )
            unavailable(streamed)
            paths = ("", f"/{conversation}", f"/{conversation}/turns", f"/{conversation}/export")
            for path in paths if how == "stopped" else ():
                unavailable(await http.get(f"{V1}/conversations{path}"))
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        response = await ready(http)
        assert (response.status_code, response.json()["ready"]) == (503, False)
        assert response.json()["parts"] == {
            "database": "ok", "schema": "ok", "committer": "ok", "state": "does not answer",
        }  # fmt: skip
        assert (await http.get(f"{V1}/runs")).status_code == 200
        redis.start() if how == "stopped" else redis.thaw()
        async with asyncio.timeout(PATIENCE):
            while (await ready(http)).status_code != 200:
                await asyncio.sleep(0.02)
        second = (await said(http, "ten", conversation, turnId="t2")).json()
        assert second["turn"]["number"] == 2
        assert second["workflowState"]["collected"] == {"company": "Acme", "seats": 10}
        assert (await said(http, "acme", turnId="t1")).json() == first


async def test_a_server_starts_without_its_redis_and_takes_it_when_it_comes(
    redis_program: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer(redis_program, tmp_path)
    async with talking(state_url=server.url) as served:
        http = served.http()
        unavailable(await said(http, "acme"))
        assert (await ready(http)).status_code == 503
        assert (await http.get(f"{V1}/runs")).status_code == 200
        server.start()
        try:
            async with asyncio.timeout(PATIENCE):
                while (await ready(http)).status_code != 200:
                    await asyncio.sleep(0.02)
            assert (await said(http, "acme")).json()["turn"]["number"] == 1
        finally:
            server.stop()


async def test_the_password_of_a_redis_is_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with talking(state_url=f"redis://:{PASSWORD}@127.0.0.1:1/0") as served:
        http = served.http()
        texts = [(await said(http, "acme")).text, (await ready(http)).text]
    assert "127.0.0.1" in caplog.text
    assert PASSWORD not in caplog.text + "".join(texts)


@pytest.mark.parametrize("url", ["http://host", "sqlite:///x.db", f"mongodb://:{PASSWORD}@host"])
async def test_an_address_that_is_none_stops_the_start(url: str) -> None:
    app = create_app(memory(), state_url=url)
    with pytest.raises(hf.BadURL, match="give redis://HOST") as caught:
        await app.state.holdfast.open()
    assert PASSWORD not in str(caught.value)


async def test_the_variable_says_where_conversations_are(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_STATE_URL", redis.url)
    assert create_app(memory()).state.holdfast.state.url == redis.url
    assert create_app(memory(), state_url="").state.holdfast.state.url == ""
