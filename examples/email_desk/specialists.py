"""The specialists of the desk: each stage a step that does one thing by the rules, and records what it made.

Where a model does a stage, the step takes what it gave, and looks at it by the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence

import holdfast as hf

from . import checking, deciding, drafting, sorting
from .message import Message, parse
from .replies import reply
from .settings import settings
from .values import Complaint, Context, Decision, Draft, Tier

# A plain rule that fails once fails always; only what touches a disk is worth another try.
once = hf.Retry(max_attempts=1)

CHANNEL = "replies"
MOST_REMARKS, MOST_REMARK = 20, 500


@hf.step(retry=once)
async def assign() -> list[str]:
    """The stages that models do; recorded, so that a run goes on as it began."""
    return settings.models()


@hf.step(retry=once)
def intake(mail: hf.Incoming) -> Message:
    """Takes the entry, and not its bytes alone: of an entry more is stored than of other values."""
    if mail.raw is None:
        raise hf.Fatal("the mail desk takes mails; this entry has no bytes")
    return parse(mail.raw)


@hf.step(retry=once)
async def tier(message: Message) -> Tier:
    return sorting.tier(message)


@hf.step
async def context(found: Context) -> Context:
    """Records what was found out, and what was not."""
    await settings.artifacts.put("context.json", found)
    return found


@hf.step
async def draft(
    message: Message, tier: Tier, context: Context, complaints: tuple[Complaint, ...], words: str | None
) -> Draft:
    """A draft; ``words`` are a model's."""
    if words is None:
        made = drafting.draft(message, tier, context, complaints)
    else:
        made = drafting.framed(message, context, words, 1 if complaints else 0)
    await settings.artifacts.put(f"draft-{made.revision + 1}.md", made.body)
    return made


@hf.step(retry=once)
async def tone(draft: Draft, remarks: Sequence[str]) -> tuple[Complaint, ...]:
    return (*checking.tone(draft), *_complaints(remarks))


@hf.step(retry=once)
async def fact(message: Message, context: Context, draft: Draft, remarks: Sequence[str]) -> tuple[Complaint, ...]:
    return (*checking.fact(message, context, draft), *_complaints(remarks))


@hf.step(retry=once)
async def qa(draft: Draft, remarks: Sequence[str]) -> tuple[Complaint, ...]:
    return (*checking.qa(draft), *_complaints(remarks))


@hf.step(retry=once)
async def policy(message: Message, context: Context) -> Decision:
    return deciding.policy(message, context)


@hf.step(retry=once)
async def escalation(
    message: Message, tier: Tier, context: Context, complaints: tuple[Complaint, ...]
) -> Decision:  # fmt: skip
    return deciding.escalation(message, tier, context, complaints)


@hf.step
async def publish(draft: Draft, decision: Decision, key: str, conversation: str) -> str:
    """Hands the answer to the outbox, in the commit of this step; what becomes of it there is not the desk's to say.

    Its id is the message's key: whatever brings the same message again, it is answered once.
    """
    await settings.artifacts.put("decision.json", decision)
    return await hf.publish(
        CHANNEL,
        reply(draft, settings.domain),
        id=key,
        key=conversation,
        refuse=decision.reason if decision.verdict == "refuse" else None,
        review=decision.reason if decision.verdict == "review" else None,
    )


def _complaints(remarks: Sequence[str]) -> tuple[Complaint, ...]:
    return tuple(Complaint("remark", remark[:MOST_REMARK]) for remark in remarks[:MOST_REMARKS])
