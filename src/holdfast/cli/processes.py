"""Keeps several worker processes going, and stops them together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from holdfast.cli.output import FAILED, OK, USAGE
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.cli.output import Output
    from holdfast.cli.settings import Settings

log = logging.getLogger("holdfast.cli")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
SETTLED_SECONDS = 60.0
"""A process that lived so long is started again without much of a pause."""


def supervise(places: list[str], settings: Settings, url: str, report: dict[str, Any], output: Output) -> int:
    """Run worker processes until SIGTERM or SIGINT, which is passed on to them.

    A process that dies is started again, after a pause that doubles from half a second to half a minute. One that
    ends with 0 was drained, and is not. One that ends with a usage error would do so again: then all are stopped.

    Returns:
        0 when each ended with 0 after it was asked to; 2 after a usage error; else 1.
    """
    metrics: str | None = settings["worker.metrics"]
    if metrics is not None:
        of_process(metrics, settings["worker.processes"])
    command = [sys.executable, "-P", "-m", "holdfast.cli", "worker", "--supervised", *places]
    return asyncio.run(
        _Supervisor(command, _environment(settings, url), metrics).run(settings["worker.processes"], report, output)
    )


def _environment(settings: Settings, url: str) -> dict[str, str]:
    """The settings as variables: they beat the file, and an address in them is not seen by ``ps``."""
    from holdfast.cli.settings import as_variables

    # A secret that is in a variable stays there: only where it is goes by its setting's own variable.
    known = {name: text for name, text in as_variables(settings).items() if text != f"env:{name}"}
    return {**os.environ, **known, "HOLDFAST_URL": url, "HOLDFAST_WORKER_PROCESSES": "1"}


class _Supervisor:
    def __init__(self, command: list[str], environment: dict[str, str], metrics: str | None) -> None:
        self._command = command
        self._metrics = metrics
        self._environment = environment
        self._stopping = asyncio.Event()
        self._alive: dict[int, asyncio.subprocess.Process] = {}
        self._codes: list[int] = []

    async def run(self, count: int, report: dict[str, Any], output: Output) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        try:
            if output.as_json:
                output.json(report)
            await asyncio.gather(*(self._keep(slot) for slot in range(1, count + 1)))
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        if USAGE in self._codes:
            return USAGE
        return OK if not any(self._codes) else FAILED

    def _stop(self, number: int = signal.SIGTERM) -> None:
        """Pass the signal on; a second one ends the processes at once."""
        self._stopping.set()
        for process in self._alive.values():
            if process.returncode is None:
                process.send_signal(number)

    def _of(self, slot: int) -> dict[str, str]:
        if self._metrics is None:
            return self._environment
        return self._environment | {"HOLDFAST_WORKER_METRICS": of_process(self._metrics, slot)}

    async def _keep(self, slot: int) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            # A session of its own: Ctrl-C in a terminal reaches it once, through us.
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, env=self._of(slot), start_new_session=True
            )
            self._alive[slot] = process
            if self._stopping.is_set():
                process.terminate()
            code = await process.wait()
            del self._alive[slot]
            if self._stopping.is_set():
                self._codes.append(code)
                if code:
                    log.warning("worker process %d (pid %d) ended with %s", slot, process.pid, _named(code))
                return
            if code == USAGE:
                log.error("worker process %d (pid %d) cannot work with these arguments", slot, process.pid)
                self._codes.append(code)
                self._stop()
                return
            if code == OK:
                log.info("worker process %d (pid %d) was drained", slot, process.pid)
                self._codes.append(code)
                return
            if time.monotonic() - began >= SETTLED_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            log.warning(
                "worker process %d (pid %d) died with %s; another is started in %g s",
                slot,
                process.pid,
                _named(code),
                pause,
            )
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                pass
            pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)


def of_process(address: str, slot: int) -> str:
    """The address at which the process of a slot, from 1, shows its metrics: each has a port of its own.

    Raises:
        UsageError: it is no address, or there are not so many ports above it.
    """
    from holdfast.services.telemetry.prometheus import parse_address

    host, port = parse_address(address)
    if port == 0 or port + slot - 1 > 65535:
        raise UsageError(f"metrics at {address!r}: {slot} processes take as many ports, the first of them from 1 on")
    return f"[{host}]:{port + slot - 1}" if ":" in host else f"{host}:{port + slot - 1}"


def _named(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
