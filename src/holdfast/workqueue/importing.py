"""Subjects by the million, of a CSV file or of a program: the good ones are stored, and the bad ones told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from holdfast.errors import PayloadError, UsageError
from holdfast.model.policies import Policy
from holdfast.store.work_rows import SubjectRow
from holdfast.workqueue.csv_columns import Columns
from holdfast.workqueue.csv_records import CsvRecords, Record
from holdfast.workqueue.part import PORTION, TRIES, WorkPart, checked_flag
from holdfast.workqueue.seen_ids import SeenIds
from holdfast.workqueue.settings import Settling
from holdfast.workqueue.subject_rows import Draft, applied, draft_from, signal_rows
from holdfast.workqueue.views import Imported, RowFault

PIECE_BYTES = 64 * 1024

FAULTS = 1000
"""So many bad rows are told; the others are counted."""

ROWS_AT_MOST = 5_000_000
"""So many rows has one file: their ids are remembered, so that one that comes twice is seen."""

CsvSource = str | Path | bytes | IO[bytes] | Iterable[bytes] | AsyncIterator[bytes]
"""A file's name, its content, a file that is open for reading bytes, or its pieces."""

_BUSY = "others change the subject at the same time; send the row again"
_GONE = "the subject was deleted while its signals were stored"


class Importing(Settling):
    """The part of a work queue that takes in many subjects."""

    async def put_subjects(
        self, subjects: Iterable[Mapping[str, Any]], *, demo: bool = False, source: str = ""
    ) -> Imported:
        """Make subjects known, or change what is given of them, as `put_subject` does.

        Args:
            subjects: objects with ``id``, ``name``, ``assignee``, ``properties``, ``contacts``, ``signals`` and
                ``signals_at``, of which all but ``id`` may be left out. One that names a subject again is refused.
            demo: whether new ones belong to the demo.
            source: where the signals are from.

        Returns:
            How many were stored, and what is wrong with the others, by their places from 1.
        """
        taking = _Taking(self, await self._ranges(), demo=checked_flag(demo, "demo"), source=source)
        for number, given in enumerate(subjects, 1):
            taking.take(number, partial(draft_from, given, taking.policy))
            if taking.full:
                await taking.store()
        outcome = await taking.outcome()
        await self._record("subjects.put", f"{outcome.stored} subjects", refused=outcome.refused)
        return outcome

    async def import_subjects(
        self,
        source: CsvSource,
        *,
        delimiter: str | None = None,
        demo: bool = False,
        dry_run: bool = False,
        name: str = "",
    ) -> Imported:
        """Take in the subjects of a CSV file in UTF-8: the good lines are stored, the bad ones told.

        The file is read as it comes, and stored in portions: it may be larger than memory. The first line names the
        columns; `holdfast.workqueue.csv_columns` says what they mean. A line that is taken in again changes nothing,
        so that a file that was cut off, or mended, is simply taken in again.

        Args:
            source: the name of a file, its content as bytes, a file that is open for reading bytes, or its pieces.
            delimiter: a comma, a semicolon or a tab; seen from the first line unless given.
            demo: whether new subjects belong to the demo.
            dry_run: check every line and store nothing.
            name: what the file is called, for the record of changes and as the source of its signals.

        Returns:
            How many lines were stored, and what is wrong with the others, by the number of the line.

        Raises:
            UsageError: the file is empty, is in another encoding, or its first line does not name the columns.
        """
        called = (name or (Path(source).name if isinstance(source, str | Path) else ""))[:200]
        taking = _Taking(
            self,
            await self._ranges(),
            demo=checked_flag(demo, "demo"),
            source=called,
            dry_run=checked_flag(dry_run, "dry_run"),
        )
        records, reader = CsvRecords(delimiter), _Reader(taking)
        async for piece in _pieces(source):
            for record in records.feed(piece):
                reader.read(record)
                if taking.full:
                    await taking.store()
            await asyncio.sleep(0)
        for record in records.end():
            reader.read(record)
        if reader.columns is None:
            raise UsageError("the file is empty; its first line names the columns, one of them id")
        outcome = await taking.outcome()
        if not dry_run:
            await self._record("subjects.import", called or "a file", stored=outcome.stored, refused=outcome.refused)
        return outcome


class _Reader:
    """Hands the records of a file on, once its columns are known."""

    def __init__(self, taking: _Taking) -> None:
        self._taking = taking
        self.columns: Columns | None = None

    def read(self, record: Record) -> None:
        if self.columns is None:
            if record.fault is not None:
                raise UsageError(f"the first line must name the columns, and cannot be read: {record.fault}")
            self.columns = Columns(record.cells, self._taking.policy)
        elif record.fault is not None:
            self._taking.refuse(record.line, record.fault)
        elif any(cell.strip() for cell in record.cells):
            columns = self.columns
            self._taking.take(record.line, lambda now: columns.draft(record.cells, now))


