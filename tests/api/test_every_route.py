"""Every route, over every store: that it answers what it says, and to nobody who may not ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import jsonschema
import pytest

from holdfast.api.routing import Route
from holdfast.model.access import Role
from tests.api.kit import V1, Served, problem, working
from tests.api.scene import AGENTS, ELSEWHERE, MARK, RUN, SCENE, Ask
from tests.api.talk_kit import talking


@pytest.fixture
async def acme(disk_url: str) -> AsyncIterator[Served]:
    """A server with keys, for several tenants; the first tenant's people may change what all share."""
    async with talking(url=disk_url, auth=True, shared_tenants=("acme",)) as made, working(made):
        yield made


def routes(served: Served) -> list[Route]:
    return [route for route in served.app.routes if isinstance(route, Route)]


async def ask(
    http: httpx.AsyncClient, asked: Ask, prefix: str = "00000000", conversation: str = "c-1"
) -> httpx.Response:
    path = asked.path.replace("{prefix}", prefix).replace("{conversation}", conversation)
    return await http.request(asked.method, path, json=asked.json)


def check_schema(document: dict[str, Any], route: Route, response: httpx.Response) -> None:
    """The answer is what the description says of it."""
    [method] = route.methods or ()
    operation = document["paths"][route.path_format][method.lower()]
    found = operation["responses"].get(str(response.status_code))
    assert found is not None, f"{route.operation_id} answers {response.status_code}, of which nothing is said"
    content = found.get("content", {})
    kind = response.headers.get("content-type", "").partition(";")[0]
    assert (kind in content or "*/*" in content) if kind else not content, route.operation_id
    assert len(content) <= (2 if route.operation_id in ("orchestrate_chat", "take_turn") else 1), route.operation_id
    if kind == "application/json":
        schema = {**content[kind]["schema"], "components": document["components"]}
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER).validate(
            response.json()
        )


async def play(served: Served, http: httpx.AsyncClient) -> list[tuple[Ask, httpx.Response]]:
    """The whole scene; each request is answered as it should be."""
    document = served.app.openapi()
    by_name = {route.operation_id: route for route in routes(served)}
    played, prefix, conversation = [], "", ""
    for asked in SCENE:
        response = await ask(http, asked, prefix, conversation)
        assert response.status_code == asked.status, (asked, response.text)
        if asked.operation == "create_key":
            prefix = response.json()["prefix"]
        if asked.operation == "orchestrate_chat":
            conversation = response.json()["conversationId"]
        if by_name[asked.operation].include_in_schema:
            check_schema(document, by_name[asked.operation], response)
        played.append((asked, response))
    return played


@pytest.mark.slow
async def test_every_route_answers_what_it_says(acme: Served) -> None:
    http = acme.http(await acme.key("admin", "acme"))
    await play(acme, http)
    assert {asked.operation for asked in [*SCENE, *ELSEWHERE]} == {route.operation_id for route in routes(acme)}


@pytest.mark.slow
async def test_another_tenant_finds_nothing(acme: Served) -> None:
    ours = acme.http(await acme.key("admin", "acme"))
    theirs = acme.http(await acme.key("admin", "mallory"))
    prefix = (await acme.local("acme").create_key(MARK, role="viewer")).view.prefix
    await acme.local("acme").put_user(MARK, role="viewer")
    conversation = ""
    for asked in SCENE:
        if asked.operation in ("put_schedule", "start_run", "put_view", "set_queue", "publish_message"):
            await ask(ours, asked)
        elif asked.operation == "orchestrate_chat":
            conversation = (await ask(ours, asked)).json()["conversationId"]
    for asked in AGENTS:
        assert (await ask(ours, asked)).status_code == 200
    shared = {route.operation_id for route in routes(acme) if route.shared}
    for asked in [*SCENE, *ELSEWHERE]:
        if asked.operation in shared:
            problem(await ask(theirs, asked), 403, "forbidden")
        elif asked.names:
            response = await ask(theirs, asked, prefix, conversation)
            assert response.status_code == 404, (asked, response.status_code, response.text)
        elif asked.method == "GET" and asked not in ELSEWHERE:
            response = await ask(theirs, asked)
            assert response.status_code == 200, asked
            assert MARK not in response.text, asked
    # What is made under the same names is another thing.
    for name in ("start_run", "put_schedule"):
        [asked] = [one for one in SCENE if one.operation == name]
        assert (await ask(theirs, asked)).status_code == 201
    # And nothing of ours was touched.
    assert (await ours.get(RUN)).json()["status"] in ("queued", "running", "waiting")
    assert (await ours.get(f"{V1}/schedules/{MARK}")).json()["paused"] is False
    assert (await ours.get(f"{V1}/conversations/{conversation}")).json()["status"] == "open"
    assert (await ours.get(f"{V1}/users/{MARK}")).status_code == 200
    assert (await ours.get(f"{V1}/keys")).json()["items"][-1]["revoked_at"] is None
    event = {"name": "shipped", "key": MARK, "payload": 1}
    assert (await theirs.post(f"{V1}/events", json=event)).json()["waits"] in (0, 1)
    assert (await ours.get(RUN)).json()["status"] in ("queued", "running", "waiting")
    assert (await theirs.get(f"{V1}/runs:count")).json()["runs"] == 1
    assert (await theirs.post(f"{V1}/runs:outcomes", json={"ids": [f"{MARK}/2"]})).json()["missing"] == [f"{MARK}/2"]


