"""Mail servers: what they are given, and what each refusal, silence and loss means."""

import asyncio
import contextlib
import email
import email.policy
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.services.outbox.outgoing import Channel, DeliveryFailed
from holdfast.services.outbox.smtp import SmtpChannel
from tests.outbox.kit import channel_of, outgoing
from tests.outbox.receivers import Post, post, silent

MAIL = hf.Mail(to="ann@b.example", subject="Hello", text="How are you?\n")


def made(tmp_path: Path, receiver: Post, more: str = "") -> Channel:
    return channel_of(
        tmp_path,
        f'[channels.replies]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {receiver.port}\nsecurity = "none"\n'
        f'sender = "Desk <desk@shop.example>"\n{more}',
    )


def read(envelope: Any) -> EmailMessage:
    found = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


async def refused(channel: Channel, mail: Any = MAIL) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        await channel.send(outgoing(mail))
    return caught.value


async def test_a_mail_arrives_with_all_that_it_has(tmp_path: Path) -> None:
    mail = hf.Mail(
        to=["Änne <ann@b.example>", "bob@b.example"],
        subject="Größe 🙂 " + "und so weiter " * 20,
        text="Zeile eins\r\n.\n.. zwei Punkte\nFrom hier\n" + "lang" * 500 + "\n",
        html="<p>Größe</p>",
        cc="cc@b.example",
        bcc="secret@b.example",
        reply_to="Desk <answers@shop.example>",
        in_reply_to="first@b.example",
        references=["zero@b.example", "first@b.example"],
        headers={"X-Ticket": "T-1"},
        attachments=[hf.MailAttachment("größe.pdf", "application/pdf", bytes(range(256)) * 100)],
    )
    async with post() as receiver:
        channel = made(tmp_path, receiver)
        assert await channel.send(outgoing(mail, "reply/1")) == "250 taken"
        await channel.close()
    [envelope] = receiver.taken
    assert envelope.mail_from == "desk@shop.example"
    assert envelope.rcpt_tos == ["ann@b.example", "bob@b.example", "cc@b.example", "secret@b.example"]
    found = read(envelope)
    assert found["From"] == "Desk <desk@shop.example>"
    assert (found["To"], found["Cc"], found["Bcc"]) == ("Änne <ann@b.example>, bob@b.example", "cc@b.example", None)
    assert found["Subject"].strip() == mail.subject.strip()
    assert found["Reply-To"] == "Desk <answers@shop.example>"
    assert (found["In-Reply-To"], found["X-Ticket"]) == ("<first@b.example>", "T-1")
    assert found["References"].split() == ["<zero@b.example>", "<first@b.example>"]
    assert found["X-Holdfast-Message-Id"] == "reply/1"
    assert found["X-Holdfast-Draft"] is None
    plain, html = found.get_body(("plain",)), found.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().splitlines() == mail.text.splitlines()
    assert html.get_content().strip() == "<p>Größe</p>"
    [attached] = found.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("größe.pdf", bytes(range(256)) * 100)
    assert all(len(line) <= 998 for line in envelope.content.splitlines())
    assert b"secret@" not in envelope.content


async def test_a_mail_is_the_same_at_each_attempt_and_another_for_each_id(tmp_path: Path) -> None:
    both = hf.Mail(to="ann@b.example", subject="x", text="y", html="z")
    async with post() as receiver:
        channel = made(tmp_path, receiver)
        for id, tenant in (("a", "default"), ("a", "default"), ("b", "default"), ("a", "acme")):
            await channel.send(outgoing(both, id, tenant=tenant))
        await channel.close()
    first, again, other, elsewhere = (envelope.content for envelope in receiver.taken)
    assert first == again
    ids = {read(envelope)["Message-ID"] for envelope in receiver.taken}
    assert len(ids) == 3
    assert all(id.endswith("@shop.example>") for id in ids)
    assert len({first, other, elsewhere}) == 3


async def test_a_draft_is_marked_and_a_sender_of_its_own_is_heard(tmp_path: Path) -> None:
    async with post() as receiver:
        channel = made(tmp_path, receiver)
        await channel.send(outgoing(hf.Mail(to="a@b.example", subject="", text="", sender="me@c.example"), draft=True))
        await channel.close()
    [envelope] = receiver.taken
    assert read(envelope)["X-Holdfast-Draft"] == "yes"
    assert envelope.mail_from == "me@c.example"


