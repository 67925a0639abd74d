"""Events: sent before, during and after the wait; to the first or to all; in time or late."""

import asyncio
from dataclasses import dataclass

import pytest

import holdfast as hf
from tests.engine.helpers import cause, outcome, serving, until, until_status


@dataclass
class Shipment:
    parcel: str
    grams: int


@hf.workflow
async def awaits(key: str, timeout: float | None = None) -> object:
    return await hf.wait_for_event("shipped", key=key, timeout=timeout)


@hf.workflow
async def typed(key: str) -> Shipment:
    return await hf.wait_for_event("shipped", key=key, type=Shipment)


async def waiting(client: hf.Client, name: str, runs: int = 1) -> None:
    """Wait until so many runs of a workflow wait."""

    async def reached() -> bool:
        found = [view for view in await client.list(workflow=name) if await client.history(view.id)]
        return len(found) >= runs

    await until(reached)


async def test_an_event_reaches_the_run_that_waits(store_url: str) -> None:
    async with serving(store_url, awaits) as client:
        run = await client.start(awaits, "o-1")
        await waiting(client, "awaits")
        assert await client.send_event("shipped", {"n": 1}, key="o-1") == hf.Delivery(created=True, waits=1, cancels=0)
        assert await run.result(timeout="20s") == {"n": 1}
        [entry] = await client.history(run.id)
        assert (entry.kind, entry.name, entry.outcome, entry.output) == ("event", "shipped", "ok", {"n": 1})
        assert entry.input == {"key": "o-1"}


async def test_a_run_that_left_memory_is_woken(store_url: str, park_at_once: None) -> None:
    async with serving(store_url, awaits) as client:
        run = await client.start(awaits, "o-1")
        await until_status(client, run.id, "waiting")
        await client.send_event("shipped", 7, key="o-1")
        assert await run.result(timeout="20s") == 7


async def test_an_event_sent_before_the_wait_is_kept(store_url: str) -> None:
    async with serving(store_url, awaits) as client:
        sent = await client.send_event("shipped", "early", key="o-1")
        assert sent == hf.Delivery(created=True, waits=0, cancels=0)
        assert await outcome(client, awaits, "o-1") == "early"
        with pytest.raises(hf.RunFailed) as late:
            await (await client.start(awaits, "o-1", 0.05)).result(timeout="20s")
        assert isinstance(late.value.__cause__, hf.EventTimeout)  # it was for one run only


async def test_an_event_is_kept_for_its_time_to_live(store_url: str) -> None:
    async with serving(store_url, awaits) as client:
        await client.send_event("shipped", "gone", key="o-1", keep=0.05)
        await asyncio.sleep(0.1)
        assert isinstance(await cause(client, awaits, "o-1", 0.05), hf.EventTimeout)


async def test_only_name_and_key_match(store_url: str) -> None:
    async with serving(store_url, awaits) as client:
        run = await client.start(awaits, "o-1")
        await waiting(client, "awaits")
        for name, key in (("shipped", "o-2"), ("shipped", ""), ("ordered", "o-1")):
            assert (await client.send_event(name, key=key)).waits == 0
        await client.send_event("shipped", 5, key="o-1")
        assert await run.result(timeout="20s") == 5


async def test_another_tenants_event_is_another_event(store_url: str) -> None:
    async with serving(store_url, awaits) as client:
        run = await client.start(awaits, "o-1")
        await waiting(client, "awaits")
        other = hf.Client(client.core, "other")
        assert (await other.send_event("shipped", "theirs", key="o-1")).waits == 0
        await client.send_event("shipped", "ours", key="o-1")
        assert await run.result(timeout="20s") == "ours"


async def test_the_first_waiter_gets_it_and_the_next_the_next(store_url: str) -> None:
    async with serving(store_url, awaits) as client:
        first = await client.start(awaits, "k")
        await waiting(client, "awaits", 1)
        second = await client.start(awaits, "k")
        await waiting(client, "awaits", 2)
        await client.send_event("shipped", 1, key="k")
        assert await first.result(timeout="20s") == 1
        assert (await client.get(second.id)).finished_at is None
        await client.send_event("shipped", 2, key="k")
        assert await second.result(timeout="20s") == 2


async def test_to_all_every_waiter_gets_it_now_and_later_each_once(store_url: str) -> None:
    @hf.workflow
    async def twice() -> list[object]:
        first = await hf.wait_for_event("news")
        try:
            return [first, await hf.wait_for_event("news", timeout=0.1)]
        except hf.EventTimeout:
            return [first, "nothing more"]

    async with serving(store_url, twice) as client:
        early = [await client.start(twice) for _ in range(3)]
        await waiting(client, "twice", 3)
        assert (await client.send_event("news", 1, to="all")).waits == 3
        late = await client.start(twice)
        for run in [*early, late]:
            assert await run.result(timeout="20s") == [1, "nothing more"]


