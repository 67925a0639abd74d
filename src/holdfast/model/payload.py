"""Values to stored bytes and back, typed by annotation, exactly or not at all.

The stored form is one header byte, 1, and JSON in UTF-8. What the annotation leaves open (no annotation, Any, object,
dict, list) must be plain JSON: dict with str keys, list, str, int, finite float, bool, None. The rest goes through
pydantic in strict mode. Whatever is encoded is decoded again and compared, so a value comes back exactly as it was or
is refused with the place inside it; :mod:`holdfast.model.exactness` says what exactly means.

Choices a reader may look for: NaN and infinities are refused everywhere, so that the bytes are always JSON. Where
float is annotated an int is kept as an int (a field of a dataclass, which pydantic turns into a float, is refused). A
bool is no int here. Of an aware datetime the offset is kept, not the zone's name.
"""

from __future__ import annotations

import functools
import inspect
import marshal
import math
import typing
from collections.abc import Callable, Set
from typing import Any, NewType

import msgspec
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import from_json

from holdfast.errors import PayloadError, UsageError
from holdfast.model.annotations import (
    SCALARS,
    adapted,
    is_builtin_only,
    most_bytes_of,
    open_container,
    scalar_members,
)
from holdfast.model.exactness import MAX_DEPTH, Fault, difference, member, plain_fault, scalar_fault, unstorable
from holdfast.model.sealed import is_unopened, refuse

MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
"""The largest payload that is stored, header included, unless the class of the value says more, see `most_bytes_of`, or
whoever encodes it, since it may be kept apart from where it belongs."""

HEADER = b"\x01"
"""Format 1: UTF-8 JSON, no codec."""

_PLAIN = HEADER[0]

_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode
_dump: Callable[[Any, int], bytes] = marshal.dumps
_CONFIG = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", arbitrary_types_allowed=True)
_OPEN = (Any, object, inspect.Parameter.empty)
_IN_JSON = SCALARS | {list, dict}


