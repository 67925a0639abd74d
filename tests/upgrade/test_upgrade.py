"""Databases that an earlier version left with runs in flight: migrated, and every run ends as it should.

``v1.sqlite.sql`` and ``v1.postgres.sql`` are what the first version had written when it was killed: rows
of the tables, to be put into the schema of the first migration. ``v2.*.sql`` to ``v10.*.sql`` are that of the later
ones; what they executed is in ``flows.py``.
"""

import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import holdfast as hf
from holdfast.store.migrations import Migration
from holdfast.store.outbox_rows import MessageFilter
from holdfast.store.postgres import schema as postgres_schema
from holdfast.store.postgres.store import PostgresStore
from holdfast.store.sqlite import schema as sqlite_schema
from holdfast.store.sqlite.connection import connect as connect_sqlite
from tests.conformance.graph_kit import values
from tests.conformance.intake_kit import filtered, message, taken
from tests.conformance.outbox_kit import publish
from tests.conformance.work_kit import change, find, item, link, made, subject
from tests.engine.helpers import until, until_status
from tests.upgrade import flows

HERE = Path(__file__).parent
LEFT_AT_US = {
    1: 1_795_225_000_000_000, 2: 1_795_860_000_000_000, 3: 1_795_878_000_000_000, 4: 1_795_919_400_000_000,
    5: 1_795_931_600_000_000, 7: 1_795_944_000_000_000, 10: 1_795_958_100_000_000,
}  # fmt: skip
"""A little after the newest of each version's dumps."""
LATER_US = 3 * 3600 * 1_000_000
"""Every sleep in them is over then."""


@hf.step
async def add(x: int) -> int:
    return x + 1


@hf.step(retry=hf.Retry(max_attempts=5, initial=3600, jitter=0))
async def flaky() -> int:
    return 7


@hf.step(retry=hf.Retry(max_attempts=1))
async def broken() -> int:
    return 8


@hf.workflow
async def steps(x: int) -> int:
    y = await add(x)
    await hf.sleep(7200)
    return await add(y)


@hf.workflow
async def child(x: int) -> int:
    await hf.sleep(7200)
    return await add(x)


@hf.workflow
async def parent() -> list[int]:
    return [*(await hf.gather(child(1), child(2))), *(await hf.map(child, [3, 4]))]


@hf.workflow
async def maps() -> list[int]:
    return await hf.map(child, [5, 6], limit=2)


@hf.workflow
async def tries() -> int:
    return await flaky()


@hf.workflow
async def fails() -> int:
    await add(1)
    return await broken()


@hf.workflow
async def stuck() -> int:
    return await add(1)


def _schema(migrations: tuple[Migration, ...], version: int) -> str:
    return ";\n".join(one.sql for one in migrations[:version])


async def _load(url: str, version: int) -> None:
    """Make the database as a version left it, and let its sleeps be over."""
    offset = max(0, LEFT_AT_US[version] - time.time_ns() // 1000) + LATER_US
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        connection = connect_sqlite(path)
        header = f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}; PRAGMA user_version = {version};"
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_schema(sqlite_schema.known_migrations(), version) + ";" + header)
        connection.executescript((HERE / f"v{version}.sqlite.sql").read_text("utf-8"))
        connection.execute("UPDATE clock SET offset_us = ?", (offset,))
        connection.close()
        return
    remote = await asyncpg.connect(url)
    await remote.execute(_schema(postgres_schema.known_migrations(), version))
    await remote.execute("INSERT INTO holdfast.meta (version) VALUES ($1)", version)
    await remote.execute((HERE / f"v{version}.postgres.sql").read_text("utf-8"))
    await remote.execute("UPDATE holdfast.clock SET offset_us = $1", offset)
    await remote.close()
    store = PostgresStore(url)
    assert await store.migrate() == [one.name for one in postgres_schema.known_migrations()[version:]]
    await store.close()


@pytest.mark.slow
async def test_runs_of_the_first_version_go_on(empty_disk_url: str) -> None:
    await _load(empty_disk_url, 1)
    async with (
        hf.connect(empty_disk_url, tenant="shop") as client,
        hf.Worker(client, [steps, child, parent, maps, tries, fails, stuck], drain=0),
    ):

        async def result(run_id: str) -> Any:
            return await (await client.handle(run_id)).result(timeout="30s")

        assert await result("steps") == 3
        assert await result("maps") == [6, 7]
        assert await result("tries") == 7
        assert await result("running") == 2  # its worker was dead
        assert await result("ends") == 2
        view = await until_status(client, "fails", "failed")
        assert view.attributes == {"order": "o-1"}
        await client.retry("fails")
        assert await result("fails") == 8
        history = await client.history("tries")
        assert [len(entry.failed_attempts) for entry in history] == [1]
        # What the first version had started sleeps two hours from now on, as it does for new runs.
        for run_id in ("ready", "delayed"):
            await until_status(client, run_id, "waiting")
        await client.cancel("ready")
        await until_status(client, "ready", "cancelled")

        async def second_half() -> bool:
            return len([one for one in await client.history("parent") if one.kind == "map"]) > 0

        await until(second_half)
        await client.cancel("parent")
        await until_status(client, "parent", "cancelled")


