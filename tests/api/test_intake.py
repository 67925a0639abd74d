"""Intake over HTTP: entries that are handed in, sources and entries, and two paths beside each other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

import holdfast as hf
from tests.api.kit import V1, problem, serving
from tests.engine.helpers import until
from tests.intake.taking_kit import append, desk, once, orders, write

pytestmark = pytest.mark.slow

REQUESTED = """
[sources.requested]
kind = "http"
workflow = "desk"
id = "id"
when = "entry.text != 'spam'"
max_bytes = "1KB"
"""


@hf.workflow
async def reads(message: hf.Incoming) -> str:
    assert message.raw is not None
    return f"{message.media_type}: {message.raw.decode()}"


@pytest.mark.parametrize("store", ["memory", "sqlite", "postgres"])
async def test_an_entry_that_is_handed_in_becomes_a_run_once(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    names = {"sqlite": "sqlite_url", "postgres": "postgres_database"}
    url = request.getfixturevalue(names[store]) if store in names else None
    async with (
        serving(url, intake=str(write(tmp_path, REQUESTED))) as served,
        hf.Worker(served.url, [desk], intake=tmp_path / "intake.toml"),
    ):
        http, address = served.http(), f"{V1}/intake/requested"
        made = await http.post(address, json={"id": "o-1", "text": "order"})
        assert made.status_code == 201
        run_id = made.json()["run_id"]
        assert made.json() == {"outcome": "run", "run_id": run_id, "reason": ""}
        assert made.headers["location"] == f"{V1}/runs/{run_id.replace('/', '%2F')}"
        run = (await http.get(made.headers["location"], params={"wait": 8})).json()
        assert run["input"]["message"]["data"] == {"id": "o-1", "text": "order"}
        again = await http.post(address, json={"id": "o-1", "text": "order"})
        assert (again.status_code, again.json()) == (200, {"outcome": "repeated", "run_id": run_id, "reason": ""})
        spam = await http.post(address, json={"id": "o-2", "text": "spam"})
        assert (spam.status_code, spam.json()["outcome"], spam.json()["run_id"]) == (200, "filtered", None)
        [source] = (await http.get(f"{V1}/intake")).json()["items"]
        assert (source["name"], source["kind"], source["position"]) == ("requested", "http", None)
        assert [source[name] for name in ("runs", "filtered", "repeated", "dead")] == [1, 1, 1, 0]
        at_once = await asyncio.gather(*(http.post(address, json={"id": "o-3", "text": "order"}) for _ in range(8)))
        assert sorted(one.status_code for one in at_once) == [200] * 7 + [201]
        assert len({one.json()["run_id"] for one in at_once}) == 1


async def test_what_has_no_id_is_known_by_what_the_request_calls_itself(tmp_path: Path) -> None:
    path = write(tmp_path, REQUESTED.replace('"desk"', '"reads"').replace("when", "# when"))
    async with serving(intake=str(path)) as served, hf.Worker(served.url, [reads]):
        http, address = served.http(), f"{V1}/intake/requested"
        plain = {"Content-Type": "text/plain; charset=utf-8"}
        ids = []
        for headers in (plain, plain, {**plain, "Idempotency-Key": "a"}, {**plain, "Idempotency-Key": '"a"'}):
            ids.append((await http.post(address, content=b"Hello", headers=headers)).json()["run_id"])
        assert len(set(ids)) == 3
        assert ids[2] == ids[3]
        result = await (await served.local().handle(ids[2])).result("20s")
        assert result == "text/plain: Hello"


async def test_what_cannot_be_taken_in_is_refused_and_not_kept(tmp_path: Path) -> None:
    async with serving(intake=str(write(tmp_path, REQUESTED)), max_body=3000) as served:
        http, address = served.http(), f"{V1}/intake/requested"
        problem(await http.post(address, json={"id": "o-1"}), 404, "workflow-unknown")
        async with hf.Worker(served.url, [desk], queues=["nobody's"]):
            json = {"Content-Type": "application/json"}
            found = problem(await http.post(address, content=b"{broken", headers=json), 422, "payload-refused")
            assert "no JSON" in found["detail"]
            found = problem(await http.post(address, json={"id": "x" * 1000}), 422, "payload-refused")
            assert "at most 1,000 are taken" in found["detail"]
            problem(await http.post(address, json={"id": "x" * 4000}), 413, "body-too-large")
            problem(await http.post(f"{V1}/intake/other", json={}), 404, "source-not-found")
            problem(await http.post(address, json={}, headers={"Idempotency-Key": "x" * 300}), 400, "malformed-request")
        assert (await http.get(f"{V1}/entries")).json()["items"] == []


async def test_a_source_belongs_to_its_tenant(tmp_path: Path) -> None:
    path = write(tmp_path, REQUESTED, tenant="acme")
    async with serving(auth=True, intake=str(path)) as served:
        async with hf.Worker(served.url, [desk], queues=["nobody's"]):
            pass
        acme = served.http(await served.key("operator", "acme"))
        assert (await acme.post(f"{V1}/intake/requested", json={"id": "a", "text": "order"})).status_code == 201
        other = served.http(await served.key("operator", "other"))
        problem(await other.post(f"{V1}/intake/requested", json={"id": "a", "text": "order"}), 404, "source-not-found")
        assert (await other.get(f"{V1}/intake")).json()["items"] == []


async def test_a_file_that_is_wrong_ends_the_server(tmp_path: Path) -> None:
    with pytest.raises(hf.UsageError, match=r"intake.toml, line 3: kind is 'htp'; did you mean 'http'"):
        async with serving(intake=str(write(tmp_path, REQUESTED.replace('"http"', '"htp"')))):
            pass


async def test_entries_are_listed_in_pages_and_settled(tmp_path: Path) -> None:
    write(tmp_path)
    append(tmp_path, [*orders(1, 2, 3), "{one", "{two"])
    async with serving() as served, hf.Worker(served.url, [desk]):
        await once(served.local(), tmp_path)
        http = served.http()
        found, cursor = [], None
        while True:
            query = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
            part = (await http.get(f"{V1}/intake/orders/entries", params=query)).json()
            found += part["items"]
            cursor = part["next"]
            if cursor is None:
                break
        assert [one["message_id"] for one in found] == ["", "", "o-3", "o-2", "o-1"]
        assert found == (await http.get(f"{V1}/entries")).json()["items"]
        [one] = (await http.get(f"{V1}/entries", params={"message_id": "o-2"})).json()["items"]
        [same] = (await http.get(f"{V1}/entries", params={"run": one["run_id"]})).json()["items"]
        assert one == same
        assert (await http.get(f"{V1}/entries", params={"until": "2026-01-01T00:00:00Z"})).json()["items"] == []
        second, first = (await http.get(f"{V1}/entries", params={"outcome": "dead"})).json()["items"]
        assert (await http.get(f"{V1}/entries/{first['id']}")).json()["content"] == "{one"
        problem(await http.post(f"{V1}/entries/{first['id']}/retry"), 422, "payload-refused")
        mended = await http.post(f"{V1}/entries/{first['id']}/retry", json={"content": '{"id": "o-9"}'})
        run = (await http.get(f"{V1}/runs/{mended.json()['run_id'].replace('/', '%2F')}?wait=8")).json()
        assert (run["status"], run["attributes"]["source"]) == ("succeeded", "orders")
        problem(await http.post(f"{V1}/entries/{first['id']}/retry"), 409, "entry-settled")
        problem(await http.post(f"{V1}/entries/{second['id']}/discard", json={"reason": " "}), 422, "invalid-request")
        assert (await http.post(f"{V1}/entries/{second['id']}/discard", json={"reason": "no"})).status_code == 204
        problem(await http.get(f"{V1}/entries/{'0' * 32}"), 404, "entry-not-found")
        problem(await http.get(f"{V1}/entries/x"), 422, "invalid-request")
        rewound = (await http.post(f"{V1}/intake/orders/rewind")).json()
        assert rewound["position"] is None
        assert (await http.post(f"{V1}/intake/orders/rewind", json={"to": {"offset": 1}})).json()["position"] == {
            "offset": 1
        }
        problem(await http.post(f"{V1}/intake/other/rewind"), 404, "source-not-found")
        audit = (await http.get(f"{V1}/audit")).json()["items"]
        assert [one["action"] for one in audit if one["action"].startswith(("entry", "source"))] == [
            "source.rewind", "source.rewind", "entry.discard", "entry.retry",
        ]  # fmt: skip


async def test_two_paths_are_compared(tmp_path: Path) -> None:
    write(tmp_path)
    append(tmp_path, orders(*range(1, 6)))
    async with serving() as served, hf.Worker(served.url, [desk]):
        client, http = served.local(), served.http()
        await client.roll_back("desk")
        await once(client, tmp_path)
        await until(lambda: _ended(http, 5))
        told = [{"message_id": f"o-{number}", "decided": "sent", "text": "About: order 1"} for number in (1, 2)]
        answered = await http.post(f"{V1}/shadow/outcomes", json={"workflow": "desk", "outcomes": told})
        assert answered.json() == {"changed": 2}
        found, cursor = [], None
        while True:
            query: dict[str, Any] = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
            part = (await http.get(f"{V1}/shadow/desk/comparison", params=query)).json()
            assert part["counts"] == {"same": 1, "different": 1, "missing": 0, "alone": 3}
            found += part["items"]
            cursor = part["next"]
            if cursor is None:
                break
        by_id = {one["message_id"]: one for one in found}
        assert [len(found), by_id["o-1"]["comparison"]] == [5, "same"]
        assert by_id["o-2"]["difference"] == "About: order [-1-] {+2+}"
        report = (await http.get(f"{V1}/shadow/desk/criteria")).json()
        assert (report["entries"], report["ready"]) == (5, True)
        assert [one["ok"] for one in report["criteria"]] == [True] * 5
        empty = (await http.get(f"{V1}/shadow/other/criteria")).json()
        assert (empty["entries"], empty["ready"]) == (0, False)
        problem(await http.get(f"{V1}/shadow/desk/comparison?cursor=abc"), 422, "invalid-request")
        wrong = {"workflow": "desk", "outcomes": [{"message_id": "a", "decided": "guessed"}]}
        problem(await http.post(f"{V1}/shadow/outcomes", json=wrong), 422, "invalid-request")


async def _ended(http: httpx.AsyncClient, number: int) -> bool:
    counted = await http.get(f"{V1}/runs:count", params={"workflow": "desk", "status": "succeeded"})
    return bool(counted.json()["runs"] == number)


async def test_what_came_in_and_was_answered_is_hidden_from_whom_fields_are_hidden(tmp_path: Path) -> None:
    async with serving(auth=True, redact=("card",)) as served:
        local = served.local()
        await local.roll_back("desk")
        async with hf.Worker(served.url, [desk], intake=write(tmp_path)):
            append(tmp_path, [*orders(1), '{"card": "4111-1111", '])

            async def taken_in() -> bool:
                done = (await local.count(workflow="desk", status="succeeded")).runs
                return done == 1 and [one.dead for one in await local.sources()] == [1]

            await until(taken_in)
        await local.record_outcomes("desk", [hf.PathOutcome("o-1", "sent", "About: card 4111-1111")])
        [dead] = await local.entries(outcome="dead")
        looks, operates = [served.http(await served.key(role)) for role in ("viewer", "operator")]
        for path in (f"{V1}/entries/{dead.id}", f"{V1}/shadow/desk/comparison"):
            assert "4111-1111" not in (await looks.get(path)).text, path
            assert "4111-1111" in (await operates.get(path)).text, path
