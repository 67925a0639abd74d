"""An example of each thing that the routes of the work queue answer, as the description of the API shows it."""

from __future__ import annotations

from typing import Any

_AT = "2026-03-01T06:30:00Z"

_SUBJECT: dict[str, Any] = {
    "id": "acme",
    "name": "Acme",
    "assignee": "maria",
    "properties": {"renews_on": "2026-09-01"},
    "contacts": [{"name": "Ada Okafor", "relationship_strength": "weak"}],
    "weak": 1,
    "signals": {"churn_risk_score": 8.0, "revenue_impact_tier": 5.0},
    "signals_at": {"churn_risk_score": _AT, "revenue_impact_tier": _AT},
    "scores": {"risk": {"score": 10.0, "inputs": {"churn_risk_score": 8.0, "weak": 1}, "at": _AT}},
    "demo": False,
    "created_at": _AT,
    "revision": 3,
}

_DEFINITION: dict[str, Any] = {
    "id": "at-risk",
    "version": 2,
    "name": "Talk to them before they leave",
    "type": "risk",
    "description": "Find out what is wrong.",
    "weight": 900,
    "rule": "scores.risk >= 7.0",
    "active": True,
    "demo": False,
    "position": None,
    "document": {
        "id": "at-risk",
        "name": "Talk to them before they leave",
        "type": "risk",
        "rule": "scores.risk >= 7.0",
    },
    "created_by": "anna",
    "created_at": _AT,
}

_TIMER = {
    "left_seconds": 86_400.0, "running": True, "runs_out_at": "2026-03-02T06:30:00Z", "met_at": None, "missed_at": None,
}  # fmt: skip
_STEP: dict[str, Any] = {
    "id": "call", "title": "Call them", "text": "Ask what is wrong.", "form": None, "done": False, "data": {},
}  # fmt: skip
_NEXT_STEP = {"text": "send the offer", "done": False, "due": "2026-03-10"}

_ITEM: dict[str, Any] = {
    "id": "0195a2b4c6d87e8f9a0b1c2d3e4f5a6b",
    "kind": "work",
    "title": "Talk to them before they leave",
    "text": "Find out what is wrong.",
    "type": "risk",
    "status": "not_started",
    "priority": 965,
    "label": "Critical",
    "moves": ["underway", "completed", "snoozed", "skipped"],
    "definition": "at-risk",
    "definition_version": 2,
    "weight": 900,
    "subject": "acme",
    "assignee": "maria",
    "group": None,
    "claimed_until": None,
    "escalated_to": None,
    "escalated_at": None,
    "acknowledge_by": None,
    "snooze_until": None,
    "snooze_days": None,
    "snoozed_at": None,
    "snooze_event": None,
    "returns_at": None,
    "due_at": "2026-03-08T06:30:00Z",
    "overdue": False,
    "blocked": False,
    "started_at": None,
    "completed_at": None,
    "skipped_at": None,
    "skip_reason": None,
    "form": None,
    "steps": [_STEP],
    "next_steps": [_NEXT_STEP],
    "timers": {"start": _TIMER},
    "data": {"next_steps": [_NEXT_STEP]},
    "run": None,
    "workflow_id": None,
    "demo": False,
    "position": None,
    "created_at": _AT,
    "revision": 1,
    "about": _SUBJECT,
    "made_of": _DEFINITION,
}

_EVENT: dict[str, Any] = {
    "revision": 2,
    "at": _AT,
    "actor": "maria",
    "move": "snooze",
    "status": "snoozed",
    "changes": {"status": "snoozed", "snooze_days": 3},
    "reason": None,
    "age_seconds": 3600.0,
    "batch": None,
}

