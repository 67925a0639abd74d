"""Large mails: those with attachments become runs like any other, and few of them are in memory at once."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.engine import entries
from holdfast.engine.entries import handed_over, target_of
from holdfast.engine.workflow import Workflow
from holdfast.intake.files import LARGEST_ENTRY_BYTES, read_intake
from holdfast.intake.handing import Requests
from holdfast.store.base import Rejected
from holdfast.store.intake_rows import TakeIn, TakenIn
from tests.engine.helpers import until
from tests.intake.kit import MaildirKit, mail
from tests.intake.taking_kit import counts, once, registered, write
from tests.intake.test_cut_over import messages, said

pytestmark = pytest.mark.slow

BOX = '[sources.box]\nkind = "maildir"\npath = "Maildir"\nworkflow = "reads"\npoll = "20ms"\n'


@hf.step
async def digest(message: hf.Incoming) -> str:
    return hashlib.sha256(message.raw or b"").hexdigest()


@hf.workflow
async def reads(message: hf.Incoming) -> str:
    return await digest(message)


@hf.workflow(name="reads")
async def reads_plain(message: dict[str, object]) -> str:
    return str(message["place"])


def attached(size: int) -> bytes:
    """A mail with so many bytes, which nothing makes smaller."""
    return mail("large", base64.encodebytes(os.urandom(size * 3 // 4)).decode(), Content_Type="image/png")


async def test_a_mail_of_25_megabytes_is_answered_by_a_run_and_handed_over_whole(disk_url: str, tmp_path: Path) -> None:
    box, large = MaildirKit(tmp_path), attached(25_000_000)
    box.create()
    box.deliver(large)
    write(tmp_path, BOX, old_path="legacy")
    async with hf.connect(disk_url) as client:
        await registered(client, reads)
        await client.roll_back("reads")
        assert counts(await once(client, tmp_path)) == (1, 0, 0, 0)
        [given] = await messages(client, "legacy")
        assert base64.b64decode(said(given)["raw"]) == large
        [entry] = await client.entries()
        async with hf.Worker(client, [reads]):
            run = await client.handle(str(entry.run_id))
            assert await run.result("60s") == hashlib.sha256(large).hexdigest()


async def test_what_the_database_refuses_is_handed_over_and_goes_on_where_it_began(
    disk_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = MaildirKit(tmp_path)
    box.create()
    for one in ("refused", "good"):
        box.add(one)
    write(tmp_path, BOX, old_path="legacy")
    async with hf.connect(disk_url) as client:
        await registered(client, reads)
        await client.roll_back("reads")
        take_in = client.core.store.intake.take_in

        async def picky(asked: TakeIn) -> TakenIn:
            if any(entry.start is not None and "refused" in entry.message_id for entry in asked.entries):
                raise Rejected("it is not stored")
            return await take_in(asked)

        monkeypatch.setattr(client.core.store.intake, "take_in", picky)
        assert counts(await once(client, tmp_path)) == (1, 0, 0, 1)
        given = {said(row)["id"]: said(row)["role"] for row in await messages(client, "legacy")}
        assert given == {"<refused@shop.example>": "primary", "<good@shop.example>": "primary"}
        await client.cut_over("reads")
        [dead] = await client.entries(outcome="dead")
        assert (await client.get(await client.retry_entry(dead.id))).shadow


async def test_what_is_refused_as_another_path_would_be_given_it_is_dead_alone(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = MaildirKit(tmp_path)
    box.create()
    box.add("refused")
    write(tmp_path, BOX, old_path="legacy")
    async with hf.connect(sqlite_url) as client:
        await registered(client, reads)
        await client.roll_back("reads")
        take_in = client.core.store.intake.take_in

        async def picky(asked: TakeIn) -> TakenIn:
            if any(entry.messages for entry in asked.entries):
                raise Rejected("it is not stored")
            return await take_in(asked)

        monkeypatch.setattr(client.core.store.intake, "take_in", picky)
        assert counts(await once(client, tmp_path)) == (0, 0, 0, 1)
        assert await messages(client, "legacy") == []


@pytest.mark.parametrize("workflow", [reads, reads_plain])
async def test_what_a_file_of_sources_allows_is_what_a_run_can_hold(
    sqlite_url: str, tmp_path: Path, workflow: Workflow[..., object]
) -> None:
    [terms] = read_intake(write(tmp_path, BOX, max_bytes=LARGEST_ENTRY_BYTES))
    raw = bytes(terms.max_bytes)
    entry = hf.Incoming("box", "", "00" * 16, "here", datetime.now(UTC), "message/rfc822", raw=raw)
    async with hf.connect(sqlite_url) as client:
        await registered(client, workflow)
        [row] = await client.core.store.list_workflows()
    start = target_of(row, None).start("default", "box/1", entry, now_us=1)
    handed = handed_over("default", "legacy", "reads", "1", b"0" * 16, "primary", entry, 1)
    assert min(len(start.input), len(handed.body)) > 40_000_000
    with pytest.raises(hf.UsageError, match="give bytes up to 30 MB"):
        read_intake(write(tmp_path, BOX, max_bytes=LARGEST_ENTRY_BYTES + 1))


async def test_what_no_run_can_hold_is_dead_and_stops_no_other(
    disk_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries._PLAIN, "most_bytes", 100_000)
    box, large = MaildirKit(tmp_path), attached(200_000)
    box.create()
    box.deliver(large)
    box.add("small")
    write(tmp_path, BOX, old_path="legacy")
    async with hf.connect(disk_url) as client:
        await registered(client, reads)
        await client.roll_back("reads")
        assert counts(await once(client, tmp_path)) == (1, 0, 0, 1)
        [dead] = await client.entries(outcome="dead")
        assert dead.message_id == "<large@shop.example>"
        assert "at most 100,000 are stored" in dead.reason
        assert (await client.entry(dead.id)).content == large.decode()
        # Neither can the other path be handed it; what it can be is.
        assert [said(row)["id"] for row in await messages(client, "legacy")] == ["<small@shop.example>"]


async def test_the_other_path_is_handed_nothing_of_which_only_the_beginning_was_read(
    sqlite_url: str, tmp_path: Path
) -> None:
    box = MaildirKit(tmp_path)
    box.create()
    box.deliver(attached(200_000))
    write(tmp_path, BOX, old_path="legacy", max_bytes=100_000)
    async with hf.connect(sqlite_url) as client:
        await registered(client, reads)
        await client.roll_back("reads")
        assert counts(await once(client, tmp_path)) == (0, 0, 0, 1)
        assert await messages(client, "legacy") == []


async def test_of_many_large_entries_few_are_taken_in_at_once(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, size, asked = MaildirKit(tmp_path), 3_000_000, list[TakeIn]()
    box.create()
    for number in range(9):
        box.deliver(mail(str(number), "x" * size))
    forms = '[sources.forms]\nkind = "http"\nworkflow = "reads"\n'
    async with hf.connect(sqlite_url) as client:
        await registered(client, reads)
        take_in = client.core.store.intake.take_in

        async def noted(one: TakeIn) -> TakenIn:
            asked.append(one)
            return await take_in(one)

        monkeypatch.setattr(client.core.store.intake, "take_in", noted)
        write(tmp_path, BOX)
        assert (await once(client, tmp_path)).runs == 9
        requests = Requests(client.core, read_intake(write(tmp_path, forms)))
        plain = {"Content-Type": "text/plain"}
        await asyncio.gather(*(requests.take("default", "forms", bytes(size), plain) for _ in range(9)))
        await requests.close()
        runs = [sum(entry.start is not None for entry in one.entries) for one in asked]
        assert sum(runs) == 18
        assert max(runs) <= 3, "more than a batch's bytes were made ready at once"
        await until(lambda: _made(client, 18))


async def _made(client: hf.Client, number: int) -> bool:
    return (await client.count(workflow="reads")).runs == number
