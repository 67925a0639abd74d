"""Makes of what a source read what is stored of it: entries with their runs, and what another path is given of them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from holdfast.engine.core import Core
from holdfast.engine.entries import Target, handed_id, handed_over, role_for, setting_of, target_of
from holdfast.engine.incoming import Incoming
from holdfast.engine.versions import latest
from holdfast.errors import HoldfastError, PayloadError, UnknownWorkflow
from holdfast.intake.entry_keys import KEPT_BYTES
from holdfast.intake.reading import Found
from holdfast.intake.sorting import sort_out
from holdfast.intake.terms import SourceTerms
from holdfast.model.ids import uuid7
from holdfast.model.run import instant
from holdfast.store.intake_rows import NewEntry, OutcomeRow
from holdfast.store.operations import Start
from holdfast.store.outbox_rows import PublishSettingRow

REASON_CHARACTERS = 1_000


class Made(NamedTuple):
    """What was made of a reading.

    Attributes:
        entries: with what each was made of.
        outcomes: of another path.
        setting: by which decision the path was chosen, its workflow and revision; None where none has to do with it.
    """

    entries: list[tuple[Found, NewEntry]]
    outcomes: list[OutcomeRow]
    setting: tuple[str, int] | None


class Maker:
    """Makes entries of one source.

    Args:
        core: the database.
        terms: of the source.
    """

    def __init__(self, core: Core, terms: SourceTerms) -> None:
        self._core = core
        self._terms = terms
        self._target: Target | None = None
        self._setting: PublishSettingRow | None = None

    @property
    def queue(self) -> str:
        """Where the runs wait."""
        assert self._target is not None
        return self._target.terms.queue

    async def look(self) -> None:
        """Look what the entries become runs of.

        Raises:
            UnknownWorkflow: no worker has registered it.
            UsageError: it takes no entries.
        """
        name = self._terms.workflow
        found = latest(await self._core.store.list_workflows(), name)
        if found is None:
            raise UnknownWorkflow(
                f"no worker has registered workflow {name!r}; start a worker that serves it", workflow=name
            )
        if self._target is None or (found.version, found.input_schema) != (
            self._target.version, self._target.description
        ):  # fmt: skip
            self._target = target_of(found, self._core.code_of(found.name, found.version))
        if self._setting is None:
            await self.decide()

    async def decide(self) -> None:
        """Look which path answers what comes in."""
        terms = self._terms
        settings = await self._core.store.outbox.publish_settings(terms.tenant)
        self._setting = setting_of(settings, terms.tenant, terms.workflow)

    def make(self, entries: Sequence[Found]) -> Made:
        """Entries as they are stored. What cannot become a run is dead, with the reason."""
        assert self._setting is not None
        now_us = self._core.now_us()
        at = instant(now_us)
        # A microsecond apart, so that they are served in the order in which they were read.
        made = [(found, self._entry(found, now_us + number, at)) for number, found in enumerate(entries)]
        return Made(made, [], (self._setting.workflow, self._setting.revision))

    def _entry(self, found: Found, now_us: int, at: datetime) -> NewEntry:
        assert self._setting is not None
        uid = uuid7(now_us, secrets.token_bytes(10))
        outcome, reason = sort_out(self._terms, found, at.date())
        entry = Incoming(
            source=self._terms.name,
            id=found.message_id,
            key=found.key.hex(),
            place=found.place,
            at=at,
            media_type=found.media_type,
            path=self._setting.path,
            data=found.value if found.is_value else None,
            raw=None if found.is_value else kept(found),
        )
        start: Start | None = None
        if outcome == "run":
            try:
                start = self._start(entry, now_us)
            except HoldfastError as error:
                outcome, reason = "dead", str(error)
        made = NewEntry(
            uid=uid,
            key=found.key,
            message_id=storable(found.message_id),
            place=storable(found.place),
            outcome=outcome,
            reason=_reason(reason),
            content=kept(found) if outcome == "dead" else None,
            start=start,
        )
        return made if outcome == "filtered" or self._terms.old_path is None else self._given_away(made, found, entry)

    def _start(self, entry: Incoming, now_us: int) -> Start:
        assert self._target is not None
        terms = self._terms
        return self._target.start(
            terms.tenant, f"{terms.name}/{entry.key}", entry, now_us=now_us, priority=terms.priority
        )

    def _given_away(self, made: NewEntry, found: Found, entry: Incoming) -> NewEntry:
        """An entry with what another path is given of it. What is dead here may be sound there."""
        terms, setting, now_us = self._terms, self._setting, self._core.now_us()
        assert terms.old_path is not None
        assert setting is not None
        role = role_for(setting, now_us)
        if role is None or (made.outcome == "dead" and not kept(found)):  # there is nothing to answer in it
            return made
        # A dead entry is found by its own id when a person takes it in after all: it goes on where it began.
        id = handed_id(terms.name, made.uid if made.outcome == "dead" else made.key)
        uid = uuid7(now_us, secrets.token_bytes(10))
        try:
            message = handed_over(terms.tenant, terms.old_path, terms.workflow, id, uid, role, entry, now_us)
        except PayloadError as error:
            if role == "copy" or made.outcome == "dead":
                return made
            # Nobody would answer it: the other path does not get it, and ours works in shadow.
            return made._replace(outcome="dead", reason=_reason(str(error)), content=found.content, start=None)
        return made._replace(messages=(message,))


def kept(found: Found) -> bytes | None:
    """The bytes of an entry; None where they are not all there, as it is too large. A line's end is none of them."""
    cut_off = len(found.content) <= KEPT_BYTES < found.size - len(b"\r\n")
    return None if cut_off else found.content


def given_up(source: str, found: Found, entry: NewEntry, reason: str) -> NewEntry:
    """An entry of a source that the database refuses, as a dead one. Another path is given it all the same."""
    messages = tuple(message._replace(id=handed_id(source, entry.uid)) for message in entry.messages)
    return entry._replace(outcome="dead", reason=_reason(reason), content=kept(found), start=None, messages=messages)


def _reason(text: str) -> str:
    return storable(text)[:REASON_CHARACTERS]


def storable(text: str) -> str:
    """A text without what no database holds."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
