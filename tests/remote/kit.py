"""What the tests of the remote client share: workflows, a real server of the API, and a way to cut its connections."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

import holdfast as hf
from holdfast.api import ServeConfig, create_app
from holdfast.cli.answering import answer

ONCE = hf.Retry(max_attempts=1)


class Declined(Exception):
    """An error with an attribute, whose own constructor takes something else than its text."""

    def __init__(self, code: int) -> None:
        super().__init__(f"declined with {code}")
        self.code = code


@dataclass(frozen=True)
class Order:
    """An argument that is no plain JSON."""

    id: str
    due: dt.datetime
    tags: frozenset[str] = frozenset()


@hf.step
async def charge(order_id: str, cents: int) -> str:
    return f"receipt {order_id}-{cents}"


@hf.step(retry=ONCE)
async def refuse(code: int) -> None:
    raise Declined(code) from KeyError("card")


@hf.step
async def key_of_step(mark: str) -> str:
    return f"{hf.current().idempotency_key} {mark}"


@hf.workflow
async def checkout(order_id: str, cents: int = 500) -> dict[str, str]:
    return {"receipt": await charge(order_id, cents)}


@hf.workflow
async def typed(order: Order, *more: int, **rest: dt.date) -> Order:
    return Order(order.id, order.due + dt.timedelta(days=sum(more)), order.tags | set(rest))


@hf.workflow
async def failing(code: int) -> None:
    await refuse(code)


@hf.workflow
async def waits(key: str, limit: str = "1h") -> Any:
    return await hf.wait_for_event("shipped", key=key, timeout=limit)


@hf.workflow
async def approval(order_id: str) -> Any:
    first = await charge(order_id, 1)
    return [first, await hf.hold("somebody has to say yes")]


@hf.workflow
async def parent(count: int) -> list[dict[str, str]]:
    return [await checkout(f"child-{number}") for number in range(count)]


@hf.workflow
async def keyed(mark: str) -> str:
    return await key_of_step(mark)


@hf.workflow(key=lambda order_id, region: f"{region}/{order_id}", limit=2, lane="order", timeout="1h")
async def laned(order_id: str, region: str) -> Any:
    return await hf.wait_for_event("go", key=order_id)


@hf.workflow(cancel_on=("stop", "order_id"))
async def stoppable(order_id: str) -> None:
    await hf.sleep("1h")


@hf.workflow
async def nobody_serves(order_id: str) -> str:
    return order_id


WORKFLOWS = [checkout, typed, failing, waits, approval, parent, keyed, laned, stoppable]


@contextlib.asynccontextmanager
async def serving(url: str, *, port: int = 0, below: str = "", **config: Any) -> AsyncIterator[str]:
    """A real server of a database on a port of loopback: its address.

    Args:
        below: the path under which it is mounted in another application.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(2048)
    stop, ready = asyncio.Event(), asyncio.Event()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(url, config=ServeConfig(**config))
    if below:
        outer = FastAPI()
        outer.mount(below, app)
        app = outer
    task = asyncio.create_task(answer(app, listener, stop, ready=ready.set))
    await asyncio.wait((task, asyncio.create_task(ready.wait())), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield address + below
    finally:
        stop.set()
        await task
        if below:
            await app.routes[-1].app.state.holdfast.close()  # type: ignore[attr-defined]


class Wire:
    """A connection between a client and a server that can be cut.

    Attributes:
        address: where it begins.
        swallow: says of the bytes of an answer whether the connection is cut instead of passing them on.
        open: how many connections there are.
    """

    def __init__(self) -> None:
        self.address = ""
        self.swallow: Callable[[bytes], bool] = lambda data: False
        self.requests: list[bytes] = []
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Cut every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pass(reader, back, asked=True), self._pass(there, writer, asked=False))
        finally:
            for one in (writer, back):
                one.transport.abort()
                self._writers.discard(one)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asked: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if asked:
                    self.requests.append(data)
                elif self.swallow(data):
                    break
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def wire(address: str) -> AsyncIterator[Wire]:
    """A wire to a server."""
    made = Wire()
    target = int(address.rpartition(":")[2])
    server = await asyncio.start_server(lambda r, w: made._join(r, w, target), "127.0.0.1", 0)
    made.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        made.cut()
        await server.wait_closed()
        await asyncio.sleep(0.01)


async def until(condition: Callable[[], Any], within: float = 10.0) -> Any:
    """Wait until something that is awaited is true, and give it."""
    async with asyncio.timeout(within):
        while not (found := await condition()):
            await asyncio.sleep(0.005)
    return found