@pytest.mark.slow
async def test_runs_of_the_second_version_go_on(empty_disk_url: str) -> None:
    await _load(empty_disk_url, 2)
    async with (
        hf.connect(empty_disk_url, tenant="shop") as client,
        hf.Worker(client, flows.ALL, drain=0),
    ):

        async def result(run_id: str) -> Any:
            return await (await client.handle(run_id)).result(timeout="30s")

        # Parked runs whose time has come, and a run that its worker died with.
        assert await result("sleeps") == 3
        assert await result("again") == 3
        assert await result("tries") == 7
        assert await result("stuck") == 9
        assert [len(entry.failed_attempts) for entry in await client.history("tries")] == [1]
        assert (await client.get("sleeps")).attributes == {"order": "o-1", "legal_hold": True}
        assert (await client.get("again")).attempt == 1 + 2

        # What was asked of runs.
        await until_status(client, "asked", "cancelled")
        await until_status(client, "limited", "failed")
        assert (await client.get("cancelled")).status == "cancelled"
        for held in ("gate", "stopped"):
            assert (await client.get(held)).status == "held"
        await client.release("gate", {"go": True})
        assert await result("gate") == {"go": True}
        await client.release("stopped")
        assert await result("stopped") == 7

        # Lanes: the holder ends, and the next in line gets the slot.
        assert await result("desk-3") == 4
        assert await result("desk-1") == 2
        await until_status(client, "desk-2", "waiting")
        [lane] = [lane for lane in await client.lanes() if lane.key == "ann"]
        assert (lane.held, lane.waiting) == (1, 1)
        await client.cancel("desk-2")
        await until_status(client, "desk-later", "waiting")

        # Events: one that was kept, one that comes now, one that cancels.
        assert await result("took") == {"kept": 2}
        assert await result("takes") == {"kept": 1}
        progress = (await client.get("expects")).progress
        assert progress is not None
        assert (progress["current"], progress["note"]) == (1, "asked")
        assert (await client.send_event("paid", {"cents": 5}, key="o-1")).waits == 1
        assert await result("expects") == {"cents": 5}
        assert (await client.send_event("order_cancelled", key="o-9")).cancels == 1
        await until_status(client, "watched", "cancelled")

        # Failed runs: retried before the upgrade and after it, and forked.
        assert [run.id for run in (await client.list(where="attributes.order = 'o-2'"))] == ["forked", "fails"]
        await client.retry("fails")
        for mended in ("retried", "fails", "forked"):
            await until_status(client, mended, "waiting")
            outcomes = [(one.name, one.outcome) for one in await client.history(mended)]
            assert ("broken", "ok") in outcomes

        # Schedules, limits, pauses, retention.
        schedules = {one.name: one for one in await client.schedules()}
        assert (schedules["asleep"].paused, schedules["nightly"].paused) == (True, False)

        async def made() -> bool:
            found = await client.get_schedule("nightly")
            return found.last_run is not None and (await client.get(found.last_run)).status == "succeeded"

        await until(made)
        queues = {one.name: (one.total, one.per_worker) for one in await client.queues()}
        assert queues["bulk"] == (5, 3)
        assert (await client.get("paused")).status == "queued"
        await client.resume_workflow("paused")
        assert await result("paused") == 1
        kept = {(one.workflow, one.status): one.keep_seconds for one in await client.retention()}
        assert kept["sleeps", "succeeded"] == 30 * 86400
        assert kept["", "failed"] == 90 * 86400

        # What had not begun sleeps two hours from now on.
        for run_id in ("ready", "delayed"):
            await until_status(client, run_id, "waiting")

        async def second_half() -> bool:
            return len([one for one in await client.history("family") if one.kind == "map"]) > 0

        await until(second_half)
        await client.cancel("family")
        await until_status(client, "family", "cancelled")


