"""The description of the API: complete, with examples, and true of what is mounted elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from holdfast.api import ServeConfig, create_app
from holdfast.api.problems import KINDS
from holdfast.api.routing import Route
from tests.api.kit import V1, Served, listening, memory, serving, working

PAGE = Path("docs/reference/http.md")


OPEN = ("/healthz", "/readyz", f"{V1}/webhooks/{{name}}")


def test_with_auth_it_says_who_may_ask() -> None:
    found = create_app(memory(), config=ServeConfig(auth=True)).openapi()
    assert set(found["components"]["securitySchemes"]) == {"key", "session"}
    for path, operations in found["paths"].items():
        for operation in operations.values():
            assert bool(operation["security"]) == (path not in OPEN), path


@pytest.fixture
def document() -> dict[str, Any]:
    made: dict[str, Any] = create_app(memory()).openapi()
    return made


async def test_it_is_openapi_3_1_with_everything_in_it(http: httpx.AsyncClient, document: dict[str, Any]) -> None:
    found = (await http.get("/api/openapi.json")).json()
    assert found == json.loads(json.dumps(document))
    assert found["openapi"].startswith("3.1")
    for path, operations in found["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert operation["operationId"]
            assert operation["responses"]["default"]["content"].keys() == {"application/problem+json"}
            assert "HTTPValidationError" not in json.dumps(operation)
            assert operation["security"] == []
            if path not in OPEN:
                assert operation["x-holdfast-role"] in ("viewer", "worker-of-items", "operator", "admin")


def test_every_thing_has_an_example_that_is_one(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        if "enum" in schema or name in ("Away", "StartOne", "WorkflowTerms"):
            continue
        [example] = schema["examples"]
        whole = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(whole).validate(example)
        if not name.startswith("Page_") and "required" in schema and name != "ProblemDocument":
            assert set(schema["required"]) <= set(example), name


def test_every_field_of_an_answer_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in ("RunView", "QueueView", "Page_RunView_", "Me", "UserView", "ProblemDocument", "Explanation"):
        described = [field for field, schema in schemas[name]["properties"].items() if "description" in schema]
        assert len(described) >= len(schemas[name]["properties"]) / 3, name
        assert schemas[name]["description"]


def test_names_that_fit_no_pattern_are_refused_as_it_says(document: dict[str, Any]) -> None:
    def inside(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            yield value
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from inside(inner)

    named = [one for one in inside(document) if "patternProperties" in one]
    assert named
    assert [one for one in named if one.get("additionalProperties") is not False] == []


async def test_it_says_which_character_the_name_of_a_queue_may_not_hold(
    http: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    [name] = document["paths"][f"{V1}/queues/{{name}}"]["get"]["parameters"]
    described = document["components"]["schemas"]["StartRun"]["properties"]["queue"]["anyOf"][0]
    for pattern in (name["schema"]["pattern"], described["pattern"]):
        assert re.search(pattern, "gpu")
        assert not re.search(pattern, "g\x1fpu")
    refused = await http.get(f"{V1}/queues/g%1Fpu")
    assert refused.status_code == 422
    assert "control character" in refused.json()["detail"]


@pytest.mark.parametrize("blank", [" ", "\t\n", "\x1c", "\x85", "\xa0", "\u2028", "\ufeff"])
async def test_a_reason_of_white_space_is_none_whoever_reads_the_pattern(
    http: httpx.AsyncClient, document: dict[str, Any], blank: str
) -> None:
    schemas = document["components"]["schemas"]
    for name, field in (("DiscardMessage", "reason"), ("DiscardEntry", "reason"), ("ChatTurn", "message")):
        pattern = schemas[name]["properties"][field]["pattern"]
        assert not re.search(pattern, blank)
        assert re.search(pattern, f"{blank}why{blank}")
        # What is white space to ECMAScript and not to others, and the other way round, is named.
        assert not re.search(pattern.replace(r"\s", " \t\n\xa0\u2028"), blank)
    refused = await http.post(f"{V1}/outbox/m/discard", json={"reason": blank})
    assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[-1]) == (422, "invalid-request")


def test_the_page_names_every_route_and_every_problem(document: dict[str, Any]) -> None:
    page = PAGE.read_text()
    for route in create_app(memory()).routes:
        assert isinstance(route, Route)
        [method] = route.methods or ()
        assert f"`{method} {route.path_format}`" in page, f"{method} {route.path_format}"
    for kind, (status, _) in KINDS.items():
        assert re.search(rf"^\| `{kind}` \| {status} \|", page, re.MULTILINE), kind
    known = set(re.findall(r"^\| `([a-z-]+)` \| \d\d\d \|", page, re.MULTILINE))
    assert known == set(KINDS)


@pytest.mark.parametrize("lifespan", [True, False])
@pytest.mark.parametrize("outer", ["starlette", "fastapi"])
async def test_it_is_mounted_in_another_application(outer: str, lifespan: bool) -> None:
    inner = create_app(memory())
    whole: Any = FastAPI() if outer == "fastapi" else Starlette(routes=[Mount("/hold/fast", inner)])
    if outer == "fastapi":
        whole.mount("/hold/fast", inner)
    served = Served(inner, inner.state.holdfast.url)
    try:
        # Neither runs the inner lifespan: it opens at the first request, whoever asks first and how many at a time.
        async with listening(whole) as address, httpx.AsyncClient(base_url=address, verify=False) as http:
            assert not served.server.is_open
            if lifespan:
                assert (await http.get("/hold/fast/readyz")).json()["ready"] is True
            async with working(served):
                made = await http.post(
                    f"/hold/fast{V1}/workflows/checkout/runs", json={"input": {"order_id": "o"}, "id": "a/b"}
                )
                assert made.status_code == 201, made.text
                assert made.headers["location"] == f"/hold/fast{V1}/runs/a%2Fb"
                assert (await http.get(made.headers["location"], params={"wait": 8})).json()["status"] == "succeeded"
                assert len((await http.get(f"{made.headers['location']}/journal")).json()["items"]) == 1
            found = (await http.get("/hold/fast/api/openapi.json")).json()
            assert found["servers"] == [{"url": "/hold/fast"}]
            missing = await http.get(f"/hold/fast{V1}/nothing")
            assert (missing.status_code, missing.json()["instance"]) == (404, f"/hold/fast{V1}/nothing")
            assert (await http.get("/elsewhere")).status_code == 404
    finally:
        await served.server.close()


async def test_a_server_in_front_may_name_the_place() -> None:
    async with serving() as served, working(served):
        transport = httpx.ASGITransport(served.app, root_path="/shop")
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            body = {"input": {"order_id": "o"}, "id": "x/y"}
            made = await http.post(f"/shop{V1}/workflows/checkout/runs", json=body)
            assert made.headers["location"] == f"/shop{V1}/runs/x%2Fy"
            assert (await http.get(made.headers["location"])).status_code == 200


def test_importing_holdfast_needs_no_web_framework() -> None:
    import subprocess
    import sys

    code = "import sys, holdfast, holdfast.api; assert not {'fastapi', 'starlette', 'joserfc'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
