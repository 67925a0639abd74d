"""`holdfast.langgraph.Store`: LangGraph's store, as its base class promises and its store in memory does it."""

import asyncio
import datetime
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore

import holdfast as hf
from holdfast.langgraph import Store
from tests.conformance.state_stores import Clock, DatabaseClock, PostgresClock


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    async with Store(store_url) as store:
        yield store


async def filled(store: BaseStore) -> None:
    """Put what several tests look for."""
    await store.aput(("users", "ann"), "diet", {"kind": "food", "text": "vegan", "weight": 3})
    await store.aput(("users", "ann"), "pet", {"kind": "animal", "text": "a cat", "weight": 1.5, "tags": ["a", "b"]})
    await store.aput(("users", "ann", "old"), "pet", {"kind": "animal", "weight": 10, "since": "2024-05-01"})
    await store.aput(("users", "bob"), "diet", {"kind": "food", "owner": {"name": "bob", "age": 4}})
    await store.aput(("docs",), "intro", {"kind": None})


def keys(found: list[Any]) -> list[tuple[tuple[str, ...], str]]:
    return sorted((one.namespace, one.key) for one in found)


# One item


async def test_an_item_is_put_got_changed_and_deleted(store: Store) -> None:
    value = {"text": "nul \0 and ö", "deep": {"list": [1, 2.5, None, True]}}
    await store.aput(("a", "b"), "k", value)
    first = await store.aget(("a", "b"), "k")
    assert isinstance(first, Item)
    assert (first.namespace, first.key, first.value) == (("a", "b"), "k", value)
    assert first.created_at == first.updated_at
    assert abs(first.created_at - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=5)
    await store.aput(("a", "b"), "k", {"n": 2})
    second = await store.aget(("a", "b"), "k")
    assert second is not None
    assert (second.value, second.created_at) == ({"n": 2}, first.created_at)
    assert second.updated_at >= first.updated_at
    await store.adelete(("a", "b"), "k")
    await store.adelete(("a", "b"), "k")
    assert await store.aget(("a", "b"), "k") is None
    assert await store.aget(("a",), "k") is None


async def test_what_a_batch_reads_was_there_before_and_of_two_puts_the_last_counts(store: Store) -> None:
    await store.aput(("a",), "k", {"n": 1})
    ops: list[Op] = [
        PutOp(("a",), "k", {"n": 2}),
        GetOp(("a",), "k"),
        PutOp(("a",), "k", {"n": 3}),
        PutOp(("b",), "l", {"n": 4}),
        PutOp(("b",), "l", None),
        GetOp(("b",), "l"),
        SearchOp(("a",)),
        ListNamespacesOp(),
    ]
    results: list[Any] = await store.abatch(ops)
    assert [results[n] for n in (0, 2, 3, 4, 5)] == [None] * 5
    assert results[1].value == {"n": 1}
    assert [one.value for one in results[6]] == [{"n": 1}]
    assert results[7] == [("a",)]
    (after,) = await store.asearch(())
    assert after.value == {"n": 3}
    assert await store.abatch([]) == []


async def test_nothing_of_a_batch_is_written_if_a_part_of_it_is_wrong(store: Store) -> None:
    for wrong in (PutOp(("a",), "l", {"n": object()}), SearchOp((), limit=-1), GetOp(("a",), "\0"), "nonsense"):
        with pytest.raises((hf.PayloadError, hf.UsageError)):
            await store.abatch([PutOp(("a",), "k", {"n": 1}), wrong])  # type: ignore[list-item]
    assert await store.asearch(()) == []


# Searches

EVERYWHERE: list[tuple[str, ...]] = [(), ("users",), ("users", "ann"), ("users", "ann", "old"), ("user",)]

# LangGraph's own store compares no number with one that is not there.
ANN: list[tuple[str, ...]] = [("users", "ann")]
BOB: list[tuple[str, ...]] = [("users", "bob")]

FILTERS: list[tuple[dict[str, Any], list[tuple[str, ...]]]] = [
    ({}, EVERYWHERE),
    ({"kind": "food"}, EVERYWHERE),
    ({"kind": "food", "weight": 3}, EVERYWHERE),
    ({"kind": None}, EVERYWHERE),
    ({"kind": {"$ne": "food"}}, EVERYWHERE),
    ({"kind": {"$eq": "animal"}}, EVERYWHERE),
    ({"tags": ["a", "b"]}, EVERYWHERE),
    ({"tags": ["b", "a"]}, EVERYWHERE),
    ({"owner": {"name": "bob"}}, EVERYWHERE),
    ({"owner": {"name": "ann"}}, EVERYWHERE),
    ({"none": 1}, EVERYWHERE),
    ({"weight": {"$gt": 1.5}}, ANN),
    ({"weight": {"$gte": 1.5, "$lt": 10}}, ANN),
    ({"weight": {"$lte": 3}}, ANN),
    ({"owner": {"age": {"$gt": 3}}}, BOB),
]


