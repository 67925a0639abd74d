"""What the tests of traces and metrics share: workflows, and a way to ask about spans and numbers."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import ExitStack
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import holdfast as hf

log = logging.getLogger("tests.telemetry")


class Spans:
    """Finished spans, in order of their beginning."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def all(self) -> list[ReadableSpan]:
        """Every one."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of a name."""
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only one of a name."""
        [span] = self.named(name)
        return span

    async def arrived(self, name: str, times: int = 1) -> list[ReadableSpan]:
        """Those of a name, once there are so many."""
        async with asyncio.timeout(10):
            while len(self.named(name)) < times:
                await asyncio.sleep(0.005)
        return self.named(name)


def tree(spans: list[ReadableSpan]) -> dict[str, Any]:
    """Names of spans as they hang on each other: {name: {name: …}}; `name #2` for the second of a name."""
    known = {span.context.span_id for span in spans}
    found: dict[str, Any] = {}

    def below(parent: int | None) -> dict[str, Any]:
        branch: dict[str, Any] = {}
        for span in spans:
            above = span.parent.span_id if span.parent is not None and span.parent.span_id in known else None
            if above == parent:
                number = sum(name.partition(" #")[0] == span.name for name in branch) + 1
                branch[span.name if number == 1 else f"{span.name} #{number}"] = below(span.context.span_id)
        return branch

    found.update(below(None))
    return found


def said(span: ReadableSpan, name: str) -> Any:
    """An attribute of a span, by its name without `holdfast.`."""
    return (span.attributes or {}).get(f"holdfast.{name}")


def links(span: ReadableSpan) -> list[tuple[str, int, int]]:
    """What a span links to: (what it is, trace, span)."""
    return [
        ((link.attributes or {}).get("holdfast.link"), link.context.trace_id, link.context.span_id)
        for link in span.links
    ]  # type: ignore[misc]


def own_span(name: str) -> Any:
    """A span as a user, or an instrumented library, makes it."""
    return trace.get_tracer("user").start_as_current_span(name)


QUICK = hf.Retry(max_attempts=3, initial=0.001, jitter=0.0)


@hf.step(retry=QUICK)
async def charge(fail: int) -> str:
    with own_span("POST"):
        log.info("charging")
    if hf.current().attempt <= fail:
        raise ValueError("the card was declined")
    return "receipt"


@hf.step
def pack(number: int) -> int:
    with own_span("in thread"):
        return number


@hf.workflow
async def order(fail: int = 0) -> list[int]:
    await charge(fail)
    return list(await hf.gather(pack(1), pack(2)))


@hf.workflow
async def item(number: int) -> int:
    return await pack(number)


@hf.workflow
async def shop(items: int) -> list[int]:
    await item(0)
    return await hf.map(item, range(items))


@hf.workflow
async def parcel(key: str) -> str:
    await charge(0)
    reply = await hf.wait_for_event("shipped", key=key, timeout="1h", type=str)
    await pack(1)
    return reply


def free_port(ports: int = 1) -> int:
    """A port of this machine that is free now, with those after it."""
    while True:
        with ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for number in range(1, ports):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + number))
            except OSError:
                continue
            return port
