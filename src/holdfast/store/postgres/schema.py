"""The schema in a PostgreSQL database: made once, checked, migrated."""

from __future__ import annotations

import re
from functools import partial
from importlib.resources import files

from holdfast.errors import NotOurs, SchemaTooNew, SchemaTooOld
from holdfast.store.base import SchemaStatus
from holdfast.store.migrations import Migration, migrations
from holdfast.store.postgres import giving_way, roles
from holdfast.store.postgres.connection import Connection, Link
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "schema.sql")

_NAMED = re.compile(r"\bholdfast\.(\w+)")
"""What a migration names: tables, indexes, and what is neither."""


def known_migrations() -> tuple[Migration, ...]:
    """Every migration of this store, oldest first."""
    return migrations("holdfast.store.postgres")


async def status(connection: Connection, where: str) -> SchemaStatus:
    """The database's schema version and the migrations that it lacks.

    Raises:
        NotOurs: there is a schema ``holdfast``, but another program made it.
    """
    ((exists, marked, closed),) = await connection.fetch(_SQL["found"])
    if marked and closed:
        roles.check_engine(await roles.look(connection), where)
    version = await connection.fetchval(_SQL["version"]) if marked else None
    if exists and not isinstance(version, int):
        raise NotOurs(
            f"{where} has a schema named holdfast that another program made; give holdfast a database of its own"
        )
    known = known_migrations()
    version = version or 0
    return SchemaStatus(version, known[-1].number, tuple(m.name for m in known if m.number > version))


async def prepare(connection: Connection, where: str) -> SchemaStatus:
    """Make the schema in an empty database. Call it inside a transaction.

    Returns:
        What is there then.
    """
    found = await status(connection, where)
    if found.version == 0:
        await connection.execute(_SQL["lock"])
        found = await status(connection, where)
        if found.version == 0:
            await connection.execute(files("holdfast.store.postgres").joinpath("schema.sql").read_text("utf-8"))
            await connection.execute(_SQL["set_version"], found.wanted)
            found = await status(connection, where)
    return found


def check(found: SchemaStatus, where: str) -> None:
    """Refuse a schema that is not this code's.

    Raises:
        SchemaTooNew: a later holdfast made it.
        SchemaTooOld: it needs a migration.
    """
    if found.version > found.wanted:
        raise SchemaTooNew(
            f"{where} has schema version {found.version}, this holdfast knows up to {found.wanted}; upgrade holdfast"
        )
    if found.pending:
        raise SchemaTooOld(
            f"{where} has schema version {found.version}, this holdfast needs {found.wanted}; "
            "run `holdfast db migrate`, or add ?migrate=auto to the address"
        )


async def step(connection: Connection, where: str, wait_ms: int) -> str | None:
    """Apply the next migration, if one is pending. Call it inside a transaction: see `giving_way`.

    Args:
        where: the database's address, without its password.
        wait_ms: how long to wait for each table that it changes.

    Returns:
        Its name, or None when there is nothing left to do.

    Raises:
        Again: a table is in use.
    """
    await connection.execute(_SQL["lock"])
    found = await status(connection, where)
    if found.version > found.wanted:
        check(found, where)
    for migration in known_migrations():
        if migration.number > found.version:
            # Before it changes anything, all that it names: what it began would be lost when it gives way.
            named = await connection.fetch(_SQL["tables"], sorted(set(_NAMED.findall(migration.sql))))
            await giving_way.lock(connection, [row["name"] for row in named], wait_ms)
            await connection.execute(migration.sql)
            await connection.execute(_SQL["set_version"], migration.number)
            return migration.name
    return None


async def admit(link: Link, where: str) -> None:
    """Give the roles their rights: first what is no table's, then table by table, each in a transaction of its own.

    Raises:
        StoreUnavailable: a table was in use all the time; those before it have all of their rights.
    """
    what = "giving the roles their rights"

    async def begin(connection: Connection, wait_ms: int) -> list[str]:
        if (await roles.look(connection)).admitted:
            return []
        await connection.execute(_SQL["lock"])
        return await roles.begin(connection)

    for table in await giving_way.patiently(link, begin, where, what):
        await giving_way.patiently(link, partial(roles.admit, table), where, what)


async def durable(connection: Connection) -> str:
    """How commits reach the disk, as the server says."""
    return str(await connection.fetchval(_SQL["durable"]))
