"""Workflows: the list, one workflow with its steps as last run, pause and resume."""

import asyncio
from urllib.parse import quote

import pytest

import holdfast as hf
from holdfast.web.pages import workflows
from tests.web.browsing import dashboard

MARKUP = "<img src=x onerror=alert(1)>/a b?c#d%"


@hf.step(retry=hf.Retry(max_attempts=1))
async def check(order: str) -> str:
    if order == "bad":
        raise ValueError("bad order")
    return order


@hf.step(name=MARKUP)
async def odd_step() -> None:
    pass


@hf.workflow(version="2")
async def checkout(order: str) -> str:
    await check(order)
    await odd_step()
    return order


@hf.workflow(name="checkout", version="1")
async def old_checkout(order: str) -> str:
    return order


@hf.workflow(name=MARKUP)
async def odd() -> None:
    pass


WORKFLOWS = (checkout, old_checkout, odd)


async def test_none_is_known_yet() -> None:
    async with dashboard() as shown:
        assert "No workflow is known yet" in (await shown.get("/workflows")).text


async def test_each_is_listed_with_versions_and_found_by_a_part_of_its_name() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, WORKFLOWS, drain=0):
        seen = await shown.get("/workflows")
        assert "2 and 1 older" in seen.text
        assert MARKUP in seen.text
        assert MARKUP not in seen.html
        found = await shown.get("/workflows?q=CHECK")
        assert found.has_link("checkout")
        assert not found.has_link(MARKUP)
        assert "No workflow has “<b>”" in (await shown.get("/workflows?q=%3Cb%3E")).text


async def test_a_workflow_shows_versions_failures_and_its_steps_as_last_run() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, WORKFLOWS, drain=0):
        run = await shown.client.start(checkout, "bad")
        with pytest.raises(hf.RunFailed):
            await run.result(timeout="20s")
        seen = await shown.get((await shown.get("/workflows")).link("checkout"))
        assert seen.text.count("1 worker") == 2
        assert "ValueError bad order" in seen.text
        assert 'class="outcome-error' in seen.html
        last = await shown.client.start(checkout, "good")
        await last.result(timeout="20s")
        shown.app.state.kept.clear()
        seen = await shown.get("/workflows/checkout", fragment="last")
        assert last.id in seen.html
        assert "onerror" in seen.html
        assert "<img src=x" not in seen.html


async def test_of_runs_that_have_not_begun_the_newest_that_has_is_drawn() -> None:
    async with dashboard() as shown:
        async with hf.Worker(shown.client, WORKFLOWS, drain=0):
            run = await shown.client.start(checkout, "bad")
            with pytest.raises(hf.RunFailed):
                await run.result(timeout="20s")
        await shown.client.start_many(checkout, [("good",)] * 15)
        seen = await shown.get("/workflows/checkout", fragment="last")
        assert run.id in seen.html


async def test_a_page_waits_but_a_moment_for_a_run_that_is_far_back(monkeypatch: pytest.MonkeyPatch) -> None:
    find, looked = workflows._find_last, []

    async def slowly(client: hf.Client, name: str) -> workflows.LastRun:
        looked.append(name)
        await asyncio.sleep(0.2)
        return await find(client, name)

    monkeypatch.setattr(workflows, "_find_last", slowly)
    monkeypatch.setattr(workflows, "MOMENT_SECONDS", 0.01)
    monkeypatch.setattr(workflows, "SLOW_FROM_SECONDS", 0.1)
    monkeypatch.setattr(workflows, "GRAPH_SECONDS", 0.05)
    async with dashboard() as shown, hf.Worker(shown.client, WORKFLOWS, drain=0):
        run = await shown.client.start(odd)
        await run.result(timeout="20s")
        path = f"/workflows/{quote(MARKUP, safe='')}"
        seen = await shown.get(path)
        assert seen.status == 200
        assert "is still looked for" in seen.text
        assert run.id in (await shown.get(path, fragment="last")).html
        await asyncio.sleep(0.1)
        assert run.id in (await shown.get(seen.link("Look again"))).html
        assert looked == [MARKUP]


async def test_a_workflow_is_paused_after_a_question_and_resumed() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, WORKFLOWS, drain=0):
        for name in ("checkout", MARKUP):
            seen = await shown.get((await shown.get("/workflows")).link(name))
            asked = await shown.get(seen.link("Pause"))
            paused = await shown.browser.send(asked, "Pause it")
            assert "is paused: no worker claims runs of it." in paused.text
            assert paused.text.count("paused") > 1
            [view] = [one for one in await shown.client.workflows() if one.paused]
            assert view.name == name
            again = await shown.browser.send(paused, "Resume")
            assert "Workers claim runs" in again.text
            assert not any(one.paused for one in await shown.client.workflows())


async def test_its_schedules_are_shown() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, WORKFLOWS, drain=0):
        await shown.client.schedule("nightly", checkout, input=("o-1",), cron="30 2 * * *")
        seen = await shown.get("/workflows/checkout")
        assert seen.link("nightly") == "/schedules/nightly"
        assert "30 2 * * *" in seen.text
        asked = await shown.get(seen.link("Make one"))
        assert dict(asked.form("Make it").values)["workflow"] == "checkout"


@pytest.mark.parametrize("name", ["nothing", "<script>", "a/b", "x" * 600])
async def test_one_that_is_not_there_is_404(name: str) -> None:
    async with dashboard() as shown:
        seen = await shown.get(f"/workflows/{quote(name, safe='')}")
        assert seen.status in (404, 422)
        assert "<script>" not in seen.text or name == "<script>"
        assert "<script>\n" not in seen.html


@pytest.mark.parametrize("name", [".", "..", "a/b", "a b", "%2F", "ä", "checkout?x=1"])
async def test_odd_names_have_a_page(name: str) -> None:
    @hf.workflow(name=name)
    async def strange() -> None:
        pass

    async with dashboard() as shown, hf.Worker(shown.client, [strange], drain=0):
        seen = await shown.get((await shown.get("/workflows")).link(name))
        assert seen.status == 200
        assert name in seen.text
        asked = await shown.get(seen.link("Pause"))
        assert (await shown.browser.send(asked, "Pause it")).status == 200
        assert (await shown.client.workflows())[0].paused


async def test_a_viewer_sees_no_levers_and_has_none() -> None:
    async with dashboard(auth=True) as shown, hf.Worker(shown.client, WORKFLOWS, drain=0):
        for who in (await shown.somebody("viewer"), await shown.somebody("admin", "acme")):
            seen = await who.get("/workflows/checkout")
            assert seen.status == 200
            assert not seen.has_link("Pause")
            assert (await who.get("/workflow/pause?name=checkout")).status == 403
            for action in ("pause", "resume"):
                assert (await who.post(f"/workflow/{action}", {"name": "checkout"})).status == 403
        assert not (await (await shown.somebody("viewer")).get("/workflows/checkout")).has_link("Start a run")
        assert not any(one.paused for one in await shown.client.workflows())


async def test_the_last_run_of_another_tenant_is_not_drawn() -> None:
    async with dashboard(auth=True) as shown, hf.Worker(shown.client, WORKFLOWS, drain=0):
        run = await hf.Client(shown.client.core, "acme").start(checkout, "theirs")
        await run.result(timeout="20s")
        seen = await (await shown.somebody("admin")).get("/workflows/checkout")
        assert run.id not in seen.html
        assert "No run of it is kept." in seen.text
        assert run.id in (await (await shown.somebody("viewer", "acme")).get("/workflows/checkout")).html
