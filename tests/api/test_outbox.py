"""Messages and how they are published, over HTTP: who may, what is refused, what viewers do not see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import holdfast as hf
from holdfast.api.redaction import HIDDEN
from tests.api.kit import V1, Served, problem, serving
from tests.engine.outbox_kit import settle

CARD = "4111-1111-1111"
MAIL = {"to": ["ada@shop.example"], "subject": "Your order", "text": "It is on its way."}


@hf.workflow
async def dunning(card: str) -> str:
    return await hf.publish("mail", {"card": card, "text": f"Pay with {card}."}, id="dun/1", review=f"has {card}")


@pytest.fixture
async def shop(disk_url: str) -> AsyncIterator[Served]:
    """A server and a worker."""
    async with serving(disk_url) as made, hf.Worker(made.url, [dunning]):
        yield made


async def test_a_message_is_published_once_for_its_id_or_its_request(shop: Served) -> None:
    http = shop.http()
    body = {
        "channel": "mail",
        "message": MAIL,
        "id": "m/1",
        "key": "k",
        "delay": "1h",
        "review": "odd",
        "workflow": "w",
    }
    made = await http.post(f"{V1}/outbox", json=body)
    assert (made.status_code, made.json()) == (201, {"id": "m/1"})
    found = (await http.get(made.headers["location"])).json()
    assert (found["body"], found["key"], found["verdict"], found["reason"], found["workflow"], found["run"]) == (
        MAIL, "k", "review", "odd", "w", None
    )  # fmt: skip
    assert (await http.post(f"{V1}/outbox", json={**body, "message": "another"})).json() == {"id": "m/1"}
    again = (await http.get(f"{V1}/outbox/m%2F1")).json()
    assert (again["body"], again["repeats"]) == (MAIL, 1)
    named = {"Idempotency-Key": "once"}
    for _ in range(2):
        first = await http.post(f"{V1}/outbox", json={"channel": "crm", "message": None}, headers=named)
        assert first.status_code == 201
    assert len((await http.get(f"{V1}/outbox?channel=crm")).json()["items"]) == 1


async def test_messages_come_in_pages_the_newest_first(shop: Served) -> None:
    http, client = shop.http(), shop.local()
    for n in range(5):
        await client.publish("crm", n, id=f"m{n}", refuse="no" if n < 2 else None)
    await client.publish("mail", 0)
    pages: list[list[str]] = []
    cursor = ""
    while True:
        page = (await http.get(f"{V1}/outbox?channel=crm&limit=2{cursor}")).json()
        pages.append([one["id"] for one in page["items"]])
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert pages == [["m4", "m3"], ["m2", "m1"], ["m0"]]
    withheld = (await http.get(f"{V1}/outbox?status=withheld")).json()["items"]
    assert [(one["id"], one["body"], one["tries"]) for one in withheld] == [("m1", None, []), ("m0", None, [])]
    problem(await http.get(f"{V1}/outbox?status=lost"), 422, "invalid-request")
    problem(await http.get(f"{V1}/outbox?run=nobody"), 404, "run-not-found")


async def test_messages_are_counted_by_status_up_to_a_cap(shop: Served) -> None:
    http, client = shop.http(), shop.local()
    for n in range(4):
        await client.publish("crm", n, refuse="no" if n < 3 else None)
    await settle(client, "crm", "dead", "lost", doubt=True)
    await client.publish("crm", 4, delay="1h")
    counts = (await http.get(f"{V1}/outbox:counts?cap=2")).json()
    assert {name: (one["messages"], one["capped"]) for name, one in counts.items()} == {
        "pending": (1, False), "sending": (0, False), "failed": (0, False), "dead": (1, False), "doubt": (1, False),
        "withheld": (2, True),
    }  # fmt: skip
    problem(await http.get(f"{V1}/outbox:counts?cap=0"), 422, "invalid-request")


async def test_a_dead_message_is_sent_again_and_a_live_one_discarded(shop: Served) -> None:
    http, client = shop.http(await shop.key("operator")), shop.local()
    await client.publish("crm", 1, id="m/1")
    problem(await http.post(f"{V1}/outbox/m%2F1/send"), 409, "message-not-possible")
    await settle(client, "crm", "dead", "550 gone", doubt=True)
    dead = (await http.get(f"{V1}/outbox/m%2F1")).json()
    assert (dead["status"], dead["doubt"], [one["detail"] for one in dead["tries"]]) == ("dead", True, ["550 gone"])
    sent = (await http.post(f"{V1}/outbox/m%2F1/send")).json()
    assert (sent["status"], sent["id"]) == ("pending", "m/1")
    problem(await http.post(f"{V1}/outbox/m%2F1/discard", json={"reason": " "}), 422, "invalid-request")
    gone = (await http.post(f"{V1}/outbox/m%2F1/discard", json={"reason": "too late"})).json()
    assert (gone["status"], gone["reason"]) == ("discarded", "too late")
    missing = problem(await http.post(f"{V1}/outbox/x/send"), 404, "message-not-found")
    assert missing["message_id"] == "x"
    problem(await http.get(f"{V1}/outbox/x"), 404, "message-not-found")
    actions = [one.action for one in await client.audit()]
    assert actions[:2] == ["message.discard", "message.send"]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"channel": "a"}, {"channel": "", "message": 1},
        {"channel": "a", "message": 1, "review": "x", "refuse": "y"},
        {"channel": "a", "message": 1, "delay": "soon"}, {"channel": "a", "message": 1, "colour": "red"},
        {"channel": "a\0", "message": 1}, {"channel": "a", "message": 1, "review": ""},
    ],
)  # fmt: skip
async def test_what_is_no_message_is_refused(body: dict[str, Any]) -> None:
    async with serving() as served:
        http = served.http()
        assert (await http.post(f"{V1}/outbox", json=body)).status_code == 422
        assert (await http.get(f"{V1}/outbox")).json()["items"] == []


async def test_modes_and_paths_are_decided_by_admins_only() -> None:
    async with serving(auth=True) as served:
        looks, operates, decides = [served.http(await served.key(role)) for role in ("viewer", "operator", "admin")]
        changes = [
            ("PUT", f"{V1}/publishing", {"mode": "auto", "workflow": "desk"}),
            ("POST", f"{V1}/publishing/desk/roll-back", None),
            ("POST", f"{V1}/publishing/desk/cut-over", None),
        ]
        for method, path, body in changes:
            for http in (looks, operates):
                problem(await http.request(method, path, json=body), 403, "forbidden")
        views = [(await decides.request(method, path, json=body)).json() for method, path, body in changes]
        assert [(one["mode"], one["path"], one["revision"]) for one in views] == [
            ("auto", "primary", 1), ("auto", "shadow", 2), ("auto", "primary", 3)
        ]  # fmt: skip
        assert views[2]["changed_by"].startswith("key:")
        everything, desk = (await looks.get(f"{V1}/publishing")).json()["items"]
        assert (everything["workflow"], everything["mode_in_force"], desk) == (None, "draft", views[2])
        problem(await decides.put(f"{V1}/publishing", json={"mode": None}), 422, "invalid-request")
        problem(await decides.put(f"{V1}/publishing", json={"mode": "loud"}), 422, "invalid-request")
        late = await decides.post(f"{V1}/publishing/desk/cut-over", json={"rollback_window": "soon"})
        problem(late, 422, "invalid-request")
        message = {"channel": "a", "message": 1, "id": "m"}
        problem(await looks.post(f"{V1}/outbox", json=message), 403, "forbidden")
        assert (await operates.post(f"{V1}/outbox", json=message)).status_code == 201
        assert (await looks.get(f"{V1}/outbox/m")).status_code == 200
        problem(await looks.post(f"{V1}/outbox/m/discard", json={"reason": "x"}), 403, "forbidden")


async def test_what_a_run_hides_is_hidden_in_what_it_publishes() -> None:
    async with serving(auth=True, redact=("card",)) as served, hf.Worker(served.url, [dunning]):
        run = await served.local().start(dunning, CARD)
        await run.result("60s")
        looks, operates = [served.http(await served.key(role)) for role in ("viewer", "operator")]
        seen = (await looks.get(f"{V1}/outbox/dun%2F1")).json()
        assert seen["body"] == {"card": HIDDEN, "text": f"Pay with {HIDDEN}."}
        assert seen["reason"] == f"has {HIDDEN}"
        assert (await operates.get(f"{V1}/outbox/dun%2F1")).json()["body"]["card"] == CARD
        # A list does not read what the runs hide: it says nothing that may repeat it.
        listed = [(await http.get(f"{V1}/outbox")).json()["items"][0]["reason"] for http in (looks, operates)]
        assert listed == [HIDDEN, f"has {CARD}"]


async def test_runs_are_started_in_shadow(shop: Served) -> None:
    http = shop.http()
    started = await http.post(f"{V1}/workflows/dunning/runs", json={"input": {"card": CARD}, "id": "s", "shadow": True})
    assert started.json()["shadow"] is True
    assert started.json()["attributes"] == {}
    await (await shop.local().handle("s")).result("60s")
    assert (await http.get(f"{V1}/runs/s")).json()["shadow"] is True
    message = (await http.get(f"{V1}/outbox/shadow%2Fdun%2F1")).json()
    assert (message["verdict"], message["status"]) == ("shadow", "withheld")
