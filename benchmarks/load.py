"""A load over HTTP/1.1 on this machine: so many connections, each with one request after the other.

It writes its requests as bytes and reads no more of an answer than its status, its length and its body, so that the
server and not this is what is measured. It speaks to 127.0.0.1 only, and ends by itself.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

HOST = "127.0.0.1"


class _Connection(asyncio.Protocol):
    """One connection, which sends the next request as soon as the answer to the last is there."""

    def __init__(self, load: Load, request: Callable[[], bytes]) -> None:
        self._load = load
        self._request = request
        self._buffer = b""
        self._began = 0.0
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def _next(self) -> None:
        if self._load.over:
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(self._request())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(body) < length:
            return
        self._load.seen(int(head[9:12]), time.perf_counter() - self._began)
        self._buffer = body[length:]
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class Load:
    """What sends requests, in a process of its own."""

    over = False

    async def open(self) -> None:
        """Nothing to get ready."""

    def seen(self, status: int, seconds: float) -> None:
        """An answer came."""
        self._statuses[status] += 1
        self._seconds.append(seconds)

    async def rate(
        self, port: int, verb: str, path: str, body: Any, connections: int, seconds: float, key: str | None = None
    ) -> dict[str, Any]:
        """Answers a second, and how long they took.

        Args:
            port: of the server.
            verb: POST or GET.
            path: with the query.
            body: JSON; ``{number}`` in one of its texts becomes the number of the request.
            connections: at once.
            seconds: for so long.
            key: an API key.
        """
        self._statuses: Counter[int] = Counter()
        self._seconds: list[float] = []
        self.over = False
        head = f"{verb} {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n"
        head += f"Authorization: Bearer {key}\r\n" if key else ""
        content = "" if body is None else json.dumps(body)
        number = 0

        def request() -> bytes:
            nonlocal number
            number += 1
            if body is None:
                return f"{head}\r\n".encode()
            this = content.replace("{number}", str(number))
            return f"{head}Content-Type: application/json\r\nContent-Length: {len(this)}\r\n\r\n{this}".encode()

        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        made = [
            (await loop.create_connection(lambda: _Connection(self, request), HOST, port))[1]
            for _ in range(connections)
        ]
        await asyncio.sleep(seconds)
        self.over = True
        took = time.perf_counter() - began
        answers = len(self._seconds)
        await asyncio.wait_for(asyncio.gather(*(one.ended for one in made)), 30)
        ordered = sorted(self._seconds)
        return {
            "rate": answers / took,
            "statuses": {str(status): count for status, count in self._statuses.items()},
            "p50_ms": ordered[len(ordered) // 2] * 1e3,
            "p99_ms": ordered[len(ordered) * 99 // 100] * 1e3,
        }
