"""Begins what may end without waiting before anything is made ready for its waiting, which costs more than it does."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any


@types.coroutine
def rest(coroutine: Coroutine[Any, Any, Any], first: Any) -> Generator[Any, Any, Any]:
    """Await a coroutine that has been started already, by ``send(None)``, and waits for ``first``."""
    waits_for = first
    while True:
        try:
            sent = yield waits_for
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            try:
                waits_for = coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
        else:
            try:
                waits_for = coroutine.send(sent)
            except StopIteration as stop:
                return stop.value
