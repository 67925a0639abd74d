"""An example of each thing that the API answers, as its description shows it."""

from __future__ import annotations

from typing import Any

_AT = "2026-03-01T06:30:00Z"

_RUN: dict[str, Any] = {
    "id": "o-1",
    "workflow": "checkout",
    "version": "1",
    "status": "succeeded",
    "queue": "default",
    "priority": 0,
    "attempt": 1,
    "input": {"order_id": "o-1", "cents": 500},
    "output": {"receipt": "r-77"},
    "error": None,
    "attributes": {"order": "o-1"},
    "parent": None,
    "rescues": 0,
    "worker": None,
    "created_at": _AT,
    "started_at": "2026-03-01T06:30:00.012Z",
    "finished_at": "2026-03-01T06:30:01.250Z",
    "due_at": None,
    "deadline_at": None,
    "asked": None,
    "lane": None,
    "forked_from": None,
    "forks": [],
    "progress": None,
    "shadow": False,
}

_DIVERSION: dict[str, Any] = {
    "id": "0195503e9a407c3e8a2b6f0d4c1e9b77",
    "asked_id": "o-2",
    "workflow": "checkout",
    "version": "1",
    "way": "dropped",
    "rule": "rate_limit",
    "key": "acme",
    "run_id": None,
    "reason": "at most 100 runs of 'acme' start in 1 min",
    "at": _AT,
    "due_at": None,
    "input": {"order_id": "o-2", "cents": 500},
}

_MERGED: dict[str, Any] = {
    "id": "o-1",
    "created": False,
    "way": "merged",
    "reason": "it was put into the batch of run o-1",
    "rule": "batch",
    "key": "acme",
    "run": "o-1",
    "diversion": "0195503e9a407c3e8a2b6f0d4c1e9b77",
}

_CHUNK: dict[str, Any] = {"offset": 3, "kind": "data", "value": {"text": "Hel"}, "at": _AT}

_ENTRY: dict[str, Any] = {
    "position": "0",
    "seq": 1,
    "generation": 1,
    "kind": "step",
    "name": "charge",
    "outcome": "ok",
    "input": {"order_id": "o-1", "cents": 500},
    "output": "r-77",
    "error": None,
    "attempts": 1,
    "started_at": _AT,
    "finished_at": "2026-03-01T06:30:00.900Z",
    "failed_attempts": [],
    "in_force": True,
}

_ALERT: dict[str, Any] = {
    "rule": "queue too deep",
    "about": "default",
    "state": "firing",
    "severity": "warning",
    "value": 12034.0,
    "text": "queue default: 12,034 runs wait",
    "since": _AT,
    "fired_at": "2026-03-01T06:40:00Z",
    "resolved_at": None,
    "told_at": "2026-03-01T06:41:00Z",
}

_QUEUE = {
    "name": "default", "total": 20, "per_worker": None, "paused": False, "ready": 3, "executing": 20, "oldest_at": _AT,
    "per_key": 2, "weights": {"acme": 5, "acme/gold": 3},
}  # fmt: skip

_SHARE = {"tenant": "acme", "key": "gold", "ready": 3, "executing": 2, "weight": 3}

_SCHEDULE: dict[str, Any] = {
    "name": "nightly",
    "workflow": "report",
    "cron": "30 7 * * MON-FRI",
    "zone": "Europe/Berlin",
    "every_seconds": None,
    "start_at": None,
    "overlap": "skip",
    "catch_up": "latest",
    "catch_up_within_seconds": None,
    "input": {},
    "priority": 0,
    "queue": None,
    "attributes": {},
    "timeout_seconds": None,
    "paused": False,
    "next_at": _AT,
    "last_run": "nightly/2026-02-27T06:30:00Z",
    "problem": None,
    "revision": 128339283912,
}

_WORKER: dict[str, Any] = {
    "id": "0195a2b4c6d87e8f9a0b1c2d3e4f5a6b",
    "host": "node-1",
    "pid": 4242,
    "started_at": _AT,
    "beat_at": _AT,
    "expires_at": "2026-03-01T06:30:15Z",
    "alive": True,
    "running": 7,
    "slots": 1000,
    "memory_bytes": 180_000_000,
    "draining": False,
    "serves": ["checkout 1"],
}

_FIGURES: dict[str, Any] = {
    "runs": 120,
    "failed": 2,
    "waited_p50_seconds": 0.01,
    "waited_p95_seconds": 0.2,
    "waited_p99_seconds": 0.9,
    "took_p50_seconds": 1.1,
    "took_p95_seconds": 3.0,
    "took_p99_seconds": 9.5,
}

_STRANDED = {"queue": "default", "workflow": "refund", "version": "2", "runs": 4}

_USER: dict[str, Any] = {
    "id": "anna",
    "email": "anna@example.com",
    "name": "Anna",
    "role": "operator",
    "zone": "Europe/Berlin",
    "manager": None,
    "groups": ["refunds"],
    "capacity": 20,
    "away": [{"from": "2026-12-24", "until": "2026-12-31"}],
    "disabled": False,
    "has_password": True,
    "created_at": _AT,
    "revision": 3,
}

_KEY: dict[str, Any] = {
    "prefix": "k3x9d1ab",
    "name": "ci",
    "role": "operator",
    "created_by": "anna",
    "created_at": _AT,
    "expires_at": None,
    "revoked_at": None,
    "used_at": _AT,
}

_AUDIT = {
    "id": "0195a2b4c6d87e8f9a0b1c2d3e4f5a6b",
    "actor": "anna",
    "action": "run.cancel",
    "target": "o-1",
    "detail": {"reason": "the customer called"},
    "at": _AT,
}

_FAILURE = {
    "workflow": "checkout",
    "type": "shop.CardDeclined",
    "message": "the card was declined",
    "runs": 12,
    "last_run": "o-1",
    "last_at": _AT,
}

