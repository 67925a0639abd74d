"""What a client can do with sources and their entries: look at them, settle dead ones, put a source back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from holdfast.engine.entries import handed_id, role_given, setting_of, target_of
from holdfast.engine.incoming import Incoming
from holdfast.engine.intake_views import (
    BEGINNING,
    ENTRIES_AT_MOST,
    EntryView,
    SourceView,
    entry_filter,
    entry_uid,
    entry_view,
    position_of,
    shown_position,
    source_view,
)
from holdfast.engine.levers import check_text
from holdfast.engine.part import Part, check_whole
from holdfast.engine.starting import ruled
from holdfast.errors import (
    EntryNotFound,
    EntrySettled,
    PayloadError,
    SourceChanged,
    SourceNotFound,
    StartDropped,
    UsageError,
)
from holdfast.model.ids import check_id
from holdfast.model.publishing import PublishPath
from holdfast.model.run import instant
from holdfast.store.intake_rows import EntryOutcome, EntryRow, SettleEntry, SourceRow
from holdfast.store.operations import Start


class Intakes(Part):
    """The part of a client that has to do with sources."""

    async def sources(self) -> list[SourceView]:
        """The tenant's sources that were read at least once, by name."""
        return [source_view(row) for row in await self._patiently(self.reads.intake.sources(self.tenant))]

    async def rewind_source(self, name: str, to: Any = BEGINNING) -> SourceView:
        """Put a source back, or forward. Entries that it knows stay known: they make no second run.

        Args:
            name: of the source.
            to: ``"beginning"``, or a position as `SourceView.position` gave it.

        Returns:
            The source as it stands then.

        Raises:
            SourceNotFound: the tenant has no source of this name that was ever read.
            SourceChanged: it was read on meanwhile; try again, or stop who reads it first.
            UsageError: no position.
        """
        row = await self._source(name)
        position = position_of(to)
        detail = {"from": shown_position(row.position), "to": BEGINNING if position == b"" else to}
        audit = self._audit(self.actor or "local", "source.rewind", name, detail)
        if not await self._patiently(self.core.store.intake.rewind(self.tenant, name, position, row.revision, audit)):
            raise SourceChanged(f"source {name!r} was read on meanwhile; try again, or stop who reads it first")
        return source_view(await self._source(name))

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
        """Entries, the newest first.

        Args:
            source: only of this source.
            outcome: only those that ended so: ``dead`` are those that want a person.
            message_id: only of this message.
            run: only the one that became this run, by its id.
            since: only those taken in since then.
            until: only those taken in before then.
            limit: at most so many, 1 to 1,000.
            before: only what is older than the entry of this id, the last of the page before.

        Raises:
            UsageError: an argument is out of range.
        """
        check_whole(limit, "limit", ENTRIES_AT_MOST)
        which = entry_filter(source, outcome, message_id, run, since, until)
        behind = None if before is None else entry_uid(before)
        rows = await self._patiently(self.reads.intake.entries(self.tenant, which, limit=limit, before=behind))
        return [entry_view(row) for row in rows]

    async def entry(self, id: str) -> EntryView:
        """An entry, with its content where it is dead.

        Raises:
            EntryNotFound: the tenant has none of this id.
        """
        return entry_view(await self._entry(id))

    async def retry_entry(self, id: str, content: str | bytes | None = None) -> str:
        """Take in a dead entry after all.

        Args:
            id: of the entry.
            content: what it should have been; what was kept of it unless given.

        Returns:
            The id of the run that it became.

        Raises:
            EntryNotFound: the tenant has none of this id.
            EntrySettled: it is not dead, or somebody settled it meanwhile.
            StartDropped: a rule of the workflow dropped the start; the entry is settled all the same.
            PayloadError: its content still cannot be read, or the workflow does not take it.
            UnknownWorkflow: no worker has registered the source's workflow.
        """
        row = await self._entry(id)
        if row.outcome != "dead":
            raise _settled(row, f"it is {row.outcome}")
        source = await self._source(row.source)
        content = content.encode() if isinstance(content, str) else row.content if content is None else content
        if not content:
            raise PayloadError(f"the content of entry {id}", "was not kept: give what it should have been")
        entry = _incoming(source, row, content, await self._path_of(row, source.workflow))
        registered = await self._registered(source.workflow, None)
        target = target_of(registered, self.core.code_of(registered.name, registered.version))
        run_id = f"{row.source}/{row.uid.hex()}"
        start = target.start(self.tenant, run_id, entry, now_us=self.core.now_us())
        await self._settle(row, start, "", "entry.retry", run=run_id, source=row.source)
        self.core.tell_started([start])
        if not ruled(start):
            return run_id
        ended = await self._entry(id)
        if ended.run_id is None:
            raise StartDropped(
                f"a rule of the workflow dropped the start: {ended.reason}", reason=ended.reason,
                diversion=start.uid.hex(),
            )  # fmt: skip
        return ended.run_id

    async def discard_entry(self, id: str, reason: str) -> None:
        """Give a dead entry up.

        Args:
            id: of the entry.
            reason: why; shown to people.

        Raises:
            EntryNotFound: the tenant has none of this id.
            EntrySettled: it is not dead, or somebody settled it meanwhile.
            UsageError: no reason.
        """
        checked_reason(reason)
        await self._settle(await self._entry(id), None, reason, "entry.discard", reason=reason)

    async def _source(self, name: str) -> SourceRow:
        row = await self._patiently(self.reads.intake.source(self.tenant, check_id(name, "the name of a source")))
        if row is None:
            raise SourceNotFound(f"tenant {self.tenant!r} has no source {name!r} that was ever read")
        return row

    async def _entry(self, id: str) -> EntryRow:
        row = await self._patiently(self.reads.intake.entry(self.tenant, entry_uid(id)))
        if row is None:
            raise EntryNotFound(f"tenant {self.tenant!r} has no entry {id}")
        return row

    async def _path_of(self, row: EntryRow, workflow: str) -> PublishPath:
        """On which path an entry is answered: where it began, else as it is decided now."""
        given = await self._patiently(self.reads.outbox.message(self.tenant, handed_id(row.source, row.uid)))
        if given is not None and given.body is not None:
            return "shadow" if role_given(given.body) == "primary" else "primary"
        settings = await self._patiently(self.reads.outbox.publish_settings(self.tenant))
        return setting_of(settings, self.tenant, workflow).path

    async def _settle(self, row: EntryRow, start: Start | None, reason: str, action: str, /, **detail: Any) -> None:
        by = self.actor or "local"
        audit = self._audit(by, action, row.uid.hex(), detail)
        asked = SettleEntry(self.tenant, row.uid, start, reason, by, self.core.now_us(), audit)
        if not await self._patiently(self.core.store.intake.settle_entry(asked)):
            raise _settled(row, "somebody settled it" if row.outcome == "dead" else f"it is {row.outcome}")


