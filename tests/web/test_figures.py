"""What ended, bar by bar; charts of it; the last times of a schedule."""

import re
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import strategies as st

from holdfast.engine.overview import StatPoint
from holdfast.model.schedule import schedule
from holdfast.model.schedule_times import next_times
from holdfast.web.charts import COLOURS, ends_chart, spark_chart, ticks
from holdfast.web.outcomes import last_times
from holdfast.web.spans import SPANS, bars, span_named

NOW = datetime(2026, 3, 1, 10, 5, 30, tzinfo=UTC)


@pytest.mark.parametrize("name", SPANS)
def test_a_span_ends_with_the_bar_that_now_is_in(name: str) -> None:
    span = SPANS[name]
    assert span.until(NOW) - timedelta(seconds=span.bar_seconds) <= NOW < span.until(NOW)
    found = bars([], span, NOW)
    assert len(found.starts) * span.bar_seconds == span.seconds
    assert found.total == 0


def test_what_ended_falls_into_its_bar_and_the_rest_is_left_out() -> None:
    span = SPANS["6h"]
    at = span.since(NOW)
    points = [
        StatPoint(at, "a", "succeeded", 3),
        StatPoint(at + timedelta(minutes=4), "b", "succeeded", 4),
        StatPoint(at + timedelta(minutes=5), "a", "failed", 5),
        StatPoint(at - timedelta(minutes=1), "a", "failed", 100),
        StatPoint(span.until(NOW), "a", "failed", 100),
        StatPoint(at, "a", "continued", 100),
    ]
    found = bars(points, span, NOW)
    assert (found.ends["succeeded"][:2], found.ends["failed"][:2]) == ([7, 0], [0, 5])
    assert (found.total, found.sum("succeeded"), found.totals[:2]) == (12, 7, [7, 5])
    assert bars(points, span, NOW, frozenset({"b"})).total == 4


def test_labels_are_in_the_viewers_zone() -> None:
    found = bars([], SPANS["24h"], NOW)
    assert found.labels(SPANS["24h"], UTC)[-1] == "10:00"
    assert found.labels(SPANS["24h"], ZoneInfo("Asia/Kolkata"))[-1] == "15:30"
    assert found.labels(SPANS["30d"], UTC)[-1] == "01 Mar"


def test_no_such_span_is_the_default() -> None:
    assert span_named("1000y") is span_named(None) is SPANS["1h"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_chart_is_a_picture_without_style_and_script(theme: str) -> None:
    drawn = ends_chart(["10:00", "<b>"], {"succeeded": [3, 0], "failed": [0, 1], "cancelled": [0, 0]}, theme).decode()  # type: ignore[arg-type]
    root = ElementTree.fromstring(drawn)
    assert root.tag.endswith("svg")
    assert root.get("width") == "700"
    for unwanted in ("<script", "<style", "style=", "class=", "onclick", "<b>", "http://pygal"):
        assert unwanted not in drawn
    assert "&lt;b&gt;" in drawn
    assert COLOURS[theme]["failed"] in drawn  # type: ignore[index]
    assert len(re.findall("<rect", drawn)) >= 4


def test_a_chart_of_nothing_and_of_very_much_can_be_drawn() -> None:
    assert b"<svg" in ends_chart([], {"succeeded": [], "failed": [], "cancelled": []}, "light")
    assert b"2,000,000,000" in ends_chart(["a"], {"succeeded": [1_999_999_999]}, "light", 360)
    assert b"<svg" in spark_chart([], "light")
    assert b"<path" in spark_chart([0, 0, 0], "dark")


@hypothesis.given(st.integers(0, 10**15))
def test_ticks_reach_beyond_the_highest_and_are_few(highest: int) -> None:
    found = ticks(highest)
    assert found[0] == 0
    assert found[-1] >= highest
    assert 2 <= len(found) <= 5
    assert len({b - a for a, b in pairwise(found)}) == 1


@pytest.mark.parametrize(
    "when",
    [
        {"cron": "* * * * *"}, {"cron": "* 9-17 * * MON-FRI"}, {"cron": "30 2 * * *", "zone": "Europe/Berlin"},
        {"every": 1}, {"every": "7h", "start_at": datetime(2026, 1, 1, tzinfo=UTC)}, {"cron": "0 12 1 * *"},
    ],
    ids=str,
)  # fmt: skip
def test_the_last_times_are_those_that_came_before(when: dict[str, object]) -> None:
    plan = schedule("s", "w", **when)  # type: ignore[arg-type]
    found = last_times(plan, NOW, 8)
    assert len(found) == 8
    assert found[-1] <= NOW < next_times(plan, found[-1], 1)[0]
    assert next_times(plan, found[0] - datetime.resolution, 8) == found


def test_times_that_are_too_far_apart_or_still_to_come_are_not_looked_for() -> None:
    assert last_times(schedule("s", "w", cron="0 0 29 2 *"), NOW, 8) == [datetime(2024, 2, 29, tzinfo=UTC)]
    assert last_times(schedule("s", "w", every="1h", start_at=datetime(2027, 1, 1, tzinfo=UTC)), NOW, 8) == []
