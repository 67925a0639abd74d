"""The verbs of LangGraph's checkpoints and of its store; over every database."""

import asyncio
import json
import tracemalloc
from typing import Any

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.graph_rows import CheckpointFilter, ItemPlace, ItemRow, NewItem
from holdfast.store.graphs import GraphStore
from holdfast.store.postgres import graphs as postgres_graphs
from tests.conformance.graph_kit import dumped, ids, item, key, put, values, write
from tests.conformance.state_stores import Clock, DatabaseClock, PostgresClock

MINUTE_US = 60_000_000


@pytest.fixture
def graphs(store: Store) -> GraphStore:
    return store.graphs


@pytest.fixture
def clock(store: Any, store_url: str) -> Clock:
    return PostgresClock(store_url) if store_url.startswith("postgres") else DatabaseClock(store)


def everything(_: bytes) -> bool:
    return True


async def namespaces(graphs: GraphStore, first: str = ".", limit: int = 9) -> list[str]:
    return await graphs.namespaces("t", first, "/", limit=limit)


async def keys(graphs: GraphStore, namespace: str = ".", *, limit: int = 99, offset: int = 0) -> list[str]:
    found = await graphs.find_items("t", namespace, everything, limit=limit, offset=offset)
    return [row.key for row in found]


# Checkpoints


async def test_a_checkpoint_has_the_values_of_its_versions_whoever_brought_them(graphs: GraphStore) -> None:
    await put(graphs, key("c1"), versions={"a": "1", "b": "1"}, new={"a": "a1", "b": "b1"})
    await put(graphs, key("c2"), parent="c1", versions={"a": "2", "b": "1", "gone": "1"}, new={"a": "a2"})
    await put(graphs, key("c1", namespace="inner"), versions={"a": "1"}, new={"a": "of another namespace"})
    assert values(await graphs.checkpoint("t", "th", "", "c1")) == {"a": "a1", "b": "b1"}
    latest = await graphs.checkpoint("t", "th", "")
    assert values(latest) == {"a": "a2", "b": "b1"}
    assert latest is not None
    assert (latest.key, latest.parent, latest.coding, latest.document) == (key("c2"), "c1", "coding", b"document")
    assert await graphs.checkpoint("t", "th", "", "c0") is None
    assert await graphs.checkpoint("t", "other", "") is None


async def test_a_checkpoint_that_is_put_again_is_replaced_and_its_values_are_not(graphs: GraphStore) -> None:
    for content in ("first", "second"):
        await put(graphs, key(), versions={"a": "1"}, new={"a": content}, document=content.encode())
    row = await graphs.checkpoint("t", "th", "")
    assert values(row) == {"a": "first"}
    assert row is not None
    assert row.document == b"second"
    assert await ids(graphs) == ["c1"]


async def test_a_write_is_kept_once_but_a_special_one_takes_the_other_s_place(graphs: GraphStore) -> None:
    await graphs.put_writes(key(), [write(content=b"1"), write(number=-1, content=b"error 1")])
    await graphs.put_writes(key(), [write(content=b"2"), write(number=-1, content=b"error 2")])
    await put(graphs, key())
    row = await graphs.checkpoint("t", "th", "")
    assert row is not None
    assert [(one.number, one.content) for one in row.writes] == [(-1, b"error 2"), (0, b"1")]


async def test_writes_are_in_order_of_path_task_and_number(graphs: GraphStore) -> None:
    await put(graphs, key())
    asked = [("b", 0, "2"), ("a", 1, "2"), ("a", 0, "2"), ("z", 10, "1"), ("z", 9, "1"), ("c", 0, "")]
    await graphs.put_writes(key(), [write(task, number, path=path) for task, number, path in asked])
    row = await graphs.checkpoint("t", "th", "")
    assert row is not None
    found = [(one.path, one.task, one.number) for one in row.writes]
    assert found == sorted(found)
    assert len(found) == len(asked)


