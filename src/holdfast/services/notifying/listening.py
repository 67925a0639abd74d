"""Turns notices into runs that tell people: one for each rule that fits, once for each notice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from holdfast.engine.core import Core
from holdfast.engine.notices import Notice
from holdfast.engine.starting import start_row
from holdfast.engine.workflow import StartOptions, Workflow
from holdfast.services.notifying.rules import VARIABLES, Rule, Rules
from holdfast.services.notifying.sending import RULES, Digest, Message, digest, notify
from holdfast.store.operations import Start

DAY_US = 24 * 3600 * 1_000_000

WORKFLOWS: tuple[Workflow[Any, Any], ...] = (notify, digest)
"""What a worker serves that tells people."""


def listen(core: Core, rules: Rules) -> None:
    """Let people be told by rules of what happens to the runs that this process executes."""
    core.companions[RULES] = rules

    def hear(notice: Notice) -> Sequence[Start]:
        if notice.workflow in (notify.name, digest.name):
            return ()  # of what tells people, nobody is told so: it would go round
        return [start for rule in rules.rules if rule.fits(notice) for start in _starts(rule, notice)]

    core.listener = hear


def _starts(rule: Rule, notice: Notice) -> list[Start]:
    values = {name: getattr(notice, name) for name in VARIABLES}
    # Of one line: no channel takes a subject of two.
    title, body = " ".join(rule.title.substitute(values).split()), rule.body.substitute(values).strip()
    key = notice.id
    if rule.dedupe_seconds is not None:
        key = f"{title}\0{body}\0{int(notice.at // (rule.dedupe_seconds * 1e6))}"
    told = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:32]
    name = hashlib.sha256(rule.name.encode()).hexdigest()[:16] if len(rule.name) > 200 else rule.name
    together = rule.digest_seconds is not None
    message = Message(list(rule.channels), title, body, rule.name if together else None)
    starts = [_start(notify, f"notify/{name}/{told}", message, notice)]
    if rule.digest_seconds is not None:
        day = notice.at // DAY_US
        terms = Digest(rule.name, list(rule.channels), rule.digest_seconds, day)
        starts.append(_start(digest, f"digest/{name}/{day}", terms, notice))
    return starts


def _start(workflow: Workflow[Any, Any], id: str, given: Message | Digest, notice: Notice) -> Start:
    return start_row(
        tenant=notice.tenant, workflow=workflow.name, version=workflow.version, terms=workflow.terms,
        options=StartOptions(id=id, attributes={"notice": notice.event, "about_run": notice.run}),
        given=workflow.signature.encode_input((given,), {}), now_us=notice.at, args=(given,), kwargs={},
    )  # fmt: skip
