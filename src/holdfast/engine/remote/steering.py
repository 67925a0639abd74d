"""Steering and mending runs through a server, and sending them events."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from holdfast.engine.context import StepFrame, place
from holdfast.engine.events import TIME_TO_LIVE, To, checked, encode_payload
from holdfast.engine.holds import hold_terms
from holdfast.engine.levers import Delivery, Levers, check_text
from holdfast.engine.mending import Mending, StepReplay, lines_of
from holdfast.engine.part import UNSET, Unset
from holdfast.engine.remote.part import RemotePart, run_path, without_none
from holdfast.engine.remote.wire import raw, stored
from holdfast.engine.step import Step
from holdfast.errors import StepNotFound, UsageError
from holdfast.model.duration import Duration
from holdfast.model.failure import encode_failure, failure_view
from holdfast.model.generations import encode_cuts
from holdfast.model.ids import check_id
from holdfast.model.payload import MAX_PAYLOAD_BYTES, codec_of
from holdfast.model.position import encode_number
from holdfast.model.run import JournalEntry, Kind, Outcome, RunView

_ANY = codec_of(Any)


class _Made(msgspec.Struct):
    id: str


class _Key(msgspec.Struct):
    idempotency_key: str


class _Run(NamedTuple):
    """What a step that is tried aside sees of its run."""

    id: str
    tenant: str
    generation: int
    uid: bytes
    cuts: bytes | None

    @classmethod
    def of(cls, run: RunView, tenant: str, key: str) -> _Run:
        uid, _, base = key.partition(".")
        return cls(run.id, tenant, run.attempt, bytes.fromhex(uid), encode_cuts([(int(base), 0)]) if base else None)


class _Aside:
    """What it sees as its execution."""

    dead = True

    def __init__(self, run: _Run) -> None:
        self.run = run


class RemoteLevers(RemotePart, Levers, Mending):
    """The part of a remote client that changes runs."""

    async def get(self, run_id: str) -> RunView:
        """See `Client.get`."""
        return await self._get(run_path(run_id), RunView)

    async def history(self, run_id: str) -> list[JournalEntry]:
        """See `Client.history`."""
        return await self._every(run_path(run_id, "journal"), JournalEntry)

    # Stop and go

    async def cancel(self, run_id: str, *, reason: str = "", by: str = "") -> None:
        """See `Client.cancel`."""
        await self._call("POST", run_path(run_id, "cancel"), _why(reason, by))

    async def hold(
        self,
        run_id: str,
        *,
        reason: str = "",
        by: str = "",
        assignee: str | None = None,
        group: str | None = None,
        due: Duration | None = None,
        escalate_to: str | Sequence[str] | None = None,
    ) -> None:
        """See `Client.hold`."""
        terms = hold_terms(assignee, group, due, escalate_to)
        if "due_seconds" in terms:
            terms["due"] = terms.pop("due_seconds")
        await self._call("POST", run_path(run_id, "hold"), {**_why(reason, by), **terms})

    async def release(self, run_id: str, value: Any = UNSET, *, by: str = "") -> None:
        """See `Client.release`."""
        given = {} if isinstance(value, Unset) else {"value": raw(value, "the value of a release")}
        await self._call("POST", run_path(run_id, "release"), {"by": check_text(by, "by"), **given})

    async def reject(self, run_id: str, *, reason: str = "", by: str = "") -> None:
        """See `Client.reject`."""
        await self._call("POST", run_path(run_id, "reject"), _why(reason, by))

    # Mending

    async def retry(self, run_id: str) -> None:
        """See `Client.retry`."""
        await self._call("POST", run_path(run_id, "retry"))

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
        """See `Client.fork`."""
        if from_step is None and (not isinstance(output, Unset) or occurrence != 1):
            raise UsageError("fork: output and occurrence belong to a step; name it with from_step")
        if input is not None and not isinstance(output, Unset):
            raise UsageError("fork: a step with an edited output is not executed, so that its input cannot be edited")
        body: dict[str, Any] = {"occurrence": occurrence, **without_none(id=id)}
        if from_step is not None:
            _check_occurrence(occurrence)
            name = from_step.name if isinstance(from_step, Step) else check_id(from_step, "the name of a step")
            body["from_step"] = name
        if input is not None:
            if not isinstance(input, Mapping):
                raise UsageError(f"the edited input of run {run_id!r} is {input!r}; give its arguments by name")
            body["input"] = raw(dict(input), f"the edited input of run {run_id!r}")
        if isinstance(output, Unset):
            pass
        elif isinstance(from_step, Step):
            encoded, _ = from_step.signature.result.settle(output, from_step.signature.result_place)
            body["output"] = stored(encoded, from_step.signature.result_place)
        else:
            body["output"] = raw(output, f"the edited output of {from_step!r}")
        return (await self._post(run_path(run_id, "fork"), body, _Made)).id

    async def replay_step(self, run_id: str, step: Step[..., Any], *, occurrence: int = 1) -> StepReplay:
        """See `Client.replay_step`: the step's function is called here, on the input that the server has recorded."""
        if not isinstance(step, Step):
            raise UsageError(f"replay_step was given {step!r}; give it the step itself, a function with @hf.step")
        run = await self.get(run_id)
        entry = _occurrence(run, await self.history(run_id), step, occurrence)
        if entry.input is None:
            raise UsageError(f"step {step.name!r} of run {run.id!r} was recorded without an input")
        args, kwargs = step.signature.decode_input(_ANY.encode(entry.input, "the recorded input"))
        key = (await self._get(run_path(run_id, "idempotency-key"), _Key)).idempotency_key
        aside = _Aside(_Run.of(run, self.tenant, key))
        frame = place.set(StepFrame(aside, _position(entry.position), entry.attempts, entry.name))  # type: ignore[arg-type]
        output, error = None, None
        try:
            encoded, _ = step.signature.result.settle(await step.plain(args, kwargs), step.signature.result_place)
            output = _ANY.decode(encoded, step.signature.result_place)
        except Exception as raised:
            error = failure_view(encode_failure(raised))
        finally:
            place.reset(frame)
        then, now = lines_of(entry.output, entry.error), lines_of(output, error)
        difference = "\n".join(difflib.unified_diff(then, now, "recorded", "now", lineterm=""))
        return StepReplay(entry.input, entry.output, entry.error, output, error, difference)

    # Events

    async def send_event(
        self,
        name: str,
        payload: Any = None,
        *,
        key: object = "",
        to: To = "first",
        keep: Duration = TIME_TO_LIVE,
        id: str | None = None,
    ) -> Delivery:
        """See `Client.send_event`."""
        about, length = checked(self.tenant, name, key, to, keep)
        body = {
            "name": about.name,
            "key": about.key,
            "payload": stored(encode_payload(payload, about, MAX_PAYLOAD_BYTES), "payload"),
            "to": to,
            "keep": length,
            **without_none(id=None if id is None else check_id(id, "the id of an event")),
        }
        return await self._post("/events", body, Delivery)


