"""What was done, and how much there is to do; inside the caller's transaction."""

from __future__ import annotations

from holdfast.store.postgres.connection import Connection
from holdfast.store.sql import statements
from holdfast.store.work_rows import FigureRow, LoadRow

_SQL = statements("holdfast.store.postgres", "work_figures.sql")

_GROUPS = {"definition": "e.definition", "assignee": "e.assignee", None: "NULL::text"}


async def figures(
    connection: Connection,
    tenant: str,
    since: int,
    until: int,
    by: str | None,
    demo: bool,
    definition: str | None,
    assignee: str | None,
) -> list[FigureRow]:
    """See `WorkStore.figures`."""
    asked: list[str] = []
    more = ""
    for column, wanted in (("definition", definition), ("assignee", assignee)):
        if wanted is not None:
            asked.append(wanted)
            more += f" AND e.{column} = ${4 + len(asked)}"
    statement = _SQL["figures"].replace("/*group*/", _GROUPS[by]).replace("/*more*/", more)
    rows = await connection.fetch(statement, tenant, since, until, demo, *asked)
    return [FigureRow(*row[:4], *row[4]) for row in map(tuple, rows)]


async def loads(connection: Connection, tenant: str, now: int) -> list[LoadRow]:
    """See `WorkStore.loads`."""
    return [LoadRow(*row) for row in await connection.fetch(_SQL["loads"], tenant, now)]


async def efforts(connection: Connection, tenant: str, since: int) -> list[tuple[str, int]]:
    """See `WorkStore.efforts`."""
    return [(row[0], row[1]) for row in await connection.fetch(_SQL["efforts"], tenant, since)]
