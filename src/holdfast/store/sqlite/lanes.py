"""Lanes: who takes a slot, who gets in line, and who is next."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from holdfast.model.lanes import Join, Leave, Terms, free_slots, next_holders
from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import execute_many, select_first, select_many

_SQL = statements("holdfast.store.sqlite", "lanes.sql")


def change_lanes(
    connection: sqlite3.Connection, joins: Sequence[Join], leaves: Sequence[Leave], terms: Sequence[Terms]
) -> int:
    """Let runs leave and join their lanes, and pass on the slots that are free then.

    A run that is in line already is left there, and one that holds its slot is made ready.

    Args:
        joins: one for each run.
        leaves: of other runs than these.
        terms: what starts say of their lanes, in order; the last one counts.

    Returns:
        How many runs became ready.
    """
    told = {one.id: one for one in terms}
    ids = {*told, *(join.lane for join in joins), *(leave.lane for leave in leaves)}
    before: dict[bytes, tuple[int, int]] = {
        id: (slots, held) for id, slots, held in select_many(connection, "find_lanes", [(id,) for id in ids], _SQL)
    }
    unknown = [(join.run,) for join in joins if join.lane not in before and join.lane not in told]
    told |= {row[0]: Terms(*row) for row in select_many(connection, "find_terms", unknown, _SQL)}
    left = select_many(connection, "delete_members", [(leave.run,) for leave in leaves], _SQL)
    freed = Counter(lane for lane, since in left if since is not None)
    members: dict[bytes, int] = dict(select_many(connection, "find_members", [(join.run,) for join in joins], _SQL))
    joining: dict[bytes, list[Join]] = defaultdict(list)
    for join in joins:
        if join.run not in members:
            joining[join.lane].append(join)
    after = {
        id: (told[id].slots if id in told else before[id][0], before.get(id, (0, 0))[1] - freed[id])
        for id in before.keys() | told.keys()
    }
    # Somebody is in line only where every slot was taken.
    vacant = {id: free_slots(*after[id]) for id, (slots, held) in before.items() if held >= slots}
    lines = _lines(connection, vacant)
    called: list[tuple[Any, ...]] = []
    joined: list[tuple[Any, ...]] = []
    ready = [(*join[3:7], join.rank, join.run, join.fresh) for join in joins if members.get(join.run)]
    for id, (slots, held) in after.items():
        line, new = lines.get(id, ()), [(*join[1:], id) for join in joining.get(id, ())]
        winners = next_holders(free_slots(slots, held), line, new)
        chosen = {run for _, run, *_ in winners}
        called += [(row[1],) for row in line if row[1] in chosen]
        joined += [(id, *row[:-1], row[1] in chosen) for row in new]
        ready += [(*kind, rank, run, fresh) for rank, run, *kind, fresh, _ in winners]
        after[id] = slots, held + len(winners)
    _write(connection, called, joined, ready)
    _count(connection, told, before, after)
    return len(ready)


def _lines(connection: sqlite3.Connection, vacant: dict[bytes, int]) -> dict[bytes, list[tuple[Any, ...]]]:
    """The first of each lane's line: at least so many, if there are."""
    lines: dict[bytes, list[tuple[Any, ...]]] = defaultdict(list)
    wanted = {(id,): free for id, free in vacant.items() if free > 0}
    for row in select_first(connection, "first_in_line", wanted, _SQL):
        lines[row[-1]].append(row)
    return lines


def _write(
    connection: sqlite3.Connection,
    called: Sequence[tuple[Any, ...]],
    joined: Sequence[tuple[Any, ...]],
    ready: Sequence[tuple[Any, ...]],
) -> None:
    for name, rows in (("call_members", called), ("insert_members", joined), ("insert_ready", ready)):
        if rows:
            execute_many(connection, name, rows, _SQL)


def _count(
    connection: sqlite3.Connection,
    told: dict[bytes, Terms],
    before: dict[bytes, tuple[int, int]],
    after: dict[bytes, tuple[int, int]],
) -> None:
    """Write the lanes whose slots or holders changed; a lane that nobody holds is none."""
    used = {id: now for id, now in after.items() if now[1] > 0}
    new = [(*told[id], held) for id, (_, held) in used.items() if id not in before]
    changed = [(id, *now) for id, now in used.items() if id in before and now != before[id]]
    emptied = [(id,) for id in before if id not in used]
    for name, rows in (("insert_lanes", new), ("update_lanes", changed), ("delete_lanes", emptied)):
        if rows:
            execute_many(connection, name, rows, _SQL)
