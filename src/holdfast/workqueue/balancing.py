"""Balances the load of people: a plan that can be looked at, and what it does when it is applied."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import date
from zoneinfo import ZoneInfo

from holdfast.errors import UsageError
from holdfast.model.access import Role
from holdfast.model.ids import check_id, uuid7
from holdfast.model.people import Person, decode_person
from holdfast.model.run import instant
from holdfast.model.work import OPEN, ItemStatus
from holdfast.store.work import ItemFilter
from holdfast.store.work_rows import ItemRow, LoadRow
from holdfast.workqueue import moves
from holdfast.workqueue.acting import DONE, Acting
from holdfast.workqueue.part import checked_flag
from holdfast.workqueue.spreading import Bearer, Carried, efforts_of, givers, spread
from holdfast.workqueue.views import ItemsOutcome, LoadView, PlannedMove, PlanView

MEASURED_US = 180 * 86_400_000_000
"""How far back completed items tell how long one takes."""

DEFAULT_EFFORT_US = 3_600_000_000

LEAST_EFFORT_US = 60_000_000
"""No item takes less than a minute, however quickly some were closed."""

ITEMS_AT_MOST = 2000
"""So many items of one person are looked at for a plan."""

PEOPLE_AT_MOST = 10_000
PAGE = 1000


class Balancing(Acting):
    """The part of a work queue that spreads work over people."""

    async def loads(self) -> list[LoadView]:
        """The open items of each assignee, by id; nobody's last. Demo items do not count."""
        now = self.core.now_us()
        people = await self._people()
        rows = await self._patiently(self._looks.loads(self.tenant, now))
        return [_load_view(row, people.get(row.assignee or ""), now) for row in rows]

    async def balance(self, *, simulate: bool = True, group: str | None = None) -> PlanView:
        """Plan who gives what to whom, so that nobody has much more to do than others for what they take on.

        Items that are not started move: all of those who are away or gone, those beyond somebody's capacity, and then
        from whom has most to whom has least. Work is weighed by how long items of a definition took over the last 180
        days, whoever did them. It goes to people with one of the giver's groups. Asks and holds stay.

        Args:
            simulate: only plan; else the plan is applied too.
            group: only among the people of this group.

        Returns:
            The plan. What is unplaced has to go, and nobody has room for it.

        Raises:
            UsageError: more people or items than a plan is made for.
        """
        checked_flag(simulate, "simulate")
        if group is not None:
            check_id(group, "group")
        now = self.core.now_us()
        people = await self._people()
        loads = {row.assignee: row for row in await self._patiently(self._looks.loads(self.tenant, now))}
        bearers = _bearers(loads, people, group, now)
        before = [_as_view(one, loads, people, now) for one in bearers]
        found = await self._carried(givers(bearers), now)
        passed, unplaced = spread(bearers)
        plan = PlanView(
            moves=[
                PlannedMove(
                    item=one.item.id,
                    title=found[one.item.id].title,
                    assignee=one.giver,
                    to=one.to,
                    effort_seconds=one.item.effort_us / 1e6,
                    revision=found[one.item.id].revision,
                )
                for one in passed
            ],
            before=before,
            after=[_as_view(one, loads, people, now) for one in bearers],
            unplaced=unplaced,
            made_at=instant(now),
        )
        if not simulate:
            await self.apply_plan(plan)
        return plan

    async def apply_plan(self, plan: PlanView) -> ItemsOutcome:
        """Do what a plan says; an item that was changed since it was made stays where it is.

        Returns:
            What became of each item; by its id the whole can be undone.

        Raises:
            UsageError: it is no plan.
        """
        if not isinstance(plan, PlanView):
            raise UsageError(f"plan is {plan!r:.100}; give what balance() gave")
        now = self.core.now_us()
        batch = uuid7(now, secrets.token_bytes(10))
        to = {one.item: one for one in plan.moves}

        def moved(row: ItemRow, now: int) -> moves.Moved | None:
            planned = to[row.id]
            if row.revision != planned.revision:
                raise UsageError(f"item {row.id!r} was changed since the plan was made")
            return moves.assign(row, now, planned.to, reason="the load is balanced")

        outcomes = await self._act_on(list(to), moved, batch)
        done = sum(outcome == DONE for outcome in outcomes.values())
        await self._record("items.balance", batch.hex(), items=len(outcomes), done=done)
        return ItemsOutcome(batch.hex(), "assign", len(outcomes), done, len(outcomes) - done, outcomes)

    async def _people(self) -> dict[str, Person]:
        """The tenant's people, by id."""
        people: dict[str, Person] = {}
        after: str | None = None
        while True:
            page = await self._patiently(self.reads.list_users(self.tenant, limit=PAGE, after=after))
            people.update((row.id, decode_person(row.document)) for row in page)
            if len(page) < PAGE:
                return people
            if len(people) >= PEOPLE_AT_MOST:
                raise UsageError(f"there are more than {PEOPLE_AT_MOST:,} people; balance one group at a time")
            after = page[-1].id

    async def _carried(self, gives: Sequence[Bearer], now: int) -> dict[str, ItemRow]:
        """Find what may go of those who have too much, and note it with them; the items by id."""
        efforts = efforts_of(
            dict(await self._patiently(self._looks.efforts(self.tenant, now - MEASURED_US))), DEFAULT_EFFORT_US
        )
        found: dict[str, ItemRow] = {}
        for one in gives:
            which = ItemFilter(assignee=one.id or "", statuses=tuple(sorted(OPEN)))
            rows = await self._patiently(self._looks.list_items(self.tenant, which, limit=ITEMS_AT_MOST))
            weights = [max(LEAST_EFFORT_US, efforts.get(row.definition, efforts[None])) for row in rows]
            # All that somebody has weighs what their load says, so that it comes to nothing when all of it goes.
            each = one.effort_us * len(rows) / (max(one.items, len(rows)) * sum(weights)) if rows else 0.0
            for row, weight in zip(rows, weights, strict=True):
                if row.kind == "work" and row.status == ItemStatus.NOT_STARTED and row.claimed_until is None:
                    one.carried.append(Carried(row.id, int(weight * each), row.priority, row.pool, row.escalated_to))
                    found[row.id] = row
        return found


