"""The orchestrator's routes: their paths, their shapes, and each refusal."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.kit import V1, Served, problem, serving
from tests.api.work_kit import AT_RISK, FORM, item, move, ok, subject

ORCHESTRATOR = "/api/orchestrator"
TODAY = "/api/dashboard/today-workflows"

EXECUTION = {
    "id", "workflow_definition_id", "customer_id", "assigned_csm_id", "escalation_user_id", "title", "workflow_type",
    "status", "priority_score", "priority", "due_at", "snooze_until", "snooze_days", "snoozed_at", "started_at",
    "completed_at", "skipped_at", "skip_reason", "execution_data", "is_demo", "created_at", "customer",
    "workflow_definition",
}  # fmt: skip

NAMES = ["Complete Strategic Account Plan", "Expansion Opportunity", "Executive Engagement"]
WORKFLOWS = ["obsblk-strategic-planning", "obsblk-expansion-opportunity", "obsblk-executive-engagement"]


def at(id: str, what: str) -> str:
    return f"{ORCHESTRATOR}/executions/{id}/{what}"


async def patch(http: httpx.AsyncClient, id: str, **body: Any) -> httpx.Response:
    return await http.patch(at(id, "status"), json=body)


async def demo(http: httpx.AsyncClient, csm_id: str | None = None) -> list[str]:
    """The demo for a person; the executions' ids."""
    body = {"customer_id": "obsidian-black"} | ({} if csm_id is None else {"csm_id": csm_id})
    made = await ok(await http.post(f"{ORCHESTRATOR}/demo/initialize", json=body), 201)
    ids: list[str] = made["execution_ids"]
    return ids


async def test_the_queue_is_ranked(http: httpx.AsyncClient) -> None:
    for id, signals in (
        ("r", {"revenue_impact_tier": 5, "churn_risk_score": 8}),
        ("o", {"revenue_impact_tier": 4, "usage_score": 95}),
        ("s", {"revenue_impact_tier": 5}),
        ("n", {"revenue_impact_tier": 3}),
    ):
        await subject(http, id, name=f"Customer {id}", properties={"plan": id}, signals=signals)
    for id, kind in (("n", "renewal"), ("s", "strategic"), ("o", "opportunity"), ("r", "risk")):
        await ok(await http.put(f"{V1}/definitions/d-{id}", json={"name": f"Work {id}", "type": kind}), 201)
        await item(http, id, title=None, definition=f"d-{id}", subject=id)
    await ok(await move(http, "n", "snooze", {"days": 2}))
    found = await ok(await http.get(f"{ORCHESTRATOR}/queue"))
    assert [(one["id"], one["priority_score"], one["priority"]) for one in found] == [
        ("r", 965, "Critical"), ("o", 829, "High"), ("s", 725, "High"),
    ]  # fmt: skip
    first = found[0]
    assert set(first) == EXECUTION
    assert (first["title"], first["workflow_type"], first["status"]) == ("Work r", "risk", "not_started")
    assert (first["customer"]["name"], first["customer"]["properties"]) == ("Customer r", {"plan": "r"})
    assert first["workflow_definition"]["priority_weight"] == 900
    assert first["workflow_definition"]["trigger_conditions"] == {"trigger_type": "manual"}
    everything = await ok(await http.get(f"{ORCHESTRATOR}/queue?include_snoozed=true"))
    assert (everything[0]["id"], everything[0]["priority_score"]) == ("n", 998)
    assert [one["id"] for one in await ok(await http.get(f"{ORCHESTRATOR}/queue?limit=1"))] == ["r"]
    assert await ok(await http.get(f"{ORCHESTRATOR}/queue?csm_id=maria")) == []
    assert await ok(await http.get(f"{ORCHESTRATOR}/queue?demo=true")) == []


