"""Schedules: one run for each time, however many look; overlaps, missed times, pauses, and runs out of turn."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine.scheduled import description_of
from holdfast.errors import StoreUnavailable
from holdfast.model.schedule import schedule as checked
from holdfast.model.schedule_times import jittered
from holdfast.services import scheduler
from holdfast.services.scheduler import Scheduler
from holdfast.store.rows import WorkflowRow
from tests.engine.clock import LONG_LEASE, move, move_to
from tests.engine.helpers import until, until_status

BEGIN = datetime(2027, 6, 1, 12, 0, 30, tzinfo=UTC)


@hf.workflow
async def report(city: str = "Berlin", pages: int = 1) -> str:
    return f"{city} {pages}"


@hf.workflow(name="report", version="10")
async def longer_report(city: str, pages: int = 2, colour: bool = True) -> str:
    return f"{city} {pages} {colour}"


@hf.workflow(name="report", version="11")
async def other_report(town: str) -> str:
    return town


def first_two(order: str, cents: int) -> str:
    return order[:2]


@hf.workflow(key=first_two, cancel_on=("closed", first_two))
async def charge(order: str, cents: int) -> None: ...


async def register(client: hf.Client, *workflows: hf.Workflow[Any, Any]) -> None:
    """Make workflows known as a worker does, and let nobody execute them."""
    rows = [WorkflowRow(one.name, one.version, description_of(one)) for one in workflows]
    await client.core.store.register_workflows(rows)


@asynccontextmanager
async def office(url: str, *workflows: hf.Workflow[Any, Any], begin: datetime = BEGIN) -> AsyncIterator[hf.Client]:
    """A client of a database in which workflows are known and nobody works."""
    async with hf.connect(url) as client:
        await move_to(client, begin)
        await register(client, *workflows)
        yield client


async def tick(client: hf.Client, by: Scheduler | None = None) -> None:
    """Deal with all that is due."""
    one = by or Scheduler(client.core)
    while await one.tick():
        pass


async def ids(client: hf.Client) -> list[str]:
    """The ids of all runs, in order."""
    return sorted(run.id for run in await client.list(limit=1000))


def times(*at: str) -> list[str]:
    return [f"tick/2027-06-01T{one}Z" for one in at]


# One run for each time


@pytest.mark.slow
async def test_two_workers_run_each_time_once(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "LOOK_SECONDS", 0.01)
    ran: list[str] = []

    @hf.workflow
    async def counts() -> None:
        ran.append(hf.current().run_id)

    async with (
        office(store_url) as client,
        hf.Worker(client, [counts], lease=LONG_LEASE, drain=0),
        hf.Worker(client, [report], lease=LONG_LEASE, drain=0),
    ):
        await client.schedule("tick", counts, every="1m", overlap="allow")
        for minute in range(1, 6):
            await move_to(client, BEGIN + timedelta(minutes=minute))

            async def has_run(wanted: int = minute) -> bool:
                return len(ran) >= wanted

            await until(has_run)
        found = await ids(client)
        view = await client.get_schedule("tick")
    expected = times("12:01:00", "12:02:00", "12:03:00", "12:04:00", "12:05:00")
    assert sorted(ran) == expected
    assert found == expected
    assert view.next_at == datetime(2027, 6, 1, 12, 6, tzinfo=UTC)
    assert view.last_run == expected[-1]


async def test_workers_that_race_for_a_time_make_one_run(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="1m")
        await move(client, 60)
        await asyncio.gather(*(Scheduler(client.core).tick() for _ in range(5)))
        assert await ids(client) == times("12:01:00")
        view = await client.get_schedule("tick")
        assert (view.next_at, view.last_run) == (datetime(2027, 6, 1, 12, 2, tzinfo=UTC), "tick/2027-06-01T12:01:00Z")
        await tick(client)
        assert await ids(client) == times("12:01:00")


async def test_a_worker_lost_after_the_start_is_made_up_for(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="1m")
        await move(client, 60)

        async def is_lost(row: object) -> bool:
            raise StoreUnavailable("gone")

        with monkeypatch.context() as patch:
            patch.setattr(client.core.store, "put_schedule", is_lost)
            assert not await Scheduler(client.core).tick()
        assert (await client.get_schedule("tick")).last_run is None
        await tick(client)
        assert await ids(client) == times("12:01:00")
        assert (await client.get_schedule("tick")).last_run == "tick/2027-06-01T12:01:00Z"


async def test_a_late_loser_of_a_race_tells_of_its_run(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="1m")
        await move(client, 60)
        store = client.core.store
        put, [row] = store.put_schedule, await store.list_schedules("default")
        others = row._replace(next_at=(row.next_at or 0) + 60_000_000, revision=row.revision + 1)

        async def comes_second(mine: Any) -> bool:
            await put(others)  # another worker, which passed over the time
            return await put(mine)

        monkeypatch.setattr(store, "put_schedule", comes_second)
        await Scheduler(client.core).tick()
        view = await client.get_schedule("tick")
        assert (view.last_run, view.next_at) == (*times("12:01:00"), datetime(2027, 6, 1, 12, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("begin", "line", "expected"),
    [
        # 02:30 is skipped: at the first minute after the gap.
        (datetime(2027, 3, 27, 12, tzinfo=UTC), "30 2 * * *", ["28T01:00:00Z", "29T00:30:00Z"]),
        # 02:30 comes twice: the first time.
        (datetime(2027, 10, 30, 12, tzinfo=UTC), "30 2 * * *", ["31T00:30:00Z", "01T01:30:00Z"]),
    ],
    ids=["forward", "back"],
)
async def test_where_the_clocks_change(store_url: str, begin: datetime, line: str, expected: list[str]) -> None:
    async with office(store_url, report, begin=begin) as client:
        await client.schedule("tick", report, cron=line, zone="Europe/Berlin")
        for _ in expected:
            await move(client, 86_400)
            await tick(client)
            for run in await client.list(status="queued"):
                await client.cancel(run.id)
        assert [id[len("tick/2027-03-") :] for id in await ids(client)] == expected


async def test_the_input_and_the_options_reach_the_runs(store_url: str) -> None:
    async with office(store_url, report) as client:
        view = await client.schedule(
            "tick", report, input=("Rome",), every="1m", priority=5, queue="slow", attributes={"team": "x"},
            timeout="1h",
        )  # fmt: skip
        assert (view.input, view.priority, view.queue) == ({"city": "Rome", "pages": 1}, 5, "slow")
        assert (view.attributes, view.timeout_seconds, view.every_seconds) == ({"team": "x"}, 3600.0, 60.0)
        await move(client, 60)
        await tick(client)
        run = await client.get(*times("12:01:00"))
        assert (run.input, run.priority, run.queue) == ({"city": "Rome", "pages": 1}, 5, "slow")
        assert run.attributes == {"schedule": "tick", "team": "x"}
        assert run.deadline_at is not None
        assert timedelta(minutes=59) < run.deadline_at - run.created_at <= timedelta(hours=1)


async def test_a_key_that_is_a_function_needs_no_code_at_the_time(store_url: str) -> None:
    async with office(store_url, charge) as client:
        await client.schedule("tick", charge, input={"order": "o-17", "cents": 5}, every="1m")
        await move(client, 60)
        await tick(client)
        assert (await client.get(*times("12:01:00"))).lane == "charge=o-"
        assert (await client.send_event("closed", key="o-")).cancels == 1
        with pytest.raises(hf.UsageError, match="a function in code that is not here"):
            await client.schedule("named", "charge", input={"order": "o-17", "cents": 5}, every="1m")


async def test_the_highest_registered_version_runs_with_its_defaults(store_url: str) -> None:
    async with office(store_url, report, longer_report) as client:
        await client.schedule("tick", report, every="1m")
        await move(client, 60)
        await tick(client)
        run = await client.get(*times("12:01:00"))
        assert (run.version, run.input) == ("10", {"city": "Berlin", "pages": 1, "colour": True})


async def test_a_workflow_known_by_name(store_url: str) -> None:
    async with office(store_url, report) as client:
        view = await client.schedule("tick", "report", input={"city": "Oslo"}, every="1m")
        assert view.input == {"city": "Oslo", "pages": 1}
        with pytest.raises(hf.UnknownWorkflow, match="'nobody'"):
            await client.schedule("tick", "nobody", every="1m")
        with pytest.raises(hf.PayloadError, match=r"report\(\) input.pages"):
            await client.schedule("tick", "report", input={"pages": "many"}, every="1m")
        with pytest.raises(hf.UsageError, match="must be a mapping by name"):
            await client.schedule("tick", "report", input=("Oslo",), every="1m")
        assert (await client.get_schedule("tick")).input == {"city": "Oslo", "pages": 1}


# Overlaps


async def pass_three_times(client: hf.Client, overlap: str) -> None:
    await client.schedule("tick", report, every="1m", overlap=overlap)
    for _ in range(3):
        await move(client, 60)
        await tick(client)


async def test_overlap_skip_passes_over_times(store_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "holdfast.scheduler")
    async with office(store_url, report) as client:
        await pass_three_times(client, "skip")
        assert await ids(client) == times("12:01:00")
        first, *others = times("12:01:00", "12:02:00", "12:03:00")
        assert caplog.messages == [
            f"schedule tick of tenant default: run {skipped} is skipped, since run {first} has not ended"
            for skipped in others
        ]
        await client.cancel(*times("12:01:00"))
        await move(client, 60)
        await tick(client)
        assert await ids(client) == times("12:01:00", "12:04:00")


async def test_overlap_allow_runs_all(store_url: str) -> None:
    async with office(store_url, report) as client:
        await pass_three_times(client, "allow")
        assert await ids(client) == times("12:01:00", "12:02:00", "12:03:00")
        assert {run.status for run in await client.list()} == {"queued"}


async def test_overlap_cancel_puts_the_new_in_the_place_of_the_old(store_url: str) -> None:
    async with office(store_url, report) as client:
        await pass_three_times(client, "cancel")
        status = {run.id: run.status for run in await client.list()}
        first, second, third = times("12:01:00", "12:02:00", "12:03:00")
        assert status == {first: "cancelled", second: "cancelled", third: "queued"}
        view = await client.get(first)
        assert view.error is not None
        assert f"run {second} takes its place" in view.error["message"]


async def test_overlap_queue_runs_each_time_after_the_one_before(store_url: str) -> None:
    async with office(store_url, report) as client:
        await pass_three_times(client, "queue")
        for minute in range(1, 4):
            current = times(*(f"12:0{one}:00" for one in range(1, minute + 1)))
            assert await ids(client) == current
            await tick(client)
            assert await ids(client) == current, "the run before has not ended"
            await client.cancel(current[-1])
            await tick(client)
        assert await ids(client) == times("12:01:00", "12:02:00", "12:03:00")
        assert (await client.get_schedule("tick")).next_at == datetime(2027, 6, 1, 12, 4, tzinfo=UTC)


async def test_a_held_run_has_not_ended(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="1m")
        await move(client, 60)
        await tick(client)
        await client.hold(*times("12:01:00"))
        await move(client, 60)
        await tick(client)
        assert await ids(client) == times("12:01:00")


# Missed times


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"catch_up": "all"}, ["12:10:00", "12:20:00", "12:30:00", "12:40:00"]),
        ({"catch_up": "all", "catch_up_within": "15m"}, ["12:30:00", "12:40:00"]),
        ({"catch_up": "latest"}, ["12:40:00"]),
        ({"catch_up": "latest", "catch_up_within": "1m"}, []),
        ({"catch_up": "none"}, []),
    ],
    ids=["all", "all within", "latest", "too old", "none"],
)
async def test_catching_up_after_a_gap(
    store_url: str, options: dict[str, Any], expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="10m", overlap="allow", **options)
        await move(client, 41 * 60)
        await tick(client)
        assert await ids(client) == times(*expected)
        assert (await client.get_schedule("tick")).next_at == datetime(2027, 6, 1, 12, 50, tzinfo=UTC)
        missed = [message for message in caplog.messages if "were missed" in message]
        assert len(missed) == (0 if len(expected) == 4 else 1)
        await move(client, 9 * 60)
        await tick(client)
        assert await ids(client) == times(*expected, "12:50:00")


async def test_a_time_that_is_a_little_late_is_not_missed(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="10m", catch_up="none")
        await move(client, 9 * 60 + 30 + 45)
        await tick(client)
        assert await ids(client) == times("12:10:00")


async def test_of_caught_up_times_that_overlap_the_first_is_run(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="10m", overlap="skip", catch_up="all")
        await move(client, 31 * 60)
        await tick(client)
        assert await ids(client) == times("12:10:00")


async def test_catching_up_goes_in_portions(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "AT_ONCE", 7)
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="1m", overlap="allow", catch_up="all")
        await move(client, 20 * 60)
        assert await Scheduler(client.core).tick()
        assert len(await ids(client)) == 7
        await tick(client)
        assert await ids(client) == times(*(f"12:{minute:02}:00" for minute in range(1, 21)))


async def test_caught_up_times_are_queued_one_after_the_other(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="10m", overlap="queue", catch_up="all")
        await move(client, 31 * 60)
        for done in (["12:10:00"], ["12:10:00", "12:20:00"], ["12:10:00", "12:20:00", "12:30:00"]):
            await tick(client)
            assert await ids(client) == times(*done)
            await client.cancel(times(*done)[-1])


# Stop and go


async def test_pause_and_resume(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="1m", overlap="allow", catch_up="all")
        view = await client.pause_schedule("tick")
        assert (view.paused, view.next_at) == (True, None)
        await move(client, 180)
        await tick(client)
        assert await ids(client) == []
        # To change it does not resume it.
        assert (await client.schedule("tick", report, every="2m")).paused
        await client.schedule("tick", report, every="1m", overlap="allow", catch_up="all")
        view = await client.resume_schedule("tick")
        assert (view.paused, view.next_at) == (False, datetime(2027, 6, 1, 12, 4, tzinfo=UTC))
        await tick(client)
        assert await ids(client) == []
        await move(client, 60)
        await tick(client)
        assert await ids(client) == times("12:04:00")


async def test_resuming_what_is_not_paused_loses_no_time(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="1m")
        await move(client, 60)
        await client.resume_schedule("tick")
        await tick(client)
        assert await ids(client) == times("12:01:00")


async def test_run_now(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, input={"city": "Rome"}, every="1m")
        await client.pause_schedule("tick")
        first, second = [await client.run_schedule("tick") for _ in range(2)]
        assert first != second
        assert first.startswith("tick/now/")
        run = await client.get(first)
        assert (run.input["city"], run.attributes) == ("Rome", {"schedule": "tick"})
        assert (await client.get_schedule("tick")).last_run is None


async def test_a_scheduled_run_is_executed(store_url: str) -> None:
    async with hf.connect(store_url) as client, hf.Worker(client, [report], drain=0):
        await client.schedule("tick", report, input=("Rome", 3), every="1h")
        handle = await client.handle(await client.run_schedule("tick"), report)
        assert await handle.result(timeout="10s") == "Rome 3"


async def test_backfill(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="10m", overlap="skip")
        await move(client, 10 * 60)
        await tick(client)
        assert await ids(client) == times("12:10:00")
        since, until = datetime(2027, 6, 1, 11, 50, tzinfo=UTC), datetime(2027, 6, 1, 12, 10, tzinfo=UTC)
        assert await client.backfill("tick", since, until) == times("11:50:00", "12:00:00")
        assert await client.backfill("tick", since, until) == []
        assert await ids(client) == times("11:50:00", "12:00:00", "12:10:00")
        assert (await client.get_schedule("tick")).last_run == "tick/2027-06-01T12:10:00Z"


async def test_backfill_until_a_now_that_is_a_little_ahead(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every=1)
        ahead = BEGIN + timedelta(seconds=45)
        made = await client.backfill("tick", BEGIN - timedelta(seconds=1), ahead)
        assert made[:2] == times("12:00:29", "12:00:30")
        assert made[-1] < f"tick/{ahead:%Y-%m-%dT%H:%M:%SZ}"
        with pytest.raises(hf.UsageError, match="times that have passed"):
            await client.backfill("tick", BEGIN, BEGIN + timedelta(minutes=2))


async def test_names_that_no_index_holds_are_refused(postgres_database: str) -> None:
    # Text that repeats itself would be compressed, and fit.
    long = "".join(chr(number) for number in random.Random(1).sample(range(0x20000, 0x2A000), 490))
    async with hf.connect(postgres_database, tenant=long) as client:
        await register(client, report)
        with pytest.raises(hf.PayloadError, match="the database refuses a value"):
            await client.schedule(long, report, every="1h")


async def test_backfill_is_bounded(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every=1)
        since = BEGIN - timedelta(seconds=10_000)
        with pytest.raises(hf.UsageError, match=r"more than 10,000 times.*until 2027-06-01 12:00:29"):
            await client.backfill("tick", since, BEGIN)
        with pytest.raises(hf.UsageError, match="times that have passed"):
            await client.backfill("tick", BEGIN, BEGIN + timedelta(days=1))
        with pytest.raises(hf.UsageError, match="times that have passed"):
            await client.backfill("tick", BEGIN, BEGIN - timedelta(days=1))
        with pytest.raises(hf.UsageError, match="aware instant"):
            await client.backfill("tick", datetime(2027, 6, 1), BEGIN)
        assert await ids(client) == []


@pytest.mark.slow
async def test_backfill_of_ten_thousand_times(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every=1)
        started = await client.backfill("tick", BEGIN - timedelta(seconds=9_999), BEGIN)
        assert len(started) == 10_000
        assert (await client.core.store.counts())["ready"] == 10_000


# Changing


async def test_schedules_are_listed_and_deleted(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("b", report, cron="30 7 * * MON-FRI", zone="Europe/Berlin")
        await client.schedule("a", report, every="90s", start_at=BEGIN)
        first, second = await client.schedules()
        assert (first.name, first.cron, first.every_seconds, first.start_at) == ("a", None, 90.0, BEGIN)
        assert (second.name, second.cron, second.zone) == ("b", "30 7 * * MON-FRI", "Europe/Berlin")
        assert (second.overlap, second.catch_up, second.problem) == ("skip", "latest", None)
        assert second.next_at == datetime(2027, 6, 2, 5, 30, tzinfo=UTC)
        assert await client.delete_schedule("a")
        assert not await client.delete_schedule("a")
        assert [view.name for view in await client.schedules()] == ["b"]
        for call in (client.get_schedule, client.pause_schedule, client.resume_schedule, client.run_schedule):
            with pytest.raises(hf.UsageError, match="no schedule 'a'"):
                await call("a")


async def test_a_schedule_that_is_made_again_goes_on_where_it_was(store_url: str) -> None:
    async with office(store_url, report) as client:
        store = client.core.store
        await client.schedule("tick", report, every="1m")
        [before] = await store.list_schedules("default")
        await client.schedule("tick", report, every="1m")
        assert await store.list_schedules("default") == [before], "nothing was changed"
        await move(client, 60)
        # Other arguments: the time that has come is not lost.
        view = await client.schedule("tick", report, input=("Rome",), every="1m")
        assert view.next_at == datetime(2027, 6, 1, 12, 1, tzinfo=UTC)
        await tick(client)
        assert (await client.get(*times("12:01:00"))).input["city"] == "Rome"
        # Other times: from now on.
        view = await client.schedule("tick", report, cron="0 * * * *")
        assert (view.next_at, view.last_run) == (datetime(2027, 6, 1, 13, tzinfo=UTC), *times("12:01:00"))
        [after] = await store.list_schedules("default")
        assert after.revision == before.revision + 3


async def test_a_schedule_that_others_change_too(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with office(store_url, report) as client:
        views = await asyncio.gather(*(client.schedule("tick", report, every="1m") for _ in range(5)))
        assert {view.next_at for view in views} == {datetime(2027, 6, 1, 12, 1, tzinfo=UTC)}

        async def never(row: object) -> bool:
            return False

        monkeypatch.setattr(client.core.store, "put_schedule", never)
        with pytest.raises(hf.ScheduleExists, match="'tick'"):
            await client.schedule("tick", report, every="2m")


async def test_a_schedule_that_was_changed_meanwhile_is_left_as_it_is(store_url: str) -> None:
    async with office(store_url, report) as client:
        seen = await client.schedule("tick", report, every="1m", revision=0)
        with pytest.raises(hf.ScheduleExists, match="revision 0"):
            await client.schedule("tick", report, every="5m", revision=0)
        await move(client, 60)
        await tick(client)
        ran = await client.get_schedule("tick")
        assert ran.last_run is not None
        assert ran.revision == seen.revision  # its runs are no change of it
        changed = await client.schedule("tick", report, every="2m", revision=ran.revision)
        assert changed.revision != seen.revision
        for change in (client.pause_schedule, client.resume_schedule):
            with pytest.raises(hf.ScheduleExists):
                await change("tick", revision=seen.revision)
        with pytest.raises(hf.ScheduleExists):
            await client.schedule("tick", report, every="5m", revision=seen.revision)
        assert await client.get_schedule("tick") == changed
        paused = await client.pause_schedule("tick", revision=changed.revision)
        assert paused.revision != changed.revision
        assert (await client.resume_schedule("tick", revision=paused.revision)).revision == changed.revision
        with pytest.raises(hf.ScheduleExists):
            await client.schedule("new", report, every="5m", revision=7)
        for revision in (True, "1", 1.0):
            with pytest.raises(hf.UsageError, match="revision"):
                await client.pause_schedule("tick", revision=revision)  # type: ignore[arg-type]


async def test_what_cannot_be_is_refused(store_url: str) -> None:
    async with office(store_url, report) as client:
        for wrong, said in [
            ({}, "needs one of cron"),
            ({"cron": "61 * * * *"}, "minute cannot be '61'"),
            ({"cron": "0 7 * * *", "zone": "Europe/Atlantis"}, "does not know"),
            ({"every": 0.5}, "a second or more"),
            ({"every": 5, "overlap": "maybe"}, "give one of skip, queue, cancel, allow"),
            ({"every": 5, "priority": 5000}, "from -1000 to 1000"),
            ({"every": 5, "input": (1, 2, 3)}, "positional arguments"),
            ({"every": 5, "input": "Rome"}, "a tuple of arguments"),
            ({"every": 5, "timeout": 0}, "more than 0 seconds"),
        ]:
            with pytest.raises(hf.UsageError, match=said):
                await client.schedule("tick", report, **wrong)
        with pytest.raises(hf.UsageError, match="give the workflow itself"):
            await client.schedule("tick", report.options(priority=1), every=5)  # type: ignore[arg-type]
        with pytest.raises(hf.PayloadError):
            await client.schedule("tick", report, every=5, attributes={"x": object()})
        assert await client.schedules() == []


# Problems


async def test_a_problem_is_shown_said_once_and_stops_nobody_else(
    store_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scheduler, "AT_ONCE", 2)
    async with office(store_url, report) as client:
        store = client.core.store
        for name in ("a", "b", "c", "d"):
            await client.schedule(name, charge, input=("o-1", 5), every="1m")
        await client.schedule("zone", report, cron="* * * * *", zone="Europe/Berlin")
        [row] = await store.list_schedules("default", "zone")
        nowhere = row.definition.replace(b"Europe/Berlin", b"Europe/Atlantis")
        await store.put_schedule(row._replace(definition=nowhere, revision=2))
        await client.schedule("good", report, every="1m", start_at=BEGIN + timedelta(seconds=40))
        await move(client, 90)
        one = Scheduler(client.core)
        for _ in range(4):
            await tick(client, one)
        assert await ids(client) == ["good/2027-06-01T12:01:10Z"]
        assert len(caplog.messages) == 5
        assert sum("no worker has registered workflow 'charge'" in message for message in caplog.messages) == 4
        problems = {view.name: view.problem for view in await client.schedules()}
        assert problems["good"] is None
        assert "no worker has registered" in (problems["a"] or "")
        assert "Europe/Atlantis" in (problems["zone"] or "")
        # A worker comes that serves it: the missed time is made up for.
        await register(client, charge)
        await tick(client, one)
        assert "a/2027-06-01T12:02:00Z" in await ids(client)
        assert (await client.get_schedule("a")).problem is None


async def test_an_input_that_no_longer_fits_is_a_problem(store_url: str) -> None:
    async with office(store_url, report) as client:
        await client.schedule("tick", report, every="1m")
        await register(client, other_report)
        await move(client, 60)
        await tick(client)
        assert await ids(client) == []
        view = await client.get_schedule("tick")
        assert "missing 'town'" in (view.problem or "")
        assert view.next_at == datetime(2027, 6, 1, 12, 1, tzinfo=UTC)
        with pytest.raises(hf.UsageError, match="missing 'town'"):
            await client.run_schedule("tick")


async def test_schedules_of_tenants_do_not_meet(disk_url: str) -> None:
    async with office(disk_url, report) as client, hf.connect(disk_url, tenant="other") as other:
        await client.schedule("tick", report, every="1m")
        await other.schedule("tick", report, every="2m", input=("Rome",))
        await move(client, 60)
        await tick(client)
        assert (await ids(client), await ids(other)) == (times("12:01:00"), [])
        await move(client, 60)
        await tick(client)
        assert (await ids(client), await ids(other)) == (times("12:01:00"), times("12:02:00"))
        assert await other.delete_schedule("tick")
        assert [view.every_seconds for view in await client.schedules()] == [60.0]


async def test_a_worker_looks_when_a_known_time_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with office("memory://", report) as client:
        one = Scheduler(client.core)
        await client.schedule("tick", report, every=1)
        await move(client, 1)
        await tick(client, one)
        monkeypatch.setattr(scheduler, "LOOK_SECONDS", 1000.0)
        assert one.pause_seconds() <= 1.0 + scheduler.SPREAD_SECONDS
        await move(client, 3)
        assert one.pause_seconds() <= scheduler.SPREAD_SECONDS


async def test_a_worker_that_serves_something_else_starts_the_runs(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "LOOK_SECONDS", 0.01)
    async with office(store_url, report) as client, hf.Worker(client, [charge], lease=LONG_LEASE, drain=0):
        await client.schedule("tick", report, every="1m")
        await move(client, 60)

        async def made() -> bool:
            return await ids(client) == times("12:01:00")

        await until(made)
        await until_status(client, *times("12:01:00"), "queued")


# Rules, calendars, jitter


async def test_a_rule_makes_its_runs_and_ends(store_url: str) -> None:
    first = datetime(2027, 6, 1, 12, 1, tzinfo=UTC)
    async with office(store_url, report) as client:
        made = await client.schedule(
            "tick", report, rrule="FREQ=MINUTELY;COUNT=2", start_at=first, overlap="allow", catch_up="all"
        )
        assert (made.rrule, made.cron, made.every_seconds, made.next_at) == ("FREQ=MINUTELY;COUNT=2", None, None, first)
        await move(client, 600)
        await tick(client)
        assert await ids(client) == times("12:01:00", "12:02:00")
        assert (await client.get_schedule("tick")).next_at is None
        await move(client, 600)
        await tick(client)
        assert len(await ids(client)) == 2
        again = await client.schedule("tick", report, rrule="FREQ=HOURLY", start_at=first)
        assert again.next_at == datetime(2027, 6, 1, 13, 1, tzinfo=UTC)


async def test_no_run_is_made_on_a_holiday(store_url: str) -> None:
    async with office(store_url, report, begin=datetime(2026, 4, 2, 12, tzinfo=UTC)) as client:
        made = await client.schedule("daily", report, cron="0 9 * * *", calendar="DE")
        assert (made.calendar, made.closed) == ("DE", "skip")
        assert made.next_at == datetime(2026, 4, 7, 9, tzinfo=UTC)
        moved = await client.schedule("daily", report, cron="0 9 * * *", calendar="DE", closed="previous")
        assert moved.next_at == datetime(2026, 4, 7, 9, tzinfo=UTC)
        other = await client.schedule("daily", report, cron="0 9 * * *", calendar="US")
        assert other.next_at == datetime(2026, 4, 3, 9, tzinfo=UTC)


async def test_a_run_starts_later_by_its_jitter_and_has_the_id_of_its_time(store_url: str) -> None:
    async with office(store_url, report) as client:
        made = await client.schedule("tick", report, every="1h", jitter="30m")
        assert made.jitter_seconds == 1800
        await move_to(client, datetime(2027, 6, 1, 13, tzinfo=UTC))
        await tick(client)
        assert await ids(client) == times("13:00:00")
        plan = checked("tick", "report", every="1h", jitter="30m")
        late = jittered(plan, datetime(2027, 6, 1, 13, tzinfo=UTC))
        [row] = await client.core.store.find_runs("default", times("13:00:00"))
        assert row.due_at == int(late.timestamp() * 1e6)
        assert (await client.core.store.counts())["parked"] == 1
        await client.run_schedule("tick")
        assert (await client.core.store.counts())["ready"] == 1  # out of turn is at once
