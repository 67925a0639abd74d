"""What is handed in by requests: many at once share a transaction, and what is wrong with one is told it alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

import holdfast as hf
from holdfast.errors import StoreUnavailable
from holdfast.intake.files import read_intake
from holdfast.intake.handing import HandedEntry, Requests
from holdfast.store.base import Rejected
from holdfast.store.intake_rows import TakeIn, TakenIn
from tests.engine.helpers import serving, until
from tests.intake.taking_kit import counts, desk, ids_of_runs, registered, write

pytestmark = pytest.mark.slow

FORMS = '[sources.forms]\nkind = "http"\nworkflow = "desk"\nid = "id"\nbatch = 100\n'


async def hand_in(requests: Requests, number: int) -> HandedEntry:
    body = msgspec.json.encode({"id": f"o-{number}", "text": "order"})
    return await requests.take("default", "forms", body, {"Content-Type": "application/json"})


async def test_those_that_come_together_are_written_together(
    disk_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hf.connect(disk_url) as client:
        await registered(client, desk)
        requests = Requests(client.core, read_intake(write(tmp_path, FORMS)))
        intake, asked = client.core.store.intake, []
        take_in = intake.take_in

        async def faulty(one: TakeIn) -> TakenIn:
            asked.append(one)
            if any(entry.message_id == "o-7" for entry in one.entries):
                raise Rejected("it holds what is not stored")
            done = await take_in(one)
            if len(asked) == 1:
                raise StoreUnavailable("the answer was lost")
            return done

        assert (await hand_in(requests, 0)).outcome == "run"
        monkeypatch.setattr(intake, "take_in", faulty)
        found = await asyncio.gather(
            *(hand_in(requests, number) for number in (*range(150, 300), *range(150, 160))), return_exceptions=False
        )
        assert [one.outcome for one in found] == ["run"] * 150 + ["repeated"] * 10
        assert len({one.run_id for one in found}) == 150
        assert len(asked) <= 4, "each was written by itself"
        mixed = await asyncio.gather(*(hand_in(requests, number) for number in range(5, 10)), return_exceptions=True)
        assert isinstance(mixed[2], hf.PayloadError)
        assert "what is not stored" in str(mixed[2])
        assert [one.outcome for one in mixed if isinstance(one, HandedEntry)] == ["run"] * 4
        await requests.close()
        assert len(await ids_of_runs(client)) == 155
        [source] = await client.sources()
        assert counts(source) == (155, 0, 10, 0)


async def test_two_servers_take_in_at_once(disk_url: str, tmp_path: Path) -> None:
    sources = read_intake(write(tmp_path, FORMS))
    async with hf.connect(disk_url) as client:
        await registered(client, desk)
        servers = [Requests(client.core, sources) for _ in range(3)]
        for first in range(0, 60, 20):
            found = await asyncio.gather(
                *(hand_in(server, number) for number in range(first, first + 20) for server in servers)
            )
            assert sorted(one.outcome for one in found) == ["repeated"] * 40 + ["run"] * 20
        assert await ids_of_runs(client) == sorted(f"o-{number}" for number in range(60))


async def test_the_path_that_is_changed_counts_for_what_comes_next(disk_url: str, tmp_path: Path) -> None:
    async with hf.connect(disk_url) as client:
        await registered(client, desk)
        requests = Requests(client.core, read_intake(write(tmp_path, FORMS, old_path="legacy")))
        await hand_in(requests, 1)
        await client.roll_back("desk")
        await hand_in(requests, 2)
        await client.cut_over("desk")
        await hand_in(requests, 3)
        paths = {entry.message_id: entry.path for entry in await client.entries()}
        assert paths == {"o-1": "primary", "o-2": "shadow", "o-3": "primary"}
        handed = {message.id: message.verdict for message in await client.messages(channel="legacy")}
        assert len(handed) == 2


async def test_a_store_that_stays_away_is_told(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.intake.handing.PATIENCE_SECONDS", 0.05)
    async with hf.connect(sqlite_url) as client:
        await registered(client, desk)
        requests = Requests(client.core, read_intake(write(tmp_path, FORMS)))

        async def away(_: TakeIn) -> TakenIn:
            raise StoreUnavailable("it is away")

        with monkeypatch.context() as patched:
            patched.setattr(client.core.store.intake, "take_in", away)
            with pytest.raises(hf.StoreUnavailable, match="it is away"):
                await hand_in(requests, 1)
        assert (await hand_in(requests, 1)).outcome == "run"


async def test_a_source_that_takes_requests_is_shown_before_the_first_one(sqlite_url: str, tmp_path: Path) -> None:
    async with serving(sqlite_url, desk, intake=write(tmp_path, FORMS)) as client:
        await until(lambda: _shown(client))


async def _shown(client: hf.Client) -> bool:
    return [(source.name, source.kind) for source in await client.sources()] == [("forms", "http")]
