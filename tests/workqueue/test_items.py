"""Work items over every store: made, looked at, moved, with what is refused, and a history that makes the item."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast.errors import (
    DefinitionNotFound,
    Forbidden,
    IllegalMove,
    ItemChanged,
    ItemExists,
    ItemNotFound,
    PayloadError,
    SubjectNotFound,
    UsageError,
)
from holdfast.model.work import replay, state_of
from holdfast.store.work_rows import LinkRow
from holdfast.workqueue.queue import WorkQueue, work_queue
from tests.engine.clock import move, move_to
from tests.engine.helpers import until
from tests.workqueue.item_kit import later, tend, working

MORNING = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)  # a Monday


async def ids(queue: WorkQueue, who: str | None = None, **how: Any) -> list[str]:
    """What is in somebody's queue."""
    return [one.id for one in await queue.queue(who, **how)]


# Making


async def test_an_item_of_its_own(store_url: str) -> None:
    async with working(store_url) as (client, queue):
        await move_to(client, MORNING)
        made = await queue.create(
            title="Call them", text="at once", type="risk", assignee="maria", due="2d", data={"a": 1}, id="i-1",
            escalate_to="boss", acknowledge="1h",
        )  # fmt: skip
        assert (made.id, made.title, made.text, made.type, made.status) == ("i-1", "Call them", "at once", "risk",
                                                                            "not_started")  # fmt: skip
        assert (made.priority, made.label, made.revision, made.kind) == (900, "Critical", 1, "work")
        assert made.due_at is not None
        assert timedelta(0) <= made.due_at - MORNING - timedelta(days=2) < timedelta(seconds=5)
        assert made.data == {"a": 1}
        assert await queue.get("i-1") == made
        [event] = await queue.history("i-1")
        assert (event.move, event.actor, event.revision, event.status) == ("create", "maria", 1, "not_started")
        assert event.changes["due_at"] == made.due_at.isoformat()


async def test_what_cannot_be_made(store_url: str) -> None:
    async with working(store_url) as (_, queue):
        await queue.create(title="One", id="i-1")
        with pytest.raises(ItemExists, match="choose another id"):
            await queue.create(title="Two", id="i-1")
        with pytest.raises(SubjectNotFound):
            await queue.create(title="Two", subject="nobody")
        with pytest.raises(DefinitionNotFound):
            await queue.create("nothing")
        with pytest.raises(ItemNotFound):
            await queue.create(title="Two", after=["i-1", "i-2"])
        wrong: list[dict[str, Any]] = [
            {}, {"title": ""}, {"title": "a\nb"}, {"title": "x" * 201}, {"title": 5}, {"title": "T", "type": "urgent"},
            {"title": "T", "weight": -1}, {"title": "T", "weight": True}, {"title": "T", "due": "soon"},
            {"title": "T", "due": datetime(2026, 1, 1)}, {"title": "T", "form": 5}, {"title": "T", "id": ""},
            {"title": "T", "assignee": "a", "group": "g"}, {"title": "T", "escalate_to": 5}, {"title": "T", "id": "\0"},
            {"title": "T", "data": {"a": float("nan")}}, {"title": "T", "after": "i-1"}, {"title": "T", "text": "\0"},
        ]  # fmt: skip
        for fields in wrong:
            with pytest.raises((UsageError, PayloadError)):
                await queue.create(**fields)
        assert [one.id for one in await queue.list()] == ["i-1"]


async def test_the_form_of_a_type_is_kept_as_its_schema(store_url: str) -> None:
    async with working(store_url) as (_, queue):
        made = await queue.create(title="Yes or no", form=bool)
        assert made.form is not None
        assert made.form["properties"]["answer"]["type"] == "boolean"
        with pytest.raises(PayloadError, match=r"data\.answer"):
            await queue.complete(made.id, {"answer": "yes"})
        assert (await queue.get(made.id)).status == "not_started"
        assert (await queue.complete(made.id, {"answer": True})).status == "completed"


# Looking


async def test_a_queue_is_by_priority_and_age(store_url: str) -> None:
    async with working(store_url) as (_, queue):
        for id, kind, who in [
            ("a", "custom", "maria"), ("b", "risk", "maria"), ("c", "strategic", "maria"), ("d", "risk", "maria"),
            ("e", "risk", "ivan"),
        ]:  # fmt: skip
            await queue.create(title=id, id=id, type=kind, assignee=who)
        assert await ids(queue) == ["b", "d", "c", "a"]
        assert await ids(queue, limit=2) == ["b", "d"]
        assert await ids(queue, "ivan") == ["e"]
        assert await ids(queue, "nobody") == []
        await queue.complete("b")
        await queue.skip("d", "no")
        assert await ids(queue) == ["c", "a"]
        for limit in (0, 1001, True, "5", None):
            with pytest.raises(UsageError, match="limit"):
                await queue.queue(limit=limit)  # type: ignore[arg-type]


