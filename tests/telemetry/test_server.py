"""A server: who calls it is the run's caller, and its figures are those of its process too."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import holdfast as hf
from tests.remote.kit import serving as server
from tests.telemetry.kit import Spans, item, links, own_span
from tests.telemetry.test_metrics import of_prometheus


@pytest.mark.slow
async def test_a_run_started_over_the_network_links_to_its_caller(sqlite_url: str, spans: Spans) -> None:
    async with server(sqlite_url) as address, hf.connect(address) as client, hf.Worker(sqlite_url, [item]):
        with own_span("request") as request:
            run = await client.start(item, 1)
        assert await run.result(timeout="20s") == 1
        [whole] = await spans.arrived("run item")
        assert (await client.get(run.id)).attributes == {}
        async with httpx.AsyncClient() as browser:
            text = (await browser.get(f"{address}/metrics")).text
    # FastAPI may make spans of its own for the request: below the caller's, in the caller's trace.
    context = request.get_span_context()
    [(kind, trace, span)] = links(whole)
    assert (kind, trace) == ("caller", context.trace_id)
    above = {one.context.span_id: one.parent.span_id for one in spans.all if one.parent is not None}
    while span != context.span_id:
        span = above[span]
    names = [family.name for family in text_string_to_metric_families(text)]
    assert len(names) == len(set(names))
    assert of_prometheus(text)["holdfast_run_duration_seconds_count"] == {("item", "succeeded"): 1}
