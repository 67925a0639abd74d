"""Mailboxes in files: an mbox that is cut off anywhere or written anew, a maildir whose messages move, a folder."""

import asyncio
import errno
import fcntl
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.intake.reading import SourceUnavailable
from tests.intake.kit import DirectoryKit, JsonlKit, MaildirKit, MboxKit, ids, mail, read_on, read_until

MBOX = (
    b"From ann@a.example Mon Jan  1 00:00:00 2024\n" + mail("a") + b"\n"
    b"From bob Mon Jan  1 00:00:00 2024\r\n"
    b"Message-ID: <b@shop.example>\r\nSubject: b\r\n\r\n>From here\r\n>>From there\r\n\r\nFromage\r\n\r\n"
    b"From c Mon Jan  1 00:00:00 2024\nMessage-ID: <c@shop.example>\n\n\n\n"
    b"From d Mon Jan  1 00:00:00 2024\n\nno header\n\n"
    b"From e Mon Jan  1 00:00:00 2024\nMessage-ID: <e@shop.example>\nno end of the header"
)


async def test_an_mbox_is_split_where_messages_begin(tmp_path: Path) -> None:
    kit = MboxKit(tmp_path)
    kit.path.write_bytes(MBOX + b"\n")
    entries, _ = await read_until(kit.open(), b"", 5)
    assert ids(entries) == ["<a@shop.example>", "<b@shop.example>", "<c@shop.example>", "", "<e@shop.example>"]
    assert entries[0].content == mail("a")
    assert entries[1].content.endswith(b"\r\n\r\nFrom here\r\n>From there\r\n\r\nFromage\r\n")
    assert entries[2].content == b"Message-ID: <c@shop.example>\n\n\n"
    assert entries[3].content == b"\nno header\n"
    assert [found.place for found in entries[:2]] == ["desk.mbox:0", f"desk.mbox:{45 + len(mail('a'))}"]
    assert all(found.problem is None for found in entries)


async def test_an_mbox_that_is_cut_off_at_any_byte_gives_the_same_messages(tmp_path: Path) -> None:
    kit = MboxKit(tmp_path)
    kit.path.write_bytes(MBOX + b"\n")
    whole, _ = await read_until(kit.open(), b"", 5)
    for cut in range(len(MBOX)):
        kit.path.unlink()
        kit.path.write_bytes(MBOX[:cut])
        before, position = await read_on(kit.open(settle_seconds=3600.0), b"")
        with kit.path.open("ab") as file:
            file.write(MBOX[cut:] + b"\n")
        after, _ = await read_on(kit.open(), position)
        assert [found.content for found in before + after] == [found.content for found in whole], cut
        assert [found.key for found in before + after] == [found.key for found in whole]


async def test_a_last_message_is_taken_when_it_has_been_still_and_the_next_one_follows(tmp_path: Path) -> None:
    kit = MboxKit(tmp_path)
    kit.create()
    kit.add("a")
    source = kit.open(settle_seconds=0.05)
    assert (await source.read(b"", 10)).entries == []
    entries, position = await read_until(source, b"", 1)
    assert ids(entries) == ["<a@shop.example>"]
    for end in (b"", b"\n", b"\r\n\n"):  # as programs leave blank lines
        with kit.path.open("ab") as file:
            file.write(end + b"From ")
        assert (await kit.open().read(position, 10)).entries == []
        with kit.path.open("ab") as file:
            file.write(b"b Mon Jan  1 00:00:00 2024\nMessage-ID: <b>\n\nHello\n\n")
        entries, position = await read_until(kit.open(), position, 1)
        assert [(found.message_id, found.problem) for found in entries] == [("<b>", None)]


