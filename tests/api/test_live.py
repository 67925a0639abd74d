"""Live updates over a real server: nothing is lost, what is left is dropped, and clients come back where they were."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest

import holdfast as hf
from holdfast.api import following, live, streams
from holdfast.api.streams import Follower
from holdfast.store.alerts import AlertRow
from tests.api.kit import V1, Served, declined, listening, serving, working

PATIENCE = 20.0


@hf.step(retry=hf.Retry(max_attempts=3, initial=0.01))
async def tick(number: int) -> int:
    if number == 2 and hf.current().attempt == 1:
        raise ValueError("not yet")
    return number


@hf.workflow
async def ticking(ticks: int) -> int:
    for number in range(ticks):
        await tick(number)
    return await hf.wait_for_event("go", key="k") or ticks


@hf.workflow
async def again(times: int) -> int:
    await tick(times)
    if times:
        await hf.wait_for_event("go", key=times)
        hf.continue_as_new(times - 1)
    return times


class Event(NamedTuple):
    kind: str
    id: str
    data: Any


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than a server does, so that a test takes less time."""
    for name, seconds in (("REST", 0.03), ("POLL", 0.05), ("LIST_REST", 0.05), ("LIST_POLL", 0.1)):
        monkeypatch.setattr(live, f"{name}_SECONDS", seconds)


@pytest.fixture
async def shop() -> AsyncIterator[Served]:
    async with serving() as made, hf.Worker(made.url, [ticking, again]), working(made):
        yield made


@pytest.fixture
async def address(shop: Served) -> AsyncIterator[str]:
    async with listening(shop.app) as made:
        yield made


