"""Definitions, subjects and the set-up: listed, edited, tried on today's data, switched on and off, taken in."""

from __future__ import annotations

import httpx
import pytest

from holdfast.workqueue.subjects import sample_customers
from tests.web.browsing import dashboard
from tests.web.work_kit import MARKUP, STEPS, as_person, item, obsidian, people, sent, titles, work_of


async def test_a_definition_is_written_tried_kept_and_switched_on() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        await obsidian(work)
        empty = await shown.get("/work/definitions")
        assert "No definitions yet" in empty.text
        form = await shown.get(empty.link("New definition"))
        filled = {"id": "save", "name": f"Keep them {MARKUP}", "type": "risk", "due": "5d"}
        tried = await shown.browser.send(form, "Try it on today's data", rule="signals.churn_risk_score >= 7", **filled)
        assert tried.status == 200, tried.text
        assert "1 item: its rule holds for 1 of 1 subject" in tried.text
        assert tried.has_link("obsidian")
        assert await work.definitions() == []
        kept = await shown.browser.send(tried, "Keep it")
        assert kept.path == "/work/definitions/save"
        assert "is kept as version 1." in kept.text
        assert MARKUP not in kept.html
        view = await work.get_definition("save")
        assert (view.active, view.rule, view.document["due"]) == (False, "signals.churn_risk_score >= 7", "5d")
        on = await shown.browser.send(await shown.get(kept.link("Activate")), "Activate it")
        assert "makes items from the next daily work on" in on.text
        assert (await work.get_definition("save")).active
        off = await shown.browser.send(await shown.get(on.link("Retire")), "Retire it")
        assert "is retired" in off.text
        assert "Version 3" in off.text


async def test_a_rule_that_cannot_be_read_is_shown_with_its_place() -> None:
    async with dashboard() as shown:
        form = await shown.get("/work/definition/edit")
        for rule, word in (("signals.a >\n  && 3", "&amp;&amp;"), ("signals.a <b> 3", "3"), ("nope.a > 1", "nope")):
            seen = await shown.browser.send(form, "Keep it", id="x", name="X", rule=rule)
            assert seen.status == 422, rule
            assert "<mark>" in seen.html
            assert "line" in seen.text
            assert word in seen.html
        assert await work_of(shown).definitions() == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("due", "soon", "due"),
        ("weight", "x", "Give a whole number."),
        ("steps", '{"a": 1}', "Give a list of objects."),
        ("steps", '[{"title": "no id"}]', "steps"),
        ("form", '{"type": "array"}', "object"),
        ("change.by", "much", "Give a number"),
        ("name", "", "Give a name."),
        ("after", "x", "itself"),
        ("escalate_to", "", ""),
    ],
)
async def test_what_is_wrong_stands_at_its_field(field: str, value: str, said: str) -> None:
    async with dashboard() as shown:
        form = await shown.get("/work/definition/edit")
        given = {"id": "x", "name": "X", field: value}
        seen = await shown.browser.send(form, "Keep it", **given)
        if said:
            assert seen.status == 422
            assert said in seen.text
            assert await work_of(shown).definitions() == []
        else:
            assert seen.path == "/work/definitions/x"


async def test_versions_say_what_changed_and_what_no_field_is_about_stays() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        document = {
            "name": "Review", "type": "renewal", "steps": STEPS, "escalate_to": ["@manager", "ada"],
            "acknowledge": "1d",
            "renewal": {"property": "renews_on", "days": 90}, "annual": {"property": "signed_on", "days": 14},
            "change": {"signal": "usage_score", "over": "30d", "by": -10.0}, "sla": {"start": "2d"}, "business_days": 5,
            "after": ["plan"], "cooldown": "60d", "weight": 650, "group": "onboarding", "workflow_id": "rev",
        }  # fmt: skip
        await work.put_definition("review", document)
        seen = await shown.get("/work/definitions/review")
        assert "90 days before the renewal on" in seen.text
        assert "5 business days after it is made" in seen.text
        assert "has fallen by 10 or more over 30d" in seen.text
        form = await shown.get(seen.link("Edit"))
        same = await shown.browser.send(form, "Keep it as version 2")
        assert "It says the same as before" in same.text
        changed = await shown.browser.send(form, "Keep it as version 2", weight="700")
        assert "weight 650 700" in changed.text
        assert {**document, "weight": 700}.items() <= (await work.get_definition("review")).document.items()
        stale = await shown.browser.send(form, "Keep it as version 2", weight="710")
        assert stale.status == 422
        assert "changed meanwhile" in stale.text
        old = await shown.get("/work/definitions/review?version=1")
        assert "version 1 of 2" in old.text
        assert (await shown.get("/work/definitions/review?version=9")).status == 404
        assert (await shown.get("/work/definitions/nowhere")).status == 404


async def test_who_may_look_try_and_edit() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        await work_of(shown).put_definition("plan", {"name": "Plan", "rule": "signals.a > 1"})
        grace, ada = await as_person(shown, "grace"), await as_person(shown, "ada")
        seen = await grace.get("/work/definitions/plan")
        assert seen.status == 200
        assert not seen.has_link("Edit")
        assert (await grace.get("/work/definitions/plan?try=yes")).status == 403
        assert "0 items" in (await ada.get("/work/definitions/plan?try=yes")).text
        for path in ("/work/definition/edit?id=plan", "/work/definition/switch?id=plan"):
            assert (await ada.get(path)).status == 403
            assert (await sent(ada, path, {"name": "x"})).status == 403


