"""What is counted for Prometheus: this server's requests, and how the database stands.

Figures of the database are read when somebody asks, and kept for some seconds; each costs the same with any number of
runs behind it. What is the tenants' own is summed, so that nobody learns of another's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import Scope

from holdfast.api.caching import Fresh
from holdfast.services import telemetry

if TYPE_CHECKING:
    from holdfast.api.server import Server

FRESH_SECONDS = 5.0
"""So old the figures of the database may be."""

STRANDED_AT_MOST = 1000

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Seen:
    """Requests of one kind: how long they took, together and by bucket."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.buckets = [0] * (len(_BUCKETS) + 1)


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._process = telemetry.registry(queues=False)  # what a worker in this process counts, too
        self._following = Gauge("holdfast_http_live_clients", "Clients that follow live", registry=self._registry)
        self._seen: dict[tuple[str, str, int], _Seen] = {}
        self._database: Fresh[str, bytes] = Fresh(FRESH_SECONDS)

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """A request was answered. Counted here rather than by the package, which takes a lock for each number."""
        route = scope.get("route")
        path = getattr(route, "path_format", None) or getattr(route, "path", None) or "-"
        key = (scope["method"] if path != "-" else "-", path, status)
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = _Seen()
        seen.seconds += seconds
        seen.buckets[bisect_left(_BUCKETS, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """The requests, as a registry asks for them."""
        requests = CounterMetricFamily(
            "holdfast_http_requests", "Requests that were answered", labels=["method", "route", "status"]
        )
        durations = HistogramMetricFamily(
            "holdfast_http_request_duration_seconds",
            "How long answering took; a live stream, until it ended",
            labels=["method", "route"],
        )
        by_route: dict[tuple[str, str], _Seen] = {}
        for (method, path, status), seen in list(self._seen.items()):
            requests.add_metric([method, path, str(status)], sum(seen.buckets))
            both = by_route.setdefault((method, path), _Seen())
            both.seconds += seen.seconds
            both.buckets = [one + other for one, other in zip(both.buckets, seen.buckets, strict=True)]
        for labels, seen in by_route.items():
            below = zip((*map(str, _BUCKETS), "+Inf"), accumulate(seen.buckets), strict=True)
            durations.add_metric(list(labels), [(bound, count) for bound, count in below], seen.seconds)
        yield requests
        yield durations

    async def text(self, server: Server) -> tuple[bytes, str]:
        """All figures as Prometheus reads them, and their media type."""
        self._following.set(server.live.followers)
        database = await self._database.get("", lambda: _read(server))
        return generate_latest(self._registry) + generate_latest(self._process) + database, CONTENT_TYPE_LATEST


class _Collected:
    """Figures that were read, as a registry asks for them."""

    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures."""
        yield from self._families


async def _read(server: Server) -> bytes:
    client = server.local_client(server.tenant)
    now = server.core.now_us() / 1e6
    ready = GaugeMetricFamily("holdfast_queue_ready", "Runs ready in a queue, up to 1,000", labels=["queue"])
    executing = GaugeMetricFamily("holdfast_queue_executing", "Runs executing from a queue", labels=["queue"])
    oldest = GaugeMetricFamily("holdfast_queue_oldest_seconds", "Age of the first in line", labels=["queue"])
    paused = GaugeMetricFamily("holdfast_queue_paused", "Whether a queue is paused", labels=["queue"])
    for queue in await client.queues():
        ready.add_metric([queue.name], queue.ready)
        executing.add_metric([queue.name], queue.executing)
        oldest.add_metric([queue.name], 0 if queue.oldest_at is None else now - queue.oldest_at.timestamp())
        paused.add_metric([queue.name], queue.paused)
    workers = GaugeMetricFamily("holdfast_workers", "Registered workers, alive and lost", labels=["state"])
    found = await client.workers()
    alive = sum(worker.alive for worker in found)
    workers.add_metric(["alive"], alive)
    workers.add_metric(["lost"], len(found) - alive)
    stranded = GaugeMetricFamily(
        "holdfast_stranded_runs", "Ready runs that no living worker serves", labels=["queue", "workflow", "version"]
    )
    for kind in await server.core.store.stranded(STRANDED_AT_MOST):
        stranded.add_metric([kind.queue, kind.workflow, kind.version], kind.runs)
    live = GaugeMetricFamily("holdfast_runs", "Runs in the live tables", labels=["state"])
    for state, runs in (await server.core.store.counts()).items():
        live.add_metric([state], runs)
    registry = CollectorRegistry()
    registry.register(_Collected([ready, executing, oldest, paused, workers, stranded, live]))
    return generate_latest(registry)
