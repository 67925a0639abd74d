"""Puts PostgreSQL's and asyncpg's errors in our words, and tells which connection is still good."""

from __future__ import annotations

import asyncpg
from asyncpg.exceptions import ClientConfigurationError, InternalClientError
from asyncpg.exceptions import _base as asyncpg_base

from holdfast.errors import BadURL, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from holdfast.store.base import Rejected

_LOST = (
    "08",  # connection_exception
    "53200",  # out_of_memory
    "53300",  # too_many_connections
    "57P",  # shut down, crashed, not up yet, idle for too long
    "25P03",  # idle_in_transaction_session_timeout
    "25P04",  # transaction_timeout
    "58",  # system_error
)
_AGAIN = (
    "40",  # transaction_rollback: deadlock_detected, serialization_failure
    "55P03",  # lock_not_available
    "57014",  # query_canceled: statement_timeout
)
_REJECTED = (
    "22",  # data_exception
    "23",  # integrity_constraint_violation
    "54",  # program_limit_exceeded: too large for an index
)
_CONNECTING = {
    "28": "it refuses the user or the password; check both",
    "3D": "there is no such database; create it first",
    "42501": "the user lacks a privilege",
    "42704": "the address holds an option that it does not know",
}


TROUBLE = (StoreError, asyncpg.PostgresError, asyncpg.InterfaceError, InternalClientError, OSError, EOFError)
"""Whatever a broken connection may raise, of ours and of asyncpg."""


class Again(Exception):
    """The transaction was rolled back through no fault of its own and may succeed if repeated."""


def translate(error: BaseException, where: str) -> BaseException:
    """Our error for one of PostgreSQL's or of the network; any other as it is.

    Args:
        error: what was raised.
        where: the database's address, without its password.
    """
    # The class named DataError in asyncpg's own list is the server's; a value that cannot be sent is another.
    if isinstance(error, asyncpg_base.DataError | UnicodeEncodeError | OverflowError):
        return Rejected(str(error))
    if isinstance(error, asyncpg.PostgresError):
        return _of_server(error, where)
    if isinstance(error, ClientConfigurationError):
        return BadURL(f"{where}: the address cannot be used: {error}")
    if isinstance(error, InternalClientError | asyncpg.InterfaceError | OSError | TimeoutError | EOFError):
        return StoreUnavailable(f"{where}: no connection to the database: {str(error) or type(error).__name__}")
    return error


def _of_server(error: asyncpg.PostgresError, where: str) -> Exception:
    state = error.sqlstate or ""
    if state.startswith(_AGAIN):
        return Again(f"{where}: {error}")
    if state.startswith(_LOST):
        return StoreUnavailable(f"{where}: {error}")
    if state.startswith(_REJECTED):
        return Rejected(str(error))
    if state == "53100":
        return StoreFull(f"{where}: no space left for the database ({error}); free some, nothing was lost")
    if state.startswith("53"):
        return StoreUnavailable(f"{where}: {error}")
    if state == "25006":
        return StoreReadOnly(f"{where}: the database cannot be written to ({error}); is it a standby?")
    for prefix, advice in _CONNECTING.items():
        if state.startswith(prefix):
            return StoreError(f"{where}: {error}; {advice}")
    return StoreError(f"{where}: {error}")
