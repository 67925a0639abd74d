"""From the tables of a file of phases to what is in force for a tenant: phases, models, limits and budgets."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from holdfast.model.dialogue_values import shown
from holdfast.model.nearest import nearest
from holdfast.model.phase_faults import Faults
from holdfast.model.phase_layers import Layer, Layers, Table
from holdfast.model.phase_terms import Place
from holdfast.model.phases import Approval, Budget, BudgetScope, Limits, ModelTerms, Phase, Price, Rate

TEXT = "text"
"""The output of a phase that says nothing of it."""

MAXIMUM_SECONDS = 60.0
"""The longest pause between attempts, unless a phase begins with a longer one."""

_PHASE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")


class Surroundings(Protocol):
    """What a file of phases refers to."""

    @property
    def outputs(self) -> Collection[str] | None:
        """Types that the code gives; None: nobody knows them."""

    def model_fault(self, id: str, declared: Collection[str], *, is_declared: bool) -> str | None:
        """Why there is no such model, or, where the file declares it, no such provider."""

    def provider_fault(self, provider: str) -> str | None:
        """Why there is no such provider."""

    def text(self, name: str) -> str:
        """The text of a template file; raises `Wrong`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is in force for a tenant, and the tables that it was read from."""

    phases: dict[str, Phase]
    models: dict[str, ModelTerms]
    providers: dict[str, Limits]
    budgets: dict[BudgetScope, Budget]
    layer: Layer


def reading_of(layers: Layers, tenant: str | None, around: Surroundings, faults: Faults) -> Reading:
    """What is in force for a tenant; None: for those that the file does not name."""
    layer = layers.for_tenant(tenant)
    models = {name: _model(name, table) for name, table in layer.models.items()}
    for name in models:
        here = ("models", name) if name in layers.models else ("tenants", str(tenant), "models", name)
        _check_model(name, here, layer, models, around, faults)
    limits = {terms.id: terms.limits for terms in models.values()}
    phases = {name: _phase(name, table, around, faults) for name, table in layer.phases.items()}
    for table in layer.phases.values():
        for given, place in _models_of(table):
            if given not in models:
                if reason := around.model_fault(given, layer.models, is_declared=False):
                    faults.add(place, reason)
                models[given] = ModelTerms(given, given, limits=limits.get(given, Limits()))
    for name in layer.providers:
        if reason := around.provider_fault(name):
            faults.add(("providers", name), reason)
    providers = {name: _limits(table) for name, table in layer.providers.items()}
    budgets = {scope: _budget(table) for scope, table in layer.budgets.items() if table}
    return Reading(phases, models, providers, budgets, layer)


def _check_model(
    name: str, here: Place, layer: Layer, models: Mapping[str, ModelTerms], around: Surroundings, faults: Faults
) -> None:
    id, said = models[name].id, layer.models[name].get("model")
    if faults.is_at((*here, "model")):
        return
    reason: str | None
    if ":" not in id and id != "test":
        what = "says no model" if said is None else f"is {shown(id)}"
        reason = f'{what}; give provider and name, as in model = "openai:gpt-5-mini"'
    else:
        reason = around.model_fault(id, models, is_declared=True)
    if reason is not None:
        faults.add(here if said is None else said.place, reason)


def _model(name: str, table: Table) -> ModelTerms:
    price = _get(table, "price")
    return ModelTerms(
        name=name,
        id=_get(table, "model", name),
        base_url=_get(table, "base_url"),
        api_key=_get(table, "api_key"),
        settings=_get(table, "settings", {}),
        limits=_limits(table),
        price=None if price is None else Price(price["input"], price["output"], price.get("cached", price["input"])),
    )


def _limits(table: Table) -> Limits:
    rate = _get(table, "rate")
    places = None if rate is None else Rate(rate[0], rate[1], _get(table, "burst", 1))
    return Limits(_get(table, "concurrency"), places)


def _budget(table: Table) -> Budget:
    return Budget(_get(table, "tokens"), _get(table, "cost"))


def _phase(name: str, table: Table, around: Surroundings, faults: Faults) -> Phase:
    here = ("phases", name)
    if _PHASE_NAME.fullmatch(name) is None:
        faults.add(here, "is no name for a phase; use at most 100 letters, digits, _ and -")
    if "model" not in table and not faults.is_at((*here, "model"), ("defaults", "model")):
        faults.add(here, "has no model; give one, here or in [defaults]")
    has_prompt = "prompt" in table or "prompt_file" in table
    if not has_prompt and not faults.is_at((*here, "prompt"), (*here, "prompt_file")):
        faults.add(here, "has no prompt; give prompt or prompt_file")
    output = _get(table, "output", TEXT)
    if around.outputs is not None and output != TEXT and output not in around.outputs:
        near = nearest(output, around.outputs)
        what = f"did you mean {near}?" if near else f"it gives {', '.join(sorted(around.outputs)) or 'none'}"
        faults.add(table["output"].place, f"is {shown(output)}, which the code does not give; {what}")
    pause = _get(table, "backoff", {})
    initial = pause.get("initial", 1.0)
    maximum = pause.get("maximum", max(MAXIMUM_SECONDS, initial))
    if initial > maximum:
        faults.add((*table["backoff"].place, "maximum"), "is shorter than initial, 1 s; give at least as much")
    given = {key: placed.value for key, placed in table.items() if key in _AS_THEY_ARE}
    return Phase(
        name=name,
        prompt=_text(table, "prompt", around, faults) or "",
        system=_text(table, "system", around, faults),
        model=_get(table, "model", ""),
        fallbacks=tuple(one for one, _ in _models_of(table)[1:]),
        initial_seconds=initial,
        factor=pause.get("factor", 2.0),
        maximum_seconds=maximum,
        timeout_seconds=_get(table, "timeout", 120.0),
        budget=_budget(table),
        approval=_approval(_get(table, "approval", False)),
        **given,
    )


_AS_THEY_ARE = ("output", "needs", "attempts", "repairs", "fallback_on", "input_tokens", "output_tokens")


def _models_of(table: Table) -> list[tuple[str, Place]]:
    """The model of a phase and its fallbacks, each once."""
    found: list[tuple[str, Place]] = [table["model"]] if "model" in table else []
    if "fallbacks" in table:
        value, place = table["fallbacks"]
        found += [(one, (*place, index)) for index, one in enumerate(value) if one not in (got for got, _ in found)]
    return found


def _text(table: Table, key: str, around: Surroundings, faults: Faults) -> str | None:
    if key in table:
        return str(table[key].value)
    if (placed := table.get(f"{key}_file")) is None:
        return None
    return faults.read(around.text, *placed)


def _approval(value: Mapping[str, Any] | Literal[False]) -> Approval | None:
    if value is False:
        return None
    return Approval(value.get("assignee"), value.get("group"), value.get("due"), value.get("escalate_to", ()))


def _get(table: Table, key: str, otherwise: Any = None) -> Any:
    return table[key].value if key in table else otherwise
