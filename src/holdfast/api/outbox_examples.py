"""An example of each thing that the routes of the outbox answer, as the description of the API shows it."""

from __future__ import annotations

from typing import Any

_AT = "2026-03-01T06:30:00Z"

_ATTEMPT: dict[str, Any] = {
    "attempt": 1,
    "outcome": "sent",
    "detail": "250 2.0.0 Ok: queued as 4F8",
    "doubt": False,
    "began_at": "2026-03-01T06:30:00.120Z",
    "ended_at": "2026-03-01T06:30:00.410Z",
}

_MESSAGE: dict[str, Any] = {
    "id": "reply/o-1",
    "uid": "0195503e9a407c3e8a2b6f0d4c1e9b77",
    "channel": "replies",
    "key": "o-1",
    "status": "sent",
    "verdict": "mode",
    "reason": "",
    "approved_by": None,
    "doubt": False,
    "attempts": 1,
    "repeats": 0,
    "error": None,
    "workflow": "desk",
    "run": "mail/8f3a",
    "due_at": None,
    "created_at": _AT,
    "ended_at": "2026-03-01T06:30:00.410Z",
    "body": {"to": ["ada@shop.example"], "subject": "Your order", "text": "It is on its way."},
    "tries": [_ATTEMPT],
}

_SETTING: dict[str, Any] = {
    "workflow": "desk",
    "mode": "auto",
    "mode_in_force": "auto",
    "path": "primary",
    "path_since": _AT,
    "copies_until": "2026-03-15T06:30:00Z",
    "revision": 3,
    "changed_by": "maria",
    "changed_at": _AT,
}

_COUNTS: dict[str, Any] = {
    "pending": {"messages": 12, "capped": False},
    "sending": {"messages": 1, "capped": False},
    "failed": {"messages": 3, "capped": False},
    "dead": {"messages": 2, "capped": False},
    "doubt": {"messages": 1, "capped": False},
    "withheld": {"messages": 1000, "capped": True},
}

EXAMPLES: dict[str, Any] = {
    "MessageView": _MESSAGE,
    "MessageAttemptView": _ATTEMPT,
    "Page_MessageView_": {"items": [{**_MESSAGE, "body": None, "tries": []}], "next": None},
    "MessageCounts": _COUNTS,
    "MessageCount": {"messages": 12, "capped": False},
    "PublishedMessage": {"id": "reply/o-1"},
    "PublishSettingView": _SETTING,
    "Page_PublishSettingView_": {"items": [_SETTING], "next": None},
}
"""By the name of the schema."""
