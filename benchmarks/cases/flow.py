"""Rules for starts: what they cost beside plain starts, and that a limit is never exceeded.

A client starts runs, two for each of very many keys: first one of each, then another of each, in transactions of a
thousand. The first of a limit starts, the second is delayed or dropped; the first of a debounce or a batch makes a
run, the second goes into it. Each rule takes turns with plain starts, over an empty database of its own, and is held
against those of its round that have the same inputs: a batch against plain starts with a list. Nothing is executed
meanwhile.

Then four processes, each with a client and a worker, start runs of a few keys whose limit is reached all the time.
The database itself writes down each log of a limit that is stored; from these it is counted how many runs started in
any stretch, and that each run is in the logs once.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import median
from typing import Any

import asyncpg

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.model.rates import Mark, decode
from holdfast.model.start_rules import Batch, Debounce, RateLimit

CASE = "flow"
PROCESSES = 4
KEYS = 5
MOST, PERIOD_US = 20, 250_000
PATIENCE_SECONDS = 600


@hf.workflow
async def plain(key: int) -> int:
    """No rule."""
    return key


@hf.workflow
async def plain_list(items: list[dict[str, int]]) -> int:
    """No rule, and the input of a batch."""
    return len(items)


@hf.workflow(rate_limit=RateLimit(1, per="1h", key="key"))
async def delaying(key: int) -> int:
    """The second start of a key is delayed."""
    return key


@hf.workflow(rate_limit=RateLimit(1, per="1h", key="key", excess="drop"))
async def dropping(key: int) -> int:
    """The second start of a key is dropped."""
    return key


@hf.workflow(debounce=Debounce("1h", longest="2h", key="key"))
async def debounced(key: int) -> int:
    """The second start of a key takes the place of the first."""
    return key


@hf.workflow(batch=Batch(100, within="1h", key="key"))
async def batched(items: list[dict[str, int]]) -> int:
    """The second start of a key goes into the batch of the first."""
    return len(items)


@hf.workflow(rate_limit=RateLimit(MOST, per=PERIOD_US / 1e6, key="key"))
async def limited(key: int) -> int:
    """Its limit is reached all the time."""
    return key


STARTED = {
    "plain": plain,
    "plain_list": plain_list,
    "delaying": delaying,
    "dropping": dropping,
    "debounced": debounced,
    "batched": batched,
}
LISTS = {"plain_list", "batched"}


class Starter:
    """A client that starts runs.

    Args:
        url: an empty database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Connect."""
        self._client = await hf.connect(self._url)

    async def rate(self, what: str, keys: int) -> float:
        """Starts a second, two for each key."""
        workflow: Any = STARTED[what]
        numbers = list(range(keys))
        random.Random(keys).shuffle(numbers)
        inputs = [([{"key": key}],) if what in LISTS else (key,) for key in [*numbers, *numbers]]
        began = time.perf_counter()
        handles = await self._client.start_many(workflow, inputs)
        seconds = time.perf_counter() - began
        ways = Counter(handle.way for handle in handles)
        expected = {
            "plain": {"started": 2 * keys},
            "plain_list": {"started": 2 * keys},
            "delaying": {"started": keys, "delayed": keys},
            "dropping": {"started": keys, "dropped": keys},
        }.get(what, {"delayed": keys, "merged": keys})
        if ways != expected:
            raise RuntimeError(f"{what}: {dict(ways)} instead of {expected}")
        return 2 * keys / seconds


class Process:
    """A client and a worker, one of several on a database.

    Args:
        url: the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Connect and start the worker."""
        self._client = await hf.connect(self._url)
        self._worker = hf.Worker(self._client, [limited])
        await self._worker.__aenter__()

    async def press(self, starts: int) -> int:
        """Start so many runs, now one and now many at once, and wait until they have ended; how many have."""
        handles: list[hf.RunHandle[int]] = []
        while len(handles) < starts:
            some = random.choice((1, 1, 5, 30))
            handles += await self._client.start_many(limited, [(random.randrange(KEYS),) for _ in range(some)])
            await asyncio.sleep(random.random() * 0.02)
        return len(await asyncio.gather(*(handle.result(timeout=PATIENCE_SECONDS) for handle in handles)))


async def _note_logs(url: str) -> None:
    """Have the database write down each log of a limit that is stored."""
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        file.execute("CREATE TABLE bench_logs (id BLOB, log BLOB)")
        for event in ("INSERT", "UPDATE"):
            file.execute(
                f"CREATE TRIGGER bench_{event.lower()} AFTER {event} ON start_limits "
                "BEGIN INSERT INTO bench_logs VALUES (NEW.id, NEW.log); END"
            )
        file.close()
        return
    connection = await asyncpg.connect(url)
    await connection.execute("""
        CREATE TABLE public.bench_logs (id bytea, log bytea);
        CREATE FUNCTION public.bench_note() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO public.bench_logs VALUES (NEW.id, NEW.log); RETURN NULL; END';
        CREATE TRIGGER bench_note AFTER INSERT OR UPDATE ON holdfast.start_limits
            FOR EACH ROW EXECUTE FUNCTION public.bench_note();
    """)
    await connection.close()


async def _logs(url: str) -> dict[bytes, list[bytes]]:
    """The logs of each key, in any order."""
    found: dict[bytes, list[bytes]] = defaultdict(list)
    rows: Iterable[Any]
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"))
        rows = file.execute("SELECT id, log FROM bench_logs").fetchall()
        file.close()
    else:
        connection = await asyncpg.connect(url)
        rows = await connection.fetch("SELECT id, log FROM public.bench_logs")
        await connection.close()
    for key, log in rows:
        found[key].append(log)
    return found


def marks_of(logs: Iterable[bytes]) -> list[Mark]:
    """Every start that stands in any of a key's logs, in order."""
    seen: dict[int, int] = {}
    for log in logs:
        for at, count in decode(log):
            seen[at] = max(seen.get(at, 0), count)
    return sorted(seen.items())


