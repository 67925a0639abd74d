"""What a client can do to mend runs: retry and fork them, and try a step again aside."""

from __future__ import annotations

import difflib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from holdfast.engine.context import StepFrame, place
from holdfast.engine.execution import MARK
from holdfast.engine.groups import ALL_STARTED
from holdfast.engine.part import UNSET, Part, Unset
from holdfast.engine.starting import ATTRIBUTES, facts_of, topic, under_caller, with_terms
from holdfast.engine.step import Step
from holdfast.errors import NotPossible, RunExists, StepNotFound, UsageError
from holdfast.model.failure import encode_failure, failure_view
from holdfast.model.generations import decode_cuts, encode_cuts, in_force
from holdfast.model.ids import check_id, uuid7
from holdfast.model.payload import codec_of
from holdfast.model.run import PROTOCOL, Kind, Outcome, Status, rank
from holdfast.model.schema import terms_of
from holdfast.model.terms import Terms, key_for
from holdfast.store.operations import Fork, Retry, Start, Topic
from holdfast.store.rows import JournalRow, RunRow

_ANY = codec_of(Any)
_ARGUMENTS = codec_of(dict[str, Any])


@dataclass(frozen=True, slots=True)
class StepReplay:
    """A step tried again aside, on its recorded input.

    Attributes:
        input: its recorded arguments by name, plain JSON.
        recorded: what it gave then, plain JSON; None if it failed.
        recorded_error: type, message and traceback, if it failed then.
        output: what it gave now.
        error: type, message and traceback, if it failed now.
        difference: line by line, empty when nothing differs.
    """

    input: Any
    recorded: Any
    recorded_error: dict[str, Any] | None
    output: Any
    error: dict[str, Any] | None
    difference: str


