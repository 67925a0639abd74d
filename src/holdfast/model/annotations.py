"""What an annotation says of how its values are stored: which are plain JSON, and what pydantic is told of the rest."""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
import typing
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typing_extensions

from holdfast.errors import UsageError

SCALARS: frozenset[type] = frozenset({type(None), bool, int, str, float})
"""The types that JSON has and that cannot hold others."""

_UNPACK = (typing.Unpack, typing_extensions.Unpack)
_GENERICS = (list, dict, tuple, set, frozenset, deque, Mapping, Sequence)
_WRAPPERS = (typing.Required, typing.NotRequired, typing_extensions.Required, typing_extensions.NotRequired)


def scalar_members(annotation: Any) -> frozenset[type]:
    """The members of a union, or the annotation alone; what is not a scalar type stands as ``object``."""
    if get_origin(annotation) in (Union, types.UnionType):
        return frozenset().union(*(scalar_members(part) for part in get_args(annotation)))
    kind = type(None) if annotation is None else annotation
    return frozenset({kind if isinstance(kind, type) and kind in SCALARS else object})


def open_container(annotation: Any) -> type | None:
    """The container that a value must be, where the annotation says nothing of what is in it."""
    origin, args = get_origin(annotation) or annotation, get_args(annotation)
    if origin is dict and args in ((), (str, Any), (str, object)):
        return dict
    return list if origin is list and args in ((), (Any,), (object,)) else None


def is_builtin_only(annotation: Any) -> bool:
    """Whether marshal tells apart all that the annotation allows (it writes bytes and bytearray alike)."""
    if get_origin(annotation) in (Union, types.UnionType, list, dict, tuple, set, frozenset):
        return all(part is Ellipsis or is_builtin_only(part) for part in get_args(annotation))
    return annotation in (None, *SCALARS)


def most_bytes_of(annotation: Any, usual: int) -> int:
    """How large a payload may be: as usual, or as a class says in ``__payload_bytes__`` that the annotation names."""
    if get_origin(annotation) is Literal:
        return usual
    own = getattr(annotation, "__payload_bytes__", usual) if isinstance(annotation, type) else usual
    return max(usual, own, *(most_bytes_of(part, usual) for part in get_args(annotation)))


def adapted(annotation: Any, *, widen: bool) -> Any:
    """The annotation with float as int | float, also in a TypedDict of typing, which is made anew."""
    if annotation is float:
        return int | float if widen else float
    if typing.is_typeddict(annotation) and type(annotation).__module__ == "typing":
        return _typed_dict(annotation, widen)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = args[0] if args[0] is float else adapted(args[0], widen=widen)
        return annotation if inner is args[0] else Annotated[(inner, *annotation.__metadata__)]
    if origin is Literal or not (origin in (Union, types.UnionType, *_WRAPPERS) or origin in _GENERICS):
        return annotation
    new = tuple(adapted(part, widen=widen) for part in args)
    if all(a is b for a, b in zip(new, args, strict=True)):
        return annotation
    return Union[new] if origin is types.UnionType else origin[new if len(new) > 1 else new[0]]  # noqa: UP007


@functools.lru_cache(maxsize=1024)
def _typed_dict(annotation: Any, widen: bool) -> Any:
    hints = typing.get_type_hints(annotation, include_extras=True)
    fields = {}
    for name, hint in hints.items():
        hint = get_args(hint)[0] if get_origin(hint) in _WRAPPERS else hint
        hint = adapted(hint, widen=widen) if annotation not in get_args(hint) else hint
        required = name in annotation.__required_keys__
        fields[name] = typing_extensions.Required[hint] if required else typing_extensions.NotRequired[hint]
    return typing_extensions.TypedDict(annotation.__name__, fields)  # type: ignore[operator]


def resolve_hints(
    fn: Callable[..., object], written: Mapping[str, Any], extra_names: Mapping[str, Any]
) -> dict[str, Any]:
    """The annotations of a function, by parameter name and ``return``.

    Args:
        fn: the function; its closure and its module are where the names are looked up.
        written: the annotations as they stand in the code.
        extra_names: more names that they may use.

    Returns:
        Types; a string where an annotation names what does not exist at run time, as under TYPE_CHECKING.

    Raises:
        UsageError: an annotation is wrong in another way.
    """
    inner: Any = inspect.unwrap(fn)
    names = {**_closure_of(inner), **extra_names}
    with contextlib.suppress(Exception):  # if one cannot be resolved, which it is is found below
        return typing.get_type_hints(inner, localns=names, include_extras=True)
    scope = {**getattr(inner, "__globals__", {}), **names}
    hints: dict[str, Any] = {}
    for name, annotation in written.items():
        if annotation is inspect.Parameter.empty:
            continue
        bearer = type("Bearer", (), {"__annotations__": {name: annotation}})
        try:
            hints[name] = typing.get_type_hints(bearer, scope, scope, include_extras=True)[name]
        except NameError:
            hints[name] = annotation if isinstance(annotation, str) else str(annotation)
        except Exception as error:
            raise UsageError(f"the annotation {annotation!r} of {name!r} cannot be resolved: {error}") from error
    return hints


def of_parameter(annotation: Any, kind: Any) -> Any:
    """The annotation of what a parameter stores: that of ``*args`` and ``**kwargs`` is of each element."""
    if kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        return annotation
    many = kind is inspect.Parameter.VAR_POSITIONAL
    if get_origin(annotation) in _UNPACK:
        return list if many else get_args(annotation)[0]
    plain = annotation is inspect.Parameter.empty or isinstance(annotation, str)
    if many:
        return list if plain else list[annotation]
    return dict if plain else dict[str, annotation]


def _closure_of(fn: Any) -> dict[str, Any]:
    names = {}
    cells = getattr(fn, "__closure__", None) or ()
    for name, cell in zip(getattr(getattr(fn, "__code__", None), "co_freevars", ()), cells, strict=False):
        with contextlib.suppress(ValueError):  # not bound yet
            names[name] = cell.cell_contents
    return names
