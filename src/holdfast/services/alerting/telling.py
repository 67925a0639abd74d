"""The words of an alert, and the messages that tell of some."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from holdfast.engine.publishing import checked, new_message
from holdfast.model.alerting import Telling
from holdfast.model.explanation import length, moment
from holdfast.services.alerting.measures import Unit
from holdfast.services.alerting.rules import AlertRule
from holdfast.store.alerts import AlertRow
from holdfast.store.operations import NewMessage

WORKFLOW = "holdfast.alerts"
"""What alerts are published by."""

TOLD_TOGETHER = 100
"""So many alerts are told one by one in a message; of the others their number."""

TITLE_CHARACTERS = 1_000
PARAGRAPH_CHARACTERS = 10_000
"""So much is told of an alert: a message must not be larger than one can be, whatever stands in a rule."""

_LONG = 150


def shown(value: float, unit: Unit) -> str:
    """A measured value as people read it."""
    match unit:
        case "duration":
            return length(int(value * 1e6))
        case "share":
            return f"{value * 100:.3g} %"
        case "dollars":
            return f"${value:,.2f}"
        case _:
            return f"{value:,.10g}"


def title_of(rule: AlertRule, row: AlertRow) -> str:
    """What is wrong, in one line."""
    return " ".join(rule.title.substitute(_values(rule, row)).split())[:TITLE_CHARACTERS]


def messages_of(rule: AlertRule, telling: Telling, rows: Sequence[AlertRow], now_us: int) -> list[NewMessage]:
    """What tells people of some alerts of a rule and a tenant: a message for each channel.

    Args:
        rows: the alerts, in the order of the telling; one at least.
    """
    first = rows[0]
    said = {"firing": "", "resolved": "resolved: ", "repeat": "still: "}[telling.kind]
    title = said + (first.text if len(rows) == 1 else f"{rule.name}: {len(rows)} alerts")
    body = {
        "title": title,
        "text": "\n\n".join([*(_paragraph(rule, row) for row in rows[:TOLD_TOGETHER]), *_rest(rows)]),
        "rule": rule.name,
        "state": telling.kind,
        "severity": rule.severity,
        "tenant": first.tenant,
        "alerts": [
            {"about": row.about, "value": row.value, "since": moment(row.since)} for row in rows[:TOLD_TOGETHER]
        ],
    }
    # Told again and again, it is another message each time.
    kind = f"repeat-{now_us}" if telling.kind == "repeat" else telling.kind
    id = f"alert/{_short(rule.name)}/{_short(first.about)}/{first.fired_at}/{kind}"
    messages = []
    for channel in rule.to:
        given = checked(
            channel, body, id=f"{id}/{_short(channel)}", key=None, delay=None, review=None, refuse=None
        )._replace(verdict="send")
        messages.append(new_message(given, first.tenant, now_us, workflow=WORKFLOW))
    return messages


def _paragraph(rule: AlertRule, row: AlertRow) -> str:
    text = rule.text.substitute(_values(rule, row)).strip()[:PARAGRAPH_CHARACTERS]
    return f"{row.text}\n{text}" if text else row.text


def _rest(rows: Sequence[AlertRow]) -> list[str]:
    return [f"and {len(rows) - TOLD_TOGETHER:,} more"] if len(rows) > TOLD_TOGETHER else []


def _values(rule: AlertRule, row: AlertRow) -> dict[str, str]:
    unit = rule.kind.unit
    return {
        "name": rule.name, "about": row.about, "value": shown(row.value, unit), "above": shown(rule.above, unit),
        "severity": rule.severity, "tenant": row.tenant, "since": moment(row.since), "measure": rule.measure,
    }  # fmt: skip


def _short(part: str) -> str:
    """A part of a message's id: names may be as long as ids are, and hold what stands between the parts."""
    return part if len(part) <= _LONG and "/" not in part else hashlib.sha256(part.encode()).hexdigest()[:32]