async def test_what_is_no_mail_goes_to_whom_the_channel_says(tmp_path: Path) -> None:
    async with post() as receiver:
        channel = made(tmp_path, receiver, 'to = ["Ops <ops@shop.example>", "boss@shop.example"]')
        await channel.send(outgoing({"title": "Queue\r\nBcc: x@y.example", "body": "It is long."}))
        await channel.send(outgoing({"n": 1}, "m/2"))
        await channel.close()
        alone = made(tmp_path, receiver)
        failed = await refused(alone, {"to": "a@b.example\nx", "subject": "s", "text": "t"})
        await alone.close()
    assert failed.final
    assert "it is no mail" in str(failed)
    told, plain = map(read, receiver.taken)
    assert (told["Subject"], told["Bcc"]) == ("Queue Bcc: x@y.example", None)
    assert told.get_content().strip() == "It is long."
    assert (plain["Subject"], plain.get_content().split()) == ("Message m/2", ["{", '"n":', "1", "}"])
    assert receiver.taken[0].rcpt_tos == ["ops@shop.example", "boss@shop.example"]


@pytest.mark.parametrize("field", ["subject", "to", "sender", "reply_to", "cc", "in_reply_to", "headers"])
async def test_no_header_can_be_brought_in(tmp_path: Path, field: str) -> None:
    injected = "a@b.example\r\nBcc: victim@c.example"
    value: Any = {"X-A": injected} if field == "headers" else injected
    given = {"to": "a@b.example", "subject": "s", "text": "t", field: value}
    async with post() as receiver:
        channel = made(tmp_path, receiver)
        failed = await refused(channel, given)
        await channel.close()
    assert failed.final
    assert receiver.tried == 0


@pytest.mark.parametrize(("code", "final"), [(450, False), (451, False), (452, False), (550, True), (553, True)])
async def test_a_refused_recipient_is_told_and_nobody_is_sent_it(tmp_path: Path, code: int, final: bool) -> None:
    mail = hf.Mail(to=["ann@b.example", "bob@b.example", "cy@b.example"], subject="s", text="t")
    async with post() as receiver:
        receiver.on_recipient = lambda address: f"{code} not {address[:3]} now" if address[0] in "bc" else None
        channel = made(tmp_path, receiver)
        failed = await refused(channel, mail)
        receiver.on_recipient = lambda address: None
        await channel.send(outgoing(mail))
        await channel.close()
    assert (failed.final, failed.doubt) == (final, False)
    assert f"bob@b.example: {code} not bob now; cy@b.example: {code} not cy@ now" in str(failed)
    assert len(receiver.taken) == 1


@pytest.mark.parametrize(("said", "final"), [("451 later", False), ("554 never", True), ("421 I go", False)])
async def test_a_refused_mail_is_told(tmp_path: Path, said: str, final: bool) -> None:
    async with post() as receiver:
        receiver.on_data = lambda envelope: said
        channel = made(tmp_path, receiver)
        failed = await refused(channel)
        await channel.close()
    assert (failed.final, failed.doubt) == (final, False)
    assert said in str(failed)


async def test_a_server_that_is_gone_after_the_mail_leaves_a_doubt(tmp_path: Path) -> None:
    async with post() as receiver:
        receiver.on_data = lambda envelope: "drop"
        channel = made(tmp_path, receiver)
        failed = await refused(channel)
        await channel.close()
    assert (failed.final, failed.doubt) == (False, True)
    assert len(receiver.taken) == 1


async def test_a_server_that_is_silent_after_the_mail_leaves_a_doubt(tmp_path: Path) -> None:
    async with post() as receiver:

        async def silent(envelope: Any) -> str:
            await receiver.gone.wait()
            return "451 too late"

        receiver.on_data = silent
        channel = made(tmp_path, receiver, 'timeout = "300ms"')
        failed = await refused(channel)
        await channel.close()
    assert (failed.final, failed.doubt) == (False, True)
    assert "within 0.3 s" in str(failed)


