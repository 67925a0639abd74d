"""What the server says of itself: alive, ready, and figures."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast.errors import StoreUnavailable
from tests.api.kit import V1, Served


async def figures(http: httpx.AsyncClient) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    response = await http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


async def test_requests_are_counted_by_route_and_status(http: httpx.AsyncClient, worker: None) -> None:
    for _ in range(3):
        await http.get(f"{V1}/runs/secret-id")
    await http.get("/no/such/path")
    found = await figures(http)
    route = (("method", "GET"), ("route", f"{V1}/runs/{{run_id}}"))
    assert found["holdfast_http_requests_total"][(*route, ("status", "404"))] == 3
    assert found["holdfast_http_request_duration_seconds_count"][route] == 3
    assert found["holdfast_http_requests_total"][("method", "-"), ("route", "-"), ("status", "404")] == 1
    assert "secret-id" not in str(found)
    assert found["holdfast_workers"][(("state", "alive"),)] == 1
    assert found["holdfast_http_live_clients"][()] == 0


async def test_the_database_is_looked_at_once_in_a_while(
    served: Served, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await served.local().set_queue("nobody", total=2)
    looked = 0
    stranded = served.server.core.store.stranded

    async def counted(cap: int) -> Any:
        nonlocal looked
        looked += 1
        return await stranded(cap)

    monkeypatch.setattr(served.server.core.store, "stranded", counted)
    await asyncio.gather(*(figures(http) for _ in range(10)))
    assert looked == 1
    found = await figures(http)
    assert found["holdfast_queue_ready"][(("queue", "nobody"),)] == 0


async def test_a_committer_that_cannot_write_is_told(
    served: Served, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await http.get("/readyz")).status_code == 200
    served.server.core.committer.trouble = StoreUnavailable("disk is full at /secret/place")
    served.server.readiness.clear()
    response = await http.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {
        "ready": False,
        "parts": {"database": "ok", "schema": "ok", "committer": "cannot write, and tries again"},
    }
    served.server.core.committer.trouble = None
    with caplog.at_level(logging.WARNING):
        served.server.readiness.clear()
        assert (await http.get("/readyz")).status_code == 200


async def test_a_database_that_does_not_answer_is_told(
    served: Served, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs() -> int:
        await asyncio.sleep(60)
        return 0

    monkeypatch.setattr("holdfast.api.routes.health.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(served.server.core.store, "now", hangs)
    response = await http.get("/readyz")
    assert (response.status_code, response.json()["parts"]["database"]) == (503, "does not answer")
    assert (await http.get("/healthz")).json() == {"status": "ok"}