@pytest.mark.parametrize(("filter", "prefixes"), FILTERS, ids=str)
async def test_a_search_finds_what_langgraph_s_own_store_finds(
    store: Store, filter: dict[str, Any], prefixes: list[tuple[str, ...]]
) -> None:
    own = InMemoryStore()
    for one in (store, own):
        await filled(one)
    for prefix in prefixes:
        assert keys(await store.asearch(prefix, filter=filter)) == keys(await own.asearch(prefix, filter=filter))


async def test_numbers_are_compared_with_numbers_and_texts_with_texts(store: Store) -> None:
    await filled(store)
    assert keys(await store.asearch((), filter={"weight": {"$gt": 2}})) == [
        (("users", "ann"), "diet"),
        (("users", "ann", "old"), "pet"),
    ]
    assert keys(await store.asearch((), filter={"since": {"$gte": "2024-01-01"}})) == [(("users", "ann", "old"), "pet")]
    assert await store.asearch((), filter={"since": {"$gte": 2024}}) == []


async def test_a_search_gives_what_changed_last_first_part_by_part(store: Store) -> None:
    for n in range(7):
        await store.aput(("a",), f"k{n}", {"n": n, "odd": n % 2 == 1})
    await store.aput(("a",), "k2", {"n": 2, "odd": False})
    assert [one.key for one in await store.asearch(("a",), limit=3)] == ["k2", "k6", "k5"]
    assert [one.key for one in await store.asearch(("a",), limit=3, offset=3)] == ["k4", "k3", "k1"]
    assert [one.key for one in await store.asearch(("a",), limit=2, offset=1, filter={"odd": True})] == ["k3", "k1"]
    assert await store.asearch(("a",), limit=0) == []
    assert len(await store.asearch(("a",))) == 7


async def test_an_index_and_a_query_change_nothing(store: Store) -> None:
    await store.aput(("a",), "k", {"text": "cats"}, index=["text"])
    await store.aput(("a",), "l", {"text": "dogs"}, index=False)
    found = await store.asearch(("a",), query="felines")
    assert [(one.key, one.score) for one in found] == [("l", None), ("k", None)]


# Namespaces

CONDITIONS: list[dict[str, Any]] = [
    {},
    {"prefix": ("a",)},
    {"prefix": ("a", "b")},
    {"prefix": ("a", "*", "c")},
    {"prefix": ("*", "b")},
    {"suffix": ("c",)},
    {"suffix": ("b", "*")},
    {"prefix": ("a",), "suffix": ("c",)},
    {"max_depth": 1},
    {"max_depth": 2},
    {"prefix": ("a",), "max_depth": 2},
    {"suffix": ("c",), "max_depth": 1},
    {"max_depth": 2, "limit": 2},
    {"max_depth": 2, "limit": 2, "offset": 2},
    {"limit": 3, "offset": 4},
    {"prefix": ("none",)},
]


@pytest.mark.parametrize("asked", CONDITIONS, ids=str)
async def test_namespaces_are_listed_as_by_langgraph_s_own_store(store: Store, asked: dict[str, Any]) -> None:
    own = InMemoryStore()
    for one in (store, own):
        for path in ("a", "a b", "a b c", "a b c d", "a e c", "a e f", "b", "b b c", "ab", "c b x"):
            await one.aput(tuple(path.split()), "k", {})
            await one.aput(tuple(path.split()), "l", {})
    assert await store.alist_namespaces(**asked) == await own.alist_namespaces(**asked)


async def test_namespaces_beyond_a_page_are_listed(store: Store) -> None:
    ops = [PutOp(("users", f"{n:03}", part), "k", {}) for n in range(230) for part in ("x", "y")]
    await store.abatch(ops)
    await store.aput(("z",), "k", {})
    users = [("users", f"{n:03}") for n in range(230)]
    assert await store.alist_namespaces(max_depth=2, limit=500) == [*users, ("z",)]
    assert await store.alist_namespaces(max_depth=1) == [("users",), ("z",)]
    assert await store.alist_namespaces(suffix=("y",), limit=2, offset=226) == [
        ("users", f"{n}", "y") for n in (226, 227)
    ]
    assert len(await store.alist_namespaces(limit=1000)) == 461


