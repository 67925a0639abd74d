"""The interpreter of signals: scores every subject, and makes the items that active definitions say.

Subjects are read in portions, rules are held against a whole portion at once, and those whose place with a definition
is taken are taken out set by set. What is made in the end is kept single by the store: a place is taken once.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import msgspec

from holdfast.errors import RuleError, UsageError
from holdfast.model.calendars import local_date
from holdfast.model.definitions import definition_from
from holdfast.model.evaluation import score, values_of
from holdfast.model.policies import Policy
from holdfast.model.work import OPEN, ItemStatus
from holdfast.model.work_kinds import encode_definition
from holdfast.store.work import ItemFilter
from holdfast.store.work_rows import DefinitionRow, ItemChange, LinkRow, SubjectRow
from holdfast.workqueue.definitions import Definitions
from holdfast.workqueue.judging import Day, Judged, Portion, Score, Wanted, changes_asked, in_order, judged
from holdfast.workqueue.making import item_of_definition
from holdfast.workqueue.part import PORTION
from holdfast.workqueue.settings import Settings
from holdfast.workqueue.taken import TakenPlaces
from holdfast.workqueue.templates import SCORES, due_of, steps_of
from holdfast.workqueue.views import DryRun

BY_RULES = "holdfast"
"""Who is recorded with items that rules make."""

RECOMPUTE_SECONDS = 900.0
"""So long may it take to score all items of a tenant anew, in one statement, however many there are."""

SUBJECTS = 5000
"""So many subjects are looked at together."""

EXAMPLES = 10


class Interpreted(NamedTuple):
    """What became of a portion of subjects.

    Attributes:
        last: the id of the last one; None if there are no more.
        scored: how many got another score.
        created: the ids of the items that were made.
    """

    last: str | None
    scored: int
    created: list[str]


class Interpretation(NamedTuple):
    """What a whole run over the subjects needs to know, read once.

    Attributes:
        taken: whose places are taken, by definition.
        only_due: look at definitions with triggers by time alone, as for a day that has passed.
    """

    settings: Settings
    policy: Policy
    scores: Mapping[str, Score]
    definitions: list[Judged]
    day: Day
    taken: Mapping[str, TakenPlaces]
    only_due: bool = False


class Interpreting(Definitions):
    """The part of a work queue that makes items by rules."""

    async def interpret(self) -> list[str]:
        """Score all subjects, and make the items that active definitions say today.

        A definition makes an item for each subject that its rule and its triggers by time hold for: never a second
        one while one is open, snoozed ones included, nor for a while after one has ended. The demo is left out.

        Returns:
            The ids of the items that were made.
        """
        interpretation = await self._interpretation()
        created: list[str] = []
        after: str | None = None
        while True:
            done = await self._interpret_portion(interpretation, after)
            created += done.created
            if done.last is None:
                await self._record("work.interpret", self.tenant, created=len(created))
                return created
            after = done.last

    async def recompute(self) -> int:
        """Compute the priority of every open item anew, in one statement; how many there are.

        Queues show priorities as they are at the moment; what is stored serves lists and other programs.
        """
        policy = self._policy(await self._settings())
        recomputed = self._work.recompute(self.tenant, policy.priority, now=self.core.now_us())
        return await self._patiently(recomputed, RECOMPUTE_SECONDS)

    async def dry_run(self, definition: str | Mapping[str, Any]) -> DryRun:
        """What a definition would make today, as if it were active; nothing is changed.

        Args:
            definition: the id of one, or the document of one that need not be stored.

        Raises:
            DefinitionNotFound: the tenant has no definition of this id.
            UsageError: the document is none.
            RuleError: its rule cannot be read.
        """
        row = await (self._definition(definition) if isinstance(definition, str) else self._drafted(definition))
        one = judged(row)
        run = await self._interpretation([one])
        subjects = matches = taken = 0
        examples: list[str] = []
        after: str | None = None
        while True:
            rows = await self._subjects_behind(after)
            real = [row for row in rows if not row.demo]
            portion = Portion(real, run.scores, run.policy, run.definitions)
            [wanted] = portion.wanted(run.definitions, run.day, await self._signals_before(run, rows, after))
            ids = [real[one.place].id for one in wanted]
            gone = (await run.taken[row.id].between(ids[0], rows[-1].id)).intersection(ids) if ids else set()
            subjects, matches, taken = subjects + len(real), matches + len(ids), taken + len(gone)
            examples += [id for id in ids if id not in gone][: EXAMPLES - len(examples)]
            if len(rows) < SUBJECTS:
                break
            after = rows[-1].id
        notes = await self._notes(one)
        stored = definition if isinstance(definition, str) else None
        return DryRun(stored, subjects, matches, taken, matches - taken, examples, 0, notes)

    async def _interpretation(
        self, definitions: Sequence[Judged] | None = None, *, today: date | None = None
    ) -> Interpretation:
        """What is needed for a run over the subjects.

        Args:
            definitions: those that are asked; the active ones unless given.
            today: the day; today unless given. For one that has passed only triggers by time count.
        """
        settings = await self._settings()
        policy = self._policy(settings)
        now = self.core.now_us()
        present = local_date(now, settings.zone)
        day = Day(present if today is None else today, settings.zone, now)
        past = day.today < present
        if definitions is None:
            rows = await self._patiently(self._work.list_definitions(self.tenant, active=True))
            definitions = [one for row in rows if not row.demo and (one := _readable(row)) is not None]
        asked = [one for one in definitions if one.definition.triggers or not past]
        return Interpretation(
            settings=settings,
            policy=policy,
            scores={"opportunity": Score(policy.opportunity), "risk": Score(policy.risk)},
            definitions=in_order(asked),
            day=day,
            taken={one.row.id: TakenPlaces(self, one.row.id, now) for one in asked},
            only_due=past,
        )

    async def _interpret_portion(self, run: Interpretation, after: str | None) -> Interpreted:
        """Score the subjects behind one, and make their items."""
        if run.only_due and not run.definitions:
            return Interpreted(None, 0, [])
        rows = await self._subjects_behind(after)
        real = [row for row in rows if not row.demo]
        portion = Portion(real, run.scores, run.policy, run.definitions)
        scored = await self._store_scores(portion, run.day.now)
        wanted = portion.wanted(run.definitions, run.day, await self._signals_before(run, rows, after))
        created: list[str] = []
        made: dict[tuple[str, str], bytes] = {}
        for one, found in zip(run.definitions, wanted, strict=True):
            if found:
                taken = await run.taken[one.row.id].between(rows[0].id, rows[-1].id)
                free = [each for each in found if real[each.place].id not in taken]
                created += await self._make_items(run, one, portion, free, made)
        return Interpreted(rows[-1].id if len(rows) == SUBJECTS else None, scored, created)

    async def _subjects_behind(self, after: str | None) -> list[SubjectRow]:
        return await self._patiently(self._work.list_subjects(self.tenant, limit=SUBJECTS, after=after))

    async def _signals_before(
        self, run: Interpretation, rows: Sequence[SubjectRow], after: str | None
    ) -> dict[tuple[str, int], dict[str, float]]:
        """What signals were before, of the subjects of a portion, where a definition asks for their change."""
        return {
            (name, at): dict(
                await self._patiently(self._work.signals_at(self.tenant, name, at, after=after or "", limit=len(rows)))
            )
            for name, at in (changes_asked(run.definitions, run.day.now) if rows else ())
        }

    async def _store_scores(self, portion: Portion, now: int) -> int:
        """Store the scores that are others than before; how many subjects have such."""
        changed: list[tuple[str, bytes]] = []
        for place, (row, values) in enumerate(zip(portion.rows, portion.scores, strict=True)):
            stored = _stored_scores(row.scores)
            made = {name: portion.inputs(name, place) for name in values}
            if all(
                (old := stored.get(name)) is not None and old["score"] == value and old["inputs"] == made[name]
                for name, value in values.items()
            ):
                continue
            new = {name: {"score": value, "inputs": made[name], "at": now} for name, value in values.items()}
            changed.append((row.id, msgspec.json.encode({**stored, **new})))
        for first in range(0, len(changed), PORTION):
            await self._patiently(self._work.put_scores(self.tenant, changed[first : first + PORTION]))
        return len(changed)

    async def _make_items(
        self,
        run: Interpretation,
        one: Judged,
        portion: Portion,
        wanted: Sequence[Wanted],
        made: dict[tuple[str, str], bytes],
    ) -> list[str]:
        """Make items of a definition; the ids of those that were made.

        Args:
            run: the run over the subjects.
            one: the definition.
            portion: the subjects.
            wanted: those that get one.
            made: the items that were made for the portion so far, by definition and subject.
        """
        created: list[str] = []
        for first in range(0, len(wanted), PORTION):
            changes: list[ItemChange] = []
            links: list[LinkRow] = []
            for each in wanted[first : first + PORTION]:
                before = await self._done_first(run, one, portion, portion.rows[each.place].id, made)
                change = _new(run, one, portion, each, blocked=bool(before))
                changes.append(change)
                links += [
                    LinkRow(self.tenant, change.row.uid, uid, None, change.row.created_at, None) for uid in before
                ]
            if links:
                await self._patiently(self._work.put_links(links))
            became = await self._patiently(self._work.put_items(changes))
            refused = set()
            for change, outcome in zip(changes, became, strict=True):
                if outcome == "done":
                    created.append(change.row.id)
                    made[one.row.id, change.row.subject or ""] = change.row.uid
                else:
                    refused.add(change.row.uid)
            needless = [link for link in links if link.item in refused]
            if needless:
                await self._patiently(self._work.delete_links(needless))
        return created

    async def _done_first(
        self, run: Interpretation, one: Judged, portion: Portion, subject: str, made: Mapping[tuple[str, str], bytes]
    ) -> list[bytes]:
        """The open items of a subject that an item of a definition comes after."""
        found: list[bytes] = []
        for before in one.definition.after:
            if (uid := made.get((before, subject))) is not None:
                found.append(uid)
                continue
            taken = run.taken.get(before)
            if taken is not None and subject not in await taken.between(portion.rows[0].id, portion.rows[-1].id):
                continue
            which = ItemFilter(definition=before, subject=subject, statuses=tuple(sorted(OPEN)))
            found += [
                row.uid for row in await self._patiently(self._work.list_items(self.tenant, which, limit=PORTION))
            ]
        return found

    async def _drafted(self, document: Mapping[str, Any]) -> DefinitionRow:
        """A definition that need not be stored."""
        if not isinstance(document, Mapping):
            raise UsageError(f"the definition is {document!r:.100}; give its id, or its document")
        definition = definition_from({"id": "dry-run", "name": "dry run", **document})
        now = self.core.now_us()
        return DefinitionRow(
            self.tenant, definition.id, 1, definition.name, definition.type, definition.base, True, definition.demo,
            definition.order, encode_definition(definition), self._actor, now,
        )  # fmt: skip

    async def _notes(self, one: Judged) -> list[str]:
        """What to know before a definition is switched on."""
        known = await self._patiently(self._looks.signal_names(self.tenant))
        notes = [] if one.rule is None else one.rule.notes(signals=known, scores=SCORES)
        for trigger in one.definition.triggers:
            name = getattr(trigger, "signal", None)
            if name is not None and name not in known:
                notes.append(f"signals.{name}: nobody sends it")
        if one.rule is None and not one.definition.triggers:
            notes.append("it has neither a rule nor a trigger by time: its items are made by hand")
        return notes


def _new(run: Interpretation, one: Judged, portion: Portion, wanted: Wanted, *, blocked: bool) -> ItemChange:
    """A new item of a definition."""
    subject = portion.rows[wanted.place]
    now = run.day.now
    values = values_of(
        weight=one.row.weight,
        type=one.row.type,
        status=ItemStatus.NOT_STARTED,
        snooze_until=None,
        created_at=now,
        now=now,
        weak=subject.weak,
        signals=portion.signals[wanted.place],
    )
    return item_of_definition(
        one.row,
        subject,
        now=now,
        random=secrets.token_bytes(10),
        actor=BY_RULES,
        due_at=due_of(one.definition, now, run.settings),
        steps=steps_of(one.definition, _with_scores(subject, portion, wanted.place), run.day.today, run.policy),
        priority=score(run.policy.priority, values),
        blocked=blocked,
        again_at=wanted.again_at,
        definition=one.definition,
    )


def _with_scores(subject: SubjectRow, portion: Portion, place: int) -> SubjectRow:
    """A subject with its scores as they are now."""
    scores = {name: {"score": value} for name, value in portion.scores[place].items()}
    return subject._replace(scores=msgspec.json.encode(scores))


def _readable(row: DefinitionRow) -> Judged | None:
    """A definition, made ready; None if its rule can be read no more, as by an older version of holdfast."""
    try:
        one = judged(row)
    except RuleError:
        return None
    return one if one.by_itself else None


_stored_scores = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode
