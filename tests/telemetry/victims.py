"""A worker process that writes its spans to a file, to be killed: arguments are the database and the file."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import holdfast as hf


@hf.step
async def first() -> int:
    return os.getpid()


@hf.step
def second() -> int:
    if os.environ.get("VICTIM"):
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


@hf.workflow
async def journey() -> list[int]:
    return [await first(), await second()]


def main() -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    url, file = sys.argv[1:]
    provider = TracerProvider()
    out = open(file, "a")  # noqa: SIM115 - until the process is killed
    exporter = ConsoleSpanExporter(out=out, formatter=lambda span: span.to_json(indent=None) + "\n")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    asyncio.run(hf.Worker(url, [journey], lease=0.9, beat=0.3).run())


if __name__ == "__main__":
    main()
