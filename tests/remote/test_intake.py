"""Intake through a server: what it shows and does is what the database's own client shows and does."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from tests.intake.taking_kit import append, desk, once, orders, registered, write
from tests.remote.conftest import Place

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


async def test_sources_entries_and_paths_are_the_same_through_a_server(place: Place, tmp_path: Path) -> None:
    tenant = uuid.uuid4().hex
    write(tmp_path, tenant=tenant)
    append(tmp_path, [*orders(1, 2, 3), "{one", "{two"])
    async with (
        hf.connect(place.url, tenant=tenant) as local,
        hf.connect(place.address, tenant=tenant) as remote,
    ):
        await registered(local, desk)
        await once(local, tmp_path)
        told = [
            hf.PathOutcome("o-1", "sent", "Yes", dt.datetime(2026, 3, 1, tzinfo=dt.UTC)),
            {"message_id": "o-9", "decided": "withheld"},
        ]
        assert await remote.record_outcomes("desk", told) == 2
        assert await local.record_outcomes("desk", told[:1]) == 0
        second, first = await remote.entries(outcome="dead")
        run_id = await remote.retry_entry(first.id, b'{"id": "o-4"}')
        assert (await local.get(run_id)).attributes == {"source": "orders"}
        await remote.discard_entry(second.id, "a test")
        since = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        until = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
        asked: list[Callable[[hf.Client], Awaitable[Any]]] = [
            lambda client: client.sources(),
            lambda client: client.entries(),
            lambda client: client.entries(limit=2, before=first.id),
            lambda client: client.entries(message_id="o-2", source="orders", since=since, until=until),
            lambda client: client.entries(run=run_id),
            lambda client: client.entry(second.id),
            lambda client: client.compare("desk"),
            lambda client: client.compare("desk", which="missing", since=since, until=until),
            lambda client: client.count_compared("desk"),
            lambda client: client.cutover_criteria("desk", since=since, until=until),
        ]
        for ask in asked:
            ours, theirs = await ask(local), await ask(remote)
            assert ours
            assert repr(theirs) == repr(ours)
        page = await local.compare("desk", limit=1)
        assert await remote.compare("desk", before=page[0].id) == await local.compare("desk", before=page[0].id)
        position = (await local.sources())[0].position
        assert (await remote.rewind_source("orders")).position is None
        assert (await remote.rewind_source("orders", position)).position == position
        for refused, error in (
            (remote.entry("00" * 16), hf.EntryNotFound),
            (remote.retry_entry(first.id), hf.EntrySettled),
            (remote.retry_entry(first.id, b"\xff"), hf.PayloadError),
            (remote.rewind_source("other"), hf.SourceNotFound),
            (remote.discard_entry(first.id, ""), hf.UsageError),
            (remote.entries(limit=0), hf.UsageError),
            (remote.record_outcomes("desk", [{"message_id": "a"}]), hf.UsageError),
        ):
            with pytest.raises(error):
                await refused
