"""What is answered when a request cannot be: RFC 9457 problems, each with a stable type, its places and an id."""

from __future__ import annotations

import logging
import math
import os
import secrets
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from holdfast import errors
from holdfast.errors import HoldfastError, PayloadError, UsageError

log = logging.getLogger("holdfast.api")

BASE = "https://holdfast.dev/problems/"
"""What the type of every problem begins with; its name follows."""

MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """A kind of problem."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    # The request as such
    "malformed-body": Kind(400, "The body cannot be read"),
    "malformed-request": Kind(400, "The request cannot be read"),
    "unauthorised": Kind(401, "Not signed in"),
    "forbidden": Kind(403, "Not allowed"),
    "wrong-host": Kind(403, "Not called by its name"),
    "wrong-origin": Kind(403, "From another site"),
    "csrf": Kind(403, "Without the token of the session"),
    "not-found": Kind(404, "Nothing here"),
    "method-not-allowed": Kind(405, "Not with this method"),
    "bad-input": Kind(400, "Something in the request does not fit"),
    "too-slow": Kind(408, "The body did not come"),
    "changed": Kind(412, "Changed meanwhile"),
    "body-too-large": Kind(413, "The body is too large"),
    "unsupported-media-type": Kind(415, "Not a body that is read here"),
    "invalid-request": Kind(422, "Something in the request does not fit"),
    "too-many-requests": Kind(429, "Too many requests"),
    # Requests that name themselves
    "request-under-way": Kind(409, "The same request is still worked on"),
    "request-differs": Kind(422, "Another request had this key"),
    # What it is about
    "run-not-found": Kind(404, "No such run"),
    "run-exists": Kind(409, "The id is taken"),
    "run-not-possible": Kind(409, "The run is in no state for that"),
    "step-not-found": Kind(409, "The run has recorded no such step"),
    "workflow-unknown": Kind(404, "No such workflow"),
    "input-refused": Kind(409, "What stands does not take this input"),
    "schedule-not-found": Kind(404, "No such schedule"),
    "schedule-changed": Kind(409, "The schedule is changed by somebody else"),
    "user-not-found": Kind(404, "No such person"),
    "user-exists": Kind(409, "The person is there, or the address taken"),
    "key-not-found": Kind(404, "No such key"),
    "item-not-found": Kind(404, "No such work item"),
    "batch-not-found": Kind(404, "No such bulk operation"),
    "item-exists": Kind(409, "The item is there, or its place is taken"),
    "item-changed": Kind(409, "The item is changed by somebody else"),
    "illegal-move": Kind(409, "The item is in no state for that"),
    "subject-not-found": Kind(404, "No such subject"),
    "definition-not-found": Kind(404, "No such definition"),
    "rule-refused": Kind(409, "A rule cannot be read"),
    "work-changed": Kind(409, "It is changed by somebody else"),
    "conversation-not-found": Kind(404, "No such conversation"),
    "conversation-expired": Kind(410, "The conversation has expired"),
    "conversation-ended": Kind(409, "The conversation is over"),
    "conversation-busy": Kind(409, "Another turn is in progress"),
    "turn-conflict": Kind(409, "The turn's id is taken"),
    "turn-lost": Kind(409, "Another turn came between"),
    "artifact-not-found": Kind(404, "No such artifact"),
    "artifact-elsewhere": Kind(409, "The artifact cannot be read from here"),
    "artifact-changed": Kind(409, "The artifact is not what was recorded"),
    "phases-not-found": Kind(404, "No such phases"),
    "message-not-found": Kind(404, "No such message"),
    "message-not-possible": Kind(409, "The message is in no state for that"),
    "publishing-changed": Kind(409, "It is changed by somebody else"),
    "source-not-found": Kind(404, "No such source"),
    "source-changed": Kind(409, "The source was read on meanwhile"),
    "entry-not-found": Kind(404, "No such entry"),
    "start-dropped": Kind(409, "A rule dropped the start"),
    "diversion-not-found": Kind(404, "No such diverted start"),
    "entry-settled": Kind(409, "The entry is not dead"),
    "search-unreadable": Kind(422, "The search cannot be read"),
    "payload-refused": Kind(422, "A value cannot be stored as it is"),
    "value-sealed": Kind(409, "A value cannot be opened here"),
    "webhook-refused": Kind(401, "The webhook is not signed as it should be"),
    # The server
    "internal": Kind(500, "Something went wrong here"),
    "sign-in-unavailable": Kind(502, "The identity provider does not answer"),
    "turn-failed": Kind(502, "The turn failed, and nothing of it is stored"),
    "turn-timeout": Kind(504, "The turn took too long, and nothing of it is stored"),
    "unavailable": Kind(503, "The database or the state store does not answer"),
    "not-writable": Kind(503, "The database takes nothing in"),
    "schema": Kind(503, "The database is of another version"),
}
"""Every problem by its name: what stands in ``docs/reference/http.md``."""

_OF_ERRORS: Sequence[tuple[type[BaseException], str]] = (
    (errors.RunNotFound, "run-not-found"),
    (errors.RunExists, "run-exists"),
    (errors.StartDropped, "start-dropped"),
    (errors.NotPossible, "run-not-possible"),
    (errors.StepNotFound, "step-not-found"),
    (errors.UnknownWorkflow, "workflow-unknown"),
    (errors.ScheduleNotFound, "schedule-not-found"),
    (errors.ScheduleExists, "schedule-changed"),
    (errors.UserNotFound, "user-not-found"),
    (errors.UserExists, "user-exists"),
    (errors.KeyNotFound, "key-not-found"),
    (errors.Unauthorised, "unauthorised"),
    (errors.Forbidden, "forbidden"),
    (errors.SearchError, "search-unreadable"),
    (errors.ItemNotFound, "item-not-found"),
    (errors.ItemExists, "item-exists"),
    (errors.ItemChanged, "item-changed"),
    (errors.IllegalMove, "illegal-move"),
    (errors.SubjectNotFound, "subject-not-found"),
    (errors.DefinitionNotFound, "definition-not-found"),
    (errors.RuleError, "rule-refused"),
    (errors.WorkChanged, "work-changed"),
    (errors.ConversationNotFound, "conversation-not-found"),
    (errors.ConversationExpired, "conversation-expired"),
    (errors.ConversationEnded, "conversation-ended"),
    (errors.ConversationBusy, "conversation-busy"),
    (errors.TurnConflict, "turn-conflict"),
    (errors.TurnLost, "turn-lost"),
    (errors.TurnFailed, "turn-failed"),
    (errors.TurnTimeout, "turn-timeout"),
    (errors.ArtifactNotFound, "artifact-not-found"),
    (errors.ArtifactElsewhere, "artifact-elsewhere"),
    (errors.ArtifactChanged, "artifact-changed"),
    (errors.PhasesNotFound, "phases-not-found"),
    (errors.MessageNotFound, "message-not-found"),
    (errors.MessageNotPossible, "message-not-possible"),
    (errors.PublishingChanged, "publishing-changed"),
    (errors.SourceNotFound, "source-not-found"),
    (errors.SourceChanged, "source-changed"),
    (errors.EntryNotFound, "entry-not-found"),
    (errors.DiversionNotFound, "diversion-not-found"),
    (errors.EntrySettled, "entry-settled"),
    (errors.CodecError, "value-sealed"),
    (errors.PayloadError, "payload-refused"),
    (errors.UsageError, "invalid-request"),
    (errors.StoreUnavailable, "unavailable"),
    (errors.StoreReadOnly, "not-writable"),
    (errors.StoreFull, "not-writable"),
    (errors.SchemaTooOld, "schema"),
    (errors.SchemaTooNew, "schema"),
    (errors.NotOurs, "schema"),
    (errors.StoreError, "unavailable"),
)

_OF_STATUS = {
    400: "malformed-request",
    401: "unauthorised",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
    422: "invalid-request",
    429: "too-many-requests",
    503: "unavailable",
}

_OWN_PLACES = ("attributes", "data", "properties", "contacts", "signals")
"""What a place of a value in a body begins with."""

RETRY_AFTER_SECONDS = 1

_AGAIN = ("turn-lost", "turn-failed", "turn-timeout")
"""Problems with which nothing happened, so that the same may be asked again."""

LONGEST = 2000
"""So many characters, at most, says a problem of what is wrong."""


class Place(NamedTuple):
    """Where in a request something is wrong: ``pointer`` into its body (RFC 6901), or a ``parameter``; and what."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request is not answered as asked.

    Attributes:
        kind: its name, of `KINDS`.
        detail: what happened, to what, and what to do.
        errors: the places of the fault.
        headers: that go with the answer.
        more: further members of the document.
        error_id: by which it is found in the log.
        trace: for developers; only where asked for.
        terse: a fault of ours is told by its type, title, status and error id alone.
    """

    kind: str
    detail: str
    errors: tuple[Place, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    error_id: str = field(default_factory=lambda: secrets.token_hex(6))
    trace: str | None = None
    terse: bool = False

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind].status

    @property
    def title(self) -> str:
        """What kind of problem it is, in words."""
        return KINDS[self.kind].title

    def document(self, instance: str) -> dict[str, Any]:
        """The problem as it is answered.

        Args:
            instance: the path of the request.
        """
        said: dict[str, Any] = {
            "type": BASE + self.kind,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "error_id": self.error_id,
        }
        if self.terse and self.status >= 500:
            for name in ("detail", "instance"):
                del said[name]
            return said if self.trace is None else {**said, "trace": self.trace}
        if self.errors:
            said["errors"] = [
                {name: value for name, value in place._asdict().items() if value is not None} for place in self.errors
            ]
        if self.trace is not None:
            said["trace"] = self.trace
        return {**said, **self.more}

    def response(self, instance: str) -> Response:
        """The problem as an answer of the API."""
        body = msgspec.json.encode(self.document(instance))
        return Response(body, self.status, dict(self.headers), MEDIA_TYPE)


class Refused(HoldfastError):
    """A request is not answered as asked; raised by the API itself.

    Attributes:
        problem: what is answered.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        errors: Sequence[Place] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(kind, detail, tuple(errors), headers or {}, more)


