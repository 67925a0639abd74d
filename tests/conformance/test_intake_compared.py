"""What our runs and the other path made of the same messages, and the figures by which a cut-over is decided."""

from typing import Any

import pytest

from holdfast.errors import UsageError
from holdfast.model.ids import uuid7
from holdfast.store.base import Rejected, Store
from holdfast.store.intake_rows import ComparedRow, CriteriaRow, NewEntry
from tests.conformance.intake_kit import AT, dead, end_all, entry, filtered, message, outcome, taken, taking
from tests.conformance.kit import checkpoint, child, claim, commit, make, settle, start
from tests.conformance.outbox_kit import change, publish, take
from tests.conformance.outbox_kit import settle as settle_message

LATER = AT + 60_000_000


async def pages(store: Store, limit: int = 99, **which: Any) -> list[ComparedRow]:
    """All of a comparison, page by page."""
    asked = {"since": AT, "until": LATER + 1, "which": None} | which
    found: list[ComparedRow] = []
    before = None
    while page := await store.intake.compared("t", "flow", limit=limit, before=before, **asked):
        assert len(page) <= limit
        found += [row for _, row in page]
        before = page[-1][0]
    return found


async def comparisons(store: Store) -> dict[str, str]:
    rows = await pages(store)
    counted: dict[str, int] = {}
    for row in rows:
        counted[row.comparison] = counted.get(row.comparison, 0) + 1
    assert await store.intake.count_compared("t", "flow", since=AT, until=LATER + 1) == counted
    return {row.message_id: row.comparison for row in rows}


def publishing(text: str, verdict: str = "mode", reason: str = "", says: str = "hello") -> NewEntry:
    """An entry whose run publishes one message."""
    of = entry(text)
    return of._replace(messages=(message(of, says, verdict=verdict, reason=reason),))


DECIDED = {
    "mode": ("mode", "", "sent"),
    "review": ("review", "they threaten to leave", "review"),
    "refused": ("refused", "a policy forbids it", "withheld"),
    "shadow": ("shadow", "", "sent"),
    "shadow of a review": ("shadow", "review: they threaten to leave", "review"),
    "shadow of a refusal": ("shadow", "refused: a policy forbids it", "withheld"),
}


@pytest.mark.parametrize(("verdict", "reason", "decided"), DECIDED.values(), ids=DECIDED.keys())
async def test_what_we_decided_says_the_message_by_its_verdict(
    store: Store, verdict: str, reason: str, decided: str
) -> None:
    await taken(store, publishing("a", verdict, reason))
    ((_, row),) = await store.intake.compared("t", "flow", since=AT, until=LATER, which=None, limit=9)
    assert (row.ours, row.text, row.comparison) == (None, None, "alone")  # it has not ended
    await end_all(store)
    await store.intake.put_outcomes([outcome("a", decided)])
    ((_, row),) = await store.intake.compared("t", "flow", since=AT, until=LATER, which=None, limit=9)
    text = None if decided == "withheld" else b"hello"
    assert row == ComparedRow("a", "same", decided, decided, "orders/a", text, "hello", AT)  # type: ignore[arg-type]


async def test_a_run_says_what_became_of_a_message_without_one(store: Store) -> None:
    await taken(store, *map(entry, "abc"), entry("held"), entry("open"))
    await end_all(store, b="failed", c="cancelled", held="held", open="held")
    await store.intake.put_outcomes([outcome(name, "failed", "") for name in ("a", "b", "c", "held")])
    ours = {row.message_id: row.ours for row in await pages(store)}
    assert ours == {"a": "withheld", "b": "failed", "c": "failed", "held": None, "open": None}
    assert await comparisons(store) == {
        "a": "different", "b": "same", "c": "same", "held": "missing", "open": "alone",
    }  # fmt: skip


async def test_the_newest_message_of_a_run_counts_and_none_of_ours(store: Store) -> None:
    first = entry("a")
    texts = [message(first, "draft"), message(first, "hello", verdict="review", reason="look")]
    texts.append(message(first, "a copy for the other path", verdict="send"))
    await taken(store, first._replace(messages=tuple(texts)))
    await end_all(store)
    (row,) = await pages(store)
    assert (row.ours, row.text) == ("review", b"hello")


