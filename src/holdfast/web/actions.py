"""What a person can do to a run: each action asks first, shows what is wrong beside its field, and says what it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from starlette.responses import Response

from holdfast.engine.browsing import entries_at, journal_part
from holdfast.engine.part import UNSET
from holdfast.errors import UsageError
from holdfast.model.access import Role
from holdfast.model.run import JournalEntry, Kind, Outcome, RunView, Status
from holdfast.web.form import Form
from holdfast.web.page import Page
from holdfast.web.templating import run_path
from holdfast.web.text import MOST_CHARACTERS, pretty
from holdfast.web.timeline import STARTED

ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)

FORKED_FROM = (Kind.STEP, Kind.CHILD, Kind.EVENT, Kind.MAP)
"""Kinds of entries that a fork can begin with."""

STEPS_OFFERED = 500
"""So many of a run's steps are offered for a fork; any other is chosen in the timeline."""

PAGES_COUNTED = 1_000


class Action(NamedTuple):
    """Something that can be done to a run.

    Attributes:
        name: as in the address.
        label: on its button.
        icon: beside it.
        kind: of button.
        title: of the question.
        says: what it does.
    """

    name: str
    label: str
    icon: str
    kind: str
    title: str
    says: str


ACTIONS: Mapping[str, Action] = {
    one.name: one
    for one in (
        Action(
            "release", "Release", "play", "primary", "Release the run?", "It goes on from where it was held."
        ),
        Action(
            "retry", "Retry", "retry", "primary", "Retry the run?",
            "What it recorded before the step that failed is kept and not done again; the step is tried anew.",
        ),
        Action(
            "event", "Send an event", "event", "", "Send an event",
            "It goes to the run that has waited for it longest, or to every one, or to those that wait for it later.",
        ),
        Action(
            "fork", "Fork", "fork", "", "Fork the run",
            "A new run keeps what this one recorded before a step, and goes on from there. This one stays as it is.",
        ),
        Action(
            "hold", "Hold", "held", "", "Hold the run?",
            "What it executes just now is ended and recorded; then it takes no further step until it is released.",
        ),
        Action(
            "reject", "Reject", "cross", "danger", "Reject what the run is held for?",
            "The hold in its code raises Rejected; a run that was held from outside is cancelled.",
        ),
        Action(
            "cancel", "Cancel", "cancelled", "danger", "Cancel the run?",
            "Its durable calls raise Cancelled, so that it can clean up; its child runs are cancelled too. "
            "It can be retried afterwards.",
        ),
    )
}  # fmt: skip


def possible(view: RunView) -> list[Action]:
    """The actions that a run is in a state for, the nearest first."""
    names = ["fork"]
    if view.status in (Status.FAILED, Status.CANCELLED):
        names.append("retry")
    if view.status == Status.HELD:
        names += ["release", "reject"]
    if view.status not in ENDED:
        names += ["event", "cancel"] if view.status == Status.HELD else ["event", "cancel", "hold"]
    return [action for name, action in ACTIONS.items() if name in names]


async def ask(page: Page, run_id: str, form: Form | None = None) -> Response:
    """The question before an action."""
    action = _action(page)
    assert page.principal is not None
    page.principal.need(Role.OPERATOR)
    view = await page.client.get(run_id)
    more: dict[str, Any] = {}
    if action.name == "fork":
        more = await _fork_choices(page, view, form)
    elif action.name == "event":
        more = await _event_choices(page, view)
    return page.render("pages/run_action.html", title=action.title, run=view, action=action, **more)


async def do(page: Page, run_id: str) -> Response:
    """The action itself; asks anew where something in the form is wrong."""
    action = _action(page)
    form = await page.form(Role.OPERATOR)
    with form.refusals():
        done = await _DOES[action.name](page, run_id, form)
        if done is not None and form.sound:
            return done
    return await ask(page, run_id, form)


def _action(page: Page) -> Action:
    name = page.query.get("do", "")
    if name not in ACTIONS:
        raise UsageError(f"there is no action {name!r:.60}; there are {', '.join(ACTIONS)}")
    return ACTIONS[name]


def _by(page: Page) -> str:
    assert page.principal is not None
    return page.principal.name[:200]


def _back(page: Page, run_id: str, message: str) -> Response:
    return page.done(run_path(run_id), message)


async def _cancel(page: Page, run_id: str, form: Form) -> Response | None:
    reason = form.text("reason", needed=False, most=1000)
    if not form.sound:
        return None
    await page.client.cancel(run_id, reason=reason, by=_by(page))
    return _back(page, run_id, "The run is to be cancelled.")


async def _hold(page: Page, run_id: str, form: Form) -> Response | None:
    reason = form.text("reason", needed=False, most=1000)
    if not form.sound:
        return None
    await page.client.hold(run_id, reason=reason, by=_by(page))
    return _back(page, run_id, "The run is held, or will be as soon as what it executes is recorded.")


async def _release(page: Page, run_id: str, form: Form) -> Response | None:
    given = form.values.get("value", "").strip()
    value = form.json("value", needed=False) if given else UNSET
    if not form.sound:
        return None
    with form.refusals("value" if given else ""):
        await page.client.release(run_id, value, by=_by(page))
    return _back(page, run_id, "The run is released.")