async def test_checkpoints_are_listed_the_latest_first_page_by_page(graphs: GraphStore) -> None:
    places = [key(f"c{n}", thread=thread, namespace=space) for n in range(3) for thread in "xy" for space in ("", "s")]
    for place in places:
        await put(graphs, place)
    await put(graphs, key("c9", tenant="u"))

    async def listed(which: CheckpointFilter, size: int) -> list[Any]:
        found: list[Any] = []
        while page := await graphs.checkpoints("t", which, limit=size, before=found[-1] if found else None):
            assert len(page) <= size
            found += [row.key for row in page]
        return found

    def order(one: Any) -> Any:
        return one.id, one.thread, one.namespace

    for size in (1, 5, 99):
        assert await listed(CheckpointFilter(), size) == sorted(places, key=order, reverse=True)
        in_thread = [place for place in places if place.thread == "x"]
        assert await listed(CheckpointFilter("x"), size) == sorted(in_thread, key=order, reverse=True)
        assert await listed(CheckpointFilter("x", "s"), size) == [
            key(f"c{n}", thread="x", namespace="s") for n in (2, 1, 0)
        ]
    older = await graphs.checkpoints("t", CheckpointFilter("x", ""), limit=9, before=key("c1", thread="", namespace=""))
    assert [row.key.id for row in older] == ["c0"]
    assert await listed(CheckpointFilter("x", None, "c1"), 9) == [
        key("c1", thread="x", namespace=space) for space in ("s", "")
    ]


