"""Large lists are worked on in a thread, small ones at once: going to a thread costs more than a few values do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NoReturn

from holdfast.errors import UsageError

IN_THREAD_BYTES = 4 * 1024 * 1024
"""From so many bytes on a list is worked on in a thread: that takes some ten milliseconds. Smaller lists, as the
batches of a busy worker, are done sooner without: the thread and the event loop would wait for each other."""


async def work(
    do: Callable[[Sequence[bytes]], list[bytes]], payloads: Sequence[bytes], *, slow: int = 1
) -> list[bytes]:
    """What a function gives for a list; the event loop is not held up for long meanwhile.

    Args:
        do: the function.
        payloads: the list.
        slow: so many times as long as usual it takes.
    """
    if sum(map(len, payloads)) * slow < IN_THREAD_BYTES:
        return do(payloads)
    return await asyncio.to_thread(do, payloads)


def needs_extra(error: ModuleNotFoundError) -> NoReturn:
    """Say which extra brings what is not installed.

    Raises:
        UsageError: always.
    """
    raise UsageError(f'{error.name} is not installed; codecs need it: pip install "holdfast[codec]"') from None
