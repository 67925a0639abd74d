"""The connections to a Redis, single or clustered: sends commands, once more after a failure, and not for long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, NoPermissionError, NoScriptError

from holdfast.conversations.redis.address import Address
from holdfast.conversations.redis.errors import RAISED, is_trouble, translate
from holdfast.conversations.redis.pipe import Command, Pipe
from holdfast.errors import BadURL, StoreError, StoreReadOnly, StoreUnavailable

log = logging.getLogger("holdfast.conversations")

AT_ONCE = 64
"""So many calls are under way at once, and in a cluster so many connections open."""

OLDEST = (6, 2)
"""The oldest version of Redis that has all that the scripts use."""

T = TypeVar("T")


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
        self._pipe: Pipe | None = None
        self._opening = asyncio.Lock()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._failures = 0

    async def open(self) -> None:
        """Connect, and see that the server can do what is asked of it.

        Raises:
            StoreError: it cannot be reached, or it is too old.
        """
        await self._bounded(self._connected)

    @property
    def is_in_order(self) -> bool:
        """Whether all that is sent is done in the order in which it is sent, as long as the connection holds."""
        return isinstance(self._client, Redis)

    async def close(self) -> None:
        """Close the connections; they are opened again when they are needed."""
        client, self._client = self._client, None
        self._hang_up()
        if client is not None:
            await client.aclose()

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together; each must be safe to repeat.

        Returns:
            The replies, in order; a NoScriptError in its place.

        Raises:
            StoreError: there is no connection, or a command failed.
        """
        return await self._bounded(lambda ends: self._send(commands, ends)) if commands else []

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

    async def _bounded(self, work: Callable[[float], Awaitable[T]]) -> T:
        """Do what ends in time, once more after a failure: it is given when that is, by the loop's clock."""
        seen = self._failures
        async with self._slots:
            if self._failures != seen:
                raise StoreUnavailable(f"{self.address.where}: no answer from Redis to those who asked before")
            ends = asyncio.get_running_loop().time() + 1.9 * self._patience_seconds
            try:
                try:
                    return await work(ends)
                except RAISED as error:
                    if not is_trouble(error) or asyncio.get_running_loop().time() >= ends:
                        raise
                    return await self._again(work, ends)
            except RAISED as error:
                ours = translate(error, self.address)
                if isinstance(ours, StoreUnavailable):
                    self._failures += 1
                elif isinstance(ours, StoreReadOnly):
                    await self._forget_servers()
                # What redis-py says may quote what was sent.
                raise ours from None

    async def _again(self, work: Callable[[float], Awaitable[T]], ends: float) -> T:
        if isinstance(self._client, RedisCluster):
            async with _within(ends):
                await self._client.nodes_manager.initialize()
        return await work(ends)

    async def _send(self, commands: Sequence[Command], ends: float) -> list[Any]:
        client = self._client or await self._connected(ends)
        if isinstance(client, Redis):
            pipe = self._pipe
            if pipe is None or pipe.is_lost:
                pipe = await self._piped(client, ends)
            replies = await pipe.send(commands, ends)
        else:
            pipeline = client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            async with _within(ends):
                replies = await pipeline.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception) and not isinstance(reply, NoScriptError):
                raise reply
        return replies

    async def _piped(self, client: Redis, ends: float) -> Pipe:
        """The pipe, laid anew if need be. What goes through it does without redis-py's pipeline, pool and streams."""
        async with _within(ends), self._opening:
            if self._pipe is None or self._pipe.is_lost:
                connection: Any = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
                try:
                    await connection.connect()
                except BaseException:
                    await connection.disconnect(nowait=True)
                    raise
                self._pipe = Pipe(connection)
            return self._pipe

    def _hang_up(self) -> None:
        if self._pipe is not None:
            self._pipe.lose(ConnectionError("The connection was closed."))

    async def _forget_servers(self) -> None:
        """After a failover the name stands for another server: have the next call look it up."""
        self._hang_up()
        if isinstance(self._client, Redis):
            with suppress(*RAISED):
                await self._client.connection_pool.disconnect(inuse_connections=False)

    async def _connected(self, ends: float) -> Any:
        async with _within(ends), self._opening:
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


@asynccontextmanager
async def _within(ends: float) -> AsyncIterator[None]:
    """Have redis-py do something, in time: by the loop's clock."""
    task = asyncio.current_task()
    cancelled = task.cancelling() if task is not None else 0
    async with asyncio.timeout_at(ends):
        yield
        if task is not None and task.cancelling() > cancelled:
            # It answers a call whose connection it was just making as if nobody had cancelled it.
            raise asyncio.CancelledError