async def test_paths_compare_by_what_they_decided_and_by_their_words(store: Store) -> None:
    await taken(store, *map(publishing, ("same", "spaced", "words", "other", "wordless", "alone")))
    await taken(store, publishing("drafts", "review"), publishing("refused", "refused", "no"), entry("failed"))
    await end_all(store, failed="failed")
    await store.intake.put_outcomes([
        outcome("same"), outcome("spaced", text=" hello\n"), outcome("words", text="good-bye"),
        outcome("other", "review"), outcome("wordless", text=""), outcome("drafts", "review", "good-bye"),
        outcome("refused", "withheld", "whatever"), outcome("failed", "failed", "whatever"), outcome("theirs"),
    ])  # fmt: skip
    assert await comparisons(store) == {
        "same": "same", "spaced": "same", "words": "different", "other": "different", "wordless": "same",
        "drafts": "different", "refused": "same", "failed": "same", "alone": "alone", "theirs": "missing",
    }  # fmt: skip
    assert [row.message_id for row in await pages(store, which="alone")] == ["alone"]
    assert [row.message_id for row in await pages(store, which="missing")] == ["theirs"]
    assert {row.message_id for row in await pages(store, which="different")} == {"words", "other", "drafts"}


async def test_what_was_filtered_is_withheld_where_the_other_path_says_something(store: Store) -> None:
    await taken(store, filtered("a"), filtered("b"), filtered("c"), dead("d"))
    await store.intake.put_outcomes([outcome("a", "withheld", ""), outcome("b"), outcome("d")])
    assert await comparisons(store) == {"a": "same", "b": "different", "d": "missing"}


async def test_of_several_entries_of_a_message_the_newest_counts(store: Store) -> None:
    await taken(store, publishing("a", says="hello"), entry("no id", message_id=""), entry("none", message_id=""))
    newer = publishing("a, edited", says="good-bye")
    await taken(store, newer._replace(message_id="a"), at=AT + 5)
    await end_all(store)
    await store.intake.put_outcomes([outcome("a", text="good-bye")])
    found = [(row.message_id, row.comparison, row.at) for row in await pages(store)]
    assert found == [("a", "same", AT + 5), ("", "alone", AT), ("", "alone", AT)]


async def test_an_entry_of_another_workflow_or_without_a_run_is_not_the_newest_of_a_message(store: Store) -> None:
    await taken(store, publishing("a"))
    await end_all(store)
    await store.intake.put_outcomes([outcome("a")])
    await taken(store, dead("a again", message_id="a"), at=AT + 5)
    other = await store.intake.open_source("t", "mail", "imap", "triage")
    await store.intake.take_in(taking(other, entry("a, by mail", message_id="a"), at=AT + 5))
    assert await comparisons(store) == {"a": "same"}


async def test_a_run_that_is_gone_is_none(store: Store) -> None:
    await taken(store, publishing("a"))
    await end_all(store)
    await store.prune([("", "succeeded", 0)], b"", 99)
    await store.intake.put_outcomes([outcome("a")])
    (row,) = await pages(store)
    assert (row.comparison, row.ours, row.run_id) == ("missing", None, "orders/a")


async def test_each_message_is_of_one_time_and_of_its_workflow(store: Store) -> None:
    await taken(store, entry("a"))
    await taken(store, entry("b"), at=LATER)
    await store.intake.put_outcomes([outcome("a", at=LATER), outcome("c", at=LATER), outcome("d", workflow="other")])
    assert [row.message_id for row in await pages(store, until=LATER)] == ["a"]
    assert [row.message_id for row in await pages(store, since=AT + 1)] == ["b", "c"]
    count = store.intake.count_compared
    assert await count("t", "flow", since=AT, until=LATER) == {"missing": 1}
    assert await count("t", "flow", since=LATER, until=LATER + 1) == {"alone": 1, "missing": 1}
    assert await count("t", "other", since=AT, until=LATER) == {"missing": 1}
    assert await count("u", "flow", since=AT, until=LATER) == {}


async def test_pages_of_any_size_show_everything_once(store: Store) -> None:
    await taken(store, *map(entry, "abc"))
    await taken(store, *map(entry, "de"), at=AT + 10)
    await store.intake.put_outcomes(
        [outcome(name, at=AT + at) for at, name in ((0, "x"), (0, "y"), (5, "z"), (10, "w"))]
    )
    whole = [row.message_id for row in await pages(store)]
    assert whole == ["e", "d", "w", "z", "c", "b", "a", "y", "x"]
    for limit in range(1, 9):
        assert [row.message_id for row in await pages(store, limit)] == whole
        assert [row.message_id for row in await pages(store, limit, which="missing")] == ["w", "z", "y", "x"]
    last = b"\x7f" + b"\xff" * 7
    for cursor in (b"", b"no cursor", last + b"e", bytes(8) + b"o\0", bytes(8) + b"o\xff"):
        with pytest.raises(UsageError, match="not where a page"):
            await store.intake.compared("t", "flow", since=0, until=1, which=None, limit=9, before=cursor)


async def test_of_a_message_the_last_outcome_counts(store: Store) -> None:
    put = store.intake.put_outcomes
    assert await put([]) == 0
    assert await put([outcome("a"), outcome("b"), outcome("a", "review", "good-bye")]) == 2
    await taken(store, entry("a"))
    assert await put([outcome("a", "review", "good-bye", at=AT + 3), outcome("b")]) == 0
    assert await put([outcome("a", "review"), outcome("b", "failed")]) == 2
    found = {row.message_id: (row.theirs, row.their_text) for row in await pages(store)}
    assert found == {"a": ("review", "hello"), "b": ("failed", "hello")}
    with pytest.raises(Rejected, match="needs the id"):
        await put([outcome("")])


