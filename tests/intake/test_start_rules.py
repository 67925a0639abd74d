"""Entries whose workflow has a rule for starts: each says what became of it, and claims no run that is not there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.engine.core import Core
from holdfast.errors import StartDropped
from holdfast.model.start_rules import Batch, RateLimit, Singleton
from holdfast.store.operations import Start
from tests.api.kit import V1, problem
from tests.api.kit import serving as serving_http
from tests.engine.helpers import serving, until
from tests.intake.taking_kit import ORDERS, append, counts, once, orders, registered, write

CUSTOMERS = ORDERS.replace('"desk"', '"first_only"')


@hf.workflow(rate_limit=RateLimit(1, per="1h", key="message.data.customer", excess="drop"))
async def first_only(message: hf.Incoming) -> str:
    return message.id


@hf.workflow(batch=Batch(3, within="1h", key="data.customer"))
async def index(messages: list[hf.Incoming]) -> list[str]:
    return [message.id for message in messages]


@hf.workflow(singleton=Singleton(key=lambda message: message.data["customer"]))
async def one_by_one(message: hf.Incoming) -> object:
    return await hf.wait_for_event("go")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of starts of which everybody was told whom they have to do with."""
    ids: list[str] = []
    tell = Core.tell_started

    def noting(core: Core, starts: Iterable[Start]) -> None:
        some = list(starts)
        ids.extend(start.id for start in some)
        tell(core, some)

    monkeypatch.setattr(Core, "tell_started", noting)
    return ids


async def test_an_entry_whose_start_is_dropped_becomes_no_run_and_says_why(disk_url: str, tmp_path: Path) -> None:
    write(tmp_path, CUSTOMERS)
    append(tmp_path, [*orders(1, 2, customer="ada"), *orders(3, customer="bob")])
    async with hf.connect(disk_url) as client:
        await registered(client, first_only)
        assert counts(await once(client, tmp_path)) == (2, 1, 0, 0)
        [entry] = await client.entries(outcome="filtered")
        [dropped] = await client.diversions(way="dropped")
        assert (entry.message_id, entry.run_id, entry.path) == ("o-2", None, None)
        assert entry.reason == dropped.reason != ""
        assert len(await client.list()) == 2
        [source] = await client.sources()
        assert counts(source) == (2, 1, 0, 0)
        run = await client.start_diverted(dropped.id)
        assert (await client.get(run)).input["message"]["data"]["id"] == "o-2"


async def test_entries_go_into_a_batch_in_their_order(disk_url: str, tmp_path: Path) -> None:
    path = write(tmp_path, ORDERS.replace('"desk"', '"index"'))
    append(tmp_path, [*orders(1, 2, 3, customer="ada"), *orders(4, customer="bob")])
    async with serving(disk_url, index, intake=path) as client:

        async def run() -> bool:
            return (await client.count(status="succeeded")).runs == 1

        await until(run)
        [full] = await client.list(status="succeeded")
        assert full.output == ["o-1", "o-2", "o-3"]
        entries = await client.entries()
        assert [entry.outcome for entry in entries] == ["run"] * 4
        assert [entry.run_id for entry in reversed(entries)][:3] == [full.id] * 3
        assert ["merged" in entry.reason or bool(entry.reason) for entry in reversed(entries)] == [
            False, True, True, False
        ]  # fmt: skip


async def test_a_dead_entry_that_is_taken_in_after_all_says_that_it_was_dropped(
    disk_url: str, tmp_path: Path, told: list[str]
) -> None:
    write(tmp_path, CUSTOMERS)
    append(tmp_path, [*orders(1, customer="ada"), "{broken"])
    async with hf.connect(disk_url) as client:
        await registered(client, first_only)
        await once(client, tmp_path)
        [dead] = await client.entries(outcome="dead")
        with pytest.raises(StartDropped) as error:
            await client.retry_entry(dead.id, json.dumps({"id": "o-2", "customer": "ada"}))
        assert (await client.diversion(error.value.diversion)).asked_id == told[-1] == f"orders/{dead.id}"
        settled = await client.entry(dead.id)
        assert (settled.outcome, settled.run_id, settled.reason) == ("filtered", None, error.value.reason)
        [source] = await client.sources()
        assert (source.runs, source.dead) == (1, 0)


async def test_a_key_by_code_is_had_from_the_code_of_the_worker_that_reads(disk_url: str, tmp_path: Path) -> None:
    path = write(tmp_path, ORDERS.replace('"desk"', '"one_by_one"'))
    append(tmp_path, orders(1, 2, customer="ada"))
    async with serving(disk_url, one_by_one, intake=path) as client:

        async def taken() -> bool:
            return len(await client.entries()) == 2

        await until(taken)
        assert sorted(entry.outcome for entry in await client.entries()) == ["filtered", "run"]


async def test_what_is_handed_in_is_told_what_became_of_it(disk_url: str, tmp_path: Path, told: list[str]) -> None:
    requested = '[sources.requested]\nkind = "http"\nworkflow = "first_only"\nid = "id"\n'
    async with (
        serving_http(disk_url, intake=str(write(tmp_path, requested))) as served,
        hf.Worker(disk_url, [first_only]),
    ):
        http, address = served.http(), f"{V1}/intake/requested"
        assert (await http.post(address, json={"id": "o-1", "customer": "ada"})).status_code == 201
        for outcome in ("filtered", "repeated"):
            answer = await http.post(address, json={"id": "o-2", "customer": "ada"})
            assert (answer.status_code, answer.json()["outcome"], answer.json()["run_id"]) == (200, outcome, None)
        problem(await http.get(f"{V1}/runs/requested%2Fo-2"), 404, "run-not-found")
        [entry] = [one for one in await served.local().entries() if one.message_id == "o-1"]
        assert entry.run_id in told