def problem_of(error: BaseException) -> Problem:
    """What is answered for an exception."""
    if isinstance(error, Refused):
        return error.problem
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        kind = _OF_STATUS.get(error.status_code, "internal" if error.status_code >= 500 else "malformed-request")
        detail = error.detail or KINDS[kind].title
        if kind == "not-found":
            detail = "there is nothing at this address; /api/openapi.json lists what there is"
        elif kind == "method-not-allowed":
            detail = "this address does not take this method"
        return Problem(kind, detail, headers=error.headers or {})
    for of, kind in _OF_ERRORS:
        if isinstance(error, of):
            return _known(error, kind)
    return Problem("internal", "an error that nobody foresaw; the log has it under the error id", trace=trace_of(error))


def trace_of(error: BaseException) -> str | None:
    """Where an exception was raised, with what led to it; only where developers ask for it."""
    return "".join(traceback.format_exception(error)) if os.environ.get("HOLDFAST_DEBUG") == "1" else None


def input_refused(error: UsageError | PayloadError) -> Refused:
    """The refusal of an input that is well-formed, but not what a workflow, a step or an item takes as it stands."""
    found = _known(error, "payload-refused" if isinstance(error, PayloadError) else "invalid-request")
    return Refused("input-refused", found.detail, errors=found.errors, **found.more)


