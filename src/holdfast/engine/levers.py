"""What a client can do to runs that are under way: stop them and let them go on, send them events."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.engine.asking import cancellation
from holdfast.engine.events import TIME_TO_LIVE, To, checked, encode_payload
from holdfast.engine.holds import hold_terms
from holdfast.engine.part import UNSET, Part, Unset
from holdfast.errors import NotPossible, Rejected, RunHeld, RunNotFound, UsageError
from holdfast.model.duration import Duration
from holdfast.model.failure import encode_failure
from holdfast.model.ids import check_id, derived_bytes
from holdfast.model.notes import Note, encode_note
from holdfast.model.payload import codec_of
from holdfast.model.run import Status
from holdfast.store.operations import Action, Control, Event
from holdfast.store.rows import RunRow

RELEASE_SECONDS = 10.0
"""How long a release waits for a run that is about to be held."""

_ANY = codec_of(Any)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of an event that was sent.

    Attributes:
        created: whether this call sent it; False when an event of its id had been sent.
        waits: how many waits it satisfied at once. None yet: it is kept for those that come.
        cancels: how many runs it cancels.
    """

    created: bool
    waits: int
    cancels: int


class Levers(Part):
    """The part of a client that steers runs."""

    async def cancel(self, run_id: str, *, reason: str = "", by: str = "") -> None:
        """Cancel a run and its children.

        A run that was never executed ends at once. Any other is told: its durable calls raise
        `Cancelled`, its ``finally`` blocks run, and it ends cancelled. To cancel twice does nothing more.

        Args:
            reason: shown to people.
            by: who asks.

        Raises:
            RunNotFound: the tenant has no run of this id.
            NotPossible: it has ended.
        """
        row = await self._find(run_id)
        note = Note("cancel", check_text(reason, "reason"), check_text(by, "by"))
        await self._ask(row, cancellation(self.core, row.uid, self.tenant, row.id, note))
        await self._record("run.cancel", row.id, reason=reason, by=by)

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
        """Hold a run: it takes no further step until it is released.

        What it executes just now is ended and recorded. It keeps its lane's slot; events and timers that
        come meanwhile are kept for it. A work item of kind hold says that it is held; to complete it releases the run.

        Args:
            run_id: the run.
            reason: shown to people.
            by: who holds it.
            assignee: who is to release or reject it.
            group: or the people any of whom may.
            due: within which time, in seconds or as text such as ``"2d"``.
            escalate_to: who is asked to look when it is overdue, one after the other.

        Raises:
            RunNotFound: the tenant has no run of this id.
            NotPossible: it has ended, or is being cancelled.
            UsageError: a value out of range.
        """
        terms = {**hold_terms(assignee, group, due, escalate_to), "at": self.core.now_us()}
        row = await self._find(run_id)
        note = Note("hold", check_text(reason, "reason"), check_text(by, "by"), terms=terms)
        said = f"held by {by}" if by else "held"
        held = RunHeld(f"{said}: {reason}" if reason else said, run_id=row.id, terms=terms)
        await self._ask(row, self._control(row, "hold", note, encode_failure(held)))
        await self._record("run.hold", row.id, reason=reason, by=by)

    async def release(self, run_id: str, value: Any = UNSET, *, by: str = "") -> None:
        """Let a held run go on.

        Args:
            value: what ``hf.hold`` in the run's code returns; None unless given.
            by: who releases it.

        Raises:
            RunNotFound: the tenant has no run of this id.
            NotPossible: it is not held; or a value was given and the run's code did not ask for one.
            PayloadError: the value cannot be stored.
        """
        row = await self._find(run_id)
        given = not isinstance(value, Unset)
        output = _ANY.encode(value if given else None, "the value of a release", self.core.most_bytes)
        note = Note("release", by=check_text(by, "by"), value=given)
        await self._ask(row, self._control(row, "release", note, output))
        await self._record("run.release", row.id, by=by, value="given" if given else None)

    async def reject(self, run_id: str, *, reason: str = "", by: str = "") -> None:
        """Reject what a run is held for: ``hf.hold`` in its code raises `Rejected`.

        A run that was held from outside is cancelled.

        Raises:
            RunNotFound: the tenant has no run of this id.
            NotPossible: it is not held.
        """
        row = await self._find(run_id)
        said = f"rejected by {by}" if by else "rejected"
        error = Rejected(f"{said}: {reason}" if reason else said, run_id=row.id)
        note = Note("reject", check_text(reason, "reason"), check_text(by, "by"))
        await self._ask(row, self._control(row, "reject", note, encode_failure(error)))
        await self._record("run.reject", row.id, reason=reason, by=by)

    def _control(self, row: RunRow, action: Action, note: Note, output: bytes | None) -> Control:
        return Control(row.uid, self.tenant, action, encode_note(note), output, self.core.now_us())

    async def _ask(self, row: RunRow, control: Control) -> None:
        deadline = asyncio.get_running_loop().time() + RELEASE_SECONDS
        while True:
            found = await self._patiently(self.core.control(control))
            # A run that is about to be held is released when it is.
            about_to = control.action in ("release", "reject") and found.outcome == "asked"
            if not about_to or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.05)
        if found.outcome == "missing":
            raise RunNotFound(f"tenant {self.tenant!r} has no run {row.id!r}", run_id=row.id)
        stands = "it was until just now" if row.status == Status.HELD else f"it is {row.status}"
        refusals = {
            "ended": f"run {row.id!r} has ended: it is {found.status}",
            "not held": f"run {row.id!r} is not held: {stands}; only a held run is released or rejected",
            "cancelling": f"run {row.id!r} is being cancelled",
            "no value": f"run {row.id!r} was held from outside, and its code asks for no value: release it without "
            "one, or fork it with an edited input or output",
        }
        if found.outcome in refusals:
            raise NotPossible(refusals[found.outcome], run_id=row.id)

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
        """Send an event to the runs that wait for it, or will.

        Args:
            name: its name.
            payload: what the waiting run is given: plain JSON, or an object of a class that pydantic knows.
            key: what it is about: a text, a whole number or a UUID; the same at ``hf.wait_for_event``.
            to: ``"first"``: the run that has waited longest, else the first that waits while it is kept;
                ``"all"``: every run that waits while it is kept.
            keep: how long it is kept for runs that wait later.
            id: to send it once however often this is called, while it is kept.

        Raises:
            PayloadError: the payload cannot be stored.
            UsageError: not a name, a key or a duration.
        """
        about, length = checked(self.tenant, name, key, to, keep)
        now = self.core.now_us()
        made = secrets.token_bytes(16)
        if id is not None:
            made = derived_bytes(about.id, 0, check_id(id, "the id of an event").encode(), b"event")[:16]
        given = await self.core.set_apart(encode_payload(payload, about, self.core.most_bytes))
        event = Event(made, about, given, to == "all", now, now + int(length * 1e6))
        delivered = await self._patiently(self.core.committer.submit("events", event))
        if delivered.created:
            await self._record("event.send", name, key=about.key, to=to, id=id)
        return Delivery(delivered.created, delivered.waits, delivered.cancels)


def check_text(value: object, what: str) -> str:
    if not isinstance(value, str) or len(value) > 1000 or "\0" in value:
        raise UsageError(f"{what} is {value!r}; give a text of at most 1000 characters, without NUL")
    return value
