"""An example of each thing that the routes of intake answer, as the description of the API shows it."""

from __future__ import annotations

from typing import Any

_AT = "2026-03-01T06:30:00Z"

_SOURCE: dict[str, Any] = {
    "name": "orders",
    "kind": "jsonl",
    "workflow": "order_desk",
    "position": {"device": 2049, "inode": 131_342, "offset": 48_211},
    "revision": 204,
    "runs": 1840,
    "filtered": 311,
    "repeated": 2,
    "dead": 1,
    "state": "waiting",
    "note": "",
    "read_at": _AT,
}

_ENTRY: dict[str, Any] = {
    "id": "0195503e9a407c3e8a2b6f0d4c1e9b77",
    "source": "orders",
    "message_id": "o-1",
    "place": "orders.jsonl:1204",
    "outcome": "run",
    "reason": "",
    "run_id": "orders/9f86d081884c7d659a2feaa0c55ad015",
    "path": "primary",
    "content": None,
    "settled_by": None,
    "at": _AT,
}

_COMPARED: dict[str, Any] = {
    "id": "000649c1a9b3c40065" + "0195503e9a407c3e8a2b6f0d4c1e9b77",
    "message_id": "o-1",
    "comparison": "different",
    "ours": "sent",
    "theirs": "sent",
    "run_id": "orders/9f86d081884c7d659a2feaa0c55ad015",
    "text": "Dear Ann, your order is on its way.",
    "their_text": "Dear Ann, your order was sent.",
    "difference": "Dear Ann, your order [-was sent.-] {+is on its way.+}",
    "at": _AT,
}

_TOLD: dict[str, Any] = {"message_id": "o-1", "decided": "sent", "text": "Dear Ann, your order was sent.", "at": _AT}

_CRITERION: dict[str, Any] = {
    "name": "durable_records",
    "ok": True,
    "figure": 0,
    "text": "each of 1,840 entries has its run",
}

_HANDED: dict[str, Any] = {
    "outcome": "run",
    "run_id": "orders/9f86d081884c7d659a2feaa0c55ad015",
    "reason": "",
}

EXAMPLES: dict[str, Any] = {
    "ComparedView": _COMPARED,
    "ComparisonPage": {
        "counts": {"same": 1790, "different": 41, "missing": 2, "alone": 7},
        "items": [_COMPARED],
        "next": None,
    },
    "Criterion": _CRITERION,
    "CutoverReport": {
        "workflow": "order_desk",
        "since": _AT,
        "until": "2026-03-08T06:30:00Z",
        "entries": 1840,
        "ready": True,
        "criteria": [_CRITERION],
    },
    "DiscardEntry": {"reason": "A test of the shop's."},
    "EntryView": _ENTRY,
    "HandedEntry": _HANDED,
    "OutcomesTold": {"changed": 12},
    "Page_EntryView_": {"items": [_ENTRY], "next": None},
    "Page_SourceView_": {"items": [_SOURCE], "next": None},
    "RetryEntry": {"content": '{"order": {"id": "o-1"}, "kind": "order"}'},
    "Rewind": {"to": _SOURCE["position"]},
    "TellOutcomes": {"workflow": "order_desk", "outcomes": [_TOLD]},
    "ToldOutcome": _TOLD,
    "RetriedEntry": {"run_id": "orders/0195503e9a407c3e8a2b6f0d4c1e9b77"},
    "SourceView": _SOURCE,
}
"""By the name of the schema."""
