"""What a file of phases says: each phase's model and fallbacks, prompt, output, limits and who must approve it.

Money is in nanodollars, 1e-9 US dollars, so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FailureKind = Literal["rate-limited", "timeout", "unavailable", "refused", "malformed", "cut-off", "error"]

FAILURE_KINDS: tuple[FailureKind, ...] = (
    "rate-limited", "timeout", "unavailable", "refused", "malformed", "cut-off", "error"
)  # fmt: skip
"""How a call of a model fails.

``rate-limited``: too many requests. ``timeout``: no answer in time. ``unavailable``: the provider cannot be reached or
says that it is at fault. ``refused``: it does not accept the request: the key, the model, the content. ``malformed``:
the answer is not what was asked for, after all repairs. ``cut-off``: the answer ended half way. ``error``: any other.
"""

BudgetScope = Literal["phase", "run", "day", "tenant"]


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so much is spent; None for no limit.

    Attributes:
        tokens: of input and output together.
        cost: in nanodollars.
    """

    tokens: int | None = None
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """So many places in each period; ``burst`` of them may be taken at once after a rest."""

    count: int
    period_seconds: float
    burst: int = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """How a model, or all models of a provider, may be called by all workers together; None for no limit."""

    concurrency: int | None = None
    rate: Rate | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """Nanodollars for a million tokens."""

    input: int
    output: int
    cached: int


@dataclass(frozen=True, slots=True)
class ModelTerms:
    """A model, and how it is reached.

    Attributes:
        name: by which phases name it; unless the file gives it one, the id itself.
        id: provider and name, such as ``openai:gpt-5-mini``.
        base_url: where its provider is, if not where the provider usually is.
        api_key: where its key is found: ``env:NAME`` or ``file:PATH``; None for where the provider's package looks. The
            key itself is never here.
        settings: given with each request, such as temperature.
        limits: of this model.
        price: instead of the published one.
    """

    name: str
    id: str
    base_url: str | None = None
    api_key: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()
    price: Price | None = None

    @property
    def provider(self) -> str:
        """What stands before the colon of its id."""
        return self.id.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Approval:
    """Who must approve what a phase gives, before anything that needs it goes on."""

    assignee: str | None = None
    group: str | None = None
    due_seconds: float | None = None
    escalate_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase.

    Attributes:
        prompt: the text of its template.
        system: the text of the template of the model's instructions; None for none.
        output: ``text``, or the name of a type that the code gives.
        needs: phases whose outputs it takes.
        model: the name of a model; fallbacks: of those that are tried after it, in order.
        attempts: how often each of them is tried.
        initial_seconds, factor, maximum_seconds: the pause after the first failed attempt, by how much it grows each
            time, and up to what.
        timeout_seconds: how long one attempt may take.
        repairs: how often a model is told what was wrong with its answer, within an attempt.
        fallback_on: how a call must fail for the next model to be tried; else the phase waits for a person.
        input_tokens: as many as its prompt may have; sections are left out until it fits.
        output_tokens: as many as an answer may have.
        budget: of this phase within a run.
        approval: who must approve its output; None for nobody.
    """

    name: str
    prompt: str
    model: str
    system: str | None = None
    output: str = "text"
    needs: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    attempts: int = 3
    initial_seconds: float = 1.0
    factor: float = 2.0
    maximum_seconds: float = 60.0
    timeout_seconds: float = 120.0
    repairs: int = 1
    fallback_on: frozenset[FailureKind] = frozenset(FAILURE_KINDS)
    input_tokens: int | None = None
    output_tokens: int | None = None
    budget: Budget = Budget()
    approval: Approval | None = None


@dataclass(frozen=True, slots=True)
class PhaseFile:
    """A file of phases, checked, as it is in force for a tenant.

    Attributes:
        name: of the registry.
        version: a digest of ``content``.
        phases: by name, in the order of the file.
        models: by name; each model that a phase names is there.
        providers: limits by provider.
        budgets: by scope: run, day, tenant.
        templates: texts of templates that prompts include or extend, by name.
        content: all of this as canonical JSON, from which it can be made again.
    """

    name: str
    version: str
    phases: Mapping[str, Phase]
    models: Mapping[str, ModelTerms]
    providers: Mapping[str, Limits]
    budgets: Mapping[BudgetScope, Budget]
    templates: Mapping[str, str]
    content: bytes
