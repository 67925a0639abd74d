"""A person looks at a message before it is sent: edits it, lets it pass, or discards it."""

from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.store.outbox_rows import ChangeMessages
from tests.outbox.kit import TENANT, message, put, sending, until, until_status
from tests.outbox.receivers import Reply, Web, post, web

REVIEW = 'review = { group = "desk", due = "1d", escalate_to = ["boss"] }'

MAIL = hf.Mail(
    to="ann@b.example", cc="bob@b.example", subject="Re: broken", text="We are sorry.\n", html="<p>We are sorry.</p>",
    attachments=[hf.MailAttachment("a.txt", "text/plain", b"abc")],
)  # fmt: skip


def hook(receiver: Web, more: str = REVIEW) -> str:
    return f'[channels.crm]\ntype = "webhook"\nurl = "{receiver.url}"\n{more}\n'


async def asked(client: hf.Client, count: int = 1) -> list[Any]:
    """The open items, once there are so many."""
    found: list[Any] = []

    async def there() -> bool:
        found[:] = [
            one for one in await hf.work_queue(client).list(kind="ask") if one.status not in ("completed", "skipped")
        ]
        return len(found) >= count

    await until(there)
    return found


async def finished(client: hf.Client, id: str) -> Any:
    run: hf.RunHandle[Any] = await client.handle(f"review/{(await message(client, id)).uid.hex()}")
    return await run.result(timeout="20s")


async def test_a_person_edits_a_mail_and_it_is_sent_as_they_left_it(store_url: str, tmp_path: Path) -> None:
    async with post() as mails:
        channels = (
            f'[channels.mail]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {mails.port}\nsecurity = "none"\n'
            f'sender = "d@shop.example"\n{REVIEW}\n'
        )
        async with sending(store_url, tmp_path, channels, mode=None) as client:
            await client.publish("mail", MAIL, id="reply/1", workflow="desk")
            [item] = await asked(client)
            item = await hf.work_queue(client).get(item.id)
            assert item.title == "Review: Re: broken"
            assert (item.group, item.due_at is not None) == ("desk", True)
            assert item.data == {"subject": "Re: broken", "text": "We are sorry.\n"}
            for said in (
                "channel 'mail'",
                "workflow 'desk'",
                "To: ann@b.example",
                "Cc: bob@b.example",
                "a.txt, 3 bytes",
            ):
                assert said in item.text
            await hf.work_queue(client).complete(item.id, {"subject": "Re: mended", "text": "It is mended."})
            row = await until_status(client, "reply/1", "sent")
            assert row.approved_by == "local"
            [told] = [one for one in await client.audit(target="reply/1") if one.action == "message.send"]
            assert told.detail == {"reason": "reviewed", "edited": True}
    [envelope] = mails.taken
    text = envelope.content.decode()
    assert "Subject: Re: mended" in text
    assert "It is mended." in text
    assert "sorry" not in text, "the HTML form says what was said before"
    assert "a.txt" in text


async def test_what_is_let_pass_unchanged_is_sent_as_it_was(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver), mode="auto") as client:
        await client.publish("crm", MAIL, id="m", review="the customer threatens to leave")
        [item] = await asked(client)
        assert "Why it is looked at: the customer threatens to leave" in (await hf.work_queue(client).get(item.id)).text
        await hf.work_queue(client).complete(item.id, {"subject": "Re: broken", "text": "We are sorry.\r\n"})
        await until_status(client, "m", "sent")
        assert await finished(client, "m") == "released"
    [request] = receiver.requests
    assert hf.Mail.from_json(request.json) == MAIL


async def test_what_is_skipped_is_discarded_with_the_reason(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver), mode="draft") as client:
        await client.publish("crm", {"text": "first"}, id="first")
        [item] = await asked(client)
        await hf.work_queue(client).skip(item.id, "we do not write to them")
        row = await until_status(client, "first", "discarded")
        assert row.reason == "we do not write to them"
        assert await finished(client, "first") == "discarded"
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("given", "data", "answer", "sent"),
    [
        ("Hello", {"text": "Hello"}, {"text": "Bye"}, "Bye"),
        ({"text": "Hello", "n": 1}, {"text": "Hello"}, {"text": "Bye"}, {"text": "Bye", "n": 1}),
        ({"n": 1}, {"json": '{\n  "n": 1\n}'}, {"json": '{"n": 2}'}, {"n": 2}),
    ],
)
async def test_other_messages_are_edited_by_their_text_or_as_json(
    tmp_path: Path, given: Any, data: dict[str, str], answer: dict[str, str], sent: Any
) -> None:
    async with web() as receiver, sending("memory://", tmp_path, hook(receiver), mode="draft") as client:
        await client.publish("crm", given, id="m")
        [item] = await asked(client)
        assert (await hf.work_queue(client).get(item.id)).data == data
        await hf.work_queue(client).complete(item.id, answer)
        await until_status(client, "m", "sent")
    assert receiver.requests[0].json == sent


@pytest.mark.parametrize(
    ("given", "wrong", "said", "right"),
    [
        ({"n": 1}, {"json": '{"n": '}, "this is no JSON", {"json": '{"n": 3}'}),
        (
            MAIL,
            {"subject": "Re:\nBcc: victim@c.example", "text": "x"},
            "it stands in a header",
            {"subject": "Re: y", "text": "x"},
        ),
    ],
)
async def test_what_is_no_message_any_more_is_asked_for_again(
    tmp_path: Path, given: Any, wrong: dict[str, str], said: str, right: dict[str, str]
) -> None:
    async with web() as receiver, sending("memory://", tmp_path, hook(receiver), mode="draft") as client:
        await client.publish("crm", given, id="m")
        [item] = await asked(client)
        await hf.work_queue(client).complete(item.id, wrong)

        async def again() -> bool:
            return bool((await asked(client))[0].id != item.id)

        await until(again)
        [other] = await asked(client)
        shown = await hf.work_queue(client).get(other.id)
        assert said in shown.text
        assert shown.data == wrong
        assert (await message(client, "m")).status == "withheld"
        await hf.work_queue(client).complete(other.id, right)
        await until_status(client, "m", "sent")
    assert len(receiver.requests) == 1


