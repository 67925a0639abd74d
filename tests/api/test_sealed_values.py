"""What a server without the keys answers, with them, and with a codec endpoint: asked in whose name, and for whom."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import holdfast as hf
from holdfast.api import ServeConfig
from holdfast.api.codec_endpoint import create_codec_app
from holdfast.codecs import RemoteCodec
from holdfast.errors import CodecError, KeyMissing
from holdfast.store.values.values import Values
from holdfast.web import create_app
from tests.api.kit import V1, Served, listening, problem
from tests.engine.codec_kit import sealed, values
from tests.engine.helpers import outcome

WORD = "Xanthippe"


@hf.step(retry=hf.Retry(max_attempts=1))
async def refuses(name: str) -> str:
    raise ValueError(f"no, {name}")


@hf.workflow
async def echo(name: str) -> str:
    return f"hello {name}"


@hf.workflow
async def failing(name: str) -> str:
    return await refuses(name)


@asynccontextmanager
async def served(url: str, how: Values | None, **config: Any) -> AsyncIterator[Served]:
    """The API and the pages of a database whose values are stored in some way."""
    app = create_app(url, config=ServeConfig(**config), values=how, state_url="")
    made = Served(app, url)
    await made.server.open()
    try:
        yield made
    finally:
        await made.close()
        await made.server.close()


@pytest.fixture
async def url(disk_url: str) -> str:
    """A database with a run that succeeded, one that failed, a schedule and a message, all sealed."""
    async with sealed(disk_url, values(), echo, failing) as client:
        await outcome(client, echo.options(id="good"), WORD)
        with pytest.raises(hf.RunFailed):
            await outcome(client, failing.options(id="bad"), WORD)
        await client.schedule("nightly", echo, input=[WORD], every="100d")
        await client.publish("replies", {"to": WORD}, id="m-1")
    return disk_url


def endpoint(**more: Any) -> Values:
    codec = values().codec
    assert codec is not None
    transport = httpx.ASGITransport(create_codec_app(codec))
    return Values(codec=RemoteCodec("http://127.0.0.1", transport=transport, patient=False, **more))


PLACES = ("runs", "runs/good", "runs/bad", "runs/bad/journal", "schedules", "schedules/nightly", "outbox/m-1")
PAGES = ("/runs", "/runs/good", "/runs/bad", "/schedules/nightly", "/message?id=m-1")


async def test_without_keys_values_are_shown_as_what_they_are_and_everything_else_is(url: str) -> None:
    async with served(url, None) as server:
        http = server.http()
        for place in PLACES:
            answer = await http.get(f"{V1}/{place}")
            assert answer.status_code == 200, (place, answer.text)
            assert WORD not in answer.text, place
        run = (await http.get(f"{V1}/runs/good")).json()
        assert (run["status"], run["input"]["sealed_by"], run["output"]["sealed_by"]) == (
            "succeeded", "2026-11", "2026-11"
        )  # fmt: skip
        assert "no key is configured here" in (await http.get(f"{V1}/runs/bad")).json()["error"]["message"]
        # What is needed is refused.
        refused = problem(await http.post(f"{V1}/runs:outcomes", json={"ids": ["good"]}), 409, "value-sealed")
        assert "2026-11" in refused["detail"]
        same = {"input": {"name": WORD}, "id": "good"}
        problem(await http.post(f"{V1}/workflows/echo/runs", json=same), 409, "value-sealed")
        for page in PAGES:
            answer = await http.get(page, headers={"Accept": "text/html"})
            assert answer.status_code == 200, (page, answer.text)
            assert WORD not in answer.text, page
        text = (await http.get("/runs/good", headers={"Accept": "text/html"})).text
        assert "sealed by key 2026-11 (" in text
        assert "codec_endpoint" in text


@pytest.mark.parametrize("how", [values(), endpoint()], ids=["keys", "endpoint"])
async def test_with_keys_or_an_endpoint_values_are_shown(url: str, how: Values) -> None:
    async with served(url, how) as server:
        http = server.http()
        for place in PLACES:
            assert WORD in (await http.get(f"{V1}/{place}")).text, place
        for page in ("/runs/good", "/runs/bad", "/schedules/nightly", "/message?id=m-1"):
            assert WORD in (await http.get(page, headers={"Accept": "text/html"})).text, page
        [end] = (await http.post(f"{V1}/runs:outcomes", json={"ids": ["good"]})).json()["items"]
        assert end["output"] == f"hello {WORD}"
        same = {"input": {"name": WORD}, "id": "good"}
        assert (await http.post(f"{V1}/workflows/echo/runs", json=same)).status_code == 200


async def test_an_endpoint_that_is_away_is_said_so_and_the_page_is_there(url: str) -> None:
    how = Values(codec=RemoteCodec("http://127.0.0.1:1", patient=False))
    async with served(url, how) as server:
        page = await server.http().get("/runs/good", headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert "sealed by key 2026-11 (" in page.text
        assert "the codec endpoint http://127.0.0.1:1/decode cannot be used" in page.text.replace("&#39;", "'")


async def test_the_endpoint_decides_by_the_readers_own_authorisation_and_others_are_shown_nothing(url: str) -> None:
    """Of two readers the endpoint knows one. What is kept for several, and live updates, are opened for nobody."""
    codec = values().codec
    assert codec is not None
    inner, asked = create_codec_app(codec, "stand-in"), []
    good = ""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        asked.append(headers.get(b"authorization", b"").decode())
        allowed = asked[-1] == f"Bearer {good}"
        headers[b"authorization"] = b"Bearer stand-in" if allowed else b"Bearer none"
        await inner({**scope, "headers": list(headers.items())}, receive, send)

    remote = RemoteCodec("http://127.0.0.1", transport=httpx.ASGITransport(app), patient=False, forward=True)
    async with served(url, Values(codec=remote), auth=True) as server:
        good, other = await server.key("operator"), await server.key("operator")
        assert (await server.http(good).get(f"{V1}/runs/good")).json()["output"] == f"hello {WORD}"
        refused = (await server.http(other).get(f"{V1}/runs/good")).json()["output"]
        assert refused["sealed_by"] == "2026-11"
        assert "answers 401" in refused["why"]
        assert set(asked) == {f"Bearer {good}", f"Bearer {other}"}
        asked.clear()
        async with listening(server.app) as address, httpx.AsyncClient(timeout=30) as http:
            headers = {"Authorization": f"Bearer {good}"}
            async with http.stream("GET", f"{address}{V1}/runs/good/live", headers=headers) as live:
                async for line in live.aiter_lines():
                    if line.startswith("data:") and "sealed_by" in line:
                        assert WORD not in line
                        assert "load this anew" in line
                        break
        assert not asked


async def test_a_remote_client_is_told_that_a_value_is_sealed(url: str) -> None:
    async with served(url, None) as server, listening(server.app) as address, hf.connect(address) as client:
        assert (await client.get("good")).output["sealed_by"] == "2026-11"
        with pytest.raises(CodecError, match="2026-11"):
            await client.start(echo.options(id="good"), WORD)


async def test_what_a_server_with_an_endpoint_starts_is_sealed_by_it(url: str) -> None:
    async with served(url, endpoint()) as server:
        made = await server.http().post(f"{V1}/workflows/echo/runs", json={"input": {"name": WORD}, "id": "new"})
        assert made.status_code == 201
    async with hf.connect(url) as client:
        assert (await client.get("new")).input["sealed_by"] == "2026-11"
        row = (await client.core.store.find_runs("default", ["new"]))[0]
        with pytest.raises(KeyMissing):
            echo.signature.decode_input(row.input)


def test_the_problem_is_described() -> None:
    described = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text("utf-8")
    assert "`value-sealed` | 409" in described
    assert json.dumps(WORD) not in described
