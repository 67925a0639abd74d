"""Rules for starts and shares of queues at work in the shop, for pictures: what was delayed, merged and dropped."""

from __future__ import annotations

from typing import Any

import holdfast as hf


@hf.workflow(rate_limit=hf.RateLimit(2, per="1h", key="customer", excess="drop"))
async def remind(customer: str, about: str = "an open cart") -> str:
    """Reminds a customer of what they left in their cart."""
    return f"{customer} is reminded of {about}"


@hf.workflow(rate_limit=hf.RateLimit(1, per="1h", key="supplier"), queue="feeds")
async def ask_supplier(supplier: str) -> str:
    """Asks a supplier what they have in stock, which they allow once an hour."""
    return supplier


@hf.workflow(debounce=hf.Debounce("30m", longest="2h", key="sku"))
async def reindex(sku: str, changed: str = "") -> str:
    """Brings a product into the search when nobody edits it any more."""
    return sku


@hf.workflow(batch=hf.Batch(50, within="30m", key="warehouse"))
async def restock(orders: list[dict[str, Any]]) -> int:
    """Orders from a warehouse what ran out."""
    return len(orders)


@hf.workflow(singleton=hf.Singleton(key="order"))
async def fraud_check(order: str) -> Any:
    """Has a person look at an order, once."""
    return await hf.wait_for_event("checked", key=order)


@hf.workflow(queue="render", share="customer")
async def render_catalogue(customer: str) -> str:
    """Makes a customer's own catalogue."""
    return customer


SERVED = [remind, ask_supplier, reindex, restock, fraud_check]


async def flowing(url: str, client: hf.Client) -> None:
    """Start more than the rules let pass."""
    async with hf.Worker(url, SERVED):
        for number in range(5):
            await client.start(remind.options(id=f"remind-{number}"), ("ada", "grace")[number % 2], f"cart {number}")
        await client.start(remind.options(id="remind-ada-again"), "ada", "an open cart with 3 kettles")
        for number in range(3):
            await client.start(ask_supplier.options(id=f"stock-acme-{number}"), "acme")
        for number, changed in enumerate(("price", "picture", "text", "weight")):
            await client.start(reindex.options(id=f"edit-{number}"), "kettle", changed)
        for number in range(4):
            await client.start(
                restock.options(id=f"restock-{number}"),
                [{"warehouse": "north", "sku": "teapot", "order": 1000 + number}],
            )
        for number in range(3):
            await client.start(fraud_check.options(id=f"check-{number}"), "order-1019")
    await client.set_queue("render", total=8, per_key=2, weights={"acme": 5, "default/radia": 3, "default": 2})
    for tenant, customers in (("default", ("ada", "radia", "ken")), ("acme", ("gold", "silver")), ("globex", ("one",))):
        theirs = hf.Client(client.core, tenant)
        for number, customer in enumerate(customers):
            await theirs.start_many(render_catalogue, [(customer,)] * (5 + 40 * number))


PAGES = {
    "diversions": "/diversions",
    "diversion": "/runs?jump=yes&q=remind-ada-again",
    "shares": "/queue/shares?name=render",
}

MORE = {
    "diversions-dropped": "/diversions?way=dropped&workflow=remind",
    "diversion-none": "/runs/remind-ada-again",
    "diversion-merged": "/runs?jump=yes&q=edit-2",
    "diversion-run": "/runs/restock-0",
    "workflow-rules": "/workflows/remind",
    "queue-limits": "/queue/limits?name=render",
}
