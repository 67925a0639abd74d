"""Starts over HTTP, beside a handler of the same server that only parses the body and answers.

One process serves the API and has that handler too; another one keeps 64 connections busy. They take turns. Nothing
executes the runs meanwhile. Once without keys on loopback, and once with an API key.
"""

from __future__ import annotations

import asyncio
import socket
from statistics import median
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.api.config import ServeConfig
from holdfast.engine.scheduled import description_of
from holdfast.store.rows import WorkflowRow
from holdfast.web import create_app

CASE = "http"
CONNECTIONS = 64
SECONDS = 4.0
WARM_UP_SECONDS = 1.5
BODY = {"input": {"order_id": "o-1", "cents": 500}, "attributes": {"order": "o-1"}}


@hf.workflow
async def checkout(order_id: str, cents: int) -> str:
    """Never executed here."""
    return order_id


class Body(BaseModel):
    """What the bare handler parses."""

    input: dict[str, Any]
    attributes: dict[str, Any] = {}
    id: str | None = None
    priority: int = 0


class Parsed(BaseModel):
    """What it answers."""

    workflow: str
    input: dict[str, Any]


class Server:
    """The API and the bare handler.

    Args:
        url: an empty database.
        auth: whether requests need a key.
    """

    def __init__(self, url: str, auth: bool) -> None:
        self._url = url
        self._auth = auth

    async def open(self) -> None:
        """Serve, on a free port of loopback."""
        self._app: FastAPI = create_app(self._url, config=ServeConfig(auth=self._auth))

        @self._app.post("/bare/{name}/runs", status_code=201)
        async def bare(name: str, body: Body) -> Parsed:
            return Parsed(workflow=name, input=body.input)

        # Before the pages, which answer whatever is not known with a page of their own.
        self._app.router.routes.insert(0, self._app.router.routes.pop())
        listening = socket.socket(proto=socket.IPPROTO_TCP)
        listening.bind(("127.0.0.1", 0))
        self._port = listening.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(self._app, log_level="error", access_log=False, http="httptools"))
        self._task = asyncio.create_task(server.serve(sockets=[listening]))
        self._client = await hf.connect(self._url)
        row = WorkflowRow(checkout.name, checkout.version, description_of(checkout))
        await self._client.core.store.register_workflows([row])
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)

    async def port(self) -> int:
        """Where it listens."""
        return int(self._port)

    async def key(self) -> str:
        """A key of an operator."""
        return (await self._client.create_key("bench", role="operator")).key


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure, without and with keys."""
    rows = []
    for auth in (False, True):
        rates: dict[str, list[float]] = {"start": [], "bare": []}
        more: dict[str, Any] = {}
        with (
            backend.database() as url,
            Child("benchmarks.cases.http:Server", url=url, auth=auth) as server,
            Child("benchmarks.load:Load") as load,
        ):
            port, key = server.call("port"), server.call("key") if auth else None
            paths = {"start": "/api/v1/workflows/checkout/runs", "bare": "/bare/checkout/runs"}

            def press(what: str, seconds: float) -> dict[str, Any]:
                found: dict[str, Any] = load.call(
                    "rate", port=port, verb="POST", path=paths[what], body=BODY, connections=CONNECTIONS,  # noqa: B023
                    seconds=seconds, key=key,  # noqa: B023
                )  # fmt: skip
                assert set(found["statuses"]) == {"201"}, (what, found)
                return found

            for what in rates:
                press(what, WARM_UP_SECONDS)
            for _ in range(sizes.rounds):
                for what in rates:
                    more[what] = press(what, SECONDS)
                    rates[what].append(more[what]["rate"])
        ratio = median(a / b for a, b in zip(rates["start"], rates["bare"], strict=True))
        rows.append(
            Row(CASE, backend.name, f"runs started/s, 64 connections{', with a key' if auth else ''}",
                median(rates["start"]), limit=median(rates["bare"]), ratio=ratio, against="parse and answer",
                required=Required(at_least=0.5), more={**rates, **more}),
        )  # fmt: skip
    return rows
