"""Work items looked at: one, an assignee's queue, lists, a history, and why an item has its score."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from holdfast.engine.part import check_whole
from holdfast.errors import ItemNotFound, UsageError
from holdfast.model.evaluation import explain, values_of
from holdfast.model.expressions import Const
from holdfast.model.ids import check_id
from holdfast.model.people import Person, decode_person
from holdfast.model.run import instant
from holdfast.model.work import FINAL, ItemStatus, label
from holdfast.model.work_kinds import TYPES
from holdfast.store.work import ItemFilter
from holdfast.store.work_rows import ItemRow, QueuedRow
from holdfast.workqueue.part import PAGE_AT_MOST, checked_flag
from holdfast.workqueue.settings import Settling
from holdfast.workqueue.showing import event_view, item_view, link_view
from holdfast.workqueue.subject_rows import subject_view
from holdfast.workqueue.views import ExplainView, ItemCount, ItemEventView, ItemView, LinkView, PartView

COUNT_AT_MOST = 100_000

KINDS = ("work", "ask", "hold")

ItemViews = list[ItemView]
"""Items, in an order that the giver says."""

History = list[ItemEventView]
"""The changes of an item, in their order."""

Links = list[LinkView]


class Items(Settling):
    """The part of a work queue that looks at items."""

    @property
    def _actor(self) -> str:
        """Who is recorded with a change of an item."""
        return self.actor or "local"

    async def get(self, id: str) -> ItemView:
        """An item as it is now, with its score, its subject and its definition.

        Raises:
            ItemNotFound: the tenant has no item of this id.
        """
        return await self._shown(await self._item(id))

    async def queue(
        self, assignee: str | None = None, *, limit: int = 10, demo: bool = False, include_snoozed: bool = False
    ) -> ItemViews:
        """What somebody is to do now, the most important first: by score, older first, then by id.

        Beside what is assigned to them, there is what nobody has claimed yet of the groups that they are in. What is
        snoozed is left out until it comes back, and what waits for others until these have ended.

        Args:
            assignee: whose; the client's own actor unless given.
            limit: at most so many, 1 to 1,000.
            demo: the demo's items and no others, in their order.
            include_snoozed: those that are snoozed too.
        """
        check_whole(limit, "limit", PAGE_AT_MOST)
        checked_flag(demo, "demo")
        checked_flag(include_snoozed, "include_snoozed")
        who = self._actor if assignee is None else check_id(assignee, "assignee")
        policy = self._policy(await self._settings())
        person = await self._person(who)
        now = self.core.now_us()
        found = await self._patiently(
            self._looks.queue(
                self.tenant,
                who,
                policy.priority,
                now=now,
                limit=limit,
                snoozed=include_snoozed,
                demo=demo,
                pools=person.groups,
            )
        )
        return [item_view(one, now) for one in found]

    async def list(
        self,
        *,
        assignee: str | None = None,
        status: str | Sequence[str] | None = None,
        group: str | None = None,
        definition: str | None = None,
        type: str | None = None,
        subject: str | None = None,
        kind: str | None = None,
        escalated_to: str | None = None,
        overdue: bool | None = None,
        blocked: bool | None = None,
        demo: bool | None = False,
        text: str | None = None,
        batch: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> ItemViews:
        """Items that meet all that is given, newest first.

        Args:
            assignee: of this person; ``""`` for nobody's.
            status: in this status, or in one of these.
            group: of this group.
            definition: of this definition.
            type: opportunity, risk, strategic, renewal or custom.
            subject: about this subject.
            kind: work, ask or hold.
            escalated_to: escalated to this person.
            overdue: whether they are open and their due instant has passed.
            blocked: whether they wait for others.
            demo: whether they belong to the demo; None for all.
            text: whose title or subject's name has this in it, in any case.
            batch: that a bulk operation changed, its id.
            limit: at most so many, 1 to 1,000.
            after: only those behind this one, the id of the last of the page before.

        Raises:
            UsageError: a value out of range.
            ItemNotFound: there is no item of the id ``after``.
        """
        check_whole(limit, "limit", PAGE_AT_MOST)
        which = _filter(
            assignee, status, group, definition, type, subject, kind, escalated_to, overdue, blocked, demo, text, batch
        )
        before = None if after is None else (await self._item(after)).uid
        rows = await self._patiently(self._looks.list_items(self.tenant, which, limit=limit, before=before))
        return await self._views(rows)

    async def count(
        self,
        *,
        assignee: str | None = None,
        status: str | Sequence[str] | None = None,
        group: str | None = None,
        definition: str | None = None,
        type: str | None = None,
        subject: str | None = None,
        kind: str | None = None,
        escalated_to: str | None = None,
        overdue: bool | None = None,
        blocked: bool | None = None,
        demo: bool | None = False,
        text: str | None = None,
        batch: str | None = None,
        cap: int = 1000,
    ) -> ItemCount:
        """How many items meet all that is given; see `list` for what that is.

        Args:
            cap: counting stops there; at most 100,000.

        Raises:
            UsageError: a value out of range.
        """
        check_whole(cap, "cap", COUNT_AT_MOST)
        which = _filter(
            assignee, status, group, definition, type, subject, kind, escalated_to, overdue, blocked, demo, text, batch
        )
        found = await self._patiently(self._looks.count_items(self.tenant, which, cap=cap))
        return ItemCount(found, found >= cap)

    async def history(self, id: str, *, after: int = 0, limit: int = 1000) -> History:
        """The changes of an item, from the first on: all of them make the item as it is.

        Args:
            id: the item.
            after: only those behind this revision.
            limit: at most so many, 1 to 10,000.

        Raises:
            ItemNotFound: the tenant has no item of this id.
            UsageError: a value out of range.
        """
        check_whole(limit, "limit", 10 * PAGE_AT_MOST)
        if isinstance(after, bool) or not isinstance(after, int) or after < 0:
            raise UsageError(f"after is {after!r:.100}; give the number of a revision, or 0 for all")
        row = await self._item(id)
        rows = await self._patiently(self._looks.item_history(self.tenant, row.uid, after=after, limit=limit))
        return [event_view(one) for one in rows]

    async def explain(self, id: str) -> ExplainView:
        """Why an item has its score, as parts of a sum, and why it is or is not in a queue.

        Raises:
            ItemNotFound: the tenant has no item of this id.
        """
        row = await self._item(id)
        policy = self._policy(await self._settings())
        now = self.core.now_us()
        queued = await self._scored(row, now)
        row, subject, definition = queued.item, queued.subject, queued.definition
        values = values_of(
            weight=row.weight if definition is None else definition.weight,
            type=row.type if definition is None else definition.type,
            status=row.status,
            snooze_until=row.snooze_until,
            created_at=row.created_at,
            now=now,
            weak=0 if subject is None else subject.weak,
            signals={} if subject is None else subject_view(subject).signals,
        )
        parts = [PartView(one.label, one.points) for one in explain(policy.priority, values)]
        waits_for = await self._waits_for(row)
        zone = (await self._person(self._actor)).zone
        in_queue, because = _because(row, waits_for, now, ZoneInfo(zone))
        return ExplainView(row.id, queued.priority, label(queued.priority), parts, in_queue, because, waits_for)

    # For the other parts

    async def _item(self, id: str) -> ItemRow:
        """The tenant's item of this id, as stored.

        Raises:
            ItemNotFound: it has none.
        """
        check_id(id, "the id of an item")
        found = await self._patiently(self._looks.find_items(self.tenant, [id]))
        if not found:
            raise ItemNotFound(f"tenant {self.tenant!r} has no work item {id!r}", item_id=id)
        return found[0]

    async def _person(self, id: str) -> Person:
        """What is known of a person; where nothing is, somebody in the tenant's time zone and in no group."""
        row = await self._patiently(self.reads.find_user(self.tenant, id=id))
        if row is not None:
            return decode_person(row.document)
        return Person(zone=(await self._settings()).zone)

    async def _shown(self, row: ItemRow) -> ItemView:
        """An item that was just read or changed."""
        now = self.core.now_us()
        return item_view((await self._scored(row, now))._replace(item=row), now)

    async def _views(self, rows: Sequence[ItemRow]) -> ItemViews:
        """Items that were just read, in their order."""
        if not rows:
            return []
        policy, now = self._policy(await self._settings()), self.core.now_us()
        uids = [row.uid for row in rows]
        found = await self._patiently(self._looks.scored(self.tenant, uids, policy.priority, now=now))
        scored = {one.item.uid: one for one in found}
        return [item_view(scored[uid], now) for uid in uids if uid in scored]

    async def _scored(self, row: ItemRow, now: int) -> QueuedRow:
        policy = self._policy(await self._settings())
        found = await self._patiently(self._looks.scored(self.tenant, [row.uid], policy.priority, now=now))
        if not found:
            raise ItemNotFound(f"tenant {self.tenant!r} has no work item {row.id!r} any more", item_id=row.id)
        return found[0]

    async def _waits_for(self, row: ItemRow) -> Links:
        """What an item waits for that has not ended."""
        links = await self._patiently(self._looks.links_of(self.tenant, [row.uid]))
        links = [link for link in links if link.done_at is None]
        uids = [link.on_item for link in links if link.on_item is not None]
        now = self.core.now_us()
        found = await self._patiently(self._looks.scored(self.tenant, uids, Const(0), now=now)) if uids else []
        names = {row.uid: row.id} | {one.item.uid: one.item.id for one in found}
        return [link_view(link, names) for link in links]