async def test_a_message_that_goes_on_after_it_was_taken_is_dead_as_a_whole(tmp_path: Path) -> None:
    kit = MboxKit(tmp_path)
    kit.create()
    kit.add("a", "first half\n")
    taken = {dedupe: await read_until(kit.open(dedupe=dedupe), b"", 1) for dedupe in ("id+content", "id", "none")}
    with kit.path.open("ab") as file:
        file.write(b"second half\n\n")
    kit.add("b")
    for dedupe, (first, position) in taken.items():
        entries, _ = await read_until(kit.open(dedupe=dedupe), position, 2)
        assert ids(entries) == ["<a@shop.example>", "<b@shop.example>"]
        assert "it went on after it had been taken in" in (entries[0].problem or "")
        assert b"first half\n\n\nsecond half\n" in entries[0].content
        assert entries[0].key != first[0].key


async def test_an_mbox_that_a_mail_program_wrote_anew_is_known_again(tmp_path: Path) -> None:
    kit = MboxKit(tmp_path)
    kit.create()
    for one in ("a", "b", "c"):
        kit.add(one)
    source = kit.open()
    before, position = await read_until(source, b"", 3)
    kit.path.unlink()
    kit.deliver(mail("a", Status="RO", X_UID="1", Content_Length="6\n folded"))
    kit.deliver(mail("c", X_Status="A", X_Keywords="work") + b"\n\n")
    kit.add("d")
    reading = await source.read(position, 10)
    assert ids(reading.entries) == ["<a@shop.example>", "<c@shop.example>", "<d@shop.example>"]
    assert [found.key for found in reading.entries[:2]] == [before[0].key, before[2].key]
    assert "written anew" in reading.note


async def test_a_locked_mbox_is_not_read(tmp_path: Path) -> None:
    kit = MboxKit(tmp_path)
    kit.create()
    kit.add("a")
    lock = tmp_path / "desk.mbox.lock"
    lock.touch()
    reading = await kit.open().read(b"", 10)
    assert (reading.entries, reading.position, reading.note) == ([], b"", "desk.mbox is locked by another program")
    lock.unlink()
    with kit.path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert (await kit.open().read(b"", 10)).note
    lock_it = "import fcntl, sys; f = open(sys.argv[1], 'ab'); fcntl.lockf(f, fcntl.LOCK_EX); print(1); input()"
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", lock_it, str(kit.path), stdin=pipe, stdout=pipe
    )
    assert program.stdout is not None
    await program.stdout.readline()
    assert (await kit.open().read(b"", 10)).note
    await program.communicate(b"\n")
    assert len((await read_until(kit.open(), b"", 1))[0]) == 1


async def test_a_file_that_is_no_mbox_is_dead(tmp_path: Path) -> None:
    kit = MboxKit(tmp_path)
    kit.path.write_bytes(b"hello\n\nworld\n\n")
    kit.add("a")
    entries, _ = await read_until(kit.open(), b"", 2)
    assert [found.problem is None for found in entries] == [False, True]
    assert "'From ' is missing" in (entries[0].problem or "")


async def test_a_maildir_stays_as_it_is_unless_it_is_to_be_marked(tmp_path: Path) -> None:
    kit = MaildirKit(tmp_path)
    kit.create()
    new = kit.deliver(mail("a"))
    flagged = kit.deliver(mail("b"), "cur", ":2,F")
    seen = kit.deliver(mail("c"), "cur", ":2,S")
    source = kit.open()
    entries, _ = await read_on(source, b"")
    await source.taken(entries)
    assert new.exists()
    assert flagged.exists()
    marking = kit.open(mark=True)
    entries, position = await read_on(marking, b"")
    seen.unlink()
    await marking.taken(entries)
    assert sorted(path.name for path in (kit.path / "cur").iterdir()) == [
        f"{new.name}:2,S",
        flagged.name.replace(":2,F", ":2,FS"),
    ]
    assert list((kit.path / "new").iterdir()) == []
    assert (await read_on(marking, position))[0] == []


