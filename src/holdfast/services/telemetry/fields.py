"""What a log record says of the run that it was made in, and of the active span."""

from __future__ import annotations

import logging
import sys
from typing import Any

from holdfast.engine.context import StepFrame, place


def run_fields() -> dict[str, Any]:
    """The run, and in a step the attempt, that the calling code belongs to, and the span that is active in it.

    Returns:
        Of ``run``, ``workflow``, ``tenant``, ``step``, ``attempt``, ``trace_id`` and ``span_id`` those that there are;
        the last two in hexadecimal.
    """
    fields: dict[str, Any] = {}
    here = place.get()
    if here is not None:
        run = here.execution.run
        fields.update(run=run.id, workflow=run.workflow, tenant=run.tenant)
        if isinstance(here, StepFrame):
            fields.update(step=here.name, attempt=here.attempt)
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            fields.update(trace_id=f"{context.trace_id:032x}", span_id=f"{context.span_id:016x}")
    return fields


class RunFields(logging.Filter):
    """Puts `run_fields` into each record, as attributes: add it to a handler.

    Records made outside a run get the text ``-``, so that a format may name them always.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record pass, with the fields."""
        known = {"run": "-", "workflow": "-", "tenant": "-", "step": "-", "attempt": "-", "trace_id": "-"}
        for name, value in {**known, "span_id": "-", **run_fields()}.items():
            if value != "-" or not hasattr(record, name):
                setattr(record, name, value)
        return True
