"""Items as they change, their history and their places; inside the caller's transaction.

What is locked is said in work_items.sql. Everything that bears on the changes is read first, then decided change by
change in their order, as if each stood alone, then written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from holdfast.store.operations import Batch, Event
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns, wake
from holdfast.store.postgres.errors import Again
from holdfast.store.postgres.events import exchange
from holdfast.store.sql import statements
from holdfast.store.work_checks import check_changes, folded
from holdfast.store.work_rows import ItemChange, ItemEventRow, ItemOutcome, ItemRow

_SQL = statements("holdfast.store.postgres", "work_items.sql")

_THERE = "an item is there by now"

Key = tuple[str, bytes]
"""Of an item: tenant and uid."""

Place = tuple[str, str, str]
"""Tenant, definition and subject."""

Holding = tuple[bytes, int | None]
"""Who has a place, and until when."""


@dataclass
class _Found:
    """What the database said, or has been done since.

    Attributes:
        revisions: of the items that there are.
        events: stored ones of revisions that the changes would make.
        ids: (tenant, id) that are taken.
        places: who has them; None for nobody.
    """

    revisions: dict[Key, int] = field(default_factory=dict)
    events: dict[tuple[str, bytes, int], ItemEventRow] = field(default_factory=dict)
    ids: set[tuple[str, str]] = field(default_factory=set)
    places: dict[Place, Holding | None] = field(default_factory=dict)


class _Plan:
    """Decides what becomes of changes, and collects what is to be written.

    Attributes:
        new, changed: rows as they are to be, with the instant of their last change.
        ended: when items ended.
    """

    def __init__(self, found: _Found) -> None:
        self.new: dict[Key, tuple[ItemRow, int]] = {}
        self.changed: dict[Key, tuple[ItemRow, int]] = {}
        self.events: list[ItemEventRow] = []
        self.ended: dict[Key, int] = {}
        self.tells: list[Event] = []
        self.places = dict(found.places)
        self._found = found

    def decide(self, change: ItemChange) -> ItemOutcome:
        """What becomes of a change."""
        row, event = change.row, change.event
        key, found = (row.tenant, row.uid), self._found
        stored = found.revisions.get(key, 0)
        if row.revision <= stored:
            return "done" if found.events.get((*key, row.revision)) == event else "changed"
        if row.revision != stored + 1:
            return "changed"
        if stored == 0 and (row.tenant, row.id) in found.ids:
            return "exists"
        place = _place(change)
        if place is not None:
            holding = self.places[place]
            other = holding is not None and holding[0] != row.uid
            busy = other and holding is not None and (holding[1] is None or holding[1] > event.at)
            if change.ended:
                if not busy and not (other and change.place is None):
                    self.places[place] = None if change.place is None else (row.uid, change.place.until)
            elif busy:
                return "taken"
            elif change.place is not None:
                self.places[place] = row.uid, change.place.until
        self._write(key, change, new=stored == 0)
        return "done"

    def _write(self, key: Key, change: ItemChange, *, new: bool) -> None:
        row, event = change.row, change.event
        if new:
            self.new[key] = row, event.at
            self._found.ids.add((row.tenant, row.id))
        elif key in self.new:
            first = self.new[key][0]
            named = row._replace(id=first.id, kind=first.kind, created_at=first.created_at)
            self.new[key] = named, event.at
        else:
            self.changed[key] = row, event.at
        self._found.revisions[key] = row.revision
        self._found.events[(*key, row.revision)] = event
        self.events.append(event)
        if change.ended:
            self.ended[key] = event.at
        self.tells += change.tells


def _place(change: ItemChange) -> Place | None:
    """The place that a change takes or frees."""
    row = change.row
    if row.definition is None or row.subject is None or (change.place is None and not change.ended):
        return None
    return row.tenant, row.definition, row.subject


async def put_items(connection: Connection, changes: Sequence[ItemChange]) -> list[ItemOutcome]:
    """See `WorkStore.put_items`.

    Raises:
        Again: another process made or linked one of them just now.
    """
    check_changes(changes)
    keys = {(change.row.tenant, change.row.uid) for change in changes}
    ending = {(change.row.tenant, change.row.uid) for change in changes if change.ended}
    waits = {
        (change.row.tenant, change.row.uid) for change in changes if change.row.revision == 1 and change.row.blocked
    }
    waited_for = await _linked(connection, "find_waited_for", waits)
    locked = keys | await _linked(connection, "find_waiting", ending) | waited_for
    found = _Found(await lock_items(connection, locked))
    await _find_known(connection, changes, found)
    made = await _lock_places(connection, changes, found)
    plan = _Plan(found)
    outcomes = [plan.decide(change) for change in changes]
    if not plan.events:
        if made:
            await connection.execute(_SQL["free_places"], *columns(made, 3))
        return outcomes
    waiting = await end_links(connection, plan.ended, locked)
    await _write_items(connection, plan)
    await connection.execute(_SQL["insert_item_events"], plan.events)
    await _write_places(connection, plan.places, found.places | made)
    written = plan.new.keys() | plan.changed.keys()
    await look_at(connection, {key: at for key, at in waiting.items() if key not in written})
    if await _linked(connection, "find_waited_for", waits) != waited_for:
        raise Again("a new item waits for another by now")
    if plan.tells:
        told = await exchange(connection, Batch(events=plan.tells), [], set())
        await wake(connection, told.woken)
    return outcomes


async def _linked(connection: Connection, how: str, items: Iterable[Key]) -> set[Key]:
    """The items that wait for these, or that these wait for; they are not locked."""
    asked = columns(items, 2)
    return {(row[0], row[1]) for row in await connection.fetch(_SQL[how], *asked)} if asked[0] else set()


async def lock_items(connection: Connection, items: Iterable[Key]) -> dict[Key, int]:
    """Lock items in the order of all: the revisions of those that there are."""
    keys = list(items)
    return {keys[row[0]]: row[1] for row in await connection.fetch(_SQL["lock_items"], *columns(keys, 2))}


async def end_links(connection: Connection, ended: dict[Key, int], locked: set[Key]) -> dict[Key, int]:
    """Mark what waits for items that ended: the items that do, and since when they wait no more.

    Raises:
        Again: one of those is not locked.
    """
    if not ended:
        return {}
    items = [(*key, at) for key, at in ended.items()]
    waiting = {(row[0], row[1]): row[2] for row in await connection.fetch(_SQL["end_links"], *columns(items, 3))}
    if not waiting.keys() <= locked:
        raise Again("an item waits for another by now")
    return waiting


async def look_at(connection: Connection, items: dict[Key, int]) -> None:
    """Let open items be looked at, from an instant on, whose being blocked does not fit what they wait for."""
    if items:
        await connection.execute(_SQL["look_at"], *columns([(*key, at) for key, at in items.items()], 3))


async def _find_known(connection: Connection, changes: Sequence[ItemChange], found: _Found) -> None:
    """What is stored already of the changes that may have been made, or whose ids may be taken.

    Raises:
        Again: an item was made since it was found that it is not there, as by an earlier try of the same call.
    """
    new: set[tuple[str, str]] = set()
    making: set[Key] = set()
    old: set[tuple[str, bytes, int]] = set()
    for change in changes:
        row = change.row
        key = row.tenant, row.uid
        if row.revision <= found.revisions.get(key, 0):
            old.add((*key, row.revision))
        elif row.revision == 1:
            new.add((row.tenant, row.id))
            making.add(key)
    if old:
        rows = await connection.fetch(_SQL["find_events"], *columns(old, 3))
        found.events = {(row[0], row[1], row[2]): ItemEventRow(*row) for row in rows}
    if new:
        rows = await connection.fetch(_SQL["find_ids"], *columns(new, 2))
        if any((row[0], row[2]) in making for row in rows):
            raise Again(_THERE)
        found.ids = {(row[0], row[1]) for row in rows}


async def _lock_places(
    connection: Connection, changes: Sequence[ItemChange], found: _Found
) -> dict[Place, Holding | None]:
    """Lock the places of the changes, and find who has them: those that were free, and whom they are given to."""
    wanted: dict[Place, Holding | None] = {}
    for change in changes:
        place = _place(change)
        if place is not None:
            wanted.setdefault(place, (change.row.uid, None if change.place is None else change.place.until))
    if not wanted:
        return {}
    rows = [(*place, *holding) for place, holding in wanted.items() if holding is not None]
    made = {(row[0], row[1], row[2]) for row in await connection.fetch(_SQL["lock_places"], rows)}
    found.places = dict.fromkeys(made)
    if len(made) < len(wanted):
        others = columns(wanted.keys() - made, 3)
        for tenant, definition, subject, *holding in await connection.fetch(_SQL["find_places"], *others):
            found.places[tenant, definition, subject] = holding[0], holding[1]
    return {place: wanted[place] for place in made}


async def _write_items(connection: Connection, plan: _Plan) -> None:
    if plan.new:
        rows = [_sent(*one) for one in plan.new.values()]
        if await connection.execute(_SQL["insert_items"], rows) != f"INSERT 0 {len(rows)}":
            raise Again(_THERE)
    if plan.changed:
        await connection.execute(_SQL["update_items"], [_sent(*one) for one in plan.changed.values()])


def _sent(row: ItemRow, at: int) -> tuple[object, ...]:
    """With how it is searched, and when it changed."""
    return (*row, folded(row.title), at)


async def _write_places(
    connection: Connection, wanted: dict[Place, Holding | None], stored: dict[Place, Holding | None]
) -> None:
    """Let the places be as they are wanted, where they are not."""
    set_ = [(*place, *holding) for place, holding in wanted.items() if holding is not None and holding != stored[place]]
    free = [place for place, holding in wanted.items() if holding is None and stored[place] is not None]
    if set_:
        await connection.execute(_SQL["set_places"], set_)
    if free:
        await connection.execute(_SQL["free_places"], *columns(free, 3))


async def item_history(connection: Connection, tenant: str, uid: bytes, after: int, limit: int) -> list[ItemEventRow]:
    """See `WorkStore.item_history`."""
    rows = await connection.fetch(_SQL["item_history"], tenant, uid, after, limit)
    return [ItemEventRow(*row) for row in rows]


async def batch_events(connection: Connection, tenant: str, batch: bytes) -> list[ItemEventRow]:
    """See `WorkStore.batch_events`."""
    return [ItemEventRow(*row) for row in await connection.fetch(_SQL["batch_events"], tenant, batch)]


async def taken_places(
    connection: Connection, tenant: str, definition: str, now: int, after: str, limit: int
) -> list[str]:
    """See `WorkStore.taken_places`."""
    rows = await connection.fetch(_SQL["taken_places"], tenant, definition, now, after, limit)
    return [row[0] for row in rows]


async def delete_demo(connection: Connection, tenant: str, assignee: str | None, now: int) -> int:
    """See `WorkStore.delete_demo`.

    Raises:
        Again: another process linked one of the items just now.
    """
    items = {(row[0], row[1]) for row in await connection.fetch(_SQL["find_demo"], tenant, assignee)}
    locked = items | await _linked(connection, "find_waiting", items)
    there = [key for key in await lock_items(connection, locked) if key in items]
    uids = [uid for _, uid in there]
    waiting = await end_links(connection, dict.fromkeys(there, now), locked)
    places = sorted((row[0], row[1], row[2]) for row in await connection.fetch(_SQL["find_places_of"], tenant, uids))
    await connection.execute(_SQL["free_places"], *columns(places, 3))
    for name in ("delete_links_of", "delete_item_events", "delete_items"):
        await connection.execute(_SQL[name], tenant, uids)
    await look_at(connection, {key: at for key, at in waiting.items() if key not in items})
    return len(there)
