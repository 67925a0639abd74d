"""Queues and lanes: what is shown, limits and pauses by forms, and who may not."""

import pytest

import holdfast as hf
from tests.web.browsing import Dashboard, dashboard

MARKUP = "<script>alert('q')</script>"


@hf.workflow(key="order", limit=1, lane="order", queue="orders")
async def one_at_a_time(order: str) -> str:
    return await hf.wait_for_event("go", key=order)


@hf.workflow(queue=MARKUP)
async def odd() -> None:
    pass


async def queue_of(shown: Dashboard, name: str) -> hf.QueueView:
    return next(one for one in await shown.client.queues() if one.name == name)


async def test_nothing_is_there_yet() -> None:
    async with dashboard() as shown:
        seen = await shown.get("/queues")
    assert seen.status == 200
    assert "No queue has runs or limits" in seen.text
    assert "No lane is in use" in seen.text


async def test_depth_age_and_the_longest_line_first() -> None:
    async with dashboard() as shown:
        await shown.client.start_many(one_at_a_time, [("a",), ("b",), ("b",), ("b",)])
        await shown.client.start(odd)
        seen = await shown.get("/queues")
        assert seen.link("2") == "/runs?q=queue%3Aorders%20status%3Aqueued"  # the others wait in their lane
        assert seen.text.index("order = b") < seen.text.index("order = a")
        assert (await shown.get(seen.link("order = b"))).status == 200
        assert "2 in line" in seen.text
        assert MARKUP in seen.text
        assert MARKUP not in seen.html


async def test_a_queue_is_limited_by_a_form_and_freed_again() -> None:
    async with dashboard() as shown:
        asked = await shown.get((await shown.get("/queues")).link("Limit a queue"))
        done = await shown.browser.send(asked, "Set the limits", name="mail", total="3", per_worker="")
        assert done.path == "/queues"
        assert "The limits of queue mail are changed." in done.text
        assert "0 of 3" in done.text
        asked = await shown.get(done.link("Limits"))
        assert dict(asked.form("Set the limits").values)["total"] == "3"
        await shown.browser.send(asked, "Set the limits", total="", per_worker="7")
        found = await queue_of(shown, "mail")
        assert (found.total, found.per_worker) == (None, 7)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("0", "Give 1 to"), ("x", "Give a whole number."), ("-1", "Give 1 to"), ("9" * 30, "at most 20")],
)
async def test_what_is_wrong_stands_at_its_field_and_nothing_is_done(wrong: str, said: str) -> None:
    async with dashboard() as shown:
        asked = await shown.get("/queue/limits?name=mail")
        seen = await shown.browser.send(asked, "Set the limits", total=wrong)
        assert seen.status == 422
        assert said in seen.text
        assert f'value="{wrong}"' in seen.html
        assert await shown.client.queues() == []


async def test_a_name_that_cannot_be_is_refused() -> None:
    async with dashboard() as shown:
        for name in ("", "x" * 600, "a\0b"):
            seen = await shown.browser.post("/queue/limits", {"name": name, "total": "1"})
            assert seen.status == 422, name
            seen = await shown.browser.post("/queue/pause", {"name": name})
            assert seen.path == "/queues"
            assert 'class="said said-failed"' in seen.html
        assert await shown.client.queues() == []


async def test_a_queue_is_paused_after_a_question_and_resumed() -> None:
    async with dashboard() as shown:
        await shown.client.start(one_at_a_time, "a")
        asked = await shown.get((await shown.get("/queues")).link("Pause"))
        assert "Pause queue orders?" in asked.text
        paused = await shown.browser.send(asked, "Pause it")
        assert "Queue orders is paused." in paused.text
        assert (await queue_of(shown, "orders")).paused
        again = await shown.browser.send(paused, "Resume")
        assert "claim runs from queue orders again" in again.text
        assert not (await queue_of(shown, "orders")).paused


async def test_a_viewer_and_another_tenants_operator_see_no_levers_and_have_none() -> None:
    async with dashboard(auth=True, shared_tenants=("default",)) as shown:
        await shown.client.set_queue("mail", total=1)
        for who in (await shown.somebody("viewer"), await shown.somebody("operator", "acme")):
            seen = await who.get("/queues")
            assert seen.status == 200
            assert not seen.has_link("Limits")
            assert not seen.has_link("Pause")
            for path in ("/queue/limits?name=mail", "/queue/pause?name=mail"):
                assert (await who.get(path)).status == 403
            for path in ("/queue/limits", "/queue/pause", "/queue/resume"):
                assert (await who.post(path, {"name": "mail", "total": "9"})).status == 403
        assert (await queue_of(shown, "mail")).total == 1
        assert (await (await shown.somebody("operator")).get("/queues")).has_link("Limits")


async def test_lanes_of_another_tenant_are_not_seen() -> None:
    async with dashboard(auth=True) as shown:
        other = hf.Client(shown.client.core, "acme")
        await other.start(one_at_a_time, "theirs")
        who = await shown.somebody("admin")
        assert "theirs" not in (await who.get("/queues")).text
        assert "theirs" in (await (await shown.somebody("viewer", "acme")).get("/queues")).text


async def test_more_lanes_than_are_looked_at_are_said() -> None:
    async with dashboard() as shown:
        await shown.client.start_many(one_at_a_time, [(f"k{n:04}",) for n in range(1100)])
        seen = await shown.get("/queues")
    assert "more than 1,000 lanes" in seen.text
    assert seen.text.count("order = k") == 50


async def test_each_live_part_is_given_alone() -> None:
    async with dashboard() as shown:
        await shown.client.start(one_at_a_time, "a")
        whole = await shown.get("/queues")
        for part in ("queues", "lanes"):
            alone = await shown.get("/queues", fragment=part)
            assert alone.status == 200
            assert "<html" not in alone.html
            assert f'data-live="{part}"' in whole.html
        assert "order = a" in (await shown.get("/queues", fragment="lanes")).text


async def test_what_ended_of_a_queues_workflows_is_its_rate() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [one_at_a_time, odd], drain=0):
        run = await shown.client.start(odd)
        await run.result(timeout="20s")
        await shown.client.set_queue(MARKUP, total=5)
        seen = await shown.get("/queues")
        [address] = [part for part in seen.html.split('"') if "spark.svg" in part and "theme=light" in part][:1]
        drawn = await shown.browser.http.get(address.replace("&amp;", "&"))
        assert drawn.headers["content-type"] == "image/svg+xml"