async def test_messages_of_a_maildir_that_move_or_get_flags_are_not_read_again(tmp_path: Path) -> None:
    kit = MaildirKit(tmp_path)
    kit.create()
    paths = [kit.deliver(mail(f"m-{number}")) for number in range(50)]
    source = kit.open()
    entries, position = await read_on(source, b"", 7)
    assert len(entries) == 50
    for number, path in enumerate(paths[:40]):
        path.rename(kit.path / "cur" / f"{path.name}:2,{'S' if number % 2 else 'FR'}")
    for one in (source, kit.open()):
        assert (await read_on(one, position))[0] == []
    # Earlier than all others by its name, and so by no means the last.
    (kit.path / "new" / "1.M1P1.host").write_bytes(mail("late"))
    assert ids((await read_on(source, position))[0]) == ["<late@shop.example>"]
    paths[49].unlink()
    again, _ = await read_on(kit.open(), position)
    assert "<late@shop.example>" in ids(again)
    assert len(again) <= 4  # besides, what shares a bucket with what came or went, which its key tells
    assert {found.key for found in again} - {found.key for found in entries} == {
        found.key for found in again if found.message_id == "<late@shop.example>"
    }


async def test_the_position_in_a_maildir_stays_small(tmp_path: Path) -> None:
    kit = MaildirKit(tmp_path)
    kit.create()
    for number in range(2_000):
        (kit.path / "cur" / f"{number}.host:2,S").write_bytes(b"Subject: x\n\n")
    _, position = await read_on(kit.open(), b"", 1_000)
    assert len(position) < 5_000


async def test_a_message_that_cannot_be_read_is_dead_and_stops_none(tmp_path: Path) -> None:
    kit = MaildirKit(tmp_path)
    kit.create()
    kit.add("a")
    (kit.path / "new" / "1600000000.link").symlink_to("/etc/hostname")
    (kit.path / "new" / "1600000001.folder").mkdir()
    os.mkfifo(kit.path / "cur" / "1600000002.pipe:2,S")
    (kit.path / "new" / os.fsdecode(b"1600000003.\xff")).write_bytes(mail("b"))
    entries, _ = await read_on(kit.open(), b"")
    assert [found.problem is None for found in entries] == [False, False, False, True, True]
    assert all("cannot be read" in (found.problem or "") for found in entries[:3])
    json.dumps([found.place for found in entries], ensure_ascii=False).encode()


async def test_files_of_a_folder_are_taken_when_they_are_still(tmp_path: Path) -> None:
    kit = DirectoryKit(tmp_path)
    kit.create()
    source = kit.open(settle_seconds=3600.0)
    kit.add("a")
    entries, position = await read_on(source, b"")
    assert entries == []
    for _ in range(3):
        assert (await read_on(source, position))[0] == []
    source = kit.open(settle_seconds=0.05)
    entries, position = await read_until(source, position, 1)
    assert ids(entries) == ["a.txt"]
    kit.add("a", "other")  # of the same name, and new
    again, position = await read_until(source, position, 1)
    assert (again[0].content, again[0].key == entries[0].key) == (b"other", False)
    os.utime(kit.path / "a.txt")  # as it was: it is known
    assert (await read_until(source, position, 1))[0][0].key == again[0].key


async def test_a_file_that_is_changed_after_it_was_looked_at_is_taken_as_it_is_later(tmp_path: Path) -> None:
    kit = DirectoryKit(tmp_path)
    kit.create()
    for one in ("a", "b", "c"):
        kit.add(one)
    source = kit.open()
    first = await source.read(b"", 1)
    (kit.path / "b.txt").write_text("not whole")
    (kit.path / "c.txt").unlink()
    second = await source.read(first.position, 5)
    assert (ids(first.entries), second.entries) == (["a.txt"], [])
    kit.add("b", "whole")
    assert [found.content for found in (await read_until(source, second.position, 1))[0]] == [b"whole"]


