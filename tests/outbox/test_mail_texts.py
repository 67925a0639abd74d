"""A mail on the wire has the headers that were given, whatever stands in them."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdfast as hf
from holdfast.services.outbox.mail_texts import built
from holdfast.services.outbox.outgoing import Outgoing

HEADERS = [
    "From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "X-Holdfast-Message-Id", "In-Reply-To",
    "References", "X-Ticket", "MIME-Version", "Content-Type",
]  # fmt: skip
OF_PART = ["Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "MIME-Version"]

EVIL = "=?utf-8?q?x=0d=0aBcc:_y@z.example?="


def names_of(raw: bytes) -> list[str]:
    """The names of headers, read as the simplest receiver reads them."""
    lines = raw.partition(b"\r\n\r\n")[0].splitlines()
    return [line.partition(b":")[0].decode() for line in lines if line[:1] not in (b" ", b"\t")]


def written(text: str, to: str = "a@b.example") -> bytes:
    """A mail with a text wherever there can be one."""
    mail = hf.Mail(
        to=[to, f'"{text}" <c@d.example>'],
        subject=text,
        text="words",
        sender=f'"{text}" <desk@b.example>',
        cc=f'"{text}" <c@d.example>',
        reply_to=f'"{text}" <c@d.example>',
        in_reply_to="".join(text.split()),
        references=["".join(text.split()), "1@b.example"],
        headers={"X-Ticket": text},
        attachments=[hf.MailAttachment(f"{text}.txt", "text/plain", b"x")],
    )
    return built(mail, Outgoing("default", text, b"\x01{}", 0), "desk@b.example")


def is_sound(raw: bytes) -> None:
    """It has the headers that it is to have, and goes to whom it is to go."""
    assert names_of(raw) == HEADERS
    part = raw.split(b"Content-Transfer-Encoding: base64")[0].rpartition(b"\r\nContent-Type: text/plain")[2]
    attached = names_of(b"Content-Type: text/plain" + part + raw[raw.index(b"Content-Transfer-Encoding: base64") :])
    assert attached == OF_PART
    read = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    for name, whom in (("From", "desk@b.example"), ("Cc", "c@d.example"), ("Reply-To", "c@d.example")):
        assert [one.addr_spec for one in read[name].addresses] == [whom]
    assert len(read["To"].addresses) == 2


@pytest.mark.parametrize("to", ["a@b.example", "jürgen@b.example"], ids=["ascii", "utf8"])
@pytest.mark.parametrize(
    "text",
    [
        EVIL,
        f"Re: {EVIL} grüße",
        f"x{EVIL}",
        "=?utf-8?b?eA0KQmNjOiB5QHouZXhhbXBsZQ==?=",
        f"evil@z.example, {EVIL}",
        f"evil@z.example, {'and so on ' * 9}",
        EVIL * 6,
        "=?utf-8?q?=0d=0a=0d=0abody?=",
        "=?x?q?=80=0a?= =?utf-8*en?Q?=0aBcc:?=",
        "=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3D0d=3D0aBcc:_y=3F=3D?=",
    ],
)
def test_an_encoded_word_cannot_begin_another_header(text: str, to: str) -> None:
    raw = written(text, to)
    is_sound(raw)
    assert b"\r\nBcc" not in raw


def test_a_header_is_sent_as_it_was_given() -> None:
    raw = written("Grüße, =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "jürgen@b.example")
    assert "Subject: Grüße, =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n".encode() in raw
    read = email.message_from_bytes(written("Grüße, Ada"), policy=email.policy.default)
    assert (read["Subject"], read["X-Ticket"]) == ("Grüße, Ada", "Grüße, Ada")
    assert [one.display_name for one in read["Cc"].addresses] == ["Grüße, Ada"]


PIECES = [
    "=?", "?=", "utf-8", "?q?", "?b?", "=0d=0a", "DQpCY2M6", "Bcc:", "_", " ", "y@z.example", ",", ";", "ü", "(a)",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=25).map("".join))
def test_whatever_stands_in_a_header_stays_in_it(text: str) -> None:
    is_sound(written(f"x{text}"[:200]))
