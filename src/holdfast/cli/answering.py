"""Answers HTTP with an ASGI application until it is told to stop: uvicorn, in an event loop of ours."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import uvicorn

GRACE_SECONDS = 3
"""How long requests that are under way may go on when the server is stopped."""

STATUS_AT_THE_END = 503

AT_THE_END = {
    "type": "https://holdfast.dev/problems/unavailable",
    "title": "The server stops",
    "status": STATUS_AT_THE_END,
    "detail": "the server is being stopped; ask again in a moment",
}
"""What those are answered that only waited. A client asks again: this server, or the one that comes after it."""


class _Ending:
    """Stands around an application and ends, when the server is stopped, the requests that only wait or follow.

    A request that does something is left to its end, as far as the server gives it time. One that waits asks for
    outcomes or has a parameter ``wait``; one that follows is answered with an event stream.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._patient: dict[asyncio.Task[Any], bool] = {}
        self._stopping = False

    def stop(self) -> None:
        """Let those that wait and follow end, now and from now on."""
        self._stopping = True
        for task, patient in self._patient.items():
            if patient:
                task.cancel()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        task = asyncio.current_task()
        assert task is not None
        started = False

        async def answer(message: Any) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = dict(message.get("headers", ()))
                if headers.get(b"content-type", b"").startswith(b"text/event-stream"):
                    self._follow(task)
            await send(message)

        self._patient[task] = False
        if b"wait=" in scope["query_string"] or scope["path"].endswith(":outcomes"):
            self._follow(task)
        try:
            await self._app(scope, receive, answer)
        except asyncio.CancelledError:
            if not self._stopping or not self._patient[task]:
                raise
            task.uncancel()
            if not started:
                headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"1")]
                await send({"type": "http.response.start", "status": STATUS_AT_THE_END, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if started else json.dumps(AT_THE_END).encode()})
        finally:
            del self._patient[task]

    def _follow(self, task: asyncio.Task[Any]) -> None:
        self._patient[task] = True
        if self._stopping:
            task.cancel()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()  # whoever runs the event loop deals with signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


async def answer(
    app: Any, listener: socket.socket, stop: asyncio.Event, *, ready: Callable[[], None], debug: bool = False
) -> None:
    """Serve until ``stop`` is set; then let the requests that are under way end.

    Args:
        app: the application.
        listener: a listening socket; closed at the end.
        stop: says when.
        ready: called once requests are answered.
        debug: whether the server's own messages are logged.

    Raises:
        RuntimeError: the application does not start; the log says why.
    """
    ending = _Ending(app)
    config = uvicorn.Config(
        ending,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    logging.getLogger("uvicorn").setLevel(logging.DEBUG if debug else logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_worth_telling)
    server = _Server(config, ready)
    serving = asyncio.create_task(_serve(server, listener), name="holdfast-http")
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        ending.stop()
        server.should_exit = True
        await serving


def _worth_telling(record: logging.LogRecord) -> bool:
    """Not that the application was cancelled: whoever ends the process at once knows."""
    return not record.getMessage().rstrip().endswith("CancelledError")


async def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    try:
        await server.serve(sockets=[listener])
    except SystemExit:
        raise RuntimeError("the server does not start; the log says why") from None
