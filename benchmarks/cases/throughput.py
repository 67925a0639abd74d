"""Durable steps a second: a thousand runs at once, each of ten steps that do nothing, one after the other.

The clock runs from before the first start to the last result, so that starting, claiming and ending
are counted. The limit does the same work without an engine; the peer does less of it. The contenders
take turns, each time in a fresh process on an empty database, but for the peer, which starts slowly;
each ratio is the median over the rounds.
"""

from __future__ import annotations

from statistics import median

from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import IN_FLIGHT, STEPS, Sizes

CASE = "throughput"
PEER_IN_FLIGHT = 100
WARM_UP = 20


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure, and hold against the limit and the peer."""
    seen: dict[str, list[dict[str, float]]] = {"limit": [], "ours": [], "plain": [], "peer": []}
    with backend.database() as peer_url, Child("benchmarks.peer:Dbos", url=peer_url) as peer:
        for _ in range(sizes.rounds):
            with backend.database() as url, backend.limit(url) as limit:
                limit.call("alone", runs=WARM_UP, steps=STEPS)
                seen["limit"].append(limit.call("throughput", runs=sizes.runs, steps=STEPS, in_flight=IN_FLIGHT))
            with (
                backend.database() as url,
                Child("benchmarks.ours:Ours", url=url, in_flight=IN_FLIGHT) as ours,
            ):
                ours.call("alone", runs=WARM_UP, steps=STEPS)
                seen["ours"].append(ours.call("throughput", runs=sizes.runs, steps=STEPS))
                seen["plain"].append(ours.call("throughput", runs=sizes.plain_runs, steps=STEPS, plain=True))
            seen["peer"].append(peer.call("throughput", runs=sizes.peer_runs, steps=STEPS, in_flight=PEER_IN_FLIGHT))
    rates = {who: [one["steps_per_s"] for one in rounds] for who, rounds in seen.items()}

    def row(what: str, who: str, other: str, required: Required) -> Row:
        ratio = median(ours / theirs for ours, theirs in zip(rates[who], rates[other], strict=True))
        return Row(
            CASE,
            backend.name,
            what,
            median(rates[who]),
            limit=median(rates[other]) if other == "limit" else None,
            peer=median(rates[other]) if other == "peer" else None,
            ratio=ratio,
            against=other,
            required=required,
            more={"rounds": {one: seen[one] for one in (who, other)}},
        )

    return [
        row("async steps/s", "ours", "limit", Required(at_least=1 / 3)),
        row("async steps/s", "ours", "peer", Required(at_least=80)),
        row("plain steps/s", "plain", "limit", Required(at_least=0.2)),
    ]
