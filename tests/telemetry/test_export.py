"""What the OTEL_ variables switch on, with real processes and a real collector's protocol; and what is missing."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import holdfast as hf
from holdfast.cli.processes import _Supervisor, of_process
from holdfast.engine import waiting
from holdfast.errors import UsageError
from holdfast.services.telemetry import export
from tests.cli.tool import SHOP, SOON, environment, inside, running
from tests.engine.helpers import until, until_status
from tests.telemetry.kit import free_port

OFF = {name: "" for name in os.environ if name.startswith("OTEL_")}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OFF:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, {"traces": ["otlp"], "metrics": ["otlp"]}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, {"traces": ["otlp"]}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_METRICS_EXPORTER": "none"}, {"traces": ["otlp"]}),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, {"traces": ["otlp", "console"]}),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "TRUE"}, {}),
    ],
)
def test_what_is_exported(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], found: dict[str, list[str]]) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert export.wanted() == found


def test_what_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus")
    with pytest.raises(UsageError, match="it is otlp, console or none; for Prometheus start the worker with --metrics"):
        export.export()
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "smoke")
    with pytest.raises(UsageError, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'smoke'; it is one of http/protobuf, grpc"):
        export.export()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(UsageError, match="pip install opentelemetry-exporter-otlp-proto-grpc"):
        export.export()


class _Collector(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        self.server.received.append((self.path, body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A collector of OTLP over HTTP: its address, and what it received."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    server.received = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.received  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def ready(worker: subprocess.Popen[str]) -> None:
    """Wait for a worker with --json."""
    assert worker.stdout is not None
    assert "workflows" in worker.stdout.readline()


async def one_checkout(url: str) -> None:
    async with hf.connect(url) as client:

        async def registered() -> bool:
            return any(row.name == "checkout" for row in await client.core.store.list_workflows())

        await until(registered)  # the worker prints its line before it begins
        run = await client.start_named("checkout", {"order_id": "o-1", "cents": 5})
        await run.result(timeout="20s")


@pytest.mark.slow
def test_a_worker_exports_traces_and_metrics(shop: Path, sqlite_url: str) -> None:
    port = free_port()
    with collector() as (address, received):
        given = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_RESOURCE_ATTRIBUTES": "region=north"}
        with running(
            shop, "worker", "shop", *SOON, "--json", "--metrics", f"{port}", url=sqlite_url, **given
        ) as worker:
            ready(worker)
            asyncio.run(one_checkout(sqlite_url))
            text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            assert 'holdfast_run_duration_seconds_count{status="succeeded",workflow="checkout"} 1.0' in text
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(20) == 0
    spans: dict[str, bytes] = {}
    for path, body in received:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                about = {one.key: one.value.string_value for one in resource.resource.attributes}
                assert about["service.name"] == "holdfast"
                assert about["region"] == "north"
                spans.update({span.name: span.trace_id for part in resource.scope_spans for span in part.spans})
    assert set(spans) == {"run checkout", "execute checkout", "charge", "ship"}
    assert len(set(spans.values())) == 1
    metrics: dict[str, Any] = {}
    for path, body in received:
        if path == "/v1/metrics":
            for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                metrics.update({one.name: one for part in group.scope_metrics for one in part.metrics})
    duration = {
        point.attributes[1].value.string_value: point
        for point in metrics["holdfast.step.duration"].histogram.data_points
    }
    assert {name: point.count for name, point in duration.items()} == {"charge": 1, "ship": 1}
    assert sum(duration["ship"].bucket_counts) == 1
    assert not duration["ship"].HasField("max")
    assert metrics["holdfast.step.attempts"].sum.is_monotonic


@pytest.mark.slow
def test_a_collector_that_does_not_answer_holds_nobody_up(shop: Path, sqlite_url: str) -> None:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    with running(shop, "worker", "shop", *SOON, "--json", url=sqlite_url, **given) as worker:
        ready(worker)
        asyncio.run(one_checkout(sqlite_url))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(15) == 0


def test_each_process_has_a_port() -> None:
    supervisor = _Supervisor(["worker"], {"OTHER": "1"}, "[::1]:9464")
    assert supervisor._of(2) == {"OTHER": "1", "HOLDFAST_WORKER_METRICS": "[::1]:9465"}
    assert of_process("9464", 4) == "127.0.0.1:9467"
    with pytest.raises(UsageError, match="3 processes take as many ports"):
        of_process("65534", 3)


def test_a_taken_address_ends_the_worker(shop: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)
    serve = ("worker", "shop", "--url", sqlite_url, "--metrics")
    with collector() as (address, _):
        place = address.removeprefix("http://")
        assert f"cannot listen at {place} for metrics" in inside(*serve, place, code=2)[1]
    assert "give HOST:PORT" in inside(*serve, "here", code=2)[1]
    assert "2 processes take as many ports" in inside(*serve, ":0", "--processes", "2", code=2)[1]


ALONE = """
import logging
import holdfast as hf

