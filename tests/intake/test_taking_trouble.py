"""What comes between a reading and its commit: other readers, outages, lost answers, values that are refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.errors import StoreUnavailable
from holdfast.store.base import Rejected
from holdfast.store.intake_rows import TakeIn, TakenIn
from tests.engine.helpers import until
from tests.intake.taking_kit import append, counts, desk, eager, ids_of_runs, once, orders, registered, write

pytestmark = pytest.mark.slow


async def test_of_two_who_read_at_once_one_takes_each_line_in(disk_url: str, tmp_path: Path) -> None:
    write(tmp_path, batch=7)
    async with hf.connect(disk_url) as client:
        await registered(client, desk)
        readers = [asyncio.create_task(eager(client, tmp_path).forever()) for _ in range(3)]
        for first in range(0, 300, 25):
            append(tmp_path, orders(*range(first, first + 25)))
            await asyncio.sleep(0.01)
        await until(lambda: _taken(client, 300))
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert await ids_of_runs(client) == sorted(f"o-{number}" for number in range(300))
        [source] = await client.sources()
        assert counts(source) == (300, 0, 0, 0)


async def _taken(client: hf.Client, number: int) -> bool:
    return sum(source.runs for source in await client.sources()) == number


async def test_an_answer_that_is_lost_is_asked_for_again(
    disk_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, batch=4)
    append(tmp_path, orders(*range(14)))
    async with hf.connect(disk_url) as client:
        await registered(client, desk)
        intake, asked = client.core.store.intake, []
        take_in = intake.take_in

        async def lossy(one: TakeIn) -> TakenIn:
            asked.append(one)
            if len(asked) % 3 == 1:
                raise StoreUnavailable("it did not get through")
            done = await take_in(one)
            if len(asked) % 3 == 2:
                raise StoreUnavailable("the answer was lost")
            return done

        monkeypatch.setattr(intake, "take_in", lossy)
        assert counts(await once(client, tmp_path)) == (14, 0, 0, 0)
        assert len(asked) == 3 * 4
        assert await ids_of_runs(client) == sorted(f"o-{number}" for number in range(14))
        [source] = await client.sources()
        assert counts(source) == (14, 0, 0, 0)


async def test_while_the_store_is_out_nothing_is_lost(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    append(tmp_path, orders(1))
    async with hf.connect(sqlite_url) as client:
        await registered(client, desk)
        store, out = client.core.store, asyncio.Event()
        tries = 0

        def failing(of: Any, name: str) -> None:
            real = getattr(of, name)

            async def verb(*args: Any, **more: Any) -> Any:
                nonlocal tries
                if out.is_set():
                    tries += 1
                    raise StoreUnavailable("it is out")
                return await real(*args, **more)

            monkeypatch.setattr(of, name, verb)

        for name in ("take_in", "open_source", "note_source"):
            failing(store.intake, name)
        failing(store, "list_workflows")
        failing(store, "list_queues")
        reader = asyncio.create_task(eager(client, tmp_path).forever())
        await until(lambda: _taken(client, 1))
        out.set()
        append(tmp_path, orders(2, 3))
        await until(lambda: _as_often(lambda: tries, 4))
        out.clear()
        await until(lambda: _taken(client, 3))
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        assert await ids_of_runs(client) == ["o-1", "o-2", "o-3"]


async def _as_often(count: Any, number: int) -> bool:
    return bool(count() >= number)


async def test_what_the_database_refuses_is_dead_alone(
    disk_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, batch=10)
    append(tmp_path, [*orders(*range(12)), "{broken"])
    async with hf.connect(disk_url) as client:
        await registered(client, desk)
        intake = client.core.store.intake
        take_in = intake.take_in

        async def picky(one: TakeIn) -> TakenIn:
            if any(entry.message_id in ("o-3", "o-11") and entry.start is not None for entry in one.entries):
                raise Rejected("it holds what is not stored")
            return await take_in(one)

        monkeypatch.setattr(intake, "take_in", picky)
        assert counts(await once(client, tmp_path)) == (10, 0, 0, 3)
        dead = {entry.message_id: entry.reason for entry in await client.entries(outcome="dead")}
        assert dead.keys() == {"o-3", "o-11", ""}
        assert dead["o-3"] == "it holds what is not stored"
        monkeypatch.undo()
        assert counts(await once(client, tmp_path)) == (0, 0, 0, 0)


async def test_a_crash_in_the_middle_of_a_batch_that_is_refused_loses_nothing(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, batch=4)
    append(tmp_path, orders(1, 2, 3, 4))
    async with hf.connect(sqlite_url) as client:
        await registered(client, desk)
        intake, written = client.core.store.intake, 0
        take_in = intake.take_in

        async def dies(one: TakeIn) -> TakenIn:
            nonlocal written
            if len(one.entries) > 2:
                raise Rejected("it holds what is not stored")
            if written == 2:
                raise asyncio.CancelledError
            written += len(one.entries)
            return await take_in(one)

        with monkeypatch.context() as patched:
            patched.setattr(intake, "take_in", dies)
            with pytest.raises(asyncio.CancelledError):
                await once(client, tmp_path)
        assert await ids_of_runs(client) == ["o-1", "o-2"]
        assert counts(await once(client, tmp_path)) == (2, 0, 2, 0)
        assert await ids_of_runs(client) == ["o-1", "o-2", "o-3", "o-4"]


async def test_a_dead_entry_is_taken_in_after_all_or_given_up(disk_url: str, tmp_path: Path) -> None:
    write(tmp_path)
    append(tmp_path, ["{one", "{two", *orders(1)])
    async with hf.connect(disk_url, actor="ida") as client:
        await registered(client, desk)
        assert counts(await once(client, tmp_path)) == (1, 0, 0, 2)
        one, two = reversed(await client.entries(outcome="dead"))
        with pytest.raises(hf.PayloadError, match="is no JSON that can be read"):
            await client.retry_entry(one.id)
        for broken, reason in ((b'"\xff"', "codec can't decode"), (b"[" * 100_000, "recursion depth")):
            with pytest.raises(hf.PayloadError, match=reason):
                await client.retry_entry(one.id, broken)
        run_id = await client.retry_entry(one.id, json.dumps({"id": "o-7", "text": "mended"}))
        async with hf.Worker(client, [desk]):
            assert await (await client.handle(run_id)).result("20s") == "primary"
        assert (await client.get(run_id)).input["message"]["data"]["text"] == "mended"
        await client.discard_entry(two.id, "a test of the shop's")
        settled = {entry.id: entry for entry in await client.entries()}
        assert (settled[one.id].outcome, settled[one.id].run_id, settled[one.id].settled_by) == ("run", run_id, "ida")
        assert (settled[two.id].outcome, settled[two.id].reason) == ("discarded", "a test of the shop's")
        for call in (client.retry_entry(two.id, "{}"), client.discard_entry(one.id, "no")):
            with pytest.raises(hf.EntrySettled, match="is not dead"):
                await call
        with pytest.raises(hf.EntryNotFound):
            await client.retry_entry("00" * 16)
        with pytest.raises(hf.UsageError, match="32 hexadecimal digits"):
            await client.entry("x")
        with pytest.raises(hf.UsageError, match="with a reason"):
            await client.discard_entry(two.id, " ")
        [source] = await client.sources()
        assert counts(source) == (2, 0, 0, 0)
        assert [change.action for change in await client.audit(action="entry")] == ["entry.discard", "entry.retry"]


async def test_outcomes_of_another_path_come_from_a_file(disk_url: str, tmp_path: Path) -> None:
    write(tmp_path, '[sources.told]\nkind = "jsonl"\npath = "told.jsonl"\noutcomes_of = "desk"\n')
    told: list[dict[str, Any] | str] = [
        {"message_id": "o-1", "decided": "sent", "text": "Yes"},
        {"message_id": "o-2", "decided": "guessed"},
        "{broken",
        {"message_id": "o-1", "decided": "review", "text": "Perhaps", "at": "2026-03-01T06:30:00Z"},
        {"decided": "sent"},
        {"message_id": "o-3", "decided": "withheld", "note": "x"},
    ]
    append(tmp_path, told, "told.jsonl")
    async with hf.connect(disk_url) as client:
        assert counts(await once(client, tmp_path)) == (0, 0, 0, 4)
        reasons = sorted(entry.reason for entry in await client.entries(outcome="dead"))
        for reason, said in zip(reasons, ("Invalid enum", "missing required", "'note', which", "no JSON"), strict=True):
            assert said in reason
        [compared] = await client.compare("desk")
        assert (compared.message_id, compared.theirs, compared.their_text) == ("o-1", "review", "Perhaps")
        assert (compared.comparison, compared.ours, compared.text) == ("missing", None, None)
        append(tmp_path, [{"message_id": "o-1", "decided": "sent", "text": "No"}], "told.jsonl")
        await once(client, tmp_path)
        assert [one.their_text for one in await client.compare("desk")] == ["No"]
