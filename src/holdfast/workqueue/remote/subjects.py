"""Subjects through a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.engine.part import UNSET, Unset
from holdfast.engine.remote.part import check_revision
from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.wire import cursor, path, raw, read
from holdfast.errors import PayloadError, UsageError
from holdfast.model.ids import check_id
from holdfast.workqueue.csv_records import CsvRecords
from holdfast.workqueue.importing import CsvSource, _pieces
from holdfast.workqueue.part import checked_flag
from holdfast.workqueue.remote.part import RemoteWork
from holdfast.workqueue.remote.rows import ANY_TIME, ANYTHING, Sending
from holdfast.workqueue.seen_ids import SeenIds
from holdfast.workqueue.subject_rows import draft_from, drafted
from holdfast.workqueue.subjects import Subjects, _listed, _plain
from holdfast.workqueue.views import Imported, SubjectView

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


class RemoteSubjects(RemoteWork, Subjects):
    """The part of a remote work queue that has to do with subjects."""

    async def put_subject(
        self,
        id: str,
        *,
        name: str | Unset = UNSET,
        assignee: str | Unset | None = UNSET,
        properties: Mapping[str, Any] | None = None,
        contacts: Sequence[Mapping[str, Any]] | None = None,
        signals: Mapping[str, float] | None = None,
        demo: bool | Unset = UNSET,
        revision: int | None = None,
    ) -> SubjectView:
        """See `WorkQueue.put_subject`."""
        check_revision(revision, "the subject")
        draft = drafted(
            check_id(id, "the id of a subject"),
            name=name,
            assignee=assignee,
            properties=None if properties is None else _plain(properties),
            contacts=None if contacts is None else _listed(contacts),
            signals=signals,
            policy=ANYTHING,
            now=ANY_TIME,
        )
        given: dict[str, Any] = {"name": draft.name, "assignee": draft.assignee}
        body = {what: value for what, value in given.items() if not isinstance(value, Unset)}
        if draft.properties is not None:
            body["properties"] = raw(draft.properties, "properties")
        if draft.contacts is not None:
            body["contacts"] = raw(draft.contacts, "contacts")
        if draft.signals:
            body["signals"] = dict(draft.signals)
        if not isinstance(demo, Unset):
            body["demo"] = checked_flag(demo, "demo")
        return await self._changed(
            "PUT",
            _subject(id),
            body,
            SubjectView,
            revision=revision,
            field="revision",
            moved_on=f"subject {id!r} was changed meanwhile",
        )

    async def put_subjects(
        self, subjects: Iterable[Mapping[str, Any]], *, demo: bool = False, source: str = ""
    ) -> Imported:
        """See `WorkQueue.put_subjects`."""
        sending = Sending(self.server, "/subjects:import", {"demo": checked_flag(demo, "demo"), "name": source})
        seen = SeenIds()
        for number, given in enumerate(subjects, 1):
            try:
                draft = draft_from(given, ANYTHING, ANY_TIME)
            except (UsageError, PayloadError) as error:
                sending.refuse(number, str(error))
                continue
            before = seen.line_of(draft.id, number)
            if before is not None:
                sending.refuse(
                    number, f"subject {draft.id!r:.100} stands on line {before} already, and that one counts"
                )
                continue
            await sending.take(number, dict(given))
        return await sending.end()

    async def import_subjects(
        self,
        source: CsvSource,
        *,
        delimiter: str | None = None,
        demo: bool = False,
        dry_run: bool = False,
        name: str = "",
    ) -> Imported:
        """See `WorkQueue.import_subjects`."""
        CsvRecords(delimiter)
        query = {
            "demo": checked_flag(demo, "demo"),
            "dry_run": checked_flag(dry_run, "dry_run"),
            "delimiter": None if delimiter is None else DELIMITERS[delimiter],
            "name": (name or (Path(source).name if isinstance(source, str | Path) else ""))[:200],
        }
        try:
            answer = await self.server.upload("/subjects:import", _pieces(source), "text/csv", query=query)
        except Refusal as refusal:
            raise refusal.error() from None
        return read(answer.body, Imported)

    async def get_subject(self, id: str) -> SubjectView:
        """See `WorkQueue.get_subject`."""
        return await self._get(_subject(id), SubjectView)

    async def subjects(
        self,
        *,
        assignee: str | None = None,
        text: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[SubjectView]:
        """See `WorkQueue.subjects`."""
        return await self._some(
            "/subjects",
            SubjectView,
            limit,
            cursor=None if after is None else cursor(check_id(after, "after")),
            assignee=None if assignee is None else check_id(assignee, "assignee"),
            text=None if not text else check_id(text, "text"),
        )

    async def delete_subject(self, id: str) -> bool:
        """See `WorkQueue.delete_subject`."""
        return await self._deleted(_subject(id), "subject-not-found")


def _subject(id: object, *more: str) -> str:
    return path("subjects", check_id(id, "the id of a subject"), *more)