class Watching:
    """A client that follows."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.events: list[Event] = []
        self.beats = 0

    async def next(self) -> Event:
        kind, id, data = "", "", ""
        async with asyncio.timeout(PATIENCE):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "id":
                    id = value
                elif name == "data":
                    data = value
                elif line == ":":
                    self.beats += 1
                elif not line and kind:
                    self.events.append(Event(kind, id, json.loads(data)))
                    return self.events[-1]
        raise EOFError

    async def until(self, done: Any) -> Event:
        while True:
            event = await self.next()
            if done(event):
                return event

    def journal(self) -> dict[tuple[str, int], Any]:
        """What the events say that the journal is."""
        found: dict[tuple[str, int], Any] = {}
        for event in self.events:
            if event.kind == "reset":
                found.clear()
            elif event.kind == "entry":
                found[event.data["position"], event.data["generation"]] = event.data
        return found


@contextlib.asynccontextmanager
async def watch(address: str, path: str, last: str | None = None, **headers: str) -> AsyncIterator[Watching]:
    if last is not None:
        headers["Last-Event-ID"] = last
    async with (
        httpx.AsyncClient(base_url=address, timeout=PATIENCE, verify=False) as client,
        client.stream("GET", f"{V1}/{path}", headers=headers) as response,
    ):
        assert response.status_code == 200, (await response.aread(), response.status_code)
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield Watching(response.aiter_lines())


async def journal(address: str, run_id: str) -> Any:
    async with httpx.AsyncClient(base_url=address, verify=False) as client:
        return (await client.get(f"{V1}/runs/{run_id}/journal")).json()["items"]


def is_run(status: str) -> Any:
    return lambda event: event.kind == "run" and event.data["status"] == status


@pytest.mark.slow
async def test_a_run_is_followed_to_its_end(shop: Served, address: str) -> None:
    client = shop.local()
    handle = await client.start(ticking.options(id="a/b"), 4)
    async with watch(address, "runs/a%2Fb/live") as watching:
        await watching.until(is_run("waiting"))
        await client.send_event("go", 99, key="k")
        last = await watching.until(is_run("succeeded"))
        assert last.data["output"] == 99
        numbers = [int(event.id.partition(".")[2]) for event in watching.events]
        assert numbers == sorted(numbers)
        assert len(set(numbers)) == len(numbers)
    shown = await journal(address, "a%2Fb")
    assert list(watching.journal().values()) == shown
    assert await handle.result() == 99


@pytest.mark.slow
async def test_who_comes_back_misses_nothing_and_gets_nothing_twice(shop: Served, address: str) -> None:
    client = shop.local()
    await client.start(ticking.options(id="r"), 3)
    async with watch(address, "runs/r/live") as first:
        await first.until(is_run("waiting"))
        while len(first.journal()) < 4:
            await first.next()
    last = first.events[-1].id
    await client.send_event("go", 7, key="k")
    await (await client.handle("r")).result(PATIENCE)
    async with watch(address, "runs/r/live", last) as second:
        await second.until(is_run("succeeded"))
    assert all(event.kind != "reset" for event in second.events)
    assert [event.data["kind"] for event in second.events if event.kind == "entry"] == ["event"]
    # From each place in the middle, too.
    whole = {**first.journal(), **second.journal()}
    for number, event in enumerate(first.events):
        async with watch(address, "runs/r/live", event.id) as third:
            await third.until(is_run("succeeded"))
        both = Watching(iter(()))  # type: ignore[arg-type]
        both.events = [*first.events[: number + 1], *third.events]
        assert both.journal() == whole, number


@pytest.mark.slow
async def test_the_end_of_a_run_comes_after_all_that_led_to_it(shop: Served, address: str) -> None:
    client = shop.local()
    await client.send_event("go", 1, key="k")
    await (await client.start(ticking.options(id="r"), 3)).result(PATIENCE)
    async with watch(address, "runs/r/live") as watching:
        await watching.until(is_run("succeeded"))
        assert len(watching.journal()) == 4


@pytest.mark.slow
@pytest.mark.parametrize("last", ["x", "abc.5", "", "zz.-1", "zz." + "9" * 30])
async def test_who_had_something_else_begins_anew(shop: Served, address: str, last: str) -> None:
    await shop.local().start(ticking.options(id="r"), 1)
    async with watch(address, "runs/r/live", last) as watching:
        await watching.until(is_run("waiting"))
        assert (watching.events[0].kind == "reset") == bool(last)


@pytest.mark.slow
async def test_a_retry_and_a_new_beginning_are_followed(shop: Served, address: str) -> None:
    client = shop.local()
    await client.start(again.options(id="r"), 2)
    async with watch(address, "runs/r/live") as watching:
        for times in (2, 1):
            await watching.until(is_run("waiting"))
            await client.send_event("go", key=times)
        await watching.until(is_run("succeeded"))
        assert "reset" in [event.kind for event in watching.events]
    shown = await journal(address, "r")
    assert list(watching.journal().values()) == shown

    await client.start(declined.options(id="d"))
    await (await client.handle("d")).view()
    async with watch(address, "runs/d/live") as watching:
        await watching.until(is_run("failed"))
        await client.retry("d")
        await watching.until(lambda event: is_run("failed")(event) and event.data["attempt"] == 2)
        shown = await journal(address, "d")
        assert [one for one in watching.journal().values() if one["in_force"]] == [
            one for one in shown if one["in_force"]
        ]


@pytest.mark.slow
async def test_a_long_journal_is_followed(shop: Served, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SMALL", 5)
    client = shop.local()
    await client.start(ticking.options(id="r"), 40)
    async with watch(address, "runs/r/live") as watching:
        await watching.until(is_run("waiting"))
        await client.send_event("go", 1, key="k")
        await watching.until(is_run("succeeded"))
    shown = await journal(address, "r")
    assert [watching.journal()[one["position"], 1] for one in shown] == shown
    monkeypatch.setattr(live, "ENTRIES_AT_MOST", 10)
    await client.start(ticking.options(id="longer"), 40)
    async with watch(address, "runs/longer/live") as watching:
        await watching.until(is_run("waiting"))
        await client.send_event("go", 1, key="k")
        await watching.until(is_run("succeeded"))
        assert len(watching.journal()) <= 10


@pytest.mark.slow
async def test_many_follow_the_same_and_different_runs_and_none_misses_anything(shop: Served, address: str) -> None:
    client, follow = shop.local(), 60
    for number in range(follow // 2):
        await client.start(ticking.options(id=f"r-{number}"), 3)

    async def one(number: int) -> dict[tuple[str, int], Any]:
        async with watch(address, f"runs/r-{number % (follow // 2)}/live") as watching:
            await watching.until(is_run("waiting"))
            ready.append(number)
            await watching.until(is_run("succeeded"))
            return watching.journal()

    ready: list[int] = []
    tasks = [asyncio.create_task(one(number)) for number in range(follow)]
    while len(ready) < follow:
        await asyncio.sleep(0.05)
    assert shop.server.live.followers == follow
    for _ in range(follow // 2):
        await client.send_event("go", 5, key="k")
    for journal in await asyncio.gather(*tasks):
        assert len(journal) == 4
        assert {entry["outcome"] for entry in journal.values()} == {"ok"}
    for _ in range(100):
        if shop.server.live.followers == 0:
            break
        await asyncio.sleep(0.05)
    assert shop.server.live.followers == 0


@pytest.mark.slow
async def test_lists_and_topics_say_when_they_change(shop: Served, address: str) -> None:
    client = shop.local()
    async with (
        watch(address, "live?workflow=ticking") as of_runs,
        watch(address, "live?where=priority+%3E+5") as of_others,
        watch(address, "live/schedules") as schedules,
        watch(address, "live/queues") as queues,
        watch(address, "live/overview") as overview,
        watch(address, "live/workers") as workers,
        watch(address, "live/lanes") as lanes,
    ):
        every = (of_runs, of_others, schedules, queues, overview, workers, lanes)
        first = {one: await one.next() for one in every}
        assert {event.kind for event in first.values()} == {"changed"}
        await client.start(ticking.options(id="r"), 1)
        await client.schedule("s", "ticking", input={"ticks": 1}, every="1h")
        await client.set_queue("other", total=3)
        for changes in (of_runs, schedules, queues, overview):
            event = await changes.next()
            while event.id == first[changes].id:  # a busy server may tell the same twice
                event = await changes.next()
            assert event.data["fingerprint"] == event.id
        assert len(of_others.events) == 1
    # Who comes back to what is as it was is told nothing.
    async with watch(address, "live/schedules", schedules.events[-1].id) as same:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    await same.next()
        assert len(same.events) <= 1  # once more, at most, lest something came and went in between


@pytest.mark.slow
async def test_messages_and_alerts_say_when_they_change(shop: Served, address: str) -> None:
    client, alerts = shop.local(), shop.server.core.store.alerts
    async with (
        watch(address, "live/outbox") as outbox,
        watch(address, "live/alerts") as fired,
        watch(address, "live/intake") as intake,
        watch(address, "live/overview") as overview,
    ):
        first = {one: await one.next() for one in (outbox, fired, intake, overview)}

        async def another(watching: Watching) -> None:
            event = await watching.next()
            while event.id == first[watching].id:  # a busy server may tell the same twice
                event = await watching.next()
            first[watching] = event

        await client.publish("crm", 1, delay="1h")
        await another(outbox)
        await another(overview)
        term = await alerts.lead("alerts", b"somebody's id 16", 60_000_000)
        assert term is not None
        at = client.core.now_us()
        row = AlertRow("default", "rule", "it", "firing", "warning", 1.0, "it is wrong", at, at, None, None)
        assert await alerts.put_alerts("alerts", term, [row], [])
        await another(fired)
        await another(overview)
        await client.core.store.intake.open_source("default", "orders", "jsonl", "ticking")
        await another(intake)
        await another(overview)


@pytest.mark.slow
async def test_a_connection_is_kept_open_by_heartbeats(
    shop: Served, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    async with watch(address, "live/lanes") as watching:
        await watching.next()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    await watching.next()
        assert watching.beats >= 3


@pytest.mark.slow
async def test_a_client_that_does_not_read_is_dropped_and_holds_nobody_up(
    shop: Served, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SEND_SECONDS", 1.0)
    monkeypatch.setattr(live, "REST_SECONDS", 0.1)
    client = shop.local()
    await client.start(ticking.options(id="r", attributes={"much": "x" * 300_000}), 1)
    host, port = address.removeprefix("http://").split(":")
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.connect((host, int(port)))
        silent.sendall(f"GET {V1}/runs/r/live HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while shop.server.live.followers == 0:
            await asyncio.sleep(0.01)
        async with watch(address, "runs/r/live") as watching:
            await watching.until(is_run("waiting"))
            reading = asyncio.create_task(watching.until(is_run("succeeded")))
            async with asyncio.timeout(PATIENCE):
                while shop.server.live.followers > 1:
                    await client.hold("r")
                    await asyncio.sleep(0.15)
                    await client.release("r")
                    await asyncio.sleep(0.15)
            await client.send_event("go", 1, key="k")
            await reading


async def test_updates_that_wait_are_bounded() -> None:
    follower = Follower(hidden=False)
    for number in range(streams.WAITING_AT_MOST):
        follower.offer([b"%d" % number])
    assert not follower.dropped
    follower.offer([b"one too many"])
    assert follower.dropped
    assert await follower.take(0) is None
    large = Follower(hidden=False)
    large.offer([b"x" * (streams.WAITING_BYTES + 1)])
    assert not large.dropped
    large.offer([b"x"])
    assert large.dropped
    ended = Follower(hidden=False)
    ended.offer([b"a"])
    ended.end()
    assert (await ended.take(1), await ended.take(1)) == (b"a", None)
    parts = Follower(hidden=False)
    parts.offer(b"%d" % number * streams.SEND_BYTES for number in range(3))
    assert [await parts.take(0) for _ in range(4)] == [b"0" * 32_000, b"1" * 32_000, b"2" * 32_000, b""]


@pytest.mark.slow
async def test_a_key_that_is_revoked_follows_no_more() -> None:
    async with serving(auth=True) as shop, working(shop), listening(shop.app) as address:
        made = await shop.local().create_key("k", role="viewer")
        async with watch(address, "live/schedules", Authorization=f"Bearer {made.key}") as watching:
            await watching.next()
            await shop.local().revoke_key(made.view.prefix)
            await asyncio.sleep(1.2)
            await shop.local().schedule("s", "checkout", input={"order_id": "x"}, every="1h")
            with pytest.raises(EOFError):
                await watching.until(lambda event: False)
            assert len({event.id for event in watching.events}) == 1  # nothing was told of what came since


@pytest.mark.slow
async def test_those_who_look_do_not_see_what_is_hidden() -> None:
    async with (
        serving(auth=True, redact=("ticks",)) as shop,
        hf.Worker(shop.url, [ticking]),
        listening(shop.app) as address,
    ):
        await shop.local().start(ticking.options(id="r"), 3)
        for role, seen in (("viewer", "[redacted]"), ("operator", 3)):
            key = await shop.key(role)
            async with watch(address, "runs/r/live", Authorization=f"Bearer {key}") as watching:
                event = await watching.until(is_run("waiting"))
                assert event.data["input"] == {"ticks": seen}


@pytest.mark.slow
async def test_a_server_that_stops_lets_its_clients_go(shop: Served, address: str) -> None:
    async with watch(address, "live/lanes") as watching:
        await watching.next()
        shop.server.live.end_streams()
        with pytest.raises(EOFError):
            await watching.next()


@pytest.mark.slow
async def test_a_database_that_is_away_for_a_moment_ends_no_stream(
    shop: Served, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = shop.local()
    await client.start(ticking.options(id="r"), 1)
    async with watch(address, "runs/r/live") as watching:
        await watching.until(is_run("waiting"))

        async def away(*arguments: Any, **more: Any) -> Any:
            raise hf.StoreUnavailable("away")

        reads = shop.server.reads("default")
        with monkeypatch.context() as patched:
            patched.setattr(type(reads), "find_runs", away)
            await asyncio.sleep(0.7)
        await client.send_event("go", 1, key="k")
        await watching.until(is_run("succeeded"))


async def test_what_nobody_follows_is_forgotten(shop: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LINGER_SECONDS", 0.0)
    await shop.local().start(ticking.options(id="r"), 1)
    hub = shop.server.live
    principal = await shop.server.principal(request())
    follower, subject = await hub.follow_run(principal, "r", None)
    assert len(hub._runs) == 1
    subject.leave(follower)
    async with asyncio.timeout(PATIENCE):
        while hub._runs:
            await asyncio.sleep(0.05)


def request() -> Any:
    from starlette.requests import Request

    return Request({"type": "http", "method": "GET", "headers": [], "client": None})


def test_every_topic_is_one_of_the_pages() -> None:
    assert set(following.TOPICS) == {
        "overview", "queues", "lanes", "schedules", "workers", "outbox", "intake", "alerts"
    }  # fmt: skip
