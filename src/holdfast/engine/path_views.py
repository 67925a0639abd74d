"""What two paths made of messages, as clients tell and show it, and the criteria of a cut-over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import msgspec

from holdfast.engine.intake_views import asked_at
from holdfast.errors import PayloadError, UsageError
from holdfast.model.differing import word_difference
from holdfast.model.ids import check_id
from holdfast.model.payload import codec_of
from holdfast.model.publishing import plain_text, text_digest
from holdfast.model.run import instant
from holdfast.store.base import Rejected
from holdfast.store.checks import check_texts
from holdfast.store.intake_rows import ComparedRow, Comparison, CriteriaRow, Decided, OutcomeRow

DECIDED: tuple[Decided, ...] = get_args(Decided)
COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)

TEXT_CHARACTERS = 1_000_000

_ANY = codec_of(Any)


@dataclass(frozen=True, slots=True)
class PathOutcome:
    """What another path made of a message.

    Attributes:
        message_id: of the message, as the source has it.
        decided: ``sent``: it was answered; ``review``: it was given to a person; ``withheld``: it was not answered, on
            purpose; ``failed``: it was not dealt with.
        text: what it was answered; empty for nothing.
        at: when; now unless given.
    """

    message_id: str
    decided: Decided
    text: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ComparedView:
    """What the two paths made of a message.

    Attributes:
        id: by which the list goes on.
        message_id: of the message.
        comparison: ``same``: decided alike, and answered in the same words; ``different``: not so; ``missing``: ours
            has nothing; ``alone``: the other has told nothing yet.
        ours: what became of it here; None while our run has not ended, or where there is none.
        theirs: what became of it on the other path; None where that has told nothing.
        run_id: our run; None where there is none.
        text: what we answered, or would have; None for nothing.
        their_text: what the other path answered; empty for nothing.
        difference: of the two texts, word by word: ``[-theirs-]`` and ``{+ours+}``; empty for none.
        at: when it came in.
    """

    id: str
    message_id: str
    comparison: Comparison
    ours: Decided | None
    theirs: Decided | None
    run_id: str | None
    text: str | None
    their_text: str
    difference: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Criterion:
    """Something that has to hold before a cut-over.

    Attributes:
        name: of it.
        ok: whether it holds; never where nothing came in, nor of carefulness where nothing was compared.
        figure: in how many cases it does not hold.
        text: what that says, in words.
    """

    name: str
    ok: bool
    figure: int
    text: str


@dataclass(frozen=True, slots=True)
class CutoverReport:
    """Whether a workflow can be cut over.

    Attributes:
        workflow: which.
        since: what came in from then on was looked at.
        until: and before then.
        entries: so many entries became runs.
        ready: whether every criterion holds.
        criteria: ``durable_records``, ``stage_records``, ``automatic``, ``escalation_safety``, ``human_review``.
    """

    workflow: str
    since: datetime
    until: datetime
    entries: int
    ready: bool
    criteria: list[Criterion]


def compared_id(id: object) -> bytes:
    """The bytes of a comparison's id.

    Raises:
        UsageError: it is none.
    """
    try:
        return bytes.fromhex(id) if isinstance(id, str) else b""
    except ValueError:
        raise UsageError(f"before is {id!r:.300}; give the id of the last of the page before") from None


def check_comparison(which: Comparison | None) -> None:
    """Refuse what is no way to compare.

    Raises:
        UsageError: it is none.
    """
    if which is not None and which not in COMPARISONS:
        raise UsageError(f"which is {which!r:.100}; it is one of {', '.join(COMPARISONS)}")


def outcome_row(tenant: str, workflow: str, given: PathOutcome | Mapping[str, Any], now_us: int) -> OutcomeRow:
    """An outcome, as stored.

    Args:
        tenant: whose.
        workflow: whose message it is here.
        given: what was told.
        now_us: when it was told.

    Raises:
        UsageError: a field is missing, unknown or out of range.
        PayloadError: the text cannot be stored.
    """
    outcome = given if isinstance(given, PathOutcome) else _outcome(given)
    message_id = check_id(outcome.message_id, "the message_id of an outcome")
    if outcome.decided not in DECIDED:
        raise UsageError(
            f"the outcome of message {message_id!r} has decided {outcome.decided!r:.100}; "
            f"it is one of {', '.join(DECIDED)}"
        )
    if not isinstance(outcome.text, str) or len(outcome.text) > TEXT_CHARACTERS:
        raise UsageError(
            f"the outcome of message {message_id!r} has a text that is none, or has more than "
            f"{TEXT_CHARACTERS:,} characters"
        )
    try:
        check_texts(outcome.text)
    except Rejected as error:
        raise PayloadError(f"the text of the outcome of message {message_id!r}", str(error)) from None
    at = asked_at(outcome.at, f"at of the outcome of message {message_id!r}")
    return OutcomeRow(
        tenant, workflow, message_id, outcome.decided, outcome.text, text_digest(outcome.text),
        now_us if at is None else at,
    )  # fmt: skip


def _outcome(given: Any) -> PathOutcome:
    if not isinstance(given, Mapping):
        raise UsageError(f"an outcome is {given!r:.300}; give an object with message_id and decided")
    fields = PathOutcome.__slots__
    unknown = [name for name in given if name not in fields]
    if unknown:
        raise UsageError(f"an outcome has {unknown[0]!r:.100}, which is unknown; there are {', '.join(fields)}")
    try:
        return msgspec.convert(dict(given), PathOutcome)
    except msgspec.ValidationError as error:
        raise UsageError(f"an outcome cannot be read: {error}") from None


def compared_view(behind: bytes, row: ComparedRow) -> ComparedView:
    """A comparison, as it is shown."""
    text = None if row.text is None else plain_text(_ANY.decode(row.text, f"the message of run {row.run_id!r}"))
    return ComparedView(
        id=behind.hex(),
        message_id=row.message_id,
        comparison=row.comparison,
        ours=row.ours,
        theirs=row.theirs,
        run_id=row.run_id,
        text=text,
        their_text=row.their_text,
        difference="" if text is None or row.theirs is None else word_difference(row.their_text, text),
        at=instant(row.at),
    )


def criteria_of(row: CriteriaRow, compared: int) -> list[Criterion]:
    """The five criteria of a cut-over, by their figures.

    Args:
        compared: of so many messages both paths have told what became of them.
    """
    found: list[tuple[str, int, str, str]] = [
        (
            "durable_records", row.without_run,
            f"each of {row.entries:,} entries has its run",
            f"{row.without_run:,} of {row.entries:,} entries have no run that is recorded",
        ),
        (
            "stage_records", row.without_stages,
            "each run that ended well recorded its steps",
            f"{row.without_stages:,} runs ended well and recorded no step",
        ),
        (
            "automatic", row.by_hand + row.unsent,
            "every run was made by a source, and no message waits",
            f"{row.by_hand:,} runs were made by hand, and {row.unsent:,} messages are dead or wait too long",
        ),
        (
            "escalation_safety", row.less_careful,
            "nothing would have been sent that the other path withheld or gave to a person",
            f"{row.less_careful:,} messages would have been sent that the other path withheld or gave to a person",
        ),
        (
            "human_review", row.unreviewed,
            "nothing that had to be reviewed was sent without a person's word",
            f"{row.unreviewed:,} messages that had to be reviewed were sent without a person's word",
        ),
    ]  # fmt: skip
    unknown = {name: "nothing came in, so that nothing can be said" for name, *_ in found if not row.entries}
    if not compared:
        unknown.setdefault("escalation_safety", "the other path has told of none of these messages")
    return [
        Criterion(name, not figure and name not in unknown, figure, bad if figure else unknown.get(name, good))
        for name, figure, good, bad in found
    ]
