"""What a person can do to a work item: each move asks what it needs, says what is wrong beside it, and what it did."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from starlette.responses import Response

from holdfast.api.redaction import HIDDEN
from holdfast.errors import PayloadError, UsageError
from holdfast.model.access import Role
from holdfast.web.form import Form
from holdfast.web.item_snooze import snooze_choices, snoozed
from holdfast.web.item_steps import add_step, tick_step
from holdfast.web.page import Page
from holdfast.web.paths import item_path
from holdfast.web.schema_form import PREFIX, SchemaField, fields_of, filled, patch_of, read_fields
from holdfast.web.work_parts import actor_of, is_ended, need, people_of, person_of, show, workers_of
from holdfast.workqueue.views import ItemView

REASON_CHARACTERS = 2000


class Move(NamedTuple):
    """Something that can be done to an item.

    Attributes:
        name: as in the address.
        label: on its button.
        icon: beside it.
        kind: of button.
        title: of the question; empty for what is done without one.
        says: what it does.
        key: the letter that does it.
        needs: the role that it takes.
    """

    name: str
    label: str
    icon: str
    kind: str = ""
    title: str = ""
    says: str = ""
    key: str = ""
    needs: Role = Role.ITEMS


MOVES: Mapping[str, Move] = {
    one.name: one
    for one in (
        Move("claim", "Claim", "person", "primary"),
        Move("acknowledge", "I have seen it", "check", "primary"),
        Move("start", "Start", "play", "primary"),
        Move("complete", "Complete", "check", "", "Complete it?", "What is filled in is kept with it.", "e"),
        Move("snooze", "Snooze", "snooze", "", "Snooze it", "It leaves the queue, and comes back by itself.", "s"),
        Move("wake", "Wake", "retry"),
        Move("stop", "Lay down", "pause"),
        Move(
            "escalate", "Escalate", "up", "", "Escalate it",
            "Somebody else is asked to look at it as well. It stays with whom it is assigned to.",
        ),
        Move("assign", "Reassign", "person", "", "Give it to somebody", needs=Role.OPERATOR),
        Move("release", "Give back", "group"),
        Move("wait", "Wait for…", "link", "", "Let it wait", "It is in no queue until that has ended.",
             needs=Role.OPERATOR),
        Move("skip", "Skip", "skip", "danger", "Skip it?", "It is not to be done, and does not come back."),
        Move(
            "reject", "Reject", "cross", "danger", "Reject what the run is held for?",
            "The hold in its code raises Rejected; a run that was held from outside is cancelled.",
        ),
        Move("data", "Change the data", "code", "", "Change the data",
             "Objects are merged, lists replaced, and null deletes."),
        Move("unwait", "Wait no more", "cross", needs=Role.OPERATOR),
        Move("tick", "Tick", "check"),
        Move("next", "Add a step", "plus"),
    )
}  # fmt: skip
"""By name, the nearest first."""

ON_CARDS = ("claim", "acknowledge", "start", "complete", "snooze", "wake", "escalate", "skip", "reject")
"""Those that stand on a card of the queue."""

IN_HEAD = (*ON_CARDS, "stop", "assign", "release")
"""Those that stand at the head of an item's page."""

_PLACE = re.compile(r"^data\.(.+)$")


def possible(page: Page, item: ItemView, names: tuple[str, ...] = IN_HEAD) -> list[Move]:
    """The moves that an item is in a state for and that whoever asks may make."""
    if is_ended(item) or not page.may(Role.ITEMS):
        return []
    me = actor_of(page)
    unclaimed = item.group is not None and item.assignee is None
    there = {
        "claim": unclaimed,
        "acknowledge": item.escalated_to == me and item.acknowledge_by is not None,
        "start": "underway" in item.moves and not item.blocked and not unclaimed,
        "complete": "completed" in item.moves and not item.blocked,
        "snooze": "snoozed" in item.moves,
        "wake": item.status == "snoozed",
        "stop": item.status == "underway",
        "escalate": True,
        "assign": True,
        "release": item.group is not None and item.assignee is not None,
        "skip": "skipped" in item.moves and item.kind != "hold",
        "reject": "skipped" in item.moves and item.kind == "hold",
    }
    return [move for name, move in MOVES.items() if name in names and there.get(name) and page.may(move.needs)]


def label_of(move: Move, item: ItemView) -> str:
    """What stands on the button of a move of an item."""
    if move.name == "complete" and item.kind != "work":
        return {"ask": "Answer", "hold": "Release the run"}[item.kind]
    return move.label


