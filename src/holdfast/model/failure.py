"""Exceptions to stored bytes and back.

The stored form is a payload (header byte, JSON) of an object::

    {"type": "module.QualName", "message": str, "args": [...] or null, "attributes": {...}, "traceback": str,
     "cause": {...} or null, "implicit": bool, "members": [...] or null}

``args`` is null unless it is plain JSON; of the attributes those that are plain JSON are kept. ``implicit`` says that
the cause was the context of the error rather than its ``from``. ``members`` are those of an exception group, whose
``args`` then holds its message without their count. Each text is cut at 64 Ki characters, each part is bounded, and
nothing in an error can make the encoding fail.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from holdfast.errors import PayloadError, StepError
from holdfast.model.payload import HEADER, MAX_PAYLOAD_BYTES, body_of, codec_of
from holdfast.model.references import is_apart, shown
from holdfast.model.sealed import is_unopened, reason_of

MAX_TEXT_CHARS = 64 * 1024
"""Messages and tracebacks are cut here."""

MAX_CAUSES = 16
"""How deep causes and members of groups are followed."""

MAX_MEMBERS = 64
"""How many members of a group are kept, over all its levels."""

E = TypeVar("E", bound=BaseException)

_MAX_PART_BYTES = 64 * 1024
_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode
_NOTE = "Recorded traceback:\n"
# Python does not let a coroutine raise these: they would come out as RuntimeError.
_UNRAISABLE = (StopIteration, StopAsyncIteration)


def encode_failure(error: BaseException) -> bytes:
    """The stored bytes of an exception; never raises.

    Args:
        error: any exception, SystemExit and groups included.

    Returns:
        At most ``MAX_PAYLOAD_BYTES``.
    """
    try:
        data = HEADER + _encode_json(_Recorder().record(error, ()))
        return data if len(data) <= MAX_PAYLOAD_BYTES else HEADER + _encode_json(_bare(error))
    except Exception as fault:
        text = f"<this error could not be recorded: {type(fault).__name__}>"
        return HEADER + _encode_json({"type": "builtins.Exception", "message": text, "args": [text]})


def decode_failure(data: bytes) -> Exception:
    """The exception of stored bytes, rebuilt if its class is imported here.

    A class is looked up among imported modules only. Its own ``__init__`` and ``__new__`` are not run: they would be
    code called with what a database holds, and seldom take what ends up in ``args``. The builtin that it derives from
    is initialised with the recorded args, and the recorded attributes are put into ``__dict__``. If the args were not
    plain JSON, the message stands in for them. What cannot be rebuilt so that its text is the recorded one (or is no
    :class:`Exception`, as SystemExit) comes back as :class:`~holdfast.errors.StepError`. The recorded traceback is
    attached as a note, which Python prints below the error.

    Args:
        data: what :func:`encode_failure` gave.

    Raises:
        PayloadError: the bytes are not those of a failure.
    """
    return _rebuilt(_read(data), 0)


def failure_view(data: bytes) -> dict[str, Any]:
    """The type, message and traceback of a failure, for display; of one that cannot be opened here, why.

    Args:
        data: what :func:`encode_failure` gave.

    Raises:
        PayloadError: the bytes are not those of a failure.
    """
    if is_unopened(data):
        return {"type": "", "message": reason_of(data).why, "traceback": ""}
    if is_apart(data):
        return {"type": "", "message": f"{shown(data)['kept_apart']}", "traceback": ""}
    record = _read(data)
    return {key: str(record.get(key, "")) for key in ("type", "message", "traceback")}


class _Recorder:
    """Records one failure; counts the members of its groups."""

    def __init__(self) -> None:
        self._members_left = MAX_MEMBERS

    def record(self, error: BaseException, above: tuple[int, ...]) -> dict[str, Any]:
        record = _bare(error)
        try:
            record["args"] = _args_of(error)
            record["attributes"] = _attributes_of(error)
            if len(above) >= MAX_CAUSES:
                return record
            inside = (*above, id(error))
            cause, implicit = error.__cause__, False
            if cause is None and not error.__suppress_context__:
                cause, implicit = error.__context__, True
            if cause is not None and id(cause) not in inside:
                record["cause"], record["implicit"] = self.record(cause, inside), implicit
            if isinstance(error, BaseExceptionGroup):
                record["args"] = [_clean(error.message)]
                record["members"] = self._members(error, inside)
        except Exception:
            return record
        return record

    def _members(self, group: BaseExceptionGroup[Any], inside: tuple[int, ...]) -> list[dict[str, Any]]:
        records = []
        for error in group.exceptions:
            if self._members_left <= 0:
                break
            self._members_left -= 1
            records.append(self.record(error, inside))
        return records


def _bare(error: BaseException) -> dict[str, Any]:
    return {
        "type": _clean(f"{type(error).__module__}.{type(error).__qualname__}"),
        "message": _message_of(error),
        "args": None,
        "attributes": {},
        "traceback": _traceback_of(error),
        "cause": None,
        "implicit": False,
        "members": None,
    }


def _message_of(error: BaseException) -> str:
    try:
        return _clean(str(error))
    except Exception as fault:
        return f"<the text of this {type(error).__qualname__} could not be made: {type(fault).__qualname__}>"


def _traceback_of(error: BaseException) -> str:
    # Of this error alone: its cause carries its own.
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__, chain=False)
        return _clean("".join(lines), tail=True)
    except Exception:
        return ""


def _args_of(error: BaseException) -> list[Any] | None:
    # Of OSError, what its constructor took: the name of the file is not in its args.
    args = list(OSError.__reduce__(error)[1] if isinstance(error, OSError) else error.args)
    return args if _is_plain(args) else None


_SEQ = "_holdfast_seq"

_UNRECORDED = ("__notes__", _SEQ)


def with_seq(error: E, seq: int) -> E:
    """The error that a durable call raises, with the seq of its journal entry: should it end the run, a retry begins
    there."""
    with suppress(AttributeError):  # some take no attribute
        setattr(error, _SEQ, seq)
    return error


def seq_of(error: BaseException | None) -> int | None:
    """The seq of the journal entry that an error stands in, or the error that it was raised for."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seq: int | None = getattr(error, _SEQ, None)
        if seq is not None:
            return seq
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _attributes_of(error: BaseException) -> dict[str, Any]:
    # Notes are in the traceback's text already.
    kept: dict[str, Any] = {}
    for name, value in vars(error).items():
        if name not in _UNRECORDED and _is_plain({name: value}) and _is_plain({**kept, name: value}):
            kept[name] = value
    return kept


