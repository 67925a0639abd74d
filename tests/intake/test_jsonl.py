"""A JSONL file that grows: cut off anywhere, rotated, cut off and begun again, with lines that are none."""

import asyncio
import json
import os
import random
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.intake import jsonl
from holdfast.intake.reading import Found, Source, SourceUnavailable
from tests.intake.kit import JsonlKit, ids, read_on

AWKWARD = (
    b'\xef\xbb\xbf{"order": {"id": "a"}}\r\n'
    b"\n"
    b'{"order": {"id": "\xc3\xa4"}, "text": "\xe2\x82\xac"}\n'
    b"not json\n"
    b'{"order": {"id": "\xff"}}\n'
    b" \t\r\n"
    b'{"order": {"id": 7}}\n'
    b'\0\0{"order": {"id": "nul"}}\n'
    b'{"order": {"id": ["no id"]}}\n'
    b'{"no": "id"}\n'
    b'{"no": "id"}\n'
    b"[1, 2]\n"
)


@pytest.fixture
def kit(tmp_path: Path) -> JsonlKit:
    found = JsonlKit(tmp_path)
    found.create()
    return found


def rotate(kit: JsonlKit, name: str, at: int) -> None:
    """What a program does that rotates logs, at an instant of its own."""
    os.utime(kit.path, ns=(at, at))
    kit.path.rename(kit.path.with_name(name))
    kit.create()


async def test_what_is_no_entry_is_dead_with_its_offset_and_stops_none(kit: JsonlKit) -> None:
    kit.path.write_bytes(AWKWARD)
    entries, _ = await read_on(kit.open(), b"")
    lines = AWKWARD.splitlines(keepends=True)
    offsets = [sum(map(len, lines[:number])) for number, line in enumerate(lines) if line.strip()]
    assert [found.place for found in entries] == [f"orders.jsonl:{offset}" for offset in offsets]
    assert [found.message_id for found in entries] == ["a", "ä", "", "", "7", "", "", "", "", ""]
    assert [number for number, found in enumerate(entries) if found.problem] == [2, 3, 5, 6]
    assert entries[1].content == b'{"order": {"id": "\xc3\xa4"}, "text": "\xe2\x82\xac"}'
    assert entries[1].value == {"order": {"id": "ä"}, "text": "€"}
    assert entries[2].content == b"not json"
    assert (entries[9].value, entries[9].facts) == ([1, 2], {})
    assert "the id 'order.id' is ['no id']" in (entries[6].problem or "")
    assert len({found.key for found in entries}) == 10  # the two that are alike stand in two places


async def test_a_file_that_is_cut_off_at_any_byte_gives_the_same_entries(kit: JsonlKit) -> None:
    kit.path.write_bytes(AWKWARD)
    whole, _ = await read_on(kit.open(), b"")
    for cut in range(len(AWKWARD)):
        kit.path.unlink()
        kit.path.write_bytes(AWKWARD[:cut])
        first = kit.open()
        before, position = await read_on(first, b"")
        with kit.path.open("ab") as file:
            file.write(AWKWARD[cut:])
        source = first if cut % 2 else kit.open()
        after, _ = await read_on(source, position)
        places = [(found.place, found.content, found.problem) for found in before + after]
        assert places == [(found.place, found.content, found.problem) for found in whole], cut


async def test_a_line_waits_until_it_is_whole_however_often_it_is_looked_at(kit: JsonlKit) -> None:
    source = kit.open(max_bytes=1_000)
    position = b""
    for part in (b'{"order": ', b'{"id": "a"', b"}, ", b'"text": "' + b"x" * 5_000):
        with kit.path.open("ab") as file:
            file.write(part)
        for _ in range(2):
            entries, position = await read_on(source, position)
            assert entries == []
    with kit.path.open("ab") as file:
        file.write(b'"}\n{"order": {"id": "b"}}\n')
    entries, _ = await read_on(source, position)
    assert [(found.message_id, found.problem is None) for found in entries] == [("", False), ("b", True)]
    assert entries[0].size > 5_000
    assert len(entries[0].content) < 5_100


