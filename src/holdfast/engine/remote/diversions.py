"""Starts that were diverted, seen and started after all through a server."""

from __future__ import annotations

import msgspec

from holdfast.engine.diversion_views import DiversionView, check_diversion_filter, diversion_uid
from holdfast.engine.diversions import PAGE_AT_MOST, Diversions
from holdfast.engine.remote.part import RemotePart
from holdfast.engine.remote.wire import path
from holdfast.store.operations import DivertedWay, Rule


class _Run(msgspec.Struct):
    run: str


class RemoteDiversions(RemotePart, Diversions):
    """The part of a remote client that has to do with starts that were diverted."""

    async def diversions(
        self,
        *,
        workflow: str | None = None,
        key: str | None = None,
        way: DivertedWay | None = None,
        rule: Rule | None = None,
        run_id: str | None = None,
        id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[DiversionView]:
        """See `Client.diversions`."""
        check_diversion_filter(workflow, key, way, rule, run_id, id)
        behind = None if before is None else diversion_uid(before).hex()
        return await self._some(
            "/diversions", DiversionView, limit, PAGE_AT_MOST, workflow=workflow, key=key, way=way, rule=rule,
            run=run_id, id=id, cursor=behind,
        )  # fmt: skip

    async def diversion(self, id: str) -> DiversionView:
        """See `Client.diversion`."""
        return await self._get(path("diversions", diversion_uid(id).hex()), DiversionView)

    async def start_diverted(self, id: str) -> str:
        """See `Client.start_diverted`."""
        return (await self._post(path("diversions", diversion_uid(id).hex(), "start"), None, _Run)).run
