"""Taking in entries: their runs, their messages and the position, all or nothing, and once."""

import asyncio

import pytest

from holdfast.errors import UsageError
from holdfast.store.base import Rejected, Store
from holdfast.store.intake_rows import ENTRIES_AT_ONCE, TakenIn
from holdfast.store.outbox_rows import MessageFilter
from holdfast.store.url import make_store
from tests.conformance.intake_kit import (
    AT,
    audit,
    counts,
    dead,
    entry,
    filtered,
    known,
    message,
    opened,
    taken,
    taking,
)
from tests.conformance.kit import claim, in_lane, make, start, uid
from tests.conformance.outbox_kit import setting


async def runs(store: Store) -> list[str]:
    return sorted(row.id for row in await store.find_runs("t", [f"orders/{name}" for name in "abcdefgh"]))


async def published(store: Store) -> list[str]:
    return [row.id for row in await store.outbox.messages("t", MessageFilter(), limit=9)]


async def test_a_source_is_made_once_and_told_what_it_is(store: Store) -> None:
    made = await opened(store)
    assert (made.kind, made.workflow, made.position, made.revision, made.state) == ("jsonl", "flow", b"", 0, "reading")
    await taken(store, entry("a"))
    again = await store.intake.open_source("t", "orders", "http", "other")
    assert (again.kind, again.workflow, again.revision, again.runs) == ("http", "other", 1, 1)
    assert await store.intake.source("t", "orders") == again
    assert await store.intake.source("u", "orders") is None
    await opened(store, name="mails")
    assert [source.name for source in await store.intake.sources("t")] == ["mails", "orders"]


async def test_entries_are_taken_in_with_their_runs_their_messages_and_the_position(store: Store) -> None:
    asked = taking(
        await opened(store),
        entry("a", messages=(message(id="copy of a"),)),
        filtered("b"),
        dead("c", messages=(message(id="copy of c"),)),
    )
    assert await store.intake.take_in(asked) == TakenIn(None, 1, ("run", "filtered", "dead"))
    source = await opened(store)
    assert (source.position, source.revision, source.read_at) == (asked.position, 1, AT)
    assert await counts(store) == (1, 1, 0, 1)
    assert [run.id for run in await claim(store)] == ["orders/a"]
    assert sorted(await published(store)) == ["copy of a", "copy of c"]
    rows = {row.message_id: row for row in await known(store)}
    assert (rows["a"].run_id, rows["a"].path, rows["a"].outcome, rows["a"].at) == ("orders/a", "primary", "run", AT)
    assert (rows["b"].run_id, rows["b"].path, rows["b"].reason) == (None, None, "no order")
    assert (rows["c"].outcome, rows["c"].content, rows["c"].place) == ("dead", None, asked.entries[2].place)


async def test_an_entry_that_the_source_knows_is_repeated_and_makes_nothing(store: Store) -> None:
    await taken(store, entry("a"), filtered("b"), dead("c"))
    again = [
        entry("a", start=start("orders/d"), messages=(message(),)), entry("b"), entry("c"), entry("e"),
    ]  # fmt: skip
    assert (await taken(store, *again)).outcomes == ("repeated", "repeated", "repeated", "run")
    assert await counts(store) == (2, 1, 3, 1)
    assert await runs(store) == ["orders/a", "orders/e"]
    assert await published(store) == []
    assert len(await known(store)) == 4
    # Another source does not know it.
    other = await opened(store, name="others")
    assert (await store.intake.take_in(taking(other, entry("a", start=start("others/a"))))).outcomes == ("run",)


async def test_of_two_entries_of_a_key_in_one_call_the_second_is_repeated(store: Store) -> None:
    first, second = entry("a"), entry("a", start=start("orders/b"))
    assert (await taken(store, first, second)).outcomes == ("run", "repeated")
    assert await runs(store) == ["orders/a"]
    assert await counts(store) == (1, 0, 1, 0)