class Mending(Part):
    """The part of a client that mends runs."""

    async def retry(self, run_id: str) -> None:
        """Let a failed or cancelled run go on from where it failed.

        What it had recorded before the failed step is kept and not done again; the step is tried anew.

        Raises:
            RunNotFound: the tenant has no run of this id.
            NotPossible: it is neither failed nor cancelled.
        """
        row = await self._find(run_id)
        if row.status not in (Status.FAILED, Status.CANCELLED):
            raise NotPossible(
                f"run {row.id!r} is {row.status}; only a failed or cancelled run is retried. "
                "A held one is released, a succeeded one forked",
                run_id=row.id,
            )
        entries = await self._in_force(row)
        cut = _failed_seq(row, entries)
        now = self.core.now_us()
        cuts = [*decode_cuts(row.cuts), (row.generation + 1, cut)]
        limit, watches = await self._again(row)
        deadline = None if limit is None else now + limit
        order = Retry(
            row.uid, self.tenant, row.generation, encode_cuts(cuts), rank(now, row.priority), now, deadline, watches
        )
        if not await self._patiently(self.core.store.retry(order)):
            raise NotPossible(f"run {row.id!r} goes on already", run_id=row.id)
        self.core.announce("ready")
        await self._record("run.retry", row.id, attempt=row.generation + 1)

    async def _terms(self, row: RunRow) -> Terms | None:
        """The terms of a run's workflow, if a worker has registered it."""
        known = await self._patiently(self.reads.list_workflows())
        same = [one for one in known if (one.name, one.version) == (row.workflow, row.version)]
        return terms_of(same[0].input_schema) if same else None

    async def _again(self, row: RunRow) -> tuple[int | None, tuple[Topic, ...]]:
        """The time limit of a run that is retried, in microseconds, and the events that cancel it."""
        terms = await self._terms(row) or Terms()
        limit: int | None = None
        if row.deadline_at is not None:
            limit = row.deadline_at - (row.created_at if row.due_at is None else row.due_at)
        if terms.timeout_seconds is not None and (limit is None or row.generation > 1):
            limit = int(terms.timeout_seconds * 1e6)
        watches: tuple[Topic, ...] = ()
        if terms.cancel_on is not None and not callable(terms.cancel_key):
            key = key_for(terms, terms.cancel_key, row.workflow, "cancel_on", row.input, None, {})
            watches = (topic(self.tenant, terms.cancel_on, key),)
        return limit, watches

    async def fork(
        self,
        run_id: str,
        *,
        from_step: str | Step[..., Any] | None = None,
        occurrence: int = 1,
        input: Mapping[str, Any] | None = None,
        output: Any = UNSET,
        id: str | None = None,
    ) -> str:
        """Start a new run that keeps what an old one had recorded before a step; the old one stays as it was.

        Args:
            run_id: the old run, ended or not.
            from_step: the step to begin with, by name; also a child workflow's name or an event's. From the
                start unless given.
            occurrence: which of the calls of that name, in the order of the code, from 1.
            input: arguments to change, by name: the step's, or without ``from_step`` the workflow's.
            output: what the step is taken to have returned; it is not executed then.
            id: of the new run; made up unless given.

        Returns:
            The new run's id.

        Raises:
            RunNotFound: the tenant has no run of this id.
            StepNotFound: it has not recorded such a step, or not so often.
            RunExists: the id is taken.
            UsageError: what is given does not fit together.
            PayloadError: an argument or the output does not fit.
        """
        source = await self._find(run_id)
        if from_step is None and (not isinstance(output, Unset) or occurrence != 1):
            raise UsageError("fork: output and occurrence belong to a step; name it with from_step")
        if input is not None and not isinstance(output, Unset):
            raise UsageError("fork: a step with an edited output is not executed, so that its input cannot be edited")
        given, kept, edits, seq = source.input, [], [], 0
        if from_step is not None:
            entries = await self._in_force(source)
            target = _occurrence(source, entries, from_step, occurrence)
            seq = target.seq
            kept = [
                (one.position, one.generation)
                for one in entries
                if one.seq < seq and one.outcome in (Outcome.OK, Outcome.ERROR) and one.kind != Kind.CANCEL
            ]
            if input is not None:
                [target] = await self._with_values([target], "input")
            edits = _edits(from_step, target, input, output, self.core.most_bytes)
        elif input is not None:
            [source] = await self._with_values([source], "input")
            given = _merged(source.input, input, f"{source.workflow}()", self.core.most_bytes)
        row = await self._fork_row(source, given, seq, id)
        standing = tuple(edit._replace(run=row.uid) for edit in edits)
        started = await self._patiently(self.core.store.fork(Fork(row, tuple(kept), standing)))
        if started.uid != row.uid:
            raise RunExists(f"the id {row.id!r} is taken; choose another", run_id=row.id)
        self.core.announce("ready")
        await self._record(
            "run.fork",
            row.id,
            forked_from=source.id,
            from_step=from_step.name if isinstance(from_step, Step) else from_step,
            occurrence=occurrence if occurrence != 1 else None,
            input="edited" if input is not None else None,
            output=None if isinstance(output, Unset) else "edited",
        )
        return row.id

    async def _fork_row(self, source: RunRow, given: bytes, seq: int, id: str | None) -> Start:
        now = self.core.now_us()
        uid = uuid7(now, secrets.token_bytes(10))
        registered = await self._terms(source)
        terms = registered or Terms()
        limit = terms.timeout_seconds
        attributes = ATTRIBUTES.decode(source.attributes, "attributes") if source.attributes else {}
        row = Start(
            uid=uid,
            tenant=self.tenant,
            id=uid.hex() if id is None else check_id(id, "the id of a run"),
            workflow=source.workflow,
            version=source.version,
            protocol=PROTOCOL,
            queue=source.queue,
            priority=source.priority,
            rank=rank(now, source.priority),
            input=given,
            attributes=source.attributes,
            created_at=now,
            due_at=None,
            parent_uid=None,
            parent_position=None,
            parent_generation=None,
            parent_epoch=None,
            forked_from=source.uid,
            forked_seq=seq,
            deadline_at=None if limit is None else now + int(limit * 1e6),
            facts=facts_of(attributes),
        )
        if source.lane is not None and (registered is None or (callable(terms.key) and given == source.input)):
            row = row._replace(
                lane=source.lane, lane_name=source.lane_name, lane_key=source.lane_key, slots=terms.slots
            )
            terms = replace(terms, lane=None)
        if callable(terms.share):
            terms = replace(terms, share=None)  # it stays in the share of its source
        return with_terms(under_caller(row), terms, None, {})

    async def _in_force(self, row: RunRow) -> list[JournalRow]:
        """What is recorded of a run and replayed, in order of position."""
        rows, _ = await self._patiently(self.reads.load_journals([row.uid]))
        cuts = decode_cuts(row.cuts)
        latest = {
            one.position: one
            for one in rows
            if in_force(one.generation, one.seq, cuts) and one.outcome != Outcome.EDITED
        }
        return [latest[position] for position in sorted(latest)]

    async def replay_step(self, run_id: str, step: Step[..., Any], *, occurrence: int = 1) -> StepReplay:
        """Try a step again aside, on its recorded input: nothing of the run is changed.

        The step's function is called here, in this process, once; what it does outside, it does.

        Args:
            run_id: the run.
            step: the step, with its code.
            occurrence: which of its calls, in the order of the code, from 1.

        Raises:
            RunNotFound: the tenant has no run of this id.
            StepNotFound: it has not recorded such a step, or not so often.
            UsageError: it is given no step, or the step was recorded without an input.
        """
        if not isinstance(step, Step):
            raise UsageError(f"replay_step was given {step!r}; give it the step itself, a function with @hf.step")
        row = await self._find(run_id)
        entry = _occurrence(row, await self._in_force(row), step, occurrence)
        [entry] = await self._with_values([entry], "input", "output")
        if entry.input is None:
            raise UsageError(f"step {step.name!r} of run {row.id!r} was recorded without an input")
        args, kwargs = step.signature.decode_input(entry.input)
        frame = place.set(StepFrame(_Aside(row), entry.position, entry.attempts, entry.name))  # type: ignore[arg-type]
        output, error = None, None
        try:
            encoded, _ = step.signature.result.settle(await step.plain(args, kwargs), step.signature.result_place)
            output = _ANY.decode(encoded, step.signature.result_place)
        except Exception as raised:
            error = failure_view(encode_failure(raised))
        finally:
            place.reset(frame)
        failed = entry.outcome == Outcome.ERROR
        recorded = None if failed or entry.output is None else _ANY.decode(entry.output, step.signature.result_place)
        recorded_error = failure_view(entry.output) if failed and entry.output is not None else None
        then, now = lines_of(recorded, recorded_error), lines_of(output, error)
        difference = "\n".join(difflib.unified_diff(then, now, "recorded", "now", lineterm=""))
        return StepReplay(
            _ANY.decode(entry.input, "the recorded input"), recorded, recorded_error, output, error, difference
        )


