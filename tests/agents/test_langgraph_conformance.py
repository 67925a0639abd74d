"""`Saver` passes LangGraph's own conformance suite whole, on every database."""

from collections.abc import AsyncIterator

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES

from holdfast.agents.langgraph.saver import Saver


@pytest.mark.slow
async def test_every_group_of_langgraph_s_conformance_suite_passes_and_none_is_skipped(store_url: str) -> None:
    @checkpointer_test(name="holdfast")
    async def savers() -> AsyncIterator[Saver]:
        async with Saver(store_url) as saver:
            yield saver

    report = await validate(savers)
    assert report.results.keys() == {capability.value for capability in ALL_CAPABILITIES}
    for name, result in report.results.items():
        assert (result.failures, result.passed, result.tests_skipped) == ([], True, 0), name
        assert result.tests_passed >= 5, name