async def test_a_snoozed_item_leaves_and_comes_back_at_the_top(store_url: str) -> None:
    async with working(store_url) as (client, queue):
        await move_to(client, MORNING)
        await queue.create(title="Other", id="other", type="risk", assignee="maria")
        await queue.create(title="It", id="it", assignee="maria")
        view = await queue.snooze("it", days=10)
        assert (view.status, view.snooze_days, view.priority, view.label) == ("snoozed", 10, 390, "Low")
        assert view.snooze_until is not None
        assert view.returns_at == view.snooze_until - timedelta(days=3)
        assert await ids(queue) == ["other"]
        assert await ids(queue, include_snoozed=True) == ["other", "it"]
        await later(client, 7 * 86_400 + 5)
        assert await ids(queue) == ["it", "other"]
        back = await queue.get("it")
        assert (back.status, back.priority) == ("snoozed", 997)
        assert (await queue.explain("it")).because == "It is in the queue of maria. It was snoozed, and is back."
        assert (await queue.start("it")).status == "underway"


async def test_lists_and_counts(store_url: str) -> None:
    async with working(store_url) as (_, queue):
        for number in range(5):
            await queue.create(title=f"Item {number}", id=f"i-{number}", assignee="maria" if number < 3 else None)
        await queue.start("i-0")
        await queue.complete("i-1")
        await queue.escalate("i-2", "boss")
        assert [one.id for one in await queue.list()] == ["i-4", "i-3", "i-2", "i-1", "i-0"]
        assert [one.id for one in await queue.list(limit=2)] == ["i-4", "i-3"]
        assert [one.id for one in await queue.list(limit=2, after="i-3")] == ["i-2", "i-1"]
        for filters, found in [
            ({"assignee": "maria"}, 3), ({"assignee": ""}, 2), ({"status": "underway"}, 1), ({"text": "item 4"}, 1),
            ({"status": ["completed", "underway"]}, 2), ({"escalated_to": "boss"}, 1), ({"kind": "ask"}, 0),
            ({"type": "custom"}, 5), ({"overdue": True}, 0), ({"blocked": True}, 0), ({"demo": True}, 0),
            ({"demo": None}, 5), ({"batch": "00" * 16}, 0), ({"group": "g"}, 0), ({"definition": "d"}, 0),
        ]:  # fmt: skip
            assert len(await queue.list(**filters)) == found, filters
            assert (await queue.count(**filters)).items == found, filters
        assert await queue.count(cap=3) == hf.ItemCount(3, True)
        for filters in [{"status": "done"}, {"type": "x"}, {"kind": "x"}, {"batch": "x"}, {"overdue": 1}]:
            with pytest.raises(UsageError):
                await queue.list(**filters)
        with pytest.raises(ItemNotFound):
            await queue.list(after="i-9")


async def test_an_explanation_adds_up(store_url: str) -> None:
    async with working(store_url) as (_, queue):
        await queue.put_subject("acme", name="Acme", assignee="maria")
        await queue.put_signals([
            {"subject": "acme", "name": "revenue_impact_tier", "value": 5},
            {"subject": "acme", "name": "churn_risk_score", "value": 8},
        ])  # fmt: skip
        made = await queue.create(title="Call them", type="risk", subject="acme")
        assert (made.assignee, made.priority) == ("maria", 965)
        assert made.about is not None
        assert made.about.signals == {"revenue_impact_tier": 5, "churn_risk_score": 8}
        said = await queue.explain(made.id)
        assert sum(one.points for one in said.parts) == said.priority == 965
        assert [one.points for one in said.parts] == [900, 25, 40]
        assert (said.label, said.in_queue, said.because) == ("Critical", True, "It is in the queue of maria.")


