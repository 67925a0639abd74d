"""A connection to a Redis on which commands follow one another without waiting for the replies of those before.

redis-py makes it, with all that an address may ask for. Then its streams are left out: they take as long as the server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import hiredis
from redis.exceptions import ConnectionError, InvalidResponse, RedisError, TimeoutError

Command = tuple[str | bytes | int, ...]

_MORE = object()
"""What the reader gives while a reply is not there as a whole."""


class _Asked(NamedTuple):
    """Commands that were sent together, and what is known of their replies."""

    replies: list[Any]
    wanted: int
    ends: float
    answer: asyncio.Future[list[Any]]


class Pipe(asyncio.Protocol):
    """A connection of redis-py's, taken over.

    What is sent is done in the order in which it was sent, whether or not somebody still waits for it.

    Args:
        connection: connected, and used by nobody else from now on.

    Attributes:
        is_lost: whether it is of no use any more.
    """

    def __init__(self, connection: Any) -> None:
        self.is_lost = False
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._transport: Any = connection._writer.transport
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=connection._parser.parse_error, notEnoughData=_MORE
        )
        self._asked: deque[_Asked] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._transport.set_protocol(self)
        if self._transport.is_closing() or connection._reader.at_eof():
            self.lose(ConnectionError("Connection closed by server."))

    def send(self, commands: Sequence[Command], ends: float) -> asyncio.Future[list[Any]]:
        """Send commands together.

        Args:
            ends: when to lose the connection if not all replies are there by then, by the loop's clock.

        Returns:
            The replies, in order; an error in its place. It raises what the connection was lost by.
        """
        packed = b"".join([hiredis.pack_command(command) for command in commands])  # type: ignore[arg-type]
        answer: asyncio.Future[list[Any]] = self._loop.create_future()
        self._asked.append(_Asked([], len(commands), ends, answer))
        if self._watch is None:
            self._watch = self._loop.call_at(ends, self._look)
        self._transport.write(packed)
        return answer

    def lose(self, error: RedisError) -> None:
        """Use it no more; those who wait for replies are given the error."""
        if self.is_lost:
            return
        self.is_lost = True
        self._transport.abort()
        self._connection._close()
        if self._watch is not None:
            self._watch.cancel()
        for asked in self._asked:
            if not asked.answer.done():
                asked.answer.set_exception(type(error)(*error.args))

    def data_received(self, data: bytes) -> None:
        """Replies, or parts of them, have come."""
        self._reader.feed(data)
        try:
            while self._asked and (reply := self._reader.gets()) is not _MORE:
                replies, wanted, _, answer = self._asked[0]
                replies.append(reply)
                if len(replies) == wanted:
                    self._asked.popleft()
                    if not answer.done():
                        answer.set_result(replies)
        except RedisError as error:
            self.lose(error)

    def connection_lost(self, error: Exception | None) -> None:
        """The server, or the way to it, is gone."""
        self.lose(ConnectionError(f"Connection closed by server: {error}" if error else "Connection closed by server."))

    def _look(self) -> None:
        """See that what is waited for longest is not overdue. One timer for all costs less than one for each."""
        self._watch = None
        if self._asked and self._loop.time() >= self._asked[0].ends:
            self.lose(TimeoutError("Timeout reading from socket"))
        elif self._asked:
            self._watch = self._loop.call_at(self._asked[0].ends, self._look)
