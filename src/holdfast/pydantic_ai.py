"""Agents of pydantic-ai as durable parts of workflows: ``Agent(…, capabilities=[holdfast.pydantic_ai.Durable()])``."""

try:
    from pydantic_ai.durable_exec import record_durable_unit as _newest  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'durable agents need a pydantic-ai of version 2.68 or later: pip install "holdfast[agents]" ({error})'
    ) from error

from holdfast.agents.pydantic_ai.durable import Durable
from holdfast.agents.pydantic_ai.operations import StepOptions

__all__ = ["Durable", "StepOptions"]
