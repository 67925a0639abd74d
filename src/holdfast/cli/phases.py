"""`holdfast phases`: whether a file of phases is right, what it says, and what a model makes of a recorded prompt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.command import Context, command
from holdfast.cli.costs import money
from holdfast.cli.output import FAILED, OK
from holdfast.cli.show import duration
from holdfast.errors import PhaseFileError
from holdfast.model.phase_terms import shown_dollars

if TYPE_CHECKING:
    from holdfast.agents.phases.replays import PhaseAnswer
    from holdfast.model.phases import Approval, Budget, Limits, Phase, PhaseFile

group = typer.Typer(name="phases", help="Files of phases: checked, shown, and asked again aside.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="FILE", help="The TOML file.")]

ANSWER_COLUMNS = ("answer", "model", "outcome", "requests", "in", "out", "cost")
COLUMNS = ("phase", "model", "fallbacks", "needs", "output", "limits", "budget", "approval")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@command(group, "check")
def check(
    context: Context,
    file: File,
    *,
    outputs: Annotated[
        str | None,
        typer.Option("--outputs", metavar="NAMES", help="Types that the code gives, as in Draft,Review."),
    ] = None,
) -> int:
    """Check a file of phases and its templates, for every tenant; name everything that is wrong in them.

    Ends with 1 when something is.
    """
    from holdfast.agents.phases.files import read_phase_file

    names = None if outputs is None else [one.strip() for one in outputs.split(",") if one.strip()]
    try:
        phases = read_phase_file(file, names).for_tenant(context.tenant).phases
    except PhaseFileError as error:
        if context.output.as_json:
            context.output.json({"ok": False, "faults": [one._asdict() for one in error.faults]})
        for fault in () if context.output.as_json else error.faults:
            context.output.note(str(fault))
        return FAILED
    if context.output.as_json:
        context.output.json({"ok": True, "faults": []})
    else:
        context.output.text(f"{file} is fine; its phases are {', '.join(phases)}")
    return 0


@command(group, "show")
def show(context: Context, file: File) -> None:
    """Show what a file of phases says for a tenant."""
    from holdfast.agents.phases.files import read_phase_file

    found = read_phase_file(file).for_tenant(context.tenant)
    if context.output.as_json:
        context.output.json({"version": found.version, **json.loads(found.content)})
        return
    facts = {"name": found.name, "version": found.version}
    facts |= {f"budget of {_SCOPES[scope]}": _budget(budget) for scope, budget in found.budgets.items()}
    facts |= {f"provider {name}": _limits(limits) for name, limits in found.providers.items()}
    facts |= {f"model {name}": text for name in found.models if (text := _model(found, name))}
    context.output.facts(facts)
    context.output.text("")
    context.output.table(COLUMNS, [_row(phase) for phase in found.phases.values()])


@command(group, "replay")
def replay(
    context: Context,
    phases: Annotated[str, typer.Argument(metavar="MODULE:NAME", help="Where hf.load_phases put the phases.")],
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    phase: Annotated[str, typer.Argument(metavar="PHASE", help="The phase's name.")],
    *,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Another model of the file; the recorded one if not.")
    ] = None,
    occurrence: Annotated[
        int | None,
        typer.Option("--occurrence", metavar="N", help="Which of its prompts, from 1; the last answered unless given."),
    ] = None,
    words: Annotated[bool, typer.Option("--words", help="Mark the words that differ, instead of lines.")] = False,
) -> int:
    """Have a model answer a phase's recorded prompt again, aside; print how it differs from what is recorded.

    Nothing of the run is changed, and what it costs counts in no budget. Ends with 1 when something differs.
    """
    from holdfast.cli.modules import load_phases

    loaded = load_phases(phases)
    found = context.ask(lambda client: loaded.replay(client, run, phase, model=model, occurrence=occurrence))
    if context.output.as_json:
        context.output.json(found)
    else:
        answers = {"recorded": found.recorded, "now": found.now}
        context.output.table(ANSWER_COLUMNS, [_answer(when, one) for when, one in answers.items()])
        context.output.text("")
        if found.same:
            context.output.text("the same")
        else:
            context.output.text(found.words if words else found.difference)
    return OK if found.same else FAILED


def _answer(when: str, one: PhaseAnswer) -> tuple[Any, ...]:
    outcome = one.failed or ("ok" if one.output is not None else "")
    return when, one.model or "", outcome, one.requests, one.input_tokens, one.output_tokens, money(one.cost)


_SCOPES = {"run": "a run", "day": "a day", "tenant": "the tenant"}


def _model(file: PhaseFile, name: str) -> str:
    terms = file.models[name]
    said = [
        terms.id if terms.id != name else "",
        f"at {terms.base_url}" if terms.base_url else "",
        _limits(terms.limits),
    ]
    if terms.price is not None:
        price = terms.price
        said.append(f"{shown_dollars(price.input)} in, {shown_dollars(price.output)} out for a million tokens")
    return _listed(said)


def _row(phase: Phase) -> tuple[Any, ...]:
    limits = [
        f"{phase.attempts} × {duration(phase.timeout_seconds)}",
        f"{phase.input_tokens:,} tokens in" if phase.input_tokens is not None else "",
        f"{phase.output_tokens:,} out" if phase.output_tokens is not None else "",
    ]
    return (
        phase.name, phase.model, ", ".join(phase.fallbacks), ", ".join(phase.needs), phase.output, _listed(limits),
        _budget(phase.budget), "" if phase.approval is None else _approval(phase.approval),
    )  # fmt: skip


def _budget(budget: Budget) -> str:
    tokens = f"{budget.tokens:,} tokens" if budget.tokens is not None else ""
    return _listed([shown_dollars(budget.cost) if budget.cost is not None else "", tokens])


def _limits(limits: Limits) -> str:
    said = [f"{limits.concurrency:,} at once" if limits.concurrency is not None else ""]
    if limits.rate is not None:
        said.append(f"{limits.rate.count:,} in {duration(limits.rate.period_seconds)}")
    return _listed(said)


def _approval(approval: Approval) -> str:
    due = f"within {duration(approval.due_seconds)}" if approval.due_seconds is not None else ""
    return _listed([approval.assignee or approval.group or "anybody", due])


def _listed(parts: list[str]) -> str:
    return ", ".join(part for part in parts if part)
