"""What a function takes and returns, and how a call's arguments are stored: one JSON object by parameter name.

``*args`` is stored as a list under its name and ``**kwargs`` as an object under its name. Defaults are stored too, so
that a run keeps the values it began with when the code's defaults change. Annotations are resolved at first use, not
at decoration, so that they may name classes defined later; one that names nothing (imported under TYPE_CHECKING, say)
counts as no annotation.
"""

from __future__ import annotations

import inspect
import math
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import msgspec
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from holdfast.errors import PayloadError, UsageError
from holdfast.model.annotations import of_parameter, resolve_hints
from holdfast.model.payload import HEADER, MAX_PAYLOAD_BYTES, Codec, body_of, check_size, codec_of

_EMPTY = inspect.Parameter.empty
_POSITIONAL_ONLY = inspect.Parameter.POSITIONAL_ONLY
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VAR_POSITIONAL = inspect.Parameter.VAR_POSITIONAL
_VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD
_VARIADIC = (_VAR_POSITIONAL, _VAR_KEYWORD)

_encode_json = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_split_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class _Slot:
    """How one parameter is stored."""

    name: str
    place: str
    key: bytes
    codec: Codec
    parameter: inspect.Parameter


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the resolved annotations say.

    Attributes:
        direct: types of values, as far as seen, that are encoded in one go.
        as_they_are: types of what is decoded in one go that are the values as they are.
    """

    slots: tuple[_Slot, ...]
    result: Codec
    direct: set[tuple[type, ...]]
    as_they_are: set[tuple[type, ...]]


KEYWORDS = "x-holdfast-keywords"
"""In an input's schema: the name of ``**kwargs``, under which additional properties are stored."""


