"""What the work queue gives: items, their history, subjects, definitions, figures. Instants are aware UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from holdfast.model.work import NextStep


@dataclass(frozen=True, slots=True)
class ScoreView:
    """A score of a subject.

    Attributes:
        score: 0 to 10 in the preset.
        inputs: what it was made from, by name.
        at: when it was computed.
    """

    score: float
    inputs: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class SubjectView:
    """Whom work is about.

    Attributes:
        assignee: who looks after it; None for nobody.
        properties: plain JSON.
        contacts: objects, such as ``{"name": …, "relationship_strength": "weak"}``.
        weak: how many of the contacts are weak.
        signals: the latest value of each signal.
        signals_at: since when.
        scores: opportunity, risk, and those of other policies.
        revision: rises with each change; signals and scores do not change it.
    """

    id: str
    name: str
    assignee: str | None
    properties: dict[str, Any]
    contacts: list[dict[str, Any]]
    weak: int
    signals: dict[str, float]
    signals_at: dict[str, datetime]
    scores: dict[str, ScoreView]
    demo: bool
    created_at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class SignalView:
    """A measured fact about a subject."""

    subject: str
    name: str
    at: datetime
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class SignalChange:
    """How a signal changed over a period.

    Attributes:
        since: the beginning of the period.
        before: what it was then; None if nothing was sent until then.
        now: the latest value; None if nothing was ever sent.
        difference: ``now - before``; None if either is missing.
        percent: the difference in percent of ``before``; None if either is missing or ``before`` is 0.
    """

    subject: str
    name: str
    since: datetime
    before: float | None
    now: float | None
    difference: float | None
    percent: float | None


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that was not stored.

    Attributes:
        line: its number in the text, or its place among the rows, from 1.
        reason: what is wrong with it, and what to write instead.
    """

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of many rows.

    Attributes:
        stored: how many were stored.
        refused: how many were not.
        faults: why; the first 1,000.
    """

    stored: int
    refused: int
    faults: list[RowFault]


@dataclass(frozen=True, slots=True)
class DefinitionView:
    """A version of a kind of work.

    Attributes:
        type: opportunity, risk, strategic, renewal or custom.
        weight: the base of the score.
        rule: when items are made of it, in CEL; None for never.
        position: its place in the demo sequence.
        document: all that it says, as it may be given again.
    """

    id: str
    version: int
    name: str
    type: str
    description: str
    weight: int
    rule: str | None
    active: bool
    demo: bool
    position: int | None
    document: dict[str, Any]
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a definition would make today.

    Attributes:
        subjects: how many subjects were looked at.
        matches: how many of them its rule holds for.
        taken: how many of these have an open item of it, or had one that was skipped a short while ago.
        makes: how many items it would make.
        examples: ids of subjects that would get one, at most ten.
        failed: for how many subjects the rule could not be told.
        notes: what to know, such as a signal that nobody sends.
    """

    definition: str | None
    subjects: int
    matches: int
    taken: int
    makes: int
    examples: list[str]
    failed: int
    notes: list[str]


@dataclass(frozen=True, slots=True)
class SettingsView:
    """How a tenant's work queue is set up.

    Attributes:
        zone: the time zone of its days; daily work is done there at 06:00.
        country: whose holidays count, as ISO 3166 says it; None for none.
        preset: the name of the policy that was taken as it is; None for one of its own.
        policy: scores and priorities, as a document.
        revision: 0 where nothing was ever set.
    """

    zone: str
    country: str | None
    preset: str | None
    policy: dict[str, Any]
    revision: int


@dataclass(frozen=True, slots=True)
class TimerView:
    """A clock of an item.

    Attributes:
        left_seconds: what is left now; below 0 once it has run out.
        running: whether it runs now.
        runs_out_at: when, if nothing stops it; None while it stands still or counts no more.
        met_at: when what it measures happened.
        missed_at: when it was noticed that it had run out.
    """

    left_seconds: float
    running: bool
    runs_out_at: datetime | None
    met_at: datetime | None
    missed_at: datetime | None


