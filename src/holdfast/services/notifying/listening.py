"""Turns notices into messages: one for each rule that fits and each of its channels, once for each notice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from holdfast.engine.core import Core
from holdfast.engine.notices import Notice, Told
from holdfast.engine.starting import start_row
from holdfast.engine.workflow import StartOptions, Workflow
from holdfast.services.notifying.digests import Digest, Entry, digest, gather, notice_to
from holdfast.services.notifying.rules import VARIABLES, Rule
from holdfast.store.operations import NewMessage, Start

DAY_US = 24 * 3600 * 1_000_000

WORKFLOWS: tuple[Workflow[Any, Any], ...] = (gather, digest)
"""What a worker serves that tells people."""


def listen(core: Core, rules: Sequence[Rule]) -> None:
    """Let people be told by rules of what happens to the runs that this process executes."""

    def hear(notice: Notice) -> Told:
        messages: list[NewMessage] = []
        starts: list[Start] = []
        if notice.workflow in (gather.name, digest.name):
            return Told()  # of what tells people, nobody is told so: it would go round
        for rule in rules:
            if not rule.fits(notice):
                continue
            values = {name: getattr(notice, name) for name in VARIABLES}
            # Of one line: no channel takes a subject of two.
            title, body = " ".join(rule.title.substitute(values).split()), rule.body.substitute(values).strip()
            id = f"{_short(rule.name)}/{_digest(rule, notice, title, body)}"
            if rule.digest_seconds is None:
                messages += [
                    notice_to(channel, f"notice/{id}", title, body, notice.tenant, notice.at)
                    for channel in rule.channels
                ]
                continue
            day = notice.at // DAY_US
            terms = Digest(rule.name, list(rule.channels), rule.digest_seconds, day)
            starts.append(_start(gather, f"notice/{id}", Entry(rule.name, title, body), notice))
            starts.append(_start(digest, f"digest/{_short(rule.name)}/{day}", terms, notice))
        return Told(messages, starts)

    core.listener = hear


def _digest(rule: Rule, notice: Notice, title: str, body: str) -> str:
    """What is told once."""
    key = notice.id
    if rule.dedupe_seconds is not None:
        key = f"{title}\0{body}\0{int(notice.at // (rule.dedupe_seconds * 1e6))}"
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:32]


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16] if len(name) > 200 else name


def _start(workflow: Workflow[Any, Any], id: str, given: Entry | Digest, notice: Notice) -> Start:
    return start_row(
        tenant=notice.tenant, workflow=workflow.name, version=workflow.version, terms=workflow.terms,
        options=StartOptions(id=id, attributes={"notice": notice.event, "about_run": notice.run}),
        given=workflow.signature.encode_input((given,), {}), now_us=notice.at, args=(given,), kwargs={},
    )  # fmt: skip
