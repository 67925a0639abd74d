"""Calls that a type checker must accept, and what it must make of them. Checked, never executed."""

import contextlib
from collections.abc import Coroutine, Sequence
from datetime import date, datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

import holdfast as hf


class Receipt:
    number: int


@hf.step
async def charge(order: str, cents: int = 0, *, note: str | None = None) -> Receipt:
    return Receipt()


@hf.step
def weigh(order: str) -> float:
    return 1.0


@hf.step(retry=hf.Retry(max_attempts=5, on=ValueError), timeout="30s", name="sent")
async def send(order: str) -> None: ...


@hf.step(timeout=timedelta(seconds=3), on_timeout="abandon")
def pack(*orders: str) -> list[str]:
    return list(orders)


@hf.workflow
async def leaf(order: str) -> int:
    return 1


async def helper(order: str) -> tuple[Receipt, float]:
    return await charge(order), await weigh(order)


@hf.workflow(version="2", queue="orders")
async def checkout(order: str, cents: int, *, rush: bool = False) -> dict[str, float]:
    assert_type(await charge(order), Receipt)
    assert_type(await charge(order, cents, note=None), Receipt)
    assert_type(await weigh(order=order), float)
    assert_type(await pack(order, order), list[str])
    await send(order)
    assert_type(await leaf(order), int)
    assert_type(hf.now(), datetime)
    assert_type(hf.uuid(), UUID)
    assert_type(hf.random(), float)
    assert_type(hf.current().idempotency_key, str)
    await hf.sleep("1d")
    await hf.sleep(timedelta(days=1))
    await hf.sleep_until(hf.now())
    assert_type(await hf.gather(charge(order)), tuple[Receipt])
    assert_type(await hf.gather(charge(order), weigh(order)), tuple[Receipt, float])
    receipt, weight, number, pair = await hf.gather(charge(order), weigh(order), leaf(order), helper(order))
    assert_type(receipt, Receipt)
    assert_type(weight, float)
    assert_type(number, int)
    assert_type(pair, tuple[Receipt, float])
    assert_type(await hf.gather(*[weigh(one) for one in "abc"]), tuple[float, ...])
    assert_type(await hf.map(weigh, ["a", "b"]), list[float])
    assert_type(await hf.map(leaf, ["a", "b"], limit=3), list[int])
    assert_type(await hf.map(helper, ["a"]), list[tuple[Receipt, float]])
    assert_type(await hf.map(lambda one: charge(one, 3), ["a"]), list[Receipt])
    assert_type(await hf.ask("Really?", form=bool), bool)
    assert_type(await hf.ask("Which?", form=Receipt, assignee="ann", due="2d", escalate_to=["bob"]), Receipt)
    assert_type(await hf.ask("What?", form={"type": "object"}), Any)
    assert_type(await hf.publish("replies", hf.Mail("a@b.example", "hi", "words"), key=5, delay="5m"), str)
    assert_type(await hf.gather(hf.publish("a", 1), weigh(order)), tuple[str, float])
    assert_type(await hf.hold("how many?", type=int, assignee="ann", due="1d"), int)
    with contextlib.suppress(hf.StepError, hf.RunFailed):
        await send(order)
    return {order: weight}


async def outside() -> None:
    assert_type(await charge("o-1"), Receipt)
    raw: Coroutine[Any, Any, Receipt] = charge.fn("o-1")
    assert_type(await raw, Receipt)
    plain: float = weigh.fn("o-1")
    assert_type(plain, float)
    assert_type(await hf.execute(checkout, "o-1", 500), dict[str, float])
    assert_type(await hf.execute(checkout.options(id="o-1"), "o-1", cents=500), dict[str, float])
    async with hf.connect("sqlite:///shop.db", tenant="a") as client:
        assert_type(client, hf.Client)
        run = await client.start(checkout, "o-1", cents=500, rush=True)
        assert_type(run, hf.RunHandle[dict[str, float]])
        assert_type(run.created, bool)
        assert_type(await run.result(timeout="1m"), dict[str, float])
        configured = checkout.options(id="o-1", priority=10, delay="5m", attributes={"a": 1})
        assert_type(await (await client.start(configured, "o-1", 500)).result(), dict[str, float])
        runs = await client.start_many(leaf, [("o-1",), ("o-2",)], ids=["a", "b"])
        numbers: Sequence[int] = [await one.result() for one in runs]
        assert len(numbers) == 2
        named = await client.start_named("checkout", {"order": "o-1"}, id="x")
        assert_type(named, hf.RunHandle[Any])
        found = await client.handle("o-1", checkout)
        assert_type(await found.result(), dict[str, float])
        assert_type(await client.get("o-1"), hf.RunView)
        assert_type((await client.get("o-1")).status, hf.Status)
        views = await client.list(workflow="checkout", status="failed", limit=5)
        assert_type(views, list[hf.RunView])
        assert_type(await client.history("o-1"), list[hf.JournalEntry])
        assert_type(await client.messages(status="dead"), list[hf.MessageView])
        assert_type(await client.cut_over("checkout", "1d"), hf.PublishSettingView)
        assert_type(await client.children("o-1", limit=5, after="o-1/0"), list[hf.RunView])
        ann = await client.put_user("ann", email=None, role=hf.Role.ADMIN, groups=["desk"], capacity=None, revision=0)
        assert_type(ann, hf.UserView)
        await client.put_user("ann", role="viewer", away=[{"from": "2026-12-24", "until": date(2026, 12, 31)}])
        assert_type(await client.check_password("ann", "secret"), hf.UserView | None)
        assert_type((await client.create_key("deploy", role="operator", expires="90d")).key, str)
        assert_type(await client.keys(search="ab"), list[hf.KeyView])
        assert_type(await client.audit(actor="ann", limit=5), list[hf.AuditView])
        assert_type((await client.stats(since=datetime.now(), step="hour")).total, hf.WorkflowStats)
        assert_type((await client.overview()).statuses, dict[str, hf.Count])
        assert_type(await client.workers(), list[hf.WorkerView])
        assert_type(await client.drain_worker("00"), bool)
        async with hf.Worker(client, [checkout, leaf], concurrency=5, lease="15s") as worker:
            assert_type(worker, hf.Worker)
    again = await hf.connect("memory://")
    assert_type(again, hf.Client)
    await hf.Worker("sqlite:///shop.db", [checkout]).run()
