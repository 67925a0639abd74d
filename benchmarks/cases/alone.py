"""One run alone: milliseconds a step, when a run of ten steps has the process to itself.

A run's whole time, from its start to its result, divided by its steps; the median over a hundred runs
after twenty to warm up. Blocks of runs of the contenders take turns. The limit's run makes one commit
less, since it is not claimed.
"""

from __future__ import annotations

from statistics import median

from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import IN_FLIGHT, STEPS, Sizes

CASE = "alone"
BLOCKS = 10
RUNS = 10
PEER_RUNS = 3


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure, and hold against the limit and the peer."""
    seen: dict[str, list[float]] = {"limit": [], "ours": [], "peer": []}
    with (
        backend.database() as limit_url,
        backend.database() as our_url,
        backend.database() as peer_url,
        backend.limit(limit_url) as limit,
        Child("benchmarks.ours:Ours", url=our_url, in_flight=IN_FLIGHT) as ours,
        Child("benchmarks.peer:Dbos", url=peer_url) as peer,
    ):
        for child, runs in ((limit, 20), (ours, 20), (peer, 5)):
            child.call("alone", runs=runs, steps=STEPS)
        for _ in range(BLOCKS):
            seen["limit"] += limit.call("alone", runs=RUNS, steps=STEPS)
            seen["ours"] += ours.call("alone", runs=RUNS, steps=STEPS)
            seen["peer"] += peer.call("alone", runs=PEER_RUNS, steps=STEPS)
    ms = {who: median(found) for who, found in seen.items()}
    what = "ms a step"
    return [
        Row(CASE, backend.name, what, ms["ours"], limit=ms["limit"], ratio=ms["ours"] / ms["limit"], against="limit",
            required=Required(at_most=1.6), more={"ours_ms": seen["ours"], "limit_ms": seen["limit"]}),
        Row(CASE, backend.name, what, ms["ours"], peer=ms["peer"], ratio=ms["ours"] / ms["peer"], against="peer",
            required=Required(at_most=0.25), more={"peer_ms": seen["peer"]}),
    ]  # fmt: skip
