"""A connection that is opened when it is needed, again after it broke, and used one transaction at a time.

Every transaction begins by setting its own timeouts, so that a process that freezes inside one does
not hold up its successor for long. The settings are local to the transaction, since behind PgBouncer
the next one may go to another session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import asyncpg

from holdfast.errors import StoreError
from holdfast.store.postgres.address import Address
from holdfast.store.postgres.errors import TROUBLE, translate

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

IDLE_MS = 5_000
"""A transaction whose process has not spoken for so long is ended by the server."""

LOCK_MS = 10_000
"""How long a statement waits for a lock."""

STATEMENT_MS = 60_000
"""How long a statement of the engine runs."""

READ_MS = 30_000
"""How long a statement that reads runs."""

CONNECT_SECONDS = 10.0
"""How long opening a connection may take."""

ANSWER_SECONDS = 75.0
"""After so long without an answer, longer than any statement may run, the network is taken to be gone."""

ROLLBACK_SECONDS = 5.0
"""How long a rollback may take before the connection is dropped instead."""

OLDEST = (13, 0)

# Every statement is written so that one index lookup per row is the best plan, for a handful of rows
# and for millions. These settings leave the planner no other, whatever its statistics are: for a table
# that was empty when it was last looked at, it would else scan.
_PLANS = """
    SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL jit = off; SET LOCAL enable_seqscan = off;
    SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off
"""

# For statements that are a transaction of their own, in a session that is ours alone.
_SESSION = f"SET lock_timeout = {LOCK_MS:d}; SET statement_timeout = {STATEMENT_MS:d};" + _PLANS.replace(" LOCAL", "")


def _begin(kind: str, statement_ms: int, lock_ms: int = LOCK_MS, idle_ms: int = IDLE_MS) -> str:
    # SET takes no parameters. These are numbers of ours.
    return (
        f"{kind}; SET LOCAL idle_in_transaction_session_timeout = {idle_ms:d};"
        f"SET LOCAL lock_timeout = {lock_ms:d}; SET LOCAL statement_timeout = {statement_ms:d}; {_PLANS}"
    )


WRITE = _begin("BEGIN ISOLATION LEVEL READ COMMITTED", STATEMENT_MS)
READ = _begin("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", READ_MS)
READ_AS = f"{READ}; SET LOCAL ROLE holdfast_reader"
LONG_MS = 900_000
"""How long a statement runs that changes most rows of a tenant."""

# Such a statement reads the small tables once, instead of once for each row, and goes to each row by where it stands.
LONG = (
    f"{_begin('BEGIN ISOLATION LEVEL READ COMMITTED', LONG_MS)}; SET LOCAL enable_hashjoin = on;"
    "SET LOCAL random_page_cost = 0; SET LOCAL work_mem = '128MB'"
)
BEAT = _begin("BEGIN ISOLATION LEVEL READ COMMITTED", 3_000, lock_ms=2_000)

T = TypeVar("T")


async def connect(address: Address) -> Connection:
    """Open a connection.

    Raises:
        StoreError: one of its kinds, never with the password in it.
    """
    settings = {} if address.named else {"application_name": "holdfast"}
    options: dict[str, Any] = {}
    if address.notify:
        # The server notices that a client's machine is gone. PgBouncer refuses settings it does not know.
        settings |= {"tcp_keepalives_idle": "60", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}
    else:
        options["statement_cache_size"] = 0
    try:
        connection: Connection = await asyncpg.connect(
            address.dsn, timeout=CONNECT_SECONDS, command_timeout=ANSWER_SECONDS, server_settings=settings, **options
        )
    except asyncio.CancelledError:
        raise
    except Exception as error:
        ours = translate(error, address.where)
        # Not chained: asyncpg's own errors may quote the address.
        if isinstance(ours, StoreError):
            raise ours from None
        raise StoreError(f"{address.where}: cannot connect: {type(ours).__name__}: {ours}") from None
    if connection.get_server_version()[:2] < OLDEST:
        version = ".".join(map(str, connection.get_server_version()[:2]))
        connection.terminate()
        raise StoreError(f"{address.where}: PostgreSQL {version} is too old; holdfast needs {OLDEST[0]} or later")
    if address.notify:
        try:
            await connection.execute(_SESSION)
        except BaseException as error:
            connection.terminate()
            ours = translate(error, address.where)
            if ours is error:
                raise
            raise ours from error
    return connection


def _read_only(error: BaseException) -> bool:
    return getattr(error, "sqlstate", None) == "25006"


class Link:
    """A connection and its users' queue.

    Args:
        address: of the database.
        begin: how its transactions begin.
    """

    def __init__(self, address: Address, begin: str) -> None:
        self._address = address
        self._begin = begin
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do something inside one transaction.

        Raises:
            Again: it was rolled back; repeat it.
            StoreUnavailable: whether it was committed is not known; repeat it.
        """
        async with self._lock:
            connection = await self._begun()
            try:
                result = await work(connection)
                await connection.execute("COMMIT")
            except BaseException as error:
                await self._leave(connection, error)
                ours = translate(error, self._address.where)
                if ours is error:
                    raise
                raise ours from error
            return result

    async def lone(self, work: Callable[[Connection], Awaitable[T | None]]) -> T | None:
        """Do something that is one statement, which needs no transaction around it: one round trip instead of three.

        The statement is sent as a whole, so that a process that freezes leaves nothing open. None if
        this cannot be done here, or was of no use: then `run` it.

        Raises:
            Again: it was rolled back; repeat it.
            StoreUnavailable: whether it was committed is not known; repeat it.
        """
        async with self._lock:
            connection = self._connection
            if connection is None or connection.is_closed() or not self._address.notify:
                return None
            try:
                return await work(connection)
            except BaseException as error:
                if not isinstance(error, asyncpg.PostgresError) or connection.is_closed() or _read_only(error):
                    self._drop(connection)
                ours = translate(error, self._address.where)
                if ours is error:
                    raise
                raise ours from error

    async def _begun(self) -> Connection:
        """The connection, inside a new transaction. One that broke while nobody used it is opened again."""
        connection = self._connection
        if connection is not None and not connection.is_closed():
            try:
                await connection.execute(self._begin)
            except Exception:
                # Nothing was asked of it yet, so whatever is wrong, another one can be asked.
                self._drop(connection)
            except BaseException:
                self._drop(connection)
                raise
            else:
                return connection
        connection = self._connection = await connect(self._address)
        try:
            await connection.execute(self._begin)
        except BaseException as error:
            self._drop(connection)
            ours = translate(error, self._address.where)
            if ours is error:
                raise
            raise ours from error
        return connection

    async def _leave(self, connection: Connection, error: BaseException) -> None:
        """Get out of the transaction, by dropping the connection unless it is sure to be sound."""
        sound = isinstance(error, Exception) and not isinstance(error, OSError | TimeoutError)
        if sound and not connection.is_closed():
            try:
                await connection.execute("ROLLBACK", timeout=ROLLBACK_SECONDS)
            except asyncio.CancelledError:
                self._drop(connection)
                raise
            except Exception:
                # Whatever it is, the connection is no longer of use.
                self._drop(connection)
                return
            if not _read_only(error):
                return
        # A standby, or an unknown state: the next one connects anew.
        self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        connection.terminate()
        if self._connection is connection:
            self._connection = None

    async def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            try:
                await connection.close(timeout=ROLLBACK_SECONDS)
            except TROUBLE:
                connection.terminate()
