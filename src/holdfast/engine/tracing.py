"""Spans of runs and of the attempts of their steps, where OpenTelemetry is in use.

Whether it is, is decided once, when a worker starts: the program has imported the API and set a provider. Else
nothing of this is called. A run has one trace, whichever workers execute it, since its id derives from the run:

    run NAME            from when the run was due to its end; made by the worker that ends it, under a derived id
      execute NAME      the run in one worker, with its waits as events; links to the caller or the parent
        STEP            an attempt of a step; the context of the step's own code

What a span processor raises is logged, and never a run's business.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from holdfast.engine.counting import due_us
from holdfast.model.failure import failure_view
from holdfast.model.payload import codec_of
from holdfast.model.position import format_position
from holdfast.model.run import Kind, instant
from holdfast.model.shares import queue_of
from holdfast.model.trace import TRACEPARENT, format_traceparent, parse_traceparent, run_span_id, trace_id

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution
    from holdfast.engine.waiting import Wait
    from holdfast.store.operations import ClaimedRun, Settle

log = logging.getLogger("holdfast.tracing")

SCOPE = "holdfast"
"""The name under which tracers and meters are asked for."""

carried: ContextVar[str | None] = ContextVar("holdfast_traceparent", default=None)
"""The caller's span as it came over the network, where no span is active in this process."""

_ATTRIBUTES = codec_of(dict[str, Any])
_KEY = TRACEPARENT.encode()

F = TypeVar("F", bound=Callable[..., Any])


def caller() -> str | None:
    """The span that the calling code is in, as a W3C traceparent; None where there is none."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return format_traceparent(context.trace_id, context.span_id, context.trace_flags)
    return carried.get()


def stored_caller(attributes: bytes | None) -> str | None:
    """The caller's span that is kept among a run's stored attributes."""
    if attributes is None or _KEY not in attributes:
        return None
    found = _ATTRIBUTES.decode(attributes, "attributes").get(TRACEPARENT)
    return found if isinstance(found, str) else None


def _harmless(method: F) -> F:
    @wraps(method)
    def guarded(*arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except Exception:
            log.exception("a span cannot be recorded")
            return None

    return cast("F", guarded)


class _Ids:
    """Makes the ids that it is told to, else those that the provider's own generator makes."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.forced = threading.local()

    def generate_trace_id(self) -> int:
        given: int | None = getattr(self.forced, "trace", None)
        return int(self._inner.generate_trace_id()) if given is None else given

    def generate_span_id(self) -> int:
        given: int | None = getattr(self.forced, "span", None)
        return int(self._inner.generate_span_id()) if given is None else given

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Tracing:
    """The spans of one worker."""

    def __init__(self, trace: Any, context: Any, provider: Any) -> None:
        self.trace = trace
        self.context = context
        self.tracer = provider.get_tracer(SCOPE)
        self._ids: _Ids | None = None
        generator = getattr(self.tracer, "id_generator", None)
        if isinstance(generator, _Ids):
            self._ids = generator
        elif generator is not None:
            self._ids = self.tracer.id_generator = _Ids(generator)

    @classmethod
    def find(cls) -> Tracing | None:
        """What makes spans, if this program has set a provider of tracers; None else."""
        trace: Any = sys.modules.get("opentelemetry.trace")
        if trace is None:
            return None
        provider = trace.get_tracer_provider()
        if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
            return None
        from opentelemetry import context

        return cls(trace, context, provider)

    def begin(self, execution: Execution, worker: bytes) -> RunSpans | None:
        """The spans of an execution, whose task becomes their context; None if that fails."""
        try:
            return RunSpans(self, execution, worker)
        except Exception:
            log.exception("run %s is executed without spans", execution.run.id)
            return None

    def span_of_run(self, run: ClaimedRun, attributes: dict[str, Any], offset_us: int) -> Any:
        """The span that stands for the run; only whoever ends it may end it, so that it is exported once."""
        trace, span = trace_id(run.uid), run_span_id(run.uid, run.generation)
        if self._ids is None:
            # Not the SDK's tracer, which cannot be told an id: the others hang on a span that nobody sees.
            return self.trace.NonRecordingSpan(self.link(trace, span).context)
        forced = self._ids.forced
        forced.trace, forced.span = trace, span
        try:
            return self.tracer.start_span(
                f"run {run.workflow}",
                context=self.context.Context(),
                kind=self.trace.SpanKind.CONSUMER,
                attributes=attributes,
                links=self._links(run),
                # On this machine's clock, as those below it, and never after them.
                start_time=min((due_us(run) - offset_us) * 1000, time.time_ns()),
            )
        finally:
            del forced.trace, forced.span

    def _links(self, run: ClaimedRun) -> list[Any]:
        links = []
        if run.parent_uid is not None:
            parent = trace_id(run.parent_uid), run_span_id(run.parent_uid, run.parent_generation or 1)
            links.append(self.link(*parent, attributes={"holdfast.link": "parent"}))
        found = parse_traceparent(stored_caller(run.attributes))
        if found is not None:
            links.append(self.link(*found, attributes={"holdfast.link": "caller"}))
        return links

    def link(self, trace: int, span: int, flags: int = 1, attributes: dict[str, str] | None = None) -> Any:
        """A link to a span elsewhere."""
        where = self.trace.SpanContext(trace, span, is_remote=True, trace_flags=self.trace.TraceFlags(flags))
        return self.trace.Link(where, attributes)


