"""Webhooks that come in: genuine ones do what they stand for, once; others do nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from holdfast.api import WebhookConfig
from tests.api.kit import V1, Served, problem, serving, working

SECRET, OLDER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = {"type": "parcel.shipped", "data": {"order": {"id": "o-1"}, "parcels": [{"no": "p-9"}]}}


@pytest.fixture
async def shop() -> AsyncIterator[Served]:
    hooks = {
        "event": WebhookConfig(secret=f"{SECRET} {OLDER}", event="shipped", key="data.order.id"),
        "part": WebhookConfig(
            secret=SECRET, event="shipped", key="$.data.order.id", input={"payload": "data.parcels.0.no"}
        ),
        "start": WebhookConfig(
            secret=SECRET, workflow="checkout", id="data.order.id", input={"order_id": "data.order.id"}, tenant="acme"
        ),
        "whole": WebhookConfig(secret=SECRET, workflow="checkout"),
    }
    async with serving(auth=True, webhooks=hooks) as made, working(made):
        yield made


def signed(
    body: Any, id: str = "msg_1", secret: str = SECRET, at: datetime | None = None
) -> tuple[bytes, dict[str, str]]:
    data = json.dumps(body).encode()
    when = at or datetime.now(UTC)
    headers = {
        "webhook-id": id,
        "webhook-timestamp": str(int(when.timestamp())),
        "webhook-signature": Webhook(secret).sign(id, when, data.decode()),
        "content-type": "application/json",
    }
    return data, headers


async def send(http: httpx.AsyncClient, name: str, data: bytes, headers: dict[str, str]) -> httpx.Response:
    return await http.post(f"{V1}/webhooks/{name}", content=data, headers=headers)


async def test_one_sends_an_event_once_however_often_it_comes(shop: Served) -> None:
    client, http = shop.local(), shop.http()
    await client.start_named("waits", {"key": "o-1"}, id="w")
    found = [(await send(http, "event", *signed(BODY))).json() for _ in range(3)]
    assert found == [{"run": None, "created": True}] + [{"run": None, "created": False}] * 2
    run: Any = await client.handle("w")
    assert await run.result(20) == BODY
    assert (await send(http, "event", *signed(BODY, id="msg_2"))).json()["created"] is True


async def test_the_payload_may_be_a_part(shop: Served) -> None:
    client = shop.local()
    await client.start_named("waits", {"key": "o-1"}, id="w")
    assert (await send(shop.http(), "part", *signed(BODY))).status_code == 200
    run: Any = await client.handle("w")
    assert await run.result(20) == "p-9"


async def test_one_starts_a_run_once(shop: Served) -> None:
    client, http = shop.local("acme"), shop.http()
    found = [(await send(http, "start", *signed(BODY))).json() for _ in range(2)]
    assert found == [{"run": "o-1", "created": True}, {"run": "o-1", "created": False}]
    assert (await client.get("o-1")).input == {"order_id": "o-1", "cents": 500}
    [audit] = await client.audit()
    assert (audit.actor, audit.action, audit.target) == ("webhook:start", "run.start", "o-1")
    whole = [(await send(http, "whole", *signed({"order_id": "x"}))).json() for _ in range(2)]
    assert [one["run"] for one in whole] == ["webhook/whole/msg_1"] * 2
    assert [one["created"] for one in whole] == [True, False]


async def test_an_event_may_be_named_by_the_body(shop: Served) -> None:
    hook = WebhookConfig(secret=SECRET, event="shipped", id="data.order.id")
    shop.server.config.webhooks["named"] = hook  # type: ignore[index]
    found = [(await send(shop.http(), "named", *signed(BODY, id=f"msg_{n}"))).json()["created"] for n in range(2)]
    assert found == [True, False]


async def test_the_older_secret_is_good_while_one_replaces_another(shop: Served) -> None:
    assert (await send(shop.http(), "event", *signed(BODY, secret=OLDER))).status_code == 200
    problem(await send(shop.http(), "part", *signed(BODY, secret=OLDER)), 401, "webhook-refused")


@pytest.mark.parametrize("age", [timedelta(minutes=6), timedelta(minutes=-6), timedelta(days=400)])
async def test_one_that_is_too_old_or_of_the_future_is_refused(shop: Served, age: timedelta) -> None:
    response = await send(shop.http(), "event", *signed(BODY, at=datetime.now(UTC) - age))
    problem(response, 401, "webhook-refused")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-id", "msg_2"),
        ("webhook-id", None),
        ("webhook-timestamp", "0"),
        ("webhook-timestamp", "nan"),
        ("webhook-timestamp", "x"),
        ("webhook-timestamp", None),
        ("webhook-signature", None),
        ("webhook-signature", ""),
        ("webhook-signature", "v1"),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "v1,?"),
        ("webhook-signature", "v1a,AAAA"),
        ("webhook-signature", "v1," + "A" * 44),
        ("webhook-signature", "a,b,c"),
    ],
)
async def test_one_that_is_not_genuine_is_refused(shop: Served, header: str, value: str | None) -> None:
    data, headers = signed(BODY)
    del headers[header]
    if value is not None:
        headers[header] = value
    problem(await send(shop.http(), "event", data, headers), 401, "webhook-refused")


async def test_a_body_that_was_changed_is_refused(shop: Served) -> None:
    data, headers = signed(BODY)
    problem(await send(shop.http(), "event", data + b" ", headers), 401, "webhook-refused")
    problem(await send(shop.http(), "event", b"\xff", headers), 401, "webhook-refused")
    problem(await send(shop.http(), "event", b"", headers), 401, "webhook-refused")


async def test_a_key_is_no_signature(shop: Served) -> None:
    http = shop.http(await shop.key("admin"))
    problem(await http.post(f"{V1}/webhooks/event", json=BODY), 401, "webhook-refused")


async def test_one_that_is_not_configured_is_not_there(shop: Served) -> None:
    problem(await send(shop.http(), "nope", *signed(BODY)), 404, "not-found")


@pytest.mark.parametrize(
    ("name", "body", "pointer"),
    [
        ("event", {"data": {}}, "/data/order/id"),
        ("event", {"data": {"order": {"id": [1]}}}, "/data/order/id"),
        ("event", [], "/data/order/id"),
        ("part", {"data": {"order": {"id": "x"}, "parcels": []}}, "/data/parcels/0/no"),
        ("start", {"data": {"order": {"id": None}}}, "/data/order/id"),
        ("whole", [1], ""),
    ],
)
async def test_a_body_with_nothing_where_it_is_looked_for_is_refused(
    shop: Served, name: str, body: Any, pointer: str
) -> None:
    found = problem(await send(shop.http(), name, *signed(body)), 422, "invalid-request")
    assert [place["pointer"] for place in found["errors"]] == [pointer]


async def test_json_is_read_as_strictly_as_elsewhere(shop: Served) -> None:
    data = b'{"a": 1, "a": 2}'
    when = datetime.now(UTC)
    headers = {
        "webhook-id": "m",
        "webhook-timestamp": str(int(when.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("m", when, data.decode()),
    }
    problem(await send(shop.http(), "event", data, headers), 400, "malformed-body")


async def test_a_long_id_names_one_too(shop: Served) -> None:
    found = [(await send(shop.http(), "event", *signed(BODY, id="m" * 600))).json()["created"] for _ in range(2)]
    assert found == [True, False]
