"""Starting runs through a server: by the workflow's own code, which encodes what it takes, or by its name."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, ParamSpec, TypeVar, overload

import msgspec

from holdfast.engine.bulk import BulkAction, BulkPreview, BulkResult, bulk_order
from holdfast.engine.client import Call, Client, Handles, RunHandle, _checked, _encode
from holdfast.engine.diversion_views import Diverted
from holdfast.engine.remote.part import RemotePart, run_path, without_none
from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.terms import said_keys, said_terms
from holdfast.engine.remote.wire import instant_text, path, raw, read, stored
from holdfast.engine.step import Step
from holdfast.engine.workflow import Configured, StartOptions, Workflow, start_options
from holdfast.errors import PayloadError, RunExists, UsageError
from holdfast.model.ids import check_id, uuid7
from holdfast.model.payload import MAX_PAYLOAD_BYTES, body_of, codec_of
from holdfast.model.run import RunView
from holdfast.model.signature import Signature
from holdfast.store.operations import Rule, Way

P = ParamSpec("P")
R = TypeVar("R")

START_AT_ONCE = 1000
"""So many runs are started by one request, at most."""

BYTES_AT_ONCE = 4_000_000
"""So many bytes of input are sent with one request, unless a single run has more."""


class _Started(msgspec.Struct):
    id: str
    created: bool = True
    way: Way = "started"
    reason: str = ""
    rule: Rule | None = None
    key: str = ""
    run: str | None = None
    diversion: str | None = None

    @property
    def diverted(self) -> Diverted | None:
        """What a rule made of it."""
        if self.way == "started":
            return None
        return Diverted(self.way, self.reason, self.rule, self.key, self.run or "", self.diversion or "")


class _Batch(msgspec.Struct):
    items: list[_Started]


class RemoteStarting(RemotePart, Client):
    """The part of a remote client that starts runs."""

    async def start(
        self, workflow: Workflow[P, R] | Configured[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> RunHandle[R]:
        """See `Client.start`."""
        configured = workflow if isinstance(workflow, Configured) else Configured(_checked(workflow), StartOptions())
        target = configured.workflow
        call = target.signature.encode_input(args, kwargs), args, dict(kwargs)
        [handle] = await self._start_coded(target, [configured.options], [call])
        return handle

    async def start_many(
        self,
        workflow: Workflow[P, R] | Configured[P, R],
        inputs: Iterable[Sequence[Any] | Mapping[str, Any]],
        *,
        ids: Iterable[str] | None = None,
    ) -> Handles[R]:
        """See `Client.start_many`."""
        configured = workflow if isinstance(workflow, Configured) else Configured(_checked(workflow), StartOptions())
        target, options = configured.workflow, configured.options
        calls = [_encode(target.signature, arguments, MAX_PAYLOAD_BYTES) for arguments in inputs]
        if options.id is not None:
            raise UsageError("start_many starts many runs: give ids=…, one for each, instead of options(id=…)")
        each = [options] * len(calls)
        if ids is not None:
            named = [check_id(one, "the id of a run") for one in ids]
            if len(named) != len(calls):
                raise UsageError(f"start_many was given {len(calls)} inputs and {len(named)} ids")
            each = [replace(options, id=one) for one in named]
        handles: list[RunHandle[R]] = []
        for part in _parts(calls):
            handles += await self._start_coded(target, each[part], calls[part])
        return handles

    async def start_named(
        self, name: str, value: Mapping[str, Any], *, version: str | None = None, **options: Any
    ) -> RunHandle[Any]:
        """See `Client.start_named`."""
        if not isinstance(value, Mapping):
            raise UsageError(f"the input of {name}() is {value!r}; give an object with its arguments by name")
        chosen = start_options(**options)
        body = {"version": version, **_said(chosen), "input": raw(dict(value), f"{name}() input")}
        made = await self._start_one(check_id(name, "the name of a workflow"), chosen.id, body)
        return RunHandle(self, None, made.id, b"", made.created, made.diverted)

    async def _start_coded(
        self, workflow: Workflow[Any, R], options: Sequence[StartOptions], calls: Sequence[Call]
    ) -> list[RunHandle[R]]:
        """Start runs on the terms of the code that is here, whether or not a worker is known to serve it."""
        common = (
            {"version": workflow.version, "terms": said_terms(workflow.terms), **_said(options[0])} if calls else {}
        )
        items = [
            {"input": stored(given, f"{workflow.name}() input"), **said_keys(workflow, given, args or (), kwargs)}
            for given, args, kwargs in calls
        ]
        ids = [option.id for option in options]
        try:
            if len(items) == 1:
                started = [await self._start_one(workflow.name, ids[0], {**common, **items[0]})]
            else:
                started = await self._start_batch(workflow.name, ids, common, items)
        except RunExists as error:
            # Without the code, a server takes inputs for others that only their decoding shows to be the same.
            if len(items) > 1:
                one_by_one = zip(options, calls, strict=True)
                return [(await self._start_coded(workflow, [option], [call]))[0] for option, call in one_by_one]
            assert ids[0] is not None
            started = [await self._same(workflow, ids[0], calls[0][0], error)]
        return [RunHandle(self, workflow, one.id, b"", one.created, one.diverted) for one in started]

    async def _start_one(self, name: str, id: str | None, body: Mapping[str, Any]) -> _Started:
        # An id of our own makes the start safe to repeat by itself.
        made = _new_id() if id is None else id
        answer = await self._call("POST", path("workflows", name, "runs"), {**body, "id": made}, named=id is not None)
        said = read(answer.body, _Started)
        if said.way in ("merged", "dropped"):
            return said
        said.id, said.created = made, id is None or answer.status == 201
        return said

    async def _start_batch(
        self, name: str, ids: Sequence[str | None], common: Mapping[str, Any], items: Sequence[Mapping[str, Any]]
    ) -> list[_Started]:
        if not items:
            return []
        each = [{**item, "id": _new_id() if id is None else id} for item, id in zip(items, ids, strict=True)]
        own = all(id is None for id in ids)
        address = f"{path('workflows', name)}/runs:batch"
        try:
            answer = await self.server.ask("POST", address, {**common, "items": each}, named=not own)
        except Refusal as refusal:
            if refusal.kind == "body-too-large" and len(items) > 1:
                half = len(items) // 2
                first = await self._start_batch(name, ids[:half], common, items[:half])
                return first + await self._start_batch(name, ids[half:], common, items[half:])
            raise refusal.error() from None
        found = read(answer.body, _Batch).items
        if own:
            for one in found:  # what a repeated request finds, it made itself
                one.created = one.way in ("started", "delayed")
        return found

    async def _same(self, workflow: Workflow[Any, Any], id: str, given: bytes, error: RunExists) -> _Started:
        """A run that exists, if it is what was to be started.

        Raises:
            RunExists: it is not.
        """
        view = await self._view(id)
        if view is None or view.workflow != workflow.name or not _same_input(workflow.signature, view.input, given):
            raise error
        return _Started(id, False)

    async def _view(self, run_id: str) -> RunView | None:
        try:
            return read((await self.server.ask("GET", run_path(run_id))).body, RunView)
        except Refusal as refusal:
            if refusal.kind == "run-not-found":
                return None
            raise refusal.error() from None

    # Many at once

    @overload
    async def bulk(
        self,
        action: BulkAction,
        where: str,
        *,
        dry_run: Literal[False] = False,
        reason: str = "",
        by: str = "",
        from_step: str | Step[..., Any] | None = None,
        id: str | None = None,
    ) -> RunHandle[BulkResult]: ...
    @overload
    async def bulk(
        self,
        action: BulkAction,
        where: str,
        *,
        dry_run: bool,
        reason: str = "",
        by: str = "",
        from_step: str | Step[..., Any] | None = None,
        id: str | None = None,
    ) -> RunHandle[BulkResult] | BulkPreview: ...
    async def bulk(
        self,
        action: BulkAction,
        where: str,
        *,
        dry_run: bool = False,
        reason: str = "",
        by: str = "",
        from_step: str | Step[..., Any] | None = None,
        id: str | None = None,
    ) -> RunHandle[BulkResult] | BulkPreview:
        """See `Client.bulk`."""
        order = bulk_order(action, where, reason, by, from_step, time.time_ns() // 1000)
        if dry_run:
            body = {**order, "dry_run": True}
            return await self._post("/runs:bulk", body, BulkPreview, named=False)
        there = id is not None and await self._view(check_id(id, "the id of a run")) is not None
        made = _new_id() if id is None else id
        answer = await self._call("POST", "/runs:bulk", {**order, "id": made})
        job: RunHandle[BulkResult] = RunHandle(self, None, read(answer.body, _Started).id, b"", not there)
        job._codec = codec_of(BulkResult)
        return job


def _new_id() -> str:
    """As those that are made for runs without an id: it sorts by time."""
    return uuid7(time.time_ns() // 1000, secrets.token_bytes(10)).hex()


def _said(options: StartOptions) -> dict[str, Any]:
    """Start options, the id left out, as a request has them."""
    return without_none(
        priority=options.priority or None,
        delay=options.delay_seconds,
        at=None if options.at is None else instant_text(options.at),
        queue=options.queue,
        attributes=raw(options.attributes, "attributes") if options.attributes else None,
        timeout=options.timeout_seconds,
        shadow=options.shadow or None,
    )


def _parts(calls: Sequence[Call]) -> Iterable[slice]:
    """How many starts share a request."""
    first, size = 0, 0
    for number, (given, _, _) in enumerate(calls):
        if number > first and (number - first >= START_AT_ONCE or size + len(given) > BYTES_AT_ONCE):
            yield slice(first, number)
            first, size = number, 0
        size += len(given)
    if first < len(calls):
        yield slice(first, len(calls))


def _same_input(signature: Signature, shown: Any, given: bytes) -> bool:
    try:
        known = codec_of(Any).encode(shown, "input")
        return body_of(known, "input") == body_of(given, "input") or (
            signature.decode_input(known) == signature.decode_input(given)
        )
    except PayloadError:
        return False
