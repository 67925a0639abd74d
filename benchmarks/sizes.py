"""How much is measured: enough for a coffee break, or the full size."""

from __future__ import annotations

from dataclasses import dataclass

STEPS = 10
"""Steps of a run."""

IN_FLIGHT = 1000
"""Runs at once."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of runs, unless they say otherwise.

    Attributes:
        rounds: so often the contenders take turns.
        runs: for the throughput; ten steps each.
        plain_runs: the same with plain steps.
        peer_runs: the same for the peer, which is slower by far.
        ready: behind those that are claimed.
        in_flight: at once in one worker, for its memory.
        asleep: at once in one database, for its worker's memory.
        neighbour_writes: single writes beside a busy process.
        starts: idle starts whose latency is measured.
        lanes: lanes of ten runs each.
        in_line: in one lane.
        sleeping: at once, beside those that are claimed.
        waking: due at the same instant.
        long_steps: steps of one run.
        children: of one run.
        old: ended long ago, deleted beside a full load.
        pressure_seconds: of four processes at once.
        messages: pending at once, or sent before.
        keys: of rules for starts.
    """

    rounds: int
    runs: int
    plain_runs: int
    peer_runs: int
    ready: int
    in_flight: int
    asleep: int
    neighbour_writes: int
    starts: int
    lanes: int
    in_line: int
    sleeping: int
    waking: int
    long_steps: int
    children: int
    old: int
    pressure_seconds: int
    messages: int
    keys: int


QUICK = Sizes(
    rounds=3, runs=10_000, plain_runs=3_000, peer_runs=30, ready=100_000, in_flight=10_000, asleep=10_000,
    neighbour_writes=300, starts=100, lanes=1_000, in_line=5_000, sleeping=100_000, waking=20_000, long_steps=10_000,
    children=10_000, old=50_000, pressure_seconds=10, messages=20_000, keys=20_000,
)  # fmt: skip
FULL = Sizes(
    rounds=3, runs=100_000, plain_runs=20_000, peer_runs=300, ready=1_000_000, in_flight=10_000, asleep=100_000,
    neighbour_writes=2_000, starts=100, lanes=10_000, in_line=100_000, sleeping=1_000_000, waking=100_000,
    long_steps=100_000, children=100_000, old=1_000_000, pressure_seconds=60, messages=100_000, keys=100_000,
)  # fmt: skip
