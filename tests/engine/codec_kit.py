"""What tests of codecs share: keys, and a look at everything that a database has in it."""

from __future__ import annotations

import base64
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import asyncpg

import holdfast as hf
from holdfast.codecs import AesGcm, Chain, Zstd
from holdfast.store.values.values import Values

KEYS = {"2026-10": bytes(range(32)), "2026-11": bytes(range(1, 33))}


def values(key: str = "2026-11", *known: str, compressed: bool = True, **more: Any) -> Values:
    """Values sealed by a key; others are known beside."""
    sealing = AesGcm({id: KEYS[id] for id in (key, *known)}, key)
    return Values(codec=Chain(Zstd(at_least=0), sealing) if compressed else sealing, **more)


def in_child(key: str) -> Values:
    """How values are stored, for a child process."""
    return values(key)


@hf.step
async def process() -> int:
    return os.getpid()


@hf.workflow
async def where(word: str) -> list[object]:
    """Says what it was given and told, and by which process it was executed last."""
    told = await hf.wait_for_event("go")
    return [word, told, await process()]


@asynccontextmanager
async def sealed(url: str, how: Values | None, *workflows: Any, **options: Any) -> AsyncIterator[hf.Client]:
    """A client and a worker of a database whose values are stored in some way."""
    options.setdefault("drain", 0)
    async with hf.connect(url, values=how) as client, hf.Worker(client, workflows, **options):
        yield client


async def places_of(url: str, word: str) -> set[str]:
    """Every column in a database that has a word in it, plainly, in hexadecimal or in base64: ``table.column``."""
    middle = base64.b64encode(word.encode()[1:]).decode()[:8]
    wanted = [word.lower(), word.encode().hex(), middle.lower()]
    found = set()
    async for table, column, value in _cells(url):
        raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
        text = (raw.decode("latin-1") + raw.hex()).lower()
        if any(one in text for one in wanted):
            found.add(f"{table}.{column}")
    return found


async def _cells(url: str) -> AsyncIterator[tuple[str, str, Any]]:
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.row_factory = sqlite3.Row
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                for row in connection.execute(f'SELECT * FROM "{name}"'):
                    for column in row.keys():  # noqa: SIM118 - not a mapping
                        yield name, column, row[column]
        return
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        for name in [row["name"] for row in names]:
            for row in await connection.fetch(f"SELECT * FROM {name}"):
                for column, value in row.items():
                    yield name.rpartition(".")[2], column, value
    finally:
        await connection.close()
