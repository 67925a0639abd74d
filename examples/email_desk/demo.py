"""Runs the desk on mail at a path: one process with the CRM, the worker, the outbox and a folder for what is sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import holdfast as hf

from .crm import Crm
from .desk import mail_desk
from .report import Report
from .settings import settings
from .source import NoMail, Source
from .specialists import CHANNEL
from .taking import Taker
from .text import one_line

SAMPLE = Path(__file__).parent / "sample"
"""Messages to begin with, if you have none at hand."""

WORK = "work"
"""The folder among the drafts for what the desk keeps: conversations, artifacts, the file of channels."""

LEASE, BEAT = "3s", "0.5s"
"""Short: if the process was killed, the next one takes its runs over so soon."""

OK, TROUBLE, USAGE, INTERRUPTED = 0, 1, 2, 130


async def run_demo(
    *, mail: Path, url: str, out: Path, exit_when_done: bool, json_output: bool, stdout: TextIO, stderr: TextIO
) -> int:
    """Take all mail at a path through the desk.

    Args:
        mail: an ``.eml`` file, a folder of them, or an mbox file.
        url: the database; a run that it knows already is not done again.
        out: folder for drafts, made if need be: what the desk sends is a file there.
        exit_when_done: end when all messages have ended, rather than wait for new ones until interrupted.
        json_output: end with one line of JSON on ``stdout``; the rest goes to ``stderr``.

    Returns:
        The exit code: 0 (messages that failed are no failure of the desk), 1 the database or the folder for drafts
        cannot be used, 2 there is no mail at the path, 130 interrupted before the end.
    """
    began = time.monotonic()
    report = Report(as_json=json_output, stdout=stdout, stderr=stderr)
    out = out.expanduser().absolute()
    try:
        source = Source(mail.expanduser(), out)
        channels = _prepared(out)
    except NoMail as error:
        print(f"email desk: {one_line(str(error))}", file=stderr)
        return USAGE
    except OSError as error:
        print(f"email desk: the folder for drafts {out} cannot be made: {error.strerror}", file=stderr)
        return TROUBLE
    settings.folder = out / WORK
    with _interruptible() as stop, Crm() as crm:
        settings.crm = crm.url
        try:
            async with hf.connect(url) as client:
                await send_by_itself(client)
                workflows = [mail_desk, *(settings.phases.workflows if settings.phases else ())]
                async with hf.Worker(client, workflows, channels=channels, lease=LEASE, beat=BEAT):
                    taker = Taker(client, source, out, report, stop)
                    await taker.empty()
                    if not report.rows and exit_when_done and not stop.is_set():
                        print(f"email desk: there is no message in {one_line(str(mail))}", file=stderr)
                        return USAGE
                    if not exit_when_done:
                        report.say(f"Watching {one_line(str(mail))} for new messages; Ctrl-C ends.")
                        await taker.watch()
        except hf.StoreError as error:
            again = " (nothing is lost: start it again)" if isinstance(error, hf.StoreUnavailable) else ""
            print(f"email desk: {error}{again}", file=stderr)
            return TROUBLE
        report.say(f"Drafts are in {one_line(str(out))}.")
        report.close(time.monotonic() - began)
        return INTERRUPTED if exit_when_done and stop.is_set() else OK


def _prepared(out: Path) -> Path:
    """Make the folder for drafts, and the file of channels by which what is sent becomes a file in it."""
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    channels = work / "channels.toml"
    channels.write_text(f'[channels.{CHANNEL}]\ntype = "file"\nfolder = {json.dumps(str(out))}\n', encoding="utf-8")
    return channels


async def send_by_itself(client: hf.Client) -> None:
    """Answers go out without a person, unless somebody has chosen otherwise: here they are only files."""
    if all(setting.workflow != mail_desk.name for setting in await client.publish_settings()):
        await client.set_publish_mode("auto", workflow=mail_desk.name)


@contextlib.contextmanager
def _interruptible() -> Iterator[asyncio.Event]:
    """An event that the first Ctrl-C, or a request to terminate, sets; a second one ends the process as usual."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    caught: list[signal.Signals] = []

    def interrupt() -> None:
        stop.set()
        release()

    def release() -> None:
        while caught:
            loop.remove_signal_handler(caught.pop())

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, interrupt)
        except (NotImplementedError, RuntimeError, ValueError):  # not in the main thread: the caller handles signals
            break
        caught.append(number)
    try:
        yield stop
    finally:
        release()
