"""Items as people look at them, and the scores of all of them; inside the caller's transaction.

Statements are made of the fragments in work_lists.sql and here; every text and number of a user travels as a parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.model.expressions import Expression
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.work.rows import DEFINITION, ITEM, SUBJECT, queued, storable
from holdfast.store.scoring import compile, projection
from holdfast.store.sql import statements
from holdfast.store.work import ItemFilter
from holdfast.store.work_checks import OPEN, folded
from holdfast.store.work_rows import ItemRow, QueuedRow

_SQL = statements("holdfast.store.postgres", "work_lists.sql")

_NEWEST = b"\xff" * 17
"""Above every uid."""

_OPEN = "i.status IN ('not_started', 'underway', 'snoozed')"

_TEXT = (
    "(position({} IN i.folded) > 0 OR i.subject IN "
    "(SELECT s.id FROM holdfast.subjects AS s WHERE s.tenant = $1 AND position({} IN s.folded) > 0))"
)

_ORDER = "score DESC, {0}.created_at, {0}.id"
_DEMO_ORDER = "{0}.position NULLS LAST, {0}.created_at, {0}.id"


async def find_items(connection: Connection, tenant: str, ids: Sequence[str]) -> list[ItemRow]:
    """See `WorkStore.find_items`."""
    return [ItemRow(*row) for row in await connection.fetch(_SQL["by_id"].replace("/*item*/", ITEM), tenant, ids)]


async def list_items(
    connection: Connection, tenant: str, which: ItemFilter, limit: int, before: bytes | None
) -> list[ItemRow]:
    """See `WorkStore.list_items`."""
    if _unheard(which):
        return []
    statement, parameters = await _search(connection, ITEM, tenant, which, limit, before)
    return [ItemRow(*row) for row in await connection.fetch(statement, *parameters)]


async def count_items(connection: Connection, tenant: str, which: ItemFilter, cap: int) -> int:
    """See `WorkStore.count_items`."""
    if _unheard(which):
        return 0
    statement, parameters = await _search(connection, "", tenant, which, cap, None)
    return int(await connection.fetchval(_SQL["count"].replace("/*found*/", statement), *parameters))


def _unheard(which: ItemFilter) -> bool:
    """Whether something is asked for that no row holds."""
    return not all(storable(text) for text in (*which, *which.statuses) if isinstance(text, str))


async def _search(
    connection: Connection, what: str, tenant: str, which: ItemFilter, limit: int, before: bytes | None
) -> tuple[str, list[Any]]:
    """A search as a statement with its parameters. ``what``: the columns that are wanted."""
    parameters: list[Any] = [tenant, before or _NEWEST, limit]

    def put(value: Any) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    tests = ["i.tenant = $1", "i.uid < $2"]
    begin = _SQL["from_items"]
    statuses = tuple(dict.fromkeys(which.statuses))
    if len(statuses) == 1:
        tests.append(f"i.status = {put(statuses[0])}")
    elif statuses and set(statuses) == set(OPEN):
        tests.append(_OPEN)
    if which.assignee is not None:
        tests.append(f"i.assignee = {put(which.assignee)}" if which.assignee else "i.assignee IS NULL")
    for column in ("pool", "definition", "type", "subject", "kind", "escalated_to"):
        value = getattr(which, column)
        if value is not None:
            tests.append(f"i.{column} = {put(value)}")
    if which.kind is not None and which.kind != "work":
        tests.append("i.kind <> 'work'")  # as the index says
    if which.overdue is not None:
        late = f"{_OPEN} AND i.due_at <= {put(await connection.fetchval(_SQL['plan_by_values']))}"
        tests.append(late if which.overdue else f"(i.due_at IS NULL OR NOT ({late}))")
    for column in ("blocked", "demo"):
        value = getattr(which, column)
        if value is not None:
            tests.append(f"i.{column}" if value else f"NOT i.{column}")
    if which.text is not None:
        await connection.fetchval(_SQL["plan_for_text"])
        sought = put(folded(which.text))
        tests.append(_TEXT.format(sought, sought))
    test = " AND ".join(tests)
    if which.batch is not None:
        begin = _SQL["from_batch"].replace("/*batch*/", put(which.batch))
        if len(statuses) > 1:
            test = f"{test} AND i.status = ANY ({put(statuses)}::text[])"
    elif len(statuses) > 1 and set(statuses) != set(OPEN):
        begin = _SQL["from_statuses"].replace("/*statuses*/", put(statuses)).replace("/*test*/", test)
        test = "true"
    statement = _SQL["found"].replace("/*what*/", what).replace("/*begin*/", begin).replace("/*test*/", test)
    return statement, parameters


async def queue(
    connection: Connection,
    tenant: str,
    assignee: str,
    score: Expression,
    now: int,
    limit: int,
    snoozed: bool,
    demo: bool,
    pools: Sequence[str],
) -> list[QueuedRow]:
    """See `WorkStore.queue`."""
    parameters: list[Any] = [tenant, assignee, limit, now, demo, snoozed]
    mine = _SQL["from_assignee"]
    if pools:
        parameters.append(list(dict.fromkeys(pools)))
        mine = f"{mine} UNION ALL {_SQL['from_pools']}"
    sql, values = compile(score, "postgres", now=4, first=len(parameters) + 1)
    order = _DEMO_ORDER if demo else _ORDER
    statement = _with_columns(_SQL["queue"], sql).replace("/*mine*/", mine)
    statement = statement.replace("/*order*/", order.format("i")).replace("/*last*/", order.format("f"))
    return [queued(row) for row in await connection.fetch(statement, *parameters, *values)]


async def scored(
    connection: Connection, tenant: str, uids: Sequence[bytes], score: Expression, now: int
) -> list[QueuedRow]:
    """See `WorkStore.scored`."""
    sql, values = compile(score, "postgres", now=3, first=4)
    rows = await connection.fetch(_with_columns(_SQL["scored"], sql), tenant, uids, now, *values)
    return [queued(row) for row in rows]


async def recompute(connection: Connection, tenant: str, score: Expression, now: int, timeout: float) -> int:
    """See `WorkStore.recompute`. ``timeout``: so many seconds it may take."""
    numbers, names = projection(score, "postgres", first=3)
    sql, values = compile(score, "postgres", now=2, first=3 + len(names), projected=True)
    statement = _SQL["recompute"].replace("/*numbers*/", numbers).replace("/*score*/", sql)
    return int(await connection.fetchval(statement, tenant, now, *names, *values, timeout=timeout))


def _with_columns(statement: str, score: str) -> str:
    columns = {"item": ITEM, "subject": SUBJECT, "definition": DEFINITION, "score": score}
    for name, fragment in columns.items():
        statement = statement.replace(f"/*{name}*/", fragment)
    return statement


async def due_items(connection: Connection, now: int, limit: int) -> list[ItemRow]:
    """See `WorkStore.due_items`."""
    rows = await connection.fetch(_SQL["due_items"].replace("/*item*/", ITEM), now, limit)
    return [ItemRow(*row) for row in rows]
