"""Records the requests of an agent that is run in a step of a pipeline with that step."""

from __future__ import annotations

from typing import Any

from pydantic_ai.capabilities.abstract import AbstractCapability, WrapModelRequestHandler, leaf_capabilities
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import ModelRequestContext
from pydantic_ai.tools import RunContext

from holdfast.agents.pydantic_ai.durable import Durable
from holdfast.agents.pydantic_ai.requests import recorded


class _Counted(AbstractCapability[Any]):
    """Records each request to a model."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def wrap_model_request(
        self, ctx: RunContext[Any], *, request_context: ModelRequestContext, handler: WrapModelRequestHandler
    ) -> ModelResponse:
        model = request_context.model_id or request_context.model.model_id
        return await recorded(self._name, model, None, lambda: handler(request_context))


def counting(agent: Any, name: str) -> list[AbstractCapability[Any]]:
    """Capabilities for one run of an agent, so that its requests are recorded; none if it sees to that itself."""
    own = getattr(agent, "root_capability", None)
    durable = own is not None and any(isinstance(one, Durable) for one in leaf_capabilities(own))
    return [] if durable else [_Counted(name)]
