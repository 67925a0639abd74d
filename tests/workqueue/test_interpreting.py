"""The interpreter: scores with what they were made of, and the items that rules and triggers by time call for."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast as hf
from holdfast.model.calendars import local_date, local_us
from holdfast.model.evaluation import Values, evaluate, inputs
from holdfast.model.expressions import Add, Field, Signal, Term
from holdfast.model.run import instant
from holdfast.store.work import ItemFilter
from holdfast.workqueue import interpreting, taken
from holdfast.workqueue.judging import Score
from holdfast.workqueue.queue import WorkQueue, work_queue
from holdfast.workqueue.score_columns import Subjects
from holdfast.workqueue.subjects import sample_customers
from tests.conformance.scoring_kit import EXPRESSIONS, SIGNALS
from tests.engine.clock import move, move_to
from tests.presets import CUSTOMER_SUCCESS
from tests.workqueue.item_kit import tend, working

AT_RISK: dict[str, Any] = {
    "name": "Keep them",
    "type": "risk",
    "rule": "scores.risk >= 7",
    "active": True,
    "cooldown": "14d",
}


@pytest.fixture(params=[2, 5000])
def portions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Subjects in portions of two, and all together."""
    monkeypatch.setattr(interpreting, "SUBJECTS", request.param)
    monkeypatch.setattr(interpreting, "PORTION", request.param)
    monkeypatch.setattr(taken, "PAGE", max(1, request.param - 1))


async def made(work: WorkQueue, definition: str, **filters: Any) -> list[str]:
    """The subjects that a definition has items for."""
    return sorted(one.subject or "" for one in await work.list(definition=definition, limit=1000, **filters))


@pytest.mark.usefixtures("portions")
async def test_an_item_for_each_whom_the_rule_holds_for(store_url: str) -> None:
    async with working(store_url) as (client, work):
        for n in range(9):
            await work.put_subject(f"s{n}", assignee="ines", signals={"churn_risk_score": n + 1, "usage_score": 10 * n})
        await work.put_definition("save", AT_RISK)
        await work.put_definition("off", {"name": "Off", "rule": "true"})
        created = await work.interpret()
        items = [await work.get(id) for id in created]
        assert [one.subject for one in items] == ["s6", "s7", "s8"]
        item = items[0]
        assert (item.title, item.type, item.status, item.assignee, item.definition, item.definition_version) == (
            "Keep them", "risk", "not_started", "ines", "save", 1,
        )  # fmt: skip
        assert (item.priority, item.label) == (900 + 7 * 5, "Critical")
        [event] = await work.history(item.id)
        assert (event.move, event.actor) == ("create", "holdfast")
        assert await work.interpret() == []
        [record, *_] = (await client.audit(action="work.interpret"))[::-1]
        assert record.detail == {"created": 3}


