"""Metrics for OpenTelemetry, from what this process counted.

Counters and gauges are observable instruments of the program's own provider of meters. Histograms are counted in
steps of two by the engine, since an instrument of the SDK costs a tenth of a step for each value; so there is no
instrument for them, and they are added to what a reader receives.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.engine import counting
from holdfast.engine.counting import Counts, Family, Histogram
from holdfast.engine.tracing import SCOPE

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData, ScopeMetrics

    Reader = TypeVar("Reader", bound=MetricReader)

_observed: list[Any] = []
"""The providers that have the instruments already."""


def observe() -> None:
    """Give the program's provider of meters the counters and gauges, if it has set one; once for each provider."""
    metrics: Any = sys.modules.get("opentelemetry.metrics")
    if metrics is None:
        return
    provider = metrics.get_meter_provider()
    # The API's own providers do nothing, or stand for one that is not set yet.
    if type(provider).__module__.startswith("opentelemetry.metrics") or any(one is provider for one in _observed):
        return
    _observed.append(provider)
    instrument(provider, counting.begin())


def instrument(provider: Any, counts: Counts) -> None:
    """Make the counters and gauges of a provider of meters."""
    from opentelemetry.metrics import CallbackOptions, Observation

    def callback(name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observed(_: CallbackOptions) -> Iterable[Observation]:
            for family in counts.families():
                if family.name == name:
                    return [Observation(value, _attributes(family, labels)) for labels, value in _plain(family)]
            return []

        return observed

    meter = provider.get_meter(SCOPE)
    for family in counts.families():
        if family.kind != "histogram":
            make = meter.create_observable_gauge if family.kind == "gauge" else meter.create_observable_counter
            make(family.name, callbacks=[callback(family.name)], unit=family.unit, description=family.help)


def _plain(family: Family) -> list[tuple[tuple[str, ...], float]]:
    return [(labels, value) for labels, value in family.points if not isinstance(value, Histogram)]


def _attributes(family: Family, labels: tuple[str, ...]) -> dict[str, str]:
    return {f"holdfast.{label}": value for label, value in zip(family.labels, labels, strict=True)}


def with_histograms(reader: Reader) -> Reader:
    """Let a reader receive holdfast's histograms too, beside what the instruments of its provider give.

    Counting begins with this call: make it before the worker starts.

    Args:
        reader: any reader of the SDK, before or after it is given to a provider of meters.

    Returns:
        The same reader.
    """
    added = _Added(counting.begin(), reader)
    receive: Callable[..., None] = reader._receive_metrics

    def receive_all(metrics_data: MetricsData, *arguments: Any, **named: Any) -> None:
        receive(added.to(metrics_data), *arguments, **named)

    reader._receive_metrics = receive_all  # type: ignore[method-assign]  # what a subclass would override
    return reader


class _Added:
    def __init__(self, counts: Counts, reader: MetricReader) -> None:
        from opentelemetry.sdk.metrics import Histogram as Instrument
        from opentelemetry.sdk.metrics.export import AggregationTemporality

        self._counts = counts
        self._began = time.time_ns()
        preferred = getattr(reader, "_preferred_temporality", None) or {}
        self._delta = preferred.get(Instrument) == AggregationTemporality.DELTA
        self._last: dict[tuple[str, tuple[str, ...]], Histogram] = {}

    def to(self, data: MetricsData) -> MetricsData:
        from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics

        [first, *rest] = data.resource_metrics
        scopes = [*first.scope_metrics, self._scope()]
        return MetricsData([ResourceMetrics(first.resource, scopes, first.schema_url), *rest])

    def _scope(self) -> ScopeMetrics:
        from opentelemetry.sdk.metrics import export
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        from holdfast import __version__

        now, began = time.time_ns(), self._began
        kind = export.AggregationTemporality
        temporality = kind.DELTA if self._delta else kind.CUMULATIVE
        metrics = []
        for family in self._counts.families():
            points = []
            for labels, value in family.points if family.kind == "histogram" else ():
                assert isinstance(value, Histogram)
                shown = self._since_last(family.name, labels, value)
                if not shown.total:
                    continue
                points.append(
                    export.HistogramDataPoint(
                        attributes=_attributes(family, labels), start_time_unix_nano=began, time_unix_nano=now,
                        count=shown.total, sum=shown.sum, bucket_counts=shown.counts, explicit_bounds=shown.bounds,
                        min=None, max=None,  # type: ignore[arg-type]  # not known, and optional in the protocol
                    )
                )  # fmt: skip
            if points:
                histogram = export.Histogram(data_points=points, aggregation_temporality=temporality)
                metrics.append(export.Metric(family.name, family.help, family.unit, histogram))
        if self._delta:
            self._began = now
        return export.ScopeMetrics(InstrumentationScope(SCOPE, __version__), metrics, "")

    def _since_last(self, name: str, labels: tuple[str, ...], value: Histogram) -> Histogram:
        if not self._delta:
            return value
        last = self._last.get((name, labels))
        self._last[name, labels] = value
        if last is None:
            return value
        counts = [now - then for now, then in zip(value.counts, last.counts, strict=True)]
        return Histogram(value.bounds, counts, value.sum - last.sum)
