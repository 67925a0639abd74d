"""Replays runs out of a database: at a first look, else in full, and again if they went on while they were read."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.engine.replaying.checking import TOO_LONG, Checker, Recording
from holdfast.engine.replaying.judging import ENDED
from holdfast.engine.replaying.reading import Reader
from holdfast.engine.replaying.reports import RunReplay

LOOKED_AT = 256
"""So many runs are looked at first at once, which may be a quarter of a megabyte each."""

READ_AGAIN = 3
"""So often a run that is executed meanwhile is read anew, when it does not seem to fit."""


async def replay_page(checker: Checker, reader: Reader, runs: Sequence[bytes]) -> list[RunReplay]:
    """What became of runs, in their order, without those that are gone."""
    found: dict[bytes, RunReplay] = {}
    for first in range(0, len(runs), LOOKED_AT):
        found |= await checker.quick.look(await reader.steps(runs[first : first + LOOKED_AT]))
    rest = [run for run in runs if run not in found]
    while rest:
        # Not the next ones beside: the machine's cores are all at work.
        some, rest = rest[: reader.at_once], rest[reader.at_once :]
        recordings = await reader.read(some)
        reports = await check_twice(checker, reader, recordings)
        found.update((one.run.uid, report) for one, report in zip(recordings, reports, strict=True))
    return [found[run] for run in runs if run in found]


async def check_twice(checker: Checker, reader: Reader, recordings: Sequence[Recording]) -> list[RunReplay]:
    """Replay runs; those that do not fit are read anew, since a run may have gone on while it was read."""
    reports = await checker.check(recordings)
    broken = [n for n, report in enumerate(reports) if report.outcome == "breaks"]
    stands = await reader.stand([recordings[n].run for n in broken]) if broken else []
    # What had ended when it was read, and is as it was, was whole.
    moving = [
        n
        for n, still in zip(broken, stands, strict=True)
        if not (still and recordings[n].run.status in ENDED) and not reports[n].reasons[0].startswith(TOO_LONG)
    ]
    for _ in range(READ_AGAIN):
        if not moving:
            break
        found = await reader.read([recordings[n].run.uid for n in moving])
        numbers = {recordings[n].run.uid: n for n in moving}
        moving = [numbers[one.run.uid] for one in found]
        for n, report in zip(moving, await checker.check(found), strict=True):
            reports[n] = report
        stands = await reader.stand([one.run for one in found])
        moving = [n for n, still in zip(moving, stands, strict=True) if not still and reports[n].outcome == "breaks"]
    return reports
