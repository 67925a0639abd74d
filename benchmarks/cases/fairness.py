"""Fairness: how long a tenant's run waits beside very many of another, and what shares cost those who claim.

At the level of the store: claims of a hundred runs, one commit each, timed one by one; what was claimed is settled
in between, untimed. First very many runs of one tenant are ready, in one place and then each under a key of its own;
some claims are made, and then another tenant starts one run. Its wait is the time that the claims take from then on,
with the one that takes it, and the ratio says how many of the claims before it that is. Then the same number of runs
lies in one share, in a hundred and in very many, beside a plain queue: the first claims of each are timed.
"""

from __future__ import annotations

import secrets
import time
from statistics import median

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.model.run import PROTOCOL
from holdfast.model.shares import share_of
from holdfast.store.operations import Batch, Claim, ClaimedRun, Settle

CASE = "fairness"
AT_ONCE = 100
CLAIMS = 100
"""So many are timed."""
WARM_UP = 20
TRIES = 5
"""So often another tenant starts a run."""
PATIENCE = 1000
"""After so many claims it is given up."""
LOAD = 10_000
SHARES = (1, 100, 100_000)
A_YEAR_US = 365 * 86_400 * 1_000_000


@hf.workflow(name="shared", share="key")
async def shared(key: str) -> str:
    """A share for each key."""
    return key


@hf.workflow(name="whole")
async def whole(key: str) -> str:
    """One share for each tenant."""
    return key


class Tenants:
    """A store, and clients of several tenants.

    Args:
        url: an empty database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Connect and register a worker that needs no heartbeat here."""
        self._clients = {name: await hf.connect(self._url, tenant=name) for name in ("default", "large", "small")}
        self._store = self._clients["default"].core.store
        self._worker = secrets.token_bytes(16)
        await self._store.register_worker(self._worker, "bench", 1, PROTOCOL, A_YEAR_US)
        self._served = tuple((one.terms.queue, one.name, one.version, PROTOCOL) for one in (shared, whole))

    async def fill(self, tenant: str, runs: int, keys: int = 0) -> None:
        """Let runs be ready, over so many keys; none for the tenant's own share."""
        for first in range(0, runs, LOAD):
            numbers = range(first, min(first + LOAD, runs))
            inputs = [(f"{number % max(keys, 1)}",) for number in numbers]
            await self._clients[tenant].start_many(shared if keys else whole, inputs)

    async def _claim(self) -> tuple[float, list[ClaimedRun]]:
        """The seconds that a claim took, and its runs, which are settled."""
        claim = Claim(self._worker, secrets.token_bytes(16), AT_ONCE, self._served)
        began = time.perf_counter()
        (claimed,) = (await self._store.commit(Batch(claims=[claim]))).claims
        took = time.perf_counter() - began
        assert isinstance(claimed, list)
        now = self._clients["default"].core.now_us()
        ends = [Settle(run.uid, run.epoch, "succeeded", b"0", now, now, None, None, None) for run in claimed]
        await self._store.commit(Batch(settles=ends))
        return took, claimed

    async def wait(self) -> dict[str, list[float]]:
        """For each of some runs of the small tenant the seconds of a claim before it, and its wait."""
        seen: dict[str, list[float]] = {"claim": [], "wait": [], "claims": []}
        for _ in range(TRIES):
            before = [(await self._claim())[0] for _ in range(WARM_UP)]
            await self._clients["small"].start(whole, "mine")
            waited: list[float] = []
            found = False
            while not found and len(waited) < PATIENCE:
                took, runs = await self._claim()
                waited.append(took)
                found = any(share_of(run.queue).tenant == "small" for run in runs)
            seen["claim"].append(median(before))
            seen["wait"].append(sum(waited) if found else float("inf"))
            seen["claims"].append(len(waited))
        return seen

    async def rate(self) -> float:
        """Runs claimed a second, by the median claim."""
        for _ in range(WARM_UP):
            await self._claim()
        rates = []
        for _ in range(CLAIMS):
            seconds, runs = await self._claim()
            rates.append(len(runs) / seconds)
        return median(rates)


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure."""
    rows = []
    many = f"{sizes.ready:,}"
    for what, keys in (("runs", 0), ("keys", sizes.ready)):
        with backend.database() as url, Child("benchmarks.cases.fairness:Tenants", url=url) as tenants:
            tenants.call("fill", tenant="large", runs=sizes.ready, keys=keys)
            seen = tenants.call("wait")
        beside = f"beside {many} {what} of another tenant"
        waits = [wait / claim for wait, claim in zip(seen["wait"], seen["claim"], strict=True)]
        rows += [
            Row(CASE, backend.name, f"ms that a run waits {beside}", median(seen["wait"]) * 1e3, ratio=median(waits),
                against="a claim", required=Required(at_most=10), more=seen),
            Row(CASE, backend.name, f"claims until it is claimed, {beside}", max(seen["claims"]),
                required=Required(at_most=10)),
        ]  # fmt: skip
    rates: dict[int, list[float]] = {shares: [] for shares in (0, *SHARES)}
    runs = 2 * (WARM_UP + CLAIMS) * AT_ONCE
    for round_ in range(sizes.rounds):
        for shares in rates if round_ % 2 == 0 else reversed(rates):  # a machine that grows slower favours neither
            with backend.database() as url, Child("benchmarks.cases.fairness:Tenants", url=url) as tenants:
                tenants.call("fill", tenant="large" if shares else "default", runs=max(runs, shares),
                             keys=shares if shares > 1 else 0)  # fmt: skip
                rates[shares].append(tenants.call("rate"))
    for shares in rates:
        ratio = median(one / plain for one, plain in zip(rates[shares], rates[0], strict=True)) if shares else None
        what = f"runs claimed/s, {shares:,} share{'s' * (shares > 1)}" if shares else "runs claimed/s, no shares"
        against = "no shares" if shares else ""
        rows.append(
            Row(
                CASE,
                backend.name,
                what,
                median(rates[shares]),
                ratio=ratio,
                against=against,
                more={"rates": rates[shares]},
            )
        )
    return rows
