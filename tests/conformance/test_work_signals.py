"""Signals are kept, and the latest of each with its subject, in whatever order they come; over every store."""

import asyncio
import itertools
import json
import math

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.url import make_store
from holdfast.store.work_rows import SignalRow
from tests.conformance.work_kit import DAY, NOW, latest, signal, subject, subject_of


@pytest.fixture
async def store(store: Store) -> Store:
    """A store that knows two subjects."""
    await store.work.put_subjects([subject("acme"), subject("zeta"), subject("acme", tenant="u")])
    return store


async def listed(store: Store, **asked: object) -> list[tuple[str, int, float]]:
    rows = await store.work.list_signals("t", "acme", **({"limit": 99} | asked))  # type: ignore[arg-type]
    return [(row.name, row.at - NOW, row.value) for row in rows]


async def test_a_signal_is_stored_as_it_is_given(store: Store) -> None:
    rows = [signal("usage", 0.1), signal("ünï 'x\" $.", -1e300, source="crm"), signal(subject="zeta", value=7)]
    assert await store.work.put_signals(rows) == []
    assert await store.work.list_signals("t", "acme", limit=9) == sorted(rows[:2], key=lambda row: row.name)
    assert await store.work.list_signals("t", "zeta", limit=9) == rows[2:]
    assert await store.work.list_signals("u", "acme", limit=9) == []
    assert await latest(store) == ({"usage": 0.1, "ünï 'x\" $.": -1e300}, {"usage": NOW, "ünï 'x\" $.": NOW})
    assert await latest(store, tenant="u") == ({}, {})
    assert await store.work.put_signals([]) == []


async def test_the_latest_counts_in_whatever_order_they_come(store: Store) -> None:
    rows = [signal("usage", n, NOW + n) for n in range(3)] + [signal("seats", 9, NOW)]
    for order in itertools.permutations(rows):
        await store.work.put_subjects([subject("new")])
        moved = [row._replace(subject="new") for row in order]
        await store.work.put_signals(moved[:2])
        await store.work.put_signals(moved[2:])
        assert await latest(store, "new") == ({"usage": 2, "seats": 9}, {"usage": NOW + 2, "seats": NOW})
        await store.work.delete_subject("t", "new")


async def test_one_of_the_same_time_is_replaced(store: Store) -> None:
    first = signal("usage", 1)
    for row in (first, first, first._replace(value=2, source="other")):
        assert await store.work.put_signals([row]) == []
    assert await store.work.list_signals("t", "acme", limit=9) == [first._replace(value=2, source="other")]
    assert (await latest(store))[0] == {"usage": 2}
    await store.work.put_signals([first._replace(value=3), first._replace(value=4)])
    assert await listed(store) == [("usage", 0, 4)]
    assert (await latest(store))[0] == {"usage": 4}
    await store.work.put_signals([signal("usage", 9, NOW + 5)])
    await store.work.put_signals([first])  # late: corrected in history alone
    assert await listed(store) == [("usage", 5, 9), ("usage", 0, 1)]
    assert await latest(store) == ({"usage": 9}, {"usage": NOW + 5})


async def test_signals_of_nobody_are_not_stored(store: Store) -> None:
    rows = [signal(subject="nobody"), signal("usage", 1), signal(subject="else"), signal(subject="zeta", tenant="u")]
    assert await store.work.put_signals(rows) == [0, 2, 3]
    assert await store.work.list_signals("t", "nobody", limit=9) == []
    assert await listed(store) == [("usage", 0, 1)]
    assert await store.work.put_signals([signal("unseen", subject="nobody")]) == [0]
    assert await store.work.signal_names("t") == ["usage"]
    assert await store.work.signal_names("u") == []


async def test_signals_are_listed_newest_first(store: Store) -> None:
    rows = [signal(name, n, NOW + n * DAY) for n in range(4) for name in ("b", "a")]
    await store.work.put_signals(rows)
    await store.work.put_signals([signal("late", 1, NOW + 9 * DAY, subject="zeta")])
    expected = [(name, n * DAY, n) for n in (3, 2, 1, 0) for name in ("a", "b")]
    assert await listed(store) == expected
    assert await listed(store, limit=3) == expected[:3]
    assert await listed(store, name="a") == [one for one in expected if one[0] == "a"]
    assert await listed(store, name="a", since=NOW + DAY, until=NOW + 2 * DAY) == [("a", 2 * DAY, 2), ("a", DAY, 1)]
    assert await listed(store, since=NOW + 2 * DAY) == expected[:4]
    assert await listed(store, until=NOW) == expected[6:]
    assert await listed(store, name="late") == []


