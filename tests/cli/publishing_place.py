"""A database with a workflow that is known, and its server: for commands that are tried on both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import holdfast as hf
from holdfast.api import ServeConfig, create_app
from tests.api.kit import listening


class Place(NamedTuple):
    """A database and the address of its server."""

    url: str
    address: str


@hf.workflow
async def desk(message: hf.Incoming) -> str:
    return message.id


@contextmanager
def served(folder: Path) -> Iterator[Place]:
    """A new one; the server is in a thread of its own."""
    url = f"sqlite:///{folder / 'holdfast.db'}"
    ready, stop = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        app = create_app(url, config=ServeConfig())
        async with hf.connect(url) as client, hf.Worker(client, [desk], drain=0), listening(app) as address:
            found.append(address)
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield Place(url, found[0])
    finally:
        stop.set()
        thread.join()
