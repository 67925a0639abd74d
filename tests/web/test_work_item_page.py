"""A work item's page: why it stands where it does, its progress, next steps, data and links; ids that are odd."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

import holdfast as hf
from tests.web.browsing import Dashboard, dashboard
from tests.web.work_kit import (
    MARKUP,
    REFUND,
    STEPS,
    as_person,
    item,
    obsidian,
    people,
    refunding,
    sent,
    titles,
    work_of,
)


async def asked(shown: Dashboard, run: hf.RunHandle[Any]) -> str:
    """The id of the item that a run asks by."""
    async with asyncio.timeout(20):
        while not (found := [one for one in await work_of(shown).list(kind="ask") if one.run == run.id]):
            await asyncio.sleep(0.01)
    return found[0].id


async def test_why_it_has_its_score_is_a_sum_and_what_is_measured_stands_beside_it() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        await obsidian(work)
        made = await item(work, "Keep them", type="risk", subject="obsidian", text="Find out why.")
        seen = await shown.get(f"/work/{made}")
        assert "965 Critical It is in the queue of local." in seen.text
        assert "+25" in seen.text
        assert seen.has_link("Obsidian Black")
        assert "churn risk score 8" in seen.text
        assert "Find out why." in seen.text


async def test_the_progress_says_who_did_what_and_what_it_changed() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        work = work_of(shown, "ada")
        made = await item(work, "Call them", assignee="grace")
        await work_of(shown, "grace").save(made, {"mood": f"good {MARKUP}", "usage": {"teams": 3}})
        await work_of(shown, "grace").save(made, {"usage": {"teams": 4}})
        await work.assign(made, "linus", reason="Grace is away")
        seen = await (await as_person(shown, "grace")).get(f"/work/{made}")
        assert "Ada Lovelace made it" in seen.text
        assert f"mood good {MARKUP}" in seen.text
        assert "usage.teams 3 4" in seen.text
        assert "Ada Lovelace assigned it" in seen.text
        assert "Grace is away" in seen.text
        assert "assignee Grace Hopper Linus <b>T</b>" in seen.text
        assert MARKUP not in seen.html
        assert "<b>T</b>" not in seen.html
        # The newest stands first.
        assert seen.text.index("assigned it") < seen.text.index("filled it in") < seen.text.index("made it")


async def test_a_run_that_asks_goes_on_when_it_is_answered_and_its_steps_stand_in_the_progress() -> None:
    async with dashboard() as shown, hf.Worker(shown.client, [refunding], drain=0):
        run = await shown.client.start(refunding, "o-1")
        made = await asked(shown, run)
        async with asyncio.timeout(20):
            while (await shown.client.get(run.id)).status != "waiting":
                await asyncio.sleep(0.01)
        seen = await shown.get(f"/work/{made}")
        assert "The run that waits for it" in seen.text
        assert "waiting" in seen.text
        assert seen.has_link(run.id)
        form = await shown.get(seen.link("Answer"))
        done = await shown.browser.send(form, "Send the answer", **{"in.approved": "yes", "in.amount": "20"})
        assert "is completed" in done.text
        assert await run.result(timeout="20s") == {"approved": "yes", "amount": 20}
        seen = await shown.get(f"/work/{made}")
        assert "the run succeeded" in seen.text
        assert "succeeded" in seen.text


async def test_a_long_text_that_is_asked_for_is_shown_in_its_lines_and_the_run_leads_to_the_item() -> None:
    text = "\n".join(f"line {number}" for number in range(12))
    form = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 5000, "default": text}}}

    @hf.workflow
    async def drafting() -> Any:
        return await hf.ask("is it right?", assignee="local", form=form)

    async with dashboard() as shown, hf.Worker(shown.client, [drafting], drain=0):
        run = await shown.client.start(drafting)
        item = await asked(shown, run)
        assert text in (await shown.get(f"/work/{item}")).html
        assert 'rows="12"' in (await shown.get(f"/work/{item}?do=complete")).html
        assert (await shown.get(f"/runs/{run.id}")).link("the work item").endswith(f"/work/{item}")


async def test_a_run_that_asks_without_a_form_takes_any_object() -> None:
    @hf.workflow
    async def wondering() -> Any:
        return await hf.ask("what do you think?", assignee="local")

    async with dashboard() as shown, hf.Worker(shown.client, [wondering], drain=0):
        first, second = await shown.client.start(wondering), await shown.client.start(wondering)
        seen = await shown.get(f"/work/{await asked(shown, first)}?do=complete")
        wrong = await shown.browser.send(seen, "Send the answer", value="[1]")
        assert wrong.status == 422
        await shown.browser.send(wrong, "Send the answer", value='{"mood": "good"}')
        assert await first.result(timeout="20s") == {"mood": "good"}
        task = await shown.get(f"/work/{await asked(shown, second)}/do")
        wrong = await shown.browser.send(task, "Send the answer", value="x")
        assert wrong.status == 422
        await shown.browser.send(wrong, "Send the answer", value='{"mood": "bad"}')
        assert await second.result(timeout="20s") == {"mood": "bad"}


async def test_a_run_is_held_until_its_item_is_completed_or_rejected() -> None:
    @hf.workflow
    async def holding() -> Any:
        return await hf.hold("is it right?")

    async with dashboard() as shown, hf.Worker(shown.client, [holding], drain=0):
        first, second = await shown.client.start(holding), await shown.client.start(holding)
        items: dict[str, str] = {}
        async with asyncio.timeout(20):
            while len(items) < 2:
                items = {one.run or "": one.id for one in await work_of(shown).list(kind="hold")}
                await asyncio.sleep(0.02)
        seen = await shown.get(f"/work/{items[first.id]}")
        assert "The run that is held for it" in seen.text
        assert not seen.has_link("Skip")
        done = await shown.browser.send(await shown.get(seen.link("Release the run")), "Release the run")
        assert "is completed" in done.text
        await first.result(timeout="20s")
        asked = await shown.get((await shown.get(f"/work/{items[second.id]}")).link("Reject"))
        await shown.browser.send(asked, "Reject it", reason="no")
        with pytest.raises(hf.RunFailed):
            await second.result(timeout="20s")


async def test_next_steps_are_fed_by_the_data_ticked_and_added_to() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        steps = [
            "Send the offer",
            {"text": f"Call {MARKUP}", "due": "2020-01-01"},
            7,
            {"text": "Done one", "done": True},
        ]
        made = await item(work, data={"next_steps": steps})
        seen = await shown.get(f"/work/{made}")
        assert "1 of 3 done" in seen.text
        assert "was due 2020-01-01" in seen.text
        assert MARKUP not in seen.html
        ticked = await shown.browser.send(seen, "", {"place": "0"}, done="yes")
        assert "The step is done." in ticked.text
        added = await shown.browser.send(ticked, "Add", text="Plan the renewal", due="2030-01-01")
        assert "The step is added." in added.text
        data = (await work.get(made)).data["next_steps"]
        assert data[0] == {"text": "Send the offer", "done": True}
        assert data[2] == 7
        assert data[4] == {"text": "Plan the renewal", "done": False, "due": "2030-01-01"}
        for wrong in ({"text": ""}, {"text": "x", "due": "soon"}, {"text": "x" * 501}):
            refused = await shown.browser.post(f"/work/{made}?do=next", wrong)
            assert 'class="said said-failed"' in refused.html
        assert len((await work.get(made)).data["next_steps"]) == 5
        gone = await shown.browser.post(f"/work/{made}?do=tick", {"place": "99", "done": "yes"})
        assert "not there any more" in gone.text
        # Of one that has ended what is left to do becomes work of its own.
        await work.complete(made)
        ended = await shown.get(f"/work/{made}")
        form = await shown.get(ended.link("Make it an item"))
        assert dict(form.form("Make it").values)["title"] == f"Call {MARKUP}"


async def test_an_item_waits_for_another_and_both_say_so() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        first, second = await item(work, "First", id="first"), await item(work, "Second", id="second")
        asked = await shown.get((await shown.get(f"/work/{second}")).link("Let it wait"))
        wrong = await shown.browser.send(asked, "Let it wait", on="nowhere")
        assert wrong.status == 422
        seen = await shown.browser.send(wrong, "Let it wait", on=first)
        assert "It waits for first." in seen.text
        assert "waits for others" in seen.text
        assert not seen.has_link("Complete")
        assert titles(await shown.get("/work"), ["First", "Second"]) == ["First"]
        assert "These wait for it" in (await shown.get(f"/work/{first}")).text
        circle = await shown.browser.post(f"/work/{first}?do=wait", {"on": second})
        assert "neither would ever end" in circle.text
        await shown.browser.send(seen, "", {"on": "first"})
        assert (await work.get(second)).blocked is False


async def test_data_is_merged_and_a_lost_update_is_refused() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        made = await item(work, data={"a": {"b": 1, "c": 2}})
        asked = await shown.get((await shown.get(f"/work/{made}")).link("Change"))
        await work.save(made, {"d": 1})
        refused = await shown.browser.send(asked, "Change it", data='{"a": {"b": null}}')
        assert refused.status == 422
        assert "changed meanwhile" in refused.text
        wrong = await shown.browser.send(refused, "Change it", data="[1]")
        assert "Give an object" in wrong.text
        await shown.browser.send(refused, "Change it", data='{"a": {"b": null}}')
        assert (await work.get(made)).data == {"a": {"c": 2}, "d": 1}


async def test_moves_that_are_not_allowed_say_what_is() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        made = await item(work)
        await work.complete(made)
        refused = await shown.browser.post(f"/work/{made}?do=snooze", {"days": "3"})
        assert refused.status == 422
        assert "has ended: it is completed" in refused.text
        again = await shown.browser.post(f"/work/{made}?do=start", {})
        assert "has ended" in again.text
        assert (await shown.get(f"/work/{made}?do=fly")).status == 422
        assert (await shown.get("/work/nowhere")).status == 404
        seen = await shown.get(f"/work/{made}")
        assert not seen.has_link("Snooze")
        assert not seen.has_link("Open the task")


@pytest.mark.parametrize("id", ["queue", "item", ".", "..", "a/b", "ü ?&#%", "x" * 500, "new"])
async def test_items_of_odd_ids_have_pages_and_moves(id: str) -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        await item(work, "Odd", id=id)
        seen = await shown.get((await shown.get("/work")).link("Odd"))
        assert seen.status == 200
        assert "Odd" in seen.text
        begun = await shown.browser.send(seen, "Start")
        assert "Odd is underway." in begun.text
        asked = await shown.get(begun.link("Skip"))
        await shown.browser.send(asked, "Skip it", reason="odd")
        assert (await work.get(id)).status == "skipped"


async def test_what_is_hidden_is_hidden_in_items_too_and_survives_their_forms() -> None:
    async with dashboard(auth=True, redact=("card",)) as shown:
        await people(shown)
        work = work_of(shown)
        form = {
            "type": "object",
            "properties": {"card": {"type": "string"}, "ok": {"type": "string"}},
            "required": ["card"],
        }
        made = await item(work, assignee="grace", form=form, data={"card": "4111-1111"})
        grace, ada = await as_person(shown, "grace"), await as_person(shown, "ada")
        for path in (f"/work/{made}", f"/work/{made}?do=complete", f"/work/{made}/do", "/work"):
            assert "4111-1111" not in (await grace.get(path)).html, path
        assert "4111-1111" in (await ada.get(f"/work/{made}")).html
        done = await grace.send(await grace.get(f"/work/{made}?do=complete"), "Complete it", **{"in.ok": "yes"})
        assert "is completed" in done.text
        assert (await work.get(made)).data == {"card": "4111-1111", "ok": "yes"}


async def test_an_item_is_made_by_hand_for_oneself_and_by_operators_for_others() -> None:
    async with dashboard(auth=True) as shown:
        await people(shown)
        await obsidian(work_of(shown))
        grace, ada = await as_person(shown, "grace"), await as_person(shown, "ada")
        form = await grace.get("/work/new")
        wrong = await grace.send(form, "Make it", title="", subject="nobody")
        assert wrong.status == 422
        made = await grace.send(wrong, "Make it", title="Mine", subject="obsidian", due="2030-01-01")
        assert "Mine is made." in made.text
        refused = await sent(grace, "/work/new", {"title": "x", "assignee": "ada", "type": "custom"})
        assert refused.status == 403
        assert "make one for yourself" in refused.text
        made = await ada.send(await ada.get("/work/new"), "Make it", title="For them", assignee="linus", type="risk")
        [found] = await work_of(shown).list(assignee="linus")
        assert (found.title, found.type) == ("For them", "risk")
        assert made.path == f"/work/{quote(found.id)}"


async def test_steps_stand_on_the_page_with_what_was_filled_in() -> None:
    async with dashboard() as shown:
        work = work_of(shown)
        await work.put_definition("review", {"name": "Review", "steps": STEPS, "form": REFUND})
        made = (await work.create("review", assignee="local", data={"usage": {"teams": ["a", "b"]}})).id
        seen = await shown.get(f"/work/{made}")
        assert "1 of 2 steps" in seen.text
        assert 'teams ["a", "b"]' in seen.text
        assert "Amount in EUR (needed)" in seen.text
        assert seen.has_link("Open the task")
