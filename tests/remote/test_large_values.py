"""Large values, as a client of the database and a client of its server see them."""

import pytest

import holdfast as hf
from tests.remote.conftest import Place

pytestmark = pytest.mark.asyncio(loop_scope="module")


@hf.workflow(name="makes-much")
async def makes_much(size: int) -> str:
    return "x" * size


async def test_they_come_whole_where_they_are_asked_for_and_are_listed_by_their_size(
    client: hf.Client, place: Place
) -> None:
    async with hf.Worker(place.url, [makes_much], drain=0):
        run = await client.start(makes_much, 20_000_000)
        assert await run.result(timeout="60s") == "x" * 20_000_000
        assert (await client.get(run.id)).output == "x" * 20_000_000
        [listed] = await client.list()
        shown = {"kept_apart": "a value of 20 MB kept apart", "size_bytes": 20_000_003, "where": "database"}
        assert listed.output == shown
