"""The schema in a PostgreSQL database: made once, checked, migrated."""

from __future__ import annotations

from importlib.resources import files

from holdfast.errors import NotOurs, SchemaTooNew, SchemaTooOld
from holdfast.store.base import SchemaStatus
from holdfast.store.migrations import Migration, migrations
from holdfast.store.postgres import roles
from holdfast.store.postgres.connection import Connection
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "schema.sql")


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


async def step(connection: Connection, where: str) -> str | None:
    """Apply the next migration, if one is pending. Call it inside a transaction.

    Returns:
        Its name, or None when there is nothing left to do.
    """
    await connection.execute(_SQL["lock"])
    found = await status(connection, where)
    if found.version > found.wanted:
        check(found, where)
    for migration in known_migrations():
        if migration.number > found.version:
            await connection.execute(migration.sql)
            await connection.execute(_SQL["set_version"], migration.number)
            return migration.name
    return None


async def admit(connection: Connection) -> None:
    """Give the roles their rights, one process at a time. Call it inside a transaction."""
    if (await roles.look(connection)).admitted:
        return
    await connection.execute(_SQL["lock"])
    await roles.admit(connection)


async def durable(connection: Connection) -> str:
    """How commits reach the disk, as the server says."""
    return str(await connection.fetchval(_SQL["durable"]))
