"""What a client does with the outbox, and with how messages are published."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

import holdfast as hf
from tests.engine.helpers import outcome, serving
from tests.engine.outbox_kit import settle


@hf.workflow
async def desk(what: str) -> str:
    return await hf.publish("replies", {"text": what}, key="k")


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[hf.Client]:
    async with serving(store_url, desk) as client:
        client.actor = "maria"
        yield client


async def test_messages_are_published_outside_runs_once_for_each_id(client: hf.Client) -> None:
    mail = hf.Mail("a@b.example", "hello", "words")
    made = await client.publish("replies", mail, review="odd", workflow="desk")
    assert await client.publish("crm", {"n": 1}, id="c/1", key=5, delay="1h", refuse="no") == "c/1"
    assert await client.publish("crm", {"n": 2}, id="c/1") == "c/1"
    first, second = await client.message(made), await client.message("c/1")
    assert (first.channel, first.verdict, first.reason, first.workflow, first.run) == (
        "replies", "review", "odd", "desk", None
    )  # fmt: skip
    assert hf.Mail.from_json(first.body) == mail
    assert (second.body, second.key, second.status, second.repeats) == ({"n": 1}, "5", "withheld", 1)
    assert [one.action for one in await client.audit(action="message")] == ["message.publish"] * 3


async def test_messages_are_listed_the_newest_first_by_what_they_are(client: hf.Client) -> None:
    await outcome(client, desk, "of a run")
    for n in range(5):
        await client.publish("crm", n, id=f"m-{n}", refuse="no" if n == 4 else None)
    run = (await client.list())[0].id
    assert [one.id for one in await client.messages(channel="crm")] == ["m-4", "m-3", "m-2", "m-1", "m-0"]
    assert [one.id for one in await client.messages(status="withheld")] == ["m-4"]
    [of_run] = await client.messages(run=run)
    assert (of_run.run, of_run.workflow, of_run.key, of_run.body, of_run.tries) == (run, "desk", "k", None, [])
    assert await client.messages(workflow="desk") == await client.messages(key="k") == [of_run]
    assert await client.messages(doubt=True) == []
    pages, before = [], None
    while page := await client.messages(limit=2, before=before):
        pages.append([one.id for one in page])
        before = page[-1].uid
    assert pages == [["m-4", "m-3"], ["m-2", "m-1"], ["m-0", of_run.id]]


async def test_a_message_tells_what_became_of_it_and_dead_ones_are_sent_again(client: hf.Client) -> None:
    id = await outcome(client, desk, "hello")
    await settle(client, "replies", "dead", "550 no such mailbox", doubt=True)
    dead = await client.message(id)
    assert (dead.status, dead.attempts, dead.error, dead.doubt, dead.due_at) == (
        "dead", 1, "550 no such mailbox", True, None
    )  # fmt: skip
    [attempt] = dead.tries
    assert (attempt.attempt, attempt.outcome, attempt.detail, attempt.doubt) == (1, "dead", "550 no such mailbox", True)
    assert await client.send_again(id) == [id]
    again = await client.message(id)
    assert (again.status, again.approved_by) == ("pending", "maria")
    await settle(client, "replies", "sent", "250 ok")
    sent = await client.message(id)
    assert (sent.status, [one.outcome for one in sent.tries]) == ("sent", ["sent", "dead"])
    for change in (client.send_again(id), client.discard_message(id, "late")):
        with pytest.raises(hf.MessageNotPossible, match="is sent; only") as refused:
            await change
        assert refused.value.message_id == id
    [record] = await client.audit(action="message.send")
    assert (record.actor, record.target) == ("maria", id)


async def test_of_several_messages_those_that_cannot_be_are_left(client: hf.Client) -> None:
    await client.publish("crm", 1, id="refused", refuse="no")
    await client.publish("crm", 1, id="dead")
    await settle(client, "crm", "dead", "gone")
    await client.publish("crm", 1, id="pending")
    assert await client.send_again(["refused", "dead", "unknown"]) == ["dead"]
    assert sorted(await client.discard_message(["refused", "pending", "pending"], "not wanted")) == [
        "pending", "refused"
    ]  # fmt: skip
    discarded = await client.message("pending")
    assert (discarded.status, discarded.reason) == ("discarded", "not wanted")
    records = await client.audit(action="message.discard")
    assert sorted((one.target, one.detail["reason"]) for one in records) == [
        ("pending", "not wanted"), ("refused", "not wanted")
    ]  # fmt: skip
    assert await client.send_again([]) == []


async def test_what_is_not_there_or_never_sent_is_told(client: hf.Client) -> None:
    await client.publish("crm", 1, id="refused", refuse="no")
    for call in (client.message("x"), client.send_again("x"), client.discard_message("x", "y")):
        with pytest.raises(hf.MessageNotFound, match="has no message 'x'") as missing:
            await call
        assert missing.value.message_id == "x"
    with pytest.raises(hf.MessageNotPossible, match="never sent: its code refused it"):
        await client.send_again("refused")
    for call, said in (
        (client.messages(status="lost"), "status is"),  # type: ignore[arg-type]
        (client.messages(limit=0), "limit"),
        (client.messages(before="x"), "before is"),
        (client.messages(channel=""), "the channel"),
        (client.messages(doubt="yes"), "doubt is"),  # type: ignore[arg-type]
        (client.send_again(None), "the ids of messages are None"),  # type: ignore[arg-type]
        (client.send_again([{}]), "the id of a message"),  # type: ignore[list-item]
        (client.message(""), "the id of a message"),
        (client.discard_message("refused", " "), "say why"),
        (client.publish("a", 1, workflow="a\0"), "the workflow of a message"),
        (client.set_publish_mode("loud"), "off, draft, auto"),  # type: ignore[arg-type]
        (client.set_publish_mode(None), "off, draft, auto"),
        (client.set_publish_mode("auto", ""), "the workflow"),
        (client.cut_over("desk", "soon"), "the rollback window"),
        (client.cut_over(""), "the workflow"),
        (client.roll_back("a\0"), "the workflow"),
    ):
        with pytest.raises(hf.UsageError, match=said):
            await call
    with pytest.raises(hf.RunNotFound):
        await client.messages(run="x")
    assert [one.revision for one in await client.publish_settings()] == [0]


async def test_another_tenant_sees_and_changes_nothing(store_url: str) -> None:
    async with serving(store_url, desk) as client:
        other = type(client)(client.core, "other")
        await client.publish("crm", 1, id="ours")
        await client.set_publish_mode("auto", "desk")
        assert await other.messages() == []
        assert await other.discard_message(["ours"], "mine now") == []
        with pytest.raises(hf.MessageNotFound):
            await other.message("ours")
        assert [one.workflow for one in await other.publish_settings()] == [None]
        assert await other.publish("crm", 2, id="ours") == "ours"
        assert ((await client.message("ours")).body, (await other.message("ours")).body) == (1, 2)


async def test_modes_are_decided_for_all_workflows_and_for_one(client: hf.Client) -> None:
    [usual] = await client.publish_settings()
    assert (usual.workflow, usual.mode, usual.mode_in_force, usual.path, usual.changed_by) == (
        None, None, "draft", "primary", None
    )  # fmt: skip
    await client.set_publish_mode("off")
    await client.set_publish_mode("auto", "desk")
    await client.roll_back("else")
    shown = [(one.workflow, one.mode, one.mode_in_force, one.path) for one in await client.publish_settings()]
    assert shown == [
        (None, "off", "off", "primary"), ("desk", "auto", "auto", "primary"), ("else", None, "off", "shadow")
    ]  # fmt: skip
    view = await client.set_publish_mode(None, "desk")
    assert (view.mode, view.mode_in_force, view.revision, view.changed_by) == (None, "off", 2, "maria")
    records = [(one.action, one.target, one.detail.get("mode")) for one in await client.audit(action="publishing")]
    assert records == [
        ("publishing.mode", "desk", "as for all"), ("publishing.roll_back", "else", None),
        ("publishing.mode", "desk", "auto"), ("publishing.mode", "all workflows", "off"),
    ]  # fmt: skip


async def test_a_workflow_is_cut_over_and_rolled_back(client: hf.Client) -> None:
    await client.set_publish_mode("auto", "desk")
    shadow = await client.roll_back("desk")
    assert (shadow.path, shadow.copies_until, shadow.mode) == ("shadow", None, "auto")
    assert (await client.roll_back("desk")).path_since == shadow.path_since
    primary = await client.cut_over("desk")
    assert primary.path == "primary"
    assert primary.path_since is not None
    assert primary.copies_until == primary.path_since + timedelta(days=14)
    longer = await client.cut_over("desk", rollback_window="30d")
    assert longer.path_since == primary.path_since
    assert longer.copies_until is not None
    assert longer.copies_until > primary.copies_until + timedelta(days=15)
    back = await client.roll_back("desk")
    assert (back.path, back.copies_until, back.revision) == ("shadow", None, 6)


async def test_changes_at_the_same_time_are_all_kept(client: hf.Client) -> None:
    await asyncio.gather(
        *(client.set_publish_mode("auto", "desk") for _ in range(3)),
        *(client.roll_back("desk") for _ in range(3)),
        *(client.set_publish_mode("off", name) for name in ("a", "b", "c")),
    )
    found = {one.workflow: one for one in await client.publish_settings()}
    assert (found["desk"].mode, found["desk"].path, found["desk"].revision) == ("auto", "shadow", 6)
    assert [found[name].mode for name in ("a", "b", "c")] == ["off"] * 3
    assert len(await client.audit(action="publishing")) == 9


async def test_decisions_are_recorded_without_an_actor_too(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        view = await client.set_publish_mode("auto")
        assert dataclasses.replace(view, changed_at=None).changed_by == "local"
        assert [one.actor for one in await client.audit()] == ["local"]
