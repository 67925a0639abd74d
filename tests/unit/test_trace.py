"""Ids of traces, and the W3C form of a span."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.ids import uuid7
from holdfast.model.trace import TRACEPARENT, format_traceparent, parse_traceparent, run_span_id, shown, trace_id


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_what_is_written_is_read(trace: int, span: int, flags: int) -> None:
    text = format_traceparent(trace, span, flags)
    assert len(text) == 55
    assert parse_traceparent(text) == (trace, span, flags)
    assert parse_traceparent("01" + text[2:] + "-more") == (trace, span, flags)


@pytest.mark.parametrize(
    "text",
    [
        None, 7, b"00", "", "00-0-0-00", "x" * 100_000,
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n",
    ],
)  # fmt: skip
def test_what_is_no_span_is_none(text: object) -> None:
    assert parse_traceparent(text) is None


def test_ids_are_those_of_the_run_and_spread_evenly() -> None:
    uids = [uuid7(1_700_000_000_000_000, number.to_bytes(9, "big") + b"\0") for number in range(2000)]
    traces = [trace_id(uid) for uid in uids]
    assert traces == [trace_id(uid) for uid in uids]
    assert len(set(traces)) == len(uids)
    # Samplers take the lower half of a trace id as a number that is evenly spread.
    low = sum(trace % 2**64 < 2**63 for trace in traces)
    assert 850 < low < 1150
    spans = {run_span_id(uid, generation) for uid in uids for generation in (1, 2)}
    assert len(spans) == 2 * len(uids)
    assert 0 not in spans


def test_what_is_kept_for_a_trace_is_not_shown() -> None:
    assert shown({"order": 1, TRACEPARENT: "00-…"}) == {"order": 1}
