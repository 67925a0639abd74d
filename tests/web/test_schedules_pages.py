"""Schedules: made, changed, paused, run, backfilled and deleted by forms; what became of their last times."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

import holdfast as hf
from holdfast.model.schedule_times import run_id
from tests.web.browsing import Dashboard, Seen, dashboard

MARKUP = "<svg onload=alert(1)>"


@hf.workflow
async def report(day: str, copies: int = 1) -> str:
    if day == "bad":
        raise ValueError("no such day")
    return day * copies


async def make(shown: Dashboard, **fields: str) -> Seen:
    """Fill the form for a new schedule in and send it."""
    asked = await shown.get("/schedule/new")
    values = {"name": "nightly", "workflow": "report", "cron": "30 2 * * *", "input": '{"day": "monday"}', **fields}
    return await shown.browser.send(asked, "Make it", **values)


async def test_there_is_none_yet() -> None:
    async with dashboard() as shown:
        assert "No schedule yet" in (await shown.get("/schedules")).text


async def test_one_is_made_by_a_form_shown_and_changed() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [report], drain=0):
        made = await make(
            shown, zone="Europe/Berlin", overlap="queue", catch_up="all", catch_up_within="2d", priority="7",
            queue="reports", timeout="10m", attributes='{"team": "billing"}',
        )  # fmt: skip
        assert made.path == "/schedules/nightly"
        assert "Schedule nightly is made." in made.text
        view = await shown.client.get_schedule("nightly")
        assert (view.cron, view.zone, view.overlap, view.catch_up) == ("30 2 * * *", "Europe/Berlin", "queue", "all")
        assert (view.priority, view.queue, view.timeout_seconds) == (7, "reports", 600)
        assert (view.attributes, view.input) == ({"team": "billing"}, {"day": "monday", "copies": 1})
        assert view.catch_up_within_seconds == 2 * 86_400
        asked = await shown.get(made.link("Change"))
        unchanged = await shown.browser.send(asked, "Change it")
        assert unchanged.status == 200
        assert await shown.client.get_schedule("nightly") == view
        changed = await shown.browser.send(asked, "Change it", cron="", zone="", every="90s", input='{"day": "x"}')
        assert "Schedule nightly is changed." in changed.text
        assert (await shown.client.get_schedule("nightly")).every_seconds == 90
        assert "every 1 min 30 s" in (await shown.get("/schedules")).text
        asked = await shown.get(changed.link("Change"))
        await shown.browser.send(
            asked, "Change it", every="", rrule="FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9", zone="Europe/Berlin",
            calendar="DE-BY", closed="previous", jitter="5m",
        )  # fmt: skip
        view = await shown.client.get_schedule("nightly")
        assert (view.rrule, view.calendar, view.closed) == ("FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9", "DE-BY", "previous")
        assert view.jitter_seconds == 300
        page = await shown.get("/schedules/nightly")
        for said in (
            "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9",
            "business days of DE-BY",
            "business day before",
            "5 min later",
        ):
            assert said in page.text
        await shown.browser.send(await shown.get(page.link("Change")), "Change it")
        assert await shown.client.get_schedule("nightly") == view


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "Give a name."),
        ({"workflow": "nothing"}, "no worker has registered a workflow 'nothing'"),
        ({"cron": "not a line"}, "cron"),
        ({"cron": "", "every": ""}, "Give a cron line, or a rule or an interval instead."),
        ({"cron": "", "rrule": "FREQ=DAILY;BYHOUR=25"}, "cannot be"),
        ({"rrule": "FREQ=DAILY"}, "only one"),
        ({"calendar": "XX"}, "not known"),
        ({"every": "5m"}, "only one"),
        ({"cron": "", "every": "soon"}, "Give a length of time"),
        ({"cron": "", "every": "5m", "start_at": "yesterday"}, "Give a date and a time"),
        ({"zone": "Nowhere/Land"}, "Nowhere/Land"),
        ({"input": "{"}, "this is not JSON"),
        ({"input": "[1]"}, "Give an object by name"),
        ({"input": '{"day": 5}'}, "day"),
        ({"input": '{"other": 5}'}, "other"),
        ({"input": '{"day": NaN}'}, "NaN is no JSON"),
        ({"input": "[" * 100_000}, "more than 100 deep"),
        ({"attributes": "7"}, "Give an object by name"),
        ({"priority": "5000"}, "Give -1,000 to 1,000."),
        ({"overlap": "x"}, "Choose one of these."),
        ({"name": "x" * 600}, "at most 491"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_wrong_is_said_what_was_typed_is_kept_and_nothing_is_made(
    fields: dict[str, str], said: str
) -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [report], drain=0):
        seen = await make(shown, **fields)
        assert seen.status == 422
        assert said in seen.text
        sent = dict(seen.form("Make it").values)
        for name, value in fields.items():
            assert sent[name] == value or name == "overlap"
        assert await shown.client.schedules() == []


async def test_a_name_that_is_taken_and_a_change_meanwhile_are_refused() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [report], drain=0):
        await make(shown)
        assert (await make(shown)).status == 422
        asked = await shown.get("/schedule/change?name=nightly")
        await shown.client.schedule("nightly", report, input=("other",), cron="0 4 * * *")
        late = await shown.browser.send(asked, "Change it", cron="0 5 * * *")
        assert late.status == 422
        assert (await shown.client.get_schedule("nightly")).cron == "0 4 * * *"


async def test_it_is_paused_and_resumed_from_the_list_and_from_its_page() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [report], drain=0):
        await shown.client.schedule("nightly", report, input=("x",), cron="30 2 * * *")
        paused = await shown.browser.send(await shown.get("/schedules"), "Pause")
        assert paused.path == "/schedules"
        assert "is paused: it makes no runs" in paused.text
        assert (await shown.client.get_schedule("nightly")).paused
        resumed = await shown.browser.send(await shown.get("/schedules/nightly"), "Resume")
        assert resumed.path == "/schedules/nightly"
        assert not (await shown.client.get_schedule("nightly")).paused


async def test_it_is_run_out_of_turn_after_a_question() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [report], drain=0):
        await shown.client.schedule("nightly", report, input=("x",), cron="30 2 * * *")
        asked = await shown.get((await shown.get("/schedules/nightly")).link("Run now"))
        done = await shown.browser.send(asked, "Run it now")
        assert "is started." in done.text
        [run] = await shown.client.list(where="attributes.schedule = 'nightly'")
        assert run.id in done.text


async def test_a_range_is_backfilled_and_the_last_times_tell_their_outcome() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [report], drain=0):
        await shown.client.schedule("hourly", report, input=("x",), every="1h")
        await shown.client.pause_schedule("hourly")
        asked = await shown.get((await shown.get("/schedules/hourly")).link("Backfill"))
        now = datetime.now(UTC)
        since = (now - timedelta(hours=5, minutes=30)).isoformat()
        done = await shown.browser.send(asked, "Start the runs", since=since, until="")
        assert "runs are started, from hourly/" in done.text
        last = run_id("hourly", now.replace(minute=0, second=0, microsecond=0))
        await (await shown.client.handle(last)).result(timeout="20s")
        seen = await shown.get("/schedules/hourly")
        assert f"/runs/{quote(last, safe='')}" in seen.html
        assert "succeeded" in seen.text
        again = await shown.browser.send(asked, "Start the runs", since=since, until="")
        assert "nothing was started" in again.text


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("", ""),
        ("soon", ""),
        ("2026-01-01 00:00", "2025-01-01 00:00"),
        ("2000-01-01 00:00", ""),
        ("2026-01-01", "2999-01-01"),
    ],
)
async def test_a_range_that_cannot_be_is_refused(since: str, until: str) -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [report], drain=0):
        await shown.client.schedule("hourly", report, input=("x",), every="1m")
        await shown.client.pause_schedule("hourly")
        asked = await shown.get("/schedule/backfill?name=hourly")
        assert (await shown.browser.send(asked, "Start the runs", since=since, until=until)).status == 422
        assert (await shown.client.count("attributes.schedule = 'hourly'")).runs == 0


async def test_it_is_deleted_after_a_question() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [report], drain=0):
        await shown.client.schedule("nightly", report, input=("x",), cron="30 2 * * *")
        asked = await shown.get((await shown.get("/schedules/nightly")).link("Delete"))
        assert "The runs that it made stay." in asked.text
        done = await shown.browser.send(asked, "Delete it")
        assert done.path == "/schedules"
        assert await shown.client.schedules() == []
        assert (await shown.browser.send(asked, "Delete it")).status == 404


async def test_what_keeps_it_from_running_is_said() -> None:
    async with dashboard() as shown:
        await shown.client.schedule("nightly", report, input=("x",), cron="30 2 * * *")
        assert "no worker has registered" in (await shown.get("/schedules")).text
        assert "no worker has registered" in (await shown.get("/schedules/nightly")).text


@pytest.mark.parametrize("name", [MARKUP, "a/b", "..", "a b?c#d", "ä%2F"])
async def test_odd_names_have_a_page_and_their_levers(name: str) -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [report], drain=0):
        assert (await make(shown, name=name)).status == 200
        listed = await shown.get("/schedules")
        seen = await shown.get(listed.link(name))
        assert seen.status == 200
        assert MARKUP not in seen.html
        for lever in ("Change", "Backfill", "Delete", "Run now"):
            assert (await shown.get(seen.link(lever))).status == 200
        assert (await shown.browser.send(seen, "Pause")).status == 200
        assert (await shown.client.get_schedule(name)).paused


async def test_many_are_paged_and_found_by_a_part_of_their_name() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [report], drain=0):
        for n in range(30):
            await shown.client.schedule(f"s{n:02}", report, input=("x",), cron="30 2 * * *")
        first = await shown.get("/schedules")
        assert first.has_link("s24")
        assert not first.has_link("s25")
        second = await shown.get(first.link("Next page"))
        assert second.has_link("s29")
        assert not second.has_link("s24")
        assert (await shown.get(second.link("First page"))).has_link("s00")
        found = await shown.get("/schedules?q=S1")
        assert found.has_link("s19")
        assert not found.has_link("s20")


async def test_one_that_is_not_there_or_anothers_is_404_and_a_viewer_has_no_levers() -> None:
    async with dashboard(auth=True) as shown, hf.Worker(shown.client, [report], drain=0):
        await shown.client.schedule("nightly", report, input=("x",), cron="30 2 * * *")
        admin, theirs = await shown.somebody("admin"), await shown.somebody("admin", "acme")
        viewer = await shown.somebody("viewer")
        pages = (
            "/schedules/NAME",
            "/schedule/change?name=NAME",
            "/schedule/backfill?name=NAME",
            "/schedule/delete?name=NAME",
        )
        for who, name in ((admin, "other"), (theirs, "nightly")):
            for path in pages:
                assert (await who.get(path.replace("NAME", quote(name)))).status == 404, path
            for action in ("pause", "resume", "run", "delete", "backfill"):
                assert (await who.post(f"/schedule/{action}", {"name": name})).status == 404, action
        assert "nightly" not in (await theirs.get("/schedules")).text
        seen = await viewer.get("/schedules/nightly")
        assert seen.status == 200
        assert not any(seen.has_link(one) for one in ("Change", "Delete", "Run now", "Backfill"))
        assert not seen.has_button("Pause")
        for path in pages[1:]:
            assert (await viewer.get(path.replace("NAME", "nightly"))).status == 403
        for action in ("pause", "resume", "run", "delete", "backfill", "put"):
            assert (await viewer.post(f"/schedule/{action}", {"name": "nightly"})).status == 403, action
        assert not (await shown.client.get_schedule("nightly")).paused
