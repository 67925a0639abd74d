"""The runs of a schedule: how their input and options are kept, and the row of each, whoever makes it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from holdfast.engine.starting import start_row
from holdfast.engine.tended import duties
from holdfast.engine.versions import latest
from holdfast.engine.workflow import StartOptions, Workflow
from holdfast.errors import PayloadError, UnknownWorkflow, UsageError
from holdfast.model.payload import codec_of
from holdfast.model.schedule import decode_schedule
from holdfast.model.schema import describe, input_from, terms_of
from holdfast.model.signature import KEYWORDS
from holdfast.model.terms import specs, told_keys, with_told
from holdfast.store.operations import Start
from holdfast.store.rows import ScheduleRow, WorkflowRow

_PLAIN = codec_of(dict[str, Any])

SCHEDULE = "schedule"
"""The attribute by which the runs of a schedule are found."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of how a schedule's runs are started.

    Attributes:
        description: the digest of the workflow's description that the input was made for.
        key: the lane's key, where only the workflow's code can tell it; else None.
        cancel_key: the key of the event that cancels, likewise.
        told: the other keys that only its code can tell, by the names that `holdfast.model.terms.specs` gives.
    """

    description: str
    priority: int
    queue: str | None
    attributes: dict[str, Any]
    timeout_seconds: float | None
    key: str | None = None
    cancel_key: str | None = None
    told: dict[str, str] = field(default_factory=dict)


def keep(
    options: StartOptions,
    description: bytes,
    workflow: Workflow[Any, Any] | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> bytes:
    """The options of a schedule, as stored.

    Args:
        options: of its runs.
        description: of the workflow, as registered.
        workflow: its code, if it is here.
        args: its arguments, if they are known.
        kwargs: its arguments by name.

    Raises:
        UsageError: a key that is a function gives none.
        PayloadError: an attribute cannot be stored.
    """
    told: dict[str, str] = {}
    if workflow is not None:
        told = told_keys(workflow.terms, workflow.name, workflow.signature.encode_input(args, kwargs), args, kwargs)
    kept = Kept(
        _digest(description), options.priority, options.queue, options.attributes, options.timeout_seconds,
        told.pop("key", None), told.pop("cancel_key", None), told,
    )  # fmt: skip
    said = asdict(kept)
    if not told:
        del said["told"]  # as versions read it that know of no such keys
    return _PLAIN.encode(said, "attributes")


def kept_of(row: ScheduleRow) -> Kept:
    """What `keep` gave."""
    return Kept(**_PLAIN.decode(row.options, f"the options of schedule {row.name!r}"))


def description_of(workflow: Workflow[Any, Any]) -> bytes:
    """A workflow's description, as its workers register it."""
    return describe(workflow.signature, workflow.terms)


def registered(row: ScheduleRow, workflows: Sequence[WorkflowRow]) -> WorkflowRow:
    """The workflow that a schedule runs: the highest version that is registered.

    Raises:
        UnknownWorkflow: there is none.
    """
    found = latest(workflows, row.workflow) or _tended(row.workflow)
    if found is None:
        raise UnknownWorkflow(
            f"no worker has registered workflow {row.workflow!r}; start a worker that serves it", workflow=row.workflow
        )
    return found


def _tended(name: str) -> WorkflowRow | None:
    """A workflow of holdfast's own, which every worker serves and none registers."""
    for duty in duties():
        for workflow in duty.workflows:
            if workflow.name == name:
                return WorkflowRow(name, workflow.version, description_of(workflow))
    return None


def scheduled_start(
    row: ScheduleRow, workflow: WorkflowRow, run_id: str, now_us: int, at: datetime | None = None
) -> Start:
    """The row of a run of a schedule.

    Args:
        row: the schedule.
        workflow: as registered.
        run_id: of the run.
        now_us: when it is made.
        at: not before then.

    Raises:
        UsageError: the input no longer fits the workflow, or has no key.
        PayloadError: an argument no longer fits.
    """
    kept = kept_of(row)
    same = kept.description == _digest(workflow.input_schema)
    terms = terms_of(workflow.input_schema)
    told = {"key": kept.key, "cancel_key": kept.cancel_key, **kept.told}
    return start_row(
        tenant=row.tenant,
        workflow=workflow.name,
        version=workflow.version,
        terms=with_told(terms, {name: told[name] for name, spec in specs(terms) if callable(spec) and name in told}),
        options=StartOptions(
            id=run_id,
            priority=kept.priority,
            queue=kept.queue,
            attributes={SCHEDULE: row.name, **kept.attributes},
            timeout_seconds=kept.timeout_seconds,
            at=None if terms.merging in ("debounce", "batch") else at,  # these decide themselves when it starts
        ),
        given=row.input if same else _fitted(row, workflow),
        now_us=now_us,
        args=(),
        kwargs={},
    )


def problem_of(row: ScheduleRow, workflows: Sequence[WorkflowRow]) -> str | None:
    """Why a schedule makes no runs, as far as it can be seen from here; None if it does."""
    try:
        decode_schedule(row.definition)
        scheduled_start(row, registered(row, workflows), row.name, 0)
    except (UsageError, PayloadError) as error:
        return str(error)
    return None


def _digest(description: bytes) -> str:
    return hashlib.sha256(description).hexdigest()


def _fitted(row: ScheduleRow, workflow: WorkflowRow) -> bytes:
    """The input for a workflow whose description is another than it was."""
    stored = _PLAIN.decode(row.input, f"the input of schedule {row.name!r}")
    keywords = msgspec.json.decode(workflow.input_schema).get(KEYWORDS)
    rest = stored.pop(keywords, {}) if keywords is not None else {}
    return input_from(workflow.name, workflow.input_schema, {**stored, **rest})
