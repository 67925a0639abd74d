"""New items: their rows and the event that makes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from holdfast.model.ids import uuid7
from holdfast.model.timers import timers_from
from holdfast.model.work import ItemDocument, ItemStatus, act_at, changes, encode_item
from holdfast.model.work_kinds import Definition, Step, decode_definition
from holdfast.store.work_rows import Claimed, DefinitionRow, ItemChange, ItemEventRow, ItemRow, SubjectRow


def new_item(
    *,
    tenant: str,
    title: str,
    now: int,
    random: bytes,
    actor: str,
    document: ItemDocument,
    id: str | None = None,
    kind: str = "work",
    definition: str | None = None,
    definition_version: int | None = None,
    type: str = "custom",
    weight: int = 0,
    subject: str | None = None,
    assignee: str | None = None,
    group: str | None = None,
    due_at: int | None = None,
    blocked: bool = False,
    data: Mapping[str, Any] | None = None,
    priority: int = 0,
    run: str | None = None,
    demo: bool = False,
    position: int | None = None,
    batch: bytes | None = None,
    reason: str | None = None,
) -> ItemChange:
    """A new item that is not started.

    Args:
        now: when it is made, microseconds.
        random: at least 10 random bytes.
        actor: who makes it; ``holdfast`` for what is made by rules.
        document: its text, form, steps and clocks.
        id: what people call it; made up unless given.
        blocked: whether it waits for others; then ``document`` says since when.
        priority: its score as it is now, to be stored.
        reason: why it is made, if there is more to say than who made it.
        tenant, title, kind, definition, definition_version, type, weight, subject, assignee, group, due_at, data, run,
            demo, position, batch: see `ItemRow`; a group is its pool.
    """
    uid = uuid7(now, random)
    row = ItemRow(
        tenant=tenant,
        uid=uid,
        id=uid.hex() if id is None else id,
        kind=kind,
        definition=definition,
        definition_version=definition_version,
        type=type,
        weight=weight,
        title=title,
        subject=subject,
        assignee=assignee,
        pool=group,
        claimed_until=None,
        escalated_to=None,
        escalated_at=None,
        acknowledge_by=None,
        status=ItemStatus.NOT_STARTED.value,
        priority=priority,
        snooze_until=None,
        snooze_days=None,
        snoozed_at=None,
        returns_at=None,
        due_at=due_at,
        act_at=None,
        blocked=blocked,
        started_at=None,
        completed_at=None,
        skipped_at=None,
        skip_reason=None,
        document=encode_item(document),
        data=msgspec.json.encode(data or {}),
        run=run,
        demo=demo,
        position=position,
        created_at=now,
        revision=1,
    )
    row = row._replace(act_at=act_at(row, document))
    event = ItemEventRow(
        tenant=tenant,
        item=uid,
        revision=1,
        at=now,
        actor=actor,
        move="create",
        status=row.status,
        changes=msgspec.json.encode(changes(None, row._asdict())),
        reason=reason,
        definition=definition,
        assignee=assignee,
        since_us=0,
        batch=batch,
        demo=demo,
    )
    place = Claimed(None) if definition is not None and subject is not None else None
    return ItemChange(row, event, place)


def item_of_definition(
    made_of: DefinitionRow,
    subject: SubjectRow | None,
    *,
    now: int,
    random: bytes,
    actor: str,
    due_at: int | None,
    steps: Sequence[Step],
    priority: int = 0,
    blocked: bool = False,
    again_at: int | None = None,
    definition: Definition | None = None,
    **fields: Any,
) -> ItemChange:
    """A new item of a definition, about a subject.

    Args:
        made_of: the definition.
        subject: whom it is about; None for nobody.
        now, random, actor: as for `new_item`.
        due_at: by when it is to be done; see `due_of`.
        steps: those of the definition that it has; see `holdfast.workqueue.templates`.
        priority: its score as it is now.
        blocked: whether it waits for others.
        again_at: before this instant no other of its definition is made for the subject, whatever becomes of it.
        definition: what the definition's document says, if it was read already.
        fields: of the item, in place of those of the definition: title, assignee, group, data, …
    """
    kind = decode_definition(made_of.document) if definition is None else definition
    # Whose clocks stand still while it waits for others.
    timers = timers_from(kind.sla_us, None if blocked else now)
    document = ItemDocument(
        text=fields.pop("text", kind.description),
        form=fields.pop("form", kind.form),
        steps=list(steps),
        timers=timers,
        escalate_to=fields.pop("escalate_to", kind.escalate_to),
        acknowledge_us=fields.pop("acknowledge_us", kind.acknowledge_us),
        blocked_since=now if blocked else None,
        workflow_id=kind.workflow_id,
        again_at=again_at,
    )
    given = {
        "title": kind.name,
        "assignee": assignee_of(kind, subject),
        "group": kind.group,
        "demo": made_of.demo,
        "position": made_of.position if made_of.demo else None,
        **fields,
    }
    return new_item(
        tenant=made_of.tenant,
        now=now,
        random=random,
        actor=actor,
        document=document,
        definition=made_of.id,
        definition_version=made_of.version,
        type=made_of.type,
        weight=made_of.weight,
        subject=None if subject is None else subject.id,
        due_at=due_at,
        blocked=blocked,
        priority=priority,
        **given,
    )


def assignee_of(definition: Definition, subject: SubjectRow | None) -> str | None:
    """Who gets an item: whom the definition names; else nobody of a group, and who looks after the subject."""
    if definition.assign is not None:
        return definition.assign
    return None if definition.group is not None or subject is None else subject.assignee
