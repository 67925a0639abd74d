"""What a person sees of a message that is to be looked at, and what becomes of it when they have changed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.engine.publishing import encode
from holdfast.errors import PayloadError, UsageError
from holdfast.model.mails import Mail
from holdfast.services.outbox.outgoing import mail_in, one_line

EDITED_CHARACTERS = 100_000
"""A longer text is shown by its beginning, and can only be let pass or discarded."""

SHOWN_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Draft:
    """A message as a person sees it.

    Attributes:
        about: what it is, and whom it goes to.
        form: the JSON Schema of what can be changed; None if nothing can.
        data: what can be changed, as it is.
    """

    about: str
    form: dict[str, Any] | None
    data: dict[str, str]


def draft_of(value: Any) -> Draft:
    """What a person sees of a message's plain JSON."""
    mail = mail_in(value)
    if mail is not None:
        lines = [f"To: {', '.join(mail.to)}"]
        for name, some in (("Cc", mail.cc), ("Bcc", mail.bcc), ("Reply to", mail.reply_to)):
            lines += [f"{name}: {', '.join(some)}"] if some else []
        for one in mail.attachments:
            lines.append(f"Attached: {one.name}, {len(one.content):,} bytes")
        if mail.html is not None:
            lines.append("It has an HTML form too; when the text is changed, it goes out as text only.")
        return _draft("\n".join(lines), {"subject": mail.subject, "text": mail.text})
    if isinstance(value, str):
        return _draft("A text.", {"text": value})
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        rest = {name: one for name, one in value.items() if name != "text"}
        return _draft(f"Beside the text: {_pretty(rest)}" if rest else "A text.", {"text": value["text"]})
    return _draft("JSON.", {"json": _pretty(value)})


def edited(value: Any, answer: Mapping[str, Any]) -> bytes | None:
    """The message with what a person made of it; None if they changed nothing.

    Raises:
        UsageError: it is no message any more; says why.
    """
    draft = draft_of(value)
    given = {name: str(answer[name]) for name in draft.data if draft.form is not None and name in answer}
    # A browser sends the ends of lines as mails have them.
    if all(_lines(given[name]) == _lines(draft.data[name]) for name in given):
        return None
    if "json" in given:
        try:
            changed = msgspec.json.decode(given["json"])
        except (msgspec.DecodeError, RecursionError) as error:
            raise UsageError(f"this is no JSON: {error}") from None
    elif isinstance(value, str):
        changed = given["text"]
    else:
        changed = {**value, **given}
        if mail_in(value) is not None:
            if _lines(given["text"]) != _lines(draft.data["text"]):
                changed.pop("html", None)
            changed = Mail.from_json(changed)
    try:
        return encode(changed, "the message")
    except PayloadError as error:
        raise UsageError(str(error)) from None


def _draft(about: str, data: dict[str, str]) -> Draft:
    if sum(map(len, data.values())) > EDITED_CHARACTERS:
        text = next(data[name] for name in ("text", "json") if name in data)
        shown = "\n".join([f"Subject: {data['subject']}"] if "subject" in data else [])
        return Draft(
            f"{about}\n{shown}\nIt is too long to be changed here. It begins:\n{text[:SHOWN_CHARACTERS]}", None, {}
        )
    fields = {
        "subject": {"type": "string", "title": "Subject", "minLength": 1},
        "text": {"type": "string", "title": "Text", "format": "textarea"},
        "json": {"type": "string", "title": "JSON", "format": "textarea", "minLength": 1},
    }
    form = {
        "type": "object",
        "properties": {name: fields[name] for name in data},
        "required": list(data),
        "additionalProperties": False,
    }
    return Draft(about, form, data)


def title_of(value: Any) -> str:
    """What a message is called in a list of work, on one line; empty for nothing."""
    mail = mail_in(value)
    return "" if mail is None else one_line(mail.subject)


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
