"""The outbox through both clients: the same messages, the same decisions, the same refusals."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

import holdfast as hf
from tests.engine.outbox_kit import settle
from tests.remote.conftest import Place
from tests.remote.kit import checkout

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_both_publish_and_show_the_same(place: Place) -> None:
    tenant = uuid.uuid4().hex
    async with hf.connect(place.url, tenant=tenant) as local, hf.connect(place.address, tenant=tenant) as remote:
        mail = hf.Mail("a@b.example", "hello", "words", attachments=[hf.MailAttachment("a", "a/b", b"\0\xff")])
        for client in (local, remote):
            who = "local" if client is local else "remote"
            made = await client.publish("mail", mail, key=5, delay="1h", review="odd", workflow="desk")
            assert await client.publish("crm", {who: 1}, id=f"{who}/ü", refuse="no") == f"{who}/ü"
            assert await client.publish("crm", {who: 2}, id=f"{who}/ü") == f"{who}/ü"
            assert hf.Mail.from_json((await local.message(made)).body) == mail
        asked: list[dict[str, Any]] = [
            {}, {"status": "withheld"}, {"channel": "mail"}, {"workflow": "desk"}, {"key": "5"}, {"doubt": False},
            {"doubt": True}, {"limit": 2}, {"limit": 2, "before": (await local.messages(limit=2))[-1].uid},
        ]  # fmt: skip
        for which in asked:
            assert await remote.messages(**which) == await local.messages(**which), which
        assert await remote.message_counts(cap=1) == await local.message_counts(cap=1)
        for one in await local.messages():
            assert await remote.message(one.id) == await local.message(one.id)
        for client in (local, remote):
            await client.set_publish_mode("off")
            await client.set_publish_mode("auto", "desk")
            await client.roll_back("desk")
            await client.cut_over("desk", "1d")
            await client.cut_over("else")
        assert await remote.publish_settings() == await local.publish_settings()


async def test_messages_are_sent_again_and_discarded(client: hf.Client, place: Place) -> None:
    channel = uuid.uuid4().hex
    for n in range(3):
        await client.publish(channel, n, id=f"m{n}")
    async with hf.connect(place.url, tenant=client.tenant) as local:
        await settle(local, channel, "dead", "gone")
    assert await client.send_again("m0") == ["m0"]
    assert await client.send_again(["m0", "m1", "unknown"]) == ["m1"]
    assert await client.discard_message(["m0", "m2"], "not wanted") == ["m0", "m2"]
    assert [(one.status, one.reason) for one in await client.messages()] == [
        ("discarded", "not wanted"), ("pending", ""), ("discarded", "not wanted")
    ]  # fmt: skip
    for call in (client.message("x"), client.send_again("x"), client.discard_message("x", "y")):
        with pytest.raises(hf.MessageNotFound) as missing:
            await call
        assert missing.value.message_id == "x"
    for call in (client.send_again("m1"), client.discard_message("m2", "y")):
        with pytest.raises(hf.MessageNotPossible) as refused:
            await call
        assert refused.value.message_id in ("m1", "m2")


async def test_bad_values_are_refused_alike(client: hf.Client) -> None:
    for call in (
        client.publish("", 1), client.publish("a", 1, review="x", refuse="y"), client.publish("a", 1, workflow="\0"),
        client.messages(status="lost"), client.messages(limit=1001), client.messages(before="x"),  # type: ignore[arg-type]
        client.message_counts(cap=0),
        client.message(""), client.send_again([""]), client.discard_message("a", ""), client.cut_over("a", "soon"),
        client.set_publish_mode("loud"), client.set_publish_mode(None), client.roll_back(""),  # type: ignore[arg-type]
    ):  # fmt: skip
        with pytest.raises(hf.UsageError):
            await call
    with pytest.raises(hf.PayloadError):
        await client.publish("a", float("inf"))
    with pytest.raises(hf.RunNotFound):
        await client.messages(run="nobody")


async def test_a_run_is_started_in_shadow(client: hf.Client) -> None:
    run = await client.start(checkout.options(shadow=True), "o", 5)
    assert (await run.view()).shadow
    assert not (await (await client.start(checkout, "o", 5)).view()).shadow
    named = await client.start_named("checkout", {"order_id": "o", "cents": 5}, shadow=True)
    assert (await named.view()).shadow
