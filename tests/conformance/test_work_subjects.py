"""Subjects are stored, changed by one at a time, listed and forgotten; over every store."""

import asyncio
import json

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.url import make_store
from holdfast.store.work_rows import SubjectRow
from tests.conformance.work_kit import NOW, find, item, made, signal, subject, subject_of

ACME = subject("acme", assignee="ann", contacts=b'[{"name": "Bob"}]', weak=1, demo=True)


async def ids(store: Store, limit: int = 99, **asked: str) -> list[str]:
    return [row.id for row in await store.work.list_subjects("t", limit=limit, **asked)]


async def test_a_subject_is_stored_as_it_is_given(store: Store) -> None:
    rows = [ACME, subject("b", name="Ünï ☃", properties=b'{"x": [1, null]}'), ACME._replace(tenant="u", name="other")]
    assert await store.work.put_subjects(rows) == [True] * 3
    found = await store.work.find_subjects("t", ["acme", "b", "nobody", "acme"])
    assert sorted(found) == sorted(rows[:2])
    assert await store.work.find_subjects("u", ["acme", "b"]) == rows[2:]
    assert await store.work.find_subjects("v", ["acme"]) == []
    assert await store.work.find_subjects("t", []) == []


async def test_a_change_is_stored_on_top_of_the_revision_it_was_made_from(store: Store) -> None:
    assert await store.work.put_subjects([ACME._replace(revision=2)]) == [False]
    assert await store.work.put_subjects([ACME]) == [True]
    assert await store.work.put_subjects([ACME]) == [True]  # the same once more
    assert await store.work.put_subjects([ACME._replace(name="other")]) == [False]
    mine, theirs = (ACME._replace(revision=2, name=name, assignee=None) for name in ("mine", "theirs"))
    assert await store.work.put_subjects([mine]) == [True]
    assert await store.work.put_subjects([theirs]) == [False]
    assert await store.work.put_subjects([ACME]) == [False]
    assert await store.work.put_subjects([mine]) == [True]
    assert await store.work.put_subjects([mine._replace(revision=9)]) == [False]
    assert await subject_of(store) == mine


async def test_signals_and_scores_stay_as_stored(store: Store) -> None:
    new = ACME._replace(signals=b'{"x": 1}', signals_at=b'{"x": 1}', scores=b'{"risk": {}}')
    assert await store.work.put_subjects([new]) == [True]
    assert await subject_of(store) == ACME
    assert await store.work.put_subjects([new]) == [True]
    await store.work.put_signals([signal("usage", 5)])
    await store.work.put_scores("t", [("acme", b'{"risk": {"score": 3}}')])
    assert await store.work.put_subjects([ACME]) == [True]
    assert await store.work.put_subjects([ACME._replace(revision=2, name="new")]) == [True]
    row = await subject_of(store)
    assert (row.name, json.loads(row.signals)) == ("new", {"usage": 5})
    assert row.scores == b'{"risk": {"score": 3}}'


async def test_many_at_once_are_each_judged_by_themselves(store: Store) -> None:
    rows = [subject(f"s-{n:05}") for n in range(2_000)]
    assert all(await store.work.put_subjects(rows))
    again = [row._replace(revision=3 if n % 100 == 7 else 2, weak=n) for n, row in enumerate(rows)]
    assert [n for n, done in enumerate(await store.work.put_subjects(again)) if not done] == list(range(7, 2_000, 100))
    found = await store.work.find_subjects("t", [row.id for row in rows])
    assert len(found) == 2_000
    assert {row.id: row.weak for row in found} == {row.id: 0 if n % 100 == 7 else n for n, row in enumerate(rows)}
    assert await store.work.put_subjects([]) == []


async def test_one_subject_twice_in_a_call(store: Store) -> None:
    changed = ACME._replace(revision=2, name="second")
    assert await store.work.put_subjects([ACME, ACME, changed, changed._replace(name="third")]) == [
        True, True, True, False,
    ]  # fmt: skip
    assert (await subject_of(store)).name == "second"


