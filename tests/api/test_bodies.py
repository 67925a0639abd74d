"""Bodies that are none: each is refused with a clear answer, and none with an error of ours."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api import bodies
from holdfast.api.problems import Refused
from tests.api.kit import V1, problem, serving, working

START = f"{V1}/workflows/checkout/runs"
PUT = f"{V1}/queues/default"
JSON = {"content-type": "application/json"}

DEEP = b"[" * 101 + b"]" * 101
NOT_DEEP = b'{"input": {"order_id": "' + b"[{" * 500 + b'\\"]"}}'

MALFORMED = [
    b"{",
    b"nope",
    b'{"input": {}} x',
    b"{'input': {}}",
    b'{"input": NaN}',
    b'{"input": Infinity}',
    b'{"priority": 1e999}',
    b'{"input": {}, "input": {}}',
    b'{"input": {"a": {"b": 1, "b": 2}}}',
    b'{"id": "\\ud800"}',
    b'{"id": "a\x00b"}',
    b'{"id": "\xff"}',
    '{"id": "ü"}'.encode("latin-1"),
    '{"input": {}}'.encode("utf-16"),
    b"\xef\xbb\xbf{}",
    DEEP,
    b'{"input": ' * 5000 + b"{}" + b"}" * 5000,
    b'{"priority": ' + b"9" * 5000 + b"}",
    b"\x00",
    b"   ",
]


@pytest.fixture
async def http(served: Any, worker: None) -> httpx.AsyncClient:
    client: httpx.AsyncClient = served.http()
    return client


@pytest.mark.parametrize("body", MALFORMED)
async def test_what_is_no_json_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    for method, path in (("POST", START), ("PUT", PUT), ("POST", f"{V1}/events")):
        found = problem(await http.request(method, path, content=body, headers=JSON), 400, "malformed-body")
        assert found["errors"][0]["pointer"] == ""


async def test_brackets_in_texts_are_no_depth(http: httpx.AsyncClient) -> None:
    response = await http.post(START, content=NOT_DEEP, headers=JSON)
    assert response.status_code == 201


@pytest.mark.parametrize("depth", [100, 101])
async def test_a_body_is_so_deep_and_no_deeper(http: httpx.AsyncClient, depth: int) -> None:
    # The object, its input, and the rest of them in an argument.
    inner = b"[" * (depth - 3) + b"]" * (depth - 3)
    body = b'{"input": {"order_id": {"a": ' + inner + b"}}}"
    response = await http.post(START, content=body, headers=JSON)
    kind = ("input-refused", 409) if depth == 100 else ("malformed-body", 400)
    problem(response, kind[1], kind[0])


@pytest.mark.parametrize(
    "header", [None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "json", ""]
)
async def test_what_says_that_it_is_something_else_is_refused(http: httpx.AsyncClient, header: str | None) -> None:
    headers = {} if header is None else {"content-type": header}
    for method, path in (("POST", START), ("PUT", PUT), ("POST", f"{V1}/events")):
        response = await http.request(method, path, content=b'{"input": {"order_id": "x"}}', headers=headers)
        problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "header",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"],
)
async def test_json_is_json_however_it_is_said(http: httpx.AsyncClient, header: str) -> None:
    body = b'{"input": {"order_id": "x"}}'
    assert (await http.post(START, content=body, headers={"content-type": header})).status_code == 201


async def test_a_body_that_is_missing_is_missed(http: httpx.AsyncClient) -> None:
    problem(await http.post(START, headers=JSON), 400, "malformed-body")
    problem(await http.put(PUT, headers=JSON), 422, "invalid-request")


@pytest.mark.parametrize("body", [b"null", b"5", b'"x"', b"[]", b"true"])
async def test_json_that_is_no_object_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    problem(await http.post(START, content=body, headers=JSON), 422, "invalid-request")


async def test_markup_comes_back_as_it_was(http: httpx.AsyncClient) -> None:
    text = "<script>alert('x')</script>\u2028&\"'"
    response = await http.post(START, json={"input": {"order_id": text}, "id": text})
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.json()["input"]["order_id"] == text


async def test_a_huge_whole_number_comes_back_or_is_refused(http: httpx.AsyncClient) -> None:
    body = b'{"input": {"order_id": "x", "cents": ' + b"9" * 400 + b"}}"
    response = await http.post(START, content=body, headers=JSON)
    if response.status_code == 201:
        assert response.json()["input"]["cents"] == int("9" * 400)
    else:
        problem(response, 409, "input-refused")


async def test_what_is_wrong_is_told_in_short(http: httpx.AsyncClient) -> None:
    response = await http.post(START, json={"input": {"order_id": ["x" * 100_000]}})
    problem(response, 409, "input-refused")
    assert len(response.content) < 10_000


@pytest.fixture
async def small() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(max_body=1000) as served, working(served):
        yield served.http()


async def test_a_body_that_is_too_large_is_refused(small: httpx.AsyncClient) -> None:
    body = json.dumps({"input": {"order_id": "x" * 2000}}).encode()
    assert (await small.post(START, content=body[:900].ljust(1000), headers=JSON)).status_code == 400

    async def parts() -> AsyncIterator[bytes]:
        for first in range(0, len(body), 100):
            yield body[first : first + 100]

    for content in (body, parts()):  # with its length said, and without
        found = problem(await small.post(START, content=content, headers=JSON), 413, "body-too-large")
        assert found["max_bytes"] == 1000
    problem(await small.post(f"{V1}/runs/x/retry", content=body), 413, "body-too-large")


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999999999999999"])
async def test_a_length_that_is_none_is_refused(small: httpx.AsyncClient, length: str) -> None:
    response = await small.post(START, content=b"{}", headers={**JSON, "content-length": length})
    assert response.status_code in (400, 413)
    assert response.headers["content-type"] == "application/problem+json"


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(plain)
def test_what_json_can_say_is_read_as_it_is(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert bodies.parse(text.encode()) == value


@given(st.binary() | st.text().map(str.encode) | st.text(alphabet='{}[]",:0123456789eE+-. \\untfalsr').map(str.encode))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(Refused):
        assert bodies.parse(data) == json.loads(data)


async def test_a_long_body_is_read_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LARGE_BYTES", 10)
    assert await bodies.parsed(b'{"a": [1, 2, 3, 4]}') == {"a": [1, 2, 3, 4]}
    with pytest.raises(Refused):
        await bodies.parsed(b'{"a": [1, 2, 3, 4')
