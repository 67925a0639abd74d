"""The roles of the engine and of readers: looked for, made where that is allowed, else asked for.

The engine works without them for the owner of the tables. They are wanted to read under a tenant's policy, and for
whoever is not the owner.
"""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from holdfast.errors import StoreError
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.errors import Again
from holdfast.store.postgres.giving_way import lock
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "roles.sql")

_MEANWHILE = (
    asyncpg.UniqueViolationError,
    asyncpg.DuplicateObjectError,
    asyncpg.InternalServerError,  # tuple concurrently updated
)
"""What is raised when another process makes or changes the same."""


@dataclass(frozen=True, slots=True)
class Roles:
    """What there is, and what whoever is connected may do.

    Attributes:
        engine: there is holdfast_engine.
        reader: there is holdfast_reader.
        me: who is connected.
        may_create: may make roles.
        engine_reads: holdfast_engine is a member of holdfast_reader.
        is_engine: may do what holdfast_engine may.
        reads: may become holdfast_reader.
        made: there is the schema.
        owner: whose it is.
        owns: may do what its owner may.
        enters: may look into it.
        admitted: the roles have their rights to all tables of this database.
        sees_all: sees the rows of every tenant.
    """

    engine: bool
    reader: bool
    me: str
    may_create: bool
    engine_reads: bool
    is_engine: bool
    reads: bool
    made: bool
    owner: str | None
    owns: bool
    enters: bool
    admitted: bool
    sees_all: bool

    @property
    def there(self) -> bool:
        """Whether the cluster has all of it, for whoever is connected."""
        return self.engine and self.reader and self.engine_reads and self.reads

    @property
    def could_be_made(self) -> bool:
        """Whether something is missing that whoever is connected may make."""
        if not self.there:
            return self.may_create
        return self.owns and not self.admitted

    def wanted(self) -> str:
        """What an administrator has to run, as statements in a line."""
        lines = []
        if not self.engine:
            lines.append("CREATE ROLE holdfast_engine NOLOGIN;")
        if not self.reader:
            lines.append("CREATE ROLE holdfast_reader NOLOGIN;")
        if not self.engine_reads:
            lines.append("GRANT holdfast_reader TO holdfast_engine;")
        if not self.is_engine:
            quoted = self.me.replace('"', '""')
            lines.append(f'GRANT holdfast_engine TO "{quoted}";')
        return " ".join(lines)


async def look(connection: Connection) -> Roles:
    """What there is."""
    row = await connection.fetchrow(_SQL["found"])
    assert row is not None
    return Roles(**dict(row))


async def make(connection: Connection) -> None:
    """Make the roles that are missing, if that is allowed. Call it in a transaction of its own, a short one.

    Raises:
        Again: another process makes them just now.
    """
    found = await look(connection)
    if found.there or not found.may_create:
        return
    await connection.execute(_SQL["before"])
    try:
        if not found.engine:
            await connection.execute(_SQL["create_engine"])
        if not found.reader:
            await connection.execute(_SQL["create_reader"])
        if not found.engine_reads:
            await connection.execute(_SQL["engine_reads"])
        if not found.is_engine:
            await connection.execute(_SQL["is_engine"])
    except asyncpg.InsufficientPrivilegeError:
        # Whoever may make roles need not be allowed to give away those that are another's.
        await connection.execute(_SQL["back"])
    except _MEANWHILE as error:
        raise Again(str(error)) from error


async def begin(connection: Connection) -> list[str]:
    """Give the roles what is no table's, if they are there and it is ours to give them. Call it in a transaction.

    Returns:
        The tables that lack something, in the order in which they are to be given it.
    """
    found = await look(connection)
    if not (found.owns and found.engine and found.reader and not found.admitted):
        return []
    await _meanwhile(connection, _SQL["admit"])
    return [row["name"] for row in await connection.fetch(_SQL["lacking"])]


async def admit(table: str, connection: Connection, wait_ms: int) -> None:
    """Give the roles their rights to one table. Call it in a transaction of its own: see `giving_way`.

    Raises:
        Again: the table is in use, or another process changes its rights just now.
    """
    await lock(connection, [table], wait_ms)
    for row in await connection.fetch(_SQL["lacking"]):
        if row["name"] == table:
            await _meanwhile(connection, row["admit"])


async def _meanwhile(connection: Connection, statement: str) -> None:
    try:
        await connection.execute(statement)
    except _MEANWHILE as error:
        raise Again(str(error)) from error


def check_engine(found: Roles, where: str) -> None:
    """See that whoever is connected may work as the engine.

    Raises:
        StoreError: they see no rows, may not even look, or their role lacks rights to a table that is new.
    """
    lacks = found.is_engine and not found.owns and not found.admitted
    if found.made and (lacks or not (found.enters and found.sees_all)):
        raise StoreError(
            f"{where}: the user {found.me} may not work as the engine; an administrator has to run: {found.wanted()}"
            if found.wanted()
            else f"{where}: the user {found.me} may not work as the engine yet; run `holdfast db migrate` as the owner "
            f"of the schema, {found.owner}"
        )


def check_reader(found: Roles, where: str) -> None:
    """See that whoever is connected may read as one tenant.

    Raises:
        StoreError: there are no roles for that, or they have no rights.
    """
    if not found.there:
        raise StoreError(
            f"{where}: to read as one tenant the roles holdfast_engine and holdfast_reader are needed, which the user "
            f"{found.me} may not make; an administrator has to run: {found.wanted()}"
        )
    if not found.admitted:
        raise StoreError(
            f"{where}: the role holdfast_reader has no rights here yet; run `holdfast db migrate` as the owner of the "
            f"schema, {found.owner}"
        )