async def test_the_demo_flows_in_its_order(http: httpx.AsyncClient) -> None:
    await item(http, "real", type="risk")
    ids = await demo(http)
    assert len(ids) == 3
    again = await http.post(f"{ORCHESTRATOR}/demo/initialize", json={"customer_id": "obsidian-black"})
    assert await ok(again) == {"execution_ids": ids, "count": 3}
    found = await ok(await http.get(f"{ORCHESTRATOR}/queue?demo=true"))
    assert [one["id"] for one in found] == ids
    assert [one["workflow_definition"]["name"] for one in found] == NAMES
    assert [one["workflow_definition"]["trigger_conditions"] for one in found] == [
        {"trigger_type": "demo_sequence", "workflow_id": id, "order": place} for place, id in enumerate(WORKFLOWS, 1)
    ]
    assert [one["priority_score"] for one in found] == [700, 800, 900]
    assert all(one["is_demo"] and one["customer_id"] == "obsidian-black" for one in found)
    assert [one["id"] for one in await ok(await http.get(f"{ORCHESTRATOR}/queue"))] == ["real"]
    status = await ok(await http.get(f"{ORCHESTRATOR}/demo/status"))
    assert (status["total"], status["completed"], status["current"]) == (3, 0, None)
    assert status["next"]["id"] == ids[0]
    await ok(await patch(http, ids[0], status="underway"))
    status = await ok(await http.get(f"{ORCHESTRATOR}/demo/status"))
    assert (status["current"]["id"], status["next"]["id"]) == (ids[0], ids[1])
    await ok(await patch(http, ids[0], status="completed"))
    await ok(await http.post(at(ids[1], "skip"), json={"reason": "not now"}))
    status = await ok(await http.get(f"{ORCHESTRATOR}/demo/status"))
    assert (status["completed"], status["current"], status["next"]["id"]) == (1, None, ids[2])
    assert (await ok(await http.get(f"{TODAY}?demo=true")))["priorityWorkflow"]["executionId"] == ids[2]


async def test_what_is_to_be_done_today(http: httpx.AsyncClient) -> None:
    nothing = await ok(await http.get(TODAY))
    assert nothing["priorityWorkflow"] is None
    assert nothing["message"]
    ids = await demo(http)
    assert (await ok(await http.get(TODAY)))["priorityWorkflow"] is None
    first = await ok(await http.get(f"{TODAY}?demo=true"))
    assert first["priorityWorkflow"] == {
        "id": "obsblk-strategic-planning", "executionId": ids[0], "title": "Complete Strategic Account Plan",
        "customerId": "obsidian-black", "customerName": "obsidian-black", "priority": "High", "dueDate": None,
        "workflowType": "strategic",
    }  # fmt: skip
    await item(http, "own", due_at="2099-03-01T06:30:00Z")
    found = (await ok(await http.get(TODAY)))["priorityWorkflow"]
    assert (found["id"], found["customerId"], found["customerName"]) == ("own", None, None)
    assert (found["priority"], found["dueDate"]) == ("Low", "2099-03-01T06:30:00Z")


async def test_an_execution_is_snoozed(http: httpx.AsyncClient) -> None:
    await item(http, "i")
    for days, priority in ((10, 390), (2, 998), (1.0, 999), (90, 310)):
        found = await ok(await http.post(at("i", "snooze"), json={"days": days}))
        assert set(found) == {"execution", "snooze_until", "new_priority"}
        assert found["new_priority"] == found["execution"]["priority_score"] == priority
        assert found["snooze_until"] == found["execution"]["snooze_until"]
        assert found["execution"]["snooze_days"] == days
    assert await ok(await http.get(f"{ORCHESTRATOR}/queue")) == []


async def test_an_execution_is_skipped_and_escalated(http: httpx.AsyncClient) -> None:
    await item(http, "i")
    found = await ok(await http.post(at("i", "escalate"), json={"escalation_user_id": "bob"}))
    assert set(found) == {"execution"}
    assert (found["execution"]["escalation_user_id"], found["execution"]["assigned_csm_id"]) == ("bob", "local")
    found = await ok(await http.post(at("i", "skip"), json={"reason": "they left us"}))
    assert (found["execution"]["status"], found["execution"]["skip_reason"]) == ("skipped", "they left us")
    assert found["execution"]["skipped_at"]
    assert await ok(await http.get(f"{ORCHESTRATOR}/queue?include_snoozed=true")) == []


