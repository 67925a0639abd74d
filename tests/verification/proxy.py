"""A proxy between workers and PostgreSQL, on the loopback only, that cuts connections, slows them down or goes dumb."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Literal

Direction = Literal["request", "response"]


class Line:
    """One connection through the proxy.

    Attributes:
        port: of the client's end.
        left: so many more bytes of each direction pass before the line is cut; unless given, all.
    """

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._writers = {"request": server, "response": client}
        self.port: int = client.get_extra_info("peername")[1]
        self.left: dict[Direction, int] = {}
        self.dumb = False
        self.passed: dict[Direction, int] = {"request": 0, "response": 0}

    def cut(self) -> None:
        """End it at once, in both directions; what is under way is lost."""
        for writer in self._writers.values():
            if not writer.is_closing():
                writer.transport.abort()

    def cut_if_empty(self, direction: Direction) -> None:
        """End it if nothing more may pass, without waiting for what would be the first byte."""
        if self.left.get(direction) == 0 and direction == "request":
            self.cut()

    def passes(self, direction: Direction, data: bytes) -> bytes:
        """What is let through of some bytes."""
        let = data[: self.left[direction]] if direction in self.left else data
        self.passed[direction] += len(let)
        if direction in self.left:
            self.left[direction] -= len(let)
        return let


class Proxy:
    """Listens on a port and connects to a unix socket.

    Attributes:
        delay_seconds: so much later everything arrives.
        admits: whether new connections are taken.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.lines: set[Line] = set()
        self.delay_seconds = 0.0
        self.admits = True
        self.dumb = False
        self.on_line: Callable[[Line], None] = lambda _: None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def url(self, database: str) -> str:
        """The database's address by way of here."""
        name = database.partition("://")[2].partition("/")[2].partition("?")[0]
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.admits:
            writer.transport.abort()
            return
        try:
            answers, requests = await asyncio.open_unix_connection(self._upstream)
        except OSError:
            writer.transport.abort()
            return
        line = Line(writer, requests)
        line.dumb = self.dumb
        self.lines.add(line)
        self.on_line(line)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(line, "request", reader, requests))
                group.create_task(self._pump(line, "response", answers, writer))
        except* OSError:
            pass
        finally:
            line.cut()
            self.lines.discard(line)

    async def _pump(
        self, line: Line, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            while line.dumb:
                await asyncio.sleep(0.05)
            let = line.passes(direction, data)
            if let:
                writer.write(let)
                await writer.drain()
            if line.left.get(direction) == 0:
                # What was let through arrives before the end does.
                writer.close()
                await asyncio.wait([asyncio.ensure_future(_closed(writer))], timeout=1.0)
                break
        line.cut()

    async def close(self) -> None:
        """End every line."""
        self.admits = False
        self._server.close()
        for line in list(self.lines):
            line.dumb = False
            line.cut()
        while self.lines:
            await asyncio.sleep(0.01)


async def _closed(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await writer.wait_closed()
