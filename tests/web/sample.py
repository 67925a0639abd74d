"""A lively system for pictures of the pages: a shop in the middle of its day, with what goes wrong in one."""

from __future__ import annotations

import asyncio
import json
import math
import random
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.model.tally import BUCKETS
from holdfast.store.rows import TallyRow
from tests.web.agent_sample import writing
from tests.web.flow_sample import flowing
from tests.web.publishing_sample import publishing
from tests.web.work_sample import working

QUICK = hf.Retry(max_attempts=4, initial=0.25, factor=1.8, maximum=2.0, jitter=0.1)
PATIENT = hf.Retry(max_attempts=8, initial=600.0, factor=2.0, maximum=3600.0, jitter=0.0)


class CardDeclined(Exception):
    """The bank says no."""


class OutOfStock(Exception):
    """There is no more of it."""


@hf.step(retry=QUICK)
async def reserve_stock(order: str, sku: str, pieces: int) -> dict[str, Any]:
    await asyncio.sleep(random.uniform(0.08, 0.3))
    if sku == "teapot":
        raise hf.Fatal("the warehouse has 0 of teapot, and 3 were asked for")
    return {"order": order, "sku": sku, "pieces": pieces, "warehouse": "north", "shelf": "B-14"}


@hf.step(retry=QUICK)
async def charge_card(order: str, cents: int, card: str) -> str:
    await asyncio.sleep(random.uniform(0.15, 0.4))
    if card == "flaky" and hf.current().attempt < 3:
        raise ConnectionError("the bank did not answer: 504 Gateway Timeout")
    if card == "declined":
        raise CardDeclined(f"card of order {order}: 51 insufficient funds")
    return f"rcpt_{order.replace('-', '')}"


@hf.step
async def pack(order: str, box: int) -> str:
    await asyncio.sleep(random.uniform(0.1, 0.5))
    return f"{order}/box-{box}"


@hf.step
async def render_invoice(order: str) -> str:
    await asyncio.sleep(random.uniform(0.1, 0.2))
    return f"invoices/{order}.pdf"


@hf.step(retry=PATIENT)
async def send_mail(to: str, about: str) -> str:
    await asyncio.sleep(0.1)
    if "bounce" in to:
        raise TimeoutError("smtp.example.com did not greet within 10 s")
    return "250 queued"


@hf.workflow
async def invoice(order: str, customer: str) -> dict[str, str]:
    pdf = await render_invoice(order)
    sent = await send_mail(f"{customer}@example.com", f"Your invoice for {order}")
    return {"pdf": pdf, "mail": sent}


@hf.workflow(key="order", limit=1, lane="order")
async def checkout(
    order: str, customer: str, cents: int, sku: str = "kettle", card: str = "ok", boxes: int = 3, ships: bool = True
) -> dict[str, Any]:
    """Sells an order."""
    reserved = await reserve_stock(order, sku, boxes)
    receipt = await charge_card(order, cents, card)
    packed = await hf.gather(*[pack(order, box) for box in range(boxes)])
    bill = await invoice(order, customer)
    shipped = await hf.wait_for_event("shipped", key=order, timeout="7d") if ships else None
    return {
        "receipt": receipt,
        "boxes": list(packed),
        "invoice": bill["pdf"],
        "shelf": reserved["shelf"],
        "shipped": shipped,
    }


@hf.workflow
async def refund(order: str, cents: int) -> dict[str, Any]:
    """Pays back what is above the limit only when somebody agrees."""
    agreed = await hf.hold(f"a refund of {cents / 100:.2f} EUR for {order} is above 500 EUR: is it right?")
    return {"order": order, "agreed": agreed}


@hf.step
async def fetch_page(supplier: str, page: int) -> int:
    await asyncio.sleep(random.uniform(0.3, 1.2))
    hf.progress(page + 1, 40, f"pages of {supplier}")
    return page * 100


