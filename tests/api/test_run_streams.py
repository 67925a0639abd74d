"""Streams of runs over a real server: each chunk once and in order, as events or in pages, resumed by its offset."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest

import holdfast as hf
from holdfast.api import turn_streams
from holdfast.engine import stream_waiting
from tests.api.kit import V1, Served, listening, problem, serving

PATIENCE = 60.0

gates: dict[str, asyncio.Event] = {}


@hf.workflow
async def talk(words: list[Any], wait: str = "", close: bool = True) -> None:
    out = hf.stream("to/kens")
    for word in words:
        await out.write(word)
    if wait:
        await gates.setdefault(wait, asyncio.Event()).wait()
        await out.write("later")
    if close:
        await out.close()


@hf.step(retry=hf.Retry(max_attempts=2, initial=0.001))
async def stumbles() -> None:
    out = hf.stream("to/kens")
    await out.write(hf.current().attempt)
    if hf.current().attempt == 1:
        raise ConnectionError("once more")


@hf.workflow
async def stumbling() -> None:
    await stumbles()


WORKFLOWS: list[hf.Workflow[Any, Any]] = [talk, stumbling]


class Event(NamedTuple):
    kind: str
    id: str | None
    data: Any


class Lines:
    """The events of an answer, one after the other."""

    def __init__(self, response: httpx.Response) -> None:
        self._pieces = response.aiter_bytes()
        self._rest = b""
        self.beats = 0

    async def _line(self) -> bytes:
        while b"\n" not in self._rest:
            self._rest += await anext(self._pieces)
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    async def next(self) -> Event:
        kind, id, data = "", None, b""
        async with asyncio.timeout(PATIENCE):
            while True:
                line = await self._line()
                name, _, value = line.partition(b": ")
                if name == b"event":
                    kind = value.decode()
                elif name == b"id":
                    id = value.decode()
                elif name == b"data":
                    data = value
                elif line == b":":
                    self.beats += 1
                elif not line and kind:
                    return Event(kind, id, json.loads(data))

    async def rest(self) -> list[Event]:
        events = []
        with contextlib.suppress(StopAsyncIteration):
            while True:
                events.append(await self.next())
        return events


@contextlib.asynccontextmanager
async def follow(address: str, run: str, after: int | None = None, last: str | None = None) -> AsyncIterator[Lines]:
    headers = {} if last is None else {"Last-Event-ID": last}
    params = {} if after is None else {"after": after}
    async with (
        httpx.AsyncClient(base_url=address, timeout=PATIENCE, verify=False) as client,
        client.stream("GET", f"{V1}/runs/{run}/streams/to%2Fkens", params=params, headers=headers) as response,
    ):
        assert response.status_code == 200, (await response.aread(), response.status_code)
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield Lines(response)


@pytest.fixture
async def talking() -> AsyncIterator[tuple[Served, str]]:
    gates.clear()
    async with serving() as served, hf.Worker(served.url, WORKFLOWS, drain=0), listening(served.app) as address:
        yield served, address


async def started(served: Served, workflow: Any, *args: Any, **kwargs: Any) -> str:
    async with hf.connect(served.url) as client:
        return (await client.start(workflow.options(id="r"), *args, **kwargs)).id


async def test_chunks_are_events_with_their_offsets_as_ids(talking: tuple[Served, str]) -> None:
    served, address = talking
    odd = {"text": "line\u2028separators\x85 and \n newlines \U0001f44b"}
    run = await started(served, talk, ["a", odd, None])
    async with follow(address, run) as lines:
        events = await lines.rest()
    assert [(event.kind, event.id) for event in events] == [
        ("data", "0"), ("data", "1"), ("data", "2"), ("end", "3"), ("over", None)
    ]  # fmt: skip
    assert [event.data["value"] for event in events[:3]] == ["a", odd, None]
    assert set(events[0].data) == {"offset", "kind", "value", "at"}
    for after, last in ((1, None), (None, "1"), (0, "1")):
        async with follow(address, run, after, last) as lines:
            assert [event.id for event in await lines.rest()] == ["2", "3", None]
    async with follow(address, run, 1, "no offset") as lines:
        assert [event.id for event in await lines.rest()] == ["2", "3", None]
    async with follow(address, run, last="3") as lines:
        assert [event.kind for event in await lines.rest()] == ["over"]


async def test_a_chunk_comes_while_the_run_goes_on(talking: tuple[Served, str]) -> None:
    served, address = talking
    run = await started(served, talk, ["a"], "go", close=False)
    async with follow(address, run) as lines:
        assert (await lines.next()).data["value"] == "a"
        gates.setdefault("go", asyncio.Event()).set()
        assert [(event.kind, event.data.get("value")) for event in await lines.rest()] == [
            ("data", "later"), ("over", None)
        ]  # fmt: skip


async def test_a_reset_names_the_offsets_that_it_withdraws(talking: tuple[Served, str]) -> None:
    served, address = talking
    run = await started(served, stumbling)
    async with follow(address, run) as lines:
        events = await lines.rest()
    assert [(event.kind, event.data.get("value")) for event in events] == [
        ("data", 1), ("reset", [[0, 0]]), ("data", 2), ("over", None)
    ]  # fmt: skip


async def test_who_waits_is_sent_a_heartbeat_and_asked_for_again(
    talking: tuple[Served, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, address = talking
    monkeypatch.setattr(turn_streams, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(turn_streams, "CHECK_SECONDS", 0.0)
    run = await started(served, talk, ["a"], "go")
    async with follow(address, run) as lines:
        await lines.next()
        rest = asyncio.create_task(lines.rest())
        while not lines.beats:
            await asyncio.sleep(0.01)

        async def refused(request: object) -> None:
            raise hf.Unauthorised("the key was revoked")

        monkeypatch.setattr(served.server.credentials, "principal", refused)
        assert await rest == []


async def test_nobody_waits_for_a_client_that_has_left(
    talking: tuple[Served, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_waiting, "POLL_SECONDS", 600.0)  # who waits does so without a break
    served, address = talking
    run = await started(served, talk, ["a"], "go")
    hub = stream_waiting.StreamHub.of(served.server.core)
    async with follow(address, run) as lines:
        await lines.next()
        async with asyncio.timeout(PATIENCE):
            while not hub._waiting:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(PATIENCE):
        while hub._waiting:
            await asyncio.sleep(0.01)


async def test_a_run_that_is_deleted_meanwhile_is_gone(talking: tuple[Served, str]) -> None:
    served, address = talking
    run = await started(served, talk, ["a"], "go")
    async with follow(address, run) as lines:
        await lines.next()
        store = served.server.core.store
        read = store.streams.read_chunks

        async def pruned(*asked: Any) -> Any:
            return (await read(*asked))._replace(status=None, chunks=[])

        reads = served.server.reads("default").streams
        reads.read_chunks = pruned  # type: ignore[method-assign]
        gates.setdefault("go", asyncio.Event()).set()
        assert [event.kind for event in await lines.rest()] == ["gone"]


async def test_pages_go_on_behind_an_offset(talking: tuple[Served, str]) -> None:
    served, _ = talking
    run = await started(served, talk, list(range(7)))
    async with hf.connect(served.url) as client:
        await (await client.handle(run)).result(timeout="30s")
    http = served.http(Accept="application/json")
    address = f"{V1}/runs/{run}/streams"
    assert (await http.get(address)).json() == [{"name": "to/kens", "next_offset": 8, "ended": True}]
    found, after = [], "-1"
    while after is not None:
        page = (await http.get(f"{address}/to%2Fkens", params={"after": after, "limit": 3})).json()
        found += page["items"]
        after = page["next"]
    assert [one["value"] for one in found] == [*range(7), None]
    assert [one["offset"] for one in found] == list(range(8))
    assert (await http.get(f"{address}/other")).json() == {"items": [], "next": None}


async def test_what_is_asked_wrongly_is_a_problem(talking: tuple[Served, str]) -> None:
    served, _ = talking
    run = await started(served, talk, [])
    for accept in ("application/json", "text/event-stream"):
        http = served.http(Accept=accept)
        problem(await http.get(f"{V1}/runs/nobody/streams/tokens"), 404, "run-not-found")
        problem(await http.get(f"{V1}/runs/{run}/streams/tokens?after=-2"), 422, "invalid-request")
        problem(await http.get(f"{V1}/runs/{run}/streams/tokens?behind=2"), 422, "invalid-request")
    problem(await http.get(f"{V1}/runs/nobody/streams"), 404, "run-not-found")
    assert (await http.head(f"{V1}/runs/{run}/streams/tokens")).status_code == 200


async def test_another_tenant_reads_nothing_and_a_viewer_not_what_is_hidden() -> None:
    gates.clear()
    async with serving(auth=True, redact=["card"]) as served, hf.Worker(served.url, WORKFLOWS, drain=0):
        admin = served.http(await served.key("admin", "acme"))
        body = {"input": {"words": [{"card": "4111-1111", "n": 1}, "it is 4111-1111"]}, "id": "r"}
        assert (await admin.post(f"{V1}/workflows/talk/runs", json=body)).status_code == 201
        assert (await admin.get(f"{V1}/runs/r?wait=8")).json()["status"] == "succeeded"
        path = f"{V1}/runs/r/streams/to%2Fkens"

        async def seen(role: str, tenant: str = "acme") -> Any:
            http = served.http(await served.key(role, tenant), Accept="application/json")
            return await http.get(path)

        assert (await seen("operator")).json()["items"][0]["value"] == {"card": "4111-1111", "n": 1}
        assert [one["value"] for one in (await seen("viewer")).json()["items"]] == [
            {"card": "[redacted]", "n": 1}, "it is [redacted]", None
        ]  # fmt: skip
        problem(await seen("admin", "mallory"), 404, "run-not-found")


async def test_a_remote_client_follows_as_a_local_one_does(talking: tuple[Served, str]) -> None:
    _, address = talking
    odd = "line\u2028separator\x85"
    async with asyncio.timeout(PATIENCE), hf.connect(address) as client:
        run = await client.start_named("talk", {"words": ["a", odd], "wait": "go"})
        reading = run.stream("to/kens")
        assert [(await anext(reading)).value for _ in range(2)] == ["a", odd]
        assert [one.value async for one in run.stream("to/kens", follow=False)] == ["a", odd]
        gates.setdefault("go", asyncio.Event()).set()
        assert [(one.offset, one.kind, one.value) async for one in reading] == [(2, "data", "later"), (3, "end", None)]
        assert [one.offset async for one in client.read_stream(run.id, "to/kens", after=1)] == [2, 3]
        assert await client.streams(run.id) == [hf.StreamView("to/kens", 4, True)]
        for call in (client.read_stream("nobody", "tokens"), client.read_stream("nobody", "tokens", follow=False)):
            with pytest.raises(hf.RunNotFound):
                await anext(call)


async def test_a_remote_client_goes_on_when_the_line_breaks(
    talking: tuple[Served, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, address = talking
    async with asyncio.timeout(PATIENCE), hf.connect(address) as client:
        run = await client.start_named("talk", {"words": list(range(50))})
        lines = client.server.follow  # type: ignore[attr-defined]
        asked: list[int] = []

        async def breaking(path: str, query: Any) -> AsyncIterator[Any]:
            asked.append(query["after"])
            count = 0
            async with contextlib.aclosing(lines(path, query)) as events:
                async for event in events:
                    yield event
                    count += 1
                    if count == 20 and len(asked) < 3:
                        raise hf.StoreUnavailable("the line broke")

        monkeypatch.setattr(client.server, "follow", breaking)  # type: ignore[attr-defined]
        assert [one.value async for one in run.stream("to/kens")] == [*range(50), None]
        assert asked == [-1, 19, 39]
