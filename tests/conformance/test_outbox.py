"""Messages from their publication to their settlement, over every store."""

import asyncio
from typing import Any

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.operations import LOST
from holdfast.store.outbox_keeping import SHADOWED
from holdfast.store.outbox_rows import ClaimedMessage, MessageAttempt, MessageRow
from tests.conformance.kit import (
    KIND,
    LEASE_US,
    OTHER,
    WORKER,
    checkpoint,
    claim,
    commit,
    park,
    running,
    start,
)
from tests.conformance.kit import settle as end
from tests.conformance.outbox_kit import (
    AT,
    Taken,
    change,
    claiming,
    found,
    message,
    publish,
    setting,
    settle,
    settlement,
    statuses,
    take,
)
from tests.conformance.outbox_kit import audit as record


async def test_a_message_is_published_claimed_and_sent(store: Store) -> None:
    run = await running(store, "a")
    sent = message("x", run, reason="why", key=None)
    results = await commit(store, checkpoints=[checkpoint(run, b"\x00")], messages=[sent])
    assert results.messages == [None]
    assert await store.outbox.message("t", "x") == MessageRow(
        sent.uid, "t", "x", "replies", None, "pending", "mode", "why", None, False, 0, 0, None, "flow", run.uid, "a",
        sent.due_at, sent.created_at, None, sent.body,
    )  # fmt: skip
    taken = await take(store)
    assert list(taken) == [ClaimedMessage(
        sent.uid, "t", "x", "replies", None, "mode", "draft", False, "why", sent.body, "flow", "a", 1, sent.created_at
    )]  # fmt: skip
    assert await statuses(store) == {"x": "sending"}
    assert await settle(store, taken, detail="250 ok") == [True]
    row = await found(store, "x")
    assert (row.status, row.attempts, row.error, row.ended_at) == ("sent", 1, None, AT + 6)
    assert await store.outbox.attempts("t", sent.uid, limit=9) == [
        MessageAttempt(1, "sent", "250 ok", False, AT + 5, AT + 6)
    ]
    assert await take(store) == []


# Publishing


async def test_without_the_lease_nothing_is_published(store: Store) -> None:
    gone, held = await running(store, "gone"), await running(store, "held")
    await commit(store, parks=[park(gone, wake_at=0)])
    (taken,) = await claim(store)
    assert taken.uid == gone.uid
    for _ in range(2):
        assert await publish(store, message("x", gone), message("y", held), message("z")) == [LOST, None, None]
    assert sorted(await statuses(store)) == ["y", "z"]


async def test_a_message_goes_with_the_end_of_its_run(store: Store) -> None:
    run = await running(store, "a")
    results = await commit(
        store, checkpoints=[checkpoint(run, b"\x00")], messages=[message("x", run)], settles=[end(run)]
    )
    assert (results.messages, results.settles) == ([None], [None])
    assert await statuses(store) == {"x": "pending"}


async def test_an_id_is_published_once_and_other_publications_of_it_are_counted(store: Store) -> None:
    run, other = await running(store, "a"), await running(store, "b")
    first = message("x", run)
    for _ in range(3):
        assert await publish(store, first, message("y", run)) == [None, None]
    assert (await found(store, "x")).repeats == 0
    # A call that is made again, as by a worker that took the run over, is the same publication.
    await publish(store, message("x", run))
    assert (await found(store, "x")).repeats == 0
    others = [
        message("x", other), message("x", run, position=b"\x01"), message("x", run, generation=2),
        message("x", run, body=b"another"), message("x"),
    ]  # fmt: skip
    for times, repeated in enumerate(others, 1):
        for _ in range(2):
            await publish(store, repeated)
            assert (await found(store, "x")).repeats == times
    # Of a batch that is repeated nothing counts again, however much of it did.
    both = message("x", other), message("x", other, body=b"another"), message("x", run)
    for _ in range(2):
        assert await publish(store, *both) == [None] * 3
    row = await found(store, "x")
    assert (row.repeats, row.body, row.uid) == (7, first.body, first.uid)
    # Of an id twice in one batch the first counts.
    await publish(store, message("z", body=b"1"), message("z", body=b"2"))
    row = await found(store, "z")
    assert (row.body, row.repeats) == (b"1", 1)
    assert (await take(store)).ids == ["x", "y", "z"]
    await publish(store, message("x", tenant="u"))
    assert await statuses(store, "u") == {"x": "pending"}


