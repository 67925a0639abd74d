"""Models by their terms: how they are found, and those that are functions."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

from holdfast.agents.models.calling import Answered, Asked, call_model
from holdfast.agents.models.outputs import output_of
from holdfast.agents.models.reaching import Scene, model_for, scripted, unregister
from holdfast.errors import ModelFailed, UsageError
from holdfast.model.phases import ModelTerms, Price

URL = "http://127.0.0.1:9/v1"
TYPES: dict[str, Any] = {"Count": int, "Pair": dict[str, int]}


async def ask(name: str = "m", output: str = "text", **given: Any) -> Answered:
    terms = ModelTerms("m", f"scripted:{name}", price=Price(input=1_000_000, output=1_000_000, cached=0))
    return await call_model(terms, Asked("Be brief.", "How many?", output_of(output, TYPES)), **given)


async def test_with_an_address_of_its_own_openai_means_what_compatible_servers_speak() -> None:
    def made(model: str) -> type:
        return type(model_for(ModelTerms("m", model, base_url=URL, api_key="env:PATH")))

    assert made("openai:gpt-5-mini") is made("openai-chat:gpt-5-mini") is OpenAIChatModel
    assert made("openai-responses:gpt-5-mini") is OpenAIResponsesModel


async def test_a_model_behind_the_gateway_is_asked_there() -> None:
    terms = ModelTerms("m", "gateway/openai:gpt-5-mini", base_url="http://127.0.0.1:9/proxy", api_key="env:PATH")
    provider = model_for(terms).provider
    assert provider is not None
    assert provider.base_url.startswith("http://127.0.0.1:9/proxy/openai")


async def test_models_of_the_same_terms_are_the_same_whatever_they_are_called() -> None:
    one = model_for(ModelTerms("one", "openai:gpt-5", base_url=URL, settings={"temperature": 1}))
    assert model_for(ModelTerms("two", "openai:gpt-5", base_url=URL)) is one
    assert model_for(ModelTerms("two", "openai:gpt-5", base_url=URL + "/")) is not one
    assert model_for(ModelTerms("two", "openai:gpt-5-mini", base_url=URL)) is not one


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (ModelTerms("m", "openai:gpt-5"), "the model 'openai:gpt-5' cannot be used: Set the `OPENAI_API_KEY`"),
        (ModelTerms("m", "nowhere:gpt-5"), "the model 'nowhere:gpt-5' cannot be used: Unknown provider: nowhere"),
        (ModelTerms("m", "gpt-5"), "the model 'gpt-5' cannot be used: Unknown model: gpt-5"),
        (ModelTerms("m", "deepseek:x", base_url=URL), "has base_url, and the provider 'deepseek' takes none"),
        (ModelTerms("m", "anthropic:claude-haiku-4-5", api_key="env:PATH"), "needs a package that is not installed"),
        (ModelTerms("m", "scripted:nobody"), "no scripted model 'nobody' in this process: register it"),
    ],
    ids=lambda one: one.id if isinstance(one, ModelTerms) else "",
)
async def test_a_model_that_cannot_be_used_says_why(
    terms: ModelTerms, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(UsageError) as caught:
        model_for(terms)
    assert said in str(caught.value)


async def test_a_scripted_model_is_asked_what_a_model_is() -> None:
    scenes: list[Scene] = []

    def say(scene: Scene) -> str:
        scenes.append(scene)
        return "three" if len(scenes) == 1 else '{"answer": 3}'

    with scripted("m", say) as registered:
        assert registered.id == "scripted:m"
        answered = await ask(output="Count")
    assert answered.output == 3
    first, second = scenes
    assert (first.prompt, first.system, first.wrong) == ("How many?", "Be brief.", None)
    assert first.schema is not None
    assert first.schema["required"] == ["answer"]
    assert "It is not JSON" in (second.wrong or "")
    request = answered.requests[0]
    assert (request.input_tokens, request.output_tokens, request.cost) == (5, 2, 7)


@pytest.mark.parametrize(
    ("output", "given", "value"),
    [("text", "three", "three"), ("Count", 3, 3), ("Pair", {"a": 1}, {"a": 1}), ("Pair", '{"a": 1}', {"a": 1})],
)
async def test_a_script_gives_a_text_or_a_value(output: str, given: object, value: object) -> None:
    async def later(scene: Scene) -> object:
        return given

    for script in (lambda scene: given, later):
        with scripted("m", script):
            heard: list[str] = []
            assert (await ask(output=output)).output == value
            answered = await ask(output=output, sink=heard.append)
            assert answered.output == value
            assert "".join(heard) == answered.text


async def test_a_script_says_how_its_model_fails() -> None:
    def fail(scene: Scene) -> str:
        raise ModelFailed("is at lunch", kind="rate-limited", retry_after=5.0)

    with scripted("m", fail), pytest.raises(ModelFailed) as caught:
        await ask()
    error = caught.value
    assert (error.kind, error.retry_after, str(error)) == ("rate-limited", 5.0, "the model scripted:m: is at lunch")
    assert [one.outcome for one in error.requests] == ["rate-limited"]


async def test_a_script_is_taken_away_and_another_takes_its_place() -> None:
    with scripted("m", lambda scene: "one"):
        assert (await ask()).output == "one"
        scripted("m", lambda scene: "two")
        assert (await ask()).output == "two"
    with pytest.raises(ModelFailed, match="register it"):
        await ask()
    unregister("m")  # once more is no fault


def test_what_cannot_be_called_is_no_script() -> None:
    with pytest.raises(UsageError, match="give a function"):
        scripted("m", "three")  # type: ignore[arg-type]


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.slow
def test_who_uses_no_model_loads_no_library_of_models() -> None:
    done = _python("import sys, holdfast; assert not {'pydantic_ai', 'openai', 'genai_prices'} & set(sys.modules)")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("module", ["calling", "reaching"])
def test_without_the_library_it_is_said_what_to_install(module: str) -> None:
    done = _python(f"import sys; sys.modules['pydantic_ai'] = None; import holdfast.agents.models.{module}")
    assert 'UsageError: models are called through libraries: pip install "holdfast[agents]"' in done.stderr
