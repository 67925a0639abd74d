"""What people look for in the outbox, what they change and what they decide, over every store."""

import asyncio

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.outbox_rows import MESSAGES_AT_ONCE, Backlog, MessageFilter
from tests.conformance.kit import claim, commit, running
from tests.conformance.kit import settle as end
from tests.conformance.outbox_kit import (
    AT,
    EVERY,
    Taken,
    audit,
    change,
    found,
    message,
    publish,
    setting,
    settle,
    statuses,
    take,
)

THEN = AT // 2


async def changed(store: Store) -> list[str]:
    """To what something was done, as it is recorded."""
    return sorted(row.target for row in await store.list_audit("t", limit=99, action="message"))


async def in_every_status(store: Store) -> None:
    """Messages named by how they stand."""
    await publish(store, *(message(id) for id in ("dead", "failed", "sending", "sent", "off")))
    taken = await take(store)
    for n, outcome in enumerate(("dead", "failed", None, "sent", "withheld")):
        if outcome:
            await settle(
                store, Taken(taken[n : n + 1], taken.claim_id), outcome, detail="why", doubt=True,
                retry_at=await store.now() + 3_600_000_000,
            )  # fmt: skip
    await publish(store, message("discarded"))
    await store.outbox.change_messages(change("discard", "discarded"))
    await publish(store, message("pending"), message("refused", verdict="refused"), message("shadow", verdict="shadow"))


# Changes


async def test_what_may_be_sent_again_is(store: Store) -> None:
    await in_every_status(store)
    ids = list(await statuses(store))
    asked = change("send", *ids, "unknown", "dead", approved_by="ann")
    assert sorted(await store.outbox.change_messages(asked)) == ["dead", "failed", "off"]
    assert await changed(store) == ["dead", "dead", "discarded", "failed", "off"]
    for id in ("dead", "failed", "off"):
        row = await found(store, id)
        assert (row.status, row.attempts, row.error, row.ended_at, row.doubt) == ("pending", 0, None, None, False)
        assert (row.approved_by, row.due_at) == ("ann", AT + 9)
    taken = await take(store)
    assert sorted(taken.ids) == ["dead", "failed", "off", "pending"]
    assert {one.id for one in taken if one.approved} == {"dead", "failed", "off"}
    assert {one.attempt for one in taken} == {1}
    # A call that is repeated finds what it did, whatever became of it.
    await settle(store, taken)
    assert sorted(await store.outbox.change_messages(asked)) == ["dead", "failed", "off"]
    assert len(await changed(store)) == 5
    assert await take(store) == []
    assert [one.attempt for one in await store.outbox.attempts("t", taken[0].uid, limit=9)][:1] == [1]


async def test_a_change_that_is_repeated_is_not_made_again(store: Store) -> None:
    await publish(store, message("x"))
    await settle(store, await take(store), "dead")
    asked = change("send", "x")
    assert await store.outbox.change_messages(asked) == ["x"]
    await settle(store, await take(store), "dead")
    assert await store.outbox.change_messages(asked) == ["x"]
    assert await statuses(store) == {"x": "dead"}
    assert await take(store) == []


async def test_what_may_be_discarded_is(store: Store) -> None:
    await in_every_status(store)
    ids = list(await statuses(store))
    asked = change("discard", *ids, at=AT + 50, reason="not needed")
    wanted = ["dead", "failed", "off", "pending", "refused", "shadow"]
    for _ in range(2):
        assert sorted(await store.outbox.change_messages(asked)) == wanted
    row = await found(store, "pending")
    assert (row.status, row.reason, row.ended_at) == ("discarded", "not needed", AT + 50)
    assert await changed(store) == sorted([*wanted, "discarded"])
    assert await take(store) == []
    assert await store.outbox.change_messages(change("discard", *wanted)) == []
    assert len(await changed(store)) == 7
    assert await store.outbox.next_due(["replies"]) == {}


async def test_a_message_is_sent_with_another_body(store: Store) -> None:
    first = message("x")
    await publish(store, first)
    await settle(store, await take(store), "review")
    asked = change("send", "x", body=b"edited", approved_by="ann")
    assert await store.outbox.change_messages(asked) == ["x"]
    (taken,) = await take(store)
    assert (taken.body, taken.approved) == (b"edited", True)
    # It is still the same publication as the one that its code made.
    await publish(store, first._replace(uid=message("x").uid, created_at=first.created_at))
    assert (await found(store, "x")).repeats == 0
    for asked in (change("send", "x", "y", body=b"b"), change("discard", "x", body=b"b")):
        with pytest.raises(Rejected, match="another body"):
            await store.outbox.change_messages(asked)


