"""Keeps the process of `holdfast dev` going: when a file changes it is ended in order and begun again.

The listening socket stays here, so that requests that come meanwhile wait for the next process.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli.changes import Changes
from holdfast.cli.output import OK
from holdfast.cli.settings import FILE, SETTINGS

if TYPE_CHECKING:
    from holdfast.cli.command import Context

log = logging.getLogger("holdfast.cli")

PATIENCE_SECONDS = 30.0
"""After so long a process that was told to end is killed."""

PAUSE_SECONDS = 0.5
"""Before a process that was killed is begun again."""


def keep_going(context: Context, places: Sequence[str], url: str, listener: socket.socket) -> int:
    """Run the process until SIGTERM or Ctrl-C, and anew after each change; 0 at the end."""
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    heard, told = os.pipe()
    given = ("--listening", str(listener.fileno()), "--telling", str(told))
    command = [sys.executable, "-P", "-m", "holdfast.cli", "dev", *given, *places]
    keeper = _Keeper(command, _environment(context, url), (listener.fileno(), told))
    # What a module prints is for people: with --json it goes where people look.
    stdout = sys.stderr if context.output.as_json else None
    return asyncio.run(keeper.run(stdout, _folders(places), _settings_file(context), heard))


def _environment(context: Context, url: str) -> dict[str, str]:
    """The flags as variables: what the file says is read anew each time."""
    flags = {setting.variable: context.flags.get(setting.key) for setting in SETTINGS}
    given = {name: str(value) for name, value in flags.items() if value is not None}
    named = {} if context.file is None else {"HOLDFAST_CONFIG": context.file}
    return {**os.environ, **given, **named, "HOLDFAST_URL": url}


def _settings_file(context: Context) -> Path:
    return (context.settings().file or Path(FILE)).absolute()


def _folders(places: Sequence[str]) -> list[Path]:
    """Where to look for changes: the current folder, and where the modules are if that is elsewhere."""
    here = Path.cwd()
    folders = [here]
    for place in places:
        top = place.partition(":")[0].partition(".")[0]
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            continue
        if spec is None or spec.origin is None or "site-packages" in spec.origin:
            continue
        folder = Path(spec.origin).absolute().parent
        if folder.is_dir() and not any(folder.is_relative_to(known) for known in folders):
            folders.append(folder)
    return folders


class _Keeper:
    def __init__(self, command: list[str], environment: dict[str, str], fds: tuple[int, ...]) -> None:
        self._command = command
        self._environment = environment
        self._fds = fds
        self._stop = asyncio.Event()

    async def run(self, stdout: object, folders: Sequence[Path], settings_file: Path, heard: int) -> int:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self._stop.set)
        changes = Changes(folders, settings_file, heard)
        changed = asyncio.create_task(changes.next())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            while not self._stop.is_set():
                process = await self._begin(stdout)
                ended = asyncio.create_task(process.wait())
                await asyncio.wait((changed, stopped, ended), return_when=asyncio.FIRST_COMPLETED)
                if not ended.done():
                    if changed.done():
                        log.info("%s: the process begins again", changed.result())
                    await self._end(process, ended)
                elif ended.result() < 0:
                    log.warning("the process died with %s and begins again", _named(ended.result()))
                    await asyncio.wait((changed, stopped), timeout=PAUSE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                elif not self._stop.is_set() and not changed.done():
                    log.warning("the process has ended; it begins again when a file changes")
                    await asyncio.wait((changed, stopped), return_when=asyncio.FIRST_COMPLETED)
                if changed.done():
                    changed = asyncio.create_task(changes.next())
        finally:
            for task in (changed, stopped):
                task.cancel()
            await asyncio.gather(changed, stopped, changes.close(), return_exceptions=True)
            for number in numbers:
                loop.remove_signal_handler(number)
        return OK

    async def _begin(self, stdout: object) -> asyncio.subprocess.Process:
        # A session of its own: Ctrl-C in a terminal reaches it once, through us. Its stdin ends when we do.
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=stdout,  # type: ignore[arg-type]
            env=self._environment,
            pass_fds=self._fds,
            start_new_session=True,
        )

    async def _end(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        process.terminate()
        done, _ = await asyncio.wait((ended,), timeout=PATIENCE_SECONDS)
        if not done:
            log.warning("the process does not end and is killed")
            process.kill()
            await ended


def _named(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
