"""The tables of a file of phases: which keys each may have, and what a tenant's tables put over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from holdfast.model import phase_parts as parts
from holdfast.model import phase_terms as terms
from holdfast.model.dialogue_values import shown
from holdfast.model.nearest import nearest
from holdfast.model.phase_faults import Faults
from holdfast.model.phase_terms import MOST_TOKENS, Place, Term
from holdfast.model.phases import FAILURE_KINDS, BudgetScope


class Placed(NamedTuple):
    """A checked value, and where it stands."""

    value: Any
    place: Place


Table = dict[str, Placed]
"""Checked values by key."""

_TOKENS = terms.whole(1, MOST_TOKENS)

DEFAULTS: dict[str, Term] = {
    "model": terms.line,
    "fallbacks": terms.lines,
    "system": terms.text,
    "system_file": terms.line,
    "variables": terms.names,
    "attempts": terms.whole(1, 1000),
    "backoff": parts.backoff,
    "timeout": terms.duration,
    "repairs": terms.whole(0, 100),
    "fallback_on": terms.one_of(FAILURE_KINDS),
    "input_tokens": _TOKENS,
    "output_tokens": _TOKENS,
    "tokens": _TOKENS,
    "cost": terms.dollars,
    "approval": parts.approval,
}
"""Of ``[defaults]``: for all phases that do not say otherwise."""

PHASE: dict[str, Term] = {
    "prompt": terms.text,
    "prompt_file": terms.line,
    "output": terms.line,
    "needs": terms.lines,
    **DEFAULTS,
}
"""Of ``[phases.NAME]``."""

_LIMITS: dict[str, Term] = {
    "concurrency": terms.whole(1, 1_000_000),
    "rate": terms.rate,
    "burst": terms.whole(1, 10**6),
}
_REACH: dict[str, Term] = {
    "model": terms.line,
    "base_url": parts.base_url,
    "api_key": parts.key_reference,
    "settings": parts.settings,
    "price": parts.model_price,
}

MODEL: dict[str, Term] = {**_REACH, **_LIMITS}
"""Of ``[models.NAME]``."""

PROVIDER: dict[str, Term] = _LIMITS
"""Of ``[providers.NAME]``."""

BUDGET: dict[str, Term] = {"cost": terms.dollars, "tokens": _TOKENS}
"""Of ``[budgets.run]``, ``day`` and ``tenant``."""

SCOPES: tuple[BudgetScope, ...] = ("run", "day", "tenant")
ROOT = ("name", "defaults", "models", "providers", "budgets", "phases", "tenants")
TENANT = ("phases", "models", "budgets")

_EXCLUSIVE = (("prompt", "prompt_file"), ("system", "system_file"))


@dataclass(slots=True)
class Layer:
    """What a file says for all tenants, or for one."""

    phases: dict[str, Table] = field(default_factory=dict)
    models: dict[str, Table] = field(default_factory=dict)
    providers: dict[str, Table] = field(default_factory=dict)
    budgets: dict[BudgetScope, Table] = field(default_factory=dict)


@dataclass(slots=True)
class Layers(Layer):
    """All that a file says."""

    name: str | None = None
    defaults: Table = field(default_factory=dict)
    tenants: dict[str, Layer] = field(default_factory=dict)

    def for_tenant(self, tenant: str | None) -> Layer:
        """What is in force for a tenant; None: for those that the file does not name."""
        own = self.tenants.get(tenant, Layer()) if tenant is not None else Layer()
        return Layer(
            {name: _over(self.defaults, table, own.phases.get(name, {})) for name, table in self.phases.items()},
            {
                name: _over(self.models.get(name, {}), own.models.get(name, {}))
                for name in {**self.models, **own.models}
            },
            self.providers,
            {name: _over(self.budgets.get(name, {}), own.budgets.get(name, {})) for name in SCOPES},
        )


def layers_of(document: Mapping[str, Any], faults: Faults) -> Layers:
    """What a file says, each value checked by itself. What is wrong becomes a fault and is left out."""
    found = Layers()
    known = _known(document, (), ROOT, faults)
    if "name" in known:
        found.name = faults.read(terms.line, known["name"], ("name",))
    found.defaults = _table(known.get("defaults", {}), ("defaults",), DEFAULTS, faults)
    found.providers = _tables(known, (), "providers", PROVIDER, faults)
    _fill(found, known, (), MODEL, faults)
    for name, _, place in _each(known, (), "tenants", faults):
        layer = found.tenants[name] = Layer()
        _fill(layer, _known(known["tenants"][name], place, TENANT, faults), place, _REACH, faults)
        for phase in layer.phases:
            if phase not in found.phases:
                faults.add((*place, "phases", phase), _unknown_phase(phase, found.phases))
    return found


def _fill(layer: Layer, known: Mapping[str, Any], place: Place, model: Mapping[str, Term], faults: Faults) -> None:
    layer.phases = _tables(known, place, "phases", PHASE, faults)
    layer.models = _tables(known, place, "models", model, faults)
    budgets = _known(known.get("budgets", {}), (*place, "budgets"), SCOPES, faults)
    layer.budgets = {
        scope: _table(budgets[scope], (*place, "budgets", scope), BUDGET, faults)
        for scope in SCOPES
        if scope in budgets
    }


def _unknown_phase(name: str, phases: Mapping[str, Any]) -> str:
    near = nearest(name, phases)
    return f"is no phase of [phases]; {f'did you mean {near}?' if near else 'write it there first'}"


def _tables(
    known: Mapping[str, Any], place: Place, key: str, keys: Mapping[str, Term], faults: Faults
) -> dict[str, Table]:
    return {name: _table(value, at, keys, faults) for name, value, at in _each(known, place, key, faults)}


def _each(known: Mapping[str, Any], place: Place, key: str, faults: Faults) -> Iterator[tuple[str, Any, Place]]:
    value = known.get(key, {})
    if not isinstance(value, Mapping):
        faults.add((*place, key), f"is {shown(value)}; give tables [{'.'.join(map(str, (*place, key)))}.NAME]")
        return
    for name, one in value.items():
        at = (*place, key, name)
        if not isinstance(one, Mapping):
            faults.add(at, f"is {shown(one)}; give a table")
        elif faults.read(terms.line, name, at) is not None:
            yield name, one, at


def _table(value: object, place: Place, keys: Mapping[str, Term], faults: Faults) -> Table:
    found: Table = {}
    for key, one in _known(value, place, keys, faults).items():
        if (read := faults.read(keys[key], one, (*place, key))) is not None:
            found[key] = Placed(read, (*place, key))
    for first, second in _EXCLUSIVE:
        if first in found and second in found:
            faults.add(found[second].place, f"stands beside {first}; give one of them")
    return found


def _known(value: object, place: Place, keys: Mapping[str, Any] | tuple[str, ...], faults: Faults) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        faults.add(place, f"is {shown(value)}; give a table of {', '.join(keys)}")
        return {}
    for key in value:
        if key not in keys:
            faults.add((*place, key), terms.no_key(key, keys))
    return {key: one for key, one in value.items() if key in keys}


def _over(*tables: Table) -> Table:
    """Later tables over earlier ones; a text takes the place of a file, and a file of a text."""
    found: Table = {}
    for table in tables:
        for first, second in _EXCLUSIVE:
            if first in table or second in table:
                found.pop(first, None)
                found.pop(second, None)
        found |= table
    return found
