"""Events, lanes and steering while the N-th call of the store fails, for every N: the end is right, nothing is left."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import holdfast as hf
from holdfast.engine import waiting
from tests.crash.faulty import FAULTS, Fault, World, in_haste
from tests.engine.helpers import QUICK

HOUR = 3600.0

state: dict[str, World] = {}
done: list[str] = []
"""What steps did, in order."""
inside: Counter[str] = Counter()
"""How many steps are inside each lane just now."""
broken = {"is": True}


def executes() -> None:
    state["world"].ledger.executes()


@hf.step(retry=QUICK)
async def work(name: str) -> str:
    executes()
    done.append(name)
    return name


@hf.step(retry=QUICK)
async def in_turn(lane: str, limit: int) -> None:
    executes()
    inside[lane] += 1
    try:
        assert inside[lane] <= limit
        await asyncio.sleep(0.001)
    finally:
        inside[lane] -= 1


@hf.step(retry=QUICK)
async def same(drawn: list[Any]) -> list[Any]:
    executes()
    return drawn


@hf.step(retry=hf.Retry(max_attempts=1))
async def may_break() -> str:
    executes()
    if broken["is"]:
        raise LookupError("broken")
    return "mended"


@hf.workflow
async def takes(name: str, within: float | None = None) -> Any:
    await work("begin")
    try:
        got = await hf.wait_for_event(name, timeout=within)
    except hf.EventTimeout:
        got = "too late"
    await work(f"got {got}")
    return got


@hf.workflow
async def sleeper() -> None:
    await hf.sleep(HOUR)


@hf.workflow
async def sleeps(seconds: float) -> None:
    await hf.sleep(seconds)


@hf.workflow
async def races() -> list[Any]:
    won, value = await hf.first(hf.wait_for_event("go"), hf.sleep(HOUR), sleeper())
    lost, _ = await hf.first(hf.wait_for_event("stay"), hf.sleep(0.003), sleeper())
    return [won, value, lost]


@hf.workflow
async def tidies(seconds: float) -> None:
    await hf.sleep(seconds)
    await work(f"tidied {seconds}")


@hf.workflow
async def family() -> None:
    try:
        await hf.gather(sleeper(), hf.map(sleeps, [HOUR, HOUR]), hf.sleep(HOUR), hf.wait_for_event("never"))
    finally:
        async with hf.shield():
            await hf.sleep(0.003)
            await hf.gather(tidies(0.001), tidies(0.01))


@hf.workflow
async def asks() -> list[Any]:
    before = await work("before")
    value = await hf.hold("may I?", type=int)
    return [before, value, await work("after")]


@hf.workflow
async def breaks() -> list[Any]:
    drawn = [hf.random(), str(hf.uuid())]
    await work("one")
    return [drawn == await same(drawn), await may_break(), await work("three")]


@hf.workflow
async def handles(failure: hf.RunFailure) -> str:
    return await work(f"handled {failure.error['message']}")


@hf.workflow(on_failure=handles)
async def fails() -> None:
    await may_break()


@hf.workflow
async def counts(left: int, total: int) -> int:
    await work(f"turn {left}")
    await hf.sleep(0.002)
    if left:
        hf.continue_as_new(left - 1, total + left)
    return total


@hf.workflow(key="key")
async def one_by_one(key: str) -> str:
    await in_turn(key, 1)
    await hf.sleep(0.003)
    await in_turn(key, 1)
    return key


@hf.workflow
async def doubles(x: int) -> int:
    await in_turn("map", 2)
    await hf.sleep(0.002)
    return 2 * x


@hf.workflow
async def maps() -> list[int]:
    return await hf.map(doubles, range(5), limit=2)


@hf.workflow
async def sends() -> None:
    for n in range(3):
        await hf.send_event("news", n)
        await hf.sleep(0.001)
    await hf.send_event("all", "heard", to="all")


@hf.workflow
async def describes() -> None:
    await hf.set_attributes(step="one", number=1)
    await work("between")
    await hf.set_attributes(step="two")


@hf.workflow(timeout=0.03)
async def limited() -> None:
    await hf.gather(sleeper(), hf.sleep(HOUR))


@hf.workflow(cancel_on="stop")
async def stoppable() -> None:
    await hf.wait_for_event("never")


# What is done with them


async def started(world: World, id: str, workflow: Any, *args: Any) -> None:
    await world.ask(lambda client: client.start(workflow.options(id=id), *args))


async def sent(world: World, name: str, payload: Any) -> None:
    await world.ask(lambda client: client.send_event(name, payload, id=f"event {name} {payload}"))


async def waits(world: World, name: str, runs: int = 1) -> None:
    """Until so many runs wait for an event."""

    async def they_do() -> bool:
        waiting = [row["topic"] for row in await world.table("waits")]
        topics = {row["id"]: row["name"] for row in await world.table("topics")}
        return sum(topics[topic] == name for topic in waiting) >= runs

    await world.until(they_do)


async def an_event_is_sent(world: World) -> None:
    await started(world, "r", takes, "go")
    await waits(world, "go")
    await sent(world, "go", 7)
    assert (await world.outcome("r")).output == 7
    await started(world, "later", takes, "go", 0.003)
    assert (await world.outcome("later")).output == "too late", "an event was given to two runs"


async def an_event_is_sent_early(world: World) -> None:
    await sent(world, "go", 7)
    await sent(world, "go", 8)
    await asyncio.gather(started(world, "r", takes, "go"), started(world, "s", takes, "go"))
    assert sorted([(await world.outcome(id)).output for id in ("r", "s")]) == [7, 8]


async def a_wait_times_out(world: World) -> None:
    await started(world, "r", takes, "go", 0.005)
    assert (await world.outcome("r")).output == "too late"
    await sent(world, "go", 7)
    await started(world, "s", takes, "go")
    assert (await world.outcome("s")).output == 7, "an event was lost to a wait that had timed out"


async def the_first_of_three(world: World) -> None:
    await started(world, "r", races)
    await waits(world, "go")
    await sent(world, "go", 7)
    assert (await world.outcome("r")).output == [0, 7, 1]
    await sent(world, "stay", 8)
    await started(world, "s", takes, "stay")
    assert (await world.outcome("s")).output == 8, "an event was lost to a wait that had lost"
    await world.settled()
    children = [row for row in await world.table("runs") if row["workflow"] == "sleeper"]
    assert [row["status"] for row in children] == ["cancelled"] * len(children)


async def a_parent_is_cancelled(world: World) -> None:
    await started(world, "r", family)
    await waits(world, "never")
    await world.ask(lambda client: client.cancel("r", reason="enough"))
    assert (await world.outcome("r")).status == "cancelled"
    ends = Counter((row["workflow"], row["status"]) for row in await world.table("runs"))
    assert ends == {
        ("family", "cancelled"): 1, ("sleeper", "cancelled"): 1, ("sleeps", "cancelled"): 2, ("tidies", "succeeded"): 2,
    }  # fmt: skip


async def held_by_its_code(world: World) -> None:
    await started(world, "r", asks)
    await world.reaches("r", "held")
    await world.check_tables()
    await world.ask(lambda client: client.release("r", 5))
    await world.reaches("r", "succeeded")
    assert (await world.outcome("r")).output == ["before", 5, "after"]


async def held_by_a_person(world: World) -> None:
    await started(world, "r", takes, "go")
    await world.ask(lambda client: client.hold("r", reason="wait"))
    await world.reaches("r", "held")
    await sent(world, "go", 7)
    await world.check_tables()
    await world.ask(lambda client: client.release("r"))
    await world.reaches("r", "succeeded")
    assert (await world.outcome("r")).output == 7


async def retried(world: World) -> None:
    await started(world, "r", breaks)
    assert (await world.outcome("r")).status == "failed"
    broken["is"] = False
    await world.ask(lambda client: client.retry("r"))
    await world.reaches("r", "succeeded")
    assert (await world.outcome("r")).output == [True, "mended", "three"]
    assert done.count("one") == 1 or world.deaths, "a retry did again what was recorded"


async def forked(world: World) -> None:
    await started(world, "r", breaks)
    assert (await world.outcome("r")).status == "failed"
    await world.ask(lambda client: client.fork("r", from_step=may_break, output="edited", id="s"))
    assert (await world.outcome("s")).output[1:] == ["edited", "three"]
    assert (await world.outcome("r")).status == "failed"


async def begun_again(world: World) -> None:
    await started(world, "r", counts, 3, 0)
    assert (await world.outcome("r")).output == 6
    turns = [name for name in done if name.startswith("turn")]
    assert sorted(set(turns), reverse=True) == ["turn 3", "turn 2", "turn 1", "turn 0"]


async def three_in_a_lane(world: World) -> None:
    ids = ["a", "b", "c"]
    await asyncio.gather(*(started(world, id, one_by_one, "k") for id in ids))
    assert [(await world.outcome(id)).output for id in ids] == ["k"] * 3


async def a_map_with_a_limit(world: World) -> None:
    await started(world, "r", maps)
    assert (await world.outcome("r")).output == [0, 2, 4, 6, 8]


async def events_from_a_run(world: World) -> None:
    await asyncio.gather(*(started(world, f"r{n}", takes, "news") for n in range(3)))
    await started(world, "a", takes, "all")
    await started(world, "s", sends)
    await started(world, "b", takes, "all")
    assert sorted([(await world.outcome(f"r{n}")).output for n in range(3)]) == [0, 1, 2]
    assert [(await world.outcome(id)).output for id in "ab"] == ["heard"] * 2
    await world.outcome("s")


async def a_failure_is_handled(world: World) -> None:
    await started(world, "r", fails)
    assert (await world.outcome("r")).status == "failed"
    assert (await world.outcome("r/1.failed")).output == "handled broken"


async def attributes_are_set(world: World) -> None:
    await started(world, "r", describes)
    assert (await world.outcome("r")).attributes == {"step": "two", "number": 1}
    facts = {row["name"]: row["text"] or row["number"] for row in await world.table("attributes")}
    assert facts == {"step": "two", "number": 1}


async def it_takes_too_long(world: World) -> None:
    await started(world, "r", limited)
    view = await world.outcome("r")
    assert view.status == "failed"
    assert view.error is not None
    assert view.error["type"].endswith("RunTimeout")


async def an_event_cancels(world: World) -> None:
    await started(world, "r", stoppable)
    await waits(world, "never")
    await sent(world, "stop", None)
    assert (await world.outcome("r")).status == "cancelled"


@dataclass(frozen=True)
class Scenario:
    """What is done, and the outcome asserted; and the workflows that the workers serve."""

    play: Callable[[World], Awaitable[None]]
    workflows: tuple[hf.Workflow[Any, Any], ...]

    def __str__(self) -> str:
        return self.play.__name__


SCENARIOS = [
    Scenario(an_event_is_sent, (takes,)),
    Scenario(an_event_is_sent_early, (takes,)),
    Scenario(a_wait_times_out, (takes,)),
    Scenario(the_first_of_three, (races, takes)),
    Scenario(a_parent_is_cancelled, (family,)),
    Scenario(held_by_its_code, (asks,)),
    Scenario(held_by_a_person, (takes,)),
    Scenario(retried, (breaks,)),
    Scenario(forked, (breaks,)),
    Scenario(begun_again, (counts,)),
    Scenario(three_in_a_lane, (one_by_one,)),
    Scenario(a_map_with_a_limit, (maps,)),
    Scenario(events_from_a_run, (takes, sends)),
    Scenario(a_failure_is_handled, (fails,)),
    Scenario(attributes_are_set, (describes,)),
    Scenario(it_takes_too_long, (limited,)),
    Scenario(an_event_cancels, (stoppable,)),
]


async def execute(url: str, scenario: Scenario, fault: Fault | None, at: int) -> int:
    """Play a scenario with a fault at the N-th call; how many calls there were."""
    calls = 0

    def plan(_: str) -> Fault | None:
        nonlocal calls
        calls += 1
        return fault if calls == at else None

    done.clear()
    inside.clear()
    broken["is"] = True
    async with World(url, scenario.workflows, plan) as world:
        state["world"] = world
        await scenario.play(world)
        await world.nothing_left()
        ledger, runs = world.ledger, [row["uid"] for row in await world.table("runs")]
        ledger.check((await world.beside.load_journals(runs))[0])
    return calls


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    in_haste(monkeypatch)


def _parking(parking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if parking == "parked":
        monkeypatch.setattr(waiting, "LINGER_SECONDS", 0.0)
        monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", 0.0)
        monkeypatch.setattr(waiting, "PARK_SECONDS", 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_the_nth_call_fails_for_every_n(
    scenario: Scenario, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults before a call do less harm than those after it: of them every third N is tried here."""
    _parking("parked" if fault in ("forget", "die before") else "in memory", monkeypatch)
    stride = 1 if fault in ("forget", "die after") else 3
    at, calls = 1, 1
    while at <= calls:
        calls = await execute("memory://", scenario, fault, at)
        at += stride
    assert at > 4


# A process that dies while it connects leaves the connection open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.verify
@pytest.mark.timeout(900)
@pytest.mark.parametrize("parking", ["in memory", "parked"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_the_nth_call_fails_on_disk(
    disk_url: str, scenario: Scenario, fault: Fault, parking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _parking(parking, monkeypatch)
    at, calls = 0, 1
    while at < calls:
        at += 1
        calls = await execute(disk_url, scenario, fault, at)
        await empty(disk_url)


async def empty(url: str) -> None:
    """Forget every run, for the next time."""
    if url.startswith("sqlite"):
        for path in Path(url.removeprefix("sqlite:///")).parent.glob("holdfast.db*"):
            path.unlink()
        return
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'holdfast'")
        kept = ("meta", "clock", "migrations")
        # Of few rows each: much faster than to truncate, which makes every file anew.
        await connection.execute("; ".join(f"DELETE FROM holdfast.{row[0]}" for row in tables if row[0] not in kept))
    finally:
        await connection.close()
