"""What is looked at in the end of what came from outside: no limit was exceeded, nothing was lost or done twice."""

import asyncio
import json
from collections import Counter
from pathlib import Path

from holdfast.model import rates
from holdfast.store.values.sealing import Sealing
from tests.verification.checking import read_notes
from tests.verification.databases import Database
from tests.verification.rules import MOST, PER_SECONDS, PER_SHARE
from tests.verification.traffic import Traffic

Doubts = list[tuple[int | None, float, float]]


def wrong_executions(folder: Path, traffic: Traffic) -> list[str]:
    """Where a start that was not dropped came to no run, or to two."""
    keys: dict[str, dict[str, int]] = {name: {} for name in traffic.executed}
    for one in read_notes(folder):
        name, key, number = one.effect
        if name in keys:
            keys[name][one.key] = key if name == "collected" else number
    faults = []
    for name, wanted in traffic.executed.items():
        found = Counter(keys[name].values())
        if found != wanted:
            faults.append(f"{name}: too often {dict(found - wanted)}, lacking {dict(wanted - found)}")
    return faults


async def wrong_rates(database: Database) -> list[str]:
    """Where more runs started in some stretch than may, or started and were not counted, or were counted twice."""
    logs: dict[bytes, dict[int, int]] = {}
    for row in await database.seen_limits():
        log = logs.setdefault(bytes(row["id"]), {})
        for at, count in rates.decode(bytes(row["log"])):
            log[at] = max(count, log.get(at, 0))
    period = int(PER_SECONDS * 1e6)
    faults = []
    for log in logs.values():
        instants = sorted(at for at, count in log.items() for _ in range(count))
        for n in range(MOST, len(instants)):
            if instants[n] - instants[n - MOST] < period:
                faults.append(f"{MOST + 1} runs of a limit started within {instants[n] - instants[n - MOST]} µs")
    counted = sum(sum(log.values()) for log in logs.values())
    runs = [row["status"] for row in await database.table("runs") if row["workflow"] in ("rated", "dropped")]
    started = runs.count("succeeded")  # of those that were cancelled some never started
    if not started <= counted <= len(runs):
        faults.append(f"{started} of {len(runs)} runs with a limit started, and {counted} were counted")
    return faults


def too_many_of_a_share(folder: Path, doubts: Doubts) -> list[str]:
    """Where more steps of a share executed at once than its limit allows.

    Left out are those by processes that could not know yet that their lease was over. One whose process died ended
    when the next one of its run began.
    """
    faults = []
    inside: dict[int, dict[str, tuple[int, float]]] = {}
    for one in read_notes(folder):
        name, share, _ = one.effect
        if name == "share in":
            here = inside.setdefault(share, {})
            here[one.key] = one.pid, one.at
            living = {key: pid for key, (pid, _) in here.items() if not _doubtful(doubts, pid, one.at)}
            if len(living) > PER_SHARE and not _doubtful(doubts, one.pid, one.at):
                faults.append(f"{len(living)} runs of share {share} executed at once: {living}")
        elif name == "share out":
            inside.get(share, {}).pop(one.key, None)
    return faults


def _doubtful(doubts: Doubts, pid: int, at: float) -> bool:
    return any(one in (None, pid) and since <= at <= until for one, since, until in doubts)


async def wrong_messages(sealing: Sealing, database: Database, folder: Path) -> list[str]:
    """Where a message was not sent, and nobody is told that it may have been; or was sent as another."""
    try:
        async with asyncio.timeout(60):
            while left := [row for row in await database.table("messages") if row["status"] not in ("sent", "dead")]:
                await asyncio.sleep(0.2)
    except TimeoutError:
        return [f"{len(left)} messages are not sent, such as {left[0]['id']}, {left[0]['status']}: {left[0]['error']}"]
    rows = await database.table("messages")
    bodies = await sealing.plain([bytes(row["body"]) for row in rows])
    files = {path.name: path.read_bytes() for path in (folder / "box").glob("*.json")}
    faults = []
    for row, body in zip(rows, bodies, strict=True):
        written = files.pop(f"{row['id'].replace('/', '%2F')}.json", None)
        if row["status"] == "dead" and not row["doubt"]:
            faults.append(f"message {row['id']} is dead, and not in doubt: {row['error']}")
        if row["status"] == "sent" and (written is None or json.loads(written) != json.loads(body[1:])):
            faults.append(f"message {row['id']} is said to be sent, and there is {written!r}")
    return faults + [f"a message was sent that is not there: {name}" for name in files]
