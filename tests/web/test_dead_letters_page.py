"""Dead letters: failed runs by what went wrong and one by one; retry and fork, one or all that match."""

import contextlib

import pytest

import holdfast as hf
from holdfast.web.pages import dead_letters
from tests.web.browsing import Dashboard, dashboard

broken = {"value": True}


@hf.step(retry=hf.Retry(max_attempts=1))
async def deliver(what: str) -> str:
    if what == "value" and broken["value"]:
        raise ValueError(f"no <i>such</i> order as {what}")
    if what == "key":
        raise KeyError(what)
    return what


@hf.workflow
async def mail(what: str) -> str:
    return await deliver(what)


@hf.workflow
async def parcel(what: str) -> str:
    return await deliver(what)


@pytest.fixture(autouse=True)
def everything_is_broken() -> None:
    broken["value"] = True


async def fail(shown: Dashboard, *calls: tuple[hf.Workflow, str]) -> list[str]:
    ids = []
    for workflow, what in calls:
        run = await shown.client.start(workflow, what)
        with contextlib.suppress(hf.RunFailed):
            await run.result(timeout="20s")
        ids.append(run.id)
    return ids


async def test_there_are_none() -> None:
    async with dashboard() as shown:
        seen = await shown.get("/dead-letters")
        assert "No dead letters" in seen.text
        assert not seen.has_link("Retry all")


async def test_they_are_grouped_and_listed_and_each_group_lists_what_it_counts() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [mail, parcel], drain=0):
        first, second, third, fourth = await fail(
            shown, (mail, "value"), (mail, "value"), (mail, "key"), (parcel, "value")
        )
        await fail(shown, (mail, "fine"))
        seen = await shown.get("/dead-letters")
        assert "4 failed runs" in seen.text
        assert seen.text.index(fourth) < seen.text.index(third) < seen.text.index(first)
        assert "<i>such</i>" in seen.text
        assert "<i>such</i>" not in seen.html
        group = next(one.href for one in seen.links if "workflow=mail" in one.href and "ValueError" in one.href)
        listed = await shown.get(group)
        assert first in listed.text
        assert second in listed.text
        assert third not in listed.text
        assert fourth not in listed.text
        assert fourth in (await shown.get("/dead-letters?workflow=parcel")).text
        assert "No failed run is like this any more" in (await shown.get("/dead-letters?error=Nothing")).text


async def test_one_is_retried_and_one_forked() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [mail], drain=0):
        [run] = await fail(shown, (mail, "value"))
        seen = await shown.get("/dead-letters")
        broken["value"] = False
        asked = await shown.get(seen.link("Retry"))
        assert (await shown.browser.send(asked, "Retry it")).status == 200
        assert await (await shown.client.handle(run)).result(timeout="20s") == "value"
        assert (await shown.get(seen.link("Fork"))).status == 200


async def test_all_that_match_are_retried_through_the_question_with_the_count() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [mail, parcel], drain=0):
        ids = await fail(shown, (mail, "value"), (mail, "value"), (parcel, "value"))
        broken["value"] = False
        asked = await shown.get((await shown.get("/dead-letters?workflow=mail")).link("Retry all of mail"))
        assert asked.status == 200
        assert "2" in asked.text
        button = next(one for form in asked.forms if form.method == "post" for one in form.buttons if "etry" in one)
        job = await shown.browser.send(asked, button)
        assert job.status == 200
        await (await shown.client.handle(job.path.split("/runs/")[1])).result(timeout="20s")
        for run in ids[:2]:
            assert await (await shown.client.handle(run)).result(timeout="20s") == "value"
        assert (await shown.client.get(ids[2])).status == "failed"


async def test_those_of_one_error_are_retried_together() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [mail], drain=0):
        ids = await fail(shown, (mail, "value"), (mail, "key"), (mail, "value"))
        group = next(one.href for one in (await shown.get("/dead-letters")).links if "ValueError" in one.href)
        seen = await shown.get(group)
        asked = await shown.browser.send(seen, "Retry these 2")
        sent = [value for form in asked.forms for name, value in form.values if name == "id"]
        assert sorted(sent) == sorted([ids[0], ids[2]])


async def test_pages_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "PER_PAGE", 3)
    monkeypatch.setattr(dead_letters, "LOOK_AT_ONCE", 2)
    async with dashboard() as shown, hf.Worker(shown.client, [mail], drain=0):
        ids = await fail(shown, *[(mail, "value" if n % 2 else "key") for n in range(8)])
        seen, found = await shown.get("/dead-letters"), []
        while True:
            found += [one for one in ids if f'data-key="run-{one}"' in seen.html]
            if not seen.has_link("Next page"):
                break
            seen = await shown.get(seen.link("Next page"))
        assert sorted(found) == sorted(ids)
        assert len(found) == 8
        group = next(one.href for one in seen.links if "ValueError" in one.href)
        seen, found = await shown.get(group), []
        while True:
            found += [one for one in ids if f'data-key="run-{one}"' in seen.html]
            if not seen.has_link("Next page"):
                break
            seen = await shown.get(seen.link("Next page"))
        assert sorted(found) == sorted(ids[1::2])


async def test_a_rare_error_is_not_looked_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "LOOK_AT_ONCE", 2)
    monkeypatch.setattr(dead_letters, "LOOK_AT_MOST", 4)
    async with dashboard() as shown, hf.Worker(shown.client, [mail], drain=0):
        [rare] = await fail(shown, (mail, "value"))
        await fail(shown, *[(mail, "key")] * 5)
        name = next(one.type for one in (await shown.client.overview()).failures if "ValueError" in one.type)
        seen = await shown.get(f"/dead-letters?error={name}")
        assert "None among the 4 failed runs looked at" in seen.text
        assert rare in (await shown.get(seen.link("Look further"))).text


@pytest.mark.parametrize("before", ["nothing", "%00", "x" * 600])
async def test_a_page_that_began_at_a_run_that_is_gone_begins_anew(before: str) -> None:
    async with dashboard() as shown:
        seen = await shown.get(f"/dead-letters?before={before}")
        assert seen.status == 200
        assert "this is the first page" in seen.text


async def test_a_viewer_has_no_levers_hidden_fields_stay_hidden_and_nobody_sees_anothers() -> None:
    async with dashboard(auth=True, redact=("what",)) as shown, hf.Worker(shown.client, [mail], drain=0):
        [run] = await fail(shown, (mail, "value"))
        seen = await (await shown.somebody("viewer")).get("/dead-letters")
        assert run in seen.text
        assert not seen.has_link("Retry")
        assert not seen.has_link("Fork")
        assert "as value" not in seen.text
        assert "as [redacted]" in seen.text
        theirs = await (await shown.somebody("admin", "acme")).get("/dead-letters")
        assert run not in theirs.text
        assert "No dead letters" in theirs.text