def _because(row: ItemRow, waits_for: Links, now: int, zone: ZoneInfo) -> tuple[bool, str]:
    """Whether an item is in its assignee's queue, and why."""

    def said(at: int) -> str:
        return f"{instant(at).astimezone(zone):%Y-%m-%d %H:%M}"

    if row.status in FINAL:
        return False, f"It has ended: it is {row.status}."
    if row.blocked:
        names = ", ".join(one.on_item or f"run {one.on_run}" for one in waits_for[:3])
        more = f" and {len(waits_for) - 3} more" if len(waits_for) > 3 else ""
        return False, f"It waits for {names}{more}." if names else "It waited for others, and is about to come back."
    if row.status == ItemStatus.SNOOZED and row.returns_at is not None and row.returns_at > now:
        until = row.snooze_until
        before = "" if until is None or until == row.returns_at else f", and is snoozed until {said(until)}"
        return False, f"It comes back on {said(row.returns_at)}{before}."
    if row.assignee is None and row.pool is None:
        return False, "Nobody has it: assign it to somebody."
    whose = f"everybody in {row.pool}" if row.assignee is None else row.assignee
    back = " It was snoozed, and is back." if row.status == ItemStatus.SNOOZED else ""
    return True, f"It is in the queue of {whose}.{back}"


