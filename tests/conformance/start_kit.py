"""Short ways to start runs under rules, to move time, and to see what became of starts; over any store."""

import hashlib
import itertools
import secrets
from typing import Any

from holdfast.model.ids import uuid7
from holdfast.store.base import Store
from holdfast.store.diversion_rows import DiversionRow
from holdfast.store.operations import Gather, Promote, Rate, Results, Start, Started
from holdfast.store.sqlite.rows import executing
from tests.conformance.kit import claim, commit, start

SECOND = 1_000_000
MINUTE = 60 * SECOND

_MADE = 1_700_000_000_000_000
_numbers = itertools.count(1)


def rule_id(*parts: str) -> bytes:
    """Sixteen bytes that stand for a key of a rule."""
    return hashlib.sha256("|".join(parts).encode()).digest()[:16]


def rate(most: int = 1, key: str = "k", *, period: int = MINUTE, drop: bool = False) -> Rate:
    """A limit."""
    return Rate(rule_id("rate", key), key, most, period, drop)


def trailing(key: str = "k", wait: int = 10 * SECOND, longest: int = 25 * SECOND) -> Gather:
    """A debounce that waits until it was quiet."""
    return Gather(rule_id("debounce", key), "debounce", key, "trailing", wait, longest)


def leading(key: str = "k", wait: int = 10 * SECOND, longest: int = 25 * SECOND) -> Gather:
    """A debounce that starts at once."""
    return Gather(rule_id("debounce", key), "debounce", key, "leading", wait, longest)


def batch(most: int = 3, key: str = "k", *, items: int = 1, within: int = 10 * SECOND) -> Gather:
    """A batch, and how many items a start brings."""
    return Gather(rule_id("batch", key), "batch", key, "", within, most=most, items=items)


def singleton(mode: Any = "skip", key: str = "k") -> Gather:
    """The only run of a key."""
    return Gather(rule_id("singleton", key), "singleton", key, mode)


def ruled(id: str, rule: Rate | Gather, *items: int, **changes: Any) -> Start:
    """A start under a rule; ``items``: of its input, a list."""
    given = b'\x01{"docs":[' + b",".join(b"%d" % item for item in items) + b"]}"
    uid = uuid7(_MADE + next(_numbers), secrets.token_bytes(10))
    fields: dict[str, Any] = {"input": given, "created_at": _MADE, "rate" if isinstance(rule, Rate) else "gather": rule}
    return start(id, uid=uid, **(fields | changes))


async def timed(store: Store, *starts: Start, limit: int = 5 * SECOND) -> list[Start]:
    """Starts as they are made now, with a time limit."""
    now = await store.now()
    return [start._replace(created_at=now, deadline_at=now + limit) for start in starts]


async def begin(store: Store, *starts: Start) -> list[Started]:
    """Start them in one batch: what became of each."""
    return started(await commit(store, starts=list(starts)))


def started(results: Results) -> list[Started]:
    """What became of the starts of a batch, none of which was refused."""
    assert all(isinstance(one, Started) for one in results.starts), results.starts
    return results.starts  # type: ignore[return-value]


async def ways(store: Store, *starts: Start) -> list[str]:
    """The same, in one word each."""
    return [one.way for one in await begin(store, *starts)]


async def forward(store: Any, us: int) -> None:
    """Let it be so much later in the database."""
    if store.name == "postgres":
        await store._tend(lambda it: it.execute("UPDATE holdfast.clock SET offset_us = offset_us + $1", us))
    else:
        await store._transaction(executing("UPDATE clock SET offset_us = offset_us + ?", (us,)))


async def promote(store: Store, limit: int = 1000) -> int:
    """Let runs through whose time has come; again, as a dispatcher does, while some are due. How many."""
    moved = 0
    for _ in range(20):
        (found,) = (await commit(store, promotes=[Promote(limit)])).promotes
        moved += found.moved
        if found.next_at is None or found.next_at > await store.now():
            return moved
    raise AssertionError("runs stay due")


async def taken(store: Store) -> list[tuple[str, bytes]]:
    """What can be claimed now: ids and inputs, by id."""
    return sorted((run.id, run.input) for run in await claim(store))


async def ids(store: Store) -> list[str]:
    """The ids of what can be claimed now."""
    return [id for id, _ in await taken(store)]


async def diverted(store: Store, **which: Any) -> list[DiversionRow]:
    """The diversions of tenant t, oldest first."""
    return sorted(await store.diversions.list_diversions("t", limit=1000, **which))


async def count(store: Any, table: str) -> int:
    """How many rows a table has."""
    if store.name == "postgres":
        return int(await store._tend(lambda it: it.fetchval(f"SELECT count(*) FROM holdfast.{table}")))
    rows = await store._write(lambda it: it.execute(f"SELECT count(*) FROM {table}").fetchall())
    return int(rows[0][0])
