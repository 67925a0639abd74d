"""What stands in for steps whose own functions are not to be called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from holdfast.engine.step import Step
from holdfast.errors import UsageError

Fakes = Mapping[Step[..., Any] | str, Any]
"""By step, or by a step's name: a function, a result, or an exception to raise."""


def check_fakes(fakes: Fakes) -> None:
    """Refuse keys that stand for no step.

    Raises:
        UsageError: a key is neither a step nor a text.
    """
    for key in fakes:
        if not isinstance(key, Step | str):
            raise UsageError(f"fakes has {key!r}; name a step by itself, a function with @hf.step, or by its name")


async def imitate(fake: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a fake gives when it is called in a step's place."""
    if isinstance(fake, BaseException) or (isinstance(fake, type) and issubclass(fake, BaseException)):
        raise fake
    if not callable(fake):
        return fake
    given = fake(*args, **kwargs)
    return await given if inspect.isawaitable(given) else given


def in_turn(*outcomes: Any) -> Callable[..., Any]:
    """A fake that behaves in one way at its first call, in the next at its second, and so on.

    Args:
        outcomes: for each call a result, an exception to raise, or a function; the last is for all that follow.

    Returns:
        A function that takes any arguments.

    Raises:
        UsageError: no outcome.
    """
    if not outcomes:
        raise UsageError("in_turn was given nothing; give it what each call gives, such as in_turn(TimeoutError(), 7)")
    rest = list(outcomes)

    async def fake(*args: Any, **kwargs: Any) -> Any:
        return await imitate(rest.pop(0) if len(rest) > 1 else rest[0], args, kwargs)

    return fake
