"""The next steps of a work item: what its data says is to be done after it, ticked and added to."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.errors import UsageError
from holdfast.web.form import Form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.web.page import Page

FIELD = "next_steps"
STEPS_AT_MOST = 200
TEXT_CHARACTERS = 500


class Tracked(NamedTuple):
    """A next step.

    Attributes:
        place: in the list of the item's data.
        late: whether its date has passed and it is not done.
    """

    place: int
    text: str
    done: bool
    due: str | None
    late: bool


def tracked(data: Mapping[str, Any], today: date) -> list[Tracked]:
    """The next steps that data has, in its order; what is none is left out."""
    listed = data.get(FIELD)
    found = []
    for place, one in enumerate(listed if isinstance(listed, list) else []):
        step = {"text": one} if isinstance(one, str) else one
        if not isinstance(step, dict) or not isinstance(step.get("text"), str):
            continue
        due = step.get("due") if isinstance(step.get("due"), str) else None
        done = step.get("done") is True
        found.append(Tracked(place, step["text"], done, due, not done and _passed(due, today)))
    return found


def _passed(due: str | None, today: date) -> bool:
    try:
        return due is not None and date.fromisoformat(due[:10]) < today
    except ValueError:
        return False


async def tick_step(page: Page, item_id: str, form: Form) -> str | None:
    """Say that a step is done, or that it is not."""
    place = form.integer("place", least=0, most=STEPS_AT_MOST)
    done = form.choice("done", ["yes", "no"]) == "yes"
    if not form.sound:
        return None
    item = await page.work.get(item_id)
    listed = _listed(item.data)
    if place is None or place >= len(listed):
        raise UsageError("this step is not there any more")
    step = listed[place]
    listed[place] = {**(step if isinstance(step, dict) else {"text": step}), "done": done}
    await page.work.save(item_id, {FIELD: listed}, revision=form.integer("revision", least=1))
    return "The step is done." if done else "The step is open again."


async def add_step(page: Page, item_id: str, form: Form) -> str | None:
    """Add a step at the end of the list."""
    text = form.text("text", most=TEXT_CHARACTERS, what="what is to be done")
    due = form.text("due", needed=False, most=10)
    if due and _not_a_date(due):
        form.refuse("due", "Give a date such as 2026-12-01.")
    if not form.sound:
        return None
    item = await page.work.get(item_id)
    listed = _listed(item.data)
    if len(listed) >= STEPS_AT_MOST:
        raise UsageError(f"an item has at most {STEPS_AT_MOST} next steps")
    step = {"text": text, "done": False} | ({"due": due} if due else {})
    await page.work.save(item_id, {FIELD: [*listed, step]}, revision=form.integer("revision", least=1))
    return "The step is added."


def _listed(data: Mapping[str, Any]) -> list[Any]:
    listed = data.get(FIELD)
    return list(listed) if isinstance(listed, list) else []


def _not_a_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return True
    return False
