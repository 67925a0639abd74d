"""What a server is asked of sources, their entries, and two paths beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from holdfast.engine.intake_views import (
    BEGINNING,
    ENTRIES_AT_MOST,
    EntryView,
    SourceView,
    asked_at,
    entry_filter,
    entry_uid,
    position_of,
)
from holdfast.engine.intakes import Intakes, checked_reason
from holdfast.engine.path_views import (
    ComparedView,
    CutoverReport,
    PathOutcome,
    check_comparison,
    compared_id,
    outcome_row,
)
from holdfast.engine.remote.part import RemotePart
from holdfast.engine.remote.wire import cursor, instant_text, path
from holdfast.engine.shadowing import COMPARED_AT_MOST, OUTCOMES_AT_ONCE, Shadowing
from holdfast.errors import PayloadError
from holdfast.model.ids import check_id
from holdfast.model.run import instant, microseconds
from holdfast.store.intake_rows import Comparison, EntryOutcome


class _Retried(msgspec.Struct):
    run_id: str


class _Told(msgspec.Struct):
    changed: int


class _Counts(msgspec.Struct):
    counts: dict[Comparison, int]


class RemoteIntakes(RemotePart, Intakes, Shadowing):
    """The part of a remote client that has to do with sources, and with two paths beside each other."""

    async def sources(self) -> list[SourceView]:
        """See `Client.sources`."""
        return await self._whole("/intake", SourceView)

    async def rewind_source(self, name: str, to: Any = BEGINNING) -> SourceView:
        """See `Client.rewind_source`."""
        position_of(to)
        body = {"to": None if to == BEGINNING else to}
        return await self._post(path("intake", check_id(name, "the name of a source"), "rewind"), body, SourceView)

    async def entries(
        self,
        *,
        source: str | None = None,
        outcome: EntryOutcome | None = None,
        message_id: str | None = None,
        run: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[EntryView]:
        """See `Client.entries`."""
        entry_filter(source, outcome, message_id, run, since, until)
        behind = None if before is None else cursor(entry_uid(before).hex())
        return await self._some(
            "/entries", EntryView, limit, ENTRIES_AT_MOST, source=source, outcome=outcome, message_id=message_id,
            run=run, cursor=behind, **_time(since, until),
        )  # fmt: skip

    async def entry(self, id: str) -> EntryView:
        """See `Client.entry`."""
        return await self._get(path("entries", entry_uid(id).hex()), EntryView)

    async def retry_entry(self, id: str, content: str | bytes | None = None) -> str:
        """See `Client.retry_entry`."""
        if isinstance(content, bytes):
            try:
                content = content.decode()
            except UnicodeDecodeError:
                raise PayloadError("the content of an entry", "is no text: no request can carry it") from None
        address = path("entries", entry_uid(id).hex(), "retry")
        return (await self._post(address, {"content": content}, _Retried)).run_id

    async def discard_entry(self, id: str, reason: str) -> None:
        """See `Client.discard_entry`."""
        address = path("entries", entry_uid(id).hex(), "discard")
        await self._call("POST", address, {"reason": checked_reason(reason)})

    async def record_outcomes(self, workflow: str, outcomes: Iterable[PathOutcome | Mapping[str, Any]]) -> int:
        """See `Client.record_outcomes`."""
        now = microseconds(datetime.now(UTC))
        rows = [outcome_row(self.tenant, check_id(workflow, "the workflow"), one, now) for one in outcomes]
        told = [
            {
                "message_id": row.message_id,
                "decided": row.decided,
                "text": row.text,
                "at": instant_text(instant(row.at)),
            }
            for row in rows
        ]
        changed = 0
        for first in range(0, len(told), OUTCOMES_AT_ONCE):
            body = {"workflow": workflow, "outcomes": told[first : first + OUTCOMES_AT_ONCE]}
            changed += (await self._post("/shadow/outcomes", body, _Told)).changed
        return changed

    async def compare(
        self,
        workflow: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        which: Comparison | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[ComparedView]:
        """See `Client.compare`."""
        check_comparison(which)
        behind = None if before is None else cursor(compared_id(before).hex())
        return await self._some(
            _shadow(workflow, "comparison"), ComparedView, limit, COMPARED_AT_MOST, which=which, cursor=behind,
            **_time(since, until),
        )  # fmt: skip

    async def count_compared(
        self, workflow: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> dict[Comparison, int]:
        """See `Client.count_compared`."""
        return (await self._get(_shadow(workflow, "comparison"), _Counts, limit=1, **_time(since, until))).counts

    async def cutover_criteria(
        self, workflow: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> CutoverReport:
        """See `Client.cutover_criteria`."""
        return await self._get(_shadow(workflow, "criteria"), CutoverReport, **_time(since, until))


def _shadow(workflow: str, what: str) -> str:
    return path("shadow", check_id(workflow, "the workflow"), what)


def _time(since: datetime | None, until: datetime | None) -> dict[str, str | None]:
    times = {"since": since, "until": until}
    for what, at in times.items():
        asked_at(at, what)
    return {what: None if at is None else instant_text(at) for what, at in times.items()}
