"""Records what an attempt of a step did with models and what it made: in the commit of the attempt itself."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.engine.attaching import attach, attempt
from holdfast.engine.context import StepFrame
from holdfast.store.agent_rows import Artifact, ModelCall

ERROR_CHARACTERS = 2000
"""So much of an error is kept with a request."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a model.

    Attributes:
        model: as it was asked for, such as ``openai:gpt-5-mini``.
        outcome: ``ok`` or a kind of failure; see `holdfast.model.phases.FAILURE_KINDS`.
        error: what was wrong, in words.
        cost: in nanodollars; None where no price is known.
        began_at, ended_at: microseconds since 1970, UTC.
    """

    model: str
    outcome: str
    error: str | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: int | None
    began_at: int
    ended_at: int


def record_requests(phase: str, requests: Iterable[Request], *, workflow: str | None = None) -> None:
    """Record requests with the attempt that is under way. Outside a step, and of one that is tried aside, nothing is.

    Args:
        phase: what they were for.
        requests: the requests.
        workflow: of the run that they were made for, if it is another than the one that made them.
    """
    frame = attempt()
    if frame is None or frame.execution.dead:
        return
    run = frame.execution.run
    before = sum(kind == "model_calls" for kind, _ in frame.attached or ())
    for number, one in enumerate(requests, before):
        error = None if one.error is None else _storable(one.error[:ERROR_CHARACTERS])
        attach(frame, "model_calls", ModelCall(
            run.uid, frame.position, run.generation, frame.attempt, number, run.epoch, run.tenant,
            workflow or run.workflow, phase, one.model, one.outcome, error, one.input_tokens, one.cached_tokens,
            one.output_tokens, one.cost, one.began_at, one.ended_at,
        ))  # fmt: skip


def record_artifact(
    name: str,
    media_type: str,
    size_bytes: int,
    sha256: bytes,
    *,
    location: str | None = None,
    content: bytes | None = None,
) -> None:
    """Record a file or blob with the attempt that is under way, where `record_requests` records.

    Args:
        name: within the run, such as ``draft/prompt.md``.
        sha256: of its bytes, 32 bytes.
        location: where its bytes are.
        content: its bytes, for the database to keep.
    """
    frame: StepFrame | None = attempt()
    if frame is None or frame.execution.dead:
        return
    run = frame.execution.run
    attach(frame, "artifacts", Artifact(
        run.uid, frame.position, run.generation, name, run.epoch, run.tenant, media_type, size_bytes, sha256, location,
        content, time.time_ns() // 1000,
    ))  # fmt: skip


def _storable(text: str) -> str:
    """Without what no database takes: NUL and lone surrogates."""
    return text.replace("\0", "␀").encode("utf-8", "replace").decode()