async def test_what_is_refused_or_made_in_shadow_is_withheld_at_once(store: Store) -> None:
    await publish(
        store,
        message("refused", verdict="refused", reason="a policy forbids it", key="k"),
        message("shadow", verdict="shadow", key="k"),
        message("review", verdict="review", reason="look", key="k"),
        message("behind", verdict="send", key="k"),
    )
    rows = {id: await found(store, id) for id in ("refused", "shadow", "review")}
    assert {id: (row.status, row.reason) for id, row in rows.items()} == {
        "refused": ("withheld", "a policy forbids it"),
        "shadow": ("withheld", SHADOWED),
        "review": ("pending", "look"),
    }
    assert rows["refused"].ended_at == rows["refused"].created_at
    (taken,) = await take(store)
    assert (taken.id, taken.verdict, taken.reason) == ("review", "review", "look")
    assert [(one.pending, one.sending) for one in await store.outbox.backlog(cap=9)] == [(1, 1)]


@pytest.mark.parametrize("changes", [{"id": "x\0"}, {"key": "k" * 513}, {"channel": "\ud800"}, {"reason": "\0"}])
async def test_a_message_that_no_database_takes_is_refused_whole(store: Store, changes: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        await publish(store, message("good"), message("bad")._replace(**changes))
    assert await statuses(store) == {}


async def test_many_messages_of_one_batch_come_in_their_order(store: Store) -> None:
    rows = [message(f"{n:04}", due_at=AT, key=f"{n % 7}" if n % 3 else None) for n in range(1000)]
    await publish(store, *rows)
    seen: list[str] = []
    while taken := await take(store, limit=300):
        seen += taken.ids
        assert await settle(store, taken) == [True] * len(taken)
    plain = [row.id for row in rows if row.key is None]
    assert [id for id in seen if id in set(plain)] == plain
    for key in map(str, range(7)):
        keyed = [row.id for row in rows if row.key == key]
        assert [id for id in seen if id in set(keyed)] == keyed
    assert set((await statuses(store)).values()) == {"sent"}


# Claims


async def test_a_claim_is_given_again_what_it_was_given(store: Store) -> None:
    await publish(store, *(message(str(n)) for n in range(7)))
    asked = claiming(limit=5)
    first = await store.outbox.claim(asked)
    assert [one.id for one in first] == ["0", "1", "2", "3", "4"]
    assert await store.outbox.claim(asked) == first
    assert (await take(store)).ids == ["5", "6"]


async def test_what_is_due_first_is_taken_first_and_nothing_before_it_is_due(store: Store) -> None:
    now = await store.now()
    await publish(
        store,
        message("later", due_at=now + 3_600_000_000),
        message("second", due_at=AT + 1),
        message("elsewhere", channel="pages", due_at=AT),
        message("first", due_at=AT),
    )
    assert (await take(store)).ids == ["first", "second"]
    assert await store.outbox.next_due(["replies"]) == {"replies": now + 3_600_000_000}
    assert await store.outbox.next_due(["replies", "pages", "none"]) == {"replies": now + 3_600_000_000, "pages": AT}
    assert await store.outbox.next_due(["none"]) == {}
    assert await store.outbox.next_due([]) == {}


async def test_what_comes_later_and_is_due_earlier_is_not_left_behind(store: Store) -> None:
    for due_at in (AT + 20, AT + 10, AT + 30, AT + 5):
        await publish(store, message(str(due_at), due_at=due_at))
        assert (await take(store)).ids == [str(due_at)]
    await publish(store, *(message(f"{n}", due_at=AT + n) for n in (50, 1, 2, 60)))
    assert sorted((await take(store, limit=3)).ids + (await take(store)).ids) == ["1", "2", "50", "60"]


async def test_only_a_worker_whose_lease_holds_is_given_messages(store: Store) -> None:
    await publish(store, message("x"))
    assert await take(store, worker=OTHER) == []
    await store.register_worker(OTHER, "host", 2, 1, -LEASE_US)
    assert await take(store, worker=OTHER) == []
    assert (await take(store)).ids == ["x"]


async def test_the_mode_of_the_workflow_is_read_with_the_claim(store: Store) -> None:
    async def mode(workflow: str) -> str:
        await publish(store, message(f"{workflow} {len(await statuses(store))}", workflow=workflow))
        (taken,) = await take(store)
        return taken.mode

    assert await mode("flow") == "draft"
    await store.outbox.put_publish_setting(setting("", mode="off"), record(""))
    assert await mode("flow") == "off"
    await store.outbox.put_publish_setting(setting("flow", mode="auto"), record("flow"))
    assert [await mode("flow"), await mode("other")] == ["auto", "off"]
    await store.outbox.put_publish_setting(setting("flow", 2, mode=None, path="shadow"), record("flow"))
    assert await mode("flow") == "off"
    await publish(store, message("x", tenant="u"))
    (taken,) = await take(store)
    assert (taken.tenant, taken.mode) == ("u", "draft")


async def test_each_message_is_given_to_one_claim(store: Store) -> None:
    await publish(store, *(message(str(n), key=str(n % 5) if n % 2 else None) for n in range(100)))
    seen: list[str] = []

    async def work() -> None:
        while taken := await take(store, limit=3):
            seen.extend(taken.ids)
            assert await settle(store, taken) == [True] * len(taken)

    # One that finds nothing may find something when another has settled the head of a line.
    while set((await statuses(store)).values()) != {"sent"}:
        await asyncio.gather(*(work() for _ in range(6)))
    assert sorted(seen, key=int) == [str(n) for n in range(100)]


# Settlements


async def test_a_settlement_counts_once(store: Store) -> None:
    await publish(store, message("x"), message("y"))
    taken = await take(store)
    failed = settlement(taken, "failed", detail="busy", retry_at=AT)
    assert await store.outbox.settle([failed, failed]) == [True, True]
    assert await store.outbox.settle([failed]) == [True]
    row = await found(store, "x")
    assert (row.status, row.attempts, row.error, row.due_at) == ("failed", 1, "busy", AT)
    again = await take(store)
    assert [(one.id, one.attempt) for one in again] == [("x", 2)]
    unknown = settlement(taken, "dead")._replace(claim_id=b"c" * 16)
    assert await store.outbox.settle([unknown, settlement(taken, number=1)]) == [False, True]
    assert await statuses(store) == {"x": "sending", "y": "sent"}
    assert await store.outbox.settle([]) == []


async def test_of_two_settlements_of_a_claim_the_first_counts(store: Store) -> None:
    await publish(store, message("x"))
    taken = await take(store)
    both = [settlement(taken, "dead", detail="gone"), settlement(taken, "sent", detail="ok")]
    assert await store.outbox.settle(both) == [True, True]
    row = await found(store, "x")
    assert (row.status, row.attempts, row.error) == ("dead", 1, "gone")


async def test_attempts_are_numbered_and_doubt_stays_until_it_is_sent(store: Store) -> None:
    await publish(store, message("x"))
    outcomes = [("failed", "slow", True), ("failed", "busy", False), ("sent", "ok", False)]
    for outcome, detail, doubt in outcomes:
        taken = await take(store)
        assert await settle(store, taken, outcome, detail=detail, doubt=doubt, retry_at=AT) == [True]
        assert (await found(store, "x")).doubt == (outcome != "sent")
    attempts = await store.outbox.attempts("t", taken[0].uid, limit=9)
    assert [one[:4] for one in attempts] == [(n + 1, *outcomes[n]) for n in (2, 1, 0)]
    assert await store.outbox.attempts("t", taken[0].uid, limit=2) == attempts[:2]
    assert await store.outbox.attempts("u", taken[0].uid, limit=2) == []


async def test_what_failed_waits_until_it_is_to_be_tried_again(store: Store) -> None:
    await publish(store, message("x"))
    later = await store.now() + 3_600_000_000
    await settle(store, await take(store), "failed", retry_at=later)
    assert await take(store) == []
    assert await store.outbox.next_due(["replies"]) == {"replies": later}


async def test_what_is_dead_is_not_tried_again(store: Store) -> None:
    await publish(store, message("x"))
    await settle(store, await take(store), "dead", detail="550 unknown user", doubt=True)
    row = await found(store, "x")
    assert (row.status, row.error, row.doubt, row.ended_at) == ("dead", "550 unknown user", True, AT + 6)
    assert await take(store) == []


async def test_what_its_mode_withholds_was_no_attempt(store: Store) -> None:
    await publish(store, message("x"), message("y", reason="of the code"))
    taken = await take(store)
    assert await settle(store, taken, "withheld", detail="messages are off") == [True, True]
    assert await settle(store, taken, "withheld", detail="messages are off") == [True, True]
    rows = [await found(store, id) for id in "xy"]
    assert [(row.status, row.reason, row.attempts, row.error) for row in rows] == [
        ("withheld", "messages are off", 0, None), ("withheld", "of the code", 0, None)
    ]  # fmt: skip
    assert await store.outbox.attempts("t", taken[0].uid, limit=9) == []


async def test_a_review_starts_its_run_in_the_same_transaction(store: Store) -> None:
    await publish(store, message("x"), message("y"))
    taken = await take(store)
    reviews = [
        settlement(taken, "review", number=n, start=start(f"review/{n}"))._replace(claim_id=claim_id)
        for n, claim_id in enumerate((taken.claim_id, b"c" * 16))
    ]
    for _ in range(2):
        assert await store.outbox.settle(reviews) == [True, False]
    assert [row.id for row in await store.find_runs("t", ["review/0", "review/1"])] == ["review/0"]
    assert [run.id for run in await claim(store, 9, KIND)] == ["review/0"]
    assert await statuses(store) == {"x": "withheld", "y": "sending"}


# Handing back


async def test_what_nobody_has_begun_to_send_is_handed_back(store: Store) -> None:
    await publish(store, *(message(id) for id in "abc"))
    taken = await take(store)
    await settle(store, Taken(taken[:1], taken.claim_id))
    await settle(store, Taken(taken[1:2], taken.claim_id), "failed", retry_at=AT)
    failed = await take(store)
    assert await store.outbox.hand_back([taken.claim_id, failed.claim_id, b"c" * 16]) == 2
    assert await store.outbox.hand_back([taken.claim_id]) == 0
    assert await store.outbox.hand_back([]) == 0
    assert await statuses(store) == {"a": "sent", "b": "failed", "c": "pending"}
    assert [(one.id, one.attempt) for one in await take(store)] == [("b", 2), ("c", 1)]
    assert await settle(store, Taken(taken[2:], taken.claim_id)) == [False]


# Rescue


async def test_what_a_lost_worker_was_sending_is_sent_again_or_in_doubt(store: Store) -> None:
    await store.register_worker(OTHER, "host", 2, 1, LEASE_US)
    await publish(
        store, message("a"), message("b", channel="crm"), message("c"), message("d", key="k"), message("e", key="k")
    )
    mine = await take(store, limit=1)
    theirs = await take(store, worker=OTHER)
    again = await take(store, "crm", worker=OTHER, resend=True)
    assert await store.outbox.rescue_messages(9) == (0, 0)
    await store.remove_worker(OTHER)
    assert await store.outbox.rescue_messages(1) in ((1, 0), (0, 1))
    await store.outbox.rescue_messages(9)
    assert await store.outbox.rescue_messages(9) == (0, 0)
    assert await statuses(store) == {"a": "sending", "b": "failed", "c": "dead", "d": "dead", "e": "pending"}
    assert await settle(store, theirs, "failed", retry_at=AT) == [False, False]
    assert await settle(store, again) == [False]
    row = await found(store, "c")
    assert (row.doubt, row.attempts) == (True, 1)
    assert row.error is not None
    assert "may have been sent" in row.error
    for lost, doubt in ((theirs[0], True), (again[0], False)):
        (attempt,) = await store.outbox.attempts("t", lost.uid, limit=9)
        assert (attempt.outcome, attempt.attempt, attempt.doubt) == ("lost", 1, doubt)
        assert attempt.began_at <= attempt.ended_at
    assert not (await found(store, "b")).doubt
    assert [(one.id, one.attempt) for one in await take(store, "crm")] == [("b", 2)]
    assert await take(store) == []  # what is dead keeps the head of its line
    assert await settle(store, mine) == [True]


async def test_that_one_in_doubt_was_sent_is_believed_however_late(store: Store) -> None:
    ids = ("plain", "keyed", "behind", "again", "decided")
    await publish(store, *(message(id, key="k" if id in ("keyed", "behind") else None) for id in ids))
    await store.register_worker(OTHER, "elsewhere", 1, 1, LEASE_US, 10)
    lost = await take(store, worker=OTHER)
    assert lost.ids == ["plain", "keyed", "again", "decided"]
    await store.remove_worker(OTHER)
    assert await store.outbox.rescue_messages(10) == (0, 4)
    assert await store.outbox.change_messages(change("send", "again")) == ["again"]
    assert await store.outbox.change_messages(change("discard", "decided")) == ["decided"]
    failed = [settlement(lost, "failed", number=n, retry_at=AT) for n in range(4)]
    assert await store.outbox.settle(failed) == [False] * 4
    other = await take(store, limit=1)
    assert other.ids == ["again"]
    sent = [settlement(lost, number=n, detail="250 ok") for n in (1, 0, 2, 3)]
    for _ in range(2):
        assert await store.outbox.settle(sent) == [True, True, False, False]
    assert await statuses(store) == {
        "plain": "sent", "keyed": "sent", "behind": "pending", "again": "sending", "decided": "discarded"
    }  # fmt: skip
    row = await found(store, "plain")
    assert (row.doubt, row.error, row.ended_at) == (False, None, AT + 6)
    assert [(one.outcome, one.doubt) for one in await store.outbox.attempts("t", row.uid, limit=9)] == [
        ("sent", False), ("lost", True)
    ]  # fmt: skip
    assert (await take(store)).ids == ["behind"]


async def test_uids_are_found_by_ids_of_the_tenant(store: Store) -> None:
    a, b, other = message("a"), message("b"), message("a", tenant="u")
    await publish(store, a, b, other)
    assert sorted(await store.outbox.uids("t", ["a", "none", "b"])) == sorted([a.uid, b.uid])
    assert await store.outbox.uids("u", ["a", "b"]) == [other.uid]
    assert await store.outbox.uids("t", []) == []


async def test_a_worker_whose_lease_is_over_is_lost(store: Store) -> None:
    await store.register_worker(OTHER, "host", 2, 1, LEASE_US)
    await publish(store, message("a"))
    await take(store, worker=OTHER, resend=True)
    await store.remove_worker(WORKER)
    assert await store.outbox.rescue_messages(9) == (0, 0)
    await store.remove_worker(OTHER)
    assert await store.outbox.rescue_messages(9) == (1, 0)