async def test_a_status_is_patched_with_data(http: httpx.AsyncClient) -> None:
    await item(http, "i", data={"deep": {"a": 1, "b": 1}, "list": [1]})
    data = {"deep": {"b": None, "c": 1}, "list": [2]}
    found = (await ok(await patch(http, "i", status="underway", execution_data=data)))["execution"]
    assert (found["status"], found["execution_data"]) == ("underway", {"deep": {"a": 1, "c": 1}, "list": [2]})
    assert found["started_at"]
    found = (await ok(await patch(http, "i", status="underway", execution_data={"more": 1})))["execution"]
    assert found["execution_data"]["more"] == 1
    assert (await ok(await patch(http, "i", status="not_started")))["execution"]["status"] == "not_started"
    assert (await ok(await patch(http, "i", status="snoozed", days=5)))["execution"]["snooze_days"] == 5
    assert (await ok(await patch(http, "i", status="snoozed", days=6)))["execution"]["snooze_days"] == 6
    assert (await ok(await patch(http, "i", status="not_started")))["execution"]["snooze_until"] is None
    found = (await ok(await patch(http, "i", status="completed", execution_data={"list": None})))["execution"]
    assert (found["status"], "list" in found["execution_data"]) == ("completed", False)
    assert found["completed_at"]
    await item(http, "j")
    found = (await ok(await patch(http, "j", status="skipped", reason="no", execution_data={"a": 1})))["execution"]
    assert (found["status"], found["execution_data"]) == ("skipped", {"a": 1})


BAD: list[tuple[str, str, Any]] = [
    *(("POST", "executions/i/snooze", {"days": days}) for days in (0, 91, -1, "soon", "3", 1.5, True, None, [3])),
    ("POST", "executions/i/snooze", {}),
    ("POST", "executions/i/snooze", None),
    ("POST", "executions/i/snooze", {"days": 3, "colour": 1}),
    *(("POST", "executions/i/skip", {"reason": reason}) for reason in ("", "  ", None, 5, "x" * 2001, "a\0b")),
    ("POST", "executions/i/skip", {}),
    *(("POST", "executions/i/escalate", {"escalation_user_id": id}) for id in ("", None, 5, "x" * 513, "local")),
    ("POST", "executions/i/escalate", {}),
    ("POST", "executions/i/escalate", {"escalation_user_id": "@manager"}),
    *(("PATCH", "executions/i/status", {"status": status}) for status in ("asleep", "", None, 1, "COMPLETED")),
    ("PATCH", "executions/i/status", {}),
    ("PATCH", "executions/i/status", {"status": "snoozed"}),
    ("PATCH", "executions/i/status", {"status": "snoozed", "days": 0}),
    ("PATCH", "executions/i/status", {"status": "skipped"}),
    ("PATCH", "executions/i/status", {"status": "skipped", "reason": " "}),
    ("PATCH", "executions/i/status", {"status": "underway", "execution_data": [1]}),
    ("PATCH", "executions/i/status", {"status": "underway", "execution_data": {"big": "x" * 1_100_000}}),
    ("PATCH", "executions/i/status", {"status": "completed", "execution_data": {"approved": "yes"}}),
    ("POST", "demo/initialize", {}),
    ("POST", "demo/initialize", {"customer_id": ""}),
    ("POST", "demo/initialize", {"customer_id": 5}),
    ("POST", "demo/initialize", {"customer_id": "c", "csm_id": ""}),
    ("POST", "demo/initialize", None),
    ("GET", "queue?limit=0", None),
    ("GET", "queue?limit=1001", None),
    ("GET", "queue?limit=many", None),
    ("GET", "queue?demo=perhaps", None),
    ("GET", "queue?csm_id=", None),
    ("GET", "queue?colour=red", None),
    ("GET", "demo/status?csm_id=", None),
]