async def test_an_event_of_the_same_id_is_sent_once(store_url: str) -> None:
    async with serving(store_url, awaits) as client:
        run = await client.start(awaits, "k")
        await waiting(client, "awaits")
        assert (await client.send_event("shipped", 1, key="k", id="e-1")).created
        assert await client.send_event("shipped", 1, key="k", id="e-1") == hf.Delivery(False, 0, 0)
        assert await run.result(timeout="20s") == 1
        assert isinstance(await cause(client, awaits, "k", 0.05), hf.EventTimeout)


async def test_a_wait_times_out(store_url: str, park_at_once: None) -> None:
    @hf.workflow
    async def patient(key: str) -> str:
        try:
            await hf.wait_for_event("shipped", key=key, timeout=0.05)
        except hf.EventTimeout as late:
            return str(late)
        return "in time"

    async with serving(store_url, patient) as client:
        said = await outcome(client, patient, "o-1")
        assert "shipped" in said
        assert "o-1" in said
        # The event that comes too late is not given to it, and kept for the next.
        assert (await client.send_event("shipped", 1, key="o-1")).waits == 0


async def test_a_typed_payload(store_url: str) -> None:
    async with serving(store_url, typed) as client:
        await client.send_event("shipped", Shipment("p-1", 500), key="a")
        assert await outcome(client, typed, "a") == Shipment("p-1", 500)
        await client.send_event("shipped", {"parcel": "p-1"}, key="b")
        error = await cause(client, typed, "b")
        assert isinstance(error, hf.PayloadError)
        assert "the payload of event 'shipped'" in str(error)
        assert "grams" in str(error)


async def test_a_workflow_sends_events_once_through_replays(store_url: str, park_at_once: None) -> None:
    @hf.workflow
    async def sends(key: str) -> str:
        await hf.send_event("shipped", "from a run", key=key)
        await hf.sleep(0.01)
        return "sent"

    async with serving(store_url, sends, awaits) as client:
        receiver = await client.start(awaits, "k")
        assert await outcome(client, sends, "k") == "sent"
        assert await receiver.result(timeout="20s") == "from a run"
        assert isinstance(await cause(client, awaits, "k", 0.05), hf.EventTimeout)


async def test_a_run_that_ended_takes_no_event(store_url: str) -> None:
    @hf.workflow
    async def leaves(key: str) -> str:
        first = await hf.first(hf.wait_for_event("shipped", key=key), hf.sleep(0.01))
        return str(first.index)

    async with serving(store_url, leaves, awaits) as client:
        assert await outcome(client, leaves, "k") == "1"
        assert (await client.send_event("shipped", 9, key="k")).waits == 0
        assert await outcome(client, awaits, "k") == 9


async def test_a_cancelled_run_takes_no_event(store_url: str) -> None:
    async with serving(store_url, awaits) as client:
        run = await client.start(awaits, "k")
        await waiting(client, "awaits")
        await client.cancel(run.id)
        with pytest.raises(hf.RunCancelled):
            await run.result(timeout="20s")
        assert (await client.send_event("shipped", 9, key="k")).waits == 0
        assert await outcome(client, awaits, "k") == 9


async def test_a_held_run_keeps_what_comes_meanwhile(store_url: str) -> None:
    async with serving(store_url, awaits) as client:
        run = await client.start(awaits, "k", 60)
        await waiting(client, "awaits")
        await client.hold(run.id, reason="look")
        await until_status(client, run.id, "held")
        assert (await client.send_event("shipped", 9, key="k")).waits == 1
        await asyncio.sleep(0.05)
        assert (await client.get(run.id)).status == "held"
        await client.release(run.id)
        assert await run.result(timeout="20s") == 9


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("", {}, "the name of an event"),
        ("a\0", {}, "NUL"),
        ("a", {"key": 1.5}, "a text, a whole number or a UUID"),
        ("a", {"key": None}, "a text, a whole number or a UUID"),
        ("a", {"key": "k" * 600}, "600 characters"),
        ("a", {"to": "some"}, '"first" or "all"'),
        ("a", {"keep": -1}, "between 0 and a hundred years"),
        ("a", {"id": ""}, "the id of an event"),
    ],
)
async def test_what_cannot_be_sent(name: str, options: dict[str, object], said: str) -> None:
    async with hf.connect("memory://") as client:
        with pytest.raises(hf.UsageError, match=said):
            await client.send_event(name, **options)  # type: ignore[arg-type]


async def test_a_payload_that_cannot_be_stored_is_refused() -> None:
    async with hf.connect("memory://") as client:
        with pytest.raises(hf.PayloadError, match="the payload of event 'a'"):
            await client.send_event("a", {"when": float("nan")})


async def test_a_whole_number_and_its_text_are_one_key(store_url: str) -> None:
    async with serving(store_url, awaits) as client:
        await client.send_event("shipped", 1, key=5)
        assert await outcome(client, awaits, "5") == 1


async def test_a_wait_outside_a_run_is_refused() -> None:
    with pytest.raises(hf.UsageError, match="outside a run"):
        await hf.wait_for_event("a")
