"""Whatever apprise knows: what is told, and that no address is."""

import asyncio
import logging
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.services.outbox.outgoing import DeliveryFailed
from tests.outbox.kit import channel_of, outgoing
from tests.outbox.receivers import Reply, web

FILE = '[channels.ops]\ntype = "apprise"\nurl = "env:OPS_URL"\n'


async def test_messages_are_told_with_title_and_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = channel_of(tmp_path, FILE)
    async with web() as receiver:
        monkeypatch.setenv("OPS_URL", f"json://127.0.0.1:{receiver.port}/in")
        assert await channel.send(outgoing({"title": "Queue", "body": "It is long."})) == "taken"
        await channel.send(outgoing("plain"))
        await channel.send(outgoing(hf.Mail(to="a@b.example", subject="Re: x", text="words"), draft=True))
        await channel.send(outgoing({"n": 1}))
        await channel.close()
    told = [(request.json["title"], request.json["message"].strip()) for request in receiver.requests]
    assert told == [("Queue", "It is long."), ("", "plain"), ("Draft: Re: x", "words"), ("", '{\n  "n": 1\n}')]


async def test_what_is_not_taken_is_tried_again_and_the_address_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "holdfast")
    channel = channel_of(tmp_path, FILE)
    async with web() as receiver:
        monkeypatch.setenv("OPS_URL", f"json://127.0.0.1:{receiver.port}/t0psecret/hunter2hunter2")
        receiver.script = [Reply(503)]
        with pytest.raises(DeliveryFailed, match="503") as caught:
            await channel.send(outgoing("x"))
    assert (caught.value.final, caught.value.doubt) == (False, False)
    texts = [str(caught.value), caplog.text]
    for url in ("nonsense://t0psecret", f"json://127.0.0.1:{receiver.port}/t0psecret"):
        monkeypatch.setenv("OPS_URL", url)
        with pytest.raises(DeliveryFailed) as caught:
            await channel.send(outgoing("x"))
        texts.append(str(caught.value))
    monkeypatch.delenv("OPS_URL")
    with pytest.raises(DeliveryFailed, match="OPS_URL is not set"):
        await channel.send(outgoing("x"))
    await channel.close()
    assert not any("t0psecret" in text or "hunter2" in text for text in texts)


async def test_silence_leaves_a_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = channel_of(tmp_path, FILE + 'timeout = "200ms"\n')
    async with web() as receiver:
        receiver.held = asyncio.Event()
        monkeypatch.setenv("OPS_URL", f"json://127.0.0.1:{receiver.port}/in")
        with pytest.raises(DeliveryFailed, match=r"within 0\.2 s") as caught:
            await channel.send(outgoing("x"))
        receiver.held.set()
        await channel.close()
    assert (caught.value.final, caught.value.doubt) == (False, True)
