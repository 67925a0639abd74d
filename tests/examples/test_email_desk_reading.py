"""The mail desk without the engine: what it makes of bytes, of text, and of a path with mail."""

from __future__ import annotations

import contextlib
import mailbox
import os
import re
import time
from email.message import EmailMessage
from pathlib import Path

import pytest
from email_desk import sorting
from email_desk.message import MAX_BYTES, MAX_TEXT, Message, NotUnderstood, glance, parse, run_id
from email_desk.replies import reply
from email_desk.source import NoMail, Source
from email_desk.text import clean, html_to_text, one_line, split_history
from email_desk.values import Decision
from hypothesis import given
from hypothesis import strategies as st

import holdfast as hf
from tests.examples.desk_kit import HEAD, SAMPLE, mail, take

# Identity


def test_the_run_id_follows_from_message_id_and_content() -> None:
    raw = HEAD + b"\nhello\n"
    assert run_id(raw) == run_id(bytes(raw))
    assert re.fullmatch(r"mail-[0-9a-f]{16}", run_id(raw))
    assert run_id(raw) != run_id(raw + b"more\n")
    assert run_id(raw) != run_id(raw.replace(b"m1@", b"m2@"))


@given(st.binary(max_size=500))
def test_any_bytes_have_an_id_and_a_label(raw: bytes) -> None:
    assert re.fullmatch(r"mail-[0-9a-f]{16}", run_id(raw))
    for text in glance(raw):
        text.encode()


# Reading


def test_a_plain_message() -> None:
    message = mail(Subject="Hello", Date="Mon, 03 Mar 2025 09:12:00 +0100", Reply_To="other@letters.example")
    assert message == Message(
        message_id="m1@letters.example",
        sender_name="Ada",
        sender_address="ada@letters.example",
        answer_to="other@letters.example",
        recipient="desk@shop.example",
        subject="Hello",
        date="2025-03-03T09:12:00+01:00",
        in_reply_to="",
        references=(),
        text="When does it arrive?",
        attachments=(),
        urgent=False,
        automatic="",
        bulk="",
        repairs=(),
        key=message.key,
    )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b" \r\n\n", "empty"),
        (b"\0" * 100, "no sender"),
        (b"Subject: x\n\nhello\n", "no sender"),
        (b"From: Bob\n\nhello\n", "no address to answer in From: 'Bob'"),
        (HEAD + b"\n \n", "nothing to answer"),
        (HEAD + b"Content-Type: image/png; name=a.png\n\nx\n", "only a.png"),
        (HEAD + b"Content-Type: text/html\n\n<html><body><img src='x'></body></html>", "nothing to answer"),
        (HEAD + b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + b"AAECAwQFBgc=" * 9, "decoded"),
        (HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 30_000, "too many parts"),
        (HEAD + b"Content-Type: text/plain" + b"; a" * 9_000 + b"\n\nx\n", "too long"),
    ],
)
def test_what_cannot_be_understood_says_why(raw: bytes, reason: str) -> None:
    with pytest.raises(NotUnderstood, match=re.escape(reason)):
        parse(raw)


@pytest.mark.slow
def test_parts_nested_without_end_are_refused() -> None:
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (i, i) for i in range(2_000))
    with pytest.raises(NotUnderstood, match="nested too deeply"):
        parse(HEAD + nested + b"x")


@pytest.mark.parametrize(
    ("sender", "name", "address"),
    [
        ("a@b.example", "", "a@b.example"),
        ("Big Bug bb@bug.example", "Big Bug", "bb@bug.example"),
        ('"a@b.example" <a@b.example>', "a@b.example", "a@b.example"),
        ("=?utf-8?q?J=C3=B6rg?= <j@b.example>", "Jörg", "j@b.example"),
        ("one@b.example two@b.example", "", "one@b.example"),
        ("One <one@b.example>, two@b.example", "One", "one@b.example"),
        ("MAILER@b.example (Mail System)", "", "MAILER@b.example"),
        ("'a@b.example' <a@b.example>", "a@b.example", "a@b.example"),
        ("<<broken@b.example", "", "broken@b.example"),
    ],
)
def test_senders_as_they_come(sender: str, name: str, address: str) -> None:
    message = parse(f"From: {sender}\n\nhello\n".encode())
    assert (message.sender_name, message.sender_address) == (name, address)


