"""Histories over HTTP: the same file as the command writes, for who may read all of the run."""

from collections.abc import AsyncIterator

import pytest

import holdfast as hf
from holdfast.engine.histories import History
from tests.api.kit import V1, Served, serving
from tests.remote.kit import serving as at_address
from tests.replaying.shop_after import checkout as changed
from tests.replaying.shop_before import checkout, refuses
from tests.web.browsing import dashboard


@pytest.fixture
async def shop() -> AsyncIterator[Served]:
    async with serving(auth=True, redact=("cents",)) as made, hf.Worker(made.url, [checkout]):
        run = await made.local().start(checkout.options(id="ö/1"), 7)
        await run.result()
        yield made


async def test_a_history_is_exported_whole_or_not_at_all(shop: Served) -> None:
    operator, viewer, other = [
        shop.http(await shop.key(role, tenant))
        for role, tenant in (("operator", "default"), ("viewer", "default"), ("operator", "other"))
    ]
    answer = await operator.get(f"{V1}/runs/%C3%B6%2F1/history/export")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].endswith("filename*=UTF-8''%25C3%25B6%252F1.json")
    found, local = History.from_json(answer.content), await shop.local().export_history("ö/1")
    assert (found.run, found.entries, found.attempts) == (local.run, local.entries, local.attempts)
    refused = await viewer.get(f"{V1}/runs/%C3%B6%2F1/history/export")
    assert refused.status_code == 403
    assert "some fields are hidden from you" in refused.text
    assert (await other.get(f"{V1}/runs/%C3%B6%2F1/history/export")).status_code == 404


async def test_the_page_of_a_run_has_a_link_to_its_history() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [checkout]):
        await (await shown.client.start(checkout.options(id="o/1"), 7)).result()
        seen = await shown.get("/runs/o%2F1")
        assert seen.link("Export") == f"{V1}/runs/o%2F1/history/export"


async def test_runs_are_replayed_through_a_server(sqlite_url: str) -> None:
    async with at_address(sqlite_url) as address, hf.Worker(sqlite_url, [checkout, refuses], drain=0):
        async with hf.connect(sqlite_url) as local:
            for number in range(3):
                await (await local.start(checkout.options(id=f"o-{number}"), number)).result()
            with pytest.raises(hf.RunFailed):
                await (await local.start(refuses.options(id="r"), 1)).result()
        async with hf.connect(address) as client:
            assert (await client.export_history("o-1")).run_id == "o-1"
            every = [one async for one in client.replay_runs([checkout, refuses])]
            assert [(one.run_id, one.outcome) for one in every] == [
                (id, "fits") for id in ("r", "o-2", "o-1", "o-0")
            ]  # fmt: skip
            found = [one.run_id async for one in client.export_histories(workflow="checkout", limit=2, since="1h")]
            assert found == ["o-2", "o-1"]
            assert [one.outcome async for one in client.replay_runs([changed], runs=["o-0"])] == ["breaks"]
            with pytest.raises(hf.RunNotFound):
                await client.export_history("none")