class _Aside:
    """What a step that is tried aside sees as its run."""

    dead = True

    def __init__(self, run: RunRow) -> None:
        self.run = run


def _failed_seq(run: RunRow, entries: list[JournalRow]) -> int:
    """From which seq on a run's entries are done anew when it is retried."""
    if run.failed_seq is not None:
        return run.failed_seq
    cut_off = list(_cut_off(entries))
    if cut_off:
        return min(cut_off)
    if run.output is not None and run.status == Status.FAILED:
        # Ended by a version that did not note the entry, or by an error that took no attribute.
        error = _told(run.output)
        same = [
            one.seq for one in entries if one.outcome == Outcome.ERROR and one.output and _told(one.output) == error
        ]
        if same:
            return max(same)
    return max((entry.seq for entry in entries), default=0) + 1


def _told(payload: bytes) -> tuple[str, str]:
    error = failure_view(payload)
    return error["type"], error["message"]


def _cut_off(entries: list[JournalRow]) -> Iterator[int]:
    """Where a cancelled run was cut off: its marks, and what waited there, which waits anew. A sleep only goes on."""
    marked = {entry.position.removesuffix(MARK) for entry in entries if entry.kind == Kind.CANCEL}
    for entry in entries:
        if entry.kind == Kind.CANCEL or (entry.position in marked and entry.kind != Kind.SLEEP):
            yield entry.seq


def _occurrence(run: RunRow, entries: list[JournalRow], step: str | Step[..., Any], occurrence: int) -> JournalRow:
    name = step.name if isinstance(step, Step) else check_id(step, "the name of a step")
    if isinstance(occurrence, bool) or not isinstance(occurrence, int) or occurrence < 1:
        raise UsageError(f"occurrence is {occurrence!r}; give a whole number, 1 or more")
    kinds = (Kind.STEP,) if isinstance(step, Step) else (Kind.STEP, Kind.CHILD, Kind.EVENT, Kind.MAP)
    fan_outs = {one.position + ALL_STARTED for one in entries if one.kind == Kind.MAP}
    calls = [one for one in entries if one.kind in kinds and one.position not in fan_outs]
    found = [one for one in calls if one.name == name]
    if len(found) < occurrence:
        names = ", ".join(sorted({one.name for one in calls})) or "none"
        often = f"{len(found)} of step {name!r}" if found else f"no step {name!r}"
        raise StepNotFound(f"run {run.id!r} has recorded {often}; its steps are: {names}", run_id=run.id)
    return found[occurrence - 1]


def _edits(
    step: str | Step[..., Any], target: JournalRow, input: Mapping[str, Any] | None, output: Any, most: int
) -> list[JournalRow]:
    if not isinstance(output, Unset):
        if target.kind == Kind.MAP:
            raise UsageError(
                f"{target.name!r} is a fan-out, whose results are those of its child runs: fork one of them"
            )
        if isinstance(step, Step):
            encoded, _ = step.signature.result.settle(output, step.signature.result_place, most)
        else:
            encoded = _ANY.encode(output, f"the edited output of {target.name!r}", most)
        return [target._replace(generation=1, outcome=str(Outcome.OK), output=encoded)]
    if input is None:
        return []
    if target.kind != Kind.STEP or target.input is None:
        raise UsageError(f"{target.name!r} is no step with a recorded input; edit its output instead")
    edited = _merged(target.input, input, f"{target.name}()", most)
    if isinstance(step, Step):
        step.signature.decode_input(edited)
    return [target._replace(generation=0, seq=0, outcome=str(Outcome.EDITED), input=edited, output=None)]


def _merged(recorded: bytes, changes: Mapping[str, Any], what: str, most: int) -> bytes:
    if not isinstance(changes, Mapping):
        raise UsageError(f"the edited input of {what} is {changes!r}; give its arguments by name")
    known = _ARGUMENTS.decode(recorded, f"{what} input")
    unknown = [name for name in changes if name not in known]
    if unknown:
        raise UsageError(f"{what} has no argument {unknown[0]!r}; it has {', '.join(known) or 'none'}")
    return _ARGUMENTS.encode({**known, **changes}, f"{what} input", most)


def lines_of(value: Any, error: dict[str, Any] | None) -> list[str]:
    if error is not None:
        return [f"{error['type']}: {error['message']}"]
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
