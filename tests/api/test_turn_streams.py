"""Turns that are followed while the model speaks, over a real server: nothing is lost, and nothing comes twice."""

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
from holdfast.api.routes import turns
from tests.api.kit import V1, listening, problem
from tests.api.talk_kit import CHAT, Scripted, said, talking

PATIENCE = 60.0

PIECES = ("One,", " two —", " three 👋,", " four.")


class Event(NamedTuple):
    kind: str
    id: str | None
    data: Any


class Speaker:
    """A model that speaks piece by piece, each when it is let.

    Attributes:
        calls: how often it was asked.
        error: raised behind the last piece.
    """

    def __init__(self, pieces: tuple[str, ...] = PIECES, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.calls = 0
        self.lets = asyncio.Semaphore(0)

    def let(self, count: int = 1) -> None:
        for _ in range(count):
            self.lets.release()

    async def __call__(self, query: hf.Query) -> AsyncIterator[str]:
        self.calls += 1
        for piece in self.pieces:
            await self.lets.acquire()
            yield piece
        if self.error is not None:
            raise self.error


class Following:
    """A client that follows a turn."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.events: list[Event] = []
        self.beats = 0

    async def next(self) -> Event:
        kind, id, data = "", None, ""
        async with asyncio.timeout(PATIENCE):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name in ("id", "id:"):
                    id = value
                elif name == "data":
                    data = value
                elif line == ":":
                    self.beats += 1
                elif not line and kind:
                    self.events.append(Event(kind, id, json.loads(data)))
                    return self.events[-1]
        raise EOFError

    async def rest(self) -> list[Event]:
        with contextlib.suppress(EOFError):
            while True:
                await self.next()
        return self.events

    @property
    def last_id(self) -> str:
        return [event.id for event in self.events if event.id is not None][-1]


@contextlib.asynccontextmanager
async def follow(
    address: str, body: dict[str, Any], last: str | None = None, path: str = CHAT
) -> AsyncIterator[Following]:
    headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": last})
    async with (
        httpx.AsyncClient(base_url=address, timeout=PATIENCE, verify=False) as client,
        client.stream("POST", path, json=body, headers=headers) as response,
    ):
        assert response.status_code == 200, (await response.aread(), response.status_code)
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield Following(response.aiter_lines())


@contextlib.asynccontextmanager
async def speaking(model: Any, **more: Any) -> AsyncIterator[str]:
    async with talking(model, **more) as served, listening(served.app) as address:
        yield address


def texts(*events: Event) -> str:
    """The text that events give, which must follow one on the other."""
    text = ""
    for event in events:
        if event.kind == "withdrawn":
            text = ""
        elif event.kind == "text":
            assert event.data["offset"] == len(text), (event, text)
            text += event.data["text"]
            assert event.id == f"{event.data['attempt']}:{len(text)}"
    return text


@pytest.fixture(params=["memory", "redis"])
def state_url(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "memory" else str(request.getfixturevalue("redis_url"))


async def test_the_text_comes_as_it_is_said_and_then_the_turn(state_url: str) -> None:
    model = Speaker()
    async with speaking(model, state_url=state_url) as address:
        model.let()
        async with follow(address, {"message": "hi"}) as following:
            begun = await following.next()
            assert begun.kind == "conversation"
            assert set(begun.data) == {"conversationId", "turnId"}
            first = await following.next()
            assert first.data["text"] == PIECES[0]
            model.let(3)
            *spoken, last = (await following.rest())[1:]
        assert texts(*spoken) == "".join(PIECES)
        assert last.kind == "turn"
        assert last.data["conversationId"] == begun.data["conversationId"]
        assert last.data["turn"]["id"] == begun.data["turnId"]
        async with httpx.AsyncClient(base_url=address, verify=False) as http:
            again = await said(http, "hi", turnId=begun.data["turnId"])
            assert again.json() == last.data
            [turn] = (await http.get(f"{V1}/conversations/{last.data['conversationId']}/turns")).json()["items"]
            assert turn["messages"] == last.data["messages"]


@pytest.mark.parametrize("heard", [1, 2, 3])
async def test_who_was_cut_off_comes_back_and_gets_each_character_once(state_url: str, heard: int) -> None:
    model = Speaker()
    async with speaking(model, state_url=state_url) as address:
        model.let(heard)
        async with follow(address, {"message": "hi"}) as first:
            while texts(*first.events) != "".join(PIECES[:heard]):
                await first.next()
        ids = first.events[0].data
        model.let(4 - heard)
        async with follow(address, {"message": "hi", **ids}, first.last_id) as second:
            await second.rest()
        assert [event.kind for event in second.events] == ["conversation", *["text"] * (4 - heard), "turn"]
        assert texts(*first.events, *second.events) == "".join(PIECES)
        assert model.calls == 1
        # The turn is over; from its middle, and from its end.
        for last, rest in ((first.last_id, 4 - heard), (second.last_id, 0)):
            async with follow(address, {"message": "hi", **ids}, last) as third:
                await third.rest()
            assert [event.kind for event in third.events] == ["conversation", *["text"] * rest, "turn"]
        assert model.calls == 1


async def test_a_turn_goes_on_without_its_client() -> None:
    model = Speaker()
    async with speaking(model) as address:
        model.let()
        async with follow(address, {"message": "hi", "turnId": "t"}) as following:
            while not texts(*following.events):
                await following.next()
        model.let(3)
        async with httpx.AsyncClient(base_url=address, verify=False, timeout=PATIENCE) as http:
            done = (await said(http, "hi", turnId="t")).json()
            assert done["messages"][0]["content"] == "".join(PIECES)
        assert model.calls == 1


async def test_who_read_something_else_begins_anew() -> None:
    model = Speaker()
    model.let(4)
    async with speaking(model) as address:
        for last in ("abc123:7", "nonsense", "9" * 100):
            async with follow(address, {"message": "hi", "turnId": "t"}, last) as following:
                await following.rest()
            assert [event.kind for event in following.events] == ["conversation", "withdrawn", *["text"] * 4, "turn"]
            assert following.events[1].data == {"attempt": following.events[2].data["attempt"]}
            assert texts(*following.events) == "".join(PIECES)


async def test_what_a_turn_that_failed_has_said_is_withdrawn() -> None:
    model = Speaker(error=RuntimeError("the key sk-live-1234 was refused"))
    model.let(4)
    async with speaking(model) as address:
        async with follow(address, {"message": "hi", "turnId": "t"}) as following:
            await following.rest()
        assert [event.kind for event in following.events] == ["conversation", *["text"] * 4, "withdrawn"]
        withdrawn = following.events[-1]
        assert withdrawn.id == ""
        assert withdrawn.data["attempt"] == ""
        assert set(withdrawn.data["problem"]) == {"type", "title", "status", "error_id"}
        assert (withdrawn.data["problem"]["status"], texts(*following.events)) == (502, "")
        model.error = None
        model.let(4)
        async with follow(address, {"message": "hi", "turnId": "t"}, following.last_id) as again:
            await again.rest()
        assert [event.kind for event in again.events] == ["conversation", *["text"] * 4, "turn"]


async def test_what_is_refused_before_the_model_spoke_is_no_stream() -> None:
    model = Speaker((), RuntimeError("no"))
    async with talking(model) as served:
        http = served.http(Accept="text/event-stream")
        response = await said(http, "hi")
        assert (response.status_code, response.json()["title"]) == (502, "The turn failed, and nothing of it is stored")
        assert response.headers["retry-after"] == "1"
        problem(await said(http, "hi", "c-9"), 404, "conversation-not-found")
        problem(await http.post(f"{V1}/conversations/c-9/turns", json={"message": "x"}), 404, "conversation-not-found")


async def test_a_model_that_is_slow_to_begin_is_waited_for_with_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(turn_streams, "HEARTBEAT_SECONDS", 0.05)
    model = Speaker(error=RuntimeError("no"))
    async with speaking(model) as address:
        async with follow(address, {"message": "hi"}) as following:
            begun = await following.next()
            assert (begun.kind, begun.data["turnId"] != "") == ("conversation", True)
            following_first = asyncio.create_task(following.next())
            async with asyncio.timeout(PATIENCE):
                while following.beats < 2:
                    await asyncio.sleep(0.01)
            model.let(4)
            await following_first
            await following.rest()
        assert following.events[-1].data["problem"]["status"] == 502


async def test_the_route_of_a_conversation_streams_too() -> None:
    model = Speaker()
    model.let(8)
    async with speaking(model) as address:
        async with httpx.AsyncClient(base_url=address, verify=False) as http:
            conversation = (await said(http, "hi")).json()["conversationId"]
        path = f"{V1}/conversations/{conversation}/turns"
        async with follow(address, {"message": "hi again", "turn_id": "t2"}, path=path) as following:
            await following.rest()
        assert following.events[0].data == {"conversationId": conversation, "turnId": "t2"}
        assert following.events[-1].data["number"] == 2


async def test_a_key_that_is_revoked_follows_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_streams, "CHECK_SECONDS", 0.0)
    model = Speaker()
    async with talking(model, auth=True) as served, listening(served.app) as address:
        made = await served.local().create_key("a", role="worker-of-items")
        model.let()
        async with (
            httpx.AsyncClient(base_url=address, timeout=PATIENCE, verify=False) as http,
            http.stream(
                "POST", CHAT, json={"message": "hi"},
                headers={"Accept": "text/event-stream", "Authorization": f"Bearer {made.key}"},
            ) as response,
        ):  # fmt: skip
            following = Following(response.aiter_lines())
            while not texts(*following.events):
                await following.next()
            await served.local().revoke_key(made.view.prefix)
            served.server.credentials.forget()
            model.let(3)
            await following.rest()
            assert all(event.kind != "turn" for event in following.events)


async def test_an_idempotency_key_names_a_turn_that_is_followed_and_keeps_no_stream() -> None:
    model = Scripted()
    async with talking(model) as served:
        http = served.http(Accept="text/event-stream", Idempotency_Key="k")
        first, again = await said(http, "acme"), await said(http, "acme")
        plain = await said(served.http(Idempotency_Key="k"), "acme")
        turn = first.text.rpartition("data: ")[2].strip()
        assert again.text.rpartition("data: ")[2].strip() == turn
        assert plain.text == turn
        assert len(model.asked) == 1
