"""What is edited has ETags: nobody's change is lost, and nothing is sent twice."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from holdfast.api import etags
from tests.api.kit import V1, Served, problem

SCHEDULE = {"workflow": "checkout", "input": {"order_id": "o"}, "every": "1h"}


@pytest.fixture
async def http(served: Served, worker: None) -> httpx.AsyncClient:
    return served.http()


THINGS = [
    ("schedules/s", SCHEDULE, {**SCHEDULE, "every": "2h"}),
    ("users/u", {"name": "U"}, {"name": "V"}),
    ("queues/default", {"total": 5}, {"total": 6}),
]


@pytest.mark.parametrize(("path", "body", "other"), THINGS)
async def test_a_change_on_top_of_something_else_is_refused(
    http: httpx.AsyncClient, path: str, body: object, other: object
) -> None:
    made = await http.put(f"{V1}/{path}", json=body)
    tag = made.headers["etag"]
    assert (await http.get(f"{V1}/{path}")).headers["etag"].partition(".")[0] == tag.partition(".")[0]
    changed = await http.put(f"{V1}/{path}", json=other, headers={"If-Match": tag})
    assert changed.status_code == 200, changed.text
    assert changed.headers["etag"] != tag
    for late in (tag, f'"x", {tag}', '"nothing"', "x"):
        problem(await http.put(f"{V1}/{path}", json=body, headers={"If-Match": late}), 412, "changed")
    for good in ("*", f'"x", {changed.headers["etag"]}', f"W/{changed.headers['etag']}"):
        assert (await http.put(f"{V1}/{path}", json=other, headers={"If-Match": good})).status_code == 200
    problem(await http.put(f"{V1}/{path}", json=body, headers={"If-None-Match": "*"}), 412, "changed")


@pytest.mark.parametrize(("path", "body", "other"), THINGS)
async def test_who_has_it_is_not_sent_it_again(http: httpx.AsyncClient, path: str, body: object, other: object) -> None:
    await http.put(f"{V1}/{path}", json=body)
    tag = (await http.get(f"{V1}/{path}")).headers["etag"]
    for known in (tag, f'"x", {tag}', "*"):
        response = await http.get(f"{V1}/{path}", headers={"If-None-Match": known})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", tag)
    await http.put(f"{V1}/{path}", json=other)
    assert (await http.get(f"{V1}/{path}", headers={"If-None-Match": tag})).status_code == 200


@pytest.mark.parametrize(("path", "body", "other"), THINGS)
async def test_something_is_made_only_if_it_is_new(
    http: httpx.AsyncClient, path: str, body: object, other: object
) -> None:
    problem(await http.put(f"{V1}/{path}", json=body, headers={"If-Match": "*"}), 412, "changed")
    made = await http.put(f"{V1}/{path}", json=body, headers={"If-None-Match": "*"})
    assert made.status_code in (200, 201)
    problem(await http.put(f"{V1}/{path}", json=other, headers={"If-None-Match": "*"}), 412, "changed")


async def test_of_changes_at_the_same_time_one_is_made(http: httpx.AsyncClient) -> None:
    for path, body in (("users/u", {"name": "U"}), ("schedules/s", SCHEDULE)):
        made = await http.put(f"{V1}/{path}", json=body)
        match = {"If-Match": made.headers["etag"]}
        found = await asyncio.gather(
            *(http.put(f"{V1}/{path}", json={**body, **_other(path, n)}, headers=match) for n in range(6))
        )
        assert sorted({one.status_code for one in found}) in ([200, 412], [200, 409, 412], [200, 409]), path
        assert [one.status_code for one in found].count(200) == 1, path


def _other(path: str, number: int) -> dict[str, object]:
    return {"name": f"{number}"} if path.startswith("users") else {"every": f"{number + 2}h"}


async def test_what_moves_by_itself_is_no_change(served: Served, http: httpx.AsyncClient) -> None:
    made = await http.put(f"{V1}/queues/default", json={"total": 5})
    body = {"input": {"order_id": "x"}, "delay": "1h"}
    assert (await http.post(f"{V1}/workflows/checkout/runs", json=body)).status_code == 201
    match = {"If-Match": made.headers["etag"]}
    assert (await http.put(f"{V1}/queues/default", json={"total": 6}, headers=match)).status_code == 200
    made = await http.put(f"{V1}/schedules/s", json=SCHEDULE)
    [row] = await served.server.core.store.list_schedules("default", "s")
    await served.server.core.store.put_schedule(row._replace(last_run="x", revision=row.revision + 1))
    match = {"If-Match": made.headers["etag"]}
    assert (await http.post(f"{V1}/schedules/s/pause", headers=match)).status_code == 200
    problem(await http.post(f"{V1}/schedules/s/resume", headers=match), 412, "changed")
    problem(await http.delete(f"{V1}/schedules/s", headers=match), 412, "changed")
    assert (await http.delete(f"{V1}/schedules/s")).status_code == 204
    problem(await http.delete(f"{V1}/schedules/s"), 404, "schedule-not-found")


async def test_kept_searches_have_them_too(http: httpx.AsyncClient) -> None:
    path = f"{V1}/views/runs/a%2Fb"
    made = await http.put(path, json={"query": "x"})
    match = {"If-Match": made.headers["etag"]}
    assert (await http.put(path, json={"query": "y"}, headers=match)).status_code == 200
    problem(await http.put(path, json={"query": "z"}, headers=match), 412, "changed")
    problem(await http.delete(path, headers=match), 412, "changed")
    assert (await http.get(f"{V1}/views/runs")).json()["items"] == [{"page": "runs", "name": "a/b", "query": "y"}]
    assert (await http.delete(path)).status_code == 204
    problem(await http.delete(path), 404, "not-found")


def test_an_etag_has_two_halves() -> None:
    assert etags.etag(1, {"a": 1}).partition(".")[0] == etags.etag(1, {"a": 2}).partition(".")[0]
    assert etags.etag(1, {"a": 1}) != etags.etag(2, {"a": 1})
