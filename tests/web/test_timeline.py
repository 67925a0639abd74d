"""The layout of timelines: rows, stretches, bars and ticks, for whatever a journal has."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.run import AttemptView, JournalEntry, RunView, Status
from holdfast.web.timeline import (
    MOST_STRETCHES,
    THINNEST,
    WIDTH,
    Window,
    bars,
    rows,
    run_row,
    stretches,
    ticks,
    window_of,
    work_of,
)

T0 = datetime(2026, 12, 1, 10, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def entry(position: str, since: float, until: float | None, **more: Any) -> JournalEntry:
    given = {"kind": "step", "name": f"s{position}", "outcome": "pending" if until is None else "ok", **more}
    return JournalEntry(
        position=position, seq=1, generation=1, input=None, output=None, error=None, attempts=1, started_at=at(since),
        finished_at=None if until is None else at(until), **given,
    )  # fmt: skip


def attempt(number: int, since: float, until: float, then: float) -> AttemptView:
    return AttemptView(number, at(since), at(until), {"type": "E", "message": ""}, at(then))


def view(status: str = "succeeded", started: float | None = 1, finished: float | None = 10) -> RunView:
    return RunView(
        id="r", workflow="w", version="1", status=Status(status), queue="q", priority=0, attempt=1, input=None,
        output=None, error=None, attributes={}, parent=None, rescues=0, worker=None, created_at=T0,
        started_at=None if started is None else at(started), finished_at=None if finished is None else at(finished),
        due_at=None,
    )  # fmt: skip


def shape(found: list[Any]) -> list[Any]:
    return [(row.label, shape(row.rows)) if row.rows else row.label for row in found]


def test_a_step_is_split_into_attempts_and_what_lies_between() -> None:
    step = entry("0", 5, 6, failed_attempts=[attempt(1, 0, 1, 2), attempt(2, 2, 3, 5)])
    assert [(one.kind, one.since, one.until) for one in stretches(step)] == [
        ("failed", at(0), at(1)), ("backoff", at(1), at(2)), ("failed", at(2), at(3)), ("backoff", at(3), at(5)),
        ("executing", at(5), at(6)),
    ]  # fmt: skip
    between = entry("0", 0, None, failed_attempts=[attempt(1, 0, 1, 9)])
    assert [(one.kind, one.until) for one in stretches(between)] == [("failed", at(1)), ("backoff", at(9))]
    assert [one.kind for one in stretches(entry("0", 0, 1, outcome="error"))] == ["failed"]
    assert [one.kind for one in stretches(entry("0", 0, None, kind="event"))] == ["waiting"]
    assert [one.kind for one in stretches(entry("0", 0, 0, kind="now"))] == ["mark"]


def test_a_step_that_was_tried_without_end_is_drawn_by_its_last_attempts() -> None:
    tries = [attempt(number, number, number + 0.5, number + 1) for number in range(5_000)]
    assert len(stretches(entry("0", 0, 6_000, failed_attempts=tries))) == MOST_STRETCHES


def test_fan_outs_are_rows_that_hold_what_ran_in_them() -> None:
    journal = [
        entry("0", 0, 1),
        entry("1.0.0", 1, 2), entry("1.1.0", 1, 3),
        entry("2.0.0", 3, 4), entry("2.0.1", 4, None), entry("2.1.0", 3, 4, outcome="error"),
        entry("3", 4, 5, kind="map", name="child"), entry("3.1", 4, 4, kind="map", name="started"),
        entry("4", 5, 6),
    ]  # fmt: skip
    found = rows(journal, at(7))
    assert shape(found) == [
        "s0",
        ("fan-out", ["s1.0.0", "s1.1.0"]),
        ("fan-out", [("branch 0", ["s2.0.0", "s2.0.1"]), "s2.1.0"]),
        "child",
        "s4",
    ]
    assert (found[1].since, found[1].until, found[1].outcome) == (at(1), at(3), "ok")
    assert (found[2].until, found[2].outcome) == (None, "error")


def test_a_part_that_begins_inside_a_fan_out_is_drawn_too() -> None:
    assert shape(rows([entry("5.7.3", 1, 2), entry("5.8.0", 1, 2)], at(3))) == [("fan-out", ["s5.7.3", "s5.8.0"])]


def test_a_sleep_that_is_not_over_is_no_success_yet() -> None:
    [row] = rows([entry("0", 0, 100, kind="sleep")], at(5))
    assert row.outcome == "pending"


def test_the_runs_own_row_is_queued_first() -> None:
    assert [one.kind for one in run_row(view(), at(11)).stretches] == ["queued", "run"]
    assert [one.kind for one in run_row(view("failed"), at(11)).stretches] == ["queued", "run-failed"]
    waiting = run_row(view("queued", None, None), at(11))
    assert [(one.kind, one.until) for one in waiting.stretches] == [("queued", None)]


def test_a_window_shows_what_lies_in_it() -> None:
    found = rows([entry("0", 0, 1), entry("1", 4, 5), entry("2", 5, None)], at(10))
    window = window_of(view("running", 0, None), found, at(10), 3, 6)
    assert (window.since, window.until) == (at(3), at(6))
    assert [len(bars(row, window, at(10))) for row in found] == [0, 1, 1]
    [bar] = bars(found[2], window, at(10))
    assert bar.x + bar.width == pytest.approx(WIDTH, abs=1)


def test_what_executed_is_offered_when_it_fills_little() -> None:
    shown = rows([entry("0", 0, 1), entry("1", 1, 3600, kind="sleep")], at(3600))
    window = window_of(view(finished=3600), shown, at(3600))
    assert work_of(shown, window, T0) == (0.0, 1.05)
    assert work_of(shown, Window(at(0), at(2)), T0) is None
    assert work_of([], window, T0) is None


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.one_of(st.none(), st.floats(0, 1e6)), st.integers(0, 3)), max_size=30),
    st.floats(-1e3, 1e6),
    st.floats(1e-4, 1e7),
)
def test_bars_stay_on_the_axis(found: list[tuple[float, float | None, int]], since: float, length: float) -> None:
    journal = [
        entry(str(number), begun, None if took is None else begun + took,
              failed_attempts=[attempt(one, begun, begun, begun) for one in range(tries)])
        for number, (begun, took, tries) in enumerate(found)
    ]  # fmt: skip
    window = Window(at(since), at(since + length))
    for row in rows(journal, at(2e6)):
        for bar in bars(row, window, at(2e6)):
            assert bar.width >= THINNEST
            assert bar.x >= 0
            assert bar.x + bar.width <= WIDTH + 0.11


@given(st.floats(0.0001, 1e9), st.floats(-10, 1e6))
def test_ticks_are_few_and_on_the_axis(length: float, since: float) -> None:
    found = ticks(Window(at(since), at(since + length)), T0)
    assert 1 <= len(found) <= 9 or length < 0.001
    assert all(-0.2 <= tick.x <= WIDTH + 0.2 for tick in found)


def test_many_entries_are_laid_out_in_no_time() -> None:
    """The page reads two hundred at a time; whoever hands more over does not wait for long either."""
    journal = [entry(f"0.{number}.0", number * 0.001, number * 0.001 + 1) for number in range(10_000)]
    began = time.process_time()
    [found] = rows(journal, at(200))
    assert len(found.rows) == 10_000
    assert time.process_time() - began < 2
