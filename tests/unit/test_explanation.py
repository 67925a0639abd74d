"""Why a run does not move, in words."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.explanation import Facts, Link, explain, lane_name, length, moment, ordinal
from holdfast.model.notes import Note
from holdfast.model.run import microseconds

SECOND = 1_000_000
MINUTE = 60 * SECOND
NOW = microseconds(datetime(2026, 12, 1, 10, 0, tzinfo=UTC))
RUN = Facts(now=NOW, id="o-1", workflow="checkout", version="2", queue="gpu", status="queued", place="ready", served=1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "is ready for the next worker with a free slot"),
        ({"ahead": 3}, "is ready for the next worker with a free slot, 3 of its kind before it"),
        (
            {"per_worker": 2},
            "is ready for the next worker with a free slot; queue gpu executes at most 2 on each worker",
        ),
        ({"queue_paused": True}, "queue gpu is paused"),
        ({"workflow_paused": True}, "workflow checkout is paused"),
        ({"served": 0}, "no living worker serves workflow checkout version 2 in queue gpu"),
        ({"executing": 4, "total": 4}, "queue gpu executes 4 of 4"),
        ({"executing": 3, "total": 4}, "is ready for the next worker with a free slot"),
        ({"of_share": 2, "per_key": 2}, "queue gpu executes 2 of 2 runs of its share"),
        ({"of_share": 1, "per_key": 2}, "is ready for the next worker with a free slot"),
        (
            {"ahead": 12, "tenants": 3},
            "is ready for the next worker with a free slot, 12 of its own tenant before it; 3 tenants share queue gpu",
        ),
        (
            {"ahead": 2, "keyed": True, "tenants": 1},
            "is ready for the next worker with a free slot, 2 of its key before it",
        ),
        ({"tenants": 20}, "is ready for the next worker with a free slot; 20 tenants or more share queue gpu"),
        (
            {"queue_paused": True, "served": 0},
            "queue gpu is paused\nno living worker serves workflow checkout version 2 in queue gpu",
        ),
    ],
)
def test_a_ready_run(changes: dict[str, object], said: str) -> None:
    assert explain(replace(RUN, **changes)) == said  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"ahead": 2, "slots": 1, "held": 1, "holders": (("o-17", NOW - 4 * MINUTE),)},
            "third in lane order=o-1 (1 slot), held by run o-17 for 4 min",
        ),
        (
            {"slots": 2, "held": 2, "holders": (("a", NOW - SECOND), ("b", NOW))},
            "first in lane order=o-1 (2 slots), held by runs a for 1 s, b for less than 1 s",
        ),
        (
            {"slots": 9, "held": 9, "holders": (("a", NOW - SECOND),)},
            "first in lane order=o-1 (9 slots), held by runs a for 1 s, …",
        ),
        ({"slots": 1}, "first in lane order=o-1 (1 slot)"),
    ],
)
def test_a_run_in_line(changes: dict[str, object], said: str) -> None:
    assert explain(replace(RUN, place="lane", lane="order=o-1", **changes)) == said  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"waits": (("shipped", "o-1", NOW),), "wake_at": NOW},
            "waits for event shipped (key o-1) until 2026-12-01 10:00 UTC",
        ),
        ({"waits": (("paid", "", None),)}, "waits for event paid"),
        ({"wake_at": NOW + 5 * SECOND, "sleeps": (1, NOW + 5 * SECOND)}, "sleeps until 2026-12-01 10:00:05 UTC"),
        (
            {"retries": (("charge", 2, NOW + 30 * SECOND),), "wake_at": NOW + 30 * SECOND},
            "step charge failed 2 times, next attempt in 30 s",
        ),
        ({"retries": (("charge", 1, NOW),)}, "step charge failed once, the next attempt is due"),
        ({"children": ("a", "b"), "open_children": 2}, "waits for 2 child runs: a, b"),
        ({"children": ("a",), "open_children": 1}, "waits for 1 child run: a"),
        ({"children": ("a", "b"), "open_children": 40}, "waits for 40 child runs: a, b, …"),
        ({"wake_at": NOW}, "goes on at 2026-12-01 10:00 UTC"),
        ({}, "goes on when what it waits for is there"),
        (
            {"waits": (("paid", "", NOW),), "wake_at": NOW, "sleeps": (NOW,)},
            "waits for event paid until 2026-12-01 10:00 UTC\nsleeps until 2026-12-01 10:00 UTC",
        ),
        ({"status": "queued", "wake_at": NOW}, "is to start at 2026-12-01 10:00 UTC"),
    ],
)
def test_a_parked_run(changes: dict[str, object], said: str) -> None:
    facts: dict[str, object] = {"status": "waiting", "place": "parked", **changes}
    assert explain(replace(RUN, **facts)) == said  # type: ignore[arg-type]


def test_a_run_that_executes() -> None:
    facts = replace(
        RUN, status="running", place="executing", worker="ab12", claimed_at=NOW - MINUTE, beat_at=NOW - 2 * SECOND
    )
    said = "executes on worker ab12 since 2026-12-01 09:59 UTC, last beat 2 s ago"
    assert explain(facts) == said
    assert explain(replace(facts, retries=(("charge", 2, NOW + 3 * SECOND),))) == (
        f"{said}\nstep charge failed 2 times, next attempt in 3 s"
    )
    cancel = Note("cancel", reason="wrong order", by="maria")
    assert explain(replace(facts, asked=cancel)) == (
        f"is to be cancelled by maria (wrong order): its worker has been told\n{said}"
    )
    assert explain(replace(facts, asked=Note("hold"))) == f"is to be held: its worker has been told\n{said}"
    timeout = explain(replace(facts, asked=Note("timeout")))
    assert timeout.startswith("has used up its time and is to end: its worker has been told\n")


def test_a_run_that_is_to_clean_up_and_has_no_worker() -> None:
    said = explain(replace(RUN, asked=Note("cancel"), served=0)).splitlines()
    assert said == [
        "is to be cancelled: the worker that takes it lets it clean up",
        "no living worker serves workflow checkout version 2 in queue gpu",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"error": "held by maria: the price is wrong", "held_since": NOW},
            "held by maria since 2026-12-01 10:00 UTC: the price is wrong",
        ),
        ({"error": "held"}, "held"),
        ({"error": "CrashedWorker: it lost 5 workers"}, "held: CrashedWorker: it lost 5 workers"),
        ({}, "held"),
    ],
)
def test_a_held_run(changes: dict[str, object], said: str) -> None:
    facts = replace(RUN, status="held", place="nowhere", **changes)  # type: ignore[arg-type]
    assert explain(facts) == f"{said}; release it with `holdfast runs release o-1`"


def test_a_command_can_be_pasted_into_a_shell() -> None:
    facts = replace(RUN, status="held", place="nowhere", id="o 1; rm")
    assert explain(facts).endswith("`holdfast runs release 'o 1; rm'`")


def test_a_run_that_has_ended() -> None:
    ended = replace(RUN, place="nowhere", finished_at=NOW)
    assert explain(replace(ended, status="succeeded")) == "succeeded at 2026-12-01 10:00 UTC"
    assert explain(replace(ended, status="failed", error="ValueError: bad")) == (
        "failed at 2026-12-01 10:00 UTC: ValueError: bad; let it go on with `holdfast runs retry o-1`"
    )
    assert explain(replace(ended, status="cancelled", error="run 'o-1' was cancelled by maria")).startswith(
        "cancelled at 2026-12-01 10:00 UTC: run 'o-1' was cancelled by maria; "
    )


def test_a_run_that_moved_meanwhile() -> None:
    assert explain(replace(RUN, place="nowhere")) == "is queued, and moved while this was looked up: ask again"


def test_a_cycle_is_told_link_by_link() -> None:
    cycle = (Link("a", "x", "b"), Link("b", None, "b/1.0"), Link("b/1.0", "y", "a"))
    facts = replace(RUN, place="lane", lane="x", slots=1, held=1, holders=(("b", NOW),), cycle=cycle)
    assert explain(facts).splitlines()[-1] == (
        "a cycle: a waits for lane x held by b, b waits for its child b/1.0, b/1.0 waits for lane y held by a; "
        "cancel one of them"
    )


def test_lane_names() -> None:
    assert lane_name("order", "o-1") == "order=o-1"
    assert lane_name("order", "") == "order"


@pytest.mark.parametrize(
    ("microseconds", "said"),
    [
        (0, "less than 1 s"),
        (SECOND, "1 s"),
        (59 * SECOND, "59 s"),
        (59_600_000, "1 min"),
        (4 * MINUTE, "4 min"),
        (60 * MINUTE, "1 h"),
        (47 * 60 * MINUTE, "47 h"),
        (48 * 60 * MINUTE, "2 days"),
        (400 * 24 * 60 * MINUTE, "400 days"),
    ],
)
def test_lengths(microseconds: int, said: str) -> None:
    assert length(microseconds) == said


def test_ordinals() -> None:
    numbers = (1, 2, 3, 10, 11, 12, 13, 21, 22, 23, 101, 111, 1000)
    assert [ordinal(n) for n in numbers] == [
        "first", "second", "third", "tenth", "11th", "12th", "13th", "21st", "22nd", "23rd", "101st", "111th", "1000th",
    ]  # fmt: skip


@given(st.integers(0, 4 * 10**15))
def test_every_instant_and_length_can_be_said(at: int) -> None:
    assert moment(at).endswith(" UTC")
    number, _, unit = length(at).rpartition(" ")
    assert unit in ("s", "min", "h", "days")
    assert number == "less than 1" or int(number) >= 1