_DELIVERY = {"created": True, "waits": 1, "cancels": 0}
_LANE = {"name": "order", "key": "o-1", "slots": 1, "held": 1, "waiting": 2}
_RETENTION = {"workflow": "", "status": "failed", "keep_seconds": 7_776_000, "default": True}
_VIEW = {"page": "runs", "name": "failed today", "query": "status:failed since:1d"}
_WORKFLOW = {"name": "checkout", "versions": ["1", "2"], "paused": False}
_COUNT = {"runs": 12, "capped": False}
_END = {"id": "o-1", "status": "succeeded", "output": {"receipt": "r-77"}, "failure": None}


def _page(item: Any) -> dict[str, Any]:
    return {"items": [item], "next": None}


EXAMPLES: dict[str, Any] = {
    "AttemptView": {
        "attempt": 1,
        "started_at": _AT,
        "finished_at": _AT,
        "error": {"type": "builtins.TimeoutError", "message": "no answer", "traceback": "…"},
        "next_attempt_at": _AT,
    },
    "AuditView": _AUDIT,
    "BulkJob": {"id": "0195a2b4c6d87e8f9a0b1c2d3e4f5a6b"},
    "BulkPreview": {"runs": 12, "capped": False, "examples": ["o-1"]},
    "Count": _COUNT,
    "StreamChunk": _CHUNK,
    "StreamView": {"name": "tokens", "next_offset": 4, "ended": False},
    "Deliveries": {"items": [_DELIVERY]},
    "Delivery": _DELIVERY,
    "Explanation": {"text": "waits for the event shipped with key o-1", "reasons": ["waits for the event shipped"]},
    "FailureGroup": _FAILURE,
    "Health": {"status": "ok"},
    "JournalEntry": _ENTRY,
    "KeyView": _KEY,
    "LaneView": _LANE,
    "MadeKey": {
        "key": "hf_k3x9d1ab_…",
        "prefix": "k3x9d1ab",
        "name": "ci",
        "role": "operator",
        "expires_at": None,
    },
    "Me": {"actor": "key:k3x9d1ab", "name": "ci", "tenant": "default", "role": "operator", "shared": True},
    "Outcomes": {"items": [_END], "missing": []},
    "Overview": {
        "at": _AT,
        "statuses": {"queued": _COUNT, "failed": _COUNT},
        "failures": [_FAILURE],
        "dead_letters": _COUNT,
        "lost_workers": 0,
        "stranded": [_STRANDED],
    },
    "AlertView": _ALERT,
    "Page_AlertView_": _page(_ALERT),
    "Page_AuditView_": _page(_AUDIT),
    "Page_JournalEntry_": _page(_ENTRY),
    "Page_KeyView_": _page(_KEY),
    "Page_LaneView_": _page(_LANE),
    "Page_QueueView_": _page(_QUEUE),
    "Page_RetentionView_": _page(_RETENTION),
    "Page_RunView_": {"items": [_RUN], "next": "MDE5NWEyYjRjNmQ4N2U4Zg"},
    "Page_StreamChunk_": {"items": [_CHUNK], "next": "3"},
    "Page_SavedView_": _page(_VIEW),
    "Page_ScheduleView_": _page(_SCHEDULE),
    "Page_ShareView_": _page(_SHARE),
    "Page_Stranded_": _page(_STRANDED),
    "Page_UserView_": _page(_USER),
    "Page_WorkerView_": _page(_WORKER),
    "Page_WorkflowView_": _page(_WORKFLOW),
    "Place": {"detail": "Input should be a valid integer", "pointer": "/priority"},
    "ProblemDocument": {
        "type": "https://holdfast.dev/problems/run-not-found",
        "title": "No such run",
        "status": 404,
        "detail": "tenant 'default' has no run 'o-9'",
        "instance": "/api/v1/runs/o-9",
        "error_id": "3f9a1c22b0de",
        "run_id": "o-9",
    },
    "QueueView": _QUEUE,
    "Readiness": {"ready": True, "parts": {"database": "ok", "schema": "ok", "committer": "ok"}},
    "RetentionView": _RETENTION,
    "RunEnd": _END,
    "RunKey": {"idempotency_key": "0195a2b4c6d87e8f9a0b1c2d3e4f5a6b"},
    "RunIds": {"items": ["nightly/2026-02-27T06:30:00Z"]},
    "RunView": _RUN,
    "SavedView": _VIEW,
    "ScheduleView": _SCHEDULE,
    "ShareView": _SHARE,
    "NewRun": {**_RUN, "way": "started", "reason": "", "diversion": None},
    "StartedRun": _MERGED,
    "StartedRuns": {"items": [_MERGED]},
    "DiversionView": _DIVERSION,
    "Page_DiversionView_": {"items": [{**_DIVERSION, "input": None}], "next": None},
    "StartedDiverted": {"run": "o-1"},
    "StatPoint": {"at": _AT, "workflow": "checkout", "status": "succeeded", "runs": 12},
    "Stats": {
        "since": _AT,
        "until": "2026-03-01T07:30:00Z",
        "step_seconds": 60,
        "points": [{"at": _AT, "workflow": "checkout", "status": "succeeded", "runs": 12}],
        "workflows": {"checkout": _FIGURES},
        "total": _FIGURES,
    },
    "Stranded": _STRANDED,
    "UserView": _USER,
    "WebhookDone": {"run": None, "created": True},
    "WorkerView": _WORKER,
    "WorkflowDetail": {
        **_WORKFLOW,
        "version": "2",
        "input_schema": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
    },
    "WorkflowStats": _FIGURES,
    "WorkflowView": _WORKFLOW,
}
"""By the name of the schema."""
