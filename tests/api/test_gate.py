"""What every request passes: hosts, origins, paths, headers; and that what nobody foresaw tells nothing."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from holdfast.api.gate import POLICY
from tests.api.kit import V1, Served, problem, serving

RUNS = f"{V1}/runs"


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8700", "127.0.0.1:1", "127.8.8.8", "[::1]:8700", "x.localhost"]
)
async def test_without_auth_it_answers_as_this_machine(http: httpx.AsyncClient, host: str) -> None:
    assert (await http.get(RUNS, headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8700", "10.0.0.1", "localhost.evil.example", "0.0.0.0", "", "127.0.0.1.evil"]
)
async def test_without_auth_it_answers_as_nobody_else(http: httpx.AsyncClient, host: str) -> None:
    problem(await http.get(RUNS, headers={"host": host}), 403, "wrong-host")
    problem(await http.post(f"{V1}/events", json={"name": "x"}, headers={"host": host}), 403, "wrong-host")
    for path in ("/healthz", "/readyz"):
        assert (await http.get(path, headers={"host": host})).status_code == 200
    problem(await http.get("/metrics", headers={"host": host}), 403, "wrong-host")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:9", "https://localhost.evil", ""])
async def test_without_auth_pages_of_other_sites_may_not_use_it(http: httpx.AsyncClient, origin: str) -> None:
    for method in ("GET", "POST"):
        response = await http.request(method, RUNS, headers={"host": "localhost:8700", "origin": origin})
        problem(response, 403, "wrong-origin")


@pytest.mark.parametrize("origin", ["http://localhost:8700", "HTTP://LOCALHOST:8700", "https://localhost:8700"])
async def test_its_own_pages_may(http: httpx.AsyncClient, origin: str) -> None:
    response = await http.get(RUNS, headers={"host": "localhost:8700", "origin": origin})
    assert response.status_code == 200


async def test_further_names_are_allowed() -> None:
    async with serving(allowed_hosts=("box.local",), public_url="https://runs.example.com") as served:
        http = served.http()
        assert (await http.get(RUNS, headers={"host": "BOX.local:80"})).status_code == 200
        response = await http.get(RUNS, headers={"host": "runs.example.com", "origin": "https://runs.example.com"})
        assert response.status_code == 200
        assert response.headers["strict-transport-security"] == "max-age=31536000"
        problem(await http.get(RUNS, headers={"host": "other.local"}), 403, "wrong-host")


async def test_with_auth_it_has_any_name(guarded: Served) -> None:
    http = guarded.http(await guarded.key("viewer"))
    response = await http.get(RUNS, headers={"host": "anything.example", "origin": "http://evil.example"})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


async def test_every_answer_has_the_headers(http: httpx.AsyncClient) -> None:
    for response in (
        await http.get(RUNS),
        await http.get("/nothing/here"),
        await http.get(RUNS, headers={"host": "evil"}),
        await http.post(RUNS),
        await http.get("/api/openapi.json"),
        await http.post(f"{V1}/events", content=b"{", headers={"content-type": "application/json"}),
    ):
        headers = response.headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] in ("no-store", "private, no-cache")
    for word in ("unsafe-inline", "unsafe-eval", "http:", "https:", "*"):
        assert word not in POLICY


@pytest.mark.parametrize("path", ["/api/v1/runs/a%00b", "/api/v1/runs/%ff", "/%c3%28", "/api/v1/runs/%00"])
async def test_a_path_that_is_no_text_is_refused(http: httpx.AsyncClient, path: str) -> None:
    problem(await http.get(path), 400, "malformed-request")


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/api/v2/runs", "/api/v1/runs/", "/api/v1//runs", "/docs", "/redoc"]
)
async def test_there_is_nothing_elsewhere(http: httpx.AsyncClient, path: str) -> None:
    problem(await http.get(path), 404, "not-found")


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "PUT", "OPTIONS", "TRACE", "BREW"])
async def test_another_method_is_told_which_there_are(http: httpx.AsyncClient, method: str) -> None:
    response = await http.request(method, RUNS)
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD"
    response = await http.request("PATCH", f"{V1}/schedules/x")
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "DELETE, GET, HEAD, PUT"


async def test_head_is_answered_as_get(http: httpx.AsyncClient) -> None:
    response = await http.head(RUNS)
    assert response.status_code == 200
    assert (await http.head(f"{V1}/runs/nope")).status_code == 404


@pytest.fixture
async def broken(served: Served) -> AsyncIterator[Served]:
    async def fails(*arguments: Any, **more: Any) -> Any:
        raise ZeroDivisionError("the secret of the house")

    store = served.server.core.store
    kept, store.list_lanes = store.list_lanes, fails  # type: ignore[method-assign]
    yield served
    store.list_lanes = kept  # type: ignore[method-assign]


async def test_what_nobody_foresaw_tells_nothing_but_its_id(
    broken: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("holdfast.store.values.store.SealedStore.under_policy", lambda self, tenant: self)
    http = broken.http()
    with caplog.at_level(logging.ERROR):
        response = await http.get(f"{V1}/lanes")
    found = problem(response, 500, "internal")
    assert "secret" not in response.text
    assert set(found) == {"type", "title", "status", "detail", "instance", "error_id"}
    assert found["error_id"] in caplog.text
    assert "the secret of the house" in caplog.text
    monkeypatch.setenv("HOLDFAST_DEBUG", "1")
    assert "ZeroDivisionError" in (await http.get(f"{V1}/lanes")).json()["trace"]


async def test_refusals_are_logged_by_id_and_without_what_was_sent(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "holdfast.api"):
        found = (await http.post(f"{V1}/events", json={"name": "x", "pin": "sesame-1234"})).json()
    assert found["error_id"] in caplog.text
    assert "sesame" not in caplog.text


async def test_a_database_that_is_away_is_said_and_tried_again(sqlite_url: str, tmp_path: Any) -> None:
    from holdfast.api import create_app

    folder = tmp_path / "later"
    app = create_app(f"sqlite:///{folder / 'x.db'}")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        response = await http.get(RUNS)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert (await http.get("/healthz")).status_code == 200
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        assert str(folder) not in ready.text
        folder.mkdir()
        assert (await http.get(RUNS)).status_code == 200
        app.state.holdfast.readiness.clear()
        assert (await http.get("/readyz")).json() == {
            "ready": True,
            "parts": {"database": "ok", "schema": "ok", "committer": "ok"},
        }
    await app.state.holdfast.close()
