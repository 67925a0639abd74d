"""What a turn does where the user gives no function of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.conversations.turns import Message, Parsed, Query, Reply, Turn
from holdfast.errors import UsageError
from holdfast.model.dialogues import Dialogue, check_value, json_schema

REPLY_CHARACTERS = 100_000
"""What is longer is no answer."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FENCED = re.compile(r"```(?:json)?\s*\n(\{.*?\})\s*```", re.DOTALL)


def enrich(turn: Turn[Any]) -> Query:
    """What the model is asked: what the definition says, how far the dialogue is, and what was said."""
    dialogue, step = turn.dialogue, None
    parts = [dialogue.instructions] if dialogue.instructions else []
    if turn.progress.current is not None:
        step = next(one for one in dialogue.steps if one.id == turn.progress.current)
        parts.append(f"The step now is {step.title or step.id}." + (f" Ask: {step.ask}" if step.ask else ""))
    if turn.state.collected:
        parts.append(f"Known so far: {msgspec.json.encode(turn.state.collected).decode()}")
    parts.append(
        "First say to the user what there is to say, in plain words. Then give, between a line ```json and a line ```, "
        "a JSON object: extracted (values of fields that the user gave, and no others), passed (ids of steps that "
        "need nothing and that the user does not want)."
    )
    messages = [*turn.before, Message("user", turn.message)]
    return Query("\n\n".join(parts), messages, _schema_of(dialogue))


def _schema_of(dialogue: Dialogue) -> Mapping[str, Any]:
    found = dialogue.remembered.get(json_schema)
    if found is None:
        found = dialogue.remembered[json_schema] = json_schema(dialogue)
    assert isinstance(found, dict)
    return found


def normalise(reply: Any) -> Reply:
    """A model's answer in one form: a text, an object, a `Reply`, or what has ``output`` as an agent's result does.

    Raises:
        UsageError: it is none of these.
    """
    if not isinstance(reply, Reply):
        if isinstance(reply, str):
            reply = Reply(text=reply)
        elif isinstance(reply, Mapping):
            reply = Reply(data=dict(reply))
        elif hasattr(reply, "model_dump"):
            reply = Reply(data=reply.model_dump(mode="json"))
        else:
            raise UsageError(f"the model answered {reply!r:.100}; give a text, an object or a holdfast Reply")
    text = _CONTROL.sub("", reply.text).encode(errors="replace").decode()
    if len(text) > REPLY_CHARACTERS:
        raise UsageError(f"the model answered {len(text):,} characters; at most {REPLY_CHARACTERS:,} are taken")
    return Reply(text, reply.data, reply.model, reply.input_tokens, reply.output_tokens, reply.cost)


def parse(reply: Reply, turn: Turn[Any]) -> Parsed:
    """What an answer says: an object with ``message`` or ``messages``, ``extracted``, ``passed`` and ``ends``.

    The object is the answer's data, its whole text, or stands in its text between fences. What is no such object is a
    message to the user, and nothing is extracted.
    """
    found, text = reply.data, reply.text
    if not isinstance(found, Mapping):
        found, text = _object_in(text)
    if not isinstance(found, Mapping):
        return Parsed([text.strip()] if text.strip() else [])
    said = found.get("messages", found.get("message", text))
    messages = [said] if isinstance(said, str) else said
    extracted, passed = found.get("extracted") or {}, found.get("passed") or []
    if not isinstance(messages, list) or not all(isinstance(one, str) for one in messages):
        raise UsageError(f"the model's messages are {messages!r:.100}; give texts")
    if not isinstance(extracted, Mapping):
        raise UsageError(f"what the model extracted is {extracted!r:.100}; give an object of values by field")
    if not isinstance(passed, list) or not all(isinstance(one, str) for one in passed):
        raise UsageError(f"the steps that the model passes over are {passed!r:.100}; give their ids")
    return Parsed([one.strip() for one in messages if one.strip()], dict(extracted), passed, found.get("ends") is True)


def _object_in(text: str) -> tuple[Any, str]:
    """The object in a text, and what else the text says."""
    stripped = text.strip()
    if stripped.startswith("{"):
        try:
            return json.loads(stripped), ""
        except ValueError:
            return None, text
    fenced = _FENCED.search(text)
    if fenced is None:
        return None, text
    try:
        return json.loads(fenced[1]), (text[: fenced.start()] + text[fenced.end() :]).strip()
    except ValueError:
        return None, text


def update(turn: Turn[Any], parsed: Parsed) -> None:
    """Take what was extracted into the state: what fits its field; the rest is noted in ``turn.refused``."""
    fields = {field.name: field for step in turn.dialogue.steps for field in step.fields}
    for name, value in parsed.extracted.items():
        if name not in fields:
            turn.refused[str(name)[:100]] = "there is no such field"
            continue
        if value is None:
            continue
        try:
            turn.state.collected[name] = check_value(fields[name], value)
        except UsageError as error:
            turn.refused[name] = str(error)
    optional = {step.id for step in turn.dialogue.steps if step.optional or not step.needed}
    for id in parsed.passed:
        if id in optional and id not in turn.state.passed:
            turn.state.passed.append(id)