@pytest.mark.parametrize("how", ["refuses", "drops", "is silent", "babbles", "is not there"])
async def test_a_server_that_does_not_let_us_in_leaves_no_doubt(tmp_path: Path, how: str) -> None:
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if how == "is silent":
            await reader.read()
        elif how != "drops":
            writer.write(b"554 go away\r\n" if how == "refuses" else b"hello?\r\n")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    receiver = Post()
    receiver.port = server.sockets[0].getsockname()[1]
    if how == "is not there":
        server.close()
    channel = made(tmp_path, receiver, 'timeout = "300ms"' if how == "is silent" else "")
    failed = await refused(channel)
    server.close()
    if how != "is not there":
        await done.wait()
    assert (failed.final, failed.doubt) == (False, False), "it is never about the mail"


async def test_a_connection_is_used_again_and_made_anew_when_the_server_closed_it(tmp_path: Path) -> None:
    connected = []

    class Counting(Post):
        async def handle_EHLO(
            self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
        ) -> list[str]:
            connected.append(server)
            session.host_name = hostname
            return responses

    async with post(handler=Counting) as receiver:
        channel = made(tmp_path, receiver)
        for n in range(3):
            await channel.send(outgoing(MAIL, f"m/{n}"))
        assert len(connected) == 1
        connected[0].transport.close()
        await channel.send(outgoing(MAIL, "m/3"))
        assert len(connected) == 2
        assert isinstance(channel, SmtpChannel)
        channel._idle = [(time.monotonic() - 60, connection) for _, connection in channel._idle]
        await channel.send(outgoing(MAIL, "m/4"))
        assert len(connected) == 3
        await channel.close()
    assert len(receiver.taken) == 5


async def test_addresses_with_other_letters(tmp_path: Path) -> None:
    mail = hf.Mail(to=["jürgen@b.example", "ann@münchen.example"], subject="s", text="t")
    async with post(enable_SMTPUTF8=True) as receiver:
        channel = made(tmp_path, receiver)
        await channel.send(outgoing(mail))
        await channel.close()
    [envelope] = receiver.taken
    assert envelope.rcpt_tos == ["jürgen@b.example", "ann@xn--mnchen-3ya.example"]
    assert "SMTPUTF8" in envelope.mail_options
    assert read(envelope)["To"] == "jürgen@b.example, ann@xn--mnchen-3ya.example"
    async with post() as receiver:
        channel = made(tmp_path, receiver)
        failed = await refused(channel, mail)
        await channel.send(outgoing(hf.Mail(to="ann@münchen.example", subject="s", text="t")))
        await channel.close()
    assert failed.final
    assert "does not take them" in str(failed)
    assert [envelope.rcpt_tos for envelope in receiver.taken] == [["ann@xn--mnchen-3ya.example"]]


async def test_a_password_is_used_and_never_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiosmtpd.smtp import AuthResult

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = (data.login, data.password) == (b"desk", b"hunter2hunter2")
        return AuthResult(success=good, handled=False, message=None if good else "535 no desk:wrong-wrong here")

    signing = 'user = "desk"\npassword = "env:SMTP_PASSWORD"'
    async with post(authenticator=check, auth_required=True, auth_require_tls=False) as receiver:
        channel = made(tmp_path, receiver, signing)
        monkeypatch.setenv("SMTP_PASSWORD", "hunter2hunter2")
        await channel.send(outgoing(MAIL))
        await channel.close()
        monkeypatch.setenv("SMTP_PASSWORD", "wrong-wrong")
        wrong = await refused(channel)
        monkeypatch.delenv("SMTP_PASSWORD")
        missing = await refused(channel)
        await channel.close()
    assert len(receiver.taken) == 1
    assert not wrong.final, "the password may be mended"
    assert "wrong-wrong" not in str(wrong)
    assert "SMTP_PASSWORD is not set" in str(missing)
    assert not missing.final


async def test_nothing_is_sent_in_the_clear_where_it_is_to_be_kept_private(tmp_path: Path) -> None:
    async with post() as receiver:
        text = f'[channels.r]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {receiver.port}\nsender = "d@shop.example"\n'
        channel = channel_of(tmp_path, text)
        failed = await refused(channel)
        await channel.close()
    assert (failed.final, failed.doubt) == (False, False)
    assert receiver.tried == 0


async def test_a_connection_on_which_nobody_greets_is_closed(tmp_path: Path) -> None:
    async with silent() as server:
        text = f'[channels.r]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {server.port}\nsender = "d@shop.example"\n'
        channel = channel_of(tmp_path, f'{text}timeout = "200ms"\n')
        failed = await refused(channel)
        assert not failed.doubt
        async with asyncio.timeout(30):
            await server.left.wait()
        await channel.close()
