"""Puts Redis's and redis-py's errors in our words."""

from __future__ import annotations

import re

from redis import exceptions

from holdfast.conversations.redis.address import Address
from holdfast.errors import StoreError, StoreFull, StoreReadOnly, StoreUnavailable

TROUBLE = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterDownError,
    exceptions.RedisClusterException,
    OSError,
)
"""What a lost connection or a server in trouble raises: the same again may succeed."""

RAISED = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
"""All that redis-py raises when something is wrong with a server, or with the way to it."""

_CODE = re.compile(
    r"(?:^|[\s-])(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN)(?= )",
)
"""Codes of errors. Redis 6.2 quotes one that comes from inside a script."""

_BY_CLASS: dict[type[BaseException], str] = {exceptions.OutOfMemoryError: "OOM", exceptions.ReadOnlyError: "READONLY"}


REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError)
"""The server knows nobody of this user and password. To redis-py that is trouble with the connection."""


def is_trouble(error: BaseException) -> bool:
    """Whether the same again may succeed."""
    said = _said(error)
    return isinstance(said, TROUBLE) and not isinstance(said, REFUSED)


def translate(error: BaseException, address: Address) -> StoreError:
    """Our error for one of redis-py or of the network; the password is in none.

    Args:
        error: what was raised.
        address: of the Redis.
    """
    error = _said(error)
    text = address.hide(str(error)) or type(error).__name__
    where = address.where
    if isinstance(error, REFUSED):
        return StoreError(f"{where}: {text}; check the user and the password")
    code = _BY_CLASS.get(type(error)) or next(iter(_CODE.findall(text)), "")
    if code == "OOM":
        return StoreFull(f"{where}: Redis has no memory left ({text}); give it more, nothing was lost")
    if code == "READONLY":
        return StoreReadOnly(f"{where}: this Redis cannot be written to ({text}); is it a replica?")
    if code or isinstance(error, TROUBLE):
        return StoreUnavailable(f"{where}: no answer from Redis: {text}")
    return StoreError(f"{where}: {text}")


def _said(error: BaseException) -> BaseException:
    """What the server said; where that ended a new connection, redis-py has it as the cause of its own error."""
    cause = error.__cause__
    wraps = type(error) is exceptions.ConnectionError and isinstance(cause, exceptions.RedisError)
    return cause if wraps and cause is not None else error
