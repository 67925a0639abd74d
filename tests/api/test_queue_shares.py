"""Shares of queues over HTTP: what they weigh, and who sees whose."""

from __future__ import annotations

import holdfast as hf
from holdfast.api.credentials import TENANT_HEADER
from tests.api.kit import V1, Served, problem

ACME = {TENANT_HEADER: "acme"}


@hf.workflow(queue="gpu", share="customer")
async def render(customer: str) -> str:
    return customer


async def test_a_queue_is_limited_and_weighed_by_its_shares(served: Served) -> None:
    http = served.http()
    set_ = await http.put(f"{V1}/queues/gpu", json={"per_key": 2, "weights": {"acme": 5, "acme/gold": 3}})
    assert set_.status_code == 200
    assert (set_.json()["per_key"], set_.json()["weights"]) == (2, {"acme": 5, "acme/gold": 3})
    changed = await http.put(f"{V1}/queues/gpu", json={"weights": {"acme": None}})
    assert changed.json()["weights"] == {"acme/gold": 3}
    assert changed.headers["ETag"] != set_.headers["ETag"]
    for body in ({"per_key": 0}, {"weights": {"acme": 0}}, {"weights": {"/gold": 1}}, {"weights": {"a": "x"}}):
        problem(await http.put(f"{V1}/queues/gpu", json=body), 422, "invalid-request")


async def test_the_shares_of_a_queue_are_listed(served: Served) -> None:
    client = served.local()
    await client.set_queue("gpu", weights={"default/gold": 3})
    await client.start_many(render, [("gold",), ("gold",), ("tin",)])
    items = (await served.http().get(f"{V1}/queues/gpu/shares")).json()["items"]
    assert items == [
        {"tenant": "default", "key": "gold", "ready": 2, "executing": 0, "weight": 3},
        {"tenant": "default", "key": "tin", "ready": 1, "executing": 0, "weight": 1},
    ]
    assert len((await served.http().get(f"{V1}/queues/gpu/shares", params={"limit": 1})).json()["items"]) == 1
    theirs = await served.http().get(f"{V1}/queues/gpu/shares", params={"own": True}, headers=ACME)
    assert theirs.json()["items"] == []


async def test_who_may_not_change_what_all_share_sees_its_own_tenant(guarded: Served) -> None:
    client = guarded.local()
    await client.set_queue("gpu", weights={"default": 2, "acme": 3, "acme/gold": 4})
    for tenant in ("default", "acme"):
        await guarded.local(tenant).start_many(render, [("gold",)])
    ours, theirs = guarded.http(await guarded.key()), guarded.http(await guarded.key(tenant="acme"))
    assert (await ours.get(f"{V1}/queues/gpu")).json()["weights"] == {"default": 2, "acme": 3, "acme/gold": 4}
    assert (await theirs.get(f"{V1}/queues/gpu")).json()["weights"] == {"acme": 3, "acme/gold": 4}
    (view,) = (await theirs.get(f"{V1}/queues")).json()["items"]
    assert (view["weights"], view["ready"]) == ({"acme": 3, "acme/gold": 4}, 2)
    seen = {
        who: [one["tenant"] for one in (await http.get(f"{V1}/queues/gpu/shares")).json()["items"]]
        for who, http in (("ours", ours), ("theirs", theirs))
    }
    assert seen == {"ours": ["acme", "default"], "theirs": ["acme"]}
    refused = await theirs.put(f"{V1}/queues/gpu", json={"weights": {"acme": 9}})
    problem(refused, 403, "forbidden")
