"""What commands that execute runs or serve show of themselves: exports, an address for Prometheus, structlog."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from holdfast.cli import logs
from holdfast.engine import isolation
from holdfast.errors import UsageError

log = logging.getLogger("holdfast.cli")


@contextmanager
def watched(metrics: str | None = None) -> Iterator[None]:
    """Export as the OTEL_* variables say, and let Prometheus scrape this process.

    Args:
        metrics: where Prometheus finds it, ``HOST:PORT``; nowhere unless given.

    Raises:
        UsageError: the address cannot be listened at, or what the variables name is not known or not installed.
    """
    from holdfast.services.telemetry.export import export
    from holdfast.services.telemetry.prometheus import serve

    logs.bridge()
    with ExitStack() as stack:
        if metrics is not None:
            try:
                stack.callback(serve(metrics))
            except OSError as error:
                raise UsageError(f"cannot listen at {metrics} for metrics: {error.strerror or error}") from None
            log.info("metrics are at %s", metrics)
        stack.callback(export())
        isolation.setup = (f"{__name__}:{in_child.__name__}", logging.getLevelName(logging.getLogger().level).lower())
        yield


def in_child(level: str) -> Callable[[], None]:
    """The same for a process that executes a run alone: it logs and exports as its worker does.

    Returns:
        What ends it.
    """
    from holdfast.services.telemetry.export import export

    logs.configure(level)
    return export()
