"""`hf.Mail`: what is refused when it is made, and its plain JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine.publishing import encode
from holdfast.model.mail_parts import mailbox
from holdfast.model.mails import MAIL_BYTES, STORED_BYTES
from holdfast.model.payload import codec_of

TO = "ada@shop.example"


def mail(**more: Any) -> hf.Mail:
    return hf.Mail(**{"to": TO, "subject": "Your order", "text": "It is on its way.\n", **more})


FULL = mail(
    to=["Ada <ada@shop.example>", '"Lovelace, A." <a@b.example>'],
    html="<p>It is on its way.</p>",
    sender="Desk <desk@shop.example>",
    cc="jürgen@bücher.example",
    bcc=["boss@shop.example"],
    reply_to="replies@shop.example",
    in_reply_to="1@mail.example",
    references=["<0@mail.example>", "1@mail.example"],
    headers={"X-Ticket": "größer als 1"},
    attachments=[hf.MailAttachment("bill.pdf", "application/pdf", b"\0\xff%PDF")],
)


def test_addresses_are_kept_as_tuples_and_ids_in_brackets() -> None:
    assert FULL.to == ("Ada <ada@shop.example>", '"Lovelace, A." <a@b.example>')
    assert (FULL.cc, FULL.bcc, FULL.reply_to) == (
        ("jürgen@bücher.example",), ("boss@shop.example",), ("replies@shop.example",)
    )  # fmt: skip
    assert (FULL.in_reply_to, FULL.references) == ("<1@mail.example>", ("<0@mail.example>", "<1@mail.example>"))


def test_a_mail_is_plain_json_and_comes_back() -> None:
    said = FULL.to_json()
    assert hf.Mail.from_json(said) == FULL
    assert codec_of(Any).decode(codec_of(Any).encode(said, "the mail"), "the mail") == said
    assert said["attachments"] == [{"name": "bill.pdf", "media_type": "application/pdf", "content": "AP8lUERG"}]


def test_what_is_empty_is_left_out_but_for_what_every_mail_has() -> None:
    assert mail(text="").to_json() == {"to": [TO], "subject": "Your order", "text": ""}


def test_a_mail_is_an_argument_and_a_result_like_any_other() -> None:
    for annotation, value in ((hf.Mail, FULL), (list[hf.Mail | None], [mail(), None])):
        codec = codec_of(annotation)
        assert codec.decode(codec.encode(value, "it"), "it") == value
    with pytest.raises(hf.PayloadError, match="lacks 'subject'"):
        codec_of(hf.Mail).decode(b'\x01{"to":["a@b"],"text":""}', "it")


def test_a_mail_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.subject = "another"  # type: ignore[misc]
    assert dataclasses.replace(FULL, subject="another").subject == "another"
    with pytest.raises(hf.UsageError):
        dataclasses.replace(FULL, subject="an\nother")


@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to", "sender"])
@pytest.mark.parametrize(
    "address",
    [
        "", " ", "ada", "ada@", "@shop.example", "a b@shop.example", "a@b.example, c@d.example",
        "a@b.example;c@d.example", "<a@b.example> <c@d.example>", "Lovelace, A. <a@b.example>", "a..b@c.example",
        ".a@c.example", "a@-c.example",
        "a@c..example", "a@c.example\r\nBcc: x@y.example", "a@c.example\n", "Ada\x00 <a@c.example>",
        "a@c\u2028.example", "Ada\x0b <a@c.example>", "a@\ud800.example", f"{'a' * 65}@c.example", "mailto:a@c.example",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(field: str, address: str) -> None:
    with pytest.raises(hf.UsageError, match="mail"):
        mail(**{field: address})


@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to"])
@pytest.mark.parametrize("value", [None, 1, [1], [TO, None], b"a@b.example", {"a@b.example"}])
def test_addresses_of_another_type_are_refused(field: str, value: Any) -> None:
    with pytest.raises(hf.UsageError, match="mail"):
        mail(**{field: value})


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("a@b.example", "", "a@b.example"),
        ("<a@b.example>", "", "a@b.example"),
        ("Ada L <a@b.example>", "Ada L", "a@b.example"),
        ('"Lovelace, \\"A\\"" <a@b.example>', 'Lovelace, "A"', "a@b.example"),
        ("Grüße <grüße@bücher.example>", "Grüße", "grüße@bücher.example"),
        ('"a b"@c.example', "", '"a b"@c.example'),
        ("root@localhost", "", "root@localhost"),
        ("a@[127.0.0.1]", "", "a@[127.0.0.1]"),
        ("a+b@x-y.example", "", "a+b@x-y.example"),
    ],
)
def test_addresses_are_taken_apart(text: str, name: str, address: str) -> None:
    assert mailbox(text) == (name, address)
    assert mail(to=text).to == (text,)


def test_a_mail_needs_somebody_to_go_to() -> None:
    for nobody in ([], ()):
        with pytest.raises(hf.UsageError, match="at least one address"):
            mail(to=nobody, cc=TO)
    with pytest.raises(hf.UsageError, match="recipients"):
        mail(bcc=[TO] * 1000)


@pytest.mark.parametrize(
    "break_", ["\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x7f", "\x9b"]
)
@pytest.mark.parametrize(
    "inject",
    [
        lambda text: mail(subject=text),
        lambda text: mail(headers={"X-Ticket": text}),
        lambda text: mail(headers={text: "1"}),
        lambda text: mail(in_reply_to=text),
        lambda text: mail(references=[text]),
        lambda text: hf.MailAttachment(text, "text/plain", b""),
        lambda text: hf.MailAttachment("a.txt", text, b""),
    ],
)
def test_nothing_in_a_header_can_begin_another(inject: Any, break_: str) -> None:
    for text in (f"a{break_}Bcc: x@y.example", f"a{break_}"):
        with pytest.raises(hf.UsageError):
            inject(text)


@pytest.mark.parametrize(
    "name", ["", "X Ticket", "X-Ticket:", "Ü", "To", "bcc", "FROM", "Message-ID", "Content-Type", "Resent-Bcc", 1]
)
def test_headers_that_are_made_otherwise_are_refused(name: Any) -> None:
    with pytest.raises(hf.UsageError, match="header"):
        mail(headers={name: "1"})


@pytest.mark.parametrize("field", ["subject", "text", "html"])
@pytest.mark.parametrize("value", [1, b"x", "half \ud800", "nul \0"])
def test_words_that_cannot_be_sent_are_refused(field: str, value: Any) -> None:
    with pytest.raises(hf.UsageError):
        mail(**{field: value})


def test_a_mail_has_at_most_25_megabytes() -> None:
    half = MAIL_BYTES // 2
    fits = mail(text="x" * half, attachments=[hf.MailAttachment("a", "a/b", b"x" * half)])
    assert len(fits.text) == half
    with pytest.raises(hf.UsageError, match="25,000,000"):
        mail(text="x" * half, html="x", attachments=[hf.MailAttachment("a", "a/b", b"x" * half)])
    with pytest.raises(hf.UsageError, match="25,000,000"):
        mail(text="ü" * (half + 1))
    with pytest.raises(hf.UsageError, match="characters"):
        mail(subject="x" * 2001)
    with pytest.raises(hf.UsageError, match="25,000,000"):
        mail(headers={f"X-{n}": "x" * 2000 for n in range(12_500)})
    with pytest.raises(hf.PayloadError, match=r"it: takes 60,.* as JSON, and at most 50,000,000"):
        encode(mail(text="\x01" * 10_000_000), "it")
    assert len(encode(fits, "it")) < STORED_BYTES


@pytest.mark.parametrize(
    "attachment",
    [
        ("../a", "text/plain", b""), ("a\\b", "text/plain", b""), ("", "text/plain", b""), ("a", "text", b""),
        ("a", "text/plain; x=1", b""), ("a", "text/plain", "words"), (1, "text/plain", b""), ("a", None, b""),
    ],
)  # fmt: skip
def test_an_attachment_that_cannot_go_with_a_mail_is_refused(attachment: Any) -> None:
    with pytest.raises(hf.UsageError, match="attachment"):
        hf.MailAttachment(*attachment)


@pytest.mark.parametrize(
    "value",
    [
        None, [], "mail", {}, {"to": TO, "subject": ""}, {**mail().to_json(), "colour": "red"},
        {**mail().to_json(), "cc": None}, {**mail().to_json(), "attachments": "x"},
        {**mail().to_json(), "attachments": [{"name": "a"}]},
        {**mail().to_json(), "attachments": [{"name": "a", "media_type": "a/b", "content": "no base64!"}]},
        {**mail().to_json(), "headers": ["x"]},
    ],
)  # fmt: skip
def test_what_is_no_mail_is_not_read_as_one(value: Any) -> None:
    with pytest.raises(hf.UsageError):
        hf.Mail.from_json(value)


def test_attachments_are_attachments() -> None:
    with pytest.raises(hf.UsageError, match="MailAttachment"):
        mail(attachments=[b"x"])
