"""Events over HTTP: our own, and CloudEvents 1.0 in each of their modes."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent

from tests.api.kit import V1, Served, problem

EVENTS = f"{V1}/events"
ATTRIBUTES = {"type": "shipped", "source": "/shop", "id": "e-1", "subject": "o-1"}


@pytest.fixture
async def http(served: Served, worker: None) -> httpx.AsyncClient:
    return served.http()


async def waiting(http: httpx.AsyncClient, key: str, run_id: str) -> None:
    await http.post(f"{V1}/workflows/waits/runs", json={"input": {"key": key}, "id": run_id})


async def output(http: httpx.AsyncClient, run_id: str) -> Any:
    run = (await http.get(f"{V1}/runs/{run_id}", params={"wait": 8})).json()
    assert run["status"] == "succeeded", run
    return run["output"]


async def test_an_event_reaches_the_run_that_waits(http: httpx.AsyncClient) -> None:
    await waiting(http, "o-1", "w")
    sent = await http.post(EVENTS, json={"name": "shipped", "key": "o-1", "payload": {"n": [1, None, "x"]}})
    assert sent.status_code == 200
    assert await output(http, "w") == {"n": [1, None, "x"]}


async def test_an_event_with_an_id_is_sent_once(http: httpx.AsyncClient) -> None:
    body = {"name": "shipped", "key": 7, "payload": 1, "id": "e-1", "keep": "1h", "to": "all"}
    created = [(await http.post(EVENTS, json=body)).json()["created"] for _ in range(2)]
    assert created == [True, False]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "x", "to": "nobody"}, "/to"),
        ({"name": "x", "keep": []}, "/keep"),
        ({"name": "x", "key": "a\0"}, "/key"),
        ({"name": "x", "nmae": 1}, "/nmae"),
    ],
)
async def test_what_is_no_event_is_refused(http: httpx.AsyncClient, body: dict[str, Any], pointer: str) -> None:
    found = problem(await http.post(EVENTS, json=body), 422, "invalid-request")
    assert any(place["pointer"].startswith(pointer) for place in found["errors"])


async def test_a_duration_that_is_none_is_refused(http: httpx.AsyncClient) -> None:
    problem(await http.post(EVENTS, json={"name": "x", "keep": "soon"}), 422, "invalid-request")


@pytest.mark.parametrize("data", [{"n": 1}, [1], "text", 5, None, {"<b>": "\u2028"}])
@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_cloud_events_of_the_usual_package_are_read(http: httpx.AsyncClient, mode: str, data: Any) -> None:
    await waiting(http, "o-1", "w")
    event = CloudEvent({**ATTRIBUTES, "datacontenttype": "application/json"}, data)
    headers, body = (to_structured if mode == "structured" else to_binary)(event)
    sent = await http.post(EVENTS, content=body or b"", headers=headers)
    assert sent.status_code == 200, sent.text
    assert await output(http, "w") == data
    again = await http.post(EVENTS, content=body or b"", headers=headers)
    assert again.json()["created"] is False  # its source and id name it


async def test_a_batch_is_sent_in_order(http: httpx.AsyncClient) -> None:
    batch = [{"specversion": "1.0", **ATTRIBUTES, "id": f"e-{n}", "data": n} for n in range(3)]
    kind = {"content-type": "application/cloudevents-batch+json"}
    for number in range(3):
        await waiting(http, "o-1", f"w-{number}")
    sent = await http.post(EVENTS, content=json.dumps(batch), headers=kind)
    assert [one["created"] for one in sent.json()["items"]] == [True, True, True]
    assert sorted([await output(http, f"w-{number}") for number in range(3)]) == [0, 1, 2]
    again = await http.post(EVENTS, content=json.dumps(batch), headers=kind)
    assert [one["created"] for one in again.json()["items"]] == [False, False, False]
    assert (await http.post(EVENTS, content=b"[]", headers=kind)).json() == {"items": []}


STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}
GOOD = {"specversion": "1.0", **ATTRIBUTES}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"specversion": None}, "/specversion"),
        ({"id": ""}, "/id"),
        ({"source": 5}, "/source"),
        ({"type": "x" * 513}, "/type"),
        ({"subject": ""}, "/subject"),
        ({"time": "noon"}, "/time"),
        ({"data_base64": "?"}, "/data_base64"),
        ({"data_base64": 5}, "/data_base64"),
        ({"data": 1, "data_base64": "AAAA"}, "/data_base64"),
    ],
)
async def test_what_is_no_cloud_event_is_refused(http: httpx.AsyncClient, change: dict[str, Any], pointer: str) -> None:
    found = problem(
        await http.post(EVENTS, content=json.dumps({**GOOD, **change}), headers=STRUCTURED), 422, "invalid-request"
    )
    assert [place["pointer"] for place in found["errors"]] == [pointer]
    batch = await http.post(
        EVENTS,
        content=json.dumps([GOOD, {**GOOD, **change}]),
        headers={"content-type": "application/cloudevents-batch+json"},
    )
    found = problem(batch, 422, "invalid-request")
    assert [place["pointer"] for place in found["errors"]] == [f"/1{pointer}"]


@pytest.mark.parametrize(
    ("more", "payload"),
    [
        ({"data_base64": "eyJhIjoxfQ=="}, {"a": 1}),
        ({"data_base64": "eyJhIjoxfQ==", "datacontenttype": "text/plain"}, '{"a":1}'),
        ({"data_base64": "//8=", "datacontenttype": "text/plain"}, "//8="),
        ({"data_base64": "AAE=", "datacontenttype": "application/octet-stream"}, "AAE="),
        ({"data": "<a/>", "datacontenttype": "application/xml"}, "<a/>"),
        ({"subject": None, "data": 1}, 1),
        ({}, None),
    ],
)
async def test_data_is_json_text_or_base64(http: httpx.AsyncClient, more: dict[str, Any], payload: Any) -> None:
    await waiting(http, "" if more.get("subject", "") is None else "o-1", "w")
    sent = await http.post(EVENTS, content=json.dumps({**GOOD, **more}), headers=STRUCTURED)
    assert sent.status_code == 200, sent.text
    if more.get("subject", "") is not None:
        assert await output(http, "w") == payload


@pytest.mark.parametrize(
    ("headers", "body", "payload"),
    [
        ({"content-type": "text/plain"}, "ä".encode(), "ä"),
        ({"content-type": "application/octet-stream"}, b"\x00\xff", "AP8="),
        ({"content-type": "application/json"}, b"[1]", [1]),
        ({}, b"", None),
    ],
)
async def test_data_is_the_body_in_binary_mode(
    http: httpx.AsyncClient, headers: dict[str, str], body: bytes, payload: Any
) -> None:
    await waiting(http, "ö 1", "w")
    attributes = {f"ce-{name}": value for name, value in GOOD.items()}
    sent = await http.post(EVENTS, content=body, headers={**attributes, "ce-subject": "%C3%B6%201", **headers})
    assert sent.status_code == 200, sent.text
    assert await output(http, "w") == payload


async def test_faults_in_headers_are_named(http: httpx.AsyncClient) -> None:
    attributes = {f"ce-{name}": value for name, value in GOOD.items()}
    for name, value in (("ce-type", ""), ("ce-specversion", "2"), ("ce-subject", "%ff"), ("ce-id", "")):
        found = problem(await http.post(EVENTS, headers={**attributes, name: value}), 422, "invalid-request")
        assert [place["parameter"] for place in found["errors"]] == [name]
    problem(
        await http.post(EVENTS, content=b"{", headers={**attributes, "content-type": "application/json"}),
        400,
        "malformed-body",
    )


async def test_a_batch_is_a_list_of_so_many(http: httpx.AsyncClient) -> None:
    kind = {"content-type": "application/cloudevents-batch+json"}
    problem(await http.post(EVENTS, content=b"{}", headers=kind), 422, "invalid-request")
    problem(await http.post(EVENTS, content=json.dumps([GOOD] * 1001), headers=kind), 422, "invalid-request")
    problem(await http.post(EVENTS, content=b"[5]", headers=kind), 422, "invalid-request")
    problem(await http.post(EVENTS, content=b"5", headers=STRUCTURED), 422, "invalid-request")


async def test_a_long_source_and_id_name_an_event_too(http: httpx.AsyncClient) -> None:
    body = json.dumps({**GOOD, "source": "/" + "s" * 600})
    created = [(await http.post(EVENTS, content=body, headers=STRUCTURED)).json()["created"] for _ in range(2)]
    assert created == [True, False]
