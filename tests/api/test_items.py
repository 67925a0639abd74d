"""Work items over HTTP: made, looked at, moved; nobody's change is lost, and what cannot be is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.api.kit import V1, Served, problem, serving
from tests.api.work_kit import FORM, item, move, ok, subject

ITEMS = f"{V1}/items"


async def test_an_item_is_made_and_looked_at(http: httpx.AsyncClient) -> None:
    await subject(http, name="Acme", assignee="maria", signals={"revenue_impact_tier": 5, "churn_risk_score": 8})
    body = {"title": "Talk", "type": "risk", "subject": "acme", "due": "2d", "form": FORM, "id": "a/1"}
    made = await http.post(ITEMS, json=body)
    assert (made.status_code, made.headers["location"]) == (201, f"{ITEMS}/a%2F1")
    view = made.json()
    assert (view["assignee"], view["priority"], view["label"]) == ("maria", 965, "Critical")
    assert view["about"]["name"] == "Acme"
    assert view["moves"] == ["underway", "completed", "snoozed", "skipped"]
    read = await http.get(f"{ITEMS}/a%2F1")
    assert read.json()["id"] == "a/1"
    assert (await http.get(f"{ITEMS}/a%2F1", headers={"If-None-Match": "*"})).status_code == 304
    [event] = (await ok(await http.get(f"{ITEMS}/a%2F1/history")))["items"]
    assert (event["move"], event["actor"], event["revision"]) == ("create", "local", 1)
    why = await ok(await http.get(f"{ITEMS}/a%2F1/explain"))
    assert sum(part["points"] for part in why["parts"]) == why["priority"] == 965
    assert why["in_queue"]
    problem(await http.post(ITEMS, json=body), 409, "item-exists")


async def test_a_queue_has_the_most_important_first(http: httpx.AsyncClient) -> None:
    for id, kind in (("c", "custom"), ("r", "risk"), ("s", "strategic")):
        await item(http, id, type=kind)
    await item(http, "else", type="risk", assignee="maria")
    await ok(await move(http, "s", "snooze", {"days": 10}))
    found = await ok(await http.get(f"{ITEMS}:queue"))
    assert [one["id"] for one in found["items"]] == ["r", "c"]
    with_all = await ok(await http.get(f"{ITEMS}:queue", params={"include_snoozed": True}))
    assert [(one["id"], one["priority"]) for one in with_all["items"]] == [("r", 900), ("c", 500), ("s", 390)]
    assert [one["id"] for one in (await ok(await http.get(f"{ITEMS}:queue?assignee=maria&limit=1")))["items"]] == [
        "else"
    ]


async def test_lists_go_on_and_are_filtered(http: httpx.AsyncClient) -> None:
    await subject(http, name="Straße 5")
    for number in range(5):
        await item(http, f"i/{number}", type="risk" if number % 2 else "custom", subject="acme")
    await item(http, "none", assignee=None)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        params = {"limit": 2, "subject": "acme"} | ({} if cursor is None else {"cursor": cursor})
        page = await ok(await http.get(ITEMS, params=params))
        seen += [one["id"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ["i/4", "i/3", "i/2", "i/1", "i/0"]
    await ok(await move(http, "i%2F0", "start"))
    for query, ids in (
        ("assignee=", ["none"]),
        ("type=risk", ["i/3", "i/1"]),
        ("status=underway", ["i/0"]),
        ("status=underway,completed&subject=acme", ["i/0"]),
        ("text=STRASSE&limit=2", ["i/4", "i/3"]),
        ("subject=acme&overdue=true", []),
        ("kind=ask", []),
        ("demo=true", []),
        ("demo=all&assignee=", ["none"]),
        (f"batch={'0' * 32}", []),
    ):
        found = await ok(await http.get(f"{ITEMS}?{query}"))
        assert [one["id"] for one in found["items"]] == ids, query
    assert await ok(await http.get(f"{ITEMS}:count?type=risk")) == {"items": 2, "capped": False}
    assert await ok(await http.get(f"{ITEMS}:count?cap=3")) == {"items": 3, "capped": True}
    problem(await http.get(f"{ITEMS}?cursor=absent"), 404, "item-not-found")


async def test_moves_do_what_they_say(http: httpx.AsyncClient) -> None:
    await item(http, "i")
    for what, body, expected in (
        ("start", None, {"status": "underway"}),
        ("stop", None, {"status": "not_started", "started_at": None}),
        ("snooze", {"days": 3}, {"status": "snoozed", "snooze_days": 3}),
        ("snooze", {"until": "2099-01-01T00:00:00Z"}, None),
        ("wake", None, {"status": "not_started", "snooze_until": None}),
        ("snooze", {"event": "paid", "key": "o-1"}, {"snooze_event": ["paid", "o-1"]}),
        ("start", None, {"status": "underway", "snooze_event": None}),
        ("escalate", {"to": "bob", "reason": "odd"}, {"escalated_to": "bob", "assignee": "local"}),
        ("acknowledge", None, {"escalated_to": "bob", "acknowledge_by": None}),
        ("assign", {"to": "ida"}, {"assignee": "ida"}),
        ("assign", {"to": None}, {"assignee": None}),
        ("complete", {"data": {"a": 1}}, {"status": "completed", "data": {"a": 1}, "moves": []}),
    ):
        response = await move(http, "i", what, body)
        if expected is None:
            problem(response, 409, "input-refused")
            continue
        view = await ok(response)
        assert {name: view[name] for name in expected} == expected, what
    moves = [one["move"] for one in (await ok(await http.get(f"{ITEMS}/i/history")))["items"]]
    assert moves[:4] == ["create", "start", "stop", "snooze"]
    assert moves[-1] == "complete"
    await item(http, "j")
    assert (await ok(await move(http, "j", "skip", {"reason": " they left "})))["skip_reason"] == "they left"


async def test_what_a_group_has_is_claimed_and_given_back(http: httpx.AsyncClient) -> None:
    for id, kind in (("low", "custom"), ("high", "risk")):
        await item(http, id, assignee=None, group="desk", type=kind)
    claimed = await ok(await http.post(f"{ITEMS}:claim", json={"group": "desk", "lease": "2h"}))
    assert (claimed["id"], claimed["assignee"]) == ("high", "local")
    assert claimed["claimed_until"] is not None
    assert (await ok(await move(http, "high", "release")))["assignee"] is None
    assert (await ok(await move(http, "low", "claim")))["assignee"] == "local"
    await ok(await move(http, "high", "claim", {"lease": 60}))
    assert (
        "nobody has"
        in problem(await http.post(f"{ITEMS}:claim", json={"group": "desk"}), 404, "item-not-found")["detail"]
    )


async def test_a_move_that_is_not_allowed_says_what_is(http: httpx.AsyncClient) -> None:
    await item(http, "done")
    await ok(await move(http, "done", "complete"))
    for what, body in (("start", None), ("snooze", {"days": 1}), ("skip", {"reason": "x"}), ("wake", None)):
        found = problem(await move(http, "done", what, body), 409, "illegal-move")
        assert (found["item_id"], found["stands"], found["allowed"]) == ("done", "completed", [])
    await item(http, "new")
    found = problem(await move(http, "new", "stop"), 409, "illegal-move")
    assert found["stands"] == "not_started"
    assert "underway" in found["allowed"]
    problem(await move(http, "new", "acknowledge"), 409, "illegal-move")
    problem(await move(http, "new", "release"), 409, "illegal-move")


async def test_data_is_merged_or_replaced(http: httpx.AsyncClient) -> None:
    await item(http, "i", data={"keep": 1, "deep": {"a": 1, "b": 2}, "list": [1, 2]})
    patch = {"deep": {"b": None, "c": {"d": 1}}, "list": [3], "next_steps": ["call", {"text": "write", "done": True}]}
    view = await ok(await http.patch(f"{ITEMS}/i/data", json=patch))
    assert view["data"]["deep"] == {"a": 1, "c": {"d": 1}}
    assert (view["data"]["list"], view["data"]["keep"]) == ([3], 1)
    assert view["next_steps"] == [
        {"text": "call", "done": False, "due": None},
        {"text": "write", "done": True, "due": None},
    ]
    view = await ok(await http.put(f"{ITEMS}/i/data", json={"deep": {"c": {}}, "list": 5, "none": None}))
    assert view["data"] == {"deep": {"c": {}}, "list": 5}
    problem(await http.patch(f"{ITEMS}/absent/data", json={}), 404, "item-not-found")
    for bad in ([1], "x", None):
        problem(await http.patch(f"{ITEMS}/i/data", json=bad), 422, "invalid-request")
    found = problem(await http.patch(f"{ITEMS}/i/data", json={"big": "x" * 1_100_000}), 409, "input-refused")
    assert found["errors"][0]["pointer"] == "/data/big"


async def test_nobodys_change_is_lost(http: httpx.AsyncClient) -> None:
    await item(http, "i")
    tag = (await http.get(f"{ITEMS}/i")).headers["etag"]
    first = await http.patch(f"{ITEMS}/i/data", json={"a": 1}, headers={"If-Match": tag})
    assert first.status_code == 200
    for method, address, body in (
        ("PATCH", "data", {"a": 2}),
        ("PUT", "data", {"a": 2}),
        ("POST", "start", None),
        ("POST", "complete", {"data": {}}),
        ("POST", "assign", {"to": "ida"}),
    ):
        late = await http.request(method, f"{ITEMS}/i/{address}", json=body, headers={"If-Match": tag})
        problem(late, 412, "changed")
    view = await ok(await http.get(f"{ITEMS}/i"))
    assert (view["data"], view["status"], view["revision"]) == ({"a": 1}, "not_started", 2)
    found = await asyncio.gather(
        *(http.patch(f"{ITEMS}/i/data", json={"n": n}, headers={"If-Match": first.headers["etag"]}) for n in range(6))
    )
    statuses = sorted(one.status_code for one in found)
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 409, 412}


async def test_answers_that_do_not_fit_are_told_with_their_place(http: httpx.AsyncClient) -> None:
    await item(http, "i", form=FORM)
    for data, pointer in (
        ({"approved": "yes"}, "/data/approved"),
        ({"approved": True, "amount": 0}, "/data/amount"),
        ({}, "/data"),
    ):
        found = problem(await move(http, "i", "complete", {"data": data}), 409, "input-refused")
        assert found["errors"][0]["pointer"] == pointer
    assert (await ok(await http.get(f"{ITEMS}/i")))["status"] == "not_started"
    await ok(await move(http, "i", "complete", {"data": {"approved": False}}))


async def test_items_wait_for_one_another(http: httpx.AsyncClient) -> None:
    for id in ("plan", "offer", "sign"):
        await item(http, id)
    links = await ok(await http.post(f"{ITEMS}/offer/links", json={"on": "plan"}))
    assert [one["on_item"] for one in links["waits_for"]] == ["plan"]
    await ok(await http.post(f"{ITEMS}/sign/links", json={"on": "offer"}))
    assert (
        "wait" in problem(await http.post(f"{ITEMS}/plan/links", json={"on": "sign"}), 409, "input-refused")["detail"]
    )
    assert [one["id"] for one in (await ok(await http.get(f"{ITEMS}:queue")))["items"]] == ["plan"]
    assert not (await ok(await http.get(f"{ITEMS}/offer/explain")))["in_queue"]
    links = await ok(await http.delete(f"{ITEMS}/sign/links?on=offer"))
    assert links["waits_for"] == []
    assert [one["item"] for one in (await ok(await http.get(f"{ITEMS}/plan/links")))["waited_for_by"]] == ["offer"]
    problem(await http.post(f"{ITEMS}/offer/links", json={"on": "absent"}), 404, "item-not-found")
    problem(await http.post(f"{ITEMS}/offer/links", json={"on_run": "absent"}), 404, "run-not-found")
    for body in ({}, {"on": "plan", "on_run": "r"}, {"on": None}):
        problem(await http.post(f"{ITEMS}/offer/links", json=body), 422, "invalid-request")


BAD: list[tuple[str, str, Any]] = [
    ("POST", "", {}),
    ("POST", "", {"title": ""}),
    ("POST", "", {"title": "x" * 201}),
    ("POST", "", {"title": 5}),
    ("POST", "", {"title": "a\0b"}),
    ("POST", "", {"title": "x", "type": "odd"}),
    ("POST", "", {"title": "x", "weight": -1}),
    ("POST", "", {"title": "x", "weight": True}),
    ("POST", "", {"title": "x", "due": "1h", "due_at": "2026-03-01T06:30:00Z"}),
    ("POST", "", {"title": "x", "colour": "red"}),
    ("POST", "", {"title": "x", "after": ["a"] * 101}),
    ("POST", "/i/snooze", {"days": 0}),
    ("POST", "/i/snooze", {"days": 91}),
    ("POST", "/i/snooze", {"days": "soon"}),
    ("POST", "/i/snooze", {"days": 1.5}),
    ("POST", "/i/snooze", {"days": True}),
    ("POST", "/i/snooze", {"days": 1, "until": "2027-01-01"}),
    ("POST", "/i/snooze", {"until": "tomorrow"}),
    ("POST", "/i/snooze", {}),
    ("POST", "/i/snooze", None),
    ("POST", "/i/skip", {}),
    ("POST", "/i/skip", {"reason": ""}),
    ("POST", "/i/skip", {"reason": "  \n"}),
    ("POST", "/i/skip", {"reason": "x" * 2001}),
    ("POST", "/i/escalate", {}),
    ("POST", "/i/escalate", {"to": ""}),
    ("POST", "/i/assign", {}),
    ("POST", "/i/assign", {"to": 5}),
    ("POST", "/i/claim", {"lease": True}),
    ("POST", ":claim", {}),
    ("GET", "?limit=0", None),
    ("GET", "?limit=1001", None),
    ("GET", "?status=asleep", None),
    ("GET", "?status=underway,", None),
    ("GET", "?type=odd", None),
    ("GET", "?batch=x", None),
    ("GET", "?colour=red", None),
    ("GET", ":queue?limit=many", None),
    ("GET", ":count?cap=0", None),
    ("GET", "/i/history?cursor=-1", None),
]


async def test_bad_input_is_refused(http: httpx.AsyncClient) -> None:
    await item(http, "i")
    for method, address, body in BAD:
        found = problem(await http.request(method, f"{ITEMS}{address}", json=body), 422, "invalid-request")
        assert found["errors"], (address, body)
    problem(await move(http, "i", "claim", {"lease": 0}), 409, "input-refused")
    for body in ({"title": "x", "assignee": "a", "group": "g"}, {"title": "x", "form": {"type": "wrong"}}):
        problem(await http.post(ITEMS, json=body), 409, "input-refused")
    problem(await http.post(ITEMS, json={"title": "x", "subject": "absent"}), 404, "subject-not-found")
    problem(await http.post(ITEMS, json={"definition": "absent"}), 404, "definition-not-found")
    problem(await http.post(ITEMS, json={"title": "x", "after": ["absent"]}), 404, "item-not-found")
    problem(await move(http, "i", "snooze", {"until": "2020-01-01"}), 409, "input-refused")
    problem(await move(http, "i", "escalate", {"to": "local"}), 409, "input-refused")
    problem(await move(http, "i", "escalate", {"to": "@manager"}), 409, "input-refused")
    problem(
        await http.patch(f"{ITEMS}/i/data", content=b"{", headers={"content-type": "application/json"}),
        400,
        "malformed-body",
    )
    assert (await ok(await http.get(f"{ITEMS}/i")))["revision"] == 1
    assert (await ok(await http.get(f"{ITEMS}:count")))["items"] == 1


async def test_a_request_that_names_itself_makes_one_item(http: httpx.AsyncClient) -> None:
    body = {"title": "Call", "assignee": "local"}
    first, again = [await http.post(ITEMS, json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert first.content == again.content
    assert (await ok(await http.get(f"{ITEMS}:count")))["items"] == 1


async def test_who_does_items_makes_their_own_and_moves_any(guarded: Served) -> None:
    admin = guarded.http(await guarded.key("admin"))
    ours = guarded.http(await guarded.key("worker-of-items"))
    me = (await ok(await ours.get(f"{V1}/me")))["actor"]
    await item(admin, "theirs", assignee="maria")
    for body in ({"title": "x"}, {"title": "x", "assignee": "maria"}, {"title": "x", "group": "desk"}):
        assert me in problem(await ours.post(ITEMS, json=body), 403, "forbidden")["detail"]
    assert (await item(ours, "own", assignee=me))["assignee"] == me
    assert [one["id"] for one in (await ok(await ours.get(f"{ITEMS}:queue")))["items"]] == ["own"]
    assert (await ok(await move(ours, "theirs", "start")))["status"] == "underway"
    problem(await move(ours, "theirs", "assign", {"to": me}), 403, "forbidden")
    [event] = [one for one in (await ok(await ours.get(f"{ITEMS}/theirs/history")))["items"] if one["move"] == "start"]
    assert event["actor"] == me
    viewer = guarded.http(await guarded.key("viewer"))
    await ok(await viewer.get(f"{ITEMS}/theirs"))
    problem(await move(viewer, "theirs", "stop"), 403, "forbidden")


async def test_what_is_hidden_is_seen_by_nobody_who_may_only_look() -> None:
    async with serving(auth=True, redact=("iban", "churn_risk_score")) as served:
        admin, viewer = served.http(await served.key("admin")), served.http(await served.key("viewer"))
        secret = "DE00 1234"
        await subject(admin, properties={"iban": secret}, contacts=[{"iban": secret}], signals={"churn_risk_score": 8})
        data = {"iban": secret, "next_steps": [f"pay to {secret}"]}
        await item(admin, "i", assignee="maria", subject="acme", data=data)
        await ok(await admin.patch(f"{ITEMS}/i/data", json={"deep": {"iban": secret}}))
        await ok(await move(admin, "i", "skip", {"reason": f"sent to {secret}"}))
        for path in (
            "items/i", "items", "items/i/history", "items:queue?assignee=maria", "subjects", "subjects/acme",
            "subjects/acme/signals", "signal-names",
        ):  # fmt: skip
            text = (await viewer.get(f"{V1}/{path}")).text
            assert secret not in text, path
            assert "churn_risk_score" not in text, path
            if path != "items:queue?assignee=maria":
                assert secret in (await admin.get(f"{V1}/{path}")).text or "signal" in path, path
        problem(await viewer.get(f"{V1}/subjects/acme/signals/churn_risk_score/change"), 403, "forbidden")


@pytest.mark.parametrize("name", ["..", "a/b", "%2F", "ü?#", "x" * 512])
async def test_any_id_is_an_id(http: httpx.AsyncClient, name: str) -> None:
    from holdfast.engine.remote.wire import path

    await item(http, name)
    address = f"{V1}{path('items', name)}"
    assert (await ok(await http.get(address)))["id"] == name
    assert (await ok(await http.post(f"{address}/start")))["status"] == "underway"