async def ask(page: Page, item_id: str, form: Form | None = None) -> Response:
    """The question before a move."""
    move = _move(page)
    need(page, move.needs)
    item = page.shown(await page.work.get(item_id))
    if not move.title:
        raise UsageError(f"{move.label} asks nothing: send its form")
    return await show(
        page,
        "pages/item_move.html",
        title=move.title,
        item=item,
        move=move,
        back=_back(page, item_id),
        **await _offers(page, move, item),
    )


async def do(page: Page, item_id: str) -> Response:
    """The move itself; asks anew where something in the form is wrong."""
    move = _move(page)
    form = await page.form(move.needs)
    with form.refusals():
        said = await _DOES[move.name](page, item_id, form)
        if said is not None and form.sound:
            return page.done(_back(page, item_id), said)
    if move.title:
        return await ask(page, item_id, form)
    return page.done(_back(page, item_id), " ".join(form.errors.values()), "failed")


def _move(page: Page) -> Move:
    name = page.query.get("do", "")
    if name not in MOVES:
        raise UsageError(f"there is no move {name!r:.60}; there are {', '.join(MOVES)}")
    return MOVES[name]


def _back(page: Page, item_id: str) -> str:
    """Where one goes afterwards: where the button was."""
    sent = page.form_sent.values.get("back") if page.form_sent is not None else None
    return page.inside(sent or page.query.get("back"), item_path(item_id))


def revision_of(form: Form) -> int | None:
    """The revision of the item that whoever sent a form had seen."""
    return form.integer("revision", least=1)


# What the questions offer


async def _offers(page: Page, move: Move, item: ItemView) -> dict[str, Any]:
    if move.name == "complete":
        return {"fields": answer_fields(item), "missing": [step for step in item.steps if step.form and not step.done]}
    if move.name == "snooze":
        return {"choices": await snooze_choices(page)}
    if move.name in ("escalate", "assign"):
        return {"people": await _people(page, move, item)}
    return {}


async def _people(page: Page, move: Move, item: ItemView) -> dict[str, str]:
    """Who may get it: by id what they are called, the nearest first."""
    found = await workers_of(page)
    first: dict[str, str] = {}
    if move.name == "escalate":
        assignee = None if item.assignee is None else await person_of(page, item.assignee)
        if assignee is not None and assignee.manager is not None and assignee.manager != item.assignee:
            whose = "your manager" if assignee.id == actor_of(page) else f"manager of {assignee.name or assignee.id}"
            first[assignee.manager] = f"{found.get(assignee.manager, assignee.manager)}, {whose}"
        found.pop(item.assignee or "", None)
    elif item.group is not None:
        first = {one.id: found[one.id] for one in await people_of(page) if item.group in one.groups and one.id in found}
    return first | {id: name for id, name in found.items() if id not in first}


def answer_fields(item: ItemView) -> list[SchemaField]:
    """The fields of what an item asks for, with what is filled in already."""
    return [] if item.form is None else filled(fields_of(item.form, nested=True), item.data, HIDDEN)


def answers(form: Form, fields: list[SchemaField], data: Mapping[str, Any]) -> dict[str, Any]:
    """What fields give, as what is to be merged into the data that they are of."""
    given = read_fields(form, fields, blank=False)
    return patch_of(fields, given, data, HIDDEN)


def free_answer(form: Form) -> dict[str, Any]:
    """The answer to what a run asks without a form: an object."""
    given = form.json("value", needed=False)
    if given is not None and not isinstance(given, dict):
        form.refuse("value", 'Give an object, as in {"approved": true}.')
        return {}
    return given or {}


def place(form: Form, error: PayloadError, under: str = "data") -> None:
    """Put what does not fit beside the field that it is about."""
    inside = error.place.removeprefix(f"{under}.") if error.place.startswith(f"{under}.") else ""
    name = PREFIX + re.sub(r"\[.*", "", inside)
    form.refuse(name if inside and name in form.values else "", f"{inside or error.place}: {error.reason}")


# What they do


async def _claim(page: Page, item_id: str, form: Form) -> str | None:
    item = await page.work.claim(item_id)
    return f"{item.title} is yours."


async def _acknowledge(page: Page, item_id: str, form: Form) -> str | None:
    await page.work.acknowledge(item_id)
    return "It is noted that you have seen it."


async def _start(page: Page, item_id: str, form: Form) -> str | None:
    item = await page.work.start(item_id, revision=revision_of(form))
    return f"{item.title} is underway."


async def _stop(page: Page, item_id: str, form: Form) -> str | None:
    item = await page.work.stop(item_id, revision=revision_of(form))
    return f"{item.title} is not started."


async def _wake(page: Page, item_id: str, form: Form) -> str | None:
    item = await page.work.wake(item_id, revision=revision_of(form))
    return f"{item.title} is in the queue again."