_LINK = {"item": "offer-7", "on_item": "plan-7", "on_run": None, "created_at": _AT, "done_at": None}
_SIGNAL = {"subject": "acme", "name": "usage_score", "at": _AT, "value": 95.0, "source": "crm"}
_SPREAD = {"median_seconds": 3600.0, "p90_seconds": 86_400.0}
_GROUP: dict[str, Any] = {
    "group": None, "created": 20, "started": 16, "completed": 12, "skipped": 4, "snoozed": 6, "escalated": 1,
    "completion_rate": 0.75, "to_start": _SPREAD, "to_complete": _SPREAD, "skips": {"they left us": 4},
}  # fmt: skip
_FIGURES: dict[str, Any] = {
    "since": "2026-02-01T00:00:00Z",
    "until": "2026-03-01T00:00:00Z",
    "by": "definition",
    "groups": [{**_GROUP, "group": "at-risk"}],
    "total": _GROUP,
}
_LOAD: dict[str, Any] = {
    "assignee": "maria", "items": 12, "underway": 2, "overdue": 1, "effort_seconds": 43_200.0, "capacity": 10,
    "away": False,
}  # fmt: skip
_PLANNED: dict[str, Any] = {
    "item": "offer-7", "title": "Send the offer", "assignee": "maria", "to": "bob", "effort_seconds": 3600.0,
    "revision": 1,
}  # fmt: skip
_PLAN: dict[str, Any] = {"moves": [_PLANNED], "before": [_LOAD], "after": [_LOAD], "unplaced": [], "made_at": _AT}
_OUTCOME: dict[str, Any] = {
    "id": "0195a2b4c6d87e8f9a0b1c2d3e4f5a6b", "action": "snooze", "items": 2, "done": 1, "refused": 1,
    "outcomes": {"offer-7": "done", "plan-7": "item 'plan-7' is completed"}, "run": None,
}  # fmt: skip
_PREVIEW: dict[str, Any] = {
    "action": "snooze", "items": 2, "possible": 1, "capped": False,
    "outcomes": {"offer-7": "done", "plan-7": "item 'plan-7' is completed"},
}  # fmt: skip

_CUSTOMER: dict[str, Any] = {
    "id": "acme", "name": "Acme", "csm_id": "maria", "properties": {"renews_on": "2026-09-01"},
    "signals": {"churn_risk_score": 8.0}, "is_demo": False,
}  # fmt: skip
_WORKFLOW: dict[str, Any] = {
    "id": "at-risk",
    "name": "Talk to them before they leave",
    "workflow_type": "risk",
    "description": "Find out what is wrong.",
    "trigger_conditions": {"trigger_type": "signals", "rule": "scores.risk >= 7.0"},
    "priority_weight": 900,
    "is_active": True,
    "is_demo": False,
    "version": 2,
    "created_at": _AT,
}
_EXECUTION: dict[str, Any] = {
    "id": "0195a2b4c6d87e8f9a0b1c2d3e4f5a6b",
    "workflow_definition_id": "at-risk",
    "customer_id": "acme",
    "assigned_csm_id": "maria",
    "escalation_user_id": None,
    "title": "Talk to them before they leave",
    "workflow_type": "risk",
    "status": "not_started",
    "priority_score": 965,
    "priority": "Critical",
    "due_at": None,
    "snooze_until": None,
    "snooze_days": None,
    "snoozed_at": None,
    "started_at": None,
    "completed_at": None,
    "skipped_at": None,
    "skip_reason": None,
    "execution_data": {},
    "is_demo": False,
    "created_at": _AT,
    "customer": _CUSTOMER,
    "workflow_definition": _WORKFLOW,
}
_TODAY: dict[str, Any] = {
    "id": "obsblk-strategic-planning",
    "executionId": "0195a2b4c6d87e8f9a0b1c2d3e4f5a6b",
    "title": "Complete Strategic Account Plan",
    "customerId": "acme",
    "customerName": "Acme",
    "priority": "High",
    "dueDate": None,
    "workflowType": "strategic",
}
_SETTINGS: dict[str, Any] = {
    "zone": "Europe/Berlin",
    "country": "DE",
    "preset": "customer_success",
    "policy": {"preset": "customer_success"},
    "revision": 1,
}


def _page(item: Any) -> dict[str, Any]:
    return {"items": [item], "next": None}


