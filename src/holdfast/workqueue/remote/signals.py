"""Signals through a server."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.wire import instant_text, path, read
from holdfast.errors import UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.model.run import instant
from holdfast.workqueue.importing import CsvSource, _pieces
from holdfast.workqueue.part import checked_instant
from holdfast.workqueue.remote.part import RemoteWork
from holdfast.workqueue.remote.rows import ANY_TIME, ANYTHING, Sending
from holdfast.workqueue.signal_files import _SUFFIXES, SignalFiles, lines_of
from holdfast.workqueue.signals import Sent, _each, _row
from holdfast.workqueue.views import Imported, SignalChange, SignalView

_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


class RemoteSignals(RemoteWork, SignalFiles):
    """The part of a remote work queue that has to do with signals."""

    async def put_signal(
        self, subject: str, name: str, value: float, *, at: datetime | None = None, source: str = ""
    ) -> SignalView:
        """See `WorkQueue.put_signal`."""
        given = {"subject": subject, "name": name, "value": value, "at": at, "source": source}
        return await self._post("/signals", _checked(given, ""), SignalView)

    async def put_signals(self, signals: Iterable[Sent] | AsyncIterable[Sent], *, source: str = "") -> Imported:
        """See `WorkQueue.put_signals`."""
        sending, number = Sending(self.server, "/signals", {}), 0
        async for given in _each(signals):
            number += 1
            try:
                row = _checked(given, source)
            except UsageError as error:
                sending.refuse(number, str(error))
            else:
                await sending.take(number, row)
        return await sending.end()

    async def import_signals(
        self, source: CsvSource, *, form: str | None = None, delimiter: str | None = None, name: str = ""
    ) -> Imported:
        """See `WorkQueue.import_signals`."""
        file = Path(source) if isinstance(source, str | Path) else None
        chosen = form or _SUFFIXES.get("" if file is None else file.suffix.lower(), "csv")
        lines_of(chosen, delimiter)
        query = {"source": (name or ("" if file is None else file.name))[:200], "delimiter": _named(delimiter)}
        try:
            answer = await self.server.upload("/signals", _pieces(source), _TYPES[chosen], query=query)
        except Refusal as refusal:
            raise refusal.error() from None
        return read(answer.body, Imported)

    async def signals(
        self, subject: str, *, name: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> list[SignalView]:
        """See `WorkQueue.signals`."""
        return await self._some(
            _subject(subject, "signals"),
            SignalView,
            limit,
            name=None if name is None else check_id(name, "the name of a signal"),
            since=None if since is None else instant_text(instant(max(0, checked_instant(since, "since")))),
        )

    async def change(self, subject: str, name: str, over: Duration) -> SignalChange:
        """See `WorkQueue.change`."""
        length = seconds(over, what="over")
        if length <= 0:
            raise UsageError(f"over is {over!r}; give more than no time, such as '30d'")
        check_id(name, "the name of a signal")
        return await self._get(_subject(subject, "signals", name, "change"), SignalChange, over=f"{length:.6f}")

    async def signal_names(self) -> list[str]:
        """See `WorkQueue.signal_names`."""
        return await self._whole("/signal-names", str)


def _checked(given: object, source: str) -> dict[str, Any]:
    """A signal as it is sent, checked for all that can be told here."""
    row = _row(given, "-", ANYTHING, ANY_TIME, source)
    at = given.get("at") if isinstance(given, Mapping) else None
    sent: dict[str, Any] = {"subject": row.subject, "name": row.name, "value": row.value, "source": row.source}
    return sent if at is None else {**sent, "at": instant_text(instant(row.at))}


def _named(delimiter: str | None) -> str | None:
    return None if delimiter is None else {",": "comma", ";": "semicolon", "\t": "tab"}[delimiter]


def _subject(id: object, *more: str) -> str:
    return path("subjects", check_id(id, "the id of a subject"), *more)