@pytest.mark.parametrize("id", ["i-9", "", "\0", "x" * 513])
async def test_what_is_not_there(store_url: str, id: str) -> None:
    async with working(store_url) as (_, queue):
        calls: list[Any] = [
            queue.get(id), queue.start(id), queue.stop(id), queue.complete(id), queue.snooze(id, days=1),
            queue.skip(id, "no"), queue.wake(id), queue.escalate(id, "boss"), queue.acknowledge(id),
            queue.assign(id, "ivan"), queue.claim(id), queue.release(id), queue.save(id, {}), queue.history(id),
            queue.explain(id), queue.reject(id, "no"),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(ItemNotFound if id == "i-9" else UsageError):
                await call


async def test_another_tenants_items_are_not_there(store_url: str) -> None:
    async with working(store_url) as (client, queue):
        await queue.create(title="Ours", id="i-1", assignee="maria")
        others = WorkQueue(client.core, "others", actor="maria")
        for call in (others.get("i-1"), others.start("i-1"), others.history("i-1")):
            with pytest.raises(ItemNotFound):
                await call
        assert await others.list() == []
        assert await others.queue() == []
        made = await others.create(title="Theirs", id="i-1")
        assert made.title == "Theirs"
        assert (await queue.get("i-1")).title == "Ours"


# Moving


async def test_every_move_is_an_event_and_the_events_make_the_item(store_url: str) -> None:
    async with working(store_url) as (client, queue):
        made = await queue.create(title="It", group="team", data={"a": {"x": 1}}, id="it")
        moves: list[Any] = [
            queue.claim("it", lease="1h"), queue.save("it", {"a": {"y": [1, 2]}}), queue.start("it"),
            queue.escalate("it", "boss", reason="help"), queue.snooze("it", until=date(2400, 1, 1)),
        ]  # fmt: skip
        with pytest.raises(UsageError, match="a year at most"):
            await moves.pop()
        for call in [
            *moves, queue.snooze("it", days=2), queue.wake("it"), queue.assign("it", "ivan"), queue.start("it"),
            queue.stop("it"), queue.release("it"), queue.claim("it"), queue.complete("it", {"a": {"x": None}}),
        ]:  # fmt: skip
            made = await call
        assert (made.status, made.data, made.revision) == ("completed", {"a": {"y": [1, 2]}}, 13)
        history = await queue.history("it")
        assert [one.move for one in history] == [
            "create", "claim", "save", "start", "escalate", "snooze", "wake", "assign", "start", "stop", "release",
            "claim", "complete",
        ]  # fmt: skip
        assert history[4].reason == "help"
        assert [one.revision for one in await queue.history("it", after=10)] == [11, 12, 13]
        assert [one.revision for one in await queue.history("it", limit=2)] == [1, 2]
        [row] = await client.core.store.work.find_items("default", ["it"])
        assert replay(await client.core.store.work.item_history("default", row.uid)) == state_of(row._asdict())


async def test_a_move_that_is_not_allowed_says_what_is(store_url: str) -> None:
    async with working(store_url) as (_, queue):
        await queue.create(title="It", id="it")
        with pytest.raises(IllegalMove, match="only one that is underway is stopped") as refused:
            await queue.stop("it")
        assert refused.value.allowed == ["underway", "completed", "snoozed", "skipped"]
        await queue.snooze("it", days=1)
        with pytest.raises(IllegalMove, match="it may become not_started, underway, snoozed, skipped"):
            await queue.complete("it")
        await queue.skip("it", "no")
        with pytest.raises(IllegalMove, match="has ended: it is skipped") as refused:
            await queue.start("it")
        assert (refused.value.status, refused.value.allowed) == ("skipped", [])
        assert (await queue.get("it")).revision == 3


async def test_a_revision_guards_against_a_lost_update(store_url: str) -> None:
    async with working(store_url) as (_, queue):
        first = await queue.create(title="It", id="it")
        await queue.save("it", {"a": 1}, revision=first.revision)
        with pytest.raises(ItemChanged, match="at revision 2"):
            await queue.save("it", {"a": 2}, revision=first.revision)
        with pytest.raises(ItemChanged):
            await queue.start("it", revision=7)
        assert (await queue.get("it")).data == {"a": 1}
        for revision in (-1, "2", True, 1.0):
            with pytest.raises(UsageError, match="revision"):
                await queue.start("it", revision=revision)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "how",
    [
        {}, {"days": 0}, {"days": 91}, {"days": "soon"}, {"days": True}, {"days": 1.5}, {"until": "soon"},
        {"until": "2001-01-01"}, {"until": date(1, 1, 1)}, {"until": 5}, {"days": 1, "until": "2400-01-01"},
        {"event": ""}, {"event": "e", "key": 1.5}, {"until": datetime.max}, {"until": "9999-12-31"},
    ],
)  # fmt: skip
async def test_a_snooze_that_cannot_be(how: Any) -> None:
    async with working("memory://") as (_, queue):
        await queue.create(title="It", id="it")
        with pytest.raises(UsageError):
            await queue.snooze("it", **how)
        assert (await queue.get("it")).revision == 1


