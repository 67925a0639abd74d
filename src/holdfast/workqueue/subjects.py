"""Whom work is about: subjects are made known, changed, listed and forgotten one at a time. Many: `importing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from holdfast.engine.part import UNSET, Unset, check_whole
from holdfast.errors import SubjectNotFound, UsageError, WorkChanged
from holdfast.model.ids import check_id
from holdfast.store.work_rows import SubjectRow
from holdfast.workqueue.importing import Importing
from holdfast.workqueue.part import PAGE_AT_MOST, TRIES, checked_flag, checked_revision
from holdfast.workqueue.subject_rows import applied, drafted, signal_rows, subject_view
from holdfast.workqueue.views import SubjectView


def sample_customers() -> bytes:
    """A CSV file of 20 customers of our own invention, to try `Subjects.import_subjects` with."""
    return (files("holdfast.workqueue") / "customers.csv").read_bytes()


class Subjects(Importing):
    """The part of a work queue that has to do with subjects."""

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
        """Make a subject known, or change what is given of one; the rest stays as it is.

        Args:
            id: any text, unique within the tenant.
            name: to show; the id unless ever given.
            assignee: who looks after it, and gets its work; None for nobody.
            properties: plain JSON, merged into what is there: objects deeply, the rest replaced, None deletes.
            contacts: the people there, in place of those that are known: objects such as
                ``{"name": "Ada Okafor", "relationship_strength": "weak"}``; the strength is weak, moderate or strong.
            signals: what was measured just now, by name.
            demo: whether a new one belongs to the demo.
            revision: change it only if it stands at this revision; 0: only make it.

        Returns:
            The subject as it is now.

        Raises:
            UsageError: a value is out of range.
            PayloadError: a property or a contact cannot be stored.
            WorkChanged: it is not at the revision.
        """
        checked_revision(revision, "the subject")
        draft = drafted(
            check_id(id, "the id of a subject"),
            name=name,
            assignee=assignee,
            properties=None if properties is None else _plain(properties),
            contacts=None if contacts is None else _listed(contacts),
            signals=signals,
            policy=await self._ranges(),
            now=self.core.now_us(),
        )
        new = False if isinstance(demo, Unset) else checked_flag(demo, "demo")
        for _ in range(TRIES):
            stored = await self._stored(id)
            stands = 0 if stored is None else stored.revision
            if revision is not None and revision != stands:
                how = f"was changed meanwhile and is at revision {stands}" if stands else "does not exist"
                raise WorkChanged(f"subject {id!r} {how if revision or not stands else 'exists'}; look and try again")
            row = applied(stored, draft, tenant=self.tenant, demo=new, now=self.core.now_us())
            if row is not stored:
                if not (await self._patiently(self._work.put_subjects([row])))[0]:
                    continue
                await self._record("subject.put", id, revision=row.revision)
            if draft.signals:
                await self._patiently(self._work.put_signals(signal_rows(draft, self.tenant, self.core.now_us(), "")))
                row = await self._stored(id) or row
            return subject_view(row)
        raise WorkChanged(f"subject {id!r} is changed by others at the same time; look and try again")

    async def get_subject(self, id: str) -> SubjectView:
        """A subject as it is now.

        Raises:
            SubjectNotFound: the tenant has no subject of this id.
        """
        return subject_view(await self._subject(id))

    async def subjects(
        self,
        *,
        assignee: str | None = None,
        text: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[SubjectView]:
        """The tenant's subjects, by id.

        Args:
            assignee: only those that this person looks after.
            text: only those whose name or id has this text in it, in any case.
            limit: at most so many, 1 to 1,000.
            after: only those behind this id, the last of the page before.

        Raises:
            UsageError: a limit out of range.
        """
        check_whole(limit, "limit", PAGE_AT_MOST)
        rows = await self._patiently(
            self._looks.list_subjects(
                self.tenant,
                limit=limit,
                after=None if after is None else check_id(after, "after"),
                assignee=None if assignee is None else check_id(assignee, "assignee"),
                text=None if not text else check_id(text, "text"),
            )
        )
        return [subject_view(row) for row in rows]

    async def delete_subject(self, id: str) -> bool:
        """Forget a subject and its signals. Its items stay.

        Returns:
            Whether there was one of this id.
        """
        done = await self._patiently(self._work.delete_subject(self.tenant, check_id(id, "the id of a subject")))
        if done:
            await self._record("subject.delete", id)
        return done

    async def _stored(self, id: str) -> SubjectRow | None:
        found = await self._patiently(self._looks.find_subjects(self.tenant, [id]))
        return found[0] if found else None

    async def _subject(self, id: str) -> SubjectRow:
        """The tenant's subject of this id, as stored.

        Raises:
            SubjectNotFound: it has none.
        """
        row = await self._stored(check_id(id, "the id of a subject"))
        if row is None:
            raise SubjectNotFound(f"tenant {self.tenant!r} has no subject {id!r}")
        return row


def _plain(properties: object) -> dict[str, Any]:
    if not isinstance(properties, Mapping):
        raise UsageError(f"properties is {properties!r:.100}; give an object")
    return dict(properties)


def _listed(contacts: object) -> list[Any]:
    if isinstance(contacts, str | bytes) or not isinstance(contacts, Sequence):
        raise UsageError(f"contacts is {contacts!r:.100}; give a list of objects")
    return [dict(one) if isinstance(one, Mapping) else one for one in contacts]