@pytest.mark.slow
async def test_runs_of_the_third_version_go_on_beside_the_work_queue(empty_disk_url: str) -> None:
    await _load(empty_disk_url, 3)
    async with (
        hf.connect(empty_disk_url, tenant="shop") as client,
        hf.connect(empty_disk_url, tenant="other") as other,
    ):
        # Runs that were held before there were items are found to lack one.
        store = client.core.store
        held = {(tenant, id) for tenant, id, _, _ in await store.work.held_without_item(99)}
        assert held == {("shop", "gate"), ("shop", "gate-2"), ("shop", "stopped"), ("other", "gate")}
        one = {"tenant": "shop"}
        await store.work.put_subjects([subject("acme", **one)])
        rows = [
            item("of gate", kind="hold", run="gate", subject="acme", assignee="ann", **one),
            item("waits", blocked=True, **one),
        ]
        await store.work.put_links([link(rows[1], run="sleeps")])
        await made(store, *map(change, rows))
        assert len(await store.work.held_without_item(99)) == 3
        assert await store.work.end_run_links(9) == 0
        user = await store.find_user("shop", email="ann@example.org")
        assert user is not None
        assert [key.prefix for key in await store.list_keys("shop", limit=9)] == ["hf_0123456789"]
        assert [view.query for view in await store.list_views("shop", "ann", "runs")] == ["status:held"]

        async with hf.Worker(client, flows.ALL, drain=0):

            async def result(run_id: str) -> Any:
                return await (await client.handle(run_id)).result(timeout="30s")

            assert await result("sleeps") == 3
            assert await result("tries") == 7
            assert await result("stuck") == 9
            assert await result("desk-1") == 2
            await until_status(client, "desk-2", "waiting")
            assert (await client.send_event("paid", {"cents": 5}, key="o-1")).waits == 1
            assert await result("expects") == {"cents": 5}
            assert (await client.send_event("order_cancelled", key="o-9")).cancels == 1
            await until_status(client, "watched", "cancelled")
            assert (await client.get("cancelled")).status == "cancelled"
            await client.retry("fails")
            await until_status(client, "fails", "waiting")
            await until_status(client, "ready", "waiting")
            for id in ("gate", "gate-2", "stopped"):
                assert (await client.get(id)).status == "held"
            await client.release("gate", {"go": True})
            assert await result("gate") == {"go": True}
            await client.release("stopped")
            assert await result("stopped") == 7
            assert (await other.get("gate")).status == "held"

        # The worker may have seen to the items already.
        over = [row.id for row in await store.work.hold_items_of_others(9)]
        assert "of gate" in over or (await find(store, "of gate", "shop")).status in ("completed", "skipped")
        await store.work.end_run_links(9)
        links = await store.work.links_of("shop", [rows[1].uid])
        assert [row.done_at is None for row in links] == [False]
        waited = await find(store, "waits", "shop")
        assert waited.act_at is not None or not waited.blocked


@pytest.mark.slow
@pytest.mark.parametrize("version", [4, 5, 7, 10])
async def test_runs_and_items_of_the_fourth_version_and_later_ones_go_on(empty_disk_url: str, version: int) -> None:
    await _load(empty_disk_url, version)
    async with (
        hf.connect(empty_disk_url, tenant="shop") as client,
        hf.Worker(client, [*flows.ALL, flows.asks], drain=0),
    ):

        async def result(run_id: str) -> Any:
            return await (await client.handle(run_id)).result(timeout="30s")

        assert await result("sleeps") == 3
        assert await result("tries") == 7
        assert await result("stuck") == 9
        assert await result("desk-1") == 2
        await until_status(client, "desk-2", "waiting")
        assert (await client.send_event("paid", {"cents": 5}, key="o-1")).waits == 1
        assert await result("expects") == {"cents": 5}
        await client.retry("fails")
        await until_status(client, "fails", "waiting")

        # What people had to do, by its run: one asks, one is held.
        work = hf.work_queue(client)
        items = {item.run: item for item in await work.list(status="not_started")}
        await work.complete(items["asks"].id, {"answer": "yes"})
        assert await result("asks") == {"answer": "yes"}
        await work.complete(items["gate"].id, {"answer": {"go": True}})
        assert await result("gate") == {"go": True}
        # And what they had begun: the next is free once that is done.
        assert (await work.get("second")).blocked
        assert (await work.get("call")).data == {"why": "renewal"}
        await work.complete("call")

        async def unblocked() -> bool:
            return not (await work.get("second")).blocked

        await until(unblocked)

        # A conversation finds its tables, and so does what a step records of a model.
        assert await client.core.store.conversations.find("shop", "none") is None
        (stuck,) = await client.core.store.find_runs("shop", ["stuck"])
        (call,) = await client.core.store.agents.model_calls("shop", stuck.uid, limit=9)
        assert (call.phase, call.model, call.generation, call.cost) == ("hangs", "openai:small", 1, 7)


