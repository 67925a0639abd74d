"""Budgets of phases, runs, days and tenants: whether one has room for a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from holdfast.agents.models.prices import cost_of
from holdfast.engine.attaching import attempt
from holdfast.engine.context import StepFrame
from holdfast.engine.execution import Execution
from holdfast.engine.phase_calls import is_caller
from holdfast.errors import HoldfastError
from holdfast.model.payload import codec_of
from holdfast.model.phase_terms import NANODOLLARS
from holdfast.model.phases import Budget, BudgetScope, ModelTerms, Phase, PhaseFile
from holdfast.model.run import Kind, Outcome
from holdfast.store.agent_rows import DAY_US, Spent, SpentQuery

_TOLD = codec_of(dict[str, Any])


class BudgetUsed(HoldfastError):
    """A budget is used up, or would be by the next prompt.

    Attributes:
        scope: phase, run, day or tenant.
        phase: whose prompt it is.
        day: of the budget of a day, counted from 1970-01-01.
        prompt_tokens: about as many as the prompt has.
        cost, tokens: spent so far; cost_limit, tokens_limit: with what was granted; None for no limit.
    """

    def __init__(
        self, *, scope: BudgetScope, phase: str, day: int | None, prompt_tokens: int, spent: Spent, budget: Budget
    ) -> None:
        self.scope = scope
        self.phase = phase
        self.day = day
        self.prompt_tokens = prompt_tokens
        self.cost, self.tokens = spent.cost, spent.tokens
        self.cost_limit = None if budget.cost is None else budget.cost + spent.granted_cost
        self.tokens_limit = None if budget.tokens is None else budget.tokens + spent.granted_tokens
        said = []
        if self.cost_limit is not None:
            said.append(f"{_dollars(self.cost)} of {_dollars(self.cost_limit)} US dollars")
        if self.tokens_limit is not None:
            said.append(f"{self.tokens:,} of {self.tokens_limit:,} tokens")
        whose = "the phase in this run" if scope == "phase" else f"the {scope}"
        super().__init__(
            f"the budget of {whose} has no room for the prompt of phase {phase!r}, about {prompt_tokens:,} tokens: "
            f"{' and '.join(said)} are spent"
        )


@dataclass(frozen=True, slots=True)
class _Tokens:
    """Of a prompt that was not sent yet."""

    input_tokens: int
    cache_read_tokens: int = 0
    output_tokens: int = 0


async def check_budgets(
    file: PhaseFile, phase: Phase, terms: ModelTerms, prompt_tokens: int, payer: bytes | None = None
) -> None:
    """In an attempt of a step: raise if a budget has no room for a prompt. Without budgets nothing is read.

    Args:
        file: has the budgets.
        phase: whose prompt it is.
        terms: of the model that is to be asked.
        prompt_tokens: about as many as the prompt has.
        payer: the run that the prompt is sent for, if it is another than the one that sends it.

    Raises:
        BudgetUsed: it has none.
    """
    frame = attempt()
    if frame is None or all(one == Budget() for one in (phase.budget, *file.budgets.values())):
        return
    if frame.attempt > 1:
        # What the attempt before it cost was posted, and may not be written yet.
        await frame.execution.committer.written()
    for scope, budget, spent in await _spent(frame, file, phase, payer):
        cost = cost_of(terms, _Tokens(prompt_tokens), frame.execution.core.now_us()) or 0
        if _is_used(budget.tokens, spent.tokens, prompt_tokens, spent.granted_tokens) or _is_used(
            budget.cost, spent.cost, cost, spent.granted_cost
        ):
            day = frame.execution.core.now_us() // DAY_US if scope == "day" else None
            raise BudgetUsed(
                scope=scope, phase=phase.name, day=day, prompt_tokens=prompt_tokens, spent=spent, budget=budget
            )


async def _spent(
    frame: StepFrame, file: PhaseFile, phase: Phase, payer: bytes | None
) -> list[tuple[BudgetScope, Budget, Spent]]:
    execution = frame.execution
    run = execution.run
    payer = run.uid if payer is None else payer
    others = callers(execution, file.name) if payer == run.uid else {run.uid: None}
    whose: dict[BudgetScope, SpentQuery] = {
        "phase": SpentQuery(run.tenant, run=payer, phase=phase.name),
        "run": SpentQuery(run.tenant, run=payer),
        "day": SpentQuery(run.tenant, day=execution.core.now_us() // DAY_US),
        "tenant": SpentQuery(run.tenant),
    }
    budgets: dict[BudgetScope, Budget] = {"phase": phase.budget, **file.budgets}
    sums = []
    for scope, budget in budgets.items():
        if budget == Budget():
            continue
        own = whose[scope]
        # Calls that go by a queue are made, and paid for, by child runs.
        queries = [own, *(own._replace(run=uid) for uid in others if own.run is not None)]
        first, *rest = await _read_spent(execution, queries)
        tokens, cost = sum(one.tokens for one in rest), sum(one.cost for one in rest)
        sums.append((scope, budget, first._replace(tokens=first.tokens + tokens, cost=first.cost + cost)))
    return sums


async def _read_spent(execution: Execution, queries: list[SpentQuery]) -> list[Spent]:
    return await execution.read(lambda store: store.agents.spent(queries))


def callers(execution: Execution, file: str) -> dict[bytes, None]:
    """The child runs that called models for a run, as far as they have ended; to be added to.

    Args:
        execution: of the run.
        file: the name of the file of phases.
    """
    known: dict[bytes, None] | None = execution.companions.get(("callers", file))
    if known is None:
        # All at once: a branch must not depend on how far others have been replayed.
        known = execution.companions["callers", file] = {
            bytes.fromhex(_TOLD.decode(entry.output or b"", "what a call of a model told")["run"]): None
            for entry in execution.journal.values()
            if entry.kind == Kind.CHILD and entry.outcome == Outcome.OK and is_caller(entry.name, file)
        }
    return known


def _is_used(limit: int | None, spent: int, more: int, granted: int) -> bool:
    return limit is not None and (spent >= limit + granted or spent + more > limit + granted)


def _dollars(nanodollars: int) -> str:
    return f"{nanodollars / NANODOLLARS:,.9f}".rstrip("0").rstrip(".")
