"""The outbox: webhooks in flight at once with few and very many pending, and claims with very many sent before.

A receiver in a process of its own answers each webhook after half a second, give or take a half of it, and counts how
many wait for it at each moment. A worker whose channel may send a hundred at once is given a thousand pending messages,
then very many; what is told is the mean in flight from when the first have been answered on. The first hundred and the
last are left out, in which it begins and comes to its end.

Claims are timed at the level of the store: a hundred messages each, one commit; a rate is a hundred by the median time.
Two databases take turns: in one of them very many were sent before. What was claimed is settled in between, untimed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import cast

import httptools

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.engine.publishing import checked, new_message
from holdfast.model.run import PROTOCOL
from holdfast.store.operations import Batch
from holdfast.store.outbox_rows import ClaimMessages, Settlement

CASE = "outbox"
FLIGHTS = 100
FEW = 1_000
SEEN = 3_000
"""So many answers are looked at, where so many are pending."""
ANSWER_SECONDS = 0.5
AT_ONCE = 100
CLAIMS = 30
LOAD = 5_000
A_YEAR_US = 365 * 86_400 * 1_000_000


@hf.workflow
async def nothing() -> None:
    """A worker serves one workflow at least."""


class Receiver:
    """Answers webhooks, each after a while."""

    async def open(self) -> None:
        """Listen."""
        self._came = self._now = 0
        self._area = 0.0
        self._changed_at = time.monotonic()
        self._more = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)

    async def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    def change(self, by: int) -> None:
        """One more, or one fewer, waits."""
        now = time.monotonic()
        self._area += self._now * (now - self._changed_at)
        self._changed_at = now
        self._now += by
        self._came += by > 0
        self._more.set()

    async def mean(self, first: int, last: int) -> tuple[float, float]:
        """How many waited at once, on average, and how many came a second, between two numbers of those that came."""
        came = self._came
        await self._reach(came + first)
        self.change(0)
        area, began = self._area, self._changed_at
        await self._reach(came + last)
        self.change(0)
        took = self._changed_at - began
        return (self._area - area) / took, (last - first) / took

    async def _reach(self, count: int) -> None:
        while self._came < count:
            self._more.clear()
            await self._more.wait()


class _Connection(asyncio.Protocol):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._receiver.change(1)
        asyncio.get_running_loop().call_later(ANSWER_SECONDS * (0.5 + random.random()), self._answer)

    def _answer(self) -> None:
        self._receiver.change(-1)
        if not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


class Ours:
    """A client, and a worker that sends.

    Args:
        url: an empty database.
        receiver: where webhooks go.
    """

    def __init__(self, url: str, receiver: str) -> None:
        self._url = url
        self._receiver = receiver
        self._stack = contextlib.AsyncExitStack()

    async def open(self) -> None:
        """Connect, and let everything be sent."""
        self._client = await hf.connect(self._url)
        self._store = self._client.core.store
        await self._client.set_publish_mode("auto")
        self._worker = secrets.token_bytes(16)
        await self._store.register_worker(self._worker, "bench", 1, PROTOCOL, A_YEAR_US)

    async def fill(self, count: int, channel: str = "hook") -> None:
        """Publish so many messages."""
        for first in range(0, count, LOAD):
            rows = []
            for number in range(first, min(first + LOAD, count)):
                given = checked(channel, {"n": number}, id=None, key=None, delay=None, review=None, refuse=None)
                rows.append(new_message(given, self._client.tenant, self._client.core.now_us(), workflow=""))
            await self._store.commit(Batch(messages=rows))

    async def start(self) -> None:
        """Begin to send."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        file = folder / "channels.toml"
        file.write_text(f'[channels.hook]\ntype = "webhook"\nurl = "{self._receiver}"\nconcurrency = {FLIGHTS}\n')
        await self._stack.enter_async_context(hf.Worker(self._client, [nothing], channels=file, drain=0))

    async def stop(self) -> None:
        """Send no more."""
        await self._stack.aclose()

    async def claims(self) -> float:
        """Messages claimed a second, by the median."""
        await self.fill(CLAIMS * AT_ONCE, "claimed")
        times = []
        for _ in range(CLAIMS):
            took, taken = await self._claim(AT_ONCE)
            assert taken == AT_ONCE
            times.append(took)
        return AT_ONCE / median(times)

    async def sent(self, count: int) -> None:
        """Have so many be sent, as far as the database knows."""
        await self.fill(count, "claimed")
        while (await self._claim(500))[1]:
            pass

    async def _claim(self, limit: int) -> tuple[float, int]:
        claim_id = secrets.token_bytes(16)
        began = time.perf_counter()
        claimed = await self._store.outbox.claim(ClaimMessages(self._worker, claim_id, "claimed", limit, False))
        took = time.perf_counter() - began
        now = self._client.core.now_us()
        await self._store.outbox.settle(
            [Settlement(one.uid, claim_id, "sent", "200", None, False, now, now) for one in claimed]
        )
        return took, len(claimed)


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure both."""
    rows = []
    for pending in (FEW, sizes.messages):
        seen = min(SEEN, pending) - FLIGHTS
        with (
            backend.database() as url,
            Child("benchmarks.cases.outbox:Receiver") as receiver,
            Child("benchmarks.cases.outbox:Ours", url=url, receiver=receiver.call("url")) as ours,
        ):
            ours.call("fill", count=pending)
            receiver.send("mean", first=2 * FLIGHTS, last=seen)
            ours.call("start")
            in_flight, rate = receiver.receive()
            ours.call("stop")
        rows.append(Row(
            CASE, backend.name, f"webhooks in flight, of {FLIGHTS}, with {pending:,} pending", in_flight,
            required=Required(at_least=0.9 * FLIGHTS), more={"sent a second": rate, "most": FLIGHTS / ANSWER_SECONDS},
        ))  # fmt: skip
    with (
        backend.database() as few_url,
        backend.database() as many_url,
        Child("benchmarks.cases.outbox:Ours", url=few_url, receiver="") as few,
        Child("benchmarks.cases.outbox:Ours", url=many_url, receiver="") as many,
    ):
        many.call("sent", count=sizes.messages)
        for ours in (few, many):
            ours.call("claims")  # to warm up
        rounds = [(few.call("claims"), many.call("claims")) for _ in range(sizes.rounds)]
    rows.append(Row(
        CASE, backend.name, f"messages claimed /s, {sizes.messages:,} sent before", median(one for _, one in rounds),
        ratio=median(after / before for before, after in rounds), against="none sent before",
        required=Required(at_least=0.8), more={"rounds": rounds},
    ))  # fmt: skip
    return rows
