"""Every kind of source does what the protocol says: all is read, in order, and a position alone says where to go on."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.intake.reading import SourceUnavailable
from tests.intake.dovecot import imap_server
from tests.intake.kit import DirectoryKit, ImapKit, JsonlKit, Kit, MaildirKit, MboxKit, ids, read_on, read_until

__all__ = ["imap_server"]

FILE_KITS = {"jsonl": JsonlKit, "maildir": MaildirKit, "mbox": MboxKit, "directory": DirectoryKit}
SEVEN = [f"o-{number}" for number in range(7)]


@pytest.fixture(params=[*FILE_KITS, "imap"])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kit]:
    """A source that is not there yet."""
    if request.param != "imap":
        yield FILE_KITS[request.param](tmp_path)
        return
    found = ImapKit(request.getfixturevalue("imap_server"), uuid.uuid4().hex, tmp_path)
    yield found
    found.close()


async def test_everything_is_read_once_in_order_whatever_the_batch(kit: Kit) -> None:
    kit.create()
    for one in SEVEN:
        kit.add(one)
    for limit in (1, 3, 7, 100):
        source = kit.open()
        entries, position = await read_on(source, b"", limit)
        assert ids(entries) == [kit.id(one) for one in SEVEN]
        assert len({found.key for found in entries}) == 7
        again = await source.read(position, limit)
        assert (again.entries, again.position, again.more) == ([], position, False)
        await source.close()


async def test_reading_goes_on_from_any_position_in_another_process(kit: Kit) -> None:
    kit.create()
    for one in SEVEN[:5]:
        kit.add(one)
    first = kit.open()
    position, seen = b"", []
    positions = []
    while reading := await first.read(position, 2):
        position = reading.position
        seen += reading.entries
        positions.append((position, {found.key for found in seen}))
        if not reading.more:
            break
    await first.close()
    for one in SEVEN[5:]:
        kit.add(one)
    for position, known in positions:
        other = kit.open()
        entries, _ = await read_on(other, position)
        new = [found for found in entries if found.key not in known]
        assert ids(new) == [kit.id(one) for one in SEVEN[len(known) :]]
        await other.close()


async def test_a_reading_that_was_not_committed_is_read_again(kit: Kit) -> None:
    kit.create()
    for one in SEVEN:
        kit.add(one)
    source = kit.open()
    first = await source.read(b"", 3)
    second = await source.read(first.position, 3)
    assert ids((await source.read(first.position, 3)).entries) == ids(second.entries)
    assert ids((await source.read(b"", 3)).entries) == ids(first.entries)
    assert ids((await source.read(first.position, 100)).entries) == [kit.id(one) for one in SEVEN[3:]]
    await source.close()


async def test_what_comes_later_is_read_without_what_came_before(kit: Kit) -> None:
    kit.create()
    source = kit.open()
    position, found = b"", []
    for one in SEVEN:
        kit.add(one)
        entries, position = await read_until(source, position, 1)
        found += entries
    assert ids(found) == [kit.id(one) for one in SEVEN]
    await source.close()


async def test_keys_are_the_same_when_all_is_read_again(kit: Kit) -> None:
    kit.create()
    for one in SEVEN:
        kit.add(one)
    source, other = kit.open(), kit.open()
    first, _ = await read_on(source, b"")
    again, _ = await read_on(other, b"")
    assert [found.key for found in first] == [found.key for found in again]
    await source.close()
    await other.close()


async def test_an_entry_that_is_too_large_is_dead_and_stops_none(kit: Kit) -> None:
    kit.create()
    kit.add("o-1")
    kit.add("o-2", "x" * 300_000)
    kit.add("o-3")
    source = kit.open(max_bytes=10_000)
    entries, _ = await read_on(source, b"")
    assert [found.problem is None for found in entries] == [True, False, True]
    assert "at most 10,000 are taken (max_bytes)" in (entries[1].problem or "")
    assert 300_000 < entries[1].size < 301_000 or entries[1].size == 300_000
    assert 0 < len(entries[1].content) <= 64 * 1024
    await source.close()


async def test_a_reading_ends_at_so_many_bytes(kit: Kit) -> None:
    kit.create()
    for one in SEVEN:
        kit.add(one, "y" * 3_000_000)
    source = kit.open()
    reading = await source.read(b"", 100)
    assert 1 <= len(reading.entries) <= 4
    assert reading.more
    entries, _ = await read_on(source, reading.position)
    assert ids([*reading.entries, *entries]) == [kit.id(one) for one in SEVEN]
    await source.close()


async def test_what_is_not_there_is_told_and_read_when_it_comes(kit: Kit) -> None:
    source = kit.open()
    with pytest.raises(SourceUnavailable):
        await source.read(b"", 10)
    kit.create()
    kit.add("o-1")
    entries, position = await read_until(source, b"", 1)
    kit.remove()
    with pytest.raises(SourceUnavailable):
        await source.read(position, 10)
    kit.create()
    kit.add("o-2")
    entries, _ = await read_until(source, position, 1)
    assert ids(entries) == [kit.id("o-2")]
    await source.close()


async def test_a_position_of_another_kind_is_told(kit: Kit) -> None:
    kit.create()
    source = kit.open()
    for position in (b"{}", b"no json", b"[" * 100_000):
        with pytest.raises(SourceUnavailable, match="Rewind it"):
            await source.read(position, 10)
    await source.close()


async def test_waiting_ends_when_something_comes(kit: Kit) -> None:
    kit.create()
    kit.add("o-1")
    source = kit.open()
    _, position = await read_until(source, b"", 1)
    waiting = asyncio.create_task(source.wait(250.0))
    await asyncio.sleep(0.3)  # so that it waits when the entry comes; else it would be read all the same
    kit.add("o-2")
    async with asyncio.timeout(60):
        await waiting
    assert ids((await read_until(source, position, 1))[0]) == [kit.id("o-2")]
    await source.close()


async def test_waiting_can_be_broken_off_and_the_source_closed(kit: Kit) -> None:
    kit.create()
    source = kit.open()
    _, position = await read_on(source, b"")
    waiting = asyncio.create_task(source.wait(100.0))
    await asyncio.sleep(0.3)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(30):
        assert (await source.read(position, 1)).entries == []
        kit.add("o-1")
        assert ids((await read_until(source, position, 1))[0]) == [kit.id("o-1")]
    await source.close()


async def test_what_is_taken_in_may_be_told_twice(kit: Kit) -> None:
    kit.create()
    kit.add("o-1")
    source = kit.open()
    entries, position = await read_until(source, b"", 1)
    await source.taken(entries)
    await source.taken(entries)
    kit.add("o-2")
    assert ids((await read_until(source, position, 1))[0]) == [kit.id("o-2")]
    await source.close()


@pytest.mark.parametrize(
    ("dedupe", "same_id", "same_content", "same_both"),
    [("id+content", False, False, True), ("id", True, False, True), ("none", False, False, False)],
)
async def test_entries_are_alike_by_what_the_terms_say(
    tmp_path: Path, dedupe: str, same_id: bool, same_content: bool, same_both: bool
) -> None:
    for kit in (JsonlKit(tmp_path), MboxKit(tmp_path)):
        kit.create()
        for id, text in (("a", "one"), ("a", "two"), ("b", "one"), ("a", "one")):
            kit.add(id, text)
        source = kit.open(dedupe=dedupe)
        first, second, third, fourth = (found.key for found in (await read_on(source, b""))[0])
        assert (first == second, first == third, first == fourth) == (same_id, same_content, same_both)
        await source.close()