@pytest.mark.usefixtures("portions")
async def test_scores_are_stored_with_what_they_were_made_of(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_subject(
            "acme",
            contacts=[{"relationship_strength": "weak"}],
            signals={"churn_risk_score": 9, "utilization_percent": 100, "market_percentile": 25},
        )
        await work.put_subject("bare")
        assert (await work.daily()).scored == 2
        scores = (await work.get_subject("acme")).scores
        assert (scores["opportunity"].score, scores["risk"].score) == (5.0, 10.0)
        assert scores["risk"].inputs == {
            "churn_risk_score": 9.0, "last_month_growth": None, "revenue_impact_tier": None, "weak": 1,
        }  # fmt: skip
        assert scores["opportunity"].inputs["utilization_percent"] == 100.0
        bare = (await work.get_subject("bare")).scores
        assert (bare["opportunity"].score, bare["risk"].score) == (0.0, 0.0)
        first = scores["risk"].at
        await move(client, 60)
        assert (await work.daily()).scored == 0
        assert (await work.get_subject("acme")).scores["risk"].at == first
        await work.put_signal("acme", "churn_risk_score", 1)
        assert (await work.daily()).scored == 1
        risk = (await work.get_subject("acme")).scores["risk"]
        assert (risk.score, risk.inputs["churn_risk_score"]) == (3.0, 1.0)
        assert risk.at > first
        # Another policy makes another score of the same.
        await work.put_settings(
            policy={"preset": "customer_success", "risk": {"points": [], "at_least": 0, "at_most": 10}}
        )
        assert (await work.daily()).scored == 2
        risk = (await work.get_subject("acme")).scores["risk"]
        assert (risk.score, risk.inputs) == (0.0, {})


SUBJECTS = st.lists(st.tuples(SIGNALS, st.integers(0, 3)), max_size=4)


@settings(max_examples=60)
@given(EXPRESSIONS, SUBJECTS)
def test_columns_say_what_the_formula_says(expression: Any, subjects: list[tuple[dict[str, float], int]]) -> None:
    columns = Subjects([signals for signals, _ in subjects], [weak for _, weak in subjects])
    assert columns.scores(expression) == [evaluate(expression, Values(weak=weak, signals=it)) for it, weak in subjects]


@settings(max_examples=20)
@given(SUBJECTS)
def test_a_score_says_what_it_was_made_of(subjects: list[tuple[dict[str, float], int]]) -> None:
    for expression in (CUSTOMER_SUCCESS.risk, Add((Term("x", Signal("weak")), Term("y", Field("weak"))))):
        for signals, weak in subjects:
            values = Values(weak=weak, signals=signals)
            assert Score(expression).inputs(signals, weak) == inputs(expression, values)


# Never a second one


async def test_never_a_second_open_item_snoozed_ones_included(store_url: str) -> None:
    async with working(store_url) as (_, work):
        for n in range(3):
            await work.put_subject(f"s{n}", signals={"churn_risk_score": 9})
        await work.put_definition("save", AT_RISK)
        ids = await work.interpret()
        await work.start(ids[0])
        await work.snooze(ids[1], days=30)
        assert await work.interpret() == []
        with pytest.raises(hf.ItemExists):
            await work.create("save", subject="s1")


@pytest.mark.parametrize("end", ["skip", "complete"])
async def test_none_for_a_while_after_one_has_ended(store_url: str, end: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_subject("acme", signals={"churn_risk_score": 9})
        await work.put_definition("save", AT_RISK)
        [id] = await work.interpret()
        await (work.skip(id, "not now") if end == "skip" else work.complete(id))
        assert await work.interpret() == []
        found = await work.dry_run("save")
        assert (found.matches, found.taken, found.makes) == (1, 1, 0)
        await move(client, 14 * 86_400 - 60)
        assert await work.interpret() == []
        await move(client, 120)
        assert len(await work.interpret()) == 1


async def test_two_that_interpret_at_once_make_one(disk_url: str) -> None:
    async with working(disk_url) as (_, work), hf.connect(disk_url) as other:
        for n in range(20):
            await work.put_subject(f"s{n}", signals={"churn_risk_score": 9})
        await work.put_definition("save", AT_RISK)
        created = await asyncio.gather(work.interpret(), work_queue(other).interpret(), work.interpret())
        assert sorted(len(one) for one in created)[-1] <= 20
        assert sum(len(one) for one in created) == 20
        assert len(await made(work, "save")) == 20


async def test_of_the_demo_none_is_made(store_url: str) -> None:
    async with working(store_url) as (_, work):
        await work.put_subject("acme", signals={"churn_risk_score": 9}, demo=True)
        await work.demo_initialize("acme")
        await work.put_definition("save", AT_RISK)
        await work.put_definition("show", {"name": "Show", "demo": True, "rule": "true", "active": True})
        assert await work.interpret() == []
        assert (await work.get_subject("acme")).scores == {}
        with pytest.raises(hf.UsageError, match="belongs to the demo"):
            await work.activate("show")


async def test_of_another_tenant_none_is_made(disk_url: str) -> None:
    async with working(disk_url) as (_, work), hf.connect(disk_url, tenant="other") as other:
        await work.put_subject("acme", signals={"churn_risk_score": 9})
        await work_queue(other).put_definition("save", AT_RISK)
        assert await work_queue(other).interpret() == []


async def test_nothing_to_do(store_url: str) -> None:
    async with working(store_url) as (_, work):
        assert await work.interpret() == []
        await work.put_definition("save", AT_RISK)
        assert await work.interpret() == []
        assert await work.recompute() == 0


# What an item gets


@pytest.mark.usefixtures("portions")
async def test_steps_are_those_that_fit_the_subject(store_url: str) -> None:
    definition = {
        **AT_RISK,
        "steps": [
            {"id": "always"},
            {"id": "weak", "when": "subject.weak > 0"},
            {"id": "falling", "when": "signals.last_month_growth < -10"},
            {"id": "grave", "when": "scores.risk >= 9"},
            {"id": "gold", "when": "properties.plan == 'gold'"},
        ],
    }
    async with working(store_url) as (_, work):
        await work.put_subject("a", signals={"churn_risk_score": 7})
        await work.put_subject(
            "b", signals={"churn_risk_score": 8, "last_month_growth": -11}, properties={"plan": "gold"}
        )
        await work.put_subject("c", signals={"churn_risk_score": 7}, contacts=[{"relationship_strength": "weak"}])
        await work.put_definition("save", definition)
        items = [await work.get(id) for id in await work.interpret()]
        assert [[step.id for step in one.steps] for one in items] == [
            ["always"], ["always", "falling", "grave", "gold"], ["always", "weak", "grave"],
        ]  # fmt: skip
        # They stay, whatever the signals do.
        await work.put_signal("a", "last_month_growth", -50)
        assert [step.id for step in (await work.get(items[0].id)).steps] == ["always"]
        by_hand = await work.create("save", title="Again", assignee="ines")
        assert [step.id for step in by_hand.steps] == ["always"]


async def test_due_dates_clocks_and_people_of_a_definition(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await move_to(client, datetime(2027, 12, 23, 15, tzinfo=UTC))
        await work.put_settings(zone="Europe/Berlin", country="DE")
        await work.put_subject("acme", assignee="ines", signals={"churn_risk_score": 9})
        base = {**AT_RISK, "escalate_to": ["@manager"], "acknowledge": "1d", "sla": {"start": "2d"}}
        await work.put_definition("hours", {**base, "due": "36h"})
        await work.put_definition("business", {**base, "business_days": 2})
        await work.put_definition("pool", {**base, "group": "team"})
        await work.put_definition("named", {**base, "assign": "tomas"})
        await work.interpret()
        items = {one.definition: one for one in await work.list()}
        now = items["hours"].created_at
        assert items["hours"].due_at == now + timedelta(hours=36)
        # The 24th is a Friday and a working day; the 25th and 26th are holidays, on a weekend.
        assert items["business"].due_at == now + timedelta(days=4)
        assert (items["pool"].assignee, items["pool"].group) == (None, "team")
        assert (items["named"].assignee, items["hours"].assignee) == ("tomas", "ines")
        assert items["hours"].timers["start"].left_seconds == pytest.approx(2 * 86_400, abs=60)


@pytest.mark.usefixtures("portions")
async def test_one_comes_after_another(store_url: str) -> None:
    async with working(store_url) as (client, work):
        for id in ("a", "b", "c"):
            await work.put_subject(id, assignee="ines", signals={"churn_risk_score": 9})
        await work.put_definition("a-second", {**AT_RISK, "after": ["plan"], "due": "5d"})
        await work.put_definition("plan", {**AT_RISK, "type": "strategic", "rule": "subject.id != 'c'"})
        await work.create("plan", subject="a", assignee="ines")
        await work.interpret()
        assert await made(work, "plan") == ["a", "b"]
        seconds = {one.subject: one for one in await work.list(definition="a-second")}
        assert {id: one.blocked for id, one in seconds.items()} == {"a": True, "b": True, "c": False}
        queue = [(one.definition, one.subject) for one in await work.queue("ines")]
        assert queue == [("a-second", "c"), ("plan", "a"), ("plan", "b")]
        [plan] = await work.list(definition="plan", subject="b")
        links = await work.links(seconds["b"].id)
        assert [one.on_item for one in links.waits_for] == [plan.id]
        await move(client, 86_400)
        await work.complete(plan.id)
        await tend(client)
        second = await work.get(seconds["b"].id)
        assert not second.blocked
        assert second.due_at is not None
        assert second.due_at - seconds["b"].due_at >= timedelta(days=1)


# Triggers by time


@pytest.mark.parametrize(("days", "makes"), [(-1, False), (0, True), (1, True), (30, True), (31, False)])
async def test_a_renewal_is_so_many_days_away(store_url: str, days: int, makes: bool) -> None:
    async with working(store_url) as (client, work):
        await work.put_settings(zone="America/Los_Angeles")
        today = local_date(client.core.now_us(), "America/Los_Angeles")
        await work.put_subject("by-date", properties={"renews_on": (today + timedelta(days=days)).isoformat()})
        await work.put_subject("by-signal", signals={"days_left": days})
        await work.put_definition(
            "date", {"name": "R", "renewal": {"property": "renews_on", "days": 30}, "active": True}
        )
        await work.put_definition(
            "signal", {"name": "R", "renewal": {"signal": "days_left", "days": 30}, "active": True}
        )
        assert len(await work.interpret()) == (2 if makes else 0)


@pytest.mark.parametrize("written", ["soon", "", 20270101, None, True, "2027-13-01"])
async def test_a_renewal_without_a_date(written: Any) -> None:
    async with working("memory://") as (_, work):
        await work.put_subject("acme", properties={} if written is None else {"renews_on": written})
        await work.put_definition(
            "r", {"name": "R", "renewal": {"property": "renews_on", "days": 3000}, "active": True}
        )
        assert await work.interpret() == []


async def test_one_renewal_makes_one_item(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await move_to(client, datetime(2027, 3, 1, 12, tzinfo=UTC))
        await work.put_subject("acme", properties={"renews_on": "2027-04-20"})
        definition = {"name": "R", "renewal": {"property": "renews_on", "days": 90}, "cooldown": "1d", "active": True}
        await work.put_definition("r", definition)
        [first] = await work.interpret()
        await work.complete(first)
        for day in (date(2027, 3, 20), date(2027, 4, 20)):
            await move_to(client, instant(local_us(day, datetime(2027, 1, 1, 23, 59).time(), "UTC")))
            assert await work.interpret() == []
        # The next one, a year later.
        await work.put_subject("acme", properties={"renews_on": "2028-04-20"})
        await move_to(client, datetime(2028, 1, 20, 12, tzinfo=UTC))
        assert await work.interpret() == []
        await move_to(client, datetime(2028, 1, 21, 12, tzinfo=UTC))
        assert len(await work.interpret()) == 1


async def test_a_review_comes_each_year(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_subject("acme", properties={"customer_since": "2020-02-29"})
        definition = {
            "name": "Review",
            "annual": {"property": "customer_since", "days": 7},
            "cooldown": "0s",
            "active": True,
        }
        await work.put_definition("review", definition)
        days = {
            (2027, 2, 20): 0,
            (2027, 2, 21): 1,
            (2027, 2, 28): 0,
            (2027, 3, 1): 0,
            (2028, 2, 22): 1,
            (2029, 2, 21): 1,
        }
        for day, makes in days.items():
            await move_to(client, datetime(*day, 12, tzinfo=UTC))
            ids = await work.interpret()
            assert (day, len(ids)) == (day, makes)
            for id in ids:
                await work.complete(id)


@pytest.mark.parametrize(
    ("before", "now", "by", "makes"),
    [
        (80, 60, -20, True), (80, 61, -20, False), (80, 40, -20, True), (40, 60, 20, True), (40, 59, 20, False),
        (60, 80, -20, False), (None, 60, -20, False), (80, None, -20, False),
    ],
)  # fmt: skip
async def test_a_signal_has_changed(
    store_url: str, before: float | None, now: float | None, by: float, makes: bool
) -> None:
    async with working(store_url) as (client, work):
        for id in ("a", "b", "c"):
            await work.put_subject(id)
        start = instant(client.core.now_us())
        if before is not None:
            await work.put_signal("b", "usage_score", before, at=start - timedelta(days=31))
        if now is not None:
            await work.put_signal("b", "usage_score", now, at=start - timedelta(days=1))
        definition = {"name": "Fell", "change": {"signal": "usage_score", "over": "30d", "by": by}, "active": True}
        await work.put_definition("fell", {**definition, "cooldown": "1d"})
        ids = await work.interpret()
        assert len(ids) == (1 if makes else 0)
        if makes:
            await work.complete(ids[0])
            await move(client, 2 * 86_400)
            # It has changed still, but that was dealt with.
            assert await work.interpret() == []


async def test_rule_and_triggers_hold_together(store_url: str) -> None:
    async with working(store_url) as (client, work):
        day = (instant(client.core.now_us()).date() + timedelta(days=5)).isoformat()
        for id, score, on in (("a", 1, day), ("b", 9, "2020-01-01"), ("c", 9, day), ("d", 9, None)):
            properties = {} if on is None else {"renews_on": on}
            await work.put_subject(id, signals={"churn_risk_score": score}, properties=properties)
        await work.put_definition("r", {**AT_RISK, "renewal": {"property": "renews_on", "days": 10}})
        await work.interpret()
        assert await made(work, "r") == ["c"]


async def test_the_preset_on_the_sample(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await move_to(client, datetime(2026, 12, 1, 9, tzinfo=UTC))
        await work.import_subjects(sample_customers())
        await work.use_preset("customer_success")
        view = await work.daily()
        assert (view.day, view.scored) == ("2026-12-01", 20)
        assert await made(work, "save") == [
            "dovetail-rail", "ember-clinic", "gable-homes", "harrow-seeds", "juniper-hotels", "saltmarsh-water",
        ]  # fmt: skip
        assert await made(work, "expansion") == [
            "alder-foods", "cinder-works", "fathom-survey", "kestrel-air", "lantern-energy", "oakmoss-bank",
            "rookery-games",
        ]  # fmt: skip
        assert await made(work, "renewal") == [
            "alder-foods", "bramble-press", "dovetail-rail", "ember-clinic", "harrow-seeds", "juniper-hotels",
            "marrow-and-thyme", "quillon-law", "saltmarsh-water",
        ]  # fmt: skip
        assert view.created == view.recomputed == len(await work.list(limit=1000))
        top = (await work.queue("ines", limit=1))[0]
        assert (top.definition, top.subject) == ("save", "dovetail-rail")
        assert (await work.daily()).created == 0


async def test_many_items_may_take_long_to_be_scored_anew(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with working(store_url) as (client, work):
        recompute = client.core.store.work.recompute

        async def slowly(*args: Any, **kwargs: Any) -> int:
            await asyncio.sleep(0.3)
            return await recompute(*args, **kwargs)

        monkeypatch.setattr(client.core.store.work, "recompute", slowly)
        monkeypatch.setattr("holdfast.engine.part.PATIENCE_SECONDS", 0.2)
        assert await work.recompute() == 0


async def test_recompute_stores_what_queues_show(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_subject("acme", assignee="maria", signals={"churn_risk_score": 8})
        await work.put_definition("save", AT_RISK)
        [id] = await work.interpret()
        await work.put_signal("acme", "churn_risk_score", 2)
        assert [one.priority for one in await work.queue()] == [910]
        [row] = await client.core.store.work.list_items("default", ItemFilter(), limit=1)
        assert (row.id, row.priority) == (id, 940)
        assert await work.recompute() == 1
        [row] = await client.core.store.work.list_items("default", ItemFilter(), limit=1)
        assert row.priority == 910
