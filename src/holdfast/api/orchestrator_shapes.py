"""What the orchestrator's routes are sent, and what they answer: work items by the names of customer success."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from holdfast.api.schemas import Body, Id, JsonObject
from holdfast.api.work_schemas import Days, Reason
from holdfast.workqueue.views import DefinitionView, ItemView, SubjectView

ExecutionStatus = Literal["not_started", "underway", "completed", "snoozed", "skipped"]


class InitializeDemo(Body):
    """For which customer the demo sequence is made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_id": "obsidian-black", "csm_id": "maria"}]})

    customer_id: Id
    csm_id: Id | None = Field(default=None, description="Who gets it; whoever asks unless given.")


class SnoozeExecution(Body):
    """For how many days an execution is put off."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"days": 7}]})

    days: Days


class SkipExecution(Body):
    """Why an execution is not to be done."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "they left us"}]})

    reason: Reason


class EscalateExecution(Body):
    """Who is to look at an execution as well."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"escalation_user_id": "bob"}]})

    escalation_user_id: Id


class PatchStatus(Body):
    """What an execution is to become."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "completed", "execution_data": {"answer": "yes"}}],
            "allOf": [
                {
                    "if": {"properties": {"status": {"const": "snoozed"}}},
                    "then": {"required": ["days"], "properties": {"days": {"type": "integer"}}},
                },
                {
                    "if": {"properties": {"status": {"const": "skipped"}}},
                    "then": {"required": ["reason"], "properties": {"reason": {"type": "string"}}},
                },
            ],
        }
    )

    status: ExecutionStatus
    execution_data: JsonObject | None = Field(
        default=None, description="Merged into what is there: objects deeply, lists replaced, null deletes."
    )
    days: Days | None = Field(default=None, description="For snoozed.")
    reason: Reason | None = Field(default=None, description="For skipped.")

    @model_validator(mode="after")
    def _goes_together(self) -> PatchStatus:
        if self.status == "snoozed" and self.days is None:
            raise ValueError("to snooze, give days, from 1 to 90")
        if self.status == "skipped" and self.reason is None:
            raise ValueError("to skip, give a reason")
        return self


@dataclass(frozen=True, slots=True)
class Customer:
    """Whom an execution is about.

    Attributes:
        properties: what is known of them.
        signals: the latest value of each signal.
    """

    id: str
    name: str
    csm_id: str | None
    properties: dict[str, Any]
    signals: dict[str, float]
    is_demo: bool


@dataclass(frozen=True, slots=True)
class WorkflowDefinition:
    """What an execution was made of.

    Attributes:
        trigger_conditions: when it is made: rule and triggers, its place in the demo, and what a program calls it.
        priority_weight: the base of the score.
    """

    id: str
    name: str
    workflow_type: str
    description: str
    trigger_conditions: dict[str, Any]
    priority_weight: int
    is_active: bool
    is_demo: bool
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Execution:
    """A piece of work for a customer success manager.

    Attributes:
        escalation_user_id: who was asked to look as well; whose it is stays.
        priority_score: its score now; of one that has ended, the last one.
        priority: the score in a word.
        execution_data: what was filled in.
        customer: whom it is about, as they are now.
        workflow_definition: what it was made of, as that is now.
    """

    id: str
    workflow_definition_id: str | None
    customer_id: str | None
    assigned_csm_id: str | None
    escalation_user_id: str | None
    title: str
    workflow_type: str
    status: str
    priority_score: int
    priority: str
    due_at: datetime | None
    snooze_until: datetime | None
    snooze_days: int | None
    snoozed_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    skipped_at: datetime | None
    skip_reason: str | None
    execution_data: dict[str, Any]
    is_demo: bool
    created_at: datetime
    customer: Customer | None
    workflow_definition: WorkflowDefinition | None


@dataclass(frozen=True, slots=True)
class InitializedDemo:
    """The executions of the demo sequence, in their order."""

    execution_ids: list[str]
    count: int


@dataclass(frozen=True, slots=True)
class DemoSequence:
    """How far the demo sequence is.

    Attributes:
        completed: how many are completed; skipped ones are not.
        current: the first that is underway.
        next: the first that is not started.
    """

    total: int
    completed: int
    current: Execution | None
    next: Execution | None


@dataclass(frozen=True, slots=True)
class Snoozed:
    """An execution that was put off."""

    execution: Execution
    snooze_until: datetime | None
    new_priority: int


@dataclass(frozen=True, slots=True)
class Moved:
    """An execution after its move."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class PriorityWorkflow:
    """What is to be done first.

    Attributes:
        id: what a program calls the work; the definition's id, or the execution's, if it has no such name.
        priority: Critical, High, Medium or Low.
    """

    id: str
    executionId: str
    title: str
    customerId: str | None
    customerName: str | None
    priority: str
    dueDate: datetime | None
    workflowType: str


@dataclass(frozen=True, slots=True)
class TodayWorkflows:
    """What is to be done first today, and a sentence that says so."""

    priorityWorkflow: PriorityWorkflow | None
    message: str


def execution(view: ItemView) -> Execution:
    """A work item as an execution."""
    return Execution(
        id=view.id,
        workflow_definition_id=view.definition,
        customer_id=view.subject,
        assigned_csm_id=view.assignee,
        escalation_user_id=view.escalated_to,
        title=view.title,
        workflow_type=view.type,
        status=view.status,
        priority_score=view.priority,
        priority=view.label,
        due_at=view.due_at,
        snooze_until=view.snooze_until,
        snooze_days=view.snooze_days,
        snoozed_at=view.snoozed_at,
        started_at=view.started_at,
        completed_at=view.completed_at,
        skipped_at=view.skipped_at,
        skip_reason=view.skip_reason,
        execution_data=view.data,
        is_demo=view.demo,
        created_at=view.created_at,
        customer=None if view.about is None else _customer(view.about),
        workflow_definition=None if view.made_of is None else _definition(view.made_of),
    )


def today(view: ItemView | None) -> TodayWorkflows:
    """The first of a queue, for a dashboard."""
    if view is None:
        return TodayWorkflows(None, "Nothing is to be done today.")
    name = view.subject if view.about is None else view.about.name
    first = PriorityWorkflow(
        id=view.workflow_id or view.definition or view.id,
        executionId=view.id,
        title=view.title,
        customerId=view.subject,
        customerName=name,
        priority=view.label,
        dueDate=view.due_at,
        workflowType=view.type,
    )
    return TodayWorkflows(first, f"Begin with {view.title}{f' for {name}' if name else ''}.")


def _customer(about: SubjectView) -> Customer:
    return Customer(about.id, about.name, about.assignee, about.properties, about.signals, about.demo)


def _definition(made_of: DefinitionView) -> WorkflowDefinition:
    document = made_of.document
    conditions: dict[str, Any] = {
        name: document[name]
        for name in ("workflow_id", "order", "rule", "renewal", "annual", "change")
        if name in document
    }
    kinds = [name for name in ("renewal", "annual", "change") if name in document]
    kind = "demo_sequence" if made_of.demo else kinds[0] if kinds else "signals" if made_of.rule else "manual"
    return WorkflowDefinition(
        id=made_of.id,
        name=made_of.name,
        workflow_type=made_of.type,
        description=made_of.description,
        trigger_conditions={"trigger_type": kind, **conditions},
        priority_weight=made_of.weight,
        is_active=made_of.active,
        is_demo=made_of.demo,
        version=made_of.version,
        created_at=made_of.created_at,
    )
