"""What the tests of the API share: workflows, a server in this process, clients of it, and a real one on a port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

import holdfast as hf
from holdfast.agents.recording import record_requests
from holdfast.api import ServeConfig, create_app
from holdfast.api.server import Server
from holdfast.engine.client import Client
from tests.engine.spending_kit import MINI, keep_phases, phase_file, put, request

V1 = "/api/v1"


@hf.step
async def charge(order_id: str, cents: int) -> str:
    return f"receipt of {order_id}"


@hf.step(retry=hf.Retry(max_attempts=1))
async def decline(card: str) -> str:
    raise ValueError(f"the card {card} was declined")


@hf.workflow
async def checkout(order_id: str, cents: int = 500) -> dict[str, Any]:
    return {"receipt": await charge(order_id, cents)}


@hf.workflow
async def declined(card: str = "4111-1111") -> str:
    return await decline(card)


@hf.workflow
async def waits(key: str) -> Any:
    return await hf.wait_for_event("shipped", key=key)


@hf.workflow
async def approval(order_id: str) -> Any:
    return await hf.hold("somebody has to say yes")


@hf.workflow
async def parent(n: int) -> list[Any]:
    return [await checkout(f"child-{number}") for number in range(n)]


@hf.workflow(key="order_id", limit=1, lane="order", timeout="1h")
async def laned(order_id: str) -> str:
    return order_id


@hf.step
async def draft(order_id: str) -> None:
    record_requests("draft", [request(MINI, 12_300_000)])
    put("draft/prompt.md", f"# {order_id}\n".encode())
    await keep_phases(phase_file(order_id))


@hf.workflow
async def drafts(order_id: str) -> None:
    """Asks a model, makes an artifact, and puts phases in force that are called as the order is."""
    await draft(order_id)


WORKFLOWS: list[hf.Workflow[Any, Any]] = [checkout, declined, waits, approval, parent, laned, drafts]


def memory() -> str:
    """An empty database in memory, which others in this event loop reach by its name."""
    return f"memory://{uuid.uuid4().hex}"


class Served:
    """A server in this process."""

    def __init__(self, app: FastAPI, url: str) -> None:
        self.app = app
        self.url = url
        self.server: Server = app.state.holdfast
        self._clients: list[httpx.AsyncClient] = []

    def http(self, key: str | None = None, base: str = "http://localhost", **headers: str) -> httpx.AsyncClient:
        """A client of it, which sends a key and headers."""
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=base, headers=sent)
        self._clients.append(client)
        return client

    def local(self, tenant: str = "default") -> Client:
        """A client of its database."""
        return Client(self.server.core, tenant)

    async def key(self, role: str = "admin", tenant: str = "default", **more: Any) -> str:
        """A new key."""
        return (await self.local(tenant).create_key(f"a {role}", role=role, **more)).key

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@contextlib.asynccontextmanager
async def serving(url: str | None = None, *, tenant: str = "default", **config: Any) -> AsyncIterator[Served]:
    """A server that is open."""
    app = create_app(url or memory(), config=ServeConfig(**config), tenant=tenant)
    served = Served(app, app.state.holdfast.url)
    await served.server.open()
    try:
        yield served
    finally:
        await served.close()
        await served.server.close()


@contextlib.asynccontextmanager
async def working(served: Served, **options: Any) -> AsyncIterator[None]:
    """A worker of the same database."""
    async with hf.Worker(served.url, WORKFLOWS, **options):
        yield


@contextlib.asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """A real server of an application on a free port of loopback: its address."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", access_log=False, http="httptools", timeout_graceful_shutdown=1)
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.005)
            if task.done():
                await task
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The problem that a response is, checked for its form."""
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["type"] == f"https://holdfast.dev/problems/{kind}", found
    assert found["status"] == status
    assert found["title"]
    assert found["detail"]
    assert found["error_id"]
    assert found["instance"].startswith("/")
    return found
