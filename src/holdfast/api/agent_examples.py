"""An example of each thing that the routes of models and artifacts answer, as the description of the API shows it."""

from __future__ import annotations

from typing import Any

_AT = "2026-03-01T06:30:00Z"

_CALL: dict[str, Any] = {
    "position": "3",
    "generation": 1,
    "attempt": 1,
    "number": 0,
    "phase": "draft",
    "model": "openai:gpt-5-mini",
    "outcome": "ok",
    "error": None,
    "input_tokens": 1840,
    "cached_tokens": 1024,
    "output_tokens": 310,
    "cost": "0.0008496",
    "began_at": _AT,
    "ended_at": "2026-03-01T06:30:04.210Z",
}

_ARTIFACT: dict[str, Any] = {
    "position": "3",
    "name": "draft/prompt.md",
    "media_type": "text/markdown",
    "size_bytes": 6120,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "location": None,
    "at": "2026-03-01T06:30:04.210Z",
}

_LINE: dict[str, Any] = {
    "day": None,
    "workflow": None,
    "phase": "draft",
    "model": None,
    "calls": 120,
    "failed": 3,
    "unpriced": 0,
    "input_tokens": 220_800,
    "cached_tokens": 122_880,
    "output_tokens": 37_200,
    "cost": "0.101952",
}

_REPORT: dict[str, Any] = {
    "since": "2026-03-01",
    "until": "2026-03-07",
    "by": ["phase"],
    "rows": [_LINE],
    "total": {**_LINE, "phase": None},
}

_BUDGET: dict[str, Any] = {"tokens": None, "cost": "0.1"}

_LIMITS: dict[str, Any] = {"concurrency": 4, "rate": 60, "period_seconds": 60.0, "burst": 1}

_PRICE = {"input": "0.25", "cached": "0.025", "output": "2"}

_MODEL: dict[str, Any] = {
    "name": "fast", "id": "openai:gpt-5-mini", "base_url": None, "limits": _LIMITS, "price": _PRICE,
}  # fmt: skip

_APPROVAL: dict[str, Any] = {"assignee": None, "group": "ops", "due_seconds": 86_400.0, "escalate_to": ["boss"]}

_PHASE: dict[str, Any] = {
    "name": "draft",
    "needs": ["research"],
    "output": "Draft",
    "model": "fast",
    "fallbacks": ["anthropic:claude-haiku-4-5"],
    "fallback_on": ["rate-limited", "timeout", "unavailable"],
    "attempts": 2,
    "timeout_seconds": 30.0,
    "repairs": 1,
    "input_tokens": 8000,
    "output_tokens": 2000,
    "budget": _BUDGET,
    "approval": _APPROVAL,
    "prompt": "Write to {{ context.customer.name }}.",
    "system": None,
}

_FILE: dict[str, Any] = {
    "name": "orders",
    "version": "9f86d081884c7d65",
    "at": _AT,
    "phases": [_PHASE],
    "models": [_MODEL],
    "providers": {"openai": _LIMITS},
    "budgets": {"run": {"tokens": 400_000, "cost": "2"}},
}

EXAMPLES: dict[str, Any] = {
    "ApprovalView": _APPROVAL,
    "ArtifactView": _ARTIFACT,
    "BudgetView": _BUDGET,
    "CostLine": _LINE,
    "CostReport": _REPORT,
    "LimitsView": _LIMITS,
    "ModelCallView": _CALL,
    "Page_ArtifactView_": {"items": [_ARTIFACT], "next": None},
    "Page_ModelCallView_": {"items": [_CALL], "next": None},
    "Page_PhaseFileView_": {"items": [{**_FILE, "phases": [{**_PHASE, "prompt": None}]}], "next": None},
    "PhaseFileView": _FILE,
    "PhaseModelView": _MODEL,
    "PhaseView": _PHASE,
    "PriceView": _PRICE,
}
"""By the name of the schema."""