async def test_only_files_that_fit_the_pattern_are_taken(tmp_path: Path) -> None:
    kit = DirectoryKit(tmp_path)
    kit.create()
    for name in ("a.txt", ".hidden.txt", "b.csv", "c.txt.part"):
        (kit.path / name).write_text("x")
    (kit.path / "folder.txt").mkdir()
    (kit.path / "link.txt").symlink_to("/etc/hostname")
    os.mkfifo(kit.path / "pipe.txt")
    entries, _ = await read_on(kit.open(), b"")
    assert ids(entries) == ["a.txt"]
    assert (entries[0].media_type, entries[0].facts["name"]) == ("text/plain", "a.txt")


async def test_only_the_reader_of_a_kind_marks_what_is_its_own(tmp_path: Path) -> None:
    kit = JsonlKit(tmp_path)
    kit.create()
    kit.add("a")
    source = kit.open()
    entries, _ = await read_on(source, b"")
    before = kit.path.read_bytes()
    await source.taken([*entries, replace(entries[0], handle="x")])
    assert kit.path.read_bytes() == before


@pytest.mark.parametrize("kind", [MaildirKit, DirectoryKit])
async def test_a_machine_in_trouble_makes_no_file_dead(
    tmp_path: Path, kind: type[MaildirKit | DirectoryKit], monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = kind(tmp_path)
    kit.create()
    for one in ("a", "b"):
        kit.add(one)
    source, opened = kit.open(), 0
    real = os.open

    def few(path: str, flags: int, *more: int) -> int:
        nonlocal opened
        opened += 1
        if opened == 2:
            raise OSError(errno.EMFILE, "Too many open files", os.fspath(path))
        return real(path, flags, *more)

    with monkeypatch.context() as patched:
        patched.setattr("holdfast.intake.positions.os.open", few)
        with pytest.raises(SourceUnavailable, match="cannot be read: Too many open files"):
            await source.read(b"", 10)
    entries, _ = await read_on(source, b"")
    assert [(found.message_id, found.problem) for found in entries] == [(kit.id(one), None) for one in ("a", "b")]


@pytest.mark.parametrize("kind", [MaildirKit, DirectoryKit])
async def test_what_was_read_long_ago_is_not_given_again_after_a_restart(
    tmp_path: Path, kind: type[MaildirKit | DirectoryKit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.intake.seen.SURE_NS", 0)
    monkeypatch.setattr("holdfast.intake.seen.BUCKETS", 1)  # whatever comes, the sum of the others is another
    kit = kind(tmp_path)
    kit.create()
    for number in range(5):
        kit.add(f"old-{number}")
    source = kit.open()
    first = await source.read(b"", 3)
    behind, position = await read_on(source, first.position)
    read_at, probe = time.time_ns(), tmp_path / "probe"
    while not probe.exists() or probe.stat().st_ctime_ns <= read_at:  # the clock of files goes in steps
        probe.write_text("")
    kit.add("new")
    assert ids([*first.entries, *behind]) == [kit.id(f"old-{number}") for number in range(5)]
    assert ids((await read_on(kit.open(), position))[0]) == [kit.id("new")]
    # While some of the folder was not read yet, nothing is taken for read; nor where another folder is read.
    assert len((await read_on(kit.open(), first.position))[0]) == 6
    kit.path.rename(tmp_path / "moved")
    assert len((await read_on(kit.open(path=tmp_path / "moved"), position))[0]) == 6


async def test_a_file_that_is_not_still_is_not_taken_for_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.intake.seen.SURE_NS", 0)
    monkeypatch.setattr("holdfast.intake.seen.BUCKETS", 1)
    kit = DirectoryKit(tmp_path)
    kit.create()
    kit.add("a")
    source = kit.open(settle_seconds=0.2)
    assert (await source.read(b"", 10)).entries == []
    entries: list[str] = []
    position = b""
    while not entries:
        kit.path.joinpath("b.txt").write_text("Hello")  # it is written again and again
        reading = await source.read(position, 10)
        entries, position = ids(reading.entries), reading.position
    assert entries == ["a.txt"]
    assert "b.txt" in ids((await read_until(kit.open(), position, 1))[0])