@pytest.mark.parametrize("charset", ["utf-8", "x-unknown", "us-ascii", "undefined", "hex", "uu\0"])
def test_text_in_a_charset_that_is_none_or_a_lie(charset: str) -> None:
    message = parse(HEAD + f"Content-Type: text/plain; charset={charset}\n\nEnvoyé de Zürich\n".encode())
    assert message.text == "Envoyé de Zürich"


def test_windows_text_without_a_charset() -> None:
    assert parse(HEAD + b"\nZ\xfcrich \x96 caf\xe9\n").text == "Zürich – café"


def test_a_stray_line_among_the_headers_does_not_hide_the_sender() -> None:
    message = parse(b"Received: x\nquite Delivered-To: y\n  and more\n" + HEAD + b"\nhello\n")
    assert message.sender_address == "ada@letters.example"
    assert message.text == "hello"
    assert message.repairs == ("left out lines among the headers that are none",)


def test_a_boundary_that_lacks_its_quotes() -> None:
    head = HEAD + b"Content-Type: multipart/alternative;\n boundary=----=_x\n\n"
    message = parse(head + b"------=_x\nContent-Type: text/plain\n\nhello\n------=_x--\n")
    assert message.text == "hello"
    assert message.repairs == ("quoted the boundary between its parts",)


def test_plain_text_is_taken_before_html_and_attachments_are_named() -> None:
    original = EmailMessage()
    original["From"] = "a@b.example"
    original.set_content("plain")
    original.add_alternative("<p>rich</p>", subtype="html")
    original.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="ça.pdf")
    message = parse(original.as_bytes())
    assert message.text == "plain"
    assert message.attachments == ("ça.pdf",)


def test_a_very_long_text_is_cut() -> None:
    assert len(mail("many words " * 20_000).text) == MAX_TEXT


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Auto_Submitted": "auto-replied (vacation)"}, "automatic message"),
        ({"Content_Type": "multipart/report; boundary=b"}, "delivery report"),
        ({"Return_Path": "<>"}, "empty return path"),
        ({"Precedence": "auto_reply"}, "automatic reply"),
        ({"Reply_To": "no-reply@shop.example"}, "takes no replies"),
        ({"Reply_To": "shop-noreply@shop.example"}, "takes no replies"),
    ],
)
def test_robots_are_known(headers: dict[str, str], reason: str) -> None:
    message = mail(**headers)
    assert reason in message.automatic
    assert take(message)[3] == Decision("refuse", message.automatic)


def test_a_robot_needs_no_text() -> None:
    assert parse(HEAD + b"Auto-Submitted: auto-generated\n\n").text == ""


@pytest.mark.parametrize("headers", [{"Auto_Submitted": "no"}, {"Return_Path": "<ada@letters.example>"}])
def test_people_are_no_robots(headers: dict[str, str]) -> None:
    assert mail(**headers).automatic == ""


def test_a_name_that_only_contains_noreply_is_a_person() -> None:
    assert parse(b"From: noreplyson@b.example\n\nhello\n").automatic == ""


@pytest.mark.parametrize(
    "headers",
    [
        {"List_Id": "<lamps.lists.example>"},
        {"List_Unsubscribe": "<https://x.example>"},
        {"Precedence": "bulk"},
        {"X_Spam_Status": "Yes, score=9"},
        {"X_Spam_Flag": "YES"},
    ],
)
def test_bulk_is_withheld(headers: dict[str, str]) -> None:
    message = mail(**headers)
    assert message.bulk
    assert sorting.tier(message).name == "bulk"
    assert take(message)[3] == Decision("refuse", message.bulk)


@pytest.mark.slow
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for whole in (raw, HEAD + raw, HEAD + b"\n" + raw, b"From: " + raw + b"\n\nhello"):
        try:
            message = parse(whole)
        except NotUnderstood:
            continue
        answer, *_ = take(message)
        with contextlib.suppress(hf.UsageError):  # an address that mail cannot be sent to is refused, and nothing else
            reply(answer, "shop.example")
        for value in (message.sender_name, message.subject, message.text, answer.body):
            assert "\0" not in value
            value.encode()


# Text


def test_html_becomes_text() -> None:
    html = "<head><style>p{}</style><title>T</title><body><p>a &amp; b<br>c<!-- no --></p><script>x</script><td>d"
    assert html_to_text(html) == "a & b\nc\nd"