@pytest.mark.slow
async def test_conversations_of_the_fifth_version_go_on(empty_disk_url: str) -> None:
    await _load(empty_disk_url, 5)
    async with (
        hf.connect(empty_disk_url, tenant="shop") as client,
        hf.Worker(client, [flows.renew], drain=0),
    ):
        chats = await hf.open_conversations(client, [flows.chat])
        # One that is under way goes on, and a turn that is over gives what it gave.
        (ann,) = await chats.list(user="ann")
        again = await chats.turn("ann", "Acme", conversation_id=ann.id, turn_id="a-1")
        assert (again.number, again.status, again.repeated) == (1, "open", True)
        last = await chats.turn("ann", "7", conversation_id=ann.id)
        assert (last.number, last.status) == (2, "handed_over")
        run = await client.handle(last.started[0])
        assert await run.result(timeout="30s") == "Acme has 7 seats"
        # One is handed over; one was in its first turn, which is had now.
        (bob,) = await chats.list(user="bob")
        assert bob.status == "handed_over"
        assert await chats.list(user="cat") == []
        first = await chats.turn("cat", "Hooli", turn_id="c-1")
        assert (first.number, first.status) == (1, "open")


@pytest.mark.slow
async def test_phases_of_the_seventh_version_go_on_beside_intake_and_the_outbox(empty_disk_url: str) -> None:
    await _load(empty_disk_url, 7)
    async with (
        hf.connect(empty_disk_url, tenant="shop") as client,
        hf.Worker(client, [*flows.ALL, flows.asks, flows.offer], drain=0),
    ):
        # A phase that was paid for is not asked for again; the next one waits for what a person grants.
        work = hf.work_queue(client)
        items = {item.run: item for item in await work.list(status="not_started")}
        await work.complete(items["offer"].id, {"dollars": 1})
        run = await client.handle("offer")
        assert await run.result(timeout="30s") == "asked Write to Acme, who need asked What does Acme need?."
        store = client.core.store
        (row,) = await store.find_runs("shop", ["offer"])
        calls = await store.agents.model_calls("shop", row.uid, limit=9)
        assert [call.phase for call in calls] == ["needs", "letter"]
        assert values(await store.graphs.checkpoint("shop", "th", "")) == {"a": "value"}

        # What came since is there, and what was there before is none of its.
        assert (await taken(store, filtered("new"), tenant="shop")).outcomes == ("filtered",)
        assert await store.intake.count_compared("shop", "flow", since=0, until=1 << 62) == {}
        assert await store.outbox.messages("shop", MessageFilter(), limit=9) == []
        await publish(store, message(tenant="shop"))
        assert len(await store.outbox.messages("shop", MessageFilter(), limit=9)) == 1
        assert await store.alerts.lead("watching", b"holder", 1_000_000) == 1
        assert await store.alerts.open_alerts() == []


@pytest.mark.slow
async def test_messages_entries_and_tenants_of_the_tenth_version_go_on_beside_shares_and_rules(
    empty_disk_url: str, tmp_path: Path
) -> None:
    await _load(empty_disk_url, 10)
    channels = tmp_path / "channels.toml"
    channels.write_text(f'[channels.replies]\ntype = "file"\nfolder = "{tmp_path}/out"\n')
    rule = hf.workflow(name="ruled", singleton=hf.Singleton())(flows.paused.fn)
    loud = hf.workflow(name="loud")(_loud)
    async with (
        hf.connect(empty_disk_url, tenant="shop") as client,
        hf.connect(empty_disk_url, tenant="other") as other,
        hf.Worker(
            client, [*flows.ALL, flows.asks, flows.answers, rule, loud], drain=0, channels=channels, concurrency=50
        ),
    ):
        # What was known is known, and the run of an entry goes on behind the message that it published.
        entries = {one.outcome: one for one in await client.entries()}
        assert set(entries) == {"run", "filtered", "dead"}
        assert entries["run"].run_id is not None
        assert await (await client.handle(entries["run"].run_id)).result(timeout="30s") == "o-1"
        ids = [one.id for one in await client.messages(channel="replies")]
        assert sorted(ids) == ["again/o-1", "reply/o-1"]

        # A person looks at the message that waited for one, and it is sent.
        work = hf.work_queue(client)
        [review] = [item for item in await work.list(status="not_started") if (item.run or "").startswith("review/")]
        await work.complete(review.id, {"json": '{"to": "o-1"}'})

        async def sent() -> bool:
            return "sent" in [one.status for one in await client.messages(channel="replies")]

        await until(sent)

        # Runs of another tenant, which waited in the queue itself, and new ones, which have a share of it.
        assert await (await other.handle("sleeps")).view() is not None
        await other.resume_workflow("paused")
        assert await (await other.handle("paused")).result(timeout="30s") == 1
        new = await other.start(flows.paused.options(id="new"))
        assert await new.result(timeout="30s") == 1
        assert (await new.view()).queue == "default"

        # What came since is there.
        assert (await (await client.start(rule)).result(timeout="30s"), await client.diversions()) == (1, [])
        run = await client.start(loud, 400_000)
        assert await run.result(timeout="30s") == "x" * 400_000
        assert [chunk.value async for chunk in run.stream("said") if chunk.kind == "data"] == [400_000]


async def _loud(many: int) -> str:
    await hf.stream("said").write(many)
    return "x" * many
