"""Lanes: who takes a slot, who gets in line, and who is next. What is locked is said in lanes.sql."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from holdfast.model.lanes import Join, Leave, Terms, free_slots, next_holders
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "lanes.sql")

AGAIN_SECONDS = 0.25
"""So often at least a line is searched from its beginning, for what came later and belongs earlier."""

CHEAP_SECONDS = 0.0003
"""A line whose search from the beginning took no longer is always searched from there."""

SHARE = 50
"""A dearer search from the beginning is made again after so many times its duration: 2 % of the time at most."""

LONGEST_SECONDS = 5.0
"""However dear it was, it is made again after so long: perhaps its process was stopped in it, or the database away."""

ROW_SECONDS = 20e-6
"""Time for each row that a search found is for taking the row, not for searching."""

REMEMBERED = 10_000
"""Lanes whose line is remembered."""

Place = tuple[int, bytes]
"""In a line: (rank, run)."""

BEGINNING: Place = (-(2**63), b"")


class _Line:
    """A line that is dear to search: from where on, and when its search from the beginning was last made."""

    __slots__ = ("place", "searched_at", "took")

    def __init__(self) -> None:
        self.place = BEGINNING
        self.searched_at = float("-inf")
        self.took = 0.0


class Lines:
    """From where on to search the lines whose beginning is full of dead entries.

    Belongs to one connection's user; nothing depends on it but speed, and for a quarter of a second
    whether a run that another process put in line is seen to stand before others.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[bytes, _Line] = OrderedDict()

    def begin(self, lane: bytes, now: float) -> Place:
        """Where a search is to begin."""
        line = self._lines.get(lane)
        if line is None or now - line.searched_at >= max(AGAIN_SECONDS, min(SHARE * line.took, LONGEST_SECONDS)):
            return BEGINNING
        self._lines.move_to_end(lane)
        return line.place

    def searched(self, lanes: Iterable[bytes], began: float, now: float, rows: int) -> None:
        """These were searched from their beginning, all at once, and so many rows were found."""
        took = now - began - rows * ROW_SECONDS
        for lane in lanes:
            if took <= CHEAP_SECONDS:
                self._lines.pop(lane, None)
                continue
            line = self._lines.setdefault(lane, _Line())
            line.searched_at, line.took = now, took
            self._lines.move_to_end(lane)
        while len(self._lines) > REMEMBERED:
            self._lines.popitem(last=False)

    def called(self, lane: bytes, last: Place) -> None:
        """Everyone up to this one was taken out of the line."""
        line = self._lines.get(lane)
        if line is not None:
            line.place = last

    def queued(self, lane: bytes, place: Place) -> None:
        """Somebody got in line."""
        line = self._lines.get(lane)
        if line is not None and place < line.place:
            line.place = place

    def forget(self) -> None:
        """Begin everywhere at the beginning: nothing is known, as after a rollback."""
        self._lines.clear()