async def test_a_long_line_is_searched_for_its_end_only_where_it_was_not(
    kit: JsonlKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = kit.open()
    kit.path.write_bytes(b'{"order": ')
    _, position = await read_on(source, b"")
    with kit.path.open("ab") as file:
        file.write(b'{"id":')
    with monkeypatch.context() as patched:
        patched.delattr(jsonl, "_lines_of")  # what reads a line from its beginning
        assert (await read_on(source, position))[0] == []
    with kit.path.open("ab") as file:
        file.write(b'"a"}}\n')
    assert ids((await read_on(source, position))[0]) == ["a"]


async def test_what_is_left_in_a_renamed_file_is_read_first(kit: JsonlKit) -> None:
    source = kit.open()
    kit.add("a")
    _, position = await read_on(source, b"")
    kit.add("b")
    rotate(kit, "orders.jsonl.1", 1_000)
    with (kit.path.parent / "orders.jsonl.1").open("a") as file:
        file.write('{"order": {"id": "c"}}\n')  # the program still has the old one open
    for one in (source, kit.open()):
        assert ids((await read_on(one, position))[0]) == ["b", "c"]
    kit.add("d")
    for one in (source, kit.open()):
        assert ids((await read_on(one, position))[0]) == ["b", "c", "d"]


async def test_files_that_were_rotated_one_after_the_other_are_all_read(kit: JsonlKit) -> None:
    kit.add("a")
    source = kit.open()
    _, position = await read_on(source, b"")
    (kit.path.parent / "orders.jsonl.backup").write_bytes(kit.path.read_bytes())  # a copy is none of them
    for number, name in enumerate(("b", "c", "d")):
        kit.add(name)
        rotate(kit, f"orders-2024010{number}.jsonl", 10**18 * 2 + number)
    kit.add("e")
    packed = kit.path.parent / "orders.jsonl.0.gz"
    packed.write_bytes(b"\x1f\x8b\n")
    os.utime(packed, ns=(10**18 * 2 + 1, 10**18 * 2 + 1))
    entries, position = await read_on(source, position)
    assert ids(entries) == ["b", "c", "d", "e"]
    assert ids((await read_on(source, position))[0]) == []


@pytest.mark.parametrize(
    "names",
    [
        ["orders.jsonl.3", "orders.jsonl.2", "orders.jsonl.1"],
        ["orders.jsonl.10", "orders.jsonl.9", "orders.jsonl.8"],
        ["orders.jsonl-20240930", "orders.jsonl-20241001", "orders.jsonl-20241002"],
    ],
)
async def test_files_that_were_changed_at_the_same_instant_are_read_by_their_names(
    kit: JsonlKit, names: list[str]
) -> None:
    kit.add("a")
    source = kit.open()
    _, position = await read_on(source, b"")
    for number, name in enumerate(names):
        kit.add(f"b-{number}")
        rotate(kit, name, 10**18 * 2)
    kit.add("c")
    entries, position = await read_on(source, position)
    assert ids(entries) == ["b-0", "b-1", "b-2", "c"]
    assert (await read_on(source, position))[0] == []


async def test_a_line_that_rotation_cut_in_two_is_dead_and_what_follows_is_read(kit: JsonlKit) -> None:
    kit.add("a")
    kit.path.write_bytes(kit.path.read_bytes() + b'{"order": {"id": "b"')
    first = await kit.open().read(b"", 1)
    rotate(kit, "orders.jsonl.1", 1_000)
    kit.add("c")
    entries, _ = await read_on(kit.open(), first.position)
    assert [found.message_id for found in entries] == ["", "c"]
    assert "rotated before the line was whole" in (entries[0].problem or "")


async def test_a_file_that_was_cut_off_is_begun_again(kit: JsonlKit) -> None:
    source = kit.open()
    kit.add("a")
    kit.add("b")
    before, position = await read_on(source, b"")
    kit.path.write_bytes(b"")
    assert (await source.read(position, 10)).note
    kit.add("c")
    kit.add("a")
    after, last = await read_on(source, position)
    assert ids(after) == ["c", "a"]
    assert after[1].key == before[0].key  # it is known
    # As long as what was read, and other than it: seen by what stands in it.
    kit.path.write_bytes(b"")
    kit.add("d")
    kit.add("e")
    reading = await source.read(last, 10)
    assert ids(reading.entries) == ["d", "e"]
    assert "not known" in reading.note


async def test_what_is_left_in_a_copy_of_a_file_that_was_cut_off_is_read_first(kit: JsonlKit) -> None:
    source = kit.open()
    kit.add("a")
    _, position = await read_on(source, b"")
    kit.add("b")
    (kit.path.parent / "orders.jsonl.1").write_bytes(kit.path.read_bytes())
    kit.path.write_bytes(b"")
    kit.add("c")
    assert ids((await read_on(source, position))[0]) == ["b", "c"]


async def test_alike_lines_without_ids_in_files_with_the_same_number_are_all_read(kit: JsonlKit) -> None:
    source = kit.open()
    position, keys = b"", []
    for round in range(6):
        if round == 3:
            position = b""  # somebody puts the source back
            entries, position = await read_on(source, position)
            assert ids(entries) == []  # there is nothing
        kit.path.write_bytes(b'{"tick": 1}\n')
        entries, position = await read_on(source, position)
        keys += [found.key for found in entries]
        kit.path.write_bytes(b"")  # the number stays
        entries, position = await read_on(source, position)
        assert entries == []
    assert len(keys) == 6
    assert keys[3] == keys[0]  # behind the beginning of the same file, as it was before
    assert len(set(keys)) == 5


async def test_a_file_that_is_gone_is_told_and_the_new_one_read(kit: JsonlKit) -> None:
    source = kit.open()
    kit.add("a")
    _, position = await read_on(source, b"")
    kit.path.rename(kit.path.parent.parent / "moved-away.jsonl")
    with pytest.raises(SourceUnavailable, match="there is no file"):
        await source.read(position, 10)
    kit.add("b")
    reading = await source.read(position, 10)
    assert ids(reading.entries) == ["b"]
    assert "is gone" in reading.note


async def test_a_pipe_is_refused_and_read_as_soon_as_it_is_a_file(kit: JsonlKit) -> None:
    kit.path.unlink()
    os.mkfifo(kit.path)
    async with asyncio.timeout(30):
        with pytest.raises(SourceUnavailable, match="no regular file"):
            await kit.open().read(b"", 10)


async def test_a_line_of_a_hundred_megabytes_needs_no_such_memory(kit: JsonlKit) -> None:
    kit.add("a")
    with kit.path.open("r+b") as file:
        file.seek(100 * 1024 * 1024)
        file.write(b"\n")
    kit.add("b")
    tracemalloc.start()
    entries, _ = await read_on(kit.open(max_bytes=1_000_000), b"")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [found.problem is None for found in entries] == [True, False, True]
    assert peak < 20 * 1024 * 1024


DEEDS = st.lists(
    st.sampled_from(["add", "add", "add", "begin", "rotate", "copy", "read", "read-some", "restart", "forget"]),
    max_size=40,
)


async def does(folder: Path, deeds: list[str], seed: int) -> None:
    """A writer and a reader do things in some order: each line is read, in its order, and again only by its key."""
    draw = random.Random(seed)
    kit = JsonlKit(folder)
    kit.create()
    kit.terms = replace(kit.terms, id=("id",))
    source = kit.open()
    kit.path.write_bytes(b"\n")
    _, position = await read_on(source, b"")
    committed = [(position, 0)]
    written: list[str] = []
    found: list[str] = []
    clock, files = 10**18 * 2, 0
    half = b""
    for deed in [*deeds, "add", "read"]:
        clock += 1
        if deed == "add":
            written.append(f"n{len(written)}")
            line = b'{"id": "%s"}\n' % written[-1].encode()
            with kit.path.open("ab") as file:
                file.write(line[len(half) :] if half else line)
            half = b""
            os.utime(kit.path, ns=(clock, clock))
        elif deed == "begin" and not half:
            half = (b'{"id": "n%d"}\n' % len(written))[: draw.randint(1, 9)]
            with kit.path.open("ab") as file:
                file.write(half)
        elif deed == "rotate" and not half:
            files += 1
            rotate(kit, f"orders.jsonl.{files}", clock)
        elif deed == "copy" and not half and all(json.loads(one)["offset"] for one, _ in committed):
            # Of a file that nothing was read of, nobody can tell that it was cut off.
            files += 1
            copy = kit.path.with_name(f"orders.jsonl.{files}")
            copy.write_bytes(kit.path.read_bytes())
            os.utime(copy, ns=(clock, clock))
            kit.path.write_bytes(b"")
        elif deed == "restart":
            source = kit.open()
        elif deed == "forget" and len(committed) > 1:  # the process was killed before its commit
            committed.pop()
            position, count = committed[-1]
            del found[count:]
        elif deed.startswith("read"):
            several = read_on(source, position) if deed == "read" else _some(source, position, draw.randint(1, 3))
            entries, position = await several
            found += ids(entries)
            committed.append((position, len(found)))
    assert found == written


async def _some(source: Source, position: bytes, limit: int) -> tuple[list[Found], bytes]:
    reading = await source.read(position, limit)
    return reading.entries, reading.position


@settings(max_examples=60, deadline=None)
@given(DEEDS, st.integers(0, 2**32))
def test_whatever_writer_and_reader_do_each_line_is_read_once(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[str], seed: int
) -> None:
    asyncio.run(does(tmp_path_factory.mktemp("deeds"), deeds, seed))


@pytest.mark.verify
@settings(max_examples=5_000, deadline=None)
@given(DEEDS, st.integers(0, 2**32))
def test_whatever_writer_and_reader_do_each_line_is_read_once_in_many_ways(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[str], seed: int
) -> None:
    asyncio.run(does(tmp_path_factory.mktemp("deeds"), deeds, seed))
