"""Runs that ask and that are held, while the N-th call of the store about items fails, or the process dies there, for
every N: each has one item, it is answered once, and the run has the answer."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf
from holdfast.errors import StoreUnavailable
from holdfast.model.work import replay, state_of
from holdfast.store.work import ItemFilter
from tests.crash import faulty
from tests.crash.faulty import FAULTS, Fault, FaultyStore, World, in_haste
from tests.engine.helpers import QUICK

pytestmark = [pytest.mark.slow]

ABOUT_ITEMS = ("find_items", "put_items", "item_history", "find_settings", "find_definition")
RUNNING = ("control", "commit")

state: dict[str, World] = {}


@hf.step(retry=QUICK)
async def note(text: str) -> str:
    state["world"].ledger.executes()
    return text


@hf.workflow
async def asks() -> list[Any]:
    return [await note("before"), await hf.ask("Yes?", assignee="maria", form=bool), await note("after")]


@hf.workflow
async def asks_and_is_tired() -> Any:
    return (await hf.first(hf.ask("Yes?", assignee="maria", form=bool), hf.wait_for_event("tired"))).index


@hf.workflow
async def is_held() -> int:
    return await hf.hold("How many?", type=int, assignee="maria")


class Faulty(FaultyStore):
    """A store of which the verbs of the work queue fail on demand too."""

    @property
    def work(self) -> Any:
        return _FaultyWork(self)


class _FaultyWork:
    def __init__(self, store: FaultyStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        store, call = self._store, getattr(self._store.inner.work, name)

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            fault = store.plan(name) if name in ABOUT_ITEMS and not store.died.is_set() else None
            if fault == "die before":
                store.died.set()
            if store.died.is_set():
                await asyncio.Event().wait()
            if fault == "refuse":
                raise StoreUnavailable("this call was refused")
            result = await store._do("", call, args, kwargs)
            if fault == "die after":
                store.died.set()
            if store.died.is_set():
                await asyncio.Event().wait()
            if fault == "forget":
                raise StoreUnavailable("this call was done, and its answer lost")
            return result

        return guarded


async def person(world: World, kind: str, data: dict[str, Any]) -> None:
    """Complete the open item of a kind, again until it is known to be done."""
    while True:
        rows = await world.beside.work.list_items("default", ItemFilter(kind=kind), limit=10)
        ended = [row for row in rows if row.status == "completed"]
        if ended:
            return
        await world.mourn()
        died = asyncio.ensure_future(world.process.store.died.wait())
        queue = hf.WorkQueue(world.process.core, "default", actor="maria")
        doing = asyncio.gather(*(queue.complete(row.id, data) for row in rows), return_exceptions=True)
        await asyncio.wait((doing, died), return_when=asyncio.FIRST_COMPLETED)
        for task in (doing, died):
            task.cancel()
        await asyncio.gather(doing, died, return_exceptions=True)
        await asyncio.sleep(0.001)


async def answered(world: World) -> None:
    await world.ask(lambda client: client.start(asks.options(id="r")))
    await person(world, "ask", {"answer": True})
    assert (await world.outcome("r")).output == ["before", True, "after"]
    await one_item(world, "ask", "completed")


async def lost(world: World) -> None:
    await world.ask(lambda client: client.start(asks_and_is_tired.options(id="r")))
    await world.until(lambda: some(world))
    await world.ask(lambda client: client.send_event("tired"))
    assert (await world.outcome("r")).output == 1
    await world.until(lambda: all_ended(world))
    await one_item(world, "ask", "skipped")


async def cancelled(world: World) -> None:
    await world.ask(lambda client: client.start(asks.options(id="r")))
    await world.until(lambda: some(world))
    await world.ask(lambda client: client.cancel("r"))
    assert (await world.outcome("r")).status == "cancelled"
    await world.until(lambda: all_ended(world))
    await one_item(world, "ask", "skipped")


async def released(world: World) -> None:
    await world.ask(lambda client: client.start(is_held.options(id="r")))
    await world.until(lambda: some(world))
    await person(world, "hold", {"answer": 7})
    await world.reaches("r", "succeeded")
    assert (await world.outcome("r")).output == 7
    await one_item(world, "hold", "completed")


async def some(world: World) -> bool:
    return bool(await world.table("items"))


async def all_ended(world: World) -> bool:
    return all(row["status"] in ("completed", "skipped") for row in await world.table("items"))


async def one_item(world: World, kind: str, status: str) -> None:
    rows = await world.beside.work.list_items("default", ItemFilter(kind=kind), limit=10)
    assert [row.status for row in rows] == [status]
    events = await world.beside.work.item_history("default", rows[0].uid)
    assert replay(events) == state_of(rows[0]._asdict())


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scene", [answered, lost, cancelled, released])
@pytest.mark.parametrize("kept", ["memory", pytest.param("sqlite", marks=pytest.mark.verify)])
async def test_the_nth_call_fails_for_every_n(
    scene: Callable[[World], Any], fault: Fault, kept: str, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:  # fmt: skip
    in_haste(monkeypatch)
    monkeypatch.setattr(faulty, "FaultyStore", Faulty)
    monkeypatch.setattr(faulty, "RUNNING_CALLS", RUNNING)
    for name in ("LOOK_SECONDS", "SELDOM_SECONDS"):
        monkeypatch.setattr(f"holdfast.workqueue.tending.{name}", 0.01)
    monkeypatch.setattr("holdfast.workqueue.asking.REST_SECONDS", 0.005)
    n = 0
    while True:
        calls = 0

        def plan(name: str, n: int = n) -> Fault | None:
            nonlocal calls
            if name not in ABOUT_ITEMS:
                return None
            calls += 1
            return fault if calls == n else None

        url = "memory://" if kept == "memory" else f"sqlite:///{tmp_path}/{n}.db"
        async with World(url, (asks, asks_and_is_tired, is_held), plan) as world:
            state["world"] = world
            await scene(world)
        # Whoever tends looks again and again: so many calls are made until the scene is over.
        if n >= calls or n > 40:
            break
        n += 1
    assert n > 3
