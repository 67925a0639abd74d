"""Webhooks: what is posted, and what each answer means."""

import asyncio
import base64
import contextlib
import json
import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from holdfast.services.outbox.outgoing import Channel, DeliveryFailed
from holdfast.services.outbox.webhook import WebhookChannel
from tests.outbox.kit import channel_of, outgoing
from tests.outbox.receivers import Reply, Web, silent, web

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def made(tmp_path: Path, receiver: Web, monkeypatch: pytest.MonkeyPatch, more: str = "", path: str = "/in") -> Channel:
    monkeypatch.setenv("CRM_URL", f"http://127.0.0.1:{receiver.port}{path}")
    return channel_of(tmp_path, f'[channels.crm]\ntype = "webhook"\nurl = "env:CRM_URL"\n{more}')


async def refused(channel: Channel, value: Any = "x") -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        await channel.send(outgoing(value))
    return caught.value


async def test_a_message_is_posted_as_it_is_with_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with web() as receiver:
        channel = made(tmp_path, receiver, monkeypatch)
        receiver.script = [Reply(202, b'{"queued": true}')]
        assert await channel.send(outgoing({"order": "ö-1", "cents": 5}, "crm/ö 1%")) == '202 {"queued": true}'
        assert await channel.send(outgoing("hello", "m|2", tenant="acme", draft=True)) == "200 {}"
        await channel.close()
    first, second = receiver.requests
    assert first.json == {"order": "ö-1", "cents": 5}
    assert (first.path, first.headers["content-type"]) == ("/in", "application/json")
    assert first.headers["idempotency-key"] == "crm/%C3%B6%201%25"
    assert not {"webhook-id", "x-holdfast-draft", "cookie"} & first.headers.keys()
    assert second.json == "hello"
    assert second.headers["idempotency-key"] == "acme|m%7C2", "ids of two tenants are never alike"
    assert second.headers["x-holdfast-draft"] == "yes"


async def test_a_signature_holds_for_each_secret_and_for_this_body_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    monkeypatch.setenv("CRM_SECRET", f"{SECRET} {other}")
    async with web() as receiver:
        channel = made(tmp_path, receiver, monkeypatch, 'secret = "env:CRM_SECRET"')
        await channel.send(outgoing({"text": "ü"}, "m/1"))
        await channel.close()
    [request] = receiver.requests
    for secret in (SECRET, other):
        assert Webhook(secret).verify(request.body, request.headers) == {"text": "ü"}
    assert request.headers["webhook-id"] == request.headers["idempotency-key"] == "m/1"
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(SECRET).verify(request.body + b" ", request.headers)


@pytest.mark.parametrize(
    ("reply", "final", "doubt", "said"),
    [
        (Reply(301, headers={"location": "http://127.0.0.1:1/away"}), True, False, "redirects (301)"),
        (Reply(400, b"no such thing"), True, False, "it was refused: 400 no such thing"),
        (Reply(404), True, False, "404"),
        (Reply(408), False, False, "refused for now: 408"),
        (Reply(425), False, False, "refused for now: 425"),
        (Reply(429), False, False, "refused for now: 429"),
        (Reply(500, b"<html>\r\n\0oops"), False, False, "refused for now: 500 <html> oops"),
        (Reply(503), False, False, "refused for now: 503"),
        (Reply(504), False, True, "refused for now: 504"),
        (Reply(200, b"x" * 100, cut_at=60), False, True, "it cannot be posted"),
        (Reply(200, b"x" * 100, cut_at=9), False, True, "it cannot be posted"),
        (Reply(200, cut_at=0), False, True, "it cannot be posted"),
        (Reply(hangs=True), False, True, "no whole answer within 1 s"),
    ],
)
async def test_what_an_answer_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: Reply, final: bool, doubt: bool, said: str
) -> None:
    async with web() as receiver:
        channel = made(tmp_path, receiver, monkeypatch, 'timeout = "1s"' if reply.hangs else "")
        receiver.script = [reply]
        failed = await refused(channel)
        await channel.close()
    assert said in str(failed)
    assert (failed.final, failed.doubt) == (final, doubt)
    assert len(receiver.requests) == 1, "a redirect is not followed, and nothing is sent twice"


async def test_a_receiver_that_is_not_there_leaves_no_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with web() as receiver:
        channel = made(tmp_path, receiver, monkeypatch)
    failed = await refused(channel)
    assert (failed.final, failed.doubt) == (False, False)


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("7", 7, 7),
        ("999999999", 86_400, 86_400),
        (timedelta(hours=2), 7_000, 7_200),
        (timedelta(hours=-2), 0, 0),
        ("soon", None, None),
        ("-5", None, None),
    ],
    ids=["seconds", "too many", "a date to come", "a date that is past", "a word", "less than nothing"],
)
async def test_a_pause_that_is_asked_for_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str | timedelta, least: float | None, most: float | None
) -> None:
    async with web() as receiver:
        channel = made(tmp_path, receiver, monkeypatch)
        header = asked if isinstance(asked, str) else format_datetime(datetime.now(UTC) + asked)
        receiver.script = [Reply(429, headers={"retry-after": header})]
        pause = (await refused(channel)).retry_after
        await channel.close()
    assert pause is None if least is None or most is None else pause is not None and least <= pause <= most


