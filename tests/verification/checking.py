"""What is looked at when all programs have ended: that nothing is left, lost or doubled."""

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import holdfast as hf
from holdfast.model.payload import codec_of
from holdfast.model.position import format_position
from holdfast.store.values.sealing import Sealing
from tests.crash.faulty import LIVE
from tests.verification.databases import Database
from tests.verification.drawing import Case
from tests.verification.oracle import Answer, Effect, attempts

_ANY = codec_of(object)


class Attempt(NamedTuple):
    """A line that a step noted."""

    effect: Effect
    key: str
    attempt: int
    run_id: str
    pid: int
    at: float


def read_notes(folder: Path) -> list[Attempt]:
    """What the steps did, in order."""
    found = []
    for line in (folder / "notes").read_text().splitlines():
        if line.startswith("step\t"):
            _, name, number, failures, key, attempt, run_id, pid, at = line.split("\t")
            effect = name, int(number), int(failures)
            found.append(Attempt(effect, key, int(attempt), run_id, int(pid), float(at)))
    return found


async def left_over(database: Database) -> list[str]:
    """What is left of runs though all have ended."""
    faults = []
    for name in LIVE:
        rows = await database.table(name)
        if rows:
            faults.append(f"table {name} still has {len(rows)} rows, such as {rows[0]}")
    runs = await database.table("runs")
    ended = {"succeeded", "failed", "cancelled"}
    faults += [f"run {row['id']} is {row['status']}" for row in runs if row["status"] not in ended]
    badly = sorted((bytes(row["uid"]), row["status"]) for row in runs if row["status"] in ("failed", "cancelled"))
    troubled = sorted((bytes(row["run"]), row["status"]) for row in await database.table("troubled"))
    if troubled != badly:
        faults.append(f"{len(troubled)} runs are listed as troubled, and {len(badly)} are")
    return faults


async def wrong_effects(
    database: Database, sealing: Sealing, folder: Path, cases: Iterable[Case], cancelled: Collection[str]
) -> list[str]:
    """Where steps were not called as often as is right, or messages not published so."""
    notes = read_notes(folder)
    calls: dict[str, dict[str, Effect]] = {}
    tries: dict[str, set[int]] = {}
    for one in notes:
        calls.setdefault(_root(one.run_id), {})[one.key] = one.effect
        tries.setdefault(one.key, set()).add(one.attempt)
    messages: dict[str, Counter[int]] = {}
    rows = await database.table("messages")
    for data in await sealing.plain([bytes(row["body"]) for row in rows]):
        body = _ANY.decode(data, "a message")
        assert isinstance(body, dict)
        messages.setdefault(body["root"], Counter())[body["number"]] += 1
    faults = []
    for case in cases:
        answers: list[tuple[str, Answer]] = [(case.id, case.right)]
        answers += [(f"{case.id}f", case.fork)] if case.fork is not None else []
        for root, right in answers:
            found, sent = Counter(calls.get(root, {}).values()), messages.get(root, Counter())
            if root in cancelled:
                if not (found <= right.effects and sent <= right.messages):
                    faults.append(
                        f"run {root} was cancelled, and yet did {found - right.effects}, {sent - right.messages}"
                    )
                continue
            if found != right.effects:
                faults.append(f"run {root}: {_differ(found, right.effects)}")
            if sent != right.messages:
                faults.append(f"run {root}: messages {_differ(sent, right.messages)}")
            for key, effect in calls.get(root, {}).items():
                if effect[0] != "mended" and tries[key] != set(range(1, attempts(effect) + 1)):
                    faults.append(f"run {root}: step {key} {effect} was attempted as {sorted(tries[key])}")
    return faults + await _unrecorded(database, tries)


async def wrong_streams(
    client: hf.Client, database: Database, cases: Iterable[Case], cancelled: Collection[str]
) -> list[str]:
    """Where streams have not what is right, as a reader takes it who heeds what is withdrawn."""
    ids = {bytes(row["uid"]): row["id"] for row in await database.table("runs")}
    streamed: dict[str, Counter[tuple[int, int]]] = {}
    for run_id in sorted({ids[bytes(row["run"])] for row in await database.table("chunks")}):
        values: dict[int, tuple[int, int]] = {}
        async for chunk in client.read_stream(run_id, "out"):
            if chunk.kind == "data":
                values[chunk.offset] = (chunk.value[0], chunk.value[1])
            values = {offset: value for offset, value in values.items() if not chunk.withdraws(offset)}
        streamed.setdefault(_root(run_id), Counter()).update(values.values())
    faults = []
    for case in cases:
        answers: list[tuple[str, Answer]] = [(case.id, case.right)]
        answers += [(f"{case.id}f", case.fork)] if case.fork is not None else []
        for root, right in answers:
            found = streamed.get(root, Counter())
            if not (found <= right.chunks if root in cancelled else found == right.chunks):
                faults.append(f"run {root}: streams {_differ(found, right.chunks)}")
    return faults


async def _unrecorded(database: Database, tries: dict[str, set[int]]) -> list[str]:
    """Steps that are recorded as done and that nobody did."""
    runs = {bytes(row["uid"]): row for row in await database.table("runs")}
    faults = []
    for row in await database.table("journal"):
        run = runs[bytes(row["run"])]
        if (
            row["kind"] == "step"
            and run["forked_from"] is None
            and run["workflow"] != "counts"
            and row["name"] != "mended"
        ):
            key = f"{bytes(row['run']).hex()}-{format_position(bytes(row['position']))}"
            if key not in tries:
                faults.append(f"step {row['name']} {key} of run {run['id']} is recorded, and nobody did it")
    return faults


def two_in_a_lane(folder: Path, doubts: list[tuple[int | None, float, float]]) -> list[str]:
    """Where a run took its turn in a lane, or as the only one of its key, while another was between its turns.

    Left out are attempts by processes that could not know yet that their lease was over.
    """
    lanes: dict[tuple[str, int], list[str]] = {}
    for one in read_notes(folder):
        doubtful = any(pid in (None, one.pid) and since <= one.at <= until for pid, since, until in doubts)
        if one.effect[0] in ("alone", "only", "newest") and not doubtful:
            lanes.setdefault(one.effect[:2], []).append(one.run_id)
    faults = []
    for lane, turns in lanes.items():
        order = {run: n for n, run in enumerate(dict.fromkeys(turns))}
        numbers = [order[run] for run in turns]
        for n in range(1, len(numbers)):
            if numbers[n] < numbers[n - 1]:
                faults.append(f"lane {lane}: runs {turns[n - 1]} and {turns[n]} had it at once")
    return faults


def _root(run_id: str) -> str:
    return run_id.partition("/")[0]


def _differ(found: Counter[Any], right: Counter[Any]) -> str:
    more, less = dict(found - right), dict(right - found)
    return f"too often {more}, lacking {less}"