async def test_subjects_are_listed_by_id(store: Store) -> None:
    names = ["Zoe", "acme", "b", "é", "\U0001f600"]
    await store.work.put_subjects([subject(id) for id in reversed(names)])
    await store.work.put_subjects([subject("other", tenant="u")])
    assert await ids(store) == names
    assert await ids(store, 2) == names[:2]
    assert await ids(store, 2, after="acme") == names[2:4]
    assert await ids(store, after="\U0001f600") == []


async def test_subjects_are_found_by_assignee_and_by_text(store: Store) -> None:
    await store.work.put_subjects(
        [
            subject("a-1", name="Große 100% GmbH", assignee="ann"),
            subject("a_2", name="ÉTÉ", assignee="bob"),
            subject("B-3", name="plain", assignee="ann"),
            subject("c-4", name="back\\slash"),
        ]
    )
    assert await ids(store, assignee="ann") == ["B-3", "a-1"]
    assert await ids(store, assignee="ann", after="B-3") == ["a-1"]
    assert await ids(store, assignee="nobody") == []
    asked = {"GROSSE": ["a-1"], "100%": ["a-1"], "%": ["a-1"], "_": ["a_2"], "été": ["a_2"], "b-3": ["B-3"],
             "LAI": ["B-3"], "\\": ["c-4"], "a-1": ["a-1"], "x": [], "a%1": []}  # fmt: skip
    assert {text: await ids(store, text=text) for text in asked} == asked
    assert await ids(store, text="a", assignee="ann", limit=1) == ["B-3"]
    await store.work.put_subjects([subject("c-4", name="renamed", revision=2, assignee="ann")])
    assert await ids(store, text="slash") == []
    assert await ids(store, text="RENAMED", assignee="ann") == ["c-4"]


async def test_who_is_forgotten_leaves_no_signals_but_the_items(store: Store) -> None:
    await store.work.put_subjects([ACME, ACME._replace(tenant="u")])
    await store.work.put_signals([signal(), signal(tenant="u")])
    await made(store, item("i-1", subject="acme"))
    assert not await store.work.delete_subject("t", "nobody")
    assert await store.work.delete_subject("t", "acme")
    assert not await store.work.delete_subject("t", "acme")
    assert await store.work.find_subjects("t", ["acme"]) == []
    assert await store.work.list_signals("t", "acme", limit=9) == []
    assert (await find(store, "i-1")).subject == "acme"
    assert len(await store.work.list_signals("u", "acme", limit=9)) == 1
    assert await store.work.put_subjects([ACME]) == [True]
    assert await store.work.list_signals("t", "acme", limit=9) == []
    assert await store.work.list_signals("t", "acme", name="usage", limit=9) == []
    assert await store.work.signals_at("t", "usage", NOW, after="", limit=9) == []


@pytest.mark.parametrize("bad", ["a\0b", "x" * 600, "\ud800"])
async def test_what_cannot_be_stored_is_refused(store: Store, bad: str) -> None:
    for row in (ACME._replace(id=bad), ACME._replace(tenant=bad), ACME._replace(assignee=bad)):
        with pytest.raises(Rejected):
            await store.work.put_subjects([subject("fine"), row])
    with pytest.raises(Rejected):
        await store.work.put_subjects([ACME._replace(created_at=1 << 63)])
    assert await ids(store) == []
    if len(bad) < 600:
        with pytest.raises(Rejected):
            await store.work.put_subjects([ACME._replace(name=bad)])
    assert await ids(store) == []


async def test_of_two_processes_that_change_a_subject_one_does(disk_url: str) -> None:
    one, other = make_store(disk_url), make_store(disk_url)
    await one.open()
    await other.open()

    def rows(revision: int, name: str) -> list[SubjectRow]:
        return [subject(id, revision=revision, name=name) for id in ("a", "b", "c")]

    for revision in range(1, 8):
        found = await asyncio.gather(
            one.work.put_subjects(rows(revision, "one")),
            other.work.put_subjects(rows(revision, "other")[::-1]),
        )
        assert [mine != theirs for mine, theirs in zip(found[0], found[1][::-1], strict=True)] == [True] * 3
    await one.close()
    await other.close()