def _why(reason: str, by: str) -> dict[str, str]:
    return {"reason": check_text(reason, "reason"), "by": check_text(by, "by")}


def _position(text: str) -> bytes:
    """A position as it is stored."""
    return b"".join(encode_number(int(number)) for number in text.split("."))


def _check_occurrence(occurrence: object) -> None:
    if isinstance(occurrence, bool) or not isinstance(occurrence, int) or occurrence < 1:
        raise UsageError(f"occurrence is {occurrence!r}; give a whole number, 1 or more")


def _occurrence(run: RunView, journal: Sequence[JournalEntry], step: Step[..., Any], occurrence: int) -> JournalEntry:
    """The recorded call of a step that is meant.

    Raises:
        StepNotFound: there is none, or not so often.
    """
    _check_occurrence(occurrence)
    recorded = (Outcome.OK, Outcome.ERROR)
    latest = {one.position: one for one in journal if one.in_force and one.outcome in recorded}
    calls = [one for one in latest.values() if one.kind == Kind.STEP]
    found = [one for one in calls if one.name == step.name]
    if len(found) < occurrence:
        names = ", ".join(sorted({one.name for one in calls})) or "none"
        often = f"{len(found)} of step {step.name!r}" if found else f"no step {step.name!r}"
        raise StepNotFound(f"run {run.id!r} has recorded {often}; its steps are: {names}", run_id=run.id)
    return found[occurrence - 1]