async def test_bad_input_is_400(http: httpx.AsyncClient) -> None:
    await item(http, "i", form=FORM)
    for method, address, body in BAD:
        found = problem(await http.request(method, f"{ORCHESTRATOR}/{address}", json=body), 400, "bad-input")
        assert found["detail"], (address, body)
    for content in (b"{", b"\xff", b'{"days": NaN}'):
        sent = await http.post(at("i", "snooze"), content=content, headers={"content-type": "application/json"})
        problem(sent, 400, "malformed-body")
    problem(await http.get(f"{TODAY}?demo=perhaps"), 400, "bad-input")
    assert (await ok(await http.get(f"{V1}/items/i")))["revision"] == 1


MOVES: list[tuple[str, str, Any]] = [
    ("POST", "snooze", {"days": 3}),
    ("POST", "skip", {"reason": "no"}),
    ("POST", "escalate", {"escalation_user_id": "bob"}),
    ("PATCH", "status", {"status": "underway", "execution_data": {"a": 1}}),
    ("PATCH", "status", {"status": "completed"}),
    ("PATCH", "status", {"status": "not_started"}),
    ("PATCH", "status", {"status": "snoozed", "days": 3}),
    ("PATCH", "status", {"status": "skipped", "reason": "no"}),
]


@pytest.mark.parametrize("ends", ["completed", "skipped"])
async def test_what_has_ended_does_not_move(http: httpx.AsyncClient, ends: str) -> None:
    await item(http, "i")
    await ok(await patch(http, "i", status=ends, reason="done"))
    for method, what, body in MOVES:
        found = problem(await http.request(method, at("i", what), json=body), 409, "illegal-move")
        assert (found["stands"], found["allowed"]) == (ends, []), (what, body)
    view = await ok(await http.get(f"{V1}/items/i"))
    assert (view["status"], view["data"]) == (ends, {})


async def test_what_is_not_there_is_404(guarded: Served) -> None:
    http = guarded.http(await guarded.key("admin"))
    theirs = guarded.http(await guarded.key("admin", tenant="other"))
    me = (await ok(await http.get(f"{V1}/me")))["actor"]
    await item(http, "ours", assignee=me)
    for client, id in ((http, "absent"), (theirs, "ours"), (http, "00000000-0000-0000-0000-000000000001")):
        for method, what, body in MOVES:
            problem(await client.request(method, at(id, what), json=body), 404, "item-not-found")
    assert (await ok(await http.get(f"{V1}/items/ours")))["revision"] == 1
    assert await ok(await theirs.get(f"{ORCHESTRATOR}/queue", params={"csm_id": me})) == []


ALL: list[tuple[str, str, Any]] = [
    ("GET", f"{ORCHESTRATOR}/queue", None),
    ("POST", f"{ORCHESTRATOR}/demo/initialize", {"customer_id": "c"}),
    ("GET", f"{ORCHESTRATOR}/demo/status", None),
    *((method, at("i", what), body) for method, what, body in MOVES),
    ("GET", TODAY, None),
]


async def test_nobody_without_credentials_is_answered(guarded: Served) -> None:
    for http in (guarded.http(), guarded.http("hf_00000000_" + "x" * 40), guarded.http("nonsense")):
        for method, address, body in ALL:
            # Who asks is looked at first: before what they say, and what there is.
            for given in (body, {"nonsense": 1} if body is not None else None):
                problem(await http.request(method, address, json=given), 401, "unauthorised")


