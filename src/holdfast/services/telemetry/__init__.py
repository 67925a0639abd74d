"""What holdfast shows of its work to other systems: metrics, traces, and what log records say of a run.

Nothing here imports OpenTelemetry or the Prometheus client before it is called.
"""

from holdfast.services.telemetry.fields import RunFields, run_fields
from holdfast.services.telemetry.otel import with_histograms
from holdfast.services.telemetry.prometheus import registry, serve
from holdfast.services.telemetry.queues import look_at_queues

__all__ = ["RunFields", "look_at_queues", "registry", "run_fields", "serve", "with_histograms"]