def _bearers(
    loads: Mapping[str | None, LoadRow], people: Mapping[str, Person], group: str | None, now: int
) -> list[Bearer]:
    """Everybody who has work or may get some."""
    ids = sorted({*people, *(id for id in loads if id is not None)})
    bearers = []
    for id in ids:
        person = people.get(id)
        if group is not None and (person is None or group not in person.groups):
            continue
        row = loads.get(id) or LoadRow(id, 0, 0, 0, 0)
        effort = _effort_of(row)
        if person is None:
            # Where people are known, somebody who is not has gone; where none are, all work under their names alone.
            bearers.append(Bearer(id, row.items, effort, leaves=bool(people), takes=not people))
            continue
        works = person.role != Role.VIEWER and not person.disabled
        leaves = not works or _is_away(person, now)
        bearers.append(
            Bearer(id, row.items, effort, person.capacity, frozenset(person.groups), leaves, takes=not leaves)
        )
    return bearers


def _effort_of(row: LoadRow) -> int:
    """How long somebody's items take."""
    return max(row.effort_us, row.items * LEAST_EFFORT_US)


def _is_away(person: Person | None, now: int) -> bool:
    if person is None:
        return False
    today: date = instant(now).astimezone(ZoneInfo(person.zone)).date()
    return any(first <= today <= last for first, last in person.away)


def _load_view(row: LoadRow, person: Person | None, now: int) -> LoadView:
    return LoadView(
        row.assignee,
        row.items,
        row.underway,
        row.overdue,
        _effort_of(row) / 1e6,
        None if person is None else person.capacity,
        _is_away(person, now),
    )


def _as_view(one: Bearer, loads: Mapping[str | None, LoadRow], people: Mapping[str, Person], now: int) -> LoadView:
    """Somebody's load as it is, or as it would be."""
    row = loads.get(one.id) or LoadRow(one.id, 0, 0, 0, 0)
    person = people.get(one.id or "")
    return LoadView(
        one.id, one.items, row.underway, row.overdue, one.effort_us / 1e6, one.capacity, _is_away(person, now)
    )
