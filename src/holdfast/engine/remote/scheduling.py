"""Schedules through a server: made and changed, stopped, run out of turn."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from holdfast.engine.remote.part import RemotePart, check_revision, without_none
from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.wire import instant_text, path, raw, read
from holdfast.engine.scheduling import Schedules, ScheduleView, _arguments, _name_of
from holdfast.engine.workflow import Workflow, start_options
from holdfast.errors import HoldfastError, ScheduleExists, ScheduleNotFound, UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.model.local_times import Closed
from holdfast.model.payload import body_of
from holdfast.model.schedule import CatchUp, Overlap
from holdfast.model.schedule import schedule as checked_schedule


class _Made(msgspec.Struct):
    id: str


class _Ids(msgspec.Struct):
    items: list[str]


class RemoteSchedules(RemotePart, Schedules):
    """The part of a remote client that has to do with schedules."""

    async def schedule(
        self,
        name: str,
        workflow: Workflow[Any, Any] | str,
        *,
        input: Sequence[Any] | Mapping[str, Any] = (),
        cron: str | None = None,
        zone: str = "UTC",
        every: Duration | None = None,
        start_at: datetime | None = None,
        overlap: Overlap | str = Overlap.SKIP,
        catch_up: CatchUp | str = CatchUp.LATEST,
        catch_up_within: Duration | None = None,
        rrule: str | None = None,
        calendar: str | None = None,
        closed: Closed | str = Closed.SKIP,
        jitter: Duration | None = None,
        priority: int = 0,
        queue: str | None = None,
        attributes: dict[str, Any] | None = None,
        timeout: Duration | None = None,
        revision: int | None = None,
    ) -> ScheduleView:
        """See `Client.schedule`. The server has to know the workflow: some worker has served it."""
        code = workflow if isinstance(workflow, Workflow) else None
        target = code.name if code is not None else _name_of(workflow, name)
        checked_schedule(
            name, target, cron=cron, zone=zone, every=every, start_at=start_at, overlap=overlap, catch_up=catch_up,
            catch_up_within=catch_up_within, rrule=rrule, calendar=calendar, closed=closed, jitter=jitter,
        )  # fmt: skip
        options = start_options(priority=priority, queue=queue, attributes=attributes, timeout=timeout)
        body = without_none(
            workflow=target,
            cron=cron,
            zone=zone,
            every=None if every is None else seconds(every),
            start_at=None if start_at is None else instant_text(start_at),
            overlap=str(overlap),
            catch_up=str(catch_up),
            catch_up_within=None if catch_up_within is None else seconds(catch_up_within),
            rrule=rrule,
            calendar=calendar,
            closed=str(closed),
            jitter=None if jitter is None else seconds(jitter),
            priority=priority,
            queue=queue,
            attributes=raw(options.attributes, "attributes") if options.attributes else None,
            timeout=options.timeout_seconds,
        )
        args, kwargs = _arguments(name, input)
        if code is not None:
            given = code.signature.encode_input(args, kwargs)
            body["input"] = _flat(code, given)
        elif args:
            raise UsageError(f"the input of schedule {name!r} must be a mapping by name: {target!r} is but a name")
        else:
            body["input"] = raw(kwargs, f"{target}() input")
        return await self._changed("PUT", name, revision, body)

    async def schedules(self) -> list[ScheduleView]:
        """See `Client.schedules`."""
        return await self._every("/schedules", ScheduleView)

    async def get_schedule(self, name: str) -> ScheduleView:
        """See `Client.get_schedule`."""
        return await self._get(_path(name), ScheduleView)

    async def pause_schedule(self, name: str, *, revision: int | None = None) -> ScheduleView:
        """See `Client.pause_schedule`."""
        return await self._changed("POST", name, revision, None, "pause")

    async def resume_schedule(self, name: str, *, revision: int | None = None) -> ScheduleView:
        """See `Client.resume_schedule`."""
        return await self._changed("POST", name, revision, None, "resume")

    async def run_schedule(self, name: str) -> str:
        """See `Client.run_schedule`."""
        return (await self._post(_path(name, "run"), None, _Made)).id

    async def backfill(self, name: str, since: datetime, until: datetime) -> list[str]:
        """See `Client.backfill`."""
        for what, at in (("since", since), ("until", until)):
            if not isinstance(at, datetime) or at.tzinfo is None:
                raise UsageError(f"backfill: {what} is {at!r}; give an aware instant, such as datetime(…, tzinfo=UTC)")
        body = {"since": instant_text(since), "until": instant_text(until)}
        return (await self._post(_path(name, "backfill"), body, _Ids)).items

    async def delete_schedule(self, name: str) -> bool:
        """See `Client.delete_schedule`."""
        return await self._deleted(_path(name), "schedule-not-found")

    async def _changed(
        self, method: str, name: str, revision: int | None, body: dict[str, Any] | None, *more: str
    ) -> ScheduleView:
        """Change a schedule; with a revision, only if it stands there."""
        check_revision(revision, "the schedule's view")
        headers: dict[str, str] = {}
        try:
            if revision == 0:
                headers["If-None-Match"] = "*"
            elif revision is not None:
                stands = await self.server.ask("GET", _path(name))
                view = read(stands.body, ScheduleView)
                if view.revision != revision:
                    raise _moved_on(name, f"it is at revision {view.revision}, not {revision}")
                headers["If-Match"] = stands.etag or "*"
            answer = await self.server.ask(method, _path(name, *more), body, headers=headers)
        except Refusal as refusal:
            if refusal.kind == "changed":
                raise _moved_on(name, refusal.detail) from None
            error = refusal.error()
            if isinstance(error, ScheduleNotFound) and revision is not None and method == "PUT":
                raise _moved_on(name, "it does not exist") from None
            raise error from None
        return read(answer.body, ScheduleView)


def _flat(workflow: Workflow[Any, Any], given: bytes) -> msgspec.Raw:
    """A stored input as it is given by name: what is in ``**kwargs`` stands beside the other arguments."""
    parts = msgspec.json.decode(body_of(given, "input"), type=dict[str, msgspec.Raw])
    for one in inspect.signature(workflow.fn).parameters.values():
        if one.kind is one.VAR_KEYWORD and one.name in parts:
            parts |= msgspec.json.decode(parts.pop(one.name), type=dict[str, msgspec.Raw])
    return msgspec.Raw(msgspec.json.encode(parts))


def _path(name: str, *more: str) -> str:
    return path("schedules", check_id(name, "the name of a schedule"), *more)


def _moved_on(name: str, how: str) -> HoldfastError:
    return ScheduleExists(f"schedule {name!r} is changed by others: {how}; look at it and try again")
