"""Processes are killed at every point of a turn, and frozen: each turn happened whole or not at all."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.conversations.states import holding_of
from holdfast.conversations.tending import ConversationTender
from holdfast.workqueue.queue import work_queue
from tests.conformance.state_stores import Clock, DatabaseClock, PostgresClock, RedisClock
from tests.crash import turn_victims
from tests.crash.turn_checks import checked
from tests.crash.turn_dialogue import ANSWERS, DIALOGUE, hand_over
from tests.engine.helpers import until

pytestmark = [pytest.mark.slow]

ROOT = Path(__file__).parents[2]

LEASE_SECONDS = 80.0
"""No turn keeps a conversation for so long."""


@dataclass
class Victims:
    """Conversations, and the processes that come to their end in a turn of theirs.

    Attributes:
        url, state_url: where they are; the latter "" for the database.
        desk: has turns here.
    """

    url: str
    state_url: str
    folder: Path
    client: hf.Client
    desk: hf.Conversations = field(init=False)
    state: Any = None

    async def open(self) -> Victims:
        engine = hf.TurnEngine(DIALOGUE, self._model, hand_over=hand_over)
        self.desk = await hf.open_conversations(self.client, [engine], state_url=self.state_url)
        self.state = (await holding_of(self.client.core, self.state_url)).store
        self.log.touch()
        return self

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def _model(self, query: hf.Query) -> Any:
        word = query.messages[-1].content
        return {"message": f"You said {word}.", "extracted": ANSWERS.get(word, {})}

    async def begun(self, name: str) -> str:
        """A conversation whose next turn is its last, and which belongs to an item of its name."""
        await work_queue(self.client).create(title="It", id=name)
        id = (await self.desk.turn("ann", "acme", turn_id=f"{name}-1", item=name)).conversation_id
        await self.desk.turn("ann", "ten", turn_id=f"{name}-2", conversation_id=id)
        return id

    def order(self, turn: str, word: str, point: str, conversation: str | None, **changes: Any) -> str:
        return json.dumps({
            "url": self.url, "state": self.state_url, "turn": turn, "word": word, "point": point,
            "conversation": conversation, "seconds": random.random() * 0.003, **changes,
        })  # fmt: skip

    async def start(self, *orders: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", turn_victims.__name__, str(self.log), *orders, cwd=ROOT, process_group=0
        )

    def noted(self, turn: str) -> list[str]:
        """What became of a turn there."""
        lines = [line.partition(" ") for line in self.log.read_text().splitlines()]
        return [rest for name, _, rest in lines if name == turn]

    async def comes(self, turn: str, point: str) -> None:
        """Until a turn has come to a point there."""

        async def there() -> bool:
            return point in self.noted(turn)

        await until(there, 60)

    async def outlive(self) -> None:
        """Let the leases of all turns end."""
        store: Any = self.client.core.store
        clock: Clock = PostgresClock(self.url) if store.name == "postgres" else DatabaseClock(store)
        if self.state_url:
            clock = RedisClock(self.state)
        await clock.forward(round(LEASE_SECONDS * 1e6))

    async def handed_over(self, id: str, item: str) -> list[bool]:
        """Whether the run is there, and the item completed; each once at most."""
        runs = await self.client.core.store.find_runs("default", [f"{id}/3"])
        moves = [one.move for one in await work_queue(self.client).history(item)]
        assert moves.count("complete") <= 1
        return [len(runs) == 1, "complete" in moves]


@pytest.fixture(params=["sqlite", "postgres", "redis"])
async def victims(request: pytest.FixtureRequest, sqlite_url: str, tmp_path: Path) -> AsyncIterator[Victims]:
    """Each store that outlives its process."""
    state_url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    url = request.getfixturevalue("postgres_database") if request.param == "postgres" else sqlite_url
    async with hf.connect(url) as client:
        yield await Victims(url, state_url, tmp_path, client).open()


async def test_killed_at_each_point_of_a_turn_it_happened_whole_or_not_at_all(victims: Victims) -> None:
    points = [*turn_victims.POINTS, *turn_victims.HANDOVER] if victims.state_url else [*turn_victims.POINTS]
    if victims.state_url:
        points.remove("inside save")
    names = {point: point.replace(" ", "-") for point in points}
    last = {point: await victims.begun(name) for point, name in names.items()}
    orders = [victims.order(f"{names[point]}-3", "yes", point, id) for point, id in last.items()]
    firsts = [point for point in points if point in turn_victims.POINTS]
    orders += [victims.order(f"{names[point]}-first", "acme", point, None) for point in firsts]
    process = await victims.start(*orders)
    assert await asyncio.wait_for(process.wait(), 60) == 0
    await victims.outlive()

    async def repeat(turn: str, word: str, point: str, id: str | None) -> str:
        assert point in victims.noted(turn), f"it did not come to {point}"
        found = await victims.desk.turn("ann", word, turn_id=turn, conversation_id=id)
        assert found.repeated == (point in stored_at), f"died {point}"
        return found.conversation_id

    stored_at = {"after save", *turn_victims.HANDOVER}
    for point, id in last.items():
        row = await victims.state.find("default", id)
        stored = row.turns == 3
        assert row.status == ("handed_over" if stored else "open")
        if point == "with save":
            stored_at |= {point} if stored else set()
        assert stored == (point in stored_at), f"died {point}"
        if not victims.state_url:
            assert await victims.handed_over(id, names[point]) == [stored, stored], f"died {point}"
    repeating = [repeat(f"{names[point]}-3", "yes", point, id) for point, id in last.items()]
    await asyncio.gather(*repeating)
    stored_at.discard("with save")
    made = await asyncio.gather(
        *(repeat(f"{names[point]}-first", "acme", point, None) for point in firsts if point != "with save")
    )
    if victims.state_url:
        await ConversationTender(victims.client.core, victims.state).tick()
        assert await victims.state.unsettled(99) == []
    for point, id in last.items():
        name = names[point]
        await checked(victims.state, "default", id, f"{name}-1", f"{name}-2", f"{name}-3")
        assert await victims.handed_over(id, name) == [True, True]
    for id in made:
        assert (await checked(victims.state, "default", id)).turns == 1


async def test_a_frozen_process_that_lost_its_turn_stores_nothing_and_says_so(victims: Victims) -> None:
    await _frozen(victims, ["in the model", "before save"], "TurnLost")


@pytest.mark.verify
async def test_a_process_frozen_inside_its_save_stores_nothing(postgres_database: str, tmp_path: Path) -> None:
    """On SQLite nobody comes in between, and in a Redis there is no inside."""
    async with hf.connect(postgres_database) as client:
        victims = await Victims(postgres_database, "", tmp_path, client).open()
        await _frozen(victims, ["inside save"], "StoreUnavailable")


async def _frozen(victims: Victims, points: list[str], error: str) -> None:
    """Freeze processes, have the same turn and another one, and let them go on."""
    names = [point.replace(" ", "-") for point in points]
    same = {name: await victims.begun(name) for name in names}
    other = {f"other-{name}": await victims.begun(f"other-{name}") for name in names}
    ids = same | other
    orders = [
        victims.order(f"{prefix}{name}-3", "yes", point, group[f"{prefix}{name}"], freezes=True)
        for prefix, group in (("", same), ("other-", other))
        for name, point in zip(names, points, strict=True)
    ]
    process = await victims.start(*orders)
    try:
        for name in ids:
            await victims.comes(f"{name}-3", points[names.index(name.removeprefix("other-"))])
        await victims.outlive()
        turns = {name: f"{name}-3" if name in same else f"{name}-new" for name in ids}
        had = [victims.desk.turn("ann", "yes", turn_id=turns[name], conversation_id=id) for name, id in ids.items()]
        assert {(one.number, one.repeated) for one in await asyncio.gather(*had)} == {(3, False)}
        before = [await victims.state.find("default", id) for id in ids.values()]
        os.killpg(process.pid, signal.SIGCONT)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert {victims.noted(f"{name}-3")[-1] for name in ids} == {f"raised {error}"}
        assert [await victims.state.find("default", id) for id in ids.values()] == before
        for name, id in ids.items():
            await checked(victims.state, "default", id, f"{name}-1", f"{name}-2", turns[name])
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
