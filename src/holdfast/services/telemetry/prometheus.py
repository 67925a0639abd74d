"""Metrics for Prometheus: what this process counted, as a registry, and as an address to scrape."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from holdfast.engine import counting
from holdfast.engine.counting import Family, Histogram
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

MISSING = "metrics for Prometheus need the package prometheus-client: pip install 'holdfast[server]'"


@functools.cache
def registry(*, queues: bool = True) -> CollectorRegistry:
    """Everything that this process counts, from the first call on; the same registry at each call.

    Steps of runs that execute at the first call are counted from their next execution on: call it before the worker
    starts.

    Args:
        queues: with how many runs are ready in each queue, which `look_at_queues` keeps up to date.

    Raises:
        UsageError: the package prometheus-client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry, ProcessCollector
    except ImportError as error:
        raise UsageError(MISSING) from error
    found = CollectorRegistry()
    found.register(_Collector(counting.begin(), queues))
    ProcessCollector(registry=found)
    return found


class _Collector:
    def __init__(self, counts: counting.Counts, queues: bool) -> None:
        self._counts = counts
        self._queues = queues

    def collect(self) -> Iterable[Metric]:
        for family in self._counts.families(queues=self._queues):
            yield _metric(family)

    def describe(self) -> Iterable[Metric]:
        return ()


def _metric(family: Family) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    name = family.name.replace(".", "_") + ("_seconds" if family.unit == "s" else "")
    if family.kind == "histogram":
        histograms = HistogramMetricFamily(name, family.help, labels=family.labels)
        for labels, value in family.points:
            assert isinstance(value, Histogram)
            histograms.add_metric(labels, _buckets(value), value.sum)
        return histograms
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(name, family.help, labels=family.labels)
    for labels, value in family.points:
        assert not isinstance(value, Histogram)
        metric.add_metric(labels, value)
    return metric


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """As Prometheus counts: each bucket with all below it."""
    found: list[tuple[str, float]] = []
    below = 0
    for bound, count in zip([*histogram.bounds, float("inf")], histogram.counts, strict=True):
        below += count
        found.append(("+Inf" if bound == float("inf") else repr(bound), below))
    return found


def serve(address: str) -> Callable[[], None]:
    """Let Prometheus scrape this process.

    Args:
        address: ``HOST:PORT``, or ``:PORT`` or ``PORT`` for 127.0.0.1; an IPv6 address in brackets.

    Returns:
        What ends it.

    Raises:
        UsageError: it is no such address, or prometheus-client is not installed.
        OSError: the address cannot be listened on.
    """
    host, port = parse_address(address)
    found = registry()
    from prometheus_client import start_http_server

    server, thread = start_http_server(port, addr=host, registry=found)

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close


def parse_address(address: str) -> tuple[str, int]:
    """The host and the port of an address as `serve` takes it.

    Raises:
        UsageError: it is none.
    """
    host, _, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = "["  # refused below
    if not (port.isascii() and port.isdigit()) or int(port) > 65535 or any(sign in host for sign in "[] /\0"):
        raise UsageError(f"the address for metrics is {address!r}; give HOST:PORT, such as 127.0.0.1:9464")
    return host or "127.0.0.1", int(port)
