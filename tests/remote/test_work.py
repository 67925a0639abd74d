"""What a work queue does: the same, whether it works on the database or asks a server."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import holdfast as hf
from holdfast import errors
from holdfast.workqueue.queue import WorkQueue
from tests.remote.conftest import Place
from tests.remote.kit import waits, wire

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

UTC = dt.UTC
FORM = {"type": "object", "properties": {"amount": {"type": "integer", "minimum": 1}}, "required": ["amount"]}
AT_RISK = {"name": "Talk to them", "type": "risk", "rule": "scores.risk >= 7.0", "after": []}
ODD = "i/1 'quoted' \"twice\" <b>?a=1#x%2F ü\U0001f600."


@pytest_asyncio.fixture(loop_scope="module")
async def work(client: hf.Client) -> WorkQueue:
    """The work queue of the client."""
    return hf.work_queue(client)


async def test_an_item_from_its_making_to_its_end(work: WorkQueue) -> None:
    await work.put_subject("acme", name="Acme", assignee="maria", signals={"revenue_impact_tier": 5})
    due = dt.datetime(2099, 1, 1, tzinfo=UTC)
    made = await work.create(
        title="Talk", type="risk", subject="acme", due=due, form=FORM, data={"a": [1, None, "ü"]}, id=ODD,
        escalate_to=["bob"], acknowledge="1h",
    )  # fmt: skip
    assert (made.id, made.assignee, made.priority, made.due_at) == (ODD, "maria", 925, due)
    assert made.about is not None
    assert made.about.name == "Acme"
    assert await work.get(ODD) == made
    assert [one.id for one in await work.queue("maria")] == [ODD]
    assert await work.queue() == []
    assert (await work.list(text="acm", status=["not_started", "underway"]))[0].id == ODD
    assert (await work.count(assignee="maria")).items == 1
    started = await work.start(ODD, revision=1)
    assert (started.status, started.revision) == ("underway", 2)
    assert (await work.stop(ODD)).status == "not_started"
    snoozed = await work.snooze(ODD, days=3)
    assert snoozed.snooze_days == 3
    assert (await work.snooze(ODD, until=dt.date.today() + dt.timedelta(days=9))).snooze_days is None
    assert (await work.snooze(ODD, event="paid", key=5)).snooze_event == ("paid", "5")
    assert (await work.wake(ODD)).snooze_event is None
    assert (await work.escalate(ODD, "bob", reason="odd")).escalated_to == "bob"
    await work.acknowledge(ODD)
    assert (await work.assign(ODD, None)).assignee is None
    assert (await work.save(ODD, {"a": None, "next_steps": ["call"]})).next_steps[0].text == "call"
    done = await work.complete(ODD, {"amount": 5})
    assert (done.status, done.data["amount"], done.moves) == ("completed", 5, [])
    events = await work.history(ODD)
    assert [one.move for one in events][:3] == ["create", "start", "stop"]
    assert {one.actor for one in events} == {"local"}
    assert [one.revision for one in await work.history(ODD, after=2, limit=1)] == [3]
    why = await work.explain(ODD)
    assert (why.in_queue, sum(part.points for part in why.parts)) == (False, why.priority)
    other = await work.create(title="Other", group="desk")
    assert (await work.claim(other.id, lease=60)).assignee == "local"
    assert (await work.release(other.id)).assignee is None
    claimed = await work.claim_next("desk")
    assert claimed is not None
    assert await work.claim_next("desk") is None
    assert (await work.skip(other.id, "no")).skip_reason == "no"


async def test_pages_follow_one_another(work: WorkQueue) -> None:
    ids = [(await work.create(title=f"{number}", assignee="ida")).id for number in range(5)]
    first = await work.list(limit=2)
    rest = await work.list(limit=5, after=first[-1].id)
    assert [one.id for one in (*first, *rest)] == ids[::-1]
    assert (await work.list(assignee=""), (await work.count(cap=3)).capped) == ([], True)


async def test_a_change_on_top_of_something_else_is_refused(work: WorkQueue) -> None:
    item = await work.create(title="x", assignee="ida")
    await work.save(item.id, {"a": 1}, revision=1)
    for call in (
        work.start(item.id, revision=1), work.save(item.id, {}, revision=1), work.complete(item.id, revision=1),
        work.snooze(item.id, days=1, revision=1), work.assign(item.id, "bob", revision=1),
    ):  # fmt: skip
        with pytest.raises(errors.ItemChanged, match="is at revision 2") as changed:
            await call
        assert changed.value.item_id == item.id
    assert (await work.get(item.id)).revision == 2
    await work.put_subject("s", name="S", revision=0)
    with pytest.raises(errors.WorkChanged):
        await work.put_subject("s", name="T", revision=0)
    await work.put_subject("s", name="T", revision=1)
    for revision in (1, 7):
        with pytest.raises(errors.WorkChanged):
            await work.put_subject("s", name="U", revision=revision)
    with pytest.raises(errors.WorkChanged):
        await work.put_subject("absent", name="U", revision=3)
    await work.put_settings(zone="Europe/Berlin", revision=0)
    with pytest.raises(errors.WorkChanged):
        await work.put_settings(zone="UTC", revision=0)
    await work.put_definition("d", AT_RISK, revision=0)
    for call in (
        work.put_definition("d", AT_RISK, revision=0),
        work.activate("d", revision=2),
        work.retire("d", revision=9),
    ):
        with pytest.raises(errors.WorkChanged):
            await call
    assert (await work.activate("d", revision=1)).active


async def test_what_is_not_allowed_says_what_is(work: WorkQueue) -> None:
    item = await work.create(title="x", assignee="ida", form=FORM)
    with pytest.raises(errors.IllegalMove) as refused:
        await work.stop(item.id)
    assert (refused.value.item_id, refused.value.status) == (item.id, "not_started")
    assert refused.value.allowed == ["underway", "completed", "snoozed", "skipped"]
    for data, place in (({"amount": 0}, "data.amount"), ({"amount": "much"}, "data.amount"), ({}, "data")):
        with pytest.raises(hf.PayloadError) as unfit:
            await work.complete(item.id, data)
        assert unfit.value.place == place
    with pytest.raises(errors.ItemExists) as taken:
        await work.create(title="y", id=item.id)
    assert taken.value.item_id == item.id


def _bad(work: WorkQueue) -> list[tuple[Awaitable[Any], type[Exception]]]:
    usage, payload = hf.UsageError, hf.PayloadError
    odd: Any
    calls: list[tuple[Awaitable[Any], type[Exception]]] = []
    for odd in ("", "\0", "\ud800", "x" * 513, None, 5, b"x", []):
        calls += [(work.get(odd), usage), (work.start(odd), usage), (work.get_subject(odd), usage),
                  (work.put_subject(odd), usage), (work.get_definition(odd), usage), (work.escalate("i", odd), usage),
                  (work.claim_next(odd), usage)]  # fmt: skip
    for odd in ("", " ", "x" * 2001, "a\0b", "\ud800", None, 5):
        calls.append((work.skip("i", odd), usage))
    for odd in (0, 91, -1, "soon", 1.5, True):
        calls.append((work.snooze("i", days=odd), usage))
    for odd in (0, 1001, "many", True):
        calls += [(work.list(limit=odd), usage), (work.subjects(limit=odd), usage)]
        calls += [(work.signals("s", limit=odd), usage), (work.queue(limit=odd), usage)]
    calls += [
        (work.snooze("i"), usage),
        (work.snooze("i", days=1, until="2099-01-01"), usage),
        (work.snooze("i", until="2020-01-01"), usage),
        (work.snooze("i", until="tomorrow"), usage),
        (work.create(), usage),
        (work.create(title="x", assignee="a", group="g"), usage),
        (work.create(title="x", type="odd"), usage),
        (work.create(title="x", due="soon"), usage),
        (work.create(title="x", data={"a": math.nan}), payload),
        (work.create("absent"), errors.DefinitionNotFound),
        (work.create(title="x", subject="absent"), errors.SubjectNotFound),
        (work.create(title="x", after=["absent"]), errors.ItemNotFound),
        (work.save("i", {"a": math.inf}), payload),
        (work.save("i", {"a": "\ud800"}), payload),
        (work.save("i", {"big": "x" * 1_100_000}), payload),
        (work.save("i", [1]), usage),  # type: ignore[arg-type]
        (work.claim("i", lease=0), usage),
        (work.start("i", revision=True), usage),
        (work.get("absent"), errors.ItemNotFound),
        (work.start("absent"), errors.ItemNotFound),
        (work.history("absent"), errors.ItemNotFound),
        (work.history("i", after=-1), usage),
        (work.list(status="asleep"), usage),
        (work.list(batch="x"), usage),
        (work.list(demo="all"), usage),  # type: ignore[arg-type]
        (work.list(after="absent"), errors.ItemNotFound),
        (work.depend("i"), usage),
        (work.depend("i", on="i"), usage),
        (work.depend("i", on="absent"), errors.ItemNotFound),
        (work.depend("i", on_run="absent"), hf.RunNotFound),
        (work.put_subject("s", properties={"a": "b\0"}), payload),
        (work.put_subject("s", contacts=[{"relationship_strength": "poor"}]), usage),
        (work.put_subject("s", signals={"usage_score": 101}), usage),
        (work.get_subject("absent"), errors.SubjectNotFound),
        (work.signals("absent"), errors.SubjectNotFound),
        (work.put_signal("absent", "usage_score", 1), errors.SubjectNotFound),
        (work.put_signal("s", "usage_score", 101), usage),
        (work.put_signal("s", "usage_score", math.nan), usage),
        (work.put_signal("s", "usage_score", 1, at=dt.datetime(2999, 1, 1, tzinfo=UTC)), usage),
        (work.change("s", "usage_score", "soon"), usage),
        (work.change("s", "usage_score", 0), usage),
        (work.import_signals(b""), usage),
        (work.import_signals(b"x", form="xml"), usage),
        (work.import_signals(b"subject,name\n"), usage),
        (work.import_signals("absent.csv"), usage),
        (work.import_subjects(b""), usage),
        (work.import_subjects(b"id\n", delimiter="|"), usage),
        (work.put_definition("d", {}), usage),
        (work.put_definition("d", {"name": "x", "id": "e"}), usage),
        (work.put_definition("d", {"name": "x", "rule": "1 +"}), errors.RuleError),
        (work.put_definition("d", {"name": "x", "weight": math.nan}), usage),
        (work.dry_run({"id": "d", "name": "x", "rule": "1 +"}), errors.RuleError),
        (work.dry_run("absent"), errors.DefinitionNotFound),
        (work.load("absent.toml"), usage),
        (work.load_text("x = "), usage),
        (work.activate("absent"), errors.DefinitionNotFound),
        (work.get_definition("d", version=0), usage),
        (work.put_settings(zone="Mars"), usage),
        (work.put_settings(country="XX"), usage),
        (work.put_settings(preset="absent"), usage),
        (work.put_settings(policy={"x": 1}), usage),
        (work.use_preset("absent"), usage),
        (work.bulk("explode", ["i"]), usage),  # type: ignore[call-overload]
        (work.bulk("snooze", ["i"]), usage),
        (work.bulk("wake", {"colour": 1}), usage),
        (work.bulk("wake", "i"), usage),
        (work.undo("x"), usage),
        (work.undo("0" * 32), usage),
        (work.bulk_outcome("0" * 32), usage),
        (work.apply_plan("x"), usage),  # type: ignore[arg-type]
        (work.balance(simulate="no"), usage),  # type: ignore[arg-type]
        (work.analytics(by="colour"), usage),
        (work.analytics("soon"), usage),
        (work.analytics("2026-03-01", "2026-02-01"), usage),
        (work.analytics_series(every="hour"), usage),
        (work.analytics_series("2000-01-01", every="day"), usage),
        (work.demo_initialize(""), usage),
    ]
    return calls


async def test_bad_input_is_refused(work: WorkQueue) -> None:
    await work.put_subject("s")
    await work.create(title="x", id="i", assignee="ida")
    calls: list[tuple[Any, type[Exception]]] = _bad(work)
    for number, (call, kind) in enumerate(calls):
        found: Exception | None = None
        try:
            await call
        except Exception as error:
            found = error
        if type(found) is not kind:
            for rest, _ in calls[number + 1 :]:
                rest.close()
            raise AssertionError(f"number {number}, {call.__qualname__}: {found!r}")
    assert (await work.get("i")).revision == 1
    assert (await work.count()).items == 1
    assert [one.id for one in await work.subjects()] == ["s"]
    assert await work.definitions() == []


async def test_items_wait_for_one_another_and_for_runs(client: hf.Client, work: WorkQueue) -> None:
    for id in ("plan", "offer"):
        await work.create(title=id, id=id, assignee="ida")
    run = await client.start(waits.options(id="r"), "k")
    links = await work.depend("offer", on="plan")
    assert [one.on_item for one in links.waits_for] == ["plan"]
    links = await work.depend("offer", on_run=run.id)
    assert {one.on_run for one in links.waits_for} == {None, "r"}
    assert [one.item for one in (await work.links("plan")).waited_for_by] == ["offer"]
    assert [one.id for one in await work.queue("ida")] == ["plan"]
    with pytest.raises(hf.UsageError, match="waits for it"):
        await work.depend("plan", on="offer")
    await work.undepend("offer", on="plan")
    assert [one.on_run for one in (await work.undepend("offer", on_run="r")).waits_for] == []
    await client.cancel("r")


async def test_subjects_are_taken_in_one_by_one_and_in_files(work: WorkQueue, tmp_path: Path) -> None:
    made = await work.put_subject(
        "a/1", name="A", properties={"x": {"y": 1}}, contacts=[{"relationship_strength": "weak"}]
    )
    assert (made.weak, made.revision) == (1, 1)
    assert (await work.put_subject("a/1", assignee=None, properties={"x": {"y": None}})).properties == {"x": {}}
    rows: list[Any] = [{"id": f"s-{number}", "signals": {"usage_score": 5}} for number in range(3)]
    rows += [{"id": "s-1"}, {"name": "none"}, 5, {"id": "t", "signals": {"usage_score": 500}}, {"id": "u", "colour": 1}]
    became = await work.put_subjects(rows, source="crm")
    assert (became.stored, [one.line for one in became.faults]) == (3, [4, 5, 6, 7, 8])
    file = tmp_path / "customers.csv"
    file.write_bytes("id;name;usage_score\nc-1;Ä;10\nc-2;B;many\n\nc-1;again;\nc-3;C;300\n".encode())
    tried = await work.import_subjects(file, dry_run=True)
    became = await work.import_subjects(str(file))
    assert became == tried
    assert (became.stored, [one.line for one in became.faults]) == (1, [3, 5, 6])
    assert (await work.get_subject("c-1")).name == "Ä"
    assert [one.id for one in await work.subjects(limit=2)] == ["a/1", "c-1"]
    assert [one.id for one in await work.subjects(after="c-1", text="S-")] == ["s-0", "s-1", "s-2"]
    assert (await work.delete_subject("c-1"), await work.delete_subject("c-1")) == (True, False)


async def test_signals_come_alone_in_lists_and_in_files(work: WorkQueue, tmp_path: Path) -> None:
    await work.put_subject("a")
    at = dt.datetime(2026, 1, 1, tzinfo=UTC)
    sent = await work.put_signal("a", "usage_score", 80, at=at, source="crm")
    assert (sent.value, sent.at, sent.source) == (80.0, at, "crm")

    async def coming() -> AsyncIterator[Any]:
        for number in range(2500):
            yield {"subject": "a" if number != 2400 else "absent", "name": "n", "value": number, "at": at.isoformat()}
        yield {"subject": "a", "name": "usage_score", "value": 101}
        yield {"subject": "a", "name": "n", "value": math.nan}
        yield {"subject": "a", "name": "n", "value": 7, "at": dt.datetime(2026, 1, 2, tzinfo=UTC)}

    became = await work.put_signals(coming(), source="app")
    assert (became.stored, [one.line for one in became.faults]) == (2500, [2401, 2501, 2502])
    assert (await work.signals("a", name="n"))[0].value == 7
    assert len(await work.signals("a", since=dt.datetime(2026, 1, 2, tzinfo=UTC))) == 1
    csv, lines = tmp_path / "s.csv", tmp_path / "s.ndjson"
    csv.write_text("subject,name,value\na,m,1\nabsent,m,1\na,m,x\n")
    lines.write_text(json.dumps({"subject": "a", "name": "m", "value": 2}) + "\n[]\n")
    assert [one.line for one in (await work.import_signals(csv)).faults] == [3, 4]
    assert [one.line for one in (await work.import_signals(lines)).faults] == [2]
    assert (await work.import_signals(b"subject;name;value\na;m;3\n", delimiter=";", name="hand")).stored == 1
    assert (await work.signals("a", name="m"))[0].source == "hand"
    change = await work.change("a", "n", dt.timedelta(days=10_000))
    assert (change.before, change.now, change.difference) == (None, 7.0, None)
    assert await work.signal_names() == ["m", "n", "usage_score"]


async def test_definitions_have_versions_and_make_items(work: WorkQueue, tmp_path: Path) -> None:
    first = await work.put_definition("d/1", AT_RISK)
    second = await work.put_definition("d/1", {**AT_RISK, "weight": 950}, revision=1)
    assert (first.version, second.version, second.weight) == (1, 2, 950)
    assert [one.version for one in await work.versions("d/1")] == [2, 1]
    assert (await work.get_definition("d/1", version=1)) == first
    file = tmp_path / "kinds.toml"
    file.write_text('[definitions.b]\nname = "B"\n\n[definitions.c]\nname = "C"\nrule = "signals.x > )"\n')
    with pytest.raises(errors.RuleError, match=r"kinds\.toml, line 6"):
        await work.load(file)
    file.write_text(file.read_text().replace(")", "1.0"))
    assert [one.id for one in await work.load(file)] == ["b", "c"]
    assert [one.id for one in await work.definitions(active=False)] == ["b", "c", "d/1"]
    with pytest.raises(errors.RuleError) as unread:
        await work.put_definition("e", {"name": "x", "rule": "signals.a >\n )"})
    assert unread.value.line == 2
    await work.put_subject("s", assignee="ida", signals={"churn_risk_score": 9})
    await work.put_subject("t", signals={"churn_risk_score": 1})
    tried = await work.dry_run("d/1")
    assert (tried.subjects, tried.makes, tried.examples) == (2, 1, ["s"])
    assert (await work.dry_run({**AT_RISK, "id": "x", "rule": "scores.risk > 0.0"})).makes == 2
    await work.activate("d/1")
    [made] = await work.interpret()
    assert (await work.get(made)).subject == "s"
    daily = await work.daily()
    assert (daily.created, daily.recomputed, await work.recompute()) == (0, 1, 1)
    assert (await work.daily(dt.date(2026, 3, 1))).day == "2026-03-01"
    assert not (await work.retire("d/1")).active


async def test_the_work_queue_is_set_up(work: WorkQueue) -> None:
    assert (await work.get_settings()).revision == 0
    view = await work.put_settings(zone="Europe/Berlin", country="DE-BY")
    assert (view.zone, view.country, view.preset) == ("Europe/Berlin", "DE-BY", "customer_success")
    view = await work.put_settings(policy={"base": {"risk": 990}}, revision=view.revision)
    assert (view.preset, view.zone) == (None, "Europe/Berlin")
    assert await work.get_settings() == view
    assert (await work.put_settings(country=None)).country is None
    assert (await work.use_preset("customer_success")).preset == "customer_success"


async def test_many_are_moved_and_balanced(client: hf.Client, work: WorkQueue) -> None:
    for number in range(4):
        await work.create(title="x", id=f"i{number}", assignee="ida")
    tried = await work.bulk("snooze", {"assignee": "ida", "status": ["not_started"]}, days=3)
    assert (tried.items, tried.possible) == (4, 4)
    done = await work.bulk("snooze", ["i0", "i1", "absent"], days=3, dry_run=False)
    assert (done.done, done.refused, done.outcomes["i0"]) == (2, 1, "done")
    assert (await work.bulk_outcome(done.id)).done == 2
    await work.wake("i1")
    undone = await work.undo(done.id)
    assert (undone.done, undone.outcomes["i0"]) == (1, "done")
    assert [one.id for one in await work.list(batch=done.id)] == ["i1", "i0"]
    for id in ("ida", "bob"):
        await client.put_user(id, role="worker-of-items")
    assert [(one.assignee, one.items) for one in await work.loads()] == [("ida", 4)]
    plan = await work.balance()
    assert {one.to for one in plan.moves} == {"bob"}
    await work.save(plan.moves[0].item, {"a": 1})
    became = await work.apply_plan(plan)
    assert (became.done, became.refused) == (len(plan.moves) - 1, 1)
    assert (await work.balance(simulate=False)).made_at > plan.made_at


async def test_figures_and_the_demo(work: WorkQueue) -> None:
    for id in ("a", "b"):
        await work.create(title="x", id=id, assignee="ida")
    await work.complete("a")
    await work.skip("b", "no")
    found = await work.analytics(by="assignee")
    assert (found.total.completion_rate, found.groups[0].group, found.total.skips) == (0.5, "ida", {"no": 1})
    series = await work.analytics_series(dt.date(2026, 1, 1), "2026-01-03", every="day", assignee="ida")
    assert [one.total.created for one in series] == [0, 0]
    begun = await work.demo_initialize("ob", "maria")
    assert (await work.demo_initialize("ob", "maria")) == type(begun)(begun.items, False)
    status = await work.demo_status("maria")
    assert status.next is not None
    assert (status.total, status.next.id, status.next.workflow_id) == (3, begun.items[0], "obsblk-strategic-planning")
    assert (await work.demo_status()).total == 0
    assert await work.demo_reset("maria") == 3


def _but_clocks(views: Any) -> str:
    """What views say, but for what is left on clocks that run."""
    return re.sub(r"left_seconds=[\d.e-]+", "", repr(views))


async def test_both_show_the_same(place: Place) -> None:
    tenant = uuid.uuid4().hex
    asked: list[Callable[[WorkQueue], Awaitable[Any]]] = [
        lambda work: work.list(demo=None),
        lambda work: work.count(),
        lambda work: work.history("i"),
        lambda work: work.links("i"),
        lambda work: work.subjects(),
        lambda work: work.signals("s"),
        lambda work: work.definitions(),
        lambda work: work.versions("at-risk"),
        lambda work: work.get_settings(),
        lambda work: work.loads(),
        lambda work: work.analytics("2026-01-01", "2099-01-01", by="definition"),
        lambda work: work.demo_status("maria"),
        lambda work: work.dry_run("at-risk"),
    ]
    async with (
        hf.connect(place.url, tenant=tenant, actor="local") as local,
        hf.connect(place.address, tenant=tenant) as remote,
    ):
        here, there = hf.work_queue(local), hf.work_queue(remote)
        await there.use_preset("customer_success")
        await there.put_definition(
            "at-risk", {**AT_RISK, "steps": [{"id": "call", "title": "Call"}], "sla": {"start": "1d"}}
        )
        await there.put_subject(
            "s", name="Ü\U0001f600", assignee="maria", properties={"n": [1.5, None]}, signals={"churn_risk_score": 9}
        )
        await there.activate("at-risk")
        await there.daily()
        await there.create(title="x", id="i", assignee="maria", data={"next_steps": ["a", {"text": "b", "done": True}]})
        await there.create(title="y", id="j", after=["i"])
        await there.snooze("i", event="paid", key="k")
        await there.demo_initialize("ob", "maria")
        for ask in asked:
            ours, theirs = await ask(here), await ask(there)
            assert _but_clocks(theirs) == _but_clocks(ours)
            assert ours
        audited = {one.action for one in await local.audit(limit=1000)}
        assert {"work.preset", "definition.put", "subject.put", "demo.initialize"} <= audited


async def test_what_was_done_before_the_line_broke_is_done_once(place: Place) -> None:
    async with wire(place.address) as line, hf.connect(line.address, tenant=uuid.uuid4().hex) as client:
        work = hf.work_queue(client)
        lost: list[bytes] = []

        def swallow(data: bytes) -> bool:
            if not lost and b"HTTP/1.1 20" in data:
                lost.append(data)
            return lost == [data]

        line.swallow = swallow
        item = await work.create(title="x", assignee="ida")
        assert lost
        lost.clear()
        assert (await work.start(item.id)).revision == 2
        assert lost
        assert (await work.count()).items == 1
        assert [one.move for one in await work.history(item.id)] == ["create", "start"]
