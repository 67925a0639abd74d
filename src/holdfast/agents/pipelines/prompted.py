"""Agents with ``async run(prompt)``, as those of pydantic-ai: what they are asked, and what their requests cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from holdfast.engine.attaching import attempt
from holdfast.errors import UsageError
from holdfast.model.payload import Codec, codec_of
from holdfast.model.retry import Retry

if TYPE_CHECKING:
    from holdfast.agents.pipelines.agents import Work


class Prompted:
    """An agent with ``async run(prompt)``, as an agent of a pipeline.

    Attributes:
        gives: how what it gives is stored, as far as its ``output_type`` says.
    """

    def __init__(self, target: Any, prompt: Callable[[Work], str] | None) -> None:
        self._target = target
        self._prompt = self._usual if prompt is None else prompt
        self.from_pydantic = any(kind.__module__.split(".")[0] == "pydantic_ai" for kind in type(target).__mro__)
        kind = getattr(target, "output_type", None)
        # It may be more than an annotation: a list of them, a tool.
        typed = isinstance(kind, type) or hasattr(kind, "__origin__") or hasattr(kind, "__args__")
        self.gives: Codec | None = codec_of(kind) if typed else None
        self.name = ""

    def retry(self, given: Retry | None) -> Retry | None:
        """A policy that does not repeat what a model refuses."""
        if not self.from_pydantic:
            return given
        from holdfast.agents.pydantic_ai.requests import model_retry  # whoever has such an agent has its package

        return model_retry(given)

    async def __call__(self, given: Any, work: Work) -> Any:
        """Run it; what it gives."""
        text = self._prompt(work)
        if not isinstance(text, str):
            raise UsageError(f"the prompt of agent {self.name!r} is {text!r:.200}; it must be text")
        more: dict[str, Any] = {}
        if self.from_pydantic and attempt() is not None:
            from holdfast.agents.pydantic_ai.counting import counting

            more["capabilities"] = counting(self._target, self.name)
        result = await self._target.run(text, **more)
        return getattr(result, "output", result)

    def _usual(self, work: Work) -> str:
        """The task; what the agent is given, if that is something else; later its answer before and the review."""
        parts = {"Task": work.task}
        if work.by is not None or work.given != work.task:
            parts[work.by or "Given"] = work.given
        own = work.results.get(self.name)
        parts |= {} if own is None else {"Your answer before": own}
        parts |= {} if work.review in (None, own) else {"Review of it": work.review}
        if len(parts) == 1:
            return _text(work.task)
        return "\n\n".join(f"# {name}\n\n{_text(value)}" for name, value in parts.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value, indent=2).decode()
