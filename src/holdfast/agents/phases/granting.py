"""A budget that is used up ends in a question to a person, not in a failure: they grant more, or stop the run."""

from __future__ import annotations

import asyncio

import pydantic

from holdfast.agents.phases.asking import Question, ask_person
from holdfast.agents.phases.budgets import BudgetUsed, check_budgets
from holdfast.engine.attaching import attempt
from holdfast.engine.context import Scope
from holdfast.engine.execution import Execution
from holdfast.engine.step import step
from holdfast.errors import AskSkipped, PhaseFailed
from holdfast.model.phase_terms import NANODOLLARS
from holdfast.model.phases import BudgetScope, ModelTerms, Phase, PhaseFile
from holdfast.model.position import encode_number
from holdfast.model.retry import Retry
from holdfast.store.agent_rows import Grant, SpentQuery

PATIENT = Retry(max_attempts=1_000_000, initial=0.1)
"""For what only the database can keep from succeeding."""

LOOK = "budget"
"""The name of the step that looks whether a budget is used up before a person is asked."""

REPLAY_SECONDS = 1.0
"""A branch that has not asked yet waits at most so long for those that had; if they come later, one question more is
asked, and nothing else is different: what each branch does is recorded in its own places."""


class SpendMore(pydantic.BaseModel):
    """What a person says when a budget is used up."""

    dollars: float = pydantic.Field(default=0, ge=0, le=1e6, title="So many US dollars more")
    tokens: int = pydantic.Field(default=0, ge=0, le=10**12, title="So many tokens more")
    stop: bool = pydantic.Field(default=False, title="Stop the run instead")

    @pydantic.model_validator(mode="after")
    def _says_something(self) -> SpendMore:
        if not (self.dollars or self.tokens or self.stop):
            raise ValueError("give dollars or tokens, or stop")
        return self


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
            execution.enter()  # whatever other branches wait for, the run goes on here
            try:
                async with asyncio.timeout(REPLAY_SECONDS):
                    while any(one.name == LOOK and at not in self.came for at, one in execution.journal.items()):
                        self._moved.clear()
                        await self._moved.wait()
            except TimeoutError:
                pass
            finally:
                execution.rest()
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