async def change_lanes(
    connection: Connection,
    joins: Sequence[Join],
    leaves: Sequence[Leave],
    terms: Sequence[Terms],
    lines: Lines | None = None,
) -> int:
    """Let runs leave and join their lanes, and pass on the slots that are free then.

    A run that is in line already is left there, and one that holds its slot is made ready.

    Args:
        joins: one for each run.
        leaves: of other runs than these.
        terms: what starts say of their lanes, in order; the last one counts.
        lines: what is remembered of the lines, where that is worth something.

    Returns:
        How many runs became ready.
    """
    lines = lines or Lines()
    joining: dict[bytes, list[Join]] = defaultdict(list)
    for join in joins:
        joining[join.lane].append(join)
    told = {one.id: one for one in terms}
    ids = list({*told, *joining, *(leave.lane for leave in leaves)})
    if not ids:
        return 0
    rows = [_lane_row(id, told.get(id), joining.get(id, [])) for id in ids]
    made = {row[0]: (row[1], row[2]) for row in await connection.fetch(_SQL["lock_lanes"], rows)}
    others = [id for id in ids if id not in made]
    found = await _leave(connection, others, leaves, [join for join in joins if join.lane not in made])
    known = {row[1]: (row[2], row[3]) for row in found if row[0] == "lane"}
    stored = made | known
    before = {id: (slots, 0) for id, (slots, _) in made.items()} | known
    freed = Counter(row[1] for row in found if row[0] == "left" and row[5] is not None)
    members = {row[4]: row[5] for row in found if row[0] == "member"}
    after: dict[bytes, tuple[int, int]] = {}
    vacant: dict[bytes, int] = {}
    for id, (slots, held) in before.items():
        after[id] = wanted, left = told[id].slots if id in told else slots, held - freed.get(id, 0)
        # Somebody is in line only where every slot was taken.
        if held >= slots and (free := free_slots(wanted, left)):
            vacant[id] = free
    line = await _first_in_line(connection, vacant, lines) if vacant else {}
    called: list[tuple[bytes, int, bytes]] = []
    joined: list[tuple[Any, ...]] = []
    changed: list[tuple[bytes, int, int]] = []
    emptied: list[bytes] = []
    ready = 0
    for id, (slots, held) in after.items():
        joins_it, waiting = joining.get(id, ()), line.get(id, ())
        if len(joins_it) == 1 and id in made and free_slots(slots, held):
            # As nearly all are where there are many lanes: somebody has a new one alone, and leaves it alone.
            joined.append((*joins_it[0], True, True))
            ready += 1
            if (slots, held + 1) != stored[id]:
                changed.append((id, slots, held + 1))
            continue
        if not joins_it and not waiting:
            if held == 0 and slots > 0:
                emptied.append(id)
            elif (slots, held) != stored[id]:
                changed.append((id, slots, held))
            continue
        new = {(join.rank, join.run): join for join in joins_it if join.run not in members}
        holders = next_holders(free_slots(slots, held), waiting, new)
        first = [place for place in holders if place not in new]
        if first:
            called += [(id, *place) for place in first]
            lines.called(id, first[-1])
        gets = set(holders)
        for place, join in new.items():
            joined.append((*join, True, place in gets))
            if place not in gets:
                lines.queued(id, place)
        back = [join for join in joins_it if members.get(join.run) is not None]
        joined += [(*join, False, True) for join in back]
        ready += len(holders) + len(back)
        held += len(holders)
        if held == 0 and slots > 0:
            emptied.append(id)
        elif (slots, held) != stored[id]:
            changed.append((id, slots, held))
    if called or joined or changed or emptied:
        await connection.execute(_SQL["change_lanes"], *columns(called, 3), joined, *columns(changed, 3), emptied)
    return ready


def _lane_row(id: bytes, told: Terms | None, joining: list[Join]) -> tuple[Any, ...]:
    run = None if told or not joining else joining[0].run
    return (*(told or (id, None, None, None, None)), run, len(joining))


async def _leave(
    connection: Connection, lanes: Sequence[bytes], leaves: Sequence[Leave], joins: Sequence[Join]
) -> Sequence[Any]:
    """See ``leave_lanes``. Where every lane is new, which is so when every key is, it has nothing to find."""
    if not lanes:
        return ()
    return await connection.fetch(_SQL["leave_lanes"], lanes, *columns(leaves, 3), *columns(joins, 3))


async def _first_in_line(connection: Connection, vacant: dict[bytes, int], lines: Lines) -> dict[bytes, list[Place]]:
    """The first of each lane's line, up to so many."""
    began = time.monotonic()
    begin = {id: lines.begin(id, began) for id in vacant}
    found = await _search(connection, begin, vacant, lines)
    short = [id for id, place in begin.items() if place != BEGINNING and len(found[id]) < vacant[id]]
    if short:
        found |= await _search(connection, dict.fromkeys(short, BEGINNING), vacant, lines)
    return found


async def _search(
    connection: Connection, begin: dict[bytes, Place], vacant: dict[bytes, int], lines: Lines
) -> dict[bytes, list[Place]]:
    began = time.monotonic()
    rows = await connection.fetch(
        _SQL["first_in_line"],
        list(begin),
        [place[0] for place in begin.values()],
        [place[1] for place in begin.values()],
        [vacant[id] for id in begin],
    )
    lines.searched((id for id, place in begin.items() if place == BEGINNING), began, time.monotonic(), len(rows))
    found: dict[bytes, list[Place]] = {id: [] for id in begin}
    for id, rank, run in rows:
        found[id].append((rank, run))
    return found
