"""Overview: failures first, what needs somebody, counts, figures; each a link to what it counts."""

from contextlib import suppress
from datetime import timedelta

import pytest

import holdfast as hf
from holdfast.api.config import TourStop
from holdfast.store.rows import WorkflowRow
from tests.web.browsing import dashboard

ONCE = hf.Retry(max_attempts=1)


@hf.step(retry=ONCE)
async def break_it(what: str) -> None:
    if what == "value":
        raise ValueError("no <b>such</b> order")
    if what == "key":
        raise KeyError("o-1")


@hf.workflow
async def shaky(what: str) -> str:
    await break_it(what)
    return what


@hf.workflow
async def other(what: str) -> str:
    await break_it(what)
    return what


@hf.workflow(queue="slow")
async def nobodys() -> None:
    pass


async def ended(run: hf.RunHandle) -> None:
    with suppress(hf.RunFailed):
        await run.result(timeout="20s")


async def test_an_empty_database_says_so_kindly() -> None:
    async with dashboard() as shown:
        seen = await shown.get("/")
    assert seen.status == 200
    assert "Nothing has failed" in seen.text
    assert "No run ended in the last hour" in seen.text
    assert seen.link("Queued 0") == "/runs?q=status%3Aqueued"


async def test_failures_come_first_by_workflow_and_error_and_lead_to_the_runs_they_count() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [shaky, other], drain=0):
        for workflow, what in ((shaky, "value"), (shaky, "value"), (shaky, "key"), (other, "value"), (shaky, "")):
            await ended(await shown.client.start(workflow, what))
        seen = await shown.get("/")
        assert "4 dead letters" in seen.text
        assert seen.text.index("Failures") < seen.text.index("Queued")
        assert "<b>such</b>" in seen.text
        assert "<b>such</b>" not in seen.html
        link = next(one.href for one in seen.links if "workflow=shaky" in one.href and "ValueError" in one.href)
        counted = await shown.get(link)
        assert counted.status == 200
        assert sum("do=retry" in one.href for one in counted.links) == 2
        assert (await shown.get(seen.link("Failed 4"))).text.count("ValueError") >= 3


async def test_what_ended_is_drawn_and_told_in_figures() -> None:
    async with dashboard("memory://") as shown:
        worker = hf.Worker(shown.client, [shaky], drain=0)
        async with worker:
            for what in ("", "", "value"):
                await ended(await shown.client.start(shaky, what))
        for span in ("1h", "6h", "24h", "7d", "30d", "rubbish"):
            seen = await shown.get(f"/?span={span}")
            assert seen.status == 200
            assert "succeeded 2" in seen.text, span
            assert "failed 1" in seen.text
            assert 'alt="3 runs ended in the last' in seen.html
            assert "In figures" in seen.text
        assert "Queue wait –" not in seen.text
        assert "3 ended" in seen.text
        for theme in ("light", "dark"):
            drawn = await shown.browser.http.get(f"/charts/ends.svg?theme={theme}&width=1120&span=1h")
            assert drawn.headers["content-type"] == "image/svg+xml"
            assert 'width="1120"' in drawn.text
            assert "max-age" in drawn.headers["cache-control"]


@pytest.mark.parametrize("query", ["width=999999", "width=-1&theme=x&span=y", "workflow=" + "x" * 2000, "span=%00"])
async def test_a_chart_with_odd_parameters_is_still_a_chart(query: str) -> None:
    async with dashboard() as shown:
        for name in ("ends", "spark"):
            drawn = await shown.browser.http.get(f"/charts/{name}.svg?{query}")
            assert drawn.status_code == 200
            assert len(drawn.content) < 200_000


async def test_runs_that_nobody_serves_and_queues_that_grow_old_are_said() -> None:
    async with dashboard() as shown:
        core = shown.client.core
        await core.store.register_workflows([WorkflowRow("nobodys", "1", b"{}")])
        run = await shown.client.start(nobodys)
        seen = await shown.get("/")
        assert "1 stranded" in seen.text
        assert "grows old" not in seen.text
        page_now = (await shown.client.get(run.id)).created_at + timedelta(minutes=2)
        from holdfast.web.pages import overview

        class Later:
            now = page_now

        [old] = overview.old_queues(Later(), await shown.client.queues())  # type: ignore[arg-type]
        assert old.name == "slow"


async def test_figures_of_another_tenant_are_not_counted() -> None:
    async with dashboard(auth=True) as shown, hf.Worker(shown.client, [shaky], drain=0):
        await ended(await hf.Client(shown.client.core, "acme").start(shaky, "value"))
        who, theirs = await shown.somebody("viewer"), await shown.somebody("viewer", "acme")
        assert "Nothing has failed" in (await who.get("/")).text
        seen = await theirs.get("/")
        assert "1 dead letter" in seen.text
        assert "ValueError" in seen.text


async def test_errors_that_may_repeat_hidden_fields_are_hidden_from_viewers() -> None:
    async with dashboard(auth=True, redact=("what",)) as shown, hf.Worker(shown.client, [shaky], drain=0):
        await ended(await shown.client.start(shaky, "value"))
        seen = await (await shown.somebody("viewer")).get("/")
        assert "ValueError" in seen.text
        assert "such" not in seen.text
        assert "<b>such</b>" in (await (await shown.somebody("operator")).get("/")).text


async def test_nobody_gets_in_without_a_key() -> None:
    async with dashboard(auth=True) as shown:
        for path in ("/", "/charts/ends.svg", "/charts/spark.svg"):
            assert (await shown.get(path)).status == 401


async def test_each_live_part_is_given_alone() -> None:
    async with dashboard() as shown:
        whole = await shown.get("/")
        for part in ("now", "flow"):
            assert f'data-live="{part}"' in whole.html
            alone = await shown.get("/", fragment=part)
            assert alone.status == 200
            assert "<html" not in alone.html


async def test_a_demonstration_has_a_tour_on_its_first_page() -> None:
    stops = (TourStop("Where is <my> order?", "Follow one.", "/runs/house-1"), TourStop("Take part", "Do it.", "/work"))
    async with dashboard(tour=stops) as shown:
        page = await shown.get("/")
        assert page.link("Where is <my> order?") == "/runs/house-1"
        assert page.link("Take part") == "/work"
        assert "Follow one." in page.text
    async with dashboard() as plain:
        assert "What there is to see" not in (await plain.get("/")).text
