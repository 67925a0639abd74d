"""Definitions, settings, many items at once, figures and the demo over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.kit import V1, Served, problem
from tests.api.work_kit import AT_RISK, item, move, ok, subject

DEFINITION = f"{V1}/definitions/at-risk"


async def test_a_definition_has_versions(http: httpx.AsyncClient) -> None:
    made = await http.put(DEFINITION, json=AT_RISK)
    view = await ok(made, 201)
    assert (view["version"], view["active"], view["weight"]) == (1, False, 900)
    assert (await ok(await http.put(DEFINITION, json=AT_RISK)))["version"] == 1
    changed = await http.put(DEFINITION, json={**AT_RISK, "weight": 950}, headers={"If-Match": made.headers["etag"]})
    assert (await ok(changed))["version"] == 2
    for method, address, body in (("PUT", "", AT_RISK), ("POST", "/activate", None), ("POST", "/retire", None)):
        late = await http.request(method, DEFINITION + address, json=body, headers={"If-Match": made.headers["etag"]})
        problem(late, 412, "changed")
    assert (await ok(await http.post(f"{DEFINITION}/activate")))["active"]
    assert [one["id"] for one in (await ok(await http.get(f"{V1}/definitions?active=true")))["items"]] == ["at-risk"]
    versions = (await ok(await http.get(f"{DEFINITION}/versions?limit=2")))["items"]
    assert [one["version"] for one in versions] == [3, 2]
    assert (await ok(await http.get(f"{DEFINITION}?version=1")))["weight"] == 900
    assert not (await ok(await http.post(f"{DEFINITION}/retire")))["active"]
    for address in ("", "/versions", "?version=99"):
        name = "absent" if "version=" not in address else "at-risk"
        problem(await http.get(f"{V1}/definitions/{name}{address}"), 404, "definition-not-found")
    for address in ("activate", "retire", "dry-run"):
        problem(await http.post(f"{V1}/definitions/absent/{address}"), 404, "definition-not-found")


async def test_a_definition_that_is_none_says_where(http: httpx.AsyncClient) -> None:
    for document, said in (
        ({}, "name"),
        ({"name": "x", "colour": "red"}, "colour"),
        ({"name": "x", "type": "riks"}, "risk"),
        ({"name": "x", "id": "other"}, "id"),
        ({"name": "x", "after": ["at-risk"]}, "itself"),
        ({"name": "x", "form": {"type": "string"}}, "object"),
    ):
        assert said in problem(await http.put(DEFINITION, json=document), 409, "input-refused")["detail"], document
    unread = await http.put(DEFINITION, json={"name": "x", "rule": "signals.a >=\n  ) 1.0"})
    found = problem(unread, 409, "rule-refused")
    assert found["line"] == 2
    assert found["column"] >= 1
    problem(await http.post(f"{V1}/definitions:dry-run", json={"name": "x", "rule": "1 +"}), 409, "rule-refused")
    for body in ([], "x", None):
        problem(await http.put(DEFINITION, json=body), 422, "invalid-request")


async def test_a_file_of_definitions_is_taken_whole_or_not_at_all(http: httpx.AsyncClient) -> None:
    good = '[definitions.a]\nname = "A"\n\n[definitions.b]\nname = "B"\nrule = "signals.x > 1.0"\n'
    found = await ok(await http.post(f"{V1}/definitions:load", json={"text": good, "name": "all.toml"}))
    assert [one["id"] for one in found["items"]] == ["a", "b"]
    text = good.replace("B", "C").replace("1.0", ")")
    bad = await http.post(f"{V1}/definitions:load", json={"text": text, "name": "f"})
    assert problem(bad, 409, "rule-refused")["detail"].startswith("f, line 6")
    assert [one["name"] for one in (await ok(await http.get(f"{V1}/definitions")))["items"]] == ["A", "B"]
    problem(await http.post(f"{V1}/definitions:load", json={"text": "x ="}), 409, "input-refused")


async def test_rules_make_items_once(http: httpx.AsyncClient) -> None:
    await subject(http, "calm", assignee="ida", signals={"churn_risk_score": 1})
    await subject(http, "angry", assignee="ida", signals={"churn_risk_score": 9, "revenue_impact_tier": 5})
    await ok(await http.put(DEFINITION, json=AT_RISK), 201)
    tried = await ok(await http.post(f"{DEFINITION}/dry-run"))
    assert (tried["subjects"], tried["matches"], tried["makes"], tried["examples"]) == (2, 1, 1, ["angry"])
    document = {**AT_RISK, "rule": "scores.risk >= 0.0 || signals.usage_scor > 1.0"}
    tried = await ok(await http.post(f"{V1}/definitions:dry-run", json={**document, "id": "new"}))
    assert tried["makes"] == 2
    assert any("usage_scor" in note for note in tried["notes"])
    await ok(await http.post(f"{DEFINITION}/activate"))
    made = (await ok(await http.post(f"{V1}/items:interpret")))["items"]
    assert len(made) == 1
    assert (await ok(await http.get(f"{V1}/items/{made[0]}")))["subject"] == "angry"
    assert (await ok(await http.post(f"{V1}/items:interpret")))["items"] == []
    assert (await ok(await http.post(f"{V1}/items:recompute")))["items"] == 1
    daily = await ok(await http.post(f"{V1}/items:daily"))
    assert (daily["created"], daily["recomputed"]) == (0, 1)
    await ok(await http.post(f"{V1}/items:daily", json={"day": "2026-03-01"}))
    problem(await http.post(f"{V1}/items:daily", json={"day": "today"}), 422, "invalid-request")
    exists = await http.post(f"{V1}/items", json={"definition": "at-risk", "subject": "angry"})
    problem(exists, 409, "item-exists")


async def test_settings_are_looked_at_and_set(http: httpx.AsyncClient) -> None:
    address = f"{V1}/work-settings"
    first = await http.get(address)
    assert ((await ok(first))["zone"], (await ok(first))["revision"]) == ("UTC", 0)
    match = {"If-Match": first.headers["etag"]}
    view = await ok(await http.put(address, json={"zone": "Europe/Berlin", "country": "DE"}, headers=match))
    assert (view["zone"], view["country"], view["preset"]) == ("Europe/Berlin", "DE", "customer_success")
    problem(await http.put(address, json={"zone": "UTC"}, headers=match), 412, "changed")
    view = await ok(await http.put(address, json={"policy": {"base": {"risk": 990}}}))
    assert (view["preset"], view["zone"]) == (None, "Europe/Berlin")
    await item(http, "i", type="risk")
    assert (await ok(await http.get(f"{V1}/items/i")))["priority"] == 990
    view = await ok(await http.post(f"{address}/preset", json={"name": "customer_success"}))
    assert view["preset"] == "customer_success"
    assert (await ok(await http.get(f"{V1}/items/i")))["priority"] == 900
    assert len((await ok(await http.get(f"{V1}/definitions?active=true")))["items"]) >= 1
    assert "customer_success" in (await ok(await http.get(f"{V1}/presets")))["items"]
    for body, status in (
        ({"zone": "Mars"}, 409), ({"country": "XX"}, 409), ({"preset": "absent"}, 409), ({"policy": {"x": 1}}, 409),
        ({"zone": 5}, 422), ({"colour": 1}, 422),
    ):  # fmt: skip
        problem(await http.put(address, json=body), status, "input-refused" if status == 409 else "invalid-request")
    problem(await http.post(f"{address}/preset", json={"name": "absent"}), 409, "input-refused")


async def test_many_are_tried_done_and_undone(http: httpx.AsyncClient) -> None:
    for id in ("a", "b", "c"):
        await item(http, id)
    await ok(await move(http, "c", "complete"))
    body: dict[str, Any] = {"action": "snooze", "where": {"assignee": "local"}, "days": 3}
    tried = await ok(await http.post(f"{V1}/items:bulk", json={**body, "dry_run": True}))
    assert (tried["items"], tried["possible"], tried["outcomes"]["a"]) == (3, 2, "done")
    assert "completed" in tried["outcomes"]["c"]
    assert (await ok(await http.get(f"{V1}/items/a")))["status"] == "not_started"
    done = await ok(await http.post(f"{V1}/items:bulk", json=body))
    assert (done["done"], done["refused"]) == (2, 1)
    assert (await ok(await http.get(f"{V1}/items/a")))["status"] == "snoozed"
    assert (await ok(await http.get(f"{V1}/items:count?batch={done['id']}")))["items"] == 2
    assert (await ok(await http.get(f"{V1}/items:bulk/{done['id']}")))["done"] == 2
    await ok(await move(http, "b", "wake"))
    undone = await ok(await http.post(f"{V1}/items:bulk/{done['id']}/undo"))
    assert (undone["done"], undone["outcomes"]["a"]) == (1, "done")
    assert (await ok(await http.get(f"{V1}/items/a")))["status"] == "not_started"
    ids = {"action": "assign", "ids": ["a", "b", "absent"], "to": "maria", "reason": "away"}
    assert (await ok(await http.post(f"{V1}/items:bulk", json=ids)))["done"] == 2
    for bad in (
        {"action": "explode", "ids": ["a"]}, {"action": "wake"}, {"action": "wake", "ids": ["a"], "where": {}},
        {"action": "snooze", "ids": ["a"], "days": 91}, {"action": "wake", "where": {"colour": 1}},
        {"action": "wake", "ids": "a"}, {"action": "wake", "ids": [""]},
    ):  # fmt: skip
        problem(await http.post(f"{V1}/items:bulk", json=bad), 422, "invalid-request")
    for bad in (
        {"action": "snooze", "ids": ["a"]}, {"action": "skip", "ids": ["a"]}, {"action": "escalate", "ids": ["a"]},
        {"action": "wake", "ids": ["a"], "days": 3}, {"action": "snooze", "ids": ["a"], "until": "2020-01-01"},
    ):  # fmt: skip
        problem(await http.post(f"{V1}/items:bulk", json=bad), 409, "input-refused")
    problem(await http.post(f"{V1}/items:bulk/{'0' * 32}/undo"), 404, "batch-not-found")
    problem(await http.get(f"{V1}/items:bulk/{'0' * 32}"), 404, "batch-not-found")
    problem(await http.post(f"{V1}/items:bulk/none/undo"), 422, "invalid-request")


async def test_work_is_balanced(served: Served, http: httpx.AsyncClient) -> None:
    for id in ("ida", "bob"):
        await ok(await http.put(f"{V1}/users/{id}", json={"role": "worker-of-items"}), 201)
    for number in range(6):
        await item(http, f"i{number}", assignee="ida")
    loads = {one["assignee"]: one["items"] for one in (await ok(await http.get(f"{V1}/items:loads")))["items"]}
    assert loads == {"ida": 6}
    plan = await ok(await http.post(f"{V1}/items:balance"))
    assert plan["moves"]
    assert all(one["to"] == "bob" for one in plan["moves"])
    assert (await ok(await http.get(f"{V1}/items:count?assignee=bob")))["items"] == 0
    first = plan["moves"][0]["item"]
    await ok(await http.patch(f"{V1}/items/{first}/data", json={"a": 1}))
    done = await ok(await http.post(f"{V1}/items:apply-plan", json=plan))
    assert (done["done"], done["refused"]) == (len(plan["moves"]) - 1, 1)
    await ok(await http.post(f"{V1}/items:balance", json={"simulate": False}))
    problem(await http.post(f"{V1}/items:balance", json={"simulate": "no"}), 422, "invalid-request")
    none = {"moves": [{}], "made_at": plan["made_at"]}
    problem(await http.post(f"{V1}/items:apply-plan", json=none), 422, "invalid-request")


async def test_figures_are_told_as_json_and_as_csv(http: httpx.AsyncClient) -> None:
    for id in ("a", "b", "c"):
        await item(http, id, assignee="=ida")
    await ok(await move(http, "a", "complete"))
    await ok(await move(http, "b", "skip", {"reason": "they left"}))
    found = await ok(await http.get(f"{V1}/items:analytics?by=assignee"))
    assert (found["total"]["created"], found["total"]["completed"], found["total"]["completion_rate"]) == (3, 1, 0.5)
    assert found["groups"][0]["skips"] == {"they left": 1}
    days = "every=day&since=2026-01-01T00:00:00Z&until=2026-01-03"
    series = (await ok(await http.get(f"{V1}/items:series?{days}")))["items"]
    assert [one["total"]["created"] for one in series] == [0, 0]
    assert len((await http.get(f"{V1}/items:analytics.csv?{days}")).text.splitlines()) == 3
    csv = await http.get(f"{V1}/items:analytics.csv?by=assignee")
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in csv.headers["content-disposition"]
    assert "'=ida" in csv.text.splitlines()[1]
    for query in ("by=colour", "since=soon", "every=hour"):
        address = "items:series" if "every" in query else "items:analytics"
        problem(await http.get(f"{V1}/{address}?{query}"), 422, "invalid-request")
    for query in ("since=2026-02-30", "since=2026-03-01&until=2026-02-01"):
        problem(await http.get(f"{V1}/items:analytics?{query}"), 409, "input-refused")
    problem(await http.get(f"{V1}/items:series?every=day&since=2000-01-01"), 409, "input-refused")


async def test_the_demo_is_apart(guarded: Served) -> None:
    admin, viewer = guarded.http(await guarded.key("admin")), guarded.http(await guarded.key("viewer"))
    address = f"{V1}/items:demo"
    made = await ok(await admin.post(address, json={"subject": "ob", "assignee": "maria"}), 201)
    assert len(made["items"]) == 3
    assert await ok(await admin.post(address, json={"subject": "ob", "assignee": "maria"})) == {
        **made,
        "created": False,
    }
    status = await ok(await admin.get(f"{address}?assignee=maria"))
    assert (status["total"], status["completed"], status["next"]["id"]) == (3, 0, made["items"][0])
    assert (await ok(await viewer.get(address)))["total"] == 0
    problem(await viewer.get(f"{address}?assignee=maria"), 403, "forbidden")
    problem(await viewer.post(address, json={"subject": "x"}), 403, "forbidden")
    assert (await ok(await admin.get(f"{V1}/items:count")))["items"] == 0
    assert (await ok(await admin.get(f"{V1}/items:count?demo=true")))["items"] == 3
    assert await ok(await admin.delete(address)) == {"items": 3}


@pytest.mark.parametrize("role", ["viewer", "worker-of-items", "operator"])
async def test_what_is_an_admins_is_no_others(guarded: Served, role: str) -> None:
    http = guarded.http(await guarded.key(role))
    for method, address, body in (
        ("PUT", "definitions/d", AT_RISK),
        ("POST", "definitions/d/activate", None),
        ("POST", "definitions:load", {"text": ""}),
        ("PUT", "work-settings", {"zone": "UTC"}),
        ("POST", "work-settings/preset", {"name": "customer_success"}),
        ("DELETE", "items:demo", None),
    ):
        problem(await http.request(method, f"{V1}/{address}", json=body), 403, "forbidden")
    for address in ("definitions", "work-settings", "presets", "items:loads", "items:analytics"):
        await ok(await http.get(f"{V1}/{address}"))
    many = await http.post(f"{V1}/items:bulk", json={"action": "wake", "ids": []})
    assert many.status_code == (200 if role == "operator" else 403)
