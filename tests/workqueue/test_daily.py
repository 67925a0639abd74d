"""The daily work: on a schedule at 06:00 in the tenant's zone, once a day; missed days one after the other."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest

import holdfast as hf
from holdfast.workqueue import daily, interpreting
from holdfast.workqueue.queue import work_queue
from tests.engine.clock import LONG_LEASE, move_to
from tests.engine.helpers import until
from tests.workqueue.item_kit import working

AT_RISK: dict[str, Any] = {"name": "Keep them", "type": "risk", "rule": "scores.risk >= 7", "cooldown": "0s"}
REVIEW: dict[str, Any] = {
    "name": "Review",
    "annual": {"property": "since", "days": 0},
    "active": True,
    "cooldown": "0s",
}


@hf.workflow
async def nothing() -> None:
    """A worker has to serve something."""


async def ended(client: hf.Client, number: int) -> list[Any]:
    """The daily runs, the oldest first, when so many have ended."""

    async def there() -> bool:
        return len(await client.list(workflow=daily.DAILY, status="succeeded")) >= number

    await until(there, within=20)
    return [await client.get(one.id) for one in (await client.list(workflow=daily.DAILY))[::-1]]


async def test_it_is_scheduled_once_a_definition_is_switched_on(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_settings(zone="Europe/Berlin")
        await work.put_definition("save", AT_RISK)
        assert await client.schedules() == []
        await work.activate("save")
        [schedule] = await client.schedules()
        assert (schedule.name, schedule.workflow, schedule.cron, schedule.zone) == (
            "holdfast.daily", "holdfast.daily", "0 6 * * *", "Europe/Berlin",
        )  # fmt: skip
        await client.pause_schedule("holdfast.daily")
        await work.put_settings(zone="Asia/Tokyo")
        [schedule] = await client.schedules()
        assert (schedule.zone, schedule.paused) == ("Asia/Tokyo", True)
        await work.put_settings(country="JP")
        await work.activate("save")
        assert len(await client.schedules()) == 1


@pytest.mark.slow
async def test_a_worker_does_it_at_six(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreting, "SUBJECTS", 2)
    async with working(store_url) as (client, work):
        await move_to(client, datetime(2027, 5, 3, 3, 59, tzinfo=UTC))
        await work.put_settings(zone="Europe/Berlin")
        for n in range(5):
            await work.put_subject(f"s{n}", assignee="ines", signals={"churn_risk_score": 5 + n})
        await work.put_definition("save", {**AT_RISK, "active": True})
        async with hf.Worker(client, [nothing], drain=0, lease=LONG_LEASE):
            await asyncio.sleep(0.05)
            assert await client.list(workflow=daily.DAILY) == []
            await move_to(client, datetime(2027, 5, 3, 4, 0, 1, tzinfo=UTC))
            [run] = await ended(client, 1)
        assert run.id == "holdfast.daily/2027-05-03T04:00:00Z"
        assert run.output == {"day": "2027-05-03", "scored": 5, "created": 3, "recomputed": 3}
        assert [one.subject for one in await work.queue("ines")] == ["s4", "s3", "s2"]
        names = [entry.name for entry in await client.history(run.id)]
        assert names == ["day", "interpret", "interpret", "interpret", "recompute"]


@pytest.mark.slow
async def test_days_that_were_missed_are_caught_up(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await move_to(client, datetime(2027, 5, 1, 12, tzinfo=UTC))
        for day in (2, 3, 4, 5, 6):
            await work.put_subject(f"s{day}", properties={"since": f"2020-05-0{day}"}, signals={"churn_risk_score": 9})
        await work.put_definition("review", REVIEW)
        await work.put_definition("save", {**AT_RISK, "active": True})
        # Nobody was there for three days.
        await move_to(client, datetime(2027, 5, 5, 12, tzinfo=UTC))
        async with hf.Worker(client, [nothing], drain=0, lease=LONG_LEASE):
            runs = await ended(client, 4)
        assert [one.output["day"] for one in runs] == [f"2027-05-0{day}" for day in (2, 3, 4, 5)]
        # Of a day that has passed only what its date calls for; the signals of today are today's business.
        assert [one.output["created"] for one in runs] == [1, 1, 1, 6]
        assert [one.output["recomputed"] for one in runs] == [0, 0, 0, 9]
        reviewed = sorted(one.subject or "" for one in await work.list(definition="review"))
        assert reviewed == ["s2", "s3", "s4", "s5"]


async def test_it_is_done_again_without_doing_more(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await move_to(client, datetime(2027, 5, 3, 12, tzinfo=UTC))
        await work.put_subject("acme", properties={"since": "2020-05-02"}, signals={"churn_risk_score": 9})
        await work.put_definition("review", REVIEW)
        await work.put_definition("save", {**AT_RISK, "active": True})
        assert await work.daily(date(2027, 5, 2)) == hf.DailyView("2027-05-02", 1, 1, 0)
        assert await work.daily() == hf.DailyView("2027-05-03", 0, 1, 2)
        assert await work.daily() == hf.DailyView("2027-05-03", 0, 0, 2)
        assert await work.daily(date(2027, 5, 2)) == hf.DailyView("2027-05-02", 0, 0, 0)
        days = [one.target for one in await client.audit(action="work.daily")]
        assert days == ["2027-05-02", "2027-05-03", "2027-05-03", "2027-05-02"]


@pytest.mark.parametrize("day", [date(2027, 5, 4), date(2026, 5, 1), datetime(2027, 5, 3, tzinfo=UTC), "2027-05-03"])
async def test_a_day_that_is_none(day: Any) -> None:
    async with working("memory://") as (client, work):
        await move_to(client, datetime(2027, 5, 3, 12, tzinfo=UTC))
        with pytest.raises(hf.UsageError, match="give a date"):
            await work.daily(day)


async def test_a_run_out_of_turn_is_of_today(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_subject("acme", signals={"churn_risk_score": 9})
        await work.put_definition("save", {**AT_RISK, "active": True})
        async with hf.Worker(client, [nothing], drain=0):
            id = await client.run_schedule("holdfast.daily")
            [run] = await ended(client, 1)
        assert (run.id, run.output["created"], run.output["recomputed"]) == (id, 1, 1)


@pytest.mark.slow
async def test_a_portion_that_breaks_off_is_done_again(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreting, "SUBJECTS", 2)
    monkeypatch.setattr(daily.interpret, "retry", hf.Retry(max_attempts=3, initial=0.001, jitter=0.0))
    portion = daily.Daily._interpret_portion
    broken: list[str | None] = []

    async def breaks_off(self: Any, run: Any, after: str | None) -> Any:
        done = await portion(self, run, after)
        if after == "s1" and not broken:
            broken.append(after)
            raise hf.StoreUnavailable("the database is away")
        return done

    monkeypatch.setattr(daily.Daily, "_interpret_portion", breaks_off)
    async with working(store_url) as (client, work):
        for n in range(5):
            await work.put_subject(f"s{n}", signals={"churn_risk_score": 9})
        await work.put_definition("save", {**AT_RISK, "active": True})
        async with hf.Worker(client, [nothing], drain=0):
            await client.run_schedule("holdfast.daily")
            await ended(client, 1)
        assert broken == ["s1"]
        assert len(await work.list(definition="save")) == 5


async def test_each_tenant_has_its_own(disk_url: str) -> None:
    async with working(disk_url) as (client, work), hf.connect(disk_url, tenant="other") as other:
        theirs = work_queue(other)
        await work.put_subject("acme", signals={"churn_risk_score": 9})
        await theirs.put_subject("bravo", signals={"churn_risk_score": 9})
        await theirs.put_definition("save", {**AT_RISK, "active": True})
        assert await client.schedules() == []
        async with hf.Worker(client, [nothing], drain=0):
            await other.run_schedule("holdfast.daily")
            await ended(other, 1)
        assert [one.subject for one in await theirs.list()] == ["bravo"]
        assert await work.list() == []
