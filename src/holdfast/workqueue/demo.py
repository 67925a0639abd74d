"""The demo: three items in a fixed order about one customer, apart from all other work."""

from __future__ import annotations

import hashlib
import secrets

from holdfast.errors import UsageError
from holdfast.model.evaluation import score, values_of
from holdfast.model.ids import check_id
from holdfast.model.policies import Policy
from holdfast.model.work import ItemStatus
from holdfast.model.work_kinds import Definition, encode_definition
from holdfast.store.work import ItemFilter
from holdfast.store.work_rows import DefinitionRow, ItemChange, ItemRow, SubjectRow
from holdfast.workqueue.items import Items
from holdfast.workqueue.making import item_of_definition
from holdfast.workqueue.subject_rows import subject_view
from holdfast.workqueue.views import DemoStarted, DemoStatus

SEQUENCE = (
    Definition(
        id="demo-strategic",
        name="Complete Strategic Account Plan",
        type="strategic",
        description="Write down what the customer wants to reach this year, and how we help with it.",
        weight=700,
        demo=True,
        order=1,
        workflow_id="obsblk-strategic-planning",
    ),
    Definition(
        id="demo-expansion",
        name="Expansion Opportunity",
        type="opportunity",
        description="The customer uses more than it pays for: talk about what more would help it.",
        weight=800,
        demo=True,
        order=2,
        workflow_id="obsblk-expansion-opportunity",
    ),
    Definition(
        id="demo-executive",
        name="Executive Engagement",
        type="risk",
        description="Nobody at the top of the customer knows us: find a sponsor there.",
        weight=900,
        demo=True,
        order=3,
        workflow_id="obsblk-executive-engagement",
    ),
)
"""The definitions of the demo, in its order."""

ITEMS_AT_MOST = 1000


class Demo(Items):
    """The part of a work queue that shows it."""

    async def demo_initialize(self, customer_id: str, csm_id: str | None = None) -> DemoStarted:
        """Begin the demo: an item of each of its definitions, in their order, about a customer.

        Args:
            customer_id: the id of the subject; it is made if it is not there.
            csm_id: who gets the items; the client's own actor unless given.

        Returns:
            The items' ids; the same again if the demo has begun for these two, until it is reset.

        Raises:
            UsageError: an id is none.
        """
        check_id(customer_id, "customer_id")
        who = self._actor if csm_id is None else check_id(csm_id, "csm_id")
        subject = await self._demo_subject(customer_id)
        made_of = [await self._demo_definition(one) for one in SEQUENCE]
        ids = [self._demo_id(who, customer_id, one) for one in made_of]
        there = {row.id for row in await self._patiently(self._work.find_items(self.tenant, ids))}
        policy, now = self._policy(await self._settings()), self.core.now_us()
        changes = [
            self._demo_item(one, id, subject, who, policy, now)
            for one, id in zip(made_of, ids, strict=True)
            if id not in there
        ]
        created = bool(changes) and "done" in await self._patiently(self._work.put_items(changes))
        if created:
            await self._record("demo.initialize", customer_id, assignee=who)
        return DemoStarted(ids, created)

    async def demo_status(self, csm_id: str | None = None) -> DemoStatus:
        """How far the demo is.

        Args:
            csm_id: whose; the client's own actor unless given.
        """
        who = self._actor if csm_id is None else check_id(csm_id, "csm_id")
        rows = await self._demo_items(who)
        first = {
            status: next((row for row in rows if row.status == status), None)
            for status in (ItemStatus.UNDERWAY, ItemStatus.NOT_STARTED)
        }
        underway, waiting = first[ItemStatus.UNDERWAY], first[ItemStatus.NOT_STARTED]
        return DemoStatus(
            total=len(rows),
            completed=sum(row.status == ItemStatus.COMPLETED for row in rows),
            current=None if underway is None else await self._shown(underway),
            next=None if waiting is None else await self._shown(waiting),
        )

    async def demo_reset(self, csm_id: str | None = None) -> int:
        """Delete the demo's items and their history, so that it can begin again. Other work is left alone.

        Args:
            csm_id: only those of this person; everybody's unless given.

        Returns:
            How many items were deleted.
        """
        if csm_id is not None:
            check_id(csm_id, "csm_id")
        gone = await self._patiently(self._work.delete_demo(self.tenant, csm_id))
        if gone:
            await self._record("demo.reset", csm_id or "everybody", items=gone)
        return gone

    async def _demo_items(self, who: str) -> list[ItemRow]:
        """Somebody's items of the demo, in its order."""
        which = ItemFilter(assignee=who, demo=True)
        rows = await self._patiently(self._work.list_items(self.tenant, which, limit=ITEMS_AT_MOST))
        return sorted(rows, key=lambda row: (row.position or 0, row.uid))

    def _demo_id(self, who: str, customer: str, made_of: DefinitionRow) -> str:
        """The id of an item: by what it is for, so that two who begin the demo at the same time make one."""
        return f"demo-{hashlib.sha256(_together(who, customer, made_of.id)).hexdigest()[:32]}"

    def _demo_item(
        self, made_of: DefinitionRow, id: str, subject: SubjectRow, who: str, policy: Policy, now: int
    ) -> ItemChange:
        values = values_of(
            weight=made_of.weight,
            type=made_of.type,
            status=ItemStatus.NOT_STARTED,
            snooze_until=None,
            created_at=now,
            now=now,
            weak=subject.weak,
            signals=subject_view(subject).signals,
        )
        change = item_of_definition(
            made_of,
            subject,
            now=now,
            random=secrets.token_bytes(10),
            actor=self._actor,
            due_at=None,
            steps=[],
            priority=score(policy.priority, values),
            id=id,
            assignee=who,
        )
        # Several people may show it with one customer: no place is taken.
        return change._replace(place=None)

    async def _demo_subject(self, id: str) -> SubjectRow:
        """The customer of the demo, made if it is not there."""
        for _ in range(2):
            found = await self._patiently(self._work.find_subjects(self.tenant, [id]))
            if found:
                return found[0]
            new = SubjectRow(
                self.tenant, id, id, None, b"{}", b"[]", 0, b"{}", b"{}", b"{}", True, self.core.now_us(), 1
            )  # fmt: skip
            await self._patiently(self._work.put_subjects([new]))
        raise UsageError(f"subject {id!r} is deleted as soon as it is made; choose another for the demo")

    async def _demo_definition(self, definition: Definition) -> DefinitionRow:
        """A definition of the demo, made if it is not there."""
        row = DefinitionRow(
            self.tenant, definition.id, 1, definition.name, definition.type, definition.base, False, True,
            definition.order, encode_definition(definition), self._actor, self.core.now_us(),
        )  # fmt: skip
        found = await self._patiently(self._work.find_definition(self.tenant, definition.id))
        if found is not None:
            return found
        await self._patiently(self._work.put_definition(row))
        return await self._patiently(self._work.find_definition(self.tenant, definition.id)) or row


def _together(*parts: str) -> bytes:
    """Texts as bytes of which no two lists make the same."""
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
