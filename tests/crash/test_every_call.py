"""The N-th call of the store fails, for every N: the result is right and nothing is recorded twice."""

import asyncio
from collections import Counter

import pytest

import holdfast as hf
from tests.crash.faulty import FAULTS, Fault, World, in_haste

QUICK = hf.Retry(max_attempts=3, initial=0.001, jitter=0.0)

state: dict[str, World] = {}
finished: Counter[str] = Counter()


def executes(name: str) -> None:
    state["world"].ledger.executes()
    finished[name] += 1


@hf.step(retry=QUICK)
async def double(x: int) -> int:
    executes(f"double {x}")
    return 2 * x


@hf.step(retry=QUICK)
def plain(x: int) -> int:
    return x + 1


@hf.step(retry=QUICK)
async def third_time(x: int) -> int:
    executes(f"third_time {x}")
    if hf.current().attempt < 3:
        raise ConnectionError("not yet")
    return x


@hf.step(retry=QUICK)
async def never() -> int:
    raise LookupError("never")


@hf.workflow
async def grandchild(x: int) -> int:
    return await double(x) + await plain(x)


@hf.workflow
async def child(x: int) -> int:
    await hf.sleep(0.002)
    return await grandchild(x) + await double(x + 100)


@hf.workflow
async def everything() -> list[object]:
    async def branch(x: int) -> int:
        await hf.sleep(0.002)
        return await double(x)

    began = hf.now()
    out: list[object] = [await double(1), await third_time(2)]
    out += await hf.gather(branch(3), double(4), child(5))
    out += await hf.map(double, range(10, 13), limit=2)
    out += await hf.map(grandchild, [20, 21])
    try:
        await never()
    except LookupError as error:
        out.append(str(error))
    await hf.sleep_until(began)
    out.append(await plain(6))
    return out


RIGHT = [2, 2, 6, 8, (10 + 6) + 210, 20, 22, 24, 40 + 21, 42 + 22, "never", 7]


async def execute(url: str, fault: Fault | None, at: int) -> tuple[int, World]:
    """Run the program with a fault at the N-th call; how many calls there were."""
    calls = 0

    def plan(_: str) -> Fault | None:
        nonlocal calls
        calls += 1
        return fault if calls == at else None

    run_id = f"{fault}-{at}"
    async with World(url, (everything,), plan) as world:
        state["world"] = world
        run = asyncio.create_task(world.process.client.start(everything.options(id=run_id)))
        try:
            view = await _outcome(world, run, run_id)
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
        assert view.status == "succeeded", view.error
        assert view.output == RIGHT
        world.ledger.check(await world.journal(run_id))
        assert await world.beside.counts() == {"ready": 0, "running": 0, "parked": 0}
    return calls, world


async def _outcome(world: World, run: "asyncio.Task[object]", run_id: str) -> hf.RunView:
    died = asyncio.create_task(world.process.store.died.wait())
    await asyncio.wait((run, died), return_when=asyncio.FIRST_COMPLETED)
    died.cancel()
    if world.process.store.died.is_set():
        # The client died with its process. Starting again is safe.
        await world.replace()
        await world.process.client.start(everything.options(id=run_id))
    return await world.outcome(run_id)


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    in_haste(monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("parking", ["in memory", "parked"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_the_nth_call_fails_for_every_n(fault: Fault, parking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _parking(parking, monkeypatch)
    at, calls = 0, 1
    while at < calls:
        at += 1
        finished.clear()
        calls, _ = await execute("memory://", fault, at)
        if fault in ("refuse", "forget"):
            assert set(finished.values()) <= {1, 3}
    assert at > 15


@pytest.mark.verify
@pytest.mark.timeout(900)
@pytest.mark.parametrize("parking", ["in memory", "parked"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_the_nth_call_fails_on_disk(
    disk_url: str, fault: Fault, parking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _parking(parking, monkeypatch)
    at, calls = 0, 1
    while at < calls:
        at += 1
        calls, _ = await execute(disk_url, fault, at)


def _parking(parking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.engine import waiting

    if parking == "parked":
        monkeypatch.setattr(waiting, "LINGER_SECONDS", 0.0)
        monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", 0.0)
        monkeypatch.setattr(waiting, "PARK_SECONDS", 0.05)
