"""What the databases have in common in keeping entries: what may be kept, what a call comes to, how pages follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec

from holdfast.errors import UsageError
from holdfast.model.payload import HEADER
from holdfast.model.publishing import SHADOW, PublishPath
from holdfast.store.base import Rejected
from holdfast.store.checks import MOST_CHARACTERS, check_keys, check_texts
from holdfast.store.intake_rows import (
    ENTRIES_AT_ONCE,
    ComparedRow,
    EntryFilter,
    EntryOutcome,
    NewEntry,
    OutcomeRow,
    SettleEntry,
    TakeIn,
)
from holdfast.store.operations import Refusal, Start, Started

NEWEST = b"\xff" * 17
"""Above every uid."""

_MARK = SHADOW.encode()
_LAST_MS = (1 << 48) - 1
_LAST_US = (1 << 63) - 1

Cursor = tuple[int, bytes, int, str]
"""Of a page of compared messages: what comes after it of the entries, and of the outcomes that have no entry."""


def check_take_in(asked: TakeIn) -> None:
    """See that a call can be stored.

    Raises:
        UsageError: it has too many entries, or takes in a run or a message of another tenant.
        Rejected: a text cannot be stored.
    """
    if len(asked.entries) > ENTRIES_AT_ONCE:
        raise UsageError(f"{len(asked.entries):,} entries are more than the {ENTRIES_AT_ONCE:,} that are taken at once")
    check_keys(asked.tenant, asked.source)
    for entry in asked.entries:
        check_texts(entry.message_id, entry.place, entry.reason)
        if (entry.start is None) is (entry.outcome == "run"):
            raise UsageError(f"{entry.place}: an entry is a run, or has none; this one is {entry.outcome}")
        _check_start(asked.tenant, entry.start, entry.place)
        if any(message.tenant != asked.tenant for message in entry.messages):
            raise UsageError(f"{entry.place}: its messages are not all of the tenant {asked.tenant!r}")


def check_settle(asked: SettleEntry) -> None:
    """See that an entry can be settled so.

    Raises:
        UsageError: its run, or the record of it, is another tenant's.
        Rejected: a text cannot be stored.
    """
    check_texts(asked.reason, asked.by)
    _check_start(asked.tenant, asked.start, "a dead entry")
    if asked.audit.tenant != asked.tenant:
        raise UsageError(f"a change of the tenant {asked.tenant!r} is recorded as one of {asked.audit.tenant!r}")


def _check_start(tenant: str, start: Start | None, place: str) -> None:
    if start is None:
        return
    check_keys(start.id)
    if start.tenant != tenant:
        raise UsageError(f"{place}: its run is of the tenant {start.tenant!r}, and not of {tenant!r}")


def path_of(start: Start | None) -> PublishPath | None:
    """On which path a run works, as its attributes say; None for no run."""
    if start is None:
        return None
    # Nearly always a look is enough.
    if not start.attributes or _MARK not in start.attributes:
        return "primary"
    return "shadow" if msgspec.json.decode(start.attributes[len(HEADER) :]).get(SHADOW) is True else "primary"


def found_by(message_id: str) -> str:
    """A message id as it is stored: of a long one the beginning, since it is found by it."""
    return message_id[:MOST_CHARACTERS]


def first_of_keys(entries: Sequence[NewEntry]) -> list[NewEntry]:
    """Of each key the first entry."""
    first: dict[bytes, NewEntry] = {}
    for entry in entries:
        first.setdefault(entry.key, entry)
    return list(first.values())


def entry_row(asked: TakeIn, workflow: str, entry: NewEntry) -> tuple[Any, ...]:
    """An entry as it is stored, in the order of the table's columns."""
    run_id = None if entry.start is None else entry.start.id
    return (
        entry.uid, asked.tenant, asked.source, entry.key, workflow, found_by(entry.message_id), entry.place,
        entry.outcome, entry.reason, run_id, path_of(entry.start), entry.content, None, asked.at,
    )  # fmt: skip