@hf.step
def pack() -> str:
    logging.getLogger("mine").warning("packing")
    return "packed"

@hf.workflow
async def parcel() -> str:
    await hf.wait_for_event("paid", key="k")
    return await pack()
"""


@pytest.mark.slow
async def test_a_run_that_executes_alone_is_seen_like_others(
    shop: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / "alone.py").write_text(ALONE)
    monkeypatch.syspath_prepend(str(shop))
    monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", 0.0)
    parcel = importlib.import_module("alone").parcel
    with collector() as (address, received):
        async with hf.connect(sqlite_url) as client:
            async with hf.Worker(client, [parcel]):
                run = await client.start(parcel)
                await until_status(client, run.id, "waiting")
            # As if it had killed two workers since.
            with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as database:
                database.execute("UPDATE runs SET rescues = 2")
            database.close()
            await client.send_event("paid", key="k")
            given = {"OTEL_EXPORTER_OTLP_ENDPOINT": address}
            with running(shop, "worker", "alone", *SOON, "--json", url=sqlite_url, **given) as worker:
                assert await run.result(timeout="60s") == "packed"
                worker.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(worker.wait, 20) == 0
    lines = [json.loads(line) for line in (shop / "stderr").read_text().splitlines()]
    assert any("executes alone" in line["message"] for line in lines)
    [said] = [line for line in lines if line["logger"] == "mine"]
    assert (said["run"], said["step"]) == (run.id, "pack")
    bodies = [ExportTraceServiceRequest.FromString(body) for path, body in received if path == "/v1/traces"]
    spans = [span for body in bodies for one in body.resource_spans for part in one.scope_spans for span in part.spans]
    # The step was the new checkpoint that cleared it, so another execution ended the run.
    assert {span.name for span in spans} == {"run parcel", "execute parcel", "pack"}
    assert {span.trace_id.hex() for span in spans} == {said["trace_id"]}


WITHOUT = """
import asyncio, builtins, importlib.abc, json, logging, os, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("opentelemetry", "prometheus_client"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import holdfast as hf
from holdfast.cli.logs import configure
from holdfast.engine import counting
from holdfast.engine.tracing import Tracing, caller
from holdfast.services import telemetry
from holdfast.services.telemetry.export import export

configure("info")

@hf.step
def add(one: int, two: int) -> int:
    logging.getLogger("mine").info("adding")
    return one + two

@hf.workflow
async def sums(n: int) -> int:
    return (await hf.map(lambda i: add(i, i), range(n)))[-1]

assert asyncio.run(hf.execute(sums, 3)) == 4
assert Tracing.find() is None and caller() is None
counting.begin()
assert asyncio.run(hf.execute(sums, 3)) == 4
[attempts] = [one for one in counting.on.families() if one.name == "holdfast.step.attempts"]
assert dict(attempts.points)[("sums", "add", "ok")] == 3
try:
    telemetry.registry()
except hf.UsageError as error:
    print(error)
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
export()()
"""


@pytest.mark.slow
def test_all_works_without_the_packages() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT],
        capture_output=True, text=True, timeout=60, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pip install 'holdfast[server]'" in done.stdout
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    said = [line for line in lines if line["logger"] == "mine"]
    assert len(said) == 6
    assert {(line["step"], "trace_id" in line) for line in said} == {("add", False)}
    assert "pip install 'holdfast[otel]'" in lines[-1]["message"]