async def test_a_checkpoint_that_is_deleted_while_a_page_is_read_does_not_end_the_list(
    store: Store, graphs: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL looks for a page's keys, and then for what they have."""
    for n in range(5):
        await put(graphs, key(f"c{n}", thread="th"), run=f"r{n}")
    look = postgres_graphs._checkpoints
    deleted: list[str] = []

    async def late(*asked: Any) -> Any:
        if not deleted:
            deleted.append("r3")
            await graphs.delete_runs("t", deleted)
        return await look(*asked)

    if store.name == "postgres":
        monkeypatch.setattr(postgres_graphs, "_checkpoints", late)
    else:
        await graphs.delete_runs("t", ["r3"])
    rows = await graphs.checkpoints("t", CheckpointFilter("th", ""), limit=3)
    assert [row.key.id for row in rows] == ["c4", "c2", "c1"]


FACTS: list[tuple[dict[str, Any], list[str]]] = [
    ({"source": "loop"}, ["c2", "c0"]),
    ({"source": "loop", "step": 2}, ["c2"]),
    ({"step": 1.0}, ["c1"]),
    ({"flag": True}, ["c1"]),
    ({"flag": 1}, ["c2"]),
    ({"nothing": None}, ["c0"]),
    ({"parents": {"": "p", "a": [1, "2"]}}, ["c1"]),
    ({"parents": {}}, ["c2"]),
    ({"absent": 1}, []),
    ({"source": "%"}, []),
]


@pytest.mark.parametrize(("facts", "found"), FACTS, ids=str)
async def test_checkpoints_are_found_by_their_metadata(
    graphs: GraphStore, facts: dict[str, Any], found: list[str]
) -> None:
    await put(graphs, key("c0"), facts={"source": "loop", "nothing": None, "Ä": "ö"})
    await put(
        graphs, key("c1"), facts={"source": "input", "step": 1, "flag": True, "parents": {"a": [1, "2"], "": "p"}}
    )
    await put(graphs, key("c2"), facts={"source": "loop", "step": 2, "flag": 1, "parents": {}})
    for which in (CheckpointFilter("th", ""), CheckpointFilter("th"), CheckpointFilter()):
        rows = await graphs.checkpoints("t", which._replace(facts=dumped(facts)), limit=9)
        assert [row.key.id for row in rows] == found


async def test_ancestors_have_what_some_channels_hold_and_were_written(graphs: GraphStore) -> None:
    await put(graphs, key("c1"), versions={"a": "1", "b": "1"}, new={"a": "a1", "b": "b1"})
    await put(graphs, key("c2"), parent="c1", versions={"a": "2"})
    await put(graphs, key("c2-fork"), parent="c1")
    await put(graphs, key("c3"), parent="c2", versions={"a": "3"})
    await graphs.put_writes(key("c2"), [write(channel="a", content=b"w2"), write(number=1, channel="b")])
    found = await graphs.ancestors(key("c3"), ["a"], limit=9)
    assert [(row.id, row.parent) for row in found] == [("c3", "c2"), ("c2", "c1"), ("c1", None)]
    assert [[value.content for value in row.values] for row in found] == [[], [], [b"a1"]]
    assert [[one.content for one in row.writes] for row in found] == [[], [b"w2"], []]
    assert [row.id for row in await graphs.ancestors(key("c3"), ["a"], limit=2)] == ["c3", "c2"]
    assert await graphs.ancestors(key("none"), ["a"], limit=9) == []


async def test_a_thread_is_copied_whole_and_again_without_harm(graphs: GraphStore) -> None:
    for space in ("", "inner"):
        await put(graphs, key("c1", namespace=space), versions={"a": "1"}, new={"a": f"in {space}"})
        await graphs.put_writes(key("c1", namespace=space), [write()])
    for _ in range(2):
        await graphs.copy_thread("t", "th", "copy")
    await graphs.copy_thread("t", "none", "empty")
    await graphs.delete_threads("t", ["th"])
    for space in ("", "inner"):
        row = await graphs.checkpoint("t", "copy", space)
        assert values(row) == {"a": f"in {space}"}
        assert row is not None
        assert row.writes == (write(),)
    assert await ids(graphs, "empty") == await ids(graphs) == []


async def stored(store: Any, table: str) -> int:
    """How many rows there are."""
    if store.name == "postgres":
        return int(await store._read(lambda connection: connection.fetchval(f"SELECT count(*) FROM holdfast.{table}")))
    found: int = await store._read(lambda connection: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    return found


async def test_a_thread_that_is_deleted_leaves_nothing_and_others_alone(store: Store, graphs: GraphStore) -> None:
    for at in (key(), key(namespace="inner"), key(thread="other"), key(tenant="u")):
        await put(graphs, at, versions={"a": "1"}, new={"a": "1"})
        await graphs.put_writes(at, [write()])
    for _ in range(2):
        await graphs.delete_threads("t", ["th", "none"])
    assert [await stored(store, f"graph_{table}") for table in ("checkpoints", "values", "writes")] == [2, 2, 2]
    assert (await ids(graphs, "other"), await ids(graphs, tenant="u"), await ids(graphs)) == (["c1"], ["c1"], [])


async def test_runs_are_deleted_with_what_no_other_checkpoint_has(store: Store, graphs: GraphStore) -> None:
    await put(graphs, key("c1"), run="r1", versions={"a": "1", "b": "1"}, new={"a": "a1", "b": "b1"})
    await put(graphs, key("c2"), run="r2", versions={"a": "2", "b": "1"}, new={"a": "a2"})
    await put(graphs, key("c1", tenant="u"), run="r1")
    for id in ("c1", "c2"):
        await graphs.put_writes(key(id), [write()])
    for _ in range(2):
        await graphs.delete_runs("t", ["r1", "none"])
    assert await ids(graphs) == ["c2"]
    assert values(await graphs.checkpoint("t", "th", "")) == {"a": "a2", "b": "b1"}
    assert (await stored(store, "graph_values"), await stored(store, "graph_writes")) == (2, 1)
    assert await ids(graphs, tenant="u") == ["c1"]


async def test_of_a_pruned_thread_the_latest_checkpoint_of_each_namespace_stays(
    store: Store, graphs: GraphStore
) -> None:
    for space in ("", "inner"):
        for n in (1, 2, 3):
            new = {"a": f"a{n}"} | ({"b": "b1"} if n == 1 else {})
            at = key(f"c{n}", namespace=space)
            await put(graphs, at, parent=f"c{n - 1}", versions={"a": str(n), "b": "1"}, new=new)
            await graphs.put_writes(at, [write()])
    await put(graphs, key("c1", thread="other"))
    for _ in range(2):
        await graphs.prune_threads("t", ["th", "none"])
    for space in ("", "inner"):
        assert await ids(graphs, namespace=space) == ["c3"]
        assert values(await graphs.checkpoint("t", "th", space)) == {"a": "a3", "b": "b1"}
    assert (await stored(store, "graph_values"), await stored(store, "graph_writes")) == (4, 2)
    assert await ids(graphs, "other") == ["c1"]


async def test_a_long_thread_is_pruned_in_little_memory(graphs: GraphStore) -> None:
    long = {"note": "x" * 20_000}
    for n in range(300):
        await put(graphs, key(f"c{n:03}"), parent=f"c{n - 1:03}" if n else None, versions={"a": "1"}, facts=long)
    tracemalloc.start()
    try:
        await graphs.prune_threads("t", ["th"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert await ids(graphs) == ["c299"]
    assert peak < 2_000_000


async def test_what_a_channel_of_differences_is_rebuilt_from_is_not_pruned(graphs: GraphStore) -> None:
    counted = {"counters_since_delta_snapshot": {"delta": [2, 2]}}
    await put(graphs, key("c1"), versions={"delta": "1"})
    await put(graphs, key("c2"), parent="c1", versions={"delta": "2"}, new={"delta": "snapshot"})
    await put(graphs, key("c3"), parent="c2", versions={"delta": "3"}, facts=counted)
    await put(graphs, key("c3-fork"), parent="c2", versions={"delta": "3"}, facts=counted)
    await put(graphs, key("c4"), parent="c3", versions={"delta": "4"}, facts=counted)
    for id in ("c1", "c2", "c3", "c4"):
        await graphs.put_writes(key(id), [write(channel="delta", content=id.encode())])
    await graphs.prune_threads("t", ["th"])
    assert await ids(graphs) == ["c4", "c3", "c2"]
    ancestors = await graphs.ancestors(key("c4"), ["delta"], limit=9)
    assert [row.writes[0].content for row in ancestors] == [b"c4", b"c3", b"c2"]
    assert [len(row.values) for row in ancestors] == [0, 0, 1]


async def test_many_put_the_same_at_once(graphs: GraphStore) -> None:
    async def work(n: int) -> None:
        await put(
            graphs, key(), versions={"a": "1", "b": "1"}, new={"a": "a", "b": "b"} if n % 2 else {"b": "b", "a": "a"}
        )
        await graphs.put_writes(key(), [write("x"), write("y")] if n % 2 else [write("y"), write("x")])
        await graphs.put_items("t", [item("x", n), item("y", n)] if n % 2 else [item("y", n), item("x", n)])
        await graphs.renew_items("t", [ItemPlace(".a.", "y"), ItemPlace(".a.", "x")])

    await asyncio.gather(*(work(n) for n in range(20)))
    row = await graphs.checkpoint("t", "th", "")
    assert values(row) == {"a": "a", "b": "b"}
    assert row is not None
    assert [one.task for one in row.writes] == ["x", "y"]
    x, y = await graphs.items("t", [ItemPlace(".a.", "x"), ItemPlace(".a.", "y")])
    assert isinstance(x, ItemRow)
    assert isinstance(y, ItemRow)
    assert x.value == y.value


@pytest.mark.parametrize("text", ["nul \0", "half \ud800", "long" * 400])
async def test_a_text_that_a_database_cannot_hold_is_refused_by_each(graphs: GraphStore, text: str) -> None:
    with pytest.raises(Rejected):
        await put(graphs, key(thread=text))
    with pytest.raises(Rejected):
        await put(graphs, key(namespace=text))
    with pytest.raises(Rejected):
        await put(graphs, key(), versions={text: "1"}, new={text: "1"})
    with pytest.raises(Rejected):
        await graphs.put_writes(key(), [write(text)])
    with pytest.raises(Rejected):
        await graphs.copy_thread("t", "th", text)
    with pytest.raises(Rejected):
        await graphs.put_items("t", [item(text)])
    assert await ids(graphs) == await keys(graphs) == []


# Items


async def test_an_item_is_put_read_changed_and_deleted(graphs: GraphStore, clock: Clock) -> None:
    await clock.forward(0)
    await graphs.put_items("t", [item("k", "first"), item("l"), item("k", namespace=".b.")])
    (before,) = await graphs.items("t", [ItemPlace(".a.", "k")])
    await clock.forward(1_000)
    await graphs.put_items("t", [item("k", "second"), NewItem(".a.", "l", None), NewItem(".a.", "none", None)])
    found = await graphs.items("t", [ItemPlace(".a.", "l"), ItemPlace(".a.", "k"), ItemPlace(".b.", "k")])
    assert found[0] is None
    assert isinstance(before, ItemRow)
    changed = found[1]
    assert isinstance(changed, ItemRow)
    assert (before.value, changed.value) == (b'{"v": "first"}', b'{"v": "second"}')
    assert before.created_at == before.updated_at == changed.created_at
    assert changed.updated_at >= before.updated_at + 1_000
    assert await graphs.items("u", [ItemPlace(".a.", "k")]) == [None]


async def test_items_are_found_within_a_namespace_what_changed_last_first(graphs: GraphStore, clock: Clock) -> None:
    places = {"one": ".a.", "two": ".a.b.", "three": ".ab.", "four": ".a.b.c.", "five": ".a-b."}
    for name, namespace in places.items():
        await clock.forward(1_000)
        await graphs.put_items("t", [item(name, namespace=namespace)])
    assert await keys(graphs) == ["five", "four", "three", "two", "one"]
    assert await keys(graphs, ".a.") == ["four", "two", "one"]
    assert await keys(graphs, ".a.b.") == ["four", "two"]
    assert await keys(graphs, ".c.") == []
    assert await keys(graphs, ".a.", limit=1, offset=1) == ["two"]
    assert await keys(graphs, limit=0) == []
    await clock.forward(1_000)
    await graphs.put_items("t", [item("one")])
    assert await keys(graphs, ".a.", limit=2) == ["one", "four"]


async def test_only_those_that_match_are_found_and_counted(graphs: GraphStore) -> None:
    await graphs.put_items("t", [item(f"k{n:03}", n) for n in range(350)])
    asked: list[int] = []

    def third(value: bytes) -> bool:
        asked.append(json.loads(value)["v"])
        return asked[-1] % 3 == 0

    found = await graphs.find_items("t", ".", third, limit=5, offset=10)
    assert [row.key for row in found] == ["k030", "k033", "k036", "k039", "k042"]
    assert len(asked) < 350
    found = await graphs.find_items("t", ".", third, limit=500, offset=100)
    assert [row.key for row in found] == [f"k{n:03}" for n in range(300, 350, 3)]


async def test_an_item_that_has_expired_is_not_there_unless_it_was_looked_at(
    store: Store, graphs: GraphStore, clock: Clock
) -> None:
    await clock.forward(0)
    await graphs.put_items(
        "t", [item("short", ttl_us=10 * MINUTE_US), item("renewed", ttl_us=10 * MINUTE_US), item("for ever")]
    )
    await graphs.put_items("t", [item("alone", namespace=".b.", ttl_us=10 * MINUTE_US)])
    await clock.forward(8 * MINUTE_US)
    places = [ItemPlace(".a.", name) for name in ("short", "renewed", "for ever")]
    assert None not in await graphs.items("t", places)
    await graphs.renew_items("t", places[1:])
    await clock.forward(5 * MINUTE_US)
    assert [row is not None for row in await graphs.items("t", places)] == [False, True, True]
    assert set(await keys(graphs)) == {"renewed", "for ever"}
    assert await namespaces(graphs) == [".a."]
    await graphs.renew_items("t", places[:1])
    assert await graphs.items("t", places[:1]) == [None]
    (before,) = await graphs.items("t", places[1:2])
    await graphs.put_items("t", [item("new")])
    assert await stored(store, "graph_items") == 3
    assert before is not None
    assert before.ttl_us == 10 * MINUTE_US


async def test_an_item_in_the_place_of_an_expired_one_is_a_new_one(graphs: GraphStore, clock: Clock) -> None:
    await clock.forward(0)
    await graphs.put_items("t", [item("k", ttl_us=10 * MINUTE_US)])
    (first,) = await graphs.items("t", [ItemPlace(".a.", "k")])
    await clock.forward(20 * MINUTE_US)
    await graphs.put_items("t", [item("k")])
    (second,) = await graphs.items("t", [ItemPlace(".a.", "k")])
    assert first is not None
    assert second is not None
    assert second.created_at >= first.created_at + 20 * MINUTE_US
    await clock.forward(20 * MINUTE_US)
    assert await keys(graphs) == ["k"]


async def test_namespaces_are_listed_in_order_from_one_on(graphs: GraphStore) -> None:
    some = [".a.", ".a.b.", ".a.b.c.", ".ab.", ".c."]
    for namespace in reversed(some):
        await graphs.put_items("t", [item(f"k{n}", namespace=namespace) for n in range(5)])
    await graphs.put_items("u", [item("k", namespace=".theirs.")])
    assert await namespaces(graphs) == some
    assert await namespaces(graphs, limit=2) == some[:2]
    assert await namespaces(graphs, ".a.b.\1") == some[2:]
    assert await graphs.namespaces("t", ".a.", ".a/", limit=9) == some[:3]
    assert await graphs.namespaces("t", ".d.", "/", limit=9) == []
