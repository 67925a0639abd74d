"""What becomes of an item by itself: it is overdue, climbs, comes back to its group; pure."""

import pytest

from holdfast.model.timers import timers_from
from holdfast.model.work import ItemDocument, decode_item
from holdfast.store.work_rows import ItemRow
from holdfast.workqueue import moves
from holdfast.workqueue.byitself import next_change
from tests.workqueue.item_kit import DAY, HOUR, NOW, item, moved

MANAGERS = {"maria": "lead", "lead": "head", "head": "chief", "chief": None}


def lived(row: ItemRow, now: int, *, waits: bool = False, managers: dict[str, str | None] = MANAGERS) -> list[str]:
    """What becomes of an item at an instant, until nothing does."""
    said: list[str] = []
    while (what := next_change(row, now, waits=waits, managers=managers)) is not None:
        row = moved(row, what, now)
        said.append(f"{what.move}: {what.reason}" + (f" -> {row.escalated_to}" if what.move == "escalate" else ""))
        assert len(said) < 20
    assert row.act_at is None or row.act_at > now
    return said


def test_nothing_becomes_of_what_is_not_due() -> None:
    assert lived(item(due_at=NOW + 1), NOW) == []
    assert lived(moved(item(), moves.complete(item(), NOW))._replace(due_at=NOW), NOW + DAY) == []


def test_what_is_overdue_is_told_once_to_the_managers_of_its_assignee() -> None:
    row = item(due_at=NOW + HOUR)
    assert lived(row, NOW + HOUR) == ["escalate: it is overdue -> lead"]
    assert lived(row, NOW + HOUR, managers={}) == ["overdue: it is overdue"]


def test_a_new_due_instant_is_told_again() -> None:
    row = item(due_at=NOW)
    what = next_change(row, NOW, waits=False, managers={})
    row = moved(row, what)._replace(due_at=NOW + HOUR)
    assert lived(row, NOW + HOUR, managers={}) == ["overdue: it is overdue"]


def test_it_climbs_while_nobody_looks() -> None:
    row = item(ItemDocument(escalate_to=["anna", "@manager"], acknowledge_us=HOUR), due_at=NOW)
    steps = []
    for hour in range(8):
        what = next_change(row, NOW + hour * HOUR, waits=False, managers={**MANAGERS, "anna": "eve"})
        if what is not None:
            row = moved(row, what, NOW + hour * HOUR)
            steps.append((what.move, row.escalated_to))
    assert steps == [
        ("escalate", "anna"), ("escalate", "lead"), ("escalate", "head"), ("escalate", "chief"), ("unseen", "chief"),
    ]  # fmt: skip
    assert row.acknowledge_by is None
    assert row.assignee == "maria"


def test_the_second_manager_that_is_named_is_the_manager_of_the_first() -> None:
    timers = timers_from({"complete": HOUR}, NOW)
    row = item(ItemDocument(escalate_to=["@manager", "@manager"], timers=timers), due_at=NOW)
    row = moved(row, next_change(row, NOW, waits=False, managers=MANAGERS))
    assert row.escalated_to == "lead"
    assert lived(row, NOW + HOUR) == ["escalate: it took too long to complete -> head"]


def test_whoever_acknowledges_stops_the_climb() -> None:
    row = item(ItemDocument(acknowledge_us=HOUR), due_at=NOW)
    row = moved(row, next_change(row, NOW, waits=False, managers=MANAGERS))
    assert row.acknowledge_by == NOW + HOUR
    row = moved(row, moves.acknowledge(row, NOW + 1))
    assert lived(row, NOW + DAY) == []


def test_managers_in_a_circle_end() -> None:
    circle: dict[str, str | None] = {"maria": "lead", "lead": "maria"}
    row = item(ItemDocument(acknowledge_us=HOUR), due_at=NOW)
    row = moved(row, next_change(row, NOW, waits=False, managers=circle))
    assert row.escalated_to == "lead"
    assert lived(row, NOW + HOUR, managers=circle) == ["unseen: lead has not acknowledged it"]


def test_an_escalation_by_hand_climbs_too() -> None:
    row = item(ItemDocument(acknowledge_us=HOUR))
    row = moved(row, moves.escalate(row, NOW, "lead"))
    assert lived(row, NOW + HOUR) == ["escalate: lead has not acknowledged it -> head"]


def test_a_clock_that_ran_out_is_told_once() -> None:
    row = item(ItemDocument(timers=timers_from({"start": HOUR, "complete": HOUR}, NOW)))
    assert lived(row, NOW + HOUR) == ["escalate: it took too long to complete and to start -> lead"]
    assert lived(row, NOW + HOUR, managers={}) == ["late: it took too long to complete and to start"]
    row = moved(row, moves.start(row, NOW))
    assert lived(row, NOW + HOUR, managers={}) == ["late: it took too long to complete"]


def test_a_claim_that_ends_goes_back_to_the_group() -> None:
    row = item(pool="team", assignee=None)
    row = moved(row, moves.start(moved(row, moves.claim(row, NOW, "ivan", HOUR)), NOW))
    after = moved(row, next_change(row, NOW + HOUR, waits=False, managers={}), NOW + HOUR)
    assert (after.assignee, after.status, after.pool) == (None, "not_started", "team")
    assert lived(row, NOW + HOUR) == ["release: the claim ended"]


@pytest.mark.parametrize("blocked", [True, False])
@pytest.mark.parametrize("waits", [True, False])
def test_what_waits_follows_what_it_waits_for(blocked: bool, waits: bool) -> None:
    row = item(due_at=NOW + 2 * HOUR)
    if blocked:
        row = moved(row, moves.block(row, NOW))
    said = lived(row, NOW + HOUR, waits=waits)
    assert said == ([] if blocked == waits else ["block: None"] if waits else ["unblock: None"])
    if blocked and not waits:
        after = moved(row, next_change(row, NOW + HOUR, waits=False, managers={}), NOW + HOUR)
        assert after.due_at == NOW + 3 * HOUR
        assert decode_item(after.document).blocked_since is None


def test_what_waits_is_not_overdue() -> None:
    row = moved(item(due_at=NOW), moves.block(item(due_at=NOW), NOW - HOUR))
    assert lived(row, NOW + DAY, waits=True) == []
    assert lived(row, NOW + DAY, waits=False)[0] == "unblock: None"
