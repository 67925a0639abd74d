"""What our path and another made of the same messages, word by word; and the criteria that a cut-over is decided by."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.model.differing import MOST_WORDS, word_difference
from holdfast.store.outbox_rows import ClaimMessages, Settlement
from tests.engine.helpers import serving, until
from tests.intake.taking_kit import append, desk, orders, write

slow = pytest.mark.slow


@hf.workflow(name="desk")
async def stageless(message: hf.Incoming) -> None:
    """A desk that records no step."""


@pytest.fixture
async def client(disk_url: str, tmp_path: Path) -> AsyncIterator[hf.Client]:
    """A desk in shadow that has been given six orders."""
    async with serving(disk_url, desk, intake=write(tmp_path)) as made:
        await made.roll_back("desk")
        append(tmp_path, [
            *orders(1, 2, 3), {"id": "o-4", "text": "delicate"}, {"id": "o-5", "text": "forbidden"}, "{broken",
        ])  # fmt: skip
        await until(lambda: _ended(made, 5))
        yield made


async def _ended(client: hf.Client, number: int) -> bool:
    return (await client.count(workflow="desk", status="succeeded")).runs == number


@slow
async def test_each_message_is_same_different_missing_or_alone(client: hf.Client) -> None:
    assert await client.record_outcomes("desk", [
        hf.PathOutcome("o-1", "sent", "About:  order 1\n"),
        {"message_id": "o-2", "decided": "sent", "text": "About: your order 2"},
        {"message_id": "o-4", "decided": "review"},
        {"message_id": "o-5", "decided": "sent", "text": "Yes"},
        {"message_id": "o-9", "decided": "failed"},
    ]) == 5  # fmt: skip
    found = {one.message_id: one for one in await client.compare("desk")}
    assert {id: (one.comparison, one.ours, one.theirs) for id, one in found.items()} == {
        "o-1": ("same", "sent", "sent"),
        "o-2": ("different", "sent", "sent"),
        "o-3": ("alone", "sent", None),
        "o-4": ("same", "review", "review"),
        "o-5": ("different", "withheld", "sent"),
        "o-9": ("missing", None, "failed"),
    }
    assert (found["o-2"].text, found["o-2"].their_text) == ("About: order 2", "About: your order 2")
    assert found["o-2"].difference == "About: [-your-] order 2"
    assert found["o-1"].difference == ""
    assert found["o-1"].run_id is not None
    assert await client.count_compared("desk") == {"same": 2, "different": 2, "missing": 1, "alone": 1}
    assert await client.count_compared("other") == {"same": 0, "different": 0, "missing": 0, "alone": 0}
    # In pages, and only those that are asked for.
    pages, before = [], None
    while part := await client.compare("desk", limit=2, before=before):
        pages += part
        before = part[-1].id
    assert [one.message_id for one in pages] == [one.message_id for one in await client.compare("desk")]
    assert {one.message_id for one in await client.compare("desk", which="different")} == {"o-2", "o-5"}
    # Of one message the last that is told counts; told again in the same words it changes nothing.
    assert await client.record_outcomes("desk", [hf.PathOutcome("o-1", "sent", "About:  order 1\n")]) == 0
    assert await client.record_outcomes("desk", [hf.PathOutcome("o-1", "withheld")]) == 1
    assert (await client.count_compared("desk"))["different"] == 3
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    assert await client.compare("desk", since=later, until=later + dt.timedelta(hours=1)) == []


@slow
async def test_what_is_told_badly_is_refused(sqlite_url: str) -> None:
    async with hf.connect(sqlite_url) as client:
        for told, match in (
            ({"message_id": "a"}, "missing required field `decided`"),
            ({"message_id": "a", "decided": "guessed"}, "Invalid enum value 'guessed'"),
            ({"message_id": "a", "decided": "sent", "txt": "x"}, "has 'txt', which is unknown"),
            ({"message_id": "", "decided": "sent"}, "message_id of an outcome has 0 characters"),
            ({"message_id": "a", "decided": "sent", "at": "2026-03-01T06:30:00"}, "give an aware instant"),
            (hf.PathOutcome("a", "no"), "has decided 'no'; it is one of sent, review, withheld, failed"),  # type: ignore[arg-type]
            (hf.PathOutcome("a", "sent", "x" * 1_000_001), "more than 1,000,000 characters"),
            ("a", "an outcome is 'a'"),
        ):
            with pytest.raises(hf.UsageError, match=match):
                await client.record_outcomes("desk", [told])  # type: ignore[list-item]
        with pytest.raises(hf.PayloadError, match="NUL"):
            await client.record_outcomes("desk", [hf.PathOutcome("a", "sent", "a\0b")])
        for call in (client.compare("desk", which="other"), client.compare("desk", before="x")):  # type: ignore[arg-type]
            with pytest.raises(hf.UsageError):
                await call
        naive = dt.datetime(2026, 1, 1)
        with pytest.raises(hf.UsageError, match=r"since is .* give an aware instant"):
            await client.cutover_criteria("desk", since=naive)


async def _criteria(client: hf.Client) -> dict[str, hf.Criterion]:
    report = await client.cutover_criteria("desk")
    found = {one.name: one for one in report.criteria}
    assert report.ready is all(one.ok for one in report.criteria)
    assert list(found) == ["durable_records", "stage_records", "automatic", "escalation_safety", "human_review"]
    return found


@slow
async def test_without_entries_nothing_can_be_said(sqlite_url: str) -> None:
    async with hf.connect(sqlite_url) as client:
        found = await _criteria(client)
        assert not any(one.ok for one in found.values())
        assert {one.text for one in found.values()} == {"nothing came in, so that nothing can be said"}


@slow
async def test_without_a_word_of_the_other_path_nobody_can_say_that_we_are_as_careful(client: hf.Client) -> None:
    found = await _criteria(client)
    assert [one.name for one in found.values() if not one.ok] == ["escalation_safety"]
    assert "the other path has told of none" in found["escalation_safety"].text


async def lose_a_run(client: hf.Client) -> None:
    """A run is gone that an entry became."""
    deleted, _ = await client.core.store.prune([("", "succeeded", 0)], b"", 1)
    assert deleted == 1


async def start_by_hand(client: hf.Client) -> None:
    """Somebody starts a run that no source made."""
    message = hf.Incoming("", "o-77", "", "by hand", dt.datetime.now(dt.UTC), "application/json", data={"text": "x"})
    await (await client.start(desk, message)).result("20s")


async def let_them_be_careful(client: hf.Client) -> None:
    """The other path gave to a person what we would have sent."""
    await client.record_outcomes("desk", [hf.PathOutcome("o-1", "review")])


@slow
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("durable_records", lose_a_run),
        ("automatic", start_by_hand),
        ("escalation_safety", let_them_be_careful),
    ],
)
async def test_a_criterion_holds_until_its_fault_is_there(
    client: hf.Client, name: str, fault: Callable[[hf.Client], Awaitable[None]]
) -> None:
    await client.record_outcomes("desk", [hf.PathOutcome("o-2", "sent")])
    before = await _criteria(client)
    assert before[name].ok
    assert before[name].figure == 0
    await fault(client)
    after = await _criteria(client)
    assert {one.name for one in after.values() if not one.ok} == {name}
    assert after[name].figure == 1


@slow
async def test_a_run_without_steps_has_no_records_of_its_stages(disk_url: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    append(tmp_path, orders(1))
    async with serving(disk_url, desk, intake=path) as client:
        await until(lambda: _ended(client, 1))
        assert (await _criteria(client))["stage_records"].ok
    append(tmp_path, orders(2))
    async with serving(disk_url, stageless, intake=path) as client:
        await until(lambda: _ended(client, 2))
        found = (await _criteria(client))["stage_records"]
        assert (found.ok, found.figure) == (False, 1)


@slow
async def test_a_message_that_nobody_sends_is_not_automatic(
    disk_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(tmp_path, orders(1))
    async with serving(disk_url, desk, intake=write(tmp_path)) as client:
        await until(lambda: _ended(client, 1))
        assert (await _criteria(client))["automatic"].ok
        monkeypatch.setattr("holdfast.engine.shadowing.UNSENT_US", 0)
        await asyncio.sleep(0.001)
        found = (await _criteria(client))["automatic"]
        assert (found.ok, found.figure) == (False, 1)
        assert found.text == "0 runs were made by hand, and 1 messages are dead or wait too long"
        await client.discard_message("reply/o-1", "not wanted")
        assert (await _criteria(client))["automatic"].ok


@slow
async def test_what_is_sent_unseen_though_a_person_had_to_look_is_told(disk_url: str, tmp_path: Path) -> None:
    append(tmp_path, [{"id": "o-1", "text": "delicate"}])
    async with serving(disk_url, desk, intake=write(tmp_path)) as client:
        await until(lambda: _ended(client, 1))
        assert (await _criteria(client))["human_review"].ok
        # No dispatcher of ours does that: it takes the message, and says that it has sent it.
        store, now = client.core.store, client.core.now_us()
        [worker] = await store.list_workers()
        [message] = await store.outbox.claim(ClaimMessages(worker.id, b"c" * 16, "replies", 1, False))
        settlement = Settlement(message.uid, b"c" * 16, "sent", "", None, False, now, now)
        assert await store.outbox.settle([settlement]) == [True]
        found = await _criteria(client)
        assert {one.name for one in found.values() if not one.ok} == {"human_review", "escalation_safety"}


def test_a_difference_shows_what_was_left_out_and_put_in() -> None:
    theirs = (
        "Dear Ann, your order was sent on Monday and will be there, if nothing comes between, early on Friday. Yours"
    )
    ours = "Dear Ann, your order is on its way and will be there, if nothing comes between, early on Friday. The desk"
    assert word_difference(theirs, ours) == (
        "Dear Ann, your order [-was sent-] {+is+} on [-Monday-] {+its way+} and will be there, if … "
        "comes between, early on Friday. [-Yours-] {+The desk+}"
    )
    assert word_difference("a  b\n", "a b") == ""
    assert word_difference("", "a b") == "{+a b+}"
    assert word_difference("a b", "") == "[-a b-]"


def test_a_difference_of_long_texts_is_cut_off() -> None:
    long = " ".join(map(str, range(MOST_WORDS + 5)))
    assert word_difference(long, f"x {long}").startswith("{+x+} 0 1 2 3 4 …")
    assert word_difference(long, f"x {long}").endswith(f"(compared up to {MOST_WORDS:,} words)")
    assert word_difference(long, f"{long} x") == f"… (compared up to {MOST_WORDS:,} words)"


def test_texts_of_few_words_do_not_take_minutes() -> None:
    for _ in range(20):
        assert word_difference("a " * 2000, "a b " * 1000)