def report(problem: Problem, error: BaseException | None, method: str, route: str) -> None:
    """Put a problem in the log, by its id; never with what the request brought.

    Args:
        problem: what is answered.
        error: what was raised.
        method: of the request.
        route: the route's path, with its parameters unfilled.
    """
    said = {"error_id": problem.error_id, "problem": problem.kind, "method": method, "route": route}
    line = "%s %s: %s, error id %s"
    if problem.kind == "internal":
        log.error(line, method, route, problem.kind, problem.error_id, exc_info=error, extra=said)
    elif problem.status >= 500:
        log.warning(line, method, route, problem.detail, problem.error_id, extra=said)
    else:
        log.info(line, method, route, problem.kind, problem.error_id, extra=said)


def _known(error: BaseException, kind: str) -> Problem:
    """A problem from one of our own exceptions."""
    places: tuple[Place, ...] = ()
    headers: dict[str, str] = {}
    more: dict[str, Any] = {}
    if isinstance(error, errors.RunError) and error.run_id:
        more["run_id"] = error.run_id
    if isinstance(error, errors.StartDropped):
        more |= {"reason": error.reason, "rule": error.rule, "key": error.key, "diversion": error.diversion}
    if isinstance(error, errors.UnknownWorkflow) and error.workflow:
        more["workflow"] = error.workflow
    if isinstance(error, errors.ItemError) and error.item_id:
        more["item_id"] = error.item_id
    if isinstance(error, errors.IllegalMove):
        more |= {"stands": error.status, "allowed": error.allowed}
    if isinstance(error, errors.ConversationError) and error.conversation_id:
        more["conversation_id"] = error.conversation_id
    if isinstance(error, errors.ConversationBusy):
        more["held_seconds"] = round(error.held_seconds, 3)
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
    if isinstance(error, errors.MessageError) and error.message_id:
        more["message_id"] = error.message_id
    if isinstance(error, errors.WorkspaceError) and error.location:
        more["location"] = error.location
    if isinstance(error, errors.RuleError):
        more |= {"line": error.line, "column": error.column}
    if isinstance(error, errors.SearchError):
        places = (Place(str(error).partition("\n")[0], parameter="where", position=error.position),)
    if isinstance(error, errors.PayloadError):
        place, reason = _short(error.place), _short(error.reason)
        more |= {"place": place, "reason": reason}
        places = (Place(reason or place, pointer=pointer_of(error.place)),)
    if kind == "unauthorised":
        headers["WWW-Authenticate"] = 'Bearer realm="holdfast"'
    if KINDS[kind].status == 503 or kind in _AGAIN:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return Problem(kind, _short(str(error)), places, headers, more)


