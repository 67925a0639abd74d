"""Changes that somebody made are recorded once, with what they belong to, and found newest first."""

import itertools

import pytest

from holdfast.store.base import Rejected, Store
from holdfast.store.operations import Audit, Results, Started
from holdfast.store.rows import AuditRow
from tests.conformance.kit import WORKER, claim, commit, start

_numbers = itertools.count(1)


def change(action: str = "run.cancel", actor: str = "ann", target: str = "r-1", tenant: str = "t") -> Audit:
    number = next(_numbers)
    return Audit(b"%016d" % number, tenant, actor, action, target, b'{"n": %d}' % number, 1000 + number)


async def found(store: Store, *, tenant: str = "t", limit: int = 99, **asked: object) -> list[AuditRow]:
    return await store.list_audit(tenant, limit=limit, **asked)  # type: ignore[arg-type]


def rows(*changes: Audit) -> list[AuditRow]:
    return [AuditRow(*one) for one in sorted(changes, reverse=True)]


async def test_changes_are_recorded_once_and_listed_newest_first(store: Store) -> None:
    changes = [change(), change(), change(tenant="u"), change()]
    first = await commit(store, audits=changes[1:])
    assert first == Results(audits=[None] * 3)
    await commit(store, audits=changes)
    await commit(store, audits=[changes[0]._replace(actor="eve")])
    ours = rows(changes[0], changes[1], changes[3])
    assert await found(store) == ours
    assert await found(store, limit=2) == ours[:2]
    assert await found(store, limit=2, before=ours[1].uid) == ours[2:]
    assert await found(store, tenant="u") == rows(changes[2])
    assert await found(store, tenant="v") == []


async def test_changes_are_found_by_who_what_and_to_what(store: Store) -> None:
    combinations = itertools.product(
        ("ann", "bob"), ("key.create", "run.cancel", "run.start", "runs.bulk"), ("r-1", "r-2")
    )
    changes = [change(action, actor, target) for actor, action, target in combinations] * 1
    changes += [change(action="run", actor="ann"), change(action="z", actor="eve", target="r-3")]
    await commit(store, audits=changes)
    await commit(store, audits=[change(one.action, one.actor, one.target, "u") for one in changes])
    for actor, action, target in itertools.product(
        (None, "ann", "eve", "nobody"),
        (None, "run", "run.", "run.start", "k", "none", "zz"),
        (None, "r-1", "r-3", "none"),
    ):
        wanted = rows(*(
            one for one in changes
            if actor in (None, one.actor) and one.action.startswith(action or "") and target in (None, one.target)
        ))  # fmt: skip
        asked = {"actor": actor, "action": action, "target": target}
        assert await found(store, **asked) == wanted, asked
        assert await found(store, limit=2, **asked) == wanted[:2], asked
        if len(wanted) > 2:
            assert await found(store, limit=2, before=wanted[1].uid, **asked) == wanted[2:4], asked


async def test_a_change_is_recorded_with_the_start_that_it_is_of(store: Store) -> None:
    new, told = start("a"), change("run.start", target="a")
    for _ in range(2):  # repeated after a lost connection
        results = await commit(store, starts=[new], audits=[told])
        assert results.starts == [Started(True, new.uid, "flow", new.input)]
        assert results.audits == [None]
    other = start("b")
    results = await commit(store, starts=[start("a"), other], audits=[told, change("run.start", target="b")])
    assert [one.created for one in results.starts if isinstance(one, Started)] == [False, True]
    assert [row.target for row in await found(store)] == ["b", "a"]
    assert len(await claim(store)) == 2


async def test_changes_come_last_in_a_batch_of_many_kinds(store: Store) -> None:
    from holdfast.store.operations import Claim, Promote

    results = await commit(
        store,
        starts=[start("a")],
        promotes=[Promote(5)],
        claims=[Claim(WORKER, b"c" * 16, 5, (("main", "flow", "v1", 1),))],
        audits=[change("run.start", target="a")],
    )
    assert len(results.claims[0]) == 1
    assert results.audits == [None]
    assert len(await found(store)) == 1


async def test_of_a_long_target_the_beginning_is_kept(store: Store) -> None:
    target = "é" * 5000
    await commit(store, audits=[change(target=target)])
    ((row,), by_target) = await found(store), await found(store, target=target)
    assert row.target == target[:512]
    assert by_target == [row]


@pytest.mark.parametrize("bad", ["a\0b", "x" * 600, "\ud800"])
async def test_what_cannot_be_stored_is_refused_and_nothing_with_it(store: Store, bad: str) -> None:
    with pytest.raises(Rejected):
        await commit(store, starts=[start("a")], audits=[change(), change(actor=bad)])
    with pytest.raises(Rejected):
        await commit(store, starts=[start("a")], audits=[change()._replace(at=1 << 63)])
    assert await found(store) == []
    assert await store.find_runs("t", ["a"]) == []
    if bad != "x" * 600:
        with pytest.raises(Rejected):
            await commit(store, audits=[change(target=bad)])
