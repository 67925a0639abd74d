"""An example of each thing that the routes of conversations answer, as the description of the API shows it."""

from __future__ import annotations

from typing import Any

_AT = "2026-03-01T06:30:00Z"

_STATE: dict[str, Any] = {"collected": {"company": "Acme", "renews_on": "2026-05-01"}, "passed": [], "data": {}}

_MESSAGE = {"role": "assistant", "content": "Shall I renew it for another year?"}

_CHAT_PROGRESS: dict[str, Any] = {"currentStep": "confirm", "totalSteps": 3, "percentComplete": 66}

_CHAT_TURN: dict[str, Any] = {
    "number": 2,
    "id": "c-1-2",
    "stateChanged": True,
    "collected": {"renews_on": "2026-05-01"},
    "refused": {},
}

_PROGRESS: dict[str, Any] = {"current_step": "confirm", "total_steps": 3, "percent_complete": 66}

_CONVERSATION: dict[str, Any] = {
    "id": "c-1",
    "user": "maria",
    "definition": "renewal",
    "version": "1",
    "status": "open",
    "turns": 2,
    "revision": 2,
    "state": _STATE,
    "created_at": _AT,
    "changed_at": "2026-03-01T06:31:00Z",
    "expires_at": "2026-03-02T06:31:00Z",
    "ended_at": None,
    "expired": False,
    "item": None,
}

_TURN: dict[str, Any] = {
    "number": 2,
    "id": "c-1-2",
    "actor": "maria",
    "message": "It renews on the first of May.",
    "messages": [_MESSAGE],
    "change": {"collected": {"renews_on": "2026-05-01"}},
    "started": [],
    "completed": [],
    "model": "a-model",
    "input_tokens": 412,
    "output_tokens": 38,
    "cost": 0.0021,
    "waited_seconds": 0.0,
    "model_seconds": 1.21,
    "took_seconds": 1.24,
    "at": "2026-03-01T06:31:00Z",
}

EXAMPLES: dict[str, Any] = {
    "ChatAnswer": {
        "conversationId": "c-1",
        "messages": [_MESSAGE],
        "extractedPayload": {"renews_on": "2026-05-01"},
        "latencyMs": 1240,
        "workflowState": _STATE,
        "progress": _CHAT_PROGRESS,
        "turn": _CHAT_TURN,
        "status": "open",
        "started": [],
        "completed": [],
    },
    "ChatMessage": _MESSAGE,
    "ChatProgress": _CHAT_PROGRESS,
    "ChatTurnDone": _CHAT_TURN,
    "ConversationView": _CONVERSATION,
    "DialogueProgress": _PROGRESS,
    "Message": _MESSAGE,
    "Page_ConversationView_": {"items": [_CONVERSATION], "next": None},
    "Page_TurnView_": {"items": [_TURN], "next": None},
    "TurnDone": {
        "conversation_id": "c-1",
        "number": 2,
        "id": "c-1-2",
        "messages": [_MESSAGE],
        "extracted": {"renews_on": "2026-05-01"},
        "refused": {},
        "collected": {"renews_on": "2026-05-01"},
        "state_changed": True,
        "state": _STATE,
        "progress": _PROGRESS,
        "status": "open",
        "started": [],
        "completed": [],
        "latency_seconds": 1.24,
    },
    "TurnView": _TURN,
}
"""By the name of the schema."""