class RunSpans:
    """The spans of one run in one worker."""

    __slots__ = ("_ended", "_run", "_span", "_tracing")

    def __init__(self, tracing: Tracing, execution: Execution, worker: bytes) -> None:
        run = execution.run
        self._tracing = tracing
        self._ended = ""
        attributes = {
            "holdfast.run.id": run.id,
            "holdfast.run.generation": run.generation,
            "holdfast.workflow": run.workflow,
            "holdfast.workflow.version": run.version,
            "holdfast.tenant": run.tenant,
            "holdfast.queue": queue_of(run.queue),
        }
        self._run = tracing.span_of_run(run, attributes, execution.core.offset_us)
        above = tracing.trace.set_span_in_context(self._run, tracing.context.Context())
        self._span = tracing.tracer.start_span(
            f"execute {run.workflow}",
            context=above,
            attributes={**attributes, "holdfast.worker.id": worker.hex(), "holdfast.run.rescues": run.rescues},
        )
        # For good: the task is the run's own, and ends with it.
        tracing.context.attach(tracing.trace.set_span_in_context(self._span, above))

    @_harmless
    def attempt(self, name: str, position: bytes, attempt: int) -> AttemptSpan:
        """An attempt of a step begins; its span is the context of the step's code."""
        return AttemptSpan(self._tracing, name, position, attempt)

    @_harmless
    def event(self, name: str, **attributes: Any) -> None:
        """Something happened to the run here; a `_` in the name of an attribute stands for a dot."""
        given = {f"holdfast.{key.replace('_', '.')}": value for key, value in attributes.items() if value is not None}
        self._span.add_event(name, given)

    @_harmless
    def waits(self, execution: Execution, wait: Wait) -> None:
        """The run begins to wait, for an instant, an event or a child run."""
        open_call = execution.pending[wait.position][1] if wait.position in execution.pending else None
        named: dict[str, Any] = {"wait_until": None if wait.due_us is None else instant(wait.due_us).isoformat()}
        if open_call is not None:
            named["wait_for"] = open_call.kind
            named["child_id" if open_call.kind == Kind.CHILD else "wait_key"] = open_call.key or None
            named["wait_name"] = open_call.name
        if wait.entry:
            named["step_position"] = format_position(wait.position)
        self.event("wait", **named)

    @_harmless
    def settled(self, settle: Settle) -> None:
        """The run's end, or its hold, is recorded."""
        self._ended = settle.status
        if settle.status == "held":
            return
        for span in (self._run, self._span):
            span.set_attribute("holdfast.run.status", settle.status)
            if settle.status != "succeeded":
                self._fail(span, settle)
        self._run.end()

    def _fail(self, span: Any, settle: Settle) -> None:
        error = failure_view(settle.output)
        kind, message = str(error.get("type")).removeprefix("builtins."), str(error.get("message"))
        if settle.status == "failed":
            span.set_status(self._tracing.trace.StatusCode.ERROR, f"{kind}: {message}")
            span.set_attribute("error.type", kind)
        said = {"exception.type": kind, "exception.message": message}
        if error.get("traceback"):
            said["exception.stacktrace"] = str(error["traceback"])
        span.add_event("exception", said)

    @_harmless
    def continued(self) -> None:
        """The run begins again as its next generation."""
        self._ended = "continued"
        self._run.set_attribute("holdfast.run.status", "continued")
        self._run.end()

    def left(self, how: str) -> None:
        """The run leaves this worker without its end: parked, handed over, lost."""
        self._ended = self._ended or how

    @_harmless
    def end(self) -> None:
        """The run is in this worker no more."""
        self._span.set_attribute("holdfast.execution.outcome", self._ended or "left")
        if self._ended == "lost":
            self._span.set_status(self._tracing.trace.StatusCode.ERROR, "another worker took the run over")
        self._span.end()


class AttemptSpan:
    """An attempt of a step."""

    __slots__ = ("_span", "_token", "_tracing")

    def __init__(self, tracing: Tracing, name: str, position: bytes, attempt: int) -> None:
        self._tracing = tracing
        self._span = tracing.tracer.start_span(
            name,
            attributes={
                "holdfast.step": name,
                "holdfast.step.position": format_position(position),
                "holdfast.step.attempt": attempt,
            },
            record_exception=False,
        )
        self._token = tracing.context.attach(tracing.trace.set_span_in_context(self._span))

    @_harmless
    def end(self, error: BaseException | None, cut_off: bool = False) -> None:
        """The attempt ended: well, with an error, or cut off, which is nobody's fault."""
        self._tracing.context.detach(self._token)
        span = self._span
        if error is None or cut_off:
            span.set_attribute("holdfast.step.outcome", "cut off" if cut_off else "ok")
        else:
            span.set_attribute("holdfast.step.outcome", "error")
            kind = type(error)
            known = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
            span.set_attribute("error.type", known)
            span.record_exception(error)
            span.set_status(self._tracing.trace.StatusCode.ERROR, f"{known}: {error}")
        span.end(time.time_ns())
