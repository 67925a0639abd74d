"""What the tests of model calls, artifacts, costs and phases share: runs that make them, as the room of agents does."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.agents.recording import Request, record_artifact, record_requests
from holdfast.engine.attaching import attempt
from holdfast.model.phase_content import sealed
from holdfast.model.phases import Approval, Budget, Limits, ModelTerms, Phase, PhaseFile, Price, Rate
from holdfast.store.agent_rows import PhaseFileRow

MINI, HAIKU = "openai:gpt-5-mini", "anthropic:claude-haiku-4-5"

PROMPT = "# Write to {who}\n"

BEGAN = 1_772_346_600_000_000
"""2026-03-01T06:30:00Z."""

DAY_US = 24 * 3600 * 1_000_000


def request(
    model: str, cost: int | None, outcome: str = "ok", *, error: str | None = None, day: int = 0, tokens: int = 100
) -> Request:
    """A request of a day."""
    if error is None and outcome != "ok":
        error = f"it was {outcome}"
    began = BEGAN + day * DAY_US
    return Request(model, outcome, error, tokens, 10, 7, cost, began, began + 1_500_000)


def put(name: str, content: bytes, media_type: str = "text/markdown", *, path: Path | str | None = None) -> None:
    """Record an artifact; its bytes in the database, or in a file that is written if it has a folder."""
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    kept = content if path is None else None
    location = None if path is None else str(path)
    record_artifact(name, media_type, len(content), hashlib.sha256(content).digest(), location=location, content=kept)


def phase_file(name: str = "letters", attempts: int = 2) -> PhaseFile:
    """A file of phases with a bit of everything."""
    research = Phase("research", "Look for {{ context }}", MINI)
    draft = Phase(
        "draft", "Write to {{ context }}", "fast", system="You write.", output="Draft", needs=("research",),
        fallbacks=(HAIKU,), attempts=attempts, input_tokens=8000, budget=Budget(None, 100_000_000),
        fallback_on=frozenset(("timeout", "refused")), approval=Approval(group="ops", due_seconds=60.0),
    )  # fmt: skip
    fast = ModelTerms(
        "fast", "openai:gpt-5-nano", "http://127.0.0.1:8080/v1", "env:A_KEY", {"temperature": 0.2},
        Limits(4, Rate(60, 60.0, 5)), Price(250_000_000, 2_000_000_000, 25_000_000),
    )  # fmt: skip
    models = {"fast": fast, MINI: ModelTerms(MINI, MINI), HAIKU: ModelTerms(HAIKU, HAIKU)}
    budgets: dict[Any, Budget] = {"run": Budget(400_000, 2_000_000_000)}
    providers = {"openai": Limits(None, Rate(500, 60.0))}
    return sealed(name, {"research": research, "draft": draft}, models, providers, budgets, {})


async def keep_phases(file: PhaseFile, at: int = BEGAN) -> None:
    """Put a file of phases in force for the tenant of the step that is under way."""
    frame = attempt()
    assert frame is not None
    execution = frame.execution
    row = PhaseFileRow(execution.run.tenant, file.name, file.version, file.content, at)
    await execution.core.store.agents.keep_phases(row)


@hf.step(retry=hf.Retry(max_attempts=2, initial=0.001, jitter=0.0))
async def write(who: str) -> str:
    if hf.current().attempt == 1:
        record_requests("draft", [request(MINI, None, "timeout")])
        raise TimeoutError("no answer")
    record_requests("draft", [request(MINI, 12_300_000, "malformed"), request(HAIKU, 1_500_000_000)])
    put("draft/prompt.md", PROMPT.format(who=who).encode())
    put("draft/output.json", b'{"text": "Dear"}', "application/json")
    return "Dear"


@hf.step
async def review(text: str) -> str:
    record_requests("review", [request(MINI, 20, day=1, tokens=2000)])
    put("draft/prompt.md", b"# Again\n")
    await keep_phases(phase_file())
    return text


@hf.workflow
async def letter(who: str) -> str:
    return await review(await write(who))


@hf.step
async def write_file(path: str, content: str) -> None:
    put("plan.txt", content.encode(), "text/plain", path=Path(path))


@hf.step
async def claim_file(path: str, content: str) -> None:
    put("plan.txt", content.encode(), "text/plain", path=path)


@hf.workflow
async def files(path: str, content: str, written: bool = True) -> None:
    """An artifact whose bytes are in a file; written, or as somebody only says."""
    await (write_file if written else claim_file)(path, content)


@hf.workflow
async def delivery(who: str) -> str:
    return await letter(who)


@hf.workflow(key="order_id", lane="order")
async def order(order_id: str, who: str) -> str:
    """It asks what a letter asks, and a child run of its child run asks it again."""
    await hf.set_attributes(who=who)
    await review(await write(who))
    return await delivery(who)


WORKFLOWS: list[hf.Workflow[Any, Any]] = [letter, files, delivery, order]