# The figures


async def criteria(store: Store, **changes: int) -> CriteriaRow:
    asked = {"since": AT, "until": LATER, "unsent_before": AT + 1} | changes
    return await store.intake.criteria("t", "flow", **asked)


def named(text: str, **changes: Any) -> NewEntry:
    """An entry whose run has a uid as runs have."""
    return entry(text, start=start(f"orders/{text}", uid=uuid7(AT, text.encode().ljust(10)), **changes))


async def test_all_is_well_where_nothing_happened(store: Store) -> None:
    assert await criteria(store) == CriteriaRow(0, 0, 0, 0, 0, 0, 0)


async def test_runs_without_steps_are_told_and_runs_that_are_gone(store: Store) -> None:
    await taken(store, named("a"), named("b"), named("c"), named("d"), filtered("e"))
    runs = {run.id: run for run in await claim(store)}
    stepped, slept = runs["orders/a"], runs["orders/b"]
    await commit(
        store,
        checkpoints=[checkpoint(stepped, b"\x00"), checkpoint(slept, b"\x00", kind="sleep")],
        settles=[settle(stepped), settle(slept), settle(runs["orders/c"], "failed")],
    )
    assert await criteria(store) == CriteriaRow(4, 0, 1, 0, 0, 0, 0)
    await store.prune([("", "succeeded", 0)], b"", 99)
    assert await criteria(store) == CriteriaRow(4, 2, 0, 0, 0, 0, 0)
    assert await criteria(store, since=AT + 1) == CriteriaRow(0, 0, 0, 0, 0, 0, 0)


async def test_runs_that_no_source_made_are_told_but_for_children(store: Store) -> None:
    await taken(store, named("a"))
    parent = (await claim(store))[0]
    at = {"created_at": AT + 5_000}
    await make(store, start("by hand", uid=uuid7(AT + 5_000, b"by hand   "), **at))
    await make(store, child("child", parent, b"\x00", workflow="flow", uid=uuid7(AT + 5_000, b"child     "), **at))
    await make(store, start("before", uid=uuid7(AT - 1, b"before    "), created_at=AT - 1))
    await make(store, start("after", uid=uuid7(LATER, b"after     "), created_at=LATER))
    await make(store, start("of another", uid=uuid7(AT, b"other     "), workflow="other"))
    assert (await criteria(store)).by_hand == 1
    assert (await criteria(store, until=LATER + 1)).by_hand == 2


async def test_messages_that_wait_too_long_or_are_dead_are_told(store: Store) -> None:
    await publish(
        store, message(id="waits"), message(id="not yet due", due_at=AT + 1),
        message(id="new", created_at=AT + 1, due_at=AT + 1),
        message(id="another's", workflow="other"), message(id="refused", verdict="refused"),
        message(id="before", created_at=AT - 1),
    )  # fmt: skip
    assert (await criteria(store)).unsent == 1
    assert (await criteria(store, unsent_before=AT + 2)).unsent == 3
    await publish(store, message(id="fails", channel="fails"), message(id="dies", channel="dies"))
    await settle_message(store, await take(store, "fails"), "failed", retry_at=LATER)
    await settle_message(store, await take(store, "dies"), "dead")
    assert (await criteria(store)).unsent == 3
    assert (await criteria(store, unsent_before=AT)).unsent == 1
    await settle_message(store, await take(store))
    assert (await criteria(store)).unsent == 2


async def test_what_was_sent_without_the_review_that_it_needed_is_told(store: Store) -> None:
    await publish(store, message(id="reviewed", verdict="review", channel="a"), message(channel="b", verdict="review"))
    await settle_message(store, await take(store, "b"))
    assert (await criteria(store)).unreviewed == 1
    await settle_message(store, await take(store, "a"), "withheld")
    await store.outbox.change_messages(change("send", "reviewed", approved_by="ann"))
    await settle_message(store, await take(store, "a"))
    assert (await criteria(store)).unreviewed == 1


async def test_what_we_sent_and_the_other_path_did_not_is_told(store: Store) -> None:
    await taken(store, *map(publishing, "abcd"), publishing("e", "review"), publishing("f", "shadow"))
    await end_all(store)
    decided = dict(zip("abcdef", ("withheld", "review", "sent", "failed", "withheld", "withheld"), strict=True))
    await store.intake.put_outcomes([outcome(name, what) for name, what in decided.items()])
    assert (await criteria(store)).less_careful == 3
    assert (await store.intake.criteria("u", "flow", since=AT, until=LATER, unsent_before=0)).less_careful == 0
