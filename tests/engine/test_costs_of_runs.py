"""What the runs of a search cost, with their child runs: from every store, here and through a server."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

import holdfast as hf
from holdfast.engine import run_costs
from holdfast.engine import spending as spending_module
from holdfast.engine.client import Client
from holdfast.engine.spending import COST_BY
from tests.engine.spending_kit import HAIKU, MINI, WORKFLOWS, letter, order
from tests.remote.kit import serving

FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)

LETTER = Decimal("1.51230002")
"""What is asked for one letter, in four calls."""

EVERY = "created_at <= 'now'"


class Place(NamedTuple):
    """A client that starts runs, one that looks, and another tenant's that looks."""

    starts: Client
    looks: Client
    other: Client


@pytest.fixture(params=["local", "remote"])
async def place(request: pytest.FixtureRequest, disk_url: str) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        tenant, url = uuid.uuid4().hex, disk_url
        starts = await stack.enter_async_context(hf.connect(url, tenant=tenant))
        if request.param == "remote":
            url = await stack.enter_async_context(serving(disk_url))
        looks = await stack.enter_async_context(hf.connect(url, tenant=tenant))
        other = await stack.enter_async_context(hf.connect(url, tenant=uuid.uuid4().hex))
        await stack.enter_async_context(hf.Worker(disk_url, WORKFLOWS, drain=0))
        yield Place(starts, looks, other)


async def done(place: Place, workflow: Any, *args: Any, **options: Any) -> str:
    run = await place.starts.start(workflow.options(**options), *args)
    await run.result("60s")
    return run.id


async def sold(place: Place) -> None:
    """Two runs of one order, one of another, and a letter of none."""
    await done(place, order, "o-1", "Ada", id="1")
    await done(place, order, "o-2", "Bob", id="2")
    await done(place, order, "o-1", "Cid", id="3")
    await done(place, letter, "Dee", id="4", attributes={"who": "Ada"})


async def test_an_order_costs_what_its_runs_and_their_child_runs_cost(place: Place) -> None:
    await sold(place)
    report = await place.looks.model_costs(where="lane = 'order=o-1'")
    assert (report.runs, report.more, report.until) == (2, False, (await today(place)))
    assert [(one.phase, one.calls, one.failed, one.unpriced, one.cost) for one in report.rows] == [
        ("draft", 12, 8, 4, Decimal("6.0492")),
        ("review", 4, 0, 0, Decimal("8E-8")),
    ]
    assert (report.total.calls, report.total.cost, report.total.input_tokens) == (16, 4 * LETTER, 9200)
    by_day = await place.looks.model_costs(where="lane = 'order=o-1'", by=["day", "model"])
    assert [(one.day, one.model, one.calls) for one in by_day.rows] == [
        (FIRST, HAIKU, 4),
        (FIRST, MINI, 8),
        (SECOND, MINI, 4),
    ]
    by_workflow = await place.looks.model_costs(where="lane = 'order=o-2'", by=["workflow"])
    assert [(one.workflow, one.calls, one.cost) for one in by_workflow.rows] == [
        ("letter", 4, LETTER),
        ("order", 4, LETTER),
    ]
    second = await place.looks.model_costs(where="lane = 'order=o-1'", since=SECOND, until=SECOND, by=())
    assert [one.calls for one in second.rows] == [4]
    of_ada = await place.looks.model_costs(where="attributes.who = 'Ada'", by=())
    assert (of_ada.runs, of_ada.total.calls, of_ada.total.cost) == (2, 12, 3 * LETTER)
    nothing = await place.looks.model_costs(where="lane = 'order=o-3'")
    assert (nothing.runs, nothing.more, nothing.rows, nothing.total.calls) == (0, False, [], 0)


async def today(place: Place) -> date:
    return (await place.looks.model_costs()).until


async def test_the_costs_of_all_runs_are_those_of_the_tenant(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await sold(place)
    for at_once in (500, 1):
        monkeypatch.setattr(run_costs, "SEARCHED_AT_ONCE", at_once)
        monkeypatch.setattr(run_costs, "RUNS_AT_ONCE", at_once)
        for by in itertools.chain.from_iterable(itertools.combinations(COST_BY, many) for many in (0, 1, 2, 4)):
            whole = await place.looks.model_costs(since=FIRST, until=SECOND, by=by)
            found = await place.looks.model_costs(since=FIRST, until=SECOND, by=by, where=EVERY)
            assert (found.rows, found.total) == (whole.rows, whole.total)
            assert (found.runs, found.more, whole.runs, whole.more) == (10, False, None, False)
            assert whole.total.calls == 28


async def test_a_run_that_is_found_twice_counts_once(place: Place) -> None:
    await done(place, order, "o-1", "Ada", id="1")
    for where, runs in (
        ("workflow = 'order'", 1),
        ("workflow in ('order', 'delivery')", 2),
        ("workflow in ('order', 'letter')", 2),
        ("workflow in ('order', 'delivery', 'letter')", 3),
    ):
        report = await place.looks.model_costs(where=where)
        assert (report.runs, report.total.calls) == (runs, 8)
    assert (await place.looks.model_costs(where="workflow = 'delivery'")).total.calls == 4


async def test_it_is_told_when_there_are_more_runs_than_are_counted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sold(place)
    for most, runs, more, calls in ((1, 1, True, 8), (2, 2, True, 16), (3, 3, False, 24)):
        monkeypatch.setattr(run_costs, "RUNS_AT_MOST", most)
        report = await place.looks.model_costs(where="workflow = 'order'", by=())
        assert (report.runs, report.more, report.total.calls) == (runs, more, calls)
    monkeypatch.setattr(run_costs, "RUNS_AT_MOST", 1)
    newest = await place.looks.model_costs(where="id in ('1', '4')", by=["workflow"])
    assert [one.workflow for one in newest.rows] == ["letter"]
    monkeypatch.setattr(run_costs, "RUNS_AT_MOST", 10)
    for most, more in ((8, True), (9, False)):
        monkeypatch.setattr(run_costs, "ALL_AT_MOST", most)
        report = await place.looks.model_costs(where="workflow = 'order'", by=())
        assert (report.runs, report.more) == (3, more)
        assert (report.total.calls < 24) == more


async def test_another_tenant_finds_no_runs_of_it(place: Place) -> None:
    await done(place, order, "o-1", "Ada", id="1")
    for where in ("lane = 'order=o-1'", "id = '1'", EVERY):
        report = await place.other.model_costs(where=where)
        assert (report.runs, report.rows) == (0, [])


async def test_what_cannot_be_searched_for_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: Any = place.looks
    for where in ("lane = order", "order = 'o-1'", "", "id = 'a\0'"):
        with pytest.raises(hf.SearchError):
            await looks.model_costs(where=where)
    with pytest.raises(hf.UsageError, match="the search is 3"):
        await looks.model_costs(where=3)
    await done(place, letter, "Ada")
    monkeypatch.setattr(spending_module, "ROWS_AT_MOST", 1)
    with pytest.raises(hf.UsageError, match="more than 1 rows"):
        await looks.model_costs(where=EVERY)