async def test_what_a_signal_was_at_an_instant(store: Store) -> None:
    await store.work.put_subjects([subject(id) for id in ("b", "c", "d", "é")])
    for id, values in {"acme": (1, 2, 3), "b": (4,), "d": (None, 5), "é": (None, None, 6), "zeta": (7, 8)}.items():
        rows = [signal("x", v, NOW + n * DAY, subject=id) for n, v in enumerate(values) if v is not None]
        await store.work.put_signals([*rows, signal("y", 99, NOW, subject=id)])

    async def at(days: float, after: str = "", limit: int = 99) -> list[tuple[str, float]]:
        return await store.work.signals_at("t", "x", NOW + int(days * DAY), after=after, limit=limit)

    assert await at(-1) == []
    assert await at(0) == [("acme", 1), ("b", 4), ("zeta", 7)]
    assert await at(1.5) == [("acme", 2), ("b", 4), ("d", 5), ("zeta", 8)]
    assert await at(9) == [("acme", 3), ("b", 4), ("d", 5), ("zeta", 8), ("é", 6)]
    assert await at(9, limit=2) == [("acme", 3), ("b", 4)]
    assert await at(9, after="b", limit=2) == [("d", 5), ("zeta", 8)]
    assert await store.work.signals_at("u", "x", NOW, after="", limit=9) == []


async def test_names_are_those_that_were_ever_sent(store: Store) -> None:
    await store.work.put_signals([signal(name) for name in ("usage", "Seats", "é", "usage")])
    await store.work.put_signals([signal("theirs", tenant="u")])
    await store.work.delete_subject("t", "acme")
    assert await store.work.signal_names("t") == ["Seats", "usage", "é"]
    assert await store.work.signal_names("u") == ["theirs"]


async def test_thousands_at_once(store: Store) -> None:
    subjects = [f"s-{n:04}" for n in range(500)]
    await store.work.put_subjects([subject(id) for id in subjects])
    rows = [
        signal(name, hash((id, at)) % 97, NOW + at, subject=id)
        for at in (3, 1, 2)
        for name in ("a", "b")
        for id in subjects
    ]
    rows.insert(1_000, signal(subject="nobody"))
    assert await store.work.put_signals(rows) == [1_000]
    assert await store.work.put_signals(rows) == [1_000]
    for row in await store.work.find_subjects("t", subjects):
        value = hash((row.id, 3)) % 97
        assert json.loads(row.signals) == {"a": value, "b": value}
        assert json.loads(row.signals_at) == {"a": NOW + 3, "b": NOW + 3}
    assert len(await store.work.list_signals("t", "s-0007", limit=99)) == 6


async def test_scores_are_stored_with_their_subjects(store: Store) -> None:
    await store.work.put_subjects([subject(f"s-{n}") for n in range(600)])
    scores = [(f"s-{n}", b'{"risk": {"score": %d}}' % n) for n in range(600)]
    await store.work.put_scores("t", [*scores, ("nobody", b"{}")])
    await store.work.put_scores("t", [*scores, ("acme", b'{"risk": {"score": 1}}')])
    await store.work.put_scores("t", [])
    assert (await subject_of(store, "s-599")).scores == b'{"risk": {"score": 599}}'
    assert (await subject_of(store)).scores == b'{"risk": {"score": 1}}'
    assert (await subject_of(store, tenant="u")).scores == b"{}"
    assert await store.work.find_subjects("t", ["nobody"]) == []


@pytest.mark.parametrize(
    "bad",
    [
        signal(value=math.nan),
        signal(value=math.inf),
        signal("a\0b"),
        signal("\ud800"),
        signal("x" * 600),
        signal(source="a\0b"),
        signal(subject="a\0b"),
        signal(at=1 << 63),
    ],
)
async def test_what_cannot_be_stored_is_refused(store: Store, bad: SignalRow) -> None:
    with pytest.raises(Rejected):
        await store.work.put_signals([signal("fine"), bad])
    assert await store.work.signal_names("t") == []
    assert await latest(store) == ({}, {})


async def test_signals_of_two_processes_at_once(disk_url: str) -> None:
    one, other = make_store(disk_url), make_store(disk_url)
    await one.open()
    await other.open()
    ids = [f"s-{n:02}" for n in range(20)]
    await one.work.put_subjects([subject(id) for id in ids])
    for n in range(0, 10, 2):
        newer = [signal(name, n, NOW + n, subject=id) for name in ("x", "a") for id in ids]
        older = [signal("x", -n, NOW + n - 1, subject=id) for id in ids[::-1]]
        older += [signal("b", n, NOW + n, subject=id) for id in ids[::-1]]
        assert await asyncio.gather(one.work.put_signals(newer), other.work.put_signals(older)) == [[], []]
        for row in await one.work.find_subjects("t", ids):
            assert json.loads(row.signals) == {"x": n, "a": n, "b": n}
    await one.close()
    await other.close()
