"""`hf.sleep` and `hf.sleep_until`."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime

from holdfast.engine.context import scope
from holdfast.errors import UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.run import microseconds


def sleep(duration: Duration) -> Coroutine[None, None, None]:
    """Sleep durably: for milliseconds or months, through any number of restarts.

    Args:
        duration: seconds, a timedelta, or text such as ``"1d"``.

    Raises:
        UsageError: not a duration, or called outside a workflow.
    """
    length = seconds(duration, what="hf.sleep's duration")
    here = scope("hf.sleep")
    return here.execution.sleep(here.allocate(), length, None)


def sleep_until(at: datetime) -> Coroutine[None, None, None]:
    """Sleep durably until an instant; not at all if it is past.

    Args:
        at: aware.

    Raises:
        UsageError: not an aware instant, or called outside a workflow.
    """
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise UsageError(
            f"hf.sleep_until was given {at!r}; give an aware datetime, such as hf.now() + timedelta(days=1)"
        )
    here = scope("hf.sleep_until")
    return here.execution.sleep(here.allocate(), None, microseconds(at))
