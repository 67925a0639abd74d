"""Whether ceilings leave room for the prompts themselves: one that does not would stop its phase every time."""

from __future__ import annotations

from holdfast.agents.phases.prompt_costs import cost_of_prompt
from holdfast.model.phase_faults import Faults
from holdfast.model.phase_reading import Reading
from holdfast.model.phase_terms import Place, shown_dollars
from holdfast.model.phases import Phase


def check_ceilings(reading: Reading, phase: Phase, tokens: int, faults: Faults) -> None:
    """Look at the ceilings of a phase, and of all.

    Args:
        tokens: as many as its prompt has at least.
    """
    table = reading.layer.phases[phase.name]
    if phase.input_tokens is not None and phase.input_tokens < tokens:
        faults.add(table["input_tokens"].place, f"is {phase.input_tokens:,}; {_takes(phase, tokens)}")
    for budget in (table, *reading.layer.budgets.values()):
        if "tokens" in budget and budget["tokens"].value < tokens:
            faults.add(budget["tokens"].place, f"is {budget['tokens'].value:,}; {_takes(phase, tokens)}")
        if "cost" in budget:
            _check_cost(reading, phase, tokens, *budget["cost"], faults)


def _check_cost(reading: Reading, phase: Phase, tokens: int, most: int, place: Place, faults: Faults) -> None:
    for name in (phase.model, *phase.fallbacks):
        cost = cost_of_prompt(reading.models[name], tokens) if name in reading.models else None
        if cost is not None and cost > most:
            reason = f"is {shown_dollars(most)}; {_takes(phase, tokens)}, and costs {shown_dollars(cost)} by {name}"
            faults.add(place, reason)


def _takes(phase: Phase, tokens: int) -> str:
    return f"the prompt of phase {phase.name} takes {tokens:,} tokens even with nothing filled in"
