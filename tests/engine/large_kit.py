"""Workflows that take and give large values, and the places that these are kept in."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.store.values.values import Values
from tests.engine.helpers import QUICK

LAST = b"\xff" * 16


def text(size: int, seed: str = "x") -> str:
    return (seed + "0123456789abcdefghijklmnopqrstuvwxyz" * (size // 36 + 1))[:size]


BIG, HUGE = text(300_000), text(2_000_000, "y")


@hf.step(retry=QUICK)
async def upper(value: str) -> str:
    return value.upper()


@hf.workflow
async def through_a_step(value: str) -> list[str]:
    first = await upper(value)
    await hf.sleep(0.01)
    return [first, await upper(value[:10])]


@hf.workflow
async def echo(value: str) -> str:
    return value


@hf.workflow
async def calls_a_child(value: str) -> str:
    given = await echo(value + "!")
    await hf.sleep(0.01)
    return given[-5:]


@hf.workflow
async def maps(values: list[str]) -> list[str]:
    found = await hf.map(echo, values)
    await hf.sleep(0.01)
    return found


@hf.workflow
async def waits() -> str:
    found: str = await hf.wait_for_event("large")
    await hf.sleep(0.01)
    return found


@hf.workflow
async def sends(value: str) -> None:
    await hf.send_event("large", value)


@hf.workflow
async def again(value: str, times: int) -> str:
    if times:
        hf.continue_as_new(value + "+", times - 1)
    return value


@hf.workflow
async def held() -> Any:
    return await hf.hold("for a large value")


@hf.step(retry=hf.Retry(max_attempts=1))
async def breaks_once(value: str, mark: str) -> str:
    path = Path(mark)
    if not path.exists():
        path.touch()
        raise ValueError("the first time: " + value[:200_000] * 2)
    return value


@hf.workflow
async def fails_first(value: str, mark: str) -> str:
    made = await upper(value)
    return await breaks_once(made, mark)


@hf.step
async def where(value: str) -> list[int]:
    return [len(value), os.getpid()]


@hf.workflow
async def goes_on_elsewhere(value: str) -> list[int]:
    made = await upper(value)
    await hf.wait_for_event("go")
    return await where(made + value)


WORKFLOWS: tuple[hf.Workflow[Any, Any], ...] = (
    through_a_step, echo, calls_a_child, maps, waits, sends, again, held, fails_first,
)  # fmt: skip


class Backwards:
    """A codec."""

    async def encode(self, payloads: Sequence[bytes]) -> list[bytes]:
        return [one[::-1] for one in payloads]

    async def decode(self, payloads: Sequence[bytes]) -> list[bytes]:
        return [one[::-1] for one in payloads]


PLACES = ["memory", "sqlite", "postgres", "folder", "objects", "sealed"]


def place_of(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Values]:
    """A database, and where it keeps large values."""
    if request.param in ("memory", "sqlite", "postgres"):
        fixtures = {"sqlite": "sqlite_url", "postgres": "postgres_database"}
        return request.getfixturevalue(fixtures[request.param]) if request.param in fixtures else "memory://", Values()
    url: str = request.getfixturevalue("sqlite_url")
    folder = str(tmp_path / "values")
    places = {
        "folder": Values(apart=folder),
        "objects": Values(apart=f"memory:///{tmp_path.name}"),
        "sealed": Values(Backwards(), apart=folder),
    }
    return url, places[request.param]


@asynccontextmanager
async def working(place: tuple[str, Values]) -> AsyncIterator[hf.Client]:
    async with hf.connect(place[0], values=place[1]) as client, hf.Worker(client, WORKFLOWS, drain=0):
        yield client


async def blobs(client: hf.Client) -> list[bytes]:
    """The ids of those that nobody uses."""
    found, following = await client.core.store.blobs.unused_blobs(b"", LAST, 10_000)
    assert following is None
    return [one.id for one in found]
