"""The outbox of a server: messages published, looked at, sent again and discarded; modes and paths."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from holdfast.engine.messages import MessageCounts, MessageView
from holdfast.engine.outboxes import (
    COUNT_AT_MOST,
    PAGE_AT_MOST,
    Outboxes,
    check_filter,
    checked_ids,
    checked_uid,
)
from holdfast.engine.part import check_whole
from holdfast.engine.publish_modes import (
    ROLLBACK_WINDOW,
    PublishModes,
    PublishSettingView,
    check_mode,
)
from holdfast.engine.publishing import check_reason, checked
from holdfast.engine.remote.part import RemotePart, without_none
from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.wire import path, read, stored
from holdfast.errors import HoldfastError, MessageNotFound, MessageNotPossible
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id, uuid7
from holdfast.model.publishing import MessageStatus, PublishMode


class _Published(msgspec.Struct):
    id: str


class RemotePublishing(RemotePart, Outboxes, PublishModes):
    """The part of a remote client that has to do with messages, and with how they are published."""

    async def publish(
        self,
        channel: str,
        message: Any,
        *,
        id: str | None = None,
        key: object = None,
        delay: Duration | None = None,
        review: str | None = None,
        refuse: str | None = None,
        workflow: str = "",
    ) -> str:
        """See `Client.publish`."""
        given = checked(channel, message, id=id, key=key, delay=delay, review=review, refuse=refuse)
        body = without_none(
            channel=channel,
            message=stored(given.body, "message"),
            # An id of our own makes it safe to repeat by itself.
            id=given.id or uuid7(time.time_ns() // 1000, secrets.token_bytes(10)).hex(),
            key=given.key,
            delay=given.delay_us / 1e6 if given.delay_us else None,
            review=review,
            refuse=refuse,
            workflow=check_id(workflow, "the workflow of a message") if workflow != "" else None,
        )
        return (await self._post("/outbox", body, _Published)).id

    async def messages(
        self,
        *,
        status: MessageStatus | None = None,
        channel: str | None = None,
        workflow: str | None = None,
        run: str | None = None,
        key: str | None = None,
        doubt: bool | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[MessageView]:
        """See `Client.messages`."""
        check_filter(status, channel, workflow, key, doubt)
        query: dict[str, Any] = {
            "status": status,
            "channel": channel,
            "workflow": workflow,
            "run": None if run is None else check_id(run, "the id of a run"),
            "key": key,
            "doubt": None if doubt is None else str(doubt).lower(),
            "cursor": None if before is None else checked_uid(before).hex(),
        }
        return await self._some("/outbox", MessageView, limit, PAGE_AT_MOST, **query)

    async def message(self, id: str) -> MessageView:
        """See `Client.message`."""
        return await self._get(_path(id), MessageView)

    async def message_counts(self, *, cap: int = 1000) -> MessageCounts:
        """See `Client.message_counts`."""
        check_whole(cap, "cap", COUNT_AT_MOST)
        return await self._get("/outbox:counts", MessageCounts, cap=cap)

    async def send_again(self, ids: str | Sequence[str]) -> list[str]:
        """See `Client.send_again`."""
        return await self._each(ids, "send", None)

    async def discard_message(self, ids: str | Sequence[str], reason: str) -> list[str]:
        """See `Client.discard_message`."""
        return await self._each(ids, "discard", {"reason": check_reason(reason, "the reason to discard a message")})

    async def publish_settings(self) -> list[PublishSettingView]:
        """See `Client.publish_settings`."""
        return await self._whole("/publishing", PublishSettingView)

    async def set_publish_mode(self, mode: PublishMode | None, workflow: str | None = None) -> PublishSettingView:
        """See `Client.set_publish_mode`."""
        check_mode(mode, workflow)
        name = None if workflow is None else check_id(workflow, "the workflow")
        answer = await self._call("PUT", "/publishing", {"mode": mode, "workflow": name})
        return read(answer.body, PublishSettingView)

    async def cut_over(self, workflow: str, rollback_window: Duration = ROLLBACK_WINDOW) -> PublishSettingView:
        """See `Client.cut_over`."""
        body = {"rollback_window": seconds(rollback_window, what="the rollback window")}
        return await self._post(_of_workflow(workflow, "cut-over"), body, PublishSettingView)

    async def roll_back(self, workflow: str) -> PublishSettingView:
        """See `Client.roll_back`."""
        return await self._post(_of_workflow(workflow, "roll-back"), None, PublishSettingView)

    async def _each(
        self, ids: str | Sequence[str], change: Literal["send", "discard"], body: dict[str, Any] | None
    ) -> list[str]:
        """Change messages one after the other; of several, those that cannot be are left as they are."""
        changed = []
        for id in checked_ids(ids):
            try:
                await self.server.ask("POST", _path(id, change), body)
            except Refusal as refusal:
                error: HoldfastError = refusal.error()
                if isinstance(ids, str) or not isinstance(error, MessageNotFound | MessageNotPossible):
                    raise error from None
            else:
                changed.append(id)
        return changed


def _path(id: str, *more: str) -> str:
    return path("outbox", check_id(id, "the id of a message"), *more)


def _of_workflow(workflow: str, what: str) -> str:
    return path("publishing", check_id(workflow, "the workflow"), what)
