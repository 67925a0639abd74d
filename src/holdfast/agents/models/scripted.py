"""Models that are functions: for tests, examples and trying out without a provider."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    UserPromptPart,
)
from pydantic_ai.models import CompletedStreamedResponse, Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage
from pydantic_core import to_jsonable_python

from holdfast.agents.prompts.tokens import tokens_of
from holdfast.errors import UsageError

PROVIDER = "scripted"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a scripted model is asked.

    Attributes:
        prompt: the text.
        system: its instructions; None for none.
        schema: the JSON Schema of the object that is to be given; None for a text.
        wrong: what was wrong with its last answer, in words; None unless it is asked to mend it.
    """

    prompt: str
    system: str | None
    schema: dict[str, Any] | None
    wrong: str | None = None


Script: TypeAlias = Callable[[Scene], Any | Awaitable[Any]]
"""Gives a text, or a value that is sent as JSON; raises to fail."""

_scripts: dict[str, Script] = {}
_models: dict[str, ScriptedModel] = {}


class Registered:
    """A registered script; as a context manager it is unregistered at the end."""

    def __init__(self, name: str) -> None:
        self.id = f"{PROVIDER}:{name}"
        self._name = name

    def __enter__(self) -> Registered:
        return self

    def __exit__(self, *_: object) -> None:
        unregister(self._name)


def scripted(name: str, function: Script) -> Registered:
    """Have ``scripted:<name>`` be a model that asks a function.

    Args:
        name: of the model. Another of the same name takes its place.
        function: is given a `Scene`; plain or async. A text is the answer as it is; anything else is sent as JSON. What
            it raises is how the model fails: an error of holdfast or pydantic-ai of its kind, others as ``error``.

    Returns:
        Its registration, to undo it with ``with`` or `unregister`.
    """
    if not callable(function):
        raise UsageError(f"the scripted model {name!r} is {function!r:.100}; give a function of a scene")
    _scripts[name] = function
    return Registered(name)


def unregister(name: str) -> None:
    """Forget a scripted model; one that is not there is no fault."""
    _scripts.pop(name, None)
    _models.pop(name, None)


class ScriptedModel(Model[None]):
    """A model that asks a function."""

    def __init__(self, name: str, function: Script) -> None:
        super().__init__(profile=ModelProfile(supports_json_schema_output=True))
        self._name = name
        self.function = function

    @property
    def model_name(self) -> str:
        """Its name."""
        return self._name

    @property
    def system(self) -> str:
        """Its provider."""
        return PROVIDER

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the function."""
        scene = _scene(messages, model_request_parameters)
        given = self.function(scene)
        if inspect.isawaitable(given):
            given = await given
        text = given if isinstance(given, str) else msgspec.json.encode(_plain(given, scene)).decode()
        read = tokens_of(scene.prompt + (scene.system or "") + (scene.wrong or ""))
        usage = RequestUsage(input_tokens=read, output_tokens=tokens_of(text))
        return ModelResponse(parts=[TextPart(text)], usage=usage, model_name=self._name, finish_reason="stop")

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncIterator[StreamedResponse]:
        """Ask the function; its answer comes in one piece."""
        response = await self.request(messages, model_settings, model_request_parameters)
        yield CompletedStreamedResponse(response, model_request_parameters=model_request_parameters, replay_events=True)


def scripted_model(name: str) -> ScriptedModel:
    """The model of a registered name.

    Raises:
        UsageError: nobody registered it here.
    """
    function = _scripts.get(name)
    if function is None:
        raise UsageError(
            f"there is no scripted model {name!r} in this process: register it with scripted({name!r}, function)"
        )
    model = _models.get(name)
    if model is None or model.function is not function:
        model = _models[name] = ScriptedModel(name, function)
    return model


def _scene(messages: list[ModelMessage], parameters: ModelRequestParameters) -> Scene:
    asked = [one for one in messages if isinstance(one, ModelRequest)]
    said = [part.content for one in asked for part in one.parts if isinstance(part, UserPromptPart)]
    texts = [one for one in said if isinstance(one, str)]
    schema = parameters.output_object.json_schema if parameters.output_object else None
    return Scene(texts[0], asked[0].instructions, schema, texts[-1] if len(texts) > 1 else None)


def _plain(value: Any, scene: Scene) -> Any:
    plain = to_jsonable_python(value)
    properties = (scene.schema or {}).get("properties", {})
    # What is no object is asked for as the only member of one.
    return {next(iter(properties)): plain} if len(properties) == 1 and not isinstance(plain, dict) else plain
