"""The durable part: each stage a step, and the workflow that takes a message through them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import holdfast as hf

from . import publish as publishing
from . import stages
from .message import Message, parse
from .stages import Complaint, Context, Decision, Draft, Tier

# A plain rule that fails once fails always; only writing to the disk is worth another try.
once = hf.Retry(max_attempts=1)


@dataclass(frozen=True)
class Outcome:
    """How a message ended.

    Attributes:
        reason: why it was withheld, else empty.
        draft: path of the draft, else empty.
    """

    outcome: Literal["published", "withheld"]
    tier: str
    subject: str
    reason: str
    draft: str


@hf.step(retry=once)
def intake(raw: bytes) -> Message:
    return parse(raw)


@hf.step(retry=once)
async def tier(message: Message) -> Tier:
    return stages.tier(message)


@hf.step(retry=once)
async def context(message: Message) -> Context:
    return stages.context(message)


@hf.step(retry=once)
async def draft(message: Message, tier: Tier, context: Context, complaints: tuple[Complaint, ...]) -> Draft:
    return stages.draft(message, tier, context, complaints)


@hf.step(retry=once)
async def tone(draft: Draft) -> tuple[Complaint, ...]:
    return stages.tone(draft)


@hf.step(retry=once)
async def fact(message: Message, context: Context, draft: Draft) -> tuple[Complaint, ...]:
    return stages.fact(message, context, draft)


@hf.step(retry=once)
async def qa(draft: Draft) -> tuple[Complaint, ...]:
    return stages.qa(draft)


@hf.step(retry=once)
async def policy(message: Message, context: Context, complaints: tuple[Complaint, ...]) -> Decision:
    return stages.policy(message, context, complaints)


@hf.step
def publish(draft: Draft, out: str) -> str:
    return str(publishing.write(draft, Path(out), hf.current().run_id))


@hf.workflow
async def mail_desk(raw: bytes, out: str) -> Outcome:
    """Take one message to a draft.

    Args:
        raw: the message itself, so that the run does not depend on a file that may change or go.
        out: absolute path of the folder for drafts; a part of the input, so that a restart writes to the same.
    """
    message = await intake(raw)
    level = await tier(message)
    around = await context(message)
    answer = await draft(message, level, around, ())
    complaints = await _check(message, around, answer)
    if complaints:  # sent back, once
        answer = await draft(message, level, around, complaints)
        complaints = await _check(message, around, answer)
    decision = await policy(message, around, complaints)
    if decision.withheld:
        return Outcome("withheld", level.name, message.subject, decision.reason, "")
    path = await publish(answer, out)
    return Outcome("published", level.name, message.subject, "", path)


async def _check(message: Message, around: Context, answer: Draft) -> tuple[Complaint, ...]:
    return (*await tone(answer), *await fact(message, around, answer), *await qa(answer))