async def test_an_answer_has_to_say_that_it_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with web() as receiver:
        channel = made(tmp_path, receiver, monkeypatch, 'accept = "status == 200 && body.ok == true || status == 409"')
        receiver.script = [
            Reply(200, b'{"ok": true}'),
            Reply(409, b"known"),
            Reply(200, b'{"ok": false, "error": "no such customer"}'),
            Reply(200, b"fine"),
            Reply(200, b'{"ok": true, "x": "' + b"x" * 100_000 + b'"}'),
            Reply(200, b"[" * 30_000),
            Reply(400, b'{"ok": true}'),
        ]
        assert await channel.send(outgoing("a")) == '200 {"ok": true}'
        assert await channel.send(outgoing("b")) == "409 known"
        failed = await refused(channel)
        assert not failed.final
        assert "the answer does not say that it was taken: 200" in str(failed)
        assert "no such customer" in str(failed)
        assert not (await refused(channel)).final
        assert "more than 64 KiB were not read" in str(await refused(channel))
        assert not (await refused(channel)).final
        assert (await refused(channel)).final
        await channel.close()


async def test_a_body_without_end_is_read_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with web() as receiver:
        channel = made(tmp_path, receiver, monkeypatch)
        receiver.script = [Reply(200, b"x" * 300_000, {"content-length": "99999999999"})]
        assert await channel.send(outgoing("a")) == "200"
        receiver.script = [Reply(200, b"{}")]
        assert await channel.send(outgoing("b")) == "200 {}"
        await channel.close()


async def test_no_secret_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CRM_SECRET", SECRET)
    monkeypatch.setenv("CRM_TOKEN", "Bearer hunter2hunter2")
    terms = 'secret = "env:CRM_SECRET"\nheaders = { Authorization = "env:CRM_TOKEN" }\ntimeout = "5s"'
    async with web() as receiver:
        channel = made(tmp_path, receiver, monkeypatch, terms, "/hooks/t0psecret?key=s3cret%2Fkey")

        def echo(request: Any) -> Reply:
            told = {"url": request.path, "decoded": "s3cret/key", "secret": SECRET, **request.headers}
            return Reply(500, json.dumps(told).encode())

        receiver.usual = echo
        texts = [str(await refused(channel))]
        assert receiver.requests[0].headers["authorization"] == "Bearer hunter2hunter2"
        receiver.script = [Reply(200, cut_at=0)]
        texts.append(str(await refused(channel)))
        await channel.close()
    texts.append(str(await refused(channel)))
    monkeypatch.setenv("CRM_SECRET", "whsec_!")
    texts.append(str(await refused(channel)))
    monkeypatch.delenv("CRM_URL")
    texts.append(str(await refused(channel)))
    assert "CRM_URL is not set" in texts[-1]
    assert "none of Standard Webhooks" in texts[-2]
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("holdfast", "httpx"))]
    for text in [*texts, *ours]:
        for secret in ("t0psecret", "s3cret", "hunter2", SECRET[6:]):
            assert secret not in text


async def test_many_are_in_flight_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with web() as receiver:
        receiver.held = asyncio.Event()
        channel = made(tmp_path, receiver, monkeypatch)
        sends = [asyncio.create_task(channel.send(outgoing(n, f"m/{n}"))) for n in range(100)]
        async with asyncio.timeout(30):
            while receiver.at_once < 100:
                await asyncio.sleep(0.01)
        receiver.held.set()
        assert len(await asyncio.gather(*sends)) == 100
        await channel.close()


async def test_a_connection_that_comes_to_nothing_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = channel_of(tmp_path, '[channels.x]\ntype = "webhook"\nurl = "env:X_URL"\ntimeout = "1s"\n')
    async with silent() as server, web() as receiver:
        monkeypatch.setenv("X_URL", receiver.url)
        with contextlib.suppress(DeliveryFailed):  # to read the certificates takes its time
            await channel.send(outgoing(1))
        monkeypatch.setenv("X_URL", f"https://127.0.0.1:{server.port}/in")
        with pytest.raises(DeliveryFailed, match="within 1 s") as caught:
            await channel.send(outgoing(1))
        assert not caught.value.doubt
        async with asyncio.timeout(30):
            await server.left.wait()
        await channel.close()


async def test_a_connection_that_is_cut_off_while_it_is_opened_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = channel_of(tmp_path, '[channels.x]\ntype = "webhook"\nurl = "env:X_URL"\ntimeout = "60s"\n')
    async with silent() as server:
        monkeypatch.setenv("X_URL", f"https://127.0.0.1:{server.port}/in")
        sending = asyncio.create_task(channel.send(outgoing(1)))
        async with asyncio.timeout(30):
            await server.spoke.wait()
        sending.cancel()
        with pytest.raises(DeliveryFailed, match="before it was sent"):
            await sending
        async with asyncio.timeout(30):
            await server.left.wait()
        await channel.close()


async def test_what_is_cut_off_before_it_is_posted_is_in_no_doubt(tmp_path: Path) -> None:
    channel = channel_of(tmp_path, '[channels.x]\ntype = "webhook"\nurl = "http://127.0.0.1:9/in"\n')
    assert isinstance(channel, WebhookChannel)
    channel._trusted = asyncio.get_running_loop().create_future()  # it never goes on from there
    sending = asyncio.create_task(channel.send(outgoing(1)))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(DeliveryFailed, match="before it was sent") as caught:
        await sending
    assert not caught.value.doubt
    await channel.close()