# Subjects


async def test_subjects_are_taken_in_from_a_file_and_bad_lines_told() -> None:
    async with dashboard() as shown:
        empty = await shown.get("/work/subjects")
        assert "No subjects yet" in empty.text
        form = await shown.get(empty.link("Take in a CSV"))
        text = "id,name,signal.usage_score\na,A,1\nb,B,much\n,C,3\n"
        looked = await shown.browser.send(form, "Take it in", csv=text, dry_run="yes")
        assert "1 line is good, 2 are not." in looked.text
        assert await work_of(shown).subjects() == []
        taken = await shown.browser.send(form, "Take it in", csv=text)
        assert "1 line is good and taken in, 2 are not." in taken.text
        assert [one.id for one in await work_of(shown).subjects()] == ["a"]
        answer: httpx.Response = await shown.browser.http.post(
            "/work/subject/import", files={"file": ("customers.csv", sample_customers(), "text/csv")}
        )
        assert answer.status_code == 303
        assert len(await work_of(shown).subjects(limit=100)) == 21
        for wrong in ("", "name\nx\n", "id,id\na,b\n"):
            assert (await shown.browser.send(form, "Take it in", csv=wrong)).status == 422
        bad = await shown.browser.http.post(
            "/work/subject/import", files={"file": ("x.csv", b"id\n\xff\xfe\n", "text/csv")}
        )
        assert bad.status_code in (200, 422)


async def test_a_subject_shows_its_signals_scores_contacts_and_items() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        await obsidian(work)
        await work.put_subject("obsidian", name=f"Obsidian {MARKUP}", properties={"x": MARKUP})
        await item(work, "Keep them", subject="obsidian")
        await work.daily()
        seen = await shown.get("/work/subjects/obsidian")
        assert MARKUP not in seen.html
        assert "Risk" in seen.text
        assert "Marcus weak" in seen.text
        assert "2027-03-01" in seen.text
        assert titles(seen, ["Keep them"]) == ["Keep them"]
        [address] = [part for part in seen.html.split('"') if "signal.svg" in part and "theme=light" in part][:1]
        drawn = await shown.browser.http.get(address.replace("&amp;", "&"))
        assert drawn.headers["content-type"] == "image/svg+xml"
        listed = await shown.get("/work/subjects?q=OBSID&assignee=local")
        assert seen.status == listed.status == 200
        assert listed.has_link(f"Obsidian {MARKUP}")
        assert "No subject is found" in (await shown.get("/work/subjects?q=zzz")).text
        assert (await shown.get("/work/subjects/nowhere")).status == 404


async def test_a_subject_is_made_changed_and_forgotten() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        ada = await as_person(shown, "ada")
        form = await ada.get("/work/subject/edit")
        wrong = await ada.send(form, "Make it known", id="s-1", properties="[1]", contacts='{"a": 1}')
        assert wrong.status == 422
        assert "Give an object" in wrong.text
        assert "Give a list" in wrong.text
        made = await ada.send(
            form, "Make it known", id="s-1", name="One", assignee="grace", properties='{"plan": "gold"}'
        )
        assert "One is made known." in made.text
        change = await ada.get(made.link("Change"))
        await ada.send(change, "Change it", name="Uno")
        view = await work_of(shown).get_subject("s-1")
        assert (view.name, view.assignee, view.properties) == ("Uno", "grace", {"plan": "gold"})
        stale = await ada.send(change, "Change it", name="Due")
        assert stale.status == 422
        gone = await ada.send(await ada.get((await ada.get("/work/subjects/s-1")).link("Forget")), "Forget it")
        assert "Uno is forgotten." in gone.text
        grace = await as_person(shown, "grace")
        for path in ("/work/subject/edit", "/work/subject/import", "/work/subject/delete?id=s-1"):
            assert (await grace.get(path)).status == 403
            assert (await sent(grace, path, {"id": "s-2"})).status == 403


# Set-up


async def test_the_work_queue_is_set_up_and_a_preset_is_taken() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        form = await shown.get("/work/settings")
        wrong = await shown.browser.send(form, "Set it up", zone="Mars/Olympus")
        assert wrong.status == 422
        assert "IANA" in wrong.text
        done = await shown.browser.send(form, "Set it up", zone="Europe/Berlin", country="DE")
        assert "is set up" in done.text
        assert (await work.get_settings()).zone == "Europe/Berlin"
        taken = await shown.browser.send(done, "Take customer_success")
        assert taken.path == "/work/definitions"
        assert "active" in taken.text
        await work.import_subjects(sample_customers())
        daily = await shown.browser.send(await shown.get("/work/settings"), "Do it now")
        assert "20 subjects scored" in daily.text
        assert len(await work.list(limit=100)) > 0


async def test_who_may_set_it_up() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        ada, grace = await as_person(shown, "ada"), await as_person(shown, "grace")
        assert not (await ada.get("/work/settings")).has_button("Set it up")
        assert (await ada.get("/work/settings")).has_button("Do it now")
        assert not (await grace.get("/work/settings")).has_button("Do it now")
        assert (await sent(ada, "/work/settings", {"zone": "UTC"})).status == 403
        assert (await sent(ada, "/work/settings/preset", {"preset": "customer_success"})).status == 403
        assert (await sent(grace, "/work/settings/daily", {})).status == 403