@dataclass(frozen=True, slots=True)
class StepView:
    """A page of an item's task.

    Attributes:
        form: the JSON Schema of what is to be filled in there; None for nothing.
        done: whether the item's data has something under its id.
        data: what: what was filled in there.
    """

    id: str
    title: str
    text: str
    form: dict[str, Any] | None
    done: bool
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ItemView:
    """A piece of work for a person.

    Attributes:
        kind: work, ask (a run waits for it) or hold (a run is held until it is done).
        priority: its score now; of an item that has ended, the last one.
        label: the score in a word: Critical, High, Medium or Low.
        moves: the statuses that it may get now.
        definition: the id of what it was made of; None for one of its own.
        subject: the id of whom it is about.
        group: the people any of whom may claim it.
        claimed_until: until when the assignee holds it from the group.
        escalated_to: who was asked to look as well. The assignee stays.
        acknowledge_by: until when they have to say that they saw it; None when they did, or need not.
        snooze_days: for how many days it was snoozed, if it was for days.
        snooze_event: the event, name and key, that ends the snooze before its time.
        returns_at: when it is in the queue again.
        overdue: whether its due instant has passed and it is open.
        blocked: whether it waits for other items or runs.
        form: the JSON Schema of its data; None for anything.
        steps: the pages of its task.
        next_steps: what its data says is to be done after it.
        timers: its service levels, by name: start, complete.
        data: what was filled in, plain JSON.
        run: the run that waits for it or is held.
        workflow_id: what a program calls the work.
        position: its place in the demo sequence.
        about: its subject as it is now; None where there is none.
        made_of: its definition as it is now; None where there is none.
    """

    id: str
    kind: str
    title: str
    text: str
    type: str
    status: str
    priority: int
    label: str
    moves: list[str]
    definition: str | None
    definition_version: int | None
    weight: int
    subject: str | None
    assignee: str | None
    group: str | None
    claimed_until: datetime | None
    escalated_to: str | None
    escalated_at: datetime | None
    acknowledge_by: datetime | None
    snooze_until: datetime | None
    snooze_days: int | None
    snoozed_at: datetime | None
    snooze_event: tuple[str, str] | None
    returns_at: datetime | None
    due_at: datetime | None
    overdue: bool
    blocked: bool
    started_at: datetime | None
    completed_at: datetime | None
    skipped_at: datetime | None
    skip_reason: str | None
    form: dict[str, Any] | None
    steps: list[StepView]
    next_steps: list[NextStep]
    timers: dict[str, TimerView]
    data: dict[str, Any]
    run: str | None
    workflow_id: str | None
    demo: bool
    position: int | None
    created_at: datetime
    revision: int
    about: SubjectView | None = field(default=None, repr=False)
    made_of: DefinitionView | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ItemCount:
    """How many items there are.

    Attributes:
        items: counted up to a cap.
        capped: whether counting stopped there, and there may be more.
    """

    items: int
    capped: bool


@dataclass(frozen=True, slots=True)
class ItemEventView:
    """A change of an item.

    Attributes:
        revision: the item's after it.
        actor: who made it; ``holdfast`` for what becomes of an item by itself.
        move: create, start, stop, complete, snooze, wake, skip, reject, escalate, acknowledge, assign, claim, release,
            save, block, unblock, overdue, late (one of its clocks ran out), unseen (nobody acknowledged it), close (it
            is not needed any more), look (nothing was to be done), undo.
        status: the item's after it.
        changes: each field of the item that changed, with its new value.
        reason: why, where the move has one.
        age_seconds: how old the item was.
        batch: the id of the bulk operation that it belongs to.
    """

    revision: int
    at: datetime
    actor: str
    move: str
    status: str
    changes: dict[str, Any]
    reason: str | None
    age_seconds: float
    batch: str | None


@dataclass(frozen=True, slots=True)
class PartView:
    """A part of a sum."""

    label: str
    points: float


@dataclass(frozen=True, slots=True)
class LinkView:
    """What an item waits for: another item, or a run.

    Attributes:
        item: the id of the one that waits.
        on_item: the id of the item, or None.
        on_run: the id of the run, or None.
        done_at: when that ended; None while it has not.
    """

    item: str
    on_item: str | None
    on_run: str | None
    created_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class LinksView:
    """What an item waits for, and what waits for it."""

    waits_for: list[LinkView]
    waited_for_by: list[LinkView]


@dataclass(frozen=True, slots=True)
class ExplainView:
    """Why an item has its score, and why it is or is not in a queue.

    Attributes:
        priority: its score.
        label: the score in a word.
        parts: what the score is the sum of.
        in_queue: whether its assignee sees it in the queue now.
        because: in a sentence, why it does or does not.
        waits_for: what it waits for that has not ended.
    """

    id: str
    priority: int
    label: str
    parts: list[PartView]
    in_queue: bool
    because: str
    waits_for: list[LinkView]