class Codec:
    """Encodes and decodes the values of one annotation; made by :func:`codec_of`.

    Attributes:
        annotation: the annotation, resolved.
        scalars: the exact types whose values come back from JSON as they are, so that the check may be skipped.
        as_it_is: the exact types of what is decoded from JSON by itself that is the value as it is.
        most_bytes: so large may a payload be, header included.
    """

    __slots__ = (
        "_adapter", "_closed", "_countable", "_outer", "_plain", "annotation", "as_it_is", "most_bytes", "scalars",
        "unresolved",
    )  # fmt: skip

    def __init__(self, annotation: Any, *, unresolved: str = "", most_bytes: int | None = None) -> None:
        self.annotation = Any if annotation in _OPEN else annotation
        self.unresolved = unresolved
        self.most_bytes = most_bytes or most_bytes_of(self.annotation, MAX_PAYLOAD_BYTES)
        self._adapter: TypeAdapter[Any] | None = None
        self._outer = open_container(self.annotation)
        kinds = scalar_members(self.annotation)
        self._closed = kinds <= SCALARS
        self._plain = self.annotation is Any or self._outer is not None or self._closed
        if self.annotation is Any:
            self.scalars = SCALARS
        elif self._closed:
            self.scalars = kinds | {int} if float in kinds else kinds
        else:
            self.scalars = kinds & {type(None)}
        outer = _IN_JSON if self._outer is None else {self._outer}
        self.as_it_is: Set[type] = (self.scalars if self._closed else outer) if self._plain else frozenset()
        self._countable = not self._plain and is_builtin_only(self.annotation)

    def encode(self, value: object, place: str, most: int | None = None) -> bytes:
        """The stored bytes of a value.

        Args:
            value: the value.
            place: what it is, for messages: ``charge() argument 'order'``.
            most: so large may it be, header included, where that is not the usual.

        Raises:
            PayloadError: it would not come back exactly as it is, or is too large; names the place inside it.
        """
        return self.settle(value, place, most)[0]

    def limit(self, most: int | None) -> int:
        """How large a payload may be: as whoever encodes it says, or as the class says that the annotation names."""
        if most is None:
            return self.most_bytes
        return most if self.most_bytes == MAX_PAYLOAD_BYTES else max(most, self.most_bytes)

    def settle(self, value: Any, place: str, most: int | None = None) -> tuple[bytes, Any]:
        """The stored bytes of a value, and the value as a replay will see it.

        Args:
            value: the value.
            place: what it is, for messages.
            most: as for :meth:`encode`.

        Returns:
            The bytes, and a value decoded from them; a scalar is returned as it is.

        Raises:
            PayloadError: as for :meth:`encode`.
        """
        kind = type(value)
        if kind in self.scalars and (kind is not float or math.isfinite(value)):
            try:
                data = HEADER + _encode_json(value)
            except Exception as error:
                raise self._refused(scalar_fault(value, place) or Fault(place, str(error))) from error
            if len(data) < 600:
                return data, value
            if kind is not int:
                check_size(len(data), place, self.limit(most))
                return data, value
            # As many digits as this may be more than another process reads back: take the whole trip.
        limit = self.limit(most)
        return self._settle_plain(value, place, limit) if self._plain else self._settle_typed(value, place, limit)

    def decode(self, data: bytes, place: str) -> Any:
        """The value of stored bytes.

        Args:
            data: what :meth:`encode` gave.
            place: what it is, for messages.

        Raises:
            PayloadError: the bytes are of an unknown format, are not JSON, or do not fit the annotation.
        """
        if self._plain and data and data[0] == _PLAIN:
            # Replays decode a value for each step: what is well is given without another call.
            try:
                value = _decode_json(data[1:])
            except Exception:  # noqa: S110
                pass  # told below
            else:
                if type(value) in self.as_it_is:
                    return value
        return self.decode_body(body_of(data, place), place)

    def decode_body(self, body: bytes, place: str) -> Any:
        """The value of JSON text, without the header; raises as :meth:`decode` does."""
        if not self._plain:
            return self._validate(body, place)
        try:
            value = _decode_json(body)
        except Exception as error:
            raise PayloadError(place, f"the stored bytes are not JSON that can be read: {error}") from error
        if not self._admits(value):
            raise PayloadError(place, f"the stored value is {_shown(value)}, and the annotation says {self._said()}")
        return value

    @property
    def schema_adapter(self) -> TypeAdapter[Any]:
        """The pydantic adapter to draw JSON Schemas from."""
        return _adapter_of(adapted(self.annotation, widen=False))

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of what may be stored; ``{}`` where pydantic knows none."""
        try:
            return self.schema_adapter.json_schema()
        except (PydanticUserError, NameError):
            return {}

    def _admits(self, value: object) -> bool:
        """Whether a value fits an annotation that goes by the plain route, as far as its own type says."""
        return self.annotation is Any or type(value) in self.as_it_is

    def _settle_plain(self, value: object, place: str, most: int) -> tuple[bytes, Any]:
        if not self._admits(value):
            fault = scalar_fault(value, place) if type(value) in self.scalars else None
            said = f"is {_shown(value)}, and the annotation says {self._said()}: annotate what it is, or convert it"
            raise self._refused(fault or Fault(place, said))
        try:
            body = _encode_json(value)
            back = _decode_json(body)
            # marshal writes exact builtin types only, each its own way, so equal dumps mean equal types all the way
            # down: == alone takes 1, True, 1.0 and IntEnum(1) for one another. Nothing is ever loaded with it.
            exact = _dump(value, 2) == _dump(back, 2)
        except Exception as error:
            fault = plain_fault(value, place) or Fault(place, f"cannot be stored: {error}")
            raise self._refused(fault) from error
        if not exact:
            fault = plain_fault(value, place) or difference(value, back, place)
            if fault is not None:
                raise self._refused(fault)
        check_size(len(body) + len(HEADER), place, most)
        if len(body) > 2 * MAX_DEPTH:
            _check_depth(value, body, place)
        return HEADER + body, back

    def _settle_typed(self, value: object, place: str, most: int) -> tuple[bytes, Any]:
        adapter = self._adapter or self._build(place)
        try:
            body = adapter.serializer.to_json(value, warnings=False, round_trip=True)
        except Exception as error:
            raise self._refused(unstorable(value, place, str(error))) from error
        check_size(len(body) + len(HEADER), place, most)
        if len(body) > 2 * MAX_DEPTH:
            _check_depth(value, body, place)
        back = self._validate(body, place, value)
        if not (self._countable and _same_dump(value, back)):
            fault = difference(value, back, place)
            if fault is not None:
                raise self._refused(fault)
        return HEADER + body, back

    def _validate(self, body: bytes, place: str, value: object = ...) -> Any:
        """Decode JSON by the annotation; ``value``, when encoding, is what the JSON was made from."""
        adapter = self._adapter or self._build(place)
        try:
            return adapter.validator.validate_json(body, strict=True, by_alias=True, by_name=True)
        except ValidationError as error:
            raise self._refused(_located(error, body, place, value)) from error
        except Exception as error:
            raise PayloadError(place, f"cannot be decoded: {type(error).__name__}: {error}") from error

    def _build(self, place: str) -> TypeAdapter[Any]:
        try:
            adapter = _adapter_of(adapted(self.annotation, widen=True))
            if not adapter.pydantic_complete:
                adapter.rebuild(raise_errors=True)
        except Exception as error:
            raise UsageError(f"{place}: the annotation {self._said()} cannot be stored: {error}") from error
        self._adapter = adapter
        return adapter

    def _refused(self, fault: Fault) -> PayloadError:
        note = f" (the annotation {self.unresolved} could not be resolved)" if self.unresolved else ""
        return PayloadError(fault.place, fault.reason + note)

    def _said(self) -> str:
        return inspect.formatannotation(self.annotation)


def codec_of(annotation: Any) -> Codec:
    """The codec of an annotation, made once for each.

    Args:
        annotation: a resolved type; ``inspect.Parameter.empty``, Any and object mean plain JSON, and so does a string,
            since only a function's :class:`~holdfast.model.signature.Signature` can resolve it.
    """
    if isinstance(annotation, (str, typing.ForwardRef)):
        return Codec(Any, unresolved=str(annotation))
    try:
        # The text too, since Union[A, B] == Union[B, A], yet the first that fits is what comes back.
        return _cached_codec(annotation, repr(annotation))
    except TypeError:
        return Codec(annotation)  # unhashable, as Annotated[int, {...}]


@functools.lru_cache(maxsize=4096)
def _cached_codec(annotation: Any, text: str) -> Codec:
    return Codec(annotation)


def body_of(data: bytes, place: str) -> bytes:
    """The JSON in stored bytes.

    Raises:
        CodecError: it could not be opened; see `holdfast.model.sealed`.
        PayloadError: the header is of a format that this version does not know.
    """
    if data[:1] != HEADER:
        if is_unopened(data):
            refuse(data, place)
        form = f"format {data[0]}" if data else "no format: they are empty"
        raise PayloadError(place, f"the stored bytes have {form}, and this version reads format {HEADER[0]} only")
    return data[1:]


def check_size(size: int, place: str, most: int) -> None:
    """See that a payload is not too large.

    Args:
        size: in bytes, header included.
        place: what it is, for messages.
        most: see `Codec.limit`.

    Raises:
        PayloadError: it is.
    """
    if size > most:
        raise PayloadError(
            place,
            f"takes {size:,} bytes, and at most {most:,} are stored: keep it in a file or an object store, and pass "
            "its address; or, for what runs take and give, allow more with hf.Values(most=…)",
        )


def _adapter_of(annotation: Any) -> TypeAdapter[Any]:
    # NewType, because pydantic takes no configuration beside a dataclass or TypedDict, but does so beside an alias.
    alias: Any = NewType
    return TypeAdapter(alias("Value", annotation), config=_CONFIG)


def _check_depth(value: object, body: bytes, place: str) -> None:
    """Refuse what a process with a deeper stack could not decode again."""
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        try:
            from_json(body)
        except ValueError as error:
            fault = plain_fault(value, place)
            raise PayloadError(*(fault or Fault(place, f"cannot be decoded again: {error}"))) from error


def _same_dump(value: object, back: object) -> bool:
    try:
        return _dump(value, 2) == _dump(back, 2)
    except ValueError:
        return False


def _located(error: ValidationError, body: bytes, place: str, value: Any) -> Fault:
    """The place of a validation error: its location names members of unions too, which are not part of a path."""
    detail = error.errors(include_url=False, include_context=False)[0]
    if detail["type"] == "json_invalid" and value is not ...:
        return unstorable(value, place, detail["msg"])
    try:
        node = _decode_json(body)
    except Exception:
        return Fault(place, detail["msg"])
    for key in detail["loc"]:
        inner = _step_into(node, key)
        if inner is not ...:
            node, value, place = inner, _step_into(value, key), member(place, key)
    if detail["type"] == "missing":
        place = member(place, detail["loc"][-1])
    fault = None if value is ... else scalar_fault(value, place)
    return fault or Fault(place, f"{detail['msg']}, got {_shown(node if value is ... else value)}")


def _step_into(value: Any, key: Any) -> Any:
    try:
        return value[key] if isinstance(value, (list, tuple, dict)) else getattr(value, key)
    except (LookupError, AttributeError, TypeError):
        return ...


def _shown(value: object) -> str:
    try:
        text = ascii(value)
    except Exception:
        text = type(value).__qualname__
    kind = "" if value is None else f" ({type(value).__qualname__})"
    return (text if len(text) <= 80 else text[:80] + "...") + kind
