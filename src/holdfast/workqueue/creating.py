"""Work items made one at a time: by hand, by a run that asks, for a run that is held."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import floor
from typing import Any, NamedTuple

from holdfast.engine.core import Core
from holdfast.engine.holds import checked_escalation
from holdfast.errors import DefinitionNotFound, ItemExists, ItemNotFound, SubjectNotFound, UsageError
from holdfast.model.calendars import local_date
from holdfast.model.definitions import NAME_CHARACTERS, TEXT_CHARACTERS, WEIGHT_AT_MOST
from holdfast.model.duration import Duration, seconds
from holdfast.model.evaluation import evaluate, values_of
from holdfast.model.ids import check_id
from holdfast.model.merging import merge
from holdfast.model.work import FINAL, OPEN, ItemDocument, ItemStatus
from holdfast.model.work_kinds import DEFAULT_WEIGHTS, TYPES, decode_definition
from holdfast.store.work import ItemFilter
from holdfast.store.work_rows import DefinitionRow, ItemChange, ItemRow, LinkRow, SubjectRow
from holdfast.workqueue.forms import form_of
from holdfast.workqueue.items import Items
from holdfast.workqueue.making import item_of_definition, new_item
from holdfast.workqueue.subject_rows import subject_view
from holdfast.workqueue.templates import due_of, steps_of
from holdfast.workqueue.times import due_at
from holdfast.workqueue.views import ItemView

BEFORE_AT_MOST = 100
"""So many items may a new one wait for."""


class Order(NamedTuple):
    """A work item that is to be made, checked. What is None is as its definition says.

    Attributes:
        due: how long after it is made, or the instant.
        form: the JSON Schema of its data.
        after: ids of items that are done first.
        run: the run that asks, or is held.
    """

    title: str | None = None
    text: str | None = None
    definition: str | None = None
    type: str | None = None
    weight: int | None = None
    subject: str | None = None
    assignee: str | None = None
    group: str | None = None
    due: Duration | datetime | None = None
    form: dict[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    escalate_to: list[str] | None = None
    acknowledge_us: int | None = None
    after: tuple[str, ...] = ()
    kind: str = "work"
    run: str | None = None


def order_of(
    title: str | None,
    *,
    text: str = "",
    definition: str | None = None,
    type: str | None = None,
    weight: int | None = None,
    subject: str | None = None,
    assignee: str | None = None,
    group: str | None = None,
    due: Duration | datetime | None = None,
    form: dict[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    escalate_to: str | Sequence[str] | None = None,
    acknowledge: Duration | None = None,
    after: Sequence[str] = (),
) -> Order:
    """What somebody wants to be made, checked as far as it can be without the database.

    Raises:
        UsageError: a value is missing or out of range.
        PayloadError: the data is no plain JSON, or too much.
    """
    if title is None and definition is None:
        raise UsageError("an item needs a title, or a definition whose name is its title")
    if title is not None:
        title = checked_title(title)
    if not isinstance(text, str) or len(text) > TEXT_CHARACTERS or "\0" in text:
        raise UsageError(f"text is {text!r:.100}; give at most {TEXT_CHARACTERS:,} characters, without NUL")
    if assignee is not None and group is not None:
        raise UsageError("give assignee, a person, or group, people any of whom may claim it, and not both")
    if definition is not None and (type is not None or weight is not None):
        raise UsageError("type and weight are those of the definition; leave them out")
    if type is not None and type not in TYPES:
        raise UsageError(f"type is {type!r:.100}; give one of {', '.join(TYPES)}")
    if weight is not None and (
        isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= WEIGHT_AT_MOST
    ):
        raise UsageError(f"weight is {weight!r:.100}; give a whole number, 0 to {WEIGHT_AT_MOST:,}")
    for what, value in (
        ("definition", definition), ("subject", subject), ("assignee", assignee), ("group", group)
    ):  # fmt: skip
        if value is not None:
            check_id(value, what)
    if due is not None:
        due_at(due, 0)
    if isinstance(after, str) or len(after) > BEFORE_AT_MOST:
        raise UsageError(f"after is {after!r:.100}; give a list of the ids of at most {BEFORE_AT_MOST} items")
    return Order(
        title=title,
        text=text or None,
        definition=definition,
        type=type,
        weight=weight,
        subject=subject,
        assignee=assignee,
        group=group,
        due=due,
        form=form,
        data=None if data is None else merge({}, data if isinstance(data, dict) else dict(data)),
        escalate_to=None if escalate_to is None else checked_escalation(escalate_to),
        acknowledge_us=None if acknowledge is None else round(seconds(acknowledge, what="acknowledge") * 1e6),
        after=tuple(dict.fromkeys(check_id(one, "the id of an item in after") for one in after)),
    )


def checked_title(title: object) -> str:
    """What an item is called.

    Raises:
        UsageError: it is no text on one line.
    """
    if not isinstance(title, str) or not 1 <= len(title) <= NAME_CHARACTERS or not title.isprintable():
        raise UsageError(f"title is {title!r:.100}; give a text of 1 to {NAME_CHARACTERS} characters on one line")
    return title


class Creating(Items):
    """The part of a work queue that makes items."""

    async def create(
        self,
        definition: str | None = None,
        *,
        title: str | None = None,
        text: str = "",
        type: str | None = None,
        weight: int | None = None,
        subject: str | None = None,
        assignee: str | None = None,
        group: str | None = None,
        due: Duration | datetime | None = None,
        form: Any = None,
        data: Mapping[str, Any] | None = None,
        after: Sequence[str] = (),
        escalate_to: str | Sequence[str] | None = None,
        acknowledge: Duration | None = None,
        id: str | None = None,
    ) -> ItemView:
        """Make a work item. What is not given is as its definition says.

        Args:
            definition: what it is made of; without one it needs a title.
            title: what it is called; the definition's name unless given.
            text: what is to be done, beside the title.
            type: opportunity, risk, strategic, renewal or custom, where there is no definition.
            weight: the base of its score, where there is no definition; that of its type unless given.
            subject: whom it is about, an id.
            assignee: who gets it; unless given whom the definition names, or who looks after the subject.
            group: or the people any of whom may claim it.
            due: by when: how long from now, such as ``"2d"``, or an aware instant.
            form: what is filled in: a JSON Schema, a pydantic model, a dataclass or another type.
            data: what is filled in already.
            after: ids of items that are done first.
            escalate_to: who is asked to look when it is overdue, one after the other; ``"@manager"`` for the manager
                of its assignee.
            acknowledge: how long each of them has to say that they saw it, before the next is asked.
            id: unique within the tenant; made up unless given.

        Raises:
            ItemExists: the id is taken; or there is an open item of this definition and subject, or was one a short
                while ago.
            DefinitionNotFound: the tenant has no such definition.
            SubjectNotFound: it has no such subject.
            ItemNotFound: it has no item of an id in ``after``.
            UsageError: a value is missing or out of range.
            PayloadError: the data cannot be stored.
        """
        if id is not None:
            check_id(id, "the id of an item")
        order = order_of(
            title,
            text=text,
            definition=definition,
            type=type,
            weight=weight,
            subject=subject,
            assignee=assignee,
            group=group,
            due=due,
            form=form_of(form).schema,
            data=data,
            escalate_to=escalate_to,
            acknowledge=acknowledge,
            after=after,
        )
        row, outcome = await self._make(order, id)
        if outcome == "exists":
            raise ItemExists(
                f"tenant {self.tenant!r} has an item {row.id!r} already; choose another id", item_id=row.id
            )
        if outcome == "taken":
            raise ItemExists(
                f"there is an open item of definition {definition!r} for subject {subject!r}, or one ended a short "
                "while ago: look at that one, or wait",
                item_id=row.id,
            )
        return await self._shown(row)

    async def _make(self, order: Order, id: str | None = None) -> tuple[ItemRow, str]:
        """Make an item; the item, and what the store says became of it.

        Raises:
            DefinitionNotFound, SubjectNotFound, ItemNotFound: what the order names is not there.
        """
        made_of, subject = await self._named_by(order)
        now = self.core.now_us()
        before = await self._before(order, made_of)
        change = await self._new(order, id, made_of, subject, now, blocked=bool(before))
        if before:
            links = [LinkRow(self.tenant, change.row.uid, one.uid, None, now, None) for one in before]
            await self._patiently(self._work.put_links(links))
        [outcome] = await self._patiently(self._work.put_items([change]))
        if outcome != "done" and before:
            await self._patiently(self._work.delete_links(links))
        return change.row, outcome

    async def _named_by(self, order: Order) -> tuple[DefinitionRow | None, SubjectRow | None]:
        made_of, subjects = None, list[SubjectRow]()
        if order.definition is not None:
            made_of = await self._patiently(self._work.find_definition(self.tenant, order.definition))
            if made_of is None:
                raise DefinitionNotFound(f"tenant {self.tenant!r} has no definition {order.definition!r}")
        if order.subject is not None:
            subjects = await self._patiently(self._work.find_subjects(self.tenant, [order.subject]))
            if not subjects:
                raise SubjectNotFound(f"tenant {self.tenant!r} has no subject {order.subject!r}")
        return made_of, subjects[0] if subjects else None

    async def _before(self, order: Order, made_of: DefinitionRow | None) -> list[ItemRow]:
        """The open items that are done first: those that are given, and those that the definition comes after."""
        found = await self._patiently(self._work.find_items(self.tenant, order.after)) if order.after else []
        missing = set(order.after) - {row.id for row in found}
        if missing:
            raise ItemNotFound(f"tenant {self.tenant!r} has no work item {min(missing)!r}", item_id=min(missing))
        if made_of is not None and order.subject is not None and order.kind == "work":
            for definition in decode_definition(made_of.document).after:
                which = ItemFilter(
                    definition=definition, subject=order.subject, statuses=tuple(sorted(OPEN)), demo=made_of.demo
                )
                found += await self._patiently(self._work.list_items(self.tenant, which, limit=BEFORE_AT_MOST))
        return list({row.uid: row for row in found if row.status not in FINAL}.values())

    async def _new(
        self,
        order: Order,
        id: str | None,
        made_of: DefinitionRow | None,
        subject: SubjectRow | None,
        now: int,
        *,
        blocked: bool,
    ) -> ItemChange:
        settings = await self._settings()
        kind = order.type or "custom" if made_of is None else made_of.type
        weight = made_of.weight if made_of is not None else order.weight
        base = DEFAULT_WEIGHTS[kind] if weight is None else weight
        values = values_of(
            weight=base,
            type=kind,
            status=ItemStatus.NOT_STARTED,
            snooze_until=None,
            created_at=now,
            now=now,
            weak=0 if subject is None else subject.weak,
            signals={} if subject is None else subject_view(subject).signals,
        )
        priority = floor(evaluate(self._policy(settings).priority, values))
        due = None if order.due is None else due_at(order.due, now)
        given = {
            "title": order.title, "data": order.data, "form": order.form, "text": order.text,
            "escalate_to": order.escalate_to, "acknowledge_us": order.acknowledge_us,
        }  # fmt: skip
        fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if order.assignee is not None or order.group is not None:
            fields |= {"assignee": order.assignee, "group": order.group}
        common: dict[str, Any] = {
            "id": id, "kind": order.kind, "run": order.run, "now": now, "random": secrets.token_bytes(10),
            "actor": self._actor, "priority": priority, "blocked": blocked,
        }  # fmt: skip
        if made_of is not None:
            definition = decode_definition(made_of.document)
            change = item_of_definition(
                made_of,
                subject,
                due_at=due_of(definition, now, settings) if due is None else due,
                steps=steps_of(definition, subject, local_date(now, settings.zone), self._policy(settings)),
                definition=definition,
                **common,
                **fields,
            )
            # A run may ask as often as it likes: what it asks has no place that others would have to leave free.
            return change if order.kind == "work" else change._replace(place=None)
        assignee = order.assignee
        if assignee is None and order.group is None and subject is not None:
            assignee = subject.assignee
        document = ItemDocument(
            text=order.text or "",
            form=order.form,
            escalate_to=order.escalate_to or [],
            acknowledge_us=order.acknowledge_us,
            blocked_since=now if blocked else None,
        )
        return new_item(
            tenant=self.tenant,
            title=order.title or "",
            document=document,
            type=kind,
            weight=base,
            subject=order.subject,
            assignee=assignee,
            group=order.group,
            due_at=due,
            data=order.data,
            **common,
        )


class Own(Creating):
    """The work queue of a tenant as holdfast itself uses it: who asks for items of runs, and tends them.

    Args:
        core: the database.
        tenant: whose.
    """

    def __init__(self, core: Core, tenant: str) -> None:
        self.core = core
        self.tenant = tenant
        self.actor = "holdfast"
