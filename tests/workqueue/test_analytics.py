"""Figures of what was done, by definition, by person, by stretch of time, and as CSV."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from holdfast.errors import UsageError
from holdfast.model.run import instant
from holdfast.store.work_rows import FigureRow
from holdfast.workqueue import analytics
from holdfast.workqueue.analytics import _edges, _group, figures_csv
from holdfast.workqueue.queue import WorkQueue
from tests.engine.clock import move, move_to
from tests.workqueue.item_kit import working

HOUR = 3600.0


async def a_week(client: Any, work: WorkQueue) -> datetime:
    """Five items, some of which are done; when it began."""
    began = datetime(2027, 5, 3, 8, tzinfo=UTC)
    await move_to(client, began)
    await work.put_definition("save", {"name": "Save", "type": "risk"})
    await work.put_definition("plan", {"name": "Plan", "type": "strategic"})
    for n in range(3):
        await work.create("save", assignee="ines", id=f"save-{n}")
    await work.create("plan", assignee="tomas", id="plan-0")
    await work.create(title="alone", assignee="ines", id="alone")
    await work.demo_initialize("acme", "ines")
    await move(client, HOUR)
    await work.start("save-0")
    await work.escalate("save-1", "boss")
    await move(client, HOUR)
    await work.complete("save-0")
    await work.skip("save-1", "no budget")
    await work.skip("plan-0", "no budget")
    await work.snooze("alone", days=3)
    await move(client, 24 * HOUR)
    await work.start("save-2")
    await work.complete("save-2")
    return began


async def test_figures_over_all_and_in_groups(store_url: str) -> None:
    async with working(store_url) as (client, work):
        began = await a_week(client, work)
        view = await work.analytics(began, by="definition")
        total = view.total
        assert (total.created, total.started, total.completed, total.skipped, total.snoozed, total.escalated) == (
            5, 2, 2, 2, 1, 1,
        )  # fmt: skip
        assert (total.group, total.completion_rate, total.skips) == (None, 0.5, {"no budget": 2})
        assert total.to_complete.median_seconds == pytest.approx(2 * HOUR, abs=60)
        assert total.to_complete.p90_seconds == pytest.approx(26 * HOUR, abs=60)
        assert total.to_start.median_seconds == pytest.approx(HOUR, abs=60)
        groups = {one.group: one for one in view.groups}
        assert [one.group for one in view.groups] == ["save", "plan", None]
        assert (groups["save"].completed, groups["save"].completion_rate) == (2, pytest.approx(2 / 3))
        assert (groups["plan"].created, groups["plan"].completion_rate, groups["plan"].skips) == (
            1,
            0.0,
            {"no budget": 1},
        )
        assert (groups[None].snoozed, groups[None].completion_rate) == (1, None)
        assert groups["plan"].to_start.median_seconds is None
        people = {one.group: one.created for one in (await work.analytics(began, by="assignee")).groups}
        assert people == {"ines": 4, "tomas": 1}


async def test_figures_of_a_part(store_url: str) -> None:
    async with working(store_url) as (client, work):
        began = await a_week(client, work)
        assert (await work.analytics(began, definition="plan")).total.created == 1
        assert (await work.analytics(began, assignee="tomas")).total.skipped == 1
        first = await work.analytics(began, began + timedelta(hours=3))
        assert (first.total.created, first.total.completed) == (5, 1)
        demo = await work.analytics(began, demo=True)
        assert (demo.total.created, demo.total.started) == (3, 0)
        later = await work.analytics("2027-05-04")
        assert (later.total.created, later.total.completed, later.groups) == (0, 1, [])
        nothing = await work.analytics(date(2020, 1, 1), date(2020, 2, 1), by="definition")
        assert (nothing.total.created, nothing.total.completion_rate, nothing.groups) == (0, None, [])
        month = await work.analytics()
        assert (month.until - month.since, month.total.created) == (timedelta(days=30), 5)


async def test_figures_by_stretches_of_the_tenants_days(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_settings(zone="Asia/Tokyo")
        await a_week(client, work)
        days = await work.analytics_series("2027-05-03", "2027-05-06", every="day")
        assert [(one.since, one.total.created, one.total.completed) for one in days] == [
            (datetime(2027, 5, 2, 15, tzinfo=UTC), 5, 1),
            (datetime(2027, 5, 3, 15, tzinfo=UTC), 0, 1),
            (datetime(2027, 5, 4, 15, tzinfo=UTC), 0, 0),
        ]
        weeks = await work.analytics_series("2027-04-28", "2027-05-06", every="week", by="assignee")
        assert [len(one.groups) for one in weeks] == [0, 2]
        assert weeks[0].until == weeks[1].since == datetime(2027, 5, 2, 15, tzinfo=UTC)


def test_the_edges_of_stretches() -> None:
    def edges(begin: datetime, end: datetime, every: str, zone: str) -> list[str]:
        from zoneinfo import ZoneInfo

        found = _edges(int(begin.timestamp() * 1e6), int(end.timestamp() * 1e6), every, ZoneInfo(zone))
        return [f"{instant(at):%m-%d %H:%M}" for at in found]

    # The clocks in Berlin go forward on 28 March 2027, at 01:00 UTC.
    begin, end = datetime(2027, 3, 27, 12, tzinfo=UTC), datetime(2027, 3, 29, 12, tzinfo=UTC)
    assert edges(begin, end, "day", "Europe/Berlin") == ["03-27 12:00", "03-27 23:00", "03-28 22:00", "03-29 12:00"]
    assert edges(begin, end, "week", "UTC") == ["03-27 12:00", "03-29 00:00", "03-29 12:00"]
    assert edges(begin, datetime(2027, 6, 1, tzinfo=UTC), "month", "UTC") == [
        "03-27 12:00", "04-01 00:00", "05-01 00:00", "06-01 00:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "given", "says"),
    [
        (("yesterday",), {}, "since is 'yesterday'"),
        ((datetime(2027, 1, 1),), {}, "with its zone"),
        ((5,), {}, "since is 5"),
        (("2027-01-02", "2027-01-01"), {}, "is not before until"),
        (("2027-01-01", "2027-01-01"), {}, "is not before until"),
        ((), {"by": "colour"}, "by is 'colour'"),
        ((), {"assignee": ""}, "assignee"),
        ((), {"demo": 1}, "demo is 1"),
    ],
)
async def test_a_bad_question(args: tuple[Any, ...], given: dict[str, Any], says: str) -> None:
    async with working("memory://") as (_, work):
        for ask in (work.analytics, work.analytics_series):
            with pytest.raises(UsageError) as refused:
                await ask(*args, **given)  # type: ignore[operator]
            assert says in str(refused.value)
        with pytest.raises(UsageError, match="every is 'hour'"):
            await work.analytics_series(every="hour")
        with pytest.raises(UsageError, match="more than 400 days"):
            await work.analytics_series("2020-01-01", "2027-01-01", every="day")


async def test_csv_of_figures(store_url: str) -> None:
    async with working(store_url) as (client, work):
        began = await a_week(client, work)
        await work.create(title="x", assignee="=1+1")
        view = await work.analytics(began, by="assignee")
        header, *rows = list(csv.reader(io.StringIO(figures_csv(view))))
        assert header[:6] == ["since", "until", "assignee", "created", "started", "completed"]
        found = {row[2]: dict(zip(header, row, strict=True)) for row in rows}
        assert set(found) == {"ines", "tomas", "'=1+1"}
        assert (found["ines"]["created"], found["ines"]["completion_rate"]) == ("4", "0.666667")
        assert found["tomas"]["skips"] == "no budget: 1"
        assert found["tomas"]["median_seconds_to_start"] == ""
        series = figures_csv(await work.analytics_series("2027-05-03", "2027-05-05", every="day"))
        assert [row[3] for row in csv.reader(io.StringIO(series))][1:] == ["5", "1"]
        assert figures_csv([]).startswith("since,until,group,created")


def test_many_reasons_are_the_most_frequent_and_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "REASONS_AT_MOST", 2)
    rows = [
        FigureRow(None, "skip", reason, number, 1, 1) for reason, number in (("a", 1), ("b", 5), ("c", 3), ("d", 1))
    ]
    rows.append(FigureRow(None, "reject", "c", 2, 1, 1))
    group = _group(None, rows)
    assert (group.skipped, list(group.skips.items())) == (12, [("b", 5), ("c", 5), ("other reasons", 2)])