async def test_a_snooze_is_in_the_zone_of_who_snoozes(store_url: str) -> None:
    async with working(store_url) as (client, queue):
        await client.put_user("maria", zone="America/New_York")
        await move_to(client, datetime(2026, 3, 6, 20, tzinfo=UTC))  # two days before the clocks change there
        await queue.create(title="It", id="it")
        view = await queue.snooze("it", until="2026-03-09")
        assert view.snooze_until == datetime(2026, 3, 9, 4, tzinfo=UTC)
        view = await queue.snooze("it", until=datetime(2026, 3, 9, 9))
        assert view.snooze_until == datetime(2026, 3, 9, 13, tzinfo=UTC)
        view = await queue.snooze("it", until=datetime(2026, 3, 9, 9, tzinfo=UTC))
        assert view.snooze_until == datetime(2026, 3, 9, 9, tzinfo=UTC)
        view = await queue.snooze("it", days=3)
        assert view.snooze_until is not None
        assert (view.snooze_until - datetime(2026, 3, 9, 19, tzinfo=UTC)).total_seconds() < 10
        assert view.returns_at == view.snooze_until


async def test_people_of_a_group_claim_and_give_back(store_url: str) -> None:
    async with working(store_url) as (client, queue):
        await client.put_user("maria", groups=["team"])
        await client.put_user("ivan", groups=[])
        ivan = WorkQueue(client.core, "default", actor="ivan")
        await queue.create(title="Low", id="low", group="team")
        await queue.create(title="High", id="high", type="risk", group="team")
        assert await ids(queue) == ["high", "low"]
        assert await ids(ivan) == []
        with pytest.raises(Forbidden):
            await ivan.claim("low")
        with pytest.raises(Forbidden):
            await ivan.claim_next("team")
        with pytest.raises(IllegalMove, match="claim it first"):
            await queue.start("low")
        first = await queue.claim_next("team", lease="1h")
        assert first is not None
        assert (first.id, first.assignee, first.group) == ("high", "maria", "team")
        second = await queue.claim_next("team")
        assert second is not None
        assert await queue.claim_next("team") is None
        anna = WorkQueue(client.core, "default", actor="anna")  # who is not known may be anybody
        with pytest.raises(IllegalMove, match="claimed by 'maria'"):
            await anna.claim("high")
        await queue.release("low")
        assert (await anna.claim("low")).assignee == "anna"
        await queue.start("high")
        await later(client, 3_601)
        back = await queue.get("high")
        assert (back.assignee, back.status) == (None, "not_started")
        for lease in (0, "soon", -1, "400d"):
            with pytest.raises(UsageError):
                await queue.claim("high", lease=lease)


async def test_an_escalation_to_the_manager(store_url: str) -> None:
    async with working(store_url) as (client, queue):
        await client.put_user("maria", manager="lead")
        await queue.create(title="It", id="it", assignee="maria")
        view = await queue.escalate("it", "@manager")
        assert (view.assignee, view.escalated_to) == ("maria", "lead")
        await queue.create(title="Other", id="other", assignee="ivan")
        with pytest.raises(UsageError, match="has no manager"):
            await queue.escalate("other", "@manager")
        with pytest.raises(UsageError, match="assigned to 'maria' already"):
            await queue.escalate("it", "maria")


# What becomes of items by themselves


async def test_overdue_items_escalate_and_climb(store_url: str) -> None:
    async with working(store_url) as (client, queue):
        await client.put_user("maria", manager="lead")
        await client.put_user("lead", manager="head")
        await queue.create(title="It", id="it", assignee="maria", due="1h", acknowledge="30m")
        await later(client, 3_000)
        assert (await queue.get("it")).escalated_to is None
        await later(client, 700)
        view = await queue.get("it")
        assert (view.assignee, view.escalated_to, view.overdue) == ("maria", "lead", True)
        assert [one.id for one in await queue.list(escalated_to="lead")] == ["it"]
        await later(client, 1_900)
        assert (await queue.get("it")).escalated_to == "head"
        lead = WorkQueue(client.core, "default", actor="head")
        assert (await lead.acknowledge("it")).acknowledge_by is None
        await later(client, 86_400)
        assert [one.move for one in await queue.history("it")] == ["create", "escalate", "escalate", "acknowledge"]
        assert [one.actor for one in await queue.history("it")] == ["maria", "holdfast", "holdfast", "head"]