async def test_an_entry_whose_run_exists_names_that_run(store: Store) -> None:
    await make(store, start("orders/a"))
    assert (await taken(store, entry("a"), entry("b"))).outcomes == ("run", "run")
    (row,) = await known(store, run_id="orders/a")
    assert row.outcome == "run"
    assert len(await claim(store)) == 2


async def test_a_run_s_lane_counts(store: Store) -> None:
    await taken(store, *(entry(name, start=in_lane(f"orders/{name}")) for name in "abc"))
    assert [run.id for run in await claim(store)] == ["orders/a"]


async def test_the_path_of_an_entry_is_that_of_its_run(store: Store) -> None:
    marked = b'\x01{"holdfast.shadow":true}', b'\x01{"holdfast.shadow":false}', b'\x01{"of":"holdfast.shadow"}'
    await taken(store, *(entry(str(n), start=start(f"{n}", attributes=given)) for n, given in enumerate(marked)))
    assert [(row.message_id, row.path) for row in await known(store)] == [
        ("2", "primary"), ("1", "primary"), ("0", "shadow"),
    ]  # fmt: skip


async def test_a_repeated_call_is_given_what_it_was_given(store: Store) -> None:
    await taken(store, entry("a"))
    asked = taking(await opened(store), entry("a"), entry("b", messages=(message(),)), filtered("c"))
    given = await store.intake.take_in(asked)
    assert given == TakenIn(None, 2, ("repeated", "run", "filtered"))
    assert await store.intake.take_in(asked) == given
    # Also when others have read further since.
    await taken(store, entry("d"))
    assert await store.intake.take_in(asked) == given
    assert await counts(store) == (3, 1, 1, 0)
    assert len(await published(store)) == 1


async def test_who_repeats_a_call_after_the_source_was_put_back_does_not_read_on_from_where_it_was(
    store: Store,
) -> None:
    asked = taking(await opened(store), entry("a"))
    await store.intake.take_in(asked)
    assert await store.intake.rewind("t", "orders", b"start", 1, audit("source.rewind"))
    given = await store.intake.take_in(asked)
    following = asked._replace(revision=given.revision, entries=(entry("b"),), position=b"at 2")
    assert (await store.intake.take_in(following)).refused == "moved"
    assert (await opened(store)).position == b"start"


async def test_a_repeated_call_that_stored_no_entry_is_known_by_its_position(store: Store) -> None:
    await taken(store, entry("a"))
    for entries in ((), (entry("a"), entry("a"))):
        asked = taking(await opened(store), *entries)
        given = await store.intake.take_in(asked)
        assert given == TakenIn(None, asked.revision + 1, ("repeated",) * len(entries))
        assert await store.intake.take_in(asked) == given
    assert await counts(store) == (1, 0, 2, 0)


async def test_who_comes_too_late_is_told_that_the_source_moved(store: Store) -> None:
    late = await opened(store)
    await taken(store, entry("a"))
    assert await store.intake.take_in(taking(late, entry("b"), position=b"elsewhere")) == TakenIn("moved", 1, ())
    # What is at the same place is another's all the same, if its entries are not known.
    assert await store.intake.take_in(taking(late, entry("a"), entry("b"))) == TakenIn("moved", 1, ())
    assert await runs(store) == ["orders/a"]
    assert await counts(store) == (1, 0, 0, 0)


async def test_two_readers_of_one_source_take_each_entry_once(disk_url: str) -> None:
    stores = [make_store(disk_url), make_store(disk_url)]
    for store in stores:
        await store.open()

    async def read(store: Store) -> None:
        """Read on from where the source stands, entry by entry."""
        while (source := await opened(store)).revision < 20:
            text = f"{source.revision}"
            found = await store.intake.take_in(taking(source, entry(text, messages=(message(id=text),))))
            assert found.refused in (None, "moved")

    await asyncio.gather(*map(read, stores))
    assert sorted(int(row.message_id) for row in await known(stores[0])) == list(range(20))
    assert await counts(stores[1]) == (20, 0, 0, 0)
    assert (await stores[0].counts())["ready"] == 20
    assert await stores[0].outbox.count_messages("t", MessageFilter(), cap=99) == 20
    for store in stores:
        await store.close()


