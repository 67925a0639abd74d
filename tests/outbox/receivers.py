"""Servers on this machine that take messages, or do what servers do instead."""

import asyncio
import contextlib
import json
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aiosmtpd.smtp import SMTP as Server


@dataclass
class Request:
    """What came: the path, the headers in lower case, the body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """What is answered.

    Attributes:
        cut_at: the connection is closed after so many bytes.
        hangs: nothing is answered.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    hangs: bool = False


class Web:
    """A receiver of webhooks.

    Attributes:
        requests: all that came, in order.
        script: what is answered to the next ones; afterwards ``usual`` is.
        held: while it is set, nothing is answered.
        slowness: how long each answer takes.
        at_once: how many were waiting for an answer at the same time, at most.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.script: list[Reply] = []
        self.usual: Callable[[Request], Reply] = lambda request: Reply()
        self.held: asyncio.Event | None = None
        self.slowness = 0.0
        self.at_once = 0
        self.port = 0
        self._now = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    @property
    def ids(self) -> list[str]:
        """The idempotency keys of all that came."""
        return [request.headers["idempotency-key"] for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(first.split()[1], headers, body)
        self.requests.append(request)
        reply = self.script.pop(0) if self.script else self.usual(request)
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        try:
            if reply.hangs:
                await reader.read()  # until the other side gives up
                return False
            await asyncio.sleep(self.slowness)
            if self.held is not None:
                await self.held.wait()
        finally:
            self._now -= 1
        told = {"content-length": str(len(reply.body)), **reply.headers}
        text = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        answer = f"HTTP/1.1 {reply.status} Said\r\n{text}\r\n".encode() + reply.body
        writer.write(answer if reply.cut_at is None else answer[: reply.cut_at])
        await writer.drain()
        return reply.cut_at is None

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def web() -> AsyncIterator[Web]:
    """A receiver of webhooks that listens."""
    receiver = Web()
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(receiver.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**20)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        if receiver.held is not None:
            receiver.held.set()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Post:
    """A mail server. Its hooks give what is answered; None: it takes what it is given.

    Attributes:
        taken: the envelopes that it took.
        tried: how many mails were begun.
    """

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.tried = 0
        self.port = 0
        self.on_recipient: Callable[[str], str | None] = lambda address: None
        self.on_data: Callable[[Any], Awaitable[str | None] | str | None] = lambda envelope: None
        self.drops: list[str] = []
        self.gone = asyncio.Event()

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        self.tried += 1
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        said = self.on_recipient(address)
        if said is None:
            envelope.rcpt_tos.append(address)
        return said or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        said = self.on_data(envelope)
        if said is not None and not isinstance(said, str):
            said = await said
        if said == "drop":
            self.taken.append(envelope)
            server.transport.abort()
            return "250 nobody hears this"
        if said is not None:
            return said
        self.taken.append(envelope)
        return "250 taken"


@asynccontextmanager
async def post(handler: type[Post] = Post, **options: Any) -> AsyncIterator[Post]:
    """A mail server that listens."""
    receiver = handler()
    loop = asyncio.get_running_loop()
    made: list[Server] = []

    def make() -> Server:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it advises against passwords without TLS
            one = Server(receiver, hostname="mail.test", loop=loop, **options)
        made.append(one)
        return one

    server = await loop.create_server(make, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.gone.set()
        server.close()
        for one in made:
            if one.transport is not None:
                cast(asyncio.Transport, one.transport).abort()
        # Each connection has a task that ends when it is gone.
        tasks = [one._handler_coroutine for one in made if one._handler_coroutine is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Silent:
    """A server that says nothing.

    Attributes:
        came: set when somebody came.
        spoke: set when they have said something, such as the first words of TLS.
        left: set when they have closed the connection.
    """

    def __init__(self) -> None:
        self.port = 0
        self.came, self.spoke, self.left = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.set()
        try:
            with contextlib.suppress(ConnectionError):
                if await reader.read(1):
                    self.spoke.set()
                await reader.read()
            self.left.set()
        finally:
            writer.transport.abort()


@asynccontextmanager
async def silent() -> AsyncIterator[Silent]:
    """A server that listens and says nothing."""
    receiver, tasks = Silent(), set[asyncio.Task[None]]()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(receiver.serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what is closed is let go of at the next turn
