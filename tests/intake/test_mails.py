"""What is known of a mail: whatever is wrong with it, it is an entry, and its facts are plain JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.intake.mails import facts_of, mail_digest, mail_entry
from holdfast.intake.terms import SourceTerms

TERMS = SourceTerms("desk", "maildir", "desk")


def facts(content: bytes) -> dict[str, object]:
    return facts_of(content, len(content))[1]


def test_a_mail_has_the_facts_that_a_filter_asks_for() -> None:
    content = (
        b"Message-ID:\r\n <a@b.example>\r\nFrom: =?utf-8?q?J=C3=B6rg?= <Joerg@B.example>\r\n"
        b"To: One <one@c.example>, two@c.example\r\nCc: =?x?= <three@c.example>\r\n"
        b"Subject: =?utf-8?b?w4RyZ2Vy?=\r\n mit =?iso-8859-1?q?=FCber?=\r\n"
        b"Date: Mon, 01 Jan 2024 01:00:00 +0200\r\nX-Spam: yes\r\nX-Spam: no\r\n\r\nbody"
    )
    message_id, found = facts_of(content, 999)
    assert message_id == found["id"] == "<a@b.example>"
    assert found["sender"] == "joerg@b.example"
    assert (found["to"], found["cc"]) == (["one@c.example", "two@c.example"], ["three@c.example"])
    assert found["subject"] == "Ärger mit über"
    assert (found["date"], found["size"]) == ("2023-12-31T23:00:00+00:00", 999)
    assert found["headers"]["x-spam"] == "yes"


@pytest.mark.parametrize(
    ("header", "name", "expected"),
    [
        (b"Subject: \xc3\xa4", "subject", "ä"),
        (b"Subject: \xe4", "subject", "ä"),
        (b"Subject: =?no-such-charset?q?=E4?=", "subject", "ä"),
        (b"Subject: =?base64_codec?q?=E4?=", "subject", "ä"),
        (b"Subject: =?utf-8?b?*?=", "subject", ""),
        (b"Subject: a\0b", "subject", "a�b"),
        (b"Subject: =?utf-8?q?=00?=", "subject", "�"),
        (b"Subject: =?utf-7?q?+2AA-?=", "subject", "?"),
        (b"Subject: \xc3\xa4 =?utf-8?q?=C3=B6?= \xe2\x82\xac", "subject", "ä ö €"),
        (b"Subject:", "subject", ""),
        (b"From: nobody", "sender", None),
        (b"From: A <c@d>, e@f", "sender", "c@d"),
        (b"Date: yesterday", "date", None),
        (b"Date: Mon, 99 Jan 2024 99:99:99 +9999", "date", None),
        (b"Message-ID: " + b"x" * 600, "id", None),
        (b"Message-ID: ", "id", None),
        (b"Message-ID: <a b@c>", "id", "<ab@c>"),
    ],
)
def test_a_field_that_is_broken_is_read_as_well_as_it_goes(header: bytes, name: str, expected: str | None) -> None:
    assert facts(header + b"\n\nbody").get(name) == expected


@given(st.lists(st.sampled_from([b"From: ", b"To: ", b"Date: ", b"Subject: =?", b"?q?", b"?=", b"Message-ID: <",
                                 b"\n", b"\r\n", b"\n ", b"\0", b"\xff", b"@", b",", b"<", b">", b"(", b'"', b";",
                                 b"=?utf-8?b?", b"utf-16", b":"]) | st.binary(max_size=8)).map(b"".join))  # fmt: skip
def test_nothing_that_comes_is_refused(content: bytes) -> None:
    found = mail_entry(TERMS, "somewhere", b"", content, len(content))
    json.dumps([found.message_id, dict(found.facts)], allow_nan=False, ensure_ascii=False).encode()
    assert found.problem is None
    assert "\0" not in found.message_id


def test_many_and_long_fields_are_cut() -> None:
    content = b"".join(b"X-%d: y\n" % number for number in range(5_000)) + b"Subject: s\n\n"
    assert len(facts(content)["headers"]) == 1_000  # type: ignore[arg-type]
    addresses = b"To: " + b"a@b.example, " * 20_000 + b"\nSubject: " + b"s" * 100_000 + b"\n\n"
    found = facts(addresses)
    assert 500 < len(found["to"]) < 1_000  # type: ignore[arg-type]


def test_what_programs_note_in_a_mail_does_not_change_what_it_is() -> None:
    plain = b"Subject: x\nMessage-ID: <a>\n\nbody\nStatus: told\n"
    noted = b"Status: RO\nSubject: x\nX-Keywords: a\n  b\nMessage-ID: <a>\nX-UID: 7\n\nbody\nStatus: told\n\n"
    noted = noted.replace(b"\n", b"\r\n")
    assert mail_digest(plain) == mail_digest(noted)
    assert mail_digest(plain) != mail_digest(plain.replace(b"told", b"else"))
    assert mail_digest(plain) != mail_digest(plain.replace(b"Subject: x", b"Subject: y"))


def test_a_mail_with_25_megabytes_attached_is_an_entry() -> None:
    content = b"Message-ID: <a>\nSubject: x\n\n" + b"QUJD" * 19 * 330_000
    found = mail_entry(TERMS, "somewhere", b"", content, len(content))
    assert (found.problem, found.size, found.content == content) == (None, len(content), True)
