"""`hf.publish`: a message goes out with what the run commits, once, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

import holdfast as hf
from holdfast.agents.recording import record_artifact
from holdfast.model.ids import MAX_ID_CHARACTERS
from holdfast.model.publishing import text_digest
from holdfast.store.operations import Batch, Results
from tests.engine.helpers import ONCE, QUICK, cause, outcome, serving, until_status

tries: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def no_tries() -> None:
    tries.clear()


async def published(client: hf.Client, **which: Any) -> list[hf.MessageView]:
    """Messages with their bodies, the oldest first."""
    found = [await client.message(one.id) for one in await client.messages(**which)]
    return found[::-1]


async def bodies(client: hf.Client, **which: Any) -> list[Any]:
    return [one.body for one in await published(client, **which)]


@hf.step(retry=QUICK)
async def third_time() -> list[str]:
    tries["third_time"] += 1
    ids = [await hf.publish("pages", {"try": tries["third_time"], "n": n}) for n in range(2)]
    if tries["third_time"] < 3:
        raise ConnectionError("not yet")
    return ids


@hf.step(retry=QUICK)
def third_time_in_a_thread() -> None:
    tries["thread"] += 1
    _ = hf.publish("pages", {"try": tries["thread"]})
    if tries["thread"] < 3:
        raise ConnectionError("not yet")


@hf.step(retry=QUICK)
async def never() -> None:
    await hf.publish("pages", "never", id="never")
    raise LookupError("never")


@hf.workflow
async def steps() -> list[str]:
    ids = await third_time()
    await third_time_in_a_thread()
    return ids


@hf.workflow
async def fails() -> None:
    await never()


async def test_of_several_attempts_only_the_one_that_succeeds_publishes(store_url: str) -> None:
    async with serving(store_url, steps) as client:
        ids = await outcome(client, steps)
        found = await published(client)
        assert [one.body for one in found] == [{"try": 3, "n": 0}, {"try": 3, "n": 1}, {"try": 3}]
        assert ids == [one.id for one in found[:2]]
        assert len({one.id for one in found}) == 3
        for one in found:
            assert (one.channel, one.status, one.verdict, one.workflow) == ("pages", "pending", "mode", "steps")


async def test_a_step_that_fails_for_good_publishes_nothing(store_url: str) -> None:
    async with serving(store_url, fails) as client:
        assert isinstance(await cause(client, fails), LookupError)
        assert await client.messages() == []


@hf.step(retry=ONCE)
async def refused() -> None:
    await hf.publish("pages", "refused")
    name = "x" * (MAX_ID_CHARACTERS + 1)
    record_artifact(name, "text/plain", 0, hashlib.sha256(b"").digest(), content=b"")


@hf.workflow
async def is_refused() -> None:
    await refused()


@hf.step(retry=ONCE)
async def no_result() -> object:
    await hf.publish("pages", "no result")
    return float("nan")


@hf.workflow
async def has_no_result() -> None:
    await no_result()


async def test_a_result_that_is_refused_takes_its_messages_with_it(store_url: str) -> None:
    async with serving(store_url, is_refused, has_no_result) as client:
        assert isinstance(await cause(client, is_refused), hf.PayloadError)
        assert isinstance(await cause(client, has_no_result), hf.PayloadError)
        assert await client.messages() == []


@hf.step
def from_threads() -> None:
    with ThreadPoolExecutor(4) as threads:
        for n in range(40):
            threads.submit(copy_context().run, hf.publish, "pages", n)


@hf.workflow
async def threads() -> None:
    await from_threads()


async def test_threads_of_a_step_publish_beside_each_other() -> None:
    async with serving("memory://", threads) as client:
        await outcome(client, threads)
        assert sorted(await bodies(client)) == list(range(40))


@hf.workflow
async def naps() -> list[str]:
    first = await hf.publish("pages", "one", key="k")
    await hf.sleep(0.001)
    second, third = await hf.gather(hf.publish("pages", "two", key="k"), hf.publish("crm", "three", id="mine"))
    await hf.sleep(0.002)
    return [first, second, third]


@pytest.mark.usefixtures("park_at_once")
async def test_a_replay_gives_the_ids_and_publishes_nothing_again(store_url: str) -> None:
    async with serving(store_url, naps) as client:
        ids = await outcome(client, naps)
        found = {one.id: one for one in await published(client)}
        assert [found[id].body for id in ids] == ["one", "two", "three"]
        assert [(one.channel, one.key, one.repeats) for one in found.values()] == [
            ("pages", "k", 0), ("pages", "k", 0), ("crm", None, 0)
        ]  # fmt: skip
        run = found[ids[0]].run
        assert run is not None
        entries = [(one.kind, one.name, one.output) for one in await client.history(run) if one.kind == "publish"]
        assert entries == [("publish", "pages", ids[0]), ("publish", "pages", ids[1]), ("publish", "crm", "mine")]


async def test_a_known_id_is_not_published_again(store_url: str) -> None:
    async with serving(store_url, naps) as client:
        await outcome(client, naps)
        await outcome(client, naps)
        [third] = await published(client, channel="crm")
        assert (third.id, third.repeats) == ("mine", 1)
        assert len(await client.messages(channel="pages")) == 4


@hf.step
async def tell(what: str) -> str:
    return await hf.publish("pages", what)


@hf.step(retry=ONCE)
async def mends() -> str:
    tries["mends"] += 1
    id = await hf.publish("pages", f"mends {tries['mends']}")
    if tries["mends"] == 1:
        raise LookupError("mend me")
    return id


@hf.workflow
async def mended() -> list[str]:
    first = await tell("kept")
    own = await hf.publish("pages", "own")
    second = await mends()
    return [first, own, second, await hf.publish("pages", "last")]


async def test_a_retry_publishes_what_is_done_anew_and_a_fork_too(store_url: str) -> None:
    async with serving(store_url, mended) as client:
        run = await client.start(mended)
        await until_status(client, run.id, "failed")
        assert await bodies(client) == ["kept", "own"]
        await client.retry(run.id)
        ids = await run.result("20s")
        assert await bodies(client) == ["kept", "own", "mends 2", "last"]
        fork: list[str] = await (await client.handle(await client.fork(run.id, from_step="mends"))).result("20s")
        assert fork[:2] == ids[:2]
        assert len(set(fork) | set(ids)) == 6
        assert (await bodies(client))[4:] == ["mends 3", "last"]


@hf.step
async def tells_twice(what: str) -> list[str]:
    return [await hf.publish("pages", f"{what} {n}") for n in range(2)]


@hf.workflow
async def told() -> list[str]:
    return await tells_twice("told")


async def test_a_step_that_is_tried_aside_publishes_nothing(store_url: str) -> None:
    async with serving(store_url, told) as client:
        ids = await outcome(client, told.options(id="told"))
        again = await client.replay_step("told", tells_twice)
        assert (again.output, again.error, again.difference) == (ids, None, "")
        assert await bodies(client) == ["told 0", "told 1"]


late: list[tuple[asyncio.Event, asyncio.Task[str]]] = []


@hf.step
async def leaves_a_task() -> None:
    async def publishes() -> str:
        await go_on.wait()
        return await hf.publish("pages", "too late")

    go_on = asyncio.Event()
    late.append((go_on, asyncio.create_task(publishes())))


@hf.workflow
async def hasty() -> None:
    await leaves_a_task()


async def test_what_publishes_when_its_step_is_over_is_told_that_it_is_too_late() -> None:
    late.clear()
    async with serving("memory://", hasty) as client:
        await outcome(client, hasty)
        go_on, publishes = late[0]
        go_on.set()
        with pytest.raises(hf.UsageError, match=r"step '.*leaves_a_task' had ended"):
            await publishes
        assert await client.messages() == []


@hf.workflow
async def counts(n: int) -> str:
    id = await hf.publish("pages", n)
    if n < 2:
        hf.continue_as_new(n + 1)
    return id


async def test_a_run_that_begins_anew_publishes_anew(store_url: str) -> None:
    async with serving(store_url, counts) as client:
        await outcome(client, counts, 0)
        assert await bodies(client) == [0, 1, 2]
        assert len({one.run for one in await client.messages()}) == 1


class Order(BaseModel):
    id: str
    cents: int


@dataclass
class Parcel:
    number: int
    text: str


@hf.step
async def typed() -> None:
    await hf.publish("a", Order(id="o-1", cents=500), key=7)
    await hf.publish("a", Parcel(7, "on  its\nway"), delay="1h")
    await hf.publish("a", hf.Mail("a@b.example", "hello", "on its way"), review="odd")
    await hf.publish("a", None, refuse="never")
    await hf.publish("a", ["x", 1.5])


@hf.workflow
async def types() -> None:
    await typed()


async def test_whatever_is_published_is_plain_json(store_url: str) -> None:
    async with serving(store_url, types) as client:
        await outcome(client, types)
        found = await published(client)
        assert [one.body for one in found] == [
            {"id": "o-1", "cents": 500}, {"number": 7, "text": "on  its\nway"},
            {"to": ["a@b.example"], "subject": "hello", "text": "on its way"}, None, ["x", 1.5],
        ]  # fmt: skip
        assert [(one.verdict, one.reason, one.key) for one in found] == [
            ("mode", "", "7"), ("mode", "", None), ("review", "odd", None), ("refused", "never", None),
            ("mode", "", None),
        ]  # fmt: skip
        assert [one.status for one in found] == ["pending", "pending", "pending", "withheld", "pending"]
        due = found[1].due_at
        assert due is not None
        assert (due - found[1].created_at).total_seconds() == 3600
        assert text_digest(found[1].body) == text_digest(found[2].body)


BAD: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ("", {}, hf.UsageError, "the channel"),
    (5, {}, hf.UsageError, "the channel"),
    ("a\0", {}, hf.UsageError, "NUL"),
    ("x" * 513, {}, hf.UsageError, "513 characters"),
    ("a", {"id": ""}, hf.UsageError, "the id of a message"),
    ("a", {"id": 5}, hf.UsageError, "the id of a message"),
    ("a", {"key": ""}, hf.UsageError, "the key of a message"),
    ("a", {"key": 1.5}, hf.UsageError, "the key of a message"),
    ("a", {"delay": "soon"}, hf.UsageError, "the delay of a message"),
    ("a", {"delay": -1}, hf.UsageError, "the delay of a message"),
    ("a", {"review": ""}, hf.UsageError, "say why"),
    ("a", {"refuse": "x" * 1001}, hf.UsageError, "say why"),
    ("a", {"review": "x\0"}, hf.UsageError, "NUL"),
    ("a", {"refuse": "\ud800"}, hf.UsageError, "surrogate"),
    ("a", {"review": "x", "refuse": "y"}, hf.UsageError, "one of them"),
]


@hf.workflow
async def careless(n: int) -> str:
    channel, more, kind, said = BAD[n]
    with pytest.raises(kind, match=said):
        await hf.publish(channel, "x", **more)
    for value, where in (
        ({"a": [1, {1}]}, r"\.a\[1\]"),
        ({"a": float("nan")}, r"\.a"),
        ({1: 2}, "keys"),
        (object(), "plain JSON cannot hold"),
    ):
        with pytest.raises(hf.PayloadError, match=where):
            await hf.publish("a", value)
    return "refused"


async def test_bad_input_is_refused_at_the_call_and_publishes_nothing() -> None:
    async with serving("memory://", careless) as client:
        for n, (channel, more, kind, said) in enumerate(BAD):
            assert await outcome(client, careless, n) == "refused"
            with pytest.raises(kind, match=said):
                await client.publish(channel, "x", **more)
        assert await client.messages() == []


async def test_outside_a_run_it_says_what_to_do() -> None:
    for call in (lambda: hf.publish("a", "x"), third_time_in_a_thread.fn):
        with pytest.raises(hf.UsageError, match=r"await client.publish"):
            call()
    with pytest.raises(hf.UsageError, match=r"await client.publish"):
        await third_time()


@hf.workflow
async def changed() -> str:
    tries["changed"] += 1
    first = await hf.publish("pages" if tries["changed"] == 1 else "crm", "x")
    await hf.sleep(0.001)
    return first


@pytest.mark.usefixtures("park_at_once")
async def test_another_channel_than_was_recorded_is_told() -> None:
    async with serving("memory://", changed) as client:
        run = await client.start(changed)
        view = await until_status(client, run.id, "held")
        assert view.error is not None
        assert "publish 'pages', the code asks for publish 'crm'" in view.error["message"]
        assert await bodies(client) == ["x"]


@hf.step
async def waits() -> None:
    tries["waits"] += 1
    await asyncio.Event().wait()


@hf.workflow
async def stopped() -> None:
    try:
        await waits()
    except hf.Cancelled:
        with pytest.raises(hf.Cancelled):
            await hf.publish("pages", "not shielded")
        async with hf.shield():
            await hf.publish("pages", "shielded")
        raise


async def test_a_cancelled_run_publishes_only_what_it_shields(store_url: str) -> None:
    async with serving(store_url, stopped) as client:
        run = await client.start(stopped)
        async with asyncio.timeout(20):
            while not tries["waits"]:
                await asyncio.sleep(0.002)
        await client.cancel(run.id)
        with pytest.raises(hf.RunCancelled):
            await run.result("20s")
        assert await bodies(client) == ["shielded"]


@hf.step
async def twice() -> None:
    await hf.publish("pages", 1)
    await hf.publish("pages", 2)


@hf.workflow
async def in_one() -> None:
    await twice()
    await hf.publish("pages", 3)


async def test_messages_are_written_in_the_transaction_of_what_publishes_them(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(store_url, in_one) as client:
        store = client.core.store
        batches: list[Batch] = []
        commit = store.commit

        async def noted(batch: Batch) -> Results:
            batches.append(batch)
            return await commit(batch)

        monkeypatch.setattr(store, "commit", noted)
        await outcome(client, in_one)
        found = [batch for batch in batches if batch.messages]
        assert [len(batch.messages) for batch in found] == [2, 1]
        for batch in found:
            recorded = {(row[0], row[1]) for row in batch.checkpoints}
            assert {(row.run, row.position) for row in batch.messages} <= recorded
        monkeypatch.undo()
