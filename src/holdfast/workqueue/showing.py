"""Rows of the work queue as what it gives: items, their history, definitions, dependencies. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from holdfast.model.run import instant
from holdfast.model.timers import Timer
from holdfast.model.work import FINAL, allowed, decode_item, label, next_steps
from holdfast.model.work_kinds import Step, decode_definition
from holdfast.store.work_rows import DefinitionRow, ItemEventRow, ItemRow, LinkRow, QueuedRow
from holdfast.workqueue.subject_rows import subject_view
from holdfast.workqueue.views import DefinitionView, ItemEventView, ItemView, LinkView, StepView, TimerView

_INSTANTS = frozenset({
    "acknowledge_by", "claimed_until", "completed_at", "created_at", "due_at", "escalated_at", "returns_at",
    "skipped_at", "snooze_until", "snoozed_at", "started_at",
})  # fmt: skip
"""The fields of an item that are instants."""


def item_view(queued: QueuedRow, now: int) -> ItemView:
    """An item as it is at an instant."""
    row = queued.item
    document = decode_item(row.document)
    data: dict[str, Any] = msgspec.json.decode(row.data)
    ended = row.status in FINAL
    priority = row.priority if ended else queued.priority
    event = document.snooze_event
    return ItemView(
        id=row.id,
        kind=row.kind,
        title=row.title,
        text=document.text,
        type=row.type,
        status=row.status,
        priority=priority,
        label=label(priority),
        moves=allowed(row.status),
        definition=row.definition,
        definition_version=row.definition_version,
        weight=row.weight,
        subject=row.subject,
        assignee=row.assignee,
        group=row.pool,
        claimed_until=_at(row.claimed_until),
        escalated_to=row.escalated_to,
        escalated_at=_at(row.escalated_at),
        acknowledge_by=_at(row.acknowledge_by),
        snooze_until=_at(row.snooze_until),
        snooze_days=row.snooze_days,
        snoozed_at=_at(row.snoozed_at),
        snooze_event=None if event is None else (event.name, event.key),
        returns_at=_at(row.returns_at),
        due_at=_at(row.due_at),
        overdue=not ended and row.due_at is not None and row.due_at <= now,
        blocked=row.blocked,
        started_at=_at(row.started_at),
        completed_at=_at(row.completed_at),
        skipped_at=_at(row.skipped_at),
        skip_reason=row.skip_reason,
        form=document.form,
        steps=[_step_view(step, data) for step in document.steps],
        next_steps=next_steps(data),
        timers={name: _timer_view(timer, now) for name, timer in document.timers.items()},
        data=data,
        run=row.run,
        workflow_id=document.workflow_id,
        demo=row.demo,
        position=row.position,
        created_at=instant(row.created_at),
        revision=row.revision,
        about=None if queued.subject is None else subject_view(queued.subject),
        made_of=None if queued.definition is None else definition_view(queued.definition),
    )


def event_view(row: ItemEventRow) -> ItemEventView:
    """A change of an item. Instants in it are ISO texts."""
    changes: dict[str, Any] = msgspec.json.decode(row.changes)
    shown = {
        name: instant(value).isoformat() if name in _INSTANTS and isinstance(value, int) else value
        for name, value in changes.items()
        if name != "uid"
    }
    return ItemEventView(
        revision=row.revision,
        at=instant(row.at),
        actor=row.actor,
        move=row.move,
        status=row.status,
        changes=shown,
        reason=row.reason,
        age_seconds=row.since_us / 1e6,
        batch=None if row.batch is None else row.batch.hex(),
    )


def definition_view(row: DefinitionRow) -> DefinitionView:
    """A version of a definition."""
    definition = decode_definition(row.document)
    return DefinitionView(
        id=row.id,
        version=row.version,
        name=row.name,
        type=row.type,
        description=definition.description,
        weight=row.weight,
        rule=definition.rule,
        active=row.active,
        demo=row.demo,
        position=row.position,
        document=msgspec.json.decode(row.document),
        created_by=row.created_by,
        created_at=instant(row.created_at),
    )


def link_view(row: LinkRow, ids: Mapping[bytes, str]) -> LinkView:
    """What an item waits for.

    Args:
        row: the dependency.
        ids: the ids of items, by uid.
    """
    return LinkView(
        item=ids[row.item],
        on_item=None if row.on_item is None else ids.get(row.on_item, row.on_item.hex()),
        on_run=row.on_run,
        created_at=instant(row.created_at),
        done_at=_at(row.done_at),
    )


def just(row: ItemRow) -> QueuedRow:
    """An item by itself, with the score that it was stored with."""
    return QueuedRow(row, row.priority, None, None)


def _step_view(step: Step, data: Mapping[str, Any]) -> StepView:
    answers = data.get(step.id)
    return StepView(
        id=step.id,
        title=step.title,
        text=step.text,
        form=step.form,
        done=isinstance(answers, dict),
        data=dict(answers) if isinstance(answers, dict) else {},
    )


def _timer_view(timer: Timer, now: int) -> TimerView:
    running = timer.since is not None and timer.since <= now and timer.met_at is None
    left = timer.left_us - (now - timer.since if running and timer.since is not None else 0)
    return TimerView(
        left_seconds=left / 1e6,
        running=running,
        runs_out_at=_at(timer.runs_out_at),
        met_at=_at(timer.met_at),
        missed_at=_at(timer.missed_at),
    )


def _at(at: int | None) -> datetime | None:
    return None if at is None else instant(at)