async def test_a_change_without_records_and_one_of_nothing(store: Store) -> None:
    await publish(store, message("x"))
    assert await store.outbox.change_messages(change("discard")) == []
    assert await store.outbox.change_messages(change("discard", "x", tenant="u")) == []
    assert await store.outbox.change_messages(change("discard", "x", audits=())) == ["x"]
    assert await store.outbox.change_messages(change("discard", "x", audits=())) == []
    assert await changed(store) == []
    with pytest.raises(Rejected, match=f"at most {MESSAGES_AT_ONCE}"):
        await store.outbox.change_messages(change("send", *map(str, range(MESSAGES_AT_ONCE + 1))))


async def test_a_claim_and_a_change_at_once(store: Store) -> None:
    """A message is sent or discarded, never both."""
    ids = [str(n) for n in range(60)]
    await publish(store, *(message(id, key=str(int(id) % 40)) for id in ids))
    taken, discarded = [], []

    async def send() -> None:
        for _ in range(12):
            some = await take(store, limit=3)
            taken.extend(some.ids)
            assert all(await settle(store, some))

    async def discard() -> None:
        for n in range(0, 60, 2):
            discarded.extend(await store.outbox.change_messages(change("discard", *ids[n : n + 2])))

    await asyncio.gather(send(), discard())
    assert not set(taken) & set(discarded)
    assert sorted(taken + discarded, key=int) == ids
    assert await store.outbox.backlog(cap=9) == []


# Lists


async def test_messages_are_found_by_what_is_known_of_them(store: Store) -> None:
    run = await running(store, "a")
    await publish(
        store,
        message("a", run, created_at=THEN),
        message("b", run, key="k", created_at=THEN + 5_000),
        message("c", workflow="other", created_at=THEN + 10_000),
        message("d", channel="crm", key="k", created_at=THEN + 15_000),
        message("e", tenant="u", created_at=THEN + 20_000),
    )
    (first, *_) = taken = await take(store)
    await settle(store, Taken(taken[:1], taken.claim_id), "dead", doubt=True)

    async def ids(**which: object) -> str:
        asked = MessageFilter(**which)  # type: ignore[arg-type]
        rows = await store.outbox.messages("t", asked, limit=9)
        assert await store.outbox.count_messages("t", asked, cap=9) == len(rows)
        assert all(row.body is None for row in rows)
        return "".join(row.id for row in rows)

    assert first.id == "a"
    assert await ids() == "dcba"
    assert await ids(statuses=("dead",)) == "a"
    assert await ids(statuses=("sending", "dead", "dead")) == "cba"
    assert await ids(statuses=("sent",)) == ""
    assert await ids(statuses=("sent", "sending")) == "cb"
    assert await ids(statuses=("sent", "sending"), channel="replies", workflow="flow") == "b"
    assert await ids(channel="replies") == "cba"
    assert await ids(channel="crm", statuses=("sent", "pending")) == "d"
    assert await ids(workflow="flow") == "dba"
    assert await ids(workflow="flow", channel="replies", key="k") == "b"
    assert await ids(run=run.uid) == "ba"
    assert await ids(run=run.uid, doubt=False) == "b"
    assert await ids(key="k") == "db"
    assert await ids(key="k", statuses=("pending",)) == "d"
    assert await ids(doubt=True) == "a"
    assert await ids(since=THEN + 5_000) == "dcb"
    assert await ids(since=THEN + 5_001, until=THEN + 15_000) == "c"
    assert await ids(until=THEN + 10_001, channel="replies") == "cba"
    assert await ids(since=1 << 62) == ""
    page = await store.outbox.messages("t", EVERY, limit=2)
    assert [row.id for row in page] == ["d", "c"]
    page = await store.outbox.messages("t", EVERY, limit=9, before=page[-1].uid)
    assert [row.id for row in page] == ["b", "a"]
    page = await store.outbox.messages("t", MessageFilter(workflow="flow"), limit=9, before=page[0].uid)
    assert [row.id for row in page] == ["a"]
    assert await store.outbox.count_messages("t", EVERY, cap=3) == 3
    for which in (EVERY, MessageFilter(run=run.uid), MessageFilter(key="k"), MessageFilter(channel="replies")):
        assert await store.outbox.messages("nobody", which, limit=9) == []
    assert await store.outbox.message("nobody", "a") is None


