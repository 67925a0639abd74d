"""Values of channels to bytes and back: LangGraph's own coding, without pickle, and with known types only.

LangGraph writes down of an object which class it has, and imports that class to read it. Here a class has to be known:
one of Python's and LangGraph's plain ones, or one that was named. Any other is refused before it is stored, so that
nothing is read back as something else, and nothing that somebody else put into the database is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde import jsonplus

# Not a public name, but the list by which LangGraph itself decides in its strict mode.
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES

from holdfast.errors import PayloadError

_CLASSES = {
    jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG,
    jsonplus.EXT_CONSTRUCTOR_POS_ARGS,
    jsonplus.EXT_CONSTRUCTOR_KW_ARGS,
    jsonplus.EXT_PYDANTIC_V1,
    jsonplus.EXT_PYDANTIC_V2,
}
"""The extensions of the coding that begin with a module and a name in it."""


class Coding(jsonplus.JsonPlusSerializer):
    """LangGraph's coding, strict when it writes as well as when it reads.

    Args:
        types: classes of the graph's own that may be stored.
    """

    def __init__(self, types: Iterable[type] = ()) -> None:
        super().__init__(pickle_fallback=False, allowed_msgpack_modules=tuple(types) or None)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The name of the coding, and the bytes.

        Raises:
            PayloadError: it cannot be stored, or its class is not known.
        """
        try:
            coding, data = super().dumps_typed(obj)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise PayloadError(f"a value of type {type(obj).__name__}", str(error)) from error
        if coding == "msgpack":
            unknown: list[tuple[str, str]] = []
            self._look(data, unknown)
            if unknown:
                raise PayloadError(
                    f"a value of type {'.'.join(unknown[0])}",
                    "it is not known whether it may be made again from what is stored; if it may, name it: "
                    f"Saver(…, types=[{unknown[0][1]}])",
                )
        return coding, data

    def _look(self, data: bytes, unknown: list[tuple[str, str]]) -> Any:
        """Collect the classes of objects inside that are not known."""

        def look(code: int, inside: bytes) -> None:
            if code != jsonplus.EXT_NUMPY_ARRAY:
                found = self._look(inside, unknown)
                if code in _CLASSES and not self._knows(found[0], found[1]):
                    unknown.append((found[0], found[1]))

        return ormsgpack.unpackb(data, ext_hook=look, option=ormsgpack.OPT_NON_STR_KEYS)

    def _knows(self, module: str, name: str) -> bool:
        # Taken from the base class, since a graph in LangGraph's strict mode adds the types of its state to a copy.
        named = self._allowed_msgpack_modules
        return (module, name) in SAFE_MSGPACK_TYPES or named is True or (named is not None and (module, name) in named)