EXAMPLES: dict[str, Any] = {
    "Customer": _CUSTOMER,
    "DailyView": {"day": "2026-03-01", "scored": 120, "created": 7, "recomputed": 300},
    "DefinitionView": _DEFINITION,
    "DemoSequence": {"total": 3, "completed": 1, "current": None, "next": _EXECUTION},
    "DemoStarted": {"items": ["0195a2b4c6d87e8f9a0b1c2d3e4f5a6b"], "created": True},
    "DemoStatus": {"total": 3, "completed": 1, "current": None, "next": _ITEM},
    "DryRun": {
        "definition": "at-risk", "subjects": 120, "matches": 9, "taken": 2, "makes": 7, "examples": ["acme"],
        "failed": 0,
        "notes": ["nobody sends the signal usage_scor; did you mean usage_score?"],
    },
    "Execution": _EXECUTION,
    "ExplainView": {
        "id": "offer-7",
        "priority": 965,
        "label": "Critical",
        "parts": [{"label": "risk", "points": 900.0}, {"label": "churn risk", "points": 40.0}],
        "in_queue": True,
        "because": "It is in the queue of maria.",
        "waits_for": [],
    },
    "FigureGroup": _GROUP,
    "FiguresView": _FIGURES,
    "Imported": {"stored": 997, "refused": 3, "faults": [{"line": 17, "reason": "signal usage_score is 180.0"}]},
    "InitializedDemo": {"execution_ids": ["0195a2b4c6d87e8f9a0b1c2d3e4f5a6b"], "count": 1},
    "ItemCount": {"items": 12, "capped": False},
    "ItemEventView": _EVENT,
    "ItemIds": {"items": ["0195a2b4c6d87e8f9a0b1c2d3e4f5a6b"]},
    "ItemView": _ITEM,
    "ItemsOutcome": _OUTCOME,
    "ItemsPreview": _PREVIEW,
    "LinkView": _LINK,
    "LinksView": {"waits_for": [_LINK], "waited_for_by": []},
    "LoadView": _LOAD,
    "Moved": {"execution": {**_EXECUTION, "status": "underway"}},
    "NextStep": _NEXT_STEP,
    "Page_DefinitionView_": _page(_DEFINITION),
    "Page_FiguresView_": _page(_FIGURES),
    "Page_ItemEventView_": _page(_EVENT),
    "Page_ItemView_": _page(_ITEM),
    "Page_LoadView_": _page(_LOAD),
    "Page_SignalView_": _page(_SIGNAL),
    "Page_SubjectView_": _page(_SUBJECT),
    "Page_str_": _page("usage_score"),
    "PartView": {"label": "churn risk", "points": 40.0},
    "PlanView": _PLAN,
    "PlannedMove": _PLANNED,
    "PriorityWorkflow": _TODAY,
    "Recomputed": {"items": 300},
    "Removed": {"items": 3},
    "RowFault": {"line": 17, "reason": "signal usage_score is 180; policy 'customer_success' takes 0 to 100"},
    "ScoreView": _SUBJECT["scores"]["risk"],
    "SettingsView": _SETTINGS,
    "SignalChange": {
        "subject": "acme", "name": "usage_score", "since": _AT, "before": 80.0, "now": 95.0, "difference": 15.0,
        "percent": 18.75,
    },
    "SignalView": _SIGNAL,
    "Snoozed": {
        "execution": {**_EXECUTION, "status": "snoozed", "priority_score": 393},
        "snooze_until": "2026-03-08T06:30:00Z",
        "new_priority": 393,
    },
    "SpreadView": _SPREAD,
    "StepView": _STEP,
    "SubjectView": _SUBJECT,
    "TimerView": _TIMER,
    "TodayWorkflows": {"priorityWorkflow": _TODAY, "message": "Begin with Complete Strategic Account Plan for Acme."},
    "WorkflowDefinition": _WORKFLOW,
}  # fmt: skip
"""By the name of the schema."""