def _settled(row: EntryRow, why: str) -> EntrySettled:
    return EntrySettled(f"entry {row.uid.hex()} is not dead: {why}; nothing was changed")


def checked_reason(reason: str) -> str:
    """The reason why an entry is given up.

    Raises:
        UsageError: there is none.
    """
    if not check_text(reason, "reason").strip():
        raise UsageError("an entry is discarded with a reason: give one")
    return reason


def _incoming(source: SourceRow, row: EntryRow, content: bytes, path: PublishPath) -> Incoming:
    """What a workflow is given of a dead entry."""
    data: Any = None
    raw: bytes | None = content
    media_type = "application/octet-stream"
    if source.kind in ("jsonl", "http"):
        try:
            data, raw, media_type = msgspec.json.decode(content), None, "application/json"
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if source.kind == "jsonl":
                raise PayloadError(
                    f"the content of entry {row.uid.hex()}", f"is no JSON that can be read: {error}"
                ) from None
    elif source.kind in ("maildir", "mbox", "imap"):
        media_type = "message/rfc822"
    return Incoming(
        source=row.source,
        id=row.message_id,
        key=row.uid.hex(),
        place=row.place,
        at=instant(row.at),
        data=data,
        raw=raw,
        media_type=media_type,
        path=path,
    )
