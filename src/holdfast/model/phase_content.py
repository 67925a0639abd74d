"""A checked file of phases as bytes: canonical, so that equal files have equal versions, and read again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from holdfast.model.phases import Budget, BudgetScope, Limits, ModelTerms, Phase, PhaseFile

VERSION_CHARACTERS = 16


class _Content(msgspec.Struct):
    name: str
    phases: list[Phase]
    models: list[ModelTerms]
    providers: dict[str, Limits]
    budgets: dict[BudgetScope, Budget]
    templates: dict[str, str]


def sealed(
    name: str,
    phases: Mapping[str, Phase],
    models: Mapping[str, ModelTerms],
    providers: Mapping[str, Limits],
    budgets: Mapping[BudgetScope, Budget],
    templates: Mapping[str, str],
) -> PhaseFile:
    """A file of phases with its content and its version."""
    in_order = [models[one] for one in sorted(models)]
    read = _Content(name, list(phases.values()), in_order, dict(providers), dict(budgets), dict(templates))
    return _file(read, msgspec.json.encode(read, order="deterministic"))


def phase_file_from(content: bytes) -> PhaseFile:
    """The file of phases that has this content."""
    return _file(msgspec.json.decode(content, type=_Content), content)


def _file(read: _Content, content: bytes) -> PhaseFile:
    return PhaseFile(
        name=read.name,
        version=hashlib.sha256(content).hexdigest()[:VERSION_CHARACTERS],
        phases={one.name: one for one in read.phases},
        models={one.name: one for one in read.models},
        providers=read.providers,
        budgets=read.budgets,
        templates=read.templates,
        content=content,
    )