async def test_a_source_that_is_not_there_is_refused(store: Store) -> None:
    source = await opened(store)
    with pytest.raises(Rejected, match="there is no source 'others'"):
        await store.intake.take_in(taking(source, entry("a"), source="others"))
    assert await runs(store) == []


async def test_all_of_a_call_is_written_or_nothing(store: Store) -> None:
    source = await opened(store)
    wrong = [
        entry("b", start=start("orders/b", tenant="u")),
        entry("b", messages=(message(tenant="u"),)),
        entry("b", reason="a\0b"),
        entry("b", start=None),
        dead("b", start=start("orders/b")),
        entry("b", start=start("orders/b", queue="a\0b" if store.name == "postgres" else 2**80)),
    ]
    for one in wrong:
        with pytest.raises((UsageError, Rejected)):
            await store.intake.take_in(taking(source, entry("a"), one))
    assert await opened(store) == source
    assert (await known(store), await runs(store)) == ([], [])


async def test_only_so_many_entries_are_taken_at_once(store: Store) -> None:
    source = await opened(store)
    many = [filtered(str(n)) for n in range(ENTRIES_AT_ONCE + 1)]
    with pytest.raises(UsageError, match="1,001 entries are more than the 1,000"):
        await store.intake.take_in(taking(source, *many))
    assert set((await store.intake.take_in(taking(source, *many[1:]))).outcomes) == {"filtered"}


async def test_nothing_is_taken_in_by_a_setting_that_was_changed(store: Store) -> None:
    source = await opened(store)
    nobodys = taking(source, entry("a"), setting=("flow", 0))
    for revision, path in ((1, "shadow"), (2, "primary")):
        assert await store.outbox.put_publish_setting(setting(revision=revision, path=path), audit())
    for asked in (nobodys, taking(source, entry("a"), setting=("flow", 1))):
        assert await store.intake.take_in(asked) == TakenIn("setting", 0, ())
    assert (await known(store), await opened(store)) == ([], source)
    asked = taking(source, entry("a"), setting=("flow", 2))
    assert (await store.intake.take_in(asked)).outcomes == ("run",)
    # Given what it was given, whatever was decided since; and a workflow of which nothing was decided has none.
    assert await store.outbox.put_publish_setting(setting(revision=3), audit())
    assert (await store.intake.take_in(asked)).outcomes == ("run",)
    asked = taking(await opened(store), entry("b"), setting=("other", 0))
    assert (await store.intake.take_in(asked)).outcomes == ("run",)


async def test_a_source_says_how_it_is_doing(store: Store) -> None:
    await taken(store, entry("a"))
    await store.intake.note_source("t", "orders", "full", "1,000 runs wait", AT + 5)
    source = await opened(store)
    assert (source.state, source.note, source.read_at, source.revision) == ("full", "1,000 runs wait", AT + 5, 1)


async def test_a_source_is_put_back_once_and_knows_its_entries_still(store: Store) -> None:
    await taken(store, entry("a"))
    change = audit("source.rewind")
    assert await store.intake.rewind("t", "orders", b"", 1, change)
    assert await store.intake.rewind("t", "orders", b"", 1, change)  # again, after a lost connection
    assert not await store.intake.rewind("t", "orders", b"", 1, audit("source.rewind"))
    assert not await store.intake.rewind("u", "orders", b"", 2, audit("source.rewind", "u"))
    source = await opened(store)
    assert (source.position, source.revision) == (b"", 2)
    assert [row.uid for row in await store.list_audit("t", limit=9)] == [change.uid]
    assert (await taken(store, entry("a"), entry("b"))).outcomes == ("repeated", "run")


async def test_a_long_message_id_is_found_by_its_beginning(store: Store) -> None:
    long = "m" * 600
    await taken(store, entry("a", message_id=long), entry("b", uid=uid()))
    (row,) = await known(store, message_id=long)
    assert row.message_id == "m" * 512
