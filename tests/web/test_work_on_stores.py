"""The pages of the work queue on each database: a day of somebody's work, from signals to figures."""

from __future__ import annotations

import pytest

from holdfast.workqueue.subjects import sample_customers
from tests.web.browsing import dashboard
from tests.web.work_kit import move_clock, titles, work_of

pytestmark = pytest.mark.slow


async def test_a_day_of_work_from_signals_to_figures(disk_url: str) -> None:
    async with dashboard(disk_url) as shown:
        work, browser = work_of(shown), shown.browser
        await browser.send(await shown.get("/work/settings"), "Take customer_success")
        await work.import_subjects(sample_customers())
        for one in await work.subjects(limit=20):
            await work.put_subject(one.id, assignee="local")
        await browser.send(await shown.get("/work/settings"), "Do it now")
        seen = await shown.get("/work")
        first, *others = await work.queue("local", limit=50)
        assert titles(seen, [first.title])
        assert str(first.priority) in seen.text
        # One is put off, one skipped, one done in its task; then many at once, and that taken back.
        put_off = await browser.post(f"/work/{others[0].id}?do=snooze", {"days": "2", "back": "/work"})
        assert "is snoozed" in put_off.text
        skipped = await browser.post(f"/work/{others[1].id}?do=skip", {"reason": "not now", "back": "/work"})
        assert "is skipped" in skipped.text
        assert {one.id for one in await work.queue("local", limit=50)}.isdisjoint({others[0].id, others[1].id})
        made = (await work.create(title="A short one", assignee="local")).id
        task = await shown.get(f"/work/{made}/do")
        assert "is completed" in (await browser.send(task, task.forms[0].buttons[0])).text
        asked = await shown.get("/work/bulk?action=escalate&status=not_started&back=/work/queue")
        many = await browser.send(asked, "Escalate them", to="ada")
        assert "items are escalated" in many.text
        assert (await work.get(first.id)).escalated_to == "ada"
        assert "as before" in (await browser.send(many, "Undo it")).text
        assert (await work.get(first.id)).escalated_to is None
        for path in (f"/work/{first.id}", "/work/load?plan=yes", "/work/subjects", "/work/definitions/save?try=yes"):
            assert (await shown.get(path)).status == 200, path
        figures = await shown.get("/work/analytics")
        assert "Completed 1" in figures.text
        assert "not now" in figures.text
        await move_clock(shown, days=2.5)
        assert (await work.queue("local", limit=1))[0].id == others[0].id
        assert "snoozed" in (await shown.get("/work")).text