async def test_a_message_too_long_to_edit_is_let_pass_as_it_is(tmp_path: Path) -> None:
    async with web() as receiver, sending("memory://", tmp_path, hook(receiver), mode="draft") as client:
        await client.publish("crm", {"text": "x" * 200_000}, id="m")
        [item] = await asked(client)
        assert "too long to be changed here" in (await hf.work_queue(client).get(item.id)).text
        await hf.work_queue(client).complete(item.id, {})
        await until_status(client, "m", "sent")
    assert len(receiver.requests[0].json["text"]) == 200_000


async def test_nobody_is_asked_any_more_what_somebody_has_decided(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver), mode="draft") as client:
        for id in ("sent", "gone", "open"):
            await client.publish("crm", {"text": id}, id=id)
        items = {(await hf.work_queue(client).get(one.id)).data["text"]: one.id for one in await asked(client, 3)}
        assert await client.send_again(["sent"]) == ["sent"]
        await client.discard_message("gone", "by hand")

        async def closed() -> bool:
            return [one.id for one in await asked(client)] == [items["open"]]

        await until(closed)
        await until_status(client, "sent", "sent")
        for id in ("sent", "gone"):
            with pytest.raises(hf.RunCancelled, match="the message was decided about"):
                await finished(client, id)
        assert (await hf.work_queue(client).get(items["gone"])).status == "skipped"
    assert receiver.ids == ["sent"]


async def test_what_cannot_be_read_can_be_discarded(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver), mode="draft") as client:
        await put(client, "crm", "bad", b"\2{}")
        [item] = await asked(client)
        assert "cannot be read, and can only be discarded" in (await hf.work_queue(client).get(item.id)).text
        await hf.work_queue(client).complete(item.id, {})

        async def again() -> bool:
            return bool((await asked(client))[0].id != item.id)

        await until(again)
        [item] = await asked(client)
        await hf.work_queue(client).skip(item.id, "nonsense")
        assert (await until_status(client, "bad", "discarded")).reason == "nonsense"
    assert receiver.requests == []


async def test_a_mail_with_large_files_is_edited_too(tmp_path: Path) -> None:
    content = bytes(13_000_000)  # as it is stored, more than any other message may have
    mail = hf.Mail("a@b.example", "s", "t", attachments=[hf.MailAttachment("a.bin", "application/zip", content)])
    async with sending(
        "memory://", tmp_path, '[channels.out]\ntype = "file"\nfolder = "out"\n', mode="draft"
    ) as client:
        await client.publish("out", mail, id="m")
        [item] = await asked(client)
        await hf.work_queue(client).complete(item.id, {"subject": "s", "text": "changed"})
        await until_status(client, "m", "sent")
    written = (tmp_path / "out" / "m.eml").read_bytes()
    assert b"changed" in written
    assert len(written) > len(content)


async def test_what_somebody_decided_meanwhile_stands(store_url: str, tmp_path: Path) -> None:
    async with web() as receiver, sending(store_url, tmp_path, hook(receiver), mode="draft") as client:
        receiver.usual = lambda request: Reply(400 if request.json["text"] == "dead" else 200)
        for id in ("sent", "gone", "dead"):
            await client.publish("crm", {"text": id}, id=id)
        items = {(await hf.work_queue(client).get(one.id)).data["text"]: one.id for one in await asked(client, 3)}
        # Just when the person answers, so that the review still goes on.
        for id, what in (("sent", "send"), ("gone", "discard"), ("dead", "send")):
            now = client.core.now_us()
            changed = ChangeMessages(TENANT, (id,), what, "by hand", None, "ann", now, ())  # type: ignore[arg-type]
            assert await client.core.store.outbox.change_messages(changed) == [id]
        client.core.announce("message")
        await until_status(client, "sent", "sent")
        await until_status(client, "dead", "dead")
        for id in ("gone", "dead"):
            await hf.work_queue(client).complete(items[id], {"text": "changed"})
        await hf.work_queue(client).skip(items["sent"], "too late")
        assert {await finished(client, id) for id in ("gone", "dead")} == {"released"}
        assert await finished(client, "sent") == "discarded"
        gone = await message(client, "gone")
        assert (gone.status, gone.reason) == ("discarded", "by hand")
        assert [(await message(client, id)).status for id in ("sent", "dead")] == ["sent", "dead"]
    assert sorted(receiver.ids) == ["dead", "sent"]


async def test_nobody_is_asked_about_what_a_run_in_shadow_publishes(store_url: str, tmp_path: Path) -> None:
    @hf.workflow
    async def shadowed() -> None:
        await hf.publish("crm", {"text": "a"}, id="1")
        await hf.publish("crm", {"text": "b"}, id="2", review="look")

    async with web() as receiver, sending(store_url, tmp_path, hook(receiver), shadowed, mode="draft") as client:
        run = await client.start(shadowed.options(shadow=True))
        await run.result(timeout="20s")
        await client.publish("crm", {"text": "c"}, id="seen")
        [item] = await asked(client)
        assert (await hf.work_queue(client).get(item.id)).data == {"text": "c"}
        for id in ("shadow/1", "shadow/2"):
            assert ((row := await message(client, id)).status, row.verdict) == ("withheld", "shadow")
        with pytest.raises(hf.HoldfastError):
            await client.send_again("shadow/1")
    assert receiver.requests == []
