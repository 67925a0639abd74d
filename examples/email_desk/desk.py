"""The supervisor: takes a message through its stages, each done by a specialist, and says how it ended."""

from __future__ import annotations

from typing import Any

import holdfast as hf

from .enriching import enrich
from .message import Message
from .settings import settings
from .sorting import conversation
from .specialists import assign, context, draft, escalation, fact, intake, policy, publish, qa, tier, tone
from .values import ENDED, Complaint, Context, Draft, Outcome, Tier

PROGRESS = ("intake", "tier", "context", "draft", "tone, fact, qa", "policy", "publish")


@hf.workflow
async def mail_desk(mail: hf.Incoming) -> Outcome:
    """Answer one message.

    Args:
        mail: as a source of intake brings it; its content is a part of the run, which does not depend on a file that
            may change or go.
    """
    by_model = await assign()
    _tell("intake")
    message = await intake(mail)
    _tell("tier")
    level = await tier(message)
    _tell("context")
    around = await context(await enrich(message))
    begun = conversation(around, message)
    await hf.set_attributes(sender=message.sender_address, tier=level.name, thread=begun)
    work = _Work(message, level, around, by_model)
    answer, complaints = await work.written(())
    if complaints:  # sent back, once
        answer, complaints = await work.written(complaints)
    _tell("policy")
    decision = await policy(message, around)
    if decision.verdict == "mode":
        decision = await escalation(message, level, around, complaints)
    _tell("publish")
    id = await publish(answer, decision, message.key, begun)
    return Outcome(ENDED[decision.verdict], level.name, message.subject, decision.reason, id, around.missing)


class _Work:
    """A message that an answer is written to.

    Args:
        by_model: the stages that models do.
    """

    def __init__(self, message: Message, level: Tier, around: Context, by_model: list[str]) -> None:
        self.message = message
        self.level = level
        self.around = around
        self.by_model = by_model

    async def written(self, complaints: tuple[Complaint, ...]) -> tuple[Draft, tuple[Complaint, ...]]:
        """A draft, and what three who look at it side by side have to say of it.

        Args:
            complaints: of the draft before.
        """
        _tell("draft")
        words = await self._asked("draft", complaints=complaints)
        answer = await draft(self.message, self.level, self.around, complaints, words)
        _tell("tone, fact, qa")
        found = await hf.gather(self._tone(answer), self._fact(answer), self._qa(answer))
        return answer, tuple(complaint for some in found for complaint in some)

    async def _tone(self, answer: Draft) -> tuple[Complaint, ...]:
        return await tone(answer, await self._remarks("tone", answer))

    async def _fact(self, answer: Draft) -> tuple[Complaint, ...]:
        return await fact(self.message, self.around, answer, await self._remarks("fact", answer))

    async def _qa(self, answer: Draft) -> tuple[Complaint, ...]:
        return await qa(answer, await self._remarks("qa", answer))

    async def _remarks(self, stage: str, answer: Draft) -> list[str]:
        return await self._asked(stage, draft=answer) or []

    async def _asked(self, stage: str, **variables: Any) -> Any:
        """What a model gives for a stage; None if the rules are to do it alone, as for what nobody will be sent."""
        if stage not in self.by_model or self.level.name == "bulk":
            return None
        if settings.phases is None:
            raise hf.Fatal(f"the run began with a model for {stage!r}, and this worker has none: set MAIL_DESK_PHASES")
        given = {"message": self.message, "tier": self.level, **variables}
        try:
            return await settings.phases.run(stage, context=self.around, **given)
        except hf.PhaseFailed:  # no model answered, and the person who was asked stopped asking
            return None


def _tell(stage: str) -> None:
    """Say how far the run is, for people who look at it."""
    hf.progress(PROGRESS.index(stage), len(PROGRESS), stage)
