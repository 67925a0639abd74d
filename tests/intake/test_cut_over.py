"""Which path answers is decided for each entry in the commit that takes it in; what began on one path ends there."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

import holdfast as hf
from holdfast.store.intake_rows import TakeIn, TakenIn
from holdfast.store.outbox_rows import MessageFilter, MessageRow
from tests.engine.helpers import serving, until
from tests.intake.taking_kit import ORDERS, append, counts, desk, once, orders, registered, write

pytestmark = pytest.mark.slow


async def messages(client: hf.Client, channel: str) -> list[MessageRow]:
    """All messages of a channel, with their bodies."""
    outbox, found, before = client.core.store.outbox, [], None
    while rows := await outbox.messages(client.tenant, MessageFilter(channel=channel), limit=500, before=before):
        found += [await outbox.message(client.tenant, row.id) for row in rows]
        before = rows[-1].uid
    return [row for row in found if row is not None]


def said(row: MessageRow) -> Any:
    """What a message says."""
    assert row.body is not None
    return msgspec.json.decode(row.body[1:])


async def handed(client: hf.Client) -> dict[str, str]:
    """As what the old path was given which message."""
    given = [said(row) for row in await messages(client, "legacy")]
    roles = {one["id"]: one["role"] for one in given}
    assert len(roles) == len(given), "a message was handed over twice"
    return roles


async def test_in_shadow_the_old_path_answers_and_gets_what_came_in(disk_url: str, tmp_path: Path) -> None:
    path = write(tmp_path, old_path="legacy")
    async with serving(disk_url, desk, intake=path) as client:
        await client.roll_back("desk")
        append(tmp_path, orders(1))
        await until(lambda: _ended(client, 1))
        [run] = await client.list()
        assert (run.output, run.shadow) == ("shadow", True)
        [reply] = await messages(client, "replies")
        assert (reply.status, reply.verdict) == ("withheld", "shadow")
        [given] = await messages(client, "legacy")
        assert (given.status, given.verdict, given.workflow) == ("pending", "send", "desk")
        assert said(given) | {"place": ""} == {
            "role": "primary", "source": "orders", "id": "o-1", "place": "", "data": {"id": "o-1", "text": "order 1"},
        }  # fmt: skip
        [entry] = await client.entries()
        assert entry.path == "shadow"
        # After the cut-over this path answers, and the old one gets copies for a while.
        await client.cut_over("desk", rollback_window="1h")
        append(tmp_path, orders(2))
        await until(lambda: _ended(client, 2))
        assert await handed(client) == {"o-1": "primary", "o-2": "copy"}
        replies = {row.id: row.status for row in await messages(client, "replies")}
        assert replies == {"shadow/reply/o-1": "withheld", "reply/o-2": "pending"}
        # When that time is over it gets nothing more.
        await client.cut_over("desk", rollback_window=0)
        append(tmp_path, orders(3))
        await until(lambda: _ended(client, 3))
        assert await handed(client) == {"o-1": "primary", "o-2": "copy"}
        assert [entry.path for entry in await client.entries()] == ["primary", "primary", "shadow"]


async def _ended(client: hf.Client, number: int) -> bool:
    return (await client.count(workflow="desk", status="succeeded")).runs == number


async def test_a_path_that_is_changed_before_the_commit_counts(
    disk_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, old_path="legacy", batch=2)
    append(tmp_path, orders(1, 2, 3, 4, 5, 6))
    async with hf.connect(disk_url) as client:
        await registered(client, desk)
        await client.roll_back("desk")
        intake, commits = client.core.store.intake, 0
        take_in = intake.take_in

        async def changed(asked: TakeIn) -> TakenIn:
            nonlocal commits
            commits += 1
            if commits == 2:  # it was made, and the batch behind it, for the path that is left now
                await client.cut_over("desk")
            return await take_in(asked)

        monkeypatch.setattr(intake, "take_in", changed)
        assert counts(await once(client, tmp_path)) == (6, 0, 0, 0)
        assert await handed(client) == {
            "o-1": "primary", "o-2": "primary", "o-3": "copy", "o-4": "copy", "o-5": "copy", "o-6": "copy",
        }  # fmt: skip
        paths = {entry.message_id: entry.path for entry in await client.entries()}
        assert [paths[f"o-{number}"] for number in range(1, 7)] == ["shadow"] * 2 + ["primary"] * 4


async def test_a_dead_entry_goes_on_where_it_began(disk_url: str, tmp_path: Path) -> None:
    write(tmp_path, old_path="legacy")
    async with hf.connect(disk_url) as client:
        await registered(client, desk)
        await client.roll_back("desk")
        append(tmp_path, ["{broken"])
        await once(client, tmp_path)
        await client.cut_over("desk")
        append(tmp_path, ["{broken too"])
        await once(client, tmp_path)
        second, first = await client.entries(outcome="dead")
        assert [said(row)["role"] for row in await messages(client, "legacy")] == ["copy", "primary"]
        for entry, path in ((first, "shadow"), (second, "primary")):
            await client.retry_entry(entry.id, '{"id": "o-1"}')
            assert (await client.entry(entry.id)).path == path


CHANNELS = """
[channels.replies]
type = "file"
folder = "replies"

