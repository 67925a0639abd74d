"""Fixtures: spans and metrics of one test, in memory, with the real SDK; afterwards nothing is traced or counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from holdfast.engine import counting, waiting
from holdfast.services import telemetry
from holdfast.services.telemetry import prometheus
from tests.telemetry.kit import Spans


def provide(monkeypatch: pytest.MonkeyPatch, provider: trace.TracerProvider | None) -> None:
    """Make it the program's provider: the API lets it be set only once, and a test must not set it for others."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)


@pytest.fixture(autouse=True)
def nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(counting, "on", None)
    prometheus.registry.cache_clear()
    yield
    prometheus.registry.cache_clear()


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """The spans that are made in this process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provide(monkeypatch, provider)
    return Spans(exporter)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> InMemoryMetricReader:
    """What reads the metrics of this process, histograms included."""
    found = telemetry.with_histograms(InMemoryMetricReader())
    monkeypatch.setattr(
        "opentelemetry.metrics._internal._METER_PROVIDER", MeterProvider([found], shutdown_on_exit=False)
    )
    return found


@pytest.fixture
def leave_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that waits leaves memory at once."""
    monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", 0.0)
