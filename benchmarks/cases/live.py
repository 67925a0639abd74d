"""A thousand clients that follow runs live, and some that do not read.

One process serves, another has a worker, a third a connection for each client, which follows one run from its start to
its end and keeps what it was told: it must have seen the run end, and each of its steps. Beside them some clients
follow a run that says very much, and never read: the server must let them go, and what it takes counts with them.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from typing import Any

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.cases.http import Server
from benchmarks.child import Child
from benchmarks.machine import memory
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes

CASE = "live"
CLIENTS = 1000
SLOW = 20
STEPS = 5
LOUD_STEPS = 3000
LOUD_BYTES = 4000
PATIENCE_SECONDS = 120
SMALLEST_BUFFER = 4096


@hf.step
async def pause(number: int) -> int:
    """Takes a moment."""
    await asyncio.sleep(random.random() * 0.5)
    return number


@hf.step
async def shout(number: int) -> str:
    """Says much."""
    return "x" * LOUD_BYTES


@hf.workflow
async def followed(steps: int) -> int:
    """What the clients follow."""
    for number in range(steps):
        await pause(number)
    return steps


@hf.workflow
async def loud(steps: int) -> int:
    """What those follow who do not read."""
    for number in range(steps):
        await shout(number)
        await asyncio.sleep(0.002)
    return steps


class Serving(Server):
    """The server, which says how it stands."""

    async def stands(self) -> dict[str, float]:
        """How many follow, and the memory."""
        return {"followers": self._app.state.holdfast.live.followers, **memory()}


class Working:
    """A worker."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Start it."""
        self._client = await hf.connect(self._url)
        self._worker = hf.Worker(self._client, [followed, loud])
        await self._worker.__aenter__()

    async def start(self, runs: int) -> None:
        """Start the runs, for when everybody follows."""
        ids = [f"run-{number}" for number in range(runs)]
        await self._client.start_many(followed.options(delay="8s"), [(STEPS,)] * runs, ids=ids)
        await self._client.start(loud.options(id="loud", delay="8s"), LOUD_STEPS)

    async def until_ended(self) -> float:
        """Wait until all have ended; for how long."""
        began = time.perf_counter()
        while (await self._client.count("status != 'succeeded'")).runs:  # noqa: ASYNC110 - other processes end them
            await asyncio.sleep(0.1)
        return time.perf_counter() - began


class Clients:
    """Those who follow, each over a connection of its own.

    Args:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> None:
        """Nothing to get ready."""

    async def _stream(self, run: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"GET /api/v1/runs/{run}/live HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode())
        return reader, writer

    async def follow(self, clients: int, slow: int) -> None:
        """Begin to follow."""
        self._silent = []
        for _ in range(slow):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST_BUFFER)
            connection.connect(("127.0.0.1", self._port))
            connection.sendall(f"GET /api/v1/runs/loud/live HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode())
            self._silent.append(connection)
        self._following = [asyncio.create_task(self._follow(f"run-{number}")) for number in range(clients)]

    async def _follow(self, run: str) -> dict[str, Any]:
        reader, writer = await self._stream(run)
        steps: set[int] = set()
        status, kind = "", ""
        while status != "succeeded":
            line = (await reader.readline()).decode().rstrip()
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                if kind == "run":
                    status = data["status"]
                elif kind == "entry" and data["outcome"] == "ok":
                    steps.add(data["output"])
            elif not line and reader.at_eof():
                break
        writer.close()
        return {"status": status, "steps": len(steps)}

    async def seen(self) -> dict[str, int]:
        """How many saw everything, and how many did not."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            found = await asyncio.gather(*self._following)
        complete = sum(one == {"status": "succeeded", "steps": STEPS} for one in found)
        return {"complete": complete, "incomplete": len(found) - complete}


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Follow, and count."""
    with (
        backend.database() as url,
        Child("benchmarks.cases.live:Working", url=url) as worker,
        Child("benchmarks.cases.live:Serving", url=url, auth=False) as server,
        Child("benchmarks.cases.live:Clients", port=server.call("port")) as clients,
    ):
        idle = server.call("stands")
        worker.call("start", runs=CLIENTS)
        clients.call("follow", clients=CLIENTS, slow=SLOW)
        began, most = time.monotonic(), idle
        worker.send("until_ended")
        seen = clients.call("seen")
        worker.receive()
        while time.monotonic() - began < PATIENCE_SECONDS:
            most = max(most, server.call("stands"), key=lambda one: one["peak_mb"])
            if server.call("stands")["followers"] == 0:
                break
            time.sleep(0.5)
        left = server.call("stands")
    more = {"idle": idle, "most": most, **seen}
    zero = Required(at_most=0)
    return [
        Row(CASE, backend.name, f"of {CLIENTS:,} clients, those who missed an update", seen["incomplete"],
            required=zero, more=more),
        Row(CASE, backend.name, "MB at most, server", most["peak_mb"], required=Required(at_most=300), more=more),
        Row(CASE, backend.name, f"of {SLOW} clients that do not read, those still there", left["followers"],
            required=zero, more=more),
    ]  # fmt: skip
