"""Each move of an item: what it makes of it, from where it is allowed, and what its history says."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from holdfast.errors import HoldfastError, IllegalMove, PayloadError, UsageError
from holdfast.model.timers import timers_from
from holdfast.model.work import FINAL, MOVES, ItemDocument, ItemStatus, SnoozeEvent, decode_item, replay, state_of
from holdfast.model.work_kinds import Step
from holdfast.store.work_rows import ItemRow
from holdfast.workqueue import moves
from holdfast.workqueue.making import new_item
from tests.workqueue.item_kit import DAY, HOUR, NOW, item, moved, written

S = ItemStatus

Mover = Callable[[ItemRow], Any]

BECOMES: dict[ItemStatus, dict[str, Mover]] = {
    S.UNDERWAY: {"start": lambda row: moves.start(row, NOW)},
    S.NOT_STARTED: {"stop": lambda row: moves.stop(row, NOW), "wake": lambda row: moves.wake(row, NOW)},
    S.COMPLETED: {"complete": lambda row: moves.complete(row, NOW)},
    S.SNOOZED: {"snooze": lambda row: moves.snooze(row, NOW, NOW + DAY, days=1)},
    S.SKIPPED: {"skip": lambda row: moves.skip(row, NOW, "not now")},
}

OPEN_ONLY: dict[str, Mover] = {
    "escalate": lambda row: moves.escalate(row, NOW, "boss"),
    "assign": lambda row: moves.assign(row, NOW, "ivan"),
    "claim": lambda row: moves.claim(row._replace(pool="team", assignee=None), NOW, "ivan", HOUR),
    "release": lambda row: moves.release(row._replace(pool="team"), NOW),
    "save": lambda row: moves.save(row, NOW, {"a": 1}),
    "close": lambda row: moves.close(row, NOW, "its run has ended"),
}


def at(status: ItemStatus, **fields: Any) -> ItemRow:
    """An item in a status, as the moves leave it."""
    row = item(**fields)
    match status:
        case S.UNDERWAY:
            return moved(row, moves.start(row, NOW))
        case S.SNOOZED:
            return moved(row, moves.snooze(row, NOW, NOW + 10 * DAY, days=10, resurface_days=3))
        case S.COMPLETED:
            return moved(row, moves.complete(row, NOW))
        case S.SKIPPED:
            return moved(row, moves.skip(row, NOW, "not now"))
    return row


@pytest.mark.parametrize("status", list(S))
@pytest.mark.parametrize("becomes", list(S))
def test_a_status_becomes_what_is_allowed_and_nothing_else(status: ItemStatus, becomes: ItemStatus) -> None:
    row = at(status)
    for name, mover in BECOMES[becomes].items():
        fits = {"stop": status == S.UNDERWAY, "wake": status == S.SNOOZED}.get(name, becomes in MOVES[status])
        if fits:
            after = moved(row, mover(row))
            assert after.status == becomes
            assert after.revision == row.revision + 1
        else:
            with pytest.raises(IllegalMove) as refused:
                mover(row)
            assert (refused.value.item_id, refused.value.status) == (row.id, status)
            assert set(refused.value.allowed) == {str(one) for one in MOVES[status]}


@pytest.mark.parametrize("status", list(S))
@pytest.mark.parametrize("name", list(OPEN_ONLY))
def test_what_needs_an_open_item(status: ItemStatus, name: str) -> None:
    row = at(status)
    if status in FINAL:
        with pytest.raises(IllegalMove, match="has ended"):
            OPEN_ONLY[name](row)
    else:
        after = moved(row, OPEN_ONLY[name](row))
        assert after.status == (S.SKIPPED if name == "close" else S.NOT_STARTED if name == "release" and status ==
                                S.UNDERWAY else status)  # fmt: skip


def test_the_events_make_the_item() -> None:
    made = new_item(
        tenant="t", title="Call", now=NOW, random=bytes(10), actor="m", document=ItemDocument(), id="i", assignee="m"
    )
    row, events = made.row, [made.event]
    steps: list[Mover] = [
        lambda row: moves.save(row, NOW + 1, {"a": {"b": [1, 2]}}),
        lambda row: moves.start(row, NOW + 2),
        lambda row: moves.escalate(row, NOW + 3, "boss", reason="help"),
        lambda row: moves.snooze(row, NOW + 4, NOW + DAY, event=SnoozeEvent("shipped", "o-1")),
        lambda row: moves.assign(row, NOW + 5, "ivan"),
        lambda row: moves.wake(row, NOW + 6),
        lambda row: moves.complete(row, NOW + 7, {"a": {"b": None, "c": 1.0}}),
    ]
    for number, step in enumerate(steps, 1):
        change = written(row, step(row), NOW + number)
        row = change.row
        events.append(change.event)
        assert replay(events) == state_of(row._asdict())
    assert [event.revision for event in events] == list(range(1, 9))
    assert msgspec.json.decode(row.data) == {"a": {"c": 1.0}}


# Starting and stopping


def test_the_first_start_counts_until_it_is_stopped() -> None:
    row = item()
    row = moved(row, moves.start(row, NOW + 1))
    assert row.started_at == NOW + 1
    row = moved(row, moves.snooze(row, NOW + 2, NOW + DAY))
    row = moved(row, moves.start(row, NOW + 3))
    assert (row.started_at, row.snooze_until, row.returns_at, row.snoozed_at) == (NOW + 1, None, None, None)
    row = moved(row, moves.stop(row, NOW + 4))
    assert row.started_at is None


def test_what_waits_for_others_is_neither_started_nor_completed() -> None:
    row = item(blocked=True)
    for move in (lambda: moves.start(row, NOW), lambda: moves.complete(row, NOW)):
        with pytest.raises(IllegalMove, match="waits for others"):
            move()
    assert moved(row, moves.skip(row, NOW, "no")).status == S.SKIPPED


def test_what_a_group_has_is_claimed_before_it_is_started() -> None:
    row = item(pool="team", assignee=None)
    with pytest.raises(IllegalMove, match="claim it first"):
        moves.start(row, NOW)


# Completing


FORM = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "cents": {"type": "integer", "minimum": 0}},
    "required": ["approved"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("saved", "patch", "place"),
    [
        ({}, None, "data: misses 'approved'"),
        ({}, {"approved": "yes"}, "data.approved: 'yes' is not of type 'boolean'"),
        ({"cents": -1}, {"approved": True}, "data.cents: -1 is less than the minimum of 0"),
        ({"approved": True}, {"approved": None}, "data: misses 'approved'"),
        ({"approved": True}, {"other": 1}, "data: Additional properties are not allowed"),
        ({"approved": True}, {"next_steps": ["call"]}, None),
        ({"approved": True, "cents": 3}, None, None),
    ],
)
def test_what_is_filled_in_fits_the_form(saved: Any, patch: Any, place: str | None) -> None:
    row = item(ItemDocument(form=FORM), data=msgspec.json.encode(saved))
    if place is None:
        assert moved(row, moves.complete(row, NOW, patch)).status == S.COMPLETED
    else:
        with pytest.raises(PayloadError, match="^" + place.replace(".", r"\.")):
            moves.complete(row, NOW, patch)


def test_each_step_has_answers_that_fit_its_form() -> None:
    steps = [Step("look", form=FORM), Step("read")]
    row = item(ItemDocument(form={"type": "object", "maxProperties": 0}, steps=steps))
    with pytest.raises(PayloadError, match=r"^data\.look: misses 'approved'"):
        moves.complete(row, NOW, {"read": {}})
    with pytest.raises(PayloadError, match=r"^data: "):
        moves.complete(row, NOW, {"look": {"approved": True}, "other": 1})
    assert moved(row, moves.complete(row, NOW, {"look": {"approved": True}})).status == S.COMPLETED


@pytest.mark.parametrize("patch", [{"a": float("nan")}, {"a": {1: 2}}, {"a": b""}, {"a": "\ud800"}, {"a": 2**70}])
def test_what_is_no_json_is_refused(patch: Any) -> None:
    row = item()
    if patch == {"a": 2**70}:
        return  # as large a number as JSON holds
    with pytest.raises(HoldfastError):
        moves.save(row, NOW, patch)


def test_too_much_data_is_refused_with_its_place() -> None:
    row = item()
    with pytest.raises(PayloadError, match=r"^data\.a\.b: takes"):
        moves.save(row, NOW, {"a": {"b": "x" * 1_100_000}})
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a": deep}
    with pytest.raises(PayloadError, match="deep"):
        moves.save(row, NOW, deep)


def test_saving_what_is_there_changes_nothing() -> None:
    row = item(data=b'{"a": 1, "b": [1]}')
    assert moves.save(row, NOW, {"a": 1}) is None
    assert moves.save(row, NOW, {"c": None}) is None
    assert moves.save(row, NOW, {"a": 1.0}) is not None


# Skipping


@pytest.mark.parametrize("reason", ["", "  ", None, 5, "x" * 2001, "a\0b", "\ud800"])
def test_a_skip_needs_a_reason(reason: Any) -> None:
    with pytest.raises(UsageError, match="reason"):
        moves.skip(item(), NOW, reason)


def test_the_place_stays_taken_for_a_while_after_the_end() -> None:
    row = item(definition="d", subject="s")
    for what, until in (
        (moves.skip(row, NOW, "no", 5 * DAY), NOW + 5 * DAY),
        (moves.complete(row, NOW, cooldown_us=2 * DAY), NOW + 2 * DAY),
        (moves.skip(row, NOW, "no"), None),
        (moves.close(row, NOW, "over"), None),
    ):
        change = written(row, what)
        assert change.ended
        assert (None if change.place is None else change.place.until) == until
    row = item(ItemDocument(again_at=NOW + 9 * DAY), definition="d", subject="s")
    for what in (moves.skip(row, NOW, "no", 5 * DAY), moves.complete(row, NOW)):
        place = written(row, what).place
        assert place is not None
        assert place.until == NOW + 9 * DAY
    assert written(row, moves.start(row, NOW)).place is None


def test_a_hold_is_rejected_and_not_skipped() -> None:
    row = item(kind="hold", run="r-1")
    with pytest.raises(IllegalMove, match="reject it"):
        moves.skip(row, NOW, "no")
    change = written(row, moves.reject(row, NOW, "no"))
    assert (change.row.status, change.row.skip_reason, change.event.move) == (S.SKIPPED, "no", "reject")
    with pytest.raises(IllegalMove, match="skip it"):
        moves.reject(item(), NOW, "no")


def test_a_run_that_asks_is_told_how_its_item_ended() -> None:
    row = item(kind="ask", run="r-1", data=b'{"x":1}')
    [told] = written(row, moves.complete(row, NOW, {"y": 2})).tells
    assert (told.topic.name, told.topic.key, told.to_all) == ("holdfast.item", "i-1", True)
    answer = msgspec.json.decode(told.payload[1:])
    assert answer == {"item": "i-1", "status": "completed", "data": {"x": 1, "y": 2}, "reason": None, "by": "maria"}
    [told] = written(row, moves.skip(row, NOW, "no")).tells
    assert msgspec.json.decode(told.payload[1:])["reason"] == "no"
    assert written(row, moves.close(row, NOW, "over")).tells == ()
    assert written(item(), moves.complete(item(), NOW)).tells == ()


# Snoozing


def test_a_long_snooze_comes_back_before_it_ends() -> None:
    row = item()
    assert moved(row, moves.snooze(row, NOW, NOW + 10 * DAY, days=10, resurface_days=3)).returns_at == NOW + 7 * DAY
    assert moved(row, moves.snooze(row, NOW, NOW + 3 * DAY, days=3, resurface_days=3)).returns_at == NOW + 3 * DAY
    assert moved(row, moves.snooze(row, NOW, NOW + 10 * DAY, days=10)).returns_at == NOW + 10 * DAY


def test_whoever_snoozes_what_they_claimed_has_it_when_it_is_back() -> None:
    row = item(pool="team", assignee=None)
    row = moved(row, moves.claim(row, NOW, "ivan", HOUR))
    row = moved(row, moves.snooze(row, NOW, NOW + 2 * DAY))
    assert (row.assignee, row.claimed_until) == ("ivan", NOW + 2 * DAY + HOUR)


# Clocks


def test_clocks_stand_still_while_it_is_snoozed_or_waits() -> None:
    row = item(ItemDocument(timers=timers_from({"start": 2 * HOUR, "complete": 8 * HOUR}, NOW)))
    row = moved(row, moves.snooze(row, NOW + HOUR, NOW + DAY), NOW + HOUR)
    assert row.act_at == NOW + DAY + HOUR
    row = moved(row, moves.wake(row, NOW + 5 * HOUR), NOW + 5 * HOUR)
    assert row.act_at == NOW + 6 * HOUR
    row = moved(row, moves.block(row, NOW + 5 * HOUR), NOW + 5 * HOUR)
    assert row.act_at is None
    row = moved(row, moves.unblock(row, NOW + 9 * HOUR), NOW + 9 * HOUR)
    assert row.act_at == NOW + 10 * HOUR
    row = moved(row, moves.start(row, NOW + 9 * HOUR), NOW + 9 * HOUR)
    assert row.act_at == NOW + 16 * HOUR  # 1 h and 4 h stood still have gone from the 8 h
    row = moved(row, moves.complete(row, NOW + 12 * HOUR), NOW + 12 * HOUR)
    timers = decode_item(row.document).timers
    assert (timers["start"].met_at, timers["complete"].met_at) == (NOW + 9 * HOUR, NOW + 12 * HOUR)
    assert row.act_at is None


def test_what_waits_and_is_snoozed_has_clocks_that_wait_for_both() -> None:
    row = item(ItemDocument(timers=timers_from({"complete": HOUR}, NOW)))
    row = moved(row, moves.block(row, NOW))
    row = moved(row, moves.snooze(row, NOW, NOW + DAY))
    assert row.act_at is None
    row = moved(row, moves.unblock(row, NOW + HOUR), NOW + HOUR)
    assert row.act_at == NOW + DAY + HOUR


def test_what_waited_is_due_as_much_later() -> None:
    row = item(due_at=NOW + DAY)
    row = moved(row, moves.block(row, NOW + HOUR))
    assert row.act_at is None
    row = moved(row, moves.unblock(row, NOW + 4 * HOUR))
    assert (row.due_at, row.act_at) == (NOW + DAY + 3 * HOUR, NOW + DAY + 3 * HOUR)


# People


def test_an_escalation_leaves_the_assignee() -> None:
    row = item(ItemDocument(acknowledge_us=HOUR))
    row = moved(row, moves.escalate(row, NOW, "boss"))
    assert (row.assignee, row.escalated_to, row.escalated_at, row.acknowledge_by) == ("maria", "boss", NOW, NOW + HOUR)
    row = moved(row, moves.acknowledge(row, NOW + 1))
    assert (row.escalated_to, row.acknowledge_by) == ("boss", None)
    assert moves.acknowledge(row, NOW + 2) is None
    with pytest.raises(UsageError, match="assigned to 'maria' already"):
        moves.escalate(row, NOW, "maria")
    with pytest.raises(IllegalMove, match="escalated to nobody"):
        moves.acknowledge(item(), NOW)


def test_whom_it_was_escalated_to_may_get_it() -> None:
    row = item(ItemDocument(acknowledge_us=HOUR))
    row = moved(row, moves.escalate(row, NOW, "boss"))
    row = moved(row, moves.assign(row, NOW, "boss"))
    assert (row.assignee, row.escalated_to, row.acknowledge_by) == ("boss", None, None)
    assert moves.assign(row, NOW, "boss") is None
    assert moved(row, moves.assign(row, NOW, None)).assignee is None


def test_a_claim_ends_and_work_prolongs_it() -> None:
    row = item(pool="team", assignee=None)
    row = moved(row, moves.claim(row, NOW, "ivan", HOUR))
    assert (row.assignee, row.claimed_until, row.act_at) == ("ivan", NOW + HOUR, NOW + HOUR)
    with pytest.raises(IllegalMove, match="claimed by 'ivan'"):
        moves.claim(row, NOW + 1, "maria", HOUR)
    row = moved(row, moves.start(row, NOW + 10))
    row = moved(row, moves.save(row, NOW + 20, {"a": 1}))
    assert row.claimed_until == NOW + 20 + HOUR
    other = moved(row, moves.claim(row, NOW + 2 * HOUR, "maria", HOUR))
    assert other.assignee == "maria"
    row = moved(row, moves.release(row, NOW + 30))
    assert (row.assignee, row.claimed_until, row.status, row.started_at) == (None, None, S.NOT_STARTED, None)
    assert moves.release(row, NOW + 30) is None
    with pytest.raises(IllegalMove, match="no group"):
        moves.claim(item(), NOW, "ivan", HOUR)
    with pytest.raises(IllegalMove, match="no group"):
        moves.release(item(), NOW)


def test_what_is_assigned_is_claimed_by_nobody_else() -> None:
    row = item(pool="team", assignee=None)
    row = moved(row, moves.claim(row, NOW, "ivan", HOUR))
    row = moved(row, moves.assign(row, NOW, "ivan"))
    assert row.claimed_until is None
    assert moves.claim(row, NOW, "ivan", HOUR) is None
    with pytest.raises(IllegalMove):
        moves.claim(row, NOW + DAY, "maria", HOUR)