@hf.workflow(queue="feeds")
async def import_feed(supplier: str, pages: int = 40) -> int:
    """Takes in a supplier's catalogue, page by page."""
    return sum(await hf.map(lambda page: fetch_page(supplier, page), range(pages), limit=4))


@hf.workflow(queue="mail")
async def newsletter(issue: int) -> int:
    return issue


@hf.workflow
async def nightly_report(day: str = "today") -> str:
    await hf.sleep(0.2)
    return f"reports/{day}.pdf"


SERVED = [checkout, invoice, refund, import_feed, nightly_report]

CUSTOMERS = ("ada", "grace", "edsger", "barbara", "donald", "frances", "ken", "radia")


@asynccontextmanager
async def lively(folder: Path) -> AsyncIterator[str]:
    """A database in which much has happened, and something still does; gives its address."""
    random.seed(7)
    path = folder / "shop.db"
    url = f"sqlite:///{path}"
    async with hf.connect(url) as opened:
        client = hf.Client(opened.core, "default", actor="ada")
        await _people(client)
        async with hf.Worker(url, SERVED, concurrency=24):
            await _runs(client)
            await _settle(client)
            await _schedules(client)
            await _tallies(client)
            _age(path)
            await writing(url, client)
            await publishing(url, client, folder / "post")
            await flowing(url, client)
            await working(url, client)  # last: it stops the clock
            # What goes on while the pictures are taken.
            await client.start(import_feed.options(id="feed-acme", attributes={"supplier": "acme"}), "acme", 400)
            await client.start(checkout.options(id="order-1002-again"), "order-1002", "ken", 900)
            await client.start(checkout.options(id="order-1002-third"), "order-1002", "ada", 1_900)
            await client.start_many(newsletter.options(attributes={"issue": 7}), [(number,) for number in range(140)])
            await asyncio.sleep(2.5)
            yield url


async def _people(client: hf.Client) -> None:
    await client.put_user("ada", email="ada@example.com", name="Ada Lovelace", role="admin", zone="Europe/London")
    await client.put_user(
        "grace", email="grace@example.com", name="Grace Hopper", role="operator", groups=["night shift"]
    )
    await client.put_user("linus", email="linus@example.com", name="Linus", role="viewer")
    await client.create_key("shop backend", role="operator")
    await client.create_key("grafana", role="viewer", expires="90d")
    old = await client.create_key("old laptop", role="admin")
    await client.revoke_key(old.view.prefix)
    await client.put_view("runs", "Failed today", "status:failed since:1d")
    await client.put_view("runs", "Large orders", "workflow:checkout attr.cents:>50000")


async def _runs(client: hf.Client) -> None:
    for number in range(1000, 1046):
        order, customer = f"order-{number}", CUSTOMERS[number % len(CUSTOMERS)]
        kind = {7: "declined", 13: "flaky", 19: "declined", 3: "flaky"}.get(number % 23, "ok")
        sku = "teapot" if number % 17 == 5 else "kettle"
        cents = 1_290 * (number % 9 + 1)
        attributes = {"order": order, "customer": customer, "cents": cents, "region": ("eu", "us")[number % 2]}
        options = checkout.options(id=order, attributes=attributes, priority=number % 3)
        await client.start(options, order, customer, cents, sku, kind, number % 4 + 1, number % 5 == 2)
        await asyncio.sleep(0.03)
    await client.start(refund.options(id="refund-1017", attributes={"order": "order-1017"}), "order-1017", 64_900)
    await client.start(refund.options(id="refund-1023", attributes={"order": "order-1023"}), "order-1023", 81_250)
    await client.start(
        checkout.options(id="order-1050", attributes={"customer": "bounce"}), "order-1050", "bounce", 990
    )
    await client.start(checkout.options(id="order-1060", delay="6h"), "order-1060", "ken", 2_990)


