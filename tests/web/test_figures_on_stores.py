"""The pages of figures and levers on each database, under the policy of its tenant."""

import contextlib
import re

import pytest

import holdfast as hf
from tests.web.browsing import dashboard


@hf.step(retry=hf.Retry(max_attempts=1))
async def deliver(what: str) -> str:
    if what == "bad":
        raise ValueError("no such order")
    return what


@hf.workflow(key="what", limit=1, lane="order", queue="mail")
async def mail(what: str) -> str:
    if what == "wait":
        await hf.wait_for_event("go", key=what)
    return await deliver(what)


PAGES = {
    "/": ("1 dead letter", "ValueError", "no such order"),
    "/workflows": ("mail",),
    "/workflows/mail": ("Steps, as last run", "event", "1 worker", "ValueError"),
    "/queues": ("of 3", "order = wait", "1 in line"),
    "/schedules": ("hourly",),
    "/schedules/hourly": ("succeeded", "Next times"),
    "/workers": ("mail 1", "alive"),
    "/dead-letters": ("ValueError", "no such order"),
    "/audit": ("queue.set", "ann"),
    "/settings": ("hf_",),
    "/settings/people": ("Ann",),
    "/settings/retention": ("30 d by default", "7 d"),
    "/settings/searches": ("You keep no searches yet",),
    "/settings/server": ("default",),
}


@pytest.mark.slow
async def test_every_page_and_the_levers(disk_url: str) -> None:
    async with dashboard(disk_url, auth=True) as shown, hf.Worker(disk_url, [mail], drain=0):
        ann = hf.Client(shown.client.core, "default", actor="ann")
        await ann.put_user("ann", name="Ann", role="admin")
        for what in ("good", "bad"):
            run = await ann.start(mail, what)
            with contextlib.suppress(hf.RunFailed):
                await run.result(timeout="20s")
        for _ in range(2):
            await ann.start(mail, "wait")
        await ann.set_retention("7d", workflow="mail")
        await ann.schedule("hourly", mail, input=("good",), every="1h")
        admin, theirs = await shown.somebody("admin"), await shown.somebody("admin", "acme")

        asked = await admin.get("/queue/limits?name=mail")
        await admin.send(asked, "Set the limits", total="3")
        assert (await admin.send(await admin.get("/workflow/pause?name=mail"), "Pause it")).status == 200
        assert (await admin.send(await admin.get("/workflows/mail"), "Resume")).status == 200
        begin = await admin.get("/schedule/backfill?name=hourly")
        made = await admin.send(begin, "Start the runs", until="")
        assert "runs are started" in made.text
        newest = re.findall(r" to (hourly/\S+Z)\.", made.text)[0]
        await (await ann.handle(newest)).result(timeout="20s")

        for path, words in PAGES.items():
            seen = await admin.get(path)
            assert seen.status == 200, path
            for word in words:
                assert word in seen.text, (path, word)
            foreign = await theirs.get(path)
            if path == "/schedules/hourly":
                assert foreign.status == 404
                continue
            assert foreign.status == 200, path
            for secret in ("no such order", "hourly", "order = wait", "ann@", "queue.set"):
                assert secret not in foreign.text, (path, secret)

        drained = await admin.send(await admin.get((await admin.get("/workers")).link("Drain")), "Drain it")
        assert "hands its runs over and ends" in drained.text
        assert "is deleted" in (await admin.send(await admin.get("/schedule/delete?name=hourly"), "Delete it")).text
