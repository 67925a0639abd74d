"""A folder of a real IMAP server: numbered anew, marked only if asked for, over TLS, and what its errors say."""

import socket
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.engine.secrets import secret
from holdfast.intake.reading import Source, SourceUnavailable
from tests.intake.dovecot import PASSWORD, Dovecot, imap_server
from tests.intake.kit import ImapKit, MaildirKit, MboxKit, ids, mail, read_on, read_until

__all__ = ["imap_server"]


@pytest.fixture
def kit(imap_server: Dovecot, tmp_path: Path) -> Iterator[ImapKit]:
    """An empty folder of a new user."""
    found = ImapKit(imap_server, uuid.uuid4().hex, tmp_path)
    found.create()
    yield found
    found.close()


def with_server(kit: ImapKit, **changes: object) -> Source:
    assert kit.terms.server is not None
    return kit.open(server=replace(kit.terms.server, **changes))  # type: ignore[arg-type]


def flags(kit: ImapKit) -> list[str]:
    """What the server has noted of each message."""
    kit.connection.select("Work", readonly=True)
    _, told = kit.connection.fetch("1:*", "(FLAGS)")
    kit.connection.unselect()
    return [str(one) for one in told]


async def test_a_folder_that_is_numbered_anew_is_read_from_its_beginning(kit: ImapKit) -> None:
    for one in ("a", "b", "c"):
        kit.add(one)
    source = kit.open()
    before, position = await read_on(source, b"")
    kit.remove()
    kit.create()
    for one in ("b", "d"):
        kit.add(one)
    reading = await source.read(position, 10)
    assert ids(reading.entries) == ["<b@shop.example>", "<d@shop.example>"]
    assert reading.entries[0].key == before[1].key
    assert "anew" in reading.note
    await source.close()


async def test_reading_marks_nothing_and_marking_deletes_nothing(kit: ImapKit) -> None:
    for one in ("a", "b"):
        kit.add(one)
    source = kit.open()
    entries, position = await read_on(source, b"")
    await source.taken(entries)
    assert ["Seen" in one for one in flags(kit)] == [False, False]
    assert ["Recent" in one for one in flags(kit)] == [True, True]  # nor has anybody looked at them
    await source.close()
    marking = kit.open(mark=True)
    assert len((await read_on(marking, b""))[0]) == 2
    assert ["Seen" in one for one in flags(kit)] == [False, False]  # they are not taken in yet
    kit.connection.select("Work")
    kit.connection.store("2", "+FLAGS", r"(\Deleted)")  # by somebody who may still think better of it
    kit.connection.unselect()
    await marking.taken(entries)
    await marking.taken([replace(entries[0], handle=f"1/{10**6}")])
    found = flags(kit)
    assert ["Seen" in one for one in found] == [True, True]
    assert "Deleted" in found[1]
    assert (await read_on(marking, position))[0] == []
    await marking.close()


async def test_messages_that_are_deleted_leave_the_others_in_place(kit: ImapKit) -> None:
    for number in range(6):
        kit.add(f"m-{number}")
    source = kit.open()
    first = await source.read(b"", 2)
    kit.connection.select("Work")
    kit.connection.store("2:4", "+FLAGS", r"(\Deleted)")
    kit.connection.expunge()
    kit.connection.unselect()
    entries, _ = await read_on(source, first.position)
    assert ids(entries) == ["<m-4@shop.example>", "<m-5@shop.example>"]
    await source.close()


async def test_a_mail_is_the_same_in_every_kind_of_mailbox(kit: ImapKit, tmp_path: Path) -> None:
    others = (MaildirKit(tmp_path), MboxKit(tmp_path))
    for number, text in enumerate(("Hello\n", "From here\n\n\nto there\n", "\n", "no end", "ä\n")):
        kit.deliver(mail(str(number), text).replace(b"\n", b"\r\n"))
        for other in others:
            if number == 0:
                other.create()
            content = mail(str(number), text)
            other.deliver(content.replace(b"\nFrom ", b"\n>From ") if isinstance(other, MboxKit) else content)
    source = kit.open()
    keys = [found.key for found in (await read_on(source, b""))[0]]
    assert len(set(keys)) == 5
    for other in others:
        assert [found.key for found in (await read_until(other.open(), b"", 5))[0]] == keys
    await source.close()


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_it_is_read_over_tls_by_a_certificate_that_is_trusted(kit: ImapKit, security: str) -> None:
    kit.add("a")
    port = kit.server.tls_port if security == "tls" else kit.server.port
    source = with_server(kit, security=security, port=port, ca=kit.server.folder / "cert.pem")
    assert ids((await read_on(source, b""))[0]) == ["<a@shop.example>"]
    await source.close()
    source = with_server(kit, security=security, port=port)
    with pytest.raises(SourceUnavailable, match="certificate verify failed"):
        await source.read(b"", 10)
    await source.close()


async def test_a_wrong_password_is_told_without_it(kit: ImapKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRONG", "guess-what")
    source = with_server(kit, password=secret("env:WRONG", "it"))
    with pytest.raises(SourceUnavailable) as failed:
        await source.read(b"", 10)
    assert "cannot be read" in failed.value.reason
    assert "guess-what" not in failed.value.reason
    monkeypatch.delenv("WRONG")
    with pytest.raises(SourceUnavailable, match="the variable WRONG is not set"):
        await source.read(b"", 10)
    monkeypatch.setenv("WRONG", PASSWORD)
    assert (await source.read(b"", 10)).entries == []
    await source.close()


async def test_a_server_that_is_down_or_says_nothing_is_told_and_tried_again(kit: ImapKit) -> None:
    kit.add("a")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = with_server(kit, port=silent.getsockname()[1], timeout_seconds=0.3)
        with pytest.raises(SourceUnavailable, match="timed out"):
            await source.read(b"", 10)
        await source.close()
    source = with_server(kit, port=1)
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        await source.read(b"", 10)
    source = kit.open()
    first = await source.read(b"", 10)
    source._box.client.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]  # the connection breaks
    with pytest.raises(SourceUnavailable):
        await source.read(first.position, 10)
    kit.add("b")
    assert ids((await read_on(source, first.position))[0]) == ["<b@shop.example>"]
    await source.close()


async def test_a_large_folder_is_searched_piece_by_piece(kit: ImapKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.intake.imap.SEARCHED_AT_ONCE", 3)
    for number in range(12):
        kit.add(f"m-{number}")
    kit.connection.select("Work")
    kit.connection.store("2:8", "+FLAGS", r"(\Deleted)")  # a gap that is wider than a piece
    kit.connection.expunge()
    kit.connection.unselect()
    source = kit.open()
    entries, position = await read_on(source, b"", 2)
    assert ids(entries) == [f"<m-{number}@shop.example>" for number in (0, 8, 9, 10, 11)]
    first = await source.read(b"", 100)
    assert (ids(first.entries), first.more) == (["<m-0@shop.example>"], True)
    kit.add("m-12")
    assert ids((await read_on(source, position))[0]) == ["<m-12@shop.example>"]
    await source.close()
