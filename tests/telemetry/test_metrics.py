"""Metrics: the numbers are those of what happened, and the same for every exporter."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, MetricsData
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import holdfast as hf
from holdfast.conversations import measures
from holdfast.engine import counting
from holdfast.errors import UsageError
from holdfast.services import telemetry
from holdfast.services.telemetry.prometheus import parse_address
from tests.engine.helpers import serving
from tests.telemetry.kit import charge, order, shop

Values = dict[tuple[str, ...], float]


@hf.workflow
async def declined() -> None:
    await charge(9)


@hf.workflow(queue="apart")
async def apart() -> None:
    pass


async def something_happens(url: str) -> None:
    """Three runs of order (2 + 3 × 1 attempts of charge), one that fails, four of items and one of shop."""
    async with serving(url, order, declined, shop) as client:
        for fail in (2, 0, 0):
            await (await client.start(order, fail)).result(timeout="20s")
        with pytest.raises(hf.RunFailed):
            await (await client.start(declined)).result(timeout="20s")
        await (await client.start(shop, 3)).result(timeout="20s")
        await client.start_many(apart, [(), ()])
        await telemetry.look_at_queues(client.core)


COUNTED: dict[str, Values] = {
    "holdfast_run_started_total": {("order",): 3, ("declined",): 1, ("shop",): 1, ("item",): 4, ("apart",): 2},
    "holdfast_run_failures_total": {("declined",): 1},
    "holdfast_run_duration_seconds_count": {
        ("order", "succeeded"): 3, ("declined", "failed"): 1, ("shop", "succeeded"): 1, ("item", "succeeded"): 4,
    },
    "holdfast_queue_wait_seconds_count": {("default",): 9},
    "holdfast_queue_ready": {("apart",): 2},
    "holdfast_step_duration_seconds_count": {
        ("order", "charge"): 5, ("order", "pack"): 6, ("declined", "charge"): 3, ("item", "pack"): 4,
    },
    "holdfast_step_attempts_total": {
        ("order", "charge", "ok"): 3, ("order", "charge", "error"): 2, ("declined", "charge", "ok"): 0,
        ("declined", "charge", "error"): 3, ("order", "pack", "ok"): 6, ("order", "pack", "error"): 0,
        ("item", "pack", "ok"): 4, ("item", "pack", "error"): 0,
    },
    "holdfast_step_retries_total": {
        ("order", "charge"): 2, ("declined", "charge"): 2, ("order", "pack"): 0, ("item", "pack"): 0,
    },
    "holdfast_step_failures_total": {
        ("order", "charge"): 0, ("declined", "charge"): 1, ("order", "pack"): 0, ("item", "pack"): 0,
    },
    "holdfast_lease_losses_total": {(): 0},
    "holdfast_run_rescues_total": {(): 0},
}  # fmt: skip


def of_prometheus(text: str) -> dict[str, Values]:
    found: dict[str, Values] = {}
    order = ("queue", "workflow", "step", "status", "outcome", "le")
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sample.labels[name] for name in order if name in sample.labels)
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


@pytest.mark.slow
async def test_prometheus_is_told_what_happened(store_url: str) -> None:
    registry = telemetry.registry()
    assert telemetry.registry() is registry
    await something_happens(store_url)
    found = of_prometheus(generate_latest(registry).decode())
    ready = found["holdfast_queue_ready"]
    assert ready[("apart",)] == 2
    assert ready.pop(("default",), 0) == 0  # a queue may be told that has nothing ready any more
    assert {name: found[name] for name in COUNTED} == COUNTED
    assert found["holdfast_queue_oldest_seconds"][("apart",)] >= 0
    sizes, commits = found["holdfast_commit_size_count"][()], found["holdfast_commit_duration_seconds_count"][()]
    assert sizes == commits > 10
    # 11 starts, 9 ends and 18 steps at least, each of them an operation.
    assert found["holdfast_commit_size_sum"][()] >= 11 + 9 + 18
    for name, buckets in found.items():
        if name.endswith("_bucket"):
            last = [value for labels, value in buckets.items() if labels[-1] == "+Inf"]
            assert sorted(last) == sorted(found[name.replace("_bucket", "_count")].values())
    took = found["holdfast_step_duration_seconds_sum"][("order", "charge")]
    assert 0 < took < 5
    assert "process_resident_memory_bytes" in found


def of_opentelemetry(data: MetricsData) -> dict[str, dict[tuple[str, ...], Any]]:
    [resource] = data.resource_metrics
    found: dict[str, dict[tuple[str, ...], Any]] = {}
    order = ("queue", "workflow", "step", "status", "outcome")
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            assert metric.name not in found
            for point in metric.data.data_points:
                attributes = point.attributes or {}
                labels = tuple(str(attributes[f"holdfast.{one}"]) for one in order if f"holdfast.{one}" in attributes)
                found.setdefault(metric.name, {})[labels] = point
    return found


@pytest.mark.slow
async def test_opentelemetry_is_told_the_same(disk_url: str, reader: InMemoryMetricReader) -> None:
    await something_happens(disk_url)
    data = reader.get_metrics_data()
    assert data is not None
    found = of_opentelemetry(data)
    for name, values in COUNTED.items():
        if name == "holdfast_queue_ready":
            assert found["holdfast.queue.ready"][("apart",)].value == 2
            continue
        plain = name.removesuffix("_total").removesuffix("_seconds_count").replace("_", ".")
        points = found[plain]
        assert {labels: getattr(one, "value", getattr(one, "count", None)) for labels, one in points.items()} == values
    steps = found["holdfast.step.duration"][("order", "charge")]
    assert sum(steps.bucket_counts) == steps.count == 5
    assert len(steps.bucket_counts) == len(steps.explicit_bounds) + 1
    assert encode_metrics(data).SerializeToString()


async def test_a_reader_may_want_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {sdk.Histogram: AggregationTemporality.DELTA, sdk.ObservableCounter: AggregationTemporality.DELTA}
    reader = telemetry.with_histograms(InMemoryMetricReader(preferred_temporality=wanted))
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", provider)
    seen = []
    async with serving("memory://", order) as client:
        for runs in (2, 1):
            for _ in range(runs):
                await (await client.start(order, 0)).result(timeout="20s")
            data = reader.get_metrics_data()
            assert data is not None
            found = of_opentelemetry(data)
            point = found["holdfast.step.duration"][("order", "pack")]
            ended = found["holdfast.step.attempts"][("order", "pack", "ok")].value
            seen.append((point.count, sum(point.bucket_counts), ended))
            began = point.start_time_unix_nano
    assert seen == [(4, 4, 4), (2, 2, 2)]
    assert began < point.time_unix_nano


async def test_nothing_is_counted_until_somebody_asks() -> None:
    async with serving("memory://", order) as client:
        await (await client.start(order, 0)).result(timeout="20s")
        assert counting.on is None
        [execution] = [*client.core.executions.values(), None][:1]
        assert execution is None or execution.counted is None
        telemetry.registry()
        await (await client.start(order, 0)).result(timeout="20s")
    found = of_prometheus(generate_latest(telemetry.registry()).decode())
    assert found["holdfast_run_duration_seconds_count"] == {("order", "succeeded"): 1}


async def test_an_address_to_scrape() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    close = telemetry.serve(f":{port}")
    try:
        async with serving("memory://", order) as client:
            await (await client.start(order, 0)).result(timeout="20s")
        async with httpx.AsyncClient() as browser:
            answer = await browser.get(f"http://127.0.0.1:{port}/metrics")
        found = of_prometheus(answer.text)
        assert answer.headers["Content-Type"].partition(";")[0] == CONTENT_TYPE_LATEST.partition(";")[0]
        assert found["holdfast_run_started_total"] == {("order",): 1}
        with pytest.raises(OSError, match="in use"):
            telemetry.serve(f"127.0.0.1:{port}")
    finally:
        close()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", ("127.0.0.1", 9464)), (":9464", ("127.0.0.1", 9464)), ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:9464", ("::1", 9464)), ("metrics.internal:9464", ("metrics.internal", 9464)),
    ],
)  # fmt: skip
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "host:99999", "::1:9464", "a b:1", "host:-1", "host:٣", "h/x:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        parse_address(text)


def test_bounds_hold_what_they_say() -> None:
    numbers = counting.new_numbers()
    for value in (0, 1, 511, 512, 1024, 1 << 36, 1 << 40):
        counting.put(numbers, value)
    shown = counting.shown(numbers)
    below = [sum(shown.counts[: index + 1]) for index in range(len(shown.bounds))]
    told = dict(zip(shown.bounds, below, strict=True))
    # What is a power of two stands in the bucket above its bound: less than a bound, not equal.
    assert (told[0.000512], told[0.001024], told[0.002048]) == (3, 4, 5)
    assert (shown.total, below[-1]) == (7, 5)


def test_every_metric_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "observe.md").read_text("utf-8")
    described = set(re.findall(r"^\| `(\w+)` \| `([\w.]+)` \| ([\w, ]*)\|", page, re.MULTILINE))
    assert measures.count_turn  # rooms above the engine count too, once they are imported
    families = list(counting.Counts().families())
    suffix = {"counter": "_total", "gauge": "", "histogram": ""}
    for family in families:
        name = family.name.replace(".", "_") + ("_seconds" if family.unit == "s" else "") + suffix[family.kind]
        assert (name, family.name, f"{', '.join(family.labels)} " if family.labels else "") in described
    assert len(described) == len(families)