def _filter(
    assignee: str | None,
    status: str | Sequence[str] | None,
    group: str | None,
    definition: str | None,
    type: str | None,
    subject: str | None,
    kind: str | None,
    escalated_to: str | None,
    overdue: bool | None,
    blocked: bool | None,
    demo: bool | None,
    text: str | None,
    batch: str | None,
) -> ItemFilter:
    for what, flag in (("overdue", overdue), ("blocked", blocked), ("demo", demo)):
        if flag is not None:
            checked_flag(flag, what)
    return ItemFilter(
        assignee=assignee if assignee in (None, "") else check_id(assignee, "assignee"),
        statuses=_statuses(status),
        pool=_named(group, "group"),
        definition=_named(definition, "definition"),
        type=_one_of(type, TYPES, "type"),
        subject=_named(subject, "subject"),
        kind=_one_of(kind, KINDS, "kind"),
        escalated_to=_named(escalated_to, "escalated_to"),
        overdue=overdue,
        blocked=blocked,
        demo=demo,
        text=None if text is None or text == "" else check_id(text, "text"),
        batch=None if batch is None else batch_of(batch),
    )


def batch_of(id: object) -> bytes:
    """The bytes of a bulk operation's id.

    Raises:
        UsageError: it is none.
    """
    try:
        raw = bytes.fromhex(id) if isinstance(id, str) and id.isascii() else b""
    except ValueError:
        raw = b""
    if len(raw) != 16:
        raise UsageError(f"the id of a bulk operation is {id!r:.100}; give the 32 characters that it was given with")
    return raw


def _statuses(status: str | Sequence[str] | None) -> tuple[str, ...]:
    given = () if status is None else (status,) if isinstance(status, str) else tuple(status)
    for one in given:
        _one_of(one, tuple(ItemStatus), "status")
    return tuple(str(one) for one in dict.fromkeys(given))


def _one_of(value: str | None, known: Sequence[str], what: str) -> str | None:
    if value is not None and value not in known:
        raise UsageError(f"{what} is {value!r:.100}; give one of {', '.join(known)}")
    return value


def _named(value: str | None, what: str) -> str | None:
    return None if value is None else check_id(value, what)