async def _settle(client: hf.Client) -> None:
    async with asyncio.timeout(60):
        while (await client.count(status="running")).runs or (await client.count(status="queued")).runs > 1:
            await asyncio.sleep(0.1)
    await client.cancel("order-1022", reason="the customer changed their mind", by="Grace Hopper")
    await client.hold("order-1027", reason="address looks wrong", by="Ada Lovelace")
    await client.set_queue("mail", total=20)
    await client.set_queue("feeds", total=4, per_worker=2)
    await client.pause_queue("mail")
    failed = await client.list(status="failed", limit=1)
    await client.fork(failed[0].id, from_step="reserve_stock", id=f"{failed[0].id}-fork")
    await client.bulk("retry", "status = 'failed' and attributes.region = 'us'", by="Ada Lovelace", id="retry-us")


async def _schedules(client: hf.Client) -> None:
    await client.schedule("nightly-report", nightly_report, cron="30 2 * * *", zone="Europe/Berlin")
    await client.schedule("feed-acme", import_feed, input={"supplier": "acme", "pages": 2}, every="1h")
    await client.schedule("feed-globex", import_feed, input={"supplier": "globex", "pages": 2}, cron="0 */6 * * *")
    await client.schedule(
        "payroll", nightly_report, rrule="FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0", zone="Europe/Berlin",
        calendar="DE-BE", closed="previous", jitter="5m",
    )  # fmt: skip
    for _ in range(2):
        await client.run_schedule("nightly-report")
    await client.pause_schedule("feed-globex")


async def _tallies(client: hf.Client) -> None:
    """What ended in the last hours, as the workers would have counted it."""
    process, now = secrets.token_bytes(16), int(time.time())
    rows: list[TallyRow] = []
    for span, many in ((60, 300), (3600, 48)):
        for back in range(1, many):
            since = (now // span - back) * span
            day = 0.55 + 0.45 * math.sin((since % 86_400) / 86_400 * 2 * math.pi - 1.2)
            bad = 6.0 if span == 60 and 40 < back < 58 else 1.0
            for workflow, rate, took in (("checkout", 26, 1.6), ("invoice", 24, 0.3), ("import_feed", 1, 30.0)):
                for status, share in (("succeeded", 0.96), ("failed", 0.018 * bad), ("cancelled", 0.01)):
                    runs = round(rate * day * share * random.uniform(0.7, 1.3) * span / 60)
                    if runs:
                        rows.append(_tally(span, since, workflow, status, process, runs, took))
    for first in range(0, len(rows), 500):
        await client.core.store.put_tallies(rows[first : first + 500])


def _tally(span: int, since: int, workflow: str, status: str, process: bytes, runs: int, took: float) -> TallyRow:
    def histogram(middle: float) -> tuple[int, bytes]:
        counts = [0] * (BUCKETS + 1)
        total = 0
        for _ in range(min(runs, 60)):
            value = max(1, int(random.lognormvariate(math.log(middle * 1e6), 0.8)))
            counts[value.bit_length()] += max(1, runs // 60)
            total += value
        return total, json.dumps(counts).encode()

    waited, waits = histogram(0.02)
    taken, tooks = histogram(took)
    return TallyRow("default", span, since, workflow, status, process, runs, waited, taken, waits, tooks)


def _age(path: Path) -> None:
    """Spread what happened over the last hours: the older a run, the further back."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT uid FROM runs ORDER BY uid DESC").fetchall()
    for number, (uid,) in enumerate(rows):
        back = int((4 + number**1.7 * 3.1) * 1_000_000)
        for table, key, columns in (
            ("runs", "uid", ("created_at", "started_at", "finished_at")),
            ("journal", "run", ("started_at", "finished_at")),
            ("attempts", "run", ("started_at", "finished_at", "next_attempt_at")),
        ):
            for column in columns:
                connection.execute(
                    f"UPDATE {table} SET {column} = {column} - ? WHERE {key} = ? AND {column} < ?",
                    (back, uid, int(time.time() * 1e6)),
                )
    connection.commit()
    connection.close()