async def test_what_waits_is_hidden_and_due_later(store_url: str) -> None:
    async with working(store_url) as (client, queue):
        await queue.create(title="First", id="first", assignee="maria")
        made = await queue.create(title="Then", id="then", assignee="maria", due="1d", after=["first"])
        assert made.blocked
        assert await ids(queue) == ["first"]
        with pytest.raises(IllegalMove, match="waits for others"):
            await queue.start("then")
        said = await queue.explain("then")
        assert (said.in_queue, said.because, [one.on_item for one in said.waits_for]) == (
            False, "It waits for first.", ["first"],
        )  # fmt: skip
        await later(client, 2 * 86_400)
        assert (await queue.get("then")).escalated_to is None
        await queue.complete("first")
        await tend(client)
        after = await queue.get("then")
        assert not after.blocked
        assert after.due_at is not None
        assert made.due_at is not None
        assert timedelta(days=2) <= after.due_at - made.due_at < timedelta(days=2, minutes=1)
        assert await ids(queue) == ["then"]
        assert [one.move for one in await queue.history("then")] == ["create", "unblock"]


async def test_many_who_tend_do_each_thing_once(disk_url: str) -> None:
    async with working(disk_url) as (client, queue), hf.connect(disk_url) as other:
        for number in range(20):
            await queue.create(title="It", id=f"i-{number}", assignee="maria", due=0)
        await asyncio.gather(*(tend(one) for one in (client, other) for _ in range(4)))
        for number in range(20):
            assert [one.move for one in await queue.history(f"i-{number}")] == ["create", "overdue"]


async def test_what_was_to_be_looked_at_in_vain_is_not_looked_at_for_ever(store_url: str) -> None:
    async with working(store_url) as (client, queue):
        await queue.create(title="First", id="first")
        await queue.create(title="Then", id="then")
        store: Any = client.core.store.work
        rows = {row.id: row for row in await store.find_items("default", ["first", "then"])}
        link = LinkRow("default", rows["then"].uid, rows["first"].uid, None, client.core.now_us(), None)
        await store.put_links([link])
        await store.delete_links([link])
        await tend(client)
        assert await store.due_items(2**62, 10) == []
        assert len(await queue.history("then")) <= 2


# With a worker


@pytest.mark.parametrize("forgotten", [True, False])
async def test_an_event_ends_a_snooze(store_url: str, forgotten: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other one, also if what waits for it was not told that its snooze is over."""

    async def forget(*_: Any) -> None:
        pass

    if forgotten:
        monkeypatch.setattr("holdfast.workqueue.moving.stop_waking", forget)

    @hf.workflow
    async def idle() -> None:
        pass

    async with working(store_url) as (client, queue), hf.Worker(client, [idle], drain=0):
        await queue.create(title="It", id="it", assignee="maria")
        await queue.create(title="Other", id="other", assignee="maria")
        view = await queue.snooze("it", event="shipped", key="o-1")
        assert view.snooze_event == ("shipped", "o-1")
        await queue.snooze("other", event="shipped", key="o-1", days=5)
        await queue.wake("other")
        await queue.snooze("other", days=5)
        await client.send_event("shipped", key="o-2", to="all")
        await client.send_event("shipped", key="o-1", to="all")

        async def awake() -> bool:
            return (await queue.get("it")).status == "not_started"

        await until(awake)

        async def over() -> bool:
            return await client.list(workflow="holdfast.wake", status="waiting") == []

        await until(over)
        [*_, last] = await queue.history("it")
        assert (last.move, last.actor, last.reason) == ("wake", "holdfast", "event shipped")
        assert (await queue.get("other")).status == "snoozed"


async def test_a_worker_tends(store_url: str) -> None:
    @hf.workflow
    async def idle() -> None:
        pass

    async with working(store_url) as (client, queue):
        await queue.create(title="It", id="it", assignee="maria", due="1h")
        await move(client, 3_700)
        async with hf.Worker(client, [idle], drain=0, lease="1000d"):

            async def told() -> bool:
                return len(await queue.history("it")) == 2

            await until(told)


def test_a_work_queue_needs_a_client() -> None:
    with pytest.raises(UsageError, match="give it a client"):
        work_queue("sqlite:///x.db")  # type: ignore[arg-type]
