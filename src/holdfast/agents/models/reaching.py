"""Models by their terms: the client of a provider is made once for an event loop, and closed with it.

The clients of an event loop are closed when it shuts down its asynchronous generators, as `asyncio.run` has it do
before it ends: a generator of ours waits among them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from holdfast.agents.models.keys import hide, key_of
from holdfast.errors import UsageError
from holdfast.model.phases import ModelTerms

try:
    from pydantic_ai.models.openai import OpenAIChatModel
except ImportError as missing:
    raise UsageError(f'models are called through libraries: pip install "holdfast[agents]" ({missing})') from missing

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers import Provider, infer_provider_class
from pydantic_ai.providers.gateway import gateway_provider

from holdfast.agents.models.answer_bounds import bound_bodies
from holdfast.agents.models.scripted import PROVIDER, Registered, Scene, scripted, scripted_model, unregister

__all__ = ["Mode", "Reached", "Registered", "Scene", "model_for", "reaching", "scripted", "unregister"]

_ADDRESSES = ("base_url", "azure_endpoint", "api_base")
_KEYS = ("api_key", "token")
"""What the classes of providers call them."""

Mode = Literal["native", "tool", "prompted"]
"""How a value is asked for: by a JSON Schema of the answer, as the arguments of a tool, or in words."""


@dataclass(slots=True)
class Reached:
    """A model that can be asked.

    Attributes:
        model: of pydantic-ai.
        key: the key that goes with it, to keep out of texts; None where none is known.
        mode: how it is asked for values.
        settings: that go with each request.
        scripted: whether it is a function.
        calls: so many are under way.
    """

    model: Model[Any]
    key: str | None = field(repr=False)
    mode: Mode
    settings: dict[str, Any]
    scripted: bool = False
    calls: int = 0


def model_for(terms: ModelTerms) -> Model[Any]:
    """The model of pydantic-ai for terms; the same again for the same terms on the same event loop.

    Raises:
        UsageError: there is no such model or key, or its provider's package is not installed.
    """
    return _reach(terms).model


@asynccontextmanager
async def reaching(terms: ModelTerms) -> AsyncIterator[Reached]:
    """The same for the time of a call, with what goes with it. Its key is looked up: a new one is in force at once."""
    reached = _reach(terms)
    reached.calls += 1
    try:
        yield reached
    finally:
        reached.calls -= 1
        if not reached.scripted:
            await _clients_of(asyncio.get_running_loop()).close_the_idle()


def _reach(terms: ModelTerms) -> Reached:
    if terms.provider == PROVIDER:
        return Reached(scripted_model(terms.id.partition(":")[2]), None, "native", {}, scripted=True)
    key = None if terms.api_key is None else key_of(terms.api_key)
    clients = _clients_of(asyncio.get_running_loop())
    which = (terms.id, terms.base_url, terms.api_key)
    known = clients.reached.get(which)
    if known is None or (key is not None and known.key != key):
        if known is not None:
            clients.retired.append(known)
        known = clients.reached[which] = _reached(terms, key)
    return known


def _reached(terms: ModelTerms, key: str | None) -> Reached:
    try:
        model = _model(terms, key)
    except ImportError as error:
        raise UsageError(f"the model {terms.id!r} needs a package that is not installed: {error}") from error
    except (UserError, ValueError, TypeError) as error:
        said = hide(str(error), key)
    else:
        client = getattr(model.provider, "client", None)
        found = getattr(client, "api_key", None)
        profile = model.profile
        native = profile.get("supports_json_schema_output", False)
        mode: Mode = "native" if native else "tool" if profile.get("supports_tools", True) else "prompted"
        # Each try is ours, so that it is recorded: none is the provider's own client's.
        settings = {} if "max_retries" in model.unsupported_settings else {"max_retries": 0}
        return Reached(model, key or (found if isinstance(found, str) else None), mode, settings)
    raise UsageError(f"the model {terms.id!r} cannot be used: {said}")


def _model(terms: ModelTerms, key: str | None) -> Model[Any]:
    name = terms.id
    if terms.base_url is not None and name.startswith("openai:"):
        # Servers that call themselves compatible with OpenAI's speak its chat completions.
        name = f"openai-chat:{name.partition(':')[2]}"
    model = infer_model(name, lambda provider: _provider(provider, terms, key))
    if type(model) is OpenAIChatModel:
        # Else a stream that stops half way would pass for a whole answer.
        profile = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
        assert model.provider is not None
        model = OpenAIChatModel(model.model_name, provider=model.provider, profile=profile)
    bound_bodies(model)
    return model


def _provider(name: str, terms: ModelTerms, key: str | None) -> Provider[Any]:
    made: Callable[..., Provider[Any]] = infer_provider_class(name)
    if name.startswith("gateway/"):
        made = functools.partial(gateway_provider, name.removeprefix("gateway/"))
    takes = inspect.signature(made).parameters
    given: dict[str, Any] = {}
    if terms.base_url is not None:
        if "@" in urlsplit(terms.base_url).netloc:
            raise UsageError(f"the base_url of the model {terms.name!r} holds a password; give api_key by reference")
        given[_parameter(takes, _ADDRESSES, name, terms, "base_url")] = terms.base_url
    if key is not None:
        given[_parameter(takes, _KEYS, name, terms, "api_key")] = key
    return made(**given)


def _parameter(takes: Container[str], ours: tuple[str, ...], provider: str, terms: ModelTerms, what: str) -> str:
    for one in ours:
        if one in takes:
            return one
    raise UsageError(f"the model {terms.name!r} has {what}, and the provider {provider!r} takes none")


class _Clients:
    """What an event loop has.

    Attributes:
        reached: by model, address and reference of the key.
        retired: those whose key was changed; closed when no call of theirs is under way.
    """

    def __init__(self) -> None:
        self.reached: dict[tuple[str, str | None, str | None], Reached] = {}
        self.retired: list[Reached] = []
        self._closing = self._close_at_the_end()
        with contextlib.suppress(StopIteration):
            self._closing.asend(None).send(None)  # to its yield: from then on the loop knows of it

    async def close_the_idle(self) -> None:
        """Close the retired that nobody uses."""
        idle = [one for one in self.retired if not one.calls]
        if idle:
            self.retired = [one for one in self.retired if one.calls]
            await _close(idle)

    async def _close_at_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await _close([*self.reached.values(), *self.retired])
            self.reached.clear()


async def _close(those: list[Reached]) -> None:
    for one in those:
        async with one.model:  # to leave it closes its client
            pass


_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = weakref.WeakKeyDictionary()


def _clients_of(loop: asyncio.AbstractEventLoop) -> _Clients:
    clients = _loops.get(loop)
    if clients is None:
        clients = _loops[loop] = _Clients()
    return clients
