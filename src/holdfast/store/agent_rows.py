"""Rows of models and artifacts as a store gives and takes them: what was called, what it cost, what was made.

Instants are microseconds since 1970, UTC; a day is counted from 1970-01-01. Money is in nanodollars, 1e-9 US dollars:
a request costs a whole number of them, and sums are exact.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

DAY_US = 24 * 3600 * 1_000_000

RUNS_AT_ONCE = 1_000
"""So many runs are asked for in one statement at most."""


class ModelCall(NamedTuple):
    """A request to a model, as an attempt of a step made it; written with what becomes of the attempt.

    Of one that is stored already nothing changes. It counts in the totals once, on the day on which it ended.

    Attributes:
        run, position, generation, attempt, epoch: of the attempt.
        number: from 0, among the requests of the attempt.
        workflow: of the run.
        phase: what the request was for: the name of a phase, of an agent or of a step.
        model: as it was asked for, such as ``openai:gpt-5-mini``.
        outcome: ``ok``, or what kind of error: ``rate-limited``, ``timeout``, ``unavailable``, ``refused``,
            ``malformed``, ``cut-off``, ``error``.
        error: what was wrong, in words; None where nothing was.
        input_tokens: all of the prompt's, with those from a cache.
        cached_tokens: those of them that came from the provider's cache.
        cost: in nanodollars; None where no price is known.
    """

    run: bytes
    position: bytes
    generation: int
    attempt: int
    number: int
    epoch: int
    tenant: str
    workflow: str
    phase: str
    model: str
    outcome: str
    error: str | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: int | None
    began_at: int
    ended_at: int


class Artifact(NamedTuple):
    """A file or blob that an attempt of a step made; written with what becomes of the attempt.

    Another of the same name and place takes its place.

    Attributes:
        run, position, generation, epoch: of the attempt.
        name: within the run, such as ``draft/prompt.md``.
        sha256: of its bytes, 32 bytes.
        location: where its bytes are: the path of a file, or a URL; None for ``content``.
        content: its bytes, where the database keeps them.
    """

    run: bytes
    position: bytes
    generation: int
    name: str
    epoch: int
    tenant: str
    media_type: str
    size_bytes: int
    sha256: bytes
    location: str | None
    content: bytes | None
    at: int


class ArtifactRow(NamedTuple):
    """An artifact as it is found, without its bytes."""

    run: bytes
    position: bytes
    generation: int
    name: str
    media_type: str
    size_bytes: int
    sha256: bytes
    location: str | None
    at: int


class SpentQuery(NamedTuple):
    """What is summed: of one run, of one phase of it, of a day of the tenant, or of the tenant for all time.

    ``phase`` is given with ``run`` only. Neither ``run`` nor ``day``: of the tenant.
    """

    tenant: str
    run: bytes | None = None
    phase: str | None = None
    day: int | None = None


class Spent(NamedTuple):
    """What was spent, and what people granted on top of the budget. Tokens are input and output together."""

    tokens: int
    cost: int
    granted_tokens: int
    granted_cost: int


class Grant(NamedTuple):
    """More of a budget, granted by a person. One whose id is stored changes nothing.

    Attributes:
        query: the budget that it is added to.
        by: who granted it.
    """

    id: str
    query: SpentQuery
    tokens: int
    cost: int
    by: str
    at: int


CostBy = Literal["day", "workflow", "phase", "model"]


class CostRow(NamedTuple):
    """What was spent, by day, workflow, phase or model, or by some of them together; None where it is not by that.

    Attributes:
        calls: how many requests; failed: those that gave nothing.
        unpriced: those of them whose cost is not known; it is not in ``cost``.
    """

    day: int | None
    workflow: str | None
    phase: str | None
    model: str | None
    calls: int
    failed: int
    unpriced: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: int


class PhaseFileRow(NamedTuple):
    """A version of a file of phases, as it is in force for a tenant.

    Attributes:
        name: of the file's registry.
        version: a digest of the content.
        content: JSON of ours, with the texts of its templates.
    """

    tenant: str
    name: str
    version: str
    content: bytes
    at: int