@pytest.mark.parametrize("html", ["<p <a <!" * 20_000, "<![CDATA[" * 20_000, "<!--" * 40_000, "<" * 100_000])
def test_html_that_never_ends_takes_linear_time(html: str) -> None:
    began = time.process_time()
    html_to_text(html)
    assert time.process_time() - began < 1


def test_own_words_and_history() -> None:
    text = "My answer.\n\nOn Tue, 4 Mar 2025, The desk wrote:\n> Order 123\n> bye\n"
    assert split_history(text) == ("My answer.", "On Tue, 4 Mar 2025, The desk wrote:\nOrder 123\nbye")
    assert split_history("> quoted\nown below") == ("own below", "quoted")
    assert split_history("own\n-- \nsignature") == ("own", "")
    assert split_history("See:\n---------- Forwarded message ----------\nFrom: x")[0] == "See:"


def test_clean_text_can_be_stored_and_shown() -> None:
    assert clean("a\0b\x1b[31m\r\n\u202ec\ud800") == "ab[31m\nc?"
    assert clean("caf\udcc3\udca9") == "café"
    assert one_line("a\n b\tc" + "x" * 600, 10) == "a b cxxxx…"


# Finding


def names(source: Source) -> list[str]:
    return [letter.name for letter in source.letters()]


def test_a_folder_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("b.eml", "a.EML", "LICENSE", "x.txt", ".hidden.eml", "deep/er/c.eml"):
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.eml")
    (tmp_path / "gone.eml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "drafts").mkdir()
    (tmp_path / "drafts" / "d.eml").write_bytes(b"x")
    assert names(Source(tmp_path, tmp_path / "drafts")) == ["a.EML", "b.eml", "deep/er/c.eml"]


def test_what_is_no_mail_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoMail, match="there is no file or folder"):
        Source(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(NoMail, match="folder for drafts"):
        Source(tmp_path, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NoMail, match="neither a file nor a folder"):
        Source(tmp_path / "pipe", tmp_path / "out")


def test_new_files_are_found_once_they_rest(tmp_path: Path) -> None:
    (tmp_path / "old.eml").write_bytes(b"old")
    source = Source(tmp_path, tmp_path / "out")
    assert names(source) == ["old.eml"]
    assert names(source) == []
    (tmp_path / "new.eml").write_bytes(b"ne")
    assert names(source) == []
    (tmp_path / "new.eml").write_bytes(b"new")
    os.utime(tmp_path / "new.eml", ns=(1, 1))  # a half-written file goes on growing
    assert names(source) == []
    assert names(source) == ["new.eml"]
    assert names(source) == []


def test_a_message_too_big_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.eml").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    [letter] = Source(tmp_path, tmp_path / "out").letters()
    assert letter.raw == b""
    assert "at most 10 MiB" in letter.problem


def test_a_mail_box(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box")
    raws = [path.read_bytes() for path in sorted(SAMPLE.glob("*.eml"))]
    raws.append(HEAD + b"\nDear desk,\n\nFrom here on\nFrom: it is text\n")
    for raw in raws:
        box.add(raw)
    box.close()
    letters = list(Source(tmp_path / "box", tmp_path / "out").letters())
    assert [letter.name for letter in letters] == [f"box#{n}" for n in range(1, len(raws) + 1)]
    assert [letter.raw for letter in letters] == raws


def test_a_mail_box_whose_separators_have_no_date(tmp_path: Path) -> None:
    (tmp_path / "a.mbox").write_bytes(b"From x\n" + HEAD + b"\none\n\nFrom now on\n\nFrom y\n" + HEAD + b"\ntwo\n")
    letters = list(Source(tmp_path / "a.mbox", tmp_path / "out").letters())
    assert [letter.raw for letter in letters] == [HEAD + b"\none\n\nFrom now on\n", HEAD + b"\ntwo\n"]


def test_an_eml_file_is_one_message_even_with_a_separator(tmp_path: Path) -> None:
    raw = b"From x Tue May 10 11:28:07 2005\n" + HEAD + b"\none\n\nFrom y Tue May 10 11:28:07 2005\n" + HEAD
    (tmp_path / "a.eml").write_bytes(raw)
    [letter] = Source(tmp_path / "a.eml", tmp_path / "out").letters()
    assert letter.raw == raw
    assert parse(letter.raw).message_id == "m1@letters.example"
