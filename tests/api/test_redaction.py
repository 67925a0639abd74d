"""What those who may only look do not see, wherever it might show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

import holdfast as hf
from holdfast.api.redaction import HIDDEN, Redactor
from holdfast.engine.finding import LaneView
from tests.api.kit import V1, Served, problem, serving
from tests.engine.helpers import until, until_status

SECRET = "4111-1111-1111"


@hf.step(retry=hf.Retry(max_attempts=1))
async def charge_card(card: str, to: dict[str, Any]) -> dict[str, Any]:
    if to.get("fails"):
        raise ValueError(f"the card {card} was declined")
    return {"card": card, "last": card[-4:]}


@hf.workflow
async def pays(card: str, to: dict[str, Any]) -> dict[str, Any]:
    hf.progress(1, 2, f"charging {card}")
    return {"receipts": [await charge_card(card, to)]}


@pytest.fixture
async def shop() -> AsyncIterator[Served]:
    async with serving(auth=True, redact=("card", "address.street")) as made, hf.Worker(made.url, [pays]):
        http = made.http(await made.key("operator"))
        for name, fails in (("good", False), ("bad", True)):
            to = {"address": {"street": "Elm Street 7", "city": "Ulm"}, "street": "shown", "fails": fails}
            body = {"input": {"card": SECRET, "to": to}, "id": name, "attributes": {"card": SECRET, "n": 1}}
            assert (await http.post(f"{V1}/workflows/pays/runs", json=body)).status_code == 201
            await http.get(f"{V1}/runs/{name}", params={"wait": 8})
        schedule = {"workflow": "pays", "input": body["input"], "every": "1h"}
        await http.put(f"{V1}/schedules/nightly", json=schedule)
        yield made


PATHS = [
    "runs", "dead-letters", "runs/good", "runs/bad", "runs/good/journal", "runs/bad/journal", "runs/bad/explain",
    "schedules", "schedules/nightly", "overview",
]  # fmt: skip


@pytest.mark.parametrize("role", ["viewer", "worker-of-items"])
async def test_those_who_look_do_not_see_it(shop: Served, role: str) -> None:
    http = shop.http(await shop.key(role))
    for path in PATHS:
        response = await http.get(f"{V1}/{path}")
        assert response.status_code == 200, path
        assert SECRET not in response.text, path
        assert "Elm Street" not in response.text, path
    outcomes = await http.post(f"{V1}/runs:outcomes", json={"ids": ["good", "bad"]})
    assert len(outcomes.json()["items"]) == 2
    assert SECRET not in outcomes.text
    run = (await http.get(f"{V1}/runs/good")).json()
    assert run["input"]["card"] == HIDDEN
    assert run["input"]["to"]["address"] == {"street": HIDDEN, "city": "Ulm"}
    assert run["input"]["to"]["street"] == "shown"
    assert run["output"] == {"receipts": [{"card": HIDDEN, "last": "1111"}]}
    assert run["attributes"] == {"card": HIDDEN, "n": 1}
    assert run["progress"]["note"] == f"charging {HIDDEN}"
    failed = (await http.get(f"{V1}/runs/bad")).json()
    assert failed["error"]["message"] == f"the card {HIDDEN} was declined"
    assert HIDDEN in failed["error"]["traceback"]


async def test_those_who_operate_see_it(shop: Served) -> None:
    http = shop.http(await shop.key("operator"))
    for path in ("runs", "runs/good", "runs/bad", "runs/bad/journal", "runs/bad/explain", "schedules/nightly"):
        response = await http.get(f"{V1}/{path}")
        assert SECRET in response.text, path
        assert HIDDEN not in response.text, path


async def test_it_is_not_found_out_by_searching(shop: Served) -> None:
    viewer, operator = shop.http(await shop.key("viewer")), shop.http(await shop.key("operator"))
    for where in (
        f"attributes.card = '{SECRET}'",
        "attributes.card prefix '4'",
        "attributes.n = 1 and not (status = 'failed' or attributes.Card in ('1', '2'))",
    ):
        for path in ("runs", "runs:count", "live"):
            problem(await viewer.get(f"{V1}/{path}", params={"where": where}), 403, "forbidden")
        assert (await operator.get(f"{V1}/runs", params={"where": where})).status_code == 200
    found = await viewer.get(f"{V1}/runs", params={"where": "attributes.n = 1"})
    assert len(found.json()["items"]) == 2
    problem(await viewer.get(f"{V1}/runs", params={"where": "nope"}), 422, "search-unreadable")


def test_names_and_ends_of_paths_are_hidden() -> None:
    redactor = Redactor(["PIN", "a.b"])
    value: dict[str, Any] = {"pin": 1234, "x": [{"Pin": [1, {"y": 2}]}], "a": {"b": "hide", "c": "show"}, "b": "show"}
    value["z"] = {"a": [{"b": 5}]}
    secrets: set[str] = set()
    assert redactor.value(value, (), secrets) == {
        "pin": HIDDEN,
        "x": [{"Pin": HIDDEN}],
        "a": {"b": HIDDEN, "c": "show"},
        "b": "show",
        "z": {"a": [{"b": HIDDEN}]},
    }
    assert secrets == {"1234", "hide"}  # what is shorter would be found in every text
    assert value["pin"] == 1234
    assert not Redactor([]).active
    assert redactor.value([1, "x", None, True]) == [1, "x", None, True]


def test_fields_of_ours_are_not_taken_for_theirs() -> None:
    view = hf.QueueView("pin", 1, None, False, 0, 0)
    assert Redactor(["name", "total"]).view(view) == view


NAME = "Xanthippe"


@hf.workflow(key="to.address.street", rate_limit=hf.RateLimit(1, per="1h", key="card"))
async def ships(card: str, to: dict[str, Any]) -> None:
    """Waits for what never comes, so that its lane stays in use."""
    await hf.wait_for_event("sent", key="k")


@hf.workflow(key=lambda card, kind: card, debounce=hf.Debounce("1h", longest="2h", key="kind"))
async def made(card: str, kind: str) -> None: ...


@hf.workflow(batch=hf.Batch(100, within="1h", key="card"))
async def many(items: list[dict[str, str]]) -> None: ...


async def test_keys_that_are_taken_from_hidden_fields_are_hidden_too() -> None:
    async with (
        serving(auth=True, redact=("card", "address")) as served,
        hf.Worker(served.url, [ships, made, many]),
    ):
        operator, viewer = served.http(await served.key("operator")), served.http(await served.key("viewer"))
        inputs: list[tuple[str, dict[str, Any]]] = [
            *[("ships", {"card": SECRET, "to": {"address": {"street": NAME}}})] * 2,
            *[("many", {"items": [{"card": SECRET}]})] * 2,
        ]
        for number, (name, given) in enumerate(inputs):
            body = {"input": given, "id": f"r{number}"}
            started = await operator.post(f"{V1}/workflows/{name}/runs", json=body)
            assert started.status_code in (200, 201, 202), started.text
        async with hf.connect(served.url) as client:  # a key that is a function needs the code
            for number in range(2):
                await client.start(made.options(id=f"m{number}"), SECRET, "plain")
        listed = (await operator.get(f"{V1}/diversions")).json()["items"]
        assert {one["key"] for one in listed} == {SECRET, "plain"}
        paths = ["runs", "runs/r0", "runs/r0/explain", "runs/r1/explain", "lanes", "diversions"]
        paths += [f"diversions/{one['id']}" for one in listed]
        told = ""
        for path in paths:
            response = await viewer.get(f"{V1}/{path}")
            assert response.status_code == 200, path
            assert SECRET not in response.text, path
            assert NAME not in response.text, path
            told += (await operator.get(f"{V1}/{path}")).text
        assert SECRET in told
        assert NAME in told
        shown = (await viewer.get(f"{V1}/diversions")).json()["items"]
        assert {(one["workflow"], one["key"]) for one in shown} == {
            ("ships", HIDDEN), ("made", "plain"), ("many", HIDDEN),
        }  # fmt: skip
        assert {one["key"] for one in (await viewer.get(f"{V1}/lanes")).json()["items"]} == {HIDDEN}
        assert (await viewer.get(f"{V1}/runs/r0")).json()["lane"] == f"ships={HIDDEN}"
        # Nor are they guessed by a search.
        for where in (f"lane = 'ships={NAME}'", "lane prefix 'ships=X'", "status = 'failed' or lane >= 'ships=X'"):
            problem(await viewer.get(f"{V1}/runs", params={"where": where}), 403, "forbidden")
            assert (await operator.get(f"{V1}/runs", params={"where": where})).status_code == 200
        assert (await viewer.get(f"{V1}/runs", params={"where": "lane = 'ships'"})).status_code == 200
        path = f"{V1}/diversions"
        for params in ({"key": SECRET}, {"key": SECRET, "workflow": "ships"}):
            problem(await viewer.get(path, params=params), 403, "forbidden")
            assert (await operator.get(path, params=params)).status_code == 200


@hf.workflow(key="card", lane="cards")
async def outer(card: str, then: str) -> None:
    await hf.wait_for_event("begin")
    await inner(then)


@hf.workflow(key="card", lane="cards")
async def inner(card: str) -> None: ...


async def test_a_circle_of_runs_does_not_tell_the_keys_of_its_lanes() -> None:
    async with serving(auth=True, redact=("card",)) as served, hf.connect(served.url) as client:
        operator, viewer = served.http(await served.key("operator")), served.http(await served.key("viewer"))
        async with hf.Worker(served.url, [outer, inner], drain=0):
            await client.start(outer.options(id="a"), SECRET, NAME)
            await client.start(outer.options(id="b"), NAME, SECRET)
            for run in ("a", "b"):
                await until_status(client, run, "waiting")
            await client.send_event("begin", to="all")

            async def circle() -> bool:
                return "a cycle:" in await client.explain("a")

            await until(circle)
            for run in ("a", "b"):
                path = f"{V1}/runs/{run}/explain"
                seen, told = (await viewer.get(path)).text, (await operator.get(path)).text
                assert (SECRET in told, NAME in told) == (True, True)
                assert (SECRET in seen, NAME in seen) == (False, False)
                assert f"lane cards={HIDDEN} held by" in seen


@hf.workflow(queue="desk", share="address.street")
async def delivers(address: dict[str, str]) -> None: ...


async def test_keys_of_shares_that_are_taken_from_hidden_fields_are_hidden_too() -> None:
    async with serving(auth=True, redact=("address",)) as served, hf.connect(served.url) as client:
        operator, viewer = served.http(await served.key("operator")), served.http(await served.key("viewer"))
        await client.set_queue("desk", weights={"default": 2, f"default/{NAME}": 3})
        await client.pause_queue("desk")
        await client.start(delivers, {"street": NAME})
        async with hf.Worker(served.url, [delivers], drain=0):
            for path in ("queues", "queues/desk", "queues/desk/shares"):
                assert NAME in (await operator.get(f"{V1}/{path}")).text, path
                assert NAME not in (await viewer.get(f"{V1}/{path}")).text, path
            [share] = (await viewer.get(f"{V1}/queues/desk/shares")).json()["items"]
            assert (share["key"], share["ready"], share["weight"]) == (HIDDEN, 1, 3)
            assert (await viewer.get(f"{V1}/queues/desk")).json()["weights"] == {"default": 2}


async def test_keys_of_workflows_that_are_not_known_are_hidden() -> None:
    redactor = Redactor(["card"])
    lane = LaneView("order", "o-1", 1, 1, 0)
    assert redactor.view([lane, replace(lane, key="")]) == [replace(lane, key=HIDDEN), replace(lane, key="")]
    assert Redactor([]).view(lane) == lane
