"""What a client does: the same, whether it works on the database or asks a server."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from typing import Any

import pytest

import holdfast as hf
from tests.remote.conftest import Place
from tests.remote.kit import (
    Declined,
    Order,
    approval,
    charge,
    checkout,
    failing,
    key_of_step,
    keyed,
    laned,
    nobody_serves,
    parent,
    refuse,
    stoppable,
    typed,
    until,
    waits,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD = "o/1 'quoted' \"twice\" <b>?a=1#x%2F ü\U0001f600."
UTC = dt.UTC


async def _status(client: hf.Client, run_id: str, status: str) -> hf.RunView:
    async def reached() -> bool:
        return (await client.get(run_id)).status == status

    await until(reached)
    return await client.get(run_id)


async def test_a_run_is_started_once_and_gives_its_result(client: hf.Client) -> None:
    run = await client.start(checkout.options(id=ODD), "o-1", cents=5)
    assert (run.id, run.created) == (ODD, True)
    assert await run.result(timeout="10s") == {"receipt": "receipt o-1-5"}
    again = await client.start(checkout.options(id=ODD), order_id="o-1", cents=5)
    assert (again.id, again.created) == (ODD, False)
    for other in (client.start(checkout.options(id=ODD), "o-1", 6), client.start(waits.options(id=ODD), "o-1")):
        with pytest.raises(hf.RunExists, match="is taken by a run") as taken:
            await other
        assert taken.value.run_id == ODD
    assert (await client.get(ODD)).input == {"order_id": "o-1", "cents": 5}
    made = await client.start(checkout, "o-2")
    assert made.created
    assert (await made.view()).id == made.id


async def test_values_come_back_as_they_are_annotated(client: hf.Client) -> None:
    order = Order("o-1", dt.datetime(2026, 3, 1, 6, 30, tzinfo=UTC), frozenset("abcdefgh"))
    run = await client.start(typed.options(id="t-1"), order, 1, 2, fresh=dt.date(2026, 1, 1))
    result = await run.result(timeout="10s")
    assert result == Order("o-1", dt.datetime(2026, 3, 4, 6, 30, tzinfo=UTC), order.tags | {"fresh"})
    assert isinstance(result, Order)
    # A set has no order: its bytes may differ where the value does not.
    same = Order("o-1", order.due, frozenset(reversed(sorted(order.tags))))  # noqa: C413
    assert not (await client.start(typed.options(id="t-1"), same, 1, 2, fresh=dt.date(2026, 1, 1))).created
    handle = await client.handle("t-1", typed)
    assert await handle.result("10s") == result
    plain = await client.handle("t-1")
    assert (await plain.result("10s"))["due"].startswith("2026-03-04")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("o-1", math.nan), "cents"), (("\ud800", 5), "order_id"), (("x" * 70_000_000, 5), "checkout")],
    ids=["nan", "half", "big"],
)
async def test_what_cannot_be_stored_is_refused_with_its_place(
    client: hf.Client, arguments: tuple[Any, ...], said: str
) -> None:
    with pytest.raises(hf.PayloadError, match=said):
        await client.start(checkout, *arguments)
    assert await client.list() == []


async def test_what_cannot_be_called_is_refused(client: hf.Client) -> None:
    with pytest.raises(hf.UsageError, match="cannot be called so"):
        await client.start(checkout, "o-1", 5, 6)  # type: ignore[call-arg]
    with pytest.raises(hf.UsageError, match="give a function decorated with"):
        await client.start(lambda: None)  # type: ignore[call-overload]


async def test_the_odd_values_arrive(client: hf.Client) -> None:
    for value in ("", "\x7f\u2028\x1f", "\U0001f600" * 1000, '"\\/', "x" * 1_000_000):
        run = await client.start(checkout, value, -(2**70) if value == "" else 0)
        assert (await run.result("10s"))["receipt"] == f"receipt {value}-{-(2**70) if value == '' else 0}"


@pytest.mark.parametrize(
    "name", [".", "..", "a/../b", "%2F", "%", "a?b#c", "a:b", "+ *;", "\n\t\x7f", "'\"<b>", "x" * 512]
)
async def test_any_name_is_a_name(client: hf.Client, name: str) -> None:
    run = await client.start(checkout.options(id=name, queue=name), "o")
    assert (await client.get(name)).id == run.id == name
    assert await client.history(name) == []
    await client.cancel(name)
    await client.set_queue(name, total=1)
    assert name in [one.name for one in await client.queues()]
    await client.set_queue(name, total=None)
    assert (await client.put_user(name, name="x")).id == name
    assert await client.delete_user(name)
    await client.put_view(name, name, "q")
    assert [one.name for one in await client.saved_views(name)] == [name]
    assert await client.delete_view(name, name)
    assert not await client.delete_schedule(name)
    with pytest.raises(hf.UnknownWorkflow):
        await client.start_named(name, {})


async def test_what_no_request_can_carry_is_refused(client: hf.Client) -> None:
    bad: list[Any] = ["", "\0", "\ud800", "x" * 513, None, 5, b"x", []]
    for value in bad:
        for call in (
            client.get(value), client.cancel(value), client.set_queue(value, total=1), client.delete_user(value),
            client.put_view("page", value, "q"), client.send_event(value), client.delete_schedule(value),
            client.put_user("ida", name="x", revision="x"),
        ):  # fmt: skip
            with pytest.raises(hf.UsageError):
                await call
    for where in ("\0", "\ud800", "x" * 100_000):
        with pytest.raises(hf.SearchError):
            await client.list(where=where)
    for query in ("\0", "\ud800", "x" * 4001, b"x"):
        with pytest.raises(hf.UsageError):
            await client.put_view("page", "name", query)  # type: ignore[arg-type]
    with pytest.raises(hf.UsageError):
        await client.audit(before="x")
    with pytest.raises(hf.UsageError):
        await client.drain_worker("x")


async def test_start_options_reach_the_run(client: hf.Client) -> None:
    at = dt.datetime.now(UTC) + dt.timedelta(hours=1)
    options = {"priority": -7, "queue": "slow/er", "attributes": {"region": "north", "n": [1, None]}, "timeout": "2h"}
    for more in ({"at": at}, {"delay": dt.timedelta(hours=1)}):
        run = await client.start(checkout.options(**options, **more), "o-1")
        view = await run.view()
        assert (view.status, view.priority, view.queue) == ("queued", -7, "slow/er")
        assert view.attributes == options["attributes"]
        assert view.due_at is not None
        assert view.deadline_at is not None
        assert abs(view.due_at - at) < dt.timedelta(seconds=10)
        assert view.deadline_at - view.due_at == dt.timedelta(hours=2)
    with pytest.raises(TimeoutError, match=r"has not ended after 0.05 s; it goes on"):
        await run.result(timeout=0.05)


async def test_code_says_how_its_runs_are_started(client: hf.Client) -> None:
    """Whatever a worker has registered: the version, the queue, the lane and its key, the time limit, what cancels."""
    first = await client.start(laned, "o-1", region="north")
    view = await first.view()
    assert (view.lane, view.version) == ("order=north/o-1", "1")
    assert view.deadline_at is not None
    assert [(one.name, one.key, one.slots, one.held) for one in await client.lanes()] == [("order", "north/o-1", 2, 1)]
    handles = await client.start_many(laned, [("o-2", "south"), {"order_id": "o-3", "region": "south"}])
    assert [(await one.view()).lane for one in handles] == ["order=south/o-2", "order=south/o-3"]
    stopped = await client.start(stoppable, "o-9")
    assert (await client.send_event("stop", key="o-9")).cancels == 1
    with pytest.raises(hf.RunCancelled):
        await stopped.result("10s")
    lonely = await client.start(nobody_serves.options(id="n-1"), "o-1")
    assert lonely.created
    assert "nobody_serves" in {one.workflow for one in await client.stranded()}
    await client.cancel("n-1")


async def test_many_are_started_together(client: hf.Client) -> None:
    handles = await client.start_many(checkout, [("a", 1), {"order_id": "b"}, ["c", 3]])
    results = await asyncio.gather(*(handle.result("10s") for handle in handles))
    assert [one["receipt"] for one in results] == ["receipt a-1", "receipt b-500", "receipt c-3"]
    assert await client.start_many(checkout, []) == []
    named = checkout.options(attributes={"batch": 1})
    first = await client.start_many(named, [("a", 1), ("b", 2)], ids=["m/1", "m/2"])
    again = await client.start_many(named, [("a", 1), ("b", 2), ("c", 3)], ids=["m/1", "m/2", "m/3"])
    assert [one.created for one in first + again] == [True, True, False, False, True]
    assert (await client.count("attributes.batch = 1")).runs == 3
    with pytest.raises(hf.RunExists):
        await client.start_many(checkout, [("a", 1), ("x", 2)], ids=["m/4", "m/2"])
    with pytest.raises(hf.UsageError, match="1 inputs and 2 ids"):
        await client.start_many(checkout, [("a", 1)], ids=["x", "y"])
    with pytest.raises(hf.PayloadError):
        await client.start_many(checkout, [("a", 1), ("b", math.inf)], ids=["p-1", "p-2"])
    with pytest.raises(hf.RunNotFound):
        await client.get("p-1")


async def test_a_workflow_is_started_by_its_name(client: hf.Client) -> None:
    run = await client.start_named("checkout", {"order_id": "o-1"}, id="n-1", priority=3)
    assert await run.result("10s") == {"receipt": "receipt o-1-500"}
    assert not (await client.start_named("checkout", {"order_id": "o-1", "cents": 500}, id="n-1", version="1")).created
    with pytest.raises(hf.UnknownWorkflow, match="no worker has registered a workflow 'chekout'") as unknown:
        await client.start_named("chekout", {})
    assert unknown.value.workflow == "chekout"
    with pytest.raises(hf.UnknownWorkflow, match="of version '7'"):
        await client.start_named("checkout", {}, version="7")
    with pytest.raises(hf.UsageError, match="missing 'order_id'; unexpected 'order'"):
        await client.start_named("checkout", {"order": 1})
    with pytest.raises(hf.PayloadError) as unfit:
        await client.start_named("checkout", {"order_id": "o-1", "cents": "many"})
    assert unfit.value.place == "checkout() input.cents"
    assert "many" in unfit.value.reason
    with pytest.raises(hf.RunExists):
        await client.start_named("checkout", {"order_id": "other"}, id="n-1")


async def test_how_runs_end_badly(client: hf.Client) -> None:
    run = await client.start(failing.options(id="f/1"), 7)
    with pytest.raises(hf.RunFailed, match="declined with 7") as failed:
        await run.result("10s")
    assert failed.value.run_id == "f/1"
    cause = failed.value.__cause__
    assert isinstance(cause, Declined)
    assert cause.code == 7
    assert isinstance(cause.__cause__, KeyError)
    view = await client.get("f/1")
    assert view.error is not None
    assert view.error["message"] == "declined with 7"
    assert [one.id for one in await client.dead_letters()] == ["f/1"]
    waiting = await client.start(waits, "o-1", "50ms")
    with pytest.raises(hf.RunFailed) as late:
        await waiting.result("10s")
    assert isinstance(late.value.__cause__, hf.EventTimeout)
    for lost in (client.get("absent"), client.history("absent"), client.handle("absent"), client.explain("absent")):
        with pytest.raises(hf.RunNotFound, match="has no run 'absent'") as missing:
            await lost
        assert missing.value.run_id == "absent"


async def test_runs_are_listed_counted_and_paged(client: hf.Client) -> None:
    for number in range(5):
        await (await client.start(checkout.options(id=f"r/{number}", attributes={"n": number}), "o")).result("10s")
    page = await client.list(limit=2)
    assert [view.id for view in page] == ["r/4", "r/3"]
    assert [view.id for view in await client.list(limit=9, before=page[-1])] == ["r/2", "r/1", "r/0"]
    assert [view.id for view in await client.list(where="attributes.n > 2", workflow="checkout")] == ["r/4", "r/3"]
    assert await client.list(status="failed") == []
    assert await client.list(workflow="other") == []
    assert await client.count() == hf.Count(5, False)
    assert await client.count("attributes.n < 4", status="succeeded", cap=3) == hf.Count(3, True)
    with pytest.raises(hf.SearchError) as unread:
        await client.list(where="attributes.n >< 2")
    assert unread.value.position == 14
    assert "^" in str(unread.value)
    for wrong in (client.list(limit=0), client.list(limit=1001), client.list(status="done"), client.count(cap=0)):
        with pytest.raises(hf.UsageError):
            await wrong
    family = await client.start(parent.options(id="p"), 3)
    await family.result("10s")
    children = await client.children("p", limit=2)
    rest = await client.children("p", limit=2, after=children[-1].id)
    assert [one.id for one in children + rest] == ["p/1.0", "p/1.1", "p/1.2"]
    assert (await client.history("p"))[0].kind == "child"
    assert "succeeded" in await client.explain("p")


async def test_a_run_is_stopped_and_goes_on(client: hf.Client) -> None:
    await client.start(waits.options(id="w/1"), "k")
    await _status(client, "w/1", "waiting")
    await client.hold("w/1", reason="look at it", by="ida")
    held = await _status(client, "w/1", "held")
    assert held.error is not None
    assert held.error["message"] == "held by ida: look at it"
    assert "held by ida" in await client.explain("w/1")
    with pytest.raises(hf.NotPossible, match="asks for no value") as refused:
        await client.release("w/1", 3)
    assert refused.value.run_id == "w/1"
    await client.release("w/1")
    await client.cancel("w/1", reason="too late", by="ida")
    with pytest.raises(hf.RunCancelled, match="too late") as cancelled:
        await (await client.handle("w/1")).result("10s")
    assert cancelled.value.run_id == "w/1"
    with pytest.raises(hf.NotPossible, match="has ended: it is cancelled"):
        await client.cancel("w/1")
    with pytest.raises(hf.UsageError, match="at most 1000 characters"):
        await client.hold("w/1", reason="x" * 1001)


async def test_a_run_that_asks_is_answered(client: hf.Client) -> None:
    for number, value in enumerate(({"yes": [1, None]}, None)):
        run = await client.start(approval.options(id=f"a/{number}"), "o")
        await _status(client, run.id, "held")
        await client.release(run.id, value, by="ida")
        assert await run.result("10s") == ["receipt o-1", value]
    refused = await client.start(approval.options(id="a/9"), "o")
    await _status(client, "a/9", "held")
    await client.reject("a/9", reason="too dear", by="ida")
    with pytest.raises(hf.RunFailed) as failed:
        await refused.result("10s")
    assert isinstance(failed.value.__cause__, hf.Rejected)
    with pytest.raises(hf.PayloadError):
        await client.release("a/9", math.nan)


async def test_a_run_is_mended(client: hf.Client) -> None:
    with pytest.raises(hf.RunFailed):
        await (await client.start(failing.options(id="f/1"), 7)).result("10s")
    await client.retry("f/1")
    await _status(client, "f/1", "failed")
    assert (await client.get("f/1")).attempt == 2
    assert [entry.in_force for entry in await client.history("f/1")] == [False, True]
    fork = await client.fork("f/1", from_step=refuse, output=None, id="f/2")
    assert fork == "f/2"
    assert await (await client.handle(fork)).result("10s") is None
    assert (await client.get("f/1")).forks == ["f/2"]
    await (await client.start(checkout.options(id="c/1"), "o")).result("10s")
    edited = await client.fork("c/1", from_step="charge", input={"cents": 9})
    assert await (await client.handle(edited, checkout)).result("10s") == {"receipt": "receipt o-9"}
    whole = await client.fork("c/1", input={"order_id": "p"})
    assert await (await client.handle(whole, checkout)).result("10s") == {"receipt": "receipt p-500"}
    with pytest.raises(hf.StepNotFound, match="no step 'colour'") as missing:
        await client.fork("c/1", from_step="colour")
    assert missing.value.run_id == "c/1"
    with pytest.raises(hf.RunExists):
        await client.fork("c/1", id="f/2")
    for wrong in ({"output": 1}, {"from_step": "charge", "occurrence": 0}, {"input": {"colour": 1}}, {"input": [1]}):
        with pytest.raises(hf.UsageError):
            await client.fork("c/1", **wrong)  # type: ignore[arg-type]
    with pytest.raises(hf.NotPossible):
        await client.retry("c/1")


async def test_a_step_is_tried_aside_here(client: hf.Client) -> None:
    run = await client.start(keyed.options(id="k/1"), "x")
    recorded = await run.result("10s")
    found = await client.replay_step("k/1", key_of_step)
    assert (found.input, found.recorded, found.output, found.difference) == ({"mark": "x"}, recorded, recorded, "")
    with pytest.raises(hf.RunFailed):
        await (await client.start(failing.options(id="f/1"), 7)).result("10s")
    again = await client.replay_step("f/1", refuse)
    assert again.error is not None
    assert again.error["message"] == "declined with 7"
    assert again.difference == ""
    with pytest.raises(hf.StepNotFound, match="no step 'charge'; its steps are: refuse"):
        await client.replay_step("f/1", charge)
    with pytest.raises(hf.StepNotFound, match="recorded 1 of step 'refuse'"):
        await client.replay_step("f/1", refuse, occurrence=2)
    with pytest.raises(hf.UsageError):
        await client.replay_step("f/1", "refuse")  # type: ignore[arg-type]


async def test_events_are_sent_once(client: hf.Client) -> None:
    run = await client.start(waits, "5")
    await _status(client, run.id, "waiting")
    assert await client.send_event("shipped", {"parcel": [1, None]}, key=5) == hf.Delivery(True, 1, 0)
    assert await run.result("10s") == {"parcel": [1, None]}
    sent = [await client.send_event("shipped", 1, key="k/2", to="all", keep="1h", id="e/1") for _ in range(2)]
    assert [one.created for one in sent] == [True, False]
    assert await (await client.start(waits, "k/2")).result("10s") == 1
    for wrong in ({"key": 1.5}, {"to": "some"}, {"keep": -1}):
        with pytest.raises(hf.UsageError):
            await client.send_event("shipped", **wrong)  # type: ignore[arg-type]
    with pytest.raises(hf.PayloadError):
        await client.send_event("shipped", math.nan)


async def test_schedules(client: hf.Client) -> None:
    first = dt.datetime(2026, 1, 1, tzinfo=UTC)
    made = await client.schedule(
        "every/hour", checkout, input=("o-1",), every="1h", start_at=first, overlap="allow", attributes={"a": 1}
    )
    assert (made.name, made.workflow, made.every_seconds, made.start_at) == ("every/hour", "checkout", 3600.0, first)
    assert (made.input, made.attributes) == ({"order_id": "o-1", "cents": 500}, {"a": 1})
    assert made == await client.get_schedule("every/hour")
    assert [one.name for one in await client.schedules()] == ["every/hour"]
    paused = await client.pause_schedule("every/hour", revision=made.revision)
    assert paused.paused
    assert paused.next_at is None
    assert not (await client.resume_schedule("every/hour")).paused
    with pytest.raises(hf.ScheduleExists):
        await client.pause_schedule("every/hour", revision=paused.revision)
    with pytest.raises(hf.ScheduleExists):
        await client.schedule("every/hour", "checkout", input={"order_id": "o"}, every="2h", revision=0)
    run = await client.run_schedule("every/hour")
    assert await (await client.handle(run, checkout)).result("10s") == {"receipt": "receipt o-1-500"}
    made_up = await client.backfill("every/hour", first, first + dt.timedelta(hours=2))
    assert made_up == [f"every/hour/2026-01-01T0{hour}:00:00Z" for hour in range(3)]
    cron = await client.schedule(
        "nightly", "checkout", input={"order_id": "o"}, cron="30 6 * * *", zone="Europe/Berlin"
    )
    assert (cron.cron, cron.zone) == ("30 6 * * *", "Europe/Berlin")
    ruled = await client.schedule(
        "nightly", "checkout", input={"order_id": "o"}, rrule="FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9", zone="Europe/Berlin",
        start_at=dt.datetime(2026, 1, 1, tzinfo=UTC), calendar="DE-BY", closed="previous", jitter="5m",
    )  # fmt: skip
    assert (ruled.rrule, ruled.calendar, ruled.closed) == ("FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9", "DE-BY", "previous")
    assert (ruled.jitter_seconds, ruled.start_at) == (300, dt.datetime(2026, 1, 1, tzinfo=UTC))
    assert ruled == await client.get_schedule("nightly")
    assert [await client.delete_schedule("nightly") for _ in range(2)] == [True, False]
    for missing in (client.get_schedule("nightly"), client.pause_schedule("nightly"), client.run_schedule("nightly")):
        with pytest.raises(hf.ScheduleNotFound, match="has no schedule 'nightly'"):
            await missing
    with pytest.raises(hf.UnknownWorkflow):
        await client.schedule("x", "chekout", every="1h")
    for wrong in ({"cron": "61 * * * *"}, {"every": 0.5}, {}, {"every": "1h", "input": ("a", "b", "c")}):
        with pytest.raises(hf.UsageError):
            await client.schedule("x", checkout, **wrong)  # type: ignore[arg-type]
    kept = await client.schedule(
        "typed", typed, input={"order": Order("o", first), "day": dt.date(2026, 1, 1)}, every="1h"
    )
    assert kept.problem is None
    assert kept.input["rest"] == {"day": "2026-01-01"}


async def test_queues_workflows_and_retention(client: hf.Client) -> None:
    await client.set_queue("slow/er", total=3, per_worker=2)
    await client.set_queue("slow/er", per_worker=None)
    await client.pause_queue("slow/er")
    [queue] = [one for one in await client.queues() if one.name == "slow/er"]
    assert (queue.total, queue.per_worker, queue.paused) == (3, None, True)
    await client.resume_queue("slow/er")
    await client.pause_workflow("parent")
    known = {one.name: one for one in await client.workflows()}
    assert known["parent"] == hf.WorkflowView("parent", ["1"], True)
    await client.resume_workflow("parent")
    for wrong in (client.set_queue("a", total=0), client.pause_queue(""), client.pause_workflow("\0")):
        with pytest.raises(hf.UsageError):
            await wrong
    await client.set_retention("45d", workflow="checkout", status="failed")
    assert hf.RetentionView("checkout", "failed", 45 * 86400, False) in await client.retention()
    await client.set_retention(None, workflow="checkout", status="failed")
    assert all(one.default for one in await client.retention())
    with pytest.raises(hf.UsageError):
        await client.set_retention("1d", status="running")


async def test_workers_and_figures(client: hf.Client, place: Place) -> None:
    await (await client.start(checkout, "o")).result("10s")
    async with hf.Worker(place.url, [nobody_serves], drain=0) as worker:
        [seen] = [one for one in await client.workers() if one.id == worker.id.hex()]
        assert seen.alive
        assert "nobody_serves 1" in seen.serves
        assert not await client.drain_worker("0" * 32)
        assert await client.drain_worker(seen.id)
    overview = await client.overview()
    assert overview.statuses["succeeded"].runs == 1
    assert (overview.lost_workers, overview.stranded) == (0, [])
    since = dt.datetime.now(UTC) - dt.timedelta(minutes=5)
    stats = await client.stats(since=since)
    assert stats.step_seconds == 60
    assert stats.since <= since
    for wrong in ({"step": "day"}, {"until": since - dt.timedelta(hours=1)}):
        with pytest.raises(hf.UsageError):
            await client.stats(since=since, **wrong)  # type: ignore[arg-type]
    with pytest.raises(hf.UsageError, match="aware"):
        await client.stats(since=dt.datetime(2026, 1, 1))


async def test_people(client: hf.Client) -> None:
    made = await client.put_user(
        "ida/x", email="Ida@Example.com", name="Ida", role="operator", zone="Europe/Berlin", groups=["desk"],
        capacity=3, away=[{"from": dt.date(2026, 12, 24), "until": "2027-01-02"}], password="a long password",
        revision=0,
    )  # fmt: skip
    assert (made.email, made.role, made.has_password) == ("ida@example.com", "operator", True)
    assert made.away == [{"from": dt.date(2026, 12, 24), "until": dt.date(2027, 1, 2)}]
    assert made == await client.get_user("ida/x")
    changed = await client.put_user("ida/x", capacity=None, email=None, revision=made.revision)
    assert (changed.capacity, changed.email, changed.name) == (None, None, "Ida")
    for stale in (made.revision, 0, 99):
        with pytest.raises(hf.UserExists):
            await client.put_user("ida/x", name="Eda", revision=stale)
    with pytest.raises(hf.UserExists):
        await client.put_user("nobody", name="Eda", revision=3)
    await client.put_user("bob", email="bob@example.com")
    with pytest.raises(hf.UserExists, match="address"):
        await client.put_user("eve", email="BOB@example.com")
    assert [one.id for one in await client.users(limit=1)] == ["bob"]
    assert [one.id for one in await client.users(after="bob")] == ["ida/x"]
    for wrong in ({"role": "king"}, {"zone": "Mars"}, {"password": "short"}, {"capacity": -1}, {"away": [{}]}):
        with pytest.raises(hf.UsageError):
            await client.put_user("ida/x", **wrong)  # type: ignore[arg-type]
    assert [await client.delete_user("bob") for _ in range(2)] == [True, False]
    with pytest.raises(hf.UserNotFound):
        await client.get_user("bob")


async def test_keys_changes_and_kept_searches(client: hf.Client) -> None:
    made = await client.create_key("ci", role="operator", expires="1d")
    assert made.key.startswith(f"hf_{made.view.prefix}_")
    assert made.key not in repr(made)
    assert (made.view.role, made.view.created_by) == ("operator", "local")
    assert made.view.expires_at is not None
    assert await client.get_key(made.view.prefix) == made.view
    assert await client.keys(search=made.key) == [made.view]
    assert await client.keys(after="zzzzzzzz") == []
    assert [await client.revoke_key(prefix) for prefix in (made.view.prefix, "absent00", "odd/one")] == [
        True, False, False,
    ]  # fmt: skip
    assert (await client.get_key(made.view.prefix)).revoked_at is not None
    with pytest.raises(hf.KeyNotFound):
        await client.get_key("absent00")
    with pytest.raises(hf.UsageError):
        await client.create_key("ci", role="king")
    changes = await client.audit(actor="local")
    assert [(one.action, one.target) for one in changes] == [
        ("key.revoke", made.view.prefix), ("key.create", made.view.prefix),
    ]  # fmt: skip
    assert await client.audit(limit=1, before=changes[0].id, action="key", target=made.view.prefix) == changes[1:]
    await client.put_view("runs", "mine/1", "status:failed")
    assert [(one.name, one.query) for one in await client.saved_views("runs")] == [("mine/1", "status:failed")]
    assert [await client.delete_view("runs", "mine/1") for _ in range(2)] == [True, False]


async def test_many_are_steered_by_a_job(client: hf.Client) -> None:
    await client.start_many(waits, [("a",), ("b",)], ids=["w/1", "w/2"])
    for run_id in ("w/1", "w/2"):
        await _status(client, run_id, "waiting")
    where = "workflow = 'waits'"
    preview = await client.bulk("cancel", where, dry_run=True)
    assert preview == hf.BulkPreview(2, False, ["w/2", "w/1"])
    job = await client.bulk("cancel", where, reason="over", by="ida", id="job/1")
    assert job.created
    assert await job.result("20s") == hf.BulkResult(2, 2, 0, {})
    assert not (await client.bulk("cancel", where, reason="over", by="ida", id="job/1")).created
    with pytest.raises(hf.SearchError):
        await client.bulk("cancel", "status >", dry_run=True)
    with pytest.raises(hf.UsageError):
        await client.bulk("fork", where)
