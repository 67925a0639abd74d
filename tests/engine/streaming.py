"""What tests of streams share: reading one to its end, gates, and a run that waits in the middle of its stream."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import holdfast as hf

tries: Counter[str] = Counter()
gates: dict[str, asyncio.Event] = {}


def forget() -> None:
    """Nothing was tried, and every gate is closed."""
    tries.clear()
    gates.clear()


def gate(name: str) -> asyncio.Event:
    return gates.setdefault(name, asyncio.Event())


async def everything(client: hf.Client, run_id: str, name: str = "tokens", **how: Any) -> list[hf.StreamChunk]:
    """All chunks, gapless, followed to the end unless told otherwise."""
    async with asyncio.timeout(30):
        chunks = [chunk async for chunk in client.read_stream(run_id, name, **how)]
    first = how.get("after", -1) + 1
    assert [chunk.offset for chunk in chunks] == list(range(first, first + len(chunks)))
    return chunks


async def values(client: hf.Client, run_id: str, name: str = "tokens") -> list[Any]:
    """What of a stream holds."""
    return [chunk.value for chunk in hf.valid_chunks(await everything(client, run_id, name))]


def kinds(chunks: list[hf.StreamChunk]) -> str:
    """The kinds of some chunks: d, r and e."""
    return "".join(chunk.kind[0] for chunk in chunks)


@hf.workflow
async def slow_talk() -> str:
    out = hf.stream("tokens")
    await out.write("first")
    await gate("go").wait()
    await out.write("second")
    return "done"
