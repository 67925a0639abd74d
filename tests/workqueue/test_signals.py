"""Signals: one at a time and many, out of order, twice, too early; the latest of each, and how it changed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast.errors import HoldfastError, SubjectNotFound, UsageError
from holdfast.model.run import instant
from holdfast.workqueue import signals
from holdfast.workqueue.views import Imported, RowFault
from tests.workqueue.item_kit import working


def ago(client: hf.Client, **time: float) -> datetime:
    """An instant before now, by the database's clock."""
    return instant(client.core.now_us()) - timedelta(**time)


async def test_the_latest_counts_in_whatever_order_they_come(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_subject("acme")
        for days, value in ((3, 30), (1, 10), (9, 90), (2, 20)):
            sent = await work.put_signal("acme", "usage_score", value, at=ago(client, days=days), source="crm")
            assert (sent.subject, sent.name, sent.value, sent.source) == ("acme", "usage_score", float(value), "crm")
        found = await work.get_subject("acme")
        assert found.signals == {"usage_score": 10.0}
        assert found.signals_at["usage_score"] < ago(client, hours=23)
        assert [one.value for one in await work.signals("acme")] == [10.0, 20.0, 30.0, 90.0]
        assert [one.value for one in await work.signals("acme", since=ago(client, days=2, hours=1))] == [10.0, 20.0]
        assert [one.value for one in await work.signals("acme", limit=1)] == [10.0]
        assert await work.signals("acme", name="other") == []
        assert await work.signal_names() == ["usage_score"]


async def test_one_that_is_sent_again_replaces_itself(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_subject("acme")
        at = ago(client, hours=1)
        await work.put_signal("acme", "x", 1, at=at)
        await work.put_signal("acme", "x", 2, at=at)
        assert [one.value for one in await work.signals("acme")] == [2.0]
        assert (await work.get_subject("acme")).signals == {"x": 2.0}
        rows = [{"subject": "acme", "name": "x", "value": n, "at": at} for n in (3, 4)]
        assert await work.put_signals(rows) == Imported(2, 0, [])
        assert [one.value for one in await work.signals("acme")] == [4.0]


async def test_the_change_over_a_period(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_subject("acme")
        for days, value in ((40, 80), (20, 60), (10, 50)):
            await work.put_signal("acme", "usage_score", value, at=ago(client, days=days))
        month = await work.change("acme", "usage_score", "30d")
        assert (month.before, month.now, month.difference, month.percent) == (80.0, 50.0, -30.0, -37.5)
        week = await work.change("acme", "usage_score", timedelta(days=7))
        assert (week.before, week.now, week.difference, week.percent) == (50.0, 50.0, 0.0, 0.0)
        year = await work.change("acme", "usage_score", "365d")
        assert (year.before, year.now, year.difference, year.percent) == (None, 50.0, None, None)
        never = await work.change("acme", "nothing", "1d")
        assert (never.before, never.now) == (None, None)
        await work.put_signal("acme", "zero", 0, at=ago(client, days=2))
        await work.put_signal("acme", "zero", 5)
        assert (await work.change("acme", "zero", "1d")).percent is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"value": 101}, "signal usage_score is 101; policy 'customer_success' takes 0 to 100"),
        ({"value": -0.1}, "takes 0 to 100"),
        ({"value": float("nan")}, "give a number"),
        ({"value": True}, "give a number"),
        ({"value": "70"}, "give a number"),
        ({"name": "other", "value": float("inf")}, "give a number"),
        ({"name": ""}, "the name of a signal"),
        ({"name": "a\\b"}, "backslashes"),
        ({"at": datetime(2999, 1, 1, tzinfo=UTC)}, "in the future"),
        ({"at": datetime(2026, 1, 1)}, "with its zone"),
        ({"at": "2026-01-01"}, "with its zone"),
        ({"at": datetime(1969, 1, 1, tzinfo=UTC)}, "after 1970"),
        ({"source": "x" * 201}, "at most 200"),
        ({"source": "a\nb"}, "on one line"),
        ({"subject": "a\0b"}, "NUL"),
    ],
)
async def test_a_bad_signal_is_refused(given: dict[str, Any], says: str) -> None:
    async with working("memory://") as (_, work):
        await work.put_subject("acme")
        with pytest.raises(HoldfastError) as refused:
            await work.put_signal(**{"subject": "acme", "name": "usage_score", "value": 1, **given})
        assert says in str(refused.value)
        assert await work.signals("acme") == []


@pytest.mark.parametrize("value", [0, 100, 0.0])
async def test_the_ends_of_a_range_belong_to_it(value: float) -> None:
    async with working("memory://") as (_, work):
        await work.put_subject("acme")
        assert (await work.put_signal("acme", "usage_score", value)).value == value


async def test_of_nobody(store_url: str) -> None:
    async with working(store_url) as (_, work):
        for call in (
            work.put_signal("nobody", "x", 1),
            work.signals("nobody"),
            work.change("nobody", "x", "1d"),
        ):
            with pytest.raises(SubjectNotFound):
                await call


async def test_many_the_good_ones_in_and_the_bad_ones_told(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PORTION", 3)
    async with working(store_url) as (client, work):
        await work.put_subject("acme")
        await work.put_subject("bravo")
        rows: list[Any] = [
            {"subject": "acme", "name": "usage_score", "value": 1, "at": ago(client, days=1).isoformat()},
            {"subject": "nobody", "name": "x", "value": 1},
            {"subject": "acme", "name": "usage_score", "value": 200},
            {"subject": "bravo", "name": "x", "value": 2, "source": "crm"},
            {"subject": "bravo", "name": "x"},
            {"subject": "bravo", "name": "x", "value": 3, "colour": "red"},
            ["bravo", "x", 1],
            {"subject": "bravo", "name": "y", "value": 4},
        ]

        async def sent() -> AsyncIterator[Any]:
            for row in rows:
                yield row

        assert await work.put_signals(sent(), source="nightly") == Imported(
            3,
            5,
            [
                RowFault(2, "there is no subject 'nobody'"),
                RowFault(3, "signal usage_score is 200; policy 'customer_success' takes 0 to 100"),
                RowFault(5, "it has no value; give subject, name and value"),
                RowFault(6, "'colour' is no field of a signal; the fields are subject, name, value, at, source"),
                RowFault(7, "it is ['bravo', 'x', 1]; give an object with subject, name and value"),
            ],
        )
        assert {one.name: one.source for one in await work.signals("bravo")} == {"x": "crm", "y": "nightly"}
        assert await work.put_signals([]) == Imported(0, 0, [])


async def test_a_period_that_is_none() -> None:
    async with working("memory://") as (_, work):
        await work.put_subject("acme")
        for over in (0, "soon", -1):
            with pytest.raises(UsageError):
                await work.change("acme", "x", over)


async def test_signals_of_another_tenant(disk_url: str) -> None:
    async with working(disk_url) as (_, work), hf.connect(disk_url, tenant="other") as other:
        from holdfast.workqueue.queue import work_queue

        await work.put_subject("acme")
        theirs = work_queue(other)
        with pytest.raises(SubjectNotFound):
            await theirs.put_signal("acme", "x", 1)
        with pytest.raises(SubjectNotFound):
            await theirs.get_subject("acme")
        assert not await theirs.delete_subject("acme")
        assert await theirs.subjects() == []
