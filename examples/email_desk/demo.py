"""Drives the desk: starts a run for each message, waits for them, and goes on looking for new ones."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import holdfast as hf

from .desk import Outcome, mail_desk
from .message import glance, run_id
from .report import Report, Row
from .source import Letter, NoMail, Source
from .text import one_line

SAMPLE = Path(__file__).parent / "sample"
"""Messages to begin with, if you have none at hand."""

AT_ONCE = 32
"""Messages in hand at a time: the size of the mail does not decide the use of memory."""

POLL_SECONDS = 1.0
LOOK_SECONDS = 5.0

OK, TROUBLE, USAGE, INTERRUPTED = 0, 1, 2, 130


async def run_demo(
    *, mail: Path, url: str, out: Path, exit_when_done: bool, json_output: bool, stdout: TextIO, stderr: TextIO
) -> int:
    """Take all mail at a path through the desk.

    Args:
        mail: an ``.eml`` file, a folder of them, or an mbox file.
        url: the database; a run that it knows already is not done again.
        out: folder for drafts; made if need be.
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
        out.mkdir(parents=True, exist_ok=True)
    except NoMail as error:
        print(f"email desk: {one_line(str(error))}", file=stderr)
        return USAGE
    except OSError as error:
        print(f"email desk: the folder for drafts {out} cannot be made: {error.strerror}", file=stderr)
        return TROUBLE
    with _interruptible() as stop:
        try:
            async with hf.connect(url) as client, hf.Worker(client, [mail_desk]):
                desk = _Desk(client, source, str(out), report, stop)
                await desk.empty()
                if not report.rows and exit_when_done and not stop.is_set():
                    print(f"email desk: there is no message in {one_line(str(mail))}", file=stderr)
                    return USAGE
                if not exit_when_done:
                    report.say(f"Watching {one_line(str(mail))} for new messages; Ctrl-C ends.")
                    await desk.watch()
        except hf.StoreError as error:
            again = " (nothing is lost: start it again)" if isinstance(error, hf.StoreUnavailable) else ""
            print(f"email desk: {error}{again}", file=stderr)
            return TROUBLE
        report.say(f"Drafts are in {one_line(str(out))}.")
        report.close(time.monotonic() - began)
        return INTERRUPTED if exit_when_done and stop.is_set() else OK


class _Desk:
    def __init__(self, client: hf.Client, source: Source, out: str, report: Report, stop: asyncio.Event) -> None:
        self.client = client
        self.source = source
        self.out = out
        self.report = report
        self.stop = stop

    async def empty(self) -> None:
        """Take what is new at the source to its end, at most ``AT_ONCE`` messages at a time."""
        letters = self.source.letters()
        pending: set[asyncio.Task[None]] = set()
        stopped = asyncio.ensure_future(self.stop.wait())
        try:
            while not self.stop.is_set():
                letter = await asyncio.to_thread(next, letters, None)
                if letter is None:
                    break
                pending.add(asyncio.create_task(self._take(letter)))
                if len(pending) >= AT_ONCE:
                    pending = await self._ended({*pending}, stopped)
            while pending and not self.stop.is_set():
                pending = await self._ended(pending, stopped)
        finally:
            for task in (*pending, stopped):
                task.cancel()
            await asyncio.gather(*pending, stopped, return_exceptions=True)
        while self.source.warnings:
            self.report.say(self.source.warnings.pop(0))

    async def watch(self) -> None:
        """Look for new messages each second, until stopped."""
        while not self.stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), POLL_SECONDS)
            await self.empty()

    @staticmethod
    async def _ended(pending: set[asyncio.Task[None]], stopped: asyncio.Future[Any]) -> set[asyncio.Task[None]]:
        await asyncio.wait({*pending, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            if task.done():
                task.result()
        return {task for task in pending if not task.done()}

    async def _take(self, letter: Letter) -> None:
        if letter.problem:
            self.report.add(Row(letter.name, "", "", "", "failed", letter.problem))
            return
        key = run_id(letter.raw)
        known = self.report.rows.get(letter.name)
        if known is not None and known.run_id == key:  # a mail box that grew is read from its start
            return
        message_id, subject = glance(letter.raw)
        subject = subject or message_id
        try:
            outcome = await self._run(key, letter.raw)
        except hf.StoreError:
            raise
        except Exception as error:  # one bad message must not stop the others
            self.report.add(Row(letter.name, key, subject, "", "failed", _reason(error)))
        else:
            draft = Path(outcome.draft)  # elsewhere, if an earlier start had another folder
            detail = outcome.reason or (draft.name if str(draft.parent) == self.out else str(draft))
            self.report.add(Row(letter.name, key, subject, outcome.tier, outcome.outcome, detail))

    async def _run(self, key: str, raw: bytes) -> Outcome:
        try:
            run = await self.client.start(mail_desk.options(id=key), raw, self.out)
        except hf.RunExists:  # begun with another folder for drafts: what that run did, or does, holds
            run = await self._known(key)
        while True:
            with contextlib.suppress(TimeoutError):
                return await run.result(timeout=LOOK_SECONDS)
            await self._refuse_held(key)

    async def _known(self, key: str) -> hf.RunHandle[Outcome]:
        view = await self.client.get(key)
        if view.workflow != mail_desk.name:
            raise ValueError(f"the run id {key} is taken by workflow {view.workflow}")
        return await self.client.handle(key, mail_desk)

    async def _refuse_held(self, key: str) -> None:
        """A held run waits for a person; the desk does not wait for it."""
        view = await self.client.get(key)
        if view.status == "held":
            raise ValueError(f"held until somebody releases it: holdfast runs show {key}")


def _reason(error: Exception) -> str:
    if isinstance(error, hf.RunFailed) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return one_line(str(error)) or type(error).__name__


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
