"""What a server refuses, by the type of its problem, as the exceptions that the local client raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from holdfast import errors
from holdfast.errors import HoldfastError

BASE = "https://holdfast.dev/problems/"


class Refusal(Exception):
    """What a server answered instead of what was asked.

    Attributes:
        kind: the problem's name; empty where the answer is none of the API's.
        status: the HTTP status.
        document: the problem.
        perhaps_done: whether the request was sent before and may have been carried out then.
    """

    perhaps_done = False

    def __init__(self, kind: str, status: int, document: dict[str, Any]) -> None:
        super().__init__(kind, status)
        self.kind = kind
        self.status = status
        self.document = document

    @property
    def detail(self) -> str:
        """What happened, in words."""
        said = str(self.document.get("detail") or self.document.get("title") or f"the server answered {self.status}")
        return said

    def error(self) -> HoldfastError:
        """The exception that a local client would raise."""
        make = _ERRORS.get(self.kind)
        return make(self) if make is not None else _unforeseen(self)


def refusal_of(status: int, media_type: str, body: bytes) -> Refusal:
    """What an answer that is no success says."""
    if media_type.partition(";")[0].strip() == "application/problem+json":
        try:
            document = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError:
            document = {}
        kind = str(document.get("type", ""))
        if kind.startswith(BASE):
            return Refusal(kind.removeprefix(BASE), status, document)
    return Refusal("", status, {})


def _unforeseen(refusal: Refusal) -> HoldfastError:
    if not refusal.kind and refusal.status < 500:
        return errors.NotOurs(
            f"what answers there is no holdfast server, or one of another version: it answered {refusal.status}"
        )
    error_id = refusal.document.get("error_id")
    found = f" (error id {error_id}, which the server's log has too)" if error_id else ""
    return errors.StoreError(f"{refusal.detail}{found}")


def _plainly(cls: Callable[[str], HoldfastError]) -> Callable[[Refusal], HoldfastError]:
    return lambda refusal: cls(refusal.detail)


def _of_run(cls: type[errors.RunError]) -> Callable[[Refusal], HoldfastError]:
    return lambda refusal: cls(refusal.detail, run_id=str(refusal.document.get("run_id", "")))


def _dropped(refusal: Refusal) -> HoldfastError:
    said = {name: str(refusal.document.get(name, "")) for name in ("run_id", "reason", "rule", "key", "diversion")}
    return errors.StartDropped(refusal.detail, **said)


def _search(refusal: Refusal) -> HoldfastError:
    places = refusal.document.get("errors") or [{}]
    return errors.SearchError(refusal.detail, position=int(places[0].get("position") or 0))


def _payload(refusal: Refusal) -> HoldfastError:
    place, reason = refusal.document.get("place"), refusal.document.get("reason")
    return errors.PayloadError(str(place), str(reason or "")) if place else errors.PayloadError(refusal.detail)


def _of_item(cls: type[errors.ItemError]) -> Callable[[Refusal], HoldfastError]:
    return lambda refusal: cls(refusal.detail, item_id=str(refusal.document.get("item_id", "")))


def _of_message(cls: type[errors.MessageError]) -> Callable[[Refusal], HoldfastError]:
    return lambda refusal: cls(refusal.detail, message_id=str(refusal.document.get("message_id", "")))


def _artifact(cls: type[errors.WorkspaceError]) -> Callable[[Refusal], HoldfastError]:
    return lambda refusal: cls(refusal.detail, location=str(refusal.document.get("location", "")))


def _move(refusal: Refusal) -> HoldfastError:
    said = refusal.document
    allowed = [str(one) for one in said.get("allowed") or ()]
    item_id, stands = str(said.get("item_id", "")), str(said.get("stands", ""))
    return errors.IllegalMove(refusal.detail, item_id=item_id, status=stands, allowed=allowed)


def _rule(refusal: Refusal) -> HoldfastError:
    line, column = (int(refusal.document.get(name) or 1) for name in ("line", "column"))
    return errors.RuleError(refusal.detail, line=line, column=column)


def _input(refusal: Refusal) -> HoldfastError:
    return _payload(refusal) if refusal.document.get("place") else errors.UsageError(refusal.detail)


def _workflow(refusal: Refusal) -> HoldfastError:
    return errors.UnknownWorkflow(refusal.detail, workflow=str(refusal.document.get("workflow", "")))


_ERRORS: dict[str, Callable[[Refusal], HoldfastError]] = {
    "run-not-found": _of_run(errors.RunNotFound),
    "run-exists": _of_run(errors.RunExists),
    "start-dropped": _dropped,
    "run-not-possible": _of_run(errors.NotPossible),
    "step-not-found": _of_run(errors.StepNotFound),
    "workflow-unknown": _workflow,
    "schedule-not-found": _plainly(errors.ScheduleNotFound),
    "schedule-changed": _plainly(errors.ScheduleExists),
    "user-not-found": _plainly(errors.UserNotFound),
    "user-exists": _plainly(errors.UserExists),
    "key-not-found": _plainly(errors.KeyNotFound),
    "item-not-found": _of_item(errors.ItemNotFound),
    "batch-not-found": _plainly(errors.UsageError),
    "item-exists": _of_item(errors.ItemExists),
    "item-changed": _of_item(errors.ItemChanged),
    "illegal-move": _move,
    "artifact-not-found": _artifact(errors.ArtifactNotFound),
    "artifact-elsewhere": _artifact(errors.ArtifactElsewhere),
    "artifact-changed": _artifact(errors.ArtifactChanged),
    "message-not-found": _of_message(errors.MessageNotFound),
    "message-not-possible": _of_message(errors.MessageNotPossible),
    "publishing-changed": _plainly(errors.PublishingChanged),
    "phases-not-found": _plainly(errors.PhasesNotFound),
    "subject-not-found": _plainly(errors.SubjectNotFound),
    "definition-not-found": _plainly(errors.DefinitionNotFound),
    "rule-refused": _rule,
    "work-changed": _plainly(errors.WorkChanged),
    "source-not-found": _plainly(errors.SourceNotFound),
    "source-changed": _plainly(errors.SourceChanged),
    "entry-not-found": _plainly(errors.EntryNotFound),
    "diversion-not-found": _plainly(errors.DiversionNotFound),
    "entry-settled": _plainly(errors.EntrySettled),
    "search-unreadable": _search,
    "payload-refused": _payload,
    "value-sealed": _plainly(errors.CodecError),
    "input-refused": _input,
    "malformed-body": _plainly(errors.PayloadError),
    "body-too-large": _plainly(errors.PayloadError),
    "invalid-request": _plainly(errors.UsageError),
    "malformed-request": _plainly(errors.UsageError),
    "request-differs": _plainly(errors.UsageError),
    "unauthorised": _plainly(errors.Unauthorised),
    "forbidden": _plainly(errors.Forbidden),
    "csrf": _plainly(errors.Forbidden),
    "wrong-host": _plainly(errors.Forbidden),
    "wrong-origin": _plainly(errors.Forbidden),
    "too-many-requests": _plainly(errors.StoreUnavailable),
    "request-under-way": _plainly(errors.StoreUnavailable),
    "too-slow": _plainly(errors.StoreUnavailable),
    "unavailable": _plainly(errors.StoreUnavailable),
    "not-writable": _plainly(errors.StoreReadOnly),
    "schema": _plainly(errors.StoreError),
}
