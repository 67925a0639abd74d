"""Runs over HTTP: started, found, looked at, steered, mended."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import httpx
import pytest

import holdfast as hf
from tests.api.kit import V1, Served, problem

pytestmark = pytest.mark.usefixtures("worker")

STRANGE_IDS = [
    "a/b",
    "/",
    "a b",
    "ä€😀",
    "100%",
    "a%2Fb",
    "?x=1#y",
    "a\nb",
    "'\"<b>",
    "..x",
    "a;b",
    "a:b",
    "runs:count",
]


async def start(http: httpx.AsyncClient, workflow: str, input: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = await http.post(f"{V1}/workflows/{workflow}/runs", json={"input": input, **more})
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


async def ended(http: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    response = await http.get(f"{V1}/runs/{quote(run_id, safe='')}", params={"wait": 8})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def until(http: httpx.AsyncClient, run_id: str, status: str) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = (await http.get(f"{V1}/runs/{run_id}")).json()
        if found["status"] == status:
            return found
        await asyncio.sleep(0.01)


async def test_a_run_is_started_and_looked_at(http: httpx.AsyncClient) -> None:
    response = await http.post(
        f"{V1}/workflows/checkout/runs",
        json={"input": {"order_id": "o-1"}, "id": "o-1", "priority": 3, "attributes": {"order": "o-1"}},
    )
    assert response.status_code == 201
    assert response.headers["location"] == f"{V1}/runs/o-1"
    assert response.json()["input"] == {"order_id": "o-1", "cents": 500}  # with the default
    run = await ended(http, "o-1")
    assert run["status"] == "succeeded"
    assert run["output"] == {"receipt": "receipt of o-1"}
    assert run["attributes"] == {"order": "o-1"}
    assert run["priority"] == 3
    assert run["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("workflow", "input", "more"),
    [
        ("checkout", {"order_id": "o-1", "cents": 7}, {"attributes": {"a": 1}, "priority": -5, "queue": "nobody"}),
        ("checkout", {"order_id": "o-1"}, {"delay": "1h", "timeout": 90}),
        ("laned", {"order_id": "o-1"}, {"queue": "nobody", "id": "x"}),
        ("checkout", {"order_id": "o-1"}, {"at": "2099-01-01T00:00:00Z"}),
    ],
)
async def test_what_a_start_answers_is_what_the_run_is(
    http: httpx.AsyncClient, workflow: str, input: dict[str, Any], more: dict[str, Any]
) -> None:
    made = await start(http, workflow, input, **more)
    assert made == (await http.get(f"{V1}/runs/{made['id']}")).json()


async def test_an_id_that_exists_is_that_run_or_a_conflict(http: httpx.AsyncClient) -> None:
    path = f"{V1}/workflows/checkout/runs"
    first = await http.post(path, json={"input": {"order_id": "o-1"}, "id": "same"})
    again = await http.post(path, json={"input": {"order_id": "o-1"}, "id": "same"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == "same"
    assert again.headers["location"] == first.headers["location"]
    found = problem(await http.post(path, json={"input": {"order_id": "o-2"}, "id": "same"}), 409, "run-exists")
    assert found["run_id"] == "same"
    other = await http.post(f"{V1}/workflows/waits/runs", json={"input": {"key": "k"}, "id": "same"})
    problem(other, 409, "run-exists")


@pytest.mark.parametrize("run_id", STRANGE_IDS)
async def test_ids_are_percent_encoded_slashes_too(http: httpx.AsyncClient, run_id: str) -> None:
    response = await http.post(f"{V1}/workflows/checkout/runs", json={"input": {"order_id": "x"}, "id": run_id})
    assert response.status_code == 201
    where = response.headers["location"]
    assert where == f"{V1}/runs/{quote(run_id, safe='')}"
    assert (await http.get(where, params={"wait": 8})).json()["id"] == run_id
    entries = (await http.get(f"{where}/journal")).json()["items"]
    assert [entry["name"] for entry in entries] == ["charge"]
    assert (await http.get(f"{where}/explain")).status_code == 200
    assert (await http.get(f"{where}/children")).json() == {"items": [], "next": None}


async def test_a_workflow_that_nobody_registered_is_unknown(http: httpx.AsyncClient) -> None:
    found = problem(await http.post(f"{V1}/workflows/nope/runs", json={"input": {}}), 404, "workflow-unknown")
    assert found["workflow"] == "nope"
    response = await http.post(f"{V1}/workflows/checkout/runs", json={"input": {"order_id": "x"}, "version": "9"})
    problem(response, 404, "workflow-unknown")


async def test_a_workflow_is_known_as_soon_as_it_is_registered(served: Served, http: httpx.AsyncClient) -> None:
    problem(await http.post(f"{V1}/workflows/late/runs", json={"input": {}}), 404, "workflow-unknown")

    @hf.workflow
    async def late() -> int:
        return 1

    async with hf.Worker(served.url, [late]):
        await start(http, "late", {})


@pytest.mark.parametrize(
    ("input", "pointer"),
    [({"order_id": 5}, "/input/order_id"), ({"order_id": "x", "cents": "many"}, "/input/cents")],
)
async def test_an_argument_that_does_not_fit_is_pointed_at(
    http: httpx.AsyncClient, input: dict[str, Any], pointer: str
) -> None:
    response = await http.post(f"{V1}/workflows/checkout/runs", json={"input": input})
    found = problem(response, 409, "input-refused")
    assert found["errors"][0]["pointer"] == pointer


async def test_missing_and_unknown_arguments_are_named(http: httpx.AsyncClient) -> None:
    found = problem(await http.post(f"{V1}/workflows/checkout/runs", json={"input": {"x": 1}}), 409, "input-refused")
    assert "missing 'order_id'" in found["detail"]
    assert "unexpected 'x'" in found["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"input": {"order_id": "x"}, "priority": 1001}, "/priority"),
        ({"input": {"order_id": "x"}, "priority": "1"}, "/priority"),
        ({"input": {"order_id": "x"}, "id": ""}, "/id"),
        ({"input": {"order_id": "x"}, "id": "x" * 513}, "/id"),
        ({"input": {"order_id": "x"}, "id": "a\0b"}, "/id"),
        ({"input": {"order_id": "x"}, "at": "tomorrow"}, "/at"),
        ({"input": {"order_id": "x"}, "at": 5}, "/at"),
        ({"input": {"order_id": "x"}, "delay": True}, "/delay"),
        ({"input": [1]}, "/input"),
        ({"inputs": {}}, "/inputs"),
        ([], ""),
    ],
)
async def test_what_does_not_fit_is_pointed_at(http: httpx.AsyncClient, body: Any, pointer: str) -> None:
    found = problem(await http.post(f"{V1}/workflows/checkout/runs", json=body), 422, "invalid-request")
    assert pointer in [place["pointer"] for place in found["errors"]]


async def test_many_runs_are_started_together(http: httpx.AsyncClient) -> None:
    path = f"{V1}/workflows/checkout/runs:batch"
    items = [{"input": {"order_id": f"o-{n}"}, "id": f"o-{n}"} for n in range(3)]
    first = await http.post(path, json={"items": items, "priority": 2})
    assert [(one["id"], one["created"], one["way"]) for one in first.json()["items"]] == [
        (f"o-{n}", True, "started") for n in range(3)
    ]
    again = await http.post(path, json={"items": items[:1], "priority": 2})
    assert [(one["id"], one["created"], one["way"]) for one in again.json()["items"]] == [("o-0", False, "started")]
    # One that does not fit: none is stored.
    bad = await http.post(path, json={"items": [{"input": {"order_id": "x"}, "id": "new"}, {"input": {}}]})
    problem(bad, 409, "input-refused")
    problem(await http.get(f"{V1}/runs/new"), 404, "run-not-found")
    assert (await http.post(path, json={"items": []})).json() == {"items": []}


async def test_runs_are_listed_in_pages(http: httpx.AsyncClient) -> None:
    for number in range(5):
        await start(http, "checkout", {"order_id": f"o-{number}"}, id=f"o-{number}", attributes={"n": number})
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = (await http.get(f"{V1}/runs", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [run["id"] for run in page["items"]]
        cursor = page["next"]
    assert seen == ["o-4", "o-3", "o-2", "o-1", "o-0"]
    assert cursor is None
    found = (await http.get(f"{V1}/runs", params={"where": "attributes.n > 2"})).json()["items"]
    assert [run["id"] for run in found] == ["o-4", "o-3"]
    await ended(http, "o-0")
    assert (await http.get(f"{V1}/runs:count", params={"where": "attributes.n >= 0"})).json() == {
        "runs": 5,
        "capped": False,
    }
    assert (await http.get(f"{V1}/runs:count", params={"cap": 2})).json() == {"runs": 2, "capped": True}
    assert (await http.get(f"{V1}/runs", params={"workflow": "nothing"})).json() == {"items": [], "next": None}


@pytest.mark.parametrize("cursor", ["x", "", "%", "eA", "a" * 3000, "AAAAAAAAAAAAAAAAAAAAAA==", "é"])
async def test_a_cursor_of_somebody_else_is_refused(http: httpx.AsyncClient, cursor: str) -> None:
    for path in ("runs", "audit", "schedules"):
        problem(await http.get(f"{V1}/{path}", params={"cursor": cursor}), 422, "invalid-request")


async def test_a_search_that_cannot_be_read_shows_the_place(http: httpx.AsyncClient) -> None:
    found = problem(await http.get(f"{V1}/runs", params={"where": "status = failed"}), 422, "search-unreadable")
    assert found["errors"][0]["parameter"] == "where"
    assert found["errors"][0]["position"] == 9


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"status": "sleeping"}, "status"),
        ({"stauts": "failed"}, "stauts"),
        ({"workflow": "a\0"}, "workflow"),
        ([("limit", "1"), ("limit", "2")], "limit"),
    ],
)
async def test_a_parameter_that_does_not_fit_is_named(http: httpx.AsyncClient, params: Any, name: str) -> None:
    found = problem(await http.get(f"{V1}/runs", params=params), 422, "invalid-request")
    assert [place["parameter"] for place in found["errors"]] == [name]


async def test_a_journal_has_steps_attempts_and_errors(http: httpx.AsyncClient) -> None:
    await start(http, "declined", {}, id="d")
    run = await ended(http, "d")
    assert run["status"] == "failed"
    assert run["error"]["message"] == "the card 4111-1111 was declined"
    [entry] = (await http.get(f"{V1}/runs/d/journal")).json()["items"]
    assert (entry["name"], entry["outcome"], entry["input"]) == ("decline", "error", {"card": "4111-1111"})
    assert [one["id"] for one in (await http.get(f"{V1}/dead-letters")).json()["items"]] == ["d"]


async def test_children_and_journals_come_in_pages(http: httpx.AsyncClient) -> None:
    await start(http, "parent", {"n": 5}, id="p")
    await ended(http, "p")
    for path, name in (("children", "id"), ("journal", "position")):
        every = [one[name] for one in (await http.get(f"{V1}/runs/p/{path}")).json()["items"]]
        assert len(every) == 5
        seen: list[str] = []
        page: dict[str, Any] = {"next": None}
        while True:
            params = {"limit": 2, **({"cursor": page["next"]} if page["next"] else {})}
            page = (await http.get(f"{V1}/runs/p/{path}", params=params)).json()
            seen += [one[name] for one in page["items"]]
            if page["next"] is None:
                break
        assert seen == every


async def test_it_is_said_why_a_run_does_not_move(http: httpx.AsyncClient) -> None:
    await start(http, "waits", {"key": "k"}, id="w")
    await until(http, "w", "waiting")
    found = (await http.get(f"{V1}/runs/w/explain")).json()
    assert "shipped" in found["text"]
    assert found["reasons"] == found["text"].splitlines()


async def test_a_run_is_held_released_and_cancelled(http: httpx.AsyncClient) -> None:
    await start(http, "waits", {"key": "k"}, id="w")
    await until(http, "w", "waiting")
    assert (await http.post(f"{V1}/runs/w/hold", json={"reason": "look"})).json()["status"] == "held"
    assert (await http.post(f"{V1}/runs/w/release")).status_code == 200
    assert (await http.post(f"{V1}/runs/w/cancel", json={"reason": "not wanted"})).status_code == 200
    assert (await ended(http, "w"))["status"] == "cancelled"
    problem(await http.post(f"{V1}/runs/w/cancel"), 409, "run-not-possible")
    problem(await http.post(f"{V1}/runs/w/release"), 409, "run-not-possible")


@pytest.mark.parametrize(
    ("body", "output"), [({"value": {"yes": True}}, {"yes": True}), ({"value": None}, None), ({}, None)]
)
async def test_a_hold_of_the_code_is_given_its_value(http: httpx.AsyncClient, body: Any, output: Any) -> None:
    await start(http, "approval", {"order_id": "o"}, id="a")
    await until(http, "a", "held")
    assert (await http.post(f"{V1}/runs/a/release", json=body)).status_code == 200
    assert (await ended(http, "a"))["output"] == output


async def test_a_hold_of_the_code_is_rejected(http: httpx.AsyncClient) -> None:
    await start(http, "approval", {"order_id": "o"}, id="a")
    await until(http, "a", "held")
    assert (await http.post(f"{V1}/runs/a/reject", json={"reason": "no", "by": "Anna"})).status_code == 200
    assert (await ended(http, "a"))["error"]["message"] == "rejected by Anna: no"


async def test_a_run_is_retried_and_forked(http: httpx.AsyncClient) -> None:
    await start(http, "declined", {}, id="d")
    await ended(http, "d")
    assert (await http.post(f"{V1}/runs/d/retry")).status_code == 200
    assert (await ended(http, "d"))["attempt"] == 2
    fork = await http.post(f"{V1}/runs/d/fork", json={"from_step": "decline", "output": "paid in cash", "id": "d/2"})
    assert fork.status_code == 201
    assert fork.headers["location"] == f"{V1}/runs/d%2F2"
    run = await ended(http, "d/2")
    assert (run["output"], run["forked_from"]) == ("paid in cash", "d")
    problem(await http.post(f"{V1}/runs/d/fork", json={"from_step": "nope"}), 409, "step-not-found")
    problem(await http.post(f"{V1}/runs/d%2F2/retry"), 409, "run-not-possible")
    again = await http.post(f"{V1}/runs/d/fork")
    assert again.status_code == 201  # from the start, without a body


async def test_many_runs_are_acted_on_as_a_job(http: httpx.AsyncClient) -> None:
    for number in range(3):
        await start(http, "declined", {}, id=f"d-{number}")
        await ended(http, f"d-{number}")
    order = {"action": "retry", "where": "workflow = 'declined'"}
    found = await http.post(f"{V1}/runs:bulk", json={**order, "dry_run": True})
    assert (found.status_code, found.json()["runs"]) == (200, 3)
    job = await http.post(f"{V1}/runs:bulk", json={**order, "id": "again"})
    assert (job.status_code, job.json()) == (202, {"id": "again"})
    assert job.headers["location"] == f"{V1}/runs/again"
    assert (await ended(http, "again"))["output"]["done"] == 3
    problem(await http.post(f"{V1}/runs:bulk", json={**order, "where": "x"}), 422, "search-unreadable")
    problem(await http.post(f"{V1}/runs:bulk", json={**order, "action": "fork"}), 422, "invalid-request")


@pytest.mark.parametrize("path", ["", "/journal", "/children", "/explain", "/live"])
async def test_what_is_not_there_is_not_found(http: httpx.AsyncClient, path: str) -> None:
    found = problem(await http.get(f"{V1}/runs/nope{path}"), 404, "run-not-found")
    assert found["run_id"] == "nope"


async def test_a_hold_is_seen_to_by_a_person_or_a_group(http: httpx.AsyncClient) -> None:
    await start(http, "waits", {"key": "k"}, id="w")
    await until(http, "w", "waiting")
    refused = await http.post(f"{V1}/runs/w/hold", json={"assignee": "ann", "group": "sales"})
    assert problem(refused, 409, "input-refused")["detail"].endswith("and not both")
    assert (await http.get(f"{V1}/runs/w")).json()["status"] == "waiting"


@pytest.mark.parametrize("action", ["cancel", "hold", "release", "reject", "retry", "fork"])
async def test_nothing_is_done_to_what_is_not_there(http: httpx.AsyncClient, action: str) -> None:
    problem(await http.post(f"{V1}/runs/nope/{action}"), 404, "run-not-found")


async def test_a_wait_for_the_end_ends_in_time(http: httpx.AsyncClient) -> None:
    await start(http, "waits", {"key": "k"}, id="w")
    assert (await http.get(f"{V1}/runs/w", params={"wait": 0.05})).json()["status"] in ("queued", "running", "waiting")


async def test_starts_at_the_same_time_share_a_commit(served: Served, http: httpx.AsyncClient) -> None:
    commits = 0
    commit = served.server.core.store.commit

    async def counted(batch: Any) -> Any:
        nonlocal commits
        commits += bool(batch.starts)
        return await commit(batch)

    served.server.core.store.commit = counted  # type: ignore[method-assign]
    body = {"input": {"order_id": "x"}, "queue": "nobody"}
    made = await asyncio.gather(*(http.post(f"{V1}/workflows/checkout/runs", json=body) for _ in range(64)))
    assert {one.status_code for one in made} == {201}
    assert len({one.json()["id"] for one in made}) == 64
    assert commits < 16


async def test_a_start_that_the_database_does_not_take_in_time_is_not_made_later(
    served: Served, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = True
    store = served.server.core.store
    commit = store.commit

    async def not_now(batch: Any) -> Any:
        if away and (batch.starts or batch.audits):
            raise hf.StoreUnavailable("away")
        return await commit(batch)

    store.commit = not_now  # type: ignore[method-assign]
    monkeypatch.setattr("holdfast.api.tenants.PATIENCE_SECONDS", 0.05)
    response = await http.post(f"{V1}/workflows/checkout/runs", json={"input": {"order_id": "o"}})
    problem(response, 503, "unavailable")
    away = False
    await served.server.core.committer.drain()
    assert (await http.get(f"{V1}/runs:count")).json()["runs"] == 0
    assert (await http.get(f"{V1}/audit")).json()["items"] == []
