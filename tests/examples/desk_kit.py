"""What tests of the mail desk share: messages, and the desk with a CRM of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from email_desk import checking, deciding, drafting, sorting
from email_desk.crm import Crm
from email_desk.message import Message, parse, run_id
from email_desk.settings import settings
from email_desk.values import Complaint, Decision, Draft

import holdfast as hf

SAMPLE = Path(__file__).parents[2] / "examples" / "email_desk" / "sample"
SENDER = "ada.moreno@letters.example"
HEAD = b"From: Ada <ada@letters.example>\nTo: desk@shop.example\nMessage-ID: <m1@letters.example>\n"

STEPS = (
    "assign", "intake", "tier", "thread", "contact", "deal", "updates", "context", "hf.set_attributes", "draft",
    "tone", "fact", "qa", "policy", "escalation", "publish",
)  # fmt: skip
"""The journal of a message that is answered at once."""

REFUSED = tuple(step for step in STEPS if step != "escalation")

Fault = Callable[[str], tuple[int, bytes] | None]


def mail(body: str = "When does it arrive?", **headers: str) -> Message:
    """A message of Ada's."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return parse(HEAD + f"{lines}\n{body}\n".encode())


def take(message: Message) -> tuple[Draft, set[str], tuple[Complaint, ...], Decision]:
    """Through all stages by the rules: last draft, flaws of the first, complaints of the last, decision."""
    around, level = sorting.read(message), sorting.tier(message)

    def check(answer: Draft) -> tuple[Complaint, ...]:
        return (*checking.tone(answer), *checking.fact(message, around, answer), *checking.qa(answer))

    answer = drafting.draft(message, level, around)
    first = complaints = check(answer)
    if complaints:
        answer = drafting.draft(message, level, around, complaints)
        complaints = check(answer)
    decision = deciding.policy(message, around)
    if decision.verdict == "mode":
        decision = deciding.escalation(message, level, around, complaints)
    return answer, {c.flaw for c in first}, complaints, decision


def letter(
    body: str = "Where is it?", sender: str = SENDER, id: str = "m1", subject: str = "Lamp", more: str = ""
) -> bytes:
    """A message as it comes."""
    head = f"From: {sender}\nTo: desk@shop.example\nMessage-ID: <{id}@letters.example>\nSubject: {subject}\n"
    return f"{head}{more}\n{body}\n".encode()


def sample(name: str) -> bytes:
    """A message of the sample."""
    return (SAMPLE / f"{name}.eml").read_bytes()


def incoming(raw: bytes, source: str = "mail") -> hf.Incoming:
    """A message as intake hands it on."""
    key = run_id(raw).removeprefix("mail-")
    return hf.Incoming(source, "", key, "here", datetime(2026, 1, 1, tzinfo=UTC), "message/rfc822", raw=raw)


@contextmanager
def desk(folder: Path, fault: Fault | None = None, phases: hf.Phases | None = None) -> Iterator[Crm]:
    """The desk of this process, with a CRM, until the end."""
    with pytest.MonkeyPatch.context() as patch, Crm(fault=fault) as crm:
        patch.setattr(settings, "folder", folder)
        patch.setattr(settings, "phases", phases)
        patch.setattr(settings, "crm", crm.url)
        yield crm
