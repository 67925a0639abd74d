"""Work items moved through a server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.wire import raw, read
from holdfast.errors import UsageError
from holdfast.model.duration import Duration
from holdfast.model.ids import check_id
from holdfast.model.keys import check_key
from holdfast.model.merging import merge
from holdfast.workqueue import moves
from holdfast.workqueue.moving import Moving, _checked_patch, _lease_us
from holdfast.workqueue.remote.part import RemoteWork, item_path
from holdfast.workqueue.times import _moment, checked_days
from holdfast.workqueue.views import ItemView


class RemoteMoving(RemoteWork, Moving):
    """The part of a remote work queue that moves items."""

    async def start(self, id: str, *, revision: int | None = None) -> ItemView:
        """See `WorkQueue.start`."""
        return await self._ask_move(id, "start", None, revision)

    async def stop(self, id: str, *, revision: int | None = None) -> ItemView:
        """See `WorkQueue.stop`."""
        return await self._ask_move(id, "stop", None, revision)

    async def complete(
        self, id: str, data: Mapping[str, Any] | None = None, *, revision: int | None = None
    ) -> ItemView:
        """See `WorkQueue.complete`."""
        body = {} if data is None else {"data": _data(data)}
        return await self._ask_move(id, "complete", body, revision)

    async def skip(self, id: str, reason: str, *, revision: int | None = None) -> ItemView:
        """See `WorkQueue.skip`."""
        return await self._ask_move(id, "skip", {"reason": moves.checked_reason(reason, "skip")}, revision)

    async def reject(self, id: str, reason: str, *, revision: int | None = None) -> ItemView:
        """See `WorkQueue.reject`."""
        return await self._ask_move(id, "reject", {"reason": moves.checked_reason(reason, "reject")}, revision)

    async def snooze(
        self,
        id: str,
        *,
        days: int | None = None,
        until: date | datetime | str | None = None,
        event: str | None = None,
        key: object = "",
        revision: int | None = None,
    ) -> ItemView:
        """See `WorkQueue.snooze`."""
        if (days is not None and until is not None) or (days is None and until is None and event is None):
            raise UsageError("give days, from 1 to 90, or until, a day or an instant, or event, the name of one")
        body: dict[str, Any] = {}
        if event is not None:
            body = {"event": check_id(event, "event"), "key": "" if key == "" else check_key(key, "key")}
        if days is not None:
            body["days"] = checked_days(days)
        if until is not None:
            _moment(until, ZoneInfo("UTC"))
            body["until"] = until if isinstance(until, str) else until.isoformat()
        return await self._ask_move(id, "snooze", body, revision)

    async def wake(self, id: str, *, revision: int | None = None) -> ItemView:
        """See `WorkQueue.wake`."""
        return await self._ask_move(id, "wake", None, revision)

    async def escalate(self, id: str, to: str, *, reason: str = "", revision: int | None = None) -> ItemView:
        """See `WorkQueue.escalate`."""
        return await self._ask_move(id, "escalate", {"to": check_id(to, "to"), **_why(reason, "escalate")}, revision)

    async def acknowledge(self, id: str, *, revision: int | None = None) -> ItemView:
        """See `WorkQueue.acknowledge`."""
        return await self._ask_move(id, "acknowledge", None, revision)

    async def assign(self, id: str, to: str | None, *, reason: str = "", revision: int | None = None) -> ItemView:
        """See `WorkQueue.assign`."""
        who = None if to is None else check_id(to, "to")
        return await self._ask_move(id, "assign", {"to": who, **_why(reason, "assign")}, revision)

    async def claim(self, id: str, *, lease: Duration = "8h", revision: int | None = None) -> ItemView:
        """See `WorkQueue.claim`."""
        return await self._ask_move(id, "claim", {"lease": _lease_us(lease) / 1e6}, revision)

    async def claim_next(self, group: str, *, lease: Duration = "8h") -> ItemView | None:
        """See `WorkQueue.claim_next`."""
        body = {"group": check_id(group, "group"), "lease": _lease_us(lease) / 1e6}
        try:
            answer = await self.server.ask("POST", "/items:claim", body)
        except Refusal as refusal:
            if refusal.kind == "item-not-found":
                return None
            raise refusal.error() from None
        return read(answer.body, ItemView)

    async def release(self, id: str, *, revision: int | None = None) -> ItemView:
        """See `WorkQueue.release`."""
        return await self._ask_move(id, "release", None, revision)

    async def save(self, id: str, data: Mapping[str, Any], *, revision: int | None = None) -> ItemView:
        """See `WorkQueue.save`."""
        item_path(id)
        return await self._ask_move(id, "data", _data(data), revision, "PATCH")


def _data(data: object) -> Any:
    """What was filled in, checked as it is when it is stored."""
    patch = _checked_patch(data)
    merge({}, patch)
    return raw(patch, "data")


def _why(reason: str, move: str) -> dict[str, str]:
    return {} if reason == "" else {"reason": moves.checked_reason(reason, move)}