async def test_what_waits_is_counted_by_channel(store: Store) -> None:
    later = await store.now() + 3_600_000_000
    await publish(
        store,
        *(message(f"k{n}", key="k", due_at=AT + n) for n in range(3)),
        message("later", channel="pages", due_at=later),
        *(message(f"crm {n}", channel="crm", tenant="u", due_at=AT) for n in range(4)),
    )
    await take(store, "crm", limit=2)
    assert await store.outbox.backlog(cap=9) == [
        Backlog("crm", 2, 2, AT), Backlog("pages", 1, 0, None), Backlog("replies", 3, 0, AT)
    ]  # fmt: skip
    assert await store.outbox.backlog(cap=2) == [
        Backlog("crm", 2, 2, AT), Backlog("pages", 1, 0, None), Backlog("replies", 2, 0, AT)
    ]  # fmt: skip


# Settings


async def test_a_decision_is_made_on_top_of_the_one_that_was_seen(store: Store) -> None:
    outbox = store.outbox
    assert await outbox.publish_settings("t") == []
    first, records = setting("flow"), [audit("flow") for _ in range(5)]
    for _ in range(2):
        assert await outbox.put_publish_setting(first, records[0])
    assert not await outbox.put_publish_setting(setting("flow", mode="off"), records[1])
    second = setting("flow", 2, mode=None, path="shadow", path_since=9, copies_until=10, changed_by="bob")
    for _ in range(2):
        assert await outbox.put_publish_setting(second, records[2])
    assert not await outbox.put_publish_setting(setting("flow", 2), records[3])
    assert not await outbox.put_publish_setting(setting("flow", 5), records[3])
    everywhere = setting("", mode="off")
    assert await outbox.put_publish_setting(everywhere, records[4])
    assert await outbox.publish_settings("t") == [everywhere, second]
    assert await outbox.publish_settings("u") == []
    written = {row.uid for row in await store.list_audit("t", limit=9)}
    assert written == {records[0].uid, records[2].uid, records[4].uid}
    with pytest.raises(Rejected):
        await outbox.put_publish_setting(setting("f\0"), audit("flow"))


# Deletion


async def test_what_is_over_is_deleted_after_a_time(store: Store) -> None:
    await in_every_status(store)
    rows = {row.id: row for row in await store.outbox.messages("t", EVERY, limit=99)}
    await publish(store, message("theirs", tenant="u"))
    await settle(store, await take(store))
    assert await store.outbox.prune_messages("t", AT, 9) == 0
    assert await store.outbox.prune_messages("t", AT + 10**12, 2) == 2
    assert await store.outbox.prune_messages("t", AT + 10**12, 9) == 4
    assert await store.outbox.prune_messages("t", AT + 10**12, 9) == 0
    assert sorted(await statuses(store)) == ["dead", "failed", "sending"]
    assert await store.outbox.attempts("t", rows["sent"].uid, limit=9) == []
    assert await store.outbox.attempts("t", rows["dead"].uid, limit=9) != []
    assert await statuses(store, "u") == {"theirs": "sent"}
    assert await store.outbox.prune_messages(None, AT + 10**12, 9) == 1
    assert await statuses(store, "u") == {}
    # Its id may be used again.
    await publish(store, message("sent"))
    assert (await take(store)).ids == ["sent"]


async def test_what_waits_for_a_review_is_kept_until_somebody_has_looked(store: Store) -> None:
    await publish(store, message("x"), message("y"))
    await settle(store, await take(store), "review")
    row = await found(store, "x")
    assert (row.status, row.ended_at) == ("withheld", None)
    assert await store.outbox.prune_messages(None, AT + 10**12, 9) == 0
    assert await store.outbox.change_messages(change("discard", "y")) == ["y"]
    assert await store.outbox.prune_messages(None, AT + 10**12, 9) == 1
    assert await store.outbox.change_messages(change("send", "x", approved_by="ann")) == ["x"]
    assert (await take(store)).ids == ["x"]


async def test_a_message_stays_when_its_run_is_deleted(store: Store) -> None:
    run = await running(store, "a")
    await commit(store, messages=[message("x", run)], settles=[end(run)])
    for _ in range(2):
        await store.prune([("", "succeeded", 0)], b"", 99)
    assert await store.find_runs("t", ["a"]) == []
    row = await found(store, "x")
    assert (row.run, row.run_id) == (None, "a")
    assert [one.run for one in await store.outbox.messages("t", EVERY, limit=9)] == [None]
    assert (await take(store)).ids == ["x"]
    assert await claim(store) == []