def _short(text: str) -> str:
    """A text that may show what was sent, cut where it is long."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _invalid(error: RequestValidationError) -> Problem:
    """A problem from what FastAPI found wrong."""
    places = []
    for fault in error.errors()[:20]:
        where, *path = fault["loc"]
        said = str(fault["msg"])
        if where == "body":
            places.append(Place(said, pointer="".join(f"/{escaped(part)}" for part in path)))
        else:
            places.append(Place(said, parameter=".".join(str(part) for part in path)))
    first = places[0] if places else Place("")
    name = first.pointer if first.parameter is None else first.parameter
    said = f"{name or 'the body'}: {first.detail}"
    more = f"; and {len(places) - 1} more" if len(places) > 1 else ""
    return Problem("invalid-request", said + more, tuple(places))


def escaped(part: object) -> str:
    """A name or an index, as it stands in a JSON pointer."""
    return str(part).replace("~", "~0").replace("/", "~1")


def pointer_of(place: str) -> str | None:
    """The pointer into the body for a place as `PayloadError` names it: ``checkout() input.lines[3].price``.

    Returns:
        As ``/input/lines/3/price``; None where the place is none of the body.
    """
    head, known, rest = place.rpartition(" ")
    if known and head.endswith(("()", "of")):
        rest = rest.strip("'")
    elif place.startswith(_OWN_PLACES):
        rest = place
    elif "() argument " not in place:
        return None
    made, part = "", ""
    for character in rest:
        if character in ".[":
            made += f"/{escaped(part)}" if part else ""
            part = ""
        elif character != "]":
            part += character
    return f"{made}/{escaped(part)}" if part else made or None