def _is_plain(value: object) -> bool:
    try:
        return len(codec_of(Any).encode(value, "")) <= _MAX_PART_BYTES
    except PayloadError:
        return False


def _clean(text: str, *, tail: bool = False) -> str:
    """Text that can be stored: lone surrogates as escapes, and no longer than the limit."""
    text = str(text).encode("utf-8", "backslashreplace").decode()
    if len(text) <= MAX_TEXT_CHARS:
        return text
    note = f"… cut: {len(text)} characters in all"
    room = MAX_TEXT_CHARS - len(note) - 1  # with its note it is within the limit: a second time nothing is cut
    return f"{note}\n{text[-room:]}" if tail else text[:room] + note


def _read(data: bytes) -> dict[str, Any]:
    body = body_of(data, "failure")
    try:
        record = _decode_json(body)
    except Exception as error:
        raise PayloadError("failure", f"the stored bytes are not JSON: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise PayloadError("failure", "the stored bytes are not those of a failure")
    return record


def _rebuilt(record: Mapping[str, Any], depth: int) -> Exception:
    name, message = record["type"], str(record.get("message", ""))
    attributes = record.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    cls = _imported(name)
    error = None if cls is None else _instance(cls, message, record, attributes, depth)
    if error is None:
        error = StepError(message, type=name, attributes=attributes)
    cause = record.get("cause")
    if isinstance(cause, dict) and isinstance(cause.get("type"), str) and depth < MAX_CAUSES:
        if record.get("implicit"):
            error.__context__ = _rebuilt(cause, depth + 1)
        else:
            error.__cause__ = _rebuilt(cause, depth + 1)
    if record.get("traceback"):
        error.add_note(_NOTE + str(record["traceback"]))
    return error


def _imported(name: str) -> type[Exception] | None:
    """The exception class of a dotted name, if its module is imported."""
    # Looked up in __dict__ only, since the __getattr__ of a module may import.
    parts = name.split(".")
    for split in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:split]))
        for part in parts[split:]:
            found = getattr(found, "__dict__", {}).get(part)
        if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, _UNRAISABLE):
            return found
    return None


def _instance(
    cls: type[Exception], message: str, record: Mapping[str, Any], attributes: dict[str, Any], depth: int
) -> Exception | None:
    """An instance whose text is the recorded message, or None."""
    base: Any = cls
    while base.__module__ != "builtins":  # by __base__, the line that decides the layout in memory
        base = base.__base__ or object
    stored, members = record.get("args"), record.get("members")
    args = list(stored) if isinstance(stored, list) else [message]
    try:
        if isinstance(members, list) and depth < MAX_CAUSES:
            args.append([_rebuilt(member, depth + 1) for member in members])
        error: Exception = base.__new__(cls, *args)
        base.__init__(error, *args)
        vars(error).update(attributes)
        return error if str(error) == message else None
    except Exception:
        return None