class _Taking:
    """Collects what is given, stores it in portions, and counts.

    Attributes:
        policy: the signals that are declared.
    """

    def __init__(self, part: WorkPart, policy: Policy, *, demo: bool, source: str, dry_run: bool = False) -> None:
        self._part = part
        self.policy = policy
        self._demo = demo
        self._source = source
        self._dry_run = dry_run
        self._seen = SeenIds()
        self._drafts: list[tuple[int, Draft]] = []
        self._stored = 0
        self._refused = 0
        self._faults: list[RowFault] = []

    @property
    def full(self) -> bool:
        """Whether a portion is to be stored."""
        return len(self._drafts) >= PORTION

    def refuse(self, line: int, reason: str) -> None:
        """A row is bad."""
        self._refused += 1
        if len(self._faults) < FAULTS:
            self._faults.append(RowFault(line, reason))

    def take(self, line: int, draft: Callable[[int], Draft]) -> None:
        """Take a row in, or refuse it."""
        try:
            one = draft(self._part.core.now_us())
        except (UsageError, PayloadError) as error:
            self.refuse(line, str(error))
            return
        if len(self._seen) >= ROWS_AT_MOST:
            raise UsageError(f"there are more than {ROWS_AT_MOST:,} subjects; give them in parts")
        before = self._seen.line_of(one.id, line)
        if before is None:
            self._drafts.append((line, one))
        else:
            self.refuse(line, f"subject {one.id!r:.100} stands on line {before} already, and that one counts")

    async def store(self) -> None:
        """Store what was taken in."""
        drafts, self._drafts = self._drafts, []
        if not drafts:
            return
        if not self._dry_run:
            drafts = await self._store_signals(await self._store_subjects(drafts))
        self._stored += len(drafts)

    async def outcome(self) -> Imported:
        """Store the rest; what became of all."""
        await self.store()
        return Imported(self._stored, self._refused, sorted(self._faults, key=lambda one: one.line))

    async def _store_subjects(self, drafts: list[tuple[int, Draft]]) -> list[tuple[int, Draft]]:
        """Store subjects; those that are as they are to be."""
        part, left, done = self._part, drafts, []
        for _ in range(TRIES):
            found = await part._patiently(part._work.find_subjects(part.tenant, [draft.id for _, draft in left]))
            stored = {row.id: row for row in found}
            changed: list[tuple[int, Draft]] = []
            rows: list[SubjectRow] = []
            now = part.core.now_us()
            for line, draft in left:
                before = stored.get(draft.id)
                try:
                    row = applied(before, draft, tenant=part.tenant, demo=self._demo, now=now)
                except PayloadError as error:
                    self.refuse(line, str(error))
                    continue
                if row is before:
                    done.append((line, draft))
                else:
                    changed.append((line, draft))
                    rows.append(row)
            became = await part._patiently(part._work.put_subjects(rows)) if rows else []
            done += [one for one, was in zip(changed, became, strict=True) if was]
            left = [one for one, was in zip(changed, became, strict=True) if not was]
            if not left:
                return done
        for line, _ in left:
            self.refuse(line, _BUSY)
        return done

    async def _store_signals(self, drafts: list[tuple[int, Draft]]) -> list[tuple[int, Draft]]:
        """Store the signals of subjects; those whose are stored."""
        part, now = self._part, self._part.core.now_us()
        of = [(place, draft) for place, (_, draft) in enumerate(drafts) for _ in draft.signals]
        rows = [row for _, draft in drafts for row in signal_rows(draft, part.tenant, now, self._source)]
        if not rows:
            return drafts
        missing = {of[number][0] for number in await part._patiently(part._work.put_signals(rows))}
        for place in missing:
            self.refuse(drafts[place][0], _GONE)
        return [one for place, one in enumerate(drafts) if place not in missing]


async def _pieces(source: Any) -> AsyncIterator[bytes]:
    """The bytes of a file, piece by piece."""
    if isinstance(source, str | Path):
        file = await asyncio.to_thread(_opened, Path(source))
        try:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece
        finally:
            await asyncio.to_thread(file.close)
    elif isinstance(source, bytes | bytearray | memoryview):
        for first in range(0, len(source), PIECE_BYTES):
            yield bytes(source[first : first + PIECE_BYTES])
    elif hasattr(source, "read"):
        while piece := await asyncio.to_thread(source.read, PIECE_BYTES):
            yield _checked_piece(piece)
    elif hasattr(source, "__aiter__"):
        async for piece in source:
            yield _checked_piece(piece)
    elif hasattr(source, "__iter__"):
        for piece in source:
            yield _checked_piece(piece)
    else:
        raise UsageError(f"the source is {source!r:.100}; give the name of a file, its bytes, or an open file")


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"file {path} cannot be read: {error.strerror or error}") from None


def _checked_piece(piece: object) -> bytes:
    if not isinstance(piece, bytes | bytearray | memoryview):
        raise UsageError(f"the source gives {type(piece).__name__}; open the file for reading bytes: open(…, 'rb')")
    return bytes(piece)
