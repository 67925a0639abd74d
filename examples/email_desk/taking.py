"""Takes what is new at a source through the desk: a run for each message, and what became of its answer."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import holdfast as hf

from .desk import mail_desk
from .message import glance, run_id
from .report import Report, Row
from .source import Letter, Source
from .text import one_line
from .values import Outcome

AT_ONCE = 32
"""Messages in hand at a time: the size of the mail does not decide the use of memory."""

POLL_SECONDS = 1.0
LOOK_SECONDS = 5.0
FATE_SECONDS = 0.05

SOURCE = "mail"
"""What the runs of a message, and its answer, are called after."""


class Taker:
    """Takes mail from a source until it is stopped.

    Args:
        out: where what is sent becomes a file.
        report: is told of each message that has ended.
    """

    def __init__(self, client: hf.Client, source: Source, out: Path, report: Report, stop: asyncio.Event) -> None:
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
            outcome = await self._run(key, letter, message_id)
            row = await self._fate(Row(letter.name, key, subject, outcome.tier, "withheld", outcome.reason), outcome)
        except hf.StoreError:
            raise
        except Exception as error:  # one bad message must not stop the others
            row = Row(letter.name, key, subject, "", "failed", _reason(error))
        self.report.add(row)

    async def _run(self, key: str, letter: Letter, message_id: str) -> Outcome:
        mail = hf.Incoming(
            SOURCE, message_id, key.removeprefix(f"{SOURCE}-"), letter.name, datetime.now(UTC), "message/rfc822",
            raw=letter.raw,
        )  # fmt: skip
        try:
            run = await self.client.start(mail_desk.options(id=key), mail)
        except hf.RunExists:  # it was taken before: what that run did, or does, holds
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

    async def _fate(self, row: Row, outcome: Outcome) -> Row:
        """What became of the answer: it was sent, or it waits for a person, or it is not sent at all."""
        while True:
            sent = await self.client.message(outcome.reply)
            match sent.status:
                case "sent":
                    file = sent.tries[0].detail
                    return row.ended("published", file if (self.out / file).exists() else f"{file}, in another folder")
                case "dead":
                    return row.ended("failed", f"the answer cannot be sent: {sent.error}")
                case "discarded":
                    return row.ended("withheld", f"discarded by a person: {sent.reason}")
                case "withheld" if sent.verdict in ("refused", "review"):
                    waits = "for a person: " if sent.verdict == "review" else ""
                    return row.ended("withheld", f"{waits}{outcome.reason}")
                case "withheld":
                    return row.ended("withheld", "by the publish mode, or until a person has looked at it")
            await asyncio.sleep(FATE_SECONDS)


def _reason(error: Exception) -> str:
    if isinstance(error, hf.RunFailed) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return one_line(str(error)) or type(error).__name__
