"""What a client can say of phases: the files in force for the tenant, and what each of their phases may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from holdfast.engine.part import Part
from holdfast.engine.spending import Dollars, dollars
from holdfast.errors import PhasesNotFound
from holdfast.model.ids import check_id
from holdfast.model.phase_content import phase_file_from
from holdfast.model.phases import Approval, Budget, Limits, ModelTerms, Phase, PhaseFile
from holdfast.model.run import instant
from holdfast.store.agent_rows import PhaseFileRow

FILES_AT_MOST = 1000
"""So many files of phases are listed at most."""


@dataclass(frozen=True, slots=True)
class BudgetView:
    """At most so much is spent.

    Attributes:
        tokens: of input and output together; None for no limit.
        cost: in US dollars; None for no limit.
    """

    tokens: int | None
    cost: Dollars | None


@dataclass(frozen=True, slots=True)
class LimitsView:
    """How a model, or all models of a provider, may be called by all workers together.

    Attributes:
        concurrency: so many calls at once; None for no limit.
        rate: so many calls in each period; None for no limit.
        period_seconds: how long a period is; None without a rate.
        burst: so many of them may be made at once after a rest; None without a rate.
    """

    concurrency: int | None
    rate: int | None
    period_seconds: float | None
    burst: int | None


@dataclass(frozen=True, slots=True)
class PriceView:
    """What a model costs, in US dollars for a million tokens.

    Attributes:
        input: of the prompt.
        cached: of the prompt, from the provider's cache.
        output: of the answer.
    """

    input: Dollars
    cached: Dollars
    output: Dollars


@dataclass(frozen=True, slots=True)
class PhaseModelView:
    """A model that phases name. Where its key is found is not shown, and neither are its settings.

    Attributes:
        name: by which phases name it.
        id: provider and name, such as ``openai:gpt-5-mini``.
        base_url: where its provider is, if not where the provider usually is.
        limits: how it may be called.
        price: instead of the published one; None where the file gives none.
    """

    name: str
    id: str
    base_url: str | None
    limits: LimitsView
    price: PriceView | None


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """Who must approve what a phase gives.

    Attributes:
        assignee: a person; None for whoever is free to.
        group: a group of people; None for none.
        due_seconds: within so long; None for no limit.
        escalate_to: who is asked when it is late, one after the other.
    """

    assignee: str | None
    group: str | None
    due_seconds: float | None
    escalate_to: list[str]


@dataclass(frozen=True, slots=True)
class PhaseView:
    """A phase.

    Attributes:
        name: of the phase.
        needs: phases whose outputs it takes.
        output: ``text``, or the name of a type that the code gives.
        model: the name of its model.
        fallbacks: of those that are tried after it, in order.
        fallback_on: how a call must fail for the next model to be tried, sorted; else the phase waits for a person.
        attempts: how often each model is tried.
        timeout_seconds: how long one attempt may take.
        repairs: how often a model is told what was wrong with its answer, within an attempt.
        input_tokens: as many as its prompt may have; None for no limit.
        output_tokens: as many as an answer may have; None for no limit.
        budget: of this phase within a run.
        approval: who must approve its output; None for nobody.
        prompt: the template of its prompt; None in lists.
        system: the template of the model's instructions; None in lists, or for none.
    """

    name: str
    needs: list[str]
    output: str
    model: str
    fallbacks: list[str]
    fallback_on: list[str]
    attempts: int
    timeout_seconds: float
    repairs: int
    input_tokens: int | None
    output_tokens: int | None
    budget: BudgetView
    approval: ApprovalView | None
    prompt: str | None
    system: str | None


@dataclass(frozen=True, slots=True)
class PhaseFileView:
    """A file of phases, as it is in force for the tenant.

    Attributes:
        name: of the file's registry.
        version: a digest of what it says.
        at: when a worker last put it in force.
        phases: in the order of the file.
        models: by name, sorted.
        providers: limits by provider.
        budgets: by scope: ``run``, ``day``, ``tenant``.
    """

    name: str
    version: str
    at: datetime
    phases: list[PhaseView]
    models: list[PhaseModelView]
    providers: dict[str, LimitsView]
    budgets: dict[str, BudgetView]


class Phasing(Part):
    """The part of a client that has to do with phases."""

    async def phase_files(self) -> list[PhaseFileView]:
        """The files of phases in force for the tenant, by name, without the texts of their templates.

        A file is known when the first run of the tenant has come to one of its phases.
        """
        rows = await self._patiently(self.reads.agents.phase_files(self.tenant, limit=FILES_AT_MOST))
        return [_file(row, texts=False) for row in rows]

    async def phase_file(self, name: str, version: str | None = None) -> PhaseFileView:
        """One of them.

        Args:
            name: of the file's registry.
            version: one that was in force; the newest unless given.

        Raises:
            PhasesNotFound: the tenant has none of this name, or not this version.
        """
        check_id(name, "the name of a file of phases")
        if version is not None:
            check_id(version, "the version")
        row = await self._patiently(self.reads.agents.phases(self.tenant, name, version))
        if row is None:
            said = "" if version is None else f" of version {version!r}"
            raise PhasesNotFound(
                f"tenant {self.tenant!r} has no phases {name!r}{said}; they are known when one of its runs has come "
                "to one of them"
            )
        return _file(row, texts=True)


def _file(row: PhaseFileRow, *, texts: bool) -> PhaseFileView:
    file: PhaseFile = phase_file_from(row.content)
    return PhaseFileView(
        name=row.name,
        version=row.version,
        at=instant(row.at),
        phases=[_phase(one, texts) for one in file.phases.values()],
        models=[_model(file.models[name]) for name in sorted(file.models)],
        providers={name: _limits(limits) for name, limits in file.providers.items()},
        budgets={scope: _budget(budget) for scope, budget in file.budgets.items()},
    )


def _phase(phase: Phase, texts: bool) -> PhaseView:
    return PhaseView(
        name=phase.name,
        needs=list(phase.needs),
        output=phase.output,
        model=phase.model,
        fallbacks=list(phase.fallbacks),
        fallback_on=sorted(phase.fallback_on),
        attempts=phase.attempts,
        timeout_seconds=phase.timeout_seconds,
        repairs=phase.repairs,
        input_tokens=phase.input_tokens,
        output_tokens=phase.output_tokens,
        budget=_budget(phase.budget),
        approval=None if phase.approval is None else _approval(phase.approval),
        prompt=phase.prompt if texts else None,
        system=phase.system if texts else None,
    )


def _model(terms: ModelTerms) -> PhaseModelView:
    price = terms.price
    shown = None if price is None else PriceView(dollars(price.input), dollars(price.cached), dollars(price.output))
    return PhaseModelView(terms.name, terms.id, terms.base_url, _limits(terms.limits), shown)


def _approval(approval: Approval) -> ApprovalView:
    return ApprovalView(approval.assignee, approval.group, approval.due_seconds, list(approval.escalate_to))


def _budget(budget: Budget) -> BudgetView:
    return BudgetView(budget.tokens, None if budget.cost is None else dollars(budget.cost))


def _limits(limits: Limits) -> LimitsView:
    rate = limits.rate
    if rate is None:
        return LimitsView(limits.concurrency, None, None, None)
    return LimitsView(limits.concurrency, rate.count, rate.period_seconds, rate.burst)
