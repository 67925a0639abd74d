"""What is stored of a turn as JSON, and read again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from holdfast.conversations.turns import ConversationView, Message, State, TurnProgress, TurnResult, TurnView
from holdfast.errors import PayloadError, UsageError
from holdfast.model.dialogues import Progress
from holdfast.model.payload import body_of, codec_of
from holdfast.model.run import instant
from holdfast.store.conversation_rows import ConversationRow, Exchange, TurnRow

STATE_BYTES = 1024 * 1024
"""The largest state."""

_HEADER = codec_of(None).encode(None, "nothing")[:1]


def decode_state(stored: bytes | None, data: Any) -> State[Any]:
    """A state, from what is stored; a new one from nothing.

    Args:
        data: the type of ``state.data``.

    Raises:
        UsageError: the type cannot be made without arguments.
        PayloadError: what is stored does not fit the type.
    """
    if stored is None:
        try:
            return State(data())
        except Exception as error:
            raise UsageError(f"the data of a new conversation, {data!r:.100}, cannot be made: {error}") from error
    found = msgspec.json.decode(stored)
    kept = codec_of(data).decode(_HEADER + msgspec.json.encode(found["data"]), "the state's data")
    return State(kept, found["collected"], found["passed"])


def encode_state(state: State[Any], data: Any) -> bytes:
    """A state as it is stored.

    Raises:
        PayloadError: it does not fit its type, is no plain JSON, or is too large.
    """
    kept = body_of(codec_of(data).encode(state.data, "the state's data"), "the state's data")
    encoded = msgspec.json.encode({"data": msgspec.Raw(kept), "collected": state.collected, "passed": state.passed})
    if len(encoded) > STATE_BYTES:
        raise PayloadError("state", f"takes {len(encoded):,} bytes, and at most {STATE_BYTES:,} are stored")
    return encoded


def change_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> bytes:
    """From one state to another, as a JSON merge patch (RFC 7396)."""
    return b"{}" if before == after else msgspec.json.encode(_patch(before, after))


def _patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        was = old.get(name)
        if isinstance(value, dict) and isinstance(was, dict):
            if value != was:
                patch[name] = _patch(was, value)
        elif name not in old or value != was:
            patch[name] = value
    return patch


def turn_progress(progress: Progress) -> TurnProgress:
    """How far a dialogue is."""
    return TurnProgress(progress.current, progress.total, progress.percent)


def response_of(result: TurnResult, state: bytes) -> bytes:
    """A result as it is stored: without what its turn's row says, and the state, which the turn's change leads to.

    Args:
        result: the result.
        state: the one that it has, as it is stored. One with a null, which no change can tell, stays in the result.
    """
    fields = {name: getattr(result, name) for name in _RESULT}
    if b"null" in state:
        fields["state"] = msgspec.Raw(state)
    return msgspec.json.encode(fields)


def repeated_result(row: TurnRow, state: Mapping[str, Any] | None) -> TurnResult | None:
    """The result of a turn that is over and is asked for again.

    Args:
        row: the turn.
        state: as it was after it; None if that is not known.

    Returns:
        None where the state is needed.
    """
    found = msgspec.json.decode(row.response)
    if "state" not in found:
        if state is None:
            return None
        found["state"] = state
    of_row = {"conversation_id": row.conversation, "number": row.number, "id": row.id}
    return msgspec.convert({**found, **of_row, "repeated": True}, TurnResult)


_APART = ("conversation_id", "number", "id", "state", "repeated")
_RESULT = tuple(field.name for field in dataclasses.fields(TurnResult) if field.name not in _APART)


class _Answer(msgspec.Struct):
    """What is read of a result to tell what was said, and what the conversation was handed over to."""

    messages: list[Message]
    started: list[str] = []
    completed: list[str] = []


_answers = msgspec.json.Decoder(_Answer)


def exchanges_of(recent: Sequence[Exchange]) -> list[Message]:
    """What was said in exchanges, in order."""
    found: list[Message] = []
    for one in recent:
        found.append(Message("user", one.message))
        found += _answers.decode(one.response).messages
    return found


def conversation_view(row: ConversationRow, now_us: int) -> ConversationView:
    """A conversation as it is shown."""
    return ConversationView(
        id=row.id,
        user=row.user,
        definition=row.definition,
        version=row.version,
        status=row.status,
        turns=row.turns,
        revision=row.revision,
        state=msgspec.json.decode(row.state),
        created_at=instant(row.created_at),
        changed_at=instant(row.changed_at),
        expires_at=instant(row.expires_at),
        ended_at=None if row.ended_at is None else instant(row.ended_at),
        expired=row.expires_at <= now_us,
        item=row.item,
    )


def turn_view(row: TurnRow) -> TurnView:
    """A turn as it is shown."""
    answer = _answers.decode(row.response)
    return TurnView(
        number=row.number,
        id=row.id,
        actor=row.actor,
        message=row.message,
        messages=answer.messages,
        change=msgspec.json.decode(row.change),
        started=answer.started,
        completed=answer.completed,
        model=row.model,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost=row.cost,
        waited_seconds=row.waited_us / 1e6,
        model_seconds=row.model_us / 1e6,
        took_seconds=row.took_us / 1e6,
        at=instant(row.at),
    )
