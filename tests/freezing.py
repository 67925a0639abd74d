"""Freezing a process as SIGSTOP does, where the others can go on without it."""

import asyncio
import fcntl
import os
import signal
import time


async def freeze(pid: int, url: str) -> None:
    """Stop a process, but not inside a write to an SQLite file or next in line for one, where all would wait for it."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        if not url.startswith("sqlite") or await _others_write(url.removeprefix("sqlite:///")):
            return
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(0.003)


async def _others_write(path: str) -> bool:
    """Whether both locks become free for a moment, as those of a process that goes on do."""
    return await _becomes_free(f"{path}-seat") and await _becomes_free(f"{path}-gate")


async def _becomes_free(lock: str) -> bool:
    file, until = os.open(lock, os.O_RDONLY | os.O_CLOEXEC), time.monotonic() + 1
    try:
        while time.monotonic() < until:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(0.001)
            else:
                return True
    finally:
        os.close(file)
    return False