def outcomes_of(entries: Sequence[NewEntry], new: Collection[bytes]) -> tuple[EntryOutcome, ...]:
    """What became of entries.

    Args:
        new: the uids of those that were not known.
    """
    return tuple(entry.outcome if entry.uid in new else "repeated" for entry in entries)


class DivertedEntry(NamedTuple):
    """An entry whose start made no run of its own, as it stands then."""

    tenant: str
    uid: bytes
    outcome: EntryOutcome
    reason: str
    run_id: str | None


def diverted(tenant: str, uids: Sequence[bytes], results: Sequence[Started | Refusal]) -> list[DivertedEntry]:
    """Entries whose starts made no run of their own.

    Args:
        uids: of those with a start, in the order of the results.
        results: what became of their starts.
    """
    return [
        DivertedEntry(tenant, uid, "run", found.reason, found.run_id)
        if found.way == "merged"
        else DivertedEntry(tenant, uid, "filtered", found.reason, None)
        for uid, found in zip(uids, results, strict=True)
        if not isinstance(found, str) and found.way in ("merged", "dropped")
    ]


def without_dropped(entries: Sequence[NewEntry], changed: Sequence[DivertedEntry]) -> Sequence[NewEntry]:
    """Entries as they ended, after what became of some of their starts."""
    dropped = {one.uid for one in changed if one.outcome == "filtered"}
    return [one._replace(outcome="filtered", start=None) if one.uid in dropped else one for one in entries]


def counts_of(outcomes: Sequence[EntryOutcome]) -> tuple[int, int, int, int]:
    """How many became runs, were filtered, were known, and are dead."""
    counted = Counter(outcomes)
    return counted["run"], counted["filtered"], counted["repeated"], counted["dead"]


def list_name(which: EntryFilter) -> str | None:
    """The condition, among those of intake.sql, whose index finds entries best; None for that of the tenant's."""
    if which.run_id is not None:
        return "and_run"
    if which.message_id is not None:
        return "and_message"
    if which.outcome == "dead":
        return "and_dead"
    return None if which.source is None else "and_source"


def last_outcomes(rows: Sequence[OutcomeRow]) -> list[OutcomeRow]:
    """Of each message the last outcome.

    Raises:
        Rejected: a text cannot be stored, or one is of no message.
    """
    last = {}
    for row in rows:
        check_keys(row.tenant, row.workflow)
        check_texts(row.message_id, row.text)
        if not row.message_id:
            raise Rejected("an outcome needs the id of its message")
        row = row._replace(message_id=found_by(row.message_id))
        last[row.tenant, row.workflow, row.message_id] = row
    return [last[key] for key in sorted(last)]


def compared_rows(found: Sequence[Sequence[Any]]) -> list[tuple[bytes, ComparedRow]]:
    """Compared messages as they are found, each with what a page is asked with that begins below it."""
    rows = []
    for _, at, uid, message_id, comparison, ours, theirs, run_id, body, their_text in found:
        # Those without an entry come below the others of an instant.
        place = b"e" + uid if uid is not None else b"o" + message_id.encode()
        row = ComparedRow(message_id, comparison, ours, theirs, run_id, body, their_text, at)
        rows.append((at.to_bytes(8, "big", signed=True) + place, row))
    return rows


def read_cursor(before: bytes | None, until: int) -> Cursor:
    """Below what entries, and outcomes without one, a page begins.

    Raises:
        UsageError: it is no cursor.
    """
    if before is None:
        return until, b"", until, ""
    at, kind, rest = int.from_bytes(before[:8], "big", signed=True), before[8:9], before[9:]
    try:
        if kind == b"e" and at < _LAST_US:
            return at, rest, at + 1, ""
        if kind == b"o" and b"\0" not in rest:
            return at, b"", at, rest.decode()
    except ValueError:
        pass
    raise UsageError("that is not where a page of compared messages begins: give what a page gave")


def uid_bounds(since: int, until: int) -> tuple[bytes, bytes]:
    """From which uid on, and to before which one, those are that were made in a time."""
    first, last = (max(0, min(at // 1000, _LAST_MS)) for at in (since, until))
    return first.to_bytes(6, "big"), min(last + 1, _LAST_MS).to_bytes(6, "big")