@dataclass(frozen=True, slots=True)
class ItemsPreview:
    """What a bulk operation would do: nothing was changed.

    Attributes:
        action: snooze, assign, skip, complete, escalate, wake…
        items: how many are found.
        possible: how many of them the action is possible for.
        outcomes: by the id of an item, ``"done"`` for one that it is possible for, or why not; the first 1,000.
        capped: whether there are more than were looked at.
    """

    action: str
    items: int
    possible: int
    outcomes: dict[str, str]
    capped: bool


@dataclass(frozen=True, slots=True)
class ItemsOutcome:
    """What a bulk operation did.

    Attributes:
        id: by which it can be undone.
        action: what it did.
        items: how many it was asked of.
        done: to how many it did it.
        refused: how many did not let it.
        outcomes: by the id of an item, ``"done"`` or why not; the first 1,000.
        run: the run that goes on with it, if there are many; its result is one of these.
    """

    id: str
    action: str
    items: int
    done: int
    refused: int
    outcomes: dict[str, str]
    run: str | None = None


@dataclass(frozen=True, slots=True)
class LoadView:
    """The open items of an assignee.

    Attributes:
        assignee: None for nobody's.
        items: how many, those underway and overdue included.
        effort_seconds: how long they take, as measured by what was completed of their definitions.
        capacity: how many the assignee takes on at once; None for any number.
        away: whether they are out of office now.
    """

    assignee: str | None
    items: int
    underway: int
    overdue: int
    effort_seconds: float
    capacity: int | None = None
    away: bool = False


@dataclass(frozen=True, slots=True)
class PlannedMove:
    """An item that is to go from one assignee to another. ``revision``: the item's, so that only that one is moved."""

    item: str
    title: str
    assignee: str | None
    to: str
    effort_seconds: float
    revision: int


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan that balances the load.

    Attributes:
        moves: what it would do.
        before: the loads as they are.
        after: the loads as they would be.
        unplaced: ids of items for which nobody has room.
        made_at: when it was made.
    """

    moves: list[PlannedMove]
    before: list[LoadView]
    after: list[LoadView]
    unplaced: list[str]
    made_at: datetime


@dataclass(frozen=True, slots=True)
class SpreadView:
    """Times in seconds: at half of them, and at nine tenths; None where there are none."""

    median_seconds: float | None
    p90_seconds: float | None


@dataclass(frozen=True, slots=True)
class FigureGroup:
    """What was done with the items of a definition, by an assignee, or over all.

    Attributes:
        group: the definition or the assignee; None for those without one, and over all.
        completion_rate: completed among those completed or skipped, 0 to 1; None if there are none.
        to_start: how old items were when they were started.
        to_complete: how old they were when they were completed.
        skips: how often items were skipped, by reason.
    """

    group: str | None
    created: int
    started: int
    completed: int
    skipped: int
    snoozed: int
    escalated: int
    completion_rate: float | None
    to_start: SpreadView
    to_complete: SpreadView
    skips: dict[str, int]


@dataclass(frozen=True, slots=True)
class FiguresView:
    """What was done in a stretch of time, ``since`` included and ``until`` not.

    Attributes:
        by: definition, assignee or None.
        groups: by group, those with the most created first; empty if ``by`` is None.
        total: over all.
    """

    since: datetime
    until: datetime
    by: str | None
    groups: list[FigureGroup]
    total: FigureGroup


@dataclass(frozen=True, slots=True)
class DemoStarted:
    """The items of the demo sequence, in order. ``created``: whether this call made any of them."""

    items: list[str]
    created: bool


@dataclass(frozen=True, slots=True)
class DemoStatus:
    """How far the demo sequence is.

    Attributes:
        completed: how many of its items are completed; skipped ones are not.
        current: the first that is underway.
        next: the first that is not started.
    """

    total: int
    completed: int
    current: ItemView | None
    next: ItemView | None


@dataclass(frozen=True, slots=True)
class DailyView:
    """What the daily work did.

    Attributes:
        day: the day of the tenant's that it is of, ISO.
        scored: how many subjects got scores.
        created: how many items were made.
        recomputed: how many open items got their priority anew.
    """

    day: str
    scored: int
    created: int
    recomputed: int
