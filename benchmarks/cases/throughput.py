"""Durable steps a second: a thousand runs at once, each of ten steps that do nothing, one after the other.

The clock runs from before the first start to the last result, so that starting, claiming and ending
are counted. The limit does the same work without an engine; the peer does less of it. The contenders
take turns; each ratio is the median over the rounds.
"""

from __future__ import annotations

from statistics import median

from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import IN_FLIGHT, STEPS, Sizes

CASE = "throughput"
PEER_IN_FLIGHT = 100


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure, and hold against the limit and the peer."""
    work = {"steps": STEPS}
    with (
        backend.database() as limit_url,
        backend.database() as our_url,
        backend.database() as peer_url,
        backend.limit(limit_url) as limit,
        Child("benchmarks.ours:Ours", url=our_url, in_flight=IN_FLIGHT) as ours,
        Child("benchmarks.peer:Dbos", url=peer_url) as peer,
    ):
        for warm_up in (limit, ours):
            warm_up.call("alone", runs=20, **work)
        seen: dict[str, list[dict[str, float]]] = {"limit": [], "ours": [], "plain": [], "peer": []}
        for _ in range(sizes.rounds):
            seen["limit"].append(limit.call("throughput", runs=sizes.runs, in_flight=IN_FLIGHT, **work))
            seen["ours"].append(ours.call("throughput", runs=sizes.runs, **work))
            seen["plain"].append(ours.call("throughput", runs=sizes.plain_runs, plain=True, **work))
            seen["peer"].append(peer.call("throughput", runs=sizes.peer_runs, in_flight=PEER_IN_FLIGHT, **work))
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
