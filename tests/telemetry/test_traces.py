"""One trace for each run: its shape, what it hangs on, and what goes on when tracing itself fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

import holdfast as hf
from holdfast.engine import tracing
from holdfast.model.trace import TRACEPARENT, run_span_id, trace_id
from tests.engine.helpers import serving, until_status
from tests.telemetry.conftest import provide
from tests.telemetry.kit import Spans, charge, item, links, order, own_span, parcel, said, shop, tree


async def test_a_run_is_a_trace_with_a_span_for_each_attempt(store_url: str, spans: Spans) -> None:
    async with serving(store_url, order) as client:
        run = await client.start(order.options(id="o/1"), 2)
        assert await run.result(timeout="20s") == [1, 2]
        await spans.arrived("execute order")
    assert len({span.context.trace_id for span in spans.all}) == 1
    thread = {"in thread": {}}
    assert tree(spans.all) == {
        "run order": {
            "execute order": {
                "charge": {"POST": {}}, "charge #2": {"POST": {}}, "charge #3": {"POST": {}},
                "pack": thread, "pack #2": thread,
            }
        }
    }  # fmt: skip
    attempts = spans.named("charge")
    assert [said(span, "step.attempt") for span in attempts] == [1, 2, 3]
    assert [said(span, "step.outcome") for span in attempts] == ["error", "error", "ok"]
    assert [span.status.status_code for span in attempts] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert attempts[0].status.description == "ValueError: the card was declined"
    [raised] = attempts[0].events
    assert (raised.name, (raised.attributes or {})["exception.message"]) == ("exception", "the card was declined")
    assert {said(span, "step.position") for span in spans.named("pack")} == {"1", "2"}
    whole, execution = spans.one("run order"), spans.one("execute order")
    assert (whole.parent, whole.kind, whole.status.status_code) == (None, SpanKind.CONSUMER, StatusCode.UNSET)
    about = {"run.id": "o/1", "run.generation": 1, "workflow": "order", "tenant": "default", "queue": "default"}
    for name, value in {**about, "run.status": "succeeded"}.items():
        assert said(whole, name) == said(execution, name) == value
    assert said(execution, "execution.outcome") == "succeeded"
    retries = [dict(event.attributes or {}) for event in execution.events if event.name == "retry"]
    assert [(one["holdfast.step"], one["holdfast.step.attempt"]) for one in retries] == [("charge", 1), ("charge", 2)]


async def test_children_have_traces_of_their_own_that_link_to_their_parent(store_url: str, spans: Spans) -> None:
    async with serving(store_url, shop) as client:
        run = await client.start(shop, 3)
        assert await run.result(timeout="20s") == [0, 1, 2]
        await spans.arrived("execute item", 4)
    parent = spans.one("run shop")
    children = spans.named("run item")
    assert len({span.context.trace_id for span in (parent, *children)}) == 5
    above = ("parent", parent.context.trace_id, parent.context.span_id)
    assert [links(child) for child in children] == [[above]] * 4
    assert tree([one for one in spans.all if one.context.trace_id == children[0].context.trace_id]) == {
        "run item": {"execute item": {"pack": {"in thread": {}}}}
    }
    waited = [dict(event.attributes or {}) for event in spans.one("execute shop").events if event.name == "wait"]
    assert waited[0]["holdfast.wait.for"] == "child"
    assert waited[0]["holdfast.child.id"] == f"{run.id}/1.0"


@pytest.mark.slow
@pytest.mark.usefixtures("leave_memory")
async def test_a_run_that_leaves_memory_goes_on_in_its_trace(store_url: str, spans: Spans) -> None:
    async with serving(store_url, parcel) as client:
        run = await client.start(parcel, "p-1")
        [first] = await spans.arrived("execute parcel")
        await client.send_event("shipped", key="p-1", payload="truck")
        assert await run.result(timeout="20s") == "truck"
        await spans.arrived("execute parcel", 2)
    assert tree(spans.all) == {
        "run parcel": {
            "execute parcel": {"charge": {"POST": {}}},
            "execute parcel #2": {"pack": {"in thread": {}}},  # the charge is replayed: it makes no span
        }
    }
    assert len({span.context.trace_id for span in spans.all}) == 1
    second = spans.named("execute parcel")[1]
    assert [said(one, "execution.outcome") for one in (first, second)] == ["parked", "succeeded"]
    [wait] = [dict(event.attributes or {}) for event in first.events if event.name == "wait"]
    assert wait.pop("holdfast.wait.until").startswith("20")
    assert wait == {
        "holdfast.wait.for": "event", "holdfast.wait.name": "shipped", "holdfast.wait.key": "p-1",
        "holdfast.step.position": "1",
    }  # fmt: skip


@hf.workflow
async def labelled(order: str) -> dict[str, Any]:
    await hf.set_attributes(region="north")
    return {}


@pytest.mark.slow
async def test_the_callers_span_is_kept_with_the_run_and_not_shown(store_url: str, spans: Spans) -> None:
    async with serving(store_url, labelled) as client:
        with own_span("request") as request:
            run = await client.start(labelled.options(attributes={"order": "o-1"}), "o-1")
            [other] = await client.start_many(labelled, [("o-2",)])
        await run.result(timeout="20s")
        await other.result(timeout="20s")
        assert (await run.view()).attributes == {"order": "o-1", "region": "north"}
        assert (await other.view()).attributes == {"region": "north"}
        assert await client.list(where=f"attributes.\"{TRACEPARENT}\" != ''") == []
        assert [view.id for view in await client.list(where="attributes.order = 'o-1'")] == [run.id]
        context = request.get_span_context()
        caller = ("caller", context.trace_id, context.span_id)
        for whole in await spans.arrived("run labelled", 2):
            assert links(whole) == [caller]
            assert whole.context.trace_id != context.trace_id
        with own_span("fork") as fork:
            forked = await client.fork(run.id)
        await until_status(client, forked, "succeeded")
        third = (await spans.arrived("run labelled", 3))[-1]
        assert links(third) == [("caller", fork.get_span_context().trace_id, fork.get_span_context().span_id)]
        assert (await client.get(forked)).attributes == {"order": "o-1", "region": "north"}


async def test_a_run_started_in_a_step_links_to_that_step(sqlite_url: str, spans: Spans) -> None:
    @hf.step
    async def starts() -> str:
        async with hf.connect(sqlite_url) as client:
            return (await client.start(item, 1)).id

    @hf.workflow
    async def starter() -> str:
        return await starts()

    async with serving(sqlite_url, starter, item) as client:
        run = await client.start(starter)
        await until_status(client, await run.result(timeout="20s"), "succeeded")
        [whole] = await spans.arrived("run item")
    step = spans.one("starts").context
    assert links(whole) == [("caller", step.trace_id, step.span_id)]


async def test_a_caller_may_come_over_the_network(spans: Spans) -> None:
    async with serving("memory://", item) as client:
        token = tracing.carried.set("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        run = await client.start(item, 1)
        tracing.carried.set("nonsense")
        other = await client.start(item, 1)
        tracing.carried.reset(token)
        await run.result()
        await other.result()
        wholes = await spans.arrived("run item", 2)
    assert [links(one) for one in wholes] == [
        [("caller", 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)],
        [],
    ]


async def test_without_a_span_nothing_is_kept(sqlite_url: str, spans: Spans) -> None:
    async with serving(sqlite_url, item) as client:
        run = await client.start(item, 1)
        await run.result(timeout="20s")
        [row] = await client.core.store.find_runs("default", [run.id])
    assert row.attributes is None


@hf.workflow
async def failing() -> None:
    await charge(9)


@hf.workflow
async def waiting() -> None:
    await hf.wait_for_event("never", key="k")


@pytest.mark.slow
async def test_failed_cancelled_and_retried_runs(store_url: str, spans: Spans) -> None:
    async with serving(store_url, failing, waiting) as client:
        run = await client.start(failing)
        with pytest.raises(hf.RunFailed):
            await run.result(timeout="20s")
        [first] = await spans.arrived("run failing")
        await asyncio.sleep(0.2)
        await client.retry(run.id)
        second = (await spans.arrived("run failing", 2))[1]
        cancelled = await client.start(waiting)
        await until_status(client, cancelled.id, "waiting")
        await client.cancel(cancelled.id)
        [third] = await spans.arrived("run waiting")
    assert first.status.status_code == StatusCode.ERROR
    assert first.status.description == "ValueError: the card was declined"
    assert [event.name for event in first.events] == ["exception"]
    assert first.context.trace_id == second.context.trace_id
    assert first.context.span_id != second.context.span_id
    assert [said(one, "run.generation") for one in (first, second)] == [1, 2]
    # The second began when it was retried. The database's clock, on which that is, differs by some milliseconds.
    assert (second.start_time or 0) - (first.start_time or 0) > 100e6
    assert (said(third, "run.status"), third.status.status_code) == ("cancelled", StatusCode.UNSET)


async def test_held_and_begun_anew(spans: Spans) -> None:
    @hf.workflow
    async def again(left: int) -> int:
        if left:
            hf.continue_as_new(left - 1)
        await hf.hold("look at it")
        return left

    async with serving("memory://", again) as client:
        run = await client.start(again, 1)
        await until_status(client, run.id, "held")
        await spans.arrived("execute again", 2)
        await client.release(run.id)
        await run.result(timeout="20s")
        await spans.arrived("execute again", 3)
    outcomes = [said(one, "execution.outcome") for one in spans.named("execute again")]
    assert outcomes == ["continued", "held", "succeeded"]
    assert [said(one, "run.status") for one in spans.named("run again")] == ["continued", "succeeded"]
    assert len({one.context.trace_id for one in spans.all}) == 1


async def test_an_attempt_that_is_cut_off_is_nobodys_error(spans: Spans) -> None:
    begun = asyncio.Event()

    @hf.step
    async def long() -> None:
        begun.set()
        await asyncio.sleep(60)

    @hf.workflow
    async def slow() -> None:
        await long()

    async with serving("memory://", slow) as client:
        run = await client.start(slow)
        await begun.wait()
        await client.cancel(run.id)
        [attempt] = await spans.arrived("long")
    assert (said(attempt, "step.outcome"), attempt.status.status_code) == ("cut off", StatusCode.UNSET)


async def test_the_sampler_decides_once_for_the_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=TraceIdRatioBased(0.5), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provide(monkeypatch, provider)
    async with serving("memory://", item) as client:
        for run in await client.start_many(item, [(n,) for n in range(100)]):
            await run.result(timeout="20s")
    by_run: dict[int, set[str]] = {}
    for span in exporter.get_finished_spans():
        by_run.setdefault(span.context.trace_id, set()).add(span.name)
    assert 20 < len(by_run) < 80
    assert all(names == {"run item", "execute item", "pack", "in thread"} for names in by_run.values())


async def test_what_is_not_sampled_is_told_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[trace.SpanContext] = []

    @hf.step
    async def sees() -> None:
        seen.append(trace.get_current_span().get_span_context())

    @hf.workflow
    async def unsampled() -> None:
        await sees()

    provide(monkeypatch, TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    async with serving("memory://", unsampled) as client:
        run = await client.start(unsampled)
        await run.result(timeout="20s")
        [row] = await client.core.store.find_runs("default", [run.id])
    assert [(one.trace_id, one.trace_flags.sampled) for one in seen] == [(trace_id(row.uid), False)]


class _Broken(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if span.name == "sold":
            raise RuntimeError("the processor is broken")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("the processor is broken")


async def test_a_broken_processor_breaks_no_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(_Broken())
    provide(monkeypatch, provider)

    @hf.step
    async def sold() -> int:
        return 7

    @hf.workflow
    async def sale() -> int:
        return await sold()

    async with serving("memory://", sale) as client:
        assert await (await client.start(sale)).result(timeout="20s") == 7
    assert "a span cannot be recorded" in caplog.text


class _Foreign(trace.TracerProvider):
    """A provider that is not the SDK's: its tracer cannot be told an id."""

    def __init__(self) -> None:
        self.parents: list[trace.SpanContext] = []

    def get_tracer(self, *arguments: Any, **named: Any) -> trace.Tracer:
        outer = self

        class Tracer(trace.NoOpTracer):
            def start_span(self, name: str, context: Any = None, **more: Any) -> trace.Span:  # type: ignore[override]
                above = trace.get_current_span(context).get_span_context()
                outer.parents.append(above)
                return trace.NonRecordingSpan(above)

        return Tracer()


async def test_another_provider_is_given_the_runs_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = _Foreign()
    provide(monkeypatch, provider)
    async with serving("memory://", item) as client:
        run = await client.start(item, 1)
        await run.result(timeout="20s")
        [row] = await client.core.store.find_runs("default", [run.id])
    expected = (trace_id(row.uid), run_span_id(row.uid, 1))
    assert {(one.trace_id, one.span_id) for one in provider.parents} == {expected}


async def test_without_a_provider_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    provide(monkeypatch, None)
    assert tracing.Tracing.find() is None
    async with serving("memory://", item) as client:
        assert await (await client.start(item, 1)).result(timeout="20s") == 1
