"""Export of traces and metrics as the standard OTEL_* variables say.

Without one of them that names an exporter or where to send to, nothing is exported. A provider that the program, or
an agent that started it, has set already is left as it is.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.errors import UsageError
from holdfast.services.telemetry.otel import with_histograms

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

log = logging.getLogger("holdfast.telemetry")

FLUSH_SECONDS = 5.0
"""How long the end of the process waits for what is still to be sent."""

SIGNALS = ("traces", "metrics")
PROTOCOLS = {"http/protobuf": "http", "grpc": "grpc"}
_CLASSES = {"traces": ("trace_exporter", "OTLPSpanExporter"), "metrics": ("metric_exporter", "OTLPMetricExporter")}


def wanted() -> dict[str, list[str]]:
    """For traces and metrics the exporters that the environment names: otlp or console.

    Raises:
        UsageError: it names one that is not known.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return {}
    found = {}
    for signal in SIGNALS:
        variable = f"OTEL_{signal.upper()}_EXPORTER"
        endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        default = "otlp" if any(os.environ.get(name) for name in endpoints) else "none"
        names = [name.strip() for name in (os.environ.get(variable) or default).split(",")]
        for name in names:
            if name not in ("otlp", "console", "none"):
                hint = "; for Prometheus start the worker with --metrics" if name == "prometheus" else ""
                raise UsageError(f"{variable} is {name!r}; it is otlp, console or none{hint}")
        if names := [name for name in names if name != "none"]:
            found[signal] = names
    return found


def export() -> Callable[[], None]:
    """Begin to export what the environment names; before the worker starts.

    Returns:
        What sends the rest, for a few seconds at most, and ends it.

    Raises:
        UsageError: the environment names an exporter or a protocol that is not known.
    """
    asked = wanted()
    if not asked:
        return lambda: None
    try:
        from opentelemetry.sdk.resources import Resource
    except ImportError:
        log.warning("nothing is exported, since OpenTelemetry is not installed: pip install 'holdfast[otel]'")
        return lambda: None
    resource = _resource(Resource)
    providers = []
    if "traces" in asked:
        providers.append(_traces(asked["traces"], resource))
    if "metrics" in asked:
        providers.append(_metrics(asked["metrics"], resource))
    return lambda: _close([one for one in providers if one is not None])


def _resource(kind: type[Resource]) -> Resource:
    known = kind.create({}).attributes
    own: dict[str, str] = {}
    if str(known.get("service.name", "unknown_service")).startswith("unknown_service"):
        own["service.name"] = "holdfast"
    if "service.instance.id" not in known:
        own["service.instance.id"] = str(uuid.uuid4())
    return kind.create(own)


def _traces(exporters: list[str], resource: Resource) -> Any:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in exporters:
        if name == "console":
            provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr)))
        else:
            provider.add_span_processor(BatchSpanProcessor(_otlp("traces")))
    trace.set_tracer_provider(provider)
    return provider


def _metrics(exporters: list[str], resource: Resource) -> Any:
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader

    if not type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.metrics"):
        return None
    readers = [
        with_histograms(
            PeriodicExportingMetricReader(
                ConsoleMetricExporter(out=sys.stderr) if name == "console" else _otlp("metrics")
            )
        )
        for name in exporters
    ]
    provider = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    return provider


def _otlp(signal: str) -> Any:
    variables = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    variable, protocol = next(
        ((name, os.environ[name]) for name in variables if os.environ.get(name)), (variables[1], "http/protobuf")
    )
    if protocol not in PROTOCOLS:
        raise UsageError(f"{variable} is {protocol!r}; it is one of {', '.join(PROTOCOLS)}")
    module, name = _CLASSES[signal]
    try:
        found = importlib.import_module(f"opentelemetry.exporter.otlp.proto.{PROTOCOLS[protocol]}.{module}")
    except ImportError as error:
        package = f"opentelemetry-exporter-otlp-proto-{PROTOCOLS[protocol]}"
        raise UsageError(
            f"{variable} {protocol} needs a package that is not installed: pip install {package}"
        ) from error
    return getattr(found, name)()


def _close(providers: list[Any]) -> None:
    """Send what is left: beside, since a collector that does not answer would hold the process for long."""

    def shut_down() -> None:
        for provider in providers:
            try:
                provider.shutdown()
            except Exception as error:
                log.warning("the last traces or metrics were not sent: %s", error)

    thread = threading.Thread(target=shut_down, name="holdfast-export", daemon=True)
    thread.start()
    thread.join(FLUSH_SECONDS)
