"""Conversations over HTTP: turns, what is refused and how, and what is looked at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

import holdfast as hf
from tests.api.kit import V1, Served, problem
from tests.api.talk_kit import CHAT, Scripted, dialogue, said, talking


@pytest.fixture
async def talk() -> AsyncIterator[Served]:
    """A server with conversations, in memory, without auth."""
    async with talking() as made:
        yield made


@pytest.fixture
async def http(talk: Served) -> httpx.AsyncClient:
    return talk.http()


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
async def anywhere(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """The same over each state store, with auth."""
    url: str | None = None
    state = ""
    if request.param == "sqlite":
        url = request.getfixturevalue("sqlite_url")
    elif request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
    elif request.param == "redis":
        state = request.getfixturevalue("redis_url")
    async with talking(url=url, state_url=state, auth=True) as made:
        yield made


async def test_a_dialogue_from_its_first_turn_to_its_end(anywhere: Served) -> None:
    http = anywhere.http(await anywhere.key("worker-of-items"))
    first = (await said(http, "acme")).json()
    conversation = first["conversationId"]
    assert first == {
        "conversationId": conversation,
        "messages": [{"role": "assistant", "content": "How many seats?"}],
        "extractedPayload": {"company": "Acme"},
        "latencyMs": first["latencyMs"],
        "workflowState": {"data": {}, "collected": {"company": "Acme"}, "passed": []},
        "progress": {"currentStep": "seats", "totalSteps": 4, "percentComplete": 25},
        "turn": {
            "number": 1, "id": first["turn"]["id"], "stateChanged": True, "collected": {"company": "Acme"},
            "refused": {},
        },
        "status": "open",
        "started": [],
        "completed": [],
    }  # fmt: skip
    await said(http, "ten", conversation)
    third = await http.post(f"{V1}/conversations/{conversation}/turns", json={"message": "no note", "turn_id": "t3"})
    found = third.json()
    assert (found["number"], found["id"], found["progress"]["current_step"]) == (3, "t3", "confirm")
    last = (await said(http, "yes", conversation)).json()
    assert (last["status"], last["progress"]["currentStep"], last["progress"]["percentComplete"]) == (
        "ended", None, 100,
    )  # fmt: skip
    refused = problem(await said(http, "more", conversation), 409, "conversation-ended")
    assert refused["conversation_id"] == conversation

    looked = await http.get(f"{V1}/conversations/{conversation}")
    view = looked.json()
    assert (view["id"], view["status"], view["turns"], view["expired"]) == (conversation, "ended", 4, False)
    tag = {"If-None-Match": looked.headers["etag"]}
    assert (await http.get(f"{V1}/conversations/{conversation}", headers=tag)).status_code == 304
    turns = (await http.get(f"{V1}/conversations/{conversation}/turns", params={"limit": 3})).json()
    assert [one["number"] for one in turns["items"]] == [1, 2, 3]
    rest = await http.get(f"{V1}/conversations/{conversation}/turns", params={"limit": 3, "cursor": turns["next"]})
    assert [one["message"] for one in rest.json()["items"]] == ["yes"]
    assert rest.json()["next"] is None
    exported = await http.get(f"{V1}/conversations/{conversation}/export")
    assert exported.headers["content-type"].partition(";")[0] == "application/x-ndjson"
    lines = [json.loads(line) for line in exported.text.splitlines()]
    assert lines == [view, *turns["items"], *rest.json()["items"]]


async def test_a_turn_is_repeated_by_its_id_and_had_once(anywhere: Served) -> None:
    http = anywhere.http(await anywhere.key("worker-of-items"))
    model: Any = anywhere.server.engines["renewal"].model
    first, second, third = await asyncio.gather(*(said(http, "acme", turnId="t1") for _ in range(3)))
    assert {first.status_code, second.status_code, third.status_code} == {200}
    assert first.content == second.content == third.content
    replayed = [one.headers.get("idempotent-replayed") for one in (first, second, third)]
    assert sorted(replayed, key=str) == [None, "true", "true"]
    again = await said(http, "acme", turnId="t1")
    assert again.content == first.content
    found = problem(await said(http, "ten", first.json()["conversationId"], turnId="t1"), 409, "turn-conflict")
    assert found["conversation_id"] == first.json()["conversationId"]
    assert len(model.asked) == 1


async def test_an_idempotency_key_is_the_turns_id(http: httpx.AsyncClient) -> None:
    named = {"Idempotency-Key": "k-1"}
    first = await http.post(CHAT, json={"message": "acme"}, headers=named)
    again = await http.post(CHAT, json={"message": "acme"}, headers=named)
    assert first.content == again.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = await http.post(CHAT, json={"message": "ten"}, headers=named)
    problem(other, 409, "turn-conflict")
    own = await http.post(CHAT, json={"message": "acme", "turnId": "mine"}, headers=named)
    assert own.json()["turn"]["id"] == "mine"
    problem(await http.post(CHAT, json={"message": "x"}, headers={"Idempotency-Key": ""}), 400, "malformed-request")


async def test_conversations_of_others_are_not_found(anywhere: Served) -> None:
    ours = anywhere.http(await anywhere.key("worker-of-items"))
    another = anywhere.http(await anywhere.key("admin"))
    elsewhere = anywhere.http(await anywhere.key("admin", "mallory"))
    conversation = (await said(ours, "acme")).json()["conversationId"]
    path = f"{V1}/conversations/{conversation}"
    for http in (another, elsewhere):
        problem(await said(http, "ten", conversation), 404, "conversation-not-found")
        problem(await http.post(f"{path}/turns", json={"message": "ten"}), 404, "conversation-not-found")
    for method, rest in (("GET", ""), ("GET", "/turns"), ("GET", "/export"), ("POST", "/end"), ("POST", "/abandon")):
        problem(await elsewhere.request(method, path + rest), 404, "conversation-not-found")
    assert (await elsewhere.get(f"{V1}/conversations")).json() == {"items": [], "next": None}
    # Who looks after the tenant sees that it is there.
    assert (await another.get(path)).json()["turns"] == 1
    assert (await said(ours, "ten", conversation)).json()["turn"]["number"] == 2


async def test_who_only_looks_has_no_turns_and_ends_nothing(anywhere: Served) -> None:
    ours = anywhere.http(await anywhere.key("worker-of-items"))
    viewer = anywhere.http(await anywhere.key("viewer"))
    colleague = anywhere.http(await anywhere.key("worker-of-items"))
    operator = anywhere.http(await anywhere.key("operator"))
    conversation = (await said(ours, "acme")).json()["conversationId"]
    path = f"{V1}/conversations/{conversation}"
    assert [one["id"] for one in (await viewer.get(f"{V1}/conversations")).json()["items"]] == [conversation]
    assert (await viewer.get(f"{path}/turns")).json()["items"][0]["message"] == "acme"
    problem(await said(viewer, "hi"), 403, "forbidden")
    problem(await viewer.post(f"{path}/end"), 403, "forbidden")
    problem(await colleague.post(f"{path}/end"), 403, "forbidden")
    assert (await operator.post(f"{path}/abandon")).json()["status"] == "abandoned"
    problem(await said(ours, "ten", conversation), 409, "conversation-ended")
    other = (await said(ours, "acme")).json()["conversationId"]
    assert (await ours.post(f"{V1}/conversations/{other}/end")).json()["status"] == "ended"
    assert (await ours.post(f"{V1}/conversations/{other}/end")).json()["status"] == "ended"


async def test_lists_are_narrowed_and_come_in_pages(anywhere: Served) -> None:
    http = anywhere.http(await anywhere.key("worker-of-items"))
    made = [(await said(http, "acme", item=f"i-{number % 2}")).json()["conversationId"] for number in range(5)]
    await http.post(f"{V1}/conversations/{made[0]}/end")

    async def ids(**which: Any) -> list[str]:
        return [one["id"] for one in (await http.get(f"{V1}/conversations", params=which)).json()["items"]]

    newest = [made[0], made[4], made[3], made[2], made[1]]
    assert await ids() == newest
    assert await ids(status="ended") == [made[0]]
    assert await ids(item="i-1") == [made[3], made[1]]
    assert await ids(user="nobody") == await ids(definition="other") == []
    assert await ids(definition="renewal", status="open") == newest[1:]
    found, cursor = [], None
    while True:
        page = (
            await http.get(f"{V1}/conversations", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        ).json()
        found += [one["id"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == newest
    problem(await http.get(f"{V1}/conversations", params={"cursor": "x"}), 422, "invalid-request")
    problem(await http.get(f"{V1}/conversations", params={"status": "gone"}), 422, "invalid-request")


async def test_a_conversation_that_has_expired_says_so() -> None:
    async with talking(engine={"ttl": 0.05}) as talk:
        http = talk.http()
        conversation = (await said(http, "acme")).json()["conversationId"]
        async with asyncio.timeout(60):
            while not (await http.get(f"{V1}/conversations/{conversation}")).json()["expired"]:
                await asyncio.sleep(0.02)
        problem(await said(http, "ten", conversation), 410, "conversation-expired")
        assert (await http.get(f"{V1}/conversations")).json()["items"] == []
        [one] = (await http.get(f"{V1}/conversations", params={"expired": True})).json()["items"]
        assert (one["id"], one["expired"]) == (conversation, True)


async def test_a_conversation_that_is_taken_says_for_how_long() -> None:
    model = Scripted()
    async with talking(model, engine={"turn_wait": 0}) as talk:
        http = talk.http()
        conversation = (await said(http, "acme")).json()["conversationId"]
        model.gate, model.arrived = asyncio.Event(), asyncio.Event()
        turn = asyncio.create_task(said(http, "ten", conversation))
        await model.arrived.wait()
        response = await said(http, "no note", conversation)
        found = problem(response, 409, "conversation-busy")
        assert int(response.headers["retry-after"]) >= 1
        assert found["held_seconds"] >= 0
        model.gate.set()
        assert (await turn).json()["turn"]["number"] == 2


SECRET = "sk-live-1234"


@pytest.mark.parametrize(
    ("answer", "engine", "status", "kind"),
    [
        (RuntimeError(f"the key {SECRET} was refused"), {}, 502, "turn-failed"),
        (hf.UsageError(f"the key {SECRET} was refused"), {}, 502, "turn-failed"),
        ("never", {"turn_budget": 0.05}, 504, "turn-timeout"),
    ],
)
async def test_a_turn_that_fails_says_nothing_but_that(
    answer: Any, engine: dict[str, Any], status: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Scripted({"acme": answer})
    if answer == "never":
        model.gate = asyncio.Event()
    async with talking(model, engine=engine) as talk:
        http = talk.http()
        response = await said(http, "acme", turnId="t1")
        found = response.json()
        assert (response.status_code, found["type"].rpartition("/")[2]) == (status, kind)
        assert response.headers["content-type"] == "application/problem+json"
        assert set(found) == {"type", "title", "status", "error_id"}
        assert int(response.headers["retry-after"]) >= 1
        monkeypatch.setenv("HOLDFAST_DEBUG", "1")
        found = (await said(http, "acme", turnId="t1")).json()
        assert set(found) == {"type", "title", "status", "error_id", "trace"}
        assert answer == "never" or SECRET in found["trace"]
        # Nothing happened, so that the same turn may be had.
        assert (await http.get(f"{V1}/conversations")).json()["items"] == []
        model.answers, model.gate = {"acme": "Hello."}, None
        assert (await said(http, "acme", turnId="t1")).json()["turn"]["number"] == 1


async def test_a_turn_that_lost_its_conversation_says_so(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast.conversations.holding import Holding

    async def lost(self: Holding, save: Any) -> bool:
        return False

    with monkeypatch.context() as patched:
        patched.setattr(Holding, "save", lost)
        response = await said(http, "acme", turnId="t1")
        problem(response, 409, "turn-lost")
        assert int(response.headers["retry-after"]) >= 1
    assert (await said(http, "acme", turnId="t1")).json()["turn"]["number"] == 1


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({}, 422, "invalid-request"),
        ({"message": ""}, 422, "invalid-request"),
        ({"message": " \n "}, 422, "invalid-request"),
        ({"message": 5}, 422, "invalid-request"),
        ({"message": None}, 422, "invalid-request"),
        ({"message": ["hi"]}, 422, "invalid-request"),
        ({"message": "a\0b"}, 422, "invalid-request"),
        ({"message": "x" * 100_001}, 422, "invalid-request"),
        ({"message": "hi", "conversationId": ""}, 422, "invalid-request"),
        ({"message": "hi", "turnId": "x" * 600}, 422, "invalid-request"),
        ({"message": "hi", "turnId": 7}, 422, "invalid-request"),
        ({"message": "hi", "conversation_id": "c"}, 422, "invalid-request"),
        ({"message": "hi", "definition": "other"}, 409, "input-refused"),
        ({"message": "hi", "conversationId": "c\0"}, 422, "invalid-request"),
        ({"message": "hi", "conversationId": "c-9"}, 404, "conversation-not-found"),
        ({"message": "x" * 9_000_000}, 413, "body-too-large"),
        ([], 422, "invalid-request"),
    ],
)
async def test_what_is_no_turn_is_refused_with_its_reason(
    http: httpx.AsyncClient, body: Any, status: int, kind: str
) -> None:
    for accept in ("application/json", "text/event-stream"):
        problem(await http.post(CHAT, json=body, headers={"Accept": accept}), status, kind)
    assert (await http.get(f"{V1}/conversations")).json()["items"] == []


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"message=hi", "application/x-www-form-urlencoded", 415),
        (b'{"message": "hi"', "application/json", 400),
        (b'{"message": "\\ud800"}', "application/json", 400),
        (b'{"message": "\xff"}', "application/json", 400),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    http: httpx.AsyncClient, content: bytes, kind: str, status: int
) -> None:
    response = await http.post(CHAT, content=content, headers={"Content-Type": kind})
    assert response.status_code == status


@pytest.mark.parametrize(
    "message", ["<script>alert(1)</script>", "x" * 100_000, "שלום 👋\u202e", "{{ 7*7 }}", "' OR 1=1 --"]
)
async def test_any_text_is_said_and_read_back_as_it_is(anywhere: Served, message: str) -> None:
    http = anywhere.http(await anywhere.key("worker-of-items"))
    done = (await said(http, message)).json()
    [turn] = (await http.get(f"{V1}/conversations/{done['conversationId']}/turns")).json()["items"]
    assert turn["message"] == message


async def test_what_is_hidden_is_not_seen_by_those_who_may_only_look() -> None:
    answers = {"acme": {"message": "Acme it is. How many?", "extracted": {"company": "Acme"}}}
    async with talking(Scripted(answers), auth=True, redact=("company",)) as talk:
        ours = talk.http(await talk.key("operator"))
        viewer = talk.http(await talk.key("viewer"))
        conversation = (await said(ours, "acme")).json()["conversationId"]
        for path in ("", f"/{conversation}", f"/{conversation}/turns", f"/{conversation}/export"):
            seen = (await viewer.get(f"{V1}/conversations{path}")).text
            assert "[redacted]" in seen, path
            assert "Acme" not in seen, path
            assert "Acme" in (await ours.get(f"{V1}/conversations{path}")).text
        worker = talk.http(await talk.key("worker-of-items"))
        own = (await said(worker, "acme")).json()
        assert own["workflowState"]["collected"] == own["extractedPayload"] == {"company": "[redacted]"}


async def test_a_definition_is_chosen_where_there_are_several() -> None:
    one, two = hf.TurnEngine(dialogue(), Scripted()), hf.TurnEngine(dialogue(id="other"), Scripted())
    async with talking(engines=(one, two)) as talk:
        http = talk.http()
        refused = problem(await said(http, "acme"), 409, "input-refused")
        assert "other, renewal" in refused["detail"]
        made = (await said(http, "acme", definition="other")).json()["conversationId"]
        assert (await said(http, "ten", made)).json()["turn"]["number"] == 2
        assert (await http.get(f"{V1}/conversations/{made}")).json()["definition"] == "other"
    with pytest.raises(hf.UsageError, match="two engines"):
        async with talking(engines=(one, one)):
            pass


async def test_a_server_that_has_no_definition_says_so(served: Served) -> None:
    refused = problem(await said(served.http(), "hi"), 409, "input-refused")
    assert "none" in refused["detail"]
    assert "state" not in (await served.http().get("/readyz")).json()["parts"]
