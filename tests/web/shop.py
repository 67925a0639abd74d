"""The workflows of a small shop, with everything in them that a run can do; tests and pictures of the pages use it."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Literal

import holdfast as hf

FAST = hf.Retry(max_attempts=3, initial=0.2, factor=1.5, maximum=2.0, jitter=0.0)


class CardDeclined(Exception):
    """The bank says no."""


@hf.step(retry=FAST)
async def reserve(sku: str, quantity: int) -> dict[str, Any]:
    await asyncio.sleep(0.03)
    return {"sku": sku, "reserved": quantity, "warehouse": "north"}


@hf.step(retry=FAST)
async def charge(order: str, cents: int, card: str = "ok") -> str:
    await asyncio.sleep(0.05)
    if card == "declined":
        raise hf.Fatal(f"the card of order {order} was declined")
    if card == "flaky" and hf.current().attempt < 3:
        raise ConnectionError(f"the bank did not answer (attempt {hf.current().attempt})")
    if card == "down":
        raise CardDeclined("the bank answers 503 <b>Service Unavailable</b>")
    return f"receipt-{order}"


@hf.step
async def pack(order: str, box: int) -> str:
    await asyncio.sleep(0.02)
    return f"{order}/{box}"


@hf.step
async def slowly(seconds: float) -> float:
    begun = 0.0
    while begun < seconds:
        await asyncio.sleep(0.05)
        begun += 0.05
        hf.progress(begun, seconds, "on the way")
    return begun


@hf.step
async def until_there(path: str) -> str:
    while not os.path.exists(path):
        hf.progress(1, 2, "on the way")
        await asyncio.sleep(0.05)
    return "there"


@hf.workflow
async def patient(path: str) -> str:
    """Goes on when there is a file."""
    return await until_there(path)


@hf.workflow
async def invoice(order: str, cents: int) -> dict[str, Any]:
    receipt = await charge(order, cents)
    return {"order": order, "cents": cents, "receipt": receipt}


@hf.workflow(key="order", limit=1, lane="order")
async def checkout(order: str, cents: int = 500, card: str = "ok", boxes: int = 2, then: str = "") -> dict[str, Any]:
    """Sells an order: reserves, charges, packs, invoices; then waits, sleeps or is held, as it is told."""
    reserved = await reserve("sku-1", boxes)
    receipt = await charge(order, cents, card)
    packed = list(await hf.gather(*[pack(order, box) for box in range(boxes)]))
    bill = await invoice(order, cents)
    shipped = None
    if then == "wait":
        shipped = await hf.wait_for_event("shipped", key=order, timeout="7d")
    elif then == "sleep":
        await hf.sleep("1d")
    elif then == "hold":
        shipped = await hf.hold(f"order {order} is above the limit")
    return {"receipt": receipt, "packed": packed, "bill": bill, "reserved": reserved, "shipped": shipped}


@hf.workflow
async def crunch(seconds: float = 1.0, parts: int = 1) -> float:
    """Takes its time."""
    return sum(await hf.gather(*[slowly(seconds) for _ in range(parts)]))


@hf.workflow
async def fan(width: int) -> int:
    """Packs many boxes."""
    return len(await hf.map(lambda box: pack("wide", box), range(width), limit=50))


@hf.workflow
async def echo(value: Any = None, size: Literal["small", "large"] = "small", *, loud: bool = False) -> Any:
    """Gives back what it is given."""
    return {"value": value, "size": size, "loud": loud}


@hf.workflow(version="2")
async def unserved(order: str) -> str:
    """Whose version no worker has."""
    return order


WORKFLOWS = [checkout, invoice, crunch, fan, echo]
