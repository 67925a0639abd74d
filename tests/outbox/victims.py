"""Processes that send messages, to be killed at any moment: ``python -m tests.outbox.victims URL FILE``.

It loads all that takes long, forks a worker for each line on stdin and tells its process id; when stdin ends, so do
they all.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Any

import holdfast as hf
from holdfast.services.outbox.channel_files import read_channels
from holdfast.services.outbox.channels import make_channel
from tests.outbox.kit import nothing

LEASE: dict[str, Any] = {"lease": 1.0, "beat": 0.2}


async def work(url: str, file: str) -> None:
    await hf.Worker(url, [nothing], channels=file, drain=0, **LEASE).run()


def main() -> None:
    url, file = sys.argv[1:]
    for terms in read_channels(file).values():
        make_channel(terms)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    children: list[int] = []
    while os.read(0, 1):
        child = os.fork()
        if child == 0:
            os.close(0)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asyncio.run(work(url, file))
            os._exit(1)
        children.append(child)
        print(child, flush=True)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