async def _release(page: Page, item_id: str, form: Form) -> str | None:
    item = await page.work.release(item_id, revision=revision_of(form))
    return f"{item.title} is there for everybody in {item.group}."


async def _complete(page: Page, item_id: str, form: Form) -> str | None:
    # As it is stored: whoever does not see a value does not change it either.
    item = await page.work.get(item_id)
    fields = fields_of(item.form, nested=True) if item.form is not None else []
    seen = page.shown(item)
    data = answers(form, filled(fields, seen.data, HIDDEN), seen.data) if fields else {}
    if not fields and item.kind == "ask":
        data = free_answer(form)
    elif note := form.text("note", needed=False, most=REASON_CHARACTERS):
        data = {"note": note}
    revision = revision_of(form)
    if not form.sound:
        return None
    try:
        done = await page.work.complete(item_id, data or None, revision=revision)
    except PayloadError as error:
        place(form, error)
        return None
    return f"{done.title} is completed."


async def _snooze(page: Page, item_id: str, form: Form) -> str | None:
    return await snoozed(page, form, lambda **given: page.work.snooze(item_id, **given, revision=revision_of(form)))


async def _skip(page: Page, item_id: str, form: Form) -> str | None:
    reason = form.text("reason", most=REASON_CHARACTERS, what="a reason")
    if not form.sound:
        return None
    item = await page.work.skip(item_id, reason, revision=revision_of(form))
    return f"{item.title} is skipped."


async def _reject(page: Page, item_id: str, form: Form) -> str | None:
    reason = form.text("reason", most=REASON_CHARACTERS, what="a reason")
    if not form.sound:
        return None
    item = await page.work.reject(item_id, reason, revision=revision_of(form))
    return f"{item.title}: what run {item.run} is held for is rejected."


async def _escalate(page: Page, item_id: str, form: Form) -> str | None:
    to = form.text("to", most=512, what="somebody")
    reason = form.text("reason", needed=False, most=REASON_CHARACTERS)
    if not form.sound:
        return None
    with form.refusals("to"):
        item = await page.work.escalate(item_id, to, reason=reason, revision=revision_of(form))
        return f"{item.title} is escalated to {item.escalated_to}; it stays with {item.assignee or 'its group'}."
    return None


async def _assign(page: Page, item_id: str, form: Form) -> str | None:
    to = form.text("to", needed=False, most=512) or None
    reason = form.text("reason", needed=False, most=REASON_CHARACTERS)
    if not form.sound:
        return None
    with form.refusals("to"):
        item = await page.work.assign(item_id, to, reason=reason, revision=revision_of(form))
        return f"{item.title} goes to {item.assignee or 'nobody'}."
    return None


async def _wait(page: Page, item_id: str, form: Form) -> str | None:
    on, on_run = form.text("on", needed=False, most=512), form.text("on_run", needed=False, most=512)
    if bool(on) == bool(on_run):
        form.refuse("on", "Give the id of an item, or of a run.")
        return None
    with form.refusals("on" if on else "on_run"):
        await page.work.depend(item_id, on=on or None, on_run=on_run or None)
        return f"It waits for {on or f'run {on_run}'}."
    return None


async def _unwait(page: Page, item_id: str, form: Form) -> str | None:
    on, on_run = form.text("on", needed=False, most=512), form.text("on_run", needed=False, most=512)
    await page.work.undepend(item_id, on=on or None, on_run=on_run or None)
    return f"It does not wait for {on or f'run {on_run}'} any more."


async def _data(page: Page, item_id: str, form: Form) -> str | None:
    patch = form.json("data")
    if form.sound and not isinstance(patch, dict):
        form.refuse("data", "Give an object with what is to change.")
    if not form.sound:
        return None
    with form.refusals("data"):
        await page.work.save(item_id, patch, revision=revision_of(form))
        return "The data is changed."
    return None


async def _tick(page: Page, item_id: str, form: Form) -> str | None:
    return await tick_step(page, item_id, form)


async def _next(page: Page, item_id: str, form: Form) -> str | None:
    return await add_step(page, item_id, form)


_DOES: Mapping[str, Callable[[Page, str, Form], Awaitable[str | None]]] = {
    "claim": _claim,
    "acknowledge": _acknowledge,
    "start": _start,
    "stop": _stop,
    "wake": _wake,
    "release": _release,
    "complete": _complete,
    "snooze": _snooze,
    "skip": _skip,
    "reject": _reject,
    "escalate": _escalate,
    "assign": _assign,
    "wait": _wait,
    "unwait": _unwait,
    "data": _data,
    "tick": _tick,
    "next": _next,
}
