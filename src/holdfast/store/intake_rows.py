"""Rows of intake as a store gives and takes them: sources and their offsets, entries, and outcomes of another path.

Instants are microseconds since 1970, UTC. Documents are JSON of ours, UTF-8.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from holdfast.model.publishing import PublishPath
from holdfast.store.operations import Audit, NewMessage, Start

ENTRIES_AT_ONCE = 1_000
"""So many entries are taken in one transaction at most."""

EntryOutcome = Literal["run", "filtered", "repeated", "dead", "discarded"]
"""It became a run; it was not for us; it was known; it could not be read; a person gave it up."""


class SourceRow(NamedTuple):
    """A source, and how far it has been read.

    Attributes:
        position: a document of the source's own, such as a file's identity and an offset; empty at the beginning.
        revision: rises with each change of the position; who takes in says which one they read from.
        runs, filtered, repeated, dead: how many entries ended so.
        state: ``reading``, ``waiting``, ``full`` (its workflow has enough to do), or ``failing``.
        note: why, in words.
        read_at: when it was looked at last.
    """

    tenant: str
    name: str
    kind: str
    workflow: str
    position: bytes
    revision: int
    runs: int
    filtered: int
    repeated: int
    dead: int
    state: str
    note: str
    read_at: int


class NewEntry(NamedTuple):
    """An entry of a source.

    Attributes:
        uid: 16 bytes that sort by time, made by the caller.
        key: 16 bytes by which it is known again, from its message id and content.
        message_id: as the sender gave it, or empty; outcomes of another path are found by it.
        place: where in the source it stands, in words, such as ``orders.jsonl:1204``.
        reason: why it is filtered or dead.
        content: its bytes, where it is dead; those of a run are the run's input.
        start: the run that it becomes; None where it becomes none.
        messages: what is published with it, such as its copy for the other path; not if it is known already.
    """

    uid: bytes
    key: bytes
    message_id: str
    place: str
    outcome: Literal["run", "filtered", "dead"]
    reason: str
    content: bytes | None
    start: Start | None
    messages: tuple[NewMessage, ...] = ()


class TakeIn(NamedTuple):
    """Take in what was read of a source: its runs, its entries and its new position, all or nothing.

    Attributes:
        revision: of the source, as it was read.
        setting: the revision of the publish setting that decided the path; None where it does not matter.
    """

    tenant: str
    source: str
    revision: int
    position: bytes
    entries: tuple[NewEntry, ...]
    setting: tuple[str, int] | None
    at: int


class TakenIn(NamedTuple):
    """What was taken in.

    Attributes:
        refused: None; ``moved``: the source is at another position by now; ``setting``: the path was changed.
        revision: of the source as the call left it; by now it may be at a later one.
        outcomes: of the entries, in their order.
    """

    refused: Literal["moved", "setting"] | None
    revision: int
    outcomes: tuple[EntryOutcome, ...]


class EntryRow(NamedTuple):
    """An entry as it is found.

    Attributes:
        content: None in lists.
        settled_by: who took in a dead one again, or discarded it.
    """

    uid: bytes
    tenant: str
    source: str
    message_id: str
    place: str
    outcome: EntryOutcome
    reason: str
    run_id: str | None
    path: PublishPath | None
    content: bytes | None
    settled_by: str | None
    at: int


class EntryFilter(NamedTuple):
    """Which entries: those that meet all that is given."""

    source: str | None = None
    outcome: EntryOutcome | None = None
    message_id: str | None = None
    run_id: str | None = None
    since: int | None = None
    until: int | None = None


class SettleEntry(NamedTuple):
    """Take in a dead entry after all, by the run of ``start``, or discard it, with the record of who did it."""

    tenant: str
    uid: bytes
    start: Start | None
    reason: str
    by: str
    at: int
    audit: Audit


Decided = Literal["sent", "review", "withheld", "failed"]
"""What became of a message: answered at once, given to a person first, not answered, or not dealt with."""


class OutcomeRow(NamedTuple):
    """What another path made of a message.

    Attributes:
        text: what it answered; empty for none.
        text_digest: see `holdfast.model.publishing.text_digest`.
    """

    tenant: str
    workflow: str
    message_id: str
    decided: Decided
    text: str
    text_digest: bytes
    at: int


Comparison = Literal["same", "different", "missing", "alone"]
"""Both paths decided alike and answered in the same words; not so; ours has nothing; the other has nothing yet."""


class ComparedRow(NamedTuple):
    """What the two paths made of a message.

    Attributes:
        ours: None while our run has not ended, or where there is none.
        theirs: None where the other path has told nothing.
        run_id: our run; None where there is none.
        text: what we would have answered, a message's body; None for nothing.
    """

    message_id: str
    comparison: Comparison
    ours: Decided | None
    theirs: Decided | None
    run_id: str | None
    text: bytes | None
    their_text: str
    at: int


class CriteriaRow(NamedTuple):
    """Figures by which a cut-over is decided, of a workflow and a time; each is 0 where all is well.

    Attributes:
        entries: how many entries there were that became runs; no figure means anything without some.
        without_run: entries whose run is not recorded.
        without_stages: runs that ended well and recorded no step.
        by_hand: runs of the workflow that no source made.
        unsent: messages that wait longer than they should, or are dead.
        less_careful: messages that the other path withheld or gave to a person, and we would have sent.
        unreviewed: messages that had to be reviewed and were sent without a person's word.
    """

    entries: int
    without_run: int
    without_stages: int
    by_hand: int
    unsent: int
    less_careful: int
    unreviewed: int
