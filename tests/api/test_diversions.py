"""Starts that rules delay, merge or drop, over HTTP: how they are answered, listed, shown, and started after all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import holdfast as hf
from holdfast.api.config import WebhookConfig
from holdfast.model.start_rules import Batch, Debounce, RateLimit, Singleton
from tests.api.kit import V1, Served, problem, serving
from tests.api.test_webhooks import SECRET, send, signed


@hf.workflow(rate_limit=RateLimit(1, per="1h", key="customer", excess="drop"))
async def reminds(customer: str, card: str = "") -> str:
    return customer


@hf.workflow(rate_limit=RateLimit(1, per="1h"))
async def late() -> None: ...


@hf.workflow(batch=Batch(3, within="1h", key="customer"))
async def index(docs: list[dict[str, str]]) -> int:
    return len(docs)


@hf.workflow(debounce=Debounce("1h", longest="2h", key="doc"))
async def quiet(doc: str) -> str:
    return doc


@hf.workflow(singleton=Singleton(key="order"))
async def sync(order: str) -> Any:
    return await hf.wait_for_event("go", key=order)


WORKFLOWS: list[hf.Workflow[Any, Any]] = [reminds, late, index, quiet, sync]


@pytest.fixture
async def shop(disk_url: str) -> AsyncIterator[Served]:
    """A server and a worker."""
    async with serving(disk_url) as made, hf.Worker(made.url, WORKFLOWS, drain=0):
        yield made


def runs(workflow: str) -> str:
    return f"{V1}/workflows/{workflow}/runs"


async def test_a_dropped_start_is_answered_with_why_and_has_no_run(shop: Served) -> None:
    http = shop.http()
    body = {"input": {"customer": "ada"}}
    assert (await http.post(runs("reminds"), json=body)).status_code == 201
    dropped = await http.post(runs("reminds"), json={**body, "id": "r-2"})
    assert dropped.status_code == 200
    assert "location" not in dropped.headers
    said = dropped.json()
    assert {name: said[name] for name in ("id", "created", "way", "rule", "key", "run")} == {
        "id": "r-2", "created": False, "way": "dropped", "rule": "rate_limit", "key": "ada", "run": None
    }  # fmt: skip
    assert said["reason"]
    problem(await http.get(f"{V1}/runs/r-2"), 404, "run-not-found")
    assert "there is no run r-2" in (await http.get(f"{V1}/runs/r-2/explain")).json()["text"]
    found = (await http.get(f"{V1}/diversions/{said['diversion']}")).json()
    assert (found["asked_id"], found["way"], found["input"]) == ("r-2", "dropped", {"customer": "ada", "card": ""})
    started = f"{V1}/diversions/{said['diversion']}/start"
    assert [(await http.post(started)).json() for _ in range(2)] == [{"run": "r-2"}] * 2
    assert (await http.get(f"{V1}/runs/r-2")).json()["workflow"] == "reminds"


async def test_a_merged_start_is_answered_with_the_run_it_went_into(shop: Served) -> None:
    http = shop.http()
    first = await http.post(runs("index"), json={"input": {"docs": [{"customer": "ada"}]}, "id": "i-1"})
    assert (first.status_code, first.json()["way"], first.json()["status"]) == (201, "delayed", "queued")
    assert first.json()["reason"]
    merged = await http.post(runs("index"), json={"input": {"docs": [{"customer": "ada"}]}})
    assert (merged.status_code, merged.json()["way"], merged.json()["run"]) == (200, "merged", "i-1")
    assert merged.headers["location"].endswith(f"{V1}/runs/i-1")
    once = {"input": {"docs": [{"customer": "bob"}]}, "id": "i-2"}
    await http.post(runs("index"), json={"input": {"docs": [{"customer": "bob"}]}, "id": "i-0"})
    answers = [(await http.post(runs("index"), json=once)).json() for _ in range(3)]
    assert [(one["run"], one["diversion"]) for one in answers] == [("i-0", answers[0]["diversion"])] * 3
    asked = (await http.get(f"{V1}/audit", params={"action": "run"})).json()["items"]
    assert [one["target"] for one in asked].count("i-2") == 1
    assert "2 starts so far" in (await http.get(f"{V1}/runs/i-0/explain")).json()["text"]
    many = {"items": [{"input": {"docs": [{"customer": name}]}} for name in ("ada", "cleo", "cleo")]}
    answer = (await http.post(f"{runs('index')}:batch", json=many)).json()["items"]
    assert [one["way"] for one in answer] == ["merged", "delayed", "merged"]
    assert (answer[0]["run"], answer[1]["run"], answer[2]["run"]) == ("i-1", None, answer[1]["id"])
    ended = (await http.get(f"{V1}/runs/i-1?wait=8")).json()
    assert (ended["status"], ended["output"]) == ("succeeded", 3)


async def test_a_delayed_start_is_a_run_that_says_so(shop: Served) -> None:
    http = shop.http()
    first, second = [await http.post(runs("late"), json={"id": f"l-{n}"}) for n in range(2)]
    assert "way" not in first.json()
    assert (second.status_code, second.json()["way"]) == (201, "delayed")
    assert (await http.post(runs("late"), json={"id": "l-1"})).status_code == 200
    found = (await http.get(f"{V1}/diversions?way=delayed")).json()["items"]
    assert [(one["asked_id"], one["id"]) for one in found] == [("l-1", second.json()["diversion"])]
    refused = await http.post(f"{V1}/diversions/{found[0]['id']}/start")
    assert "was delayed" in problem(refused, 409, "run-not-possible")["detail"]


async def test_a_singleton_answers_with_the_open_run(shop: Served) -> None:
    http = shop.http()
    assert (await http.post(runs("sync"), json={"input": {"order": "o"}, "id": "s-1"})).status_code == 201
    skipped = (await http.post(runs("sync"), json={"input": {"order": "o"}, "id": "s-2"})).json()
    assert (skipped["way"], skipped["id"], skipped["run"], skipped["rule"]) == ("dropped", "s-1", "s-1", "singleton")
    again = await http.post(runs("sync"), json={"input": {"order": "o"}, "id": "s-1"})
    assert (again.status_code, again.json()["id"], "way" in again.json()) == (200, "s-1", False)
    problem(await http.post(runs("sync"), json={"input": {"order": "p"}, "id": "s-1"}), 409, "run-exists")


async def test_diversions_come_in_pages_and_by_what_they_are(shop: Served) -> None:
    http = shop.http()
    for number in range(6):
        await http.post(runs("reminds"), json={"input": {"customer": "ada"}, "id": f"r-{number}"})
    seen, cursor = [], ""
    while True:
        page = (await http.get(f"{V1}/diversions?limit=2{cursor}")).json()
        seen += [one["asked_id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == [f"r-{number}" for number in range(5, 0, -1)]
    for query, count in (("workflow=reminds", 5), ("key=bob", 0), ("rule=batch", 0), ("id=r-3", 1), ("run=r-0", 0)):
        assert len((await http.get(f"{V1}/diversions?{query}")).json()["items"]) == count, query
    problem(await http.get(f"{V1}/diversions?way=lost"), 422, "invalid-request")
    problem(await http.get(f"{V1}/diversions/{'0' * 32}"), 404, "diversion-not-found")
    problem(await http.post(f"{V1}/diversions/{'0' * 32}/start"), 404, "diversion-not-found")


async def test_who_may_not_see_everything_sees_no_hidden_field(sqlite_url: str) -> None:
    async with serving(sqlite_url, auth=True, redact=("card",)) as made, hf.Worker(made.url, WORKFLOWS, drain=0):
        admin = made.http(await made.key("admin"))
        viewer = made.http(await made.key("viewer"))
        body = {"input": {"customer": "ada", "card": "4111-1111"}}
        for _ in range(2):
            said = (await admin.post(runs("reminds"), json={**body, "id": f"r-{_}"})).json()
        shown = f"{V1}/diversions/{said['diversion']}"
        assert "4111-1111" in (await admin.get(shown)).text
        assert "4111-1111" not in (await viewer.get(shown)).text
        assert (await viewer.get(f"{V1}/runs/r-1/explain")).status_code == 200
        problem(await viewer.post(f"{shown}/start"), 403, "forbidden")


async def test_another_tenant_sees_and_starts_nothing(disk_url: str) -> None:
    async with serving(disk_url, auth=True) as made, hf.Worker(made.url, WORKFLOWS, drain=0):
        ours, theirs = [made.http(await made.key("admin", tenant)) for tenant in ("acme", "mallory")]
        for number in range(2):
            said = (await ours.post(runs("reminds"), json={"input": {"customer": "a"}, "id": f"r-{number}"})).json()
        assert said["way"] == "dropped"
        assert (await theirs.get(f"{V1}/diversions")).json()["items"] == []
        for method, path in (("GET", ""), ("POST", "/start")):
            problem(
                await theirs.request(method, f"{V1}/diversions/{said['diversion']}{path}"), 404, "diversion-not-found"
            )
        started = await theirs.post(runs("reminds"), json={"input": {"customer": "a"}})
        assert started.status_code == 201  # the limit is of each tenant alone


async def test_a_schedule_whose_start_is_dropped_says_so(shop: Served) -> None:
    http = shop.http()
    terms = {"workflow": "reminds", "input": {"customer": "a"}, "every": "30d"}
    assert (await http.put(f"{V1}/schedules/often", json=terms)).status_code == 201
    assert (await http.post(f"{V1}/schedules/often/run")).status_code == 201
    said = problem(await http.post(f"{V1}/schedules/often/run"), 409, "start-dropped")
    [dropped] = (await http.get(f"{V1}/diversions")).json()["items"]
    assert (said["diversion"], said["reason"]) == (dropped["id"], dropped["reason"])
    assert (said["rule"], said["key"]) == ("rate_limit", "a")


async def test_what_is_repeated_with_its_key_brings_its_items_once(shop: Served) -> None:
    http = shop.http()
    for number in (0, 1, 1):
        said = await http.post(
            runs("index"), json={"input": {"docs": [{"customer": "a"}]}}, headers={"Idempotency-Key": f"k-{number}"}
        )
        assert said.status_code == (200 if number else 201)
    [first] = (await http.get(f"{V1}/runs")).json()["items"]
    assert "2 starts so far" in (await http.get(f"{V1}/runs/{first['id']}/explain")).json()["text"]


async def test_a_webhook_claims_no_run_that_is_not_there(sqlite_url: str) -> None:
    hooks = {
        "drops": WebhookConfig(secret=SECRET, workflow="reminds"),
        "merges": WebhookConfig(secret=SECRET, workflow="index"),
    }
    async with serving(sqlite_url, webhooks=hooks) as made, hf.Worker(made.url, WORKFLOWS, drain=0):
        http = made.http()
        dropped = [(await send(http, "drops", *signed({"customer": "a"}, id=f"m_{n}"))).json() for n in range(2)]
        assert dropped == [{"run": "webhook/drops/m_0", "created": True}, {"run": None, "created": False}]
        body = {"docs": [{"customer": "a"}]}
        merged = [(await send(http, "merges", *signed(body, id=f"m_{n}"))).json() for n in range(2)]
        assert merged == [
            {"run": "webhook/merges/m_0", "created": True},
            {"run": "webhook/merges/m_0", "created": False},
        ]


async def test_whatever_the_description_says_to_choose_by_can_be_chosen_by(shop: Served) -> None:
    described = shop.app.openapi()["paths"]["/api/v1/diversions"]["get"]["parameters"]
    choices = {one["name"]: one["schema"]["anyOf"][0].get("enum", []) for one in described if "anyOf" in one["schema"]}
    assert choices["way"] == ["delayed", "merged", "dropped"]
    for name, values in choices.items():
        for value in values:
            answer = await shop.http().get(f"{V1}/diversions", params={name: value})
            assert answer.status_code == 200, (name, value)
