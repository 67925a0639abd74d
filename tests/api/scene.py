"""A request for every route of the API, in an order in which each does what it is for."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.api.kit import V1

MARK = "secretly-acme"
"""In everything that the tenant of the scene has, so that it is seen where it should not be."""


class Ask(NamedTuple):
    """A request. ``names``: it names something that only this tenant has, so that others do not find it."""

    operation: str
    method: str
    path: str
    status: int
    json: Any = None
    names: bool = False


RUN = f"{V1}/runs/{MARK}%2F1"

ITEM, OTHER, POOLED = (f"{V1}/items/{MARK}%2F{name}" for name in ("i", "j", "g"))
EXECUTION = f"/api/orchestrator/executions/{MARK}%2Fx"
SUBJECT = f"{V1}/subjects/{MARK}"
DEFINITION = f"{V1}/definitions/{MARK}"

WORK = [
    Ask("put_subject", "PUT", SUBJECT, 201, {"name": MARK, "properties": {"a": MARK}}),
    Ask("get_subject", "GET", SUBJECT, 200, names=True),
    Ask("list_subjects", "GET", f"{V1}/subjects", 200),
    Ask("import_subjects", "POST", f"{V1}/subjects:import", 200, [{"id": f"{MARK}/2"}]),
    Ask("send_signals", "POST", f"{V1}/signals", 200, {"subject": MARK, "name": "usage", "value": 1}, names=True),
    Ask("list_signals", "GET", f"{SUBJECT}/signals", 200, names=True),
    Ask("get_signal_change", "GET", f"{SUBJECT}/signals/usage/change", 200, names=True),
    Ask("list_signal_names", "GET", f"{V1}/signal-names", 200),
    Ask("put_definition", "PUT", DEFINITION, 201, {"name": MARK, "rule": "signals.usage > 5.0"}),
    Ask("load_definitions", "POST", f"{V1}/definitions:load", 200, {"text": f'[definitions.b]\nname = "{MARK}"'}),
    Ask("list_definitions", "GET", f"{V1}/definitions", 200),
    Ask("get_definition", "GET", DEFINITION, 200, names=True),
    Ask("list_versions", "GET", f"{DEFINITION}/versions", 200, names=True),
    Ask("activate_definition", "POST", f"{DEFINITION}/activate", 200, names=True),
    Ask("dry_run_definition", "POST", f"{DEFINITION}/dry-run", 200, names=True),
    Ask("dry_run_document", "POST", f"{V1}/definitions:dry-run", 200, {"id": "x", "name": "x"}),
    Ask("put_work_settings", "PUT", f"{V1}/work-settings", 200, {"zone": "Europe/Berlin"}),
    Ask("get_work_settings", "GET", f"{V1}/work-settings", 200),
    Ask("use_work_preset", "POST", f"{V1}/work-settings/preset", 200, {"name": "customer_success"}),
    Ask("list_presets", "GET", f"{V1}/presets", 200),
    *(
        Ask("create_item", "POST", f"{V1}/items", 201, {"title": MARK, "id": f"{MARK}/{name}", "subject": MARK, **more})
        for name, more in (
            ("i", {}),
            ("j", {}),
            ("x", {"assignee": MARK}),
            ("g", {"group": MARK}),
            ("h", {"group": MARK}),
        )
    ),
    Ask("list_items", "GET", f"{V1}/items", 200),
    Ask("count_items", "GET", f"{V1}/items:count", 200),
    Ask("get_queue_of_items", "GET", f"{V1}/items:queue?assignee={MARK}-2", 200),
    Ask("get_item", "GET", ITEM, 200, names=True),
    Ask("get_item_history", "GET", f"{ITEM}/history", 200, names=True),
    Ask("explain_item", "GET", f"{ITEM}/explain", 200, names=True),
    Ask("put_link", "POST", f"{ITEM}/links", 200, {"on": f"{MARK}/j"}, names=True),
    Ask("get_links", "GET", f"{ITEM}/links", 200, names=True),
    Ask("delete_link", "DELETE", f"{ITEM}/links?on={MARK}%2Fj", 200, names=True),
    Ask("start_item", "POST", f"{ITEM}/start", 200, names=True),
    Ask("stop_item", "POST", f"{ITEM}/stop", 200, names=True),
    Ask("snooze_item", "POST", f"{ITEM}/snooze", 200, {"days": 3}, names=True),
    Ask("wake_item", "POST", f"{ITEM}/wake", 200, names=True),
    Ask("escalate_item", "POST", f"{ITEM}/escalate", 200, {"to": MARK, "reason": MARK}, names=True),
    Ask("acknowledge_item", "POST", f"{ITEM}/acknowledge", 200, names=True),
    Ask("assign_item", "POST", f"{ITEM}/assign", 200, {"to": f"{MARK}-2"}, names=True),
    Ask("save_item_data", "PATCH", f"{ITEM}/data", 200, {"a": MARK, "next_steps": [MARK]}, names=True),
    Ask("replace_item_data", "PUT", f"{ITEM}/data", 200, {"b": MARK}, names=True),
    Ask("complete_item", "POST", f"{ITEM}/complete", 200, {"data": {"c": MARK}}, names=True),
    Ask("skip_item", "POST", f"{OTHER}/skip", 200, {"reason": MARK}, names=True),
    Ask("claim_item", "POST", f"{POOLED}/claim", 200, names=True),
    Ask("release_item", "POST", f"{POOLED}/release", 200, names=True),
    Ask("claim_next_item", "POST", f"{V1}/items:claim", 200, {"group": MARK}, names=True),
    Ask("bulk_items", "POST", f"{V1}/items:bulk", 200, {"action": "start", "ids": [f"{MARK}/x"], "dry_run": True}),
    Ask("bulk_items", "POST", f"{V1}/items:bulk", 200, {"action": "stop", "where": {"assignee": "nobody"}}),
    Ask("list_loads", "GET", f"{V1}/items:loads", 200),
    Ask("balance_items", "POST", f"{V1}/items:balance", 200),
    Ask("apply_plan", "POST", f"{V1}/items:apply-plan", 200, {"moves": [], "made_at": "2026-03-01T06:30:00Z"}),
    Ask("get_analytics", "GET", f"{V1}/items:analytics?by=assignee", 200),
    Ask("get_series", "GET", f"{V1}/items:series", 200),
    Ask("get_analytics_csv", "GET", f"{V1}/items:analytics.csv?by=definition", 200),
    Ask("recompute_items", "POST", f"{V1}/items:recompute", 200),
    Ask("interpret_signals", "POST", f"{V1}/items:interpret", 200),
    Ask("do_daily", "POST", f"{V1}/items:daily", 200),
    Ask("orchestrator_queue", "GET", "/api/orchestrator/queue", 200),
    Ask("snooze_execution", "POST", f"{EXECUTION}/snooze", 200, {"days": 3}, names=True),
    Ask("escalate_execution", "POST", f"{EXECUTION}/escalate", 200, {"escalation_user_id": "bob"}, names=True),
    Ask("patch_execution_status", "PATCH", f"{EXECUTION}/status", 200, {"status": "underway"}, names=True),
    Ask("skip_execution", "POST", f"{EXECUTION}/skip", 200, {"reason": MARK}, names=True),
    Ask("initialize_demo", "POST", "/api/orchestrator/demo/initialize", 201, {"customer_id": MARK}),
    Ask("demo_status", "GET", "/api/orchestrator/demo/status", 200),
    Ask("today_workflows", "GET", "/api/dashboard/today-workflows?demo=true", 200),
    Ask("start_demo", "POST", f"{V1}/items:demo", 200, {"subject": MARK}),
    Ask("get_demo", "GET", f"{V1}/items:demo", 200),
    Ask("reset_demo", "DELETE", f"{V1}/items:demo", 200),
    Ask("retire_definition", "POST", f"{DEFINITION}/retire", 200, names=True),
    Ask("delete_subject", "DELETE", SUBJECT, 204, names=True),
]
"""What has to do with the work queue."""

CONVERSATION = f"{V1}/conversations/{{conversation}}"

TALK = [
    Ask("orchestrate_chat", "POST", "/api/chat/orchestrate", 200, {"message": MARK}),
    Ask("take_turn", "POST", f"{CONVERSATION}/turns", 200, {"message": MARK}, names=True),
    Ask("list_conversations", "GET", f"{V1}/conversations", 200),
    Ask("get_conversation", "GET", CONVERSATION, 200, names=True),
    Ask("list_turns", "GET", f"{CONVERSATION}/turns", 200, names=True),
    Ask("export_conversation", "GET", f"{CONVERSATION}/export", 200, names=True),
    Ask("end_conversation", "POST", f"{CONVERSATION}/end", 200, names=True),
    Ask("abandon_conversation", "POST", f"{CONVERSATION}/abandon", 200, names=True),
]
"""What has to do with conversations."""

DRAFT = f"{V1}/runs/{MARK}%2Fd"

AGENTS = [
    Ask(
        "start_runs",
        "POST",
        f"{V1}/workflows/drafts/runs:batch",
        200,
        {"items": [{"input": {"order_id": MARK}, "id": f"{MARK}/d"}]},
    ),
    *(Ask("get_run", "GET", f"{DRAFT}?wait=8", 200, names=True) for _ in range(4)),
    Ask("list_model_calls", "GET", f"{DRAFT}/model-calls", 200, names=True),
    Ask("list_artifacts", "GET", f"{DRAFT}/artifacts", 200, names=True),
    Ask("get_artifact", "GET", f"{DRAFT}/artifacts/draft%2Fprompt.md", 200, names=True),
    Ask("get_model_costs", "GET", f"{V1}/model-costs?since=2026-03-01&until=2026-03-02&by=day,workflow,phase", 200),
    Ask("get_model_costs", "GET", f"{V1}/model-costs?by=day,phase&where=id%20prefix%20%27{MARK}%27", 200),
    Ask("list_phases", "GET", f"{V1}/phases", 200),
    Ask("get_phases", "GET", f"{V1}/phases/{MARK}", 200, names=True),
]
"""What has to do with models and artifacts."""

MESSAGE = f"{V1}/outbox/{MARK}%2Fm"

OUTBOX = [
    Ask(
        "publish_message",
        "POST",
        f"{V1}/outbox",
        201,
        {"channel": MARK, "message": {"text": MARK}, "id": f"{MARK}/m", "workflow": MARK, "review": MARK},
    ),
    Ask("list_messages", "GET", f"{V1}/outbox", 200),
    Ask("list_messages", "GET", f"{V1}/outbox?status=pending&channel={MARK}&workflow={MARK}&doubt=false", 200),
    Ask("count_messages", "GET", f"{V1}/outbox:counts?cap=10", 200),
    Ask("get_message", "GET", MESSAGE, 200, names=True),
    Ask("discard_message", "POST", f"{MESSAGE}/discard", 200, {"reason": MARK}, names=True),
    Ask("set_publish_mode", "PUT", f"{V1}/publishing", 200, {"mode": "auto", "workflow": MARK}),
    Ask("cut_over", "POST", f"{V1}/publishing/{MARK}/cut-over", 200, {"rollback_window": "1d"}),
    Ask("roll_back", "POST", f"{V1}/publishing/{MARK}/roll-back", 200),
    Ask("list_publish_settings", "GET", f"{V1}/publishing", 200),
]
"""What has to do with messages."""

SHADOW = f"{V1}/shadow/{MARK}"

INTAKE = [
    Ask("list_sources", "GET", f"{V1}/intake", 200),
    Ask("list_entries", "GET", f"{V1}/entries?outcome=dead&source={MARK}&since=2026-03-01T00:00:00Z", 200),
    Ask("list_entries_of_source", "GET", f"{V1}/intake/{MARK}/entries", 200),
    Ask(
        "record_outcomes",
        "POST",
        f"{V1}/shadow/outcomes",
        200,
        {"workflow": MARK, "outcomes": [{"message_id": MARK, "decided": "sent", "text": MARK}]},
    ),
    Ask("compare_paths", "GET", f"{SHADOW}/comparison?which=missing", 200),
    Ask("get_criteria", "GET", f"{V1}/shadow/checkout/criteria", 200),
]
"""What has to do with intake, where nothing is read."""

DIVERSION = f"{V1}/diversions/{'0' * 32}"

ENTRY = f"{V1}/entries/{'0' * 32}"

SCENE = [
    Ask("healthz", "GET", "/healthz", 200),
    Ask("readyz", "GET", "/readyz", 200),
    Ask("openapi", "GET", "/api/openapi.json", 200),
    Ask("metrics", "GET", "/metrics", 200),
    Ask("who_am_i", "GET", f"{V1}/me", 200),
    Ask(
        "start_run",
        "POST",
        f"{V1}/workflows/waits/runs",
        201,
        {"input": {"key": MARK}, "id": f"{MARK}/1", "queue": "nobody"},
    ),
    Ask("start_runs", "POST", f"{V1}/workflows/checkout/runs:batch", 200, {"items": [{"input": {"order_id": MARK}}]}),
    Ask("list_runs", "GET", f"{V1}/runs", 200),
    Ask("list_diversions", "GET", f"{V1}/diversions", 200),
    Ask("list_diversions", "GET", f"{V1}/diversions?workflow=waits&key={MARK}&way=dropped&rule=singleton&id=a", 200),
    Ask("count_runs", "GET", f"{V1}/runs:count", 200),
    Ask("dead_letters", "GET", f"{V1}/dead-letters", 200),
    Ask("get_run", "GET", RUN, 200, names=True),
    Ask("get_journal", "GET", f"{RUN}/journal", 200, names=True),
    Ask("export_history", "GET", f"{RUN}/history/export", 200, names=True),
    Ask("get_children", "GET", f"{RUN}/children", 200, names=True),
    Ask("list_streams", "GET", f"{RUN}/streams", 200, names=True),
    Ask("explain_run", "GET", f"{RUN}/explain", 200, names=True),
    Ask("get_idempotency_key", "GET", f"{RUN}/idempotency-key", 200, names=True),
    Ask("get_outcomes", "POST", f"{V1}/runs:outcomes", 200, {"ids": [f"{MARK}/1"]}),
    Ask("hold_run", "POST", f"{RUN}/hold", 200, {"reason": MARK}, names=True),
    Ask("release_run", "POST", f"{RUN}/release", 200, names=True),
    Ask("hold_run", "POST", f"{RUN}/hold", 200, {"reason": MARK}, names=True),
    Ask("reject_run", "POST", f"{RUN}/reject", 200, {"reason": MARK}, names=True),
    Ask("get_run", "GET", f"{RUN}?wait=8", 200, names=True),
    Ask("retry_run", "POST", f"{RUN}/retry", 200, names=True),
    Ask("cancel_run", "POST", f"{RUN}/cancel", 200, {"reason": MARK}, names=True),
    Ask("get_run", "GET", f"{RUN}?wait=8", 200, names=True),
    Ask("fork_run", "POST", f"{RUN}/fork", 201, {"id": f"{MARK}/2"}, names=True),
    Ask("bulk_runs", "POST", f"{V1}/runs:bulk", 200, {"action": "cancel", "where": "priority = 0", "dry_run": True}),
    Ask("bulk_runs", "POST", f"{V1}/runs:bulk", 202, {"action": "cancel", "where": f"id = '{MARK}/2'"}),
    Ask("send_event", "POST", f"{V1}/events", 200, {"name": "shipped", "key": MARK, "payload": MARK}),
    Ask("list_workflows", "GET", f"{V1}/workflows", 200),
    Ask("get_workflow", "GET", f"{V1}/workflows/checkout", 200),
    Ask("pause_workflow", "POST", f"{V1}/workflows/laned/pause", 200),
    Ask("resume_workflow", "POST", f"{V1}/workflows/laned/resume", 200),
    Ask("list_stranded", "GET", f"{V1}/stranded", 200),
    Ask("list_lanes", "GET", f"{V1}/lanes", 200),
    Ask("set_queue", "PUT", f"{V1}/queues/default", 200, {"total": 1000}),
    Ask("get_queue", "GET", f"{V1}/queues/default", 200),
    Ask("list_queue_shares", "GET", f"{V1}/queues/default/shares", 200),
    Ask("list_queues", "GET", f"{V1}/queues", 200),
    Ask("pause_queue", "POST", f"{V1}/queues/other/pause", 200),
    Ask("resume_queue", "POST", f"{V1}/queues/other/resume", 200),
    Ask("list_retention", "GET", f"{V1}/retention", 200),
    Ask("set_retention", "PUT", f"{V1}/retention", 200, {"keep": "90d", "status": "failed"}),
    Ask(
        "put_schedule",
        "PUT",
        f"{V1}/schedules/{MARK}",
        201,
        {"workflow": "checkout", "input": {"order_id": MARK}, "every": "1h"},
    ),
    Ask("list_schedules", "GET", f"{V1}/schedules", 200),
    Ask("get_schedule", "GET", f"{V1}/schedules/{MARK}", 200, names=True),
    Ask("pause_schedule", "POST", f"{V1}/schedules/{MARK}/pause", 200, names=True),
    Ask("resume_schedule", "POST", f"{V1}/schedules/{MARK}/resume", 200, names=True),
    Ask("run_schedule", "POST", f"{V1}/schedules/{MARK}/run", 201, names=True),
    Ask(
        "backfill_schedule",
        "POST",
        f"{V1}/schedules/{MARK}/backfill",
        200,
        {"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T02:00:00Z"},
        names=True,
    ),
    Ask("delete_schedule", "DELETE", f"{V1}/schedules/{MARK}", 204, names=True),
    *WORK,
    *TALK,
    *AGENTS,
    *OUTBOX,
    *INTAKE,
    Ask("list_workers", "GET", f"{V1}/workers", 200),
    Ask("get_stats", "GET", f"{V1}/stats", 200),
    Ask("get_overview", "GET", f"{V1}/overview", 200),
    Ask("list_alerts", "GET", f"{V1}/alerts", 200),
    Ask("put_user", "PUT", f"{V1}/users/{MARK}", 201, {"name": MARK, "role": "viewer", "email": f"{MARK}@example.com"}),
    Ask("get_user", "GET", f"{V1}/users/{MARK}", 200, names=True),
    Ask("list_users", "GET", f"{V1}/users", 200),
    Ask("delete_user", "DELETE", f"{V1}/users/{MARK}", 204, names=True),
    Ask("create_key", "POST", f"{V1}/keys", 201, {"name": MARK, "role": "viewer"}),
    Ask("list_keys", "GET", f"{V1}/keys", 200),
    Ask("revoke_key", "DELETE", f"{V1}/keys/{{prefix}}", 204, names=True),
    Ask("list_audit", "GET", f"{V1}/audit", 200),
    Ask("put_view", "PUT", f"{V1}/views/runs/{MARK}", 200, {"query": MARK}),
    Ask("list_views", "GET", f"{V1}/views/runs", 200),
    Ask("delete_view", "DELETE", f"{V1}/views/runs/{MARK}", 204, names=True),
]
"""Without streams, webhooks, signing in and the draining of a worker."""

ELSEWHERE = [
    Ask("begin_sign_in", "GET", f"{V1}/session/oidc", 303),
    Ask("finish_sign_in", "GET", "/sign-in/back", 303),
    Ask("follow_list", "GET", f"{V1}/live", 200),
    Ask("follow_topic", "GET", f"{V1}/live/queues", 200),
    Ask("follow_run", "GET", f"{RUN}/live", 200, names=True),
    Ask("read_stream", "GET", f"{RUN}/streams/tokens", 200, names=True),
    Ask("receive_webhook", "POST", f"{V1}/webhooks/shop", 200),
    Ask("reject_item", "POST", f"{ITEM}/reject", 200, {"reason": MARK}, names=True),
    Ask("get_bulk_outcome", "GET", f"{V1}/items:bulk/{'0' * 32}", 200, names=True),
    Ask("undo_items", "POST", f"{V1}/items:bulk/{'0' * 32}/undo", 200, names=True),
    Ask("send_message", "POST", f"{MESSAGE}/send", 200, names=True),
    Ask("drain_worker", "POST", f"{V1}/workers/{'0' * 32}/drain", 202),
    Ask("hand_in", "POST", f"{V1}/intake/{MARK}", 201, {"a": MARK}, names=True),
    Ask("rewind_source", "POST", f"{V1}/intake/{MARK}/rewind", 200, names=True),
    Ask("get_diversion", "GET", DIVERSION, 200, names=True),
    Ask("start_diverted", "POST", f"{DIVERSION}/start", 200, names=True),
    Ask("get_entry", "GET", ENTRY, 200, names=True),
    Ask("retry_entry", "POST", f"{ENTRY}/retry", 200, names=True),
    Ask("discard_entry", "POST", f"{ENTRY}/discard", 204, {"reason": MARK}, names=True),
]
"""Those: what they do is tested in files of their own."""