class Signature:
    """The parameters and the result of a function; built once, when it is decorated.

    Attributes:
        name: the function's name in messages.
        result_place: what the result is called in messages.
    """

    def __init__(
        self, fn: Callable[..., object], *, name: str | None = None, names: Mapping[str, Any] | None = None
    ) -> None:
        """Read a function's parameters.

        Args:
            fn: the function; its closure and its module are where annotations given as strings are looked up.
            name: the name for messages; the function's own if None.
            names: more names that annotations may use, as the locals where the function is defined.
        """
        self._fn = fn
        self._extra_names = names
        self.name = name or getattr(fn, "__name__", type(fn).__name__)
        self.result_place = f"{self.name}() result"
        self._signature = _inspect(fn)
        parameters = tuple(self._signature.parameters.values())
        self._parameters = parameters
        self._names = tuple(p.name for p in parameters)
        self._positional = tuple(p.name for p in parameters if p.kind in _POSITIONAL)
        self._defaults = {p.name: p.default for p in parameters if p.default is not _EMPTY}
        self._by_name = all(p.kind not in _VARIADIC and p.kind is not _POSITIONAL_ONLY for p in parameters)
        # The number of arguments of a call that fills every parameter by position, or -1 if none can.
        self._full = len(parameters) if self._by_name and len(self._positional) == len(parameters) else -1
        self._plan: _Plan | None = None

    def __str__(self) -> str:
        return f"{self.name}{self._signature}"

    @cached_property
    def result(self) -> Codec:
        """The codec of the return annotation."""
        return (self._plan or self._resolve()).result

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by parameter name, in the order of the parameters, defaults applied.

        Args:
            args: the positional arguments.
            kwargs: the named ones.

        Returns:
            A value for each parameter; a tuple for ``*args`` and a dict for ``**kwargs``.

        Raises:
            UsageError: the function does not take these arguments; says which, and shows the signature.
        """
        if self._by_name:
            if len(args) <= len(self._positional):
                given = dict(zip(self._positional, args, strict=False))
                if given.keys().isdisjoint(kwargs):
                    values = {**self._defaults, **given, **kwargs}
                    if len(values) == len(self._names):
                        try:
                            return {name: values[name] for name in self._names}
                        except KeyError:
                            pass  # as many as there should be, but not the same: told below
        else:
            try:
                bound = self._signature.bind(*args, **kwargs)
            except TypeError:
                pass
            else:
                bound.apply_defaults()
                return bound.arguments
        raise UsageError(self._misfit(args, kwargs))

    def encode_input(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], most: int | None = None) -> bytes:
        """The stored bytes of a call's arguments.

        Args:
            args: the positional arguments.
            kwargs: the named ones.
            most: so large may they be together, header included, where that is not the usual.

        Raises:
            UsageError: the function does not take these arguments.
            PayloadError: an argument would not come back exactly as it is; names it and the place inside it.
        """
        plan = self._plan or self._resolve()
        direct = not kwargs and len(args) == self._full
        values = dict(zip(self._names, args)) if direct else self.bind(args, kwargs)  # noqa: B905  (lengths are equal)
        # Calls whose arguments are all scalars that fit are encoded in one go; the types seen to fit are remembered.
        if tuple(map(type, values.values())) in plan.direct or _fits(plan, values):
            try:
                body = _encode_json(values)
            except Exception:  # noqa: S110
                pass  # encoded again below, one by one, where the message can name the argument
            else:
                if len(body) < 600:
                    return HEADER + body
        return self._encode_each(plan, values, most)

    def decode_input(self, data: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments to call the function with, typed by its annotations.

        A parameter that the stored input lacks, since the code is newer, takes its default.

        Args:
            data: what :meth:`encode_input` or :meth:`check_input` gave.

        Returns:
            Positional and named arguments.

        Raises:
            PayloadError: the bytes do not fit the function; names the argument.
        """
        plan = self._plan or self._resolve()
        if self._full >= 0 and data[:1] == HEADER and (direct := self._decode_plain(plan, data[1:])) is not None:
            return direct, {}
        place = f"{self.name}() input"
        body = body_of(data, place)
        try:
            raw = _split_object(body)
        except Exception as error:
            raise PayloadError(place, f"the stored bytes are not a JSON object: {error}") from error
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for slot in plan.slots:
            kind, name, part = slot.parameter.kind, slot.name, raw.pop(slot.name, None)
            if part is not None:
                value = slot.codec.decode_body(bytes(part), slot.place)
            elif kind in _VARIADIC:
                continue
            elif name in self._defaults:
                value = self._defaults[name]
            else:
                raise PayloadError(slot.place, "is not in the stored input, and has no default: give it one")
            if kind is _VAR_POSITIONAL:
                args.extend(value)
            elif kind is _VAR_KEYWORD:
                kwargs.update(value)
            elif kind in _POSITIONAL:
                args.append(value)
            else:
                kwargs[name] = value
        if raw:
            place = self._place(next(iter(raw)))
            raise PayloadError(place, "is in the stored input, and the function takes it no more")
        return tuple(args), kwargs

    def _decode_plain(self, plan: _Plan, body: bytes) -> tuple[Any, ...] | None:
        """The arguments, if all are there and each is in JSON as it is."""
        try:
            given = _decode_object(body)
            # They stand in the order of the parameters, unless another code stored them.
            in_order = tuple(given) == self._names
            values = tuple(given.values() if in_order else [given[name] for name in self._names])
        except Exception:
            return None  # told by whoever takes it apart
        if len(given) != len(values):
            return None
        kinds = tuple(map(type, values))
        if kinds in plan.as_they_are:
            return values
        for slot, kind in zip(plan.slots, kinds, strict=True):
            if kind not in slot.codec.as_it_is:
                return None
        plan.as_they_are.add(kinds)
        return values

    def check_input(self, value: Mapping[str, Any]) -> bytes:
        """The stored bytes of an input given as a JSON object, checked against names and annotations.

        Args:
            value: plain JSON by parameter name, as from a command line or an HTTP request; ``**kwargs`` may be given
                flat or under its name, and values are in their JSON form (a datetime as a string).

        Returns:
            The same bytes as a call with these arguments would give.

        Raises:
            UsageError: an argument is missing or unknown.
            PayloadError: an argument does not fit its annotation.
        """
        plain = codec_of(Any)
        slots = (self._plan or self._resolve()).slots
        given = dict(value)
        bag = next((slot for slot in slots if slot.parameter.kind is _VAR_KEYWORD), None)
        unknown = {name: given.pop(name) for name in value if name not in self._names}
        if bag is not None:
            held = given.get(bag.name, {})
            given[bag.name] = {**held, **unknown} if isinstance(held, dict) else held
        have = {*self._defaults, *given}
        missing = [p.name for p in self._parameters if p.kind not in _VARIADIC and p.name not in have]
        if missing or (unknown and bag is None):
            raise UsageError(self._complaint(missing, [] if bag is not None else list(unknown)))
        values: dict[str, Any] = {}
        for slot in slots:
            if slot.name in given:
                body = plain.encode(given[slot.name], slot.place)[1:]
                values[slot.name] = slot.codec.decode_body(body, slot.place)
            elif slot.parameter.kind in _VARIADIC:
                values[slot.name] = () if slot.parameter.kind is _VAR_POSITIONAL else {}
            else:
                values[slot.name] = self._defaults[slot.name]
        return self._encode_each(self._plan or self._resolve(), values)

    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of the object that :meth:`check_input` takes."""
        adapters: dict[str, TypeAdapter[Any]] = {}
        for slot in (self._plan or self._resolve()).slots:
            try:
                adapters[slot.name] = slot.codec.schema_adapter
                adapters[slot.name].json_schema()
            except (PydanticUserError, NameError):
                adapters.pop(slot.name, None)
        inputs: list[tuple[str, Literal["validation"], TypeAdapter[Any]]]
        inputs = [(name, "validation", adapter) for name, adapter in adapters.items()]
        schemas, shared = TypeAdapter.json_schemas(inputs)
        properties: dict[str, Any] = {}
        for parameter in self._parameters:
            schema = dict(schemas.get((parameter.name, "validation"), {}))
            try:
                default = codec_of(Any).encode(self._defaults[parameter.name], "")
            except (KeyError, PayloadError):
                pass
            else:
                schema["default"] = msgspec.json.decode(default[1:])
            properties[parameter.name] = schema
        whole: dict[str, Any] = {
            "title": self.name,
            "type": "object",
            "properties": properties,
            "required": [p.name for p in self._parameters if p.kind not in _VARIADIC and p.default is _EMPTY],
            "additionalProperties": False,
        }
        for parameter in self._parameters:
            if parameter.kind is _VAR_KEYWORD:
                whole[KEYWORDS] = parameter.name
                whole["additionalProperties"] = properties.pop(parameter.name).get("additionalProperties", True)
        if "$defs" in shared:
            whole["$defs"] = shared["$defs"]
        return whole

    def _encode_each(self, plan: _Plan, values: Mapping[str, Any], most: int | None = None) -> bytes:
        parts: list[bytes] = []
        for slot in plan.slots:
            value = values[slot.name]
            if slot.parameter.kind is _VAR_POSITIONAL:
                value = list(value)
            parts.append(slot.key + slot.codec.encode(value, slot.place, most)[1:])
        body = b"{" + b",".join(parts) + b"}"
        limit = max((slot.codec.limit(most) for slot in plan.slots), default=MAX_PAYLOAD_BYTES)
        check_size(len(body) + len(HEADER), f"{self.name}() input", limit)
        return HEADER + body

    def _misfit(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        kinds = {p.name: p.kind for p in self._parameters}
        filled = set(self._positional[: len(args)])
        if len(args) > len(self._positional) and _VAR_POSITIONAL not in kinds.values():
            takes = f"it takes {len(self._positional)} positional arguments and was given {len(args)}"
            return self._complaint([], [], takes)
        named = {name for name in kwargs if kinds.get(name, _VAR_KEYWORD) not in (*_VARIADIC, _POSITIONAL_ONLY)}
        if twice := sorted(named & filled):
            return self._complaint([], [], f"it was given {_quoted(twice)} twice")
        unexpected = [] if _VAR_KEYWORD in kinds.values() else [name for name in kwargs if name not in named]
        have = {*self._defaults, *filled, *named}
        missing = [name for name, kind in kinds.items() if kind not in _VARIADIC and name not in have]
        return self._complaint(missing, unexpected)

    def _complaint(self, missing: list[str], unexpected: list[str], other: str = "") -> str:
        said = [other] if other else []
        if missing:
            said.append(f"it misses {_quoted(missing)}")
        if unexpected:
            said.append(f"it does not take {_quoted(unexpected)}")
        return f"{self.name}() cannot be called so: {', and '.join(said)}; its signature is {self}"

    def _place(self, name: str) -> str:
        return f"{self.name}() argument {name!r}"

    def _resolve(self) -> _Plan:
        written = {p.name: p.annotation for p in self._parameters} | {"return": self._signature.return_annotation}
        try:
            hints = resolve_hints(self._fn, written, self._extra_names or {})
        except UsageError as error:
            raise UsageError(f"{self.name}(): {error}") from error
        slots = []
        for p in self._parameters:
            annotation = hints.get(p.name, _EMPTY)
            if p.default is None and annotation is not _EMPTY and not isinstance(annotation, str):
                annotation = typing.Optional[annotation]  # noqa: UP045
            codec = codec_of(of_parameter(annotation, p.kind))
            key = _encode_json(p.name) + b":"
            slots.append(_Slot(p.name, self._place(p.name), key, codec, p))
        result = codec_of(hints.get("return", _EMPTY))
        self._plan = _Plan(tuple(slots), result, set(), set())
        return self._plan


def _fits(plan: _Plan, values: Mapping[str, Any]) -> bool:
    """Whether all values are scalars that come back as they are; remembers their types, save float: NaN does not."""
    kinds = tuple(map(type, values.values()))
    for slot, kind, value in zip(plan.slots, kinds, values.values(), strict=True):
        if kind not in slot.codec.scalars or (kind is float and not math.isfinite(value)):
            return False
    if float not in kinds:
        plan.direct.add(kinds)
    return True


def _inspect(fn: Callable[..., object]) -> inspect.Signature:
    if sys.version_info >= (3, 14):
        import annotationlib

        return inspect.signature(fn, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(fn)


def _quoted(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
