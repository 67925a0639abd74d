"""The connections to a Redis, single or clustered: sends commands, once more after a failure, and not for long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from holdfast.conversations.redis.address import Address
from holdfast.conversations.redis.errors import RAISED, is_trouble, translate
from holdfast.errors import BadURL, StoreError, StoreReadOnly, StoreUnavailable

hiredis: Any
try:
    import hiredis
except ImportError:
    hiredis = None

log = logging.getLogger("holdfast.conversations")

AT_ONCE = 64
"""So many calls are under way at once, and so many connections open."""

OLDEST = (6, 2)
"""The oldest version of Redis that has all that the scripts use."""

Command = Sequence[str | bytes | int]

T = TypeVar("T")


def _packed(connection: Any, commands: Sequence[Command]) -> Any:
    if hiredis is None:
        return connection.pack_commands(commands)
    return [hiredis.pack_command(tuple(command)) for command in commands]


class Link:
    """A client of redis-py's, kept on a short rein. It connects when it is first used.

    Args:
        address: of the Redis; any server of a cluster.
        patience_seconds: how long to wait for a connection or a reply. No call takes longer than twice that.
    """

    def __init__(self, address: Address, patience_seconds: float) -> None:
        self.address = address
        self._patience_seconds = patience_seconds
        self._client: Any = None
        self._idle: list[Any] = []
        self._opening = asyncio.Lock()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._failures = 0

    async def open(self) -> None:
        """Connect, and see that the server can do what is asked of it.

        Raises:
            StoreError: it cannot be reached, or it is too old.
        """
        await self._bounded(self._connected)

    async def close(self) -> None:
        """Close the connections; they are opened again when they are needed."""
        client, self._client = self._client, None
        await self._drop_idle()
        if client is not None:
            await client.aclose()

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together; each must be safe to repeat.

        Returns:
            The replies, in order; a NoScriptError in its place.

        Raises:
            StoreError: there is no connection, or a command failed.
        """
        return await self._bounded(lambda: self._send(commands)) if commands else []

    def subscriber(self, turn: int) -> Redis:
        """A client of its own for messages; its owner closes it.

        Args:
            turn: counts the attempts, so that each is made with another server of a cluster.
        """
        nodes = self._client.get_nodes() if isinstance(self._client, RedisCluster) else []
        node = nodes[turn % len(nodes)] if nodes else None
        made: Redis = Redis.from_url(self.address.url, **self._options())
        if node is not None:
            made.connection_pool.connection_kwargs.update(host=node.host, port=node.port)
        return made

    def _options(self) -> dict[str, Any]:
        return {
            "protocol": 2,
            "socket_connect_timeout": self._patience_seconds,
            "socket_timeout": self._patience_seconds,
            # What is repeated is repeated here: redis-py's own attempts multiply.
            "retry": Retry(NoBackoff(), 0),
            "max_connections": 2 * AT_ONCE,
        }

    async def _bounded(self, work: Callable[[], Awaitable[T]]) -> T:
        seen, task = self._failures, asyncio.current_task()
        cancelled = task.cancelling() if task is not None else 0
        async with self._slots:
            if self._failures != seen:
                raise StoreUnavailable(f"{self.address.where}: no answer from Redis to those who asked before")
            try:
                async with asyncio.timeout(1.9 * self._patience_seconds):
                    found = await self._twice(work)
                if task is not None and task.cancelling() > cancelled:
                    # redis-py answers a call whose connection it was just making as if nobody had cancelled it.
                    raise asyncio.CancelledError
                return found
            except RAISED as error:
                ours = translate(error, self.address)
                if isinstance(ours, StoreUnavailable):
                    self._failures += 1
                elif isinstance(ours, StoreReadOnly):
                    await self._forget_servers()
                # What redis-py says may quote what was sent.
                raise ours from None

    async def _twice(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except RAISED as error:
            if not is_trouble(error):
                raise
            if isinstance(self._client, RedisCluster):
                await self._client.nodes_manager.initialize()
            return await work()

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        client = self._client or await self._connected()
        if isinstance(client, Redis):
            return await self._send_to_one(client, commands)
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception) and not isinstance(reply, NoScriptError):
                raise reply
        return replies

    async def _send_to_one(self, client: Redis, commands: Sequence[Command]) -> list[Any]:
        """The same without redis-py's pipeline and pool, which take as long as the server does."""
        if self._idle:
            connection = self._idle.pop()
        else:
            connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
            connection.socket_timeout = None  # The whole call is bounded.
        replies: list[Any] = []
        try:
            await connection.connect()
            await connection.send_packed_command(_packed(connection, commands), check_health=False)
            for _ in commands:
                try:
                    replies.append(await connection.read_response())
                except NoScriptError as error:
                    replies.append(error)
        except BaseException as error:
            # What is still to come would be taken for the replies of the next call.
            await connection.disconnect(nowait=True)
            if not isinstance(error, ResponseError):
                await self._drop_idle()  # They are likely to be broken too.
            raise
        self._idle.append(connection)
        return replies

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)

    async def _forget_servers(self) -> None:
        """After a failover the name stands for another server: have the next call look it up."""
        await self._drop_idle()
        if isinstance(self._client, Redis):
            with suppress(*RAISED):
                await self._client.connection_pool.disconnect(inuse_connections=False)

    async def _connected(self) -> Any:
        async with self._opening:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> Any:
        try:
            client: Any = Redis.from_url(self.address.url, **self._options())
        except (TypeError, ValueError) as error:
            raise BadURL(f"{self.address.where}: {self.address.hide(str(error))}") from None
        try:
            said = await self._info(client)
            self._look_at(said)
            if said.get("redis_mode") == "cluster":
                await client.aclose()
                if self.address.url.startswith("unix:"):
                    raise BadURL(f"{self.address.where}: this is a server of a cluster; give redis://HOST:PORT of one")
                client = RedisCluster.from_url(self.address.url, **self._options())
                await client.initialize()
        except BaseException:
            with suppress(*RAISED):
                await client.aclose()
            raise
        return client

    async def _info(self, client: Any) -> dict[str, Any]:
        try:
            said: dict[str, Any] = await client.info()
        except NoPermissionError:
            return {}
        except TypeError as error:
            # redis-py looks at an address's options when it first connects.
            raise BadURL(f"{self.address.where}: {self.address.hide(str(error))}") from None
        return said

    def _look_at(self, said: dict[str, Any]) -> None:
        where = self.address.where
        version = str(said.get("redis_version", "")).split(".")
        if len(version) > 1 and (int(version[0]), int(version[1])) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise StoreError(f"{where}: Redis {'.'.join(version)} is too old; conversations need {oldest} or later")
        policy = said.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            log.warning(
                "%s: Redis may drop conversations when its memory is full, since its maxmemory-policy is %s; "
                "set it to noeviction",
                where,
                policy,
            )