async def _reject(page: Page, run_id: str, form: Form) -> Response | None:
    reason = form.text("reason", needed=False, most=1000)
    if not form.sound:
        return None
    await page.client.reject(run_id, reason=reason, by=_by(page))
    return _back(page, run_id, "What the run was held for is rejected.")


async def _retry(page: Page, run_id: str, form: Form) -> Response | None:
    await page.client.retry(run_id)
    return _back(page, run_id, "The run goes on from where it failed.")


async def _event(page: Page, run_id: str, form: Form) -> Response | None:
    name = form.text("name", most=512, what="the event's name")
    key = form.text("key", needed=False, most=512)
    payload = form.json("payload", needed=False)
    to = form.choice("to", ["first", "all"])
    if not form.sound:
        return None
    delivered = await page.client.send_event(name, payload, key=key, to=to)  # type: ignore[arg-type]
    runs = f"{delivered.waits} waiting run{'' if delivered.waits == 1 else 's'}" if delivered.waits else ""
    said = f"The event {name} was given to {runs}." if runs else f"The event {name} is kept for whoever waits for it."
    if delivered.cancels:
        said += f" It cancels {delivered.cancels} run{'' if delivered.cancels == 1 else 's'}."
    return _back(page, run_id, said)


async def _fork(page: Page, run_id: str, form: Form) -> Response | None:
    edit = form.choice("edit", ["nothing", "input", "output"])
    step = form.values.get("step", "")
    new_id = form.text("id", needed=False, most=512) or None
    value = form.json(edit) if edit in ("input", "output") else None
    if edit == "input" and form.sound and not isinstance(value, dict):
        form.refuse("input", "Give an object with the arguments by name.")
    if edit == "output" and not step:
        form.refuse("output", "An output belongs to a step: choose one.")
    if not form.sound:
        return None
    name, occurrence = _step_of(step)
    changes: dict[str, Any] = {}
    if edit == "input":
        changes["input"] = value
    elif edit == "output":
        changes["output"] = value
    with form.refusals(edit if edit != "nothing" else ""):
        made = await page.client.fork(run_id, from_step=name, occurrence=occurrence, id=new_id, **changes)
        return page.done(run_path(made), f"This run is a fork of {run_id}.")
    return None


_DOES: Mapping[str, Callable[[Page, str, Form], Awaitable[Response | None]]] = {
    "cancel": _cancel,
    "hold": _hold,
    "release": _release,
    "reject": _reject,
    "retry": _retry,
    "event": _event,
    "fork": _fork,
}


# What the questions offer


def _step_of(value: str) -> tuple[str | None, int]:
    """The name of a step and which of its calls, from a form's choice: ``2 charge``."""
    if not value:
        return None, 1
    number, _, name = value.partition(" ")
    if not (number.isascii() and number.isdecimal() and len(number) < 10 and name):
        raise UsageError("this is no step of the run; choose one of those that are offered")
    return name, int(number)


def _may_begin(entry: JournalEntry) -> bool:
    """Whether a fork may begin with an entry; those that count when one of several of a name is meant."""
    inner = entry.kind == Kind.MAP and entry.name == STARTED
    recorded = entry.seq > 0 and entry.in_force and entry.outcome != Outcome.EDITED
    return recorded and entry.kind in FORKED_FROM and not inner


async def _fork_choices(page: Page, view: RunView, form: Form | None) -> dict[str, Any]:
    """The steps that a fork may begin with, and what the chosen one was given and gave."""
    wanted = page.query.get("entry")
    choices = {"": "the beginning"}
    chosen = form.values.get("step", "") if form is not None else ""
    counts: dict[str, int] = {}
    entry: JournalEntry | None = None
    after: str | None = None
    for _ in range(PAGES_COUNTED):
        part = await journal_part(page.client, view.id, limit=1000, after=after)
        for one in part:
            if not _may_begin(one):
                continue
            counts[one.name] = counts.get(one.name, 0) + 1
            value = f"{counts[one.name]} {one.name}"
            if one.position == wanted:
                chosen, entry = chosen or value, one
            if len(choices) < STEPS_OFFERED or one.position == wanted:
                number = f", call {counts[one.name]}" if counts[one.name] > 1 else ""
                choices[value] = f"{one.name} at {one.position}{number}"
        if len(part) < 1000 or (len(choices) >= STEPS_OFFERED and (wanted is None or entry is not None)):
            break
        after = part[-1].position
    given: Any = view.input
    output: Any = None
    if entry is not None:
        whole = [one for one in await entries_at(page.client, view.id, entry.position) if one.in_force]
        given = whole[-1].input if whole else None
        output = whole[-1].output if whole and whole[-1].outcome == Outcome.OK else None
    return {
        "choices": choices,
        "chosen": chosen,
        "given": _editable(given),
        "output": _editable(output),
        "from_entry": entry,
        "entry_of": wanted,
    }


async def _event_choices(page: Page, view: RunView) -> dict[str, Any]:
    """The events that the run waits for; the first one fills the form."""
    if view.status in ENDED:
        return {"waits": []}
    standing = await page.client.reads.standing((await page.client._find(view.id)).uid)
    return {"waits": [(name, key) for name, key, _ in standing.waits]}


def _editable(value: Any) -> str:
    """A value as JSON to be edited; empty for none, and for one that is too long for that."""
    if value is None:
        return ""
    text = pretty(value)
    return text if len(text) <= MOST_CHARACTERS else ""