[channels.legacy]
type = "file"
folder = "legacy"
"""


def received(folder: Path) -> list[Any]:
    """What a channel of files was sent."""
    return [msgspec.json.decode(file.read_bytes()) for file in folder.glob("*.json")]


async def test_cut_over_and_back_ten_times_under_load(disk_url: str, tmp_path: Path) -> None:
    kinds = ("order", "delicate", "forbidden")
    path, channels = write(tmp_path, ORDERS, old_path="legacy", batch=10), tmp_path / "channels.toml"
    channels.write_text(CHANNELS)
    async with serving(disk_url, desk, intake=path, channels=channels) as client:
        await client.set_publish_mode("auto")
        await client.roll_back("desk")
        written = 0

        async def write_on() -> None:
            nonlocal written
            while True:
                append(tmp_path, [
                    {"id": f"o-{number}", "text": f"{kinds[number % 3]} {number}"}
                    for number in range(written, written + 5)
                ])  # fmt: skip
                written += 5
                await asyncio.sleep(0.01)

        writing = asyncio.create_task(write_on())
        for _ in range(10):
            for change in (client.cut_over, client.roll_back):
                await change("desk")
                taken = await _taken(client)
                await until(lambda: _more(client, taken))  # noqa: B023
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await until(lambda: _ended(client, written), 60)
        by_old, ours = await handed(client), {said(row)["to"]: row for row in await messages(client, "replies")}
        assert len(ours) == len(by_old) == written
        answered = Counter(
            {id: (by_old[id] == "primary") + (row.verdict != "shadow") for id, row in ours.items()}
        )  # fmt: skip
        assert set(answered.values()) == {1}, "a message is answered by no path, or by both"
        assert set(by_old.values()) == {"primary", "copy"}
        for id, row in ours.items():
            kind = kinds[int(id.removeprefix("o-")) % 3]
            if kind == "forbidden":
                assert row.status == "withheld", "what a policy forbids is never sent"
            elif by_old[id] == "copy":
                assert row.verdict == ("review" if kind == "delicate" else "mode")
        await until(lambda: _sent(client), 60)
        # And so says who received it: each message has one answer, whatever was changed meanwhile.
        old = [one["id"] for one in received(tmp_path / "legacy") if one["role"] == "primary"]
        new = [one["to"] for one in received(tmp_path / "replies")]
        assert sorted(old) == sorted(id for id, role in by_old.items() if role == "primary")
        assert sorted(new) == sorted(
            id for id, role in by_old.items() if role == "copy" and int(id.removeprefix("o-")) % 3 == 0
        )
        shadows = {run.attributes["message_id"] for run in await _all(client) if run.shadow}
        assert shadows == {id for id, role in by_old.items() if role == "primary"}


async def _sent(client: hf.Client) -> bool:
    return not any([await client.messages(status=status) for status in ("pending", "sending", "failed")])


async def _taken(client: hf.Client) -> int:
    return sum(source.runs for source in await client.sources())


async def _more(client: hf.Client, than: int) -> bool:
    return await _taken(client) > than


async def _all(client: hf.Client) -> list[hf.RunView]:
    found: list[hf.RunView] = []
    while part := await client.list(workflow="desk", limit=1000, before=found[-1] if found else None):
        found += part
    return found
