"""What tests of calls of models share: a server, a model there, and how it is asked."""

from collections.abc import AsyncIterator
from typing import Any

import pydantic
import pytest

from holdfast.agents.models.calling import Answered, Asked, call_model
from holdfast.agents.models.outputs import output_of
from holdfast.errors import ModelFailed
from holdfast.model.phases import ModelTerms, Price
from tests.agents.openai_server import OpenAIServer

PRICE = Price(input=250_000_000, output=2_000_000_000, cached=25_000_000)
COST = 80 * 250 + 20 * 25 + 10 * 2000
"""Of what the server says that each answer takes, in nanodollars."""

PATIENCE = 60.0


class Review(pydantic.BaseModel):
    """What a reader says."""

    verdict: str
    points: int


TYPES: dict[str, Any] = {"Review": Review, "Names": list[str]}
GOOD = '{"verdict": "fine", "points": 3}'


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as one:
        yield one


@pytest.fixture(params=["plain", "streamed"])
def sink(request: pytest.FixtureRequest) -> "list[str] | None":
    """Each way to be answered; what was heard is in the list."""
    return [] if request.param == "streamed" else None


def terms(server: OpenAIServer, **changed: Any) -> ModelTerms:
    given = {"name": "m", "id": "openai:gpt-5-mini", "base_url": server.url, "price": PRICE, **changed}
    return ModelTerms(**given)


async def ask(
    server: OpenAIServer, output: str = "text", *, sink: "list[str] | None" = None, repairs: int = 1, **changed: Any
) -> Answered:
    asked = Asked("Be brief.", "How is it?", output_of(output, TYPES), repairs=repairs, timeout_seconds=PATIENCE)
    return await call_model(terms(server, **changed), asked, sink=None if sink is None else sink.append)


async def failed(server: OpenAIServer, output: str = "text", **given: Any) -> ModelFailed:
    with pytest.raises(ModelFailed) as caught:
        await ask(server, output, **given)
    error = caught.value
    assert str(error).startswith("the model openai:gpt-5-mini: ")
    assert len(str(error)) < 1000
    assert error.__cause__ is None
    assert error.__context__ is None
    assert len(error.requests) == len(server.calls)
    assert error.requests[-1].outcome == error.kind
    return error