async def test_what_is_inside_a_namespace_that_is_found_is_passed_over(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hf.connect(sqlite_url) as client:
        store, graphs = Store(client=client), client.core.store.graphs
        await store.abatch([PutOp((root, f"{n:03}"), "k", {}) for n in range(450) for root in ("users", "z")])
        look, pages = graphs.namespaces, []

        async def namespaces(*asked: Any, **more: Any) -> list[str]:
            pages.append(await look(*asked, **more))
            return pages[-1]

        monkeypatch.setattr(graphs, "namespaces", namespaces)
        assert await store.alist_namespaces(max_depth=1) == [("users",), ("z",)]
        assert [page[:1] for page in pages] == [[".users.000."], [".z.000."], []]


async def test_random_operations_give_what_langgraph_s_own_store_gives(store: Store) -> None:
    chance, own = random.Random(7), InMemoryStore()
    for _ in range(120):
        namespace = tuple(chance.choices("ab", k=chance.randint(1, 3)))
        key, n = chance.choice("xyz"), chance.randint(0, 3)
        op: Any = chance.choice(
            [
                PutOp(namespace, key, {"n": n}),
                PutOp(namespace, key, None),
                GetOp(namespace, key),
                SearchOp(namespace[:n], {"n": n} if chance.random() < 0.5 else None, 100),
                ListNamespacesOp((MatchCondition("prefix", namespace[:1]),), n or None),
            ]
        )
        (ours,), (theirs,) = await store.abatch([op]), await own.abatch([op])
        if isinstance(op, SearchOp):
            assert keys(ours) == keys(theirs)  # type: ignore[arg-type]
        elif isinstance(op, GetOp):
            assert (ours and ours.value) == (theirs and theirs.value)  # type: ignore[union-attr]
        elif isinstance(op, ListNamespacesOp):
            # A namespace that has no items any more is none here.
            assert set(ours or ()) <= set(theirs or ())  # type: ignore[arg-type]


# Time to live


@pytest.fixture
async def timed(store_url: str) -> AsyncIterator[tuple[hf.Client, Clock]]:
    async with hf.connect(store_url) as client:
        made = PostgresClock(store_url) if store_url.startswith("postgres") else DatabaseClock(client.core.store)
        yield client, made


async def test_an_item_expires_unless_it_is_read(timed: tuple[hf.Client, Clock]) -> None:
    client, clock = timed
    store = Store(client=client, ttl={"default_ttl": 10})
    await store.aput(("a",), "default", {})
    await store.aput(("a",), "longer", {}, ttl=60.5)
    await store.aput(("a",), "for ever", {}, ttl=None)
    await clock.forward(8 * 60_000_000)
    assert await store.aget(("a",), "default") is not None
    await clock.forward(8 * 60_000_000)
    assert len(await store.asearch(("a",))) == 3
    await clock.forward(8 * 60_000_000)
    assert len(await store.asearch(("a",), refresh_ttl=False)) == 3
    await clock.forward(8 * 60_000_000)
    assert await store.aget(("a",), "default") is None
    assert keys(await store.asearch(("a",))) == [(("a",), "for ever"), (("a",), "longer")]


async def test_an_item_that_is_read_without_being_renewed_expires(timed: tuple[hf.Client, Clock]) -> None:
    client, clock = timed
    store = Store(client=client, ttl={"default_ttl": 10, "refresh_on_read": False})
    await store.aput(("a",), "k", {})
    await clock.forward(8 * 60_000_000)
    assert await store.aget(("a",), "k") is not None
    assert len(await store.asearch(("a",))) == 1
    await clock.forward(8 * 60_000_000)
    assert await store.aget(("a",), "k") is None
    assert await store.alist_namespaces() == []


# Without an event loop


def test_a_store_works_in_code_without_an_event_loop(store_url: str) -> None:
    with Store(store_url) as store:
        store.put(("a",), "k", {"n": 1})
        store.put(("b",), "l", {"n": 2}, ttl=5)
        found = store.get(("a",), "k")
        assert found is not None
        assert found.value == {"n": 1}
        assert keys(store.search((), filter={"n": {"$gt": 1}})) == [(("b",), "l")]
        assert store.list_namespaces() == [("a",), ("b",)]
        store.delete(("a",), "k")
        assert asyncio.run(store.aget(("a",), "k")) is None
    with pytest.raises(hf.UsageError, match="the store is not open"):
        store.get(("a",), "k")


async def test_a_call_that_would_wait_for_its_own_event_loop_says_so(store: Store) -> None:
    with pytest.raises(hf.UsageError, match="would wait for itself"):
        store.get(("a",), "k")
    await asyncio.to_thread(store.put, ("a",), "k", {"n": 1})
    assert await store.aget(("a",), "k") is not None


async def test_a_graph_remembers_across_threads_and_processes(disk_url: str) -> None:
    async def greet(state: dict[str, Any], runtime: Runtime[None]) -> dict[str, Any]:
        assert runtime.store is not None
        known = await runtime.store.aget(("users",), state["user"])
        times = known.value["times"] + 1 if known else 1
        await runtime.store.aput(("users",), state["user"], {"times": times})
        return {"times": times}

    builder: Any = StateGraph(dict)
    builder.add_node("greet", greet)
    builder.add_edge(START, "greet")
    builder.add_edge("greet", END)
    for times in (1, 2):
        async with Store(disk_url) as store:
            assert await builder.compile(store=store).ainvoke({"user": "ann"}) == {"times": times}


# Tenants, and bad input


async def test_tenants_do_not_see_each_other_s_items(disk_url: str) -> None:
    async with Store(disk_url, tenant="a") as ours, Store(disk_url, tenant="b") as theirs:
        await ours.aput(("n",), "k", {"of": "a"})
        assert await theirs.aget(("n",), "k") is None
        assert await theirs.asearch(()) == await theirs.alist_namespaces() == []
        await theirs.aput(("n",), "k", {"of": "b"})
        await theirs.adelete(("n",), "k")
        found = await ours.aget(("n",), "k")
        assert found is not None
        assert found.value == {"of": "a"}


@pytest.mark.parametrize("namespace", [(), ("",), ("a.b",), ("langgraph", "x"), (7,), ("nul \0",)], ids=str)
async def test_a_namespace_that_cannot_be_one_is_refused(store: Store, namespace: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidNamespaceError):
        await store.aput(namespace, "k", {})
    if namespace and namespace[0] != "langgraph":
        with pytest.raises(InvalidNamespaceError):
            await store.abatch([GetOp(namespace, "k")])
        with pytest.raises(InvalidNamespaceError):
            await store.asearch(namespace)


async def test_wrong_arguments_are_refused_with_what_to_give(store: Store) -> None:
    for key in ("", "nul \0", "x" * 513, "half \ud800"):
        with pytest.raises(hf.UsageError, match="the key"):
            await store.aput(("a",), key, {})
    with pytest.raises(hf.PayloadError, match=r"item 'k'.*when"):
        await store.aput(("a",), "k", {"when": datetime.datetime.now(datetime.UTC)})
    with pytest.raises(hf.PayloadError, match="item 'k'"):
        await store.aput(("a",), "k", {"n": float("nan")})
    with pytest.raises(hf.UsageError, match="give a mapping"):
        await store.aput(("a",), "k", ["no", "mapping"])  # type: ignore[arg-type]
    for ttl in (0, -1, float("inf"), float("nan"), True, "1"):
        with pytest.raises(hf.UsageError, match="minutes above 0"):
            await store.aput(("a",), "k", {}, ttl=ttl)  # type: ignore[arg-type]
    for limits in ({"limit": -1}, {"offset": -1}, {"limit": "1"}):
        with pytest.raises(hf.UsageError, match="0 or more"):
            await store.asearch((), **limits)
        with pytest.raises(hf.UsageError, match="0 or more"):
            await store.alist_namespaces(**limits)
    for wrong in ({"n": {"$in": [1]}}, {"n": {"deep": {"$near": 1}}}, {"n": {"$eq": 1, "m": 2}}):
        with pytest.raises(hf.UsageError, match=r"\$eq, \$gt"):
            await store.asearch((), filter=wrong)
    with pytest.raises(hf.UsageError, match="give a mapping"):
        await store.asearch((), filter=[1])  # type: ignore[arg-type]
    with pytest.raises(hf.UsageError, match="prefix or suffix"):
        await store.abatch([ListNamespacesOp((MatchCondition("middle", ("a",)),))])  # type: ignore[arg-type]
    assert await store.asearch(()) == []