async def test_each_role_does_what_it_may(guarded: Served) -> None:
    admin = guarded.http(await guarded.key("admin"))
    viewer = guarded.http(await guarded.key("viewer"))
    worker = guarded.http(await guarded.key("worker-of-items"))
    operator = guarded.http(await guarded.key("operator"))
    await item(admin, "i", assignee="maria")
    for method, what, body in MOVES:
        problem(await viewer.request(method, at("i", what), json=body), 403, "forbidden")
    for http in (viewer, worker, operator):
        problem(await http.post(f"{ORCHESTRATOR}/demo/initialize", json={"customer_id": "c"}), 403, "forbidden")
        await ok(await http.get(f"{ORCHESTRATOR}/queue"))
        await ok(await http.get(f"{ORCHESTRATOR}/demo/status"))
        await ok(await http.get(TODAY))
    for http in (viewer, worker):
        for address in ("queue", "demo/status"):
            problem(await http.get(f"{ORCHESTRATOR}/{address}?csm_id=maria"), 403, "forbidden")
        me = (await ok(await http.get(f"{V1}/me")))["actor"]
        await ok(await http.get(f"{ORCHESTRATOR}/queue", params={"csm_id": me}))
    assert [one["id"] for one in await ok(await operator.get(f"{ORCHESTRATOR}/queue?csm_id=maria"))] == ["i"]
    await ok(await patch(worker, "i", status="underway"))
    ids = await demo(admin, "maria")
    assert (await ok(await operator.get(f"{ORCHESTRATOR}/demo/status?csm_id=maria")))["next"]["id"] == ids[0]


async def test_the_queue_is_of_whoever_asks(guarded: Served) -> None:
    admin = guarded.http(await guarded.key("admin"))
    worker = guarded.http(await guarded.key("worker-of-items"))
    me = (await ok(await worker.get(f"{V1}/me")))["actor"]
    await item(admin, "mine", assignee=me)
    await item(admin, "theirs", assignee="maria")
    assert [one["id"] for one in await ok(await worker.get(f"{ORCHESTRATOR}/queue"))] == ["mine"]
    assert (await ok(await worker.get(TODAY)))["priorityWorkflow"]["executionId"] == "mine"


async def test_a_move_that_names_itself_is_made_once(http: httpx.AsyncClient) -> None:
    await item(http, "i")
    named = {"Idempotency-Key": "k"}
    first, again = [await http.post(at("i", "snooze"), json={"days": 3}, headers=named) for _ in range(2)]
    assert first.content == again.content
    assert (await ok(await http.get(f"{V1}/items/i")))["revision"] == 2


async def test_triggers_are_told_as_conditions(http: httpx.AsyncClient) -> None:
    await subject(http, "c", signals={"churn_risk_score": 9})
    for id, more, kind in (
        ("rule", {}, "signals"),
        ("day", {"rule": None, "renewal": {"property": "renews_on", "days": 90}}, "renewal"),
    ):
        document = {name: value for name, value in {**AT_RISK, **more}.items() if value is not None}
        await ok(await http.put(f"{V1}/definitions/{id}", json=document), 201)
        await item(http, id, title=None, definition=id, subject="c")
        [found] = [one for one in await ok(await http.get(f"{ORCHESTRATOR}/queue")) if one["id"] == id]
        conditions = found["workflow_definition"]["trigger_conditions"]
        assert conditions["trigger_type"] == kind
        assert {name: value for name, value in conditions.items() if name != "trigger_type"} == {
            name: value for name, value in document.items() if name in ("rule", "renewal")
        }


async def test_what_is_hidden_stays_so() -> None:
    async with serving(auth=True, redact=("iban",)) as served:
        admin, viewer = served.http(await served.key("admin")), served.http(await served.key("viewer"))
        me = (await ok(await viewer.get(f"{V1}/me")))["actor"]
        await subject(admin, "c", properties={"iban": "DE00 1234"})
        await item(admin, "i", assignee=me, subject="c", data={"iban": "DE00 1234"})
        assert "DE00 1234" in (await admin.get(f"{ORCHESTRATOR}/queue", params={"csm_id": me})).text
        assert "DE00 1234" not in (await viewer.get(f"{ORCHESTRATOR}/queue")).text