def most_in_a_stretch(marks: list[Mark], period_us: int) -> int:
    """How many starts there are at most in any stretch of a length."""
    most = within = first = 0
    for at, count in marks:
        within += count
        while marks[first][0] <= at - period_us:
            within -= marks[first][1]
            first += 1
        most = max(most, within)
    return most


async def _open(url: str) -> None:
    async with hf.connect(url):
        pass
    await _note_logs(url)


def _press(backend: Backend, starts: int) -> list[Row]:
    with backend.database() as url:
        asyncio.run(_open(url))
        processes = [Child("benchmarks.cases.flow:Process", url=url) for _ in range(PROCESSES)]
        began = time.perf_counter()
        for process in processes:
            process.send("press", starts=starts)
        runs = sum(int(process.receive()) for process in processes)
        seconds = time.perf_counter() - began
        for process in processes:
            process.close()
        marks = [marks_of(logs) for logs in asyncio.run(_logs(url)).values()]
    most = max(most_in_a_stretch(each, PERIOD_US) for each in marks)
    counted = sum(count for each in marks for _, count in each)
    more = {"runs": runs, "counted": counted, "seconds": seconds, "most": most}
    return [
        Row(CASE, backend.name, f"runs over a limit of {MOST} in any {PERIOD_US // 1000} ms, {PROCESSES} processes",
            max(0, most - MOST), required=Required(at_most=0), more=more),
        Row(CASE, backend.name, f"of {runs:,} runs, not counted once", abs(runs - counted),
            required=Required(at_most=0), more=more),
        Row(CASE, backend.name, "runs/s through the limits", runs / seconds,
            ratio=runs / seconds / (KEYS * MOST / PERIOD_US * 1e6), against="what they allow", more=more),
    ]  # fmt: skip


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure."""
    rates: dict[str, list[float]] = {what: [] for what in STARTED}
    for round_ in range(sizes.rounds):
        order = list(STARTED)
        for what in order if round_ % 2 == 0 else reversed(order):  # a machine that grows slower favours neither
            with backend.database() as url, Child("benchmarks.cases.flow:Starter", url=url) as ours:
                rates[what].append(ours.call("rate", what=what, keys=sizes.keys))

    def ratio(what: str) -> float:
        plain = rates["plain_list" if what in LISTS else "plain"]
        return median(one / other for one, other in zip(rates[what], plain, strict=True))

    names = {
        "delaying": "rate limit, half delayed",
        "dropping": "rate limit, half dropped",
        "debounced": "debounce, half merged",
        "batched": "batch, half merged",
    }
    return [
        *(
            Row(CASE, backend.name, f"starts/s, {sizes.keys:,} keys, {said}", median(rates[what]), ratio=ratio(what),
                against="plain starts", required=Required(at_least=0.5), more=rates)
            for what, said in names.items()
        ),
        *_press(backend, 50 * sizes.pressure_seconds),
    ]  # fmt: skip
