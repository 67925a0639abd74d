"""What the two clients show of one database is the same, to the microsecond."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import holdfast as hf
from tests.remote.conftest import Place
from tests.remote.kit import Order, approval, checkout, failing, laned, parent, typed, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


async def _fill(client: hf.Client) -> None:
    order = Order("ü\U0001f600", dt.datetime(2026, 3, 1, 6, 30, tzinfo=dt.UTC), frozenset("a"))
    started = [
        await client.start(checkout.options(id="c/1", attributes={"n": [1.5, None, "ü"]}), "o", 2**70),
        await client.start(parent.options(id="p/1", priority=-3), 2),
        await client.start(typed, order, 1, day=dt.date(2026, 1, 1)),
        await client.start(failing.options(id="f/1"), 7),
    ]
    for run in started:
        with contextlib.suppress(hf.RunFailed):
            await run.result("20s")
    await client.retry("f/1")
    with contextlib.suppress(hf.RunFailed):
        await (await client.handle("f/1")).result("20s")
    await client.fork("c/1", from_step="charge", input={"cents": 1}, id="c/2")
    await client.start(checkout.options(id="late", delay="1h", timeout="2h"), "o")
    await client.start(laned.options(id="l/1"), "o", region="north")
    await client.start(approval.options(id="a/1"), "o")
    await until(lambda: _is(client, "a/1", "held"))
    await client.schedule("hourly", checkout, input=("o",), every="1h", catch_up_within="2h", attributes={"a": 1})
    await client.schedule("nightly", "checkout", input={"order_id": "o"}, cron="0 3 * * *", zone="Europe/Berlin")
    await client.put_user("ida", email="ida@example.com", away=[{"from": "2026-01-01", "until": "2026-01-02"}])
    await client.create_key("ci", expires="1d")
    await client.put_view("runs", "mine", "status:failed")


async def _is(client: hf.Client, run_id: str, status: str) -> bool:
    return (await client.get(run_id)).status == status


async def test_both_show_the_same(place: Place) -> None:
    tenant = uuid.uuid4().hex
    asked: list[Callable[[hf.Client], Awaitable[Any]]] = [
        lambda client: client.list(limit=1000),
        lambda client: client.dead_letters(),
        lambda client: client.count(status="failed"),
        lambda client: client.children("p/1"),
        lambda client: client.explain("late"),
        lambda client: client.workflows(),
        lambda client: client.lanes(),
        lambda client: client.queues(),
        lambda client: client.stranded(),
        lambda client: client.retention(),
        lambda client: client.schedules(),
        lambda client: client.users(),
        lambda client: client.keys(),
        lambda client: client.audit(limit=1000),
        lambda client: client.saved_views("runs"),
        lambda client: client.stats(since=FIRST, until=FIRST + dt.timedelta(hours=1)),
    ]  # fmt: skip
    async with (
        hf.connect(place.url, tenant=tenant, actor="local") as local,
        hf.connect(place.address, tenant=tenant) as remote,
    ):
        await _fill(remote)
        for ask in asked:
            ours, theirs = await ask(local), await ask(remote)
            assert theirs == ours
            assert repr(theirs) == repr(ours)  # 1 == 1.0 == True, and zones too
        for view in await local.list(limit=1000):
            assert await remote.get(view.id) == view
            assert repr(await remote.history(view.id)) == repr(await local.history(view.id))
        ours_now, theirs_now = await local.overview(), await remote.overview()
        assert theirs_now.statuses == ours_now.statuses
        assert theirs_now.failures == ours_now.failures
        assert [one.id for one in await remote.workers()] == [one.id for one in await local.workers()]
        assert {one.action for one in await local.audit(limit=1000)} == {
            "run.start", "run.retry", "run.fork", "schedule.put", "user.put", "key.create", "view.put",
        }  # fmt: skip
