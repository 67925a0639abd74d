"""Rows of the work queue as a store gives and takes them: subjects, signals, definitions, items and their history.

Instants are microseconds since 1970, UTC. Documents are JSON of ours, UTF-8.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from holdfast.store.operations import Event


class SubjectRow(NamedTuple):
    """Whom work is about.

    Attributes:
        assignee: who looks after it; their items go to this person unless a definition says otherwise.
        properties: an object of plain JSON.
        contacts: a list of objects, such as ``{"name": …, "relationship_strength": "weak"}``.
        weak: how many contacts are weak.
        signals: the latest value of each signal, ``{name: number}``.
        signals_at: since when, ``{name: instant}``.
        scores: ``{name: {"score": number, "inputs": {…}, "at": instant}}``.
    """

    tenant: str
    id: str
    name: str
    assignee: str | None
    properties: bytes
    contacts: bytes
    weak: int
    signals: bytes
    signals_at: bytes
    scores: bytes
    demo: bool
    created_at: int
    revision: int


class SignalRow(NamedTuple):
    """A measured fact about a subject; one of the same subject, name and time replaces it."""

    tenant: str
    subject: str
    name: str
    at: int
    value: float
    source: str


class DefinitionRow(NamedTuple):
    """A version of a kind of work. The newest version is the one that counts.

    Attributes:
        type: opportunity, risk, strategic, renewal or custom.
        weight: the base of the score.
        position: its place in the demo sequence.
        document: see ``holdfast.model.work``.
    """

    tenant: str
    id: str
    version: int
    name: str
    type: str
    weight: int
    active: bool
    demo: bool
    position: int | None
    document: bytes
    created_by: str
    created_at: int


class ItemRow(NamedTuple):
    """A piece of work for a person.

    Attributes:
        uid: 16 bytes that sort by time.
        id: what people and programs call it; opaque text, unique within the tenant.
        kind: work, ask (a run waits for it) or hold (a run is held until it is done).
        definition: None for an item of its own.
        type: as of a definition.
        weight: the base of the score where there is no definition.
        subject: None for none.
        pool: a group of people, any of whom may claim it; None for none.
        claimed_until: until when the assignee holds it from the pool.
        escalated_to: who was asked to look as well. The assignee stays.
        acknowledge_by: until when they have to say that they saw it; None when they did, or need not.
        priority: as it was when it was last computed; a read computes it anew.
        returns_at: when a snoozed item is in the queue again.
        due_at: by when it is to be done.
        act_at: when something becomes of it without anybody: it is overdue, a claim ends, an escalation is not seen.
        blocked: whether it waits for other items or runs.
        document: more of it, see ``holdfast.model.work``: title, steps, form, timers, snooze_event, levels climbed.
        data: what was filled in, an object of plain JSON.
        run: the run that waits for it or is held, its id.
        revision: rises with each change; the number of its newest event.
    """

    tenant: str
    uid: bytes
    id: str
    kind: str
    definition: str | None
    definition_version: int | None
    type: str
    weight: int
    title: str
    subject: str | None
    assignee: str | None
    pool: str | None
    claimed_until: int | None
    escalated_to: str | None
    escalated_at: int | None
    acknowledge_by: int | None
    status: str
    priority: int
    snooze_until: int | None
    snooze_days: int | None
    snoozed_at: int | None
    returns_at: int | None
    due_at: int | None
    act_at: int | None
    blocked: bool
    started_at: int | None
    completed_at: int | None
    skipped_at: int | None
    skip_reason: str | None
    document: bytes
    data: bytes
    run: str | None
    demo: bool
    position: int | None
    created_at: int
    revision: int


class ItemEventRow(NamedTuple):
    """A change of an item; all of them from the first on make the item.

    Attributes:
        revision: the item's after the change.
        move: what was done: create, start, stop, complete, snooze, wake, skip, escalate, acknowledge, assign, claim,
            release, save, block, unblock, overdue, undo…
        status: the item's after the change.
        changes: ``{field: value}`` of every field of the item that changed, as JSON.
        reason: why, where the move has one.
        definition, assignee: the item's after the change.
        since_us: how long ago the item was created.
        batch: of a bulk operation, 16 bytes.
    """

    tenant: str
    item: bytes
    revision: int
    at: int
    actor: str
    move: str
    status: str
    changes: bytes
    reason: str | None
    definition: str | None
    assignee: str | None
    since_us: int
    batch: bytes | None
    demo: bool


class Claimed(NamedTuple):
    """What an item does with the place of its definition and subject, of which there is one: nobody else's open item
    has it, nor one that was skipped a short while ago.

    Attributes:
        until: None: it has the place while it is open; an instant: the place stays taken until then.
    """

    until: int | None


class ItemChange(NamedTuple):
    """An item as it is to be, and the event that says so. Written together or not at all.

    Attributes:
        row: its revision is one above the stored one's; 1 for a new item.
        event: of the same revision.
        place: what becomes of its place; None: it has none. A new item that finds it taken is not made.
        ended: whether it ended, so that what waits for it is looked at again, and its place is free (see ``place``).
        tells: sent with the change.
    """

    row: ItemRow
    event: ItemEventRow
    place: Claimed | None = None
    ended: bool = False
    tells: tuple[Event, ...] = ()


ItemOutcome = Literal["done", "changed", "taken", "exists"]
"""done; changed: somebody else changed it meanwhile; taken: its place is; exists: another item has the id."""


class LinkRow(NamedTuple):
    """An item waits for another item, or for a run.

    Attributes:
        item: the one that waits.
        on_item: the uid of the item, or None.
        on_run: the id of the run, or None.
        done_at: when what it waited for ended; None while it has not.
    """

    tenant: str
    item: bytes
    on_item: bytes | None
    on_run: str | None
    created_at: int
    done_at: int | None


class QueuedRow(NamedTuple):
    """An item as the queue shows it, with what its score was made of, by the policy and the clock of the read."""

    item: ItemRow
    priority: int
    subject: SubjectRow | None
    definition: DefinitionRow | None


class SettingsRow(NamedTuple):
    """How a tenant's work queue is set up. ``document``: see ``holdfast.workqueue.settings``."""

    tenant: str
    document: bytes
    revision: int


class FigureRow(NamedTuple):
    """How often a move was made: by definition, by assignee, or over all, in a stretch of time.

    Attributes:
        group: the definition or the assignee; None where the items have none, or over all.
        move: what was done.
        reason: for skips, else None.
        moves: how often.
        median_us, p90_us: how old the items were then, at half of these and at nine tenths.
    """

    group: str | None
    move: str
    reason: str | None
    moves: int
    median_us: int | None
    p90_us: int | None


class LoadRow(NamedTuple):
    """The open items of an assignee. ``effort_us``: the median time from start to completion of their definitions,
    summed over the items; a definition that was never completed counts as the tenant's median, else as an hour."""

    assignee: str | None
    items: int
    underway: int
    overdue: int
    effort_us: int