async def test_nobody_without_good_credentials_is_answered(guarded: Served) -> None:
    open_to_all = {route.operation_id for route in routes(guarded) if route.needs is None}
    signing = {"begin_sign_in", "finish_sign_in"}
    assert open_to_all == {"healthz", "readyz", "openapi", "receive_webhook"} | signing
    good = await guarded.key("admin")
    revoked = await guarded.local().create_key("revoked", role="admin")
    await guarded.local().revoke_key(revoked.view.prefix)
    for header in (
        None,
        "Bearer",
        "Bearer ",
        f"Bearer {good[:-1]}x",
        f"Bearer hf_zzzzzzzz_{good[-40:]}",
        "Bearer hf_",
        "Bearer a.b.c",
        f"Basic {good}",
        good,
        f"Bearer {revoked.key}",
        "Bearer é",
    ):
        http = guarded.http()
        http.headers = httpx.Headers({} if header is None else {"Authorization": header}, encoding="utf-8")
        asked = [*SCENE, *ELSEWHERE] if header is None else SCENE[3:8]
        for one in asked:
            response = await ask(http, one)
            if one.operation in ("healthz", "readyz", "openapi"):
                assert response.status_code == 200
            elif one.operation not in {"receive_webhook"} | signing:
                found = problem(response, 401, "unauthorised")
                assert "hf_" not in found["detail"]
                assert response.headers["www-authenticate"].startswith("Bearer")


async def test_each_role_does_what_it_may_and_no_more(guarded: Served) -> None:
    by_name = {route.operation_id: route for route in routes(guarded)}
    for role in Role:
        http = guarded.http(await guarded.key(role))
        for asked in [*SCENE, *ELSEWHERE]:
            needs = by_name[asked.operation].needs
            if needs is not None and not role.includes(needs):
                problem(await ask(http, asked), 403, "forbidden")
            elif asked.operation not in ("follow_list", "follow_topic", "create_item"):
                assert (await ask(http, asked)).status_code not in (401, 403), (role, asked)


MOVES = {
    "create_item", "start_item", "stop_item", "complete_item", "snooze_item", "wake_item", "skip_item", "reject_item",
    "escalate_item", "acknowledge_item", "claim_item", "claim_next_item", "release_item", "save_item_data",
    "replace_item_data", "snooze_execution", "skip_execution", "escalate_execution", "patch_execution_status",
    "orchestrate_chat", "take_turn", "end_conversation", "abandon_conversation",
}  # fmt: skip
"""What whoever does work items may change, and conversations of their own."""


async def test_every_route_names_the_role_it_needs(guarded: Served) -> None:
    for route in guarded.app.routes:
        assert isinstance(route, Route), f"{route} does not say who may use it"
        [method] = route.methods or ()
        changes = method != "GET" and route.operation_id not in ("put_view", "delete_view", "get_outcomes")
        if changes and route.operation_id != "receive_webhook":
            assert route.needs is not None
            assert route.needs.includes(Role.ITEMS if route.operation_id in MOVES else Role.OPERATOR), route


async def test_what_all_tenants_share_is_changed_by_those_who_may(served: Served) -> None:
    shared = {route.operation_id for route in routes(served) if route.shared}
    queues = {"set_queue", "pause_queue", "resume_queue"}
    assert shared == {"pause_workflow", "resume_workflow", "set_retention", "drain_worker"} | queues
