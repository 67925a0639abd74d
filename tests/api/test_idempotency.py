"""Requests that name themselves: done once, however often and however close together they come."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from holdfast.api import replies
from holdfast.errors import StoreUnavailable
from tests.api.kit import V1, Served, problem, serving, working

START = f"{V1}/workflows/checkout/runs"
BODY = {"input": {"order_id": "o-1"}, "queue": "nobody"}


@pytest.fixture
async def http(served: Served, worker: None) -> httpx.AsyncClient:
    return served.http()


async def runs(http: httpx.AsyncClient) -> int:
    count: int = (await http.get(f"{V1}/runs:count")).json()["runs"]
    return count


async def test_the_same_request_is_answered_the_same(http: httpx.AsyncClient) -> None:
    first = await http.post(START, json=BODY, headers={"Idempotency-Key": "k-1"})
    again = await http.post(START, json=BODY, headers={"Idempotency-Key": '"k-1"'})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert await runs(http) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [(START, {"input": {"order_id": "o-2"}}), (f"{V1}/events", {"name": "x"}), (f"{START}:batch", BODY)],
)
async def test_another_request_with_the_same_key_is_refused(http: httpx.AsyncClient, path: str, body: Any) -> None:
    await http.post(START, json=BODY, headers={"Idempotency-Key": "k-1"})
    if body is not BODY:
        problem(await http.post(path, json=body, headers={"Idempotency-Key": "k-1"}), 422, "request-differs")
    assert await runs(http) == 1


async def test_requests_at_the_same_time_are_done_once(http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(http.post(START, json=BODY, headers={"Idempotency-Key": "k-1"}) for _ in range(20))
    )
    made = [one for one in answers if one.status_code == 201]
    assert made
    assert len({one.content for one in made}) == 1
    for one in answers:
        if one.status_code != 201:
            problem(one, 409, "request-under-way")
            assert one.headers["retry-after"] == "1"
    assert await runs(http) == 1


async def test_a_request_whose_answer_was_lost_makes_nothing_twice(
    served: Served, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*arguments: Any) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(served.server.core.store, "store_reply", lost)
        first = await http.post(START, json=BODY, headers={"Idempotency-Key": "k-1"})
    assert first.status_code == 201
    problem(await http.post(START, json=BODY, headers={"Idempotency-Key": "k-1"}), 409, "request-under-way")
    monkeypatch.setattr(replies, "STALE_SECONDS", -1)  # as after the minute that a crashed server is given
    again = await http.post(START, json=BODY, headers={"Idempotency-Key": "k-1"})
    assert again.status_code == 201
    assert again.json()["id"] == first.json()["id"]
    assert await runs(http) == 1


async def test_what_failed_on_our_side_may_be_tried_again(
    served: Served, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*arguments: Any, **more: Any) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr("holdfast.api.tenants.TenantClient.start_by_name", broken)
        response = await http.post(START, json=BODY, headers={"Idempotency-Key": "k-1"})
        problem(response, 503, "unavailable")
        assert response.headers["retry-after"] == "1"
    assert (await http.post(START, json=BODY, headers={"Idempotency-Key": "k-1"})).status_code == 201


async def test_a_refusal_is_kept_too(http: httpx.AsyncClient) -> None:
    path = f"{V1}/workflows/nope/runs"
    first = await http.post(path, json=BODY, headers={"Idempotency-Key": "k-1"})
    again = await http.post(path, json=BODY, headers={"Idempotency-Key": "k-1"})
    problem(first, 404, "workflow-unknown")
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "ä", "a\tb"])
async def test_a_key_that_is_none_is_refused(http: httpx.AsyncClient, key: str) -> None:
    response = await http.post(START, json=BODY, headers=[(b"Idempotency-Key", key.encode())])
    found = problem(response, 400, "malformed-request")
    assert found["errors"][0]["parameter"] == "Idempotency-Key"


async def test_every_actor_and_tenant_has_keys_of_its_own() -> None:
    async with serving(auth=True) as served, working(served):
        keys = [await served.key("operator"), await served.key("operator"), await served.key("operator", "acme")]
        made = [await served.http(key).post(START, json=BODY, headers={"Idempotency-Key": "k-1"}) for key in keys]
        assert [one.status_code for one in made] == [201, 201, 201]
        assert len({one.json()["id"] for one in made}) == 3


async def test_the_secret_of_a_key_is_not_kept_in_an_answer(served: Served, http: httpx.AsyncClient) -> None:
    body = {"name": "ci", "role": "viewer"}
    first = (await http.post(f"{V1}/keys", json=body, headers={"Idempotency-Key": "k-1"})).json()
    again = (await http.post(f"{V1}/keys", json=body, headers={"Idempotency-Key": "k-1"})).json()
    assert first["key"].startswith(f"hf_{first['prefix']}_")
    assert again == {**first, "key": None}
    assert len((await http.get(f"{V1}/keys")).json()["items"]) == 1


async def test_an_event_a_fork_and_a_job_are_made_once(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await http.post(START, json={**BODY, "id": "o-1"})
    asked = [
        ("runs/o-1/fork", None, lambda answer: answer["id"]),
        ("runs:bulk", {"action": "cancel", "where": "priority = 9"}, lambda answer: answer["id"]),
        ("events", {"name": "e"}, lambda answer: answer["created"]),
    ]
    monkeypatch.setattr(replies, "STALE_SECONDS", -1)
    monkeypatch.setattr("holdfast.api.replies._KEPT_HEADERS", ())

    async def forget(*arguments: Any) -> None:
        """As if the server had crashed before the answer was stored."""

    monkeypatch.setattr("holdfast.store.sqlite.store.SqliteStore.store_reply", forget)
    for path, body, name in asked:
        first = await http.post(f"{V1}/{path}", json=body, headers={"Idempotency-Key": path})
        again = await http.post(f"{V1}/{path}", json=body, headers={"Idempotency-Key": path})
        if path == "events":
            assert (name(first.json()), name(again.json())) == (True, False)
        else:
            assert name(first.json()) == name(again.json())
