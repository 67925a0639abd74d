"""Budgets of phases, runs, days and tenants: one that is used up ends in a question to a person, not in a failure."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pydantic

from holdfast.agents.asking import Question, ask_person
from holdfast.agents.prices import cost_of
from holdfast.engine.attaching import attempt
from holdfast.engine.context import Scope, StepFrame
from holdfast.engine.execution import Execution
from holdfast.engine.phase_calls import is_caller
from holdfast.engine.step import step
from holdfast.errors import AskSkipped, HoldfastError, PhaseFailed
from holdfast.model.payload import codec_of
from holdfast.model.phases import Budget, BudgetScope, ModelTerms, Phase, PhaseFile
from holdfast.model.position import encode_number
from holdfast.model.retry import Retry
from holdfast.model.run import Kind, Outcome
from holdfast.store.agent_rows import DAY_US, NANODOLLARS, Grant, Spent, SpentQuery

PATIENT = Retry(max_attempts=1_000_000, initial=0.1)
"""For what only the database can keep from succeeding."""

LOOK = "budget"
"""The name of the step that looks whether a budget is used up before a person is asked."""

REPLAY_SECONDS = 1.0
"""A branch that has not asked yet waits at most so long for those that had; if they come later, one question more is
asked, and nothing else is different: what each branch does is recorded in its own places."""

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


class SpendMore(pydantic.BaseModel):
    """What a person says when a budget is used up."""

    dollars: float = pydantic.Field(default=0, ge=0, le=1e9, title="So many US dollars more")
    tokens: int = pydantic.Field(default=0, ge=0, le=10**12, title="So many tokens more")
    stop: bool = pydantic.Field(default=False, title="Stop the run instead")

    @pydantic.model_validator(mode="after")
    def _says_something(self) -> SpendMore:
        if not (self.dollars or self.tokens or self.stop):
            raise ValueError("give dollars or tokens, or stop")
        return self


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


async def ask_for_more(here: Scope, file: PhaseFile, phase: Phase, terms: ModelTerms, used: BudgetUsed) -> None:
    """Ask a person to spend more, and grant what they give; branches of a run ask one after the other.

    Raises:
        PhaseFailed: they stop the run.
    """
    execution, position = here.execution, here.prefix + encode_number(here.count)
    askers: _Askers = execution.companions.setdefault("budget", _Askers())
    await askers.come(execution, position)
    whose = phase.name if used.scope == "phase" else None
    lock: asyncio.Lock = execution.companions.setdefault(("budget", used.scope, whose), asyncio.Lock())
    async with lock:
        # Another branch, or another run, may have been given more meanwhile.
        if not await _still_used(file, phase, terms, used):
            return
        question = Question(
            f"Spend more on phase {phase.name!r}?",
            f"{used}.\n\nSay how much more may be spent, in US dollars or in tokens, or stop the run.",
            phase.approval,
        )
        try:
            answer = await ask_person(here, question, SpendMore)
        except AskSkipped as skipped:
            raise _stopped(phase, used, skipped.by, skipped.reason) from used
        more: SpendMore = answer.value
        if more.stop:
            raise _stopped(phase, used, answer.by, "") from used
        await _grant(
            used.scope, phase.name, used.day, round(more.dollars * NANODOLLARS), more.tokens, answer.by, answer.item
        )


def _stopped(phase: Phase, used: BudgetUsed, by: str, reason: str) -> PhaseFailed:
    because = f": {reason}" if reason else ""
    return PhaseFailed(
        f"phase {phase.name!r} was stopped by {by or 'somebody'}{because}; {used}", phase=phase.name, kind="budget"
    )


class _Askers:
    """The branches of a run that have come to ask, by where they look whether they have to."""

    def __init__(self) -> None:
        self.came: set[bytes] = set()
        self._moved = asyncio.Event()

    async def come(self, execution: Execution, position: bytes) -> None:
        """Take a turn. On replay, branches that had asked before come again: whoever has not asked yet lets them."""
        if position not in execution.journal:
            try:
                async with asyncio.timeout(REPLAY_SECONDS):
                    while any(one.name == LOOK and at not in self.came for at, one in execution.journal.items()):
                        self._moved.clear()
                        await self._moved.wait()
            except TimeoutError:
                pass
        self.came.add(position)
        self._moved.set()


async def _still_used(file: PhaseFile, phase: Phase, terms: ModelTerms, used: BudgetUsed) -> bool:
    async def look(scope: str) -> bool:
        try:
            await check_budgets(file, phase, terms, used.prompt_tokens)
        except BudgetUsed as again:
            return again.scope == scope
        return False

    return await step(name=LOOK, retry=PATIENT)(look)(used.scope)


@step(name="grant", retry=PATIENT)
async def _grant(scope: BudgetScope, phase: str, day: int | None, cost: int, tokens: int, by: str, item: str) -> None:
    frame = attempt()
    assert frame is not None
    run, core = frame.execution.run, frame.execution.core
    query = SpentQuery(
        run.tenant,
        run=run.uid if scope in ("phase", "run") else None,
        phase=phase if scope == "phase" else None,
        day=day,
    )
    # An answer counts once, however often it is tried; that of a later generation at the same place is another.
    await core.store.agents.grant(Grant(item, query, tokens, cost, by, core.now_us()))
