"""What sources read becomes runs: each entry one, found by its message, in the same commit as the position."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.intake.tending import run_intake
from holdfast.store.intake_rows import TakeIn, TakenIn
from tests.engine.helpers import serving, until
from tests.intake.taking_kit import ORDERS, append, counts, desk, ids_of_runs, once, orders, registered, write

pytestmark = pytest.mark.slow


@hf.workflow(queue="nobody's")
async def plain(message: dict[str, Any]) -> None:
    """Takes an entry as plain JSON."""


@hf.workflow(key="message.data.customer")
async def keyed(message: hf.Incoming) -> str:
    return message.id


@hf.workflow(key=lambda message: message.data["customer"])
async def keyed_by_code(message: hf.Incoming) -> str:
    return message.id


@hf.workflow
async def takes_two(message: hf.Incoming, other: str) -> None:
    """No source can start it."""


async def test_a_worker_makes_each_line_a_run_that_is_found_by_its_message(store_url: str, tmp_path: Path) -> None:
    append(tmp_path, orders(1, 2))
    async with serving(store_url, desk, intake=write(tmp_path, priority=7)) as client:
        append(tmp_path, orders(3))
        await until(lambda: _ended(client, 3))
        [run] = await client.list(where="attributes.message_id = 'o-2' and attributes.source = 'orders'")
        assert run.input["message"]["data"] == {"id": "o-2", "text": "order 2"}
        assert run.id == f"orders/{run.input['message']['key']}"
        assert (run.priority, run.output) == (7, "primary")
        [entry] = await client.entries(message_id="o-2")
        assert (entry.run_id, entry.outcome, entry.path) == (run.id, "run", "primary")
        [source] = await client.sources()
        assert counts(source) == (3, 0, 0, 0)


async def _ended(client: hf.Client, number: int) -> bool:
    return (await client.count(workflow="desk", status="succeeded")).runs == number


async def test_what_is_not_for_us_and_what_cannot_be_read_stop_nothing(disk_url: str, tmp_path: Path) -> None:
    write(tmp_path, when="entry.kind == 'order'", max_bytes=100_000, batch=3)
    append(tmp_path, [
        *orders(1, kind="order"), "{broken", *orders(2, kind="other"), *orders(3, kind="order", text="x" * 200_000),
        json.dumps({"id": "a\0b", "kind": "order"}), "", *orders(4, kind="order"),
    ])  # fmt: skip
    async with hf.connect(disk_url) as client:
        await registered(client, desk)
        assert counts(await once(client, tmp_path)) == (2, 1, 0, 3)
        assert await ids_of_runs(client) == ["o-1", "o-4"]
        [filtered] = await client.entries(outcome="filtered")
        assert (filtered.message_id, filtered.run_id) == ("o-2", None)
        dead = {entry.reason[:9]: await client.entry(entry.id) for entry in await client.entries(outcome="dead")}
        assert sorted(dead) == ["it has 20", "it is no ", "the id 'i"]
        assert dead["it is no "].content == "{broken"
        # Of one that is too large only the beginning was read.
        assert dead["it has 20"].content is None


async def test_an_entry_that_is_known_makes_no_second_run(disk_url: str, tmp_path: Path) -> None:
    write(tmp_path)
    append(tmp_path, [*orders(1, 2), *orders(1), *orders(1, text="changed")])
    async with hf.connect(disk_url, actor="ida") as client:
        await registered(client, desk)
        assert counts(await once(client, tmp_path)) == (3, 0, 1, 0)
        stood = await client.rewind_source("orders")
        assert stood.position is None
        assert counts(await once(client, tmp_path)) == (0, 0, 4, 0)
        assert await ids_of_runs(client) == ["o-1", "o-1", "o-2"]
        behind = (await client.sources())[0].position
        append(tmp_path, orders(3))
        assert counts(await once(client, tmp_path)) == (1, 0, 0, 0)
        await client.rewind_source("orders", behind)
        assert counts(await once(client, tmp_path)) == (0, 0, 1, 0)
        assert [change.action for change in await client.audit(action="source")] == ["source.rewind"] * 2
        with pytest.raises(hf.SourceNotFound, match="no source 'other'"):
            await client.rewind_source("other")
        with pytest.raises(hf.UsageError, match="'beginning', or a position"):
            await client.rewind_source("orders", 12)


async def test_no_more_is_read_while_enough_waits(sqlite_url: str, tmp_path: Path) -> None:
    write(tmp_path, max_waiting=7, batch=5)
    append(tmp_path, orders(*range(20)))
    async with hf.connect(sqlite_url) as client:
        await registered(client, desk)
        report = await once(client, tmp_path)
        assert (report.runs, report.state, report.note) == (7, "full", "7 runs wait in queue 'default'")
        assert (await once(client, tmp_path)).runs == 0
        [source] = await client.sources()
        assert (source.state, source.runs) == ("full", 7)
    async with serving(sqlite_url, desk, intake=tmp_path / "intake.toml") as client:
        await until(lambda: _ended(client, 20))
        await until(lambda: _is(client, "orders", "waiting"))


async def _is(client: hf.Client, name: str, state: str, note: str = "") -> bool:
    found = {source.name: source for source in await client.sources()}
    return name in found and found[name].state == state and note in found[name].note


async def test_what_is_wrong_with_one_source_stops_no_other(sqlite_url: str, tmp_path: Path) -> None:
    late = ORDERS.replace("orders", "late").replace('"desk"', '"later"')
    gone = ORDERS.replace("orders", "gone")
    two = ORDERS.replace("orders", "two").replace('"desk"', '"takes_two"')
    for name in ("orders", "late", "two"):
        append(tmp_path, orders(1), f"{name}.jsonl")
    async with serving(sqlite_url, desk, takes_two, intake=write(tmp_path, gone, late, two, ORDERS)) as client:
        await until(lambda: _ended(client, 1))
        await until(lambda: _is(client, "gone", "failing", "there is no file"))
        await until(lambda: _is(client, "late", "failing", "no worker has registered workflow 'later'"))
        await until(lambda: _is(client, "two", "failing", "takes the arguments message, other"))
        append(tmp_path, orders(2), "gone.jsonl")
        await until(lambda: _ended(client, 2))
        await registered(client, hf.workflow(name="later")(desk.fn))
        await until(lambda: _is(client, "late", "waiting"))
        assert (await client.count(workflow="later")).runs == 1


async def test_a_file_that_is_wrong_ends_the_worker_when_it_starts(sqlite_url: str, tmp_path: Path) -> None:
    path = write(tmp_path, whne="true")
    with pytest.raises(hf.UsageError, match=r"intake.toml, line 8: 'whne' is no key .* did you mean 'when'"):
        async with hf.Worker(sqlite_url, [desk], intake=path):
            pass


async def test_a_workflow_may_take_an_entry_as_plain_json(sqlite_url: str, tmp_path: Path) -> None:
    write(tmp_path, ORDERS.replace('"desk"', '"plain"'))
    append(tmp_path, orders(1))
    async with hf.connect(sqlite_url) as client:
        await registered(client, plain)
        assert (await once(client, tmp_path)).runs == 1
        [run] = await client.list(workflow="plain")
        assert run.input["message"] | {"at": "", "key": "", "place": ""} == {
            "source": "orders", "id": "o-1", "key": "", "place": "", "at": "", "media_type": "application/json",
            "path": "primary", "data": {"id": "o-1", "text": "order 1"}, "raw": None,
        }  # fmt: skip


async def test_an_entry_takes_the_lane_of_its_key(sqlite_url: str, tmp_path: Path) -> None:
    write(tmp_path, ORDERS.replace('"desk"', '"keyed"'))
    append(tmp_path, [{"id": "o-1", "customer": "ann"}, {"id": "o-2"}])
    async with hf.connect(sqlite_url) as client:
        await registered(client, keyed)
        assert counts(await once(client, tmp_path)) == (1, 0, 0, 1)
        [run] = await client.list(workflow="keyed")
        assert run.lane == "keyed=ann"
        [dead] = await client.entries(outcome="dead")
        assert "key of workflow 'keyed'" in dead.reason


async def test_a_key_that_is_code_is_told_where_the_code_is(sqlite_url: str, tmp_path: Path) -> None:
    write(tmp_path, ORDERS.replace('"desk"', '"keyed_by_code"'))
    append(tmp_path, [{"id": "o-2"}, {"id": "o-1", "customer": "ann"}])
    async with hf.connect(sqlite_url) as client:
        await registered(client, keyed_by_code)
        report = await once(client, tmp_path)
        assert report.state == "failing"
        assert "let a worker that serves it read the source" in report.note
        async with hf.Worker(client, [keyed_by_code], intake=tmp_path / "intake.toml"):
            await until(lambda: _count(client, "keyed_by_code"))
        [run] = await client.list(workflow="keyed_by_code")
        assert run.lane == "keyed_by_code=ann"
        # One whose key the code cannot tell stops nothing.
        [dead] = await client.entries(outcome="dead")
        assert (dead.message_id, dead.reason[-27:]) == ("o-2", "of it: KeyError: 'customer'")


async def _count(client: hf.Client, workflow: str) -> bool:
    return (await client.count(workflow=workflow)).runs == 1


async def test_mail_is_given_as_bytes(sqlite_url: str, tmp_path: Path) -> None:
    @hf.workflow(name="desk")
    async def reads(message: hf.Incoming) -> str:
        assert message.raw is not None
        return f"{message.media_type} {message.id} {len(message.raw)}"

    mail = b"Message-ID: <a@b.example>\nSubject: Hello\n\nCaf\xe9\n"
    for name in ("tmp", "new", "cur"):
        (tmp_path / "box" / name).mkdir(parents=True)
    (tmp_path / "box" / "new" / "1.a").write_bytes(mail)
    write(tmp_path, '[sources.box]\nkind = "maildir"\npath = "box"\nworkflow = "desk"\npoll = "20ms"\n')
    async with serving(sqlite_url, reads, intake=tmp_path / "intake.toml") as client:
        await until(lambda: _ended(client, 1))
        [run] = await client.list()
        assert run.output == f"message/rfc822 <a@b.example> {len(mail)}"


async def test_entries_are_served_in_the_order_in_which_they_were_read(sqlite_url: str, tmp_path: Path) -> None:
    write(tmp_path)
    append(tmp_path, orders(*range(20)))
    async with hf.connect(sqlite_url) as client:
        await registered(client, desk)
        await once(client, tmp_path)
        made = {run.attributes["message_id"]: run.created_at for run in await client.list()}
        assert sorted(made, key=made.__getitem__) == [f"o-{number}" for number in range(20)]
        assert len(set(made.values())) == 20


async def test_mail_is_marked_when_it_is_taken_in(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tmp", "new", "cur"):
        (tmp_path / "box" / name).mkdir(parents=True)
    (tmp_path / "box" / "new" / "1.a").write_bytes(b"Message-ID: <a@b.example>\n\nHello\n")
    write(tmp_path, '[sources.box]\nkind = "maildir"\npath = "box"\nworkflow = "desk"\n', mark=True)
    async with hf.connect(sqlite_url) as client:
        await registered(client, desk)

        async def refused(asked: TakeIn) -> TakenIn:
            return TakenIn("moved", asked.revision, ())

        with monkeypatch.context() as patched:
            patched.setattr(client.core.store.intake, "take_in", refused)
            assert counts(await once(client, tmp_path)) == (0, 0, 0, 0)
        assert (tmp_path / "box" / "new" / "1.a").exists()
        assert counts(await once(client, tmp_path)) == (1, 0, 0, 0)
        assert [path.name for path in (tmp_path / "box").glob("*/*")] == ["1.a:2,S"]


async def test_a_source_that_is_put_back_while_it_is_read_is_read_again(sqlite_url: str, tmp_path: Path) -> None:
    append(tmp_path, orders(1, 2, 3))
    async with serving(sqlite_url, desk, intake=write(tmp_path)) as client:
        await until(lambda: _ended(client, 3))
        await client.rewind_source("orders")
        await until(lambda: _repeated(client, 3))
        append(tmp_path, orders(4))
        await until(lambda: _ended(client, 4))


async def _repeated(client: hf.Client, number: int) -> bool:
    return [source.repeated for source in await client.sources()] == [number]


async def test_a_source_goes_to_another_worker_when_its_own_leaves(disk_url: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    append(tmp_path, orders(1))
    async with hf.connect(disk_url) as client:
        first = hf.Worker(disk_url, [desk], intake=path)
        await first.__aenter__()
        await until(lambda: _ended(client, 1))
        [report] = await run_intake(client, path, once=True)
        assert (report.state, report.note) == ("waiting", "another process reads it")
        await first.stop()
        append(tmp_path, orders(2))
        assert (await once(client, tmp_path)).runs == 1


async def test_intake_alone_goes_on_until_it_is_cancelled(sqlite_url: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    async with hf.connect(sqlite_url) as client:
        await registered(client, desk)
        taking = asyncio.create_task(run_intake(client, path))
        append(tmp_path, orders(1, 2))
        await until(lambda: _count_of(client, 2))
        append(tmp_path, orders(3))
        await until(lambda: _count_of(client, 3))
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking


async def _count_of(client: hf.Client, number: int) -> bool:
    return (await client.count(workflow="desk")).runs == number


async def test_a_tenant_sees_its_own_sources_and_entries(disk_url: str, tmp_path: Path) -> None:
    write(tmp_path, tenant="acme")
    append(tmp_path, [*orders(1), "{broken"])
    async with hf.connect(disk_url) as client, hf.connect(disk_url, tenant="acme") as acme:
        await registered(client, desk)
        assert counts(await once(client, tmp_path)) == (1, 0, 0, 1)
        assert (await client.sources(), await client.entries()) == ([], [])
        [dead] = await acme.entries(outcome="dead")
        with pytest.raises(hf.EntryNotFound):
            await client.entry(dead.id)
        assert [source.name for source in await acme.sources()] == ["orders"]
        assert await ids_of_runs(acme) == ["o-1"]


async def test_entries_are_kept_for_so_long_and_dead_ones_until_they_are_settled(
    disk_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.services.pruner.START_WITHIN_SECONDS", 0.01)
    write(tmp_path)
    append(tmp_path, [*orders(1, 2), "{broken"])
    async with hf.connect(disk_url, tenant="acme") as acme:
        write(tmp_path, tenant="acme")
        await registered(acme, desk)
        await once(acme, tmp_path)
        await acme.record_outcomes("desk", [hf.PathOutcome("o-1", "sent")])
        async with hf.Worker(disk_url, [desk], queues=["nobody's"], keep_entries=0):
            await until(lambda: _dead_alone(acme))
        assert (await acme.compare("desk"), await ids_of_runs(acme)) == ([], ["o-1", "o-2"])


async def _dead_alone(client: hf.Client) -> bool:
    return [entry.outcome for entry in await client.entries()] == ["dead"]
